/* Guest control registers and EFER: the checks a CPU makes before it accepts a value (APM vol. 2
 * §3.1, §14.6), then the engine.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/partition.h"
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "lib/str.h"
#include "paging/paging.h"

#define CR0_DEFINED                                                                                \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
	 CR0_PG)
/* A change of one of these makes a CPU in PAE paging load its four entries. */
#define CR0_LOADS_PDPTES  (CR0_PG | CR0_CD | CR0_NW)
#define CR4_LOADS_PDPTES  (CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP)
#define EFER_CHANGED_BITS (EFER_SCE | EFER_LME | EFER_NXE | EFER_FFXSR)
#define PAGING_EFER	  0x80u

#define PDPTE_P	     BIT(0)
#define PDPTE_RSVD   0x1e6ull
#define CR3_PAE_BASE 0xffffffe0ull

/* Some CPUs keep the four entries of PAE paging from the moment on that it is switched on; that
 * is when they are checked. @r is the state after the change. -EINVAL: #GP. */
static int load_pdptes(struct vcpu *v, const struct vcpu_sregs *r)
{
	u64 rsvd = PDPTE_RSVD | ~((1ull << v->part->phys_bits) - 1), pdpte[4];
	const u8 *table;

	if (!v->engine->set_pdptes || !(r->cr0 & CR0_PG) || !(r->cr4 & CR4_PAE) ||
	    (r->efer & EFER_LME))
		return 0;
	table = p2m_ptr_read(&v->part->p2m, r->cr3 & CR3_PAE_BASE);
	memset(pdpte, 0xff, sizeof(pdpte)); /* what reads where there is no memory */
	if (table)
		memcpy(pdpte, table, sizeof(pdpte));
	for (unsigned i = 0; i < ARRAY_SIZE(pdpte); i++)
		if ((pdpte[i] & PDPTE_P) && (pdpte[i] & rsvd))
			return -EINVAL;
	v->engine->set_pdptes(v, pdpte);
	return 0;
}

/* The same where it is software that keeps them. */
static bool refused(struct vcpu *v, const struct vcpu_sregs *r)
{
	struct walk_regs after;

	if (!v->paging->cr_refused)
		return false;
	vcpu_walk_regs(v, &after);
	after.cr0 = r->cr0;
	after.cr3 = r->cr3;
	after.cr4 = r->cr4;
	after.efer = r->efer & ~EFER_LMA;
	if ((r->cr0 & CR0_PG) && (r->efer & EFER_LME))
		after.efer |= EFER_LMA;
	after.pdpte = NULL;
	return v->paging->cr_refused(v, &after);
}

/* CR@n becomes @value; @r is the state with it. @pae: the change makes a CPU load the four entries
 * of PAE paging. -EINVAL: one of them is bad, nothing has changed. */
static int set_cr(struct vcpu *v, const struct vcpu_sregs *r, unsigned n, u64 old, u64 value,
		  bool pae)
{
	if (pae && (refused(v, r) || load_pdptes(v, r) != 0))
		return -EINVAL;
	v->engine->set_cr(v, n, value);
	v->paging->cr_write(v, n, old, value);
	return 0;
}

/* Every switch of address spaces where shadow tables are in use: no more is asked of the engine
 * than it takes. */
int vcpu_write_cr3(struct vcpu *v, u64 value)
{
	struct vcpu_sregs r;
	struct vcpu_code c;

	v->engine->get_code(v, &c);
	if ((c.efer & EFER_LMA) && value >> v->part->phys_bits)
		return -EINVAL;
	if (!(c.efer & EFER_LMA) && (c.cr4 & CR4_PAE)) {
		v->engine->get_sregs(v, &r);
		r.cr3 = value;
		return set_cr(v, &r, 3, c.cr3, value, true);
	}
	v->engine->set_cr(v, 3, value);
	v->paging->cr_write(v, 3, c.cr3, value);
	return 0;
}

int vcpu_write_cr4(struct vcpu *v, u64 value)
{
	struct vcpu_sregs r;
	u64 old;

	v->engine->get_sregs(v, &r);
	old = r.cr4;
	if ((value & ~v->part->cpuid.cr4_valid) || ((r.efer & EFER_LMA) && !(value & CR4_PAE)))
		return -EINVAL;
	r.cr4 = value;
	return set_cr(v, &r, 4, old, value, (old ^ value) & CR4_LOADS_PDPTES);
}

/* CR0 as MOV would write @value over @r's is a value that the CPU takes. */
static bool cr0_valid(const struct vcpu_sregs *r, u64 value)
{
	if (value >> 32 || ((value & CR0_PG) && !(value & CR0_PE)) ||
	    ((value & CR0_NW) && !(value & CR0_CD)))
		return false;
	/* Long mode begins here: with PAE, and not in 64-bit code. */
	if ((value & CR0_PG) && !(r->cr0 & CR0_PG) && (r->efer & EFER_LME))
		return (r->cr4 & CR4_PAE) && !(r->seg[SEG_CS].attr & SEG_ATTR_L);
	return true;
}

int vcpu_write_cr0(struct vcpu *v, u64 value)
{
	struct vcpu_sregs r;
	u64 old;

	v->engine->get_sregs(v, &r);
	if (!cr0_valid(&r, value))
		return -EINVAL;
	/* Reserved bits below 32 are ignored; ET reads as one. */
	value = (value & CR0_DEFINED) | CR0_ET;
	old = r.cr0;
	if (value == old)
		return 0;
	r.cr0 = value;
	return set_cr(v, &r, 0, old, value, (old ^ value) & CR0_LOADS_PDPTES);
}

int vcpu_write_efer(struct vcpu *v, u64 value)
{
	struct vcpu_sregs r;
	u64 allowed = EFER_CHANGED_BITS | EFER_LMA;

	v->engine->get_sregs(v, &r);
	if (value & ~allowed)
		return -EINVAL;
	if ((r.cr0 & CR0_PG) && ((value ^ r.efer) & EFER_LME))
		return -EINVAL;
	v->engine->set_efer(v, (value & ~EFER_LMA) | (r.efer & EFER_LMA));
	v->paging->cr_write(v, PAGING_EFER, r.efer, value);
	return 0;
}
