/* The per-CPU scheduler. vCPUs are pinned; where several share a CPU they take turns of 10 ms, and
 * HLT gives the CPU away. One of them can have precedence.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_SCHED_H
#define HV_CORE_SCHED_H

#include "engine/vcpu.h"

#define SCHED_SLICE_NS (10 * NSEC_PER_MSEC)
/* A vCPU that runs when the one with precedence wakes up keeps the CPU until it halts, but for no
 * longer than that one's turns usually take: what else it is asked for meanwhile is done in the
 * same turn. Waiting as long as the work takes can double its time, never more. Each time it is
 * asked for more that time begins anew, up to this long in all. */
#define SCHED_GRACE_NS (2 * NSEC_PER_MSEC)

/* Pin @v to physical CPU @cpu. Before the CPUs run their loops, or on that CPU. */
void sched_add(struct vcpu *v, unsigned cpu);
/* The same while the CPUs run, from any CPU. */
void sched_add_running(struct vcpu *v, unsigned cpu);
/* @v, which is pinned to @cpu, goes before the others there when an interrupt waits for it; alone:
 * the others do not run at all until sched_first_done(). Before the CPUs run their loops. */
void sched_add_first(struct vcpu *v, unsigned cpu);
/* On that CPU: the others may run. */
void sched_first_done(void);
/* From any CPU: the first one was asked for more; see SCHED_GRACE_NS. */
void sched_first_asked(void);
/* Make @v look at its requests and interrupts soon: from any CPU. */
void sched_kick(struct vcpu *v);
/* This CPU's loop; does not return. */
void sched_loop(void) __attribute__((noreturn));
/* True when @v must stop running now: its turn is over or it is no longer runnable. */
bool sched_must_yield(const struct vcpu *v);
/* @v, which runs here, has no use for the rest of its turn, if another vCPU can run. */
void sched_turn_over(struct vcpu *v);
/* Timers, console and requests of this CPU; cheap when nothing is due. */
void cpu_service(void);

#endif
