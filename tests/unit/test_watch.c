/* Windows of watching against streams of events whose number is known. Would catch: an estimate
 * that leans to one side, streams with a period that hide from the windows or stand out, an error
 * larger than the confidence says, a count that could be exact and is not, windows that stay open
 * through a storm or closed after it, more exits on average than may be afforded, a bound that is
 * none, or that stays where a storm has put it.
 *
 * SRCS: hv/paging/adaptive/watch.c hv/lib/str.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include <math.h>

#include "paging/adaptive/guard.h"
#include "paging/adaptive/watch.h"

#define MS   NSEC_PER_MSEC
#define TICK (100 * MS)
#define SLOT (TICK / 16)

static u64 seed = 0x9e3779b97f4a7c15ull;

static double uniform(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (double)(seed >> 11) / (double)BIT(53);
}

/* When the next event comes, after @now. */
typedef u64 stream(u64 now);
static double per_second;

static u64 poisson(u64 now)
{
	return now + 1 + (u64)(-log(1 - uniform()) / per_second * 1e9);
}

static u64 period;
static u64 regular(u64 now)
{
	return now + period;
}

/* Busy in the first tenth of each period only. */
static u64 pulsed(u64 now)
{
	u64 next = poisson(now);

	return next % period < period / 10 ? next : (next / period + 1) * period + 1;
}

static struct watch w;
static u64 ran, steal_ns, now, event, heard_of, happened, opened, looked_ns;
static unsigned bits;
static struct watch_when when;

/* The guest's clock: three cycles a ns but for what the hypervisor took. */
static struct watch_time at(void)
{
	return (struct watch_time){.ns = now, .ran = ran};
}

static void begin_with(u64 afford, u64 slot_ns)
{
	watch_init(&w, slot_ns, (u64)(uniform() * 1e9));
	watch_afford(&w, WATCH_FAULT, afford);
	now = (u64)(uniform() * 1e9);
	event = now;
	bits = 0;
	heard_of = happened = opened = 0;
	ran = now;
	watch_begin(&w, at());
}

static void begin(u64 afford)
{
	begin_with(afford, SLOT);
}

#define STEAL_PERIOD (20 * MS)
/* The first @steal_ns of each period the hypervisor works: no event, and no step in time. */
#define LOOK_PERIOD (4 * MS)
/* So often somebody is about anyway and closes windows that are over. */

/* An event comes; does it ask for a step? */
static bool happens(void)
{
	happened++;
	if (!(bits & WATCH_BIT(WATCH_FAULT)))
		return false;
	heard_of++;
	return watch_heard(&w, WATCH_FAULT, at());
}

static bool due(void)
{
	bool about = now >= looked_ns;

	if (about)
		looked_ns = now - now % LOOK_PERIOD + LOOK_PERIOD;
	opened += now >= when.open_ns;
	return now >= when.open_ns || (about && now >= when.close_ns);
}

/* Up to @end, by @s; every other kind is still. */
static void run(stream *s, u64 end)
{
	bits = watch_step(&w, at(), &when);
	while (now < end) {
		bool wanted = false;
		u64 to;

		if (now % STEAL_PERIOD < steal_ns) {
			now += steal_ns - now % STEAL_PERIOD;
			event = now;
		}
		if (event <= now)
			event = s(now);
		to = MIN(MIN(MAX(when.open_ns, now), event), MAX(end, now));
		to = MIN(to, MAX(looked_ns, now));
		ran += 3 * (to - now);
		now = to;
		if (now == event)
			wanted = happens();
		if (due() || wanted)
			bits = watch_step(&w, at(), &when);
	}
}

static struct policy_measure tick(stream *s, u64 *really)
{
	u64 before = happened;
	struct policy_measure m;

	run(s, now + TICK);
	*really = happened - before;
	m = watch_take(&w, WATCH_FAULT, at());
	for (unsigned k = 1; k < WATCH_KINDS; k++) {
		struct policy_measure still = watch_take(&w, (enum watch_kind)k, at());

		CHECK(still.value == 0 && still.confidence == 100);
	}
	watch_tick(&w, now);
	return m;
}

/* Many ticks: the mean is right, the errors are those that the confidence tells. */
static void check_stream(stream *s, u64 afford, double bias_max)
{
	double sum = 0, real = 0, beyond = 0, told = 0;
	unsigned n = 0;
	u64 start, heard;

	begin(afford);
	for (unsigned i = 0; i < 20; i++) { /* it learns the rate */
		u64 r;

		tick(s, &r);
	}
	start = now;
	heard = heard_of;
	for (unsigned i = 0; i < 400; i++) {
		u64 really;
		struct policy_measure m = tick(s, &really);
		double error = (double)m.value - (double)really;

		sum += (double)m.value;
		real += (double)really;
		if (!m.confidence)
			continue;
		n++;
		told += 100 - m.confidence;
		beyond += fabs(error) > 3.5 * (101.0 - m.confidence) / 100 * (double)(m.value + 1);
	}
	CHECK(n > 350);
	CHECK(fabs(sum / real - 1) < bias_max);
	CHECK(beyond <= 0.05 * n);
	/* Twice is what bursts after quiet times may cost. */
	CHECK((double)(heard_of - heard) <=
	      2.0 * (double)afford * (double)(now - start) / 1e9 + 64);
	printf("# afford %llu: %.0f of %.0f (%+.2f %%), heard of %llu, said deviation %.1f %%\n",
	       (unsigned long long)afford, sum, real, 100 * (sum / real - 1),
	       (unsigned long long)(heard_of - heard), told / n);
}

TEST(a_quiet_guest_is_counted_exactly)
{
	begin(2500);
	for (unsigned i = 0; i < 45; i++) {
		u64 really;
		struct policy_measure m;

		per_second = 1 + 20 * i;
		m = tick(poisson, &really);
		CHECK_EQ(m.value, really);
		CHECK_EQ(m.confidence, 100);
	}
	CHECK_EQ(heard_of, happened);
}

TEST(busy_streams_are_estimated_without_bias)
{
	static const double rates[] = {3000, 10000, 50000, 300000};

	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		per_second = rates[i];
		check_stream(poisson, 2500, 0.02);
	}
	per_second = 50000;
	check_stream(poisson, 200, 0.06);
	check_stream(poisson, 20000, 0.01);
}

/* Periods that go evenly into the slot, or the slot into them, and one that nearly does. */
TEST(no_period_hides_from_the_windows)
{
	static const u64 periods[] = {SLOT / 625, SLOT / 250, SLOT / 250 + 1, 33333, 9973};

	for (unsigned i = 0; i < ARRAY_SIZE(periods); i++) {
		period = periods[i];
		check_stream(regular, 2500, 0.02);
	}
}

/* All of the events in a tenth of each slot, or of each half: windows are mostly elsewhere. */
TEST(pulses_in_step_with_the_slots_are_seen_in_proportion)
{
	static const u64 periods[] = {SLOT / 2, SLOT, SLOT / 8, SLOT + SLOT / 3, 4 * SLOT};

	per_second = 200000;
	for (unsigned i = 0; i < ARRAY_SIZE(periods); i++) {
		double sum = 0, real = 0;

		period = periods[i];
		begin(2500);
		for (unsigned j = 0; j < 1500; j++) {
			u64 really;
			struct policy_measure m = tick(pulsed, &really);

			sum += (double)m.value;
			real += (double)really;
		}
		printf("# pulses: %.0f of %.0f (%+.2f %%)\n", sum, real, 100 * (sum / real - 1));
		CHECK(fabs(sum / real - 1) < 0.06);
	}
}

TEST(a_storm_after_quiet_time_costs_little_and_is_seen)
{
	u64 really, quiet;
	struct policy_measure m;

	begin(2500);
	per_second = 100;
	tick(poisson, &really);
	quiet = heard_of;
	per_second = 1e6;
	m = tick(poisson, &really);
	CHECK(heard_of - quiet < 16 * 2500 / 160 + 500);
	CHECK(m.value > really * 9 / 10 && m.value < really * 11 / 10);
	per_second = 10;
	for (unsigned i = 0; i < 4; i++)
		tick(poisson, &really);
	m = tick(poisson, &really);
	CHECK(m.confidence == 100 && m.value == really);
}

static u64 never(u64 from)
{
	return from + 3600 * NSEC_PER_SEC;
}

/* Where an exit is dear a slot is a tick and a window is made for one event. Behind a storm it
 * stays short for many ticks: what it cannot have missed is all that is known then. */
TEST(how_quiet_it_is_after_a_storm_is_soon_known)
{
	unsigned late = 0, low = 0;
	u64 really;

	for (unsigned i = 0; i < 200; i++) {
		begin_with(11, TICK);
		per_second = 25000;
		for (unsigned j = 0; j < 20; j++) {
			tick(poisson, &really);
			low += watch_most(&w, WATCH_FAULT).value < really / 8;
		}
		event = never(now);
		for (unsigned j = 0; j < 10; j++)
			tick(never, &really);
		late += watch_most(&w, WATCH_FAULT).confidence < MEASURE_CONFIDENCE ||
			watch_most(&w, WATCH_FAULT).value > 300;
	}
	printf("# late %u of 200, too low %u of 4000\n", late, low);
	CHECK(late < 10);
	CHECK(low < 40);
}

TEST(what_the_hypervisor_takes_is_no_time_of_the_guests)
{
	per_second = 30000;
	steal_ns = STEAL_PERIOD / 2;
	check_stream(poisson, 2500, 0.03);
	period = 33333;
	check_stream(regular, 2500, 0.03);
	steal_ns = 0;
}

TEST(shadow_time_is_left_out)
{
	struct policy_measure m;
	u64 really;

	begin(2500);
	per_second = 1000;
	tick(poisson, &really);
	watch_end(&w, at());
	CHECK_EQ(watch_step(&w, at(), &when), 0);
	CHECK_EQ(when.open_ns, WATCH_NEVER);
	CHECK_EQ(when.close_ns, WATCH_NEVER);
	watch_take(&w, WATCH_FAULT, at());
	now += TICK;
	m = watch_take(&w, WATCH_FAULT, at());
	CHECK_EQ(m.confidence, 0);
	watch_begin(&w, at());
	event = now;
	m = tick(poisson, &really);
	CHECK(m.value == really && m.confidence == 100);
}

TEST(what_may_be_afforded)
{
	CHECK_EQ(watch_affordable(1000, 3000000, 1200), 2500);
	CHECK_EQ(watch_affordable(0, 3000000, 1200), 1);
	CHECK_EQ(watch_affordable(1000, UINT64_MAX, 0) > 0, 1);
}
