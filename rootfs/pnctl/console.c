/* pnctl console: a partition's serial line on this terminal.
 *
 * Left by ~. at the start of a line, as with ssh: Ctrl-] is the hypervisor's and never gets here.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "../lib/say.h"
#include "pnctl.h"

#define CON_HEADER offsetof(struct chan_con, data)

/* Where in the escape sequence what is typed stands. */
enum escape { IN_LINE, LINE_START, AFTER_TILDE };

static bool send_typed(const struct session *s, const u8 *data, size_t n)
{
	struct chan_con e = {.kind = CHAN_CON_SERIAL};

	if (!n)
		return true;
	e.len = (u8)n;
	memcpy(e.data, data, n);
	return send(s->fd, &e, CON_HEADER + n, MSG_NOSIGNAL) > 0;
}

/* What is typed, less escapes. ~~ is a tilde. Returns bytes for the guest, or -1: leave. */
static int filter(enum escape *state, const u8 *in, size_t n, u8 *out)
{
	int used = 0;

	for (size_t i = 0; i < n; i++) {
		if (*state == LINE_START && in[i] == '~') {
			*state = AFTER_TILDE;
			continue;
		}
		if (*state == AFTER_TILDE && in[i] == '.')
			return -1;
		if (*state == AFTER_TILDE && in[i] != '~')
			out[used++] = '~';
		out[used++] = in[i];
		*state = in[i] == '\r' || in[i] == '\n' ? LINE_START : IN_LINE;
	}
	return used;
}

static bool keyboard(const struct session *s, enum escape *state)
{
	u8 in[96], out[2 * sizeof(in)];
	ssize_t n = read(STDIN_FILENO, in, sizeof(in));
	int used;

	if (n < 0 && errno == EINTR)
		return true;
	if (n <= 0)
		return false;
	used = filter(state, in, (size_t)n, out);
	return used >= 0 && send_typed(s, out, (size_t)used);
}

static bool screen(const struct session *s)
{
	struct chan_con e;
	ssize_t n = recv(s->fd, &e, sizeof(e), 0);

	if (n < (ssize_t)CON_HEADER || n < (ssize_t)CON_HEADER + e.len) {
		say("\r\npenumbrad has ended the connection\r");
		return false;
	}
	n = write(STDOUT_FILENO, e.data, e.len);
	return n >= 0 || errno == EINTR;
}

/* What has been printed up to now. */
static void drain(const struct session *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLIN};

	while (poll(&p, 1, 0) > 0 && screen(s))
		;
}

static void converse(const struct session *s)
{
	struct pollfd p[2] = {{.fd = s->fd, .events = POLLIN},
			      {.fd = STDIN_FILENO, .events = POLLIN}};
	enum escape state = LINE_START;

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if (p[0].revents && !screen(s))
			return;
		if (p[1].revents && !keyboard(s, &state)) {
			drain(s);
			return;
		}
	}
}

enum pnctl_status console(struct session *s, const char *name)
{
	struct pn_request q = request_for(PN_CONSOLE, name);
	struct termios old, raw;
	bool terminal = tcgetattr(STDIN_FILENO, &old) == 0;
	enum pnctl_status rc = ask(s, &q, NULL, NULL, NULL);

	if (rc)
		return rc;
	if (terminal) {
		fprintf(stderr, "[%s: ~. at the start of a line leaves]\r\n", name);
		raw = old;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	}
	converse(s);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSADRAIN, &old);
		fputs("\n", stderr);
	}
	return PNCTL_DONE;
}
