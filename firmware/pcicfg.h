/* PCI configuration space of the host by mechanism 1 (PCI Local Bus specification 3.0 §3.2.2.3.2).
 *
 * Boot-time use on one CPU; not locked.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_PCICFG_H
#define FIRMWARE_PCICFG_H

#include "penumbra/types.h"

#define PCICFG_NONE 0xffffffffu

#define PCICFG_VENDOR	   0x00
#define PCICFG_COMMAND	   0x04
#define PCICFG_CLASS_REV   0x08
#define PCICFG_HEADER_TYPE 0x0e
#define PCICFG_BAR0	   0x10

#define PCICFG_COMMAND_IO     0x1
#define PCICFG_COMMAND_MEMORY 0x2
#define PCICFG_BAR_IO	      0x1
#define PCICFG_BAR_TYPE	      0x6
#define PCICFG_BAR_64	      0x4
#define PCICFG_HEADER_MULTI   0x80

/* @bdf: bus in bits 15:8, device 7:3, function 2:0. @reg aligned to the access. */
u32 pcicfg_read32(u32 bdf, unsigned reg);
u16 pcicfg_read16(u32 bdf, unsigned reg);
void pcicfg_write16(u32 bdf, unsigned reg, u16 value);
/* One access of @size 1, 2 or 4 at @off, a multiple of it below 256. */
u32 pcicfg_read(u32 bdf, unsigned off, unsigned size);
void pcicfg_write(u32 bdf, unsigned off, unsigned size, u32 value);
/* First function, in bus order, of class and subclass @class16, or PCICFG_NONE. */
u32 pcicfg_find_class(u16 class16);

#endif
