/* The hypervisor's clock: nanoseconds since the loader handed over, from the TSC.
 *
 * One base and one rate for all CPUs. firmware/tsc.c sets it up; where a CPU's counter is
 * measurably off from the first CPU's, this_cpu()->tsc_delta corrects it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CLOCK_H
#define HV_CORE_CLOCK_H

#include "penumbra/types.h"

/* Monotonic nanoseconds since boot. Any CPU, any context after cpu_load(). */
u64 clock_ns(void);
/* A TSC value of this CPU -> the same scale as clock_ns(). */
u64 clock_tsc_to_ns(u64 tsc);
/* TSC ticks per second as calibrated; 0 before calibration. */
u64 clock_tsc_hz(void);
/* Busy-wait. Boot and panic only. Works (roughly) before calibration. */
void clock_delay_us(u64 us);

#endif
