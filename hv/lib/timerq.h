/* Deadline-ordered queue of one-shot timers. Pure data structure: the owner supplies the clock
 * and programs the hardware for timerq_next().
 *
 * Not locked: a queue belongs to one physical CPU and is only touched there.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_LIB_TIMERQ_H
#define HV_LIB_TIMERQ_H

#include "penumbra/types.h"

#define TIMER_OFF UINT64_MAX

/* Embedded in whatever needs waking. All zero but for `fire` and `arg`: a valid idle timer. */
struct timer {
	struct timer *next; /* owned by the queue */
	struct timer *prev; /* owned by the queue; meaningful while queued */
	bool queued;
	u64 deadline_ns;
	u64 slack_ns; /* so much later is in time too: no interrupt of its own until then */
	void (*fire)(void *arg, u64 now_ns); /* may re-arm itself or others */
	void *arg;
};

struct timerq {
	struct timer *head; /* earliest first */
};

/* (Re)arm @t for @deadline_ns; TIMER_OFF cancels. O(queue length): queues here stay short. */
void timerq_set(struct timerq *q, struct timer *t, u64 deadline_ns);
/* Fire every timer whose deadline is <= @now_ns, at most once each; returns how many fired. */
unsigned timerq_run(struct timerq *q, u64 now_ns);
/* The earliest deadline, or TIMER_OFF. */
static inline u64 timerq_first(const struct timerq *q)
{
	return q->head ? q->head->deadline_ns : TIMER_OFF;
}
/* When timerq_run() has to be called at the latest: the earliest deadline, slack added, or
 * TIMER_OFF. Whoever calls it earlier spares the timers with slack that are due by then an
 * interrupt. */
static inline u64 timerq_next(const struct timerq *q)
{
	u64 next = TIMER_OFF;

	for (const struct timer *t = q->head; t && t->deadline_ns < next; t = t->next)
		next = MIN(next, t->deadline_ns + MIN(t->slack_ns, TIMER_OFF - t->deadline_ns));
	return next;
}

#endif
