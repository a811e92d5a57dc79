/* Block back end: what a disk or CD controller asks for, whoever serves it (a RAM module now,
 * the control partition's rings later).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_BLK_H
#define HV_DEV_BLK_H

#include "dev/dev.h"

/* Most that one request has; a back end with a smaller limit of its own splits it. */
#define BLK_MAX_SEGS  256u
#define BLK_MAX_BYTES (1024u * 1024)

/* One piece of a transfer: hypervisor memory when @buf is set, else guest-physical @gpa. */
struct blk_seg {
	void *buf;
	gpa_t gpa;
	u32 len;
};

/* FLUSH: every write whose done(0) came before it is on stable storage when its own done(0) comes;
 * it has no segments. */
enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH };

struct blk_req {
	enum blk_op op;
	bool fua;   /* a WRITE that is on stable storage when done(0) comes */
	u64 offset; /* bytes from the start of the medium; a multiple of 512, as is the sum */
	const struct blk_seg *seg; /* valid until done() */
	unsigned nseg;
	/* Called once, on the machine's CPU, never from inside blk_submit(); requests may end in
	 * any order. @status is 0 or negative: -EIO (outside the medium, read-only, medium error),
	 * -EFAULT (bad guest memory). Guest memory is touched only between submit and done. */
	void (*done)(struct blk_req *req, int status);
	void *arg;
	struct blk_req *next; /* owned by the back end while in flight */
};

struct blk;
struct blk_ops {
	/* Always takes @req: what the back end has no room for yet waits in its list. */
	void (*submit)(struct blk *b, struct blk_req *req);
	/* A batch of submit() has ended: whoever serves the medium may be told. Optional. */
	void (*submit_end)(struct blk *b);
	/* Forget every request of this medium in flight; their done() is not called. */
	void (*cancel)(struct blk *b);
	/* Optional, for media in memory: serve @req at once and return its status. done() is not
	 * called and @req is not kept. */
	int (*rw_now)(struct blk *b, const struct blk_req *req);
};

struct blk {
	const struct blk_ops *ops;
	/* May change while the machine is in reset only (a back end that opens its medium late);
	 * the chips read them at reset or later. */
	u64 size; /* bytes; 0: no medium yet, every request fails */
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

/* @data: @size bytes of the hypervisor's address space. */
void blk_ram_init(struct blk_ram *r, const struct dev_host *host, void *data, u64 size, bool ro);

/* Each batch ends with blk_submit_end(). */
static inline void blk_submit(struct blk *b, struct blk_req *req)
{
	b->ops->submit(b, req);
}
static inline void blk_submit_end(struct blk *b)
{
	if (b->ops->submit_end)
		b->ops->submit_end(b);
}

#endif
