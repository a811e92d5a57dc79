/* Control requests.
 *
 * SPDX-License-Identifier: MIT
 */
#include "calls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void calls_init(struct calls *c, struct area *area)
{
	memset(c, 0, sizeof(*c));
	c->area = area;
	c->next_id = 1;
}

int calls_begin(struct calls *c, const struct chan_ctl_req *req, const void *text, u32 len,
		call_reply_fn *reply, void *arg)
{
	struct call *k = c->call;

	while (k < c->call + CALLS_MAX && k->state != CALL_FREE)
		k++;
	if (k == c->call + CALLS_MAX)
		return -EBUSY;
	*k = (struct call){.state = CALL_WAITS, .req = *req, .reply = reply, .arg = arg};
	if (text && len) {
		k->text = malloc(len);
		if (!k->text) {
			k->state = CALL_FREE;
			return -ENOMEM;
		}
		memcpy(k->text, text, len);
	}
	k->req.id = c->next_id++;
	k->req.len = text ? len : 0;
	k->order = c->next_order++;
	k->deadline_ns = loop_now() + CALL_TIMEOUT_NS;
	c->open++;
	return 0;
}

static void call_free(struct calls *c, struct call *k)
{
	free(k->text);
	k->text = NULL;
	if (k->holds_text)
		c->text_busy = false;
	k->state = CALL_FREE;
	c->open--;
}

void calls_forget(struct calls *c, const void *arg)
{
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		struct call *k = &c->call[i];

		if (k->state == CALL_FREE || k->arg != arg)
			continue;
		k->reply = NULL;
		k->arg = NULL;
		if (k->state == CALL_WAITS)
			call_free(c, k);
	}
}

static struct call *next_waiting(struct calls *c)
{
	struct call *first = NULL;

	for (unsigned i = 0; i < CALLS_MAX; i++) {
		struct call *k = &c->call[i];

		if (k->state == CALL_WAITS && (!first || k->order < first->order))
			first = k;
	}
	return first;
}

/* The one text buffer is given to one call after the other. */
static bool send_one(struct calls *c, struct call *k)
{
	if (!ring_room(&c->area->ring[CHAN_CTL_REQ]))
		return false;
	if (k->text) {
		if (c->text_busy)
			return false;
		memcpy(c->area->text, k->text, k->req.len);
		k->req.data = c->area->text_offset;
		c->text_busy = k->holds_text = true;
	}
	area_put(c->area, CHAN_CTL_REQ, &k->req);
	free(k->text);
	k->text = NULL;
	k->state = CALL_SENT;
	return true;
}

static void give(struct calls *c, const struct chan_ctl_reply *r)
{
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		struct call *k = &c->call[i];
		call_reply_fn *reply = k->reply;
		void *arg = k->arg;

		if (k->state != CALL_SENT || k->req.id != r->id)
			continue;
		/* The answer that ends a call may begin the next: its place is free by then. */
		if (r->kind == CHAN_REPLY_END)
			call_free(c, k);
		if (reply)
			reply(arg, r);
		return;
	}
}

static void take_replies(struct calls *c)
{
	struct ring_end *ring = &c->area->ring[CHAN_CTL_REPLY];
	u32 left = ring->entries;
	struct chan_ctl_reply r;

	while (left-- && ring_get(ring, &r)) {
		area_touched(c->area, CHAN_CTL_REPLY);
		if (r.len <= sizeof(r.data) && r.kind >= CHAN_REPLY_ROW && r.kind <= CHAN_REPLY_END)
			give(c, &r);
	}
}

static void end_late(struct calls *c)
{
	struct chan_ctl_reply r = {.kind = CHAN_REPLY_END, .status = -ETIMEDOUT};
	u64 now = loop_now();

	r.len = (u16)snprintf((char *)r.data, sizeof(r.data), "the hypervisor does not answer");
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		struct call *k = &c->call[i];

		if (k->state == CALL_FREE || now < k->deadline_ns)
			continue;
		k->state = CALL_SENT;
		r.id = k->req.id;
		give(c, &r);
	}
}

void calls_service(struct calls *c)
{
	bool idle = !c->open;
	struct call *k;

	take_replies(c);
	if (idle)
		return;
	end_late(c);
	while ((k = next_waiting(c)) && send_one(c, k))
		;
	ring_ask_room(&c->area->ring[CHAN_CTL_REQ], k && !k->text);
}

unsigned calls_open(const struct calls *c)
{
	return c->open;
}

void calls_close(struct calls *c)
{
	for (unsigned i = 0; i < CALLS_MAX; i++) {
		if (c->call[i].state != CALL_FREE)
			call_free(c, &c->call[i]);
	}
}
