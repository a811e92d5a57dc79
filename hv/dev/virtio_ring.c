/* Split virtqueues (Virtio 1.1 §2.6). See virtio.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/virtio.h"
#include "lib/errno.h"
#include "lib/str.h"

#define DESC_SIZE     16u
#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u

/* Both rings begin with flags and index. */
#define RING_FLAGS	   0u
#define RING_IDX	   2u
#define RING_ENTRIES	   4u
#define AVAIL_NO_INTERRUPT 1u
#define USED_NO_NOTIFY	   1u

struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};
_Static_assert(sizeof(struct desc) == DESC_SIZE, "§2.6.5");

struct used_elem {
	u32 id, len;
};

/* A table of descriptors being followed. Drivers lay a chain out in order, so a few are read at
 * once; what was read is what counts, however the guest changes it meanwhile. */
#define WALK_BATCH 16u
struct walk {
	gpa_t table;
	u32 num;  /* its size */
	u32 left; /* more steps than this are a loop */
	u16 next;
	bool inside;	 /* an indirect table */
	u32 first, have; /* entries in @batch */
	struct desc batch[WALK_BATCH];
};

static bool ring_read(struct virtio *v, gpa_t gpa, void *buf, size_t len)
{
	if (!v->host->ops->mem_read(v->host->ctx, gpa, buf, len))
		return true;
	virtio_break(v);
	return false;
}

static void ring_write(struct virtio *v, gpa_t gpa, const void *buf, size_t len)
{
	if (v->host->ops->mem_write(v->host->ctx, gpa, buf, len))
		virtio_break(v);
}

/* --- taking chains --- */

static int broken(struct virtio *v)
{
	virtio_break(v);
	return -EINVAL;
}

/* Append one buffer to @c, as a piece of its own only if it does not continue the last one. */
static int add_piece(struct virtio *v, struct virtio_chain *c, const struct desc *d)
{
	bool in = d->flags & DESC_WRITE;
	unsigned n = c->nout + c->nin, same = in ? c->nin : c->nout;

	if (!in && c->nin) /* §2.6.4.2: readable ones come first */
		return broken(v);
	*(in ? &c->in_len : &c->out_len) += d->len;
	if (!d->len)
		return 0;
	if (same && c->seg[n - 1].gpa + c->seg[n - 1].len == d->addr &&
	    c->seg[n - 1].len <= UINT32_MAX - d->len) {
		c->seg[n - 1].len += d->len;
		return 0;
	}
	if (n == c->max)
		return broken(v);
	c->seg[n] = (struct blk_seg){.gpa = d->addr, .len = d->len};
	*(in ? &c->nin : &c->nout) += 1;
	return 0;
}

/* The table that @d points to, instead of the rest of this one (§2.6.5.3). */
static int enter_indirect(struct virtio *v, struct walk *w, const struct desc *d)
{
	if (w->inside || !virtio_has(v, VIRTIO_F_INDIRECT_DESC) || d->flags & DESC_NEXT ||
	    !d->len || d->len % DESC_SIZE || d->len / DESC_SIZE > UINT16_MAX)
		return broken(v);
	w->table = d->addr;
	w->num = w->left = d->len / DESC_SIZE;
	w->next = 0;
	w->inside = true;
	w->have = 0;
	return 0;
}

/* The next descriptor of the table; NULL: broken. The direct table's chains are short. */
static const struct desc *walk_next(struct virtio *v, struct walk *w)
{
	u32 n = MIN(w->num - w->next, w->inside ? WALK_BATCH : 4u);

	if (w->next - w->first < w->have)
		return &w->batch[w->next - w->first];
	if (!ring_read(v, w->table + (u64)w->next * DESC_SIZE, w->batch, n * DESC_SIZE))
		return NULL;
	w->first = w->next;
	w->have = n;
	return w->batch;
}

/* Besides the table's size, the caller's room bounds the pieces; empty and merged ones take no room
 * but do take steps. */
static int walk_chain(struct virtio *v, struct virtq *q, struct virtio_chain *c)
{
	struct walk w;
	bool more;

	w.table = q->desc;
	w.num = w.left = q->num;
	w.next = c->head;
	w.inside = false;
	w.first = w.have = 0;
	do {
		const struct desc *d;
		int err;

		if (w.next >= w.num || !w.left--)
			return broken(v);
		d = walk_next(v, &w);
		if (!d)
			return -EFAULT;
		more = d->flags & (DESC_NEXT | DESC_INDIRECT);
		if (d->flags & DESC_INDIRECT) {
			err = enter_indirect(v, &w, d);
		} else {
			err = add_piece(v, c, d);
			w.next = d->next;
		}
		if (err)
			return err;
	} while (more);
	return 1;
}

/* Chains that the driver has made available and virtq_take() has not passed; negative: broken. */
static int waiting(struct virtio *v, struct virtq *q)
{
	u16 n;

	if (!ring_read(v, q->avail + RING_IDX, &q->avail_idx, sizeof(q->avail_idx)))
		return -EFAULT;
	n = (u16)(q->avail_idx - q->last_avail);
	return n > q->num ? broken(v) : n;
}

int virtq_peek(struct virtio *v, struct virtq *q, unsigned ahead, struct virtio_chain *c)
{
	u16 at = (u16)(q->last_avail + ahead);
	int n = (u16)(q->avail_idx - q->last_avail);

	if (n <= (int)ahead)
		n = waiting(v, q);
	if (n <= (int)ahead)
		return MIN(n, 0);
	if (!ring_read(v, q->avail + RING_ENTRIES + 2u * (at & (q->num - 1u)), &c->head,
		       sizeof(c->head)))
		return -EFAULT;
	c->nout = c->nin = 0;
	c->out_len = c->in_len = 0;
	return walk_chain(v, q, c);
}

/* --- returning them --- */

void virtq_fill(struct virtio *v, struct virtq *q, unsigned ahead, u16 head, u32 len)
{
	struct used_elem e = {.id = head, .len = len};
	u16 at = (u16)(q->used_idx + ahead);

	ring_write(v, q->used + RING_ENTRIES + sizeof(e) * (at & (q->num - 1u)), &e, sizeof(e));
}

void virtq_publish(struct virtio *v, struct virtq *q, unsigned n)
{
	q->used_idx = (u16)(q->used_idx + n);
	ring_write(v, q->used + RING_IDX, &q->used_idx, sizeof(q->used_idx));
}

/* --- notifications --- */

static gpa_t used_event(const struct virtq *q)
{
	return q->avail + RING_ENTRIES + 2u * q->num;
}

static gpa_t avail_event(const struct virtq *q)
{
	return q->used + RING_ENTRIES + (u64)sizeof(struct used_elem) * q->num;
}

static bool interrupt_wanted(struct virtio *v, const struct virtq *q)
{
	u16 word;

	if (virtio_has(v, VIRTIO_F_EVENT_IDX)) {
		if (!ring_read(v, used_event(q), &word, sizeof(word)))
			return false;
		/* Did an entry since the last decision pass the one that the driver waits for? */
		return (u16)(q->used_idx - word - 1) < (u16)(q->used_idx - q->signalled);
	}
	return ring_read(v, q->avail + RING_FLAGS, &word, sizeof(word)) &&
	       !(word & AVAIL_NO_INTERRUPT);
}

void virtq_signal(struct virtio *v, struct virtq *q)
{
	if (q->used_idx == q->signalled || v->broken)
		return;
	if (interrupt_wanted(v, q))
		virtio_interrupt(v, q->vector, VIRTIO_ISR_QUEUE);
	q->signalled = q->used_idx;
}

static void set_no_notify(struct virtio *v, struct virtq *q, bool no)
{
	u16 flags = no ? USED_NO_NOTIFY : 0;

	if (q->no_kicks == no)
		return;
	q->no_kicks = no;
	ring_write(v, q->used + RING_FLAGS, &flags, sizeof(flags));
}

/* With event indices, an index that is not moved on says "not now" by itself. */
void virtq_spare_kicks(struct virtio *v, struct virtq *q)
{
	if (!virtio_has(v, VIRTIO_F_EVENT_IDX))
		set_no_notify(v, q, true);
}

/* The index that was seen last, not that of the next chain to be taken: those that are there may be
 * waiting for more of them, and a driver crosses an index only once. */
void virtq_want_kicks(struct virtio *v, struct virtq *q)
{
	if (virtio_has(v, VIRTIO_F_EVENT_IDX))
		ring_write(v, avail_event(q), &q->avail_idx, sizeof(q->avail_idx));
	else
		set_no_notify(v, q, false);
}

void virtio_ring_reset(struct virtq *q)
{
	u16 max = q->max;

	memset(q, 0, sizeof(*q));
	q->max = q->num = max;
	q->vector = MSIX_NO_VECTOR;
}

/* --- pieces of guest memory --- */

int virtio_copy_from(struct virtio *v, const struct blk_seg *seg, unsigned n, u64 off, void *buf,
		     size_t len)
{
	u8 *to = buf;

	for (unsigned i = 0; i < n && len; i++) {
		size_t part;

		if (off >= seg[i].len) {
			off -= seg[i].len;
			continue;
		}
		part = MIN(len, (size_t)(seg[i].len - off));
		if (v->host->ops->mem_read(v->host->ctx, seg[i].gpa + off, to, part))
			return -EFAULT;
		to += part;
		len -= part;
		off = 0;
	}
	return len ? -EFAULT : 0;
}

void virtio_trim_front(struct blk_seg *seg, unsigned *n, u64 len)
{
	unsigned gone = 0;

	while (gone < *n && len >= seg[gone].len)
		len -= seg[gone++].len;
	*n -= gone;
	memmove(seg, seg + gone, *n * sizeof(*seg));
	if (*n) {
		seg[0].gpa += len;
		seg[0].len -= (u32)len;
	}
}
