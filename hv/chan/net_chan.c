/* Network ports over the channel. See net_chan.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chan/net_chan.h"
#include "lib/crc32.h"
#include "lib/errno.h"
#include "lib/str.h"

#define IN_BATCH   64u /* entries looked at in one go under the lock */
#define IN_BATCHES 16u /* and before the CPU does something else */
#define HEADER	   offsetof(struct chan_net, data)

/* --- the daemon's side: under the lock --- */

static bool say_up(struct net_hub *h, struct net_chan *n)
{
	struct chan_net *e = ring_reserve(&h->ch->ring[CHAN_NET_OUT]);

	if (!e)
		return false;
	memset(e, 0, HEADER);
	e->kind = CHAN_NET_UP;
	e->port = n->index;
	e->len = sizeof(n->port);
	memcpy(e->data, &n->port, sizeof(n->port));
	ring_publish(&h->ch->ring[CHAN_NET_OUT]);
	n->up_sent = true;
	return true;
}

static bool say_down(struct net_hub *h, unsigned port)
{
	struct chan_net *e = ring_reserve(&h->ch->ring[CHAN_NET_OUT]);

	if (!e)
		return false;
	memset(e, 0, HEADER);
	e->kind = CHAN_NET_DOWN;
	e->port = (u8)port;
	ring_publish(&h->ch->ring[CHAN_NET_OUT]);
	h->downs &= ~(u32)BIT(port);
	return true;
}

/* A port goes down before it can come up again for somebody else. */
static void advance(struct net_hub *h)
{
	bool room = true;

	if (!h->ch->attached)
		return;
	for (unsigned i = 0; i < CHAN_NET_PORTS && room; i++) {
		struct net_chan *n = h->port[i];

		if (h->downs & BIT(i))
			room = say_down(h, i);
		if (room && n && !n->up_sent)
			room = say_up(h, n);
	}
	if (!room)
		ring_ask_room(&h->ch->ring[CHAN_NET_OUT], true);
	channel_put_done(h->ch, CHAN_NET_OUT);
}

static void frame_in(struct net_chan *n, const struct chan_net *e)
{
	struct net_frame *f = &n->queue[n->head % NET_CHAN_QUEUE];

	if (e->len < NET_FRAME_MIN || e->len > NET_FRAME_MAX) {
		n->bad++;
		return;
	}
	if (n->head - n->tail == NET_CHAN_QUEUE) {
		n->lost++;
		return;
	}
	f->len = e->len;
	memcpy(f->data, e->data, e->len);
	n->head++;
}

static void link_in(struct net_chan *n, const struct chan_net *e)
{
	unsigned len = MIN(e->len, (u16)sizeof(n->why)), i;

	n->link_now = len && e->data[0];
	n->link_told = true;
	for (i = 1; i < len && e->data[i]; i++)
		n->why[i - 1] = e->data[i] < ' ' || e->data[i] > '~' ? '?' : (char)e->data[i];
	n->why[i ? i - 1 : 0] = '\0';
}

/* @e is a copy. Returns the port to wake. */
static struct net_chan *take(struct net_hub *h, const struct chan_net *e)
{
	struct net_chan *n = e->port < CHAN_NET_PORTS ? h->port[e->port] : NULL;

	if (e->port >= CHAN_NET_PORTS || e->len > CHAN_NET_DATA ||
	    (e->kind != CHAN_NET_FRAME && e->kind != CHAN_NET_LINK)) {
		channel_violation(h->ch);
		return NULL;
	}
	/* What is for a port that has just gone was sent in good faith. */
	if (!n)
		return NULL;
	if (e->kind == CHAN_NET_FRAME)
		frame_in(n, e);
	else
		link_in(n, e);
	return n;
}

static bool take_batch(struct net_hub *h)
{
	struct ring_end *ring = &h->ch->ring[CHAN_NET_IN];
	u32 wake = 0;
	unsigned n = 0;

	spin_lock(&h->ch->lock);
	while (n < IN_BATCH && ring_get(ring, &h->in)) {
		struct net_chan *port = take(h, &h->in);

		if (port)
			wake |= (u32)BIT(port->index);
		n++;
	}
	if (n)
		channel_get_done(h->ch, CHAN_NET_IN);
	for (unsigned i = 0; i < CHAN_NET_PORTS; i++)
		if (wake & BIT(i))
			h->port[i]->wake(h->port[i]->ctx);
	spin_unlock(&h->ch->lock);
	return n == IN_BATCH;
}

static void room(struct net_hub *h)
{
	struct ring_end *ring = &h->ch->ring[CHAN_NET_OUT];

	spin_lock(&h->ch->lock);
	ring_ask_room(ring, false);
	advance(h);
	for (unsigned i = 0; i < CHAN_NET_PORTS && ring_room(ring); i++) {
		struct net_chan *n = h->port[i];

		if (!n || !n->wants_room)
			continue;
		n->wants_room = false;
		n->has_room = true;
		n->wake(n->ctx);
	}
	spin_unlock(&h->ch->lock);
}

static void hub_bell(struct chan_user *u, u32 rings)
{
	struct net_hub *h = container_of(u, struct net_hub, user);

	if (rings & BIT(CHAN_NET_IN))
		for (unsigned i = 0; i < IN_BATCHES && take_batch(h); i++)
			;
	if (rings & BIT(CHAN_NET_OUT))
		room(h);
}

static void hub_attached(struct chan_user *u)
{
	struct net_hub *h = container_of(u, struct net_hub, user);

	spin_lock(&h->ch->lock);
	advance(h);
	spin_unlock(&h->ch->lock);
}

/* The link stays as it was: a daemon that comes back soon is no reason for the guest to ask for a
 * new address. Who waits for room goes on, into the void. */
static void hub_detached(struct chan_user *u)
{
	struct net_hub *h = container_of(u, struct net_hub, user);

	spin_lock(&h->ch->lock);
	h->downs = 0;
	for (unsigned i = 0; i < CHAN_NET_PORTS; i++) {
		struct net_chan *n = h->port[i];

		if (!n)
			continue;
		n->up_sent = false;
		n->has_room |= n->wants_room;
		n->wants_room = false;
		n->wake(n->ctx);
	}
	spin_unlock(&h->ch->lock);
}

void net_hub_init(struct net_hub *h, struct channel *ch)
{
	memset(h, 0, sizeof(*h));
	h->ch = ch;
	h->user = (struct chan_user){
		.attached = hub_attached,
		.detached = hub_detached,
		.bell = hub_bell,
	};
	channel_add_user(ch, &h->user);
}

/* --- the guest's side --- */

/* Straight into the ring's entry. */
static int put_frame(struct net_chan *n, const struct blk_seg *seg, unsigned nseg, u32 len)
{
	struct ring_end *ring = &n->hub->ch->ring[CHAN_NET_OUT];
	struct chan_net *e = ring_reserve(ring);

	if (!e && ring->dead)
		return 0; /* lost */
	if (!e) {
		n->wants_room = !ring_ask_room(ring, true);
		return n->wants_room ? -EAGAIN : put_frame(n, seg, nseg, len);
	}
	if (net_gather(n->host, seg, nseg, e->data) != 0)
		return -EFAULT;
	e->kind = CHAN_NET_FRAME;
	e->port = n->index;
	e->len = (u16)len;
	e->reserved = 0;
	ring_publish(ring);
	return 0;
}

static int chan_send(struct net *net, const struct blk_seg *seg, unsigned nseg, u32 len)
{
	struct net_chan *n = container_of(net, struct net_chan, net);
	u32 sum = 0;
	int err = 0;

	for (unsigned i = 0; i < nseg; i++)
		sum = sum > NET_FRAME_MAX ? sum : sum + MIN(seg[i].len, NET_FRAME_MAX + 1);
	if (sum != len || len < NET_FRAME_MIN || len > NET_FRAME_MAX) {
		n->bad++;
		return 0;
	}
	spin_lock(&n->hub->ch->lock);
	if (n->hub->ch->attached && n->up_sent)
		err = put_frame(n, seg, nseg, len);
	spin_unlock(&n->hub->ch->lock);
	n->sent += !err;
	n->sent_bytes += err ? 0 : len;
	return err;
}

static void chan_send_end(struct net *net)
{
	struct channel *ch = container_of(net, struct net_chan, net)->hub->ch;

	spin_lock(&ch->lock);
	channel_put_done(ch, CHAN_NET_OUT);
	spin_unlock(&ch->lock);
}

static void chan_rx_ready(struct net *net)
{
	struct net_chan *n = container_of(net, struct net_chan, net);

	n->blocked = false;
	n->wake(n->ctx);
}

static void chan_reset(struct net *net)
{
	struct net_chan *n = container_of(net, struct net_chan, net);

	spin_lock(&n->hub->ch->lock);
	n->wants_room = n->has_room = false;
	n->tail = n->head; /* frames from before the reset */
	spin_unlock(&n->hub->ch->lock);
	n->blocked = false;
}

static const struct net_ops chan_ops = {
	.send = chan_send,
	.send_end = chan_send_end,
	.rx_ready = chan_rx_ready,
	.reset = chan_reset,
};

/* The frame at the queue's tail stays there until it is done with: the producer leaves it alone. */
static void give_frames(struct net_chan *n)
{
	struct channel *ch = n->hub->ch;
	unsigned given = 0;
	bool more;

	while (given < NET_CHAN_BATCH && !n->blocked && n->net.nic) {
		const struct net_frame *f = &n->queue[n->tail % NET_CHAN_QUEUE];

		if (__atomic_load_n(&n->head, __ATOMIC_ACQUIRE) == n->tail)
			break;
		if (!n->net.nic->rx(n->net.nic_ctx, f->data, f->len)) {
			n->blocked = true;
			break;
		}
		n->received++;
		n->received_bytes += f->len;
		given++;
		spin_lock(&ch->lock);
		n->tail += n->tail != n->head;
		spin_unlock(&ch->lock);
	}
	if (given)
		n->net.nic->rx_end(n->net.nic_ctx);
	more = !n->blocked && n->net.nic && __atomic_load_n(&n->head, __ATOMIC_ACQUIRE) != n->tail;
	if (more)
		n->wake(n->ctx);
}

static void tell_link(struct net_chan *n)
{
	struct channel *ch = n->hub->ch;
	char why[sizeof(n->why)];
	bool told, up;

	spin_lock(&ch->lock);
	told = n->link_told;
	up = n->link_now;
	memcpy(why, n->why, sizeof(why));
	n->link_told = false;
	spin_unlock(&ch->lock);
	if (!told)
		return;
	if (up != n->net.link_up) {
		n->net.link_up = up;
		if (n->net.nic)
			n->net.nic->link(n->net.nic_ctx);
	}
	if (n->link_said)
		n->link_said(n->ctx, up, why);
}

void net_chan_service(struct net_chan *n)
{
	struct channel *ch = n->hub->ch;
	bool ready;

	tell_link(n);
	spin_lock(&ch->lock);
	ready = n->has_room;
	n->has_room = false;
	spin_unlock(&ch->lock);
	if (ready && n->net.nic)
		n->net.nic->tx_ready(n->net.nic_ctx);
	give_frames(n);
}

/* --- life --- */

void net_chan_mac(const char *name, u8 mac[NET_MAC_LEN])
{
	u32 hash = crc32(0, name, strlen(name));

	mac[0] = 0x52; /* locally administered, unicast */
	mac[1] = 0x50;
	for (unsigned i = 0; i < 4; i++)
		mac[2 + i] = (u8)(hash >> i * 8);
}

int net_chan_up(struct net_hub *h, struct net_chan *n, const char *guest, const char *backend,
		const struct dev_host *host)
{
	int err = -ENOSPC;

	n->net.ops = &chan_ops;
	n->hub = h;
	n->host = host;
	str_copy(n->port.guest, guest, sizeof(n->port.guest));
	str_copy(n->port.backend, backend, sizeof(n->port.backend));
	net_chan_mac(guest, n->net.mac);
	memcpy(n->port.mac, n->net.mac, sizeof(n->port.mac));
	spin_lock(&h->ch->lock);
	for (unsigned i = 0; i < CHAN_NET_PORTS && err; i++) {
		if (h->port[i])
			continue;
		n->index = (u8)i;
		h->port[i] = n;
		err = 0;
	}
	advance(h);
	spin_unlock(&h->ch->lock);
	return err;
}

void net_chan_down(struct net_chan *n)
{
	struct net_hub *h = n->hub;

	spin_lock(&h->ch->lock);
	h->port[n->index] = NULL;
	if (n->up_sent)
		h->downs |= (u32)BIT(n->index);
	advance(h);
	spin_unlock(&h->ch->lock);
}
