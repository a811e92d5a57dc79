/* Private to ctl*.c: the requests of pnctl and how they are answered.
 *
 * A request is answered in full before the next one is looked at: its rows wait in a backlog as
 * long as the ring has no room. All on the control partition's CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CTL_INT_H
#define HV_CORE_CTL_INT_H

#include "core/ctl.h"
#include "core/partition.h"

#define CTL_BACKLOG 1024u /* replies to one request at most */

struct ctl {
	struct channel ch;
	struct blk_hub blk;
	struct net_hub net;
	struct con_chan con;
	struct chan_user user;
	struct partition *control;
	struct timer retry;
	struct chan_ctl_reply *backlog; /* CTL_BACKLOG of them */
	unsigned nreplies, sent;
	bool overflow;
	struct chan_ctl_req req; /* being answered */
	char name[CHAN_NAME_SIZE];
	char text[CHAN_TEXT_MAX]; /* of the request's data */
	u32 text_len;
};

/* --- replies (ctl_reply.c) --- */

/* One ROW reply with @len bytes at @row. */
void ctl_row(struct ctl *c, const void *row, size_t len);
/* A line, in as many TEXT replies as it takes. */
void ctl_text(struct ctl *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ctl_line(struct ctl *c, const char *text, size_t len);
/* The end: @status 0 or negative; otherwise the text says what is wrong and where. */
void ctl_end(struct ctl *c, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static inline void ctl_ok(struct ctl *c)
{
	ctl_end(c, 0, "%s", "");
}
/* Into the ring as far as there is room; true when all are there. */
bool ctl_flush(struct ctl *c);

/* --- requests --- */

/* Answer c->req: rows and exactly one ctl_end(). */
void ctl_handle(struct ctl *c);
/* The guest that the request names; NULL after ctl_end(). */
struct partition *ctl_guest(struct ctl *c);

/* ctl_show.c */
void ctl_list(struct ctl *c);
void ctl_stats(struct ctl *c);
void ctl_screen(struct ctl *c);
void ctl_records(struct ctl *c);
void ctl_info(struct ctl *c);
/* ctl_config.c */
void ctl_config_check(struct ctl *c);
void ctl_config_load(struct ctl *c);
/* ctl_trace.c */
void ctl_trace(struct ctl *c);
/* Entries into the ring; true while it has to be called again soon. */
bool ctl_trace_pump(struct ctl *c);

#endif
