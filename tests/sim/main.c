/* Tables of the simulator: make sim
 *
 *   sim            named loads and the tuning set
 *   sim --held-out random loads that tuning does not see
 *   sim --mmu      walks of the bench loads, and the policies with them
 *   sim --trace N  named load N (0 first) under regret as a trace for pnpolicy
 *   sim --memory D recorded bench loads, from D/NAME.touch; --memory-list: how to record them
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loads.h"
#include "mmu_tables.h"
#include "real.h"

static double percent(const struct sim_result *r)
{
	return 100 * (r->seconds / r->native - 1);
}

static void named_row(const struct sim_load *load, const struct sim_costs *c)
{
	struct sim_result h = sim_static(load, c, POLICY_NESTED),
			  s = sim_static(load, c, POLICY_SHADOW), best = sim_optimum(load, c), dsp,
			  regret;
	struct policy_params p;

	sim_params(&p, c);
	dsp = sim_policy(load, c, &sim_exact, &policy_dsp, &p, 1, NULL, NULL);
	regret = sim_policy(load, c, &sim_seen, &policy_regret, &p, 1, NULL, NULL);
	printf("| %-18s | %5.1f | %5.1f | %5.1f/%-3u | %5.1f/%-3u | %5.1f/%-3u |\n", load->name,
	       percent(&h), percent(&s), percent(&dsp), dsp.switches, percent(&regret),
	       regret.switches, percent(&best), best.switches);
}

static void named_table(const struct sim_costs *c)
{
	printf("\n%s costs: %% over time without page walks / switches\n\n", c->name);
	puts("| load               | nested | shadow | dsp       | regret    | optimum   |");
	puts("|--------------------|-------|-------|-----------|-----------|-----------|");
	for (unsigned i = 0; i < SIM_NAMED; i++)
		named_row(&sim_named[i], c);
}

/* --- excess over the best static mode --------------------------------------------------------- */

struct excess {
	double sum, max; /* percent */
	double all[SIM_TUNING + SIM_HELD_OUT];
	unsigned n, at;
};

static void excess_add(struct excess *e, double seconds, double best, unsigned load)
{
	double x = 100 * (seconds / best - 1);

	e->sum += x;
	e->all[e->n++] = x;
	if (x > e->max || e->n == 1) {
		e->max = x;
		e->at = load;
	}
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void excess_row(const char *name, struct excess *e)
{
	qsort(e->all, e->n, sizeof(*e->all), by_value);
	printf("| %-22s | %6.3f | %6.2f | %6.2f | %3u |\n", name, e->sum / e->n,
	       e->all[e->n * 95 / 100], e->max, e->at);
}

/* How regret may see the machine. */
static const struct {
	const char *name;
	struct sim_sight sight;
} sights[] = {
#define SEEN .walk_noise = 0.05, .progress_noise = 0.02, .window_faults = 2500
	{"regret, W x1", {.walk_scale = 1, SEEN}},
	{"regret, W x0.3", {.walk_scale = 0.3, SEEN}},
	{"regret, W x3", {.walk_scale = 3, SEEN}},
	{"regret, W x1, drift", {.walk_scale = 1, .progress_drift = 0.03, SEEN}},
	{"regret, W x0.3, drift", {.walk_scale = 0.3, .progress_drift = 0.03, SEEN}},
	{"regret, W x3, drift", {.walk_scale = 3, .progress_drift = 0.03, SEEN}},
	{"regret, nested W x0.4", {.walk_scale = 0.4, .shadow_scale = 2.5, SEEN}},
	{"regret, shadow W x0.4", {.walk_scale = 1, .shadow_scale = 0.4, SEEN}},
#undef SEEN
#define BLIND .walk_noise = 0.05, .window_faults = 2500
	{"regret blind, W x1", {.walk_scale = 1, BLIND}},
	{"regret blind, W x0.3", {.walk_scale = 0.3, BLIND}},
	{"regret blind, W x3", {.walk_scale = 3, BLIND}},
#undef BLIND
};

typedef struct sim_load load_fn(unsigned i);

static struct sim_load phased_load(unsigned i)
{
	struct sim_load load = sim_random_trace(5000000 + i, 1);

	load.seconds = 300;
	return load;
}

static void random_table(const struct sim_costs *c, load_fn *load_of, unsigned from, unsigned to)
{
	struct excess nested = {0}, shadow = {0}, dsp = {0}, best = {0}, seen[ARRAY_SIZE(sights)];
	struct policy_params p;

	memset(seen, 0, sizeof(seen));
	sim_params(&p, c);
	for (unsigned i = from; i < to; i++) {
		struct sim_load load = load_of(i);
		double h = sim_static(&load, c, POLICY_NESTED).seconds,
		       s = sim_static(&load, c, POLICY_SHADOW).seconds, least = MIN(h, s);

		excess_add(&nested, h, least, i);
		excess_add(&shadow, s, least, i);
		excess_add(&best, sim_optimum(&load, c).seconds, least, i);
		excess_add(&dsp,
			   sim_policy(&load, c, &sim_exact, &policy_dsp, &p, i, NULL, NULL).seconds,
			   least, i);
		for (unsigned k = 0; k < ARRAY_SIZE(sights); k++)
			excess_add(&seen[k],
				   sim_policy(&load, c, &sights[k].sight, &policy_regret, &p, i,
					      NULL, NULL)
					   .seconds,
				   least, i);
	}
	printf("\n%s costs, %s loads %u to %u: %% over the better static mode\n\n", c->name,
	       load_of == phased_load ? "phased" : "stationary", from, to - 1);
	puts("| policy                 | mean   | p95    | max    | at  |");
	puts("|------------------------|--------|--------|--------|-----|");
	excess_row("nested", &nested);
	excess_row("shadow", &shadow);
	excess_row("optimum", &best);
	excess_row("dsp", &dsp);
	for (unsigned k = 0; k < ARRAY_SIZE(sights); k++)
		excess_row(sights[k].name, &seen[k]);
}

static void random_tables(unsigned from, unsigned to)
{
	static const struct sim_costs *const costs[] = {&sim_xen, &sim_own};

	for (unsigned i = 0; i < ARRAY_SIZE(costs); i++) {
		random_table(costs[i], sim_random_load, from, to);
		random_table(costs[i], phased_load, from, to);
	}
}

/* --- a trace ---------------------------------------------------------------------------------- */

static void print_sample(void *ctx, const struct policy_sample *x, const struct policy_decision *d)
{
	char line[512];

	(void)ctx;
	(void)d;
	sample_format(x, line, sizeof(line));
	puts(line);
}

static int print_trace(const char *number)
{
	unsigned i = (unsigned)atoi(number);
	struct policy_params p;

	if (i >= SIM_NAMED)
		return 2;
	sim_params(&p, &sim_own);
	printf("pntrace 1 khz=%u\n# %s, %s costs, regret\n", SIM_KHZ, sim_named[i].name,
	       sim_own.name);
	sim_policy(&sim_named[i], &sim_own, &sim_seen, &policy_regret, &p, 1, print_sample, NULL);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "--trace"))
		return print_trace(argv[2]);
	if (argc > 1 && !strcmp(argv[1], "--held-out")) {
		random_tables(SIM_TUNING, SIM_TUNING + SIM_HELD_OUT);
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "--mmu")) {
		mmu_tables();
		return 0;
	}
	if (argc > 2 && !strcmp(argv[1], "--memory"))
		return real_tables(argv[2]);
	if (argc > 1 && !strcmp(argv[1], "--memory-list")) {
		real_list();
		return 0;
	}
	named_table(&sim_xen);
	named_table(&sim_own);
	random_tables(0, SIM_TUNING);
	return 0;
}
