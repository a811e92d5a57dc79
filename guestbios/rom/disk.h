/* Drives by INT 13h number, and transfers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_DISK_H
#define GUESTBIOS_DISK_H

#include "bios16.h"
#include "eltorito.h"

/* INT 13h status in AH. */
#define DISK_OK		 0x00
#define DISK_BAD_COMMAND 0x01
#define DISK_NOT_FOUND	 0x04
#define DISK_BOUNDARY	 0x09
#define DISK_PROTECTED	 0x03
#define DISK_NOT_LOCKED	 0xb0
#define DISK_NOT_READY	 0xaa
#define DISK_NO_EJECT	 0xb2
#define DISK_TIMEOUT	 0x80

#define DISK_FIRST_CD 0xe0

/* What a CD booted with emulation puts in the place of drive 00h or 80h. */
struct disk_emulation {
	bool active; /* the image answers as `drive` */
	bool booted; /* spec packet is valid (also without emulation) */
	u8 drive;    /* number of the booted CD or of its image */
	u8 cd;	     /* index into shared.unit */
	u16 cyls;
	u8 heads, spt;
	u32 sectors; /* of 512 bytes */
	struct eltorito_entry entry;
};
extern struct disk_emulation disk_emul;

/* The unit behind an INT 13h drive number; NULL if there is none (or the emulated image). */
struct bios_unit *disk_unit(u8 drive);
/* Move `count` sectors of a unit's own size between it and physical memory. Returns AH. */
u8 disk_transfer(const struct bios_unit *u, u8 op, u64 lba, u32 count, u32 gpa);
/* Read 512-byte sectors of the emulated image. Returns AH. */
u8 disk_emul_read(u32 lba, u32 count, u32 gpa);
/* Reserve what emulation needs; called once when a CD boots so. */
void disk_emul_start(void);

/* Wait until *status is not PENDING, letting interrupts in (channel.c). */
void channel_disk(struct bios_disk_req *req);
void channel_event(u8 event);

#endif
