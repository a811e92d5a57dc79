/* Samples from totals: see telemetry.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/telemetry.h"

#include "paging/adaptive/fixed.h"
#include "paging/adaptive/guard.h"

#define EXACT	  100
#define GUESS	  20
#define BY_STORES 30
/* Between the CPU's clock and the one we read. */
#define CLOCK_RANGE 16

const char *const progress_unit_name[PROGRESS_UNITS] = {[PROGRESS_NONE] = "none",
							[PROGRESS_INSTRUCTIONS] = "instructions",
							[PROGRESS_FAULTS] = "faults",
							[PROGRESS_CR3_WRITES] = "cr3_writes"};

/* --- the sample ------------------------------------------------------------------------------- */

static struct policy_measure counted(u64 before, u64 after)
{
	return (struct policy_measure){.value = after - before, .confidence = EXACT};
}

/* Cycles in guest mode. Totals have the CPU's own entries and exits in them too. */
static u64 unhalted(const struct telemetry *before, const struct telemetry *after,
		    const struct estimates *e)
{
	u64 cycles = after->guest - before->guest;

	cycles = sat_sub(cycles, sat_mul(after->exits - before->exits, e->world_switch));
	/* A counter that stands still or counts something else would pass for an idle guest. */
	if (measure_known(&e->unhalted) && e->unhalted.value >= cycles / CLOCK_RANGE &&
	    e->unhalted.value / CLOCK_RANGE <= cycles)
		return e->unhalted.value;
	return cycles;
}

/* Where the CPU leaves a fault on an absent entry to the guest, what is heard of is the store that
 * answers it. */
static struct policy_measure filtered_faults(const struct telemetry *before,
					     const struct telemetry *after)
{
	return (struct policy_measure){
		.value = MAX(after->faults - before->faults, after->stores - before->stores),
		.confidence = BY_STORES};
}

static void shadow_measures(struct policy_sample *x, const struct telemetry *before,
			    const struct telemetry *after, const struct estimates *e)
{
	u64 exits = after->shadow_exits - before->shadow_exits;

	x->shadow_cycles = counted(before->shadow_cycles, after->shadow_cycles);
	x->shadow_cycles.value = sat_add(x->shadow_cycles.value, sat_mul(exits, e->world_switch));
	x->faults = e->faults_exit ? counted(before->faults, after->faults)
				   : filtered_faults(before, after);
	x->cr3_writes = counted(before->cr3_writes, after->cr3_writes);
	x->invlpgs = counted(before->invlpgs, after->invlpgs);
}

void telemetry_sample(struct policy_sample *x, enum policy_mode mode,
		      const struct telemetry *before, const struct telemetry *after,
		      const struct estimates *e)
{
	*x = (struct policy_sample){
		.mode = mode,
		.ns = after->ns - before->ns,
		.unhalted = unhalted(before, after, e),
		.instructions = e->instructions,
		.faults = e->faults,
		.walks = e->walks,
		.walk_cycles = e->walk_cycles,
		.cr3_writes = e->cr3_writes,
		.invlpgs = e->invlpgs,
		.table_writes = e->table_writes,
		.leaves = e->leaves,
		.spaces = e->spaces,
	};
	if (e->priced)
		x->walk_cycles.value = MAX(MIN(e->walk_cycles.value, x->unhalted / 10 * 9), 1ull);
	if (!measure_known(&x->instructions))
		x->instructions = (struct policy_measure){x->unhalted, GUESS};
	if (mode == POLICY_SHADOW)
		shadow_measures(x, before, after, e);
}

#define USUAL_SHARE 4
#define OUTLIER	    4 /* times the usual mean of a tick's exits */

void telemetry_exits(struct usual_exit *u, const struct telemetry *before,
		     const struct telemetry *after, struct policy_sample *x)
{
	u64 exits = after->shadow_exits - before->shadow_exits, mean;

	if (x->mode != POLICY_SHADOW || !exits)
		return;
	mean = x->shadow_cycles.value / exits;
	if (u->cycles)
		mean = MIN(mean, OUTLIER * u->cycles);
	u->cycles = u->cycles ? u->cycles - u->cycles / USUAL_SHARE + mean / USUAL_SHARE : mean;
	u->cycles = MIN(MAX(u->cycles, 1ull), BIT(40));
	x->shadow_cycles.value = MIN(x->shadow_cycles.value, sat_mul(exits, mean + 1));
}

#define RATE_ONE	BIT(32)
#define STEADY_WEIGHT	4
#define STEADY_LOOKED	50 /* percent: confidence of the mean where this tick had a look, */
#define STEADY_NOT_SEEN 20 /* and where it had none */

void telemetry_steady(struct steady *s, u64 guest, struct estimates *e)
{
	bool looked = e->walks.confidence && guest;
	u64 rate = looked ? mul_div(e->walks.value, RATE_ONE, guest) : 0;

	if (looked)
		s->rate = s->known && !s->renew
				  ? s->rate - s->rate / STEADY_WEIGHT + rate / STEADY_WEIGHT
				  : rate;
	s->known |= looked;
	s->renew &= !looked;
	if (!s->known)
		return;
	e->walks.value = mul_div(guest, s->rate, RATE_ONE);
	e->walks.confidence =
		MAX(e->walks.confidence, (u8)(looked ? STEADY_LOOKED : STEADY_NOT_SEEN));
}

void telemetry_renew(struct steady *s)
{
	s->renew = true;
}

#define BRIDGE_TICKS 8

void telemetry_bridge(struct steady *s, u64 guest, struct policy_measure *m,
		      const struct policy_measure *most)
{
	u64 value = measure_known(most) ? most->value : UINT64_MAX;

	if (measure_known(m)) {
		*s = (struct steady){.known = guest != 0,
				     .rate = guest ? mul_div(m->value, RATE_ONE, guest) : 0};
		return;
	}
	if (s->known && ++s->age <= BRIDGE_TICKS)
		value = MIN(value, mul_div(guest, s->rate, RATE_ONE));
	else if (!measure_known(most))
		return;
	*m = (struct policy_measure){value, STEADY_NOT_SEEN};
}

#define PRICED 50 /* percent, at most: below what is counted (regret.c) */

/* A lower bound from few samples is a rough one, and still better than
 * to know nothing. */
void telemetry_price_walks(struct estimates *e, u64 cost)
{
	u8 confidence = MAX(e->walks.confidence, (u8)MEASURE_CONFIDENCE);

	if (measure_known(&e->walk_cycles) || !e->walks.confidence || !cost)
		return;
	e->priced = true;
	e->walk_cycles = (struct policy_measure){.value = mul_div(e->walks.value, cost, 1000),
						 .confidence = MIN(confidence, (u8)PRICED)};
}

/* --- progress --------------------------------------------------------------------------------- */

#define PROGRESS_MIN	    100 /* counts in a tick; fewer are mostly chance */
#define PROGRESS_CONFIDENCE 40	/* percent, of what is counted */
#define MEAN_WEIGHT	    8
#define MUCH_MORE	    4 /* times, before another unit is taken */
#define POOR_TICKS	    8

static u64 count_of(const struct policy_sample *x, enum progress_unit unit)
{
	const struct policy_measure *const measure[PROGRESS_UNITS] = {
		[PROGRESS_INSTRUCTIONS] = &x->instructions,
		[PROGRESS_FAULTS] = &x->faults,
		[PROGRESS_CR3_WRITES] = &x->cr3_writes,
	};
	const struct policy_measure *m = measure[unit];

	return m && m->confidence >= PROGRESS_CONFIDENCE && measure_known(m) ? m->value : 0;
}

static enum progress_unit richest(const struct progress *p)
{
	enum progress_unit best = PROGRESS_NONE;

	for (unsigned u = 1; u < PROGRESS_UNITS; u++)
		if (p->mean[u] >= PROGRESS_MIN && p->mean[u] > p->mean[best])
			best = (enum progress_unit)u;
	return best;
}

/* The unit for the next ticks. One that has gone dry is left at once. */
static enum progress_unit choose(struct progress *p)
{
	enum progress_unit best = richest(p);

	if (p->mean[p->unit] < PROGRESS_MIN)
		return best;
	if (p->mean[best] / MUCH_MORE <= p->mean[p->unit]) {
		p->poor = 0;
		return p->unit;
	}
	return ++p->poor < POOR_TICKS ? p->unit : best;
}

void progress_measure(struct progress *p, struct policy_sample *x, bool trial)
{
	enum progress_unit before = p->unit;
	u64 count;

	for (unsigned u = 1; u < PROGRESS_UNITS; u++) {
		count = count_of(x, (enum progress_unit)u);
		p->mean[u] = p->mean[u]
				     ? p->mean[u] - p->mean[u] / MEAN_WEIGHT + count / MEAN_WEIGHT
				     : count;
	}
	if (!trial)
		p->unit = choose(p);
	if (p->unit != before)
		p->poor = 0;
	count = count_of(x, p->unit);
	x->progress = (struct policy_measure){0};
	if (p->unit == before && count >= PROGRESS_MIN / 2)
		x->progress = (struct policy_measure){.value = count, .confidence = EXACT};
}
