/* Paging policies: samples in, decisions out, nothing else. They hold no pointers to anything that
 * lives, read no clock, use integers only: the same samples give the same decisions in the
 * hypervisor and in tools/pnpolicy, bit by bit.
 *
 *   policy_init(&p, policy_find("regret"), &params, POLICY_NESTED);
 *   each tick: d = policy_tick(&p, &sample); if d.mode is not sample.mode, switch
 *
 * A decision binds nobody: sample.mode says what really runs, and a policy goes on from there. No
 * locks; one struct policy per guest, ticked by one CPU at a time.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_POLICY_H
#define HV_PAGING_ADAPTIVE_POLICY_H

#include "paging/adaptive/dsp.h"
#include "paging/adaptive/regret.h"

struct policy {
	const struct policy_ops *ops;
	struct policy_params params;
	union {
		struct dsp dsp;
		struct regret regret;
	};
};

struct policy_ops {
	const char *name;
	/* @p->params is set; the guest will start in @mode. */
	void (*init)(struct policy *p, enum policy_mode mode);
	struct policy_decision (*tick)(struct policy *p, const struct policy_sample *x);
};

extern const struct policy_ops policy_dsp, policy_regret;

/* The policy that `policy=NAME` names, or NULL. */
const struct policy_ops *policy_find(const char *name);
/* The @n-th policy, or NULL behind the last. */
const struct policy_ops *policy_nth(unsigned n);
void policy_init(struct policy *p, const struct policy_ops *ops, const struct policy_params *params,
		 enum policy_mode mode);
/* Continue @crc (0 to start) over @d: what two runs of a policy are compared by. */
u32 policy_decision_crc(u32 crc, const struct policy_decision *d);
/* One tick, about 1 us. The decision's mode is always a valid one. */
struct policy_decision policy_tick(struct policy *p, const struct policy_sample *x);

#endif
