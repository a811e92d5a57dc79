/* Why would this entry fail? Walks the manual's VM-entry checks over a VMCS and says in words the
 * first that it breaks. Pure: the VMCS is read by callback. SDM vol. 3 §27.2 and §27.3.
 *
 * Not checked, because no VMCS field tells it: what the addresses in the VMCS point to (MSR lists,
 * PDPTEs in memory without EPT, the shadow VMCS) and whether the VMCS is current and launched.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_VMX_VMX_CHECK_H
#define HV_ENGINE_VMX_VMX_CHECK_H

#include "engine/vmx/vmcs.h"
#include "engine/vmx/vmx_caps.h"

struct vmcs_reader {
	/* Value of a field; 0 where the CPU does not have it. */
	u64 (*read)(void *ctx, u32 field);
	void *ctx;
};

/* Where the CPU notices: controls and host state end VMLAUNCH with an instruction error (7, 8),
 * guest state with an exit that has VMX_REASON_ENTRY. */
enum vmx_check_area { VMX_CHECK_PASSED, VMX_CHECK_CONTROLS, VMX_CHECK_HOST, VMX_CHECK_GUEST };

struct vmx_verdict {
	enum vmx_check_area area;
	u32 field;	     /* VMCS_*, the one to look at */
	u64 value;	     /* what it holds */
	const char *section; /* of the manual, "27.3.1.2" */
	const char *rule;    /* what should hold: a constant text */
};

/* The first broken check. False: none that this walk knows. */
bool vmx_check(const struct vmcs_reader *vmcs, const struct vmx_caps *caps, struct vmx_verdict *v);
/* "guest CS access rights (4816h) is 9bh: …  (SDM vol. 3 §27.3.1.2)". Returns as snprintf. */
int vmx_verdict_text(const struct vmx_verdict *v, char *text, size_t size);
/* The manual's name of a field, "?" of none. */
const char *vmcs_field_name(u32 field);
/* Table 31-1: what a VM-instruction error number means. */
const char *vmx_insn_error(u32 error);

#endif
