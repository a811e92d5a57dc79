/* DSP: see dsp.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/policy.h"

#include "lib/str.h"
#include "paging/adaptive/fixed.h"

#define NEEDS	   (GUARD_INSTRUCTIONS | GUARD_FAULTS | GUARD_WALKS)
#define PER_TEN_M  10000000u /* a ratio's unit is 10^-7 */
#define RATIO_MAX  (UINT64_MAX / DSP_HISTORY_MAX)
#define THOUSANDTH 1000u

/* A rate and a threshold over one denominator: no division, no rounding. */
typedef unsigned __int128 u128;

/* --- one sample against the thresholds -------------------------------------------------------- */

/* PF frequency: faults per 1000 instructions in 10^-7, so 10^10 per instruction. @limit in
 * thousandths of that. */
static u128 faults_scaled(const struct policy_sample *x)
{
	return (u128)x->faults.value * (10000000000ull * THOUSANDTH);
}

/* TLB frequency: misses per 1000 instructions, limit in thousandths. */
static u128 walks_scaled(const struct policy_sample *x)
{
	return (u128)x->walks.value * (1000u * THOUSANDTH);
}

static u128 limit_scaled(const struct policy_sample *x, u64 limit)
{
	return (u128)x->instructions.value * limit;
}

static bool faults_above(const struct policy_sample *x, u64 limit)
{
	return faults_scaled(x) > limit_scaled(x, limit);
}

static bool faults_below(const struct policy_sample *x, u64 limit)
{
	return faults_scaled(x) < limit_scaled(x, limit);
}

static bool walks_above(const struct policy_sample *x, u64 limit)
{
	return walks_scaled(x) > limit_scaled(x, limit);
}

static bool walks_below(const struct policy_sample *x, u64 limit)
{
	return walks_scaled(x) < limit_scaled(x, limit);
}

/* --- history ---------------------------------------------------------------------------------- */

static void history_add(struct dsp *d, const struct policy_sample *x)
{
	unsigned at = d->taken++ % DSP_HISTORY_MAX;
	u64 ratio = mul_div(x->faults.value, (u64)PER_TEN_M * Q16_ONE, x->walks.value);

	d->walks[at] = x->walks.value;
	d->ratio[at] = MIN(ratio, RATIO_MAX);
}

struct historic {
	u64 walks; /* in all */
	u64 mean;  /* of the ratios there are */
	u64 now;   /* the newest */
};

static struct historic history_read(const struct dsp *d, u64 samples)
{
	struct historic h = {0};
	u64 sum = 0, n = 0;

	for (u64 i = 0; i < MIN(samples, d->taken); i++) {
		unsigned at = (unsigned)(d->taken - 1 - i) % DSP_HISTORY_MAX;

		if (!d->walks[at])
			continue;
		h.walks = sat_add(h.walks, d->walks[at]);
		sum += d->ratio[at];
		n++;
		if (!i)
			h.now = d->ratio[at];
	}
	h.mean = n ? sum / n : 0;
	return h;
}

/* --- the rules -------------------------------------------------------------------------------- */

static u64 ratio_limit(u64 limit) /* thousandths of 10^-7 */
{
	return mul_div(limit, Q16_ONE, THOUSANDTH);
}

static enum policy_reason rule(const struct policy_params *p, const struct policy_sample *x,
			       const struct historic *h)
{
	u64 upper = ratio_limit(p->dsp_ptu), lower = ratio_limit(p->dsp_ptl);

	if (walks_above(x, p->dsp_tlbu) && faults_below(x, mul_ppm(p->dsp_pfu, p->dsp_margin)))
		return REASON_DSP_1;
	if (faults_above(x, p->dsp_pfu) && walks_below(x, mul_ppm(p->dsp_tlbu, p->dsp_margin)))
		return REASON_DSP_2;
	if (walks_below(x, p->dsp_tlbl) && faults_below(x, p->dsp_pfl))
		return REASON_DSP_3;
	if (!h->walks || !x->walks.value)
		return REASON_DSP_4;
	if (h->mean > upper && h->now > upper)
		return REASON_DSP_5;
	if (h->mean < lower && h->now < lower)
		return REASON_DSP_6;
	return h->mean >= lower && h->mean <= upper && h->now >= lower && h->now <= upper
		       ? REASON_DSP_7
		       : REASON_DSP_8;
}

static enum policy_mode mode_of(enum policy_reason reason, enum policy_mode now)
{
	switch (reason) {
	case REASON_DSP_1:
	case REASON_DSP_6:
		return POLICY_SHADOW;
	case REASON_DSP_2:
	case REASON_DSP_4:
	case REASON_DSP_5:
		return POLICY_NESTED;
	default:
		return now;
	}
}

/* --- a period --------------------------------------------------------------------------------- */

static void add_measure(struct policy_measure *sum, const struct policy_measure *m, bool first)
{
	sum->value = sat_add(sum->value, m->value);
	sum->confidence = first ? m->confidence : MIN(sum->confidence, m->confidence);
}

static void add_tick(struct policy_sample *sum, const struct policy_sample *x)
{
	bool first = !sum->ns;

	sum->mode = x->mode;
	sum->ns = sat_add(sum->ns, x->ns);
	sum->unhalted = sat_add(sum->unhalted, x->unhalted);
	add_measure(&sum->instructions, &x->instructions, first);
	add_measure(&sum->faults, &x->faults, first);
	add_measure(&sum->walks, &x->walks, first);
}

static struct policy_decision decide(struct dsp *d, const struct policy_params *p)
{
	struct policy_decision decision = {.mode = d->sum.mode};
	struct historic h;

	switch (guard_check(&d->guard, p, &d->sum, NEEDS)) {
	case GUARD_IDLE:
		decision.reason = REASON_IDLE;
		return decision;
	case GUARD_BAD:
		decision.reason = REASON_UNKNOWN;
		return decision;
	case GUARD_TRIPPED:
		decision.reason = REASON_FAILSAFE;
		decision.mode = POLICY_NESTED;
		return decision;
	case GUARD_GOOD:
		break;
	}
	history_add(d, &d->sum);
	h = history_read(d, p->dsp_history);
	decision.reason = rule(p, &d->sum, &h);
	decision.mode = mode_of(decision.reason, d->sum.mode);
	return decision;
}

static void dsp_init(struct policy *policy, enum policy_mode mode)
{
	(void)policy;
	(void)mode; /* the samples say it */
}

static struct policy_decision dsp_tick(struct policy *policy, const struct policy_sample *x)
{
	struct dsp *d = &policy->dsp;
	struct policy_decision decision = {.reason = REASON_STAY};

	add_tick(&d->sum, x);
	if (d->sum.ns < policy->params.period) {
		decision.mode = x->mode == POLICY_SHADOW ? POLICY_SHADOW : POLICY_NESTED;
		return decision;
	}
	decision = decide(d, &policy->params);
	if (decision.mode != POLICY_SHADOW)
		decision.mode = POLICY_NESTED; /* whatever the sample called it */
	memset(&d->sum, 0, sizeof(d->sum));
	return decision;
}

const struct policy_ops policy_dsp = {.name = "dsp", .init = dsp_init, .tick = dsp_tick};
