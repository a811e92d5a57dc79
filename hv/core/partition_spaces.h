/* A guest whose address spaces have paging modes of their own (hv/paging/mixed): when that is on,
 * and what the policy is told. On the guest's own CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_PARTITION_SPACES_H
#define HV_CORE_PARTITION_SPACES_H

#include "paging/mixed/mixed.h"

struct partition;
struct record;

/* Of one guest. */
struct partition_spaces {
	struct mixed mixed;
	struct spaces policy;
	struct cost_model cost;
	struct policy_sample totals; /* measured so far, for the spaces */
	u64 seed;		     /* paging.per_as=chaos */
	/* at the end of the last tick */
	u64 loads, guest, ns;
	bool hopeless; /* for good: too much is shared */
	u64 opened, shut;
};

/* Does the command line want it, for guests whose mode a policy chooses? */
bool partition_spaces_wanted(void);
/* From here on: each new address space nested. 0, or negative after a record. */
int partition_spaces_begin(struct partition *p, const struct policy_params *params);
/* A tick ends. */
void partition_spaces_tick(struct partition *p, const struct policy_params *params, u64 now_ns);
/* The member "spaces" of a stats record. */
void partition_spaces_stats(struct record *r, const struct partition *p);

#endif
