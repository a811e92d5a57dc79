/* Per-CPU timers; see timer.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/timer.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/irq.h"
#include "firmware/lapic.h"

static void obey(struct hwtimer *h, enum hwtimer_order order)
{
	if (order == HWTIMER_ARM)
		lapic_timer_arm_ns(h->period_ns);
	else if (order == HWTIMER_STOP)
		lapic_timer_off();
}

static void timer_interrupt(unsigned vector, struct trap_frame *f)
{
	struct cpu *c = this_cpu();

	(void)vector, (void)f;
	c->attention = true;
	obey(&c->hwtimer, hwtimer_expired(&c->hwtimer, clock_ns(), lapic_timer_repeats()));
}

/* The queue itself is empty from the start: what was set before this call stays in it. */
void timer_init_cpu(void)
{
	hwtimer_init(&this_cpu()->hwtimer);
	irq_register(VECTOR_TIMER, timer_interrupt);
}

void timer_set(struct timer *t, u64 deadline_ns)
{
	struct cpu *c = this_cpu();

	timerq_set(&c->timers, t, deadline_ns);
	if (hwtimer_wants(&c->hwtimer, timerq_next(&c->timers)))
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

	if (now >= c->hwtimer.due_ns) {
		note_late(&c->late, now - c->hwtimer.due_ns);
		c->hwtimer.due_ns = TIMER_OFF;
	}
	timerq_run(&c->timers, now);
	next = timerq_next(&c->timers);
	if (next <= now) {
		timerq_run(&c->timers, now);
		next = timerq_next(&c->timers);
	}
	obey(&c->hwtimer, hwtimer_plan(&c->hwtimer, next, clock_ns()));
}

void timer_before_sleep(void)
{
	struct cpu *c = this_cpu();

	obey(&c->hwtimer, hwtimer_settle(&c->hwtimer, timerq_next(&c->timers), clock_ns()));
}
