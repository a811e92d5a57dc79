/* A learning Ethernet switch: which ports a frame goes to. Pure; frames are moved by the caller.
 *
 * Follows IEEE 802.1D clause 7 without spanning tree: its ports are guests, so there are no loops
 * but those that a guest makes of its own two ports.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_SWITCH_H
#define PENUMBRAD_SWITCH_H

#include "penumbra/types.h"

#define SWITCH_PORTS   16
#define SWITCH_ENTRIES 256 /* power of two */
#define SWITCH_WAYS    4   /* an address may stand in so many places */
#define SWITCH_AGE_NS  (300 * NSEC_PER_SEC)

struct switch_entry {
	u8 mac[6];
	u8 port;
	bool used;
	u64 seen_ns;
};

struct eth_switch {
	u32 members; /* bit per port */
	struct switch_entry table[SWITCH_ENTRIES];
	u64 flooded, forwarded;
};

void switch_join(struct eth_switch *s, unsigned port);
/* Forgets what was learned of @port too. */
void switch_leave(struct eth_switch *s, unsigned port);
/* Learn from a frame of @len bytes that came in at member @port, and say where it goes: bit per
 * port, never @port itself; 0: nowhere. */
u32 switch_frame(struct eth_switch *s, unsigned port, const u8 *frame, size_t len, u64 now_ns);

#endif
