/* A guest's network port that the control partition's daemon serves: a network back end (dev/net.h)
 * over the channel's rings.
 *
 * What the guest sends goes into the ring from the guest's CPU; no room there holds the NIC back.
 * What arrives waits in a queue of the port's own, so that a guest that does not take its frames
 * holds nobody up; what finds the queue full is lost, as on any wire. Frames in the rings when the
 * daemon dies are lost too.
 *
 * Locking: as blk_chan.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CHAN_NET_CHAN_H
#define HV_CHAN_NET_CHAN_H

#include "chan/channel.h"
#include "dev/net.h"

#define NET_CHAN_QUEUE 64u /* frames that wait for the guest, a power of two */
#define NET_CHAN_BATCH 32u /* given to the NIC in one go */

struct net_hub;

struct net_frame {
	u32 len;
	u8 data[NET_FRAME_MAX];
};

struct net_chan {
	struct net net;
	struct net_hub *hub;
	const struct dev_host *host;
	/* From any CPU, also under the channel's lock: have net_chan_service() called soon. */
	void (*wake)(void *ctx);
	/* On the guest's CPU: the link came up or went, as the daemon says why. Optional. */
	void (*link_said)(void *ctx, bool up, const char *why);
	void *ctx;
	u8 index;
	struct chan_net_port port;

	/* Under the lock */
	bool up_sent;	 /* the daemon knows of this port */
	bool wants_room; /* send() had none */
	bool has_room;	 /* tx_ready() is due */
	bool link_told, link_now;
	char why[64];
	u32 head, tail; /* of queue[] */

	/* Guest's CPU */
	bool blocked; /* rx() said no: nothing before rx_ready() */
	u64 sent, sent_bytes, received, received_bytes, lost, bad;

	struct net_frame queue[NET_CHAN_QUEUE];
};

struct net_hub {
	struct chan_user user;
	struct channel *ch;
	struct net_chan *port[CHAN_NET_PORTS];
	u32 downs;	    /* bit per port whose DOWN is to be sent */
	struct chan_net in; /* the entry that is being looked at */
};

void net_hub_init(struct net_hub *h, struct channel *ch);
/* A MAC address for the NIC of guest @name: locally administered, the same at every boot. */
void net_chan_mac(const char *name, u8 mac[NET_MAC_LEN]);
/* Plug port @n in, memory of the caller's. -ENOSPC: CHAN_NET_PORTS are in use. */
int net_chan_up(struct net_hub *h, struct net_chan *n, const char *guest, const char *backend,
		const struct dev_host *host);
/* Pull it out; its memory is the caller's again. */
void net_chan_down(struct net_chan *n);
/* On the guest's CPU, after wake(): frames to the NIC, room, link. */
void net_chan_service(struct net_chan *n);

#endif
