/* The guest's side of served media: requests are cut into pieces, data copied, ends reported. See
 * blk_chan.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chan/blk_chan.h"
#include "lib/bulk.h"
#include "lib/errno.h"
#include "lib/str.h"

/* A chunk serves a request at once. Ended at once too, each request would be a command of its own
 * to the guest's driver; while one is under way, the guest's kernel merges those behind it. */
#define LATE_NS 250000u

/* --- data --- */

static int move(const struct dev_host *h, enum blk_op op, const struct blk_seg *s, u32 at, u8 *slot,
		u32 len)
{
	if (s->buf && op == BLK_READ)
		bulk_copy((u8 *)s->buf + at, slot, len);
	else if (s->buf)
		bulk_copy(slot, (u8 *)s->buf + at, len);
	else if (op == BLK_READ)
		return h->ops->mem_write(h->ctx, s->gpa + at, slot, len);
	else
		return h->ops->mem_read(h->ctx, s->gpa + at, slot, len);
	return 0;
}

/* Copy bytes [at, at + len) of @req between its segments and @slot. 0 or -EFAULT. */
static int copy_piece(const struct dev_host *h, const struct blk_req *req, u32 at, u32 len,
		      u8 *slot)
{
	for (unsigned i = 0; i < req->nseg && len; i++) {
		const struct blk_seg *s = &req->seg[i];
		u32 n;

		if (at >= s->len) {
			at -= s->len;
			continue;
		}
		n = MIN(len, s->len - at);
		if (move(h, req->op, s, at, slot, n) != 0)
			return -EFAULT;
		slot += n;
		len -= n;
		at = 0;
	}
	return len ? -EFAULT : 0;
}

/* --- requests --- */

static void append(struct blk_chan *m, struct blk_req *req)
{
	req->next = NULL;
	if (m->last)
		m->last->next = req;
	else
		m->head = req;
	m->last = req;
}

static void prepend(struct blk_chan *m, struct blk_req *req)
{
	req->next = m->head;
	m->head = req;
	if (!m->last)
		m->last = req;
}

static struct blk_req *pop(struct blk_chan *m)
{
	struct blk_req *req = m->head;

	m->head = req->next;
	if (!m->head)
		m->last = NULL;
	req->next = NULL;
	return req;
}

static u32 request_len(const struct blk_req *req)
{
	u64 len = 0;

	for (unsigned i = 0; i < req->nseg; i++)
		len += req->seg[i].len;
	return len > UINT32_MAX ? UINT32_MAX : (u32)len;
}

static int request_error(const struct blk_chan *m, const struct blk_req *req, u32 len)
{
	if (m->state == BLK_CHAN_FAILED)
		return -EIO;
	if (req->op == BLK_FLUSH)
		return 0;
	if (req->op == BLK_WRITE && m->blk.readonly)
		return -EIO;
	if (len > BLK_MAX_BYTES || req->offset > m->blk.size || len > m->blk.size - req->offset)
		return -EIO;
	return 0;
}

/* A place for the next request of the queue; NULL: none, or no request. */
static struct blk_track *begin(struct blk_chan *m)
{
	struct blk_track *t = NULL;

	for (unsigned i = 0; i < BLK_CHAN_DEPTH && !t; i++)
		if (!m->track[i].req)
			t = &m->track[i];
	if (!t || !m->head)
		return NULL;
	*t = (struct blk_track){.req = pop(m), .order = ++m->order};
	t->len = t->req->op == BLK_FLUSH ? 0 : request_len(t->req);
	t->status = request_error(m, t->req, t->len);
	t->cutting = !t->status && (t->len || t->req->op == BLK_FLUSH);
	if (!t->status)
		blk_ahead_note(m, t->req, t->len, !m->active);
	m->active++;
	m->writing += t->req->op == BLK_WRITE;
	return t;
}

/* The request, whose place is free then. */
static struct blk_req *track_end(struct blk_chan *m, struct blk_track *t)
{
	struct blk_req *req = t->req;

	m->active--;
	m->writing -= req->op == BLK_WRITE;
	t->req = NULL;
	return req;
}

static bool ended(const struct blk_track *t)
{
	return t->req && !t->pieces && (!t->cutting || t->status);
}

static u16 chan_op(enum blk_op op)
{
	return op == BLK_FLUSH ? CHAN_BLK_FLUSH : op == BLK_WRITE ? CHAN_BLK_WRITE : CHAN_BLK_READ;
}

/* Copy @len bytes of @t from where it is cut, from or to byte @at of @io's slot. The lock is let go
 * for it. False: the area changed meanwhile. */
static bool copy_unlocked(struct blk_chan *m, struct blk_track *t, struct chan_io *io, u32 at,
			  u32 len, int *err)
{
	struct channel *ch = m->hub->ch;
	u8 *slot = channel_slot(ch, (u32)(io - m->hub->io));
	u64 epoch = m->hub->epoch;

	channel_pin(ch);
	spin_unlock(&ch->lock);
	*err = copy_piece(m->host, t->req, t->cut, len, slot + at);
	spin_lock(&ch->lock);
	channel_unpin(ch);
	return m->hub->epoch == epoch;
}

static void cut_failed(struct blk_track *t, int err)
{
	t->status = err;
	t->cutting = false;
}

/* Serve the next piece of @t from chunk @io. False: it is still being read, or the area changed. */
static bool take_chunk(struct blk_chan *m, struct blk_track *t, struct chan_io *io)
{
	u32 at = (u32)(t->req->offset + t->cut - io->offset);
	u32 len = MIN(t->len - t->cut, io->len - at);
	int err;

	blk_hub_fed(m);
	io->wanted = io->state != CHAN_IO_ANSWERED;
	if (io->wanted)
		return false;
	io->copying = true;
	if (!copy_unlocked(m, t, io, at, len, &err))
		return false;
	io->copying = false;
	if (at + len == io->len)
		blk_ahead_drop(io);
	if (err) {
		cut_failed(t, err);
		return true;
	}
	m->bytes += len;
	t->cut += len;
	t->cutting = t->cut < t->len;
	t->late = !t->cutting;
	if (t->late && !m->late.queued)
		dev_timer_set(m->host, &m->late, dev_now(m->host) + LATE_NS);
	return true;
}

/* Hand out the next piece of @t. Under the lock. False: not now. */
static bool cut(struct blk_chan *m, struct blk_track *t)
{
	const struct blk_req *req = t->req;
	struct chan_io *io = NULL;
	int err = 0;

	if (req->op == BLK_READ)
		io = blk_ahead_find(m, req->offset + t->cut);
	if (io)
		return take_chunk(m, t, io);
	io = blk_hub_claim(m->hub, m);
	if (!io)
		return false;
	io->op = chan_op(req->op);
	io->track = t;
	io->at = t->cut;
	io->len = MIN(t->len - t->cut, CHAN_SLOT_SIZE);
	if (req->op == BLK_WRITE && !copy_unlocked(m, t, io, 0, io->len, &err))
		return false;
	if (err) {
		blk_hub_free(m->hub, io);
		cut_failed(t, err);
		return true;
	}
	blk_hub_send(m->hub, io, req->offset + t->cut, req->fua ? CHAN_BLK_FUA : 0);
	t->cut += io->len;
	t->pieces++;
	t->cutting = t->cut < t->len;
	return true;
}

/* Hand out as much as there is room for. Requests that ended without the daemon are left for
 * blk_chan_service(); true if there are any. */
static bool pump(struct blk_chan *m)
{
	struct channel *ch = m->hub->ch;
	bool any = false;

	spin_lock(&ch->lock);
	while (m->epoch == m->hub->epoch) {
		struct blk_track *t = m->cutting ? m->cutting : begin(m);

		m->cutting = NULL;
		if (!t)
			break;
		if (m->state == BLK_CHAN_FAILED)
			t->status = -EIO;
		while (t->cutting && !t->status && cut(m, t))
			;
		any |= ended(t) && !t->late;
		if (t->cutting && !t->status) {
			m->cutting = t;
			break;
		}
	}
	if (!m->cutting)
		blk_hub_fed(m);
	if (!m->cutting && !m->head && !m->writing && m->epoch == m->hub->epoch)
		blk_ahead_more(m);
	spin_unlock(&ch->lock);
	return any;
}

static void tell_daemon(struct blk_chan *m)
{
	struct channel *ch = m->hub->ch;

	spin_lock(&ch->lock);
	blk_hub_tell(m->hub);
	spin_unlock(&ch->lock);
}

/* --- answers --- */

static void piece_done(struct blk_chan *m, const struct chan_io *io, int err)
{
	struct blk_track *t = io->track;
	char why[32];

	t->pieces--;
	m->bytes += err ? 0 : io->len;
	if (!err)
		return;
	t->cutting = false;
	if (!t->status)
		t->status = err == -EFAULT ? err : -EIO;
	m->errors++;
	if (err == -EFAULT || !m->failed)
		return;
	snprintf(why, sizeof(why), "error %d", -err);
	m->failed(m->ctx, t->req->op, t->req->offset + io->at, why);
}

/* One answered piece: copy what was read, give the slot back. False: there is none. */
static bool take_answer(struct blk_chan *m)
{
	struct blk_hub *h = m->hub;
	struct channel *ch = h->ch;
	struct chan_io *io, piece;
	int err;

	spin_lock(&ch->lock);
	io = m->epoch == h->epoch ? m->answered : NULL;
	if (!io) {
		spin_unlock(&ch->lock);
		return false;
	}
	m->answered = io->next;
	piece = *io;
	/* Positive or wild values are errors too. */
	err = io->status < 0 && io->status > -4096 ? io->status : io->status ? -EIO : 0;
	if (!err && piece.op == CHAN_BLK_READ) {
		channel_pin(ch);
		spin_unlock(&ch->lock);
		err = copy_piece(m->host, piece.track->req, piece.at, piece.len,
				 channel_slot(ch, (u32)(io - h->io)));
		spin_lock(&ch->lock);
		channel_unpin(ch);
	} else if (err == -EFAULT) {
		err = -EIO; /* the daemon's; ours means bad guest memory */
	}
	if (m->epoch != h->epoch) {
		spin_unlock(&ch->lock);
		return false;
	}
	blk_hub_free(h, io);
	spin_unlock(&ch->lock);
	piece_done(m, &piece, err);
	return true;
}

/* The area went: whatever had not ended goes back to the queue, in order, and starts again. */
static void start_again(struct blk_chan *m)
{
	for (;;) {
		struct blk_track *last = NULL;

		for (unsigned i = 0; i < BLK_CHAN_DEPTH; i++) {
			struct blk_track *t = &m->track[i];

			if (t->req && (!last || t->order > last->order))
				last = t;
		}
		if (!last)
			break;
		prepend(m, track_end(m, last));
		m->resent++;
	}
	m->cutting = NULL;
}

static void check_area(struct blk_chan *m)
{
	struct channel *ch = m->hub->ch;
	bool moved;

	spin_lock(&ch->lock);
	moved = m->epoch != m->hub->epoch;
	m->epoch = m->hub->epoch;
	spin_unlock(&ch->lock);
	if (moved)
		start_again(m);
}

static void no_late(struct blk_chan *m)
{
	if (m->late.queued)
		dev_timer_set(m->host, &m->late, TIMER_OFF);
}

/* Ends requests; one pass, for done() brings new ones. */
static void end_requests(struct blk_chan *m)
{
	bool more = false;

	no_late(m);
	for (unsigned i = 0; i < BLK_CHAN_DEPTH; i++) {
		struct blk_track *t = &m->track[i];
		struct blk_req *req;

		if (!ended(t))
			continue;
		if (m->cutting == t)
			m->cutting = NULL;
		req = track_end(m, t);
		m->requests++;
		req->done(req, t->status);
	}
	for (unsigned i = 0; i < BLK_CHAN_DEPTH; i++)
		more |= ended(&m->track[i]) && !m->track[i].late;
	if (more)
		m->wake(m->ctx);
}

void blk_chan_service(struct blk_chan *m)
{
	unsigned n = 0;

	check_area(m);
	while (n++ < CHAN_POOL_MAX && take_answer(m))
		;
	pump(m);
	end_requests(m);
	if (pump(m))
		m->wake(m->ctx);
	tell_daemon(m);
}

void blk_chan_guest_halted(struct blk_chan *m)
{
	if (m->late.queued)
		blk_chan_service(m);
}

static void late_enough(void *arg, u64 now_ns)
{
	struct blk_chan *m = arg;

	(void)now_ns;
	m->wake(m->ctx);
}

/* --- what the controllers call --- */

static void chan_submit(struct blk *b, struct blk_req *req)
{
	struct blk_chan *m = container_of(b, struct blk_chan, blk);

	append(m, req);
	if (pump(m))
		m->wake(m->ctx);
}

static void chan_submit_end(struct blk *b)
{
	tell_daemon(container_of(b, struct blk_chan, blk));
}

/* What is with the daemon stays there; its answers will find no request. Until the last of them
 * came nothing new is sent: an old write must not overtake a new one. */
static void forget(struct blk_chan *m)
{
	struct blk_hub *h = m->hub;

	no_late(m);
	blk_ahead_drop_all(m);
	for (unsigned i = 0; i < CHAN_POOL_MAX; i++) {
		struct chan_io *io = &h->io[i];

		if (io->state == CHAN_IO_FREE || io->medium != m || !io->track)
			continue;
		if (io->state == CHAN_IO_SENT) {
			io->track = NULL;
			m->orphans++;
		} else {
			blk_hub_free(h, io);
		}
	}
	m->answered = NULL;
	blk_hub_fed(m);
	m->head = m->last = NULL;
	m->cutting = NULL;
	m->active = m->writing = 0;
	memset(m->track, 0, sizeof(m->track));
}

static void chan_cancel(struct blk *b)
{
	struct blk_chan *m = container_of(b, struct blk_chan, blk);

	spin_lock(&m->hub->ch->lock);
	forget(m);
	spin_unlock(&m->hub->ch->lock);
}

static const struct blk_ops chan_ops = {
	.submit = chan_submit,
	.submit_end = chan_submit_end,
	.cancel = chan_cancel,
};

/* --- life --- */

static struct blk_chan *free_medium(struct blk_hub *h)
{
	for (unsigned i = 0; i < BLK_CHAN_MEDIA; i++)
		if (h->medium[i].state == BLK_CHAN_FREE)
			return &h->medium[i];
	return NULL;
}

struct blk_chan *blk_chan_open(struct blk_hub *h, const struct chan_blk_open *what,
			       const struct dev_host *host, void (*wake)(void *ctx),
			       void (*failed)(void *ctx, enum blk_op op, u64 offset,
					      const char *why),
			       void *ctx)
{
	struct blk_chan *m;

	spin_lock(&h->ch->lock);
	m = free_medium(h);
	if (m) {
		memset(m, 0, sizeof(*m));
		m->blk.ops = &chan_ops;
		m->hub = h;
		m->host = host;
		m->wake = wake;
		m->failed = failed;
		m->ctx = ctx;
		m->open = *what;
		m->late = (struct timer){.fire = late_enough, .arg = m};
		m->epoch = h->epoch;
		blk_hub_set_state(m, BLK_CHAN_OPENING);
		blk_hub_advance(h);
	}
	spin_unlock(&h->ch->lock);
	return m;
}

enum blk_chan_state blk_chan_state(const struct blk_chan *m)
{
	return __atomic_load_n(&m->state, __ATOMIC_ACQUIRE);
}

static void nobody(void *ctx)
{
	(void)ctx;
}

void blk_chan_close(struct blk_chan *m)
{
	struct blk_hub *h = m->hub;

	spin_lock(&h->ch->lock);
	forget(m);
	blk_hub_set_state(m, BLK_CHAN_CLOSING);
	m->wake = nobody;
	m->failed = NULL;
	blk_hub_advance(h);
	spin_unlock(&h->ch->lock);
}
