/* The kernel's device events: a netlink socket of datagrams "ACTION@PATH\0KEY=VALUE\0...".
 *
 * SPDX-License-Identifier: MIT
 */
#include "init.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

struct uevent {
	const char *action, *subsystem, *modalias, *devname;
};

/* Coldplugging a large machine gives thousands of events at once. */
#define SOCKET_BUFFER (1 << 20)

int uevent_open(void)
{
	struct sockaddr_nl where = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int size = SOCKET_BUFFER;
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&where, sizeof(where))) {
		say("init: no device events from the kernel: %m");
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return fd;
}

static const char *value_of(const char *line, const char *key, const char *old)
{
	size_t n = strlen(key);

	return strncmp(line, key, n) ? old : line + n;
}

static struct uevent parse(const char *text, const char *end)
{
	struct uevent e = {"", "", NULL, NULL};

	for (; text < end; text += strlen(text) + 1) {
		e.action = value_of(text, "ACTION=", e.action);
		e.subsystem = value_of(text, "SUBSYSTEM=", e.subsystem);
		e.modalias = value_of(text, "MODALIAS=", e.modalias);
		e.devname = value_of(text, "DEVNAME=", e.devname);
	}
	return e;
}

static void handle(const struct uevent *e)
{
	bool gone = !strcmp(e->action, "remove");

	if (e->modalias && !gone)
		drivers_want(e->modalias);
	if (strcmp(e->subsystem, "block") || !e->devname)
		return;
	if (gone)
		medium_block_removed(e->devname);
	else if (!strcmp(e->action, "add") || !strcmp(e->action, "change"))
		medium_block_added(e->devname);
}

void uevent_receive(int fd)
{
	char text[8192];
	ssize_t n;

	while ((n = recv(fd, text, sizeof(text) - 1, 0)) > 0) {
		struct uevent e;

		text[n] = '\0';
		e = parse(text, text + n);
		handle(&e);
	}
	if (n < 0 && errno == ENOBUFS) {
		note("init: device events were lost; looking at everything again");
		drivers_coldplug();
		medium_rescan();
	}
}
