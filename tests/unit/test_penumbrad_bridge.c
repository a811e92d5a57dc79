/* penumbrad's bridge:IF with the kernel's own bridge, in a network namespace: frames that do not
 * get through in either direction, a link state that does not follow the interface's, a bridge made
 * twice or with another address than the interface's, a restart that leaves a dead tap behind.
 *
 * The interface is a tap of the test's: what is written to it comes from the wire. Skipped where
 * the system allows no network namespace or no tap.
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
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_channel.h"
#include "rootfs/penumbrad/bridge.h"
#include "unit.h"

static const u8 WIRE[6] = {2, 0, 0, 0, 0, 1}, GUEST[6] = {2, 0, 0, 0, 0, 2};

static char why_not[96];

/* In a namespace of our own, with an interface called nic0: its other end, or -1 and @why_not. */
static int make_wire(void)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	static bool entered;
	int fd;

	if (!entered && unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		snprintf(why_not, sizeof(why_not), "no network namespace: %s", strerror(errno));
		return -1;
	}
	entered = true;
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	strcpy(r.ifr_name, "nic0");
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r)) {
		snprintf(why_not, sizeof(why_not), "no tap: %s", strerror(errno));
		return -1;
	}
	return fd;
}

static void ask_port(struct fake_channel *f)
{
	struct chan_net e = {.kind = CHAN_NET_UP, .port = 2, .len = sizeof(struct chan_net_port)};
	struct chan_net_port *p = (void *)e.data;

	strcpy(p->guest, "alpha");
	strcpy(p->backend, "bridge:nic0");
	CHECK(fake_put(f, CHAN_NET_OUT, &e));
}

/* The next message about the link is that it is @up. Carrier may take a moment. */
static bool link_becomes(struct fake_channel *f, bool up)
{
	struct chan_net e = {0};

	for (int i = 0; i < 8 && fake_get(f, CHAN_NET_IN, &e); i++) {
		if (e.kind == CHAN_NET_LINK && e.data[0] == up)
			return true;
	}
	return false;
}

/* A frame of ours with @mark at the wire; the kernel's own multicasts pass by. */
static bool at_wire(int wire, u8 mark)
{
	u8 frame[2048];
	struct pollfd p = {.fd = wire, .events = POLLIN};

	for (int i = 0; i < 100 && poll(&p, 1, 3000) > 0; i++) {
		ssize_t n = read(wire, frame, sizeof(frame));

		if (n >= 60 && !memcmp(frame + 6, GUEST, 6) && frame[14] == mark)
			return true;
	}
	return false;
}

static bool at_guest(struct fake_channel *f, u8 mark)
{
	struct chan_net e = {0};

	for (int i = 0; i < 100 && fake_get(f, CHAN_NET_IN, &e); i++) {
		if (e.kind == CHAN_NET_FRAME && e.port == 2 && !memcmp(e.data + 6, WIRE, 6) &&
		    e.data[14] == mark)
			return true;
	}
	return false;
}

static void from_guest(struct fake_channel *f, u8 mark)
{
	struct chan_net e = {.kind = CHAN_NET_FRAME, .port = 2, .len = 60};

	memcpy(e.data, WIRE, 6);
	memcpy(e.data + 6, GUEST, 6);
	e.data[12] = 0x88;
	e.data[13] = 0xb5; /* an EtherType for experiments */
	e.data[14] = mark;
	CHECK(fake_put(f, CHAN_NET_OUT, &e));
}

static void from_wire(int wire, u8 mark)
{
	u8 frame[60] = {0};

	memcpy(frame, GUEST, 6);
	memcpy(frame + 6, WIRE, 6);
	frame[12] = 0x88;
	frame[13] = 0xb5;
	frame[14] = mark;
	CHECK(write(wire, frame, sizeof(frame)) == sizeof(frame));
}

static void address(const char *name, u8 *mac)
{
	struct ifreq r;
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);

	memset(&r, 0, sizeof(r));
	strcpy(r.ifr_name, name);
	CHECK(!ioctl(s, SIOCGIFHWADDR, &r));
	memcpy(mac, r.ifr_hwaddr.sa_data, 6);
	close(s);
}

TEST(frames_pass_the_bridge_both_ways_and_a_restart)
{
	struct fake_channel f;
	u8 nic[6], bridge[6];
	int wire = make_wire();

	if (wire < 0)
		SKIP(why_not);
	fake_init(&f, NULL);
	CHECK(fake_start(&f));
	ask_port(&f);
	CHECK(link_becomes(&f, true));
	from_guest(&f, 1);
	CHECK(at_wire(wire, 1));
	from_wire(wire, 2);
	CHECK(at_guest(&f, 2));
	address("nic0", nic);
	address("br-nic0", bridge);
	CHECK(!memcmp(nic, bridge, 6));
	/* Bridge and interface stay, the tap is made anew. */
	fake_kill(&f);
	CHECK(if_nametoindex("br-nic0"));
	CHECK(fake_start(&f));
	ask_port(&f);
	CHECK(link_becomes(&f, true));
	from_guest(&f, 3);
	CHECK(at_wire(wire, 3));
	/* The interface goes and comes. */
	close(wire);
	CHECK(link_becomes(&f, false));
	wire = make_wire();
	CHECK(link_becomes(&f, true));
	from_guest(&f, 4);
	CHECK(at_wire(wire, 4));
	CHECK_EQ(fake_stop(&f), DAEMON_STOPPED);
	fake_fini(&f);
	close(wire);
}

TEST(names_of_bridges_fit_the_kernels_limit)
{
	char name[IFNAMSIZ];

	bridge_name(name, "eth0");
	CHECK_STR(name, "br-eth0");
	bridge_name(name, "enx001122334455");
	CHECK_STR(name, "br-001122334455");
}
