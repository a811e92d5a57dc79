/* Hypervisor's side of the BIOS channel (penumbra/bioschan.h).
 *
 * Everything the guest writes is hostile: items read as zeros past their end, disk requests are
 * copied once and checked against the drive and against guest RAM.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_BIOSCHAN_H
#define HV_DEV_BIOSCHAN_H

#include "dev/blk.h"
#include "penumbra/bioschan.h"

#define BIOSCHAN_MAX_SECTORS 65536u

/* INT 13h status codes used */
#define BIOS_DISK_OK	      0x00
#define BIOS_DISK_BAD_COMMAND 0x01
#define BIOS_DISK_PROTECTED   0x03
#define BIOS_DISK_NOT_FOUND   0x04 /* sector outside the medium */
#define BIOS_DISK_BAD_MEMORY  0x09 /* data or request not in RAM */
#define BIOS_DISK_CONTROLLER  0x20
#define BIOS_DISK_NOT_READY   0xaa /* no such drive, or another request in flight */

struct bioschan_ops {
	/* Screen text and BIOS log as they come, LF included, lines not yet cut: the serial
	 * multiplexer does that and flushes prompts. */
	void (*text)(void *ctx, const char *buf, unsigned n);
	void (*log)(void *ctx, const char *buf, unsigned n);
	void (*event)(void *ctx, unsigned event); /* enum bios_event, or a value unknown to it */
};

struct bioschan {
	struct bios_config config;
	struct blk *drive[BIOS_MAX_DRIVES]; /* as config.drive[]; NULL: empty */
	u16 item;
	u32 pos;
	struct blk_req req; /* the one request in flight */
	struct blk_seg seg;
	u64 left;	      /* bytes of it that the medium was not asked for yet */
	struct blk *inflight; /* its medium, while @busy */
	gpa_t req_gpa;
	bool busy;
	struct irq_line irq; /* the owner connects it after bioschan_init(); may stay open */
	const struct dev_host *host;
	const struct bioschan_ops *ops;
	void *ctx;
	u64 disk_requests, disk_bytes;
};

/* @config and the drives are copied (by value, by pointer). */
int bioschan_init(struct bioschan *b, struct bus *bus, const struct dev_host *host,
		  const struct bios_config *config, struct blk *const drive[BIOS_MAX_DRIVES],
		  const struct bioschan_ops *ops, void *ctx);
/* Forgets a request in flight; its status is never written. Other requests of the same medium are
 * cancelled with it: the board resets every user of a medium at once. */
void bioschan_reset(struct bioschan *b);

#endif
