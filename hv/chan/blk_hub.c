/* The rings' side of served media: slots and who gets them, OPEN and CLOSE, answers, the daemon's
 * coming and going. See blk_chan.h.
 *
 * Slots are shared out evenly: a medium may hold its part of the pool. Where there are fewer slots
 * than media, who has waited longest is next.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chan/blk_chan.h"
#include "lib/errno.h"
#include "lib/str.h"

#define IO_INDEX(id) ((id)&0xffu)
#define DONE_BATCH   32u /* answers looked at in one go under the lock */
#define NO_DATA	     0u

/* --- slots --- */

static u32 quota(const struct blk_hub *h)
{
	u32 n = h->media;

	return n > 1 ? MAX(h->ch->pool_slots / n, 1u) : h->ch->pool_slots;
}

void blk_hub_fed(struct blk_chan *m)
{
	m->hub->starving -= m->starved != 0;
	m->starved = 0;
}

static struct blk_chan *longest_waiting(struct blk_hub *h)
{
	struct blk_chan *first = NULL;

	if (!h->starving)
		return NULL;
	for (unsigned i = 0; i < BLK_CHAN_MEDIA; i++) {
		struct blk_chan *m = &h->medium[i];

		if (m->state != BLK_CHAN_FREE && m->starved &&
		    (!first || m->starved < first->starved))
			first = m;
	}
	return first;
}

static bool ring_has_room(struct blk_hub *h)
{
	struct ring_end *e = &h->ch->ring[CHAN_BLK_REQ];

	if (ring_room(e) > h->claimed)
		return true;
	ring_ask_room(e, true);
	return ring_room(e) > h->claimed;
}

static struct chan_io *free_io(struct blk_hub *h)
{
	u32 i = h->first_free;

	while (i < h->ch->pool_slots && h->io[i].state != CHAN_IO_FREE)
		i++;
	h->first_free = i;
	return i < h->ch->pool_slots ? &h->io[i] : NULL;
}

static struct chan_io *claim(struct blk_hub *h, struct blk_chan *m)
{
	struct chan_io *io;

	if (!h->ch->attached || !ring_has_room(h))
		return NULL;
	io = free_io(h);
	if (!io && blk_ahead_reclaim(h))
		io = free_io(h);
	if (!io)
		return NULL;
	*io = (struct chan_io){.state = CHAN_IO_CLAIMED, .medium = m};
	h->claimed++;
	return io;
}

struct chan_io *blk_hub_claim(struct blk_hub *h, struct blk_chan *m)
{
	struct blk_chan *next = longest_waiting(h);
	struct chan_io *io = NULL;

	if (m->held >= quota(h))
		blk_ahead_drop_all(m);
	/* Its own answers will ask again in the first three cases. */
	if (m->state != BLK_CHAN_OPEN || m->orphans || m->held >= quota(h))
		return NULL;
	if (!next || next == m)
		io = claim(h, m);
	if (io) {
		m->held++;
		blk_hub_fed(m);
	} else if (!m->starved) {
		m->starved = ++h->queue_no;
		h->starving++;
	}
	return io;
}

struct chan_io *blk_hub_claim_spare(struct blk_hub *h, struct blk_chan *m)
{
	struct chan_io *io = NULL;

	if (!h->starving && m->held < quota(h) / 2 && ring_has_room(h) && free_io(h))
		io = claim(h, m);
	if (io)
		m->held++;
	return io;
}

void blk_hub_free(struct blk_hub *h, struct chan_io *io)
{
	struct blk_chan *next;

	if (io->state == CHAN_IO_CLAIMED)
		h->claimed--;
	if (io->op != CHAN_BLK_OPEN && io->op != CHAN_BLK_CLOSE)
		io->medium->held--;
	io->state = CHAN_IO_FREE;
	h->first_free = MIN(h->first_free, (u32)(io - h->io));
	next = longest_waiting(h);
	if (next)
		next->wake(next->ctx);
}

static u32 index_of(const struct blk_hub *h, const struct blk_chan *m)
{
	return (u32)(m - h->medium);
}

void blk_hub_send(struct blk_hub *h, struct chan_io *io, u64 offset, u16 flags)
{
	struct chan_blk_req r = {
		.op = io->op,
		.flags = flags,
		.medium = index_of(h, io->medium),
		.len = io->len,
		.offset = offset,
		.slot = (u32)(io - h->io),
	};

	io->offset = offset;
	io->id = r.id = ++h->serial << 8 | r.slot;
	io->state = CHAN_IO_SENT;
	h->claimed--;
	h->untold = true;
	/* The place was kept; a ring that died meanwhile keeps the request until the next area. */
	ring_put(&h->ch->ring[CHAN_BLK_REQ], &r);
}

void blk_hub_tell(struct blk_hub *h)
{
	if (!h->untold)
		return;
	h->untold = false;
	channel_put_done(h->ch, CHAN_BLK_REQ);
}

/* --- OPEN and CLOSE --- */

static bool is_changing(enum blk_chan_state s)
{
	return s == BLK_CHAN_OPENING || s == BLK_CHAN_REOPENING || s == BLK_CHAN_CLOSING;
}

void blk_hub_set_state(struct blk_chan *m, enum blk_chan_state state)
{
	struct blk_hub *h = m->hub;

	h->media += (state != BLK_CHAN_FREE) - (m->state != BLK_CHAN_FREE);
	h->changing += is_changing(state) - is_changing(m->state);
	__atomic_store_n(&m->state, state, __ATOMIC_RELEASE);
}

static bool ask(struct blk_hub *h, struct blk_chan *m, enum chan_blk_op op)
{
	struct chan_io *io = claim(h, m);

	if (!io)
		return false;
	io->op = (u16)op;
	io->len = NO_DATA;
	if (op == CHAN_BLK_OPEN) {
		io->len = sizeof(m->open);
		memcpy(channel_slot(h->ch, (u32)(io - h->io)), &m->open, sizeof(m->open));
	}
	m->asked = true;
	blk_hub_send(h, io, 0, 0);
	blk_hub_tell(h);
	return true;
}

static void advance(struct blk_hub *h, struct blk_chan *m)
{
	if (m->asked)
		return;
	if (m->state == BLK_CHAN_OPENING || m->state == BLK_CHAN_REOPENING)
		ask(h, m, CHAN_BLK_OPEN);
	else if (m->state == BLK_CHAN_CLOSING && !m->held && !m->known)
		blk_hub_set_state(m, BLK_CHAN_FREE);
	else if (m->state == BLK_CHAN_CLOSING && !m->held)
		ask(h, m, CHAN_BLK_CLOSE);
}

void blk_hub_advance(struct blk_hub *h)
{
	for (unsigned i = 0; i < BLK_CHAN_MEDIA && h->changing; i++)
		advance(h, &h->medium[i]);
}

/* Printable text of the daemon's from @slot. */
static void copy_why(struct blk_hub *h, u32 slot, char *why)
{
	const volatile char *from = channel_slot(h->ch, slot);
	unsigned n = 0;

	while (n < BLK_CHAN_WHY - 1) {
		char c = from[n];

		if (!c)
			break;
		why[n++] = c < ' ' || c > '~' ? '?' : c;
	}
	why[n] = '\0';
	if (!n)
		str_copy(why, "the daemon does not say why", BLK_CHAN_WHY);
}

static void fail(struct blk_chan *m, const char *why)
{
	blk_hub_set_state(m, BLK_CHAN_FAILED);
	if (why)
		str_copy(m->why, why, sizeof(m->why));
}

static void opened(struct blk_hub *h, struct blk_chan *m, const struct chan_blk_done *d, u32 slot)
{
	u64 size = ALIGN_DOWN(d->size, (u64)m->open.block);
	bool first = m->state == BLK_CHAN_OPENING;

	m->known = !d->status;
	if (m->state == BLK_CHAN_CLOSING)
		return;
	if (d->status) {
		copy_why(h, slot, m->why);
		fail(m, NULL);
	} else if (!size) {
		fail(m, "it has no whole sector");
	} else if (!first && size != m->size) {
		fail(m, "it came back with another size");
	} else {
		m->size = size;
		m->readonly = m->open.want_readonly || d->flags & CHAN_MEDIUM_READONLY;
		blk_hub_set_state(m, BLK_CHAN_OPEN);
	}
	/* The guest does not run yet, so its chips see this from the start. */
	if (first) {
		m->blk.size = m->state == BLK_CHAN_OPEN ? size : 0;
		m->blk.readonly = m->readonly;
	}
	m->wake(m->ctx);
}

bool blk_hub_closing(struct blk_hub *h)
{
	bool any = false;

	spin_lock(&h->ch->lock);
	for (unsigned i = 0; i < BLK_CHAN_MEDIA; i++)
		any |= h->medium[i].state == BLK_CHAN_CLOSING;
	spin_unlock(&h->ch->lock);
	return any;
}

/* --- answers --- */

static void answered(struct blk_hub *h, struct chan_io *io, s32 status)
{
	struct blk_chan *m = io->medium;

	if (io->ahead) {
		blk_ahead_answered(h, io, status);
		return;
	}
	if (!io->track) {
		m->orphans--;
		blk_hub_free(h, io);
		if (!m->orphans && m->state != BLK_CHAN_CLOSING)
			m->wake(m->ctx);
		return;
	}
	io->status = status;
	io->state = CHAN_IO_ANSWERED;
	io->next = m->answered;
	m->answered = io;
	m->wake(m->ctx);
}

static void take_done(struct blk_hub *h, const struct chan_blk_done *d)
{
	u32 slot = IO_INDEX(d->id);
	struct chan_io *io = slot < CHAN_POOL_MAX ? &h->io[slot] : NULL;

	if (!io || io->state != CHAN_IO_SENT || io->id != d->id) {
		h->bad_answers++;
		channel_violation(h->ch);
		return;
	}
	if (io->op == CHAN_BLK_OPEN) {
		io->medium->asked = false;
		opened(h, io->medium, d, slot);
		blk_hub_free(h, io);
	} else if (io->op == CHAN_BLK_CLOSE) {
		io->medium->asked = io->medium->known = false;
		blk_hub_free(h, io);
	} else {
		answered(h, io, d->status);
	}
}

/* True if there is more. */
static bool take_batch(struct blk_hub *h)
{
	struct chan_blk_done d;
	unsigned n = 0;

	spin_lock(&h->ch->lock);
	while (n < DONE_BATCH && ring_get(&h->ch->ring[CHAN_BLK_DONE], &d)) {
		take_done(h, &d);
		n++;
	}
	if (n) {
		channel_get_done(h->ch, CHAN_BLK_DONE);
		blk_hub_advance(h);
	}
	spin_unlock(&h->ch->lock);
	return n == DONE_BATCH;
}

/* The daemon took requests: there is room for more. */
static void room(struct blk_hub *h)
{
	struct blk_chan *next;

	spin_lock(&h->ch->lock);
	ring_ask_room(&h->ch->ring[CHAN_BLK_REQ], false);
	blk_hub_advance(h);
	next = longest_waiting(h);
	if (next)
		next->wake(next->ctx);
	spin_unlock(&h->ch->lock);
}

static void hub_bell(struct chan_user *u, u32 rings)
{
	struct blk_hub *h = container_of(u, struct blk_hub, user);

	/* At most as many as can be in flight, however fast the daemon writes. */
	if (rings & BIT(CHAN_BLK_DONE))
		for (unsigned i = 0; i < CHAN_POOL_MAX / DONE_BATCH && take_batch(h); i++)
			;
	if (rings & BIT(CHAN_BLK_REQ))
		room(h);
}

/* --- the daemon comes and goes --- */

static void hub_attached(struct chan_user *u)
{
	struct blk_hub *h = container_of(u, struct blk_hub, user);

	spin_lock(&h->ch->lock);
	blk_hub_advance(h);
	spin_unlock(&h->ch->lock);
}

static void area_gone(struct blk_chan *m)
{
	m->held = m->orphans = 0;
	m->answered = NULL;
	m->ahead = (struct blk_ahead){0};
	m->asked = m->known = false;
	blk_hub_fed(m);
	if (m->state == BLK_CHAN_OPEN || (m->state == BLK_CHAN_FAILED && m->size))
		blk_hub_set_state(m, BLK_CHAN_REOPENING);
	if (m->state == BLK_CHAN_CLOSING)
		blk_hub_set_state(m, BLK_CHAN_FREE);
	if (m->state != BLK_CHAN_FREE)
		m->wake(m->ctx);
}

static void hub_detached(struct chan_user *u)
{
	struct blk_hub *h = container_of(u, struct blk_hub, user);

	spin_lock(&h->ch->lock);
	h->epoch++;
	h->claimed = h->first_free = 0;
	for (unsigned i = 0; i < CHAN_POOL_MAX; i++)
		h->io[i].state = CHAN_IO_FREE;
	for (unsigned i = 0; i < BLK_CHAN_MEDIA; i++)
		if (h->medium[i].state != BLK_CHAN_FREE)
			area_gone(&h->medium[i]);
	spin_unlock(&h->ch->lock);
}

void blk_hub_init(struct blk_hub *h, struct channel *ch)
{
	memset(h, 0, sizeof(*h));
	h->ch = ch;
	h->user = (struct chan_user){
		.attached = hub_attached,
		.detached = hub_detached,
		.bell = hub_bell,
	};
	channel_add_user(ch, &h->user);
}
