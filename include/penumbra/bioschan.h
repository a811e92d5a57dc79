/* The channel between the hypervisor and the guest's BIOS.
 *
 * Ports 0x510-0x51f. Everything the BIOS must know that no PC chip would tell it, the text of
 * INT 10h as whole lines, and disk transfers as one request per INT 13h. Other code in a guest has
 * no reason to touch it and can harm only its own machine.
 *
 *   0x510 w16  SELECT  choose an item and rewind it
 *   0x511 r8   DATA    next byte of the item (REP INSB); zeros past its end
 *   0x512 w8   TEXT    next byte of a line of screen text (REP OUTSB); LF ends the line
 *   0x513 w8   LOG     next byte of a BIOS log line (unimplemented calls, POST); LF ends the line
 *   0x514 w32  DISK    guest-physical address of a struct bios_disk_req: start it
 *         r8           lower the line: IRQ PC_IRQ_BIOS rises when a request that was not served at
 *                      once ends, so that who sleeps until then need not wait for the next tick
 *   0x518 w8   EVENT   enum bios_event
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRA_BIOSCHAN_H
#define PENUMBRA_BIOSCHAN_H

#include "penumbra/types.h"

#define BIOSCHAN_PORT_BASE   0x510
#define BIOSCHAN_PORT_LEN    0x10
#define BIOSCHAN_PORT_SELECT 0x510
#define BIOSCHAN_PORT_DATA   0x511
#define BIOSCHAN_PORT_TEXT   0x512
#define BIOSCHAN_PORT_LOG    0x513
#define BIOSCHAN_PORT_DISK   0x514
#define BIOSCHAN_PORT_EVENT  0x518

enum bioschan_item {
	BIOSCHAN_SIGNATURE = 0, /* 8 bytes "PNBIOS\0" + version 1 */
	BIOSCHAN_CONFIG = 1,	/* struct bios_config */
};

#define BIOSCHAN_SIGNATURE_TEXT "PNBIOS\0\1"

enum bios_boot_dev { BOOT_NONE = 0, BOOT_CDROM = 1, BOOT_DISK = 2, BOOT_FLOPPY = 3 };

#define BIOS_MAX_E820 16
struct bios_e820 {
	u64 base;
	u64 len;
	u32 type; /* 1 RAM, 2 reserved, 3 ACPI reclaimable, 4 ACPI NVS */
} __attribute__((packed));

/* A drive as the BIOS sees it; index into bios_config.drive is the DISK request's `drive`. */
struct bios_drive {
	u8 type; /* enum bios_boot_dev; BOOT_NONE: slot empty */
	u8 pad[3];
	u32 sector_size; /* 512 or 2048 */
	u64 sectors;
} __attribute__((packed));

#define BIOS_MAX_DRIVES 4
struct bios_config {
	u32 size;     /* of this struct: later fields may be appended */
	u32 ncpus;    /* for MADT and the MP table */
	u64 low_ram;  /* RAM below the PCI hole, bytes from 0 (the BIOS carves it up) */
	u64 high_ram; /* RAM from 4 GiB up, bytes */
	u32 tsc_khz;
	u32 nic_present;
	u8 boot[4]; /* enum bios_boot_dev in order, BOOT_NONE ends */
	struct bios_drive drive[BIOS_MAX_DRIVES];
	u8 uuid[16];   /* SMBIOS */
	char name[16]; /* partition's name, NUL-terminated, for the POST banner */
} __attribute__((packed));

/* A transfer between a drive and guest memory. The BIOS builds it in its own memory with status
 * PENDING and writes its address to DISK. A drive in memory is served before that instruction
 * ends; otherwise the BIOS waits in STI;HLT;CLI until status changes (the timer tick bounds a
 * wait). */
enum bios_disk_op { BIOS_DISK_READ = 0, BIOS_DISK_WRITE = 1 };
#define BIOS_DISK_PENDING 0xffffffffu
struct bios_disk_req {
	u32 op;
	u32 drive;  /* index into bios_config.drive */
	u64 lba;    /* in the drive's own sectors */
	u32 count;  /* sectors */
	u32 status; /* BIOS writes PENDING; becomes 0 or an INT 13h AH code */
	u64 gpa;    /* of the data; must be RAM */
} __attribute__((packed));

enum bios_event {
	BIOS_EVENT_POST = 1,	  /* POST began */
	BIOS_EVENT_BOOT = 2,	  /* about to jump to a boot sector */
	BIOS_EVENT_NO_BOOT = 3,	  /* nothing booted; the message went to TEXT */
	BIOS_EVENT_POWER_OFF = 4, /* APM power-off */
};

_Static_assert(sizeof(struct bios_e820) == 20, "E820 entry layout");
_Static_assert(sizeof(struct bios_disk_req) == 32, "disk request layout");

#endif
