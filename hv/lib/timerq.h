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
/* Deadline of the earliest timer, or TIMER_OFF. */
static inline u64 timerq_next(const struct timerq *q)
{
	return q->head ? q->head->deadline_ns : TIMER_OFF;
}

#endif
