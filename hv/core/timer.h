/* Per-CPU timers: one deadline queue on each physical CPU, driven by its local APIC.
 *
 * A timer belongs to the CPU it was set on. Timers fire from cpu_service() in the CPU's own loop,
 * never in interrupt context, so their handlers may touch the vCPUs of that CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_TIMER_H
#define HV_CORE_TIMER_H

#include "lib/timerq.h"

/* Timer interrupts of this CPU; before anything is armed on it. */
void timer_init_cpu(void);
/* Arm @t on this CPU for @deadline_ns of clock_ns(); TIMER_OFF cancels. */
void timer_set(struct timer *t, u64 deadline_ns);
/* Fire what is due and programme the hardware for the rest. */
void timer_service(void);
/* The hardware is told what is left, if that was put off until the guest would set its next
 * deadline: a CPU that sleeps is not woken for nothing. */
void timer_before_sleep(void);

#endif
