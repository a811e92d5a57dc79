/* The console over the channel. See con_chan.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chan/con_chan.h"
#include "lib/str.h"

#define STREAM_HV     (2 * CON_CHAN_PARTITIONS)
#define STREAM_RECORD (STREAM_HV + 1)
#define IN_BATCH      64u /* entries taken in one visit */

/* --- out: under the lock --- */

static struct ring_end *out_ring(struct con_chan *c)
{
	return &c->ch->ring[CHAN_CON_OUT];
}

static bool put_stage(struct con_chan *c, struct con_stream *s)
{
	if (!s->stage.len)
		return true;
	if (!ring_put(out_ring(c), &s->stage))
		return false;
	s->stage.len = 0;
	return true;
}

static bool put_lost(struct con_chan *c, struct con_stream *s)
{
	struct chan_con e = {.kind = CHAN_CON_LOST, .index = s->stage.index, .len = sizeof(u64)};

	if (!s->lost)
		return true;
	memcpy(e.data, &s->lost, sizeof(s->lost));
	if (!ring_put(out_ring(c), &e))
		return false;
	s->lost = 0;
	return true;
}

static bool flush(struct con_chan *c, struct con_stream *s)
{
	return put_stage(c, s) && put_lost(c, s);
}

static void collect(struct con_chan *c, struct con_stream *s, const char *buf, size_t len)
{
	while (len) {
		size_t n = MIN(len, CON_CHAN_DATA - s->stage.len);

		/* After a loss nothing may follow before it is told. */
		if ((s->lost || !n) && !flush(c, s)) {
			s->lost += len;
			return;
		}
		n = MIN(len, CON_CHAN_DATA - s->stage.len);
		memcpy(s->stage.data + s->stage.len, buf, n);
		s->stage.len = (u8)(s->stage.len + n);
		buf += n;
		len -= n;
	}
}

static struct con_stream *stream_of(struct con_chan *c, enum chan_con_kind kind, unsigned index)
{
	if (kind == CHAN_CON_HV)
		return &c->stream[STREAM_HV];
	if (index >= CON_CHAN_PARTITIONS)
		return NULL;
	return &c->stream[2 * index + (kind == CHAN_CON_VGA)];
}

void con_chan_write(struct con_chan *c, enum chan_con_kind kind, unsigned index, const char *buf,
		    size_t len)
{
	struct con_stream *s = stream_of(c, kind, index);

	if (!s || !len)
		return;
	spin_lock(&c->ch->lock);
	if (!c->ch->attached) {
		s->lost += len;
	} else {
		bool idle = ring_drained(out_ring(c));

		collect(c, s, buf, len);
		/* What stays here goes when the daemon has caught up. */
		if (!(idle && flush(c, s)) && ring_ask_room(out_ring(c), true) &&
		    ring_drained(out_ring(c)))
			flush(c, s);
		channel_put_done(c->ch, CHAN_CON_OUT);
	}
	spin_unlock(&c->ch->lock);
}

static void put_record(struct con_chan *c, const char *line, size_t len)
{
	struct chan_con e = {.kind = CHAN_CON_RECORD};

	do {
		e.len = (u8)MIN(len, CON_CHAN_DATA);
		memcpy(e.data, line, e.len);
		line += e.len;
		len -= e.len;
		e.more = len != 0;
	} while (ring_put(out_ring(c), &e) && len);
}

void con_chan_record(struct con_chan *c, const char *line, size_t len)
{
	struct con_stream *s = &c->stream[STREAM_RECORD];

	if (!len)
		return;
	spin_lock(&c->ch->lock);
	if (!c->ch->attached || !put_lost(c, s) ||
	    ring_room(out_ring(c)) < (len + CON_CHAN_DATA - 1) / CON_CHAN_DATA)
		s->lost += len;
	else
		put_record(c, line, len);
	channel_put_done(c->ch, CHAN_CON_OUT);
	spin_unlock(&c->ch->lock);
}

/* The daemon took some. */
static void room(struct con_chan *c)
{
	bool all = true;

	spin_lock(&c->ch->lock);
	ring_ask_room(out_ring(c), false);
	for (unsigned i = 0; i < CON_CHAN_STREAMS && all; i++)
		all = flush(c, &c->stream[i]);
	if (!all)
		ring_ask_room(out_ring(c), true);
	channel_put_done(c->ch, CHAN_CON_OUT);
	spin_unlock(&c->ch->lock);
}

/* --- in: control partition's CPU --- */

static bool next_in(struct con_chan *c)
{
	bool got;

	spin_lock(&c->ch->lock);
	got = ring_get(&c->ch->ring[CHAN_CON_IN], &c->in);
	if (got)
		channel_get_done(c->ch, CHAN_CON_IN);
	if (got && (c->in.kind != CHAN_CON_SERIAL || c->in.len > CON_CHAN_DATA ||
		    c->in.index >= CON_CHAN_PARTITIONS)) {
		channel_violation(c->ch);
		c->in.len = 0;
	}
	spin_unlock(&c->ch->lock);
	c->in_at = c->tries = 0;
	c->held = got;
	return got;
}

/* True when the entry is done with. */
static bool hand_in(struct con_chan *c)
{
	while (c->in_at < c->in.len) {
		if (!c->input(c->ctx, c->in.index, c->in.data[c->in_at]))
			break;
		c->in_at++;
		c->tries = 0;
	}
	if (c->in_at < c->in.len && ++c->tries < CON_CHAN_TRIES)
		return false;
	c->typed_lost += c->in.len - c->in_at;
	c->held = false;
	return true;
}

static void con_bell(struct chan_user *u, u32 rings)
{
	struct con_chan *c = container_of(u, struct con_chan, user);

	if (rings & BIT(CHAN_CON_OUT))
		room(c);
	if (!(rings & BIT(CHAN_CON_IN)))
		return;
	for (unsigned i = 0; i < IN_BATCH && (c->held || next_in(c)); i++)
		if (!hand_in(c))
			return;
}

static void con_attached(struct chan_user *u)
{
	room(container_of(u, struct con_chan, user));
}

/* What was collected is lost with its reader, and so counted. */
static void con_detached(struct chan_user *u)
{
	struct con_chan *c = container_of(u, struct con_chan, user);

	spin_lock(&c->ch->lock);
	for (unsigned i = 0; i < CON_CHAN_STREAMS; i++) {
		c->stream[i].lost += c->stream[i].stage.len;
		c->stream[i].stage.len = 0;
	}
	spin_unlock(&c->ch->lock);
	c->held = false;
}

void con_chan_init(struct con_chan *c, struct channel *ch,
		   bool (*input)(void *ctx, unsigned index, u8 byte), void *ctx)
{
	memset(c, 0, sizeof(*c));
	c->ch = ch;
	c->input = input;
	c->ctx = ctx;
	for (unsigned i = 0; i < STREAM_HV; i++) {
		c->stream[i].stage.kind = i % 2 ? CHAN_CON_VGA : CHAN_CON_SERIAL;
		c->stream[i].stage.index = (u8)(i / 2);
	}
	c->stream[STREAM_HV].stage.kind = CHAN_CON_HV;
	c->stream[STREAM_RECORD].stage.kind = CHAN_CON_RECORD;
	c->user = (struct chan_user){
		.attached = con_attached,
		.detached = con_detached,
		.bell = con_bell,
	};
	channel_add_user(ch, &c->user);
}
