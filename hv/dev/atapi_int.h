/* Shared by the sources of the CD-ROM drive only: how a packet command ends, and which there are.
 * @d is always the active drive of @c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_ATAPI_INT_H
#define HV_DEV_ATAPI_INT_H

#include "dev/ide_int.h"

#define ATAPI_BLOCK 2048u

/* Sense keys */
#define KEY_NOT_READY	    2u
#define KEY_MEDIUM_ERROR    3u
#define KEY_ILLEGAL_REQUEST 5u
#define KEY_UNIT_ATTENTION  6u
#define KEY_ABORTED	    11u

#define SENSE(k, a, q)                                                                             \
	(struct ide_sense)                                                                         \
	{                                                                                          \
		.key = (k), .asc = (a), .ascq = (q)                                                \
	}
#define NO_SENSE	  SENSE(0, 0, 0)
#define NO_MEDIUM	  SENSE(KEY_NOT_READY, 0x3a, 0x00)
#define TRAY_OPEN	  SENSE(KEY_NOT_READY, 0x3a, 0x02)
#define READ_ERROR	  SENSE(KEY_MEDIUM_ERROR, 0x11, 0x00)
#define BAD_OPCODE	  SENSE(KEY_ILLEGAL_REQUEST, 0x20, 0x00)
#define BAD_LBA		  SENSE(KEY_ILLEGAL_REQUEST, 0x21, 0x00)
#define BAD_FIELD	  SENSE(KEY_ILLEGAL_REQUEST, 0x24, 0x00)
#define REMOVAL_PREVENTED SENSE(KEY_ILLEGAL_REQUEST, 0x53, 0x02)
#define BUS_RESET	  SENSE(KEY_UNIT_ATTENTION, 0x29, 0x00)
#define MEDIUM_CHANGED	  SENSE(KEY_UNIT_ATTENTION, 0x28, 0x00)
#define DMA_FAILED	  SENSE(KEY_ABORTED, 0x00, 0x00)

/* A packet command is refused in these states unless its flags say otherwise. */
#define PK_MEDIUM    1u /* needs a disc */
#define PK_ATTENTION 2u /* runs although a unit attention is pending */

struct packet_command {
	/* @p: the packet's 12 bytes. buf is zeroed as far as replies reach. */
	void (*run)(struct ide_channel *c, struct ide_drive *d, const u8 *p);
	u8 flags;
};

/* What carries out the packet command @opcode; .run is NULL where the drive does not know it. */
const struct packet_command *atapi_packet_command(u8 opcode);

static inline bool atapi_disc_in(const struct ide_drive *d)
{
	return d->blk && !d->tray_open && d->blk->size >= ATAPI_BLOCK;
}

/* End the packet command: well, or with @sense. */
void atapi_good(struct ide_channel *c, struct ide_drive *d);
void atapi_check(struct ide_channel *c, struct ide_drive *d, struct ide_sense sense);
/* Return @len bytes of buf, at most @alloc. */
void atapi_reply(struct ide_channel *c, struct ide_drive *d, u32 len, u32 alloc);

#endif
