/* What must be there before anything else: kernel file systems, host name, huge pages.
 *
 * SPDX-License-Identifier: MIT
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct mounting {
	const char *type, *where, *options;
	unsigned long flags;
};

static const struct mounting early[] = {
	{"proc", "/proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
	{"sysfs", "/sys", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC},
	{"devtmpfs", "/dev", "mode=0755", MS_NOSUID},
	{"devpts", "/dev/pts", "mode=0620", MS_NOSUID | MS_NOEXEC},
	{"tmpfs", "/run", "mode=0755,size=16m", MS_NOSUID | MS_NODEV},
	{"tmpfs", "/tmp", "mode=1777,size=50%", MS_NOSUID | MS_NODEV},
	{"hugetlbfs", "/dev/hugepages", "pagesize=2M", MS_NOSUID | MS_NODEV},
};

static void mount_all(void)
{
	for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++) {
		const struct mounting *m = &early[i];

		mkdir(m->where, 0755);
		if (mount(m->type, m->where, m->type, m->flags, m->options) && errno != EBUSY)
			say("init: cannot mount %s on %s: %m", m->type, m->where);
	}
}

/* Opening these loads their drivers: the kernel asks modprobe for char-major-10-N. */
static void make_nodes(void)
{
	mkdir("/dev/net", 0755);
	mknod("/dev/net/tun", S_IFCHR | 0600, makedev(10, 200));
	mknod("/dev/loop-control", S_IFCHR | 0600, makedev(10, 237));
	symlink("/proc/self/fd", "/dev/fd");
}

bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static int read_number(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
	return atoi(text);
}

/* Early: later memory is in pieces. */
void mounts_reserve_huge_pages(void)
{
	const char *path = "/proc/sys/vm/nr_hugepages";
	char text[16];
	int got = read_number(path);

	if (got == 0) {
		snprintf(text, sizeof(text), "%d", HUGE_PAGES);
		write_file(path, text);
		got = read_number(path);
	}
	if (got < HUGE_PAGES)
		say("init: only %d of %d huge pages reserved: fewer guest requests in flight", got,
		    HUGE_PAGES);
}

const char *console_tty(void)
{
	static char name[64] = "/dev/ttyS0";
	char active[128] = "", *last;
	int fd = open("/sys/class/tty/console/active", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, active, sizeof(active) - 1) <= 0)
		active[0] = '\0';
	if (fd >= 0)
		close(fd);
	active[strcspn(active, "\n")] = '\0';
	last = strrchr(active, ' ');
	last = last ? last + 1 : active;
	if (*last)
		snprintf(name, sizeof(name), "/dev/%s", last);
	return name;
}

void mounts_early(void)
{
	umask(022);
	mount_all();
	make_nodes();
	sethostname("penumbra", strlen("penumbra"));
	/* Only what stops the kernel goes to the console; the rest is in dmesg. */
	write_file("/proc/sys/kernel/printk", "1");
}
