/* Answers to pnctl's requests; see ctl_int.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/ctl_int.h"
#include "lib/errno.h"
#include "lib/str.h"

#define LINE_MAX 512
#define DATA_MAX sizeof(((struct chan_ctl_reply *)0)->data)

/* The last place is kept for the end. */
static struct chan_ctl_reply *next_reply(struct ctl *c, unsigned kind)
{
	struct chan_ctl_reply *r;

	if (c->nreplies >= CTL_BACKLOG - (kind != CHAN_REPLY_END)) {
		c->overflow = true;
		return NULL;
	}
	r = &c->backlog[c->nreplies++];
	*r = (struct chan_ctl_reply){.id = c->req.id, .kind = (u16)kind};
	return r;
}

void ctl_row(struct ctl *c, const void *row, size_t len)
{
	struct chan_ctl_reply *r = next_reply(c, CHAN_REPLY_ROW);

	if (!r)
		return;
	r->len = (u16)len;
	memcpy(r->data, row, len);
}

void ctl_line(struct ctl *c, const char *text, size_t len)
{
	do {
		struct chan_ctl_reply *r = next_reply(c, CHAN_REPLY_TEXT);

		if (!r)
			return;
		r->len = (u16)MIN(len, DATA_MAX);
		memcpy(r->data, text, r->len);
		text += r->len;
		len -= r->len;
		r->more = len != 0;
	} while (len);
}

void ctl_text(struct ctl *c, const char *fmt, ...)
{
	char line[LINE_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	ctl_line(c, line, MIN((size_t)n, sizeof(line) - 1));
}

void ctl_end(struct ctl *c, int status, const char *fmt, ...)
{
	struct chan_ctl_reply *r = next_reply(c, CHAN_REPLY_END);
	va_list ap;
	int n;

	if (!r)
		return;
	if (c->overflow && !status) {
		status = -E2BIG;
		fmt = "the answer is too long: its end is missing";
	}
	r->status = status;
	if (!status)
		return;
	va_start(ap, fmt);
	n = vsnprintf((char *)r->data, sizeof(r->data), fmt, ap);
	va_end(ap);
	r->len = (u16)MIN((size_t)n, sizeof(r->data) - 1);
}

bool ctl_flush(struct ctl *c)
{
	struct ring_end *ring = &c->ch.ring[CHAN_CTL_REPLY];

	spin_lock(&c->ch.lock);
	while (c->sent < c->nreplies && ring_put(ring, &c->backlog[c->sent]))
		c->sent++;
	ring_ask_room(ring, c->sent < c->nreplies);
	channel_put_done(&c->ch, CHAN_CTL_REPLY);
	spin_unlock(&c->ch.lock);
	return c->sent == c->nreplies;
}
