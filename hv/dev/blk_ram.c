/* Block back end in hypervisor memory: a RAM module as disk or CD.
 *
 * Requests queue up and are served by a timer that is due at once, so a controller never sees its
 * completion inside its own submit.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/blk.h"
#include "lib/errno.h"
#include "lib/str.h"

static int ram_move(struct blk_ram *r, enum blk_op op, const struct blk_seg *s, u8 *medium)
{
	const struct dev_host *h = r->host;

	if (s->buf) {
		if (op == BLK_READ)
			memcpy(s->buf, medium, s->len);
		else
			memcpy(medium, s->buf, s->len);
		return 0;
	}
	if (op == BLK_READ)
		return h->ops->mem_write(h->ctx, s->gpa, medium, s->len);
	return h->ops->mem_read(h->ctx, s->gpa, medium, s->len);
}

/* The whole request must lie on the medium before any byte moves. */
static int ram_check(const struct blk_ram *r, const struct blk_req *req)
{
	u64 room = r->blk.size;

	if (req->op == BLK_WRITE && r->blk.readonly)
		return -EIO;
	if (req->offset > room)
		return -EIO;
	room -= req->offset;
	for (unsigned i = 0; i < req->nseg; i++) {
		if (req->seg[i].len > room)
			return -EIO;
		room -= req->seg[i].len;
	}
	return 0;
}

static int ram_execute(struct blk_ram *r, const struct blk_req *req)
{
	u64 at = req->offset;
	int err;

	if (req->op == BLK_FLUSH)
		return 0;
	err = ram_check(r, req);
	for (unsigned i = 0; i < req->nseg && !err; i++) {
		const struct blk_seg *s = &req->seg[i];

		if (s->len)
			err = ram_move(r, req->op, s, r->data + at);
		at += s->len;
	}
	return err;
}

static struct blk_req *ram_pop(struct blk_ram *r)
{
	struct blk_req *req = r->head;

	r->head = req->next;
	if (!r->head)
		r->tail = NULL;
	req->next = NULL;
	return req;
}

/* Most that one firing moves, but for its last request: what others wait for is on this CPU too. */
#define RAM_BATCH (1024u * 1024)

static u64 length(const struct blk_req *req)
{
	u64 len = 0;

	for (unsigned i = 0; i < req->nseg; i++)
		len += req->seg[i].len;
	return len;
}

/* Serves at most what was queued when the timer fired: what done() submits waits for the next
 * firing, so a command in many pieces does not keep the CPU here. */
static void ram_fire(void *arg, u64 now_ns)
{
	struct blk_ram *r = arg;
	unsigned n = 0;
	u64 moved = 0;

	for (const struct blk_req *q = r->head; q; q = q->next)
		n++;
	while (n-- && r->head && moved < RAM_BATCH) {
		struct blk_req *req = ram_pop(r);

		moved += length(req);
		req->done(req, ram_execute(r, req));
	}
	if (r->head)
		dev_timer_set(r->host, &r->timer, now_ns);
}

static void ram_submit(struct blk *b, struct blk_req *req)
{
	struct blk_ram *r = container_of(b, struct blk_ram, blk);

	req->next = NULL;
	if (r->tail)
		r->tail->next = req;
	else
		r->head = req;
	r->tail = req;
	dev_timer_set(r->host, &r->timer, dev_now(r->host));
}

static void ram_cancel(struct blk *b)
{
	struct blk_ram *r = container_of(b, struct blk_ram, blk);

	r->head = r->tail = NULL;
	dev_timer_set(r->host, &r->timer, TIMER_OFF);
}

static int ram_rw_now(struct blk *b, const struct blk_req *req)
{
	return ram_execute(container_of(b, struct blk_ram, blk), req);
}

static const struct blk_ops ram_ops = {
	.submit = ram_submit,
	.cancel = ram_cancel,
	.rw_now = ram_rw_now,
};

void blk_ram_init(struct blk_ram *r, const struct dev_host *host, void *data, u64 size, bool ro)
{
	memset(r, 0, sizeof(*r));
	r->blk.ops = &ram_ops;
	r->blk.size = size;
	r->blk.readonly = ro;
	r->host = host;
	r->data = data;
	r->timer.fire = ram_fire;
	r->timer.arg = r;
}
