/* A partition's own time: the machine's, without what other vCPUs had its CPU meanwhile (what
 * kernels call stolen time).  It stands still while another one runs in its place and goes on while
 * it halts alone, so on a CPU of its own it is clock_ns() with another start.
 *
 * What is measured of a guest, and what is done for that, goes by it: samples are as long for a
 * guest that shares its CPU, and who pays for them is that guest and not its neighbours.
 *
 * Its timers fire from cpu_service() on the partition's CPU, as others do (timer.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_OWN_TIME_H
#define HV_CORE_OWN_TIME_H

#include "lib/timerq.h"

struct partition;

struct own_time {
	bool here;	    /* no other vCPU has run since it did */
	u64 away, away_tsc; /* in all: ns, and ticks of its CPU's TSC */
	u64 left, left_tsc; /* when another one came, if not @here */
	struct timerq timers;
	struct timer alarm; /* for the earliest of them, on the CPU's queue */
};

/* ns, and the same in ticks of its CPU's TSC. On its CPU. */
u64 own_time_ns(const struct partition *p);
u64 own_time_tsc(const struct partition *p);
/* Arm @t for @deadline_ns of own_time_ns(); TIMER_OFF cancels. On its CPU. */
void own_timer_set(struct partition *p, struct timer *t, u64 deadline_ns);
/* Another vCPU takes its CPU; it has it (again). For the scheduler. */
void own_time_stop(struct partition *p);
void own_time_go_on(struct partition *p);

#endif
