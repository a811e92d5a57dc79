/* A partition's own time; see own_time.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/own_time.h"
#include "core/clock.h"
#include "core/partition.h"
#include "core/timer.h"
#include "lib/cpuops.h"

u64 own_time_ns(const struct partition *p)
{
	const struct own_time *o = &p->own;

	return (o->here ? clock_ns() : o->left) - o->away;
}

u64 own_time_tsc(const struct partition *p)
{
	const struct own_time *o = &p->own;

	return (o->here ? rdtsc() : o->left_tsc) - o->away_tsc;
}

/* While others run nothing of its own is due. */
static void set_alarm(struct own_time *o)
{
	u64 first = timerq_first(&o->timers), next = timerq_next(&o->timers);

	o->alarm.slack_ns = next == TIMER_OFF ? TIMER_OFF : next - first;
	timer_set(&o->alarm, o->here && first != TIMER_OFF ? first + o->away : TIMER_OFF);
}

static void alarm_due(void *arg, u64 now_ns)
{
	struct own_time *o = arg;

	timerq_run(&o->timers, now_ns - o->away);
	set_alarm(o);
}

void own_timer_set(struct partition *p, struct timer *t, u64 deadline_ns)
{
	timerq_set(&p->own.timers, t, deadline_ns);
	set_alarm(&p->own);
}

void own_time_stop(struct partition *p)
{
	struct own_time *o = &p->own;

	o->here = false;
	o->left = clock_ns();
	o->left_tsc = rdtsc();
	set_alarm(o);
}

void own_time_go_on(struct partition *p)
{
	struct own_time *o = &p->own;

	if (o->here)
		return;
	o->away += clock_ns() - o->left;
	o->away_tsc += rdtsc() - o->left_tsc;
	o->here = true;
	o->alarm.fire = alarm_due;
	o->alarm.arg = o;
	set_alarm(o);
}
