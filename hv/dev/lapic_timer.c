/* Timer of the local APIC: one-shot, periodic, TSC-deadline (SDM vol. 3 §11.5.4).
 *
 * The count is never stored: the register is computed from the time at which it will reach zero.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/lapic_int.h"

#define TIMER_ONESHOT  0u
#define TIMER_PERIODIC 1u
#define TIMER_DEADLINE 2u

static u32 timer_mode(const struct lapic *l)
{
	return LVT_TIMER_MODE(l->lvt[LAPIC_LVT_TIMER]);
}

/* ns per count: 2, 4 … 128, 1 for the encodings 0, 1 … 7 of bits 3,1,0. */
static u32 timer_divisor(const struct lapic *l)
{
	u32 code = (l->timer_div & 3) | (l->timer_div >> 1 & 4);

	return code == 7 ? 1 : 2u << code;
}

static u64 timer_period(const struct lapic *l)
{
	return (u64)l->timer_init * timer_divisor(l);
}

/* When the count that is running at @now reaches 0: past expiries of a periodic count are skipped.
 */
static u64 timer_next_end(const struct lapic *l, u64 now)
{
	u64 period = timer_period(l);

	if (l->timer_end == TIMER_OFF || now < l->timer_end)
		return l->timer_end;
	if (timer_mode(l) != TIMER_PERIODIC || !period)
		return TIMER_OFF;
	return l->timer_end + ((now - l->timer_end) / period + 1) * period;
}

static u32 count_at(const struct lapic *l, u64 now)
{
	u64 end = timer_mode(l) == TIMER_DEADLINE ? TIMER_OFF : timer_next_end(l, now);

	if (end == TIMER_OFF)
		return 0;
	return (u32)((end - now + timer_divisor(l) - 1) / timer_divisor(l));
}

u32 lapic_timer_count(const struct lapic *l)
{
	return count_at(l, dev_now(l->host));
}

static void deadline_check(struct lapic *l)
{
	if (!l->tsc_deadline)
		return;
	if (l->host->ops->guest_tsc(l->host->ctx) < l->tsc_deadline) {
		u64 at = l->host->ops->tsc_to_ns(l->host->ctx, l->tsc_deadline);

		/* Rounding between the clocks may wake us a tick early. */
		dev_timer_set(l->host, &l->timer, MAX(at, dev_now(l->host) + 1));
		return;
	}
	l->tsc_deadline = 0;
	dev_timer_set(l->host, &l->timer, TIMER_OFF);
	lapic_lvt_fire(l, LAPIC_LVT_TIMER);
}

/* Time goes on between two readings of the clock: whoever changes the count settles it and reads it
 * at the same @now, or an expiry between the two is nobody's. */
static void settle_at(struct lapic *l, u64 now)
{
	if (timer_mode(l) == TIMER_DEADLINE) {
		deadline_check(l);
		return;
	}
	if (l->timer_end == TIMER_OFF || now < l->timer_end)
		return;
	lapic_lvt_fire(l, LAPIC_LVT_TIMER);
	l->timer_end = timer_next_end(l, now);
}

void lapic_timer_settle(struct lapic *l)
{
	settle_at(l, dev_now(l->host));
}

/* A masked count needs no machine timer: it is computed when it is read. An end that has passed by
 * now is left to the machine timer, which is then due at once. */
void lapic_timer_arm(struct lapic *l)
{
	u64 at = TIMER_OFF;

	if (timer_mode(l) == TIMER_DEADLINE) {
		if (l->tsc_deadline)
			at = l->host->ops->tsc_to_ns(l->host->ctx, l->tsc_deadline);
	} else if (!(l->lvt[LAPIC_LVT_TIMER] & LVT_MASKED)) {
		at = l->timer_end;
	}
	dev_timer_set(l->host, &l->timer, at);
}

void lapic_timer_fire(void *arg, u64 now_ns)
{
	struct lapic *l = arg;

	lapic_timer_settle(l);
	if (timer_mode(l) == TIMER_DEADLINE || l->timer_end == TIMER_OFF)
		return;
	if (!(l->lvt[LAPIC_LVT_TIMER] & LVT_MASKED))
		dev_timer_set(l->host, &l->timer, MAX(l->timer_end, now_ns + LAPIC_MIN_PERIOD_NS));
}

void lapic_timer_write_init(struct lapic *l, u32 value)
{
	u64 now = dev_now(l->host);

	if (timer_mode(l) == TIMER_DEADLINE)
		return;
	settle_at(l, now);
	l->timer_init = value;
	l->timer_end = value ? now + timer_period(l) : TIMER_OFF;
	lapic_timer_arm(l);
}

/* The count that remains goes on at the new rate. */
void lapic_timer_write_div(struct lapic *l, u32 value)
{
	u64 now = dev_now(l->host);
	u32 left;

	settle_at(l, now);
	left = count_at(l, now);
	l->timer_div = value & 0xb;
	l->timer_end = left ? now + (u64)left * timer_divisor(l) : TIMER_OFF;
	lapic_timer_arm(l);
}

void lapic_timer_write_lvt(struct lapic *l, u32 value)
{
	u32 old = timer_mode(l);

	if (LVT_TIMER_MODE(value) > TIMER_DEADLINE ||
	    (LVT_TIMER_MODE(value) == TIMER_DEADLINE && !l->cfg.tsc_deadline))
		value &= ~(3u << 17);
	lapic_timer_settle(l);
	l->lvt[LAPIC_LVT_TIMER] = value;
	if ((old == TIMER_DEADLINE) != (timer_mode(l) == TIMER_DEADLINE)) {
		l->timer_end = TIMER_OFF;
		l->timer_init = 0;
		l->tsc_deadline = 0;
	}
	lapic_timer_arm(l);
}

void lapic_set_tsc_deadline(struct lapic *l, u64 tsc)
{
	if (timer_mode(l) != TIMER_DEADLINE || !lapic_enabled(l))
		return;
	lapic_timer_settle(l);
	l->tsc_deadline = tsc;
	lapic_timer_arm(l);
	deadline_check(l);
}

void lapic_tsc_changed(struct lapic *l)
{
	if (timer_mode(l) != TIMER_DEADLINE)
		return;
	lapic_timer_arm(l);
	deadline_check(l);
}
