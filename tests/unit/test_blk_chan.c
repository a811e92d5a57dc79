/* Served media: would catch data copied to the wrong place of a request or medium, pieces lost or
 * counted twice, a request ended before its last piece, an answer that a reset guest still gets, a
 * slot given out again before its answer, a new write that may overtake a forgotten one, requests
 * lost or ended when the daemon dies, a medium that starves another, a daemon believed.
 *
 * SRCS: hv/chan/channel.c hv/chan/blk_hub.c hv/chan/blk_chan.c hv/dev/pci.c
 * SRCS: hv/dev/bus.c hv/lib/timerq.c hv/lib/str.c
 *
 * SPDX-License-Identifier: MIT
 */
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

static void guest_wake(void *ctx)
{
	((struct guest *)ctx)->wakes++;
}

static void guest_failed(void *ctx, enum blk_op op, u64 offset, const char *why)
{
	struct guest *g = ctx;

	(void)op, (void)offset;
	g->failures++;
	snprintf(g->why, sizeof(g->why), "%s", why);
}

static void rig_init(struct rig *r)
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

static void rig_end(struct rig *r)
{
	fake_daemon_end(&r->d);
	free(r->ram);
	free(r->medium);
}

static struct blk_chan *open_medium(struct rig *r, unsigned g)
{
	struct chan_blk_open o = {.kind = 1, .block = 512, .path = "/images/a.img"};

	r->g[g].rig = r;
	r->g[g].m = blk_chan_open(&r->hub, &o, &r->f.host, guest_wake, guest_failed, &r->g[g]);
	return r->g[g].m;
}

static void service(struct rig *r)
{
	for (unsigned i = 0; i < 4; i++)
		if (r->g[i].wakes && r->g[i].m) {
			r->g[i].wakes = 0;
			blk_chan_service(r->g[i].m);
		}
}

/* --- the daemon --- */

static unsigned take(struct rig *r)
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

static void answer(struct rig *r, struct asked *a, s32 status)
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
static void answer_all(struct rig *r, s32 status)
{
	take(r);
	for (unsigned i = ARRAY_SIZE(r->asked); i--;)
		if (r->asked[i].used)
			answer(r, &r->asked[i], status);
}

static unsigned waiting(const struct rig *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(r->asked); i++)
		n += r->asked[i].used;
	return n;
}

static void settle(struct rig *r)
{
	for (unsigned i = 0; i < 100; i++) {
		service(r);
		answer_all(r, 0);
	}
	service(r);
}

static void begin(struct rig *r)
{
	rig_init(r);
	open_medium(r, 0);
	CHECK_EQ(fake_attach(&r->d), 0);
	settle(r);
	CHECK_EQ(blk_chan_state(r->g[0].m), BLK_CHAN_OPEN);
}

/* --- the controller --- */

static void op_done(struct blk_req *req, int status)
{
	struct op *o = req->arg;

	o->done++;
	o->status = status;
}

static void submit(struct blk_chan *m, struct op *o, enum blk_op op, u64 offset, u32 gpa, u32 len)
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

TEST(a_medium_opens_when_the_daemon_comes)
{
	struct rig r;

	rig_init(&r);
	open_medium(&r, 0);
	CHECK_EQ(blk_chan_state(r.g[0].m), BLK_CHAN_OPENING);
	fake_attach(&r.d);
	CHECK(fake_get(&r.d, CHAN_REG_ISR) & BIT(CHAN_BLK_REQ));
	answer_all(&r, 0);
	CHECK_EQ(blk_chan_state(r.g[0].m), BLK_CHAN_OPEN);
	CHECK_EQ(r.g[0].m->blk.size, MEDIUM_SIZE);
	CHECK_EQ(r.g[0].wakes, 1);
	blk_chan_close(r.g[0].m);
	answer_all(&r, 0);
	CHECK_EQ(r.closes, 1);
	CHECK_EQ(blk_chan_state(r.g[0].m), BLK_CHAN_FREE);
	rig_end(&r);
}

/* The machine's end waits for this: ended too early, what the guest wrote last is lost. */
TEST(a_medium_is_closing_until_the_daemon_has_written_back_or_gone)
{
	struct rig r;

	rig_init(&r);
	fake_attach(&r.d);
	open_medium(&r, 0);
	open_medium(&r, 1);
	answer_all(&r, 0);
	CHECK(!blk_hub_closing(&r.hub));
	blk_chan_close(r.g[0].m);
	CHECK(blk_hub_closing(&r.hub));
	answer_all(&r, 0);
	CHECK(!blk_hub_closing(&r.hub));
	blk_chan_close(r.g[1].m);
	CHECK(blk_hub_closing(&r.hub));
	fake_set(&r.d, CHAN_REG_CMD, CHAN_CMD_DETACH);
	CHECK(!blk_hub_closing(&r.hub));
	rig_end(&r);
}

TEST(why_a_medium_does_not_open_is_kept_printable)
{
	struct rig r;

	rig_init(&r);
	r.open_error = -ENOENT;
	fake_attach(&r.d);
	open_medium(&r, 0);
	answer_all(&r, 0);
	CHECK_EQ(blk_chan_state(r.g[0].m), BLK_CHAN_FAILED);
	CHECK_STR(r.g[0].m->why, "no such? file");
	blk_chan_close(r.g[0].m);
	CHECK_EQ(blk_chan_state(r.g[0].m), BLK_CHAN_FREE); /* nothing to close there */
	rig_end(&r);
}

TEST(requests_move_the_right_bytes_in_pieces)
{
	struct rig r;
	struct op rd, wr, fl;

	begin(&r);
	submit(r.g[0].m, &rd, BLK_READ, 1024, 4096, 300 * 1024);
	take(&r);
	CHECK_EQ(waiting(&r), 3); /* 128 + 128 + 44 KiB, at the same time */
	answer_all(&r, 0);
	CHECK_EQ(rd.done, 0);
	service(&r);
	CHECK_EQ(rd.done, 1);
	CHECK_EQ(rd.status, 0);
	CHECK(!memcmp(r.ram + 4096, r.medium + 1024, 300 * 1024));
	for (u32 i = 0; i < 1 << 20; i++)
		r.ram[i] = (u8)(i * 13 + (i >> 8));
	submit(r.g[0].m, &wr, BLK_WRITE, 512 * 3, 513, 1 << 20);
	submit(r.g[0].m, &fl, BLK_FLUSH, 0, 0, 0);
	settle(&r);
	CHECK_EQ(wr.done, 1);
	CHECK_EQ(wr.status, 0);
	CHECK(!memcmp(r.ram + 513, r.medium + 512 * 3, 1 << 20));
	CHECK_EQ(fl.done, 1);
	CHECK_EQ(r.flushes, 1);
	CHECK_EQ(r.pieces, 3 + 8);
	rig_end(&r);
}

TEST(bad_requests_and_errors_end_with_eio)
{
	struct rig r;
	struct op o;

	begin(&r);
	submit(r.g[0].m, &o, BLK_READ, MEDIUM_SIZE - 512, 0, 1024);
	settle(&r);
	CHECK_EQ(o.done, 1);
	CHECK_EQ(o.status, -EIO);
	submit(r.g[0].m, &o, BLK_WRITE, 0, RAM_SIZE - 512, 1024);
	settle(&r);
	CHECK_EQ(o.done, 1);
	CHECK_EQ(o.status, -EFAULT);
	submit(r.g[0].m, &o, BLK_READ, 0, RAM_SIZE - 512, 1024);
	settle(&r);
	CHECK_EQ(o.status, -EFAULT);
	r.g[0].m->blk.readonly = true;
	submit(r.g[0].m, &o, BLK_WRITE, 0, 0, 1024);
	settle(&r);
	CHECK_EQ(o.status, -EIO);
	CHECK_EQ(r.g[0].failures, 0); /* these were the guest's fault */
	submit(r.g[0].m, &o, BLK_READ, 0, 0, 400 * 1024);
	answer_all(&r, -5);
	service(&r);
	CHECK_EQ(o.done, 1);
	CHECK_EQ(o.status, -EIO);
	CHECK_STR(r.g[0].why, "error 5");
	submit(r.g[0].m, &o, BLK_READ, 0, 0, 512);
	answer_all(&r, -14); /* the daemon's EFAULT is no bad guest memory */
	service(&r);
	CHECK_EQ(o.status, -EIO);
	CHECK_EQ(r.g[0].m->held, 0);
	rig_end(&r);
}

TEST(fua_goes_with_the_write)
{
	struct rig r;
	struct op o = {0};

	begin(&r);
	o.seg[0] = (struct blk_seg){.buf = r.ram, .len = 512};
	o.req = (struct blk_req){
		.op = BLK_WRITE, .fua = true, .seg = o.seg, .nseg = 1, .done = op_done, .arg = &o};
	blk_submit(&r.g[0].m->blk, &o.req);
	blk_submit_end(&r.g[0].m->blk);
	settle(&r);
	CHECK_EQ(o.done, 1);
	CHECK_EQ(r.fuas, 1);
	rig_end(&r);
}

TEST(a_reset_guest_gets_no_late_answers_and_nothing_overtakes_them)
{
	struct rig r;
	struct op old, fresh;
	struct asked late;

	begin(&r);
	memset(r.ram, 0x11, 512);
	submit(r.g[0].m, &old, BLK_WRITE, 0, 0, 512);
	take(&r);
	CHECK_EQ(waiting(&r), 1);
	r.g[0].m->blk.ops->cancel(&r.g[0].m->blk);
	memset(r.ram, 0x22, 512);
	submit(r.g[0].m, &fresh, BLK_WRITE, 0, 0, 512);
	take(&r);
	CHECK_EQ(waiting(&r), 1); /* the new one waits for the old one's answer */
	late = r.asked[0];
	answer(&r, &r.asked[0], 0);
	service(&r);
	CHECK_EQ(take(&r), 1);
	answer_all(&r, 0);
	settle(&r);
	CHECK_EQ(old.done, 0);
	CHECK_EQ(fresh.done, 1);
	CHECK_EQ(r.medium[0], 0x22);
	/* An answer given twice is nobody's. */
	answer(&r, &late, 0);
	CHECK_EQ(r.hub.bad_answers, 1);
	CHECK_EQ(r.d.errors, 1);
	CHECK_EQ(r.g[0].m->held, 0);
	rig_end(&r);
}

TEST(an_answer_that_came_before_a_reset_is_dropped_too)
{
	struct rig r;
	struct op o;

	begin(&r);
	submit(r.g[0].m, &o, BLK_READ, 0, 0, 200 * 1024);
	answer_all(&r, 0);
	r.g[0].m->blk.ops->cancel(&r.g[0].m->blk);
	settle(&r);
	CHECK_EQ(o.done, 0);
	CHECK_EQ(r.ram[0], 0);
	CHECK_EQ(r.g[0].m->held, 0);
	rig_end(&r);
}

/* The daemon dies with requests in all stages: asked, answered, and waiting. */
TEST(a_new_daemon_gets_what_the_old_one_did_not_answer)
{
	struct rig r;
	static struct op o[MAX_REQS];

	begin(&r);
	for (unsigned i = 0; i < MAX_REQS; i++) {
		memset(r.ram + i * 1024, (int)i + 1, 1024);
		submit(r.g[0].m, &o[i], BLK_WRITE, i * 1024, i * 1024, 1024);
	}
	take(&r);
	CHECK_EQ(waiting(&r), 16); /* all slots, and the ring is as long */
	answer(&r, &r.asked[3], 0);
	pci_cfg_write(&r.d.ch.pci, PCI_COMMAND, 2, PCI_COMMAND_MEM);
	memset(r.asked, 0, sizeof(r.asked));
	memset(r.d.mem, 0xff, CHAN_PAGE_SIZE * 2); /* somebody else's now */
	service(&r);
	for (unsigned i = 0; i < MAX_REQS; i++)
		CHECK_EQ(o[i].done, 0);
	CHECK_EQ(r.d.mem[0], 0xff);
	memset(r.medium, 0, MEDIUM_SIZE);
	pci_cfg_write(&r.d.ch.pci, PCI_COMMAND, 2, PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
	CHECK_EQ(fake_attach(&r.d), 0);
	settle(&r);
	CHECK_EQ(r.opens, 2);
	for (unsigned i = 0; i < MAX_REQS; i++) {
		CHECK_EQ(o[i].done, 1);
		CHECK_EQ(o[i].status, 0);
	}
	CHECK(!memcmp(r.medium, r.ram, MAX_REQS * 1024));
	CHECK(r.g[0].m->resent > 0);
	rig_end(&r);
}

TEST(a_medium_that_changed_fails_until_it_is_itself_again)
{
	struct rig r;
	struct op o, o2;

	begin(&r);
	submit(r.g[0].m, &o, BLK_READ, 0, 0, 512);
	r.size = MEDIUM_SIZE / 2;
	fake_attach(&r.d);
	memset(r.asked, 0, sizeof(r.asked));
	settle(&r);
	CHECK_EQ(o.done, 1);
	CHECK_EQ(o.status, -EIO);
	CHECK_STR(r.g[0].m->why, "it came back with another size");
	r.size = MEDIUM_SIZE;
	fake_attach(&r.d);
	settle(&r);
	submit(r.g[0].m, &o2, BLK_READ, 0, 0, 512);
	settle(&r);
	CHECK_EQ(o2.status, 0);
	rig_end(&r);
}

TEST(no_medium_starves_another)
{
	struct rig r;
	static struct op a[MAX_REQS], b;

	rig_init(&r);
	fake_attach(&r.d);
	open_medium(&r, 0);
	open_medium(&r, 1);
	settle(&r);
	for (unsigned i = 0; i < MAX_REQS; i++)
		submit(r.g[0].m, &a[i], BLK_READ, 0, 0, 512);
	CHECK_EQ(r.g[0].m->held, 8); /* half of the pool */
	submit(r.g[1].m, &b, BLK_READ, 512, 65536, 512);
	CHECK_EQ(r.g[1].m->held, 1);
	settle(&r);
	CHECK_EQ(b.done, 1);
	for (unsigned i = 0; i < MAX_REQS; i++)
		CHECK_EQ(a[i].done, 1);
	rig_end(&r);
}

TEST(one_slot_serves_several_media_in_turn)
{
	struct rig r;
	static struct op a[8], b[8];

	rig_init(&r);
	r.d.slots = 1;
	fake_attach(&r.d);
	open_medium(&r, 0);
	open_medium(&r, 1);
	settle(&r);
	CHECK_EQ(blk_chan_state(r.g[1].m), BLK_CHAN_OPEN);
	for (unsigned i = 0; i < 8; i++)
		submit(r.g[0].m, &a[i], BLK_READ, 0, 0, 512);
	for (unsigned i = 0; i < 8; i++)
		submit(r.g[1].m, &b[i], BLK_READ, 0, 0, 512);
	for (unsigned i = 0; i < 8; i++) {
		answer_all(&r, 0);
		service(&r);
	}
	CHECK(b[0].done && b[1].done); /* not only after all of the other's */
	CHECK(!a[7].done);
	settle(&r);
	for (unsigned i = 0; i < 8; i++)
		CHECK(a[i].done == 1 && b[i].done == 1);
	rig_end(&r);
}

TEST(a_short_ring_holds_requests_back)
{
	struct rig r;
	static struct op o[20];

	rig_init(&r);
	r.d.entries = CHAN_RING_MIN;
	fake_attach(&r.d);
	open_medium(&r, 0);
	settle(&r);
	for (unsigned i = 0; i < 20; i++)
		submit(r.g[0].m, &o[i], BLK_READ, 512 * i, 512 * i, 512);
	CHECK_EQ(r.d.ring[CHAN_BLK_REQ].ring->wants_room, 1);
	settle(&r);
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(o[i].done, 1);
	CHECK(!memcmp(r.ram, r.medium, 512 * 20));
	rig_end(&r);
}

TEST(a_dead_ring_keeps_requests_for_the_next_daemon)
{
	struct rig r;
	struct op o, o2;

	begin(&r);
	r.d.ring[CHAN_BLK_REQ].ring->tail = 12345;
	submit(r.g[0].m, &o, BLK_READ, 0, 0, 512);
	service(&r);
	channel_poll(&r.d.ch);
	CHECK_EQ(r.d.errors, 1);
	fake_attach(&r.d);
	r.d.ring[CHAN_BLK_DONE].ring->head = 999;
	submit(r.g[0].m, &o2, BLK_READ, 512, 512, 512);
	fake_bell(&r.d, CHAN_BLK_DONE);
	CHECK_EQ(o.done + o2.done, 0);
	memset(r.asked, 0, sizeof(r.asked));
	fake_attach(&r.d);
	settle(&r);
	CHECK(o.done == 1 && o2.done == 1);
	CHECK(!memcmp(r.ram, r.medium, 1024));
	rig_end(&r);
}

TEST(a_guest_that_ends_with_requests_in_flight_closes_when_they_are_answered)
{
	struct rig r;
	struct op o;

	begin(&r);
	submit(r.g[0].m, &o, BLK_WRITE, 0, 0, 512);
	take(&r);
	blk_chan_close(r.g[0].m);
	CHECK_EQ(take(&r), 0);
	answer_all(&r, 0);
	CHECK_EQ(blk_chan_state(r.g[0].m), BLK_CHAN_CLOSING);
	answer_all(&r, 0);
	CHECK_EQ(r.closes, 1);
	CHECK_EQ(blk_chan_state(r.g[0].m), BLK_CHAN_FREE);
	CHECK_EQ(o.done, 0);
	rig_end(&r);
}
