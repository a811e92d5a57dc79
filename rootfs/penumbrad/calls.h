/* Control requests to the hypervisor, several at a time, each with a limit to its waiting.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_CALLS_H
#define PENUMBRAD_CALLS_H

#include "../lib/loop.h"
#include "area.h"

#define CALLS_MAX	32
#define CALL_TIMEOUT_NS (30 * NSEC_PER_SEC)

/* Each reply, the last of kind CHAN_REPLY_END. @r is a checked copy: len fits data. */
typedef void call_reply_fn(void *arg, const struct chan_ctl_reply *r);

struct call {
	enum { CALL_FREE, CALL_WAITS, CALL_SENT } state;
	struct chan_ctl_req req;
	char *text;	      /* ours, until sent */
	bool holds_text;      /* the area's text buffer is this call's */
	call_reply_fn *reply; /* NULL: nobody listens any more */
	void *arg;
	u64 order;
	u64 deadline_ns;
};

struct calls {
	struct area *area;
	u32 next_id;
	u64 next_order;
	bool text_busy;
	unsigned open; /* calls that are not CALL_FREE */
	struct call call[CALLS_MAX];
};

void calls_init(struct calls *c, struct area *area);
/* Ask. @req without id, data and len; @text of @len bytes goes with it (copied; NULL: none). 0,
 * -EBUSY when too many wait, -ENOMEM. The reply is never given from within. */
int calls_begin(struct calls *c, const struct chan_ctl_req *req, const void *text, u32 len,
		call_reply_fn *reply, void *arg);
/* No reply goes to @arg any more. */
void calls_forget(struct calls *c, const void *arg);
/* Send what waits, take replies, end what took too long. */
void calls_service(struct calls *c);
unsigned calls_open(const struct calls *c);
void calls_close(struct calls *c);

#endif
