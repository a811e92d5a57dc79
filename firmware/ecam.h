/* PCI configuration space of the host through its ECAM windows (PCI Express base specification
 * §7.2.2): all segments and 4096 bytes a function. Segment 0's first 256 bytes go by mechanism 1
 * (pcicfg.h) where no window covers the bus.
 *
 * After ecam_init() any CPU; accesses in memory need no lock, those by mechanism 1 are as
 * pcicfg.h says.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_ECAM_H
#define FIRMWARE_ECAM_H

#include "penumbra/bootinfo.h"
#include "penumbra/types.h"

/* Map the windows of @bi. 0; -ENOMEM: one could not be mapped, its buses answer by mechanism 1 or
 * not at all. Once, on the boot CPU. */
int ecam_init(const struct boot_info *bi);
/* One access of @size 1, 2 or 4 at @off < 4096, a multiple of it. @sbdf: segment in bits 31:16, bus
 * 15:8, device 7:3, function 2:0. What cannot be reached: all ones, dropped. */
u32 ecam_read(u32 sbdf, unsigned off, unsigned size);
void ecam_write(u32 sbdf, unsigned off, unsigned size, u32 value);

#endif
