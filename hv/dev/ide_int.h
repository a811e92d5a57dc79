/* Shared by the sources of the IDE controller only: register bits and the steps of a command.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_IDE_INT_H
#define HV_DEV_IDE_INT_H

#include "dev/ide.h"

/* Status */
#define ATA_BSY	  0x80u
#define ATA_DRDY  0x40u
#define ATA_DSC	  0x10u
#define ATA_DRQ	  0x08u
#define ATA_ERR	  0x01u
#define ATA_READY (ATA_DRDY | ATA_DSC)

/* Error */
#define ATA_ICRC 0x80u
#define ATA_UNC	 0x40u
#define ATA_IDNF 0x10u
#define ATA_ABRT 0x04u

/* Device */
#define ATA_DEV_SLAVE 0x10u
#define ATA_DEV_LBA   0x40u

/* Device control */
#define ATA_NIEN 0x02u
#define ATA_SRST 0x04u
#define ATA_HOB	 0x80u

/* Bus master command and status */
#define BM_START     0x01u
#define BM_TO_MEMORY 0x08u
#define BM_ACTIVE    0x01u
#define BM_ERROR     0x02u
#define BM_INTR	     0x04u
#define BM_CAPABLE   0x60u

/* What differs between kinds of drives. @d is always the active drive of @c. */
struct ide_kind_ops {
	void (*command)(struct ide_channel *c, struct ide_drive *d, u8 command);
	/* Optional. A DRQ block of @len bytes is about to be offered. */
	void (*block)(struct ide_drive *d, u32 len);
	/* The host filled buf[0, end) / has read it all. */
	void (*filled)(struct ide_channel *c, struct ide_drive *d);
	void (*drained)(struct ide_channel *c, struct ide_drive *d);
	/* A request for buf (or a flush) ended; @status as in blk_req. */
	void (*medium_done)(struct ide_channel *c, struct ide_drive *d, int status);
	/* The bus master moved everything, or @status says why not: -EIO the medium, -EFAULT guest
	 * memory or its PRD table. */
	void (*dma_done)(struct ide_channel *c, struct ide_drive *d, int status);
	/* Task file after a reset or a diagnostic. */
	void (*signature)(struct ide_drive *d);
	/* Power-up values of the rest. */
	void (*power_on)(struct ide_drive *d);
};

extern const struct ide_kind_ops ata_ops, atapi_ops;

static inline const struct ide_kind_ops *ide_ops(const struct ide_drive *d)
{
	return d->kind == IDE_CD ? &atapi_ops : &ata_ops;
}
static inline struct ide_drive *ide_active(struct ide_channel *c)
{
	return &c->drive[c->active];
}

/* Assert INTRQ. */
void ide_raise(struct ide_channel *c);
/* End the command, with an interrupt: well, or with ERR and @error in the error register. */
void ide_done(struct ide_channel *c);
void ide_fail(struct ide_channel *c, u8 error);
/* End it without an interrupt: the host has read the last block. */
void ide_quiet(struct ide_channel *c);
/* Offer the next DRQ block of phase PIO_IN or PIO_OUT. */
void ide_block(struct ide_channel *c, bool irq);
/* Let the host read buf[0, len) in blocks of c->block. */
void ide_pio_in(struct ide_channel *c, u32 len);
/* Let the host fill buf[0, len). */
void ide_pio_out(struct ide_channel *c, u32 len, bool irq);
/* Ask the medium for the next part of c->left into buf; ide_part_done() accounts for a part. */
void ide_read_part(struct ide_channel *c);
void ide_part_done(struct ide_channel *c);
/* Submit one request for c->seg[0, nseg), or for buf[0, len) when @nseg is 0. Phase becomes BUSY.
 */
void ide_submit(struct ide_channel *c, enum blk_op op, unsigned nseg, u32 len);
/* Take back what is in flight; the channel is idle afterwards. */
void ide_cancel(struct ide_channel *c);
/* EXECUTE DEVICE DIAGNOSTIC, for both drives. */
void ide_diagnose(struct ide_channel *c);
/* SET FEATURES 03h with mode @mode. False: not a mode that this drive has. */
bool ide_set_mode(struct ide_drive *d, u8 mode);
/* IDENTIFY helpers: word @n of buf; text padded with blanks, bytes swapped as ATA wants. */
void ide_word(struct ide_channel *c, unsigned n, u16 value);
void ide_text(struct ide_channel *c, unsigned first, unsigned words, const char *text);
/* Words that a disk and a CD report alike: DMA modes and timing. */
void ide_identify_modes(struct ide_channel *c, const struct ide_drive *d);

/* The command wants DMA of c->left bytes at c->offset (or of buf[0, end) when c->buffered). */
void ide_dma_want(struct ide_channel *c);
/* A direct request ended. */
void ide_dma_medium_done(struct ide_channel *c, int status);
void ide_bm_reset(struct ide_channel *c);
/* Plug in the PCI function; its power-up state. */
int ide_pci_init(struct ide *ide, struct pci_bus *b);
void ide_pci_reset(struct ide *ide);

#endif
