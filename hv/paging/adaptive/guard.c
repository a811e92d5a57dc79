/* Plausibility of samples; trust lost quickly and regained slowly.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/guard.h"

#include "paging/adaptive/fixed.h"

#define CPUS_MAX	  64 /* in one guest, times the clock's highest over its nominal rate */
#define WIDEST_ISSUE	  16 /* instructions in a cycle */
#define CYCLES_PER_FAULT  64 /* no processor delivers and returns from one in fewer */
#define TRIPS_THAT_DOUBLE 6

static bool within(const struct policy_measure *m, u64 max)
{
	return measure_known(m) && m->value <= max;
}

/* The guest hardly ran: whatever the measures say, and whether they say anything, is of no use. */
static bool hardly_ran(const struct policy_params *p, const struct policy_sample *x)
{
	return x->mode < POLICY_MODES && x->ns && x->unhalted < ns_to_cycles(p, p->min_unhalted);
}

static bool plausible(const struct policy_params *p, const struct policy_sample *x, unsigned needs)
{
	u64 cycles = sat_mul(ns_to_cycles(p, x->ns), CPUS_MAX);

	if (x->mode >= POLICY_MODES || x->unhalted > MIN(cycles, MEASURE_MAX))
		return false;
	if ((needs & GUARD_INSTRUCTIONS) &&
	    !within(&x->instructions, sat_mul(x->unhalted, WIDEST_ISSUE)))
		return false;
	if ((needs & GUARD_FAULTS) && !within(&x->faults, x->unhalted / CYCLES_PER_FAULT))
		return false;
	if ((needs & GUARD_WALKS) && !within(&x->walks, x->unhalted))
		return false;
	/* Whatever runs walks page tables: none at all is a counter that stands still. */
	if ((needs & GUARD_WALK_CYCLES) &&
	    (!within(&x->walk_cycles, x->unhalted) || !x->walk_cycles.value))
		return false;
	return !(needs & GUARD_SHADOW_CYCLES) || x->mode != POLICY_SHADOW ||
	       within(&x->shadow_cycles, cycles);
}

static bool idle(const struct policy_params *p, const struct policy_sample *x)
{
	return measure_known(&x->instructions) && x->instructions.value < p->min_instructions;
}

static u64 good_needed(const struct guard *g, const struct policy_params *p)
{
	return p->trust << MIN(g->trips, TRIPS_THAT_DOUBLE);
}

static enum guard_verdict bad_sample(struct guard *g, const struct policy_params *p)
{
	g->good = 0;
	if (g->tripped)
		return GUARD_TRIPPED;
	if (++g->bad < p->distrust)
		return GUARD_BAD;
	g->tripped = true;
	return GUARD_TRIPPED;
}

enum guard_verdict guard_check(struct guard *g, const struct policy_params *p,
			       const struct policy_sample *x, unsigned needs)
{
	if (hardly_ran(p, x))
		return g->tripped ? GUARD_TRIPPED : GUARD_IDLE;
	if (!plausible(p, x, needs))
		return bad_sample(g, p);
	if (idle(p, x))
		return g->tripped ? GUARD_TRIPPED : GUARD_IDLE;
	g->bad = 0;
	if (!g->tripped)
		return GUARD_GOOD;
	if (++g->good < good_needed(g, p))
		return GUARD_TRIPPED;
	g->tripped = false;
	g->good = 0;
	if (g->trips < TRIPS_THAT_DOUBLE)
		g->trips++;
	return GUARD_GOOD;
}
