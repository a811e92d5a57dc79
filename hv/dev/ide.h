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

#define IDE_BUF_SIZE	 32768u		/* PIO staging: 64 disk sectors, 16 CD blocks */
#define IDE_MAX_SEGS	 256u		/* pieces of guest memory per request to the medium */
#define IDE_MAX_REQUEST	 (1024u * 1024) /* bytes per request: bounds one completion's work */
#define IDE_MAX_MULTIPLE 16u
#define IDE_NO_MODE	 0xffu

enum ide_kind { IDE_NONE, IDE_DISK, IDE_CD };

/* What the channel is waiting for. */
enum ide_phase {
	IDE_IDLE,    /* a command */
	IDE_BUSY,    /* the medium: req is in flight */
	IDE_PIO_IN,  /* the host to read buf */
	IDE_PIO_OUT, /* the host to fill buf */
	IDE_DMA,     /* the bus master to be started */
};

struct ide_sense {
	u8 key, asc, ascq;
};

struct ide_drive {
	enum ide_kind kind;
	struct blk *blk; /* NULL: no disc */
	/* Task file as this drive shows it. Index [1] is the previous value (HOB). */
	u8 error, status;
	u8 nsect[2], lbal[2], lbam[2], lbah[2];
	/* Disk: translation in force, sectors per DRQ block of MULTIPLE (0: off). */
	u16 cyls;
	u8 heads, sectors;
	u8 multiple;
	bool write_cache, standby;
	u8 mwdma, udma; /* selected mode, one of them IDE_NO_MODE */
	/* CD */
	struct ide_sense sense;
	struct ide_sense attention; /* unit attention to be reported; key 0: none */
	bool packet;		    /* the command in progress is PACKET */
	bool dma;		    /* the packet command asked for DMA */
	bool locked, tray_open;
};

struct ide_channel {
	struct ide *ide;
	struct irq_line irq;
	struct ide_drive drive[2];
	u8 feature[2]; /* [1]: previous value */
	u8 device;     /* DEVICE register: bit 4 selects the drive */
	u8 control;    /* nIEN, SRST, HOB */
	bool intrq;    /* the active drive asserts INTRQ */
	bool irq_out;  /* what the pin shows */

	/* The command in progress, of drive[active]. */
	enum ide_phase phase;
	u8 active;
	bool write;    /* data moves from host to drive */
	bool buffered; /* DMA of buf[0, end), not of the medium */
	u64 offset;    /* on the medium: next byte */
	u64 left;      /* bytes of the command not yet moved from or to the medium */
	u32 block;     /* most bytes per DRQ block */
	u32 pos;       /* in buf: next byte for the host */
	u32 drq_end;   /* end of the DRQ block */
	u32 end;       /* end of data (PIO_OUT: of room) */
	u8 buf[IDE_BUF_SIZE];

	/* Bus master. The position in the PRD table is meaningful while ACTIVE. */
	u8 bm_command, bm_status;
	u32 bm_prdt;
	u32 bm_entry; /* offset of the next PRD within the table */
	gpa_t bm_addr;
	u32 bm_len;   /* rest of the current PRD */
	bool bm_last; /* current PRD has the end-of-table bit */

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
