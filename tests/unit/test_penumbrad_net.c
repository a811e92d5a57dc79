/* penumbrad's network: frames to the wrong port or back to their own, addresses believed too long
 * or from groups, a guest that takes no frames starving the others, a missing interface not said.
 *
 * SRCS: tests/unit/fake_channel.c
 * SRCS: rootfs/lib/loop.c rootfs/lib/say.c rootfs/lib/modprobe.c rootfs/penumbrad/daemon.c
 * SRCS: rootfs/penumbrad/aio.c rootfs/penumbrad/aio_threads.c rootfs/penumbrad/aio_uring.c
 * SRCS: rootfs/penumbrad/area.c rootfs/penumbrad/blk.c rootfs/penumbrad/medium.c
 * SRCS: rootfs/penumbrad/mounts.c rootfs/penumbrad/net.c rootfs/penumbrad/switch.c
 * SRCS: rootfs/penumbrad/bridge.c rootfs/penumbrad/calls.c rootfs/penumbrad/console.c
 * SRCS: rootfs/penumbrad/logfile.c rootfs/penumbrad/server.c rootfs/penumbrad/uio.c
 * SRCS: rootfs/penumbrad/hugepages.c
 *
 * SPDX-License-Identifier: MIT
 */
#include <unistd.h>

#include "fake_channel.h"
#include "unit.h"

/* --- the switch alone --- */

static const u8 A[6] = {2, 0, 0, 0, 0, 0xa}, B[6] = {2, 0, 0, 0, 0, 0xb},
		C[6] = {2, 0, 0, 0, 0, 0xc};
static const u8 ALL[6] = {255, 255, 255, 255, 255, 255};

static u32 frame(struct eth_switch *s, unsigned port, const u8 *to, const u8 *from, u64 now)
{
	u8 f[60] = {0};

	memcpy(f, to, 6);
	memcpy(f + 6, from, 6);
	return switch_frame(s, port, f, sizeof(f), now);
}

static struct eth_switch *three_ports(void)
{
	static struct eth_switch s;

	memset(&s, 0, sizeof(s));
	for (unsigned i = 0; i < 3; i++)
		switch_join(&s, i);
	return &s;
}

TEST(unknown_addresses_go_to_all_others_and_known_ones_to_one)
{
	struct eth_switch *s = three_ports();

	CHECK_EQ(frame(s, 0, B, A, 1), 6);
	CHECK_EQ(frame(s, 1, A, B, 2), 1);
	CHECK_EQ(frame(s, 0, B, A, 3), 2);
	CHECK_EQ(frame(s, 2, ALL, C, 4), 3);
	/* To an address on its own port: nowhere. */
	CHECK_EQ(frame(s, 0, A, C, 5), 0);
}

TEST(an_address_that_moves_is_followed_and_an_old_one_forgotten)
{
	struct eth_switch *s = three_ports();

	frame(s, 0, ALL, A, 1);
	frame(s, 2, ALL, A, 2);
	CHECK_EQ(frame(s, 1, A, B, 3), 4);
	CHECK_EQ(frame(s, 1, A, B, 2 + SWITCH_AGE_NS), 5);
	switch_leave(s, 2);
	CHECK_EQ(frame(s, 1, A, B, 4 + SWITCH_AGE_NS), 1);
}

TEST(group_addresses_are_not_learned_and_short_frames_dropped)
{
	struct eth_switch *s = three_ports();
	u8 tiny[13] = {0};

	frame(s, 0, ALL, ALL, 1);
	CHECK_EQ(frame(s, 1, ALL, B, 2), 5);
	CHECK_EQ(switch_frame(s, 0, tiny, sizeof(tiny), 3), 0);
	CHECK_EQ(frame(s, 9, ALL, A, 4), 0);
}

TEST(a_flood_of_addresses_leaves_the_switch_working)
{
	struct eth_switch *s = three_ports();
	u8 mac[6] = {2};

	for (u32 i = 0; i < 10000; i++) {
		memcpy(mac + 2, &i, 4);
		frame(s, 0, ALL, mac, i);
	}
	frame(s, 1, ALL, B, 10001);
	CHECK_EQ(frame(s, 0, B, A, 10002), 2);
}

/* --- through the daemon --- */

static void port(struct fake_channel *f, u8 number, const char *guest, const char *backend)
{
	struct chan_net e = {
		.kind = CHAN_NET_UP, .port = number, .len = sizeof(struct chan_net_port)};
	struct chan_net_port *p = (void *)e.data;

	snprintf(p->guest, sizeof(p->guest), "%s", guest);
	snprintf(p->backend, sizeof(p->backend), "%s", backend);
	CHECK(fake_put(f, CHAN_NET_OUT, &e));
}

static void send_frame(struct fake_channel *f, u8 from, const u8 *dst, const u8 *src, u16 len,
		       u8 mark)
{
	struct chan_net e = {.kind = CHAN_NET_FRAME, .port = from, .len = len};

	memcpy(e.data, dst, 6);
	memcpy(e.data + 6, src, 6);
	memset(e.data + 14, mark, (size_t)len - 14);
	CHECK(fake_put(f, CHAN_NET_OUT, &e));
}

static void two_guests(struct fake_channel *f)
{
	struct chan_net e;

	fake_init(f, NULL);
	CHECK(fake_start(f));
	port(f, 1, "alpha", "switch");
	port(f, 2, "beta", "switch");
	for (int i = 0; i < 2; i++) {
		CHECK(fake_get(f, CHAN_NET_IN, &e));
		CHECK_EQ(e.kind, CHAN_NET_LINK);
		CHECK_EQ(e.port, 1 + i);
		CHECK_EQ(e.data[0], 1);
	}
}

static void finish(struct fake_channel *f)
{
	CHECK_EQ(fake_stop(f), DAEMON_STOPPED);
	fake_fini(f);
}

TEST(frames_go_from_guest_to_guest_whole)
{
	struct fake_channel f;
	struct chan_net e;

	two_guests(&f);
	send_frame(&f, 1, ALL, A, 60, 1);
	CHECK(fake_get(&f, CHAN_NET_IN, &e));
	CHECK_EQ(e.port, 2);
	CHECK_EQ(e.len, 60);
	send_frame(&f, 2, A, B, CHAN_NET_DATA, 7);
	CHECK(fake_get(&f, CHAN_NET_IN, &e));
	CHECK_EQ(e.kind, CHAN_NET_FRAME);
	CHECK_EQ(e.port, 1);
	CHECK_EQ(e.len, CHAN_NET_DATA);
	CHECK_EQ(e.data[14], 7);
	CHECK_EQ(e.data[CHAN_NET_DATA - 1], 7);
	CHECK(fake_quiet(&f, CHAN_NET_IN, 20));
	finish(&f);
}

TEST(one_port_gets_half_of_the_ring_at_most)
{
	struct fake_channel f;
	struct chan_net e;
	unsigned beta = 0, alpha = 0;

	two_guests(&f);
	send_frame(&f, 2, ALL, B, 60, 0); /* taken, so that both are known */
	CHECK(fake_get(&f, CHAN_NET_IN, &e));
	send_frame(&f, 1, ALL, A, 60, 0);
	CHECK(fake_get(&f, CHAN_NET_IN, &e));
	for (int i = 0; i < 500; i++) {
		send_frame(&f, 1, B, A, 60, 1);
		while (ring_room(&f.ring[CHAN_NET_OUT]) < 16)
			usleep(1000);
	}
	send_frame(&f, 2, A, B, 60, 2);
	for (u64 end = loop_now() + 5 * NSEC_PER_SEC; loop_now() < end;) {
		if (ring_count(&f.ring[CHAN_NET_IN]) > 128)
			break;
		usleep(1000);
	}
	while (fake_get(&f, CHAN_NET_IN, &e) && e.port == 2)
		beta++;
	alpha = e.port == 1 && e.data[14] == 2;
	CHECK_EQ(beta, 128);
	CHECK_EQ(alpha, 1);
	/* The share is free again. */
	send_frame(&f, 1, B, A, 60, 3);
	CHECK(fake_get(&f, CHAN_NET_IN, &e));
	CHECK_EQ(e.data[14], 3);
	finish(&f);
}

TEST(a_missing_interface_and_an_unknown_back_end_are_said)
{
	struct fake_channel f;
	struct chan_net e = {0};

	fake_init(&f, NULL);
	CHECK(fake_start(&f));
	port(&f, 3, "alpha", "bridge:nosuchif0");
	CHECK(fake_get(&f, CHAN_NET_IN, &e));
	CHECK_EQ(e.kind, CHAN_NET_LINK);
	CHECK_EQ(e.port, 3);
	CHECK_EQ(e.data[0], 0);
	CHECK_EQ(e.len, 1 + strlen("no network interface nosuchif0"));
	CHECK(!memcmp(e.data + 1, "no network interface nosuchif0", e.len - 1u));
	port(&f, 4, "beta", "tunnel");
	CHECK(fake_get(&f, CHAN_NET_IN, &e));
	CHECK_EQ(e.data[0], 0);
	CHECK(fake_said(&f, "no such back end: tunnel"));
	finish(&f);
}

TEST(nonsense_in_the_ring_harms_nothing)
{
	struct fake_channel f;
	struct chan_net e = {.kind = CHAN_NET_FRAME, .port = 200, .len = 60};

	two_guests(&f);
	CHECK(fake_put(&f, CHAN_NET_OUT, &e));
	e = (struct chan_net){.kind = CHAN_NET_FRAME, .port = 1, .len = 65535};
	memcpy(e.data, C, 6);
	CHECK(fake_put(&f, CHAN_NET_OUT, &e));
	e = (struct chan_net){.kind = CHAN_NET_UP, .port = 1, .len = 3};
	CHECK(fake_put(&f, CHAN_NET_OUT, &e));
	e = (struct chan_net){.kind = 99, .port = 1};
	CHECK(fake_put(&f, CHAN_NET_OUT, &e));
	e = (struct chan_net){.kind = CHAN_NET_DOWN, .port = 15};
	CHECK(fake_put(&f, CHAN_NET_OUT, &e));
	/* The overlong one is cut to what an entry holds, and is a broadcast of zeros' port. */
	while (fake_get(&f, CHAN_NET_IN, &e) && e.port != 2)
		;
	CHECK_EQ(e.len, CHAN_NET_DATA);
	send_frame(&f, 2, ALL, B, 60, 4);
	CHECK(fake_get(&f, CHAN_NET_IN, &e));
	CHECK_EQ(e.data[14], 4);
	finish(&f);
}
