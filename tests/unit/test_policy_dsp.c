/* DSP against a table written from the paper's text: catches a rule left out, out of order, or with
 * another comparison, a history that is longer, shorter or summed otherwise, and a period that
 * loses ticks. One place where the published rules are not monotone is pinned.
 *
 * SRCS: hv/paging/adaptive/policy.c hv/paging/adaptive/dsp.c hv/paging/adaptive/regret.c
 * SRCS: hv/paging/adaptive/guard.c hv/paging/adaptive/cost.c hv/paging/adaptive/budget.c
 * SRCS: hv/paging/adaptive/window.c hv/paging/adaptive/params.c hv/paging/adaptive/sample.c
 * SRCS: hv/lib/str.c hv/lib/crc32.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "paging/adaptive/policy.h"

#define KHZ	     2800000u
#define INSTRUCTIONS 10000000000ull /* so that faults are the paper's 10^-7 per 1000 */
#define PERIOD	     (5 * NSEC_PER_SEC)

static struct policy dsp;

static void start(void)
{
	struct policy_params p;

	policy_params_init(&p, KHZ);
	policy_init(&dsp, &policy_dsp, &p, POLICY_NESTED);
}

static struct policy_sample sample(enum policy_mode mode, u64 faults, u64 walks)
{
	return (struct policy_sample){.mode = mode,
				      .ns = PERIOD,
				      .unhalted = 14000000000ull,
				      .instructions = {INSTRUCTIONS, 100},
				      .faults = {faults, 100},
				      .walks = {walks, 100}};
}

static struct policy_decision period(enum policy_mode mode, u64 faults, u64 walks)
{
	struct policy_sample x = sample(mode, faults, walks);

	return policy_tick(&dsp, &x);
}

/* --- the paper as a table --------------------------------------------------------------------- */

#define RATIO 0 /* the ratio decides */

/* Rule by TLB misses (none, below TLBL, below 0.8 TLBU, to TLBU, above) and page faults (below PFL,
 * below 0.8 PFU, to PFU, above). */
static const u8 by_rates[5][4] = {
	{3, 4, 4, 2},
	{3, RATIO, RATIO, 2},
	{RATIO, RATIO, RATIO, 2},
	{RATIO, RATIO, RATIO, RATIO},
	{1, 1, RATIO, RATIO},
};
/* Rule by historic and present ratio, each below PTL, to PTU, above. */
static const u8 by_ratios[3][3] = {{6, 8, 8}, {8, 7, 8}, {8, 8, 5}};

static unsigned walk_band(u64 w)
{
	return !w ? 0 : w < 1000000 ? 1 : w < 80000000 ? 2 : w <= 100000000 ? 3 : 4;
}

static unsigned fault_band(u64 f)
{
	return f < 100 ? 0 : f < 4000 ? 1 : f <= 5000 ? 2 : 3;
}

/* @num / @den in units of 10^-7 / 65536. */
static unsigned ratio_band(unsigned __int128 ratio)
{
	return ratio < 150 * 65536 ? 0 : ratio <= 200 * 65536 ? 1 : 2;
}

struct pair {
	u64 faults, walks;
};

static unsigned __int128 ratio_of(struct pair s)
{
	return (unsigned __int128)s.faults * 10000000 * 65536 / s.walks;
}

/* The rule for the last of @n samples. */
static unsigned expected_rule(const struct pair *s, unsigned n)
{
	struct pair now = s[n - 1];
	unsigned rule = by_rates[walk_band(now.walks)][fault_band(now.faults)], with = 0;
	unsigned __int128 sum = 0;

	if (rule)
		return rule;
	for (unsigned i = n > 3 ? n - 3 : 0; i < n; i++)
		if (s[i].walks) {
			sum += ratio_of(s[i]);
			with++;
		}
	return by_ratios[ratio_band(sum / with)][ratio_band(ratio_of(now))];
}

static enum policy_mode expected_mode(unsigned rule, enum policy_mode now)
{
	/* What each rule asks for: nested, shadow, or to stay. */
	static const char asks[] = {'-', 's', 'n', '-', 'n', 'n', 's', '-', '-'};

	return asks[rule] == '-' ? now : asks[rule] == 's' ? POLICY_SHADOW : POLICY_NESTED;
}

static const u64 grid_walks[] = {0,	    1,	       999999,	 1000000,  1000001,
				 50000000,  79999999,  80000000, 80000001, 99999999,
				 100000000, 100000001, 300000000};
static const u64 grid_faults[] = {0,	1,    99,   100,  101,	749,   750,	1000, 1001,
				  1499, 1500, 1501, 1999, 2000, 2001,  3999,	4000, 4001,
				  4999, 5000, 5001, 5999, 6001, 20000, 40000000};
static const struct pair past[] = {{0, 0},	  {0, 50000000},    {1600, 100000000},
				   {90, 1000000}, {30000, 2000000}, {7000, 300000000}};

static unsigned check_sequence(const struct pair *s, unsigned n, enum policy_mode mode)
{
	struct policy_decision d = {.mode = mode};
	unsigned rule = expected_rule(s, n);

	start();
	for (unsigned i = 0; i < n; i++)
		d = period(mode, s[i].faults, s[i].walks);
	if (d.reason == REASON_DSP_1 + rule - 1 && d.mode == expected_mode(rule, mode))
		return 0;
	printf("# after %llu faults, %llu walks: %s, expected rule %u\n",
	       (unsigned long long)s[n - 1].faults, (unsigned long long)s[n - 1].walks,
	       policy_reason_name[d.reason], rule);
	return 1;
}

TEST(grid_with_every_history)
{
	unsigned wrong = 0, done = 0;

	for (size_t w = 0; w < ARRAY_SIZE(grid_walks); w++)
		for (size_t f = 0; f < ARRAY_SIZE(grid_faults); f++)
			for (size_t a = 0; a < ARRAY_SIZE(past); a++)
				for (size_t b = 0; b < ARRAY_SIZE(past) && wrong < 10; b++)
					for (unsigned m = 0; m < POLICY_MODES; m++, done++) {
						struct pair s[] = {{4000000, 1000}, /* forgotten */
								   past[a],
								   past[b],
								   {grid_faults[f], grid_walks[w]}};

						wrong += check_sequence(s, 4, (enum policy_mode)m);
					}
	CHECK_EQ(wrong, 0);
	CHECK_EQ(done, 13 * 25 * 36 * 2);
}

TEST(grid_without_history)
{
	unsigned wrong = 0;

	for (size_t w = 0; w < ARRAY_SIZE(grid_walks); w++)
		for (size_t f = 0; f < ARRAY_SIZE(grid_faults) && wrong < 10; f++) {
			struct pair s = {grid_faults[f], grid_walks[w]};

			wrong += check_sequence(&s, 1, POLICY_NESTED);
			wrong += check_sequence(&s, 1, POLICY_SHADOW);
		}
	CHECK_EQ(wrong, 0);
}

TEST(every_rule_is_reached)
{
	static const struct {
		struct pair s[2];
		enum policy_reason reason;
	} rule[] = {
		{{{0, 2}, {3999, 100000001}}, REASON_DSP_1},
		{{{0, 2}, {5001, 79999999}}, REASON_DSP_2},
		{{{0, 2}, {99, 999999}}, REASON_DSP_3},
		{{{0, 2}, {4000, 0}}, REASON_DSP_4},
		{{{4000, 2000000}, {4000, 2000000}}, REASON_DSP_5},
		{{{10, 2000000}, {10, 2000000}}, REASON_DSP_6},
		{{{1600, 100000000}, {1800, 100000000}}, REASON_DSP_7},
		{{{4000, 2000000}, {10, 2000000}}, REASON_DSP_8},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rule); i++) {
		start();
		period(POLICY_NESTED, rule[i].s[0].faults, rule[i].s[0].walks);
		CHECK_EQ(period(POLICY_NESTED, rule[i].s[1].faults, rule[i].s[1].walks).reason,
			 rule[i].reason);
	}
}

TEST(ratios_are_averaged_not_summed)
{
	/* Ratios 0, 0 and 700: their mean is above PTU; of the sums it is far below PTL. */
	start();
	period(POLICY_NESTED, 0, 90000000);
	period(POLICY_NESTED, 0, 90000000);
	CHECK_EQ(period(POLICY_NESTED, 700, 10000000).reason, REASON_DSP_5);
}

TEST(a_mean_on_a_threshold_is_between_them)
{
	start();
	period(POLICY_NESTED, 200, 10000000);
	period(POLICY_NESTED, 150, 10000000);
	CHECK_EQ(period(POLICY_NESTED, 100, 10000000).reason, REASON_DSP_8);
	start();
	period(POLICY_NESTED, 150, 10000000);
	period(POLICY_NESTED, 200, 10000000);
	CHECK_EQ(period(POLICY_NESTED, 250, 10000000).reason, REASON_DSP_8);
}

TEST(other_thresholds)
{
	char why[128];

	start();
	CHECK_EQ(policy_param_set(&dsp.params, "dsp_tlbu", "0.05", why, sizeof(why)), 0);
	CHECK_EQ(period(POLICY_NESTED, 1000, 500001).reason, REASON_DSP_1);
	CHECK_EQ(policy_param_set(&dsp.params, "dsp_margin", "10%", why, sizeof(why)), 0);
	CHECK_EQ(period(POLICY_NESTED, 500, 500001).reason, REASON_DSP_5);
	CHECK_EQ(policy_param_set(&dsp.params, "dsp_history", "1", why, sizeof(why)), 0);
	CHECK_EQ(policy_param_set(&dsp.params, "dsp_ptu", "20001", why, sizeof(why)), 0);
	CHECK_EQ(policy_param_set(&dsp.params, "dsp_ptl", "20000.5", why, sizeof(why)), 0);
	CHECK_EQ(period(POLICY_NESTED, 1000, 500000).reason, REASON_DSP_6);
}

TEST(period_adds_up_its_ticks)
{
	struct policy_sample x = sample(POLICY_NESTED, 0, 2000002); /* a fiftieth of 100000100 */
	struct policy_decision d = {0};

	x.ns /= 50;
	x.unhalted /= 50;
	x.instructions.value /= 50;
	start();
	for (unsigned i = 0; i < 50; i++) {
		CHECK_EQ(d.mode, POLICY_NESTED);
		CHECK_EQ(d.reason, REASON_STAY);
		d = policy_tick(&dsp, &x);
	}
	CHECK_EQ(d.reason, REASON_DSP_1);
	CHECK_EQ(d.mode, POLICY_SHADOW);
	CHECK_EQ(policy_tick(&dsp, &x).reason, REASON_STAY);
}

TEST(idle_periods_leave_no_trace)
{
	struct policy_sample x = sample(POLICY_SHADOW, 90, 1);

	x.instructions.value = 19999999;
	start();
	period(POLICY_SHADOW, 10, 2000000);
	CHECK_EQ(policy_tick(&dsp, &x).reason, REASON_IDLE);
	CHECK_EQ(period(POLICY_SHADOW, 10, 2000000).reason, REASON_DSP_6);
}

/* Toward shadow: -1 nested, 0 stay, 1 shadow. */
static int direction(u64 faults, u64 walks)
{
	struct policy_decision d;

	start();
	d = period(POLICY_NESTED, faults, walks);
	if (d.mode == POLICY_SHADOW)
		return 1;
	start();
	return period(POLICY_SHADOW, faults, walks).mode == POLICY_NESTED ? -1 : 0;
}

TEST(more_faults_never_lead_to_shadow)
{
	for (size_t w = 0; w < ARRAY_SIZE(grid_walks); w++)
		for (size_t f = 1; f < ARRAY_SIZE(grid_faults); f++)
			CHECK(direction(grid_faults[f], grid_walks[w]) <=
			      direction(grid_faults[f - 1], grid_walks[w]));
}

TEST(more_walks_lead_to_nested_only_where_rule_3_ends)
{
	for (size_t f = 0; f < ARRAY_SIZE(grid_faults); f++)
		for (size_t w = 1; w < ARRAY_SIZE(grid_walks); w++) {
			int less = direction(grid_faults[f], grid_walks[w - 1]),
			    more = direction(grid_faults[f], grid_walks[w]);
			bool published = grid_walks[w] == 1000000 && grid_faults[f] < 100;

			CHECK(published ? less == 0 : more >= less);
		}
	CHECK_EQ(direction(99, 999999), 0);
	CHECK_EQ(direction(99, 1000000), -1);
}
