/* Bridges and taps by ioctl (netdevice(7), linux/if_tun.h); changes of interfaces by rtnetlink(7).
 *
 * The interface's addresses stay where they are and are of no use while it is in the bridge:
 * whoever wants the control partition on that network runs udhcpc on the bridge.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/modprobe.h"

void bridge_name(char *bridge, const char *nic)
{
	size_t len = strlen(nic), room = IFNAMSIZ - 1 - 3;

	snprintf(bridge, IFNAMSIZ, "br-%s", len > room ? nic + len - room : nic);
}

static int control_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static struct ifreq request(const char *name)
{
	struct ifreq r;

	memset(&r, 0, sizeof(r));
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return r;
}

static int bring_up(int s, const char *name)
{
	struct ifreq r = request(name);

	if (ioctl(s, SIOCGIFFLAGS, &r))
		return -errno;
	if (r.ifr_flags & IFF_UP)
		return 0;
	r.ifr_flags |= IFF_UP;
	return ioctl(s, SIOCSIFFLAGS, &r) ? -errno : 0;
}

static int join(int s, const char *bridge, const char *name)
{
	struct ifreq r = request(bridge);

	r.ifr_ifindex = (int)if_nametoindex(name);
	if (!r.ifr_ifindex)
		return -ENODEV;
	/* EBUSY: it is in a bridge, ours from the last time. */
	return ioctl(s, SIOCBRADDIF, &r) && errno != EBUSY ? -errno : 0;
}

/* Left to itself a bridge has the lowest address of its members, and changes it with each tap. */
static int copy_address(int s, const char *bridge, const char *nic)
{
	struct ifreq r = request(nic), now = request(bridge);

	if (ioctl(s, SIOCGIFHWADDR, &r) || ioctl(s, SIOCGIFHWADDR, &now))
		return -errno;
	/* Setting it anew would be a change that bridge_watch() reports. */
	if (!memcmp(r.ifr_hwaddr.sa_data, now.ifr_hwaddr.sa_data, 6))
		return 0;
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", bridge);
	return ioctl(s, SIOCSIFHWADDR, &r) ? -errno : 0;
}

static int make_steps(int s, const char *bridge, const char *nic, const char **step)
{
	int rc;

	*step = "create the bridge";
	if (ioctl(s, SIOCBRADDBR, bridge) && errno != EEXIST) {
		rc = -errno;
		if (modprobe("bridge") || ioctl(s, SIOCBRADDBR, bridge))
			return rc;
	}
	*step = "give the bridge its address";
	rc = copy_address(s, bridge, nic);
	if (rc)
		return rc;
	*step = "take the interface into the bridge";
	rc = join(s, bridge, nic);
	if (rc)
		return rc;
	*step = "bring it up";
	rc = bring_up(s, nic);
	return rc ? rc : bring_up(s, bridge);
}

int bridge_make(const char *nic, char *why, size_t size)
{
	const char *step = "open a socket";
	char bridge[IFNAMSIZ];
	int s = control_socket(), rc = s;

	bridge_name(bridge, nic);
	if (!if_nametoindex(nic)) {
		snprintf(why, size, "no network interface %s", nic);
		rc = -ENODEV;
	} else if (s >= 0) {
		rc = make_steps(s, bridge, nic, &step);
		if (rc)
			snprintf(why, size, "%s, %s: cannot %s: %s", nic, bridge, step,
				 strerror(-rc));
	}
	if (s >= 0)
		close(s);
	return rc;
}

static int open_tun(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && !modprobe("tun"))
		fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int tap_steps(int tap, const char *bridge, unsigned port)
{
	char name[IFNAMSIZ];
	struct ifreq r;
	int s, rc;

	snprintf(name, sizeof(name), "guest%u", port);
	r = request(name);
	r.ifr_flags = IFF_TAP | IFF_NO_PI;
	if (ioctl(tap, TUNSETIFF, &r))
		return -errno;
	s = control_socket();
	if (s < 0)
		return s;
	rc = join(s, bridge, name);
	if (!rc)
		rc = bring_up(s, name);
	close(s);
	return rc;
}

int bridge_tap(const char *nic, unsigned port, char *why, size_t size)
{
	char bridge[IFNAMSIZ];
	int tap = open_tun(), rc;

	bridge_name(bridge, nic);
	rc = tap < 0 ? tap : tap_steps(tap, bridge, port);
	if (!rc)
		return tap;
	snprintf(why, size, "no tap in %s: %s", bridge, strerror(-rc));
	if (tap >= 0)
		close(tap);
	return rc;
}

bool bridge_link(const char *nic, char *why, size_t size)
{
	struct ifreq r = request(nic);
	int s = control_socket(), rc;

	rc = s < 0 ? s : ioctl(s, SIOCGIFFLAGS, &r) ? -errno : 0;
	if (s >= 0)
		close(s);
	if (rc) {
		snprintf(why, size, "no network interface %s", nic);
		return false;
	}
	if (!(r.ifr_flags & IFF_RUNNING)) {
		snprintf(why, size, "%s has no carrier", nic);
		return false;
	}
	snprintf(why, size, "bridged to %s", nic);
	return true;
}

int bridge_watch(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&a, sizeof(a))) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}
