/* Block back end: what a disk or CD controller asks for, whoever serves it (a RAM module now,
 * the control partition's rings later).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_BLK_H
#define HV_DEV_BLK_H

#include "dev/dev.h"

/* One piece of a transfer: hypervisor memory when @buf is set, else guest-physical @gpa. */
struct blk_seg {
	void *buf;
	gpa_t gpa;
	u32 len;
};

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH };

struct blk_req {
	enum blk_op op;
	u64 offset; /* bytes from the start of the medium */
	const struct blk_seg *seg;
	unsigned nseg;
	/* Called once, on the machine's CPU, never from inside blk_submit(). @status is 0 or
	 * negative: -EIO (outside the medium, medium error), -EFAULT (bad guest memory). */
	void (*done)(struct blk_req *req, int status);
	void *arg;
	struct blk_req *next; /* owned by the back end while in flight */
};

struct blk;
struct blk_ops {
	void (*submit)(struct blk *b, struct blk_req *req);
	/* Forget every request of this medium in flight; their done() is not called. */
	void (*cancel)(struct blk *b);
	/* Optional, for media in memory: serve @req at once and return its status. done() is not
	 * called and @req is not kept. */
	int (*rw_now)(struct blk *b, const struct blk_req *req);
};

struct blk {
	const struct blk_ops *ops;
	u64 size; /* bytes */
	bool readonly;
};

/* A medium in hypervisor memory. Writable ones are volatile. Requests complete by a timer due
 * at once, so that completion is seen after the submitting instruction, by interrupt. */
struct blk_ram {
	struct blk blk;
	const struct dev_host *host;
	u8 *data;
	struct timer timer;
	struct blk_req *head, *tail;
};

void blk_ram_init(struct blk_ram *r, const struct dev_host *host, void *data, u64 size, bool ro);

static inline void blk_submit(struct blk *b, struct blk_req *req)
{
	b->ops->submit(b, req);
}

#endif
