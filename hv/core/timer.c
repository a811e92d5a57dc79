/* Per-CPU timers; see timer.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/timer.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/irq.h"
#include "firmware/lapic.h"

/* A shorter period might repeat before what it brought is done. */
#define COAST_MIN_NS (500 * NSEC_PER_USEC)

/* A counter that repeats is left to run on once: a guest whose tick this is sets its next deadline
 * an exit or two later, and then the hardware is told, once a tick. If it sets none, the repetition
 * comes and finds what is left in the queue. */
static void timer_interrupt(unsigned vector, struct trap_frame *f)
{
	struct cpu *c = this_cpu();

	(void)vector, (void)f;
	c->attention = true;
	c->timer_coasts =
		!c->timer_coasts && lapic_timer_repeats() && c->timer_period_ns >= COAST_MIN_NS;
	if (c->timer_coasts) {
		c->timer_programmed = clock_ns() + c->timer_period_ns; /* at the latest */
		return;
	}
	if (lapic_timer_repeats())
		lapic_timer_off();
	c->timer_programmed = TIMER_OFF;
}

/* The queue itself is empty from the start: what was set before this call stays in it. */
void timer_init_cpu(void)
{
	this_cpu()->timer_programmed = this_cpu()->timer_due = TIMER_OFF;
	irq_register(VECTOR_TIMER, timer_interrupt);
}

/* Does @deadline_ns, the queue's first now, end the coasting? One that comes long after the
 * repetition is left to it. */
static bool ends_coasting(const struct cpu *c, u64 deadline_ns)
{
	return c->timer_coasts && deadline_ns < c->timer_programmed + c->timer_period_ns;
}

void timer_set(struct timer *t, u64 deadline_ns)
{
	struct cpu *c = this_cpu();
	u64 next;

	timerq_set(&c->timers, t, deadline_ns);
	next = timerq_next(&c->timers);
	if (ends_coasting(c, next)) {
		c->timer_coasts = false;
		c->timer_programmed = TIMER_OFF;
	}
	if (next < c->timer_programmed)
		c->attention = true;
}

/* Measured against the hardware's deadline: what a guest asks for may long be past. */
static void note_late(struct timer_late *l, u64 late_ns)
{
	unsigned class = 0;

	for (u64 limit = 10 * NSEC_PER_USEC; class < TIMER_LATE_CLASSES - 1 && late_ns > limit;
	     limit *= 10)
		class ++;
	l->count++;
	l->total_ns += late_ns;
	l->max_ns = MAX(l->max_ns, late_ns);
	l->classes[class]++;
}

static void program(struct cpu *c, u64 next)
{
	u64 now = clock_ns();

	if (next != TIMER_OFF) {
		c->timer_period_ns = next > now ? next - now : 1;
		lapic_timer_arm_ns(c->timer_period_ns);
	} else if (c->timer_programmed != TIMER_OFF) {
		lapic_timer_off();
	}
	c->timer_coasts = false;
	c->timer_programmed = next;
	c->timer_due = MAX(next, now);
}

/* A handler may arm a timer that is due at once; the second round fires it. */
void timer_service(void)
{
	struct cpu *c = this_cpu();
	u64 now = clock_ns(), next;

	if (now >= c->timer_due) {
		note_late(&c->late, now - c->timer_due);
		c->timer_due = TIMER_OFF;
	}
	timerq_run(&c->timers, now);
	next = timerq_next(&c->timers);
	if (next <= now) {
		timerq_run(&c->timers, now);
		next = timerq_next(&c->timers);
	}
	if (c->timer_coasts ? next < c->timer_programmed : next != c->timer_programmed)
		program(c, next);
}

void timer_before_sleep(void)
{
	struct cpu *c = this_cpu();

	if (c->timer_coasts)
		program(c, timerq_next(&c->timers));
}
