/* Two processes that share a vCPU: the load on which one mode for the whole guest cannot be right.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SIM_MIX_H
#define TESTS_SIM_MIX_H

#include "world.h"

struct sim_mix {
	struct sim_phase process[2]; /* in turn, the same work each */
	double quantum;		     /* seconds */
	double seconds;
};

#define MIX_CR3	   0.6e-6 /* seconds for an exit by a write to CR3 */
#define MIX_RESYNC 1e-6	  /* for making a shadow good again when its process comes back */

/* The guest as a whole in one mode; writes to CR3 exit in shadow. */
struct sim_result mix_static(const struct sim_mix *mix, const struct sim_costs *c,
			     enum policy_mode mode);
/* A mode for each process, chosen by hv/paging/adaptive/spaces.c. */
struct sim_result mix_spaces(const struct sim_mix *mix, const struct sim_costs *c,
			     const struct sim_sight *sight, const struct policy_params *params,
			     u64 seed);

#endif
