/* Per-CPU timers; see timer.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/timer.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/irq.h"
#include "firmware/lapic.h"

static void timer_interrupt(unsigned vector, struct trap_frame *f)
{
	(void)vector, (void)f;
	lapic_timer_heard();
	this_cpu()->attention = true;
}

/* The queue itself is empty from the start: what was set before this call stays in it. */
void timer_init_cpu(void)
{
	this_cpu()->timer_programmed = this_cpu()->timer_due = TIMER_OFF;
	irq_register(VECTOR_TIMER, timer_interrupt);
}

void timer_set(struct timer *t, u64 deadline_ns)
{
	struct cpu *c = this_cpu();

	timerq_set(&c->timers, t, deadline_ns);
	if (timerq_next(&c->timers) < c->timer_programmed)
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

/* A handler may arm a timer that is due at once; the second round fires it. */
void timer_service(void)
{
	struct cpu *c = this_cpu();
	u64 now = clock_ns(), next;

	if (now >= c->timer_due)
		note_late(&c->late, now - c->timer_due);
	timerq_run(&c->timers, now);
	next = timerq_next(&c->timers);
	if (next <= now) {
		timerq_run(&c->timers, now);
		next = timerq_next(&c->timers);
	}
	if (next == TIMER_OFF) {
		if (c->timer_programmed != TIMER_OFF)
			lapic_timer_off();
	} else {
		now = clock_ns();
		lapic_timer_arm_ns(next > now ? next - now : 1);
	}
	c->timer_programmed = next;
	c->timer_due = MAX(next, now);
}
