/* Performance counters by AMD-V (svm_pmu.c).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_SVM_SVM_PMU_H
#define HV_ENGINE_SVM_SVM_PMU_H

#include "engine/pmu.h"

extern const struct pmu_ops svm_pmu;

/* In struct pmu_ops. Pure. */
int svm_pmu_plan(const struct cpu_source *src, struct pmu_plan *plan, char *why, size_t why_len);

#endif
