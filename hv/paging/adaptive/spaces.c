/* Modes of address spaces: see spaces.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/spaces.h"

#include "lib/str.h"
#include "paging/adaptive/fixed.h"

#define BURST_TICKS  4u /* what loads of CR3 may take beyond their share, once */
#define LATELY_TICKS 16u

void spaces_init(struct spaces *s, const struct policy_params *p)
{
	memset(s, 0, sizeof(*s));
	s->open = true;
	s->wait_ns = p->backoff_min;
}

/* --- the gate --------------------------------------------------------------------------------- */

static bool plausible(const struct policy_sample *x)
{
	return measure_known(&x->cr3_writes) && x->unhalted <= MEASURE_MAX;
}

static u64 cr3_cost(const struct policy_params *p, const struct policy_sample *x)
{
	return sat_mul(x->cr3_writes.value, p->c_cr3);
}

static u64 cr3_share(const struct policy_params *p, u64 cycles)
{
	return mul_ppm(cycles, p->as_cr3_share);
}

static bool cr3_cheap(const struct policy_params *p, const struct policy_sample *x)
{
	return plausible(x) && cr3_cost(p, x) <= cr3_share(p, x->unhalted);
}

static bool cr3_too_dear(struct spaces *s, const struct policy_params *p,
			 const struct policy_sample *x)
{
	s->cr3_debt = sat_sub(sat_add(s->cr3_debt, cr3_cost(p, x)), cr3_share(p, x->unhalted));
	return !plausible(x) ||
	       s->cr3_debt > cr3_share(p, ns_to_cycles(p, sat_mul(p->tick, BURST_TICKS)));
}

static void shut(struct spaces *s, const struct policy_params *p)
{
	u64 wait = s->wait_ns;

	memset(s, 0, sizeof(*s));
	s->closed_ns = wait;
	s->wait_ns = MIN(sat_mul(wait, 2), p->backoff_max);
}

bool spaces_open(struct spaces *s, const struct policy_params *p, const struct policy_sample *x)
{
	if (x->unhalted < ns_to_cycles(p, p->min_unhalted))
		return s->open; /* nothing to judge by */
	if (s->open && cr3_too_dear(s, p, x))
		shut(s, p);
	s->closed_ns = sat_sub(s->closed_ns, x->ns);
	if (!s->open && !s->closed_ns && cr3_cheap(p, x))
		s->open = true;
	return s->open;
}

/* --- one address space ------------------------------------------------------------------------ */

static struct space *find(struct spaces *s, u64 root)
{
	for (unsigned i = 0; i < SPACES_MAX; i++)
		if (s->space[i].used && s->space[i].root == root)
			return &s->space[i];
	return NULL;
}

static struct space *make_room(struct spaces *s, u64 root)
{
	struct space *oldest = s->space;

	for (unsigned i = 0; i < SPACES_MAX && oldest->used; i++)
		if (!s->space[i].used || s->space[i].last < oldest->last)
			oldest = &s->space[i];
	*oldest = (struct space){.root = root, .used = true};
	return oldest;
}

static void add_measure(struct policy_measure *sum, const struct policy_measure *m, bool first)
{
	sum->value = sat_add(sum->value, m->value);
	sum->confidence = first ? m->confidence : MIN(sum->confidence, m->confidence);
}

/* Counts of one mode only: what was gathered in the other is dropped. */
static void gather(struct space *a, const struct policy_sample *x)
{
	bool first = !a->sum.unhalted || a->sum.mode != x->mode;

	if (first)
		a->sum = (struct policy_sample){.mode = x->mode};
	a->sum.ns = sat_add(a->sum.ns, x->ns);
	a->sum.unhalted = sat_add(a->sum.unhalted, x->unhalted);
	add_measure(&a->sum.faults, &x->faults, first);
	add_measure(&a->sum.walk_cycles, &x->walk_cycles, first);
	add_measure(&a->sum.shadow_cycles, &x->shadow_cycles, first);
	a->sum.leaves = x->leaves;
}

/* Whose faults alone would take all of its time on the shadow has no need to be looked at: no
 * number of walks could make that pay. */
static void spare_walks(struct policy_sample *x, const struct policy_params *p,
			const struct cost_model *m)
{
	u64 faults = mul_q16(sat_mul(x->faults.value, p->c_pf), m->shadow_scale);

	if (x->mode == POLICY_NESTED && !measure_known(&x->walk_cycles) &&
	    measure_known(&x->faults) && faults > x->unhalted)
		x->walk_cycles = (struct policy_measure){1, MEASURE_CONFIDENCE};
}

/* What @a's shadow took beyond its faults while it was new. At the end that is what a switch
 * costs; beside it only faults can be a reason to leave before. */
static void fill(struct space *a, const struct policy_params *p, struct cost_model *m)
{
	u64 faults = mul_q16(sat_mul(a->sum.faults.value, p->c_pf), m->shadow_scale);
	u64 beyond = sat_sub(a->sum.shadow_cycles.value, faults);

	if (!a->filling || a->sum.mode != POLICY_SHADOW)
		return;
	a->fill = sat_add(a->fill, beyond);
	a->sum.shadow_cycles.value -= beyond;
	if (a->unhalted < a->fill_until)
		return;
	a->filling = false;
	cost_learn_switch(m, POLICY_SHADOW, measure_or_0(&a->sum.leaves), a->fill);
}

static enum policy_mode change(struct space *a, const struct policy_params *p)
{
	a->regret = 0;
	a->filling = a->mode == POLICY_NESTED;
	a->fill = 0;
	a->fill_until = sat_add(a->unhalted, ns_to_cycles(p, p->as_promote));
	return a->filling ? POLICY_SHADOW : POLICY_NESTED;
}

static void add_costs(struct space *a, const struct cost_pair *c)
{
	enum policy_mode other = a->sum.mode == POLICY_NESTED ? POLICY_SHADOW : POLICY_NESTED;

	a->cost[a->sum.mode] = sat_add(a->cost[a->sum.mode], c->own);
	a->cost[other] = sat_add(a->cost[other], c->other);
	a->lately = sat_add(a->lately, a->sum.unhalted);
}

static enum policy_mode decide(struct space *a, const struct policy_params *p, struct cost_model *m)
{
	u64 k = cost_round_trip(m, measure_or_0(&a->sum.leaves));
	struct cost_pair c;

	fill(a, p, m);
	c = cost_of(m, p, &a->sum);
	add_costs(a, &c);
	if (a->sum.mode == POLICY_SHADOW)
		cost_learn_shadow(m, p, &a->sum);
	if (a->sum.mode != a->mode) { /* it ran elsewise than asked for */
		a->mode = a->sum.mode;
		a->regret = 0;
	}
	a->regret = sat_sub(sat_add(a->regret, c.own),
			    sat_add(c.other, mul_ppm(a->sum.unhalted, p->slack)));
	if (a->regret <= mul_div(k, p->gamma, 1000))
		return a->mode;
	if (a->mode == POLICY_NESTED && a->unhalted < ns_to_cycles(p, p->as_promote))
		return POLICY_NESTED; /* young */
	return change(a, p);
}

enum policy_mode spaces_ran(struct spaces *s, const struct policy_params *p, struct cost_model *m,
			    u64 root, const struct policy_sample *x)
{
	struct guard fresh = {0};
	struct space *a;

	if (!s->open)
		return POLICY_NESTED;
	a = find(s, root);
	if (!a)
		a = make_room(s, root);
	a->last = ++s->calls;
	a->unhalted = sat_add(a->unhalted, MIN(x->unhalted, MEASURE_MAX));
	gather(a, x);
	if (a->sum.unhalted < ns_to_cycles(p, MAX(p->as_look, p->min_unhalted)))
		return a->mode;
	spare_walks(&a->sum, p, m);
	switch (guard_check(&fresh, p, &a->sum,
			    GUARD_FAULTS | GUARD_WALK_CYCLES | GUARD_SHADOW_CYCLES)) {
	case GUARD_GOOD:
		a->mode = decide(a, p, m);
		break;
	case GUARD_IDLE:
		break;
	default:
		*a = (struct space){.root = root, .last = a->last, .used = true};
	}
	a->sum = (struct policy_sample){.mode = a->mode};
	return a->mode;
}

void spaces_forget(struct spaces *s, u64 root)
{
	struct space *a = find(s, root);

	if (a)
		*a = (struct space){0};
}

/* --- all of them ------------------------------------------------------------------------------ */

void spaces_fade(struct spaces *s)
{
	for (unsigned i = 0; i < SPACES_MAX; i++) {
		struct space *a = &s->space[i];

		for (unsigned mode = 0; mode < POLICY_MODES; mode++)
			a->cost[mode] -= a->cost[mode] / LATELY_TICKS;
		a->lately -= a->lately / LATELY_TICKS;
	}
}

bool spaces_differ(const struct spaces *s, const struct policy_params *p)
{
	u64 all[POLICY_MODES] = {0}, each = 0, time = 0;

	for (unsigned i = 0; i < SPACES_MAX; i++) {
		const struct space *a = &s->space[i];

		for (unsigned mode = 0; mode < POLICY_MODES; mode++)
			all[mode] = sat_add(all[mode], a->cost[mode]);
		each = sat_add(each, MIN(a->cost[POLICY_NESTED], a->cost[POLICY_SHADOW]));
		time = sat_add(time, a->lately);
	}
	return MIN(all[POLICY_NESTED], all[POLICY_SHADOW]) > sat_add(each, mul_ppm(time, p->slack));
}
