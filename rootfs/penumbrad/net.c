/* Frames: from the ring to the switch or a tap, from taps to the ring.
 *
 * All ports share one ring to the hypervisor. None may have more than its share of it, so that a
 * guest that takes no frames costs only its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/say.h"
#include "bridge.h"

#define NET_HEADER offsetof(struct chan_net, data)
#define TAP_BATCH  64 /* frames read from one tap before others have their turn */

/* --- the ring to the hypervisor --- */

/* Who owns the entries that are still in the ring: those the hypervisor has taken are nobody's. */
static void forget_taken(struct net *n)
{
	struct ring_end *r = &n->area->ring[CHAN_NET_IN];
	u32 tail = r->own - (r->entries - ring_room(r));

	if (r->dead)
		return;
	while (n->owner_tail != tail) {
		u8 *o = &n->owner[n->owner_tail++ & (r->entries - 1)];

		if (*o)
			n->in_ring[*o - 1]--;
		*o = 0;
	}
}

static bool has_share(struct net *n, const struct net_port *p)
{
	const struct ring_end *r = &n->area->ring[CHAN_NET_IN];

	forget_taken(n);
	return n->in_ring[p->index] < r->entries / 2;
}

/* NULL: no room, or the port has its share. */
static struct chan_net *entry_for(struct net *n, const struct net_port *p)
{
	return has_share(n, p) ? ring_reserve(&n->area->ring[CHAN_NET_IN]) : NULL;
}

static void publish(struct net *n, const struct net_port *p)
{
	struct ring_end *r = &n->area->ring[CHAN_NET_IN];

	n->owner[r->own & (r->entries - 1)] = (u8)(p->index + 1);
	n->in_ring[p->index]++;
	ring_publish(r);
	area_touched(n->area, CHAN_NET_IN);
}

static void frame_to_guest(struct net_port *p, const u8 *frame, u16 len)
{
	struct chan_net *e = entry_for(p->net, p);

	if (!e) {
		p->dropped++;
		return;
	}
	e->kind = CHAN_NET_FRAME;
	e->port = p->index;
	e->len = len;
	e->reserved = 0;
	memcpy(e->data, frame, len);
	publish(p->net, p);
	p->to_guest++;
}

/* --- links --- */

/* Tell the hypervisor; when the ring is full, the next turn does. */
static void send_link(struct net_port *p)
{
	struct chan_net *e = ring_reserve(&p->net->area->ring[CHAN_NET_IN]);

	if (!e)
		return;
	e->kind = CHAN_NET_LINK;
	e->port = p->index;
	e->len = (u16)(1 + strlen(p->why));
	e->reserved = 0;
	e->data[0] = p->link;
	memcpy(e->data + 1, p->why, strlen(p->why));
	publish(p->net, p);
	p->link_told = true;
}

static void set_link(struct net_port *p, bool link, const char *why)
{
	if (p->link == link && !strcmp(p->why, why) && p->link_told)
		return;
	p->link = link;
	text_copy(p->why, sizeof(p->why), why, sizeof(p->why));
	say("%s: link %s: %s", p->guest, link ? "up" : "down", p->why);
	p->link_told = false;
	send_link(p);
	p->net->waits |= !p->link_told;
}

/* --- taps --- */

static void tap_sleep(struct net_port *p, bool asleep)
{
	if (p->tap.fd < 0 || p->tap_asleep == asleep)
		return;
	p->tap_asleep = asleep;
	p->net->waits |= asleep;
	loop_change(p->net->loop, &p->tap, asleep ? 0 : EPOLLIN);
}

static void tap_close(struct net_port *p)
{
	if (p->tap.fd < 0)
		return;
	loop_remove(p->net->loop, &p->tap);
	close(p->tap.fd);
	p->tap.fd = -1;
	p->tap_asleep = false;
}

/* Frames wait in the tap's own queue while the guest has its share of the ring. */
static void tap_ready(void *arg, u32 events)
{
	struct net_port *p = arg;

	(void)events;
	for (unsigned i = 0; i < TAP_BATCH; i++) {
		u8 frame[CHAN_NET_DATA];
		ssize_t n;

		if (!has_share(p->net, p) || !ring_room(&p->net->area->ring[CHAN_NET_IN])) {
			tap_sleep(p, true);
			return;
		}
		n = read(p->tap.fd, frame, sizeof(frame));
		if (n > 0) {
			frame_to_guest(p, frame, (u16)n);
		} else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			say("%s: tap: %s", p->guest, strerror(errno));
			tap_close(p);
			return;
		} else {
			return;
		}
	}
}

static void tap_open(struct net_port *p)
{
	char why[96] = "";
	int fd, rc = bridge_make(p->nic, why, sizeof(why));

	if (rc) {
		set_link(p, false, why);
		return;
	}
	if (p->tap.fd < 0) {
		fd = bridge_tap(p->nic, p->index, why, sizeof(why));
		if (fd < 0) {
			set_link(p, false, why);
			return;
		}
		p->tap = (struct loop_source){.fd = fd, .ready = tap_ready, .arg = p};
		loop_add(p->net->loop, &p->tap, EPOLLIN);
	}
	set_link(p, bridge_link(p->nic, why, sizeof(why)), why);
}

static void tap_write(struct net_port *p, const u8 *frame, u16 len)
{
	/* EAGAIN, EIO while the bridge is down: what a wire does. */
	if (p->tap.fd < 0 || write(p->tap.fd, frame, len) != len)
		p->dropped++;
}

/* --- ports --- */

static void port_down(struct net_port *p)
{
	if (!p->up)
		return;
	tap_close(p);
	if (!p->bridged)
		switch_leave(&p->net->lan, p->index);
	p->up = false;
	p->link_told = false;
}

static bool interface_name_ok(const char *name)
{
	size_t len = strlen(name);

	return len && len < 16 && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
}

static void port_up(struct net_port *p, const struct chan_net_port *want)
{
	char backend[sizeof(want->backend)];

	port_down(p);
	text_clean(p->guest, sizeof(p->guest), want->guest, sizeof(want->guest));
	text_clean(backend, sizeof(backend), want->backend, sizeof(want->backend));
	p->up = true;
	p->bridged = !strncmp(backend, "bridge:", 7);
	p->to_guest = p->from_guest = p->dropped = 0;
	if (p->bridged && interface_name_ok(backend + 7)) {
		text_copy(p->nic, sizeof(p->nic), backend + 7, sizeof(p->nic));
		tap_open(p);
	} else if (!strcmp(backend, "switch")) {
		switch_join(&p->net->lan, p->index);
		set_link(p, true, "switch");
	} else {
		char why[96];

		p->nic[0] = '\0';
		snprintf(why, sizeof(why), "no such back end: %s", backend);
		set_link(p, false, why);
	}
}

static void frame_from_guest(struct net_port *p, const struct chan_net *e)
{
	u32 to;

	p->from_guest++;
	if (p->bridged) {
		tap_write(p, e->data, e->len);
		return;
	}
	to = switch_frame(&p->net->lan, p->index, e->data, e->len, loop_now());
	for (unsigned i = 0; to; i++, to >>= 1) {
		if (to & 1)
			frame_to_guest(&p->net->port[i], e->data, e->len);
	}
}

static void from_hypervisor(struct net *n, const struct chan_net *e)
{
	struct net_port *p = e->port < CHAN_NET_PORTS ? &n->port[e->port] : NULL;
	struct chan_net_port want;

	if (!p || e->len > CHAN_NET_DATA)
		return;
	switch (e->kind) {
	case CHAN_NET_FRAME:
		if (p->up)
			frame_from_guest(p, e);
		break;
	case CHAN_NET_UP:
		if (e->len < sizeof(want))
			return;
		memcpy(&want, e->data, sizeof(want));
		port_up(p, &want);
		break;
	case CHAN_NET_DOWN:
		port_down(p);
		break;
	}
}

/* What waits for room in the ring. */
static bool port_waits(const struct net_port *p)
{
	return p->tap_asleep || (p->up && !p->link_told);
}

static void wake_waiting(struct net *n)
{
	bool waits = false;

	for (unsigned i = 0; i < CHAN_NET_PORTS; i++) {
		struct net_port *p = &n->port[i];

		if (p->up && !p->link_told)
			send_link(p);
		if (p->tap_asleep && has_share(n, p))
			tap_sleep(p, false);
		waits |= port_waits(p);
	}
	n->waits = waits;
}

void net_service(struct net *n)
{
	struct ring_end *ring = &n->area->ring[CHAN_NET_OUT];
	u32 left = ring->entries; /* one round: others have their turn */
	struct chan_net e;

	while (left-- && ring_peek(ring, &e, NET_HEADER)) {
		u16 len = MIN(e.len, (u16)CHAN_NET_DATA);

		ring_peek(ring, &e, (u32)(NET_HEADER + len));
		e.len = len;
		ring_skip(ring);
		area_touched(n->area, CHAN_NET_OUT);
		from_hypervisor(n, &e);
	}
	/* Ask before looking, or room that comes between is never told of. */
	if (n->waits)
		ring_ask_room(&n->area->ring[CHAN_NET_IN], true);
	wake_waiting(n);
	if (!n->waits)
		ring_ask_room(&n->area->ring[CHAN_NET_IN], false);
}

/* What the messages say does not matter: every bridged port is looked at. */
static void interfaces_changed(void *arg, u32 events)
{
	struct net *n = arg;
	char message[4096];

	(void)events;
	while (recv(n->watch.fd, message, sizeof(message), MSG_DONTWAIT) > 0)
		;
	for (unsigned i = 0; i < CHAN_NET_PORTS; i++) {
		struct net_port *p = &n->port[i];

		if (p->up && p->bridged && p->nic[0])
			tap_open(p);
	}
}

int net_init(struct net *n, struct loop *loop, struct area *area)
{
	*n = (struct net){.loop = loop, .area = area};
	n->owner = calloc(area->ring[CHAN_NET_IN].entries, 1);
	if (!n->owner)
		return -ENOMEM;
	for (unsigned i = 0; i < CHAN_NET_PORTS; i++) {
		n->port[i] = (struct net_port){.net = n, .index = (u8)i};
		n->port[i].tap.fd = -1;
	}
	n->watch =
		(struct loop_source){.fd = bridge_watch(), .ready = interfaces_changed, .arg = n};
	if (n->watch.fd < 0) {
		say("cannot watch network interfaces: %s", strerror(-n->watch.fd));
		return 0;
	}
	return loop_add(loop, &n->watch, EPOLLIN);
}

void net_close(struct net *n)
{
	for (unsigned i = 0; i < CHAN_NET_PORTS; i++)
		tap_close(&n->port[i]);
	if (n->watch.fd >= 0) {
		loop_remove(n->loop, &n->watch);
		close(n->watch.fd);
	}
	free(n->owner);
}
