/* pnctl: what the parts share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCTL_H
#define PNCTL_H

#include "../lib/pnctl_proto.h"

/* Exit codes. */
enum pnctl_status { PNCTL_DONE, PNCTL_FAILED, PNCTL_USAGE };

struct session {
	const char *socket; /* path */
	bool json;
	bool force;
	int fd; /* -1: not connected */
};

/* One reply, not the last. @r->len may be more than sizeof(r->data) for PN_REPLY_TRACE: the bytes
 * are there. */
typedef void reply_fn(void *arg, const struct chan_ctl_reply *r);

/* Ask the daemon and wait for the end; rows go to @row (NULL: not wanted). Says what went wrong. */
enum pnctl_status ask(struct session *s, const struct pn_request *q, const char *text,
		      reply_fn *row, void *arg);
/* A request for @op, about @name (NULL: none). */
struct pn_request request_for(u32 op, const char *name);

/* --- printing (show.c) --- */

/* @s as a JSON string, with its quotes. */
void json_string(const char *s);

/* Collects rows and prints them as a table with aligned columns. */
struct table {
	unsigned columns, rows, room;
	u32 right; /* bit per column: numbers */
	char **cell;
};
void table_init(struct table *t, unsigned columns, u32 right);
/* The next cell, row by row. */
void table_cell(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints and frees it. */
void table_print(struct table *t);

#define PNCTL_LINE_MAX 8192

/* Lines from TEXT rows: gives each whole one to @line. */
struct lines {
	char text[PNCTL_LINE_MAX];
	size_t len;
	void (*line)(void *arg, const char *text);
	void *arg;
};
void lines_row(void *lines, const struct chan_ctl_reply *r);

/* --- commands --- */

/* The whole program; returns its exit status. Moves words about in @argv. */
int pnctl_main(int argc, char **argv);

enum pnctl_status show_list(struct session *s);
enum pnctl_status show_stats(struct session *s, const char *name);
/* The lines of a reply as they are, or as {"KEY":["line",...]}. Where a line tells a place in a
 * config, @file's name stands there (NULL: "config", as the hypervisor says). */
enum pnctl_status show_text(struct session *s, const struct pn_request *q, const char *text,
			    const char *file, const char *key);
enum pnctl_status show_info(struct session *s);
enum pnctl_status trace_dump(struct session *s, const char *path);
enum pnctl_status console(struct session *s, const char *name);
/* Runs @command (ended by NULL) with the serial line to itself; its exit status as a shell has it,
 * or PNCTL_FAILED. */
int line_run(struct session *s, char **command);

#endif
