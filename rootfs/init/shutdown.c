/* The orderly end: penumbrad first, then everybody, then the file systems, then the machine.
 *
 * SPDX-License-Identifier: MIT
 */
#include "init.h"

#include <errno.h>
#include <signal.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reaps until nobody is left or @ms have passed; true if nobody is left. */
static bool all_gone(int ms)
{
	long long end = now_ms() + ms;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	for (;;) {
		const struct timespec moment = {.tv_nsec = 100 * 1000000};
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0 && errno == ECHILD)
			return true;
		if (pid > 0)
			continue;
		if (now_ms() >= end)
			return false;
		sigtimedwait(&child, NULL, &moment);
	}
}

void shutdown_now(int how)
{
	say("init: %s", how == RB_AUTOBOOT ? "reboot" : how == RB_POWER_OFF ? "power-off" : "halt");
	services_stop();
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
	/* Interactive shells ignore SIGTERM, but not that their terminal is gone. */
	kill(-1, SIGHUP);
	if (!all_gone(STOP_OTHERS_MS)) {
		kill(-1, SIGKILL);
		all_gone(STOP_OTHERS_MS);
	}
	sync();
	medium_unmount();
	sync();
	reboot(how);
	say("init: the kernel refuses: %m");
	for (;;)
		pause();
}
