/* EFER and PAT by the MSR lists, on CPUs that have no controls for them. SDM vol. 3 §25.7.2,
 * §25.8.2, §27.4.
 *
 * One list is loaded by entries and filled again by exits: the guest's. The other is loaded by
 * exits: the host's. An entry without the EFER control sets LMA and LME from its IA-32e-mode
 * control, which the list then agrees with.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/vmx/vmx.h"
#include "engine/vmx/vmx_ops.h"
#include "lib/cpuops.h"
#include "lib/str.h"
#include "mem/hostmap.h"

_Static_assert(sizeof(struct vmx_msr) == 16, "as the CPU reads it");

/* The place of the guest's value. */
static u64 *add(struct vmx_vcpu *s, u32 msr)
{
	unsigned i = s->msrs++;

	s->guest_msr[i] = (struct vmx_msr){.index = msr};
	s->host_msr[i] = (struct vmx_msr){.index = msr, .value = rdmsr(msr)};
	return &s->guest_msr[i].value;
}

static void write_counts(const struct vmx_vcpu *s)
{
	vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, s->msrs);
	vmwrite(VMCS_EXIT_MSR_STORE_COUNT, s->msrs);
	vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, s->msrs);
}

void vmx_write_lists(struct vmx_vcpu *s)
{
	s->msrs = 0;
	s->efer = vmx_config.efer_list ? add(s, MSR_EFER) : NULL;
	s->pat = vmx_config.pat_list ? add(s, MSR_PAT) : NULL;
	vmwrite(VMCS_ENTRY_MSR_LOAD, va_hpa(s->guest_msr));
	vmwrite(VMCS_EXIT_MSR_STORE, va_hpa(s->guest_msr));
	vmwrite(VMCS_EXIT_MSR_LOAD, va_hpa(s->host_msr));
	write_counts(s);
}

void vmx_list_msr(struct vmx_vcpu *s, u32 msr, u64 guest, u64 host)
{
	*add(s, msr) = guest;
	s->host_msr[s->msrs - 1].value = host;
	write_counts(s);
}

u64 vmx_guest_efer(const struct vmx_vcpu *s)
{
	return s->efer ? *s->efer : vmread(VMCS_GUEST_EFER);
}

void vmx_set_guest_efer(struct vmx_vcpu *s, u64 value)
{
	if (s->efer)
		*s->efer = value;
	else
		vmwrite(VMCS_GUEST_EFER, value);
}

u64 vmx_guest_pat(const struct vmx_vcpu *s)
{
	return s->pat ? *s->pat : vmread(VMCS_GUEST_PAT);
}

void vmx_set_guest_pat(struct vmx_vcpu *s, u64 value)
{
	if (s->pat)
		*s->pat = value;
	else
		vmwrite(VMCS_GUEST_PAT, value);
}
