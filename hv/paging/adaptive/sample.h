/* What a paging policy is told each tick, and what it answers.
 *
 * All counts are differences over one tick of one guest (summed over its vCPUs). Cycles are the
 * host's core cycles. A measure that nobody could take has confidence 0; the value then means
 * nothing. Everything here may be wrong, wrapped or made up: policies check it (guard.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_SAMPLE_H
#define HV_PAGING_ADAPTIVE_SAMPLE_H

#include "penumbra/types.h"

enum policy_mode { POLICY_NESTED, POLICY_SHADOW, POLICY_MODES };
extern const char *const policy_mode_name[POLICY_MODES];

struct policy_measure {
	u64 value;
	u8 confidence; /* percent; 0: not known */
};

struct policy_sample {
	enum policy_mode mode; /* in which the guest really ran */
	u64 ns;		       /* length of the tick, host's time */
	u64 unhalted;	       /* cycles in guest mode */
	struct policy_measure instructions;
	struct policy_measure faults;	     /* page faults that are the guest's own */
	struct policy_measure walks;	     /* data accesses that missed the TLB */
	struct policy_measure walk_cycles;   /* W: in page walks, of which unhalted has its part */
	struct policy_measure shadow_cycles; /* X: in exits that only shadow paging causes */
	struct policy_measure cr3_writes;
	struct policy_measure invlpgs;
	struct policy_measure table_writes;  /* entries of last-level tables that changed */
	struct policy_measure progress;	     /* work done, in any unit that stays the same */
	struct policy_measure leaves;	     /* last-level entries that a shadow would hold */
	struct policy_measure spaces;	     /* name (hash) of the two busiest address spaces */
	struct policy_measure switch_cycles; /* what the switch before this tick cost, if one was */
};

enum policy_reason {
	REASON_STAY,	 /* nothing to do */
	REASON_IDLE,	 /* the guest hardly ran: tick not counted */
	REASON_UNKNOWN,	 /* a measure is missing or absurd */
	REASON_FAILSAFE, /* that too often: nested until it is trusted again */
	REASON_DSP_1,	 /* the rule of DSP that spoke */
	REASON_DSP_2,
	REASON_DSP_3,
	REASON_DSP_4,
	REASON_DSP_5,
	REASON_DSP_6,
	REASON_DSP_7,
	REASON_DSP_8,
	REASON_SETTLE,	/* first tick after a switch: its cost is the switch's */
	REASON_REGRET,	/* this mode has cost more than a switch would */
	REASON_EXPLORE, /* is the model right about the other mode? */
	REASON_TRIAL,	/* in a verification window */
	REASON_KEEP,	/* window over: the new mode stays */
	REASON_REVERT,	/* window over: back */
	REASON_VOID,	/* the load changed within the window: no verdict */
	POLICY_REASONS
};
extern const char *const policy_reason_name[POLICY_REASONS];

/* @mode is the one to run in from now on: no switch when it is the sample's. The rest is for the
 * record. */
struct policy_decision {
	enum policy_mode mode;
	enum policy_reason reason;
	bool probe;	 /* on trial: may come back at any tick */
	bool alarm;	 /* the load changed */
	u64 own, other;	 /* cycles this tick cost by paging, and would have in the other mode */
	u64 regret;	 /* cycles */
	u64 switch_cost; /* cycles, there and back */
	s64 gain_ppm;	 /* measured progress of the mode on trial against the one before */
};

/* The @i-th measure of @x and its name in a trace; NULL behind the last. */
const struct policy_measure *sample_measure(const struct policy_sample *x, unsigned i,
					    const char **name);
/* One line of a trace (docs/adaptive.md): "ns=N mode=M unhalted=N [KEY=VALUE[,CONFIDENCE]]...", any
 * order, no line end. 0, or -EINVAL with the reason in @why; @x is then undefined. */
int sample_parse(struct policy_sample *x, const char *line, char *why, size_t size);
/* The same line from @x; returns its length as snprintf() does. Measures not known are left out. */
size_t sample_format(const struct policy_sample *x, char *buf, size_t size);

#endif
