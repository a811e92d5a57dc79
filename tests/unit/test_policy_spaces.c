/* Modes of address spaces: catches a process that never gets the mode it needs, a young or short
 * one that gets a shadow, a fault burst that stays in shadow, a gate that stays open although CR3
 * writes cost too much or opens and shuts again at once, a table that mixes address spaces up.
 *
 * SRCS: hv/paging/adaptive/spaces.c hv/paging/adaptive/policy.c hv/paging/adaptive/dsp.c
 * SRCS: hv/paging/adaptive/regret.c hv/paging/adaptive/guard.c hv/paging/adaptive/cost.c
 * SRCS: hv/paging/adaptive/budget.c hv/paging/adaptive/window.c hv/paging/adaptive/params.c
 * SRCS: hv/paging/adaptive/sample.c hv/lib/str.c hv/lib/crc32.c
 * SRCS: tests/sim/world.c tests/sim/loads.c tests/sim/mix.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "../sim/loads.h"
#include "../sim/mix.h"
#include "paging/adaptive/fixed.h"
#include "paging/adaptive/spaces.h"

#define RUN_CYCLES 28000000ull /* 10 ms */

static struct policy_params params;
static struct cost_model model;
static struct spaces spaces;

static void start(void)
{
	sim_params(&params, &sim_own);
	cost_init(&model, &params);
	spaces_init(&spaces, &params);
}

static struct policy_sample run_of(enum policy_mode mode, u64 faults, u64 walk, u64 shadow)
{
	return (struct policy_sample){.mode = mode,
				      .ns = 10 * NSEC_PER_MSEC,
				      .unhalted = RUN_CYCLES,
				      .faults = {faults, 100},
				      .walk_cycles = {walk, 100},
				      .shadow_cycles = {mode == POLICY_SHADOW ? shadow : 0, 100},
				      .leaves = {10000, 100}};
}

/* @n runs of @root, obeyed; the mode at the end. */
static enum policy_mode runs(u64 root, enum policy_mode mode, unsigned n, u64 faults, u64 walk)
{
	while (n--) {
		struct policy_sample x = run_of(mode, faults, walk, faults * 3400);

		mode = spaces_ran(&spaces, &params, &model, root, &x);
	}
	return mode;
}

static struct policy_sample whole_guest(u64 cr3_writes)
{
	return (struct policy_sample){
		.ns = 100 * NSEC_PER_MSEC, .unhalted = 280000000, .cr3_writes = {cr3_writes, 100}};
}

TEST(two_processes_beat_any_mode_of_the_whole_guest)
{
	static const struct sim_costs *const costs[] = {&sim_xen, &sim_own};
	static const double quantum[] = {1e-3, 5e-3, 10e-3}, scale[] = {1, 0.5, 2};

	for (unsigned i = 0; i < ARRAY_SIZE(costs) * ARRAY_SIZE(quantum) * ARRAY_SIZE(scale); i++) {
		const struct sim_costs *c = costs[i % 2];
		struct sim_mix mix = {
			{sim_named[0].phase[0], sim_named[1].phase[0]}, quantum[i / 2 % 3], 400};
		struct sim_sight sight = sim_seen;
		struct sim_result n = mix_static(&mix, c, POLICY_NESTED),
				  s = mix_static(&mix, c, POLICY_SHADOW), r;
		double best = MIN(n.seconds, s.seconds);

		sight.walk_scale = scale[i / 6];
		sim_params(&params, c);
		r = mix_spaces(&mix, c, &sight, &params, i);
		printf("# %s, %.0f ms, W x%.1f: nested %.2f %%, shadow %.2f %%, each its own %.2f "
		       "%%, "
		       "%u switches\n",
		       c->name, mix.quantum * 1000, sight.walk_scale,
		       100 * (n.seconds / n.native - 1), 100 * (s.seconds / s.native - 1),
		       100 * (r.seconds / r.native - 1), r.switches);
		/* 15 % of the overhead. */
		CHECK(r.seconds - r.native < 0.85 * (best - r.native));
		CHECK(r.switches <= 3);
	}
}

TEST(promoted_after_its_youth)
{
	start();
	CHECK_EQ(runs(0x1000, POLICY_NESTED, 19, 10, 8000000), POLICY_NESTED);
	CHECK_EQ(runs(0x1000, POLICY_NESTED, 1, 10, 8000000), POLICY_SHADOW);
	/* Short-lived ones never. */
	for (u64 root = 0x10000; root < 0x80000; root += 0x1000)
		CHECK_EQ(runs(root, POLICY_NESTED, 19, 10, 8000000), POLICY_NESTED);
}

TEST(short_runs_add_up)
{
	struct policy_sample x = run_of(POLICY_NESTED, 1, 800000, 0);
	unsigned n = 0;

	x.ns /= 10;
	x.unhalted /= 10;
	start();
	while (n < 1000 && spaces_ran(&spaces, &params, &model, 0x1000, &x) == POLICY_NESTED)
		n++;
	CHECK_EQ(n, 199);
}

TEST(without_gain_never_promoted)
{
	start();
	CHECK_EQ(runs(0x1000, POLICY_NESTED, 2000, 3000, 1000000), POLICY_NESTED);
	CHECK_EQ(runs(0x2000, POLICY_NESTED, 2000, 0, 10000), POLICY_NESTED);
}

TEST(burst_of_faults_demotes_at_once)
{
	start();
	CHECK_EQ(runs(0x1000, POLICY_NESTED, 20, 10, 8000000), POLICY_SHADOW);
	CHECK_EQ(runs(0x1000, POLICY_SHADOW, 100, 10, 3600000), POLICY_SHADOW);
	CHECK_EQ(runs(0x1000, POLICY_SHADOW, 1, 3000, 3600000), POLICY_NESTED);
}

TEST(address_spaces_do_not_mix)
{
	start();
	for (unsigned i = 0; i < 20; i++)
		for (u64 root = 0x1000; root <= SPACES_MAX * 0x1000; root += 0x1000)
			CHECK_EQ(runs(root, POLICY_NESTED, 1, 10, root & 0x1000 ? 8000000 : 10000),
				 i == 19 && (root & 0x1000) ? POLICY_SHADOW : POLICY_NESTED);
	/* One more: the one that ran longest ago starts anew, the others are as they were. */
	runs(0x99000, POLICY_NESTED, 1, 10, 8000000);
	CHECK_EQ(runs(0x1000, POLICY_NESTED, 1, 10, 8000000), POLICY_NESTED);
	CHECK_EQ(runs(0x5000, POLICY_SHADOW, 1, 10, 3600000), POLICY_SHADOW);
}

TEST(another_process_with_the_same_root_is_young)
{
	start();
	CHECK_EQ(runs(0x1000, POLICY_NESTED, 20, 10, 8000000), POLICY_SHADOW);
	spaces_forget(&spaces, 0x1000);
	spaces_forget(&spaces, 0x7000);
	CHECK_EQ(runs(0x1000, POLICY_NESTED, 19, 10, 8000000), POLICY_NESTED);
	CHECK_EQ(runs(0x1000, POLICY_NESTED, 1, 10, 8000000), POLICY_SHADOW);
}

TEST(unbelievable_runs_are_nested)
{
	struct policy_sample x = run_of(POLICY_SHADOW, 10, 0, 34000);

	start();
	CHECK_EQ(runs(0x1000, POLICY_NESTED, 20, 10, 8000000), POLICY_SHADOW);
	CHECK_EQ(spaces_ran(&spaces, &params, &model, 0x1000, &x), POLICY_NESTED);
	x = run_of(POLICY_NESTED, UINT64_MAX, UINT64_MAX, UINT64_MAX);
	x.unhalted = UINT64_MAX;
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(spaces_ran(&spaces, &params, &model, 0x1000, &x), POLICY_NESTED);
}

/* Ticks of @x after which the gate is @open. */
static unsigned ticks_until(bool open, const struct policy_sample *x)
{
	unsigned ticks = 0;

	while (spaces_open(&spaces, &params, x) != open && ticks < 1000)
		ticks++;
	return ticks;
}

TEST(gate_shuts_when_cr3_writes_cost_too_much)
{
	/* 1 % of 280 million cycles at 2000 each, and 2 %. */
	struct policy_sample few = whole_guest(1400), many = whole_guest(2800);

	start();
	CHECK_EQ(runs(0x1000, POLICY_NESTED, 20, 10, 8000000), POLICY_SHADOW);
	CHECK_EQ(ticks_until(false, &few), 1000);
	CHECK(ticks_until(false, &many) <= 5);
	CHECK_EQ(runs(0x1000, POLICY_SHADOW, 1, 10, 3600000), POLICY_NESTED);
	/* 2 s, then 4. */
	CHECK_EQ(ticks_until(true, &few) / 2, 9);
	CHECK(ticks_until(false, &many) <= 5);
	CHECK_EQ(ticks_until(true, &few) / 2, 19);
	/* Dear for long: open only once it is cheap. */
	CHECK(ticks_until(false, &many) <= 5);
	CHECK_EQ(ticks_until(true, &many), 1000);
	CHECK(spaces_open(&spaces, &params, &few));
	/* An idle guest changes nothing; an uncounted one shuts it. */
	many.unhalted = 1000;
	CHECK(spaces_open(&spaces, &params, &many));
	few.cr3_writes.confidence = 0;
	CHECK(!spaces_open(&spaces, &params, &few));
}

TEST(gate_bears_a_burst_of_cr3_writes_but_not_many)
{
	struct policy_sample none = whole_guest(1), burst = whole_guest(6000);
	unsigned cost = 0;

	/* 4.3 % in one tick of ten is 0.43 % of the time. */
	start();
	for (unsigned tick = 0; tick < 1000; tick++)
		CHECK(spaces_open(&spaces, &params, tick % 10 ? &none : &burst));
	/* In two of five it is more than 1 %, and what is taken until it shuts is bounded. */
	start();
	while (spaces_open(&spaces, &params, cost % 5 > 1 ? &none : &burst))
		CHECK(++cost < 50);
}

/* A nested space is promoted, and its new shadow takes @fill cycles in each of its first runs. */
static enum policy_mode filled(unsigned runs_of_it, u64 fill, u64 faults)
{
	enum policy_mode mode = runs(0x1000, POLICY_NESTED, 20, 10, 8000000);

	for (unsigned i = 0; i < runs_of_it && mode == POLICY_SHADOW; i++) {
		struct policy_sample x = run_of(mode, faults, 3600000, faults * 3400 + fill);

		mode = spaces_ran(&spaces, &params, &model, 0x1000, &x);
	}
	return mode;
}

TEST(filling_a_new_shadow_is_no_reason_to_leave_it)
{
	u64 before;

	start();
	before = cost_round_trip(&model, 10000);
	CHECK_EQ(filled(20, RUN_CYCLES / 2, 10), POLICY_SHADOW);
	/* It is what the next promotion must be worth. */
	CHECK(cost_round_trip(&model, 10000) > 10 * before);
	CHECK_EQ(runs(0x1000, POLICY_SHADOW, 20, 10, 3600000), POLICY_SHADOW);
	CHECK_EQ(runs(0x2000, POLICY_NESTED, 20, 10, 8000000), POLICY_NESTED);
	CHECK_EQ(runs(0x2000, POLICY_NESTED, 60, 10, 8000000), POLICY_SHADOW);
}

TEST(faults_are_one_while_it_is_filled)
{
	start();
	CHECK_EQ(filled(5, RUN_CYCLES / 2, 3000), POLICY_NESTED);
}

TEST(one_that_never_ends_to_be_filled_is_left)
{
	start();
	CHECK_EQ(filled(2000, RUN_CYCLES / 2, 10), POLICY_NESTED);
}

TEST(advice_differs_while_one_mode_for_all_costs_more)
{
	start();
	for (unsigned i = 0; i < 20; i++) {
		CHECK(!spaces_differ(&spaces, &params) || i);
		runs(0x1000, POLICY_NESTED, 1, 10, 8000000);
		runs(0x2000, POLICY_NESTED, 1, 3000, 10000);
		spaces_fade(&spaces);
	}
	CHECK(spaces_differ(&spaces, &params));
	/* Also when each has its mode. */
	for (unsigned i = 0; i < 40; i++) {
		runs(0x1000, POLICY_SHADOW, 1, 10, 3600000);
		runs(0x2000, POLICY_NESTED, 1, 3000, 10000);
		spaces_fade(&spaces);
	}
	CHECK(spaces_differ(&spaces, &params));
	/* The one that faults is gone: both that are left want the same. */
	for (unsigned i = 0; i < 100; i++) {
		runs(0x1000, POLICY_SHADOW, 1, 10, 3600000);
		runs(0x3000, POLICY_NESTED, 1, 10, 8000000);
		spaces_fade(&spaces);
	}
	CHECK(!spaces_differ(&spaces, &params));
}

TEST(advice_of_one_that_hardly_runs_does_not_count)
{
	start();
	for (unsigned i = 0; i < 500; i++) {
		runs(0x1000, POLICY_NESTED, 1, 10, 8000000);
		if (i % 250 == 0)
			runs(0x2000, POLICY_NESTED, 1, 3000, 10000);
		spaces_fade(&spaces);
	}
	CHECK(!spaces_differ(&spaces, &params));
}

TEST(one_that_faults_all_the_time_needs_no_walks_to_be_known)
{
	struct policy_sample x = run_of(POLICY_NESTED, 30000, 0, 0);

	x.walk_cycles.confidence = 0;
	start();
	for (unsigned i = 0; i < 20; i++) {
		runs(0x1000, POLICY_NESTED, 1, 10, 8000000);
		CHECK_EQ(spaces_ran(&spaces, &params, &model, 0x2000, &x), POLICY_NESTED);
	}
	CHECK(spaces_differ(&spaces, &params));
	/* With few faults nobody knows. */
	start();
	x.faults.value = 10;
	for (unsigned i = 0; i < 20; i++) {
		runs(0x1000, POLICY_NESTED, 1, 10, 8000000);
		CHECK_EQ(spaces_ran(&spaces, &params, &model, 0x2000, &x), POLICY_NESTED);
	}
	CHECK(!spaces_differ(&spaces, &params));
}
