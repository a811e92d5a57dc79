/* A guest whose address spaces have paging modes of their own (hv/paging/mixed): when that is on,
 * and what the policy is told. On the guest's own CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_PARTITION_SPACES_H
#define HV_CORE_PARTITION_SPACES_H

#include "core/spaces_auto.h"
#include "paging/mixed/mixed.h"

struct partition;
struct record;

/* Of one guest. */
struct partition_spaces {
	struct mixed mixed;
	struct spaces policy;
	struct cost_model cost;
	struct mixed_totals totals; /* measured so far, for the spaces */
	u64 seed;		    /* paging.per_as=chaos */
	struct timer look;	    /* for mixed_look_due() */
	/* at the end of the last tick */
	u64 loads, load_cycles, guest, ns;
	bool hopeless; /* for good: too much is shared */
	u64 opened, shut;
	struct spaces_auto automatic; /* paging.per_as=auto */
};

/* Does the command line want it, for guests whose mode a policy chooses? */
bool partition_spaces_wanted(void);
/* From here on: each new address space nested. 0, or negative after a record. */
int partition_spaces_begin(struct partition *p, const struct policy_params *params);
/* The policy has @p, but where it may be so (paging.per_as=auto) it is watched for whether modes of
 * their own would pay. */
void partition_spaces_watch(struct partition *p, const struct policy_params *params);
/* A tick of the policy's ends, @x is its sample: true if from here on the address spaces have modes
 * of their own. */
bool partition_spaces_try(struct partition *p, const struct policy_params *params,
			  const struct policy_sample *x, u64 now_ns);
/* Nobody decides any more: modes stay as they are. */
void partition_spaces_stop(struct partition *p);
/* A tick ends. False: they have one mode from here on, and that is the policy's business again. */
bool partition_spaces_tick(struct partition *p, const struct policy_params *params, u64 now_ns);
/* The member "spaces" of a stats record. */
void partition_spaces_stats(struct record *r, const struct partition *p);

#endif
