/* The collector: bytes of the serial line in; logs, records in order and requests for damaged
 * records out.
 *
 * Pure: it is told the time and writes through its operations, so that it is tested on the host
 * against the hypervisor's own multiplexer over a simulated bad line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCOLLECT_COLLECT_H
#define PNCOLLECT_COLLECT_H

#include "demux.h"
#include "order.h"

#define COLLECT_NEVER UINT64_MAX

struct collect_ops {
	void (*text)(void *ctx, const char *name, struct span text);
	void (*record)(void *ctx, const struct rec *r); /* in order, each once */
	void (*seen)(void *ctx, const struct rec *r);	/* at once, each once */
	void (*bulk)(void *ctx, const struct rec *r);	/* seq 0: outside the order */
	void (*lost)(void *ctx, u64 from, u64 to, bool before, const char *why);
	void (*session)(void *ctx, unsigned n); /* what follows is of the n-th, from 2 */
	/* Type on the line; NULL when it goes one way only. */
	void (*send)(void *ctx, const char *bytes, size_t n);
	void *ctx;
};

/* One request for records at a time. */
struct collect_ask {
	bool open;
	bool tail;	      /* for what may have been written behind the last that is known */
	u64 from, to;	      /* what was asked for */
	u64 sent_ns;	      /* when */
	u64 deadline_ns;      /* until when an answer may come */
	u64 earliest_ns;      /* of the next request */
	u64 rtt_ns;	      /* from a request to the first of its answer, smoothed */
	unsigned tries;	      /* without any answer */
	u64 front;	      /* first missing record ... */
	unsigned front_tries; /* ... and how often it was asked for in vain */
	bool rtt_pending;     /* nothing of the answer has come yet */
	bool answers;	      /* the line has ever answered */
	bool mute;	      /* it was given up on */
};

struct collect {
	struct collect_ops ops;
	struct lines lines;
	struct demux demux;
	struct order order;
	struct order_ops order_ops;
	struct collect_ask ask;
	u64 now_ns;
	u64 patience_ns; /* on a one-way line: how long a gap may wait; COLLECT_NEVER: to the end */
	u64 gap_since_ns;
	u64 idle_ns; /* silence after which the tail is asked for; COLLECT_NEVER: no asking */
	u64 idle_next_ns;
	u64 last_record_ns;
	bool hold;	/* no request now: a person is amid a key sequence */
	bool alive;	/* the hypervisor has been heard: before, bytes would go to its loader */
	bool suspect;	/* a record behind the last known one may have been damaged */
	u64 suspect_ns; /* since */
	u64 tail_pause_ns, tail_next_ns;
	unsigned sessions;
	u64 records, damaged, again, late, requests;
};

/* @held_limit: bytes of records that may wait behind a gap. */
void collect_init(struct collect *c, const struct collect_ops *ops, size_t held_limit);
void collect_feed(struct collect *c, const char *data, size_t n, u64 now_ns);
/* Ask for the tail when no record has come for @idle_ns (COLLECT_NEVER: do not). */
void collect_watch_idle(struct collect *c, u64 idle_ns);
/* Time has passed: ask if that is due. Returns when to call again at the latest. */
u64 collect_tick(struct collect *c, u64 now_ns);
/* Is something missing that may still come? */
bool collect_wants_more(const struct collect *c);
/* The end of the line: gaps are given up, everything is delivered. */
void collect_finish(struct collect *c);

#endif
