/* Performance counters by VT-x (vmx_pmu.c).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_VMX_VMX_PMU_H
#define HV_ENGINE_VMX_VMX_PMU_H

#include "engine/pmu.h"

extern const struct pmu_ops vmx_pmu;

/* In struct pmu_ops. Pure. */
int vmx_pmu_plan(const struct cpu_source *src, struct pmu_plan *plan, char *why, size_t why_len);

struct vcpu;
struct vmx_vcpu;
/* The register that starts and stops the counters, into @s's VMCS, which is current. */
void vmx_pmu_write(const struct vcpu *v, struct vmx_vcpu *s);

#endif
