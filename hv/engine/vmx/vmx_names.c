/* The manual's words: VMCS fields, instruction errors, the sentence of a broken check.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/vmx/vmx_check.h"
#include "lib/str.h"

static const struct {
	u16 field;
	const char *name;
} fields[] = {
#define FIELD_NAME(name, encoding, text) {encoding, text},
	VMCS_FIELD_LIST(FIELD_NAME)
#undef FIELD_NAME
};

const char *vmcs_field_name(u32 field)
{
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].field == field)
			return fields[i].name;
	return "?";
}

/* Table 31-1. Some numbers stand for several cases, of which the likelier ones are named. */
static const char *const insn_errors[] = {
	[1] = "VMCALL executed in VMX root operation",
	[2] = "VMCLEAR with an invalid physical address",
	[3] = "VMCLEAR with the VMXON pointer",
	[4] = "VMLAUNCH with a VMCS that is not clear",
	[5] = "VMRESUME with a VMCS that is not launched",
	[6] = "VMRESUME after VMXOFF and VMXON",
	[7] = "VM entry with invalid control fields",
	[8] = "VM entry with invalid host-state fields",
	[9] = "VMPTRLD with an invalid physical address",
	[10] = "VMPTRLD with the VMXON pointer",
	[11] = "VMPTRLD with a wrong VMCS revision",
	[12] = "VMREAD or VMWRITE of a field that this CPU does not have",
	[13] = "VMWRITE to a read-only field",
	[15] = "VMXON executed in VMX root operation",
	[16] = "VM entry with an invalid executive-VMCS pointer",
	[17] = "VM entry with an executive VMCS that is not launched",
	[18] = "VM entry with an executive-VMCS pointer that is not the VMXON pointer",
	[19] = "VMCALL with a VMCS that is not clear",
	[20] = "VMCALL with invalid VM-exit control fields",
	[22] = "VMCALL with a wrong MSEG revision",
	[23] = "VMXOFF under the dual-monitor treatment",
	[24] = "VMCALL with invalid SMM-monitor features",
	[25] = "VM entry with invalid execution controls in the executive VMCS",
	[26] = "VM entry with events blocked by MOV SS",
	[28] = "invalid operand to INVEPT or INVVPID",
};

const char *vmx_insn_error(u32 error)
{
	const char *text = error < ARRAY_SIZE(insn_errors) ? insn_errors[error] : NULL;

	return text ? text : "no known VM-instruction error";
}

int vmx_verdict_text(const struct vmx_verdict *v, char *text, size_t size)
{
	if (v->area == VMX_CHECK_PASSED)
		return snprintf(text, size, "no check of SDM vol. 3 ch. 27 is known to fail");
	return snprintf(text, size, "%s (%xh) is %llxh: %s (SDM vol. 3 section %s)",
			vmcs_field_name(v->field), v->field, (unsigned long long)v->value, v->rule,
			v->section);
}
