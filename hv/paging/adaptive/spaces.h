/* A mode for each address space of a guest with one vCPU: fault-heavy processes nested, TLB-heavy
 * ones on shadow, at the same time. Pure, like the policies; the cost model is that of the guest's
 * policy, which measures.
 *
 * A new address space runs nested, so a process that lives shortly never pays for a shadow. It is
 * promoted when it has run long enough and its regret exceeds its own shadow's cost, and demoted by
 * regret again: a burst of faults does that in one sample. Filling the new shadow is no regret but
 * what promotions cost, and learned as such. Where writes to CR3, each of which exits in this mode,
 * cost too much, all of it is off.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_SPACES_H
#define HV_PAGING_ADAPTIVE_SPACES_H

#include "paging/adaptive/cost.h"
#include "paging/adaptive/guard.h"

#define SPACES_MAX 16 /* remembered; the one that ran longest ago makes room, and starts anew */

struct space {
	u64 root;     /* CR3 without flags */
	u64 last;     /* when it ran, in calls */
	u64 unhalted; /* cycles since it is known */
	u64 regret;   /* cycles */
	bool used;
	bool filling;	/* its shadow is new, */
	u64 fill;	/* and what that took beyond what the space's faults cost */
	u64 fill_until; /* of its cycles */
	enum policy_mode mode;
	u64 cost[POLICY_MODES];	  /* what each mode cost or would have cost lately, */
	u64 lately;		  /* in so many cycles */
	struct policy_sample sum; /* of runs not yet looked at */
};

struct spaces {
	struct space space[SPACES_MAX];
	u64 calls;
	u64 closed_ns; /* off for so long yet */
	u64 wait_ns;   /* the next time longer */
	u64 cr3_debt;  /* cycles that writes to CR3 took beyond their share */
	bool open;
};

void spaces_init(struct spaces *s, const struct policy_params *p);
/* The guest's tick as a whole: may address spaces have modes of their own? When not, all are nested
 * again (false after true: the caller takes them out of shadow). Writes to CR3 may take their share
 * of the time, and beyond it once what that is in some ticks: a burst of them shuts nothing. */
bool spaces_open(struct spaces *s, const struct policy_params *p, const struct policy_sample *x);
/* Address space @root has run; @x is what that time was like (mode, ns, unhalted, faults,
 * walk_cycles, shadow_cycles, leaves). Returns the mode for its next run. Each call counts; short
 * runs add up. */
enum policy_mode spaces_ran(struct spaces *s, const struct policy_params *p, struct cost_model *m,
			    u64 root, const struct policy_sample *x);
/* Once a tick: what was before counts less. Then: would any one mode for all cost more than each
 * space's better one, by more than what is no regret? */
void spaces_fade(struct spaces *s);
bool spaces_differ(const struct spaces *s, const struct policy_params *p);
/* @root is another address space now (its user half changed), or gone. */
void spaces_forget(struct spaces *s, u64 root);

#endif
