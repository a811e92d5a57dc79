/* What a guest has done up to a moment, and the sample that two such moments make.
 *
 * The exit handlers count for ever; at each tick the totals are taken, and their differences are
 * the sample. What no total can say (events that do not exit in the mode that runs, page walks)
 * comes from estimators; each may be missing, its measures then have confidence 0. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_TELEMETRY_H
#define HV_PAGING_ADAPTIVE_TELEMETRY_H

#include "paging/adaptive/sample.h"

/* Totals of one guest. Each only grows; a restart of the guest begins a new row of them. */
struct telemetry {
	u64 ns;	   /* host's time */
	u64 guest; /* cycles between entry and exit */
	u64 exits;
	/* Exits that only shadow paging causes, and the cycles from them to the next entry. */
	u64 shadow_exits, shadow_cycles;
	/* The guest's own events, as far as they exit in shadow paging. */
	u64 faults, cr3_writes, invlpgs;
	u64 stores; /* to page tables, carried out for the guest */
};

/* What else is known of a tick. */
struct estimates {
	/* Cycles of an exit and an entry by themselves, which no clock of ours sees; 0: not known.
	 */
	u64 world_switch;
	/* Events of the guest's own, where totals do not have them. */
	struct policy_measure faults, cr3_writes, invlpgs, table_writes;
	struct policy_measure faults_most; /* no more than about so many */
	struct policy_measure walks, walk_cycles;
	struct policy_measure unhalted, instructions; /* from counters of the CPU */
	struct policy_measure leaves, spaces, touched;
	bool priced;	  /* walk_cycles is misses times a cost */
	bool faults_exit; /* shadow paging hears of every fault of the guest's */
};

/* Misses per cycle as lately estimated: each look sees few places, so the mean of some ticks says
 * more than the last one. */
struct steady {
	bool known;
	bool renew; /* the next look counts alone */
	u64 rate;   /* misses per 2^32 cycles */
	u32 age;    /* ticks since anything was seen (telemetry_bridge()) */
};

/* What exits for shadow paging have taken lately, each; 0: there were none. */
struct usual_exit {
	u64 cycles;
};

/* What serves as progress: work done in a unit that is the same in both modes. */
enum progress_unit {
	PROGRESS_NONE,
	PROGRESS_INSTRUCTIONS,
	PROGRESS_FAULTS,
	PROGRESS_CR3_WRITES,
	PROGRESS_UNITS
};
extern const char *const progress_unit_name[PROGRESS_UNITS];

struct progress {
	enum progress_unit unit;
	u64 mean[PROGRESS_UNITS]; /* of a tick in which the guest ran, lately */
	u32 poor;		  /* ticks in a row in which another unit said much more */
};

/* The tick between @before and @after, in which the guest ran in @mode. Where nothing counts
 * instructions, one a cycle is a guess that says so. */
void telemetry_sample(struct policy_sample *x, enum policy_mode mode,
		      const struct telemetry *before, const struct telemetry *after,
		      const struct estimates *e);
/* Cycles of @x's exits that are far more than such exits took lately were somebody else's: an
 * SMI's, or of the host of an emulator. They are taken out. */
void telemetry_exits(struct usual_exit *u, const struct telemetry *before,
		     const struct telemetry *after, struct policy_sample *x);
/* @e's misses, estimated for @guest cycles, become those of the last ticks' mean. A tick in which
 * nobody looked gets it too: so does the first one in another mode, where the guest misses about as
 * often, until looks there have told more. */
void telemetry_steady(struct steady *s, u64 guest, struct estimates *e);
/* The load has changed. What was known of it stands until somebody has looked, and no longer. */
void telemetry_renew(struct steady *s);
/* @m of @guest cycles, or where it is not known what the last known one was, for a few ticks, and
 * then @most if that is known; never more than that: windows on a busy machine may see nothing in a
 * tick, and for as long as they are too short for a quieter phase. */
void telemetry_bridge(struct steady *s, u64 guest, struct policy_measure *m,
		      const struct policy_measure *most);
/* Where nothing counts cycles in walks: @e's misses by @cost thousandths of a cycle each (0: not
 * known). A sample takes them for nine tenths of its time at most: a price too high is no lie. */
void telemetry_price_walks(struct estimates *e, u64 cost);
/* Put into @x what serves as progress. The unit is the one with the most counts; while @trial it
 * stays, since two windows are being compared in it. A tick of another unit than the one before has
 * no progress, which ends what was added up in that. */
void progress_measure(struct progress *p, struct policy_sample *x, bool trial);

#endif
