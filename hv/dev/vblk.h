/* Virtio block device (Virtio 1.1 §5.2): one queue, up to VBLK_SLOTS requests in flight.
 *
 * Requests are served in any order; the guest's data moves between its memory and the medium
 * without a copy here. A driver that does not know FLUSH gets a write-through disk (§5.2.6.2).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_VBLK_H
#define HV_DEV_VBLK_H

#include "dev/virtio.h"

#define VBLK_QUEUE    128u
#define VBLK_SLOTS    32u
#define VBLK_SEG_MAX  126u		 /* pieces of a request's data */
#define VBLK_MAX_SEGS (VBLK_SEG_MAX + 2) /* with header and status */
#define VBLK_ID_LEN   20u
/* With this many requests at the medium it has enough to do: the guest is spared the exits of its
 * notifications, and new requests are looked for when one ends, or after a while. */
#define VBLK_BUSY    2u
#define VBLK_POLL_NS 100000u /* the first time, then twice as long, up to */
#define VBLK_POLLS   4u	     /* looks in a row with no request's end between: kicks again */

struct vblk;

struct vblk_slot {
	struct vblk *d;
	struct vblk_slot *next; /* free list */
	u16 head;
	gpa_t status;  /* where the status byte goes */
	u32 written;   /* data bytes that the guest's memory gets */
	unsigned nseg; /* of seg: data that the medium was not asked for or has not served yet */
	struct blk_seg part; /* a piece too long for one request to the medium, cut */
	struct blk_req req;
	u32 req_len;
	struct blk_seg seg[VBLK_MAX_SEGS];
};

struct vblk {
	struct virtio v;
	struct blk *blk;
	char id[VBLK_ID_LEN];
	unsigned in_flight; /* requests that the back end has */
	bool polling;	    /* @poll is armed, kicks are spared */
	unsigned looks;	    /* of it since a request ended, or a kick */
	struct timer poll;
	struct vblk_slot *free;
	struct vblk_slot slot[VBLK_SLOTS];
	u64 requests, errors; /* statistics */
};

/* Plug in at @slot of @b. @id is what GET_ID tells. 0 or pci_bus_add()'s error. */
int vblk_init(struct vblk *d, const struct dev_host *host, struct pci_bus *b, unsigned slot,
	      struct blk *blk, const char *id);
/* Machine reset: requests in flight are cancelled; the medium's size is read again. */
void vblk_reset(struct vblk *d);
/* The guest loses its CPU, perhaps to whoever serves the medium: what it put into the queue without
 * a kick is taken now, and the next look is put off. */
void vblk_guest_leaves(struct vblk *d);

#endif
