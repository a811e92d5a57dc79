/* VM-entry checks: controls and host state. SDM vol. 3 §27.2. The order is the manual's; a CPU may
 * have another, so of several broken checks it may have met a later one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/vmx/vmx_check_int.h"
#include "lib/str.h"

#define MSR_ENTRY_SIZE	   16
#define POSTED_DESC_ALIGN  64
#define EPTP_RESERVED	   0xf80ull /* bit 7, shadow stacks, is not used here */
#define TPR_THRESHOLD_MASK 0xfull

u64 vmx_field(const struct vmx_walk *w, u32 field)
{
	u64 value = w->vmcs->read(w->vmcs->ctx, field);

	switch (vmcs_field_width(field)) {
	case VMCS_16:
		return (u16)value;
	case VMCS_32:
		return (u32)value;
	default:
		return value;
	}
}

bool vmx_fails(struct vmx_walk *w, bool bad, u32 field, const char *rule)
{
	if (bad)
		*w->v = (struct vmx_verdict){.area = w->area,
					     .field = field,
					     .value = vmx_field(w, field),
					     .section = w->section,
					     .rule = rule};
	return bad;
}

static u64 above(unsigned bits)
{
	return bits < 64 ? UINT64_MAX << bits : 0;
}

bool vmx_canonical(const struct vmx_walk *w, u64 address)
{
	u64 high = w->caps->linear_bits ? above(w->caps->linear_bits - 1u) : 0;

	return !(address & high) || (address & high) == high;
}

u64 vmx_no_address(const struct vmx_walk *w, u64 align)
{
	return above(w->caps->phys_bits) | (align - 1);
}

bool vmx_pat_ok(u64 pat)
{
	for (unsigned i = 0; i < 64; i += 8) {
		u8 type = (u8)(pat >> i);

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

u32 vmx_event_type(const struct vmx_walk *w)
{
	return w->event >> INTR_TYPE_SHIFT & INTR_TYPE_MASK;
}

static bool bad_address(struct vmx_walk *w, u32 field, u64 align)
{
	return vmx_fails(w, vmx_field(w, field) & vmx_no_address(w, align), field,
			 align == PAGE_SIZE ? "must be a physical address of a 4-KByte page"
					    : "must be an aligned physical address");
}

static bool bad_word(struct vmx_walk *w, u32 field, enum vmx_word word, u32 value)
{
	const struct vmx_allowed *a = &w->caps->allowed[word];

	return vmx_fails(w, value & ~a->may, field, "has a bit that this CPU requires to be 0") ||
	       vmx_fails(w, a->must & ~value, field, "lacks a bit that this CPU requires to be 1");
}

/* A list of MSRs: the address counts only where the list has entries. */
static bool bad_list(struct vmx_walk *w, u32 count_field, u32 address_field)
{
	u64 count = vmx_field(w, count_field), address = vmx_field(w, address_field);

	if (!count)
		return false;
	return bad_address(w, address_field, MSR_ENTRY_SIZE) ||
	       vmx_fails(w, (address + count * MSR_ENTRY_SIZE - 1) & above(w->caps->phys_bits),
			 count_field, "must not take the list beyond physical addresses");
}

/* --- §27.2.1.1 -------------------------------------------------------------------------------- */

static bool bad_maps(struct vmx_walk *w)
{
	if ((w->primary & PRI_CTL_IO_BITMAPS) && (bad_address(w, VMCS_IO_BITMAP_A, PAGE_SIZE) ||
						  bad_address(w, VMCS_IO_BITMAP_B, PAGE_SIZE)))
		return true;
	return (w->primary & PRI_CTL_MSR_BITMAPS) && bad_address(w, VMCS_MSR_BITMAP, PAGE_SIZE);
}

static bool bad_nmi(struct vmx_walk *w)
{
	return vmx_fails(w, !(w->pin & PIN_CTL_NMI) && (w->pin & PIN_CTL_VNMI), VMCS_PIN_CONTROLS,
			 "virtual NMIs need NMI exiting") ||
	       vmx_fails(w, !(w->pin & PIN_CTL_VNMI) && (w->primary & PRI_CTL_NMI_WINDOW),
			 VMCS_PRIMARY_CONTROLS, "NMI-window exiting needs virtual NMIs");
}

static bool bad_apic(struct vmx_walk *w)
{
	u32 need_shadow = SEC_CTL_X2APIC | SEC_CTL_APIC_REGISTERS | SEC_CTL_INTR_DELIVERY;
	bool delivery = w->secondary & SEC_CTL_INTR_DELIVERY;

	if (w->primary & PRI_CTL_TPR_SHADOW) {
		if (bad_address(w, VMCS_VAPIC_PAGE, PAGE_SIZE) ||
		    vmx_fails(w,
			      !delivery && (vmx_field(w, VMCS_TPR_THRESHOLD) & ~TPR_THRESHOLD_MASK),
			      VMCS_TPR_THRESHOLD,
			      "must be below 16 without virtual-interrupt delivery"))
			return true;
	} else if (vmx_fails(w, w->secondary & need_shadow, VMCS_SECONDARY_CONTROLS,
			     "x2APIC mode, APIC registers and interrupt delivery need the TPR "
			     "shadow")) {
		return true;
	}
	if ((w->secondary & SEC_CTL_APIC_ACCESS) &&
	    bad_address(w, VMCS_APIC_ACCESS_PAGE, PAGE_SIZE))
		return true;
	return vmx_fails(w, (w->secondary & SEC_CTL_X2APIC) && (w->secondary & SEC_CTL_APIC_ACCESS),
			 VMCS_SECONDARY_CONTROLS,
			 "virtualised x2APIC mode excludes virtualised APIC accesses") ||
	       vmx_fails(w, delivery && !(w->pin & PIN_CTL_EXTINT), VMCS_PIN_CONTROLS,
			 "virtual-interrupt delivery needs external-interrupt exiting");
}

static bool bad_posted(struct vmx_walk *w)
{
	if (!(w->pin & PIN_CTL_POSTED))
		return false;
	return vmx_fails(w, !(w->secondary & SEC_CTL_INTR_DELIVERY), VMCS_SECONDARY_CONTROLS,
			 "posted interrupts need virtual-interrupt delivery") ||
	       vmx_fails(w, !(w->exit & EXIT_CTL_ACK_INTR), VMCS_EXIT_CONTROLS,
			 "posted interrupts need interrupts acknowledged on exit") ||
	       vmx_fails(w, vmx_field(w, VMCS_POSTED_VECTOR) > 255, VMCS_POSTED_VECTOR,
			 "must be a vector, 0 to 255") ||
	       bad_address(w, VMCS_POSTED_DESC, POSTED_DESC_ALIGN);
}

static bool bad_eptp(struct vmx_walk *w)
{
	u64 eptp = vmx_field(w, VMCS_EPTP), has = w->caps->ept_vpid;
	u64 type = eptp & EPTP_TYPE, walk = eptp & EPTP_WALK_MASK;
	bool type_ok =
		(type == EPTP_TYPE_WB && (has & EPT_CAP_WB)) || (!type && (has & EPT_CAP_UC));
	bool walk_ok = (walk == EPTP_WALK_4 && (has & EPT_CAP_WALK_4)) ||
		       (walk == EPTP_WALK_5 && (has & EPT_CAP_WALK_5));

	return vmx_fails(w, !type_ok, VMCS_EPTP, "has a memory type that this CPU does not take") ||
	       vmx_fails(w, !walk_ok, VMCS_EPTP, "has a page-walk length that this CPU lacks") ||
	       vmx_fails(w, (eptp & EPTP_AD) && !(has & EPT_CAP_AD), VMCS_EPTP,
			 "asks for accessed and dirty flags, which this CPU lacks") ||
	       vmx_fails(w, eptp & (EPTP_RESERVED | above(w->caps->phys_bits)), VMCS_EPTP,
			 "has reserved bits set");
}

static bool bad_paging(struct vmx_walk *w)
{
	bool ept = w->secondary & SEC_CTL_EPT;

	if ((w->secondary & SEC_CTL_VPID) &&
	    vmx_fails(w, !vmx_field(w, VMCS_VPID), VMCS_VPID, "must not be 0, the host's"))
		return true;
	if (ept && bad_eptp(w))
		return true;
	if (vmx_fails(w, !ept && (w->secondary & SEC_CTL_PML), VMCS_SECONDARY_CONTROLS,
		      "the page-modification log needs EPT") ||
	    vmx_fails(w, !ept && w->unrestricted, VMCS_SECONDARY_CONTROLS,
		      "unrestricted guest needs EPT") ||
	    vmx_fails(w, !ept && (w->secondary & (SEC_CTL_MBE | SEC_CTL_SPP | SEC_CTL_PT_GPA)),
		      VMCS_SECONDARY_CONTROLS, "a control that refines EPT needs EPT"))
		return true;
	return (w->secondary & SEC_CTL_PML) && bad_address(w, VMCS_PML_ADDRESS, PAGE_SIZE);
}

static bool bad_extras(struct vmx_walk *w)
{
	if ((w->secondary & SEC_CTL_VMCS_SHADOWING) &&
	    (bad_address(w, VMCS_VMREAD_BITMAP, PAGE_SIZE) ||
	     bad_address(w, VMCS_VMWRITE_BITMAP, PAGE_SIZE)))
		return true;
	return (w->secondary & SEC_CTL_EPT_VE) && bad_address(w, VMCS_VE_AREA, PAGE_SIZE);
}

static bool bad_execution(struct vmx_walk *w)
{
	w->section = "27.2.1.1";
	return bad_word(w, VMCS_PIN_CONTROLS, VMX_PIN, w->pin) ||
	       bad_word(w, VMCS_PRIMARY_CONTROLS, VMX_PRIMARY, w->primary) ||
	       ((w->primary & PRI_CTL_SECONDARY) &&
		bad_word(w, VMCS_SECONDARY_CONTROLS, VMX_SECONDARY, w->secondary)) ||
	       vmx_fails(w, vmx_field(w, VMCS_CR3_TARGET_COUNT) > w->caps->cr3_targets,
			 VMCS_CR3_TARGET_COUNT, "is more than this CPU's list holds") ||
	       bad_maps(w) || bad_apic(w) || bad_nmi(w) || bad_posted(w) || bad_paging(w) ||
	       bad_extras(w);
}

/* --- §27.2.1.2, §27.2.1.3 --------------------------------------------------------------------- */

static bool bad_exit_controls(struct vmx_walk *w)
{
	w->section = "27.2.1.2";
	return bad_word(w, VMCS_EXIT_CONTROLS, VMX_EXIT, w->exit) ||
	       vmx_fails(w, !(w->pin & PIN_CTL_TIMER) && (w->exit & EXIT_CTL_SAVE_TIMER),
			 VMCS_EXIT_CONTROLS, "saving the preemption timer needs the timer") ||
	       bad_list(w, VMCS_EXIT_MSR_STORE_COUNT, VMCS_EXIT_MSR_STORE) ||
	       bad_list(w, VMCS_EXIT_MSR_LOAD_COUNT, VMCS_EXIT_MSR_LOAD);
}

/* Exceptions that push an error code. */
static bool pushes_error(u32 vector)
{
	return vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC;
}

static bool bad_error_code(struct vmx_walk *w)
{
	bool exception = vmx_event_type(w) == INTR_EXCEPTION;
	bool with = w->event & INTR_ERROR_VALID, protected = w->cr0 & CR0_PE;
	bool pushes = pushes_error(w->event & INTR_VECTOR);

	if (vmx_fails(w, with && !exception, VMCS_ENTRY_INTR_INFO,
		      "only a hardware exception has an error code") ||
	    vmx_fails(w, with && !protected, VMCS_ENTRY_INTR_INFO,
		      "an exception in real mode (guest CR0.PE is 0) has no error code"))
		return true;
	if (exception && protected && !w->caps->free_error_code &&
	    (vmx_fails(w, pushes && !with, VMCS_ENTRY_INTR_INFO,
		       "this exception has an error code to deliver") ||
	     vmx_fails(w, !pushes && with, VMCS_ENTRY_INTR_INFO,
		       "this exception has no error code")))
		return true;
	return with && vmx_fails(w, vmx_field(w, VMCS_ENTRY_INTR_ERROR) >> 16,
				 VMCS_ENTRY_INTR_ERROR, "bits 31:16 must be 0");
}

static bool bad_event(struct vmx_walk *w)
{
	u32 type = vmx_event_type(w), vector = w->event & INTR_VECTOR;
	bool soft = type >= INTR_SOFT && type <= INTR_SOFT_EXCEPTION;
	u64 len = vmx_field(w, VMCS_ENTRY_INSN_LEN);

	if (!w->event)
		return false;
	return vmx_fails(w, type == 1, VMCS_ENTRY_INTR_INFO, "type 1 is reserved") ||
	       vmx_fails(w,
			 type == INTR_OTHER && !(w->caps->allowed[VMX_PRIMARY].may & PRI_CTL_MTF),
			 VMCS_ENTRY_INTR_INFO, "type 7 needs the monitor trap flag") ||
	       vmx_fails(w, type == INTR_NMI && vector != VEC_NMI, VMCS_ENTRY_INTR_INFO,
			 "an NMI has vector 2") ||
	       vmx_fails(w, type == INTR_EXCEPTION && vector > 31, VMCS_ENTRY_INTR_INFO,
			 "an exception has a vector up to 31") ||
	       vmx_fails(w, type == INTR_OTHER && vector, VMCS_ENTRY_INTR_INFO,
			 "type 7 has vector 0") ||
	       bad_error_code(w) ||
	       vmx_fails(w, w->event & INTR_RESERVED, VMCS_ENTRY_INTR_INFO,
			 "bits 30:12 must be 0") ||
	       vmx_fails(w, soft && (len > 15 || (!len && !w->caps->zero_len_inject)),
			 VMCS_ENTRY_INSN_LEN,
			 "a software interrupt or exception needs its instruction's length");
}

static bool bad_entry_controls(struct vmx_walk *w)
{
	w->section = "27.2.1.3";
	return bad_word(w, VMCS_ENTRY_CONTROLS, VMX_ENTRY, w->entry) || bad_event(w) ||
	       bad_list(w, VMCS_ENTRY_MSR_LOAD_COUNT, VMCS_ENTRY_MSR_LOAD) ||
	       vmx_fails(w, w->entry & (ENTRY_CTL_SMM | ENTRY_CTL_DUAL_SMM), VMCS_ENTRY_CONTROLS,
			 "entries to SMM are made in SMM only");
}

/* --- §27.2.2 to §27.2.4 ----------------------------------------------------------------------- */

static bool bad_host_controls(struct vmx_walk *w)
{
	u64 cr0 = vmx_field(w, VMCS_HOST_CR0), cr4 = vmx_field(w, VMCS_HOST_CR4);

	w->section = "27.2.2";
	return vmx_fails(w, (cr0 & ~w->caps->cr0_may) || (w->caps->cr0_must & ~cr0), VMCS_HOST_CR0,
			 "has a bit that VMX operation does not allow, or lacks one it demands") ||
	       vmx_fails(w, (cr4 & ~w->caps->cr4_may) || (w->caps->cr4_must & ~cr4), VMCS_HOST_CR4,
			 "has a bit that VMX operation does not allow, or lacks one it demands") ||
	       vmx_fails(w, vmx_field(w, VMCS_HOST_CR3) & vmx_no_address(w, 1), VMCS_HOST_CR3,
			 "is wider than physical addresses") ||
	       vmx_fails(w, !vmx_canonical(w, vmx_field(w, VMCS_HOST_SYSENTER_ESP)),
			 VMCS_HOST_SYSENTER_ESP, "must be canonical") ||
	       vmx_fails(w, !vmx_canonical(w, vmx_field(w, VMCS_HOST_SYSENTER_EIP)),
			 VMCS_HOST_SYSENTER_EIP, "must be canonical");
}

static bool bad_host_msrs(struct vmx_walk *w)
{
	u64 efer = vmx_field(w, VMCS_HOST_EFER);
	u64 long_mode = w->exit & EXIT_CTL_HOST_64 ? EFER_LMA | EFER_LME : 0;

	w->section = "27.2.2";
	if ((w->exit & EXIT_CTL_LOAD_PAT) &&
	    vmx_fails(w, !vmx_pat_ok(vmx_field(w, VMCS_HOST_PAT)), VMCS_HOST_PAT,
		      "every byte must be a memory type (0, 1, 4 to 7)"))
		return true;
	if (!(w->exit & EXIT_CTL_LOAD_EFER))
		return false;
	return vmx_fails(w, efer & ~EFER_DEFINED, VMCS_HOST_EFER, "has reserved bits set") ||
	       vmx_fails(w, (efer & (EFER_LMA | EFER_LME)) != long_mode, VMCS_HOST_EFER,
			 "LMA and LME must both be the host-address-space-size control");
}

static bool bad_host_segments(struct vmx_walk *w)
{
	static const u32 sel[] = {VMCS_HOST_ES_SEL, VMCS_HOST_CS_SEL, VMCS_HOST_SS_SEL,
				  VMCS_HOST_DS_SEL, VMCS_HOST_FS_SEL, VMCS_HOST_GS_SEL,
				  VMCS_HOST_TR_SEL};
	static const u32 base[] = {VMCS_HOST_FS_BASE, VMCS_HOST_GS_BASE, VMCS_HOST_GDTR_BASE,
				   VMCS_HOST_IDTR_BASE, VMCS_HOST_TR_BASE};
	bool host_64 = w->exit & EXIT_CTL_HOST_64;

	w->section = "27.2.3";
	for (unsigned i = 0; i < ARRAY_SIZE(sel); i++)
		if (vmx_fails(w, vmx_field(w, sel[i]) & SEL_RPL_TI, sel[i],
			      "must have RPL 0 and point into the GDT"))
			return true;
	if (vmx_fails(w, !vmx_field(w, VMCS_HOST_CS_SEL), VMCS_HOST_CS_SEL, "must not be null") ||
	    vmx_fails(w, !vmx_field(w, VMCS_HOST_TR_SEL), VMCS_HOST_TR_SEL, "must not be null") ||
	    vmx_fails(w, !host_64 && !vmx_field(w, VMCS_HOST_SS_SEL), VMCS_HOST_SS_SEL,
		      "must not be null for a 32-bit host"))
		return true;
	for (unsigned i = 0; i < ARRAY_SIZE(base); i++)
		if (vmx_fails(w, !vmx_canonical(w, vmx_field(w, base[i])), base[i],
			      "must be canonical"))
			return true;
	return false;
}

/* The hypervisor is a 64-bit host: entries are made in IA-32e mode. */
static bool bad_host_size(struct vmx_walk *w)
{
	w->section = "27.2.4";
	return vmx_fails(w, !(w->exit & EXIT_CTL_HOST_64), VMCS_EXIT_CONTROLS,
			 "an entry made in IA-32e mode needs host address-space size 1") ||
	       vmx_fails(w, !(vmx_field(w, VMCS_HOST_CR4) & CR4_PAE), VMCS_HOST_CR4,
			 "a 64-bit host needs PAE") ||
	       vmx_fails(w, !vmx_canonical(w, vmx_field(w, VMCS_HOST_RIP)), VMCS_HOST_RIP,
			 "must be canonical");
}

static void begin(struct vmx_walk *w)
{
	w->pin = (u32)vmx_field(w, VMCS_PIN_CONTROLS);
	w->primary = (u32)vmx_field(w, VMCS_PRIMARY_CONTROLS);
	w->exit = (u32)vmx_field(w, VMCS_EXIT_CONTROLS);
	w->entry = (u32)vmx_field(w, VMCS_ENTRY_CONTROLS);
	if (w->primary & PRI_CTL_SECONDARY)
		w->secondary = (u32)vmx_field(w, VMCS_SECONDARY_CONTROLS);
	w->event = (u32)vmx_field(w, VMCS_ENTRY_INTR_INFO);
	if (!(w->event & INTR_VALID))
		w->event = 0;
	w->cr0 = vmx_field(w, VMCS_GUEST_CR0);
	w->cr4 = vmx_field(w, VMCS_GUEST_CR4);
	w->ia32e = w->entry & ENTRY_CTL_IA32E;
	w->unrestricted = w->secondary & SEC_CTL_UNRESTRICTED;
}

bool vmx_check(const struct vmcs_reader *vmcs, const struct vmx_caps *caps, struct vmx_verdict *v)
{
	struct vmx_walk w = {.vmcs = vmcs, .caps = caps, .v = v};

	memset(v, 0, sizeof(*v));
	begin(&w);
	w.area = VMX_CHECK_CONTROLS;
	if (bad_execution(&w) || bad_exit_controls(&w) || bad_entry_controls(&w))
		return true;
	w.area = VMX_CHECK_HOST;
	if (bad_host_controls(&w) || bad_host_msrs(&w) || bad_host_segments(&w) ||
	    bad_host_size(&w))
		return true;
	w.area = VMX_CHECK_GUEST;
	return vmx_check_guest(&w);
}
