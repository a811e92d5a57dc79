/* The regret policy: see regret.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/policy.h"

#include "paging/adaptive/fixed.h"

#define NEEDS (GUARD_FAULTS | GUARD_WALK_CYCLES | GUARD_SHADOW_CYCLES)

/* Offsets that keep small rates from looking like large changes. */
#define FAULTS_FLOOR   30u   /* a second */
#define WALK_FLOOR_PPM 1000u /* of the time */

#define COUNTED 60 /* percent; estimates have less */

#define BACK_OFF_SURE	4 /* a verdict beyond noise */
#define BACK_OFF_UNSURE 2

static enum policy_mode other_mode(enum policy_mode mode)
{
	return mode == POLICY_SHADOW ? POLICY_NESTED : POLICY_SHADOW;
}

/* --- has the load changed? -------------------------------------------------------------------- */

/* Thousandths of a natural logarithm as a binary one in Q16. */
static u32 log2_units(u64 thousandths)
{
	return (u32)mul_div(thousandths, 94548, 1000); /* 65536 / ln 2 */
}

/* All channels take each tick, so that one alarm does not leave the others behind. */
static bool load_changed(struct regret *r, const struct policy_params *p,
			 const struct policy_sample *x)
{
	u32 drift = log2_units(p->cusum_drift), h = log2_units(p->cusum_h);
	u64 faults = mul_div(x->faults.value, p->khz * 1000, x->unhalted);
	u64 walk = mul_div(x->walk_cycles.value, MILLION, x->unhalted);
	bool alarm = cusum_add(&r->faults, log2_q16(sat_add(faults, FAULTS_FLOOR)), drift, h);

	/* Estimates jump: each alarm would end the back-off. */
	if (x->walk_cycles.confidence >= COUNTED)
		alarm |= cusum_add(&r->walks, log2_q16(sat_add(walk, WALK_FLOOR_PPM)), drift, h);
	if (measure_known(&x->spaces)) {
		alarm |= r->spaces && x->spaces.value != r->spaces;
		r->spaces = x->spaces.value;
	}
	return alarm;
}

static void new_phase(struct regret *r, const struct policy_params *p)
{
	cusum_reset(&r->faults);
	cusum_reset(&r->walks);
	r->window = (struct window){0};
	r->vetoed = false;
	budget_new_phase(&r->budget, p, r->now_ns);
}

#define LONG_RUN 256 /* ticks */

static void remember(struct regret *r, const struct policy_sample *x, const struct cost_pair *c)
{
	s64 excess = (s64)MIN(c->own, x->unhalted) - (s64)MIN(c->other, x->unhalted);

	r->long_run -= r->long_run / LONG_RUN;
	r->long_run += x->mode == POLICY_NESTED ? excess : -excess;
}

static enum policy_mode cheaper_mode(const struct regret *r)
{
	return r->long_run > 0 ? POLICY_SHADOW : POLICY_NESTED;
}

/* --- switches --------------------------------------------------------------------------------- */

/* Ask for the other mode. */
static void ask_switch(struct regret *r, struct policy_decision *d, enum policy_mode to,
		       enum policy_reason reason)
{
	d->mode = to;
	d->reason = reason;
	r->wanted = true;
}

/* The mode that runs is not that of the last tick: it was asked for, or came from elsewhere. */
static void mode_changed(struct regret *r, const struct policy_params *p,
			 const struct policy_sample *x)
{
	if (!r->wanted)
		r->trial.active = r->vetoed = false;
	budget_switched(&r->budget);
	if (measure_known(&x->switch_cycles))
		cost_learn_switch(&r->cost, x->mode, measure_or_0(&x->leaves),
				  x->switch_cycles.value);
	r->mode = x->mode;
	r->sum = 0;
	r->settle = (u32)p->settle;
	r->window = (struct window){0};
	cusum_reset(&r->walks); /* W means something else here */
}

/* --- trials ----------------------------------------------------------------------------------- */

static void start_trial(struct regret *r, const struct policy_sample *x, bool explore)
{
	r->trial = (struct trial){.active = measure_known(&x->progress) && r->window.n,
				  .explore = explore,
				  .old = r->window};
}

enum verdict { UNDECIDED, BETTER, WORSE, LIKE };

static enum verdict judge(const struct regret *r, const struct policy_params *p, s64 gain,
			  u64 noise)
{
	u64 size = (u64)(gain < 0 ? -gain : gain);
	bool sure = size > noise && size > p->gain_min;

	/* Early on only what is far beyond noise. */
	if (r->window.n < p->window)
		return sure && gain < 0 && size > 2 * noise && r->window.n > 1 ? WORSE : UNDECIDED;
	if (sure)
		return gain > 0 ? BETTER : WORSE;
	return r->window.n < p->window_max ? UNDECIDED : LIKE;
}

/* No verdict in the time there is: what the model advised stays unless it looks worse by about one
 * sigma, what it advised against goes. */
static bool keep_undecided(const struct regret *r, s64 gain, u64 noise)
{
	return !r->trial.explore && gain > -(s64)MIN(noise / 3, MILLION);
}

static void learn_from(struct regret *r, u64 noise)
{
	if (r->mode == POLICY_SHADOW)
		cost_learn_windows(&r->cost, &r->trial.old, &r->window, noise);
	else
		cost_learn_windows(&r->cost, &r->window, &r->trial.old, noise);
}

static void end_trial(struct regret *r, const struct policy_params *p, struct policy_decision *d,
		      bool keep, bool sure)
{
	enum policy_mode best = keep ? r->mode : other_mode(r->mode);
	u64 lost = sat_add(r->trial.lost, d->switch_cost);

	r->trial.active = false;
	d->probe = false;
	budget_back_off(&r->budget, p, r->now_ns, best == r->verdict,
			sure ? BACK_OFF_SURE : BACK_OFF_UNSURE);
	r->verdict = best;
	if (keep) {
		r->vetoed = false;
		d->reason = REASON_KEEP;
		return;
	}
	if (d->gain_ppm < 0)
		lost = sat_add(lost, mul_ppm(r->window.busy, (u64)-d->gain_ppm));
	budget_charge(&r->budget, p, lost);
	r->budget.free_trial = false;
	r->vetoed = true;
	ask_switch(r, d, best, REASON_REVERT);
}

/* No verdict. Counts that differ between the modes for ever would make all trials end so: the next
 * one waits as after any other. */
static void void_trial(struct regret *r, const struct policy_params *p, struct policy_decision *d)
{
	r->trial.active = false;
	d->probe = false;
	d->reason = REASON_VOID;
	budget_charge(&r->budget, p, sat_add(r->trial.lost, d->switch_cost));
	budget_back_off(&r->budget, p, r->now_ns, true, BACK_OFF_UNSURE);
}

static void trial_tick(struct regret *r, const struct policy_params *p,
		       const struct policy_sample *x, struct policy_decision *d)
{
	u64 noise = noise_of(&r->noise, p, r->trial.old.n, r->window.n);
	enum verdict v;

	if (!measure_known(&x->progress) || window_other_load(&r->trial.old, &r->window)) {
		void_trial(r, p, d);
		return;
	}
	d->gain_ppm = window_gain(&r->trial.old, &r->window);
	v = judge(r, p, d->gain_ppm, noise);
	d->reason = REASON_TRIAL;
	if (v == UNDECIDED)
		return;
	learn_from(r, noise);
	end_trial(r, p, d, v == BETTER || (v == LIKE && keep_undecided(r, d->gain_ppm, noise)),
		  v != LIKE);
}

/* --- outside of trials ------------------------------------------------------------------------ */

static bool regret_is_due(const struct regret *r, const struct policy_params *p, u64 k)
{
	if (r->sum <= mul_div(k, p->gamma, 1000))
		return false;
	if (r->vetoed && r->now_ns < r->budget.next_ns)
		return false;
	return r->budget.free_trial || r->budget.tokens >= 0;
}

/* Worth a look although the model is against it: long enough since the last one, paid for, and the
 * gain possible if the model errs. */
static bool look_is_due(const struct regret *r, const struct policy_params *p,
			const struct policy_sample *x, const struct cost_pair *c, u64 k)
{
	u64 loss = sat_mul(sat_sub(c->other, c->own), p->window + p->settle);

	return measure_known(&x->progress) && r->window.n >= p->window &&
	       r->now_ns >= r->budget.next_ns && r->budget.tokens > 0 &&
	       (u64)r->budget.tokens >= sat_add(k, loss) &&
	       sat_add(c->best_other, mul_ppm(x->unhalted, p->slack)) < c->own;
}

static void quiet_tick(struct regret *r, const struct policy_params *p,
		       const struct policy_sample *x, const struct cost_pair *c,
		       struct policy_decision *d)
{
	enum policy_mode to = other_mode(r->mode);
	u64 bearable = sat_add(c->other, mul_ppm(x->unhalted, p->slack));
	bool due;

	r->sum = sat_sub(sat_add(r->sum, c->own), bearable);
	d->regret = r->sum;
	if (!budget_can_switch(&r->budget, to == cheaper_mode(r)))
		return;
	due = regret_is_due(r, p, d->switch_cost);
	if (!due && !look_is_due(r, p, x, c, d->switch_cost))
		return;
	start_trial(r, x, !due);
	d->probe = r->trial.active;
	ask_switch(r, d, to, due ? REASON_REGRET : REASON_EXPLORE);
}

/* --- the tick --------------------------------------------------------------------------------- */

static void settle_tick(struct regret *r, const struct policy_sample *x, struct policy_decision *d)
{
	r->settle--;
	if (x->mode == POLICY_SHADOW)
		r->trial.lost = sat_add(r->trial.lost, x->shadow_cycles.value);
	d->reason = REASON_SETTLE;
}

static void take_progress(struct regret *r, const struct policy_sample *x)
{
	if (!measure_known(&x->progress)) {
		r->window = (struct window){0}; /* its unit may be another from here on */
		return;
	}
	noise_add(&r->noise, &r->window, x);
	window_add(&r->window, x);
}

static void good_tick(struct regret *r, const struct policy_params *p,
		      const struct policy_sample *x, struct policy_decision *d)
{
	struct cost_pair c = cost_of(&r->cost, p, x);

	d->own = c.own;
	d->other = c.other;
	d->probe = r->trial.active;
	if (r->settle) {
		settle_tick(r, x, d);
		return;
	}
	if (x->mode == POLICY_SHADOW)
		cost_learn_shadow(&r->cost, p, x);
	d->alarm = load_changed(r, p, x);
	if (d->alarm) {
		new_phase(r, p);
		d->reason = r->trial.active ? REASON_VOID : REASON_STAY;
		d->probe = r->trial.active = false;
	}
	take_progress(r, x);
	remember(r, x, &c);
	if (r->trial.active)
		trial_tick(r, p, x, d);
	else
		quiet_tick(r, p, x, &c, d);
}

/* The guard did not let @x pass. */
static void poor_tick(struct regret *r, enum guard_verdict v, struct policy_decision *d)
{
	if (v == GUARD_IDLE) {
		d->reason = REASON_IDLE;
	} else if (v == GUARD_BAD) {
		d->reason = REASON_UNKNOWN;
	} else {
		r->trial.active = r->vetoed = false;
		r->sum = 0;
		ask_switch(r, d, POLICY_NESTED, REASON_FAILSAFE);
	}
}

static void regret_init(struct policy *policy, enum policy_mode mode)
{
	struct regret *r = &policy->regret;

	r->mode = r->verdict = mode;
	cost_init(&r->cost, &policy->params);
	budget_init(&r->budget, &policy->params);
	noise_init(&r->noise, &policy->params);
}

static struct policy_decision regret_tick(struct policy *policy, const struct policy_sample *x)
{
	struct regret *r = &policy->regret;
	const struct policy_params *p = &policy->params;
	enum guard_verdict v = guard_check(&r->guard, p, x, NEEDS);
	struct policy_decision d = {.mode = r->mode};

	r->now_ns = sat_add(r->now_ns, MIN(x->ns, 3600 * NSEC_PER_SEC));
	d.switch_cost = cost_round_trip(&r->cost, measure_or_0(&x->leaves));
	if (x->mode < POLICY_MODES && x->mode != r->mode)
		mode_changed(r, p, x);
	else if (r->wanted)
		r->trial.active = false; /* the switch was not made */
	d.mode = r->mode;
	r->wanted = false;
	if (v != GUARD_GOOD) {
		poor_tick(r, v, &d);
		return d;
	}
	budget_tick(&r->budget, p, x->ns, x->unhalted, d.switch_cost);
	good_tick(r, p, x, &d);
	return d;
}

const struct policy_ops policy_regret = {
	.name = "regret", .init = regret_init, .tick = regret_tick};
