/* VM-entry checks: guest state. SDM vol. 3 §27.3.1.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/vmx/vmx_check_int.h"

#define DEBUGCTL_BTF	    BIT(1)
#define DEBUGCTL_RESERVED   (~0xffffull | 0x38ull)
#define BNDCFGS_RESERVED    0xffcull
#define RFLAGS_RESERVED	    (~0x3fffffull | BIT(15) | BIT(5) | BIT(3))
#define PENDING_RESERVED    (~0x1ffffull | BIT(15) | BIT(13) | 0x7f0ull)
#define PDPTE_RESERVED	    0x1e6ull
#define PDPTES		    4
#define SEL_RPL		    3u
#define SEL_TI		    4u
#define V86_RIGHTS	    0xf3u
#define TYPE_DATA_RW	    3u /* accessed; a stack, or CS as unrestricted guests may have it */
#define TYPE_DATA_RW_DOWN   7u
#define TYPE_CODE	    9u /* accessed, not conforming */
#define TYPE_CODE_R	    11u
#define TYPE_CODE_CONFORM   13u
#define TYPE_CODE_CONFORM_R 15u
#define TYPE_LDT	    2u
#define TYPE_TSS16_BUSY	    3u
#define TYPE_TSS_BUSY	    11u
#define HIGH_HALF	    0xffffffff00000000ull

/* The four fields of a segment stand two apart in the order of enum emul_seg. */
enum {
	SEL = VMCS_GUEST_ES_SEL,
	LIMIT = VMCS_GUEST_ES_LIMIT,
	RIGHTS = VMCS_GUEST_ES_RIGHTS,
	BASE = VMCS_GUEST_ES_BASE
};

static u64 seg(const struct vmx_walk *w, u32 kind, unsigned n)
{
	return vmx_field(w, kind + 2 * n);
}

static u32 type_of(u64 rights)
{
	return rights & AR_TYPE;
}

static u32 dpl_of(u64 rights)
{
	return rights >> AR_DPL_SHIFT & AR_DPL_MASK;
}

static bool usable(const struct vmx_walk *w, unsigned n)
{
	return !(seg(w, RIGHTS, n) & AR_UNUSABLE);
}

static bool is_v86(const struct vmx_walk *w)
{
	return vmx_field(w, VMCS_GUEST_RFLAGS) & RFLAGS_VM;
}

/* --- §27.3.1.1 -------------------------------------------------------------------------------- */

static bool bad_cr(struct vmx_walk *w)
{
	const struct vmx_caps *c = w->caps;
	u64 free = CR0_NW | CR0_CD | (w->unrestricted ? CR0_PE | CR0_PG : 0);
	bool pg = w->cr0 & CR0_PG;

	return vmx_fails(w, w->cr0 & ~c->cr0_may & ~free, VMCS_GUEST_CR0,
			 "has a bit that VMX operation does not allow") ||
	       vmx_fails(w, c->cr0_must & ~w->cr0 & ~free, VMCS_GUEST_CR0,
			 "lacks a bit that VMX operation demands (NE; PE and PG unless "
			 "unrestricted)") ||
	       vmx_fails(w, pg && !(w->cr0 & CR0_PE), VMCS_GUEST_CR0, "PG needs PE") ||
	       vmx_fails(w, w->cr4 & ~c->cr4_may, VMCS_GUEST_CR4,
			 "has a bit that VMX operation does not allow on this CPU") ||
	       vmx_fails(w, c->cr4_must & ~w->cr4, VMCS_GUEST_CR4,
			 "lacks a bit that VMX operation demands (VMXE)") ||
	       vmx_fails(w, w->ia32e && !pg, VMCS_GUEST_CR0, "an IA-32e-mode guest needs PG") ||
	       vmx_fails(w, w->ia32e && !(w->cr4 & CR4_PAE), VMCS_GUEST_CR4,
			 "an IA-32e-mode guest needs PAE") ||
	       vmx_fails(w, !w->ia32e && (w->cr4 & CR4_PCIDE), VMCS_GUEST_CR4,
			 "PCIDE needs an IA-32e-mode guest") ||
	       vmx_fails(w, vmx_field(w, VMCS_GUEST_CR3) & vmx_no_address(w, 1), VMCS_GUEST_CR3,
			 "is wider than physical addresses");
}

static bool bad_debug(struct vmx_walk *w)
{
	if (!(w->entry & ENTRY_CTL_LOAD_DEBUG))
		return false;
	return vmx_fails(w, vmx_field(w, VMCS_GUEST_DEBUGCTL) & DEBUGCTL_RESERVED,
			 VMCS_GUEST_DEBUGCTL, "has reserved bits set") ||
	       vmx_fails(w, vmx_field(w, VMCS_GUEST_DR7) >> 32, VMCS_GUEST_DR7,
			 "bits 63:32 must be 0");
}

static bool bad_efer(struct vmx_walk *w)
{
	u64 efer = vmx_field(w, VMCS_GUEST_EFER);
	bool lma = efer & EFER_LMA, lme = efer & EFER_LME;

	if (!(w->entry & ENTRY_CTL_LOAD_EFER))
		return false;
	return vmx_fails(w, efer & ~EFER_DEFINED, VMCS_GUEST_EFER, "has reserved bits set") ||
	       vmx_fails(w, lma != w->ia32e, VMCS_GUEST_EFER,
			 "LMA must be the IA-32e-mode-guest control") ||
	       vmx_fails(w, (w->cr0 & CR0_PG) && lma != lme, VMCS_GUEST_EFER,
			 "LMA and LME must be equal while paging is on");
}

static bool bad_msrs(struct vmx_walk *w)
{
	u64 bounds = vmx_field(w, VMCS_GUEST_BNDCFGS);

	if (vmx_fails(w, !vmx_canonical(w, vmx_field(w, VMCS_GUEST_SYSENTER_ESP)),
		      VMCS_GUEST_SYSENTER_ESP, "must be canonical") ||
	    vmx_fails(w, !vmx_canonical(w, vmx_field(w, VMCS_GUEST_SYSENTER_EIP)),
		      VMCS_GUEST_SYSENTER_EIP, "must be canonical"))
		return true;
	if ((w->entry & ENTRY_CTL_LOAD_PAT) &&
	    vmx_fails(w, !vmx_pat_ok(vmx_field(w, VMCS_GUEST_PAT)), VMCS_GUEST_PAT,
		      "every byte must be a memory type (0, 1, 4 to 7)"))
		return true;
	return bad_efer(w) || ((w->entry & ENTRY_CTL_LOAD_BNDCFGS) &&
			       vmx_fails(w,
					 (bounds & BNDCFGS_RESERVED) ||
						 !vmx_canonical(w, bounds & ~(PAGE_SIZE - 1)),
					 VMCS_GUEST_BNDCFGS,
					 "has reserved bits set or a base that is not canonical"));
}

/* --- §27.3.1.2 -------------------------------------------------------------------------------- */

static bool bad_selectors(struct vmx_walk *w)
{
	u64 ss = seg(w, SEL, SEG_SS), cs = seg(w, SEL, SEG_CS);

	return vmx_fails(w, seg(w, SEL, SEG_TR) & SEL_TI, VMCS_GUEST_TR_SEL,
			 "must point into the GDT") ||
	       vmx_fails(w, usable(w, SEG_LDTR) && (seg(w, SEL, SEG_LDTR) & SEL_TI),
			 VMCS_GUEST_LDTR_SEL, "must point into the GDT") ||
	       vmx_fails(w, !is_v86(w) && !w->unrestricted && ((ss ^ cs) & SEL_RPL),
			 VMCS_GUEST_SS_SEL, "must have the RPL of CS");
}

/* CS, SS, DS, ES, FS and GS of a virtual-8086 guest are what real mode makes them. */
static bool bad_v86_segment(struct vmx_walk *w, unsigned n)
{
	return vmx_fails(w, seg(w, BASE, n) != seg(w, SEL, n) << 4, BASE + 2 * n,
			 "must be 16 times the selector in virtual-8086 mode") ||
	       vmx_fails(w, seg(w, LIMIT, n) != 0xffff, LIMIT + 2 * n,
			 "must be FFFFh in virtual-8086 mode") ||
	       vmx_fails(w, seg(w, RIGHTS, n) != V86_RIGHTS, RIGHTS + 2 * n,
			 "must be F3h in virtual-8086 mode");
}

static bool bad_base(struct vmx_walk *w, unsigned n)
{
	u64 base = seg(w, BASE, n);
	u32 field = BASE + 2 * n;

	switch (n) {
	case SEG_TR:
	case SEG_FS:
	case SEG_GS:
		return vmx_fails(w, !vmx_canonical(w, base), field, "must be canonical");
	case SEG_LDTR:
		return vmx_fails(w, usable(w, n) && !vmx_canonical(w, base), field,
				 "must be canonical");
	case SEG_CS:
		return vmx_fails(w, base & HIGH_HALF, field, "bits 63:32 must be 0");
	default:
		return vmx_fails(w, usable(w, n) && (base & HIGH_HALF), field,
				 "bits 63:32 must be 0");
	}
}

static bool bad_cs_type(struct vmx_walk *w)
{
	u64 cs = seg(w, RIGHTS, SEG_CS), ss = seg(w, RIGHTS, SEG_SS);
	u32 type = type_of(cs), dpl = dpl_of(cs);
	bool data = type == TYPE_DATA_RW;
	bool code = type == TYPE_CODE || type == TYPE_CODE_R;
	bool conforming = type == TYPE_CODE_CONFORM || type == TYPE_CODE_CONFORM_R;

	return vmx_fails(w, !code && !conforming && !(data && w->unrestricted),
			 VMCS_GUEST_CS_RIGHTS,
			 "must be an accessed code segment (data only for an unrestricted "
			 "guest)") ||
	       vmx_fails(w, data && dpl, VMCS_GUEST_CS_RIGHTS, "a data segment as CS has DPL 0") ||
	       vmx_fails(w, code && dpl != dpl_of(ss), VMCS_GUEST_CS_RIGHTS,
			 "the DPL must be that of SS") ||
	       vmx_fails(w, conforming && dpl > dpl_of(ss), VMCS_GUEST_CS_RIGHTS,
			 "a conforming segment's DPL must not be above that of SS");
}

static bool bad_ss_type(struct vmx_walk *w)
{
	u64 ss = seg(w, RIGHTS, SEG_SS);
	u32 type = type_of(ss);
	bool data_cs = type_of(seg(w, RIGHTS, SEG_CS)) == TYPE_DATA_RW;

	return vmx_fails(w, usable(w, SEG_SS) && type != TYPE_DATA_RW && type != TYPE_DATA_RW_DOWN,
			 VMCS_GUEST_SS_RIGHTS, "must be an accessed, writable data segment") ||
	       vmx_fails(w, !w->unrestricted && dpl_of(ss) != (seg(w, SEL, SEG_SS) & SEL_RPL),
			 VMCS_GUEST_SS_RIGHTS, "the DPL must be the selector's RPL") ||
	       vmx_fails(w, dpl_of(ss) && (data_cs || !(w->cr0 & CR0_PE)), VMCS_GUEST_SS_RIGHTS,
			 "the DPL must be 0 in real mode and with a data segment as CS");
}

static bool bad_data_type(struct vmx_walk *w, unsigned n)
{
	u64 rights = seg(w, RIGHTS, n);
	u32 field = RIGHTS + 2 * n, type = type_of(rights);

	if (!usable(w, n))
		return false;
	return vmx_fails(w, !(type & AR_ACCESSED), field, "the accessed bit must be set") ||
	       vmx_fails(w, (type & AR_CODE) && !(type & AR_WRITABLE), field,
			 "a code segment must be readable here") ||
	       vmx_fails(w,
			 !w->unrestricted && type <= TYPE_CODE_R &&
				 dpl_of(rights) < (seg(w, SEL, n) & SEL_RPL),
			 field, "the DPL must not be below the selector's RPL");
}

/* What every segment that counts has in common; @system: an LDT or a TSS. */
static bool bad_common_rights(struct vmx_walk *w, unsigned n, bool system)
{
	u64 rights = seg(w, RIGHTS, n), limit = seg(w, LIMIT, n);
	u32 field = RIGHTS + 2 * n;

	return vmx_fails(w, !(rights & AR_S) != system, field,
			 system ? "bit S must be 0" : "bit S must be 1") ||
	       vmx_fails(w, !(rights & AR_P), field, "the present bit must be set") ||
	       vmx_fails(w, rights & AR_RESERVED, field, "bits 11:8 and 31:17 must be 0") ||
	       vmx_fails(w, (rights & AR_G) && (limit & 0xfff) != 0xfff, field,
			 "G must be 0, the limit's bits 11:0 are not all 1") ||
	       vmx_fails(w, !(rights & AR_G) && limit >> 20, field,
			 "G must be 1, the limit's bits 31:20 are not all 0");
}

static bool bad_code_and_data(struct vmx_walk *w)
{
	u64 cs = seg(w, RIGHTS, SEG_CS);

	if (bad_cs_type(w) || bad_ss_type(w))
		return true;
	for (unsigned n = SEG_ES; n <= SEG_GS; n++) {
		if (n != SEG_CS && n != SEG_SS && bad_data_type(w, n))
			return true;
		if ((n == SEG_CS || usable(w, n)) && bad_common_rights(w, n, false))
			return true;
	}
	return vmx_fails(w, w->ia32e && (cs & AR_L) && (cs & AR_DB), VMCS_GUEST_CS_RIGHTS,
			 "L and D/B exclude each other");
}

static bool bad_system(struct vmx_walk *w)
{
	u32 tr = type_of(seg(w, RIGHTS, SEG_TR));

	if (vmx_fails(w, !usable(w, SEG_TR), VMCS_GUEST_TR_RIGHTS, "must be usable") ||
	    vmx_fails(w, tr != TYPE_TSS_BUSY && (w->ia32e || tr != TYPE_TSS16_BUSY),
		      VMCS_GUEST_TR_RIGHTS,
		      "must be a busy TSS (32 or 64-bit; 16-bit outside IA-32e mode)") ||
	    bad_common_rights(w, SEG_TR, true))
		return true;
	if (!usable(w, SEG_LDTR))
		return false;
	return vmx_fails(w, type_of(seg(w, RIGHTS, SEG_LDTR)) != TYPE_LDT, VMCS_GUEST_LDTR_RIGHTS,
			 "must be of type LDT") ||
	       bad_common_rights(w, SEG_LDTR, true);
}

static bool bad_segments(struct vmx_walk *w)
{
	bool v86 = is_v86(w);

	w->section = "27.3.1.2";
	if (bad_selectors(w))
		return true;
	for (unsigned n = 0; v86 && n <= SEG_GS; n++)
		if (bad_v86_segment(w, n))
			return true;
	for (unsigned n = 0; n < SEG_COUNT; n++)
		if (bad_base(w, n))
			return true;
	return (!v86 && bad_code_and_data(w)) || bad_system(w);
}

/* --- §27.3.1.3, §27.3.1.4 --------------------------------------------------------------------- */

static bool bad_tables(struct vmx_walk *w)
{
	static const u32 base[] = {VMCS_GUEST_GDTR_BASE, VMCS_GUEST_IDTR_BASE};
	static const u32 limit[] = {VMCS_GUEST_GDTR_LIMIT, VMCS_GUEST_IDTR_LIMIT};

	w->section = "27.3.1.3";
	for (unsigned i = 0; i < 2; i++)
		if (vmx_fails(w, !vmx_canonical(w, vmx_field(w, base[i])), base[i],
			      "must be canonical") ||
		    vmx_fails(w, vmx_field(w, limit[i]) >> 16, limit[i], "bits 31:16 must be 0"))
			return true;
	return false;
}

static bool bad_flow(struct vmx_walk *w)
{
	u64 rip = vmx_field(w, VMCS_GUEST_RIP), flags = vmx_field(w, VMCS_GUEST_RFLAGS);
	bool code64 = w->ia32e && (seg(w, RIGHTS, SEG_CS) & AR_L);
	u64 high = w->caps->linear_bits < 64 ? UINT64_MAX << w->caps->linear_bits : 0;
	bool extint = w->event && vmx_event_type(w) == INTR_EXTERNAL;

	w->section = "27.3.1.4";
	return vmx_fails(w, !code64 && (rip & HIGH_HALF), VMCS_GUEST_RIP,
			 "bits 63:32 must be 0 outside 64-bit code") ||
	       vmx_fails(w, code64 && (rip & high) && (rip & high) != high, VMCS_GUEST_RIP,
			 "bits above the linear-address width must be equal") ||
	       vmx_fails(w, flags & RFLAGS_RESERVED, VMCS_GUEST_RFLAGS, "has reserved bits set") ||
	       vmx_fails(w, !(flags & RFLAGS_FIXED), VMCS_GUEST_RFLAGS, "bit 1 must be 1") ||
	       vmx_fails(w, (flags & RFLAGS_VM) && (w->ia32e || !(w->cr0 & CR0_PE)),
			 VMCS_GUEST_RFLAGS, "VM must be 0 in IA-32e mode and in real mode") ||
	       vmx_fails(w, extint && !(flags & RFLAGS_IF), VMCS_GUEST_RFLAGS,
			 "IF must be 1 to inject an external interrupt");
}

/* --- §27.3.1.5 -------------------------------------------------------------------------------- */

/* Events that wake a guest that is not active; nothing else may be injected into it. */
static bool wakes(const struct vmx_walk *w, u64 activity)
{
	u32 type = vmx_event_type(w), vector = w->event & INTR_VECTOR;
	bool exception = type == INTR_EXCEPTION;

	switch (activity) {
	case ACTIVITY_HLT:
		return type == INTR_EXTERNAL || type == INTR_NMI ||
		       (exception && (vector == VEC_DB || vector == VEC_MC)) || type == INTR_OTHER;
	case ACTIVITY_SHUTDOWN:
		return type == INTR_NMI || (exception && vector == VEC_MC);
	default:
		return activity == ACTIVITY_ACTIVE;
	}
}

static bool bad_activity(struct vmx_walk *w)
{
	u64 activity = vmx_field(w, VMCS_GUEST_ACTIVITY);
	u64 shadow = vmx_field(w, VMCS_GUEST_BLOCKING) & (BLOCKED_STI | BLOCKED_MOV_SS);

	return vmx_fails(w, activity > ACTIVITY_SIPI || !(w->caps->activities & BIT(activity & 7)),
			 VMCS_GUEST_ACTIVITY, "is a state that this CPU does not know") ||
	       vmx_fails(w, activity == ACTIVITY_HLT && dpl_of(seg(w, RIGHTS, SEG_SS)),
			 VMCS_GUEST_ACTIVITY, "only CPL 0 (the DPL of SS) halts") ||
	       vmx_fails(w, activity != ACTIVITY_ACTIVE && shadow, VMCS_GUEST_ACTIVITY,
			 "must be active while STI or MOV SS blocks") ||
	       vmx_fails(w, w->event && !wakes(w, activity), VMCS_GUEST_ACTIVITY,
			 "the injected event cannot reach a guest in this state");
}

static bool bad_blocking(struct vmx_walk *w)
{
	u64 blocking = vmx_field(w, VMCS_GUEST_BLOCKING);
	bool sti = blocking & BLOCKED_STI, mov_ss = blocking & BLOCKED_MOV_SS;
	bool extint = w->event && vmx_event_type(w) == INTR_EXTERNAL;
	bool nmi = w->event && vmx_event_type(w) == INTR_NMI;
	u32 field = VMCS_GUEST_BLOCKING;

	return vmx_fails(w, blocking >> 5, field, "bits 31:5 must be 0") ||
	       vmx_fails(w, sti && mov_ss, field, "STI and MOV SS do not block at once") ||
	       vmx_fails(w, sti && !(vmx_field(w, VMCS_GUEST_RFLAGS) & RFLAGS_IF), field,
			 "STI blocks only with RFLAGS.IF 1") ||
	       vmx_fails(w, extint && (sti || mov_ss), field,
			 "an external interrupt is injected: STI and MOV SS must not block") ||
	       vmx_fails(w, nmi && mov_ss, field, "an NMI is injected: MOV SS must not block") ||
	       vmx_fails(w, blocking & BLOCKED_SMI, field, "SMIs are blocked in SMM only") ||
	       vmx_fails(w, nmi && (w->pin & PIN_CTL_VNMI) && (blocking & BLOCKED_NMI), field,
			 "a virtual NMI is injected: NMIs must not be blocked") ||
	       vmx_fails(w, mov_ss && (blocking & BLOCKED_ENCLAVE), field,
			 "MOV SS does not block in an enclave");
}

static bool bad_pending_debug(struct vmx_walk *w)
{
	u64 pending = vmx_field(w, VMCS_GUEST_PENDING_DEBUG);
	u64 shadow = vmx_field(w, VMCS_GUEST_BLOCKING) & (BLOCKED_STI | BLOCKED_MOV_SS);
	bool waits = shadow || vmx_field(w, VMCS_GUEST_ACTIVITY) == ACTIVITY_HLT;
	bool steps = (vmx_field(w, VMCS_GUEST_RFLAGS) & RFLAGS_TF) &&
		     !(vmx_field(w, VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF);

	return vmx_fails(w, pending & PENDING_RESERVED, VMCS_GUEST_PENDING_DEBUG,
			 "has reserved bits set") ||
	       vmx_fails(w, waits && steps && !(pending & PENDING_DEBUG_BS),
			 VMCS_GUEST_PENDING_DEBUG,
			 "BS must be 1: a single-step trap waits behind STI, MOV SS or HLT") ||
	       vmx_fails(w, waits && !steps && (pending & PENDING_DEBUG_BS),
			 VMCS_GUEST_PENDING_DEBUG,
			 "BS must be 0: STI, MOV SS or HLT without single-stepping");
}

static bool bad_state(struct vmx_walk *w)
{
	u64 link = vmx_field(w, VMCS_LINK_POINTER);

	w->section = "27.3.1.5";
	return bad_activity(w) || bad_blocking(w) || bad_pending_debug(w) ||
	       vmx_fails(w, link != UINT64_MAX && (link & vmx_no_address(w, PAGE_SIZE)),
			 VMCS_LINK_POINTER, "must be all ones or the address of a VMCS");
}

/* --- §27.3.1.6 -------------------------------------------------------------------------------- */

static bool bad_pdptes(struct vmx_walk *w)
{
	bool pae = (w->cr0 & CR0_PG) && (w->cr4 & CR4_PAE) && !w->ia32e;

	w->section = "27.3.1.6";
	for (u32 i = 0; pae && (w->secondary & SEC_CTL_EPT) && i < PDPTES; i++) {
		u32 field = VMCS_GUEST_PDPTE0 + 2 * i;
		u64 entry = vmx_field(w, field);

		if (vmx_fails(w, (entry & 1) && (entry & (PDPTE_RESERVED | vmx_no_address(w, 1))),
			      field, "is present with reserved bits set"))
			return true;
	}
	return false;
}

bool vmx_check_guest(struct vmx_walk *w)
{
	w->section = "27.3.1.1";
	return bad_cr(w) || bad_debug(w) || bad_msrs(w) || bad_segments(w) || bad_tables(w) ||
	       bad_flow(w) || bad_state(w) || bad_pdptes(w);
}
