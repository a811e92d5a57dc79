/* The cost model: see cost.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/cost.h"

#include "paging/adaptive/fixed.h"
#include "paging/adaptive/guard.h"

#define SCALE_MIN	 (Q16_ONE / 16)
#define SCALE_MAX	 (Q16_ONE * 16)
#define SHADOW_WEIGHT	 5   /* one part in five of each tick's news */
#define SHADOW_SHARE_PPM 500 /* of the time; less tells nothing about the scale */
#define LEARNED_DOUBT	 (Q16_ONE * 5 / 4)
#define RHO_DOUBT	 (Q16_ONE * 3 / 2)
#define SIGNAL_TO_NOISE	 2
#define LEAF_MAX	 1000000000ull

static u32 decimal_q16(u64 thousandths)
{
	return (u32)mul_div(thousandths, Q16_ONE, 1000);
}

void cost_init(struct cost_model *m, const struct policy_params *p)
{
	*m = (struct cost_model){
		.rho_min = MAX(decimal_q16(p->rho_min), 1),
		.rho_max = MAX(decimal_q16(p->rho_max), 1),
		.walk_scale = Q16_ONE,
		.shadow_scale = Q16_ONE,
		.k_hs = p->k_hs,
		.k_sh = p->k_sh,
		.k_leaf = p->k_leaf,
	};
	m->rho_max = MAX(m->rho_max, m->rho_min);
	m->rho = MIN(MAX(decimal_q16(p->rho), m->rho_min), m->rho_max);
}

/* --- costs of a tick -------------------------------------------------------------------------- */

/* What the tick's events would cost in shadow paging, before scaling. */
static u64 shadow_events(const struct policy_params *p, const struct policy_sample *x)
{
	u64 sum = sat_mul(x->faults.value, p->c_pf);

	sum = sat_add(sum, sat_mul(measure_or_0(&x->cr3_writes), p->c_cr3));
	sum = sat_add(sum, sat_mul(measure_or_0(&x->invlpgs), p->c_invlpg));
	return sat_add(sum, sat_mul(measure_or_0(&x->table_writes), p->c_ptw));
}

static struct cost_pair nested_costs(const struct cost_model *m, const struct policy_params *p,
				     const struct policy_sample *x, u64 doubt)
{
	u64 walk = mul_q16(x->walk_cycles.value, m->walk_scale);
	u64 exits = mul_q16(shadow_events(p, x), m->shadow_scale);
	u32 low_rho = (u32)div_q16(m->rho, m->rho_learned ? LEARNED_DOUBT : RHO_DOUBT);
	u64 most_walk = MIN(mul_q16(walk, doubt), x->unhalted);
	u64 gain, least_exits;

	low_rho = MAX(low_rho, m->rho_min);
	gain = sat_sub(most_walk, mul_q16(most_walk, low_rho));
	least_exits = div_q16(exits, m->shadow_learned ? LEARNED_DOUBT : 2 * Q16_ONE);
	return (struct cost_pair){
		.own = walk,
		.other = sat_add(mul_q16(walk, m->rho), exits),
		.best_other = sat_sub(sat_add(walk, least_exits), gain),
	};
}

static struct cost_pair shadow_costs(const struct cost_model *m, const struct policy_sample *x,
				     u64 doubt)
{
	u64 walk = mul_q16(x->walk_cycles.value, m->walk_scale);
	u32 high_rho = (u32)mul_q16(m->rho, m->rho_learned ? LEARNED_DOUBT : RHO_DOUBT);
	u64 least_walk = div_q16(walk, doubt);
	u64 loss;

	high_rho = MIN(high_rho, m->rho_max);
	loss = sat_sub(div_q16(least_walk, high_rho), least_walk);
	return (struct cost_pair){
		.own = sat_add(walk, x->shadow_cycles.value),
		.other = div_q16(walk, m->rho),
		.best_other = sat_add(walk, loss),
	};
}

struct cost_pair cost_of(const struct cost_model *m, const struct policy_params *p,
			 const struct policy_sample *x)
{
	u64 doubt = m->walk_learned ? LEARNED_DOUBT : mul_div(p->doubt, Q16_ONE, 1000);

	return x->mode == POLICY_SHADOW ? shadow_costs(m, x, doubt) : nested_costs(m, p, x, doubt);
}

/* --- switches --------------------------------------------------------------------------------- */

u64 cost_round_trip(const struct cost_model *m, u64 leaves)
{
	return sat_add(sat_add(m->k_hs, m->k_sh), mul_div(leaves, m->k_leaf, 1000));
}

void cost_learn_switch(struct cost_model *m, enum policy_mode to, u64 leaves, u64 cycles)
{
	u64 per_leaf;

	if (to == POLICY_NESTED) {
		m->k_sh = (m->k_sh + cycles) / 2;
		return;
	}
	if (cycles <= m->k_hs || leaves < 1000) {
		m->k_hs = (m->k_hs + MIN(cycles, 2 * m->k_hs)) / 2;
		return;
	}
	per_leaf = mul_div(cycles - m->k_hs, 1000, leaves);
	m->k_leaf = (m->k_leaf + MIN(per_leaf, LEAF_MAX)) / 2;
}

/* --- learning --------------------------------------------------------------------------------- */

static u32 mix(u32 old, u32 news, u32 weight)
{
	return (u32)(((u64)old * (weight - 1) + news) / weight);
}

void cost_learn_shadow(struct cost_model *m, const struct policy_params *p,
		       const struct policy_sample *x)
{
	u64 events = shadow_events(p, x);

	if (events < mul_ppm(x->unhalted, SHADOW_SHARE_PPM))
		return;
	m->shadow_scale =
		mix(m->shadow_scale,
		    ratio_q16(x->shadow_cycles.value, events, SCALE_MIN, SCALE_MAX), SHADOW_WEIGHT);
	m->shadow_learned = true;
}

/* @cycles of @w for as much progress as @unit has. */
static u64 per_work(u64 cycles, const struct window *w, const struct window *unit)
{
	return mul_div(cycles, unit->progress, w->progress);
}

void cost_learn_windows(struct cost_model *m, const struct window *nested,
			const struct window *shadow, u64 noise_ppm)
{
	u64 busy = per_work(shadow->busy, shadow, nested);
	u64 walk = per_work(shadow->walk, shadow, nested);
	u64 exits = per_work(shadow->shadow, shadow, nested);
	u64 saved, real;

	if (!nested->progress || !shadow->progress || MAX(MAX(busy, walk), exits) == UINT64_MAX)
		return;
	if (walk && nested->walk) {
		m->rho = mix(m->rho, ratio_q16(walk, nested->walk, m->rho_min, m->rho_max), 2);
		m->rho_learned = true;
	}
	/* Time saved is walks saved less exits: what the walks really were. */
	saved = sat_sub(nested->walk, walk);
	real = sat_sub(sat_add(nested->busy, exits), busy);
	if (mul_ppm(nested->busy, sat_mul(SIGNAL_TO_NOISE, noise_ppm)) > saved)
		return;
	m->walk_scale = mix(m->walk_scale, ratio_q16(real, saved, SCALE_MIN, SCALE_MAX), 2);
	m->walk_learned = true;
}
