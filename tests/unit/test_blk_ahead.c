/* Reading ahead of served media: would catch data older than the guest's last write there, a chunk
 * given to the wrong bytes, an error told of that no guest's read had, reading ahead for a guest
 * that jumps about, slots kept from other media, chunks that outlive a reset or the daemon.
 *
 * SRCS: hv/chan/channel.c hv/chan/blk_hub.c hv/chan/blk_chan.c hv/chan/blk_ahead.c
 * SRCS: hv/dev/pci.c hv/dev/bus.c hv/lib/timerq.c hv/lib/str.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "blk_chan_rig.h"

#define CHUNK CHAN_SLOT_SIZE

/* One at a time, ended; its data are right. True: the daemon was not waited for. */
static bool read_one(struct rig *r, u64 offset, u32 len)
{
	struct op o;
	bool at_once;

	submit(r->g[0].m, &o, BLK_READ, offset, 0, len);
	blk_chan_guest_halted(r->g[0].m);
	at_once = o.done;
	settle(r);
	CHECK_EQ(o.done, 1);
	CHECK_EQ(o.status, 0);
	CHECK(!memcmp(r->ram, r->medium + offset, len));
	return at_once;
}

static void write_one(struct rig *r, u64 offset, u32 len, int byte)
{
	struct op o;

	memset(r->ram + MIB, byte, len);
	submit(r->g[0].m, &o, BLK_WRITE, offset, MIB, len);
	settle(r);
	CHECK_EQ(o.done, 1);
	CHECK_EQ(o.status, 0);
}

/* Reads from the start on, so that chunks are there; where they begin. */
static u64 begin_ahead(struct rig *r)
{
	begin(r);
	for (u64 at = 0; at < 4 * CHUNK; at += CHUNK)
		read_one(r, at, CHUNK);
	CHECK(r->g[0].m->ahead.chunks >= 2);
	return 4 * CHUNK;
}

TEST(who_reads_on_finds_it_there)
{
	struct rig r;
	u64 at = begin_ahead(&r);

	CHECK(read_one(&r, at, CHUNK));
	CHECK(read_one(&r, at + CHUNK, 4096)); /* parts of a chunk too */
	CHECK(read_one(&r, at + CHUNK + 4096, CHUNK));
	CHECK(r.g[0].m->ahead.chunks <= BLK_AHEAD_MAX);
	rig_end(&r);
}

/* The guest merges what it wants next, while it waits. */
TEST(it_ends_when_the_guest_halts_or_after_a_while)
{
	struct rig r;
	struct op o;
	u64 at = begin_ahead(&r);

	submit(r.g[0].m, &o, BLK_READ, at, 0, 4096);
	service(&r);
	CHECK_EQ(o.done, 0);
	blk_chan_guest_halted(r.g[0].m);
	CHECK_EQ(o.done, 1);
	submit(r.g[0].m, &o, BLK_READ, at + 4096, 0, 4096);
	fake_advance(&r.f, MIB);
	service(&r);
	CHECK_EQ(o.done, 1);
	submit(r.g[0].m, &o, BLK_READ, at + 8192, 0, 4096);
	r.g[0].m->blk.ops->cancel(&r.g[0].m->blk);
	fake_advance(&r.f, MIB);
	service(&r);
	CHECK_EQ(o.done, 0);
	rig_end(&r);
}

TEST(the_end_of_the_medium_ends_it)
{
	struct rig r;

	begin(&r);
	for (u64 at = 0; at < MEDIUM_SIZE; at += CHUNK / 2)
		read_one(&r, at, CHUNK / 2);
	CHECK_EQ(r.g[0].m->ahead.chunks, 0);
	CHECK_EQ(r.g[0].m->held, 0);
	rig_end(&r);
}

/* The next of them would wait for a chunk, and those behind it with it. */
TEST(who_asks_for_several_at_once_is_not_read_ahead_for)
{
	struct rig r;
	struct op o[3];
	u64 at = 0;

	begin(&r);
	for (unsigned turn = 0; turn < 10; turn++) {
		for (unsigned i = 0; i < ARRAY_SIZE(o); i++, at += 4096)
			submit(r.g[0].m, &o[i], BLK_READ, at, i * 4096, 4096);
		settle(&r);
		CHECK_EQ(r.g[0].m->ahead.chunks, 0);
	}
	CHECK_EQ(r.pieces, 10 * ARRAY_SIZE(o));
	rig_end(&r);
}

TEST(who_jumps_about_is_not_read_ahead_for)
{
	struct rig r;

	begin(&r);
	for (unsigned i = 1; i < 30; i++)
		CHECK(!read_one(&r, i * 7919 % 900 * 4096, 4096));
	CHECK_EQ(r.pieces, 29);
	CHECK_EQ(r.g[0].m->held, 0);
	rig_end(&r);
}

TEST(no_more_is_read_ahead_than_was_read)
{
	struct rig r;

	begin(&r);
	read_one(&r, 0, 4096);
	CHECK_EQ(r.g[0].m->held, 0);
	read_one(&r, 4096, 4096);
	CHECK_EQ(r.g[0].m->ahead.end, 16384);
	rig_end(&r);
}

TEST(several_requests_at_a_time_need_no_reading_ahead)
{
	struct rig r;
	struct op o[8];

	begin(&r);
	for (unsigned i = 0; i < 8; i++)
		submit(r.g[0].m, &o[i], BLK_READ, i * 65536, i * 65536, 65536);
	settle(&r);
	CHECK_EQ(r.pieces, 8);
	rig_end(&r);
}

TEST(a_jump_drops_what_was_read)
{
	struct rig r;

	begin_ahead(&r);
	read_one(&r, 3 * MIB, 4096);
	CHECK_EQ(r.g[0].m->held, 0);
	rig_end(&r);
}

TEST(a_write_drops_what_it_overlaps)
{
	struct rig r;
	u64 at = begin_ahead(&r);

	write_one(&r, at + 512, 512, 0xaa);
	read_one(&r, at, CHUNK);
	write_one(&r, at + 2 * CHUNK - 512, 1024, 0xbb);
	read_one(&r, at + CHUNK, CHUNK);
	read_one(&r, at + 2 * CHUNK, CHUNK);
	rig_end(&r);
}

/* The daemon reads a chunk, then the guest writes there, then both answers come. */
TEST(a_chunk_read_before_a_write_and_answered_after_it_is_not_used)
{
	struct rig r;
	struct op rd, wr;
	u64 at;

	begin(&r);
	for (at = 0; at < 2 * CHUNK; at += CHUNK) {
		submit(r.g[0].m, &rd, BLK_READ, at, 0, CHUNK);
		while (!rd.done) {
			take(&r);
			for (unsigned i = 0; i < ARRAY_SIZE(r.asked); i++)
				if (r.asked[i].used && !(r.asked[i].r.flags & CHAN_BLK_AHEAD))
					answer(&r, &r.asked[i], 0);
			service(&r);
		}
	}
	take(&r);
	CHECK(waiting(&r) >= 2);
	memset(r.ram + MIB, 0xcc, 4096);
	submit(r.g[0].m, &wr, BLK_WRITE, at, MIB, 4096);
	for (unsigned i = 0; i < ARRAY_SIZE(r.asked); i++)
		if (r.asked[i].used)
			answer(&r, &r.asked[i], 0);
	settle(&r);
	CHECK_EQ(wr.done, 1);
	read_one(&r, at, CHUNK);
	CHECK_EQ(r.ram[0], 0xcc);
	rig_end(&r);
}

TEST(nothing_is_read_ahead_while_a_write_is_under_way)
{
	struct rig r;
	struct op rd, wr;
	u64 at = begin_ahead(&r);
	unsigned chunks = r.g[0].m->ahead.chunks;

	submit(r.g[0].m, &wr, BLK_WRITE, 3 * MIB, MIB, 4096);
	take(&r);
	for (unsigned i = 0; i < chunks; i++) {
		submit(r.g[0].m, &rd, BLK_READ, at + i * CHUNK, 0, CHUNK);
		blk_chan_guest_halted(r.g[0].m);
		CHECK_EQ(rd.done, 1);
	}
	CHECK_EQ(take(&r), 0);
	settle(&r);
	CHECK_EQ(wr.done, 1);
	rig_end(&r);
}

TEST(an_error_ahead_is_told_only_who_reads_there)
{
	struct rig r;
	struct op o;
	u64 at;

	begin(&r);
	read_one(&r, 0, CHUNK);
	submit(r.g[0].m, &o, BLK_READ, CHUNK, 0, CHUNK);
	take(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(r.asked); i++)
		if (r.asked[i].used)
			answer(&r, &r.asked[i], r.asked[i].r.flags & CHAN_BLK_AHEAD ? -EIO : 0);
	service(&r);
	CHECK_EQ(o.done, 1);
	CHECK_EQ(o.status, 0);
	CHECK_EQ(r.g[0].failures, 0);
	CHECK_EQ(r.g[0].m->held, 0);
	at = 2 * CHUNK;
	submit(r.g[0].m, &o, BLK_READ, at, 0, CHUNK);
	answer_all(&r, -EIO);
	service(&r);
	CHECK_EQ(o.status, -EIO);
	CHECK_EQ(r.g[0].failures, 1);
	rig_end(&r);
}

/* It waits for the chunk, then asks itself. */
TEST(a_request_that_waits_for_a_chunk_survives_its_error)
{
	struct rig r;
	struct op a, b;

	begin(&r);
	read_one(&r, 0, CHUNK);
	submit(r.g[0].m, &a, BLK_READ, CHUNK, 0, CHUNK);
	take(&r);
	for (unsigned i = 0; i < ARRAY_SIZE(r.asked); i++)
		if (r.asked[i].used && !(r.asked[i].r.flags & CHAN_BLK_AHEAD))
			answer(&r, &r.asked[i], 0);
	service(&r);
	CHECK_EQ(a.done, 1);
	submit(r.g[0].m, &b, BLK_READ, 2 * CHUNK, 0, 3 * CHUNK);
	answer_all(&r, -EIO); /* of chunks only */
	settle(&r);
	CHECK_EQ(b.done, 1);
	CHECK_EQ(b.status, 0);
	CHECK(!memcmp(r.ram, r.medium + 2 * CHUNK, 3 * CHUNK));
	rig_end(&r);
}

TEST(a_reset_guest_leaves_nothing_behind)
{
	struct rig r;
	u64 at = begin_ahead(&r);

	read_one(&r, at, CHUNK);
	r.g[0].m->blk.ops->cancel(&r.g[0].m->blk);
	CHECK_EQ(r.g[0].m->ahead.chunks, 0);
	settle(&r);
	CHECK_EQ(r.g[0].m->held, 0);
	blk_chan_close(r.g[0].m);
	answer_all(&r, 0);
	CHECK_EQ(blk_chan_state(r.g[0].m), BLK_CHAN_FREE);
	r.g[0].m = NULL;
	rig_end(&r);
}

/* What the file holds by then may be something else. */
TEST(a_new_daemon_starts_without_chunks)
{
	struct rig r;
	u64 at = begin_ahead(&r);

	pci_cfg_write(&r.d.ch.pci, PCI_COMMAND, 2, PCI_COMMAND_MEM);
	memset(r.asked, 0, sizeof(r.asked));
	memset(r.medium + at, 0x11, MIB);
	pci_cfg_write(&r.d.ch.pci, PCI_COMMAND, 2, PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
	CHECK_EQ(fake_attach(&r.d), 0);
	settle(&r);
	CHECK(!read_one(&r, at, CHUNK));
	rig_end(&r);
}

/* Slots that hold chunks go to whoever needs them. */
TEST(chunks_give_way_to_other_media)
{
	struct rig r;
	static struct op o[16];

	begin_ahead(&r);
	open_medium(&r, 1);
	open_medium(&r, 2);
	settle(&r);
	for (unsigned i = 0; i < 16; i++)
		submit(r.g[1 + i % 2].m, &o[i], BLK_READ, i * 65536, MIB + i * 65536, 65536);
	settle(&r);
	for (unsigned i = 0; i < 16; i++)
		CHECK_EQ(o[i].done, 1);
	rig_end(&r);
}

TEST(one_slot_is_enough_for_a_reader)
{
	struct rig r;

	rig_init(&r);
	r.d.slots = 2;
	open_medium(&r, 0);
	open_medium(&r, 1);
	CHECK_EQ(fake_attach(&r.d), 0);
	settle(&r);
	for (u64 at = 0; at < MIB; at += 65536)
		read_one(&r, at, 65536);
	rig_end(&r);
}

/* --- at random: every read has what was on the medium when it was sent --- */

#define PLACES 64u /* of 64 KiB */
#define PLACE  65536u
#define FLYING 3u

struct flight {
	struct op o;
	bool busy, write;
	unsigned place;
	u8 want[PLACE];
};

static struct flight flight[FLYING];
static u32 seed;

static u32 chance(u32 n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static bool place_busy(unsigned place)
{
	for (unsigned i = 0; i < FLYING; i++)
		if (flight[i].busy && flight[i].place == place)
			return true;
	return false;
}

static void launch(struct rig *r, u8 *model, unsigned i, unsigned place, bool write)
{
	struct flight *x = &flight[i];
	u32 gpa = i * PLACE;

	if (x->busy || place_busy(place))
		return;
	x->busy = true;
	x->write = write;
	x->place = place;
	if (write) {
		memset(r->ram + gpa, (int)chance(256), PLACE);
		memcpy(model + place * PLACE, r->ram + gpa, PLACE);
	} else {
		memcpy(x->want, model + place * PLACE, PLACE);
	}
	submit(r->g[0].m, &x->o, write ? BLK_WRITE : BLK_READ, place * PLACE, gpa, PLACE);
}

/* How many reads have ended well. */
static unsigned land(struct rig *r)
{
	unsigned reads = 0;

	for (unsigned i = 0; i < FLYING; i++) {
		struct flight *x = &flight[i];

		if (!x->busy || !x->o.done)
			continue;
		x->busy = false;
		CHECK_EQ(x->o.status, 0);
		if (!x->write)
			CHECK(!memcmp(r->ram + i * PLACE, x->want, PLACE));
		reads += !x->write;
	}
	return reads;
}

static void answer_some(struct rig *r)
{
	take(r);
	for (unsigned i = 0; i < ARRAY_SIZE(r->asked); i++)
		if (r->asked[i].used && !chance(3))
			answer(r, &r->asked[i],
			       r->asked[i].r.flags & CHAN_BLK_AHEAD && !chance(20) ? -EIO : 0);
}

TEST(at_random_no_read_is_older_than_the_last_write)
{
	static u8 model[MEDIUM_SIZE];
	struct rig r;
	unsigned next = 0, reads = 0;

	_Static_assert(PLACES * PLACE <= MEDIUM_SIZE, "in the medium");
	seed = 7;
	begin(&r);
	memcpy(model, r.medium, MEDIUM_SIZE);
	for (unsigned step = 0; step < 20000; step++) {
		unsigned what = chance(16);

		if (what < 10) {
			if (!flight[0].busy)
				launch(&r, model, 0, next++ % PLACES, false);
		} else if (what < 12) {
			launch(&r, model, 1, (next + chance(12)) % PLACES, true);
		} else if (what == 12) {
			launch(&r, model, 2, chance(PLACES), false);
		} else if (what == 13 && !chance(20)) {
			next = chance(PLACES);
		}
		answer_some(&r);
		fake_advance(&r.f, 20000);
		service(&r);
		reads += land(&r);
	}
	fake_advance(&r.f, MIB);
	settle(&r);
	CHECK(reads + land(&r) > 1000);
	rig_end(&r);
}
