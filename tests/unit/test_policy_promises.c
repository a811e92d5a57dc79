/* The policies' promises P1 and P3 to P6 (docs/adaptive.md) on ten thousand random loads each; P2
 * is tested so in test_policy_regret.c, P7 on a whole grid in test_policy_dsp.c. Catches what the
 * few loads of those tests pass by.
 *
 * SRCS: hv/paging/adaptive/policy.c hv/paging/adaptive/dsp.c hv/paging/adaptive/regret.c
 * SRCS: hv/paging/adaptive/guard.c hv/paging/adaptive/cost.c hv/paging/adaptive/budget.c
 * SRCS: hv/paging/adaptive/window.c hv/paging/adaptive/params.c hv/paging/adaptive/sample.c
 * SRCS: hv/lib/str.c hv/lib/crc32.c tests/sim/world.c tests/sim/loads.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "../sim/loads.h"

#define TRACES	    10000u
#define TICK_CYCLES 280000000ull

static struct policy_params params;
static struct sim_random chance;

static const struct sim_costs *costs_of(unsigned i)
{
	return i & 1 ? &sim_xen : &sim_own;
}

/* --- P1, P3: constant loads ------------------------------------------------------------------- */

static struct sim_load constant_load(unsigned i)
{
	struct sim_load load = sim_random_load(1000000 + i);

	load.seconds = load.phase[0].seconds = 60;
	return load;
}

static double best_of(const struct sim_load *load, const struct sim_costs *c)
{
	return MIN(sim_static(load, c, POLICY_NESTED).seconds,
		   sim_static(load, c, POLICY_SHADOW).seconds);
}

static void watch_reverts(void *ctx, const struct policy_sample *x, const struct policy_decision *d)
{
	(void)x;
	*(unsigned *)ctx += d->reason == REASON_REVERT;
}

TEST(constant_loads_cost_what_the_better_mode_does)
{
	double worst = 0, sum = 0;
	unsigned over = 0, dear = 0, restless = 0;

	for (unsigned i = 0; i < TRACES; i++) {
		const struct sim_costs *c = costs_of(i);
		struct sim_load load = constant_load(i);
		double k = sim_switch(&load.phase[0], c, POLICY_SHADOW) + c->sh, excess;
		unsigned reverts = 0;
		struct sim_result r;

		sim_params(&params, c);
		r = sim_policy(&load, c, &sim_seen, &policy_regret, &params, i, watch_reverts,
			       &reverts);
		excess = r.seconds / best_of(&load, c) - 1;
		if (r.seconds < 100 * k)
			continue;
		sum += excess;
		worst = MAX(worst, excess);
		over += excess > 0.02;
		dear += r.switch_seconds + r.probe_seconds > 0.015 * r.seconds;
		restless += r.switches > 2 * reverts + 2;
	}
	printf("# mean %.3f %%, worst %.2f %%; %u of %u dear, %u restless\n", 100 * sum / TRACES,
	       100 * worst, dear, TRACES, restless);
	CHECK_EQ(over, 0);
	CHECK_EQ(dear, 0);
	/* Progress has noise: a verdict in so many is wrong at first. */
	CHECK(restless <= TRACES / 1000);
}

/* --- one guest, tick by tick ------------------------------------------------------------------ */

static u64 dice(u64 sides)
{
	return (u64)(sim_uniform(&chance) * (double)sides);
}

/* From 1 to @most, each size as likely. */
static u64 any(double most)
{
	return (u64)sim_log_between(&chance, 1, most);
}

static struct policy_sample tick_of(enum policy_mode mode, u64 faults, u64 walk)
{
	return (struct policy_sample){
		.mode = mode,
		.ns = 100 * NSEC_PER_MSEC,
		.unhalted = TICK_CYCLES,
		.instructions = {TICK_CYCLES, 100},
		.walks = {walk / 12, 100},
		.faults = {faults, 100},
		.walk_cycles = {walk, 100},
		.shadow_cycles = {mode == POLICY_SHADOW ? faults * 3400 : 0, 100},
		.leaves = {20000, 100},
	};
}

/* --- P4 --------------------------------------------------------------------------------------- */

#define PATIENCE 60u /* ticks */

static unsigned ticks_to_leave(enum policy_mode mode, u64 faults, u64 walk)
{
	struct policy_sample x = tick_of(mode, faults, walk);
	struct policy p;

	policy_init(&p, &policy_regret, &params, mode);
	for (unsigned i = 0; i < PATIENCE; i++)
		if (policy_tick(&p, &x).mode != mode)
			return i;
	return PATIENCE;
}

/* More page faults never bring shadow paging nearer, more walks never nested paging. */
TEST(more_of_one_cost_never_leads_to_the_mode_that_has_it)
{
	unsigned wrong = 0, moved = 0;

	chance.state = 4;
	sim_params(&params, &sim_own);
	for (unsigned i = 0; i < TRACES; i++) {
		u64 faults = any(50000), more = faults + any(50000);
		u64 walk = any(1e8), longer = walk + any(1e8);
		enum policy_mode n = POLICY_NESTED, s = POLICY_SHADOW;
		unsigned leave_n = ticks_to_leave(n, faults, walk),
			 leave_s = ticks_to_leave(s, faults, walk);

		moved += leave_n < PATIENCE || leave_s < PATIENCE;
		wrong += ticks_to_leave(n, more, walk) < leave_n;
		wrong += ticks_to_leave(s, more, walk) > leave_s;
		wrong += ticks_to_leave(n, faults, longer) > leave_n;
		wrong += ticks_to_leave(s, faults, longer) < leave_s;
	}
	CHECK_EQ(wrong, 0);
	CHECK(moved > TRACES / 4);
}

/* --- P5 --------------------------------------------------------------------------------------- */

static bool same(const struct policy_decision *a, const struct policy_decision *b)
{
	return a->mode == b->mode && a->reason == b->reason && a->probe == b->probe &&
	       a->alarm == b->alarm && a->own == b->own && a->other == b->other &&
	       a->regret == b->regret && a->switch_cost == b->switch_cost &&
	       a->gain_ppm == b->gain_ppm;
}

/* Two that see the same, one of them moved about in memory. */
TEST(same_samples_lead_to_same_decisions)
{
	static struct policy one, other, moved;
	unsigned differ = 0, switches = 0;

	chance.state = 5;
	sim_params(&params, &sim_own);
	for (unsigned i = 0; i < TRACES; i++) {
		const struct policy_ops *ops = policy_nth(i % 2);
		enum policy_mode mode = (enum policy_mode)dice(2);
		u64 faults = any(50000), walk = any(1e8);

		policy_init(&one, ops, &params, mode);
		memset(&other, 0xa5, sizeof(other));
		policy_init(&other, ops, &params, mode);
		for (unsigned t = 0; t < 80; t++) {
			struct policy_sample x = tick_of(mode, faults, walk + dice(1 + walk / 9));
			struct policy_decision a, b;

			if (!dice(30))
				faults = any(50000);
			x.progress = (struct policy_measure){100000 + dice(3000), 90};
			a = policy_tick(&one, &x);
			moved = other;
			b = policy_tick(&moved, &x);
			other = moved;
			differ += !same(&a, &b);
			switches += a.mode != mode;
			mode = a.mode;
		}
	}
	CHECK_EQ(differ, 0);
	CHECK(switches > TRACES / 4);
}

/* --- P6 --------------------------------------------------------------------------------------- */

/* A measure that a policy needs, as a broken source may give it. */
static void spoil(struct policy_sample *x, unsigned what, unsigned how, u64 tick)
{
	struct policy_measure *const m[] = {&x->walk_cycles, &x->faults, &x->instructions,
					    &x->walks};
	const struct policy_measure bad[] = {{0, 0},
					     {UINT64_MAX, 100},
					     {BIT(44) + 1, 100},
					     {-(u64)tick, 100},
					     {-1ull << 32, 90},
					     {TICK_CYCLES * 17, 100}};

	*m[what] = bad[how];
}

/* Nested, or no change; and once nested, no way back while it lasts. */
TEST(broken_measures_lead_to_nested_or_nowhere)
{
	unsigned away = 0, restless = 0, went_nested = 0;

	chance.state = 6;
	sim_params(&params, &sim_own);
	params.period = NSEC_PER_SEC;
	for (unsigned i = 0; i < TRACES; i++) {
		enum policy_mode from = (enum policy_mode)dice(2), mode = from;
		unsigned what = (unsigned)dice(2), how = (unsigned)dice(6), switches = 0;
		u64 faults = any(50000), walk = any(1e8);
		struct policy p;

		if (i % 2)
			what = 2 + what; /* what DSP needs */
		policy_init(&p, i % 2 ? &policy_dsp : &policy_regret, &params, from);
		for (unsigned t = 1; t <= 60; t++) {
			struct policy_sample x = tick_of(mode, faults, walk);
			enum policy_mode to;

			spoil(&x, what, how, t);
			to = policy_tick(&p, &x).mode;
			switches += to != mode;
			mode = to;
		}
		away += mode == POLICY_SHADOW && from == POLICY_NESTED;
		restless += switches > 1;
		went_nested += from == POLICY_SHADOW && mode == POLICY_NESTED;
	}
	CHECK_EQ(away, 0);
	CHECK_EQ(restless, 0);
	CHECK(went_nested > TRACES / 3);
}

/* Whatever is broken, and whenever: never more switches than the rate allows. */
TEST(measures_that_come_and_go_keep_the_rate)
{
	unsigned fast = 0, last_resort = 0;

	chance.state = 66;
	sim_params(&params, &sim_own);
	for (unsigned i = 0; i < TRACES; i++) {
		enum policy_mode mode = (enum policy_mode)dice(2);
		u64 faults = any(50000), walk = any(1e8), often = 1 + dice(40);
		unsigned switches = 0;
		struct policy p;

		policy_init(&p, &policy_regret, &params, mode);
		for (unsigned t = 1; t <= 120; t++) {
			struct policy_sample x = tick_of(mode, faults, walk);
			struct policy_decision d;

			if (!dice(often))
				spoil(&x, (unsigned)dice(2), (unsigned)dice(6), t);
			d = policy_tick(&p, &x);
			last_resort += d.reason == REASON_FAILSAFE && d.mode != mode;
			switches += d.mode != mode;
			mode = d.mode;
		}
		/* 12 s; the failsafe does not ask. */
		fast += switches > params.switch_burst + 12 + 1;
	}
	CHECK_EQ(fast, 0);
	CHECK(last_resort > 0);
}
