/* The guests' network ports: frames between the rings, the switch, and taps in bridges.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_NET_H
#define PENUMBRAD_NET_H

#include "../lib/loop.h"
#include "area.h"
#include "switch.h"

struct net;

struct net_port {
	struct net *net;
	bool up; /* the hypervisor has this port */
	bool bridged;
	u8 index;
	char guest[CHAN_NAME_SIZE];
	char nic[16]; /* of bridge:IF */
	bool link, link_told;
	char why[96];		/* of the link's state */
	struct loop_source tap; /* fd -1: none */
	bool tap_asleep;	/* not read: the ring has no room */
	u64 to_guest, from_guest, dropped;
};

struct net {
	struct loop *loop;
	struct area *area;
	struct eth_switch lan;
	struct net_port port[CHAN_NET_PORTS];
	struct loop_source watch; /* interfaces that come and go */
	bool waits;		  /* somebody waits for room in NET_IN */
	u8 *owner;		  /* port + 1 of each entry of NET_IN that may be there still */
	u32 owner_tail;		  /* entries up to here have been taken by the hypervisor */
	u32 in_ring[CHAN_NET_PORTS];
};

/* 0 or -errno. Without netlink (said) links are looked at only when ports change. */
int net_init(struct net *n, struct loop *loop, struct area *area);
/* Take frames and commands from the ring; read on from taps that had to wait. */
void net_service(struct net *n);
void net_close(struct net *n);

#endif
