/* The collector; see collect.h.
 *
 * Asking. A gap between two records is asked for at once, one request at a time, neighbouring gaps
 * together. The answer comes behind what the line's ring already holds, so the time allowed for it
 * is learned, grows with each attempt and starts again with each record of the answer. A record
 * damaged at the very end leaves no gap: where a line looks like a damaged record, or nothing has
 * come for long, the number behind the last one is asked for. "Not written yet" is an answer and a
 * record of its own, so this is done rarely, and less and less often.
 *
 * SPDX-License-Identifier: MIT
 */
#include "collect.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MS	       NSEC_PER_MSEC
#define FIRST_RTT_NS   (1000 * MS)
#define MIN_WAIT_NS    (400 * MS)
#define MAX_WAIT_NS    (60000 * MS)
#define BETWEEN_NS     (50 * MS)
#define SUSPECT_NS     (300 * MS) /* the next record would show the gap */
#define TAIL_PAUSE_NS  (5000 * MS)
#define TAIL_PAUSE_MAX (300000 * MS)
#define TRIES	       20 /* without any answer, of a line that has answered before */
#define TRIES_UNKNOWN  4  /* of one that never has */
#define TRIES_FRONT    60 /* for one record, whatever else comes */
#define JOIN_RECORDS   8  /* between two gaps that are asked for together */

/* --- asking ----------------------------------------------------------------------------------- */

static u64 wait_ns(const struct collect_ask *a)
{
	/* A request that was damaged itself must be made again while the records are still kept:
	 * with much to report that is seconds, so the first repetitions come soon. */
	u64 ns = (a->rtt_ns + a->rtt_ns / 4 + MIN_WAIT_NS)
		 << (a->tries > 2 ? MIN(a->tries - 2, 6) : 0);

	return MIN(ns, MAX_WAIT_NS);
}

static void send_request(struct collect *c, u64 from, u64 to, bool tail)
{
	struct collect_ask *a = &c->ask;
	char text[64];
	int n = snprintf(text, sizeof(text), "\x1dr%" PRIu64 "-%" PRIu64 "\n", from, to);

	a->open = a->rtt_pending = true;
	a->tail = tail;
	a->from = from;
	a->to = to;
	a->sent_ns = c->now_ns;
	a->deadline_ns = c->now_ns + wait_ns(a);
	a->earliest_ns = c->now_ns + BETWEEN_NS;
	c->requests++;
	c->ops.send(c->ops.ctx, text, (size_t)n);
}

/* Something of the answer has come. */
static void answered(struct collect *c)
{
	struct collect_ask *a = &c->ask;

	if (a->rtt_pending) {
		u64 rtt = c->now_ns - a->sent_ns;

		a->rtt_ns = a->tries ? MAX(a->rtt_ns, rtt) : (3 * a->rtt_ns + rtt) / 4;
		a->rtt_pending = false;
	}
	a->tries = 0;
	a->answers = true;
	a->mute = false;
	a->deadline_ns = c->now_ns + wait_ns(a);
}

static void close_request(struct collect *c)
{
	c->ask.open = false;
	c->ask.earliest_ns = MAX(c->ask.earliest_ns, c->now_ns + BETWEEN_NS);
}

/* The first gap and those close behind it. */
static bool gap_to_ask(const struct collect *c, u64 *from, u64 *to)
{
	u64 next_from, next_to;

	if (!order_gap(&c->order, 0, from, to))
		return false;
	while (order_gap(&c->order, *to + 1, &next_from, &next_to) &&
	       next_from - *to <= JOIN_RECORDS)
		*to = next_to;
	return true;
}

/* No answer in time. */
static void unanswered(struct collect *c)
{
	struct collect_ask *a = &c->ask;
	unsigned limit = a->answers ? TRIES : a->mute ? 1 : TRIES_UNKNOWN;
	u64 from, to;

	close_request(c);
	if (a->front != c->order.next)
		a->front_tries = 0;
	a->front = c->order.next;
	a->front_tries++;
	if (a->rtt_pending) /* else part of it came: the rest was damaged or is late */
		a->tries++;
	if (a->tries < limit && a->front_tries < TRIES_FRONT)
		return;
	a->front_tries = 0;
	a->tries = 0;
	if (!a->answers)
		a->mute = true;
	if (a->tail)
		c->suspect = false;
	else if (order_gap(&c->order, 0, &from, &to))
		order_give_up(&c->order, to, "the line does not answer requests");
}

static void ask_gap(struct collect *c)
{
	u64 from, to;

	if (gap_to_ask(c, &from, &to))
		send_request(c, from, to, false);
}

static u64 tail_due(const struct collect *c)
{
	u64 due = COLLECT_NEVER;

	if (c->suspect)
		due = MAX(c->suspect_ns + SUSPECT_NS, c->tail_next_ns);
	if (c->idle_ns != COLLECT_NEVER)
		due = MIN(due, c->last_record_ns + c->idle_next_ns);
	return MAX(due, c->ask.earliest_ns);
}

static void ask_tail(struct collect *c)
{
	if (c->idle_ns != COLLECT_NEVER && c->last_record_ns + c->idle_next_ns <= c->now_ns)
		c->idle_next_ns = MIN(2 * c->idle_next_ns, TAIL_PAUSE_MAX);
	c->suspect = true;
	c->tail_next_ns = c->now_ns + c->tail_pause_ns;
	send_request(c, c->order.max + 1, c->order.max + 1, true);
}

static u64 tick_asking(struct collect *c)
{
	struct collect_ask *a = &c->ask;
	u64 from, to;

	if (a->open && c->now_ns >= a->deadline_ns)
		unanswered(c);
	if (a->open)
		return a->deadline_ns;
	if (!c->alive || c->hold)
		return COLLECT_NEVER;
	if (order_gap(&c->order, 0, &from, &to)) {
		if (c->now_ns < a->earliest_ns)
			return a->earliest_ns;
		ask_gap(c);
		return a->deadline_ns;
	}
	if (c->now_ns < tail_due(c))
		return tail_due(c);
	ask_tail(c);
	return a->deadline_ns;
}

/* Nobody can be asked: a gap closes by what others asked for, or not. */
static u64 tick_waiting(struct collect *c)
{
	u64 from, to;

	if (!order_gap(&c->order, 0, &from, &to))
		c->gap_since_ns = c->now_ns;
	else if (c->patience_ns != COLLECT_NEVER && c->now_ns >= c->gap_since_ns + c->patience_ns)
		order_give_up(&c->order, to, "the line goes one way only");
	else if (c->patience_ns != COLLECT_NEVER)
		return c->gap_since_ns + c->patience_ns;
	return COLLECT_NEVER;
}

u64 collect_tick(struct collect *c, u64 now_ns)
{
	c->now_ns = now_ns;
	return c->ops.send ? tick_asking(c) : tick_waiting(c);
}

bool collect_wants_more(const struct collect *c)
{
	u64 from, to;

	return order_gap(&c->order, 0, &from, &to) || (c->ops.send && c->suspect);
}

/* --- records ---------------------------------------------------------------------------------- */

/* What the hypervisor says about a request. */
static void resend_error(struct collect *c, const struct rec *r)
{
	char where[16], message[64];
	u64 from, to;

	if (strcmp(r->type, "error") || !rec_text(r, "where", where, sizeof(where)) ||
	    strcmp(where, "resend") || !rec_text(r, "message", message, sizeof(message)) ||
	    !rec_u64(r, "from", &from) || !rec_u64(r, "to", &to) || to >= r->seq + UINT32_MAX)
		return;
	if (strstr(message, "no longer kept")) {
		if (c->ask.open && from >= c->ask.from && from <= c->ask.to)
			answered(c);
		order_give_up(&c->order, MIN(to, r->seq - 1), message);
	} else if (c->ask.open && c->ask.tail && from == c->ask.from) {
		answered(c); /* nothing was lost: this record itself has the number */
		close_request(c);
		c->suspect = false;
		c->tail_pause_ns = MIN(2 * c->tail_pause_ns, TAIL_PAUSE_MAX);
		c->tail_next_ns = c->now_ns + c->tail_pause_ns;
	}
}

/* A gap or the tail that was asked for is filled. */
static void settle_request(struct collect *c, const struct rec *r)
{
	struct collect_ask *a = &c->ask;
	u64 from, to;

	if (a->open && r->seq >= a->from && r->seq <= a->to)
		answered(c);
	if (a->open && !a->tail && (!order_gap(&c->order, 0, &from, &to) || from > a->to))
		close_request(c);
	if (a->open && a->tail && r->seq >= a->from)
		close_request(c);
}

/* Partitions that the record names have logs of their own. */
static void learn_names(struct collect *c, const struct rec *r)
{
	char name[DEMUX_NAME_MAX], vga[DEMUX_NAME_MAX + 8];
	struct span memory, guests, key, value;
	bool boot = !strcmp(r->type, "boot");

	if (rec_text(r, strcmp(r->type, "guest") ? "guest" : "name", name, sizeof(name))) {
		snprintf(vga, sizeof(vga), "%s:vga", name);
		demux_know(&c->demux, name);
		demux_know(&c->demux, vga);
	}
	if (!boot || !json_member(r->line, "memory", &memory) ||
	    !json_member(memory, "guests", &guests))
		return;
	for (struct json_walk w = json_walk(guests); json_next(&w, &key, &value);) {
		snprintf(name, sizeof(name), "%.*s", (int)MIN(key.len, 20), key.p);
		snprintf(vga, sizeof(vga), "%s:vga", name);
		demux_know(&c->demux, name);
		demux_know(&c->demux, vga);
	}
}

static void start_session(struct collect *c)
{
	order_finish(&c->order, "the hypervisor started again");
	demux_flush(&c->demux);
	order_init(&c->order, &c->order_ops, c->order.held_limit);
	c->ask.open = c->suspect = false;
	c->demux.focus[0] = '\0';
	c->tail_pause_ns = TAIL_PAUSE_NS;
	c->sessions++;
	c->ops.session(c->ops.ctx, c->sessions);
}

static void new_record(struct collect *c, const struct rec *r)
{
	u64 from, to;

	c->records++;
	c->last_record_ns = c->now_ns;
	if (!order_gap(&c->order, 0, &from, &to))
		c->gap_since_ns = c->now_ns;
	if (r->seq == c->order.max && !(c->ask.open && c->ask.tail)) {
		c->suspect = false; /* whatever was damaged before it is a gap now */
		c->idle_next_ns = c->idle_ns;
	}
	c->ops.seen(c->ops.ctx, r);
	learn_names(c, r);
	resend_error(c, r);
	settle_request(c, r);
	if (r->seq == c->order.max && c->ask.tail && !c->ask.open)
		c->suspect = false;
}

/* The number that a damaged record seems to have; 0 for bulk data; UINT64_MAX: none to be seen. */
static u64 apparent_seq(struct span line)
{
	static const char key[] = "{\"pnb\":1,\"seq\":";
	const size_t start = sizeof(key) - 1;
	size_t i = start;
	u64 seq = 0;

	if (line.len <= start || memcmp(line.p, key, start))
		return UINT64_MAX;
	for (; i < line.len && i < start + 15 && line.p[i] >= '0' && line.p[i] <= '9'; i++)
		seq = seq * 10 + (u64)(line.p[i] - '0');
	return i < line.len && i > start && line.p[i] == ',' ? seq : UINT64_MAX;
}

static void damaged(struct collect *c, struct span line)
{
	u64 seq = apparent_seq(line);

	c->damaged++;
	/* The reader was there when it came: if it stays away, it is lost. */
	if (!c->order.max && seq && seq != UINT64_MAX)
		c->order.first = c->order.first ? MIN(c->order.first, seq) : seq;
	/* A repetition that was damaged on its way leaves its gap open: nothing more to do. */
	if (c->suspect || seq <= c->order.max)
		return;
	c->suspect = true;
	c->suspect_ns = c->now_ns;
}

static void record_line(struct collect *c, struct span line)
{
	struct rec r;

	if (rec_parse(line, &r)) {
		damaged(c, line);
		return;
	}
	c->alive = true;
	if (!r.seq) {
		c->ops.bulk(c->ops.ctx, &r);
		return;
	}
	switch (order_add(&c->order, &r)) {
	case ORDER_AGAIN:
		c->again++;
		settle_request(c, &r);
		return;
	case ORDER_LATE:
		c->late++;
		return;
	case ORDER_UNBELIEVABLE:
		c->damaged++;
		return;
	case ORDER_OTHER:
		start_session(c);
		order_add(&c->order, &r);
		break;
	case ORDER_NEW:
		break;
	}
	new_record(c, &r);
}

static void take_line(void *ctx, struct span line, enum line_end end)
{
	struct collect *c = ctx;

	if (rec_claims(line) && end != LINE_MORE && !c->demux.in_piece) {
		record_line(c, line);
		return;
	}
	if (rec_traces(line))
		damaged(c, line);
	if (line.len >= 4 && !memcmp(line.p, "hv| ", 4))
		c->alive = true;
	demux_line(&c->demux, line, end);
}

void collect_feed(struct collect *c, const char *data, size_t n, u64 now_ns)
{
	c->now_ns = now_ns;
	lines_feed(&c->lines, data, n);
}

void collect_watch_idle(struct collect *c, u64 idle_ns)
{
	c->idle_ns = c->idle_next_ns = idle_ns;
}

void collect_finish(struct collect *c)
{
	lines_finish(&c->lines);
	order_finish(&c->order, "the line ended");
	demux_flush(&c->demux);
}

void collect_init(struct collect *c, const struct collect_ops *ops, size_t held_limit)
{
	memset(c, 0, sizeof(*c));
	c->ops = *ops;
	c->lines.line = take_line;
	c->lines.ctx = c;
	c->lines.len = 0;
	demux_init(&c->demux, ops->text, ops->ctx);
	c->order_ops = (struct order_ops){ops->record, ops->lost, ops->ctx};
	order_init(&c->order, &c->order_ops, held_limit);
	c->ask.rtt_ns = FIRST_RTT_NS;
	c->patience_ns = c->idle_ns = c->idle_next_ns = COLLECT_NEVER;
	c->tail_pause_ns = TAIL_PAUSE_NS;
	c->sessions = 1;
}
