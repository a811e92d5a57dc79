/* Choice of the implementation, and what both share.
 *
 * SPDX-License-Identifier: MIT
 */
#include "aio.h"

#include <errno.h>
#include <string.h>

#include "../lib/say.h"

int aio_open(struct aio *a, struct loop *loop, unsigned depth)
{
	int rc;

	*a = (struct aio){.ops = &aio_uring, .loop = loop};
	rc = a->ops->open(a, depth);
	if (!rc)
		return 0;
	say("io_uring is not to be had (%s): threads instead", strerror(-rc));
	a->ops = &aio_threads;
	return a->ops->open(a, depth);
}

void aio_submit(struct aio *a, struct aio_req *r)
{
	r->moved = 0;
	r->result = 0;
	a->requests++;
	a->ops->submit(a, r);
}

void aio_flush(struct aio *a)
{
	if (a->ops->flush)
		a->ops->flush(a);
}

void aio_close(struct aio *a)
{
	a->ops->close(a);
}

bool aio_advance(struct aio_req *r, s64 n)
{
	if (n == -EINTR)
		return false;
	if (n < 0) {
		r->result = (int)n;
		return true;
	}
	if (r->op == AIO_FSYNC)
		return true;
	if (n == 0 || n > r->len - r->moved) {
		r->result = -EIO;
		return true;
	}
	r->moved += (u32)n;
	return r->moved == r->len;
}
