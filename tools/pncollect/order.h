/* Records of one session of the hypervisor, put in order: which are here, which are missing.
 *
 * They are given on in the order of their numbers, each once. What comes behind a gap is held until
 * the gap is filled or given up.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCOLLECT_ORDER_H
#define PNCOLLECT_ORDER_H

#include "rec.h"

#define ORDER_RING    8192 /* delivered records that a repetition can be compared with */
#define ORDER_SKIPPED 64   /* ranges given up that may yet come late */

struct order_held {
	u64 seq, t_us;
	u32 crc;
	u32 len;
	char *line;
};

struct order_known {
	u64 seq, t_us;
	u32 crc;
};

struct order_range {
	u64 from, to;
};

struct order_ops {
	void (*deliver)(void *ctx, const struct rec *r);
	/* @before: records from before the reader came to the line. */
	void (*lost)(void *ctx, u64 from, u64 to, bool before, const char *why);
	void *ctx;
};

struct order {
	const struct order_ops *ops;
	size_t held_limit; /* bytes */
	u64 next;	   /* lowest neither delivered nor given up */
	u64 first;	   /* that arrived, or came damaged before any arrived; 0: none */
	u64 max;	   /* highest that arrived; 0: none */
	u64 max_t_us;
	struct order_held *held; /* by number, all above @next */
	size_t n, cap, bytes;
	struct order_known ring[ORDER_RING];
	struct order_range skipped[ORDER_SKIPPED];
	unsigned nskipped;
};

enum order_verdict {
	ORDER_NEW,
	ORDER_AGAIN,	   /* a repetition, byte-identical */
	ORDER_LATE,	   /* given up before; too late to stand in its place */
	ORDER_OTHER,	   /* not of this session: the hypervisor has started again */
	ORDER_UNBELIEVABLE /* too far ahead to be true, or no memory */
};

void order_init(struct order *o, const struct order_ops *ops, size_t held_limit);
/* Take a valid record. What is in order now is delivered. */
enum order_verdict order_add(struct order *o, const struct rec *r);
/* The first gap that ends at or above @at: @from to @to are missing. */
bool order_gap(const struct order *o, u64 at, u64 *from, u64 *to);
/* Give up what is missing up to and including @to; what was behind it is delivered. */
void order_give_up(struct order *o, u64 to, const char *why);
/* Give up all gaps, deliver all and release memory. */
void order_finish(struct order *o, const char *why);

#endif
