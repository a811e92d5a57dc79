/* Drivers: every device names, by its modalias, what it wants; modprobe finds the module. Disks
 * come first, because the boot medium is waited for.
 *
 * SPDX-License-Identifier: MIT
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALIAS_MAX  2048 /* different ones in one life; a large server has some hundreds */
#define NFTW_FILES 32

/* The hypervisor's channel: uio_pci_generic knows no device of its own. */
#define CHANNEL_ALIAS "pci:v00005042d00000001"
#define CHANNEL_ID    "5042 0001"

/* All aliases ever seen; those from @handed on are still to be given to modprobe. A driver that is
 * loaded finds later devices itself, so none is asked for twice. */
static char *aliases[ALIAS_MAX];
static size_t alias_count, handed;
static bool channel, channel_waits;
static pid_t running;
static long long since; /* when it was started, by now_ms() */
static bool hangs;	/* nobody waits for modprobe any more */

static int rank(const char *alias)
{
	static const struct {
		const char *start, *part;
	} order[] = {
		{"pci:", "bc01"},     /* storage */
		{"pci:", "bc0Csc03"}, /* USB hosts */
		{"virtio:", ""},      {"usb:", ""},	{"scsi:", ""},
		{"hid:", ""},	      {"pci:", "bc02"}, /* network */
	};
	const size_t n = sizeof(order) / sizeof(order[0]);

	for (size_t i = 0; i < n; i++)
		if (!strncmp(alias, order[i].start, strlen(order[i].start)) &&
		    strstr(alias, order[i].part))
			return (int)i;
	return (int)n;
}

static int by_rank(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;

	return rank(x) != rank(y) ? rank(x) - rank(y) : strcmp(x, y);
}

static bool seen_before(const char *alias)
{
	for (size_t i = 0; i < alias_count; i++)
		if (!strcmp(aliases[i], alias))
			return true;
	return false;
}

void drivers_want(const char *modalias)
{
	if (!strncmp(modalias, CHANNEL_ALIAS, strlen(CHANNEL_ALIAS))) {
		modalias = "uio_pci_generic";
		channel = channel_waits = true;
	}
	if (!*modalias || seen_before(modalias))
		return;
	if (alias_count == ALIAS_MAX || !(aliases[alias_count] = strdup(modalias)))
		note("init: too many kinds of devices: no driver for %s", modalias);
	else
		alias_count++;
}

static int visit(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	char alias[512] = "";
	int fd;

	(void)st;
	if (kind != FTW_F || strcmp(path + where->base, "modalias"))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, alias, sizeof(alias) - 1) > 0) {
		alias[strcspn(alias, "\n")] = '\0';
		drivers_want(alias);
	}
	close(fd);
	return 0;
}

void drivers_coldplug(void)
{
	nftw("/sys/devices", visit, NFTW_FILES, FTW_PHYS);
}

static void exec_modprobe(void)
{
	static char *argv[ALIAS_MAX + 3] = {"/sbin/modprobe", "-abq"};

	memcpy(argv + 2, aliases + handed, (alias_count - handed) * sizeof(aliases[0]));
	execv(argv[0], argv);
	_exit(127);
}

/* Hands everything wanted to one modprobe, unless one is at work. */
void drivers_run(void)
{
	if (running || handed == alias_count)
		return;
	qsort(aliases + handed, alias_count - handed, sizeof(aliases[0]), by_rank);
	since = now_ms();
	running = fork();
	if (running == 0)
		exec_modprobe();
	if (running < 0) {
		running = 0;
		say("init: cannot load drivers: %m");
	}
	handed = alias_count;
}

int drivers_timeout(void)
{
	long long left = since + DRIVERS_MS - now_ms();

	return left > 0 ? (int)left : 0;
}

bool drivers_awaited(void)
{
	if (hangs || (!running && handed == alias_count))
		return false;
	if (!running || drivers_timeout())
		return true;
	hangs = true;
	say("init: modprobe still runs after %d s: a driver hangs, others may be missing",
	    DRIVERS_MS / 1000);
	return false;
}

bool drivers_channel(void)
{
	return channel;
}

bool drivers_reap(pid_t pid, int status)
{
	if (pid != running)
		return false;
	running = 0;
	if (WIFSIGNALED(status) || WEXITSTATUS(status) == 127)
		say("init: modprobe ended with wait status 0x%x: drivers may be missing", status);
	if (channel_waits) {
		channel_waits = false;
		/* The driver may know the ID already: then it has the function. */
		if (!write_file("/sys/bus/pci/drivers/uio_pci_generic/new_id", CHANNEL_ID) &&
		    errno != EEXIST)
			say("init: cannot give the channel to uio_pci_generic: %m");
	}
	return true;
}
