/* Network back end: where a NIC sends its frames and who brings it those that arrive (the control
 * partition's rings; a loopback in tests).
 *
 * A frame is Ethernet II from destination address to the end of the payload, without FCS; 14 to
 * NET_FRAME_MAX bytes. Whoever sends pads to 60 bytes if its medium wants that; receivers take
 * shorter ones.
 *
 * Locking: as dev.h says. Every function on both sides is called on the CPU that runs the machine,
 * with the vCPU stopped; the back end calls the NIC from a timer or from the CPU's loop, never from
 * inside one of its own operations.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_NET_H
#define HV_DEV_NET_H

#include "dev/blk.h"
#include "lib/errno.h"

#define NET_MAC_LEN   6u
#define NET_FRAME_MIN 14u
#define NET_FRAME_MAX 1518u /* 1500 bytes, header, one VLAN tag */
#define NET_MAX_SEGS  32u   /* pieces of one frame to be sent */

/* The NIC. All members are set. */
struct net_nic_ops {
	/* A frame arrived: @frame is hypervisor memory, read before this returns and not trusted
	 * for contents. True: it is done with (stored, or dropped by a filter, a reset or a bad
	 * length). False: the guest has no buffer. The back end keeps or drops it, and brings no
	 * other one before rx_ready(). */
	bool (*rx)(void *ctx, const void *frame, u32 len);
	/* A batch of rx() has ended: what the guest must be told of, it is told now. */
	void (*rx_end)(void *ctx);
	/* There is room again after send() had none. */
	void (*tx_ready)(void *ctx);
	/* net->link_up changed. */
	void (*link)(void *ctx);
};

struct net;
struct net_ops {
	/* Send one frame: @nseg pieces (at most NET_MAX_SEGS) of hypervisor or guest memory, @len
	 * bytes in all, NET_FRAME_MIN to NET_FRAME_MAX. All is read before this returns. 0: sent,
	 * or lost on a medium that loses frames. -EAGAIN: no room; nothing was sent, and tx_ready()
	 * follows once. -EFAULT: a piece is not in RAM; nothing was sent. */
	int (*send)(struct net *n, const struct blk_seg *seg, unsigned nseg, u32 len);
	/* A batch of send() has ended: whoever serves the medium may be told. Optional. */
	void (*send_end)(struct net *n);
	/* The guest has buffers again after rx() said false. Frames may come from the next timer or
	 * loop on, not from inside. */
	void (*rx_ready)(struct net *n);
	/* The NIC was reset: nothing is owed any more, neither tx_ready() nor rx_ready(), and
	 * frames may come at once. */
	void (*reset)(struct net *n);
};

struct net {
	const struct net_ops *ops;
	u8 mac[NET_MAC_LEN]; /* the guest's, unicast; constant once a NIC is attached */
	bool link_up;
	/* Set by net_attach(). A back end without a NIC drops what arrives. */
	const struct net_nic_ops *nic;
	void *nic_ctx;
};

/* One NIC for one back end, before the machine runs. */
static inline void net_attach(struct net *n, const struct net_nic_ops *nic, void *ctx)
{
	n->nic = nic;
	n->nic_ctx = ctx;
}

static inline int net_send(struct net *n, const struct blk_seg *seg, unsigned nseg, u32 len)
{
	return n->ops->send(n, seg, nseg, len);
}
static inline void net_send_end(struct net *n)
{
	if (n->ops->send_end)
		n->ops->send_end(n);
}

/* For back ends: copy a frame's pieces to @buf (room for their sum). 0 or -EFAULT. */
static inline int net_gather(const struct dev_host *h, const struct blk_seg *seg, unsigned nseg,
			     void *buf)
{
	u8 *to = buf;

	for (unsigned i = 0; i < nseg; i++) {
		if (seg[i].buf)
			__builtin_memcpy(to, seg[i].buf, seg[i].len);
		else if (h->ops->mem_read(h->ctx, seg[i].gpa, to, seg[i].len))
			return -EFAULT;
		to += seg[i].len;
	}
	return 0;
}

#endif
