/* aio by io_uring, by system calls alone: one ring for submissions and one for completions shared
 * with the kernel, an eventfd in the loop for the latter.
 *
 * Buffers are not registered: Linux 6.1 splits those into pages of 4 KiB, each a segment of its own
 * down to the device, where it takes a request's piece of a 2 MiB page as one.
 *
 * See io_uring_setup(2), io_uring_enter(2).
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "aio.h"

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x2
#endif

struct uring {
	int fd;
	struct loop_source wake;
	void *rings;
	size_t rings_size;
	struct io_uring_sqe *sqes;
	size_t sqes_size;
	u32 *sq_head, *sq_tail, *sq_array;
	u32 *cq_head, *cq_tail;
	struct io_uring_cqe *cqes;
	u32 sq_mask, sq_entries, cq_mask;
	u32 tail;	/* of submissions written, the kernel is told by flush() */
	unsigned ready; /* written, not yet taken by the kernel */
};

static int enter(struct uring *u, unsigned submit)
{
	int n;

	do {
		n = (int)syscall(SYS_io_uring_enter, u->fd, submit, 0, 0, NULL, 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void uring_flush(struct aio *a)
{
	struct uring *u = a->priv;

	while (u->ready) {
		int n = enter(u, u->ready);

		if (n <= 0)
			break; /* EAGAIN, EBUSY: completions must be taken first; they wake us */
		u->ready -= (unsigned)n;
	}
}

static void fill(struct io_uring_sqe *s, const struct aio_req *r)
{
	*s = (struct io_uring_sqe){.fd = r->fd, .user_data = (uintptr_t)r};
	if (r->op == AIO_FSYNC) {
		s->opcode = IORING_OP_FSYNC;
		s->fsync_flags = IORING_FSYNC_DATASYNC;
		return;
	}
	s->opcode = r->op == AIO_READ ? IORING_OP_READ : IORING_OP_WRITE;
	s->addr = (uintptr_t)(r->buf + r->moved);
	s->len = r->len - r->moved;
	s->off = r->offset + r->moved;
	if (r->dsync)
		s->rw_flags = RWF_DSYNC;
}

/* One into the ring. The caller keeps to the depth, so there is room once the kernel was told. */
static void put(struct aio *a, struct aio_req *r)
{
	struct uring *u = a->priv;
	u32 i = u->tail & u->sq_mask;

	if (u->tail - __atomic_load_n(u->sq_head, __ATOMIC_ACQUIRE) >= u->sq_entries)
		uring_flush(a);
	fill(&u->sqes[i], r);
	u->sq_array[i] = i;
	u->tail++;
	__atomic_store_n(u->sq_tail, u->tail, __ATOMIC_RELEASE);
	u->ready++;
}

static void uring_submit(struct aio *a, struct aio_req *r)
{
	put(a, r);
}

static void reap(void *arg, u32 events)
{
	struct aio *a = arg;
	struct uring *u = a->priv;
	u32 head = *u->cq_head;
	u64 count;
	ssize_t n = read(u->wake.fd, &count, sizeof(count));

	(void)n;
	(void)events;
	while (head != __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE)) {
		struct io_uring_cqe c = u->cqes[head & u->cq_mask];
		struct aio_req *r = (struct aio_req *)(uintptr_t)c.user_data;

		__atomic_store_n(u->cq_head, ++head, __ATOMIC_RELEASE);
		if (aio_advance(r, c.res))
			r->done(r, r->result);
		else
			put(a, r);
	}
}

static void map_pointers(struct uring *u, const struct io_uring_params *p)
{
	u8 *base = u->rings;

	u->sq_head = (void *)(base + p->sq_off.head);
	u->sq_tail = (void *)(base + p->sq_off.tail);
	u->sq_array = (void *)(base + p->sq_off.array);
	u->sq_mask = *(u32 *)(void *)(base + p->sq_off.ring_mask);
	u->sq_entries = p->sq_entries;
	u->cq_head = (void *)(base + p->cq_off.head);
	u->cq_tail = (void *)(base + p->cq_off.tail);
	u->cq_mask = *(u32 *)(void *)(base + p->cq_off.ring_mask);
	u->cqes = (void *)(base + p->cq_off.cqes);
	u->tail = *u->sq_tail;
}

static int map_rings(struct uring *u, const struct io_uring_params *p)
{
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(u32);
	size_t cq = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;

	if (!(p->features & IORING_FEAT_SINGLE_MMAP))
		return -ENOSYS;
	u->rings_size = MAX(sq, cq);
	u->rings = mmap(NULL, u->rings_size, prot, flags, u->fd, IORING_OFF_SQ_RING);
	if (u->rings == MAP_FAILED)
		return -errno;
	u->sqes_size = p->sq_entries * sizeof(struct io_uring_sqe);
	u->sqes = mmap(NULL, u->sqes_size, prot, flags, u->fd, IORING_OFF_SQES);
	if (u->sqes == MAP_FAILED) {
		int rc = -errno;

		munmap(u->rings, u->rings_size);
		return rc;
	}
	map_pointers(u, p);
	return 0;
}

static int watch(struct aio *a, struct uring *u)
{
	u->wake = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = reap, .arg = a};
	if (u->wake.fd < 0)
		return -errno;
	if (syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_EVENTFD, &u->wake.fd, 1) < 0)
		return -errno;
	return loop_add(a->loop, &u->wake, EPOLLIN);
}

static void uring_close(struct aio *a)
{
	struct uring *u = a->priv;

	loop_remove(a->loop, &u->wake);
	if (u->wake.fd >= 0)
		close(u->wake.fd);
	munmap(u->sqes, u->sqes_size);
	munmap(u->rings, u->rings_size);
	close(u->fd);
	free(u);
}

static int uring_open(struct aio *a, unsigned depth)
{
	struct io_uring_params p = {0};
	struct uring *u = calloc(1, sizeof(*u));
	int rc;

	if (!u)
		return -ENOMEM;
	u->fd = (int)syscall(SYS_io_uring_setup, depth, &p);
	if (u->fd < 0) {
		rc = -errno;
		free(u);
		return rc;
	}
	rc = map_rings(u, &p);
	if (rc) {
		close(u->fd);
		free(u);
		return rc;
	}
	a->priv = u;
	rc = watch(a, u);
	if (rc)
		uring_close(a);
	return rc;
}

const struct aio_ops aio_uring = {
	.name = "io_uring",
	.open = uring_open,
	.submit = uring_submit,
	.flush = uring_flush,
	.close = uring_close,
};
