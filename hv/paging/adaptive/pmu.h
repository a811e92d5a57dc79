/* What the CPU's performance counters say about one guest: read at ticks, on its CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_PMU_H
#define HV_PAGING_ADAPTIVE_PMU_H

#include "paging/adaptive/sample.h"

/* Differences since the reading before, of the guest's own execution only. Confidence 0 where this
 * CPU has no such event, or where the self-test at boot or the reading itself distrusts it. */
struct pmu_reading {
	struct policy_measure unhalted; /* core cycles */
	struct policy_measure instructions;
	struct policy_measure walks;	   /* page walks that data accesses caused */
	struct policy_measure walk_cycles; /* in all page walks, nested part included */
};

#endif
