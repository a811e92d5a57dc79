/* A network back end for tests: keeps what is sent, has as much room as it is told.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_FAKE_NET_H
#define TESTS_UNIT_FAKE_NET_H

#include <stdlib.h>
#include <string.h>

#include "dev/net.h"

struct fake_net {
	struct net net;
	const struct dev_host *host;
	unsigned room; /* frames that it takes */
	unsigned sent, ends, ready, resets;
	u8 last[NET_FRAME_MAX];
	u32 last_len;
};

static inline int fake_net_send(struct net *n, const struct blk_seg *seg, unsigned nseg, u32 len)
{
	struct fake_net *f = container_of(n, struct fake_net, net);
	u32 sum = 0;

	for (unsigned i = 0; i < nseg; i++)
		sum += seg[i].len;
	if (sum != len || len > NET_FRAME_MAX || len < NET_FRAME_MIN || nseg > NET_MAX_SEGS)
		abort(); /* the border's promise */
	if (!f->room)
		return -EAGAIN;
	if (net_gather(f->host, seg, nseg, f->last))
		return -EFAULT;
	f->room--;
	f->sent++;
	f->last_len = len;
	return 0;
}
static inline void fake_net_send_end(struct net *n)
{
	container_of(n, struct fake_net, net)->ends++;
}
static inline void fake_net_rx_ready(struct net *n)
{
	container_of(n, struct fake_net, net)->ready++;
}
static inline void fake_net_reset(struct net *n)
{
	container_of(n, struct fake_net, net)->resets++;
}

static const struct net_ops fake_net_ops = {
	.send = fake_net_send,
	.send_end = fake_net_send_end,
	.rx_ready = fake_net_rx_ready,
	.reset = fake_net_reset,
};

static inline void fake_net_init(struct fake_net *f, const struct dev_host *host)
{
	*f = (struct fake_net){
		.net = {.ops = &fake_net_ops,
			.mac = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56},
			.link_up = true},
		.host = host,
		.room = UINT32_MAX,
	};
}

/* A frame of @len bytes arrives for @mac; what the NIC said. */
static inline bool fake_net_deliver(struct fake_net *f, const u8 *mac, u32 len, u8 fill)
{
	u8 frame[NET_FRAME_MAX + 64];
	bool taken;

	memset(frame, fill, sizeof(frame));
	memcpy(frame, mac, NET_MAC_LEN);
	taken = f->net.nic->rx(f->net.nic_ctx, frame, len);
	f->net.nic->rx_end(f->net.nic_ctx);
	return taken;
}

#endif
