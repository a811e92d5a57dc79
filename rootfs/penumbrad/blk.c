/* Block requests: checked, ordered where they must be, handed to the aio, answered.
 *
 * A request may come twice, before and after a restart of the daemon: reads, writes to a place and
 * flushes may all be done again.
 *
 * SPDX-License-Identifier: MIT
 */
#include "blk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../lib/say.h"

enum medium_error { ERROR_NOSPACE, ERROR_READ, ERROR_WRITE, ERROR_FLUSH };

void blk_init(struct blk *b, struct area *area, struct aio *aio, const struct medium_search *s,
	      u64 open_patience_ns)
{
	memset(b, 0, sizeof(*b));
	b->area = area;
	b->aio = aio;
	b->search = *s;
	b->open_patience_ns = open_patience_ns;
	b->answers_tail = &b->answers;
	for (unsigned i = 0; i < BLK_REQUESTS; i++) {
		b->work[i].blk = b;
		b->work[i].next = b->free;
		b->free = &b->work[i];
	}
}

/* --- answers --- */

static void work_free(struct blk_work *w)
{
	struct blk *b = w->blk;

	w->next = b->free;
	b->free = w;
	b->busy--;
}

static void answer(struct blk_work *w, int status)
{
	struct blk *b = w->blk;

	w->done.id = w->req.id;
	w->done.status = status;
	if (!b->answers && area_put(b->area, CHAN_BLK_DONE, &w->done)) {
		work_free(w);
		return;
	}
	w->next = NULL;
	*b->answers_tail = w;
	b->answers_tail = &w->next;
}

static void put_answers(struct blk *b)
{
	while (b->answers && area_put(b->area, CHAN_BLK_DONE, &b->answers->done)) {
		struct blk_work *w = b->answers;

		b->answers = w->next;
		if (!b->answers)
			b->answers_tail = &b->answers;
		work_free(w);
	}
	ring_ask_room(&b->area->ring[CHAN_BLK_DONE], b->answers != NULL);
}

/* --- media --- */

static struct medium_state *medium_find(struct blk *b, u32 id)
{
	for (unsigned i = 0; i < MEDIA_MAX; i++) {
		if (b->media[i].medium.used && b->media[i].medium.id == id)
			return &b->media[i];
	}
	return NULL;
}

static struct medium_state *medium_unused(struct blk *b)
{
	for (unsigned i = 0; i < MEDIA_MAX; i++) {
		if (!b->media[i].medium.used)
			return &b->media[i];
	}
	return NULL;
}

static const char *error_word(enum medium_error e)
{
	static const char *const words[] = {[ERROR_NOSPACE] = "no room on the medium for",
					    [ERROR_READ] = "cannot read",
					    [ERROR_WRITE] = "cannot write",
					    [ERROR_FLUSH] = "cannot sync"};

	return words[e];
}

/* Each kind of error of a medium once: a dying disk must not fill the log. */
static void say_error(struct medium *m, const struct chan_blk_req *r, int status)
{
	enum medium_error e = status == -ENOSPC		? ERROR_NOSPACE
			      : r->op == CHAN_BLK_READ	? ERROR_READ
			      : r->op == CHAN_BLK_WRITE ? ERROR_WRITE
							: ERROR_FLUSH;

	m->counts.errors++;
	if (m->said & 1u << e)
		return;
	m->said |= 1u << e;
	say("%s: %s %s at byte %llu: %s (the guest gets the error; further ones are not said)",
	    m->guest, error_word(e), m->path, (unsigned long long)r->offset, strerror(-status));
}

static void count(struct medium *m, const struct chan_blk_req *r)
{
	if (r->op == CHAN_BLK_FLUSH) {
		m->counts.flushes++;
	} else if (r->op == CHAN_BLK_WRITE) {
		m->counts.writes++;
		m->counts.written_bytes += r->len;
	} else {
		m->counts.reads++;
		m->counts.read_bytes += r->len;
	}
}

/* --- transfers and flushes --- */

static void submit(struct blk_work *w)
{
	w->state->in_flight++;
	aio_submit(w->blk->aio, &w->io);
}

static void close_now(struct blk_work *w, int result)
{
	w->state->close = NULL;
	medium_close(&w->state->medium);
	answer(w, result);
}

static void synced(struct aio_req *io, int result)
{
	struct blk_work *w = container_of(io, struct blk_work, io);

	w->state->in_flight--;
	if (result)
		say_error(&w->state->medium, &w->req, result);
	close_now(w, result);
}

/* The answer says that all of it is on the medium: the hypervisor may switch the machine off then.
 */
static void finish_close(struct medium_state *s)
{
	struct blk_work *w = s->close;

	if (!w || s->in_flight || s->flushes)
		return;
	if (s->medium.readonly) {
		close_now(w, 0);
		return;
	}
	w->io = (struct aio_req){.op = AIO_FSYNC, .fd = s->medium.fd, .done = synced};
	submit(w);
}

/* A write is over: flushes that came after it wait for one less. */
static void write_over(struct medium_state *s, u64 order)
{
	struct blk_work **p = &s->flushes;

	s->writes--;
	while (*p) {
		struct blk_work *f = *p;

		if (f->order > order && --f->before == 0) {
			*p = f->next;
			submit(f);
		} else {
			p = &f->next;
		}
	}
}

static void transfer_done(struct aio_req *io, int result)
{
	struct blk_work *w = container_of(io, struct blk_work, io);
	struct medium_state *s = w->state;

	s->in_flight--;
	if (!result)
		count(&s->medium, &w->req);
	else if (!(w->req.flags & CHAN_BLK_AHEAD))
		say_error(&s->medium, &w->req, result);
	if (w->req.op == CHAN_BLK_WRITE)
		write_over(s, w->order);
	answer(w, result);
	finish_close(s);
}

static int check_transfer(const struct blk_work *w)
{
	const struct chan_blk_req *r = &w->req;
	const struct medium *m = &w->state->medium;

	if (!r->len || r->len > CHAN_SLOT_SIZE || r->len % 512 || r->offset % 512)
		return -EINVAL;
	if (!area_slot(w->blk->area, r->slot))
		return -EINVAL;
	if (r->offset > m->size || r->len > m->size - r->offset)
		return -ERANGE;
	if (r->op == CHAN_BLK_WRITE && m->readonly)
		return -EROFS;
	return 0;
}

static void begin_transfer(struct blk_work *w)
{
	const struct chan_blk_req *r = &w->req;
	int rc = check_transfer(w);

	if (rc) {
		answer(w, rc);
		return;
	}
	w->io = (struct aio_req){
		.op = r->op == CHAN_BLK_READ ? AIO_READ : AIO_WRITE,
		.fd = w->state->medium.fd,
		.dsync = r->op == CHAN_BLK_WRITE && (r->flags & CHAN_BLK_FUA),
		.buf = area_slot(w->blk->area, r->slot),
		.len = r->len,
		.offset = r->offset,
		.done = transfer_done,
	};
	if (r->op == CHAN_BLK_WRITE) {
		w->order = w->state->order++;
		w->state->writes++;
	}
	submit(w);
}

static void begin_flush(struct blk_work *w)
{
	struct medium_state *s = w->state;

	if (s->medium.readonly) {
		answer(w, 0);
		return;
	}
	w->io = (struct aio_req){.op = AIO_FSYNC, .fd = s->medium.fd, .done = transfer_done};
	w->order = s->order++;
	w->before = s->writes;
	if (!w->before) {
		submit(w);
		return;
	}
	w->next = s->flushes;
	s->flushes = w;
}

static void begin_close(struct blk_work *w)
{
	if (w->state->close) {
		answer(w, -EALREADY);
		return;
	}
	w->state->close = w;
	finish_close(w->state);
}

/* --- opening --- */

static bool worth_waiting(int rc)
{
	return rc == -EAGAIN || rc == -ENOENT || rc == -ENXIO || rc == -ENODEV ||
	       rc == -ENOMEDIUM || rc == -ENOTDIR;
}

static void opened(struct blk_work *w, struct medium_state *s)
{
	const struct medium *m = &s->medium;

	w->done.size = m->size;
	w->done.flags = m->readonly ? CHAN_MEDIUM_READONLY : 0;
	say("%s: %s, %llu KiB%s%s", m->guest, m->path, (unsigned long long)(m->size / 1024),
	    m->readonly ? ", read-only" : "", m->direct ? ", direct" : "");
	answer(w, 0);
}

static int open_medium(struct blk_work *w, struct medium_state *s, const struct chan_blk_open *want,
		       char *why, size_t size)
{
	const struct medium *others[MEDIA_MAX];
	int rc;

	for (unsigned i = 0; i < MEDIA_MAX; i++)
		others[i] = &w->blk->media[i].medium;
	memset(s, 0, sizeof(*s));
	rc = medium_open(&s->medium, want, &w->blk->search, others, MEDIA_MAX, why, size);
	s->medium.id = w->req.medium;
	return rc;
}

/* True: answered. */
static bool try_open(struct blk_work *w, bool first, bool last)
{
	struct medium_state *s = medium_unused(w->blk);
	u8 *slot = area_slot(w->blk->area, w->req.slot);
	struct chan_blk_open want;
	char why[232] = "too many media", guest[CHAN_NAME_SIZE];
	int rc = -EMFILE;

	memcpy(&want, slot, sizeof(want));
	want.path[sizeof(want.path) - 1] = '\0';
	if (s)
		rc = open_medium(w, s, &want, why, sizeof(why));
	if (!rc) {
		opened(w, s);
		return true;
	}
	text_clean(guest, sizeof(guest), want.guest, sizeof(want.guest));
	if (worth_waiting(rc) && !last) {
		if (first)
			say("%s: %s; waiting for it", guest, why);
		return false;
	}
	say("%s: %s", guest, why);
	memcpy(slot, why, sizeof(why));
	answer(w, rc == -EAGAIN ? -EBUSY : rc);
	return true;
}

static void begin_open(struct blk_work *w)
{
	struct blk *b = w->blk;

	if (!area_slot(b->area, w->req.slot) || w->state) {
		answer(w, w->state ? -EEXIST : -EINVAL);
		return;
	}
	if (try_open(w, true, false))
		return;
	w->deadline_ns = loop_now() + b->open_patience_ns;
	w->next = b->opens;
	b->opens = w;
}

void blk_retry_opens(struct blk *b)
{
	struct blk_work **p = &b->opens;
	u64 now = loop_now();

	while (*p) {
		struct blk_work *w = *p, *next = w->next;

		if (try_open(w, false, now >= w->deadline_ns))
			*p = next;
		else
			p = &w->next;
	}
}

/* A guest that ends does not wait for its media any longer. */
static void cancel_open(struct blk *b, u32 medium)
{
	struct blk_work **p = &b->opens;

	while (*p && (*p)->req.medium != medium)
		p = &(*p)->next;
	if (*p) {
		struct blk_work *w = *p;

		*p = w->next;
		answer(w, -ECANCELED);
	}
}

/* --- the ring --- */

static void begin(struct blk_work *w)
{
	struct blk *b = w->blk;

	w->state = medium_find(b, w->req.medium);
	w->done = (struct chan_blk_done){0};
	if (w->req.op == CHAN_BLK_OPEN) {
		begin_open(w);
		return;
	}
	if (!w->state || w->state->close) {
		if (w->req.op == CHAN_BLK_CLOSE)
			cancel_open(b, w->req.medium);
		answer(w, -ENODEV);
		return;
	}
	switch (w->req.op) {
	case CHAN_BLK_READ:
	case CHAN_BLK_WRITE:
		begin_transfer(w);
		break;
	case CHAN_BLK_FLUSH:
		begin_flush(w);
		break;
	case CHAN_BLK_CLOSE:
		begin_close(w);
		break;
	default:
		answer(w, -EOPNOTSUPP);
	}
}

void blk_service(struct blk *b)
{
	struct ring_end *ring = &b->area->ring[CHAN_BLK_REQ];

	put_answers(b);
	while (b->free && !b->paused) {
		struct blk_work *w = b->free;

		if (!ring_get(ring, &w->req))
			break;
		b->free = w->next;
		b->busy++;
		area_touched(b->area, CHAN_BLK_REQ);
		begin(w);
	}
}

void blk_stop(struct blk *b)
{
	b->paused = true;
	while (b->opens) {
		struct blk_work *w = b->opens;

		b->opens = w->next;
		work_free(w);
	}
}

void blk_close(struct blk *b)
{
	for (unsigned i = 0; i < MEDIA_MAX; i++) {
		if (b->media[i].medium.used)
			medium_close(&b->media[i].medium);
	}
}
