/* TSC calibration; the clock itself is core/clock.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_TSC_H
#define FIRMWARE_TSC_H

#include "penumbra/bootinfo.h"

/* Measure the TSC against the ACPI PM timer, else PIT channel 2, in 12 ms (more where
 * something disturbs the measurement); start the clock.
 * Fills bi->tsc_khz and bi->tsc_source. 0, or -ENODEV: no reference answers (a rate is assumed). */
int tsc_calibrate(struct boot_info *bi);
/* Later, with more time gone by: a longer window gives a better rate. */
void tsc_refine(struct boot_info *bi);

#endif
