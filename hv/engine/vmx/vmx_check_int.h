/* Shared by the two halves of the entry checker.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_VMX_VMX_CHECK_INT_H
#define HV_ENGINE_VMX_VMX_CHECK_INT_H

#include "engine/vmx/vmx_check.h"

/* A walk over one VMCS. Controls that nothing activates count as 0, as to the CPU. */
struct vmx_walk {
	const struct vmcs_reader *vmcs;
	const struct vmx_caps *caps;
	struct vmx_verdict *v;
	enum vmx_check_area area; /* of the checks that follow */
	const char *section;
	u32 pin, primary, secondary, exit, entry;
	u32 event; /* entry interruption information, 0: nothing is injected */
	u64 cr0, cr4;
	bool ia32e, unrestricted;
};

/* The field as wide as it is; high halves and what a short field cannot hold are not there. */
u64 vmx_field(const struct vmx_walk *w, u32 field);
/* Record what is broken and return @bad: checks are chained with ||. */
bool vmx_fails(struct vmx_walk *w, bool bad, u32 field, const char *rule);
/* Bits 63:N-1 are equal. */
bool vmx_canonical(const struct vmx_walk *w, u64 address);
/* Bits that no physical address has, and those below @align. */
u64 vmx_no_address(const struct vmx_walk *w, u64 align);
/* Every byte of a PAT is a memory type. */
bool vmx_pat_ok(u64 pat);
/* Type field of the event that the entry injects. */
u32 vmx_event_type(const struct vmx_walk *w);

/* The checks of the guest state (vmx_check_guest.c); true: one is broken. */
bool vmx_check_guest(struct vmx_walk *w);

#define EFER_DEFINED (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)

#endif
