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
#include "paging/adaptive/telemetry.h"
#include "paging/adaptive/watch.h"
#include "paging/nested/nested_sample.h"
#include "paging/shadow/shadow.h"

struct partition;

/* Sums of what was told since estimate_start(), for records. */
struct estimate_totals {
	u64 ns, ticks, faults, cr3_writes, invlpgs, table_writes, walks;
	u64 looks, pages; /* the longest looks, and the pages touched in each of them added up */
};

struct estimate {
	bool on;
	u64 tick_ns;
	struct watch watch;
	struct timer window; /* the next change of windows */
	struct timer look;   /* the next look at accessed bits */
	struct timer tick;   /* where nobody else calls estimate_tick() */
	bool in_shadow;	     /* the bits looked at are in shadow tables */
	struct shadow_touched touched;
	struct nested_sample sample;
	struct coverage_look looks[COVERAGE_LOOKS]; /* of the last rounds, newer ones more */
	unsigned looked;			    /* of this round */
	bool looking;				    /* the round is not over */
	u64 cleared_ns;				    /* when bits were cleared, and */
	u64 cleared_guest;			    /* the guest's cycles then */
	u64 tick_guest;				    /* and at the last tick */
	u64 from_ns;				    /* the last tick */
	u64 random;
	u64 reach;	       /* see coverage_tlb_reach() */
	struct tables *tables; /* NULL: no memory for it */
	hpa_t tables_pa;
	struct estimate_totals totals;
};

/* Estimate from now on, for ticks of @tick_ns. Again: anew. */
void estimate_start(struct partition *p, u64 tick_ns);
void estimate_stop(struct partition *p);
/* @p starts: with ticks of its own where the command line asks for estimates whatever decides. */
void estimate_power_on(struct partition *p);
/* Before and after a switch of paging modes: nested tables are as they were, then, for whatever
 * mode changes them by itself. */
void estimate_mode_ends(struct partition *p);
void estimate_mode(struct partition *p);
/* The tick ends, in which the guest ran @guest cycles: put into @out what is known since the last
 * one: faults, cr3_writes and invlpgs (those of a guest that runs nested), table_writes, leaves,
 * walks, touched. Nothing else in it is changed, nor anything at all unless started. */
void estimate_tick(struct partition *p, u64 guest, struct estimates *out);
/* Give back its memory; @p will not run again. */
void estimate_free(struct partition *p);

#endif
