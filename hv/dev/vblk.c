/* Virtio block device: see vblk.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/vblk.h"

#include "lib/errno.h"
#include "lib/str.h"

#define PCI_ID_BLK	   0x1001
#define TYPE_BLK	   2
#define CLASS_MASS_STORAGE 0x010000

#define SECTOR 512u

_Static_assert(VBLK_MAX_SEGS <= BLK_MAX_SEGS, "a request to the medium may have all pieces");

/* Features (§5.2.3) */
#define F_SEG_MAX  BIT(2)
#define F_RO	   BIT(5)
#define F_BLK_SIZE BIT(6)
#define F_FLUSH	   BIT(9)

/* Configuration (§5.2.4) */
#define CFG_CAPACITY 0u
#define CFG_SEG_MAX  12u
#define CFG_BLK_SIZE 20u
#define CFG_LEN	     24u

/* Requests (§5.2.6) */
enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };

struct header {
	u32 type, reserved;
	u64 sector;
};
_Static_assert(sizeof(struct header) == 16, "§5.2.6");

static struct vblk *of(struct virtio *v)
{
	return container_of(v, struct vblk, v);
}

static struct virtq *queue(struct vblk *d)
{
	return &d->v.q[0];
}

/* --- slots --- */

static void slot_free(struct vblk_slot *s)
{
	s->next = s->d->free;
	s->d->free = s;
}

static void slots_reset(struct vblk *d)
{
	d->free = NULL;
	d->in_flight = 0;
	for (unsigned i = VBLK_SLOTS; i-- > 0;) {
		d->slot[i].d = d;
		slot_free(&d->slot[i]);
	}
}

/* --- ends --- */

/* Tell the driver; the caller signals. The slot is free afterwards. */
static void complete(struct vblk_slot *s, u8 status)
{
	struct vblk *d = s->d;
	const struct dev_host *h = d->v.host;

	if (status != S_OK)
		d->errors++;
	if (h->ops->mem_write(h->ctx, s->status, &status, 1))
		virtio_break(&d->v);
	virtq_push(&d->v, queue(d), s->head, s->written + 1);
	slot_free(s);
}

/* --- the medium --- */

/* One request to the medium: as many of the pieces left as it may have, at least a cut one. */
static void submit_part(struct vblk_slot *s)
{
	u32 len = 0;
	unsigned n = 0;

	while (n < s->nseg && s->seg[n].len <= BLK_MAX_BYTES - len)
		len += s->seg[n++].len;
	s->req.seg = s->seg;
	s->req.nseg = n;
	if (!n && s->nseg) {
		s->part = (struct blk_seg){.gpa = s->seg[0].gpa, .len = BLK_MAX_BYTES};
		s->req.seg = &s->part;
		s->req.nseg = 1;
		len = BLK_MAX_BYTES;
	}
	s->req_len = len;
	s->d->in_flight++;
	blk_submit(s->d->blk, &s->req);
}

static void run(struct vblk *d);

static void medium_done(struct blk_req *req, int err)
{
	struct vblk_slot *s = req->arg;
	struct vblk *d = s->d;

	d->in_flight--;
	virtio_trim_front(s->seg, &s->nseg, s->req_len);
	req->offset += s->req_len;
	if (!err && s->nseg) {
		submit_part(s);
		blk_submit_end(d->blk);
		return;
	}
	complete(s, err ? S_IOERR : S_OK);
	d->looks = 0;
	run(d);
	virtq_signal(&d->v, queue(d));
}

/* @s->seg holds the data. Sums are multiples of sectors, and so is each part's: pieces need not be,
 * so a request that must be cut where no sector ends is refused. */
static bool transfer_ok(const struct vblk_slot *s, u64 sector, u64 len)
{
	u64 total = s->d->blk->size / SECTOR, sum = 0;
	bool write = s->req.op == BLK_WRITE;

	if (len % SECTOR || len / SECTOR > total || sector > total - len / SECTOR)
		return false;
	if (write && s->d->blk->readonly)
		return false;
	for (unsigned i = 0; i < s->nseg && len > BLK_MAX_BYTES; i++) {
		sum += s->seg[i].len;
		if (sum % SECTOR)
			return false;
	}
	return true;
}

static void transfer(struct vblk_slot *s, enum blk_op op, u64 sector, u64 len)
{
	struct vblk *d = s->d;

	s->req = (struct blk_req){
		.op = op,
		.fua = op == BLK_WRITE && !virtio_has(&d->v, F_FLUSH),
		.done = medium_done,
		.arg = s,
	};
	if (op != BLK_FLUSH) {
		if (!transfer_ok(s, sector, len)) {
			complete(s, S_IOERR);
			return;
		}
		s->req.offset = sector * SECTOR;
		s->written = op == BLK_READ ? (u32)len : 0;
	}
	if (op != BLK_FLUSH && !len)
		complete(s, S_OK);
	else
		submit_part(s);
}

/* --- requests --- */

static void get_id(struct vblk_slot *s, u64 room)
{
	struct vblk *d = s->d;
	const struct dev_host *h = d->v.host;
	u32 len = (u32)MIN(room, (u64)VBLK_ID_LEN), at = 0;

	for (unsigned i = 0; i < s->nseg && at < len; i++) {
		u32 n = MIN(s->seg[i].len, len - at);

		if (h->ops->mem_write(h->ctx, s->seg[i].gpa, d->id + at, n)) {
			complete(s, S_IOERR);
			return;
		}
		at += n;
	}
	s->written = len;
	complete(s, S_OK);
}

/* Cut the status byte off the end; false when there is none. */
static bool take_status(struct vblk_slot *s, struct virtio_chain *c)
{
	struct blk_seg *last;

	if (!c->nin)
		return false;
	last = &s->seg[c->nout + c->nin - 1];
	s->status = last->gpa + last->len - 1;
	c->in_len--;
	if (!--last->len)
		c->nin--;
	return true;
}

/* Keep the data that the device writes (@in) or reads as s->seg[0, nseg). */
static void keep_data(struct vblk_slot *s, const struct virtio_chain *c, bool in)
{
	unsigned n = c->nout;

	if (in) {
		s->nseg = c->nin;
		memmove(s->seg, s->seg + c->nout, c->nin * sizeof(s->seg[0]));
		return;
	}
	virtio_trim_front(s->seg, &n, sizeof(struct header));
	s->nseg = n;
}

static void execute(struct vblk_slot *s, struct virtio_chain *c)
{
	struct header h;

	if (!take_status(s, c) || virtio_copy_from(&s->d->v, s->seg, c->nout, 0, &h, sizeof(h))) {
		virtio_break(&s->d->v); /* nobody could be told */
		slot_free(s);
		return;
	}
	s->d->requests++;
	s->written = 0;
	keep_data(s, c, h.type != T_OUT);
	switch (h.type) {
	case T_IN:
		transfer(s, BLK_READ, h.sector, c->in_len);
		break;
	case T_OUT:
		transfer(s, BLK_WRITE, h.sector, c->out_len - sizeof(h));
		break;
	case T_FLUSH:
		s->nseg = 0;
		transfer(s, BLK_FLUSH, 0, 0);
		break;
	case T_GET_ID:
		get_id(s, c->in_len);
		break;
	default:
		complete(s, S_UNSUPP);
	}
}

/* Take what there is as long as there are slots: when all are taken, the next that ends goes on. */
static unsigned take_requests(struct vblk *d)
{
	struct virtio_chain c;
	unsigned n;

	for (n = 0; d->free && n < VBLK_QUEUE; n++) {
		struct vblk_slot *s = d->free;

		c.seg = s->seg;
		c.max = VBLK_MAX_SEGS;
		if (virtq_peek(&d->v, queue(d), 0, &c) <= 0)
			break;
		virtq_take(queue(d), 1);
		d->free = s->next;
		s->head = c.head;
		execute(s, &c);
	}
	return n;
}

static void set_polling(struct vblk *d, bool on)
{
	const struct dev_host *h = d->v.host;

	if (on || d->polling)
		dev_timer_set(h, &d->poll,
			      on ? dev_now(h) + ((u64)VBLK_POLL_NS << d->looks) : TIMER_OFF);
	d->polling = on;
}

static void run(struct vblk *d)
{
	unsigned n;

	if (!virtio_live(&d->v, 0))
		return;
	n = take_requests(d);
	if (n)
		blk_submit_end(d->blk);
	if (d->in_flight < VBLK_BUSY || d->looks == VBLK_POLLS)
		set_polling(d, false);
	else if (n || (d->looks && !d->polling))
		set_polling(d, true);
	if (d->free && !d->polling)
		virtq_want_kicks(&d->v, queue(d));
	else
		virtq_spare_kicks(&d->v, queue(d));
}

/* Nothing ended for a while: look again after twice the time, in the end wait for kicks. */
static void poll_fire(void *arg, u64 now_ns)
{
	struct vblk *d = arg;

	(void)now_ns;
	d->polling = false;
	d->looks++;
	run(d);
	virtq_signal(&d->v, queue(d));
}

void vblk_guest_leaves(struct vblk *d)
{
	if (!d->polling)
		return;
	d->looks = VBLK_POLLS - 1;
	run(d);
	if (d->polling)
		set_polling(d, true);
	virtq_signal(&d->v, queue(d));
}

static void on_kick(struct virtio *v, unsigned n)
{
	struct vblk *d = of(v);

	d->looks = 0;
	run(d);
	virtq_signal(v, &v->q[n]);
}

static void on_reset(struct virtio *v)
{
	struct vblk *d = of(v);

	if (d->in_flight)
		d->blk->ops->cancel(d->blk);
	slots_reset(d);
	set_polling(d, false);
}

static const struct virtio_ops vblk_ops = {
	.kick = on_kick,
	.reset = on_reset,
};

/* --- construction --- */

/* The medium may have been opened since. */
static void read_medium(struct vblk *d)
{
	u64 capacity = d->blk->size / SECTOR;

	memcpy(d->v.config + CFG_CAPACITY, &capacity, sizeof(capacity));
	d->v.offered = d->blk->readonly ? d->v.offered | F_RO : d->v.offered & ~F_RO;
}

void vblk_reset(struct vblk *d)
{
	virtio_reset(&d->v);
	read_medium(d);
}

int vblk_init(struct vblk *d, const struct dev_host *host, struct pci_bus *b, unsigned slot,
	      struct blk *blk, const char *id)
{
	static const struct virtio_params params = {
		.pci_id = PCI_ID_BLK,
		.type = TYPE_BLK,
		.class_code = CLASS_MASS_STORAGE,
		.features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH,
		.nqueues = 1,
		.queue_max = VBLK_QUEUE,
		.config_len = CFG_LEN,
	};
	u32 seg_max = VBLK_SEG_MAX, block = SECTOR;
	int err;

	memset(d, 0, sizeof(*d));
	d->blk = blk;
	d->poll.fire = poll_fire;
	d->poll.arg = d;
	for (unsigned i = 0; i < VBLK_ID_LEN && id[i]; i++)
		d->id[i] = id[i];
	slots_reset(d);
	err = virtio_init(&d->v, host, b, slot, &params, &vblk_ops);
	memcpy(d->v.config + CFG_SEG_MAX, &seg_max, sizeof(seg_max));
	memcpy(d->v.config + CFG_BLK_SIZE, &block, sizeof(block));
	read_medium(d);
	return err;
}
