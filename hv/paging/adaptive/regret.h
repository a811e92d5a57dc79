/* The regret policy.
 *
 * A cost model says each tick what the other mode would have cost. What this mode cost more adds
 * up; when the sum exceeds a switch there and back, the switch is made, on trial: if measured
 * progress does not bear it out, it is taken back and not repeated for a while. Where the model
 * sees no reason to switch but may be wrong, rare trials within a budget look. Trials teach the
 * model.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_REGRET_H
#define HV_PAGING_ADAPTIVE_REGRET_H

#include "paging/adaptive/budget.h"
#include "paging/adaptive/cost.h"
#include "paging/adaptive/cusum.h"
#include "paging/adaptive/guard.h"
#include "paging/adaptive/window.h"

struct trial {
	bool active;
	bool explore;	   /* against the model's advice */
	struct window old; /* in the mode before */
	u64 lost;	   /* cycles in ticks that taught nothing, and in switches */
};

struct regret {
	enum policy_mode mode;	  /* of the last tick */
	u64 now_ns;		  /* sum of the ticks */
	u64 sum;		  /* R, cycles */
	s64 long_run;		  /* cycles by which nested costs more than shadow; old ones fade */
	u32 settle;		  /* ticks left to pass over */
	u64 spaces;		  /* of the last tick */
	bool wanted;		  /* the last decision was a switch */
	bool vetoed;		  /* a trial said no to what the model says */
	enum policy_mode verdict; /* of the last trial */
	struct guard guard;
	struct cusum faults, walks;
	struct cost_model cost;
	struct budget budget;
	struct window window; /* in this mode, of this load */
	struct noise noise;
	struct trial trial;
};

#endif
