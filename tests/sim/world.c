/* The world of phases: see world.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "world.h"

#include <math.h>
#include <string.h>

#define HZ (SIM_KHZ * 1000.0)

/* --- chance: the same everywhere -------------------------------------------------------------- */

static u64 next(struct sim_random *r)
{
	u64 z = r->state += 0x9e3779b97f4a7c15ull; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

double sim_uniform(struct sim_random *r)
{
	return (double)(next(r) >> 11) / (double)BIT(53);
}

double sim_between(struct sim_random *r, double a, double b)
{
	return a + (b - a) * sim_uniform(r);
}

double sim_log_between(struct sim_random *r, double a, double b)
{
	return a * pow(b / a, sim_uniform(r));
}

/* Sum of twelve: no tail beyond six sigmas, and no library function. */
double sim_normal(struct sim_random *r)
{
	double sum = -6;

	for (unsigned i = 0; i < 12; i++)
		sum += sim_uniform(r);
	return sum;
}

/* --- costs ------------------------------------------------------------------------------------ */

unsigned sim_ticks(const struct sim_load *load)
{
	return (unsigned)(load->seconds / SIM_TICK + 0.5);
}

const struct sim_phase *sim_phase_at(const struct sim_load *load, unsigned tick)
{
	double cycle = 0, t;
	unsigned i;

	for (i = 0; i < load->n; i++)
		cycle += load->phase[i].seconds;
	t = fmod(tick * SIM_TICK + SIM_TICK / 2, cycle);
	for (i = 0; i + 1 < load->n && t >= load->phase[i].seconds; i++)
		t -= load->phase[i].seconds;
	return &load->phase[i];
}

double sim_walks(const struct sim_phase *ph, const struct sim_costs *c, enum policy_mode mode)
{
	double walk = (ph->walk > 0 ? ph->walk : c->walk) * ph->miss * SIM_TICK;

	return mode == POLICY_SHADOW ? walk : walk / ph->rho;
}

double sim_overhead(const struct sim_phase *ph, const struct sim_costs *c, enum policy_mode mode)
{
	double exits = c->pf * ph->pf + c->exit * (ph->cr3 + ph->invlpg) + ph->exits;

	return sim_walks(ph, c, mode) + (mode == POLICY_SHADOW ? exits * SIM_TICK : 0);
}

double sim_switch(const struct sim_phase *ph, const struct sim_costs *c, enum policy_mode to)
{
	return to == POLICY_SHADOW ? c->hs + c->hs_page * ph->pages : c->sh;
}

struct sim_result sim_static(const struct sim_load *load, const struct sim_costs *c,
			     enum policy_mode mode)
{
	struct sim_result res = {0};

	for (unsigned i = 0; i < sim_ticks(load); i++) {
		res.native += SIM_TICK;
		res.seconds += SIM_TICK + sim_overhead(sim_phase_at(load, i), c, mode);
	}
	return res;
}

/* Two states, forward. */
struct sim_result sim_optimum(const struct sim_load *load, const struct sim_costs *c)
{
	struct sim_result best[POLICY_MODES] = {{0}, {.seconds = INFINITY}};

	for (unsigned i = 0; i < sim_ticks(load); i++) {
		const struct sim_phase *ph = sim_phase_at(load, i);
		struct sim_result was[POLICY_MODES];

		memcpy(was, best, sizeof(was));
		for (unsigned m = 0; m < POLICY_MODES; m++) {
			double k = sim_switch(ph, c, (enum policy_mode)m);

			if (was[!m].seconds + k < was[m].seconds) {
				best[m] = was[!m];
				best[m].seconds += k;
				best[m].switch_seconds += k;
				best[m].switches++;
			}
			best[m].native += SIM_TICK;
			best[m].seconds += SIM_TICK + sim_overhead(ph, c, (enum policy_mode)m);
		}
	}
	return best[best[1].seconds < best[0].seconds];
}

/* --- a policy in it --------------------------------------------------------------------------- */

static u64 cycles(double seconds)
{
	return seconds > 0 ? (u64)(seconds * HZ) : 0;
}

static struct policy_measure known(double value)
{
	return (struct policy_measure){value > 0 ? (u64)value : 0, 100};
}

/* Page faults as windows of #PF interception would count them. */
static double seen_faults(const struct sim_phase *ph, const struct sim_sight *s,
			  struct sim_random *r)
{
	double duty, caught;

	if (!(s->window_faults > 0) || ph->pf <= s->window_faults)
		return ph->pf * SIM_TICK;
	duty = s->window_faults / ph->pf;
	caught = ph->pf * SIM_TICK * duty;
	return (caught + sqrt(caught) * sim_normal(r)) / duty;
}

#define DRIFT_STAYS 0.95 /* of it, each tick */

/* What a policy sees through. */
struct observer {
	const struct sim_sight *sight;
	struct sim_random chance;
	double drift; /* of progress */
};

static double seen_progress(struct observer *o)
{
	const struct sim_sight *s = o->sight;

	o->drift = DRIFT_STAYS * o->drift +
		   sqrt(1 - DRIFT_STAYS * DRIFT_STAYS) * s->progress_drift * sim_normal(&o->chance);
	return 1 + o->drift + s->progress_noise * sim_normal(&o->chance);
}

static struct policy_sample observe(struct observer *o, const struct sim_phase *ph,
				    const struct sim_costs *c, enum policy_mode mode,
				    double switched)
{
	const struct sim_sight *s = o->sight;
	struct sim_random *r = &o->chance;
	double scale = s->walk_scale *
		       (mode == POLICY_SHADOW && s->shadow_scale > 0 ? s->shadow_scale : 1);
	double walk = sim_walks(ph, c, mode), exits = sim_overhead(ph, c, mode) - walk;
	double work = SIM_TICK * HZ;
	struct policy_sample x = {.mode = mode};

	x.ns = (u64)((SIM_TICK + walk + exits + switched) * NSEC_PER_SEC);
	x.unhalted = cycles(SIM_TICK + walk);
	x.instructions = known(work);
	x.walks =
		known((mode == POLICY_NESTED && ph->nested_miss > 0 ? ph->nested_miss : ph->miss) *
		      SIM_TICK);
	x.faults = known(seen_faults(ph, s, r));
	x.walk_cycles = known((double)cycles(walk) * scale * (1 + s->walk_noise * sim_normal(r)));
	x.walk_cycles.value = MIN(MAX(x.walk_cycles.value, 1), x.unhalted);
	x.shadow_cycles = known((double)cycles(exits) * (1 + s->walk_noise * sim_normal(r)));
	x.leaves = known(ph->pages);
	if (ph->cr3 > 0)
		x.cr3_writes = known(ph->cr3 * SIM_TICK);
	if (ph->invlpg > 0)
		x.invlpgs = known(ph->invlpg * SIM_TICK);
	if (s->progress_noise > 0)
		x.progress = known(work * seen_progress(o));
	if (switched > 0)
		x.switch_cycles = known((double)cycles(switched));
	return x;
}

/* Time lost in trials: what the ticks on probation cost more than the other mode would have, and
 * the switches, once they are taken back. */
struct probation {
	double lost;
	bool on;
};

static void probation_tick(struct probation *t, struct sim_result *res, double excess, double k,
			   const struct policy_decision *d)
{
	t->lost = t->on ? t->lost + excess : 0;
	if (d->reason == REASON_REVERT)
		res->probe_seconds += t->lost + k;
	if (d->probe && !t->on)
		t->lost = k;
	t->on = d->probe;
}

struct sim_result sim_policy(const struct sim_load *load, const struct sim_costs *c,
			     const struct sim_sight *sight, const struct policy_ops *ops,
			     const struct policy_params *params, u64 seed, sim_watch_fn *watch,
			     void *ctx)
{
	struct observer o = {.sight = sight, .chance = {seed}};
	struct sim_result res = {0};
	struct probation trial = {0};
	enum policy_mode mode = POLICY_NESTED;
	double switched = 0;
	struct policy p;

	policy_init(&p, ops, params, mode);
	for (unsigned i = 0; i < sim_ticks(load); i++) {
		const struct sim_phase *ph = sim_phase_at(load, i);
		struct policy_sample x = observe(&o, ph, c, mode, switched);
		double own = sim_overhead(ph, c, mode);
		struct policy_decision d = policy_tick(&p, &x);

		res.native += SIM_TICK;
		res.seconds += SIM_TICK + own;
		switched = d.mode == mode ? 0 : sim_switch(ph, c, d.mode);
		probation_tick(&trial, &res,
			       MAX(own - sim_overhead(ph, c, (enum policy_mode) !mode), 0),
			       switched, &d);
		if (watch)
			watch(ctx, &x, &d);
		if (d.mode == mode)
			continue;
		res.seconds += switched;
		res.switch_seconds += switched;
		res.switches++;
		mode = d.mode;
	}
	return res;
}
