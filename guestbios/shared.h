/* What POST finds out and the interrupt handlers use: lies in the EBDA at EBDA_SHARED.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_SHARED_H
#define GUESTBIOS_SHARED_H

#include "layout.h"
#include "penumbra/bioschan.h"

/* A drive as INT 13h serves it. */
struct bios_unit {
	u64 sectors;	 /* of the drive's own size */
	u16 sector_size; /* 512 or 2048 */
	u16 cyls;	 /* CHS geometry; CD: 0 */
	u8 heads;	 /* 255 at most */
	u8 spt;
	u8 kind; /* enum bios_boot_dev */
	u8 chan; /* index for the channel's DISK request */
	u8 cmos; /* floppy drive type, as INT 13h/08h returns in BL */
	u8 pad[3];
} __attribute__((packed));

#define SHARED_E820_MAX 12

struct bios_shared {
	u32 e820_count;
	struct bios_e820 e820[SHARED_E820_MAX];
	u32 ram_top;  /* end of usable RAM below the PCI hole */
	u64 high_ram; /* bytes from 4 GiB up */
	u32 low_ram;  /* bytes, with what the tables took */
	u32 tsc_khz;
	u8 boot[4];
	u8 ndrives;
	u8 pad[3];
	struct bios_unit unit[BIOS_MAX_DRIVES];
	char name[16];
} __attribute__((packed));

_Static_assert(sizeof(struct bios_shared) <= EBDA_BSS - EBDA_SHARED, "shared state fits");

#endif
