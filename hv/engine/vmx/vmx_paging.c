/* By which tables the guest runs, and what the CPU has cached of them. SDM vol. 3 §25.6.2,
 * §25.6.11, §27.3.2.4, §29.4.
 *
 * Under nested paging EPT is on and the guest runs unrestricted. While the CPU walks shadow tables
 * both are off: the guest has to have paging on itself, CR3 is the hypervisor's, and so is whatever
 * else of the control registers says how tables are walked. The guest reads those from the shadows;
 * CR3 and EFER, which have none, exit. No value of CR3 is loaded without an exit (CR3-target list):
 * the guest's would be walked as they are.
 *
 * A tag is a VPID. All that the CPU caches is the VPID's: linear mappings under shadow tables,
 * combined ones under EPT; what EPT alone gives is its root's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/vmx/vmx.h"
#include "engine/vmx/vmx_ops.h"
#include "lib/str.h"

#define CR0_PLAIN  (CR0_MP | CR0_EM | CR0_TS | CR0_AM)
#define CR0_PAGING (CR0_PE | CR0_WP | CR0_PG)
#define CR4_PLAIN                                                                                  \
	(CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PGE | CR4_PCE | CR4_OSFXSR |         \
	 CR4_OSXMMEXCPT)
#define SEC_NESTED ((u32)(SEC_CTL_EPT | SEC_CTL_UNRESTRICTED))
#define PRI_SHADOW ((u32)(PRI_CTL_CR3_LOAD | PRI_CTL_CR3_STORE | PRI_CTL_INVLPG))
#define PF_PRESENT 1u /* of a page fault's error code */

/* Machine checks belong to the host. #AC and #DB can strike during their own delivery, over and
 * over: a CPU that does not leave the guest there takes no interrupt ever again. */
#define ALWAYS_EXITS (BIT(VEC_MC) | BIT(VEC_AC) | BIT(VEC_DB))

u64 vmx_cr0_owned(const struct vmx_vcpu *s)
{
	return ~(u64)(vmx_shadow(s) || s->tr.watch_cr0 ? CR0_PLAIN : CR0_PLAIN | CR0_PAGING);
}

u64 vmx_cr4_owned(const struct vmx_vcpu *s)
{
	return vmx_shadow(s) ? UINT64_MAX : ~(u64)CR4_PLAIN;
}

u64 vmx_real_cr0(const struct vmx_vcpu *s, u64 guest)
{
	u64 cr0 = (guest & ~(CR0_CD | CR0_NW)) | CR0_NE | CR0_ET;

	return vmx_shadow(s) ? cr0 | CR0_PG | CR0_WP : cr0;
}

u64 vmx_real_cr4(const struct vmx_vcpu *s, u64 guest)
{
	u64 cr4 = guest | CR4_VMXE | CR4_MCE;

	return vmx_shadow(s) ? (cr4 & ~(u64)(CR4_PCIDE | CR4_LA57)) | CR4_PAE : cr4;
}

u64 vmx_real_efer(const struct vmx_vcpu *s, u64 guest)
{
	if (!vmx_shadow(s))
		return guest;
	return (guest & ~(EFER_LME | EFER_LMA)) | EFER_NXE |
	       (s->tr.long_mode ? EFER_LME | EFER_LMA : 0);
}

/* Bit 4 of an error code tells of fetches where NX or SMEP is on. NX always is here. */
static bool error_codes_agree(const struct vcpu_sregs *guest)
{
	return ((guest->cr4 & CR4_PAE) && (guest->efer & EFER_NXE)) || (guest->cr4 & CR4_SMEP);
}

/* A fault exits where its error code masked is the match: all of them, or those with P set. */
void vmx_store_faults(const struct vmx_vcpu *s)
{
	bool filter = s->tr.filter_faults && error_codes_agree(&s->regs.s);
	bool heard = vmx_shadow(s) || (s->tr.watch & WATCH_BIT(WATCH_FAULT));

	vmwrite(VMCS_EXCEPTION_BITMAP, ALWAYS_EXITS | (heard ? BIT(VEC_PF) : 0));
	vmwrite(VMCS_PF_ERROR_MASK, filter ? PF_PRESENT : 0);
	vmwrite(VMCS_PF_ERROR_MATCH, filter ? PF_PRESENT : 0);
}

/* Controls by which accesses to CR3 and INVLPG exit. */
static u32 paging_exits(const struct vmx_vcpu *s)
{
	u32 exits = vmx_config.controls.primary & PRI_SHADOW;

	if (vmx_shadow(s))
		return PRI_SHADOW;
	if (s->tr.watch & WATCH_BIT(WATCH_CR3))
		exits |= (u32)PRI_CTL_CR3_LOAD;
	if (s->tr.watch & WATCH_BIT(WATCH_INVLPG))
		exits |= (u32)PRI_CTL_INVLPG;
	return exits;
}

void vmx_store_watch(struct vmx_vcpu *s)
{
	s->primary = (s->primary & ~PRI_SHADOW) | paging_exits(s);
	vmwrite(VMCS_PRIMARY_CONTROLS, s->primary);
	vmx_store_faults(s);
}

void vmx_store_kind(struct vmx_vcpu *s)
{
	bool shadow = vmx_shadow(s);
	u32 secondary = vmx_config.controls.secondary;

	vmx_store_watch(s);
	vmwrite(VMCS_SECONDARY_CONTROLS, shadow ? secondary & ~SEC_NESTED : secondary);
	vmwrite(VMCS_CR0_MASK, vmx_cr0_owned(s));
	vmwrite(VMCS_CR4_MASK, vmx_cr4_owned(s));
	vmwrite(VMCS_MSR_BITMAP, vmx_msr_bitmap(shadow));
}

void vmx_store_root(const struct vcpu *v, const struct vmx_vcpu *s)
{
	if (vmx_shadow(s))
		vmwrite(VMCS_GUEST_CR3, s->tr.root);
	else
		vmwrite(VMCS_EPTP, s->eptp);
	if (vmx_config.vpid)
		vmwrite(VMCS_VPID, v->tags[v->tag].id);
}

/* The CPU has loaded the four entries of PAE paging on its own as long as EPT was on. */
static void keep_pdptes(struct vcpu *v, struct vmx_vcpu *s)
{
	if (!s->built || (s->stale & STALE_PDPTES))
		return;
	vmx_load(v);
	for (unsigned i = 0; i < 4; i++)
		s->pdpte[i] = vmread(VMCS_GUEST_PDPTE0 + 2 * i);
}

/* Of another kind, or by another kind of table: the registers as the guest has them are written
 * anew. */
static void change_kind(struct vcpu *v, const struct translation *t)
{
	struct vmx_vcpu *s = vmx_of(v);

	vmx_regs_to_change(v);
	if (t->kind != s->tr.kind) {
		if (t->kind == TRANSLATION_SHADOW)
			keep_pdptes(v, s);
		else
			s->stale |= STALE_PDPTES;
	}
	s->tr = *t;
	s->stale |= STALE_KIND;
}

void vmx_set_translation(struct vcpu *v, const struct translation *t)
{
	struct vmx_vcpu *s = vmx_of(v);

	if (t->kind != s->tr.kind || t->long_mode != s->tr.long_mode ||
	    t->watch_cr0 != s->tr.watch_cr0 || t->filter_faults != s->tr.filter_faults)
		change_kind(v, t);
	if (t->watch != s->tr.watch)
		s->stale |= STALE_WATCH;
	s->tr = *t;
	v->tag = t->tag;
	if (t->kind == TRANSLATION_NESTED)
		s->eptp = ept_pointer(t->root);
	s->stale |= STALE_ROOT;
}

void vmx_get_pdptes(const struct vcpu *v, u64 pdpte[4])
{
	struct vmx_vcpu *s = vmx_of(v);

	if (!vmx_shadow(s))
		keep_pdptes((struct vcpu *)(u64)v, s);
	memcpy(pdpte, s->pdpte, sizeof(s->pdpte));
}

/* --- forgetting ------------------------------------------------------------------------------- */

void vmx_flush_owed(const struct vcpu *v, struct vmx_vcpu *s)
{
	for (unsigned tag = 0; tag < VCPU_TAGS; tag++)
		if (s->owed & BIT(tag))
			vmx_flush_tag((u16)v->tags[tag].id);
	/* Without a root nothing can have come from one. */
	if ((s->owed & OWED_ROOT) && s->eptp)
		vmx_flush_root(s->eptp);
	s->owed = 0;
}

void vmx_owe_flush(struct vmx_vcpu *s, u32 owed)
{
	s->owed |= owed;
	s->stale |= STALE_FLUSH;
}

/* INVEPT forgets combined mappings too, and under EPT there are no others. */
void vmx_flush(struct vcpu *v, unsigned tag)
{
	vmx_owe_flush(vmx_of(v), tag == VCPU_TAG_NESTED ? OWED_ROOT : (u32)BIT(tag));
}

/* A tag that waits for its flush needs nothing. The guest's own tables are under the nested one:
 * with one page INVLPG forgets all links, by one address INVVPID need not (SDM vol. 3 §4.10.4.1,
 * §29.4.3.1). */
void vmx_flush_page(struct vcpu *v, unsigned tag, gva_t gva)
{
	if (vmx_of(v)->owed & BIT(tag))
		return;
	if (tag == VCPU_TAG_NESTED)
		vmx_owe_flush(vmx_of(v), BIT(VCPU_TAG_NESTED));
	else if (!vmx_config.vpid || !vmx_config.invvpid_address)
		vmx_flush(v, tag);
	else
		invvpid_page((u16)v->tags[tag].id, gva);
}
