/* Running modprobe.
 *
 * SPDX-License-Identifier: MIT
 */
#include "modprobe.h"

#include <errno.h>
#include <spawn.h>
#include <stddef.h>
#include <sys/wait.h>

extern char **environ;

int modprobe(const char *module)
{
	char *const argv[] = {"modprobe", "-q", (char *)module, NULL};
	pid_t pid;
	int status;

	if (posix_spawn(&pid, "/sbin/modprobe", NULL, NULL, argv, environ) &&
	    posix_spawn(&pid, "/bin/modprobe", NULL, NULL, argv, environ))
		return -1;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -1;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}
