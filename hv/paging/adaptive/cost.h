/* The cost model: what paging costs in the mode that runs, and would cost in the other.
 *
 *   nested: W                 shadow: W + X
 *   W in shadow is rho times W in nested; X in nested is predicted from counts of events.
 *
 * rho, the scale of X and the scale of W (which a PMU may report wrong by a constant factor) are
 * learned from the guest itself.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_COST_H
#define HV_PAGING_ADAPTIVE_COST_H

#include "paging/adaptive/params.h"
#include "paging/adaptive/sample.h"
#include "paging/adaptive/window.h"

struct cost_model {
	u32 rho, rho_min, rho_max; /* Q16 */
	u32 walk_scale;		   /* Q16: real walk cycles / reported */
	u32 shadow_scale;	   /* Q16: real shadow cycles / predicted */
	u64 k_hs, k_sh;		   /* cycles, beside those for leaves */
	u64 k_leaf;		   /* cycles in thousandths */
	bool walk_learned, shadow_learned, rho_learned;
};

struct cost_pair {
	u64 own, other; /* cycles in this tick */
	u64 best_other; /* what the other mode would cost if the model erred in its favour */
};

void cost_init(struct cost_model *m, const struct policy_params *p);
/* @x has passed the guard. */
struct cost_pair cost_of(const struct cost_model *m, const struct policy_params *p,
			 const struct policy_sample *x);
/* Cycles to switch to the other mode and back, with @leaves entries to shadow. */
u64 cost_round_trip(const struct cost_model *m, u64 leaves);
/* A tick in shadow: how far was the prediction from what it cost? */
void cost_learn_shadow(struct cost_model *m, const struct policy_params *p,
		       const struct policy_sample *x);
/* Neighbouring windows in both modes of one load. @noise_ppm: how far their progress may differ by
 * chance. */
void cost_learn_windows(struct cost_model *m, const struct window *nested,
			const struct window *shadow, u64 noise_ppm);
/* A switch to @to took @cycles with @leaves entries. */
void cost_learn_switch(struct cost_model *m, enum policy_mode to, u64 leaves, u64 cycles);

#endif
