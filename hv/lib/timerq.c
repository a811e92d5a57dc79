/* Deadline-ordered queue of one-shot timers: a sorted doubly linked list.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/timerq.h"

/* The first timer of a list has prev == NULL in the queue proper. timerq_run() cuts the due ones
 * off behind a sentinel, so unlinking there never touches the queue's head. */
static void unlink_timer(struct timerq *q, struct timer *t)
{
	if (t->prev)
		t->prev->next = t->next;
	else
		q->head = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->queued = false;
}

static void link_sorted(struct timerq *q, struct timer *t)
{
	struct timer *prev = NULL, *next = q->head;

	while (next && next->deadline_ns <= t->deadline_ns) {
		prev = next;
		next = next->next;
	}
	t->prev = prev;
	t->next = next;
	if (prev)
		prev->next = t;
	else
		q->head = t;
	if (next)
		next->prev = t;
	t->queued = true;
}

void timerq_set(struct timerq *q, struct timer *t, u64 deadline_ns)
{
	if (t->queued)
		unlink_timer(q, t);
	t->deadline_ns = deadline_ns;
	if (deadline_ns != TIMER_OFF)
		link_sorted(q, t);
}

/* Move the timers due at @now_ns behind @due. */
static void cut_due(struct timerq *q, u64 now_ns, struct timer *due)
{
	struct timer *last = due, *t = q->head;

	while (t && t->deadline_ns <= now_ns) {
		last = t;
		t = t->next;
	}
	if (last == due)
		return;
	due->next = q->head;
	due->next->prev = due;
	last->next = NULL;
	q->head = t;
	if (t)
		t->prev = NULL;
}

unsigned timerq_run(struct timerq *q, u64 now_ns)
{
	struct timer due = {0};
	unsigned fired = 0;

	cut_due(q, now_ns, &due);
	while (due.next) {
		struct timer *t = due.next;

		unlink_timer(q, t);
		fired++;
		t->fire(t->arg, now_ns);
	}
	return fired;
}
