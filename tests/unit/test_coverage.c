/* Totals from samples, TLB misses from touched pages, and changes of a guest's tables found by
 * comparison. Would catch: a total that is scaled wrongly or promises more than the sample says, a
 * bound above what can be true, a TLB's size read wrongly, tables that are missed, entries that
 * count though nothing changed but A or D, a table that counts though it is one no more, a walk
 * that a guest's tables lead out of its memory or round in circles.
 *
 * SRCS: hv/paging/adaptive/coverage.c hv/paging/adaptive/tables.c hv/lib/str.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "lib/x86.h"
#include "paging/adaptive/coverage.h"
#include "paging/adaptive/tables.h"

/* --- totals ----------------------------------------------------------------------------------- */

TEST(a_sample_of_all_is_the_total)
{
	struct policy_measure m = sampled_total(100, 5000, 4, 4);

	CHECK(m.value == 100 && m.confidence == 100);
	m = sampled_total(0, 0, 4, 4);
	CHECK(m.value == 0 && m.confidence == 100);
	CHECK_EQ(sampled_total(0, 0, 0, 0).confidence, 0);
	CHECK_EQ(sampled_total(5, 25, 2, 1).confidence, 0);
}

TEST(a_part_is_scaled_and_trusted_as_far_as_its_pieces_agree)
{
	struct policy_measure even = sampled_total(400, 4 * 100 * 100, 4, 64);
	struct policy_measure uneven = sampled_total(400, 400 * 400, 4, 64);
	struct policy_measure mixed = sampled_total(400, 2 * 90 * 90 + 2 * 110 * 110, 4, 64);

	CHECK(even.value == 6400 && even.confidence == 100);
	/* One of four has everything: the deviation is as large as the total. */
	CHECK(uneven.value == 6400 && uneven.confidence <= 5);
	CHECK(mixed.confidence > 90 && mixed.confidence < 100);
	CHECK_EQ(sampled_total(7, 49, 1, 64).confidence, 1);
	CHECK(sampled_total(0, 0, 4, 64).confidence < 100);
}

/* Of 64 pieces with random numbers, samples of 16: errors are as large as they are said to be. */
TEST(the_deviation_that_is_told_is_the_one_there_is)
{
	u64 piece[64], total = 0, r = 12345;
	double square = 0, told = 0;

	for (unsigned i = 0; i < 64; i++) {
		r = r * 6364136223846793005ull + 1442695040888963407ull;
		total += piece[i] = (r >> 33) % 512;
	}
	for (unsigned round = 0; round < 2000; round++) {
		u64 sum = 0, squares = 0;
		struct policy_measure m;
		double error;

		for (unsigned i = 0; i < 16; i++) {
			unsigned j;
			u64 p;

			r = r * 6364136223846793005ull + 1442695040888963407ull;
			j = i + (unsigned)((r >> 33) % (64 - i));
			p = piece[j];
			piece[j] = piece[i];
			piece[i] = p;
			sum += p;
			squares += p * p;
		}
		m = sampled_total(sum, squares, 16, 64);
		error = ((double)m.value - (double)total) / (double)m.value * 100;
		square += error * error;
		told += (100.5 - m.confidence) * (100.5 - m.confidence);
	}
	CHECK(told / square > 0.7 && told / square < 1.5);
}

/* --- misses ----------------------------------------------------------------------------------- */

TEST(misses_are_what_the_tlb_cannot_hold)
{
	struct coverage_look l[COVERAGE_LOOKS] = {
		{.ran = 1000, .touched = 600, .squares = 600 * 600, .regions = 1, .of = 1},
		{.ran = 10000, .touched = 3000, .squares = 3000 * 3000, .regions = 1, .of = 1},
		{.ran = 100000, .touched = 9000, .squares = 9000ull * 9000, .regions = 1, .of = 1}};
	struct policy_measure m = coverage_misses(l, 1000000, 500, 1000000);

	/* 100 in 1000, 2500 in 10000, 8500 in 100000: the second is the most. */
	CHECK(m.value == 250000 && m.confidence == 100);
	CHECK_EQ(coverage_misses(l, 1000000, 500, 500000).value, 100000);
	CHECK_EQ(coverage_misses(l, 1000000, 10000, 1000000).value, 0);
	CHECK_EQ(coverage_misses(l, 1000000, 10000, 1000000).confidence, 100);
	CHECK_EQ(coverage_misses(l, 0, 500, 1000000).value, 0);
	l[1].ran = 1;
	CHECK_EQ(coverage_misses(l, 1000, 500, 1000000).value, 1000);
	for (unsigned i = 0; i < COVERAGE_LOOKS; i++)
		l[i].regions = 0;
	CHECK_EQ(coverage_misses(l, 1000000, 500, 1000000).confidence, 0);
}

/* Looks at a part of the memory each: together they tell more than each one, and a change of load
 * is seen within a few. */
TEST(looks_are_pooled_and_fade)
{
	struct coverage_look sum = {0}, none = {0};
	struct coverage_look l = {
		.ran = 1000, .touched = 100, .squares = 100 * 100, .regions = 10, .of = 100};

	coverage_pool(&sum, &none);
	CHECK_EQ(sum.regions, 0);
	for (unsigned i = 0; i < 20; i++)
		coverage_pool(&sum, &l);
	CHECK(sum.regions > 30 && sum.regions <= 40 && sum.of == 100);
	CHECK(sum.ran > 980 && sum.ran <= 1000);
	CHECK(coverage_pages(&sum).value >= 950 && coverage_pages(&sum).value <= 1050);
	CHECK(coverage_pages(&sum).confidence > coverage_pages(&l).confidence);
	coverage_pool(&sum, &none);
	CHECK(sum.regions > 30);
	l.touched = l.squares = 0;
	for (unsigned i = 0; i < 8; i++)
		coverage_pool(&sum, &l);
	CHECK(coverage_pages(&sum).value < 150);
	/* All of it, again and again, is all of it. */
	l = (struct coverage_look){
		.ran = 1000, .touched = 500, .squares = 25000, .regions = 10, .of = 10};
	sum = none;
	for (unsigned i = 0; i < 20; i++)
		coverage_pool(&sum, &l);
	CHECK(sum.regions == 10 && coverage_pages(&sum).confidence == 100);
	CHECK(coverage_pages(&sum).value >= 480 && coverage_pages(&sum).value <= 500);
}

static u32 leaf_max, ext_max, l2_ebx, descriptors, tlb[3][4];
static void fake_cpuid(u32 leaf, u32 sub, u32 out[4])
{
	memset(out, 0, 4 * sizeof(*out));
	if (leaf == 0)
		out[0] = leaf_max;
	else if (leaf == 0x80000000)
		out[0] = ext_max;
	else if (leaf == 0x80000006)
		out[1] = l2_ebx;
	else if (leaf == 2)
		out[0] = descriptors;
	else if (leaf == 0x18 && sub < 3)
		memcpy(out, tlb[sub], sizeof(tlb[sub]));
}

TEST(the_tlbs_reach_is_read_from_whatever_leaf_tells_it)
{
	leaf_max = 1;
	ext_max = 0x80000008;
	CHECK_EQ(coverage_tlb_reach(fake_cpuid), 0);
	l2_ebx = 0x42004200; /* 512 for data, four ways */
	CHECK_EQ(coverage_tlb_reach(fake_cpuid), 512);
	l2_ebx = 0x02004200;
	CHECK_EQ(coverage_tlb_reach(fake_cpuid), 0);
	l2_ebx = 0;
	leaf_max = 2;
	descriptors = 0x00c3ff01;
	CHECK_EQ(coverage_tlb_reach(fake_cpuid), 1536);
	descriptors = 0x80c3ff01;
	CHECK_EQ(coverage_tlb_reach(fake_cpuid), 0);
	leaf_max = 0x18;
	tlb[0][0] = 2;
	tlb[1][1] = 4u << 16 | 1, tlb[1][2] = 16, tlb[1][3] = 1 | 1 << 5;
	tlb[2][1] = 8u << 16 | 3, tlb[2][2] = 256, tlb[2][3] = 3 | 2 << 5;
	CHECK_EQ(coverage_tlb_reach(fake_cpuid), 2048);
	tlb[2][3] = 2 | 2 << 5; /* for instructions */
	CHECK_EQ(coverage_tlb_reach(fake_cpuid), 64);
}

/* --- tables ----------------------------------------------------------------------------------- */

#define RAM_PAGES 512u
#define P	  1ull
#define U	  4ull
#define A	  0x20ull
#define D	  0x40ull
#define PS	  0x80ull

static u64 ram[RAM_PAGES][512];
static unsigned next_page;
static struct tables t;
static struct walk_regs regs;

static void *fake_ram(void *ctx, gpa_t gpa)
{
	(void)ctx;
	return gpa / PAGE_SIZE < RAM_PAGES ? (u8 *)ram + gpa : NULL;
}
static const struct walk_mem mem = {.ram = fake_ram};

static struct tables_seen look(void)
{
	struct tables_seen seen;

	tables_look(&t, &mem, &regs, &seen);
	return seen;
}

static gpa_t new_page(void)
{
	memset(ram[next_page], 0, PAGE_SIZE);
	return (gpa_t)next_page++ * PAGE_SIZE;
}

static void start(u64 cr4, u64 efer)
{
	next_page = 1;
	regs = (struct walk_regs){.cr0 = CR0_PG | CR0_PE, .cr4 = cr4, .efer = efer};
	regs.cr3 = new_page();
	tables_init(&t, 99);
}

/* Four levels: @n last-level tables below one directory, @small entries in use in each. */
static gpa_t build_long(unsigned n, unsigned small, u64 flags)
{
	gpa_t pdpt, pd, first = 0;

	start(CR4_PAE, EFER_LME | EFER_LMA);
	pdpt = new_page();
	pd = new_page();
	ram[regs.cr3 / PAGE_SIZE][5] = pdpt | P | A | U;
	ram[pdpt / PAGE_SIZE][7] = pd | P | A | U;
	for (unsigned i = 0; i < n; i++) {
		gpa_t table = new_page();

		first = first ? first : table;
		ram[pd / PAGE_SIZE][i] = table | P | A | U;
		for (unsigned j = 0; j < small; j++)
			ram[table / PAGE_SIZE][j] = 0x1000 * j | P | flags;
	}
	return first;
}

static u64 *entry(gpa_t table, unsigned i)
{
	return &ram[table / PAGE_SIZE][i];
}

TEST(changed_entries_are_counted_but_not_accessed_and_dirty_bits)
{
	gpa_t table = build_long(10, 100, A);
	struct tables_seen seen = look();

	CHECK_EQ(seen.writes.confidence, 0); /* nothing to compare with yet */
	CHECK(seen.leaves.value == 1000 && seen.leaves.confidence == 100);
	seen = look();
	CHECK(seen.writes.value == 0 && seen.writes.confidence == 100);
	for (unsigned i = 0; i < 10; i++)
		*entry(table + i * PAGE_SIZE, 3) ^= A | D;
	CHECK_EQ(look().writes.value, 0);
	for (unsigned i = 0; i < 10; i++)
		*entry(table + i * PAGE_SIZE, 3 * i) ^= 0x5000;
	*entry(table, 500) = 0x1000 | P;
	CHECK_EQ(look().writes.value, 11);
	CHECK_EQ(look().writes.value, 0);
}

TEST(of_many_tables_a_part_tells)
{
	gpa_t table = build_long(400, 10, A);
	struct tables_seen seen = look();

	CHECK(seen.leaves.value == 4000 && seen.leaves.confidence == 100);
	for (unsigned i = 0; i < 400; i++)
		for (unsigned j = 0; j < 5; j++)
			*entry(table + i * PAGE_SIZE, 20 + j) = 0x3000 | P;
	seen = look();
	CHECK(seen.writes.value == 2000 && seen.writes.confidence == 100);
	*entry(table + 17 * PAGE_SIZE, 0) = 0;
	CHECK(look().writes.confidence < 100);
}

TEST(a_table_that_is_unlinked_tells_nothing)
{
	gpa_t table = build_long(10, 100, A);
	gpa_t pd = table - PAGE_SIZE;

	look();
	*entry(pd, 0) = 0;
	memset(entry(table, 0), 0xff, PAGE_SIZE);
	*entry(table + PAGE_SIZE, 0) ^= 0x1000;
	CHECK_EQ(look().writes.value, 1);
	/* Another one in its place. */
	*entry(pd, 0) = table | P | A | U;
	look();
	*entry(pd, 0) = (table + PAGE_SIZE) | P | A | U;
	CHECK_EQ(look().writes.value, 0);
	/* Its link's accessed and dirty bits are no change. */
	look();
	*entry(pd, 3) ^= A | D;
	*entry(table + 3 * PAGE_SIZE, 9) ^= 0x1000;
	CHECK_EQ(look().writes.value, 1);
}

TEST(what_the_guest_maps_by_large_pages_is_told)
{
	gpa_t table = build_long(4, 128, A | U), pd = table - PAGE_SIZE;

	CHECK_EQ(look().small_ppm, 1000000);
	*entry(pd, 100) = 0x200000 | P | A | U | PS;
	CHECK_EQ(look().small_ppm, 500000);
	/* The kernel's map of all memory, and a large page never used, do not count beside it. */
	for (unsigned i = 200; i < 300; i++)
		*entry(pd, i) = 0x200000 * i | P | A | PS;
	*entry(pd, 101) = 0x200000 | P | U | PS;
	CHECK_EQ(look().small_ppm, 500000);
	build_long(4, 128, A);
	CHECK_EQ(look().small_ppm, 1000000);
}

TEST(every_format_of_tables_is_read)
{
	u32 *narrow;
	gpa_t a, b;

	start(CR4_PSE, 0);
	a = new_page();
	((u32 *)ram[regs.cr3 / PAGE_SIZE])[1023] = (u32)(a | P | A);
	((u32 *)ram[regs.cr3 / PAGE_SIZE])[5] = 0x400000 | P | A | PS;
	narrow = (u32 *)entry(a, 0);
	narrow[0] = narrow[1] = narrow[1023] = 0x1000 | P | A;
	CHECK_EQ(look().leaves.value, 3);
	narrow[1] ^= A | D;
	narrow[1022] = 0x1000;
	narrow[1023] = 0;
	CHECK_EQ(look().writes.value, 2);
	CHECK_EQ(look().small_ppm, 1000000ull * 1 / 1025);

	start(CR4_PAE, EFER_NXE);
	regs.cr3 += 0x20;
	a = new_page();
	b = new_page();
	*entry(PAGE_SIZE, 4 + 3) = a | P;
	*entry(a, 511) = b | P | A;
	*entry(b, 511) = BIT(63) | 0x7000 | P | A;
	CHECK_EQ(look().leaves.value, 1);
	*entry(b, 511) ^= BIT(63);
	CHECK_EQ(look().writes.value, 1);
	regs.cr0 = CR0_PE;
	CHECK_EQ(look().leaves.confidence, 0);
}

/* Whatever they are, the look ends soon and stays in the guest's memory. */
TEST(hostile_tables_are_harmless)
{
	u64 r = 4711;

	start(CR4_PAE, EFER_LME | EFER_LMA);
	for (unsigned i = 0; i < 512; i++)
		*entry(regs.cr3, i) = regs.cr3 | P | A | U;
	look();
	CHECK_EQ(t.all, false);
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0; i < RAM_PAGES * 512; i++) {
			r = r * 6364136223846793005ull + 1442695040888963407ull;
			((u64 *)ram)[i] =
				(r >> 20) % (RAM_PAGES + 8) * PAGE_SIZE | ((r >> 50) & 0xfff);
		}
		regs.cr3 = (r >> 30) % (2 * RAM_PAGES) * PAGE_SIZE | (r >> 8 & 0xfff);
		regs.efer = r & BIT(40) ? EFER_LME | EFER_LMA : 0;
		regs.cr4 = r & BIT(41) ? CR4_PAE : 0;
		look();
	}
	regs.cr3 = ~0ull;
	CHECK_EQ(look().leaves.confidence, 0);
}
