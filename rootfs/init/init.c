/* First process of the control partition: brings up devices by the kernel's events, mounts the
 * media, keeps shell and penumbrad running, ends the machine in order.
 *
 * Everything happens in one poll loop; whatever may block (reading a disk, loading a driver) does
 * so in a child. Kernel command line: penumbra.medium=LABEL|none, penumbra.wait=SECONDS,
 * hugepages=N.
 *
 * SPDX-License-Identifier: MIT
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FDS_MAX	   8
#define READY_FILE "/run/ready" /* made when the services are started */

static bool services_up;

long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

bool cmdline_value(const char *name, char *value, size_t size)
{
	char line[2048] = "", *state = NULL;
	size_t n = strlen(name);
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, line, sizeof(line) - 1) < 0)
		line[0] = '\0';
	if (fd >= 0)
		close(fd);
	for (char *w = strtok_r(line, " \n", &state); w; w = strtok_r(NULL, " \n", &state)) {
		if (strncmp(w, name, n) || w[n] != '=')
			continue;
		snprintf(value, size, "%s", w + n + 1);
		return true;
	}
	return false;
}

/* A console that a person has stopped (Ctrl-S) must not stop init: what does not fit is in the log.
 */
static void open_console(void)
{
	int fd = open("/dev/console", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0)
		dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* Signals as busybox' halt, poweroff and reboot send them; SIGINT is the kernel's Ctrl-Alt-Del. */
static int open_signals(void)
{
	static const int handled[] = {SIGCHLD, SIGTERM, SIGINT, SIGUSR1, SIGUSR2};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		sigaddset(&set, handled[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	reboot(RB_DISABLE_CAD);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (!drivers_reap(pid, status) && !medium_reap(pid, status))
			services_reap(pid, status);
}

static void handle_signals(int fd)
{
	struct signalfd_siginfo got;

	while (read(fd, &got, sizeof(got)) == (ssize_t)sizeof(got)) {
		switch (got.ssi_signo) {
		case SIGCHLD:
			reap();
			break;
		case SIGUSR1:
			shutdown_now(RB_HALT_SYSTEM);
		case SIGUSR2:
			shutdown_now(RB_POWER_OFF);
		case SIGTERM:
		case SIGINT:
			shutdown_now(RB_AUTOBOOT);
		default:
			break;
		}
	}
}

/* Shell and penumbrad wait for the medium, so that a prompt means: what there is, is mounted. */
static void maybe_start_services(void)
{
	int fd;

	if (services_up || drivers_awaited() || !medium_settled())
		return;
	/* A disk that hangs holds up the start no longer than an absent medium. */
	if (medium_busy() && medium_timeout() > 0)
		return;
	services_up = true;
	services_start();
	fd = open(READY_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd >= 0)
		close(fd);
}

/* What the start waits for now; the medium's limit means nothing before the drivers are there. */
static int start_timeout(void)
{
	if (services_up)
		return MS_FOREVER;
	return drivers_awaited() ? drivers_timeout() : medium_timeout();
}

static int next_timeout(void)
{
	int a = services_timeout(), b = start_timeout();

	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return a < b ? a : b;
}

static void loop(int signals, int uevents)
{
	for (;;) {
		int fds[FDS_MAX] = {signals, uevents, log_fd()};
		struct pollfd p[FDS_MAX];
		size_t n;

		drivers_run();
		maybe_start_services();
		services_run();
		/* Now: also those of services that have just been started. */
		n = 3 + services_fds(fds + 3, FDS_MAX - 3);
		for (size_t i = 0; i < n; i++)
			p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
		if (poll(p, n, next_timeout()) <= 0)
			continue;
		if (p[1].revents)
			uevent_receive(uevents);
		if (p[2].revents)
			log_receive();
		for (size_t i = 3; i < n; i++)
			if (p[i].revents)
				services_receive(fds[i]);
		if (p[0].revents)
			handle_signals(signals);
	}
}

int main(void)
{
	int signals, uevents;

	chdir("/");
	setenv("PATH", "/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("TERM", "vt100", 1);
	mounts_early();
	open_console();
	log_open();
	signals = open_signals();
	mounts_reserve_huge_pages();
	medium_init();
	uevents = uevent_open();
	piix_coldplug();
	/* Events from here on queue up; what was there before is asked for. */
	drivers_coldplug();
	medium_rescan();
	loop(signals, uevents);
}
