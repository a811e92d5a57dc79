/* An event loop over epoll: file descriptors, one-shot timers, and work for the end of a turn.
 *
 * One thread. A callback may add and remove any source, its own too.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef ROOTFS_LIB_LOOP_H
#define ROOTFS_LIB_LOOP_H

#include <sys/epoll.h>

#include "penumbra/types.h"

struct loop_source {
	int fd;
	/* @events: EPOLL*. */
	void (*ready)(void *arg, u32 events);
	void *arg;
	bool added;
};

struct loop_timer {
	u64 due_ns; /* CLOCK_MONOTONIC; 0: not armed */
	void (*fire)(void *arg);
	void *arg;
	struct loop_timer *next; /* armed ones, soonest first */
};

struct loop {
	int epoll_fd;
	struct loop_timer *timers;
	/* Called once after each batch of events, before the loop sleeps. May be NULL. */
	void (*turn_end)(void *arg);
	void *turn_arg;
	bool stop;
	int status; /* what loop_run() returns */
	/* Events of the batch that is being handled: loop_remove() takes out what is left of a
	 * source's. */
	struct epoll_event *batch;
	int batch_n;
};

/* 0 or -errno. */
int loop_init(struct loop *loop);
void loop_close(struct loop *loop);
/* Watch s->fd for @events (EPOLLIN, ...; level-triggered unless EPOLLET). 0 or -errno. */
int loop_add(struct loop *loop, struct loop_source *s, u32 events);
int loop_change(struct loop *loop, struct loop_source *s, u32 events);
/* No callback of @s follows. Does not close its fd. */
void loop_remove(struct loop *loop, struct loop_source *s);
/* Fire once, @ns from now; an armed timer is armed anew. */
void loop_timer_arm(struct loop *loop, struct loop_timer *t, u64 ns);
void loop_timer_cancel(struct loop *loop, struct loop_timer *t);
/* Until loop_stop(); returns its status. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop, int status);
/* CLOCK_MONOTONIC in ns. */
u64 loop_now(void);

#endif
