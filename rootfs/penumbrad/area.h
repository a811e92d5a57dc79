/* The channel as the daemon sees it: where everything lies in the area, our end of each ring, and
 * when to ring the hypervisor.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_AREA_H
#define PENUMBRAD_AREA_H

#include "penumbra/ring.h"
#include "transport.h"

struct area {
	struct transport *transport;
	struct ring_end ring[CHAN_RINGS];
	u8 *pool;
	u32 pool_slots;
	u8 *text; /* CHAN_TEXT_MAX bytes for texts of control requests */
	u32 text_offset;
	u32 bells; /* rings to tell the hypervisor of at the end of this turn */
};

/* Lay the area of @t out, zeroed rings and all, give its pages to the hypervisor and attach. 0 or
 * -errno, said. */
int area_attach(struct area *a, struct transport *t);
void area_detach(struct area *a);

/* The data of pool slot @slot; NULL: there is no such slot. */
void *area_slot(const struct area *a, u32 slot);

/* Put an entry into a ring of ours. False: no room, or the ring is dead. */
bool area_put(struct area *a, enum chan_ring_id id, const void *entry);
/* Note that the hypervisor may wait for what was done with ring @id: entries put or taken. */
void area_touched(struct area *a, enum chan_ring_id id);
/* Ring for everything noted whose other end wants that. */
void area_ring_bells(struct area *a);
/* A ring that the other side has broken, or CHAN_RINGS. */
enum chan_ring_id area_dead_ring(const struct area *a);

/* Rings that the daemon consumes, as bits. */
#define AREA_CONSUMED                                                                              \
	(1u << CHAN_CTL_REPLY | 1u << CHAN_CON_OUT | 1u << CHAN_BLK_REQ | 1u << CHAN_NET_OUT |     \
	 1u << CHAN_TRACE)

#endif
