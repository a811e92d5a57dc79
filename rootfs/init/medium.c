/* Finds, by label, the medium that the machine was booted from and the data partition, and mounts
 * them when they appear, however late. Each block device is looked at by a child of its own: a disk
 * that does not answer holds up nobody.
 *
 * SPDX-License-Identifier: MIT
 */
#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOKS_MAX 64 /* children at once; more devices wait their turn */
#define NAMES_MAX 256
#define NAME_SIZE 32

/* What a child found on its device. */
enum look { LOOK_NOTHING, LOOK_MEDIUM, LOOK_DATA };

struct device {
	char name[NAME_SIZE];
	pid_t child; /* looking at it; 0: not now */
	enum look found;
	bool again; /* it changed meanwhile */
};

static struct device devices[NAMES_MAX];
static size_t device_count;
static unsigned looking;
static char label[40] = MEDIUM_LABEL;
static bool wanted = true, told;
static long long limit;
static int wait_ms = MEDIUM_WAIT_MS;

void medium_init(void)
{
	char value[16];

	cmdline_value("penumbra.medium", label, sizeof(label));
	wanted = strcmp(label, "none") != 0;
	if (cmdline_value("penumbra.wait", value, sizeof(value)))
		wait_ms = atoi(value) * 1000;
	limit = now_ms() + wait_ms;
}

static struct device *device_of(const char *name, bool make)
{
	for (size_t i = 0; i < device_count; i++)
		if (!strcmp(devices[i].name, name))
			return &devices[i];
	if (!make || device_count == NAMES_MAX || strlen(name) >= NAME_SIZE)
		return NULL;
	strcpy(devices[device_count].name, name);
	return &devices[device_count++];
}

/* --- in the child ----------------------------------------------------------------------------- */

/* A whole disk that has partitions cannot be mounted beside one of them: the kernel gives a device
 * to one file system. A loop device over it can. */
static bool has_partitions(const char *name)
{
	char path[64];
	DIR *dir;
	struct dirent *e;
	bool found = false;

	snprintf(path, sizeof(path), "/sys/block/%s", name);
	dir = opendir(path);
	while (dir && (e = readdir(dir)))
		found = found || !strncmp(e->d_name, name, strlen(name));
	if (dir)
		closedir(dir);
	return found;
}

/* Path of a read-only loop device over @fd in @path; its descriptor (to be kept until the mount),
 * or -1. */
static int loop_over(int fd, char *path, size_t size)
{
	struct loop_config config = {
		.fd = (__u32)fd,
		.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR,
	};
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int loop = -1, number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);

	if (number >= 0) {
		snprintf(path, size, "/dev/loop%d", number);
		loop = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &config)) {
		close(loop);
		loop = -1;
	}
	if (control >= 0)
		close(control);
	return loop;
}

static bool is_mounted(const char *dir)
{
	struct stat here, above;

	return !stat(dir, &here) && !stat("/", &above) && here.st_dev != above.st_dev;
}

static enum look mount_medium(const char *name, int fd, const struct volume *v)
{
	char path[64];
	int loop = -1, error;

	snprintf(path, sizeof(path), "/dev/%s", name);
	if (has_partitions(name) && (loop = loop_over(fd, path, sizeof(path))) < 0) {
		say("init: no loop device for the boot medium on %s: %m", name);
		return LOOK_NOTHING;
	}
	error = mount(path, MEDIUM_DIR, v->type, MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) ? errno
											 : 0;
	if (loop >= 0)
		close(loop);
	if (error) {
		say("init: boot medium on %s: cannot mount its %s: %s", name, v->type,
		    strerror(error));
		return LOOK_NOTHING;
	}
	say("init: boot medium %s on %s", v->label, name);
	return LOOK_MEDIUM;
}

static enum look mount_data(const char *name, const struct volume *v)
{
	const unsigned long flags = MS_NOATIME | MS_NOSUID | MS_NODEV;
	bool read_only = false;
	char path[64];

	snprintf(path, sizeof(path), "/dev/%s", name);
	if (mount(path, DATA_DIR, v->type, flags, NULL)) {
		read_only = errno == EROFS || errno == EACCES;
		if (!read_only || mount(path, DATA_DIR, v->type, flags | MS_RDONLY, NULL)) {
			say("init: data partition on %s: cannot mount its %s: %m", name, v->type);
			return LOOK_NOTHING;
		}
	}
	say("init: data partition %s on %s%s", v->label, name,
	    read_only ? ", write-protected: nothing is saved" : "");
	return LOOK_DATA;
}

/* One child at a time mounts, so that of two equal media one is taken. */
static bool reserve(const char *dir, const char *name, const struct volume *v)
{
	int lock = open("/run/medium.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (lock >= 0)
		flock(lock, LOCK_EX); /* until this child ends */
	if (!is_mounted(dir))
		return true;
	note("init: %s on %s is not used: there is one on %s already", v->label, name, dir);
	return false;
}

static enum look look_at(const char *name)
{
	struct volume v;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		/* A drive without a disk in it is no news. */
		if (errno != ENOMEDIUM)
			note("init: cannot read %s: %m", path);
		return LOOK_NOTHING;
	}
	if (!volume_read(fd, &v))
		return LOOK_NOTHING;
	if (wanted && volume_label_is(&v, label))
		return reserve(MEDIUM_DIR, name, &v) ? mount_medium(name, fd, &v) : LOOK_NOTHING;
	if (volume_label_is(&v, DATA_LABEL))
		return reserve(DATA_DIR, name, &v) ? mount_data(name, &v) : LOOK_NOTHING;
	return LOOK_NOTHING;
}

/* --- in init ---------------------------------------------------------------------------------- */

static void start_look(struct device *d)
{
	if (d->child || looking >= LOOKS_MAX) {
		d->again = true;
		return;
	}
	d->again = false;
	d->child = fork();
	if (d->child == 0)
		_exit(look_at(d->name));
	if (d->child < 0) {
		d->child = 0;
		say("init: cannot look at %s: %m", d->name);
		return;
	}
	looking++;
}

void medium_block_added(const char *name)
{
	struct device *d;

	/* What others make of files and memory is no medium. */
	if (!strncmp(name, "loop", 4) || !strncmp(name, "ram", 3))
		return;
	d = device_of(name, true);
	if (!d)
		note("init: too many block devices: %s is not looked at", name);
	else if (d->found == LOOK_NOTHING)
		start_look(d);
}

void medium_block_removed(const char *name)
{
	struct device *d = device_of(name, false);

	if (!d)
		return;
	if (d->found == LOOK_MEDIUM) {
		say("init: the boot medium (%s) was removed: guests on its files lose their disks",
		    name);
		umount2(MEDIUM_DIR, MNT_DETACH);
	} else if (d->found == LOOK_DATA) {
		say("init: the data partition (%s) was removed: nothing is saved", name);
		umount2(DATA_DIR, MNT_DETACH);
	}
	d->found = LOOK_NOTHING;
}

void medium_rescan(void)
{
	DIR *dir = opendir("/sys/class/block");
	struct dirent *e;

	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			medium_block_added(e->d_name);
	if (dir)
		closedir(dir);
}

bool medium_reap(pid_t pid, int status)
{
	for (size_t i = 0; i < device_count; i++) {
		if (devices[i].child != pid)
			continue;
		devices[i].child = 0;
		looking--;
		if (WIFEXITED(status))
			devices[i].found = (enum look)WEXITSTATUS(status);
		for (size_t k = 0; k < device_count; k++)
			if (devices[k].again && devices[k].found == LOOK_NOTHING)
				start_look(&devices[k]);
		return true;
	}
	return false;
}

bool medium_busy(void)
{
	return looking != 0;
}

static bool found(enum look what)
{
	for (size_t i = 0; i < device_count; i++)
		if (devices[i].found == what)
			return true;
	return false;
}

static void tell_missing(void)
{
	char seen[256] = "";

	for (size_t i = 0; i < device_count; i++) {
		if (strlen(seen) + NAME_SIZE + 2 > sizeof(seen))
			break;
		strcat(strcat(seen, *seen ? ", " : ""), devices[i].name);
	}
	say("init: no boot medium: no volume is labelled %s within %d s (block devices: %s); it is "
	    "mounted when it appears",
	    label, wait_ms / 1000, *seen ? seen : "none");
}

bool medium_settled(void)
{
	if (!wanted || found(LOOK_MEDIUM) || told)
		return true;
	if (now_ms() < limit)
		return false;
	told = true;
	tell_missing();
	return true;
}

int medium_timeout(void)
{
	long long left = limit - now_ms();

	if (!wanted || told || found(LOOK_MEDIUM))
		return MS_FOREVER;
	return left > 0 ? (int)left : 0;
}

static void unmount(const char *dir)
{
	if (!is_mounted(dir) || !umount(dir))
		return;
	say("init: %s is in use: %m; what is written so far is kept", dir);
	mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL);
}

void medium_unmount(void)
{
	unmount(DATA_DIR);
	unmount(MEDIUM_DIR);
}
