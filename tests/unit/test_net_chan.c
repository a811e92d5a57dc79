/* Network ports and the console over the channel: would catch frames cut, mixed up between ports or
 * given while the NIC has no room, a full ring that loses what it said it would hold back, a port
 * that a new daemon does not hear of, console bytes lost without being counted or out of order,
 * half a record, typed bytes dropped while a guest is slow, a daemon believed.
 *
 * SRCS: hv/chan/channel.c hv/chan/net_chan.c hv/chan/con_chan.c hv/dev/pci.c hv/dev/bus.c
 * SRCS: hv/lib/timerq.c hv/lib/str.c hv/lib/crc32.c
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>

#include "unit.h"

#include "chan/con_chan.h"
#include "chan/net_chan.h"
#include "fake_daemon.h"
#include "fake_host.h"

struct nic {
	struct net_chan port;
	unsigned wakes, frames, ends, readies, links;
	unsigned room; /* frames it takes */
	u8 last[NET_FRAME_MAX];
	u32 last_len;
	char why[64];
};

struct rig {
	struct fake_daemon d;
	struct fake_host f;
	struct net_hub hub;
	struct con_chan con;
	struct nic nic[2];
	u8 ram[8192];
	char typed[1024];
	unsigned ntyped, takes;
};

static bool nic_rx(void *ctx, const void *frame, u32 len)
{
	struct nic *n = ctx;

	if (!n->room)
		return false;
	n->room--;
	n->frames++;
	memcpy(n->last, frame, len);
	n->last_len = len;
	return true;
}

static void nic_rx_end(void *ctx)
{
	((struct nic *)ctx)->ends++;
}

static void nic_tx_ready(void *ctx)
{
	((struct nic *)ctx)->readies++;
}

static void nic_link(void *ctx)
{
	((struct nic *)ctx)->links++;
}

static const struct net_nic_ops nic_ops = {
	.rx = nic_rx, .rx_end = nic_rx_end, .tx_ready = nic_tx_ready, .link = nic_link};

static void nic_wake(void *ctx)
{
	((struct nic *)ctx)->wakes++;
}

static void said(void *ctx, bool up, const char *why)
{
	(void)up;
	snprintf(((struct nic *)ctx)->why, 64, "%s", why);
}

static bool type(void *ctx, unsigned index, u8 byte)
{
	struct rig *r = ctx;

	(void)index;
	if (!r->takes)
		return false;
	r->takes--;
	r->typed[r->ntyped++] = (char)byte;
	return true;
}

static void begin(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	fake_host_init(&r->f, r->ram, sizeof(r->ram));
	fake_daemon_init(&r->d);
	net_hub_init(&r->hub, &r->d.ch);
	con_chan_init(&r->con, &r->d.ch, type, r);
	fake_plug(&r->d);
	for (unsigned i = 0; i < 2; i++) {
		struct nic *n = &r->nic[i];

		n->port.wake = nic_wake;
		n->port.link_said = said;
		n->port.ctx = n;
		n->room = 1000;
		CHECK_EQ(net_chan_up(&r->hub, &n->port, i ? "beta" : "alpha", "switch", &r->f.host),
			 0);
		net_attach(&n->port.net, &nic_ops, n);
	}
}

static bool out(struct rig *r, struct chan_net *e)
{
	bool got = ring_get(&r->d.ring[CHAN_NET_OUT], e);

	if (got && ring_room_wanted(&r->d.ring[CHAN_NET_OUT]))
		fake_bell(&r->d, CHAN_NET_OUT);
	return got;
}

static void attach(struct rig *r)
{
	struct chan_net e;

	CHECK_EQ(fake_attach(&r->d), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct chan_net_port p;

		CHECK(out(r, &e));
		CHECK_EQ(e.kind, CHAN_NET_UP);
		CHECK_EQ(e.port, i);
		memcpy(&p, e.data, sizeof(p));
		CHECK_STR(p.guest, i ? "beta" : "alpha");
		CHECK_STR(p.backend, "switch");
		CHECK_EQ(p.mac[0] & 3, 2);
	}
	CHECK(!out(r, &e));
}

static void in(struct rig *r, u8 kind, u8 port, const void *data, u16 len)
{
	struct chan_net e = {.kind = kind, .port = port, .len = len};

	if (len <= sizeof(e.data))
		memcpy(e.data, data, len);
	CHECK(ring_put(&r->d.ring[CHAN_NET_IN], &e));
	fake_bell(&r->d, CHAN_NET_IN);
}

static int send(struct rig *r, unsigned i, u32 len)
{
	struct blk_seg seg[2] = {{.gpa = 100, .len = 14}, {.gpa = 1000, .len = len - 14}};
	int err = net_send(&r->nic[i].port.net, seg, 2, len);

	net_send_end(&r->nic[i].port.net);
	return err;
}

TEST(macs_differ_and_stay)
{
	u8 a[6], b[6], c[6];

	net_chan_mac("alpha", a);
	net_chan_mac("alpha", b);
	net_chan_mac("beta", c);
	CHECK(!memcmp(a, b, 6));
	CHECK(memcmp(a, c, 6));
	CHECK_EQ(a[0] & 3, 2);
}

TEST(frames_go_out_whole_and_from_their_port)
{
	static struct rig r;
	struct chan_net e;

	begin(&r);
	CHECK_EQ(send(&r, 0, 60), 0); /* nobody there: lost */
	attach(&r);
	for (unsigned i = 0; i < sizeof(r.ram); i++)
		r.ram[i] = (u8)(i * 7);
	CHECK_EQ(send(&r, 1, 1514), 0);
	CHECK(fake_get(&r.d, CHAN_REG_ISR) & BIT(CHAN_NET_OUT));
	CHECK(out(&r, &e));
	CHECK(e.kind == CHAN_NET_FRAME && e.port == 1 && e.len == 1514);
	CHECK(!memcmp(e.data, r.ram + 100, 14));
	CHECK(!memcmp(e.data + 14, r.ram + 1000, 1500));
	CHECK_EQ(send(&r, 0, NET_FRAME_MAX + 1), 0); /* swallowed */
	CHECK(!out(&r, &e));
	fake_daemon_end(&r.d);
}

TEST(a_full_ring_holds_the_nic_back_once_and_calls_it_again)
{
	static struct rig r;
	struct chan_net e;
	unsigned n = 0;

	begin(&r);
	attach(&r);
	while (send(&r, 0, 60) == 0)
		n++;
	CHECK_EQ(n, FAKE_ENTRIES);
	CHECK_EQ(r.nic[0].readies, 0);
	CHECK(out(&r, &e));
	net_chan_service(&r.nic[0].port);
	CHECK_EQ(r.nic[0].readies, 1);
	net_chan_service(&r.nic[0].port);
	CHECK_EQ(r.nic[0].readies, 1);
	CHECK_EQ(send(&r, 0, 60), 0);
	CHECK_EQ(send(&r, 0, 60), -EAGAIN);
	pci_cfg_write(&r.d.ch.pci, PCI_COMMAND, 2, PCI_COMMAND_MEM); /* the daemon dies */
	net_chan_service(&r.nic[0].port);
	CHECK_EQ(r.nic[0].readies, 2);
	CHECK_EQ(send(&r, 0, 60), 0);
	pci_cfg_write(&r.d.ch.pci, PCI_COMMAND, 2, PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
	attach(&r); /* and its successor hears of both ports */
	fake_daemon_end(&r.d);
}

TEST(frames_come_in_when_the_nic_has_room)
{
	static struct rig r;
	u8 frame[1518];

	begin(&r);
	attach(&r);
	memset(frame, 0x5a, sizeof(frame));
	r.nic[0].room = 2;
	for (unsigned i = 0; i < 5; i++) {
		frame[20] = (u8)i;
		in(&r, CHAN_NET_FRAME, 0, frame, 100);
	}
	in(&r, CHAN_NET_FRAME, 1, frame, 1518);
	net_chan_service(&r.nic[0].port);
	net_chan_service(&r.nic[1].port);
	CHECK_EQ(r.nic[0].frames, 2);
	CHECK_EQ(r.nic[0].ends, 1);
	CHECK_EQ(r.nic[1].frames, 1);
	CHECK_EQ(r.nic[1].last_len, 1518);
	r.nic[0].room = 10;
	net_chan_service(&r.nic[0].port);
	CHECK_EQ(r.nic[0].frames, 2); /* not before it says so */
	r.nic[0].wakes = 0;
	r.nic[0].port.net.ops->rx_ready(&r.nic[0].port.net);
	CHECK_EQ(r.nic[0].wakes, 1);
	net_chan_service(&r.nic[0].port);
	CHECK_EQ(r.nic[0].frames, 5);
	CHECK_EQ(r.nic[0].last[20], 4);
	fake_daemon_end(&r.d);
}

TEST(a_guest_that_takes_nothing_loses_its_own_frames_only)
{
	static struct rig r;
	u8 frame[64] = {0};

	begin(&r);
	attach(&r);
	r.nic[0].room = 0;
	for (unsigned i = 0; i < NET_CHAN_QUEUE + 7; i++)
		in(&r, CHAN_NET_FRAME, 0, frame, 64);
	in(&r, CHAN_NET_FRAME, 1, frame, 64);
	net_chan_service(&r.nic[1].port);
	CHECK_EQ(r.nic[1].frames, 1);
	CHECK_EQ(r.nic[0].port.lost, 7);
	r.nic[0].port.net.ops->reset(&r.nic[0].port.net);
	r.nic[0].room = 100;
	net_chan_service(&r.nic[0].port);
	CHECK_EQ(r.nic[0].frames, 0);
	fake_daemon_end(&r.d);
}

TEST(nonsense_from_the_daemon_is_ignored_and_told)
{
	static struct rig r;
	u8 frame[1519] = {0};

	begin(&r);
	attach(&r);
	in(&r, CHAN_NET_FRAME, 0, frame, 13);
	in(&r, CHAN_NET_FRAME, 0, frame, 1519);
	in(&r, CHAN_NET_FRAME, 5, frame, 64);
	CHECK_EQ(r.d.errors, 0);
	CHECK_EQ(r.nic[0].port.bad, 2);
	in(&r, CHAN_NET_FRAME, 200, frame, 64);
	in(&r, CHAN_NET_FRAME, 0, frame, 60000);
	in(&r, 77, 0, frame, 64);
	CHECK_EQ(r.d.ch.violations, 3);
	CHECK_EQ(r.d.errors, 1);
	net_chan_service(&r.nic[0].port);
	CHECK_EQ(r.nic[0].frames, 0);
	fake_daemon_end(&r.d);
}

TEST(the_link_is_what_the_daemon_says)
{
	static struct rig r;
	struct chan_net e;

	begin(&r);
	attach(&r);
	CHECK(!r.nic[0].port.net.link_up);
	in(&r, CHAN_NET_LINK, 0, "\1ok", 3);
	net_chan_service(&r.nic[0].port);
	CHECK(r.nic[0].port.net.link_up);
	CHECK_EQ(r.nic[0].links, 1);
	in(&r, CHAN_NET_LINK, 0, "\0no interface eth7\n", 19);
	net_chan_service(&r.nic[0].port);
	CHECK(!r.nic[0].port.net.link_up);
	CHECK_STR(r.nic[0].why, "no interface eth7?");
	net_chan_down(&r.nic[0].port);
	CHECK(out(&r, &e));
	CHECK(e.kind == CHAN_NET_DOWN && e.port == 0);
	in(&r, CHAN_NET_LINK, 0, "\1ok", 3);
	CHECK_EQ(r.d.errors, 0);
	fake_daemon_end(&r.d);
}

/* --- console --- */

static unsigned read_con(struct rig *r, u8 kind, u8 index, char *text, u64 *lost)
{
	struct chan_con e;
	unsigned n = 0;

	while (ring_get(&r->d.ring[CHAN_CON_OUT], &e)) {
		if (e.kind == CHAN_CON_LOST && e.index == index)
			memcpy(lost, e.data, 8);
		if (e.kind != kind || e.index != index)
			continue;
		memcpy(text + n, e.data, e.len);
		n += e.len;
	}
	text[n] = '\0';
	if (ring_room_wanted(&r->d.ring[CHAN_CON_OUT]))
		fake_bell(&r->d, CHAN_CON_OUT);
	return n;
}

TEST(an_idle_daemon_gets_each_byte_a_busy_one_gets_many)
{
	static struct rig r;
	static char text[8192];
	u64 lost = 0;

	begin(&r);
	CHECK_EQ(fake_attach(&r.d), 0);
	con_chan_write(&r.con, CHAN_CON_SERIAL, 1, "a", 1);
	CHECK_EQ(read_con(&r, CHAN_CON_SERIAL, 1, text, &lost), 1);
	for (unsigned i = 0; i < 1000; i++)
		con_chan_write(&r.con, CHAN_CON_SERIAL, 2, &"0123456789"[i % 10], 1);
	CHECK(ring_count(&r.d.ring[CHAN_CON_OUT]) <= 5);
	CHECK_EQ(read_con(&r, CHAN_CON_SERIAL, 2, text, &lost) +
			 read_con(&r, CHAN_CON_SERIAL, 2, text + 500, &lost),
		 1000);
	CHECK_EQ(lost, 0);
	fake_daemon_end(&r.d);
}

TEST(what_does_not_fit_is_counted_and_told_in_its_place)
{
	static struct rig r;
	static char line[10000], text[16384];
	u64 lost = 0;
	unsigned n;

	begin(&r);
	con_chan_write(&r.con, CHAN_CON_HV, 0, "early", 5);
	CHECK_EQ(fake_attach(&r.d), 0);
	read_con(&r, CHAN_CON_HV, 0, text, &lost);
	CHECK_EQ(lost, 5);
	memset(line, 'x', sizeof(line));
	lost = 0;
	con_chan_write(&r.con, CHAN_CON_SERIAL, 1, line, sizeof(line));
	n = read_con(&r, CHAN_CON_SERIAL, 1, text, &lost);
	n += read_con(&r, CHAN_CON_SERIAL, 1, text, &lost);
	CHECK_EQ(n + lost, sizeof(line));
	CHECK(lost > 0);
	con_chan_write(&r.con, CHAN_CON_SERIAL, 1, "after", 5);
	CHECK_EQ(read_con(&r, CHAN_CON_SERIAL, 1, text, &lost), 5);
	fake_daemon_end(&r.d);
}

TEST(a_record_comes_whole_or_not_at_all)
{
	static struct rig r;
	static char line[4096], text[8192];
	u64 lost = 0;

	begin(&r);
	CHECK_EQ(fake_attach(&r.d), 0);
	memset(line, 'r', sizeof(line));
	con_chan_record(&r.con, line, 1000);
	CHECK_EQ(read_con(&r, CHAN_CON_RECORD, 0, text, &lost), 1000);
	con_chan_record(&r.con, line, sizeof(line)); /* 17 entries, the ring has 16 */
	CHECK_EQ(read_con(&r, CHAN_CON_RECORD, 0, text, &lost), 0);
	con_chan_record(&r.con, "{}", 2);
	CHECK_EQ(read_con(&r, CHAN_CON_RECORD, 0, text, &lost), 2);
	CHECK_EQ(lost, sizeof(line));
	fake_daemon_end(&r.d);
}

TEST(typed_bytes_wait_for_a_slow_guest_but_not_for_ever)
{
	static struct rig r;
	struct chan_con e = {.kind = CHAN_CON_SERIAL, .index = 1, .len = 4, .data = "abcd"};

	begin(&r);
	CHECK_EQ(fake_attach(&r.d), 0);
	r.takes = 2;
	ring_put(&r.d.ring[CHAN_CON_IN], &e);
	fake_bell(&r.d, CHAN_CON_IN);
	CHECK_EQ(r.ntyped, 2);
	CHECK(con_chan_waits(&r.con));
	r.takes = 100;
	channel_poll(&r.d.ch);
	CHECK(!memcmp(r.typed, "abcd", 4));
	CHECK(!con_chan_waits(&r.con));
	r.takes = 0;
	ring_put(&r.d.ring[CHAN_CON_IN], &e);
	for (unsigned i = 0; i < CON_CHAN_TRIES; i++)
		channel_poll(&r.d.ch);
	CHECK_EQ(r.con.typed_lost, 4);
	e.len = 255;
	ring_put(&r.d.ring[CHAN_CON_IN], &e);
	e.kind = CHAN_CON_HV;
	ring_put(&r.d.ring[CHAN_CON_IN], &e);
	fake_bell(&r.d, CHAN_CON_IN);
	CHECK_EQ(r.d.ch.violations, 2);
	CHECK_EQ(r.ntyped, 4);
	fake_daemon_end(&r.d);
}
