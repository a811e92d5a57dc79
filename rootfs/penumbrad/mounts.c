/* Reading /proc/self/mountinfo; see proc_pid_mountinfo(5). What a loop device shows counts as the
 * device that it takes it from: so the boot stick is mounted.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mounts.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define LOOP_MAJOR 7

static bool read_line(const char *path, char *line, int size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(line, size, f);

	if (f)
		fclose(f);
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

/* The disk that partition @dev lies on; @dev itself when it is a disk. */
static dev_t whole_disk(dev_t dev)
{
	unsigned major, minor;
	char path[96], line[32];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(dev), minor(dev));
	if (!read_line(path, line, sizeof(line)))
		return dev;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", major(dev), minor(dev));
	if (!read_line(path, line, sizeof(line)) || sscanf(line, "%u:%u", &major, &minor) != 2)
		return dev;
	return makedev(major, minor);
}

/* The device behind loop device @dev; @dev itself when it is none, or shows a file. */
static dev_t behind_loop(dev_t dev)
{
	char path[96], file[256];
	struct stat st;

	if (major(dev) != LOOP_MAJOR)
		return dev;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/loop/backing_file", major(dev),
		 minor(dev));
	if (!read_line(path, file, sizeof(file)) || stat(file, &st) || !S_ISBLK(st.st_mode))
		return dev;
	return st.st_rdev;
}

struct mount_line {
	dev_t dev;
	char where[256];
	char source[256];
	bool writable;
};

/* 36 35 98:0 /root /where options [optional fields] - fstype source superoptions */
static bool parse(const char *line, struct mount_line *m)
{
	const char *rest = strstr(line, " - ");
	char super[64] = "";
	unsigned major, minor;

	if (!rest || sscanf(line, "%*u %*u %u:%u %*s %255s", &major, &minor, m->where) != 3)
		return false;
	if (sscanf(rest + 3, "%*s %255s %63s", m->source, super) < 1)
		return false;
	m->dev = behind_loop(makedev(major, minor));
	m->writable = strncmp(super, "ro", 2) != 0;
	return true;
}

bool mounts_use_device(dev_t dev, char *where, size_t size, bool *writable)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	struct mount_line m;
	char line[1024];
	bool found = false;

	*writable = false;
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (!parse(line, &m))
			continue;
		if (m.dev != dev && m.dev != whole_disk(dev) && whole_disk(m.dev) != dev)
			continue;
		if (!found || m.writable)
			snprintf(where, size, "%s at %s", m.source, m.where);
		found = true;
		*writable |= m.writable;
	}
	fclose(f);
	return found;
}
