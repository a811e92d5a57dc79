/* CD-ROM drive: the ATA PACKET interface, the phases of a packet command. See ide.h; the commands
 * themselves are in atapi_mmc.c.
 *
 * Replies come from the channel's buffer; READ goes from the medium to the buffer (PIO) or straight
 * to guest memory (DMA).
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/atapi_int.h"
#include "lib/errno.h"
#include "lib/str.h"

#define PACKET_LEN	     12u
#define OPCODE_REQUEST_SENSE 0x03

/* Interrupt reason, in the sector count register */
#define REASON_COMMAND 1u
#define REASON_TO_HOST 2u

/* FEATURES of the PACKET command */
#define PACKET_DMA     1u
#define PACKET_OVERLAP 2u

/* --- how a packet command ends ---------------------------------------------------------------- */

void atapi_good(struct ide_channel *c, struct ide_drive *d)
{
	d->nsect[0] = REASON_COMMAND | REASON_TO_HOST;
	ide_done(c);
}

void atapi_check(struct ide_channel *c, struct ide_drive *d, struct ide_sense sense)
{
	d->sense = sense;
	d->nsect[0] = REASON_COMMAND | REASON_TO_HOST;
	ide_fail(c, (u8)(sense.key << 4 | ATA_ABRT));
}

void atapi_reply(struct ide_channel *c, struct ide_drive *d, u32 len, u32 alloc)
{
	len = MIN(len, alloc);
	c->left = 0;
	if (!len) {
		atapi_good(c, d);
	} else if (d->dma) {
		c->write = false;
		c->buffered = true;
		c->pos = 0;
		c->end = len;
		ide_dma_want(c);
	} else {
		ide_pio_in(c, len);
	}
}

static void atapi_block(struct ide_drive *d, u32 len)
{
	if (!d->packet || d->nsect[0] == REASON_COMMAND)
		return; /* IDENTIFY, or the packet itself */
	d->nsect[0] = REASON_TO_HOST;
	d->lbam[0] = (u8)len;
	d->lbah[0] = (u8)(len >> 8);
}

static void atapi_drained(struct ide_channel *c, struct ide_drive *d)
{
	if (!d->packet)
		ide_quiet(c);
	else if (c->left)
		ide_read_part(c);
	else
		atapi_good(c, d);
}

static void atapi_medium_done(struct ide_channel *c, struct ide_drive *d, int status)
{
	if (status) {
		atapi_check(c, d, READ_ERROR);
		return;
	}
	ide_part_done(c);
	ide_pio_in(c, c->req_len);
}

static void atapi_dma_done(struct ide_channel *c, struct ide_drive *d, int status)
{
	if (!status)
		atapi_good(c, d);
	else
		atapi_check(c, d, status == -EIO ? READ_ERROR : DMA_FAILED);
}

/* --- packet dispatch -------------------------------------------------------------------------- */

#define REPLY_MAX 256u /* every reply that is built in buf is shorter */

static void packet_run(struct ide_channel *c, struct ide_drive *d)
{
	const struct packet_command *cmd;
	u8 p[PACKET_LEN];

	memcpy(p, c->buf, sizeof(p));
	memset(c->buf, 0, REPLY_MAX);
	d->nsect[0] = 0;
	cmd = atapi_packet_command(p[0]);
	if (!cmd->run) {
		atapi_check(c, d, BAD_OPCODE);
	} else if (d->attention.key && !(cmd->flags & PK_ATTENTION)) {
		struct ide_sense attention = d->attention;

		d->attention = NO_SENSE;
		atapi_check(c, d, attention);
	} else if ((cmd->flags & PK_MEDIUM) && !atapi_disc_in(d)) {
		atapi_check(c, d, d->tray_open ? TRAY_OPEN : NO_MEDIUM);
	} else {
		if (p[0] != OPCODE_REQUEST_SENSE)
			d->sense = NO_SENSE;
		cmd->run(c, d, p);
	}
}

/* The only data a CD-ROM takes is the packet. */
static void atapi_filled(struct ide_channel *c, struct ide_drive *d)
{
	packet_run(c, d);
}

/* --- ATA commands of a packet drive ----------------------------------------------------------- */

static void packet_begin(struct ide_channel *c, struct ide_drive *d)
{
	u32 limit = d->lbam[0] | (u32)d->lbah[0] << 8;

	if (c->feature[0] & PACKET_OVERLAP) {
		ide_fail(c, ATA_ABRT);
		return;
	}
	d->dma = c->feature[0] & PACKET_DMA;
	d->packet = true;
	limit &= ~1u; /* an odd limit counts only for the last block */
	d->nsect[0] = REASON_COMMAND;
	c->block = PACKET_LEN;
	ide_pio_out(c, PACKET_LEN, false);
	c->block = limit ? limit : 0xfffe;
}

static void identify_packet(struct ide_channel *c, struct ide_drive *d)
{
	memset(c->buf, 0, 512);
	ide_word(c, 0, 0x85c0); /* ATAPI CD-ROM, removable, quick DRQ, 12-byte packets */
	ide_text(c, 10, 10, "PNB0002");
	ide_word(c, 20, 3);
	ide_word(c, 21, 512);
	ide_text(c, 23, 4, "1.0");
	ide_text(c, 27, 20, "PENUMBRA CD-ROM");
	ide_word(c, 48, 1);
	ide_word(c, 49, 0x0f00); /* IORDY, LBA, DMA */
	ide_word(c, 51, 0x0200);
	ide_word(c, 52, 0x0200);
	ide_identify_modes(c, d);
	ide_word(c, 80, 0x007e);
	ide_word(c, 82, 0x4210); /* NOP, DEVICE RESET, PACKET */
	ide_word(c, 83, 0x4000);
	ide_word(c, 84, 0x4000);
	ide_word(c, 85, 0x4210);
	ide_word(c, 87, 0x4000);
	ide_word(c, 93, d == &c->drive[0] ? 0x600b : 0x6b00);
	c->left = 0;
	c->block = 512;
	ide_pio_in(c, 512);
}

static void atapi_signature(struct ide_drive *d)
{
	d->nsect[0] = d->lbal[0] = 1;
	d->lbam[0] = 0x14;
	d->lbah[0] = 0xeb;
	d->status = 0; /* not ready for ATA commands until a packet command */
}

/* DEVICE RESET: signature, diagnostic code, no interrupt. */
static void device_reset(struct ide_channel *c, struct ide_drive *d)
{
	c->device &= ATA_DEV_SLAVE;
	d->error = 1;
	atapi_signature(d);
}

static void atapi_set_features(struct ide_channel *c, struct ide_drive *d)
{
	if (c->feature[0] == 0x03 && ide_set_mode(d, d->nsect[0]))
		ide_done(c);
	else
		ide_fail(c, ATA_ABRT);
}

/* Disk commands are aborted; IDENTIFY and READ also show the signature, by which old drivers find
 * packet drives (ATA-6 §9.12). */
static void atapi_command(struct ide_channel *c, struct ide_drive *d, u8 command)
{
	d->packet = false;
	switch (command) {
	case 0x08:
		device_reset(c, d);
		break;
	case 0xa0:
		packet_begin(c, d);
		break;
	case 0xa1:
		identify_packet(c, d);
		break;
	case 0xef:
		atapi_set_features(c, d);
		break;
	case 0xe0: /* STANDBY IMMEDIATE */
	case 0xe1: /* IDLE IMMEDIATE */
	case 0xe6: /* SLEEP */
		ide_done(c);
		break;
	case 0xe5: /* CHECK POWER MODE: active */
		d->nsect[0] = 0xff;
		ide_done(c);
		break;
	case 0x20:
	case 0xec:
		atapi_signature(d);
		ide_fail(c, ATA_ABRT);
		break;
	default:
		ide_fail(c, ATA_ABRT);
	}
}

static void atapi_power_on(struct ide_drive *d)
{
	d->mwdma = IDE_NO_MODE;
	d->udma = 5;
	d->sense = NO_SENSE;
	d->attention = BUS_RESET;
	d->locked = d->tray_open = false;
}

const struct ide_kind_ops atapi_ops = {
	.command = atapi_command,
	.block = atapi_block,
	.filled = atapi_filled,
	.drained = atapi_drained,
	.medium_done = atapi_medium_done,
	.dma_done = atapi_dma_done,
	.signature = atapi_signature,
	.power_on = atapi_power_on,
};
