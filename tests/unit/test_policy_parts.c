/* What the policies are made of: catches a parameter that cannot be set, is kept in another unit or
 * beyond its range, a trace line read or written wrongly, arithmetic that overflows or is not
 * monotone, a change of load seen late or where there is none, a budget that leaks.
 *
 * SRCS: hv/paging/adaptive/policy.c hv/paging/adaptive/dsp.c hv/paging/adaptive/regret.c
 * SRCS: hv/paging/adaptive/guard.c hv/paging/adaptive/cost.c hv/paging/adaptive/budget.c
 * SRCS: hv/paging/adaptive/window.c hv/paging/adaptive/params.c hv/paging/adaptive/sample.c
 * SRCS: hv/lib/str.c hv/lib/crc32.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "lib/errno.h"
#include "paging/adaptive/fixed.h"
#include "paging/adaptive/policy.h"

static struct policy_params params;
static char why[128];

static int set(const char *key, const char *value)
{
	why[0] = '\0';
	return policy_param_set(&params, key, value, why, sizeof(why));
}

/* --- parameters ------------------------------------------------------------------------------- */

TEST(parameters_are_kept_in_their_unit)
{
	policy_params_init(&params, 2800000);
	CHECK_EQ(params.khz, 2800000);
	CHECK_EQ(params.dsp_tlbl, 100);
	CHECK_EQ(set("dsp_tlbl", "0.25"), 0);
	CHECK_EQ(params.dsp_tlbl, 250);
	CHECK_EQ(set("slack", "0.3%"), 0);
	CHECK_EQ(params.slack, 3000);
	CHECK_EQ(set("slack", "1"), 0);
	CHECK_EQ(params.slack, 10000);
	CHECK_EQ(set("period", "200ms"), 0);
	CHECK_EQ(params.period, 200 * NSEC_PER_MSEC);
	CHECK_EQ(set("period", "2.5s"), 0);
	CHECK_EQ(params.period, 2500 * NSEC_PER_MSEC);
	CHECK_EQ(set("window", "7"), 0);
	CHECK_EQ(params.window, 7);
	policy_params_init(&params, 0);
	CHECK_EQ(params.khz, 1);
}

TEST(bad_parameters_change_nothing)
{
	static const struct {
		const char *key, *value;
		int error;
		const char *text;
	} bad[] = {
		{"nothing", "1", -ENOENT, "no policy"},
		{"window", "1", -EINVAL, "2 to 1000"},
		{"window", "1001", -EINVAL, "2 to 1000"},
		{"window", "5.5", -EINVAL, "whole number"},
		{"window", "", -EINVAL, "whole number"},
		{"window", "-5", -EINVAL, "whole number"},
		{"window", "5 ", -EINVAL, "whole number"},
		{"window", "18446744073709551621", -EINVAL, "whole number"},
		{"rho", "0.4501", -EINVAL, "three decimals"},
		{"rho", ".45", -EINVAL, "three decimals"},
		{"rho", "0.", -EINVAL, "three decimals"},
		{"rho", "0.4.5", -EINVAL, "three decimals"},
		{"rho", "1.001", -EINVAL, "0.001 to 1"},
		{"slack", "51%", -EINVAL, "0% to 50%"},
		{"slack", "0.3ms", -EINVAL, "percent"},
		{"period", "5", -EINVAL, "a time"},
		{"period", "5m", -EINVAL, "a time"},
		{"period", "9ms", -EINVAL, "0.01s to 3600s"},
		{"period", "99999999999999999s", -EINVAL, "a time"},
		{"khz", "5", -ENOENT, "no policy"},
	};
	struct policy_params before;

	policy_params_init(&params, 1000);
	before = params;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK_EQ(set(bad[i].key, bad[i].value), bad[i].error);
		if (!strstr(why, bad[i].text)) {
			printf("# %s=%s: \"%s\"\n", bad[i].key, bad[i].value, why);
			unit_failures++;
		}
	}
	CHECK(!memcmp(&before, &params, sizeof(params)));
}

/* As `policy.KEY=VALUE` allows them, and each at its own place. */
TEST(every_parameter_takes_its_bounds_and_its_default)
{
	static const size_t key_max = 31;
	bool taken[sizeof(params) / 8] = {false};

	for (unsigned i = 0; i < policy_param_count; i++) {
		const struct policy_param *p = &policy_param_table[i];
		const u64 v[] = {p->min, p->max, p->preset};
		char text[40];

		CHECK(strlen(p->name) <= key_max);
		CHECK(strspn(p->name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(p->name));
		CHECK(!taken[p->offset / 8]);
		taken[p->offset / 8] = true;
		for (size_t k = 0; k < ARRAY_SIZE(v); k++) {
			policy_param_format(p, v[k], text, sizeof(text));
			CHECK_EQ(set(p->name, text), 0);
			CHECK_EQ(*(u64 *)((char *)&params + p->offset), v[k]);
		}
	}
	CHECK_EQ(policy_param_count, sizeof(params) / 8 - 1); /* all but khz */
}

TEST(extreme_parameters_do_no_harm)
{
	for (unsigned n = 0; policy_nth(n); n++)
		for (unsigned i = 0; i < 2 * policy_param_count; i++) {
			const struct policy_param *p = &policy_param_table[i / 2];
			struct policy_sample x = {.ns = 100 * NSEC_PER_MSEC,
						  .unhalted = 280000000,
						  .instructions = {280000000, 100},
						  .faults = {100, 100},
						  .walks = {1000000, 100},
						  .walk_cycles = {40000000, 100},
						  .shadow_cycles = {300000, 100},
						  .progress = {1000000, 100},
						  .leaves = {10000, 100}};
			struct policy g;

			policy_params_init(&params, 2800000);
			*(u64 *)((char *)&params + p->offset) = i & 1 ? p->max : p->min;
			policy_init(&g, policy_nth(n), &params, POLICY_NESTED);
			for (unsigned t = 0; t < 300; t++) {
				x.mode = policy_tick(&g, &x).mode;
				CHECK(x.mode < POLICY_MODES);
			}
		}
}

TEST(policies_by_name)
{
	CHECK(policy_find("dsp") == &policy_dsp);
	CHECK(policy_find("regret") == &policy_regret);
	CHECK(!policy_find("nested"));
	CHECK(policy_nth(0) && policy_nth(1) && !policy_nth(2));
}

/* --- lines of a trace ------------------------------------------------------------------------- */

TEST(samples_survive_as_text)
{
	struct policy_sample x = {.mode = POLICY_SHADOW,
				  .ns = 100000000,
				  .unhalted = UINT64_MAX,
				  .faults = {7, 50},
				  .switch_cycles = {0, 100}},
			     y;
	char line[512];

	CHECK_EQ(sample_format(&x, line, sizeof(line)), strlen(line));
	CHECK_STR(line, "mode=shadow ns=100000000 unhalted=18446744073709551615 faults=7,50 "
			"switch_cycles=0,100");
	CHECK_EQ(sample_parse(&y, line, why, sizeof(why)), 0);
	CHECK(!memcmp(&x, &y, sizeof(x)));
	/* Without a confidence: certain. */
	CHECK_EQ(sample_parse(&y, "  walks=3 ns=1  mode=nested unhalted=2 ", why, sizeof(why)), 0);
	CHECK(y.walks.value == 3 && y.walks.confidence == 100 && !y.faults.confidence);
	CHECK(y.mode == POLICY_NESTED && y.ns == 1 && y.unhalted == 2);
}

TEST(short_buffers_are_not_overrun)
{
	struct policy_sample x = {.faults = {123456, 50}};
	char line[64];

	for (size_t size = 1; size < sizeof(line); size++) {
		memset(line, 0x7e, sizeof(line));
		CHECK_EQ(sample_format(&x, line, size), strlen("mode=nested ns=0 unhalted=0 "
							       "faults=123456,50"));
		CHECK_EQ(line[size], 0x7e);
	}
}

TEST(bad_lines_are_named)
{
	static const struct {
		const char *line, *text;
	} bad[] = {
		{"", "ns= is missing"},
		{"ns=1 unhalted=2", "mode= is missing"},
		{"ns=1 mode=nested", "unhalted= is missing"},
		{"ns=1 mode=hap unhalted=2", "mode: expected nested or shadow"},
		{"ns=1 mode=nestedx unhalted=2", "mode: expected nested or shadow"},
		{"ns=1,50 mode=nested unhalted=2", "ns: expected a number"},
		{"ns=1 mode=nested unhalted=2 fault=3", "fault: unknown key"},
		{"ns=1 mode=nested unhalted=2 faults", "unknown key"},
		{"ns=1 mode=nested unhalted=2 a_very_long_key_indeed=4", "unknown key"},
		{"ns=1 mode=nested unhalted=2 faults=", "faults: expected NUMBER"},
		{"ns=1 mode=nested unhalted=2 faults=3,", "faults: expected NUMBER"},
		{"ns=1 mode=nested unhalted=2 faults=3,101", "faults: expected NUMBER"},
		{"ns=1 mode=nested unhalted=2 faults=3x", "faults: expected NUMBER"},
		{"ns=1 mode=nested unhalted=2 faults=18446744073709551616", "faults: expected"},
		{"ns=1 mode=nested unhalted=2 ns=1", "ns= stands twice"},
	};
	struct policy_sample x;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		why[0] = '\0';
		CHECK_EQ(sample_parse(&x, bad[i].line, why, sizeof(why)), -EINVAL);
		if (!strstr(why, bad[i].text)) {
			printf("# \"%s\": \"%s\"\n", bad[i].line, why);
			unit_failures++;
		}
	}
}

/* --- arithmetic ------------------------------------------------------------------------------- */

TEST(logarithms)
{
	u32 last = 0;

	CHECK_EQ(log2_q16(0), 0);
	CHECK_EQ(log2_q16(1), 0);
	for (unsigned i = 0; i < 64; i++)
		CHECK_EQ(log2_q16(BIT(i)), i * Q16_ONE);
	CHECK(log2_q16(UINT64_MAX) <= 64 * Q16_ONE);
	for (u64 v = 1; v < 100000; v++) {
		CHECK(log2_q16(v) >= last);
		last = log2_q16(v);
	}
	/* 1.585 and 3.322 */
	CHECK(log2_q16(3) > Q16_ONE * 1.575 && log2_q16(3) < Q16_ONE * 1.595);
	CHECK(log2_q16(10) > Q16_ONE * 3.312 && log2_q16(10) < Q16_ONE * 3.332);
}

TEST(roots)
{
	for (u64 v = 0; v < 70000; v++) {
		u64 r = isqrt(v);

		CHECK(r * r <= v && (r + 1) * (r + 1) > v);
	}
	CHECK_EQ(isqrt(UINT64_MAX), UINT32_MAX);
}

TEST(saturation)
{
	CHECK(sat_add(UINT64_MAX, 1) == UINT64_MAX && sat_add(1, 2) == 3);
	CHECK(sat_sub(1, 2) == 0 && sat_sub(3, 2) == 1);
	CHECK(sat_mul(BIT(32), BIT(32)) == UINT64_MAX && sat_mul(3, 4) == 12);
	CHECK_EQ(ratio_q16(1, 0, 5, 10), 10);
	CHECK_EQ(ratio_q16(0, 1, 5, 10), 5);
	CHECK_EQ(ratio_q16(1, 2, 5, Q16_ONE), Q16_ONE / 2);
}

/* --- change of load --------------------------------------------------------------------------- */

/* Ticks until a change by @factor from 1000 is seen, after 50 without any; 0: never in 200. */
static unsigned ticks_to_alarm(u64 before, u64 after)
{
	struct cusum c = {0};
	u32 drift = Q16_ONE * 216 / 1000, h = Q16_ONE * 2164 / 1000;

	for (unsigned i = 0; i < 50; i++)
		CHECK(!cusum_add(&c, log2_q16(before + (i % 3) * before / 20), drift, h));
	for (unsigned i = 1; i < 200; i++)
		if (cusum_add(&c, log2_q16(after), drift, h)) {
			for (unsigned k = 0; k < 50; k++)
				CHECK(!cusum_add(&c, log2_q16(after), drift, h));
			return i;
		}
	return 0;
}

TEST(changes_are_seen_and_noise_is_not)
{
	CHECK_EQ(ticks_to_alarm(1000, 10000), 1);
	CHECK_EQ(ticks_to_alarm(10000, 1000), 1);
	CHECK_EQ(ticks_to_alarm(1000, 4000), 2);
	CHECK_EQ(ticks_to_alarm(4000, 1000), 2);
	CHECK(ticks_to_alarm(1000, 2000) >= 3 && ticks_to_alarm(1000, 2000) <= 4);
	CHECK_EQ(ticks_to_alarm(1000, 1150), 0);
	CHECK_EQ(ticks_to_alarm(1000, 870), 0);
}

/* --- budgets ---------------------------------------------------------------------------------- */

TEST(switches_are_rationed)
{
	struct budget b;
	unsigned n = 0;

	policy_params_init(&params, 1000000); /* 1 GHz */
	budget_init(&b, &params);
	while (budget_can_switch(&b, false)) {
		budget_switched(&b);
		n++;
	}
	CHECK_EQ(n, 3); /* of four; the last one is for the way home */
	CHECK(budget_can_switch(&b, true));
	budget_switched(&b);
	CHECK(!budget_can_switch(&b, true));
	budget_tick(&b, &params, NSEC_PER_SEC, 0, 0);
	CHECK(budget_can_switch(&b, true));
	/* A round trip of 50 ms may be made each 5 s. */
	budget_switched(&b);
	budget_tick(&b, &params, 4990 * NSEC_PER_MSEC, 0, 50000000);
	CHECK(!budget_can_switch(&b, true));
	budget_tick(&b, &params, 11 * NSEC_PER_MSEC, 0, 50000000);
	CHECK(budget_can_switch(&b, true));
}

TEST(failed_trials_are_paid_for)
{
	struct budget b;

	policy_params_init(&params, 1000000);
	budget_init(&b, &params);
	CHECK_EQ(b.tokens, 100000000); /* probe_start */
	budget_charge(&b, &params, 150000000);
	CHECK_EQ(b.tokens, -50000000);
	budget_tick(&b, &params, 0, 1000000000, 0);
	CHECK_EQ(b.tokens, -45000000);
	budget_charge(&b, &params, UINT64_MAX);
	CHECK_EQ(b.tokens, -1000000000);
	for (unsigned i = 0; i < 1000; i++)
		budget_tick(&b, &params, 0, 1000000000, 0);
	CHECK_EQ(b.tokens, 1000000000);
}

TEST(back_off_grows_to_its_limit)
{
	struct budget b;

	policy_params_init(&params, 1000000);
	budget_init(&b, &params);
	budget_back_off(&b, &params, 10 * NSEC_PER_SEC, true, 4);
	CHECK_EQ(b.next_ns, 18 * NSEC_PER_SEC);
	for (unsigned i = 0; i < 10; i++)
		budget_back_off(&b, &params, 0, true, 2);
	CHECK_EQ(b.next_ns, 120 * NSEC_PER_SEC);
	budget_back_off(&b, &params, 0, false, 4);
	CHECK_EQ(b.next_ns, 2 * NSEC_PER_SEC);
	budget_back_off(&b, &params, 0, true, 4);
	budget_new_phase(&b, &params, 0);
	CHECK_EQ(b.next_ns, 2 * NSEC_PER_SEC);
}

/* --- windows -----------------------------------------------------------------------------------
 */

TEST(another_load_is_told_from_chance)
{
	static const struct {
		u64 before, after;
		bool other;
	} faults[] = {{10, 40, false},	   {63, 0, false},     {10, 400, true},
		      {1000, 1900, false}, {1000, 2100, true}, {2100, 1000, true},
		      {1900, 1000, false}, {0, 64, true}};

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct window a = {.progress = 100, .faults = faults[i].before},
			      b = {.progress = 100, .faults = faults[i].after};

		CHECK_EQ(window_other_load(&a, &b), faults[i].other);
		/* Twice the work, twice the faults. */
		b.progress = 200;
		b.faults *= 2;
		if (faults[i].other || faults[i].before >= 64)
			CHECK_EQ(window_other_load(&a, &b), faults[i].other);
	}
}

TEST(gain_is_progress_per_cycle)
{
	struct window a = {.progress = 1000, .busy = 1000000},
		      b = {.progress = 2200, .busy = 2000000}, none = {0};

	CHECK(window_gain(&a, &b) >= 99999 && window_gain(&a, &b) <= 100001);
	CHECK(window_gain(&b, &a) >= -90911 && window_gain(&b, &a) <= -90908);
	CHECK_EQ(window_gain(&a, &none), 0);
	CHECK_EQ(window_gain(&none, &a), 0);
	b.progress = MEASURE_MAX;
	CHECK_EQ(window_gain(&a, &b), 10000000);
}

/* --- the cost model learns -------------------------------------------------------------------- */

TEST(cost_model_learns_from_windows)
{
	/* Nested: 100 ticks of 1000 cycles for 100 of progress, 200 in walks by the counter, which
	 * tells half; in shadow 80 walk, 50 exits, so 1000 - 400 + 160 + 50. */
	struct window nested = {.n = 100, .busy = 1000000, .progress = 100000, .walk = 200000},
		      shadow = {.n = 50,
				.busy = 405000,
				.progress = 50000,
				.walk = 40000,
				.shadow = 25000};
	struct cost_model m;

	policy_params_init(&params, 1000000);
	cost_init(&m, &params);
	for (unsigned i = 0; i < 20; i++)
		cost_learn_windows(&m, &nested, &shadow, 1000);
	CHECK(m.rho > Q16_ONE * 39 / 100 && m.rho < Q16_ONE * 41 / 100);
	CHECK(m.walk_scale > Q16_ONE * 195 / 100 && m.walk_scale < Q16_ONE * 205 / 100);
	/* Noise as large as the effect teaches nothing about the counter. */
	cost_init(&m, &params);
	cost_learn_windows(&m, &nested, &shadow, 70000);
	CHECK_EQ(m.walk_scale, Q16_ONE);
}

TEST(cost_model_learns_from_shadow_ticks)
{
	struct policy_sample x = {.mode = POLICY_SHADOW,
				  .unhalted = 1000000,
				  .faults = {10, 100},
				  .shadow_cycles = {100000, 100}};
	struct cost_model m;

	policy_params_init(&params, 1000000); /* c_pf is 5000: predicted 50000 */
	cost_init(&m, &params);
	cost_learn_shadow(&m, &params, &x);
	CHECK_EQ(m.shadow_scale, Q16_ONE * 6 / 5);
	for (unsigned i = 0; i < 50; i++)
		cost_learn_shadow(&m, &params, &x);
	CHECK(m.shadow_scale > Q16_ONE * 199 / 100);
	/* Too few events to tell. */
	x.faults.value = 0;
	x.shadow_cycles.value = 900000;
	cost_learn_shadow(&m, &params, &x);
	CHECK(m.shadow_scale <= 2 * Q16_ONE);
}

TEST(cost_of_switches_is_learned)
{
	struct cost_model m;

	policy_params_init(&params, 2800000);
	cost_init(&m, &params);
	CHECK_EQ(cost_round_trip(&m, 0), 1400000 + 280000);
	CHECK_EQ(cost_round_trip(&m, 10000), 1400000 + 280000 + 840000);
	for (unsigned i = 0; i < 40; i++)
		cost_learn_switch(&m, POLICY_SHADOW, 10000, 1400000 + 300000);
	CHECK(cost_round_trip(&m, 10000) < 1400000 + 280000 + 310000);
	for (unsigned i = 0; i < 40; i++)
		cost_learn_switch(&m, POLICY_NESTED, 10000, 1000);
	CHECK(cost_round_trip(&m, 0) < 1400000 + 2000);
	cost_learn_switch(&m, POLICY_SHADOW, 1, MEASURE_MAX);
	CHECK(cost_round_trip(&m, 0) < 3000000); /* one absurd report moves it by half of itself */
}
