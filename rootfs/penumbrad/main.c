/* penumbrad: back ends of the guests' disks and network ports, their consoles and logs, and the
 * other end of pnctl.
 *
 * SPDX-License-Identifier: MIT
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/pnctl_proto.h"
#include "../lib/say.h"
#include "daemon.h"

#define SEARCH_MAX 8

static const char usage[] =
	"usage: penumbrad [--logs DIR] [--log-max MIB] [--search DIR[:DIR...]] [--socket PATH]\n"
	"  --logs DIR      logs of the guests and the records (/data/logs)\n"
	"  --log-max MIB   a log of that size becomes NAME.1 (8)\n"
	"  --search DIRS   where images of `file:` are looked for, in this order;\n"
	"                  an empty one: the path as it stands (/boot-medium:/data:)\n"
	"  --socket PATH   of pnctl (" PN_SOCKET ")\n";

/* "a:b:" into a list that ends with NULL. */
static const char *const *split(char *dirs)
{
	static const char *list[SEARCH_MAX + 1];
	unsigned n = 0;
	char *dir;

	while (n < SEARCH_MAX && (dir = strsep(&dirs, ":")))
		list[n++] = dir;
	list[n] = NULL;
	return list;
}

/* Without the daemon no guest has a disk: the kernel is to look for memory elsewhere first. */
static void stay_alive(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "-1000", 5) < 0)
		say("may be killed when memory runs out");
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"logs", required_argument, NULL, 'l'},	  {"log-max", required_argument, NULL, 'm'},
		{"search", required_argument, NULL, 's'}, {"socket", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},	  {0}};
	static char dirs[] = "/boot-medium:/data:";
	struct daemon_options o = {.transport = &transport_uio,
				   .socket = PN_SOCKET,
				   .logs = "/data/logs",
				   .log_max = 8 * MIB,
				   .search = split(dirs),
				   .on_medium_only = true,
				   .open_patience_ns = 10 * NSEC_PER_SEC,
				   .pages = 4};
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (opt) {
		case 'l':
			o.logs = optarg;
			break;
		case 'm':
			o.log_max = strtoull(optarg, NULL, 10) * MIB;
			break;
		case 's':
			o.search = split(optarg);
			break;
		case 'c':
			o.socket = optarg;
			break;
		default:
			fputs(usage, opt == 'h' ? stdout : stderr);
			return opt == 'h' ? 0 : 2;
		}
	}
	if (optind < argc || o.log_max < MIB) {
		fputs(usage, stderr);
		return 2;
	}
	stay_alive();
	return daemon_run(&o);
}
