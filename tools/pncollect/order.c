/* Records in order; see order.h.
 *
 * A record of another session is told by its bytes or by its time: numbers and times go up
 * together, so a record that has another text than the one of that number, or a time that does not
 * fit between its neighbours', comes from a hypervisor that started anew.
 *
 * SPDX-License-Identifier: MIT
 */
#include "order.h"

#include <stdlib.h>
#include <string.h>

#define MAX_AHEAD  (1u << 24) /* numbers that may be missing in one piece: hours of records */
#define TIME_SLACK 1000	      /* us: the clocks of two CPUs */

void order_init(struct order *o, const struct order_ops *ops, size_t held_limit)
{
	memset(o, 0, sizeof(*o));
	o->ops = ops;
	o->held_limit = held_limit;
	o->next = 1;
}

/* --- held records ----------------------------------------------------------------------------- */

/* The place of @seq among the held: index of the first that is not lower. */
static size_t place(const struct order *o, u64 seq)
{
	size_t low = 0, high = o->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (o->held[mid].seq < seq)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool grow(struct order *o)
{
	size_t cap = o->cap ? 2 * o->cap : 64;
	struct order_held *held;

	if (o->n < o->cap)
		return true;
	held = realloc(o->held, cap * sizeof(*held));
	if (!held)
		return false;
	o->held = held;
	o->cap = cap;
	return true;
}

static bool hold(struct order *o, size_t at, const struct rec *r)
{
	char *line;

	if (!grow(o))
		return false;
	line = malloc(r->line.len);
	if (!line)
		return false;
	memcpy(line, r->line.p, r->line.len);
	memmove(o->held + at + 1, o->held + at, (o->n - at) * sizeof(*o->held));
	o->held[at].line = line;
	o->held[at].len = (u32)r->line.len;
	o->held[at].seq = r->seq;
	o->held[at].t_us = r->t_us;
	o->held[at].crc = r->crc;
	o->n++;
	o->bytes += r->line.len + sizeof(*o->held);
	return true;
}

static void deliver(struct order *o, const struct rec *r)
{
	o->ring[r->seq % ORDER_RING] = (struct order_known){r->seq, r->t_us, r->crc};
	o->next = r->seq + 1;
	o->ops->deliver(o->ops->ctx, r);
}

/* Deliver the held ones that are in order now. */
static void advance(struct order *o)
{
	size_t done = 0;

	while (done < o->n && o->held[done].seq == o->next) {
		struct order_held *h = &o->held[done++];
		struct rec r;

		o->bytes -= h->len + sizeof(*h);
		if (!rec_parse((struct span){h->line, h->len}, &r))
			deliver(o, &r);
		free(h->line);
	}
	o->n -= done;
	if (done)
		memmove(o->held, o->held + done, o->n * sizeof(*o->held));
}

/* --- gaps ------------------------------------------------------------------------------------- */

bool order_gap(const struct order *o, u64 at, u64 *from, u64 *to)
{
	u64 low = o->next;

	for (size_t i = 0; i < o->n; i++) {
		*from = low;
		*to = o->held[i].seq - 1;
		low = o->held[i].seq + 1;
		if (*from <= *to && *to >= at)
			return true;
	}
	return false;
}

void order_give_up(struct order *o, u64 to, const char *why)
{
	u64 from, end;

	while (order_gap(o, 0, &from, &end) && from <= to) {
		end = MIN(end, to);
		o->skipped[o->nskipped++ % ORDER_SKIPPED] = (struct order_range){from, end};
		o->ops->lost(o->ops->ctx, from, end, end < o->first, why);
		o->next = end + 1;
		advance(o);
	}
}

void order_finish(struct order *o, const char *why)
{
	order_give_up(o, UINT64_MAX - 1, why);
	free(o->held);
	o->held = NULL;
	o->n = o->cap = 0;
}

/* --- arrival ---------------------------------------------------------------------------------- */

static bool was_skipped(const struct order *o, u64 seq)
{
	for (unsigned i = 0; i < MIN(o->nskipped, ORDER_SKIPPED); i++)
		if (seq >= o->skipped[i].from && seq <= o->skipped[i].to)
			return true;
	return false;
}

/* Below @next: delivered or given up. */
static enum order_verdict judge_old(const struct order *o, const struct rec *r)
{
	const struct order_known *k = &o->ring[r->seq % ORDER_RING];

	if (k->seq == r->seq)
		return k->crc == r->crc && k->t_us == r->t_us ? ORDER_AGAIN : ORDER_OTHER;
	return was_skipped(o, r->seq) ? ORDER_LATE : ORDER_OTHER;
}

static bool time_fits(const struct order *o, const struct rec *r, size_t at)
{
	const struct order_known *k = &o->ring[(o->next - 1) % ORDER_RING];

	if (at && o->held[at - 1].t_us > r->t_us + TIME_SLACK)
		return false;
	if (!at && o->next > 1 && k->seq == o->next - 1 && k->t_us > r->t_us + TIME_SLACK)
		return false;
	return at == o->n || r->t_us <= o->held[at].t_us + TIME_SLACK;
}

static enum order_verdict judge(const struct order *o, const struct rec *r, size_t at)
{
	if (!o->max)
		return ORDER_NEW;
	if (r->seq < o->next)
		return judge_old(o, r);
	if (at < o->n && o->held[at].seq == r->seq)
		return o->held[at].crc == r->crc && o->held[at].t_us == r->t_us ? ORDER_AGAIN
										: ORDER_OTHER;
	if (!time_fits(o, r, at) || (r->seq > o->max && r->t_us + TIME_SLACK < o->max_t_us))
		return ORDER_OTHER;
	if (r->seq > o->max && r->seq - o->max > MAX_AHEAD)
		return ORDER_UNBELIEVABLE;
	return ORDER_NEW;
}

enum order_verdict order_add(struct order *o, const struct rec *r)
{
	size_t at = place(o, r->seq);
	enum order_verdict verdict = judge(o, r, at);

	if (verdict != ORDER_NEW)
		return verdict;
	if (r->seq == o->next)
		deliver(o, r);
	else if (!hold(o, at, r))
		return ORDER_UNBELIEVABLE;
	if (!o->max)
		o->first = o->first ? MIN(o->first, r->seq) : r->seq;
	if (r->seq > o->max) {
		o->max = r->seq;
		o->max_t_us = r->t_us;
	}
	advance(o);
	while (o->bytes > o->held_limit)
		order_give_up(o, o->held[0].seq - 1, "too many records wait behind them");
	return ORDER_NEW;
}
