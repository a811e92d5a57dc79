/* Talking to the daemon.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "../lib/say.h"
#include "pnctl.h"

static int connect_daemon(struct session *s)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (s->fd >= 0)
		return 0;
	if (!text_copy(a.sun_path, sizeof(a.sun_path), s->socket, strlen(s->socket)))
		return -ENAMETOOLONG;
	s->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return -errno;
	if (connect(s->fd, (struct sockaddr *)&a, sizeof(a))) {
		int rc = -errno;

		close(s->fd);
		s->fd = -1;
		return rc;
	}
	return 0;
}

static void say_unreachable(const struct session *s, int rc)
{
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		say("penumbrad is not running (%s: %s); /run/log/messages says why", s->socket,
		    strerror(-rc));
	else if (rc == -EACCES || rc == -EPERM)
		say("%s: only root may talk to penumbrad", s->socket);
	else
		say("cannot reach penumbrad at %s: %s", s->socket, strerror(-rc));
}

static int send_request(const struct session *s, const struct pn_request *q, const char *text)
{
	struct iovec v[2] = {{.iov_base = (void *)(uintptr_t)q, .iov_len = sizeof(*q)},
			     {.iov_base = (void *)(uintptr_t)text, .iov_len = q->len}};
	struct msghdr m = {.msg_iov = v, .msg_iovlen = q->len ? 2 : 1};

	return sendmsg(s->fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static enum pnctl_status ended(const struct chan_ctl_reply *r)
{
	char why[sizeof(r->data) + 1];

	if (!r->status)
		return PNCTL_DONE;
	text_copy(why, sizeof(why), (const char *)r->data, MIN(r->len, sizeof(r->data)));
	say("%s", *why ? why : strerror(-r->status));
	return PNCTL_FAILED;
}

enum pnctl_status ask(struct session *s, const struct pn_request *q, const char *text,
		      reply_fn *row, void *arg)
{
	static union {
		struct chan_ctl_reply r;
		u8 bytes[16384];
	} p;
	int rc = connect_daemon(s);

	if (!rc)
		rc = send_request(s, q, text);
	if (rc) {
		say_unreachable(s, rc);
		return PNCTL_FAILED;
	}
	for (;;) {
		ssize_t n = recv(s->fd, &p, sizeof(p), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < (ssize_t)offsetof(struct chan_ctl_reply, data)) {
			say("penumbrad has ended the connection");
			return PNCTL_FAILED;
		}
		if (p.r.len > (size_t)n - offsetof(struct chan_ctl_reply, data))
			p.r.len = (u16)((size_t)n - offsetof(struct chan_ctl_reply, data));
		if (p.r.kind == CHAN_REPLY_END)
			return ended(&p.r);
		if (row)
			row(arg, &p.r);
	}
}

struct pn_request request_for(u32 op, const char *name)
{
	struct pn_request q = {.magic = PN_REQUEST_MAGIC, .op = op};

	if (name)
		text_copy(q.name, sizeof(q.name), name, strlen(name));
	return q;
}
