/* What a CPU's AMD-V can do. Pure: all it knows of the CPU comes through struct cpu_source. AMD APM
 * vol. 2 §15.4, vol. 3 appendix E.4.9 (CPUID 8000000A).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_SVM_SVM_CAPS_H
#define HV_ENGINE_SVM_SVM_CAPS_H

#include "engine/cpu_source.h"

struct engine_caps;

#define MSR_VM_CR    0xc0010114u
#define VM_CR_LOCK   BIT(3)
#define VM_CR_SVMDIS BIT(4)
#define CPUID_SVM    0x8000000au

/* 0, or -ENODEV with @why. nested=off and vpid=off take away nested paging and the flush of one
 * ASID; real mode needs no help here. */
int svm_probe_source(const struct cpu_source *src, struct engine_caps *caps, char *why,
		     size_t why_len);

#endif
