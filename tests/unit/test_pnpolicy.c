/* Replaying a recorded trace: catches a decision that differs from the one made when the trace was
 * recorded, a bad line that is taken or not named by file and line, a what-if that prices a tick
 * wrongly or finds a policy better than the optimum.
 *
 * SRCS: hv/paging/adaptive/policy.c hv/paging/adaptive/dsp.c hv/paging/adaptive/regret.c
 * SRCS: hv/paging/adaptive/guard.c hv/paging/adaptive/cost.c hv/paging/adaptive/budget.c
 * SRCS: hv/paging/adaptive/window.c hv/paging/adaptive/params.c hv/paging/adaptive/sample.c
 * SRCS: hv/lib/str.c hv/lib/crc32.c tests/sim/world.c tests/sim/loads.c
 * SRCS: tools/pnpolicy/ptrace.c tools/pnpolicy/replay.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "../../tools/pnpolicy/replay.h"
#include "../sim/loads.h"
#include "lib/crc32.h"

static char recorded[4 << 20];
static size_t recorded_len;
static u32 recorded_crc;

static void record(void *ctx, const struct policy_sample *x, const struct policy_decision *d)
{
	u64 word[] = {d->mode,	d->reason, d->probe,	   d->alarm,	    d->own,
		      d->other, d->regret, d->switch_cost, (u64)d->gain_ppm};

	(void)ctx;
	recorded_crc = crc32(recorded_crc, word, sizeof(word));
	recorded_len += sample_format(x, recorded + recorded_len, sizeof(recorded) - recorded_len);
	CHECK(recorded_len + 2 < sizeof(recorded));
	recorded[recorded_len++] = '\n';
}

static void record_run(const struct policy_ops *ops, struct policy_params *params)
{
	sim_params(params, &sim_own);
	recorded_len = (size_t)sprintf(recorded, "pntrace 1 khz=%u\r\n\n# phases\n", SIM_KHZ);
	recorded_crc = 0;
	sim_policy(&sim_named[3], &sim_own, &sim_seen, ops, params, 3, record, NULL);
	recorded[recorded_len] = '\0';
}

/* What @print writes. */
static char output[1 << 20];

static FILE *open_output(void)
{
	memset(output, 0, sizeof(output));
	return fmemopen(output, sizeof(output) - 1, "w");
}

TEST(a_recorded_run_is_repeated_bit_by_bit)
{
	for (unsigned i = 0; policy_nth(i); i++) {
		struct policy_params params;
		struct ptrace t;
		char want[64];
		FILE *out;

		record_run(policy_nth(i), &params);
		CHECK_EQ(ptrace_parse(&t, "recorded", recorded), 0);
		CHECK_EQ(t.n, 4000);
		CHECK_EQ(t.tick[0].line, 4);
		out = open_output();
		CHECK_EQ(replay_recorded(&t, policy_nth(i), &params, DETAIL_DECISIONS, out), 0);
		fclose(out);
		snprintf(want, sizeof(want), "\"differs\":0,\"decisions\":\"%08x\"}", recorded_crc);
		CHECK(strstr(output, want));
		CHECK(strstr(output, "\"from\":\"nested\",\"to\":\"shadow\",\"reason\":"));
		/* Another threshold shows. */
		params.gamma = 100000;
		params.period = 7 * NSEC_PER_SEC;
		out = open_output();
		CHECK(replay_recorded(&t, policy_nth(i), &params, DETAIL_TOTALS, out) > 0);
		fclose(out);
		ptrace_free(&t);
	}
}

/* The number behind "KEY": in the line of @policy. */
static u64 total(const char *policy, const char *key)
{
	char start[64], name[64];
	const char *line, *at;

	snprintf(start, sizeof(start), "{\"policy\":\"%s\",\"total\":1", policy);
	snprintf(name, sizeof(name), "\"%s\":", key);
	line = strstr(output, start);
	at = line ? strstr(line, name) : NULL;
	CHECK(at);
	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

TEST(what_if_prices_both_modes)
{
	char text[] = "pntrace 1 khz=1000000\n"
		      "mode=nested ns=100000000 unhalted=90000000 walk_cycles=20000000 faults=100\n"
		      "mode=shadow ns=100000000 unhalted=90000000 walk_cycles=5000000 faults=100 "
		      "shadow_cycles=700000\n";
	struct policy_params params;
	struct ptrace t;
	FILE *out = open_output();

	CHECK_EQ(ptrace_parse(&t, "text", text), 0);
	policy_params_init(&params, t.khz);
	params.rho = 250;
	params.c_pf = 10000;
	replay_static(&t, POLICY_NESTED, &params, out);
	replay_static(&t, POLICY_SHADOW, &params, out);
	fclose(out);
	CHECK_EQ(total("nested", "paging_cycles"), 20000000 + 5000000 * 4);
	CHECK_EQ(total("shadow", "paging_cycles"), 20000000 / 4 + 100 * 10000 + 5000000 + 700000);
	CHECK_EQ(total("nested", "nested_ms"), 100 + 114);
	CHECK_EQ(total("shadow", "shadow_ms"), 86 + 100);
	ptrace_free(&t);
}

TEST(nothing_beats_the_optimum)
{
	struct policy_params params;
	struct ptrace t;
	FILE *out = open_output();
	u64 best;

	record_run(&policy_regret, &params);
	CHECK_EQ(ptrace_parse(&t, "recorded", recorded), 0);
	params.rho = 500;
	params.c_pf = 3360;
	for (unsigned i = 0; policy_nth(i); i++)
		replay_what_if(&t, policy_nth(i), &params, DETAIL_TOTALS, out);
	replay_static(&t, POLICY_NESTED, &params, out);
	replay_static(&t, POLICY_SHADOW, &params, out);
	replay_optimum(&t, &params, out);
	fclose(out);
	best = total("optimum", "paging_cycles");
	CHECK(best && total("regret", "paging_cycles") >= best);
	CHECK(total("regret", "paging_cycles") < best * 103 / 100);
	CHECK(total("dsp", "paging_cycles") > best);
	CHECK(total("shadow", "paging_cycles") > best && total("nested", "paging_cycles") > best);
	ptrace_free(&t);
}

TEST(parameters_of_a_trace)
{
	char text[] = "pntrace 1 khz=1\nparam settle=2\r\n# x\nparam tick=20ms\n"
		      "mode=nested ns=1 unhalted=1\n";
	struct ptrace t;

	CHECK_EQ(ptrace_parse(&t, "text", text), 0);
	CHECK_EQ(t.params, 2);
	CHECK_STR(t.param[0], "settle=2");
	CHECK_STR(t.param[1], "tick=20ms");
	CHECK_EQ(t.n, 1);
	ptrace_free(&t);
}

TEST(bad_traces_are_named_by_file_and_line)
{
	static const struct {
		const char *text;
		unsigned errors;
		const char *says;
	} bad[] = {
		{"", 1, "bad:1: no tick in it"},
		{"mode=nested ns=1 unhalted=1\n", 1, "bad:1: expected \"pntrace 1"},
		{"# x\npntrace 2 khz=5\n", 1, "bad:2: expected \"pntrace 1"},
		{"pntrace 1 khz=0\n", 1, "bad:1: khz"},
		{"pntrace 1 khz=12x\n", 1, "bad:1: khz"},
		{"pntrace 1 khz=1\n\nmode=nested ns=0 unhalted=1\n", 1, "bad:3: ns"},
		{"pntrace 1 khz=1\nmode=nested ns=1 unhalted=1\nparam settle=2\n", 1,
		 "bad:3: param"},
		{"pntrace 1 khz=1\nmode=nested ns=1 unhalted=1\nmode=x\nns=1", 2,
		 "bad:3: mode: expected nested or shadow\nbad:4: unhalted= is missing"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		FILE *was = stderr, *out = open_output();
		struct ptrace t;
		char text[256];

		snprintf(text, sizeof(text), "%s", bad[i].text);
		stderr = out;
		CHECK_EQ(ptrace_parse(&t, "bad", text), bad[i].errors);
		stderr = was;
		fclose(out);
		ptrace_free(&t);
		if (!strstr(output, bad[i].says)) {
			printf("# trace %zu: \"%s\", expected \"%s\"\n", i, output, bad[i].says);
			unit_failures++;
		}
	}
}
