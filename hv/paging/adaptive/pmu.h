/* What the CPU's performance counters say about one guest: gathered while it has the CPU, read at
 * ticks. A CPU's counters are all its guests', so what they did between begin and end is the
 * guest's.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_PMU_H
#define HV_PAGING_ADAPTIVE_PMU_H

#include "engine/pmu.h"
#include "paging/adaptive/sample.h"

/* One per vCPU; zero at the start. */
struct pmu_meter {
	u64 sum[PMU_ROLES];   /* since the reading before */
	u64 cycles;	      /* of the TSC likewise, between begin and end */
	u64 at[PMU_COUNTERS]; /* where it began */
	u64 began;	      /* TSC */
	bool running;
};

/* Differences since the reading before, of the guest's own execution only. Confidence 0 where this
 * CPU has no such event, or where the self-test at boot or the reading itself distrusts it. */
struct pmu_reading {
	struct policy_measure unhalted;	    /* core cycles */
	struct policy_measure instructions; /* retired */
	struct policy_measure walks;	    /* page walks that data accesses caused */
	struct policy_measure walk_cycles;  /* in all page walks, nested part included */
};

/* The guest gets the CPU, and gives it up (not at each exit). On that CPU. */
void pmu_meter_begin(struct pmu_meter *m, unsigned cpu, u64 tsc);
void pmu_meter_end(struct pmu_meter *m, unsigned cpu, u64 tsc);
/* What it did since the last call; @m may be running. On its CPU. */
void pmu_meter_read(struct pmu_meter *m, unsigned cpu, u64 tsc, struct pmu_reading *r);
/* Pure: judge @sum over @cycles of the TSC as @plan has it. */
void pmu_judge(const struct pmu_plan *plan, const u64 sum[PMU_ROLES], u64 cycles,
	       struct pmu_reading *r);

#endif
