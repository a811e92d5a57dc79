/* pnctl line: a command with the serial line to itself, so that XMODEM and its like pass the
 * hypervisor's multiplexer.
 *
 * The line is lent for some seconds and asked for again as long as the command runs: whatever ends
 * this program, it comes back.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../lib/say.h"
#include "pnctl.h"

#define LEND_MS	      20000
#define AGAIN_SECONDS 5
#define NOT_FOUND     127 /* as a shell says it */
#define BY_SIGNAL     128

/* Each time by a connection of its own: penumbrad may have been started anew. */
static enum pnctl_status lend(const struct session *s, u64 ms)
{
	struct session own = {.socket = s->socket, .fd = -1};
	struct pn_request q = request_for(CHAN_CTL_LINE, NULL);
	enum pnctl_status rc;

	q.arg = ms;
	rc = ask(&own, &q, NULL, NULL, NULL);
	if (own.fd >= 0)
		close(own.fd);
	return rc;
}

static pid_t start(char **command, const sigset_t *mask)
{
	pid_t child = fork();

	if (child)
		return child;
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(command[0], command);
	say("%s: %s", command[0], strerror(errno));
	_exit(NOT_FOUND);
}

/* @child's wait status; the line is kept meanwhile. Nothing may be said on it. */
static int keep_line(const struct session *s, pid_t child, const sigset_t *ended, bool lent)
{
	const struct timespec again = {.tv_sec = AGAIN_SECONDS};
	int terminal = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int status = 0;

	dup2(nowhere, STDERR_FILENO);
	while (!waitpid(child, &status, WNOHANG)) {
		if (sigtimedwait(ended, NULL, &again) < 0 && errno == EAGAIN && lent)
			lend(s, LEND_MS);
	}
	dup2(terminal, STDERR_FILENO);
	close(terminal);
	close(nowhere);
	return status;
}

int line_run(struct session *s, char **command)
{
	/* Without penumbrad there is no multiplexer either: a machine without the hypervisor. */
	bool lent = access(s->socket, F_OK) == 0;
	sigset_t ended, mask;
	pid_t child;
	int status;

	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	sigprocmask(SIG_BLOCK, &ended, &mask);
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	if (lent && lend(s, LEND_MS))
		return PNCTL_FAILED;
	child = start(command, &mask);
	if (child < 0) {
		say("cannot start %s: %s", command[0], strerror(errno));
		status = PNCTL_FAILED << 8;
	} else {
		status = keep_line(s, child, &ended, lent);
	}
	tcdrain(STDOUT_FILENO);
	if (lent)
		lend(s, 0);
	return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}
