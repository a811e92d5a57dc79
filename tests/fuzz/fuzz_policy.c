/* Paging policies on arbitrary samples: whatever counters say, decisions are valid modes, the same
 * twice, and switches stay within their budget; modes of address spaces are valid too, and nested
 * behind a shut gate; a sample that can be written can be read again. The first byte chooses: text
 * of a trace, address spaces, or one of the policies with a parameter at will.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/paging/adaptive/policy.c hv/paging/adaptive/dsp.c hv/paging/adaptive/regret.c
 * SRCS: hv/paging/adaptive/guard.c hv/paging/adaptive/cost.c hv/paging/adaptive/budget.c
 * SRCS: hv/paging/adaptive/window.c hv/paging/adaptive/params.c hv/paging/adaptive/sample.c
 * SRCS: hv/paging/adaptive/spaces.c hv/lib/str.c hv/lib/crc32.c
 */
#include "fuzz.h"

#include "paging/adaptive/policy.h"
#include "paging/adaptive/spaces.h"

static u64 take_u64(struct program *prog)
{
	u64 v = 0;
	unsigned n = take(prog) % 9;

	while (n--)
		v = v << 8 | take(prog);
	return v;
}

static struct policy_measure take_measure(struct program *prog)
{
	u8 how = take(prog);

	if (how < 64)
		return (struct policy_measure){0, 0};
	return (struct policy_measure){take_u64(prog), how < 192 ? 100 : how};
}

static void take_sample(struct program *prog, struct policy_sample *x, enum policy_mode mode)
{
	u8 how = take(prog);
	struct policy_measure *m[] = {&x->instructions, &x->faults,	   &x->walks,
				      &x->walk_cycles,	&x->shadow_cycles, &x->cr3_writes,
				      &x->invlpgs,	&x->table_writes,  &x->progress,
				      &x->leaves,	&x->spaces,	   &x->switch_cycles};

	/* Most samples are the one before with a measure changed: runs reach the interesting
	 * states. */
	x->mode = mode;
	if (how < 200)
		*m[how % ARRAY_SIZE(m)] = take_measure(prog);
	else if (how < 220)
		x->ns = take_u64(prog);
	else if (how < 240)
		x->unhalted = take_u64(prog);
	else
		x->mode = (enum policy_mode)take(prog);
}

static struct policy_sample usual(void)
{
	return (struct policy_sample){.ns = 100 * NSEC_PER_MSEC,
				      .unhalted = 280000000,
				      .instructions = {280000000, 100},
				      .faults = {100, 100},
				      .walks = {3000000, 100},
				      .walk_cycles = {40000000, 100},
				      .shadow_cycles = {300000, 100},
				      .progress = {280000000, 100},
				      .leaves = {20000, 100}};
}

static bool same(const struct policy_decision *a, const struct policy_decision *b)
{
	return a->mode == b->mode && a->reason == b->reason && a->probe == b->probe &&
	       a->alarm == b->alarm && a->own == b->own && a->other == b->other &&
	       a->regret == b->regret && a->switch_cost == b->switch_cost &&
	       a->gain_ppm == b->gain_ppm;
}

static void check_text(const struct policy_sample *x)
{
	struct policy_sample y;
	char line[640], again[640], why[128];

	if (x->mode >= POLICY_MODES)
		return;
	MUST(sample_format(x, line, sizeof(line)) < sizeof(line));
	for (const char *c = line; *c; c++)
		MUST(*c >= ' ' && *c <= '~');
	if (sample_parse(&y, line, why, sizeof(why)) == 0) {
		MUST(sample_format(&y, again, sizeof(again)) < sizeof(again));
		MUST(strcmp(line, again) == 0);
	} else {
		MUST(strstr(why, "CONFIDENCE")); /* above 100 */
	}
}

static void run(struct program *prog)
{
	const struct policy_ops *ops = policy_nth(take(prog) % 2);
	const struct policy_param *param = &policy_param_table[take(prog) % policy_param_count];
	struct policy_sample x = usual();
	enum policy_mode mode = POLICY_NESTED;
	unsigned switches = 0;
	struct policy p, q;
	struct policy_params params;
	u64 seconds = 0;

	policy_params_init(&params, 2800000);
	if (take(prog) & 1)
		*(u64 *)((char *)&params + param->offset) =
			param->min + take_u64(prog) % (param->max - param->min + 1);
	policy_init(&p, ops, &params, mode);
	policy_init(&q, ops, &params, mode);
	while (prog->p < prog->end) {
		unsigned ticks = 1 + take(prog) % 30;

		take_sample(prog, &x, mode);
		check_text(&x);
		for (unsigned i = 0; i < ticks; i++) {
			struct policy_decision d = policy_tick(&p, &x), e = policy_tick(&q, &x);

			MUST(d.mode == POLICY_NESTED || d.mode == POLICY_SHADOW);
			MUST(d.reason < POLICY_REASONS);
			MUST(same(&d, &e));
			seconds += x.ns / NSEC_PER_SEC + 1;
			/* Safety is not rationed; entering shadow is. */
			switches += d.mode == POLICY_SHADOW && mode == POLICY_NESTED;
			x.mode = mode = d.mode;
		}
	}
	MUST(ops == &policy_dsp || switches <= params.switch_burst + seconds ||
	     params.switch_gap < NSEC_PER_SEC || params.khz != 2800000);
}

/* The same for modes of address spaces. */
static void run_spaces(struct program *prog)
{
	struct policy_sample x = usual();
	struct policy_params params;
	struct cost_model model;
	struct spaces s;

	policy_params_init(&params, 2800000);
	cost_init(&model, &params);
	spaces_init(&s, &params);
	while (prog->p < prog->end) {
		u64 root = take(prog) % 20;
		unsigned times = 1 + take(prog) % 30;
		enum policy_mode mode = POLICY_NESTED;
		bool open;

		take_sample(prog, &x, (enum policy_mode)(take(prog) & 1));
		open = spaces_open(&s, &params, &x);
		while (times--) {
			mode = spaces_ran(&s, &params, &model, root, &x);
			MUST(mode == POLICY_NESTED || mode == POLICY_SHADOW);
			MUST(open || mode == POLICY_NESTED);
			x.mode = mode;
		}
		/* With nobody there is nothing to differ. */
		MUST(open || !spaces_differ(&s, &params));
		spaces_fade(&s);
		if (take(prog) < 16)
			spaces_forget(&s, root);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct program prog = {data, data + size};
	struct policy_sample x;
	char text[512], why[128];

	if (size && *data & 0x80) {
		size = MIN(size, sizeof(text)) - 1;
		memcpy(text, data + 1, size);
		text[size] = '\0';
		if (sample_parse(&x, text, why, sizeof(why)) == 0)
			check_text(&x);
		else
			MUST(*why);
		return 0;
	}
	if (size && *data & 0x40)
		run_spaces(&prog);
	else
		run(&prog);
	return 0;
}
