/* The event loop.
 *
 * SPDX-License-Identifier: MIT
 */
#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

#define LOOP_BATCH 32

u64 loop_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * NSEC_PER_SEC + (u64)t.tv_nsec;
}

int loop_init(struct loop *loop)
{
	*loop = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
	return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_close(struct loop *loop)
{
	close(loop->epoll_fd);
}

static int control(struct loop *loop, int op, struct loop_source *s, u32 events)
{
	struct epoll_event e = {.events = events, .data.ptr = s};

	return epoll_ctl(loop->epoll_fd, op, s->fd, &e) ? -errno : 0;
}

int loop_add(struct loop *loop, struct loop_source *s, u32 events)
{
	int rc = control(loop, EPOLL_CTL_ADD, s, events);

	s->added = rc == 0;
	return rc;
}

int loop_change(struct loop *loop, struct loop_source *s, u32 events)
{
	return control(loop, EPOLL_CTL_MOD, s, events);
}

void loop_remove(struct loop *loop, struct loop_source *s)
{
	if (!s->added)
		return;
	control(loop, EPOLL_CTL_DEL, s, 0);
	s->added = false;
	for (int i = 0; i < loop->batch_n; i++) {
		if (loop->batch[i].data.ptr == s)
			loop->batch[i].data.ptr = NULL;
	}
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *t)
{
	if (!t->due_ns)
		return;
	for (struct loop_timer **p = &loop->timers; *p; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			break;
		}
	}
	t->due_ns = 0;
}

void loop_timer_arm(struct loop *loop, struct loop_timer *t, u64 ns)
{
	struct loop_timer **p = &loop->timers;

	loop_timer_cancel(loop, t);
	t->due_ns = loop_now() + ns;
	while (*p && (*p)->due_ns <= t->due_ns)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
}

static void fire_due(struct loop *loop)
{
	u64 now = loop->timers ? loop_now() : 0;

	while (loop->timers && loop->timers->due_ns <= now) {
		struct loop_timer *t = loop->timers;

		loop->timers = t->next;
		t->due_ns = 0;
		t->fire(t->arg);
	}
}

/* How long epoll may sleep: rounded up, so that the timer is due when it wakes. */
static int sleep_ms(const struct loop *loop)
{
	u64 now, ms;

	if (!loop->timers)
		return -1;
	now = loop_now();
	if (loop->timers->due_ns <= now)
		return 0;
	ms = (loop->timers->due_ns - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

static void one_turn(struct loop *loop)
{
	struct epoll_event batch[LOOP_BATCH];
	int n = epoll_wait(loop->epoll_fd, batch, LOOP_BATCH, sleep_ms(loop));

	loop->batch = batch;
	loop->batch_n = n < 0 ? 0 : n;
	for (int i = 0; i < loop->batch_n; i++) {
		struct loop_source *s = batch[i].data.ptr;

		if (s)
			s->ready(s->arg, batch[i].events);
	}
	loop->batch_n = 0;
	fire_due(loop);
	if (loop->turn_end)
		loop->turn_end(loop->turn_arg);
}

int loop_run(struct loop *loop)
{
	while (!loop->stop)
		one_turn(loop);
	return loop->status;
}

void loop_stop(struct loop *loop, int status)
{
	loop->stop = true;
	loop->status = status;
}
