/* From the CPU's counters to decisions, all of what is pure between them: catches a counter that is
 * missing, stands, wraps early, is set back or lies, and makes a policy leave nested paging for
 * nothing, or switch to and fro; and a wrap of the counter's own width that is taken for a fault.
 *
 * The guest is made up: so many cycles of walks and of shadow paging's exits for each instruction,
 * in ticks of 100 ms. What is known without counters (its own page faults, time) stays good.
 *
 * SRCS: hv/paging/adaptive/pmu.c hv/paging/adaptive/telemetry.c hv/paging/adaptive/policy.c
 * SRCS: hv/paging/adaptive/dsp.c hv/paging/adaptive/regret.c hv/paging/adaptive/guard.c
 * SRCS: hv/paging/adaptive/cost.c hv/paging/adaptive/budget.c hv/paging/adaptive/window.c
 * SRCS: hv/paging/adaptive/params.c hv/paging/adaptive/sample.c hv/lib/str.c hv/lib/crc32.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "paging/adaptive/pmu.h"
#include "paging/adaptive/policy.h"
#include "paging/adaptive/telemetry.h"

#define KHZ   2800000ull
#define TICK  (100 * KHZ) /* cycles */
#define TICKS 3000u
#define BREAK 300u /* tick from which on counters that break later are broken */

/* --- what may be wrong ------------------------------------------------------------------------ */

enum fault {
	GOOD,
	OWN_WRAP, /* of 32 bits, and the plan knows */
	MISSING,
	UNTRUSTED,
	NO_WALKS,
	STUCK,
	STUCK_LATER,
	WALKS_STUCK_LATER,
	ONES,
	LEAD_TO_NESTED = ONES,
	/* Now and then, or not to be told from a guest that does strange things. */
	NARROW,	     /* wrap at 32 bits, which the plan does not know */
	EVERY_OTHER, /* they move each second tick only */
	SET_BACK,    /* to 0, each 50 ticks */
	NOISE,	     /* any cycles in walks */
	OTHER_EVENT, /* instructions for them */
	TINY,
	HUGE,
	FLATTERS, /* shadow paging, */
	SLANDERS, /* and the other way round */
	TRIPLE,	  /* three times the misses in shadow paging: no lie where exits flush the TLB */
	GUESSED,  /* no counters; estimates */
	FAULTS
};

static const char *const fault_name[FAULTS] = {
	[GOOD] = "good",
	[OWN_WRAP] = "wraps as it may",
	[MISSING] = "missing",
	[UNTRUSTED] = "untrusted",
	[NO_WALKS] = "no walks",
	[STUCK] = "stuck",
	[STUCK_LATER] = "stuck later",
	[WALKS_STUCK_LATER] = "walks stuck later",
	[NARROW] = "narrower than it says",
	[ONES] = "all ones",
	[EVERY_OTHER] = "every other tick",
	[SET_BACK] = "set back",
	[NOISE] = "noise",
	[OTHER_EVENT] = "another event",
	[TINY] = "tiny",
	[HUGE] = "huge",
	[FLATTERS] = "flatters shadow",
	[SLANDERS] = "slanders shadow",
	[TRIPLE] = "three times the misses",
	[GUESSED] = "guessed",
};

/* --- a guest and its CPU ---------------------------------------------------------------------- */

/* Cycles for each million instructions, and its own page faults. */
struct work {
	u64 walks[POLICY_MODES], exits, faults;
};

static const struct work tlb_bound = {{300000, 140000}, 700, 0},
			 fault_bound = {{20000, 10000}, 40000, 12};

static struct world {
	enum fault fault;
	enum policy_mode mode;
	unsigned tick;
	u64 count[PMU_ROLES]; /* what good counters hold */
	u64 seen[PMU_ROLES];  /* what these do */
	u64 tsc, instructions, faults;
	u64 dice;
} world;

static struct pmu_plan plan;

static u64 roll(u64 sides)
{
	world.dice = world.dice * 6364136223846793005ull + 1442695040888963407ull;
	return (world.dice >> 33) % sides;
}

const struct pmu_plan *pmu_of(unsigned cpu)
{
	CHECK_EQ(cpu, 0);
	return &plan;
}

void pmu_read_counters(unsigned cpu, u64 value[PMU_COUNTERS])
{
	CHECK_EQ(cpu, 0);
	for (unsigned i = 0; i < plan.n; i++)
		value[i] = world.seen[plan.counter[i].role];
}

static void make_plan(enum fault fault)
{
	plan = (struct pmu_plan){.n = fault == MISSING || fault == GUESSED ? 0 : PMU_ROLES};
	for (unsigned i = 0; i < PMU_ROLES; i++) {
		plan.counter[i].role = (u8)i;
		plan.counter[i].width = fault == OWN_WRAP ? 32 : 48;
		plan.confidence[i] = fault == UNTRUSTED ? 0 : 90;
	}
	if (fault == NO_WALKS)
		plan.confidence[PMU_WALKS] = plan.confidence[PMU_WALK_CYCLES] = 0;
}

static u64 lie(u64 walk_cycles, u64 unhalted, u64 instructions)
{
	bool shadow = world.mode == POLICY_SHADOW;

	switch (world.fault) {
	case NOISE:
		return 1 + roll(unhalted);
	case OTHER_EVENT:
		return instructions;
	case TINY:
		return walk_cycles / 100;
	case HUGE:
		return MIN(walk_cycles * 20, unhalted);
	case FLATTERS:
		return shadow ? walk_cycles / 3 : MIN(walk_cycles * 3, unhalted);
	case SLANDERS:
		return shadow ? MIN(walk_cycles * 3, unhalted) : walk_cycles / 3;
	default:
		return walk_cycles;
	}
}

/* What the counters hold at the end of the tick. */
static void show_counters(void)
{
	bool later = world.tick >= BREAK;

	for (unsigned i = 0; i < PMU_ROLES; i++) {
		u64 now = world.count[i];

		if (world.fault == OWN_WRAP || world.fault == NARROW)
			now = (u32)now;
		if (world.fault == ONES)
			now = UINT64_MAX;
		if (world.fault == STUCK || (world.fault == STUCK_LATER && later) ||
		    (world.fault == WALKS_STUCK_LATER && later && i >= PMU_WALKS) ||
		    (world.fault == EVERY_OTHER && world.tick % 2))
			continue;
		world.seen[i] = now;
	}
	if (world.fault == SET_BACK && world.tick % 50 == 49)
		memset(world.count, 0, sizeof(world.count));
}

/* --- a tick ----------------------------------------------------------------------------------- */

static u64 per_million(u64 n, u64 instructions)
{
	return n * instructions / 1000000;
}

/* The guest runs; totals go on. */
static void run_tick(const struct work *w, struct telemetry *t)
{
	bool shadow = world.mode == POLICY_SHADOW;
	u64 each = 1000000 + w->walks[world.mode] + (shadow ? w->exits : 0);
	u64 n = TICK * 1000000 / each, exits = shadow ? per_million(w->exits, n) : 0;
	u64 walks = per_million(w->walks[world.mode], n), unhalted = TICK - exits;

	t->ns += 100 * NSEC_PER_MSEC;
	t->guest += unhalted;
	t->exits += 100;
	world.faults = per_million(w->faults, n);
	t->faults += shadow ? world.faults : 0;
	t->shadow_cycles += exits;
	t->shadow_exits += exits / 2000;
	world.tsc += TICK;
	world.instructions += n;
	world.count[PMU_UNHALTED] += unhalted;
	world.count[PMU_INSTRUCTIONS] += n;
	world.count[PMU_WALKS] += per_million(w->walks[POLICY_NESTED], n) / 30 *
				  (world.fault == TRIPLE && shadow ? 3 : 1);
	world.count[PMU_WALK_CYCLES] += lie(walks, unhalted, n);
	show_counters();
}

static void prefer(struct policy_measure *m, const struct policy_measure *counted)
{
	if (counted->confidence)
		*m = *counted;
}

static struct estimates estimates_now(struct pmu_meter *meter)
{
	struct estimates e = {
		.faults = {world.faults, 60}, .leaves = {20000, 100}, .faults_exit = true};
	struct pmu_reading r;

	pmu_meter_read(meter, 0, world.tsc, &r);
	prefer(&e.unhalted, &r.unhalted);
	prefer(&e.instructions, &r.instructions);
	prefer(&e.walks, &r.walks);
	prefer(&e.walk_cycles, &r.walk_cycles);
	return e;
}

/* --- without counters ------------------------------------------------------------------------- */

/* Misses guessed from accessed bits of few tables: a lower bound that jumps, and often nothing;
 * priced as boot calibration does. Progress is page faults. */
static void guess(const struct work *w, struct steady *s, struct estimates *e)
{
	static const u64 cost[POLICY_MODES] = {30000, 14000}; /* thousandths */
	u64 misses = per_million(w->walks[POLICY_NESTED], TICK) / 30;

	e->walks = (struct policy_measure){roll(3) ? misses * roll(150) / 100 : 0, (u8)roll(40)};
	telemetry_steady(s, TICK, e);
	telemetry_price_walks(e, cost[world.mode]);
}

struct outcome {
	enum policy_mode last;
	unsigned switches;
	double work; /* over that of nested paging throughout */
};

static struct outcome run(const struct policy_ops *ops, const struct work *w, enum fault fault,
			  enum policy_mode from)
{
	struct telemetry before = {0}, after = {0};
	struct pmu_meter meter = {0};
	struct progress progress = {0};
	struct steady steady = {0};
	struct outcome o = {0};
	struct policy_params params;
	struct policy p;
	bool trial = false;

	world = (struct world){.fault = fault, .mode = from, .dice = 7};
	make_plan(fault);
	policy_params_init(&params, KHZ);
	policy_init(&p, ops, &params, from);
	pmu_meter_begin(&meter, 0, 0);
	for (; world.tick < TICKS; world.tick++) {
		struct policy_decision d;
		struct policy_sample x;
		struct estimates e;

		run_tick(w, &after);
		e = estimates_now(&meter);
		if (fault == GUESSED)
			guess(w, &steady, &e);
		telemetry_sample(&x, world.mode, &before, &after, &e);
		progress_measure(&progress, &x, trial);
		d = policy_tick(&p, &x);
		trial = d.probe;
		o.switches += d.mode != world.mode;
		world.mode = d.mode;
		before = after;
	}
	o.last = world.mode;
	o.work = (double)world.instructions /
		 ((double)TICKS * (TICK * 1000000 / (1000000 + w->walks[POLICY_NESTED])));
	return o;
}

static void say(const char *policy, enum fault fault, const struct outcome *o)
{
	printf("# %s, %s: %s, %u switches, work x%.3f\n", policy, fault_name[fault],
	       policy_mode_name[o->last], o->switches, o->work);
}

/* --- promises --------------------------------------------------------------------------------- */

TEST(good_counters_find_the_better_mode)
{
	static const enum fault good[] = {GOOD, OWN_WRAP};

	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		struct outcome o = run(&policy_regret, &tlb_bound, good[i], POLICY_NESTED);

		say("regret", good[i], &o);
		CHECK_EQ(o.last, POLICY_SHADOW);
		CHECK(o.switches <= 3 && o.work > 1.12);
		o = run(&policy_regret, &fault_bound, good[i], POLICY_SHADOW);
		CHECK_EQ(o.last, POLICY_NESTED);
		CHECK(o.switches <= 3);
	}
}

TEST(broken_counters_lead_to_nested_and_stay_there)
{
	for (unsigned n = 0; policy_nth(n); n++)
		for (unsigned i = MISSING; i <= LEAD_TO_NESTED; i++)
			for (unsigned from = 0; from < POLICY_MODES; from++) {
				const struct policy_ops *ops = policy_nth(n);
				struct outcome o =
					run(ops, &tlb_bound, (enum fault)i, (enum policy_mode)from);

				say(ops->name, (enum fault)i, &o);
				CHECK(o.switches <= 2);
				/* DSP has no failsafe for walks that stop: it stays. */
				CHECK(o.last == POLICY_NESTED || ops == &policy_dsp);
			}
}

/* At most one switch in six seconds, and next to nothing lost by it. What a counter of something
 * else makes of the first tick, before anything else is known, stays: the loads of boot calibration
 * find such a counter out. */
TEST(lies_do_little_harm)
{
	for (unsigned i = GOOD; i < FAULTS; i++) {
		struct outcome a = run(&policy_regret, &tlb_bound, (enum fault)i, POLICY_NESTED),
			       b = run(&policy_regret, &fault_bound, (enum fault)i, POLICY_NESTED);

		say("TLB-bound", (enum fault)i, &a);
		say("fault-bound", (enum fault)i, &b);
		CHECK(a.switches <= TICKS / 60 && b.switches <= TICKS / 60);
		CHECK(a.work > 0.99 && b.work > (i == OTHER_EVENT ? 0.97 : 0.99));
	}
}
