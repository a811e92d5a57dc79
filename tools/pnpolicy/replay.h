/* Traces through policies.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TOOLS_PNPOLICY_REPLAY_H
#define TOOLS_PNPOLICY_REPLAY_H

#include <stdio.h>

#include "paging/adaptive/policy.h"
#include "ptrace.h"

enum replay_detail { DETAIL_TOTALS, DETAIL_DECISIONS, DETAIL_TICKS };

/* The samples as they were recorded: what did this policy decide? Prints decisions that are not
 * "stay in this mode" (or every tick) and the totals, as lines of JSON, to @out. Returns how many
 * decisions the next tick's mode differs from. */
u64 replay_recorded(const struct ptrace *t, const struct policy_ops *ops,
		    const struct policy_params *params, enum replay_detail detail, FILE *out);
/* What would have been: each tick is priced in both modes by the parameters' costs (rho, c_*, k_*)
 * and the policy lives in that world. */
void replay_what_if(const struct ptrace *t, const struct policy_ops *ops,
		    const struct policy_params *params, enum replay_detail detail, FILE *out);
/* The same for one mode throughout, and for the best sequence in hindsight. */
void replay_static(const struct ptrace *t, enum policy_mode mode,
		   const struct policy_params *params, FILE *out);
void replay_optimum(const struct ptrace *t, const struct policy_params *params, FILE *out);

#endif
