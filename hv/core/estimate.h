/* What a guest's paging costs, estimated without performance counters (docs/adaptive.md, E1, E3,
 * E4, E5): windows in which page faults, CR3 loads and INVLPGs are heard of, accessed bits of our
 * own tables, and what changes in the guest's.
 *
 * All on the partition's own CPU, with its vCPU stopped.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_ESTIMATE_H
#define HV_CORE_ESTIMATE_H

#include "core/timer.h"
#include "paging/adaptive/coverage.h"
#include "paging/adaptive/params.h"
#include "paging/adaptive/tables.h"
#include "paging/adaptive/watch.h"
#include "paging/nested/nested_sample.h"

struct partition;

/* Sums of what was told since estimate_start(), for records. */
struct estimate_totals {
	u64 ns, faults, cr3_writes, invlpgs, table_writes, walks;
	u64 pages; /* touched within the longest look, the most ever seen */
};

struct estimate {
	bool on;
	struct watch watch;
	struct timer window; /* the next change of windows */
	struct timer look;   /* the next look at accessed bits */
	struct nested_sample sample;
	struct coverage_look looks[COVERAGE_LOOKS];
	unsigned looked; /* looks taken; COVERAGE_LOOKS: done */
	u64 cleared_run; /* run cycles of the guest when bits were cleared */
	u64 random;
	u64 reach;	       /* see coverage_tlb_reach() */
	struct tables *tables; /* NULL: no memory for it */
	struct tables_seen seen;
	struct estimate_totals totals;
};

/* Estimate from now on, for ticks of @tick_ns; @p: what exits cost and may cost. Again: anew. */
void estimate_start(struct partition *p, u64 tick_ns, const struct policy_params *params);
void estimate_stop(struct partition *p);
/* After a switch of paging modes, and after a reset. */
void estimate_mode(struct partition *p);
/* The tick ends: put into @x what is known since the last one: faults, cr3_writes and invlpgs
 * (nested only), table_writes, leaves, walks. @x->mode and @x->unhalted are set. */
void estimate_tick(struct partition *p, struct policy_sample *x);

#endif
