/* Guests' controllers, served media and a daemon that a test holds the reins of.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_BLK_CHAN_RIG_H
#define TESTS_UNIT_BLK_CHAN_RIG_H

#include <errno.h>

#include "unit.h"

#include "chan/blk_chan.h"
#include "fake_daemon.h"
#include "fake_host.h"

#define MEDIUM_SIZE (4u << 20)
#define RAM_SIZE    (4u << 20)
#define MAX_REQS    80

struct rig;
struct guest {
	struct rig *rig;
	struct blk_chan *m;
	unsigned wakes, failures;
	char why[80];
};

struct asked {
	struct chan_blk_req r;
	bool used;
};

struct rig {
	struct fake_daemon d;
	struct fake_host f;
	struct blk_hub hub;
	struct guest g[4];
	u8 *ram, *medium, *model;
	struct asked asked[256]; /* taken from the ring, not answered */
	unsigned opens, closes, flushes, fuas, pieces;
	int open_error;
	u64 size;
};

struct op {
	struct blk_req req;
	struct blk_seg seg[8];
	int done, status;
};

static inline void guest_wake(void *ctx)
{
	((struct guest *)ctx)->wakes++;
}

static inline void guest_failed(void *ctx, enum blk_op op, u64 offset, const char *why)
{
	struct guest *g = ctx;

	(void)op, (void)offset;
	g->failures++;
	snprintf(g->why, sizeof(g->why), "%s", why);
}

static inline void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->ram = calloc(1, RAM_SIZE);
	r->medium = calloc(1, MEDIUM_SIZE);
	r->size = MEDIUM_SIZE;
	for (u32 i = 0; i < MEDIUM_SIZE; i++)
		r->medium[i] = (u8)(i * 31 + (i >> 9) * 7);
	fake_host_init(&r->f, r->ram, RAM_SIZE);
	fake_daemon_init(&r->d);
	blk_hub_init(&r->hub, &r->d.ch);
	fake_plug(&r->d);
}

static inline void rig_end(struct rig *r)
{
	fake_daemon_end(&r->d);
	free(r->ram);
	free(r->medium);
}

static inline struct blk_chan *open_medium(struct rig *r, unsigned g)
{
	struct chan_blk_open o = {.kind = 1, .block = 512, .path = "/images/a.img"};

	r->g[g].rig = r;
	r->g[g].m = blk_chan_open(&r->hub, &o, &r->f.host, guest_wake, guest_failed, &r->g[g]);
	return r->g[g].m;
}

static inline void service(struct rig *r)
{
	for (unsigned i = 0; i < 4; i++)
		if (r->g[i].wakes && r->g[i].m) {
			r->g[i].wakes = 0;
			blk_chan_service(r->g[i].m);
		}
}

/* --- the daemon --- */

static inline unsigned take(struct rig *r)
{
	unsigned n = 0;
	struct chan_blk_req q;

	while (ring_get(&r->d.ring[CHAN_BLK_REQ], &q)) {
		unsigned i = 0;

		while (r->asked[i].used)
			i++;
		r->asked[i] = (struct asked){q, true};
		n++;
	}
	if (ring_room_wanted(&r->d.ring[CHAN_BLK_REQ]))
		fake_bell(&r->d, CHAN_BLK_REQ);
	return n;
}

static inline void answer(struct rig *r, struct asked *a, s32 status)
{
	struct chan_blk_done d = {.id = a->r.id, .status = status};
	u8 *slot = fake_slot(&r->d, a->r.slot);

	a->used = false;
	r->pieces += a->r.op == CHAN_BLK_READ || a->r.op == CHAN_BLK_WRITE;
	switch (a->r.op) {
	case CHAN_BLK_OPEN:
		r->opens++;
		CHECK_STR(((struct chan_blk_open *)slot)->path, "/images/a.img");
		d.size = r->size;
		d.status = r->open_error;
		if (r->open_error)
			strcpy((char *)slot, "no such\x01 file");
		break;
	case CHAN_BLK_CLOSE:
		r->closes++;
		break;
	case CHAN_BLK_FLUSH:
		r->flushes++;
		break;
	case CHAN_BLK_READ:
		CHECK(a->r.offset + a->r.len <= MEDIUM_SIZE && a->r.len <= CHAN_SLOT_SIZE);
		memcpy(slot, r->medium + a->r.offset, a->r.len);
		break;
	case CHAN_BLK_WRITE:
		CHECK(a->r.offset + a->r.len <= MEDIUM_SIZE && a->r.len <= CHAN_SLOT_SIZE);
		r->fuas += a->r.flags & CHAN_BLK_FUA ? 1 : 0;
		memcpy(r->medium + a->r.offset, slot, a->r.len);
		break;
	default:
		CHECK(false);
	}
	CHECK(ring_put(&r->d.ring[CHAN_BLK_DONE], &d));
	fake_bell(&r->d, CHAN_BLK_DONE);
}

/* Everything asked, in a disorderly order. */
static inline void answer_all(struct rig *r, s32 status)
{
	take(r);
	for (unsigned i = ARRAY_SIZE(r->asked); i--;)
		if (r->asked[i].used)
			answer(r, &r->asked[i], status);
}

static inline unsigned waiting(const struct rig *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(r->asked); i++)
		n += r->asked[i].used;
	return n;
}

static inline void settle(struct rig *r)
{
	for (unsigned i = 0; i < 100; i++) {
		service(r);
		answer_all(r, 0);
	}
	service(r);
}

static inline void begin(struct rig *r)
{
	rig_init(r);
	open_medium(r, 0);
	CHECK_EQ(fake_attach(&r->d), 0);
	settle(r);
	CHECK_EQ(blk_chan_state(r->g[0].m), BLK_CHAN_OPEN);
}

/* --- the controller --- */

static inline void op_done(struct blk_req *req, int status)
{
	struct op *o = req->arg;

	o->done++;
	o->status = status;
}

static inline void submit(struct blk_chan *m, struct op *o, enum blk_op op, u64 offset, u32 gpa,
			  u32 len)
{
	memset(o, 0, sizeof(*o));
	/* Odd pieces, so that slot and segment borders differ. */
	u32 first = len > 1000 ? 1000 : len;

	o->seg[0] = (struct blk_seg){.gpa = gpa, .len = first};
	o->seg[1] = (struct blk_seg){.gpa = gpa + first, .len = len - first};
	o->req = (struct blk_req){.op = op,
				  .offset = offset,
				  .seg = o->seg,
				  .nseg = op == BLK_FLUSH ? 0 : 2,
				  .done = op_done,
				  .arg = o};
	blk_submit(&m->blk, &o->req);
	blk_submit_end(&m->blk);
	CHECK_EQ(o->done, 0); /* never from inside */
}

#endif
