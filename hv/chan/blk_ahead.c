/* Reading ahead: a guest that reads a medium from one end to the other, one request at a time,
 * finds the next pieces in slots already, while the daemon and the disk work at those after them.
 *
 * A chunk is one I/O of the rings. As much is read ahead as has been read in one go before, so a
 * guest that jumps about costs the disk nothing. A chunk is dropped when a write overlaps it or the
 * guest reads elsewhere, and none is asked for while a write of the medium has not ended: what a
 * guest gets from a chunk is never older than its last write there. An error drops the chunk; the
 * guest that reads there asks again itself, and has the error from that.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chan/blk_chan.h"

#define WORTH 2u /* reads in one go show that it is worth it */

struct chan_io *blk_ahead_find(struct blk_chan *m, u64 offset)
{
	if (!m->ahead.chunks)
		return NULL;
	for (unsigned i = 0; i < BLK_AHEAD_MAX; i++) {
		struct chan_io *io = m->ahead.chunk[i];

		if (io && offset >= io->offset && offset - io->offset < io->len)
			return io;
	}
	return NULL;
}

static void forget_chunk(struct blk_chan *m, const struct chan_io *io)
{
	for (unsigned i = 0; i < BLK_AHEAD_MAX; i++) {
		if (m->ahead.chunk[i] != io)
			continue;
		m->ahead.chunk[i] = NULL;
		m->ahead.chunks--;
	}
}

/* Is @io wanted still? */
static bool is_chunk(const struct blk_chan *m, const struct chan_io *io)
{
	for (unsigned i = 0; i < BLK_AHEAD_MAX; i++)
		if (m->ahead.chunk[i] == io)
			return true;
	return false;
}

/* One that is still being read gives its slot back with the answer. */
void blk_ahead_drop(struct chan_io *io)
{
	struct blk_chan *m = io->medium;

	forget_chunk(m, io);
	if (io->state == CHAN_IO_ANSWERED)
		blk_hub_free(m->hub, io);
}

void blk_ahead_drop_all(struct blk_chan *m)
{
	for (unsigned i = 0; i < BLK_AHEAD_MAX && m->ahead.chunks; i++)
		if (m->ahead.chunk[i])
			blk_ahead_drop(m->ahead.chunk[i]);
}

static void drop_overlap(struct blk_chan *m, u64 offset, u32 len)
{
	for (unsigned i = 0; i < BLK_AHEAD_MAX && m->ahead.chunks; i++) {
		struct chan_io *io = m->ahead.chunk[i];

		if (io && offset < io->offset + io->len && io->offset < offset + len)
			blk_ahead_drop(io);
	}
}

static void note_read(struct blk_chan *m, u64 offset, u32 len, bool alone)
{
	struct blk_ahead *a = &m->ahead;

	if (offset != a->next)
		blk_ahead_drop_all(m);
	if (offset != a->next || !alone)
		a->run = a->reads = 0;
	a->next = offset + len;
	/* Of several at once the first is alone too, but it is no run. */
	if (!alone)
		return;
	a->run += len;
	a->reads++;
}

void blk_ahead_note(struct blk_chan *m, const struct blk_req *req, u32 len, bool alone)
{
	if (req->op == BLK_WRITE)
		drop_overlap(m, req->offset, len);
	else if (req->op == BLK_READ)
		note_read(m, req->offset, len, alone);
}

static void add_chunk(struct blk_chan *m, struct chan_io *io)
{
	unsigned i = 0;

	while (m->ahead.chunk[i])
		i++;
	m->ahead.chunk[i] = io;
	m->ahead.chunks++;
}

/* Ask for up to @len bytes from @offset. Bytes asked for; 0: there is no room. */
static u32 send_chunk(struct blk_chan *m, u64 offset, u64 len)
{
	struct chan_io *io = blk_hub_claim_spare(m->hub, m);

	if (!io)
		return 0;
	io->op = CHAN_BLK_READ;
	io->ahead = true;
	io->len = (u32)MIN(len, (u64)CHAN_SLOT_SIZE);
	blk_hub_send(m->hub, io, offset, CHAN_BLK_AHEAD);
	add_chunk(m, io);
	return io->len;
}

/* Half of it at a time, so that several chunks share a doorbell. */
void blk_ahead_more(struct blk_chan *m)
{
	struct blk_ahead *a = &m->ahead;
	u64 window = MIN(a->run, (u64)BLK_AHEAD_MAX * CHAN_SLOT_SIZE);
	u64 from = a->chunks ? MAX(a->end, a->next) : a->next;
	u64 to = MIN(a->next + window, m->size);

	if (a->reads < WORTH || m->state != BLK_CHAN_OPEN || m->orphans ||
	    from - a->next > window / 2)
		return;
	while (from < to && a->chunks < BLK_AHEAD_MAX) {
		u32 len = send_chunk(m, from, MIN(window, m->size - from));

		if (!len)
			break;
		from += len;
		a->end = from;
	}
}

void blk_ahead_answered(struct blk_hub *h, struct chan_io *io, s32 status)
{
	struct blk_chan *m = io->medium;
	bool good = !status && is_chunk(m, io) && !h->starving;

	io->state = CHAN_IO_ANSWERED;
	if (status)
		m->ahead.reads = 0;
	if (io->wanted || !is_chunk(m, io))
		m->wake(m->ctx);
	if (!good)
		blk_ahead_drop(io);
}

bool blk_ahead_reclaim(struct blk_hub *h)
{
	for (unsigned i = 0; i < h->ch->pool_slots; i++) {
		struct chan_io *io = &h->io[i];

		if (io->state == CHAN_IO_ANSWERED && io->ahead && !io->copying) {
			blk_ahead_drop(io);
			return true;
		}
	}
	return false;
}
