/* The control socket: pnctl's end of the daemon.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_SERVER_H
#define PENUMBRAD_SERVER_H

#include "../lib/pnctl_proto.h"
#include "calls.h"
#include "console.h"

#define SERVER_CLIENTS	 16
#define CLIENT_BACKLOG	 (2u << 20) /* bytes a client may leave unread before it is cut off */
#define SERVER_TRACE_MAX 16384u	    /* trace entries kept, a power of two */

struct server;
struct packet;

struct client {
	struct server *server;
	struct loop_source socket; /* fd -1: free */
	struct packet *first, **last;
	u32 backlog;
	bool busy;		   /* a request has not been answered */
	u32 op;			   /* the last request's */
	int console;		   /* index of the partition it watches, or -1 */
	char name[CHAN_NAME_SIZE]; /* of the partition it wants to watch */
	bool has_input;
	struct chan_con input; /* typed, not yet in the ring */
};

struct server {
	struct loop *loop;
	struct area *area;
	struct calls *calls;
	struct console *console;
	char path[108];
	struct loop_source listen;
	struct client client[SERVER_CLIENTS];
	/* PN_DAEMON: tell about the daemon, a line at a time. */
	void (*about)(void *arg, void (*line)(void *to, const char *text), void *to);
	void *about_arg;
	bool asking_names; /* a LIST of our own is under way */
	u64 names_ns;	   /* when it was last asked for */
	u8 *trace;	   /* ring of SERVER_TRACE_MAX entries; NULL before the first */
	u64 traced;	   /* entries that came */
};

/* Listen at @path. 0 or -errno, said. */
int server_init(struct server *s, const char *path, struct loop *loop, struct area *area,
		struct calls *calls, struct console *console);
/* Typed bytes that waited, and the trace ring. */
void server_service(struct server *s);
/* Ask the hypervisor who the partitions are, for the console. */
void server_ask_names(struct server *s);
/* Does a client wait for something? */
bool server_waits(const struct server *s);
void server_close(struct server *s);

#endif
