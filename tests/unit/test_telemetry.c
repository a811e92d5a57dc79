/* Samples made from totals, and from a recorded trace: catches a count that is taken in the wrong
 * mode, an exit's own cycles left in the guest's time or out of shadow paging's, a unit of progress
 * that changes within a trial or without a gap, a bad trace that is taken.
 *
 * SRCS: hv/paging/adaptive/telemetry.c hv/paging/adaptive/replay.c hv/paging/adaptive/sample.c
 * SRCS: hv/paging/adaptive/params.c hv/paging/adaptive/guard.c hv/lib/str.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "lib/errno.h"
#include "paging/adaptive/guard.h"
#include "paging/adaptive/replay.h"
#include "paging/adaptive/telemetry.h"

static const struct telemetry before = {.ns = 1000,
					.guest = 50000,
					.exits = 10,
					.shadow_exits = 4,
					.shadow_cycles = 700,
					.faults = 1,
					.cr3_writes = 2,
					.invlpgs = 3};
static const struct telemetry after = {.ns = 101000,
				       .guest = 950000,
				       .exits = 110,
				       .shadow_exits = 44,
				       .shadow_cycles = 30700,
				       .faults = 21,
				       .cr3_writes = 12,
				       .invlpgs = 8};

static void is(const struct policy_measure *m, u64 value, unsigned confidence)
{
	CHECK_EQ(m->value, value);
	CHECK_EQ(m->confidence, confidence);
}

TEST(nested_takes_estimates)
{
	const struct estimates e = {
		.faults = {77, 60}, .cr3_writes = {5, 100}, .faults_exit = true};
	struct policy_sample x;

	telemetry_sample(&x, POLICY_NESTED, &before, &after, &e);
	CHECK_EQ(x.mode, POLICY_NESTED);
	CHECK_EQ(x.ns, 100000);
	CHECK_EQ(x.unhalted, 900000);
	is(&x.faults, 77, 60);
	is(&x.cr3_writes, 5, 100);
	is(&x.invlpgs, 0, 0);
	is(&x.shadow_cycles, 0, 0);
	is(&x.walk_cycles, 0, 0);
	is(&x.instructions, 900000, 20);
	is(&x.progress, 0, 0);
}

TEST(shadow_counts)
{
	const struct estimates e = {.faults = {77, 60}, .invlpgs = {9, 9}, .faults_exit = true};
	struct policy_sample x;

	telemetry_sample(&x, POLICY_SHADOW, &before, &after, &e);
	CHECK_EQ(x.mode, POLICY_SHADOW);
	is(&x.shadow_cycles, 30000, 100);
	is(&x.faults, 20, 100);
	is(&x.cr3_writes, 10, 100);
	is(&x.invlpgs, 5, 100);
}

TEST(faults_that_do_not_exit_are_known_by_their_stores)
{
	const struct estimates e = {.faults_exit = false};
	struct telemetry end = after;
	struct policy_sample x;

	telemetry_sample(&x, POLICY_SHADOW, &before, &end, &e);
	is(&x.faults, 20, 30);
	end.stores = before.stores + 500;
	telemetry_sample(&x, POLICY_SHADOW, &before, &end, &e);
	is(&x.faults, 500, 30);
	is(&x.cr3_writes, 10, 100);
}

TEST(world_switches_are_no_guest_time)
{
	struct estimates e = {.world_switch = 1000, .faults_exit = true};
	struct policy_sample x;

	telemetry_sample(&x, POLICY_SHADOW, &before, &after, &e);
	CHECK_EQ(x.unhalted, 900000 - 100 * 1000);
	is(&x.shadow_cycles, 30000 + 40 * 1000, 100);
	telemetry_sample(&x, POLICY_NESTED, &before, &after, &e);
	CHECK_EQ(x.unhalted, 800000);
	is(&x.shadow_cycles, 0, 0);
	e.world_switch = 10000; /* more than there is */
	telemetry_sample(&x, POLICY_NESTED, &before, &after, &e);
	CHECK_EQ(x.unhalted, 0);
}

TEST(counters_of_the_cpu_go_first)
{
	const struct estimates e = {
		.world_switch = 1000, .unhalted = {123456, 90}, .instructions = {654321, 100}};
	const struct estimates distrusted = {.unhalted = {123456, 0}};
	const struct estimates stuck = {.unhalted = {0, 100}};
	const struct estimates absurd = {.unhalted = {900000 * 17, 100}};
	struct policy_sample x;

	telemetry_sample(&x, POLICY_NESTED, &before, &after, &e);
	CHECK_EQ(x.unhalted, 123456);
	is(&x.instructions, 654321, 100);
	telemetry_sample(&x, POLICY_NESTED, &before, &after, &distrusted);
	CHECK_EQ(x.unhalted, 900000);
	telemetry_sample(&x, POLICY_NESTED, &before, &after, &stuck);
	CHECK_EQ(x.unhalted, 900000);
	telemetry_sample(&x, POLICY_NESTED, &before, &after, &absurd);
	CHECK_EQ(x.unhalted, 900000);
}

static struct policy_measure priced(struct policy_measure walks, u64 cost)
{
	struct estimates e = {.walks = walks};
	struct policy_sample x;

	telemetry_price_walks(&e, cost);
	telemetry_price_walks(&e, 1000000); /* once is enough */
	telemetry_sample(&x, POLICY_NESTED, &before, &after, &e);
	return x.walk_cycles;
}

TEST(walks_are_priced_where_they_are_not_measured)
{
	struct estimates counted = {.walks = {5000, 70}, .walk_cycles = {999999, 80}};
	struct policy_measure m = priced((struct policy_measure){5000, 70}, 45500);
	struct policy_sample x;

	is(&m, 227500, 50); /* of what is counted there is more confidence */
	m = priced((struct policy_measure){50000, 70}, 45500);
	is(&m, 810000, 50); /* of 900000 */
	m = priced((struct policy_measure){0, 70}, 45500);
	is(&m, 1, 50); /* some walks there always are */
	m = priced((struct policy_measure){900, 3}, 10000);
	is(&m, 9000, 10);
	telemetry_price_walks(&counted, 45500);
	telemetry_sample(&x, POLICY_NESTED, &before, &after, &counted);
	is(&x.walk_cycles, 999999, 80); /* the guard's to judge */
}

TEST(walks_without_a_price_are_not_known)
{
	struct estimates e = {.walks = {5000, 70}}, blind = {.walks = {0, 0}};

	telemetry_price_walks(&e, 0);
	is(&e.walk_cycles, 0, 0);
	telemetry_price_walks(&blind, 45500);
	is(&blind.walk_cycles, 0, 0);
}

TEST(misses_of_few_looks_are_averaged)
{
	struct steady s = {.known = false};
	struct estimates e = {.walks = {0, 0}};

	telemetry_steady(&s, 1000000, &e);
	is(&e.walks, 0, 0);
	e.walks = (struct policy_measure){8000, 5};
	telemetry_steady(&s, 1000000, &e);
	CHECK(e.walks.value >= 7999 && e.walks.value <= 8000);
	CHECK_EQ(e.walks.confidence, 50);
	e.walks = (struct policy_measure){0, 90};
	telemetry_steady(&s, 2000000, &e); /* three quarters of the rate */
	CHECK(e.walks.value >= 11990 && e.walks.value <= 12000);
	CHECK_EQ(e.walks.confidence, 90);
	e.walks = (struct policy_measure){0, 0};
	telemetry_steady(&s, 1000000, &e);
	CHECK(e.walks.value >= 5990 && e.walks.value <= 6000);
	CHECK_EQ(e.walks.confidence, 20);
	e.walks = (struct policy_measure){40, 60};
	telemetry_steady(&s, 0, &e); /* no time, no rate */
	is(&e.walks, 0, 60);
}

TEST(another_load_is_known_by_the_next_look_alone)
{
	struct steady s = {.known = false};
	struct estimates e = {.walks = {8000, 70}};

	telemetry_steady(&s, 1000000, &e);
	telemetry_renew(&s);
	e.walks = (struct policy_measure){0, 0};
	telemetry_steady(&s, 1000000, &e); /* until then, what was */
	CHECK(e.walks.value >= 7999 && e.walks.confidence == 20);
	e.walks = (struct policy_measure){100, 70};
	telemetry_steady(&s, 1000000, &e);
	CHECK(e.walks.value >= 99 && e.walks.value <= 100);
	e.walks = (struct policy_measure){8000, 70};
	telemetry_steady(&s, 1000000, &e);
	CHECK(e.walks.value > 2000 && e.walks.value < 2100);
}

/* Whatever is estimated at whatever price: no sample that a guard would not believe. */
TEST(an_estimate_never_ends_in_failsafe)
{
	static const u64 walks[] = {0, 1, 365085, 1ull << 40, UINT64_MAX};
	static const u64 cost[] = {1, 45500, 2900000, UINT64_MAX};
	struct policy_params params;
	struct guard guard = {0};

	policy_params_init(&params, 2500000);
	for (unsigned i = 0; i < ARRAY_SIZE(walks) * ARRAY_SIZE(cost); i++) {
		struct telemetry from = {.ns = 0}, to = {.ns = 100000000, .guest = 252610048};
		struct estimates e = {.faults = {10, 100},
				      .walks = {walks[i / ARRAY_SIZE(cost)], 40}};
		struct steady s = {.known = false};
		struct policy_sample x;

		telemetry_steady(&s, to.guest, &e);
		telemetry_price_walks(&e, cost[i % ARRAY_SIZE(cost)]);
		telemetry_sample(&x, POLICY_NESTED, &from, &to, &e);
		CHECK(x.walk_cycles.value && x.walk_cycles.value < x.unhalted);
		CHECK_EQ(guard_check(&guard, &params, &x, GUARD_FAULTS | GUARD_WALK_CYCLES),
			 GUARD_GOOD);
	}
}

TEST(a_gap_is_bridged_for_a_while)
{
	struct policy_measure m = {0, 0}, unknown = {0, 0};
	struct steady s = {.known = false};
	unsigned ticks = 0;

	telemetry_bridge(&s, 1000000, &m, &unknown);
	is(&m, 0, 0);
	m = (struct policy_measure){4096, 70};
	telemetry_bridge(&s, 1048576, &m, &unknown);
	is(&m, 4096, 70);
	m = (struct policy_measure){0, 1};
	telemetry_bridge(&s, 2097152, &m, &unknown);
	is(&m, 8192, 20);
	do {
		m = (struct policy_measure){0, 0};
		telemetry_bridge(&s, 1048576, &m, &unknown);
	} while (m.confidence && ++ticks < 100);
	CHECK_EQ(ticks, 7);
	m = (struct policy_measure){0, 100};
	telemetry_bridge(&s, 1048576, &m, &unknown);
	is(&m, 0, 100);
	m = (struct policy_measure){0, 0};
	telemetry_bridge(&s, 1048576, &m, &unknown);
	is(&m, 0, 20);
}

TEST(a_bound_goes_before_what_was_and_stays_behind_it)
{
	struct policy_measure m = {4096, 70}, most = {0, 0};
	struct steady s = {.known = false};

	telemetry_bridge(&s, 1048576, &m, &most);
	most = (struct policy_measure){9000, 20};
	m = (struct policy_measure){0, 1};
	telemetry_bridge(&s, 1048576, &m, &most);
	is(&m, 4096, 20);
	most.value = 300;
	m = (struct policy_measure){0, 1};
	telemetry_bridge(&s, 1048576, &m, &most);
	is(&m, 300, 20);
	for (unsigned i = 0; i < 20; i++) {
		m = (struct policy_measure){0, 1};
		telemetry_bridge(&s, 1048576, &m, &most);
		is(&m, 300, 20);
	}
	m = (struct policy_measure){7, 100};
	telemetry_bridge(&s, 1048576, &m, &most);
	is(&m, 7, 100);
}

/* A tick with @exits exits that took @cycles: what the policy is told. */
static u64 told(struct usual_exit *u, u64 exits, u64 cycles)
{
	struct telemetry from = {.ns = 0}, to = {.ns = 100000000,
						 .guest = 200000000,
						 .shadow_exits = exits,
						 .shadow_cycles = cycles};
	struct estimates e = {.faults_exit = true};
	struct policy_sample x;

	telemetry_sample(&x, POLICY_SHADOW, &from, &to, &e);
	telemetry_exits(u, &from, &to, &x);
	return x.shadow_cycles.value;
}

TEST(exits_that_somebody_else_held_up_do_not_count)
{
	struct usual_exit u = {0};
	unsigned ticks = 0;

	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(told(&u, 100, 100 * 3000), 300000);
	CHECK(told(&u, 9, 39616850) <= 9 * 12001);
	for (unsigned i = 0; i < 20; i++)
		told(&u, 100, 100 * 3000);
	/* Twice as dear is believed at once, and a hundred times soon. */
	CHECK_EQ(told(&u, 100, 100 * 6000), 600000);
	while (told(&u, 100, 100 * 300000) < 30000000 && ticks < 100)
		ticks++;
	CHECK(ticks > 1 && ticks < 20);
	CHECK_EQ(told(&u, 0, 0), 0);
	CHECK_EQ(told(&u, 1000, 300000), 300000);
}

/* --- progress --------------------------------------------------------------------------------- */

static struct policy_measure step(struct progress *p, u64 faults, u64 cr3, bool trial)
{
	struct policy_sample x = {.faults = {faults, 100}, .cr3_writes = {cr3, 100}};

	progress_measure(p, &x, trial);
	return x.progress;
}

TEST(progress_is_what_counts_most)
{
	struct progress p = {0};
	struct policy_measure m = step(&p, 5000, 900, false);

	CHECK_EQ(p.unit, PROGRESS_FAULTS);
	is(&m, 0, 0); /* the first of its unit */
	m = step(&p, 5100, 900, false);
	is(&m, 5100, 100);
}

TEST(little_is_no_progress)
{
	struct progress p = {0};
	struct policy_measure m;

	step(&p, 99, 20, false);
	m = step(&p, 99, 20, false);
	is(&m, 0, 0);
	CHECK_EQ(p.unit, PROGRESS_NONE);
}

TEST(a_trial_keeps_its_unit)
{
	struct progress p = {0};
	struct policy_measure m;

	step(&p, 5000, 900, false);
	for (unsigned i = 0; i < 50; i++) {
		m = step(&p, 200, 90000, true);
		is(&m, 200, 100);
	}
	for (unsigned i = 0; i < 50 && p.unit == PROGRESS_FAULTS; i++)
		m = step(&p, 200, 90000, false);
	CHECK_EQ(p.unit, PROGRESS_CR3_WRITES);
	is(&m, 0, 0); /* a gap between units */
	m = step(&p, 200, 90000, false);
	is(&m, 90000, 100);
}

TEST(a_unit_stays_until_another_says_much_more)
{
	struct progress p = {0};

	step(&p, 5000, 900, false);
	for (unsigned i = 0; i < 50; i++)
		step(&p, 5000, 15000, false);
	CHECK_EQ(p.unit, PROGRESS_FAULTS);
	for (unsigned i = 0; i < 50; i++)
		step(&p, 5000, 90000, false);
	CHECK_EQ(p.unit, PROGRESS_CR3_WRITES);
}

TEST(a_unit_that_runs_dry_is_left)
{
	struct progress p = {0};

	step(&p, 5000, 900, false);
	for (unsigned i = 0; i < 40; i++)
		step(&p, 0, 900, false);
	CHECK_EQ(p.unit, PROGRESS_CR3_WRITES);
}

TEST(guesses_are_no_progress)
{
	struct policy_sample x = {.instructions = {1000000, 20}, .faults = {500, 100}};
	struct progress p = {0};

	progress_measure(&p, &x, false);
	CHECK_EQ(p.unit, PROGRESS_FAULTS);
	x.instructions.confidence = 100;
	for (unsigned i = 0; i < 30; i++)
		progress_measure(&p, &x, false);
	CHECK_EQ(p.unit, PROGRESS_INSTRUCTIONS);
	is(&x.progress, 1000000, 100);
}

/* --- a trace ---------------------------------------------------------------------------------- */

static char why[128];

static int begin(struct replay *r, struct policy_params *p, const char *text)
{
	why[0] = '\0';
	return replay_begin(r, text, strlen(text), p, why, sizeof(why));
}

TEST(a_trace_is_read)
{
	static const char text[] = "# made by hand\r\npntrace 1 khz=2800000\r\nparam settle=4\n"
				   "param tick=20ms\n\n# ticks\nmode=nested ns=5 unhalted=6\r\n"
				   "mode=shadow ns=7 unhalted=8 faults=9,10";
	struct policy_params p;
	struct policy_sample x;
	struct replay r;

	CHECK_EQ(begin(&r, &p, text), 0);
	CHECK_EQ(p.khz, 2800000);
	CHECK_EQ(p.settle, 4);
	CHECK_EQ(p.tick, 20000000);
	CHECK_EQ(p.window, 5);
	CHECK_EQ(replay_next(&r, &x, why, sizeof(why)), 0);
	CHECK_EQ(x.ns, 5);
	CHECK_EQ(replay_next(&r, &x, why, sizeof(why)), 0);
	CHECK_EQ(x.mode, POLICY_SHADOW);
	is(&x.faults, 9, 10);
	CHECK_EQ(r.line, 8);
	CHECK_EQ(replay_next(&r, &x, why, sizeof(why)), -ENOENT);
	CHECK_EQ(replay_next(&r, &x, why, sizeof(why)), -ENOENT);
}

TEST(bad_heads)
{
	static const char *const text[] = {"",
					   "pntrace 2 khz=5\n",
					   "pntrace 1 khz=\n",
					   "pntrace 1 khz=0",
					   "pntrace 1 khz=5x",
					   "pntrace 1 khz=99999999999999999999",
					   "pntrace 1 khz=1000\nparam settle\n",
					   "pntrace 1 khz=1000\nparam settle=101\n",
					   "pntrace 1 khz=1000\nparam nothing=1\n"};
	struct policy_params p;
	struct replay r;

	for (unsigned i = 0; i < ARRAY_SIZE(text); i++) {
		CHECK_EQ(begin(&r, &p, text[i]), -EINVAL);
		CHECK(why[0]);
	}
}

TEST(a_bad_line_ends_it_with_words)
{
	static char text[TRACE_LINE_MAX + 100] =
		"pntrace 1 khz=1000\nmode=nested ns=5 unhalted=x\n";
	struct policy_params p;
	struct policy_sample x;
	struct replay r;

	CHECK_EQ(begin(&r, &p, text), 0);
	CHECK_EQ(replay_next(&r, &x, why, sizeof(why)), -EINVAL);
	CHECK_EQ(r.line, 2);
	CHECK(strstr(why, "unhalted"));
	memset(text + 19, 'x', TRACE_LINE_MAX);
	CHECK_EQ(begin(&r, &p, text), 0);
	CHECK_EQ(replay_next(&r, &x, why, sizeof(why)), -EINVAL);
	CHECK(strstr(why, "too long"));
}

/* The text ends where its length says, whatever stands behind. */
TEST(nothing_behind_the_end_is_read)
{
	static const char text[] = "pntrace 1 khz=1000\nmode=nested ns=5 unhalted=67\n";
	char *exact = malloc(strlen(text) - 2);
	struct policy_params p;
	struct policy_sample x;
	struct replay r;

	memcpy(exact, text, strlen(text) - 2);
	CHECK_EQ(replay_begin(&r, exact, strlen(text) - 2, &p, why, sizeof(why)), 0);
	CHECK_EQ(replay_next(&r, &x, why, sizeof(why)), 0);
	CHECK_EQ(x.unhalted, 6);
	CHECK_EQ(replay_next(&r, &x, why, sizeof(why)), -ENOENT);
	free(exact);
}
