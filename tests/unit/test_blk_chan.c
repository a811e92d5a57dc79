/* Served media: would catch data copied to the wrong place of a request or medium, pieces lost or
 * counted twice, a request ended before its last piece, an answer that a reset guest still gets, a
 * slot given out again before its answer, a new write that may overtake a forgotten one, requests
 * lost or ended when the daemon dies, a medium that starves another, a daemon believed.
 *
 * SRCS: hv/chan/channel.c hv/chan/blk_hub.c hv/chan/blk_chan.c hv/chan/blk_ahead.c
 * SRCS: hv/dev/pci.c hv/dev/bus.c hv/lib/timerq.c hv/lib/str.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "blk_chan_rig.h"

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
