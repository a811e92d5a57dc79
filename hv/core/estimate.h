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

#include "lib/timerq.h"
#include "paging/adaptive/allowance.h"
#include "paging/adaptive/busy.h"
#include "paging/adaptive/tables.h"
#include "paging/adaptive/telemetry.h"
#include "paging/adaptive/watch.h"

struct partition;

/* Sums of what was told since estimate_start(), for records. */
struct estimate_totals {
	u64 ns, ticks, faults, cr3_writes, invlpgs, table_writes, walks;
	/* Of the hypervisor's, for windows (their exits by calibration) and for comparing tables.
	 */
	u64 window_cycles, table_cycles;
};

struct estimate {
	bool on;
	u64 tick_ns;
	struct watch watch;
	struct timer window; /* the next ones open */
	struct timer close;  /* one is over */
	struct timer tick;   /* where nobody else calls estimate_tick() */
	u64 tick_guest;	     /* the guest's cycles at the last of these */
	u64 from_ns;	     /* the last tick */
	u64 random;
	u64 reach;	       /* see coverage_tlb_reach() */
	struct tables *tables; /* NULL: no memory for it */
	hpa_t tables_pa;
	struct allowance tables_share;
	struct tables_seen seen;       /* by the last comparison, which was about */
	u64 seen_ran;		       /* so many cycles of the guest's */
	u64 unseen;		       /* and its cycles since */
	struct policy_measure touched; /* as last told, for */
	u64 touched_guest;	       /* so many cycles */
	bool spare;		       /* see estimate_spare() */
	u64 heard;		       /* events, at the last tick */
	struct busy busy;
	struct estimate_totals totals;
};

/* Estimate from now on, for ticks of @tick_ns. Again: anew. */
void estimate_start(struct partition *p, u64 tick_ns);
void estimate_stop(struct partition *p);
/* @p starts: with ticks of its own where the command line asks for estimates whatever decides. */
void estimate_power_on(struct partition *p);
/* Until told otherwise: what looks and comparisons tell decides nothing (@spare), so few will do.
 */
void estimate_spare(struct partition *p, bool spare);
/* Between two of the guest's instructions, at a time that is none of its making: which address
 * space runs is taken note of. */
void estimate_note(struct partition *p);
/* The guest does something else now: what there is to know is wanted soon. */
void estimate_hurry(struct partition *p);
/* Before and after a switch of paging modes: nested tables are as they were, then, for whatever
 * mode changes them by itself. */
void estimate_mode_ends(struct partition *p);
void estimate_mode(struct partition *p);
/* The tick ends, in which the guest ran @guest cycles: put into @out what is known since the last
 * one: faults, cr3_writes and invlpgs (those of a guest that runs nested), table_writes, leaves,
 * walks (only where somebody looked since), touched, spaces. Nothing else in it is changed, nor
 * anything at all unless started. */
void estimate_tick(struct partition *p, u64 guest, struct estimates *out);
/* Entries of this CPU's TLB for pages of 4 KiB, a guess where it does not say. */
u64 estimate_reach(void);
/* Of what the address space that runs touches, how much it maps by pages of 4 KiB, in ppm; a look
 * of its own at @p's tables. */
u64 estimate_small_ppm(struct partition *p);
/* Give back its memory; @p will not run again. */
void estimate_free(struct partition *p);

#endif
