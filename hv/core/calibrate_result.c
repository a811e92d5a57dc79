/* What loads cost beyond the same ones without TLB misses; between the sets that were measured; and
 * the policies' first beliefs. See calibrate.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/calibrate_result.h"
#include "lib/muldiv.h"

#define NOISE_SHIFT 4	 /* a sixteenth of a load, */
#define NOISE	    1000 /* or a cycle: no difference */
#define RHO_ONE	    1000

const u64 calibration_pages[CALIBRATION_SETS] = {256, 1024, 4096, 16384, 65536};

/* Loads that hit the TLB: those over large pages, unless the CPU has too few entries for them and
 * the smallest set is quicker. */
static u64 base_cost(const struct calibration_loads *l, unsigned mode, unsigned set)
{
	return MIN(l->large[mode][set], l->small[mode][0]);
}

static u64 difference(const struct calibration_loads *l, unsigned mode, unsigned set)
{
	u64 base = base_cost(l, mode, set);

	return l->small[mode][set] > base ? l->small[mode][set] - base : 0;
}

/* The largest set misses all the time. If even that makes no difference the machine's clock does
 * not know of walks. */
static bool is_known(const struct calibration_loads *l, unsigned mode)
{
	unsigned last = CALIBRATION_SETS - 1;
	u64 base = base_cost(l, mode, last), cost = difference(l, mode, last);

	return base && cost > NOISE && cost > base >> NOISE_SHIFT;
}

/* Of the sets that are beyond every TLB: 16 MiB and more. */
static u64 ratio(const struct calibration *c)
{
	u64 sum[POLICY_MODES] = {0};

	for (unsigned i = 2; i < CALIBRATION_SETS; i++)
		for (unsigned mode = 0; mode < POLICY_MODES; mode++)
			sum[mode] += c->walk[i].cost[mode];
	if (!sum[POLICY_NESTED] || !sum[POLICY_SHADOW])
		return 0;
	return sum[POLICY_SHADOW] * RHO_ONE / sum[POLICY_NESTED];
}

void calibration_evaluate(struct calibration *c, const struct calibration_loads *l)
{
	for (unsigned i = 0; i < CALIBRATION_SETS; i++) {
		struct calibration_walk *w = &c->walk[i];

		w->pages = calibration_pages[i];
		for (unsigned mode = 0; mode < POLICY_MODES; mode++) {
			w->known[mode] = is_known(l, mode);
			w->cost[mode] = w->known[mode] ? difference(l, mode, i) : 0;
		}
	}
	c->rho = ratio(c);
}

/* --- counters --------------------------------------------------------------------------------- */

#define LOOP_INSTRUCTIONS 14 /* of probe_loads */
#define PERMILLE	  1000

static bool near(u64 value, u64 expected)
{
	return value >= expected / 2 && value <= expected * 2;
}

void calibration_judge(const struct calibration *c, enum policy_mode mode,
		       const struct pmu_reading *r, u64 loads, u64 cycles, bool wrong[PMU_ROLES])
{
	const struct calibration_walk *w = &c->walk[CALIBRATION_SETS - 1];
	u64 per_load = r->instructions.value / MAX(loads, 1ull);
	/* As long as cycles of the TSC are, in which costs are known. */
	u64 walking = mul_div(r->walk_cycles.value, cycles, MAX(r->unhalted.value, 1ull));

	wrong[PMU_UNHALTED] = !r->unhalted.confidence;
	wrong[PMU_INSTRUCTIONS] = per_load < LOOP_INSTRUCTIONS || per_load > LOOP_INSTRUCTIONS + 2;
	wrong[PMU_WALKS] = w->known[mode] && !near(r->walks.value, loads);
	wrong[PMU_WALK_CYCLES] = w->known[mode] && !near(walking, loads * w->cost[mode] / PERMILLE);
}

/* --- between the sets ------------------------------------------------------------------------- */

/* Sixteenths of the binary logarithm; within an octave a straight line is near enough. */
static u64 log2_16(u64 x)
{
	unsigned n = 63 - (unsigned)__builtin_clzll(x);
	u64 fraction = n >= 4 ? x >> (n - 4) : x << (4 - n);

	return 16 * n + (fraction & 15);
}

static u64 between(u64 a, u64 b, u64 part, u64 whole)
{
	return a <= b ? a + (b - a) * part / whole : a - (a - b) * part / whole;
}

u64 calibration_walk(const struct calibration *c, enum policy_mode mode, u64 pages)
{
	const struct calibration_walk *w = c->walk;
	unsigned i = 0;
	u64 from;

	if (!c->done || !w[0].known[mode])
		return 0;
	while (i < CALIBRATION_SETS && pages > w[i].pages)
		i++;
	if (i == 0 || i == CALIBRATION_SETS)
		return w[i ? i - 1 : 0].cost[mode];
	from = log2_16(w[i - 1].pages);
	return between(w[i - 1].cost[mode], w[i].cost[mode], log2_16(pages) - from,
		       log2_16(w[i].pages) - from);
}

/* --- priors ----------------------------------------------------------------------------------- */

void calibration_priors(const struct calibration *c, struct policy_params *p,
			bool (*user_set)(const char *name))
{
	const struct {
		const char *name;
		u64 *param;
		u64 value;
	} prior[] = {
		{"rho", &p->rho, c->rho ? MIN(MAX(c->rho, p->rho_min), p->rho_max) : 0},
		/* The access after the guest's own fault, and where that one exits it too. */
		{"c_pf", &p->c_pf, c->fill ? c->fill + (c->filtered ? 0 : c->fault) : 0},
		{"c_cr3", &p->c_cr3, c->cr3},
		{"c_invlpg", &p->c_invlpg, c->invlpg},
	};

	if (!c->done)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(prior); i++)
		if (prior[i].value && !user_set(prior[i].name))
			*prior[i].param = prior[i].value;
}
