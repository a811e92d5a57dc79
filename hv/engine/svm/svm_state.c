/* Guest register state in the VMCB, and how the guest's control registers are presented to it.
 *
 * What is the guest's and what the CPU's differs most while the CPU walks shadow tables: the VMCB
 * then has a CR3 and mode bits of the hypervisor's, and struct svm_vcpu the guest's. Whatever of
 * them the guest could tell apart exits.
 *
 * Long mode is virtualised: the VMCB's EFER has LME only while the guest has paging on. A CPU that
 * leaves the guest with LME set, paging off and PAE off is a state some implementations do not
 * restore the host from, and no guest can tell the difference: EFER accesses are intercepted, and
 * so is CR0 wherever PG can change the mode.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/reset.h"
#include "engine/svm/svm.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"

static bool is_shadow(const struct svm_vcpu *s)
{
	return s->tr.kind == TRANSLATION_SHADOW;
}

u64 svm_guest_cr0(const struct svm_vcpu *s)
{
	return (s->vmcb->cr0 & ~s->cr0_owned) | s->cr0_view;
}

static u64 svm_guest_cr3(const struct svm_vcpu *s)
{
	return is_shadow(s) ? s->cr3 : s->vmcb->cr3;
}

static u64 svm_guest_cr4(const struct svm_vcpu *s)
{
	return is_shadow(s) ? s->cr4 : s->vmcb->cr4;
}

static void intercept_cr(struct vmcb *c, unsigned cr, bool read, bool write)
{
	c->cr_read = (u16)((c->cr_read & ~(1u << cr)) | (unsigned)read << cr);
	c->cr_write = (u16)((c->cr_write & ~(1u << cr)) | (unsigned)write << cr);
}

/* CR0 intercepts, by need: every access while what the guest reads is not what the CPU has, every
 * write while LME waits for PG, writes that change more than TS and MP (the selective intercept)
 * where the mode or the translation hangs on it, none otherwise. */
static void svm_intercept_cr0(struct svm_vcpu *s)
{
	struct vmcb *c = s->vmcb;
	bool lme = s->efer & EFER_LME, pg = svm_guest_cr0(s) & CR0_PG;
	bool differs = c->cr0 != svm_guest_cr0(s);

	intercept_cr(c, 0, differs, differs || (lme && !pg));
	c->intercept3 &= ~(u32)SVM_INTERCEPT_CR0_SEL;
	if ((lme && pg) || is_shadow(s) || s->tr.watch_cr0)
		c->intercept3 |= SVM_INTERCEPT_CR0_SEL;
}

static void svm_intercept_paging(struct svm_vcpu *s)
{
	struct vmcb *c = s->vmcb;
	bool shadow = is_shadow(s);
	unsigned heard = shadow ? WATCH_ALL : s->tr.watch;

	svm_intercept_cr0(s);
	intercept_cr(c, 3, shadow, heard & WATCH_BIT(WATCH_CR3));
	intercept_cr(c, 4, shadow && s->cr4 != c->cr4, shadow);
	c->exceptions &= ~(u32)BIT(VEC_PF);
	c->intercept3 &= ~(u32)(SVM_INTERCEPT_INVLPG | SVM_INTERCEPT_TASK);
	if (heard & WATCH_BIT(WATCH_FAULT))
		c->exceptions |= BIT(VEC_PF);
	if (heard & WATCH_BIT(WATCH_CR3))
		c->intercept3 |= SVM_INTERCEPT_TASK;
	if (heard & WATCH_BIT(WATCH_INVLPG))
		c->intercept3 |= SVM_INTERCEPT_INVLPG;
	s->clean &= ~(u32)(CLEAN_INTERCEPTS | CLEAN_CR);
}

/* CR4 while the CPU walks shadow tables. The tables that map a guest without paging are user
 * pages. */
static u64 shadow_cr4(const struct svm_vcpu *s)
{
	u64 cr4 = s->cr4 & ~(u64)(CR4_PCIDE | CR4_LA57);

	if (s->tr.unpaged)
		cr4 &= ~(u64)(CR4_SMEP | CR4_SMAP);
	return cr4 | CR4_PAE;
}

void svm_load_modes(struct svm_vcpu *s, u64 guest_cr0)
{
	u64 efer = (s->efer & ~(EFER_LME | EFER_LMA)) | EFER_SVME;
	bool shadow = is_shadow(s);
	bool lma = shadow ? s->tr.long_mode : (guest_cr0 & CR0_PG) && (s->efer & EFER_LME);

	s->cr0_owned = (guest_cr0 & (CR0_CD | CR0_NW)) | (shadow ? CR0_PG | CR0_WP : 0);
	s->cr0_view = guest_cr0 & s->cr0_owned;
	s->vmcb->cr0 = (guest_cr0 & ~s->cr0_owned) | (shadow ? CR0_PG | CR0_WP : 0);
	if (shadow)
		s->vmcb->cr4 = shadow_cr4(s);
	s->vmcb->efer = efer | (shadow ? EFER_NXE : 0) | (lma ? EFER_LME | EFER_LMA : 0);
	svm_intercept_paging(s);
}

/* EFER as RDMSR shows it. */
static u64 svm_guest_efer(const struct svm_vcpu *s)
{
	bool lma = (s->efer & EFER_LME) && (svm_guest_cr0(s) & CR0_PG);

	return (s->efer & ~EFER_LMA) | (lma ? EFER_LMA : 0);
}

void svm_get_code(const struct vcpu *v, struct vcpu_code *c)
{
	const struct svm_vcpu *s = svm_of(v);
	const struct vmcb *b = s->vmcb;

	c->cr0 = svm_guest_cr0(s);
	c->cr3 = svm_guest_cr3(s);
	c->cr4 = svm_guest_cr4(s);
	c->efer = svm_guest_efer(s);
	c->cs_base = b->cs.base;
	c->cs_attr = b->cs.attr;
	c->cpl = b->cpl;
}

static void svm_segment_table(struct vmcb *b, struct vmcb_seg *seg[SEG_COUNT])
{
	seg[SEG_ES] = &b->es;
	seg[SEG_CS] = &b->cs;
	seg[SEG_SS] = &b->ss;
	seg[SEG_DS] = &b->ds;
	seg[SEG_FS] = &b->fs;
	seg[SEG_GS] = &b->gs;
	seg[SEG_LDTR] = &b->ldtr;
	seg[SEG_TR] = &b->tr;
}

void svm_get_sregs(const struct vcpu *v, struct vcpu_sregs *r)
{
	const struct svm_vcpu *s = svm_of(v);
	struct vmcb *b = s->vmcb;
	struct vmcb_seg *seg[SEG_COUNT];

	svm_segment_table(b, seg);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		r->seg[i] = (struct segment){.sel = seg[i]->sel,
					     .attr = seg[i]->attr,
					     .limit = seg[i]->limit,
					     .base = seg[i]->base};
	r->gdt = (struct segment){.base = b->gdtr.base, .limit = b->gdtr.limit};
	r->idt = (struct segment){.base = b->idtr.base, .limit = b->idtr.limit};
	r->cr0 = svm_guest_cr0(s);
	r->cr2 = b->cr2;
	r->cr3 = svm_guest_cr3(s);
	r->cr4 = svm_guest_cr4(s);
	r->efer = svm_guest_efer(s);
	r->dr6 = b->dr6;
	r->dr7 = b->dr7;
	r->cpl = b->cpl;
}

/* See svm_load() for the CPU's own. */
static void set_cr2(struct vcpu *v, u64 cr2)
{
	svm_of(v)->vmcb->cr2 = cr2;
	svm_of(v)->clean &= ~(u32)CLEAN_CR2;
	if (v->loaded)
		write_cr2(cr2);
}

static void set_cr34(struct svm_vcpu *s, u64 cr3, u64 cr4)
{
	*(is_shadow(s) ? &s->cr3 : &s->vmcb->cr3) = cr3;
	*(is_shadow(s) ? &s->cr4 : &s->vmcb->cr4) = cr4;
}

void svm_set_sregs(struct vcpu *v, const struct vcpu_sregs *r)
{
	struct svm_vcpu *s = svm_of(v);
	struct vmcb *b = s->vmcb;
	struct vmcb_seg *seg[SEG_COUNT];

	svm_segment_table(b, seg);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		*seg[i] = (struct vmcb_seg){.sel = r->seg[i].sel,
					    .attr = r->seg[i].attr,
					    .limit = r->seg[i].limit,
					    .base = r->seg[i].base};
	b->gdtr = (struct vmcb_seg){.base = r->gdt.base, .limit = r->gdt.limit};
	b->idtr = (struct vmcb_seg){.base = r->idt.base, .limit = r->idt.limit};
	set_cr2(v, r->cr2);
	set_cr34(s, r->cr3, r->cr4);
	s->efer = r->efer & ~EFER_LMA;
	svm_load_modes(s, r->cr0);
	b->dr6 = r->dr6;
	b->dr7 = r->dr7;
	b->cpl = r->cpl;
	s->clean = 0;
}

void svm_set_cr(struct vcpu *v, unsigned cr, u64 value)
{
	struct svm_vcpu *s = svm_of(v);

	switch (cr) {
	case 0:
		svm_load_modes(s, value);
		break;
	case 2:
		set_cr2(v, value);
		break;
	case 3:
		set_cr34(s, value, svm_guest_cr4(s));
		s->clean &= ~(u32)(CLEAN_CR);
		break;
	case 4:
		set_cr34(s, svm_guest_cr3(s), value);
		svm_load_modes(s, svm_guest_cr0(s));
		break;
	}
	/* A mode change drops the guest's own cached translations as the architecture has it; of
	 * shadow tables those who made them know. */
	if (cr != 2 && !is_shadow(s))
		s->flush = true;
}

void svm_set_efer(struct vcpu *v, u64 value)
{
	struct svm_vcpu *s = svm_of(v);

	s->efer = value & ~EFER_LMA;
	svm_load_modes(s, svm_guest_cr0(s));
	if (!is_shadow(s))
		s->flush = true;
}

static u64 *svm_msr_slot(const struct vcpu *v, u32 msr)
{
	struct vmcb *b = svm_of(v)->vmcb;

	switch (msr) {
	case MSR_STAR:
		return &b->star;
	case MSR_LSTAR:
		return &b->lstar;
	case MSR_CSTAR:
		return &b->cstar;
	case MSR_SFMASK:
		return &b->sfmask;
	case MSR_FS_BASE:
		return &b->fs.base;
	case MSR_GS_BASE:
		return &b->gs.base;
	case MSR_KERNEL_GS_BASE:
		return &b->kernel_gs_base;
	case MSR_SYSENTER_CS:
		return &b->sysenter_cs;
	case MSR_SYSENTER_ESP:
		return &b->sysenter_esp;
	case MSR_SYSENTER_EIP:
		return &b->sysenter_eip;
	case MSR_PAT:
		return &b->g_pat;
	default:
		return NULL;
	}
}

int svm_get_msr(const struct vcpu *v, u32 msr, u64 *value)
{
	const u64 *slot = svm_msr_slot(v, msr);

	if (msr == MSR_EFER) {
		*value = svm_guest_efer(svm_of(v));
		return 0;
	}
	if (!slot)
		return -ENOENT;
	*value = *slot;
	return 0;
}

int svm_set_msr(struct vcpu *v, u32 msr, u64 value)
{
	u64 *slot = svm_msr_slot(v, msr);

	if (msr == MSR_EFER) {
		svm_set_efer(v, value);
		return 0;
	}
	if (!slot)
		return -ENOENT;
	*slot = value;
	svm_of(v)->clean &= ~(u32)(CLEAN_SEG | CLEAN_NESTED);
	return 0;
}

/* APM vol. 2 table 14-1: processor state after RESET. */
void svm_vcpu_reset(struct vcpu *v)
{
	struct vcpu_sregs r;

	vcpu_sregs_reset(&r);
	svm_set_sregs(v, &r);
	svm_of(v)->vmcb->g_pat = PAT_RESET;
	for (u32 msr = MSR_STAR; msr <= MSR_SFMASK; msr++)
		svm_set_msr(v, msr, 0);
	svm_set_msr(v, MSR_KERNEL_GS_BASE, 0);
	for (u32 msr = MSR_SYSENTER_CS; msr <= MSR_SYSENTER_EIP; msr++)
		svm_set_msr(v, msr, 0);
	vcpu_regs_reset(v);
	svm_of(v)->owed = 0;
	svm_flush_tag(v, v->tag);
}
