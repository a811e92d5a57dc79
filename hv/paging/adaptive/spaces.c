/* Modes of address spaces: see spaces.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/spaces.h"

#include "lib/str.h"
#include "paging/adaptive/fixed.h"

void spaces_init(struct spaces *s, const struct policy_params *p)
{
	memset(s, 0, sizeof(*s));
	s->open = true;
	s->wait_ns = p->backoff_min;
}

/* --- the gate --------------------------------------------------------------------------------- */

static bool cr3_too_dear(const struct policy_params *p, const struct policy_sample *x)
{
	return !measure_known(&x->cr3_writes) || x->unhalted > MEASURE_MAX ||
	       sat_mul(x->cr3_writes.value, p->c_cr3) > mul_ppm(x->unhalted, p->as_cr3_share);
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
	if (s->open && cr3_too_dear(p, x))
		shut(s, p);
	s->closed_ns = sat_sub(s->closed_ns, x->ns);
	if (!s->open && !s->closed_ns && !cr3_too_dear(p, x))
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

static enum policy_mode decide(struct space *a, const struct policy_params *p, struct cost_model *m)
{
	struct cost_pair c = cost_of(m, p, &a->sum);
	u64 k = cost_round_trip(m, measure_or_0(&a->sum.leaves));

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
	a->regret = 0;
	return a->mode == POLICY_NESTED ? POLICY_SHADOW : POLICY_NESTED;
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
