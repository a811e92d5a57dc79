/* Memory traces of the simulator: catches a fold that loses a miss, a fault or an unmapping, a
 * record that is not read back as it was written, a file that makes the reader run out of its
 * bounds, pages that are not given back, a replay that charges one mode with the other's exits.
 *
 * SRCS: tests/sim/trace/fold.c tests/sim/trace/read.c tests/sim/mmu.c tests/sim/space.c
 * SRCS: tests/sim/replay.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "../sim/replay.h"
#include "../sim/space.h"
#include "../sim/trace/fold.h"
#include "../sim/trace/read.h"

/* --- a program, folded into a file ------------------------------------------------------------ */

static struct fold fold;
static struct touch_reader reader;
static FILE *file;
static u64 regions;

static void to_file(void *ctx, const void *bytes, size_t size)
{
	(void)ctx;
	CHECK_EQ(fwrite(bytes, 1, size, file), size);
}

static void *zeroed(void *ctx, size_t size)
{
	(void)ctx;
	regions++;
	return calloc(1, size);
}

static void start(void)
{
	memset(&fold, 0, sizeof(fold));
	fold.write = to_file;
	fold.zeroed = zeroed;
	file = tmpfile();
	fold_start(&fold, 7);
}

static void finish(void)
{
	fold_flush(&fold);
	rewind(file);
	touch_open(&reader, file);
}

static void end(void)
{
	CHECK(!reader.why);
	fclose(file);
	for (u64 i = 0; i < FOLD_REGIONS; i++)
		free(fold.region[i]);
}

static struct touch_event next(void)
{
	struct touch_event e = {0};

	CHECK(touch_next(&reader, &e));
	return e;
}

#define EXPECT(kind_, at_, instructions_)                                                          \
	do {                                                                                       \
		struct touch_event e_ = next();                                                    \
		CHECK_EQ(e_.kind, kind_);                                                          \
		CHECK_EQ(e_.at, at_);                                                              \
		CHECK_EQ(e_.instructions, instructions_);                                          \
	} while (0)

TEST(records_are_read_as_they_were_written)
{
	struct touch_event e;

	start();
	fold_fetch(&fold, 0x400000, 4);
	fold_data(&fold, 0x7fffffffe038, 16, true); /* over the end of a line */
	for (unsigned i = 0; i < 100; i++)
		fold_fetch(&fold, 0x400004, 4);
	fold_data(&fold, 0x600000, 8, false);
	fold_data(&fold, 0x600008, 8, true); /* known, but not to be written yet */
	fold_data(&fold, 0x600010, 8, true);
	fold_drop(&fold, 0x600000, 0x2000);
	fold_protect(&fold);
	fold_data(&fold, BIT(47), 8, false);
	fold_end(&fold);
	finish();
	EXPECT(TOUCH_FAULT, 0x400000, 1);
	EXPECT(TOUCH_FETCH, 0x400000, 0);
	EXPECT(TOUCH_FAULT, 0x7fffffffe000, 0);
	EXPECT(TOUCH_WRITE, 0x7fffffffe000, 0);
	EXPECT(TOUCH_WRITE, 0x7fffffffe040, 0);
	EXPECT(TOUCH_FETCH, 0x400000, 1); /* a fault may have flushed it */
	EXPECT(TOUCH_FAULT, 0x600000, 99);
	EXPECT(TOUCH_READ, 0x600000, 0);
	EXPECT(TOUCH_FAULT, 0x600000, 0);
	EXPECT(TOUCH_WRITE, 0x600000, 0);
	e = next();
	CHECK(e.kind == TOUCH_DROP && e.at == 0x600000 && e.pages == 2 && e.process == 7);
	e = next();
	CHECK(e.kind == TOUCH_PROTECT && e.pages == 2);
	EXPECT(TOUCH_END, 0, 0);
	CHECK(!touch_next(&reader, &e));
	end();
}

TEST(after_fork_first_writes_fault)
{
	start();
	fold_data(&fold, 0x1000, 8, true);
	fold_protect(&fold);
	fold_data(&fold, 0x1000, 8, false);
	fold_data(&fold, 0x1000, 8, true);
	finish();
	EXPECT(TOUCH_FAULT, 0x1000, 0);
	EXPECT(TOUCH_WRITE, 0x1000, 0);
	CHECK_EQ(next().kind, TOUCH_PROTECT);
	EXPECT(TOUCH_READ, 0x1000, 0);
	EXPECT(TOUCH_FAULT, 0x1000, 0);
	EXPECT(TOUCH_WRITE, 0x1000, 0);
	end();
}

TEST(what_was_touched_quietly_does_not_fault_later)
{
	start();
	fold.quiet = true;
	fold_data(&fold, 0x1000, 8, true);
	fold_data(&fold, 0x3000, 8, true);
	fold_drop(&fold, 0x3000, 4096);
	fold_aloud(&fold);
	fold_data(&fold, 0x1000, 8, true);
	fold_data(&fold, 0x3000, 8, true);
	finish();
	EXPECT(TOUCH_WRITE, 0x1000, 0);
	EXPECT(TOUCH_FAULT, 0x3000, 0);
	EXPECT(TOUCH_WRITE, 0x3000, 0);
	end();
}

/* --- nothing is lost -------------------------------------------------------------------------- */

static u64 dice = 1;

static u64 roll(u64 sides)
{
	dice = dice * 6364136223846793005ull + 1442695040888963407ull;
	return (dice >> 33) % sides;
}

static struct mmu whole, folded;

/* Some locality, some pages anywhere. */
static u64 somewhere(u64 i)
{
	switch (roll(16)) {
	case 0:
		return roll(4000) << PAGE_SHIFT | roll(64) << 6;
	case 1:
	case 2:
		return BIT(32) + i * 8 % (8 * MIB);
	default:
		return BIT(40) + roll(24) * (PAGE_SIZE + 64);
	}
}

/* Only the TLB's misses: tables share the caches with the data, which the fold cannot know. */
TEST(folding_loses_no_miss)
{
	struct touch_event e;

	start();
	mmu_start(&whole, &mmu_lynnfield, MMU_SHADOW);
	mmu_start(&folded, &mmu_lynnfield, MMU_SHADOW);
	for (u64 i = 0; i < 300000; i++) {
		u64 at = somewhere(i);

		fold_data(&fold, at, 1, true);
		mmu_access(&whole, at);
	}
	finish();
	while (touch_next(&reader, &e))
		if (e.kind == TOUCH_WRITE)
			mmu_access(&folded, e.at);
	CHECK(whole.misses > 10000);
	CHECK_EQ(folded.misses, whole.misses);
	CHECK(folded.accesses < whole.accesses * 3 / 4);
	mmu_end(&whole);
	mmu_end(&folded);
	end();
}

/* --- hostile files ---------------------------------------------------------------------------- */

TEST(noise_is_no_trace)
{
	static u8 bytes[4096];
	struct touch_event e;

	for (unsigned round = 0; round < 300; round++) {
		struct touch_header h = {TOUCH_MAGIC, 1, sizeof(bytes), 1};
		u64 n = 0;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (u8)(roll(4) ? roll(32) : roll(256));
		file = tmpfile();
		CHECK_EQ(fwrite(&h, sizeof(h), 1, file), 1);
		CHECK_EQ(fwrite(bytes, 1, sizeof(bytes) - round % 2, file),
			 sizeof(bytes) - round % 2);
		rewind(file);
		touch_open(&reader, file);
		while (touch_next(&reader, &e)) {
			CHECK(e.at < BIT(47) && e.pages <= BIT(35));
			n++;
		}
		CHECK(n <= sizeof(bytes));
		CHECK(round % 2 == 0 || reader.why);
		fclose(file);
	}
}

/* --- pages and spaces ------------------------------------------------------------------------- */

TEST(frames_are_given_back)
{
	struct guest_memory g;
	bool fresh;
	u32 a, b;

	memory_start(&g);
	a = memory_frame(&g, 1, &fresh);
	CHECK(a && fresh);
	CHECK_EQ(memory_frame(&g, 1, &fresh), a);
	CHECK(!fresh);
	b = memory_frame(&g, 2, &fresh);
	CHECK(b != a);
	CHECK_EQ(memory_drop(&g, 2, BIT(35)), 1);
	CHECK_EQ(memory_frame(&g, 9, &fresh), b);
	CHECK_EQ(memory_drop(&g, 0, 3), 1);
	CHECK_EQ(g.pages, 1);
	memory_end(&g);
}

TEST(spaces_make_room)
{
	struct guest_memory g;
	bool fresh;
	unsigned first;

	memory_start(&g);
	first = memory_space(&g, 100, &fresh);
	CHECK(fresh);
	for (u32 p = 1; p < MMU_SPACES; p++)
		memory_space(&g, 100 + p, &fresh);
	CHECK_EQ(memory_space(&g, 100, &fresh), first);
	CHECK(!fresh);
	CHECK(memory_space(&g, 999, &fresh) != first); /* 101 ran longest ago */
	CHECK(fresh);
	CHECK_EQ(memory_space(&g, 100, &fresh), first);
	CHECK(!fresh);
	memory_space(&g, 101, &fresh);
	CHECK(fresh);
	memory_end(&g);
}

/* --- replay ----------------------------------------------------------------------------------- */

static const struct replay_lane lanes[] = {
	{&mmu_icelake, MMU_SHADOW, true, false, 2},  {&mmu_icelake, MMU_NESTED_4K, true, false, 0},
	{&mmu_icelake, MMU_SHADOW, false, false, 2}, {&mmu_icelake, MMU_NESTED_4K, true, true, 0},
	{&mmu_icelake, MMU_SHADOW, true, true, 2},
};
enum { SHADOW, NESTED, UNTAGGED, NESTED_LARGE, SHADOW_LARGE };

static struct replay replay;
static struct replay_window sum;

/* @file through the lanes, windows added up. */
static void play(void)
{
	char path[64];

	fold_flush(&fold);
	fflush(file);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fileno(file));
	replay_file(&replay, path, lanes, ARRAY_SIZE(lanes));
	CHECK(!replay.why);
	memset(&sum, 0, sizeof(sum));
	for (unsigned i = 0; i < REPLAY_WINDOWS; i++) {
		sum.events.instructions += replay.window[i].events.instructions;
		sum.events.faults += replay.window[i].events.faults;
		sum.events.fills += replay.window[i].events.fills;
		sum.events.dropped += replay.window[i].events.dropped;
		sum.events.invlpgs += replay.window[i].events.invlpgs;
		sum.large_faults += replay.window[i].large_faults;
		for (unsigned l = 0; l < ARRAY_SIZE(lanes); l++)
			sum.lane[l].misses += replay.window[i].lane[l].misses;
	}
}

static void step(u64 at, bool write)
{
	for (unsigned i = 0; i < 20; i++)
		fold_fetch(&fold, 0x400000, 4);
	fold_data(&fold, at, 8, write);
}

TEST(few_pages_and_many_faults)
{
	start();
	for (unsigned round = 0; round < 50; round++) {
		for (u64 page = 0; page < 20; page++)
			step(BIT(40) + page * PAGE_SIZE, true);
		fold_drop(&fold, BIT(40), 20 * PAGE_SIZE);
	}
	play();
	CHECK_EQ(sum.events.instructions, 20000);
	CHECK_EQ(sum.events.faults, 1001);
	CHECK_EQ(sum.events.dropped, 1000);
	CHECK_EQ(sum.events.invlpgs, 1000);
	CHECK_EQ(sum.events.fills, 0);
	/* Exits cost translations only where there are no tags. */
	CHECK_EQ(sum.lane[SHADOW].misses, sum.lane[NESTED].misses);
	CHECK(sum.lane[UNTAGGED].misses > sum.lane[SHADOW].misses * 3 / 2);
	finish();
	end();
}

TEST(large_pages_where_they_are_well_used)
{
	start();
	for (u64 i = 0; i < 60000; i++)
		step(BIT(40) + i * 7 % 4096 * PAGE_SIZE, true); /* 16 MiB, all of it */
	play();
	CHECK(sum.lane[SHADOW].misses > 30000);
	CHECK(sum.lane[SHADOW_LARGE].misses < 20);
	/* Broken up by small pages below. */
	CHECK(sum.lane[NESTED_LARGE].misses > 30000);
	CHECK(sum.large_faults < 12);
	finish();
	end();
}

/* A child's own pages are new to its shadow, and none of the parent's are. */
TEST(young_processes_fill_their_shadow)
{
	start();
	fold.quiet = true;
	for (u64 page = 0; page < 8; page++)
		step(BIT(40) + page * PAGE_SIZE, true);
	fold_aloud(&fold);
	for (u64 i = 0; i < 100; i++)
		step(BIT(40) + i % 8 * PAGE_SIZE, false);
	fold_protect(&fold);
	fold_flush(&fold);
	fold_start(&fold, 8);
	for (u64 i = 0; i < 100; i++)
		step(BIT(40) + i % 8 * PAGE_SIZE, false);
	play();
	CHECK_EQ(sum.events.fills, 9); /* and its code */
	CHECK_EQ(sum.events.faults, 0);
	finish();
	end();
}
