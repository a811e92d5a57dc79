/* Is a sample to be believed? Counters can be missing, stuck, wrapped, or count something else; a
 * policy that is fed with them must end in nested paging or change nothing, and not come back each
 * time a good sample slips in between.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_GUARD_H
#define HV_PAGING_ADAPTIVE_GUARD_H

#include "paging/adaptive/params.h"
#include "paging/adaptive/sample.h"

/* What a policy cannot do without; bits. */
#define GUARD_INSTRUCTIONS  1u
#define GUARD_FAULTS	    2u
#define GUARD_WALKS	    4u
#define GUARD_WALK_CYCLES   8u
#define GUARD_SHADOW_CYCLES 16u /* while in shadow */

/* Above this no count of a tick is real. Everything that passes fits 44 bits. */
#define MEASURE_MAX	   BIT(44)
#define MEASURE_CONFIDENCE 10 /* percent; below it is not known */

struct guard {
	u32 bad, good; /* samples in a row */
	u32 trips;
	bool tripped;
};

enum guard_verdict {
	GUARD_GOOD,
	GUARD_IDLE,    /* too little in it */
	GUARD_BAD,     /* not to be used */
	GUARD_TRIPPED, /* run nested */
};

static inline bool measure_known(const struct policy_measure *m)
{
	return m->confidence >= MEASURE_CONFIDENCE && m->value <= MEASURE_MAX;
}

/* The value if it is known, else 0: for what a policy can do without. */
static inline u64 measure_or_0(const struct policy_measure *m)
{
	return measure_known(m) ? m->value : 0;
}

enum guard_verdict guard_check(struct guard *g, const struct policy_params *p,
			       const struct policy_sample *x, unsigned needs);

#endif
