/* Recorded bench loads: see real.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "real.h"

#include <stdio.h>
#include <string.h>

#include "loads.h"
#include "mix.h"
#include "replay.h"

/* Each third is held out: no policy is tuned by it. Overlap is not in a trace: nothing overlaps
 * where each access waits for the one before; the rest is assumed, as in access.c. */
#define DEPENDENT                                                                                  \
	{                                                                                          \
		1, 1                                                                               \
	}
#define RANDOM                                                                                     \
	{                                                                                          \
		0.3, 0.5                                                                           \
	}
#define STREAMING                                                                                  \
	{                                                                                          \
		0.1, 0.25                                                                          \
	}
#define OTHER                                                                                      \
	{                                                                                          \
		0.3, 0.5                                                                           \
	}

static const struct real {
	const char *name, *load, *param;
	unsigned rounds, lines, millions;
	struct replay_overlap overlap;
} real[] = {
	{"chase-96", "chase", "96", 20, 1, 6, DEPENDENT},
	{"gups-64", "gups", "64", 20, 1, 10, RANDOM},
	{"stencil-60", "stencil", "60", 50, 1, 10, RANDOM},
	{"stream4k-128", "stream4k", "128", 20, 1, 20, STREAMING},
	{"churn-256", "churn", "256", 100, 1, 8, OTHER},
	{"allocloop-256", "allocloop", "256", 100, 1, 16, OTHER},
	{"burst-10", "burst", "10", 100, 1, 230, OTHER},
	{"page-256", "page", "256", 100, 1, 8, OTHER},
	{"brk-16", "brk", "16", 100, 1, 20, OTHER},
	{"forkwait", "forkwait", "50", 3, 1, 20, OTHER},
	{"fork", "fork", "50", 3, 1, 20, OTHER},
	{"exec", "exec", "10", 3, 1, 20, OTHER},
	{"memmotion-8", "memmotion", "8", 20, 1, 16, OTHER},
	{"spawnstorm-16", "spawnstorm", "16", 3, 1, 20, OTHER},
	{"tcc", "tcc", "1", 2, 0, 60, OTHER},
	{"chase-churn", "phases", "chase/churn/2", 20, 1, 40, DEPENDENT},
	{"chase-512", "chase", "512", 20, 1, 6, DEPENDENT},
	{"gups-256", "gups", "256", 20, 1, 10, RANDOM},
	{"chase-8", "chase", "8", 20, 1, 6, DEPENDENT},
	{"stencil-12", "stencil", "12", 100, 1, 10, RANDOM},
	{"gups-page", "phases", "gups/page/2", 20, 1, 60, RANDOM},
};
#define REALS	    ARRAY_SIZE(real)
#define HELD_OUT(i) ((i) % 3 == 2)

void real_list(void)
{
	for (unsigned i = 0; i < REALS; i++)
		printf("%s %s %s %u %u %u\n", real[i].name, real[i].load, real[i].param,
		       real[i].rounds, real[i].lines, real[i].millions);
}

/* --- machines --------------------------------------------------------------------------------- */

enum {
	NEW_SHADOW,
	NEW_NESTED_4K,
	NEW_NESTED_2M,
	NEW_SHADOW_LARGE,
	NEW_NESTED_LARGE,
	OLD_SHADOW,
	OLD_NESTED_4K,
	LANES
};
_Static_assert(LANES <= REPLAY_LANES, "each has its place");

/* The one of today with the proposed shadow; DSP's, as Xen used it: no tags, three exits a fault.
 */
static const struct replay_lane lanes[LANES] = {
	[NEW_SHADOW] = {&mmu_icelake, MMU_SHADOW, true, false, 2},
	[NEW_NESTED_4K] = {&mmu_icelake, MMU_NESTED_4K, true, false, 0},
	[NEW_NESTED_2M] = {&mmu_icelake, MMU_NESTED_2M, true, false, 0},
	[NEW_SHADOW_LARGE] = {&mmu_icelake, MMU_SHADOW, true, true, 2},
	[NEW_NESTED_LARGE] = {&mmu_icelake, MMU_NESTED_2M, true, true, 0},
	[OLD_SHADOW] = {&mmu_lynnfield, MMU_SHADOW, false, false, 3},
	[OLD_NESTED_4K] = {&mmu_lynnfield, MMU_NESTED_4K, false, false, 0},
};

static const struct setting {
	const char *name;
	const struct sim_costs *costs;
	unsigned shadow, nested;
	bool large;
} settings[] = {
	{"i7-860 without tags, Xen-like costs, nested 4K", &sim_xen, OLD_SHADOW, OLD_NESTED_4K,
	 false},
	{"2020 server, proposed costs, nested 4K", &sim_own, NEW_SHADOW, NEW_NESTED_4K, false},
	{"2020 server, proposed costs, nested 2M", &sim_own, NEW_SHADOW, NEW_NESTED_2M, false},
	{"2020 server, proposed costs, nested 2M, guest 2M", &sim_own, NEW_SHADOW_LARGE,
	 NEW_NESTED_LARGE, true},
};

static struct replay replays[REALS];

/* --- walks ------------------------------------------------------------------------------------ */

/* All windows behind those that warm up. */
static struct replay_window whole(const struct replay *r)
{
	struct replay_window sum = {0};

	for (unsigned i = REPLAY_WARM; i < REPLAY_WINDOWS; i++) {
		const u64 *from = (const u64 *)&r->window[i].events;
		u64 *to = (u64 *)&sum.events;

		for (size_t k = 0; k < sizeof(sum.events) / sizeof(u64); k++)
			to[k] += from[k];
		sum.large_faults += r->window[i].large_faults;
		for (unsigned l = 0; l < LANES; l++) {
			sum.lane[l].misses += r->window[i].lane[l].misses;
			sum.lane[l].references += r->window[i].lane[l].references;
			sum.lane[l].walk_cycles += r->window[i].lane[l].walk_cycles;
			sum.lane[l].stall_cycles += r->window[i].lane[l].stall_cycles;
		}
	}
	return sum;
}

static double ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

static void walk_row(unsigned i)
{
	struct replay_window w = whole(&replays[i]);
	const struct replay_overlap *o = &real[i].overlap;
	double thousand = (double)w.events.instructions / 1000,
	       base = replay_base(&w, NEW_NESTED_2M, o);

	printf("| %-13s%c | %6.2f | %7.1f | %6.2f |", real[i].name, HELD_OUT(i) ? '*' : ' ',
	       thousand / 1000, (double)w.events.faults * 2.8e9 / base / 1000,
	       (double)w.lane[NEW_SHADOW].misses / thousand);
	for (unsigned l = NEW_SHADOW; l <= NEW_NESTED_2M; l++)
		printf(" %5.2f %4.0f %5.1f |",
		       ratio((double)w.lane[l].references, (double)w.lane[l].misses),
		       ratio((double)w.lane[l].walk_cycles, (double)w.lane[l].misses),
		       100 * o->walk * (double)w.lane[l].walk_cycles / base);
	for (unsigned l = NEW_NESTED_4K; l <= NEW_NESTED_2M; l++)
		printf(" %4.2f |", ratio((double)w.lane[NEW_SHADOW].walk_cycles,
					 (double)w.lane[l].walk_cycles));
	for (unsigned l = NEW_SHADOW_LARGE; l <= NEW_NESTED_LARGE; l++)
		printf(" %5.1f |", 100 * o->walk * (double)w.lane[l].walk_cycles / base);
	putchar('\n');
}

static void walk_table(void)
{
	puts("\nWalks on the 2020 server: references, cycles each, % of the time without them; *: "
	     "held out\n\n"
	     "| load           | Minstr | kPF/s   | miss/k | shadow           | nested 4K        | "
	     "nested 2M        | rho4 | rho2 | 2M sh | 2M ne |\n"
	     "|----------------|--------|---------|--------|------------------|------------------|-"
	     "-----------------|------|------|-------|-------|");
	for (unsigned i = 0; i < REALS; i++)
		if (!replays[i].why)
			walk_row(i);
}

/* What DSP's Table 3 gives for mcf: (383 - 329) s for 12.5e9 misses; for gcc: 2.1e9 misses more
 * under shadow paging, for 13.3e6 faults. */
static void old_row(unsigned i)
{
	struct replay_window w = whole(&replays[i]);
	const struct replay_walks *s = &w.lane[OLD_SHADOW], *n = &w.lane[OLD_NESTED_4K];
	double thousand = (double)w.events.instructions / 1000, walk = real[i].overlap.walk;

	printf("| %-13s%c | %6.2f | %6.2f | %7.1f | ", real[i].name, HELD_OUT(i) ? '*' : ' ',
	       (double)n->misses / thousand, (double)s->misses / thousand,
	       walk / 2.8 *
		       (ratio((double)n->walk_cycles, (double)n->misses) -
			ratio((double)s->walk_cycles, (double)s->misses)));
	if (w.events.faults > 1000)
		printf("%6.1f |\n",
		       ((double)s->misses - (double)n->misses) / (double)w.events.faults);
	else
		puts("       |");
}

static void old_table(void)
{
	puts("\nThe i7-860 without tags, three exits a fault, against DSP's Table 3: mcf +4.3 ns "
	     "a miss, gcc +159 misses a fault\n\n"
	     "| load           | miss/k | shadow | ns/miss | /fault |\n"
	     "|----------------|--------|--------|---------|--------|");
	for (unsigned i = 0; i < REALS; i++)
		if (!replays[i].why)
			old_row(i);
}

/* --- policies --------------------------------------------------------------------------------- */

#define STRETCH 40.0 /* seconds that a trace is made to last before it is repeated */
#define SECONDS 400.0

static struct sim_load load_of(unsigned i, const struct setting *s)
{
	struct sim_load load = {real[i].name, SECONDS, 0, {{.seconds = 0}}};
	struct replay_window sum = whole(&replays[i]);
	double all = replay_base(&sum, s->nested, &real[i].overlap);

	for (unsigned k = REPLAY_WARM; k < REPLAY_WINDOWS; k++) {
		const struct replay_window *w = &replays[i].window[k];
		struct sim_phase *ph = &load.phase[load.n];

		if (!w->events.instructions)
			continue;
		*ph = replay_phase(&replays[i], w, s->shadow, s->nested, &real[i].overlap,
				   s->costs);
		if (s->large && w->events.faults)
			ph->pf *= w->large_faults / (double)w->events.faults;
		ph->seconds = STRETCH * replay_base(w, s->nested, &real[i].overlap) / all;
		load.n++;
	}
	return load;
}

enum { NESTED, SHADOW, DSP, REGRET, BLIND, OPTIMUM, WAYS };

struct sums {
	double sum[WAYS], worst[WAYS];
	unsigned n;
};

static void run_all(const struct sim_load *load, const struct setting *s, struct sim_result r[WAYS])
{
	const struct sim_costs *c = s->costs;
	struct sim_sight blind = sim_seen;
	struct policy_params p;

	blind.progress_noise = 0;
	sim_params(&p, c);
	r[NESTED] = sim_static(load, c, POLICY_NESTED);
	r[SHADOW] = sim_static(load, c, POLICY_SHADOW);
	r[DSP] = sim_policy(load, c, &sim_exact, &policy_dsp, &p, 1, NULL, NULL);
	r[REGRET] = sim_policy(load, c, &sim_seen, &policy_regret, &p, 1, NULL, NULL);
	r[BLIND] = sim_policy(load, c, &blind, &policy_regret, &p, 1, NULL, NULL);
	r[OPTIMUM] = sim_optimum(load, c);
}

static void policy_row(unsigned i, const struct setting *s, struct sums *sums)
{
	struct sim_load load = load_of(i, s);
	struct sim_result r[WAYS];
	double best;

	run_all(&load, s, r);
	best = MIN(r[NESTED].seconds, r[SHADOW].seconds);
	printf("| %-13s%c |", real[i].name, HELD_OUT(i) ? '*' : ' ');
	sums->n++;
	for (unsigned k = 0; k < WAYS; k++) {
		double over = 100 * (r[k].seconds / best - 1);

		sums->sum[k] += over;
		sums->worst[k] = MAX(sums->worst[k], over);
		printf(k < DSP ? " %7.2f |" : " %7.2f/%-3u |",
		       100 * (r[k].seconds / r[k].native - 1), r[k].switches);
	}
	putchar('\n');
}

static void print_sums(const char *name, const struct sums *s)
{
	if (!s->n)
		return;
	printf("| %-14s |", name);
	for (unsigned k = 0; k < WAYS; k++)
		printf(k < DSP ? " %.2f/%.1f |" : " %.2f/%.2f |", s->sum[k] / s->n, s->worst[k]);
	putchar('\n');
}

static void policy_table(const struct setting *s)
{
	struct sums sums[2] = {{{0}, {0}, 0}, {{0}, {0}, 0}};

	printf("\n%s: %% over the time without page walks and exits / switches\n\n"
	       "| load           | nested  | shadow  | dsp         | regret      | blind       | "
	       "optimum     |\n"
	       "|----------------|---------|---------|-------------|-------------|-------------|---"
	       "-"
	       "---------|\n",
	       s->name);
	for (unsigned i = 0; i < REALS; i++)
		if (!replays[i].why)
			policy_row(i, s, &sums[HELD_OUT(i)]);
	print_sums("over the best", &sums[0]);
	print_sums("held out", &sums[1]);
}

/* --- two processes ---------------------------------------------------------------------------- */

static const struct replay *find(const char *name, unsigned *at)
{
	for (unsigned i = 0; i < REALS; i++)
		if (!strcmp(real[i].name, name) && !replays[i].why) {
			*at = i;
			return &replays[i];
		}
	return NULL;
}

static void mix_row(const struct setting *s, const char *a, const char *b, double quantum)
{
	static const struct sim_sight sight = {.walk_scale = 1, .walk_noise = 0.05};
	struct sim_mix mix = {.quantum = quantum, .seconds = SECONDS};
	const char *const name[2] = {a, b};
	struct sim_result n, h, each;
	struct policy_params p;
	double best;

	for (unsigned i = 0; i < 2; i++) {
		unsigned at;
		const struct replay *r = find(name[i], &at);
		struct replay_window w;

		if (!r)
			return;
		w = whole(r);
		mix.process[i] =
			replay_phase(r, &w, s->shadow, s->nested, &real[at].overlap, s->costs);
		mix.process[i].cr3 = 0; /* by the mix */
	}
	sim_params(&p, s->costs);
	n = mix_static(&mix, s->costs, POLICY_NESTED);
	h = mix_static(&mix, s->costs, POLICY_SHADOW);
	each = mix_spaces(&mix, s->costs, &sight, &p, 1);
	best = MIN(n.seconds, h.seconds) - n.native;
	printf("| %s + %s, %.0f ms | %.2f | %.2f | %.2f | %.0f %% |\n", a, b, quantum * 1000,
	       100 * (n.seconds / n.native - 1), 100 * (h.seconds / h.native - 1),
	       100 * (each.seconds / each.native - 1),
	       100 * (1 - (each.seconds - each.native) / best));
}

static void mix_table(const struct setting *s)
{
	printf("\nTwo processes, %s\n\n"
	       "| mix | nested | shadow | each its own | less than the best |\n"
	       "|---|---|---|---|---|\n",
	       s->name);
	mix_row(s, "chase-96", "churn-256", 1e-3);
	mix_row(s, "chase-96", "churn-256", 10e-3);
	mix_row(s, "gups-64", "page-256", 1e-3);
	mix_row(s, "stencil-60", "allocloop-256", 1e-3);
}

int real_tables(const char *dir)
{
	char path[512];
	unsigned found = 0;

	for (unsigned i = 0; i < REALS; i++) {
		snprintf(path, sizeof(path), "%s/%s.touch", dir, real[i].name);
		fprintf(stderr, "  REPLAY  %s\n", path);
		replay_file(&replays[i], path, lanes, LANES);
		if (replays[i].why)
			fprintf(stderr, "%s: %s\n", path, replays[i].why);
		else
			found++;
	}
	walk_table();
	old_table();
	for (unsigned i = 0; i < ARRAY_SIZE(settings); i++)
		policy_table(&settings[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(settings) - 1; i++)
		mix_table(&settings[i]);
	return !found;
}
