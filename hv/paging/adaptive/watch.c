/* Windows of watching: see watch.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/watch.h"

#include "lib/str.h"
#include "paging/adaptive/fixed.h"

#define SLOT_MIN_NS	1000u
#define WINDOW_SHARE	1024u /* a window is at least this part of a slot */
#define FORGET		3u    /* a rate that is no more loses this part of itself a window */
#define LIMIT_FACTOR	16u   /* times what a slot may hear of, */
#define LIMIT_MIN	64u   /* and at least: then its window ends */
#define AFFORD_PRESET	2500u
#define MOST_CONFIDENCE 20u
/* Sums of estimates are in 1/16 events. */
#define PART	 16u
#define PART_MAX (UINT64_MAX >> 8)

/* xorshift64* */
static u64 random_step(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* Evenly in [0, @n), @n above 0. */
static u64 random_below(u64 *state, u64 n)
{
	return (u64)((unsigned __int128)random_step(state) * n >> 64);
}

void watch_init(struct watch *w, u64 slot_ns, u64 seed)
{
	memset(w, 0, sizeof(*w));
	w->slot_ns = MAX(slot_ns, (u64)SLOT_MIN_NS);
	w->random = seed * 0x9e3779b97f4a7c15ull | 1;
	random_step(&w->random);
	for (unsigned k = 0; k < WATCH_KINDS; k++)
		w->stream[k].afford = AFFORD_PRESET;
}

void watch_afford(struct watch *w, enum watch_kind kind, u64 per_second)
{
	w->stream[kind].afford = MAX(per_second, 1);
}

u64 watch_affordable(u64 ppm, u64 khz, u64 cycles)
{
	return MAX(mul_div(sat_mul(khz, 1000), ppm, sat_mul(MAX(cycles, 1), MILLION)), 1);
}

/* --- windows ---------------------------------------------------------------------------------- */

/* The event that ends it is one of those to be afforded. */
static u64 window_for(const struct watch *w, const struct watch_stream *s)
{
	u64 ns;

	if (s->rate <= s->afford)
		return w->slot_ns;
	ns = mul_div(w->slot_ns, s->afford, s->rate);
	ns = MAX(sat_sub(ns, NSEC_PER_SEC / s->rate), ns / 2);
	return MAX(ns, MAX(w->slot_ns / WINDOW_SHARE, 1));
}

static void open_window(const struct watch *w, struct watch_stream *s, struct watch_time now)
{
	s->open = s->begun = true;
	s->window_ns = window_for(w, s);
	s->end_ns = s->window_ns < w->slot_ns ? now.ns + s->window_ns : WATCH_NEVER;
	s->seen = now;
	s->covered = (struct watch_time){0, 0};
	s->n = 0;
}

/* Take over how long the guest ran in the window up to @now. Somebody looks whenever the guest
 * stops for long, so behind the last time it did so evenly. */
static void see(struct watch_stream *s, struct watch_time now)
{
	u64 ns = now.ns - s->seen.ns, ran = now.ran - s->seen.ran;

	if (!s->open)
		return;
	if (now.ns > s->end_ns) {
		ran = mul_div(ran, s->end_ns - s->seen.ns, ns);
		ns = s->end_ns - s->seen.ns;
		s->open = false;
	}
	s->covered.ns += ns;
	s->covered.ran += ran;
	s->seen = now;
}

/* What the next windows are made for. A rate that is higher counts at once; where it is lower, or
 * nothing came, the window grows by and by. */
static void learn(struct watch_stream *s)
{
	u64 seen = s->covered.ns ? mul_div(s->n, NSEC_PER_SEC, s->covered.ns) : 0;

	s->rate = MAX(seen, s->rate - (s->rate + FORGET - 1) / FORGET);
}

/* A window that has an end stands for its slot; one that was cut short, because too much came, for
 * half of it: the storm may have been over just then. */
static void tell_share(const struct watch *w, struct watch_stream *s)
{
	u64 ns = s->covered.ns, slot_ns = s->stormy ? w->slot_ns / 2 : w->slot_ns, estimate;

	s->exact = false;
	if (!ns || !s->covered.ran)
		return;
	s->told_ran = sat_add(s->told_ran, mul_div(s->covered.ran, slot_ns, ns));
	estimate = MIN(mul_div(sat_mul(s->n, PART), slot_ns, ns), PART_MAX);
	s->told = sat_add(s->told, estimate);
	if (!s->n)
		s->missed = sat_add(s->missed, MIN(mul_div(PART, slot_ns, ns), PART_MAX));
	/* n f (f - 1), f being slot / window; of no event as of one. */
	estimate = MAX(estimate, (u64)PART);
	s->variance = sat_add(s->variance, mul_div(estimate, sat_sub(slot_ns, ns), ns));
}

static void tell(const struct watch *w, struct watch_stream *s)
{
	if (s->end_ns != WATCH_NEVER) {
		tell_share(w, s);
		return;
	}
	s->told_ran = sat_add(s->told_ran, s->covered.ran);
	s->told = sat_add(s->told, sat_mul(s->n, PART));
}

static void end_window(const struct watch *w, struct watch_stream *s, struct watch_time now)
{
	see(s, now);
	if (s->begun) {
		learn(s);
		tell(w, s);
	} else if (now.ran != s->from_ran) {
		s->exact = false;
	}
	s->from_ran = now.ran;
	s->open = s->begun = false;
}

/* Far more than expected. */
static u64 limit(const struct watch *w, const struct watch_stream *s)
{
	return MAX(mul_div(sat_mul(s->afford, LIMIT_FACTOR), w->slot_ns, NSEC_PER_SEC),
		   (u64)LIMIT_MIN);
}

/* --- slots ------------------------------------------------------------------------------------ */

static void begin_slot(struct watch *w, u64 now_ns)
{
	w->slot_begin_ns = now_ns;
	w->next_ns = now_ns + random_below(&w->random, w->slot_ns);
}

/* The next windows open in the slot behind this one. */
static void next_slot(struct watch *w, u64 now_ns)
{
	u64 end = w->slot_begin_ns + w->slot_ns;

	begin_slot(w, now_ns < end + w->slot_ns ? end : now_ns);
}

void watch_tick(struct watch *w, u64 now_ns)
{
	begin_slot(w, now_ns);
}

static void step(struct watch *w, struct watch_stream *s, struct watch_time now)
{
	see(s, now);
	s->stormy = s->open && s->n >= limit(w, s);
	if (s->stormy)
		end_window(w, s, now);
	s->stormy = false;
	if (now.ns < w->next_ns)
		return;
	end_window(w, s, now);
	open_window(w, s, now);
}

/* What little comes of is heard of at once, all else from the next random moment on. */
static void resume(const struct watch *w, struct watch_stream *s, struct watch_time now)
{
	if (window_for(w, s) >= w->slot_ns)
		open_window(w, s, now);
}

/* --- all kinds -------------------------------------------------------------------------------- */

void watch_begin(struct watch *w, struct watch_time now)
{
	begin_slot(w, now.ns);
	for (unsigned k = 0; k < WATCH_KINDS; k++) {
		struct watch_stream *s = &w->stream[k];

		s->on = true;
		s->open = s->begun = false;
		s->n = s->told_ran = s->told = s->variance = s->missed = 0;
		s->exact = true;
		s->from_ran = s->take_ran = now.ran;
		resume(w, s, now);
	}
}

void watch_end(struct watch *w, struct watch_time now)
{
	for (unsigned k = 0; k < WATCH_KINDS; k++) {
		struct watch_stream *s = &w->stream[k];

		if (s->on)
			end_window(w, s, now);
		s->on = false;
	}
}

bool watch_heard(struct watch *w, enum watch_kind kind, struct watch_time now)
{
	struct watch_stream *s = &w->stream[kind];

	if (!s->open)
		return false;
	see(s, now);
	if (!s->open)
		return true;
	return ++s->n >= limit(w, s);
}

unsigned watch_step(struct watch *w, struct watch_time now, struct watch_when *when)
{
	unsigned bits = 0;

	*when = (struct watch_when){.open_ns = WATCH_NEVER, .close_ns = WATCH_NEVER};
	for (unsigned k = 0; k < WATCH_KINDS; k++) {
		struct watch_stream *s = &w->stream[k];

		if (!s->on)
			continue;
		step(w, s, now);
		if (s->open)
			bits |= WATCH_BIT(k);
	}
	if (now.ns >= w->next_ns)
		next_slot(w, now.ns);
	for (unsigned k = 0; k < WATCH_KINDS; k++) {
		const struct watch_stream *s = &w->stream[k];

		/* What is open throughout needs no clock: it is taken at the tick. */
		if (!s->on || (s->open && s->end_ns == WATCH_NEVER))
			continue;
		when->open_ns = w->next_ns;
		if (s->open)
			when->close_ns = MIN(when->close_ns, s->end_ns);
	}
	return bits;
}

/* --- results ---------------------------------------------------------------------------------- */

/* 100 less the standard deviation in percent of the estimate. */
static u8 confidence(const struct watch_stream *s)
{
	u64 sigma = (u64)isqrt(sat_mul(s->variance, PART)); /* in 1/16 events, as the rest */
	u64 percent = s->exact ? 0 : mul_div(sigma, 100, MAX(s->told, (u64)PART));

	return (u8)(100 - MIN(percent, 99));
}

/* Of a window that goes on there is something to tell when half of it has been seen; the next take
 * has the others. */
static bool can_be_told(const struct watch_stream *s)
{
	return s->begun &&
	       (!s->open || s->end_ns == WATCH_NEVER || s->covered.ns >= s->window_ns / 2);
}

struct policy_measure watch_take(struct watch *w, enum watch_kind kind, struct watch_time now)
{
	struct watch_stream *s = &w->stream[kind];
	struct policy_measure m = {.confidence = 0};
	u64 ran = now.ran - s->take_ran;

	see(s, now);
	if (s->on && can_be_told(s)) {
		end_window(w, s, now);
		resume(w, s, now);
	}
	s->taken_most = (struct policy_measure){.confidence = 0};
	if (s->told_ran) {
		s->exact &= !s->on || s->from_ran == now.ran;
		/* Windows do not end with ticks. */
		m.value = s->exact ? s->told / PART
				   : mul_div(s->told, ran, sat_mul(s->told_ran, PART));
		m.confidence = confidence(s);
		s->taken_most.value =
			mul_div(sat_add(s->told, s->missed), ran, sat_mul(s->told_ran, PART));
		s->taken_most.confidence = MOST_CONFIDENCE;
	}
	s->told_ran = s->told = s->variance = s->missed = 0;
	s->exact = true;
	s->take_ran = now.ran;
	return m;
}

struct policy_measure watch_most(const struct watch *w, enum watch_kind kind)
{
	return w->stream[kind].taken_most;
}
