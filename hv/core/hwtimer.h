/* What a CPU's timer hardware was told, and when it has to be told again.
 *
 * A counter that repeats (a local APIC's without TSC deadlines) is left to run on once after its
 * interrupt: it coasts. A guest whose tick that was sets its next deadline an exit or two later,
 * and then the hardware is told, once a tick. If it sets none, the repetition comes and finds what
 * is left in the queue.
 *
 *              told a deadline                  interrupt, long period
 *     stopped ----------------> armed ------------------------------------> coasts
 *        ^                        ^ |                                         | |
 *        |   interrupt, short     | |        an early deadline, sleep         | |
 *        +------------------------+-+-----------------------------------------+ |
 *        +----------------------------------------------------------------------+
 *                                     interrupt
 *
 * Times are of clock_ns(). Only the CPU itself, or with its interrupts off, uses this.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_HWTIMER_H
#define HV_CORE_HWTIMER_H

#include "lib/timerq.h"

struct hwtimer {
	bool coasts;
	/* The deadline it was armed for, or TIMER_OFF; coasting: when it repeats, at the latest. */
	u64 armed_ns;
	u64 period_ns; /* what it was armed with; 0: it stands still */
	/* When it was to fire: armed_ns, but not before it was armed. TIMER_OFF: it did. */
	u64 due_ns;
};

enum hwtimer_order { HWTIMER_KEEP, HWTIMER_ARM /* for period_ns */, HWTIMER_STOP };

void hwtimer_init(struct hwtimer *h);
/* Its interrupt, which may be of an earlier arming. @repeats: that of the hardware comes again. */
enum hwtimer_order hwtimer_expired(struct hwtimer *h, u64 now_ns, bool repeats);
/* @next_ns is the queue's next deadline now: does the hardware have to hear of it? */
bool hwtimer_wants(struct hwtimer *h, u64 next_ns);
enum hwtimer_order hwtimer_plan(struct hwtimer *h, u64 next_ns, u64 now_ns);
/* Before the CPU sleeps, which is not to be woken for nothing. */
enum hwtimer_order hwtimer_settle(struct hwtimer *h, u64 next_ns, u64 now_ns);

#endif
