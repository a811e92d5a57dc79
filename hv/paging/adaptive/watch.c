/* Windows of watching: see watch.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/watch.h"

#include "lib/str.h"
#include "paging/adaptive/fixed.h"

#define SLOT_MIN_NS   1000u
#define WINDOW_SHARE  1024u /* a window is at least this part of a slot */
#define FORGET	      4u    /* a rate that is no more loses this part of itself a slot */
#define LIMIT_FACTOR  16u   /* times what a slot may hear of, */
#define LIMIT_MIN     64u   /* and at least: then it ends */
#define AFFORD_PRESET 2500u
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
	for (unsigned k = 0; k < WATCH_KINDS; k++) {
		struct watch_stream *s = &w->stream[k];

		s->slot_ns = MAX(slot_ns, (u64)SLOT_MIN_NS);
		s->afford = AFFORD_PRESET;
		s->random = (seed + k) * 0x9e3779b97f4a7c15ull | 1;
		random_step(&s->random);
	}
}

void watch_afford(struct watch *w, enum watch_kind kind, u64 per_second)
{
	w->stream[kind].afford = MAX(per_second, 1);
}

u64 watch_affordable(u64 ppm, u64 khz, u64 cycles)
{
	return MAX(mul_div(sat_mul(khz, 1000), ppm, sat_mul(MAX(cycles, 1), MILLION)), 1);
}

/* --- slots ------------------------------------------------------------------------------------ */

static u64 window_for(const struct watch_stream *s)
{
	u64 ns = s->rate > s->afford ? mul_div(s->slot_ns, s->afford, s->rate) : s->slot_ns;

	return MAX(ns, MAX(s->slot_ns / WINDOW_SHARE, 1));
}

static void begin_slot(struct watch_stream *s, struct watch_time now)
{
	s->begin = s->seen = now;
	s->window_ns = window_for(s);
	s->offset_ns = random_below(&s->random, s->slot_ns);
	s->covered = (struct watch_time){0, 0};
	s->n = 0;
}

/* Is the window open @at ns into the slot, and until when is that so? */
static bool window_at(const struct watch_stream *s, u64 at, u64 *until)
{
	u64 phase = (at + s->slot_ns - s->offset_ns) % s->slot_ns;
	bool open = s->window_ns >= s->slot_ns || phase < s->window_ns;

	*until = s->slot_ns;
	if (s->window_ns < s->slot_ns)
		*until = MIN(at + (open ? s->window_ns : s->slot_ns) - phase, s->slot_ns);
	return open;
}

/* Take over what happened up to @now. */
static void see(struct watch_stream *s, struct watch_time now, u64 count)
{
	if (s->open) {
		s->n += count - s->count;
		s->covered.ns += now.ns - s->seen.ns;
		s->covered.ran += now.ran - s->seen.ran;
	}
	s->count = count;
	s->seen = now;
}

/* What the next windows are made for. The rate of a slot counts at once when it is higher; where it
 * is lower, or nothing came, the window grows by and by. */
static void learn(struct watch_stream *s)
{
	u64 seen = s->covered.ns ? mul_div(s->n, NSEC_PER_SEC, s->covered.ns) : 0;

	s->rate = MAX(seen, s->rate - (s->rate + FORGET - 1) / FORGET);
}

/* The slot is over after the guest's @ran cycles. */
static void end_slot(struct watch_stream *s, u64 ran)
{
	u64 estimate, missed;

	learn(s);
	if (!ran)
		return;
	if (!s->covered.ran) {
		s->exact = false;
		return;
	}
	s->told_ran += ran;
	estimate = MIN(mul_div(sat_mul(s->n, PART), ran, s->covered.ran), PART_MAX);
	s->told = sat_add(s->told, estimate);
	if (s->covered.ran >= ran)
		return;
	/* n (e/o)^2 (1 - o/e) = estimate (e - o) / o; of no event as of one. */
	s->exact = false;
	missed = ran - s->covered.ran;
	estimate = MAX(estimate, (u64)PART);
	s->variance = sat_add(s->variance, mul_div(estimate, missed, s->covered.ran));
}

static bool over(const struct watch_stream *s, u64 now_ns)
{
	return now_ns - s->begin.ns >= s->slot_ns;
}

/* Far more than expected. */
static u64 slot_limit(const struct watch_stream *s)
{
	return MAX(mul_div(sat_mul(s->afford, LIMIT_FACTOR), s->slot_ns, NSEC_PER_SEC),
		   (u64)LIMIT_MIN);
}

static void step(struct watch_stream *s, struct watch_time now, u64 count)
{
	u64 until;

	see(s, now, count);
	if (over(s, now.ns) || s->n >= slot_limit(s)) {
		end_slot(s, now.ran - s->begin.ran);
		begin_slot(s, now);
	}
	s->open = window_at(s, now.ns - s->begin.ns, &until);
}

/* --- all kinds -------------------------------------------------------------------------------- */

void watch_begin(struct watch *w, struct watch_time now, const u64 count[WATCH_KINDS])
{
	for (unsigned k = 0; k < WATCH_KINDS; k++) {
		struct watch_stream *s = &w->stream[k];

		s->on = true;
		s->open = false;
		s->count = count[k];
		s->told_ran = s->told = s->variance = 0;
		s->exact = true;
		s->from_ran = now.ran;
		begin_slot(s, now);
	}
}

void watch_end(struct watch *w, struct watch_time now, const u64 count[WATCH_KINDS])
{
	for (unsigned k = 0; k < WATCH_KINDS; k++) {
		struct watch_stream *s = &w->stream[k];

		if (!s->on)
			continue;
		see(s, now, count[k]);
		end_slot(s, now.ran - s->begin.ran);
		s->on = s->open = false;
	}
}

unsigned watch_step(struct watch *w, struct watch_time now, const u64 count[WATCH_KINDS], u64 *next)
{
	unsigned bits = 0;

	*next = WATCH_NEVER;
	for (unsigned k = 0; k < WATCH_KINDS; k++) {
		struct watch_stream *s = &w->stream[k];
		u64 until;

		if (!s->on)
			continue;
		step(s, now, count[k]);
		window_at(s, now.ns - s->begin.ns, &until);
		/* What is open throughout needs no clock: it is taken at the tick. */
		if (s->window_ns < s->slot_ns)
			*next = MIN(*next, s->begin.ns + until);
		if (s->open)
			bits |= WATCH_BIT(k);
	}
	return bits;
}

u64 watch_limit(const struct watch *w, enum watch_kind kind)
{
	const struct watch_stream *s = &w->stream[kind];

	return s->count + slot_limit(s) - s->n;
}

/* --- results ---------------------------------------------------------------------------------- */

/* 100 less the standard deviation in percent of the estimate. */
static u8 confidence(const struct watch_stream *s)
{
	u64 sigma = (u64)isqrt(sat_mul(s->variance, PART)); /* in 1/16 events, as the rest */
	u64 percent = s->exact ? 0 : mul_div(sigma, 100, MAX(s->told, (u64)PART));

	return (u8)(100 - MIN(percent, 99));
}

struct policy_measure watch_take(struct watch *w, enum watch_kind kind, struct watch_time now,
				 const u64 count[WATCH_KINDS])
{
	struct watch_stream *s = &w->stream[kind];
	struct policy_measure m = {.confidence = 0};
	u64 ran = now.ran - s->from_ran;

	if (s->on) {
		see(s, now, count[kind]);
		/* A slot without a gap so far can be told now: the count stays exact. */
		if (s->covered.ran && s->covered.ran == now.ran - s->begin.ran) {
			end_slot(s, s->covered.ran);
			begin_slot(s, now);
		}
	}
	if (s->told_ran) {
		/* Slots do not end with ticks. */
		m.value = s->exact ? s->told / PART
				   : mul_div(s->told, ran, sat_mul(s->told_ran, PART));
		m.confidence = confidence(s);
	}
	s->told_ran = s->told = s->variance = 0;
	s->exact = true;
	s->from_ran = now.ran;
	return m;
}
