/* Reads, writes and syncs of files that complete later: io_uring, or a pool of threads where the
 * kernel has none.
 *
 * io_uring first: the control partition has one CPU, and a request that needs no thread costs no
 * switches; with O_DIRECT on a device the kernel completes it by itself.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_AIO_H
#define PENUMBRAD_AIO_H

#include "../lib/loop.h"

enum aio_op { AIO_READ, AIO_WRITE, AIO_FSYNC };

struct aio_req {
	enum aio_op op;
	int fd;
	bool dsync; /* WRITE: done when the data is on the medium (RWF_DSYNC) */
	u8 *buf;
	u32 len;    /* bytes */
	u64 offset; /* bytes */
	/* @result: 0 when all of @len was moved, or -errno. A file that ends within a read is
	 * -EIO. Called from the loop; the request is the caller's again. */
	void (*done)(struct aio_req *r, int result);
	/* of the implementation */
	u32 moved;
	int result;
	struct aio_req *next;
};

struct aio;

struct aio_ops {
	const char *name;
	int (*open)(struct aio *a, unsigned depth);
	/* Take @r; its done() is never called from here. */
	void (*submit)(struct aio *a, struct aio_req *r);
	/* End of a turn: hand over what submit() collected. May be NULL. */
	void (*flush)(struct aio *a);
	void (*close)(struct aio *a);
};

struct aio {
	const struct aio_ops *ops;
	struct loop *loop;
	void *priv;
	u64 requests; /* begun since start */
};

extern const struct aio_ops aio_uring, aio_threads;

/* The first of aio_uring, aio_threads that works. At most @depth requests may be open at a time;
 * the caller counts. 0 or -errno. */
int aio_open(struct aio *a, struct loop *loop, unsigned depth);
void aio_submit(struct aio *a, struct aio_req *r);
void aio_flush(struct aio *a);
void aio_close(struct aio *a);

/* For implementations: @n is what one read or write call gave (bytes or -errno). True: @r is ready
 * with r->result; false: the rest must be asked for (r->moved bytes are done). */
bool aio_advance(struct aio_req *r, s64 n);

#endif
