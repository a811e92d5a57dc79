/* The programs that init keeps running: the root shell on the console, and penumbrad if the image
 * has it. One that ends at once is started again after a pause that doubles, up to a limit.
 *
 * SPDX-License-Identifier: MIT
 */
#include "init.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_MIN_MS 200
#define PAUSE_MAX_MS 10000
#define LONG_LIFE_MS 10000 /* who lived that long is not in a loop of failing */
#define LINE_SIZE    256

struct service {
	const char *name, *path,
		*argv0;	 /* penumbra.daemon=PATH puts another in penumbrad's place */
	bool on_console; /* a session with the console as its terminal; else its output goes to the
			    log */
	pid_t pid;
	int output;
	long long started, due; /* due: when it is started again; 0: it runs, or is not to run */
	int pause_ms;
	size_t used;
	char line[LINE_SIZE], last[LINE_SIZE];
};

static struct service services[] = {
	{.name = "penumbrad", .path = "/sbin/penumbrad", .argv0 = "penumbrad", .output = -1},
	{.name = "shell", .path = "/bin/sh", .argv0 = "-sh", .on_console = true, .output = -1},
};
static const size_t service_count = sizeof(services) / sizeof(services[0]);
static bool stopping;

static void child_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static void take_console(void)
{
	int fd = open(console_tty(), O_RDWR);

	if (fd < 0)
		return;
	ioctl(fd, TIOCSCTTY, 1);
	for (int i = 0; i <= STDERR_FILENO; i++)
		dup2(fd, i);
	if (fd > STDERR_FILENO)
		close(fd);
}

static void send_output(int fd)
{
	int null = open("/dev/null", O_RDONLY);

	dup2(null, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
}

static void exec_service(const struct service *s, int output)
{
	child_signals();
	setsid();
	if (s->on_console)
		take_console();
	else
		send_output(output);
	execl(s->path, s->argv0, (char *)NULL);
	dprintf(STDERR_FILENO, "cannot run %s: %m\n", s->path);
	_exit(127);
}

static void start(struct service *s)
{
	int ends[2] = {-1, -1};

	s->due = 0;
	s->started = now_ms();
	if (!s->on_console && pipe2(ends, O_CLOEXEC))
		say("init: no output of %s: %m", s->name);
	s->pid = fork();
	if (s->pid == 0)
		exec_service(s, ends[1]);
	if (ends[1] >= 0)
		close(ends[1]);
	s->output = ends[0];
	if (s->pid < 0) {
		s->pid = 0;
		s->due = s->started + PAUSE_MAX_MS;
		say("init: cannot start %s: %m", s->name);
	}
}

/* penumbrad serves the hypervisor: without one there is nothing for it to do. */
static bool daemon_wanted(struct service *daemon)
{
	static char path[128];

	if (cmdline_value("penumbra.daemon", path, sizeof(path))) {
		daemon->path = path;
		return strcmp(path, "none") != 0;
	}
	if (!drivers_channel())
		say("init: no hypervisor here (no PCI function 5042:0001): penumbrad is not "
		    "started");
	return drivers_channel();
}

void services_start(void)
{
	for (size_t i = 0; i < service_count; i++) {
		struct service *s = &services[i];

		if (!s->on_console && !daemon_wanted(s))
			continue;
		if (access(s->path, X_OK))
			say("init: cannot start %s: %s: %m", s->name, s->path);
		else
			start(s);
	}
}

void services_run(void)
{
	for (size_t i = 0; i < service_count; i++)
		if (!stopping && services[i].due && services[i].due <= now_ms())
			start(&services[i]);
}

int services_timeout(void)
{
	int least = MS_FOREVER;

	for (size_t i = 0; i < service_count; i++) {
		long long left = services[i].due - now_ms();

		if (!services[i].due)
			continue;
		if (left < 0)
			left = 0;
		if (least < 0 || left < least)
			least = (int)left;
	}
	return least;
}

/* --- output ----------------------------------------------------------------------------------- */

static void end_line(struct service *s)
{
	s->line[s->used] = '\0';
	s->used = 0;
	if (!s->line[0])
		return;
	memcpy(s->last, s->line, sizeof(s->last));
	note("%s: %s", s->name, s->line);
}

/* False at the end of the pipe, or when it has no more for now. */
static bool read_output(struct service *s)
{
	char text[1024];
	ssize_t n = s->output < 0 ? 0 : read(s->output, text, sizeof(text));

	for (ssize_t i = 0; i < n; i++) {
		if (text[i] != '\n')
			s->line[s->used++] = text[i];
		if (text[i] == '\n' || s->used == sizeof(s->line) - 1)
			end_line(s);
	}
	return n > 0;
}

static void close_output(struct service *s)
{
	if (s->output < 0)
		return;
	/* What it said last says why it ended; a child of its own may still hold the pipe. */
	fcntl(s->output, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 64 && read_output(s); i++)
		;
	end_line(s);
	close(s->output);
	s->output = -1;
}

size_t services_fds(int *fds, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < service_count && n < max; i++)
		if (services[i].output >= 0)
			fds[n++] = services[i].output;
	return n;
}

void services_receive(int fd)
{
	for (size_t i = 0; i < service_count; i++) {
		struct service *s = &services[i];

		if (s->output != fd || read_output(s))
			continue;
		close(s->output);
		s->output = -1;
	}
}

/* --- end -------------------------------------------------------------------------------------- */

static void tell_end(const struct service *s, int status)
{
	char how[64];

	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "was killed by signal %d", WTERMSIG(status));
	else
		snprintf(how, sizeof(how), "ended with status %d", WEXITSTATUS(status));
	say("init: %s %s%s%s; it is started again in %d ms", s->name, how,
	    s->last[0] ? ", its last words: " : "", s->last, s->pause_ms);
}

bool services_reap(pid_t pid, int status)
{
	for (size_t i = 0; i < service_count; i++) {
		struct service *s = &services[i];
		bool lasted = now_ms() - s->started >= LONG_LIFE_MS;

		if (s->pid != pid)
			continue;
		s->pid = 0;
		close_output(s);
		if (stopping)
			return true;
		s->pause_ms = lasted || !s->pause_ms ? PAUSE_MIN_MS : 2 * s->pause_ms;
		if (s->pause_ms > PAUSE_MAX_MS)
			s->pause_ms = PAUSE_MAX_MS;
		s->due = now_ms() + s->pause_ms;
		/* Leaving the shell is a person's right. */
		if (!s->on_console || WIFSIGNALED(status))
			tell_end(s, status);
		s->last[0] = '\0';
		return true;
	}
	return false;
}

static bool reap_any(void)
{
	int status;
	pid_t pid = waitpid(-1, &status, WNOHANG);

	if (pid > 0)
		services_reap(pid, status);
	return pid > 0;
}

/* penumbrad alone first: it has guests' data to write. */
void services_stop(void)
{
	struct service *daemon = &services[0];
	sigset_t child;
	long long end = now_ms() + STOP_DAEMON_MS;

	stopping = true;
	if (!daemon->pid)
		return;
	kill(daemon->pid, SIGTERM);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while (daemon->pid && now_ms() < end) {
		const struct timespec moment = {.tv_nsec = 200 * 1000000};

		if (!reap_any())
			sigtimedwait(&child, NULL, &moment);
	}
	if (daemon->pid)
		say("init: penumbrad does not end within %d s; it is killed",
		    STOP_DAEMON_MS / 1000);
}
