/* A partition that has the serial line to itself for a while, so that every byte passes as it is:
 * file transfers such as XMODEM, which prefixes, line ends and Ctrl-] would break.
 *
 * Its output has a ring of its own, which goes out in front of the lines behind @held. Whoever
 * began a transfer has to ask for it again before @until_ns: if it dies, the line comes back by
 * itself.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chan/mux.h"

#include "lib/errno.h"

_Static_assert((MUX_TRANSFER & (MUX_TRANSFER - 1)) == 0, "positions are taken modulo");

static bool keys_go_to(const struct mux *m, unsigned index)
{
	return m->focus >= 0 ? (unsigned)m->focus == index : !index && !m->n_guests;
}

int mux_transfer_begin(struct mux *m, unsigned index, u64 until_ns)
{
	struct mux_transfer *t = &m->transfer;

	if (index >= MUX_PARTITIONS || m->focus_src[index] < 0)
		return -ENOENT;
	if (t->on ? t->index != index : !keys_go_to(m, index))
		return -EBUSY;
	if (!mux_transfer_open(m)) {
		/* What follows the transfer starts with a line end, because nobody knows where that
		 * leaves the line. */
		if (!mux_record(m, "", 0, false))
			return -EAGAIN;
		t->held = m->head - 2;
	}
	t->on = true;
	t->index = index;
	t->src = m->focus_src[index];
	t->until_ns = until_ns;
	return 0;
}

void mux_transfer_end(struct mux *m)
{
	m->transfer.on = false;
}

void mux_transfer_write(struct mux *m, const char *buf, size_t len)
{
	struct mux_transfer *t = &m->transfer;

	for (; len && t->head - t->tail < MUX_TRANSFER; len--)
		t->ring[t->head++ % MUX_TRANSFER] = *buf++;
	m->src[t->src].lost += len;
	m->dropped_bytes += len;
}

unsigned mux_transfer_drain(struct mux *m, char *buf, unsigned max)
{
	struct mux_transfer *t = &m->transfer;
	unsigned n = 0;

	while (n < max && t->tail != t->head)
		buf[n++] = t->ring[t->tail++ % MUX_TRANSFER];
	return n;
}

bool mux_transfer_full(const struct mux *m)
{
	return m->transfer.head - m->transfer.tail >= MUX_TRANSFER / 2;
}
