/* Guest registers in the VMCS, through the copy that vmx.h describes; how the guest's control
 * registers are presented to it. SDM vol. 3 §25.4, §24.8 (fixed bits).
 *
 * The guest owns the control bits that it changes often and that need no help: it writes them
 * without an exit. The others it reads from the shadows.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/reset.h"
#include "engine/vmx/vmx.h"
#include "engine/vmx/vmx_ops.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"

#define SEL_RPL 3u

static bool is_current(const struct vcpu *v)
{
	return vmx_current[v->cpu] == vmx_of(v);
}

static const struct {
	u16 sel, base, limit, rights;
} seg_field[SEG_COUNT] = {
#define SEG_FIELDS(name)                                                                           \
	{                                                                                          \
		VMCS_GUEST_##name##_SEL, VMCS_GUEST_##name##_BASE, VMCS_GUEST_##name##_LIMIT,      \
			VMCS_GUEST_##name##_RIGHTS                                                 \
	}
	[SEG_ES] = SEG_FIELDS(ES),     [SEG_CS] = SEG_FIELDS(CS), [SEG_SS] = SEG_FIELDS(SS),
	[SEG_DS] = SEG_FIELDS(DS),     [SEG_FS] = SEG_FIELDS(FS), [SEG_GS] = SEG_FIELDS(GS),
	[SEG_LDTR] = SEG_FIELDS(LDTR), [SEG_TR] = SEG_FIELDS(TR),
#undef SEG_FIELDS
};

/* Rights as an entry demands them: what a load of the segment would have set is set, and the
 * granularity agrees with the limit. */
static u32 rights_of(const struct segment *g, unsigned seg)
{
	u16 attr = g->attr & (u16)~SEG_ATTR_G;

	if (g->limit >> 20)
		attr |= SEG_ATTR_G;
	if (seg == SEG_TR)
		attr |= SEG_ATTR_P | AR_BUSY;
	else if (seg != SEG_LDTR && (attr & SEG_ATTR_P))
		attr |= AR_S | AR_ACCESSED;
	return vmx_rights_of_attr(attr);
}

/* Without unrestricted guest an entry takes only what protected mode could have loaded (§27.3.1.2):
 * CS is code, CS and SS have the CPL as RPL, and no other segment's RPL is above its DPL. A guest
 * that has just left real mode still has what that leaves, which acts the same. */
static void as_protected(struct segment *g, unsigned seg, u16 cpl)
{
	u16 dpl = (g->attr >> SEG_ATTR_DPL_SHIFT) & SEL_RPL;
	u16 type = g->attr & AR_TYPE;

	if (seg == SEG_CS)
		g->attr |= AR_CODE;
	if (seg == SEG_CS || seg == SEG_SS)
		g->sel = (u16)((g->sel & ~SEL_RPL) | cpl);
	else if (seg < SEG_LDTR && type < (AR_CODE | AR_CONFORM) && (g->sel & SEL_RPL) > dpl)
		g->sel = (u16)((g->sel & ~SEL_RPL) | dpl);
}

static u64 shadowed(u64 real, u64 shadow, u64 owned)
{
	return (real & ~owned) | (shadow & owned);
}

static u64 read_cr0_view(const struct vmx_vcpu *s)
{
	return shadowed(vmread(VMCS_GUEST_CR0), vmread(VMCS_CR0_SHADOW), vmx_cr0_owned(s));
}

static u64 read_cr4_view(const struct vmx_vcpu *s)
{
	return shadowed(vmread(VMCS_GUEST_CR4), vmread(VMCS_CR4_SHADOW), vmx_cr4_owned(s));
}

u64 vmx_read_cr3(const struct vmx_vcpu *s)
{
	return vmx_shadow(s) ? s->guest_cr3 : vmread(VMCS_GUEST_CR3);
}

u64 vmx_read_efer(const struct vmx_vcpu *s)
{
	return vmx_shadow(s) ? s->guest_efer : vmx_guest_efer(s);
}

static void fetch_regs(struct vmx_vcpu *s)
{
	struct vcpu_sregs *r = &s->regs.s;

	for (unsigned i = 0; i < SEG_COUNT; i++)
		r->seg[i] = (struct segment){
			.sel = (u16)vmread(seg_field[i].sel),
			.attr = vmx_attr_of_rights((u32)vmread(seg_field[i].rights)),
			.limit = (u32)vmread(seg_field[i].limit),
			.base = vmread(seg_field[i].base)};
	r->gdt = (struct segment){.base = vmread(VMCS_GUEST_GDTR_BASE),
				  .limit = (u32)vmread(VMCS_GUEST_GDTR_LIMIT)};
	r->idt = (struct segment){.base = vmread(VMCS_GUEST_IDTR_BASE),
				  .limit = (u32)vmread(VMCS_GUEST_IDTR_LIMIT)};
	r->cr0 = read_cr0_view(s);
	r->cr2 = read_cr2();
	r->cr3 = vmx_read_cr3(s);
	r->cr4 = read_cr4_view(s);
	r->efer = vmx_read_efer(s);
	r->dr6 = read_dr6();
	r->dr7 = vmread(VMCS_GUEST_DR7);
	r->cpl = (r->seg[SEG_SS].attr >> SEG_ATTR_DPL_SHIFT) & 3;
	s->regs.sysenter_cs = vmread(VMCS_GUEST_SYSENTER_CS);
	s->regs.sysenter_esp = vmread(VMCS_GUEST_SYSENTER_ESP);
	s->regs.sysenter_eip = vmread(VMCS_GUEST_SYSENTER_EIP);
	s->regs.pat = vmx_guest_pat(s);
	s->regs_valid = true;
}

static struct vmx_regs *regs_of(const struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_of(v);

	if (!s->regs_valid) {
		vmx_load((struct vcpu *)(u64)v);
		fetch_regs(s);
	}
	return &s->regs;
}

/* For a change: what is written back takes effect with the next entry. */
struct vmx_regs *vmx_regs_to_change(struct vcpu *v)
{
	struct vmx_regs *r = regs_of(v);

	vmx_of(v)->stale |= STALE_REGS;
	return r;
}

static void store_segments(const struct vcpu_sregs *r, bool unrestricted)
{
	u16 cpl = (r->seg[SEG_SS].attr >> SEG_ATTR_DPL_SHIFT) & SEL_RPL;

	for (unsigned i = 0; i < SEG_COUNT; i++) {
		struct segment g = r->seg[i];

		if (!unrestricted)
			as_protected(&g, i, cpl);
		/* Byte granularity cannot tell a limit of 1 MiB or more to the byte. */
		if (g.limit >> 20)
			g.limit |= 0xfff;
		vmwrite(seg_field[i].sel, g.sel);
		vmwrite(seg_field[i].base, g.base);
		vmwrite(seg_field[i].limit, g.limit);
		vmwrite(seg_field[i].rights, rights_of(&g, i));
	}
	vmwrite(VMCS_GUEST_GDTR_BASE, r->gdt.base);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, r->gdt.limit & 0xffff);
	vmwrite(VMCS_GUEST_IDTR_BASE, r->idt.base);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, r->idt.limit & 0xffff);
}

static void store_modes(struct vmx_vcpu *s, const struct vcpu_sregs *r)
{
	u32 entry = vmx_config.controls.entry;

	u64 efer = vmx_real_efer(s, r->efer);

	vmwrite(VMCS_GUEST_CR0, vmx_real_cr0(s, r->cr0));
	vmwrite(VMCS_CR0_SHADOW, r->cr0);
	vmwrite(VMCS_GUEST_CR4, vmx_real_cr4(s, r->cr4));
	vmwrite(VMCS_CR4_SHADOW, r->cr4);
	vmx_set_guest_efer(s, efer);
	vmwrite(VMCS_ENTRY_CONTROLS, efer & EFER_LMA ? entry | ENTRY_CTL_IA32E : entry);
	s->guest_cr3 = r->cr3;
	s->guest_efer = r->efer;
	if (!vmx_shadow(s))
		vmwrite(VMCS_GUEST_CR3, r->cr3);
}

void vmx_store_regs(struct vmx_vcpu *s)
{
	const struct vmx_regs *r = &s->regs;

	store_segments(&r->s, !vmx_shadow(s) || (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_VM));
	store_modes(s, &r->s);
	vmx_store_faults(s);
	vmwrite(VMCS_GUEST_DR7, r->s.dr7);
	write_dr6(r->s.dr6);
	vmwrite(VMCS_GUEST_SYSENTER_CS, r->sysenter_cs);
	vmwrite(VMCS_GUEST_SYSENTER_ESP, r->sysenter_esp);
	vmwrite(VMCS_GUEST_SYSENTER_EIP, r->sysenter_eip);
	vmx_set_guest_pat(s, r->pat);
	s->live_cr4 = r->s.cr4;
}

void vmx_get_code(const struct vcpu *v, struct vcpu_code *c)
{
	const struct vmx_vcpu *s = vmx_of(v);
	const struct vcpu_sregs *r = &s->regs.s;

	if (s->regs_valid) {
		*c = (struct vcpu_code){.cr0 = r->cr0,
					.cr3 = r->cr3,
					.cr4 = r->cr4,
					.efer = r->efer,
					.cs_base = r->seg[SEG_CS].base,
					.cs_attr = r->seg[SEG_CS].attr,
					.cpl = r->cpl};
		return;
	}
	vmx_load((struct vcpu *)(u64)v);
	*c = (struct vcpu_code){.cr0 = read_cr0_view(s),
				.cr3 = vmx_read_cr3(s),
				.cr4 = read_cr4_view(s),
				.efer = vmx_read_efer(s),
				.cs_base = vmread(VMCS_GUEST_CS_BASE),
				.cs_attr = vmx_attr_of_rights((u32)vmread(VMCS_GUEST_CS_RIGHTS)),
				.cpl = (vmread(VMCS_GUEST_SS_RIGHTS) >> AR_DPL_SHIFT) & 3};
}

void vmx_get_sregs(const struct vcpu *v, struct vcpu_sregs *r)
{
	*r = regs_of(v)->s;
	r->cr2 = is_current(v) ? read_cr2() : vmx_of(v)->live.cr2;
}

/* LMA follows from LME and PG: whoever changes one of the three. */
static void settle_lma(struct vcpu_sregs *r)
{
	r->efer &= ~EFER_LMA;
	if ((r->efer & EFER_LME) && (r->cr0 & CR0_PG))
		r->efer |= EFER_LMA;
}

static void set_cr2(struct vcpu *v, u64 value)
{
	vmx_of(v)->live.cr2 = value;
	if (is_current(v))
		write_cr2(value);
}

void vmx_set_sregs(struct vcpu *v, const struct vcpu_sregs *r)
{
	struct vmx_regs *regs = vmx_regs_to_change(v);

	regs->s = *r;
	/* The CPL is the DPL of SS; one that came without a descriptor says so by @cpl alone. */
	if (!(r->seg[SEG_SS].attr & SEG_ATTR_P))
		regs->s.seg[SEG_SS].attr = (u16)(r->cpl << SEG_ATTR_DPL_SHIFT);
	settle_lma(&regs->s);
	set_cr2(v, r->cr2);
	vmx_of(v)->live_cr3 = r->cr3;
	vmx_of(v)->live_cr4 = r->cr4;
}

/* What the CPU walks is the hypervisor's under shadow tables: nothing to write then. Under nested
 * ones a guest whose CR3 is watched writes it often. */
static void set_cr3(struct vcpu *v, u64 value)
{
	struct vmx_vcpu *s = vmx_of(v);

	if (!(s->stale & STALE_REGS) && (vmx_shadow(s) || is_current(v))) {
		if (!vmx_shadow(s))
			vmwrite(VMCS_GUEST_CR3, value);
		s->regs.s.cr3 = s->guest_cr3 = s->live_cr3 = value;
		return;
	}
	vmx_regs_to_change(v)->s.cr3 = s->live_cr3 = value;
}

/* A change of mode drops the guest's own cached translations as the architecture has it; of shadow
 * tables those who made them know. */
static void drop_own(struct vmx_vcpu *s)
{
	if (!vmx_shadow(s))
		vmx_owe_flush(s, BIT(VCPU_TAG_NESTED));
}

void vmx_set_cr(struct vcpu *v, unsigned cr, u64 value)
{
	struct vmx_vcpu *s = vmx_of(v);

	if (cr == 2) {
		set_cr2(v, value);
		return;
	}
	switch (cr) {
	case 0:
		vmx_regs_to_change(v)->s.cr0 = value;
		settle_lma(&s->regs.s);
		break;
	case 3:
		set_cr3(v, value);
		break;
	case 4:
		vmx_regs_to_change(v)->s.cr4 = s->live_cr4 = value;
		break;
	}
	drop_own(s);
}

void vmx_set_efer(struct vcpu *v, u64 value)
{
	struct vmx_regs *r = vmx_regs_to_change(v);

	r->s.efer = value;
	settle_lma(&r->s);
	drop_own(vmx_of(v));
}

/* --- MSRs ------------------------------------------------------------------------------------- */

void vmx_load_live(const struct vmx_live *l)
{
	wrmsr(MSR_STAR, l->star);
	wrmsr(MSR_LSTAR, l->lstar);
	wrmsr(MSR_CSTAR, l->cstar);
	wrmsr(MSR_SFMASK, l->sfmask);
	wrmsr(MSR_KERNEL_GS_BASE, l->kernel_gs);
	write_dr6(l->dr6);
	write_cr2(l->cr2);
}

void vmx_save_live(struct vmx_live *l)
{
	l->star = rdmsr(MSR_STAR);
	l->lstar = rdmsr(MSR_LSTAR);
	l->cstar = rdmsr(MSR_CSTAR);
	l->sfmask = rdmsr(MSR_SFMASK);
	l->kernel_gs = rdmsr(MSR_KERNEL_GS_BASE);
	l->dr6 = read_dr6();
	l->cr2 = read_cr2();
}

static u64 *live_slot(struct vmx_vcpu *s, u32 msr)
{
	switch (msr) {
	case MSR_STAR:
		return &s->live.star;
	case MSR_LSTAR:
		return &s->live.lstar;
	case MSR_CSTAR:
		return &s->live.cstar;
	case MSR_SFMASK:
		return &s->live.sfmask;
	case MSR_KERNEL_GS_BASE:
		return &s->live.kernel_gs;
	default:
		return NULL;
	}
}

static u64 *regs_slot(struct vmx_regs *r, u32 msr)
{
	switch (msr) {
	case MSR_FS_BASE:
		return &r->s.seg[SEG_FS].base;
	case MSR_GS_BASE:
		return &r->s.seg[SEG_GS].base;
	case MSR_SYSENTER_CS:
		return &r->sysenter_cs;
	case MSR_SYSENTER_ESP:
		return &r->sysenter_esp;
	case MSR_SYSENTER_EIP:
		return &r->sysenter_eip;
	case MSR_PAT:
		return &r->pat;
	case MSR_EFER:
		return &r->s.efer;
	default:
		return NULL;
	}
}

int vmx_get_msr(const struct vcpu *v, u32 msr, u64 *value)
{
	const u64 *slot = live_slot(vmx_of(v), msr);

	if (slot) {
		*value = is_current(v) ? rdmsr(msr) : *slot;
		return 0;
	}
	slot = regs_slot(&vmx_of(v)->regs, msr);
	if (!slot)
		return -ENOENT;
	regs_of(v);
	*value = *slot;
	return 0;
}

int vmx_set_msr(struct vcpu *v, u32 msr, u64 value)
{
	u64 *slot = live_slot(vmx_of(v), msr);

	if (slot) {
		*slot = value;
		return is_current(v) ? wrmsr_safe(msr, value) : 0;
	}
	if (msr == MSR_EFER) {
		vmx_set_efer(v, value);
		return 0;
	}
	slot = regs_slot(&vmx_of(v)->regs, msr);
	if (!slot)
		return -ENOENT;
	vmx_regs_to_change(v);
	*slot = value;
	return 0;
}

/* SDM vol. 3 table 10-1: processor state after RESET. */
void vmx_vcpu_reset(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_of(v);
	struct vcpu_sregs r;

	if (s->insn_error || s->failed_reason)
		vmx_discard(v);
	for (u32 msr = MSR_STAR; msr <= MSR_SFMASK; msr++)
		vmx_set_msr(v, msr, 0);
	vmx_set_msr(v, MSR_KERNEL_GS_BASE, 0);
	s->regs = (struct vmx_regs){.pat = PAT_RESET};
	s->regs_valid = true;
	vcpu_sregs_reset(&r);
	vmx_set_sregs(v, &r);
	s->live.dr6 = r.dr6;
	s->controls = VMX_CONTROLS_STALE;
	vcpu_regs_reset(v);
	vmx_owe_flush(s, BIT(VCPU_TAG_NESTED));
}
