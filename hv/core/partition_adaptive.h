/* A guest whose paging mode a policy chooses (docs/adaptive.md): at each tick its totals become a
 * sample, the policy decides, the mode is switched when it says so. On the guest's own CPU unless
 * said otherwise.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_PARTITION_ADAPTIVE_H
#define HV_CORE_PARTITION_ADAPTIVE_H

#include "lib/timerq.h"
#include "paging/adaptive/policy.h"
#include "paging/adaptive/replay.h"
#include "paging/adaptive/telemetry.h"

struct engine_ops;
struct mixed_space;
struct partition;
struct record;

/* What decides. */
enum adaptive_kind {
	ADAPTIVE_OFF,	 /* nobody: the mode stays */
	ADAPTIVE_POLICY, /* a policy, from samples */
	ADAPTIVE_REPLAY, /* the same, but the samples are those of a trace */
	ADAPTIVE_CHAOS,	 /* chance */
	ADAPTIVE_SPACES, /* a policy, for each address space (partition_spaces.h) */
};

/* Of one guest; all zero: off. */
struct adaptive {
	enum adaptive_kind kind;
	struct policy policy;
	struct timer timer;
	struct telemetry before; /* totals at the end of the last tick */
	struct progress progress;
	struct steady misses, faults;
	struct usual_exit exits;
	struct replay replay;
	bool trial;		/* the last decision is to be verified */
	u64 switch_cycles;	/* what the switch since the last tick took; 0: there was none */
	enum policy_reason why; /* of the last decision that was told */

	/* since it began */
	u64 ticks, by_reason[POLICY_REASONS];
	u32 decisions; /* their CRC, as pnpolicy makes it */

	/* chaos */
	u64 random;
	u64 exits_left;
};

/* Power-on: from here on a policy chooses if the config says so, else nobody does. */
void partition_adaptive_begin(struct partition *p);
/* From now on a policy chooses (again); not where the machine has one mode only. */
void partition_adaptive_start(struct partition *p);
/* Nobody does any more; the mode stays what it is. */
void partition_adaptive_stop(struct partition *p);
static inline bool adaptive_on(const struct adaptive *a)
{
	return a->kind != ADAPTIVE_OFF;
}

/* --- partition_chaos.c --- */

/* Boot CPU, before there are vCPUs: @engine, or one that switches modes by chance where policy=
 * wants it. */
const struct engine_ops *adaptive_engine(const struct engine_ops *engine);
/* A row of random switches begins. */
void chaos_begin(struct adaptive *a, u64 seed);
/* A number from 1 to @most. */
u64 chaos_number(struct adaptive *a, u64 most);

/* --- adaptive_report.c --- */

/* @p's policy decided @d on @x, and it was done: a record where that says something new. @from: the
 * mode before. */
void adaptive_report(struct partition *p, const struct policy_sample *x,
		     const struct policy_decision *d, const char *from);
/* The member "inputs" of a record: what is known of @x. */
void adaptive_inputs(struct record *r, const struct policy_sample *x);
/* trace=policy: the head of a trace, and a line of it. */
void adaptive_trace_begin(const struct partition *p);
void adaptive_trace(const struct partition *p, const struct policy_sample *x);
/* The same for one address space (partition_spaces.h): what it did, @x, and its mode from here on.
 */
void adaptive_trace_space(const struct partition *p, const struct mixed_space *a,
			  const struct policy_sample *x);
/* The member "adaptive" of a stats record. */
void adaptive_stats(struct record *r, const struct partition *p);

#endif
