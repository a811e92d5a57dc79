/* The policies by name.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/policy.h"

#include "lib/crc32.h"
#include "lib/str.h"

static const struct policy_ops *const policies[] = {&policy_regret, &policy_dsp};

const struct policy_ops *policy_nth(unsigned n)
{
	return n < ARRAY_SIZE(policies) ? policies[n] : NULL;
}

const struct policy_ops *policy_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(policies); i++)
		if (!strcmp(policies[i]->name, name))
			return policies[i];
	return NULL;
}

void policy_init(struct policy *p, const struct policy_ops *ops, const struct policy_params *params,
		 enum policy_mode mode)
{
	memset(p, 0, sizeof(*p));
	p->ops = ops;
	p->params = *params;
	ops->init(p, mode);
}

struct policy_decision policy_tick(struct policy *p, const struct policy_sample *x)
{
	return p->ops->tick(p, x);
}

u32 policy_decision_crc(u32 crc, const struct policy_decision *d)
{
	const u64 word[] = {d->mode,  d->reason, d->probe,	 d->alarm,	  d->own,
			    d->other, d->regret, d->switch_cost, (u64)d->gain_ppm};

	return crc32(crc, word, sizeof(word));
}
