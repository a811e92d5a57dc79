/* aio by threads: requests in a queue, eight workers, an eventfd in the loop for what is done.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "aio.h"

#define WORKERS	     8
#define WORKER_STACK (64 * 1024)

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x2
#endif

struct queue {
	struct aio_req *first, **last;
};

struct pool {
	struct loop_source wake;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct queue todo, finished; /* under lock */
	bool stop;		     /* under lock */
	unsigned workers;
	pthread_t worker[WORKERS];
};

static void queue_put(struct queue *q, struct aio_req *r)
{
	r->next = NULL;
	*q->last = r;
	q->last = &r->next;
}

static struct aio_req *queue_get(struct queue *q)
{
	struct aio_req *r = q->first;

	if (r) {
		q->first = r->next;
		if (!q->first)
			q->last = &q->first;
	}
	return r;
}

static s64 one_call(const struct aio_req *r)
{
	struct iovec v = {.iov_base = r->buf + r->moved, .iov_len = r->len - r->moved};
	off_t at = (off_t)(r->offset + r->moved);
	ssize_t n;

	if (r->op == AIO_FSYNC)
		n = fdatasync(r->fd);
	else if (r->op == AIO_READ)
		n = preadv(r->fd, &v, 1, at);
	else
		n = syscall(SYS_pwritev2, r->fd, &v, 1, at, 0, r->dsync ? RWF_DSYNC : 0);
	return n < 0 ? -errno : n;
}

static void finish(struct pool *p, struct aio_req *r)
{
	u64 one = 1;
	ssize_t n;

	pthread_mutex_lock(&p->lock);
	queue_put(&p->finished, r);
	pthread_mutex_unlock(&p->lock);
	n = write(p->wake.fd, &one, sizeof(one));
	(void)n;
}

static struct aio_req *next_job(struct pool *p)
{
	struct aio_req *r = NULL;

	pthread_mutex_lock(&p->lock);
	while (!p->stop && !(r = queue_get(&p->todo)))
		pthread_cond_wait(&p->more, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return r;
}

static void *work(void *arg)
{
	struct aio_req *r;

	while ((r = next_job(arg))) {
		while (!aio_advance(r, one_call(r)))
			;
		finish(arg, r);
	}
	return NULL;
}

static void threads_submit(struct aio *a, struct aio_req *r)
{
	struct pool *p = a->priv;

	pthread_mutex_lock(&p->lock);
	queue_put(&p->todo, r);
	pthread_cond_signal(&p->more);
	pthread_mutex_unlock(&p->lock);
}

static void reap(void *arg, u32 events)
{
	struct aio *a = arg;
	struct pool *p = a->priv;
	u64 count;
	ssize_t n = read(p->wake.fd, &count, sizeof(count));

	(void)n;
	(void)events;
	for (;;) {
		struct aio_req *r;

		pthread_mutex_lock(&p->lock);
		r = queue_get(&p->finished);
		pthread_mutex_unlock(&p->lock);
		if (!r)
			return;
		r->done(r, r->result);
	}
}

static void threads_close(struct aio *a)
{
	struct pool *p = a->priv;

	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->workers; i++)
		pthread_join(p->worker[i], NULL);
	loop_remove(a->loop, &p->wake);
	close(p->wake.fd);
	free(p);
}

/* Workers take no signals: they are the loop's, by signalfd. */
static int start_workers(struct pool *p)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WORKER_STACK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (!rc && p->workers < WORKERS) {
		rc = pthread_create(&p->worker[p->workers], &attr, work, p);
		p->workers += rc == 0;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return p->workers ? 0 : -rc;
}

static int threads_open(struct aio *a, unsigned depth)
{
	struct pool *p = calloc(1, sizeof(*p));
	int rc;

	(void)depth;
	if (!p)
		return -ENOMEM;
	p->todo.last = &p->todo.first;
	p->finished.last = &p->finished.first;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	p->wake = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = reap, .arg = a};
	a->priv = p;
	rc = p->wake.fd < 0 ? -errno : loop_add(a->loop, &p->wake, EPOLLIN);
	if (!rc)
		rc = start_workers(p);
	if (rc)
		threads_close(a);
	return rc;
}

const struct aio_ops aio_threads = {
	.name = "threads",
	.open = threads_open,
	.submit = threads_submit,
	.close = threads_close,
};
