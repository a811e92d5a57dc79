/* Clients on the control socket. Each may be slow, silent or mad at its own cost only.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../lib/say.h"
#include "penumbra/trace.h"

#define REPLY_HEADER offsetof(struct chan_ctl_reply, data)
#define CON_HEADER   offsetof(struct chan_con, data)
#define NAMES_NS     NSEC_PER_SEC /* between two questions for names */

struct packet {
	struct packet *next;
	u32 len;
	u8 data[];
};

/* --- sending --- */

static void client_drop(struct client *c)
{
	if (c->socket.fd < 0)
		return;
	calls_forget(c->server->calls, c);
	loop_remove(c->server->loop, &c->socket);
	close(c->socket.fd);
	while (c->first) {
		struct packet *p = c->first;

		c->first = p->next;
		free(p);
	}
	c->socket.fd = -1;
	c->console = -1;
	c->busy = c->has_input = false;
}

static void watch(struct client *c)
{
	u32 in = c->has_input || (c->busy && c->console < 0) ? 0 : EPOLLIN;

	loop_change(c->server->loop, &c->socket, in | (c->first ? (u32)EPOLLOUT : 0));
}

static bool send_now(struct client *c, const void *data, u32 len)
{
	return send(c->socket.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

static void client_send(struct client *c, const void *data, u32 len)
{
	struct packet *p;

	if (c->socket.fd < 0)
		return;
	if (!c->first && send_now(c, data, len))
		return;
	p = c->backlog + len > CLIENT_BACKLOG ? NULL : malloc(sizeof(*p) + len);
	if (!p) {
		say("a client does not read what it asked for: cut off");
		client_drop(c);
		return;
	}
	p->next = NULL;
	p->len = len;
	memcpy(p->data, data, len);
	*c->last = p;
	c->last = &p->next;
	c->backlog += len;
	watch(c);
}

static void send_waiting(struct client *c)
{
	while (c->first && send_now(c, c->first->data, c->first->len)) {
		struct packet *p = c->first;

		c->first = p->next;
		if (!c->first)
			c->last = &c->first;
		c->backlog -= p->len;
		free(p);
	}
	if (c->first && errno != EAGAIN)
		client_drop(c);
	else
		watch(c);
}

static void send_reply(struct client *c, const struct chan_ctl_reply *r)
{
	client_send(c, r, (u32)(REPLY_HEADER + r->len));
}

static void send_end(struct client *c, int status, const char *why)
{
	struct chan_ctl_reply r = {.kind = CHAN_REPLY_END, .status = status};

	r.len = (u16)snprintf((char *)r.data, sizeof(r.data), "%s", why);
	r.len = MIN(r.len, (u16)(sizeof(r.data) - 1));
	c->busy = false;
	send_reply(c, &r);
}

static void send_line(void *to, const char *text)
{
	struct chan_ctl_reply r = {.kind = CHAN_REPLY_TEXT};
	size_t left = strlen(text);

	do {
		r.len = (u16)MIN(left, sizeof(r.data));
		memcpy(r.data, text, r.len);
		text += r.len;
		left -= r.len;
		r.more = left != 0;
		send_reply(to, &r);
	} while (left);
}

/* --- consoles --- */

static void send_text(void *to, const u8 *data, size_t len)
{
	struct client *c = to;
	struct chan_con e = {.kind = CHAN_CON_SERIAL, .index = (u8)c->console};

	while (len && c->socket.fd >= 0) {
		e.len = (u8)MIN(len, sizeof(e.data));
		memcpy(e.data, data, e.len);
		client_send(c, &e, (u32)(CON_HEADER + e.len));
		data += e.len;
		len -= e.len;
	}
}

static void live_text(void *arg, unsigned index, const u8 *data, size_t len)
{
	struct server *s = arg;

	for (unsigned i = 0; i < SERVER_CLIENTS; i++) {
		struct client *c = &s->client[i];

		if (c->socket.fd >= 0 && c->console == (int)index)
			send_text(c, data, len);
	}
}

static void note_names(struct server *s, const struct chan_ctl_reply *r)
{
	struct chan_ctl_guest g;
	char name[CHAN_NAME_SIZE];

	if (r->kind != CHAN_REPLY_ROW || r->len < sizeof(g))
		return;
	memcpy(&g, r->data, sizeof(g));
	text_clean(name, sizeof(name), g.name, sizeof(g.name));
	console_name(s->console, g.index, name);
}

static void names_reply(void *arg, const struct chan_ctl_reply *r)
{
	struct server *s = arg;

	note_names(s, r);
	if (r->kind == CHAN_REPLY_END)
		s->asking_names = false;
}

void server_ask_names(struct server *s)
{
	struct chan_ctl_req req = {.op = CHAN_CTL_LIST};
	u64 now = loop_now();

	if (s->asking_names || (s->names_ns && now - s->names_ns < NAMES_NS))
		return;
	s->names_ns = now;
	s->asking_names = !calls_begin(s->calls, &req, NULL, 0, names_reply, s);
}

static void who(void *arg)
{
	server_ask_names(arg);
}

/* The list that PN_CONSOLE asks for first: names may have changed. */
static void console_reply(void *arg, const struct chan_ctl_reply *r)
{
	struct client *c = arg;
	int index;

	note_names(c->server, r);
	if (r->kind != CHAN_REPLY_END)
		return;
	index = console_find(c->server->console, c->name);
	/* Who shows its output on it would get that again, for ever. */
	if (r->status || index <= 0) {
		char why[96];

		snprintf(why, sizeof(why),
			 index ? "there is no %s" : "%s is where you are: its log has the past",
			 c->name);
		send_end(c, r->status ? r->status : index ? -ENOENT : -ELOOP, why);
		watch(c);
		return;
	}
	send_end(c, 0, "");
	c->console = index;
	console_history(c->server->console, (unsigned)index, send_text, c);
	if (c->socket.fd >= 0)
		watch(c);
}

static void typed(struct client *c, const u8 *data, size_t len)
{
	struct chan_con e = {.kind = CHAN_CON_SERIAL, .index = (u8)c->console};

	if (len < CON_HEADER + 1 || len > sizeof(e))
		return;
	e.len = (u8)(len - CON_HEADER);
	memcpy(e.data, data + CON_HEADER, e.len);
	c->input = e;
	c->has_input = !area_put(c->server->area, CHAN_CON_IN, &e);
	if (c->has_input)
		watch(c);
}

/* --- requests --- */

static void relay_reply(void *arg, const struct chan_ctl_reply *r)
{
	struct client *c = arg;

	if (c->op == CHAN_CTL_LIST)
		note_names(c->server, r);
	c->busy = r->kind != CHAN_REPLY_END;
	send_reply(c, r);
	if (!c->busy && c->socket.fd >= 0)
		watch(c);
}

static void begin_call(struct client *c, const struct chan_ctl_req *req, const void *text, u32 len,
		       call_reply_fn *reply)
{
	int rc = calls_begin(c->server->calls, req, text, len, reply, c);

	c->busy = rc == 0;
	if (rc)
		send_end(c, rc, "too many requests wait");
	else
		watch(c);
}

static void trace_dump(struct client *c)
{
	struct {
		struct chan_ctl_reply r; /* data as far as it goes, then the rest */
		u8 more[8192 - sizeof(struct chan_ctl_reply)];
	} p = {.r = {.kind = PN_REPLY_TRACE}};
	const u32 size = sizeof(struct trace_entry);
	const u32 batch = (u32)((sizeof(p) - REPLY_HEADER) / size);
	const struct server *s = c->server;
	u64 at = s->traced > SERVER_TRACE_MAX ? s->traced - SERVER_TRACE_MAX : 0;

	while (at < s->traced && c->socket.fd >= 0) {
		u32 n = 0;

		for (; n < batch && at < s->traced; n++, at++)
			memcpy((u8 *)&p + REPLY_HEADER + n * size,
			       s->trace + at % SERVER_TRACE_MAX * size, size);
		p.r.len = (u16)(n * size);
		client_send(c, &p, (u32)(REPLY_HEADER + n * size));
	}
	send_end(c, 0, "");
}

static void about_daemon(struct client *c)
{
	if (c->server->about)
		c->server->about(c->server->about_arg, send_line, c);
	send_end(c, 0, "");
}

static void request(struct client *c, const struct pn_request *q, const void *text)
{
	struct chan_ctl_req req = {.op = q->op, .arg = q->arg, .arg2 = q->arg2};

	text_clean(req.name, sizeof(req.name), q->name, sizeof(q->name));
	c->op = q->op;
	switch (q->op) {
	case PN_CONSOLE:
		memcpy(c->name, req.name, sizeof(c->name));
		req = (struct chan_ctl_req){.op = CHAN_CTL_LIST};
		begin_call(c, &req, NULL, 0, console_reply);
		break;
	case PN_DAEMON:
		about_daemon(c);
		break;
	case PN_TRACE_DUMP:
		trace_dump(c);
		break;
	default:
		begin_call(c, &req, text, q->len, relay_reply);
	}
}

static void client_input(struct client *c)
{
	static u8 buf[sizeof(struct pn_request) + CHAN_TEXT_MAX];
	struct pn_request q;
	ssize_t n = recv(c->socket.fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_drop(c);
		return;
	}
	if (c->console >= 0) {
		typed(c, buf, (size_t)n);
		return;
	}
	memcpy(&q, buf, sizeof(q));
	if ((size_t)n < sizeof(q) || (size_t)n > sizeof(buf) || q.magic != PN_REQUEST_MAGIC ||
	    q.len != (size_t)n - sizeof(q)) {
		send_end(c, -EPROTO, "this is no request that penumbrad knows");
		client_drop(c);
		return;
	}
	request(c, &q, buf + sizeof(q));
}

static void client_ready(void *arg, u32 events)
{
	struct client *c = arg;

	if (events & EPOLLOUT)
		send_waiting(c);
	if (c->socket.fd >= 0 && events & EPOLLIN)
		client_input(c);
	else if (c->socket.fd >= 0 && events & (EPOLLHUP | EPOLLERR))
		client_drop(c);
}

static void accept_client(void *arg, u32 events)
{
	struct server *s = arg;
	int fd = accept4(s->listen.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	for (unsigned i = 0; i < SERVER_CLIENTS; i++) {
		struct client *c = &s->client[i];

		if (c->socket.fd >= 0)
			continue;
		*c = (struct client){.server = s, .console = -1};
		c->socket = (struct loop_source){.fd = fd, .ready = client_ready, .arg = c};
		c->last = &c->first;
		if (loop_add(s->loop, &c->socket, EPOLLIN))
			client_drop(c);
		return;
	}
	close(fd); /* sixteen at a time; the seventeenth is told by the end of its connection */
}

/* --- trace --- */

static void take_trace(struct server *s)
{
	struct ring_end *ring = &s->area->ring[CHAN_TRACE];
	u32 left = ring_count(ring);

	if (left && !s->trace)
		s->trace = calloc(SERVER_TRACE_MAX, sizeof(struct trace_entry));
	if (!s->trace)
		return;
	while (left--) {
		u32 at = (u32)(s->traced % SERVER_TRACE_MAX) * (u32)sizeof(struct trace_entry);

		if (!ring_get(ring, s->trace + at))
			break;
		s->traced++;
		area_touched(s->area, CHAN_TRACE);
	}
}

static void put_typed(struct server *s)
{
	bool waits = false;

	for (unsigned i = 0; i < SERVER_CLIENTS; i++) {
		struct client *c = &s->client[i];

		if (!c->has_input)
			continue;
		c->has_input = !area_put(s->area, CHAN_CON_IN, &c->input);
		waits |= c->has_input;
		if (!c->has_input)
			watch(c);
	}
	ring_ask_room(&s->area->ring[CHAN_CON_IN], waits);
}

void server_service(struct server *s)
{
	put_typed(s);
	take_trace(s);
}

bool server_waits(const struct server *s)
{
	for (unsigned i = 0; i < SERVER_CLIENTS; i++) {
		if (s->client[i].has_input)
			return true;
	}
	return false;
}

/* --- life --- */

static int listen_at(struct server *s)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	mode_t mask;
	int fd, rc = 0;

	if (!text_copy(a.sun_path, sizeof(a.sun_path), s->path, sizeof(s->path)))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(s->path); /* of a predecessor */
	mask = umask(0077);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, SERVER_CLIENTS))
		rc = -errno;
	umask(mask);
	if (rc) {
		close(fd);
		return rc;
	}
	s->listen = (struct loop_source){.fd = fd, .ready = accept_client, .arg = s};
	return loop_add(s->loop, &s->listen, EPOLLIN);
}

int server_init(struct server *s, const char *path, struct loop *loop, struct area *area,
		struct calls *calls, struct console *console)
{
	int rc;

	*s = (struct server){.loop = loop, .area = area, .calls = calls, .console = console};
	s->listen.fd = -1;
	for (unsigned i = 0; i < SERVER_CLIENTS; i++)
		s->client[i].socket.fd = -1;
	console->live = live_text;
	console->who = who;
	console->arg = s;
	text_copy(s->path, sizeof(s->path), path, sizeof(s->path));
	rc = listen_at(s);
	if (rc)
		say("cannot listen at %s: %s", path, strerror(-rc));
	return rc;
}

void server_close(struct server *s)
{
	for (unsigned i = 0; i < SERVER_CLIENTS; i++)
		client_drop(&s->client[i]);
	if (s->listen.fd >= 0) {
		loop_remove(s->loop, &s->listen);
		close(s->listen.fd);
		unlink(s->path);
	}
	free(s->trace);
}
