/* PIIX3 IDE controller, PCI function 00:01.1: two legacy channels with up to two drives each, PIO
 * and bus-master DMA. ATA/ATAPI-6 (T13/1410D), MMC-3, Programming Interface for Bus Master IDE 1.0.
 *
 *   ide.c      task-file registers, PIO data port, interrupts, resets
 *   ide_dma.c  bus-master registers, PRD tables, the PCI function
 *   ata.c      commands of a hard disk
 *   atapi.c    packet commands of a CD-ROM drive
 *
 * A channel executes one command at a time. While it waits for the medium (`inflight`) the request
 * embedded in it belongs to the back end; every reset cancels it there before the channel is
 * reused.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_IDE_H
#define HV_DEV_IDE_H

#include "dev/blk.h"
#include "dev/pci.h"

#define IDE_BUF_SIZE	 32768u /* PIO staging: 64 disk sectors, 16 CD blocks */
#define IDE_MAX_SEGS	 256u	/* pieces of guest memory per request to the medium */
#define IDE_MAX_MULTIPLE 16u

enum ide_kind { IDE_NONE, IDE_DISK, IDE_CD };

/* What the data port or the bus master may do just now. */
enum ide_phase {
	IDE_IDLE,
	IDE_BUSY,    /* medium at work */
	IDE_PIO_IN,  /* host reads buf */
	IDE_PIO_OUT, /* host fills buf */
	IDE_PACKET,  /* host fills the command packet */
	IDE_DMA,     /* wants the bus master */
};

struct ide_sense {
	u8 key, asc, ascq;
};

struct ide_drive {
	enum ide_kind kind;
	struct blk *blk;
	/* Task file as this drive shows it. Index [1] is the previous value (HOB). */
	u8 error, status;
	u8 nsect[2], lbal[2], lbam[2], lbah[2];
	u8 device;
	/* Settings */
	u16 cyls; /* translation in force */
	u8 heads, sectors;
	u8 multiple;	     /* 0: off */
	u8 mwdma, udma, pio; /* selected mode numbers, 0xff: none */
	bool write_cache, standby;
	/* CD */
	struct ide_sense sense;
	bool attention; /* power-on unit attention to be reported */
	bool locked;
};

struct ide_channel {
	struct ide *ide;
	struct irq_line irq;
	struct ide_drive drive[2];
	u8 feature[2];
	u8 device;    /* last DEVICE register */
	u8 control;   /* nIEN, SRST, HOB */
	bool intrq;   /* the drive asserts INTRQ */
	bool irq_out; /* level at the pin */

	/* The command in progress, of drive[active]. */
	enum ide_phase phase;
	u8 active;
	u8 command;
	bool write; /* data moves host to drive */
	bool use_dma;
	u64 offset;	       /* on the medium: next byte */
	u64 left;	       /* bytes of the command not yet asked from or given to the medium */
	u32 sector;	       /* 512 or 2048 */
	u32 block;	       /* bytes per DRQ block (disk), byte count limit (CD) */
	u32 pos, drq_end, end; /* in buf: next byte, end of DRQ block, end of data */
	u8 packet[12];
	u8 buf[IDE_BUF_SIZE];

	/* Bus master */
	u8 bm_command, bm_status;
	u32 bm_prdt;
	u32 bm_entry;  /* offset of the next PRD within the table */
	gpa_t bm_addr; /* rest of the current PRD */
	u32 bm_len;
	bool bm_last; /* current PRD has the end-of-table bit */

	bool inflight;
	bool direct; /* req moves guest memory, not buf */
	u32 req_len;
	struct blk_req req;
	struct blk_seg seg[IDE_MAX_SEGS];
};

struct ide {
	struct pci_dev pci;
	const struct dev_host *host;
	struct ide_channel ch[2];
};

/* Two empty channels, plugged in at 00:01.1 of @b when that is not NULL. @irq[n] is channel n's
 * INTRQ (ISA 14 and 15). 0, or pci_bus_add()'s error. */
int ide_init(struct ide *ide, const struct dev_host *host, struct pci_bus *b,
	     const struct irq_line irq[2]);
/* Claim 1F0-1F7, 3F6, 170-177 and 376. */
int ide_map(struct ide *ide, struct bus *io);
/* Connect a drive at power-off: @channel 0/1, @unit 0 master, 1 slave. -EEXIST, -EINVAL. @blk may
 * be NULL for a CD drive with no disc. */
int ide_attach_disk(struct ide *ide, unsigned channel, unsigned unit, struct blk *blk);
int ide_attach_cd(struct ide *ide, unsigned channel, unsigned unit, struct blk *blk);
/* RESET#: everything in flight is cancelled, drives show their signatures. */
void ide_reset(struct ide *ide);

/* Port handlers; dev is a struct ide_channel (command block, control block) or the struct ide (bus
 * master, 16 ports, offset in port & 15). */
extern const struct port_ops ide_command_ops, ide_control_ops, ide_bm_ops;

#endif
