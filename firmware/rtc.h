/* The real machine's clock, read once at boot.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_RTC_H
#define FIRMWARE_RTC_H

#include "penumbra/types.h"

/* Seconds since 1970-01-01 as the MC146818 shows them (taken as UTC); 0 when it cannot be read. */
u64 firmware_rtc_seconds(void);

#endif
