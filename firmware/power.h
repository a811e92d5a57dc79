/* Switching the real machine off or restarting it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_POWER_H
#define FIRMWARE_POWER_H

#include "penumbra/bootinfo.h"

/* ACPI S5 by the FADT's PM1 control blocks. Returns when that is unknown or does nothing. */
void firmware_power_off(const struct boot_info *bi);
/* ACPI reset register, then port CF9, then the keyboard controller, then a triple fault. */
_Noreturn void firmware_reboot(const struct boot_info *bi);

#endif
