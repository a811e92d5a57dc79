/* Why an entry failed, in words: the instruction's error, the exit's reason, and what the walk over
 * the entry checks finds in the VMCS.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/vmx/vmx.h"
#include "engine/vmx/vmx_check.h"
#include "engine/vmx/vmx_ops.h"
#include "lib/str.h"

static u64 read_field(void *ctx, u32 field)
{
	(void)ctx;
	return vmread_safe(field);
}

/* The VMCS is as the entry left it: a failed one saves nothing. Only what was to be injected is
 * gone; it is put back for the look. */
void vmx_explain(const struct vcpu *v, char *text, size_t size)
{
	static const struct vmcs_reader reader = {.read = read_field};
	const struct vmx_vcpu *s = vmx_of(v);
	struct vmx_verdict verdict;
	size_t n = 0;

	vmx_load((struct vcpu *)(u64)v);
	if (s->insn_error && s->insn_error != INSN_ERROR_CONTROLS &&
	    s->insn_error != INSN_ERROR_HOST) {
		snprintf(text, size, "entry refused: %s", vmx_insn_error(s->insn_error));
		return;
	}
	if (s->failed_reason == VMX_EXIT_BAD_MSR_LIST || s->failed_reason == VMX_EXIT_ENTRY_MC) {
		snprintf(text, size, "entry failed: %s",
			 s->failed_reason == VMX_EXIT_ENTRY_MC ? "machine check"
							       : "an MSR could not be loaded");
		return;
	}
	vmwrite(VMCS_ENTRY_INTR_INFO, s->injected);
	vmx_check(&reader, &vmx_caps, &verdict);
	vmwrite(VMCS_ENTRY_INTR_INFO, 0);
	n = (size_t)snprintf(text, size, "entry refused: ");
	if (n < size)
		vmx_verdict_text(&verdict, text + n, size - n);
}
