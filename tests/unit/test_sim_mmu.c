/* The simulator's model of TLB and walks: catches a walk with a reference too many or too few, a
 * walk cache that never hits or always does, a TLB of another size, costs that fall where they must
 * rise.
 *
 * SRCS: tests/sim/mmu.c tests/sim/access.c tests/sim/world.c tests/sim/loads.c
 * SRCS: hv/paging/adaptive/policy.c hv/paging/adaptive/dsp.c hv/paging/adaptive/regret.c
 * SRCS: hv/paging/adaptive/guard.c hv/paging/adaptive/cost.c hv/paging/adaptive/budget.c
 * SRCS: hv/paging/adaptive/window.c hv/paging/adaptive/params.c hv/paging/adaptive/sample.c
 * SRCS: hv/lib/str.c hv/lib/crc32.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "../sim/access.h"

static struct mmu mmu;

/* References that one access to @gva makes. */
static u64 references(u64 gva)
{
	u64 before = mmu.references;

	mmu_access(&mmu, gva);
	return mmu.references - before;
}

/* (m+1)(n+1)-1 of m levels by n. */
TEST(cold_walks_have_the_references_of_the_manuals)
{
	static const u64 cold[MMU_MODES] = {4, 24, 19, 14};

	for (unsigned m = 0; m < MMU_MODES; m++) {
		mmu_start(&mmu, &mmu_lynnfield, (enum mmu_mode)m);
		CHECK_EQ(references(BIT(40)), cold[m]);
		CHECK_EQ(references(BIT(40) + 4088), 0);
		CHECK_EQ(mmu.misses, 1);
		CHECK_EQ(mmu.accesses, 2);
		mmu_end(&mmu);
	}
}

TEST(walk_caches_leave_the_last_entry)
{
	mmu_start(&mmu, &mmu_lynnfield, MMU_SHADOW);
	references(BIT(40));
	CHECK_EQ(references(BIT(40) + 4096), 1);      /* same table */
	CHECK_EQ(references(BIT(40) + 2 * MIB), 2);   /* the next one */
	CHECK_EQ(references(BIT(40) + GIB), 3);	      /* another of level 2 */
	CHECK_EQ(references(BIT(40) + 512 * GIB), 4); /* another of level 3 */
	for (u64 i = 1; i <= 40; i++)		      /* 32 tables are remembered */
		references(BIT(41) + i * 2 * MIB);
	CHECK_EQ(references(BIT(40) + 8192), 2);
	mmu_end(&mmu);
	/* With the table's place known: its entry, and the page's translation, which is in the
	 * same block of 64 KiB or not. */
	mmu_start(&mmu, &mmu_lynnfield, MMU_NESTED_2M);
	references(BIT(40));
	CHECK_EQ(references(BIT(40) + 4096), 1);
	CHECK_EQ(references(BIT(40) + 65536), 1 + 3);
	mmu_end(&mmu);
}

TEST(tlb_holds_what_it_holds)
{
	mmu_start(&mmu, &mmu_lynnfield, MMU_SHADOW);
	for (unsigned round = 0; round < 2; round++)
		for (u64 i = 0; i < 512; i++)
			mmu_access(&mmu, BIT(40) + i * 4096);
	CHECK_EQ(mmu.misses, 512);
	mmu_forget_counts(&mmu);
	for (unsigned round = 0; round < 2; round++) /* least recently used: each is gone again */
		for (u64 i = 0; i < 5 * 128 + 1; i++)
			mmu_access(&mmu, BIT(41) + i * 4096);
	CHECK_EQ(mmu.misses, 2 * (5 * 128 + 1));
	mmu_end(&mmu);
}

TEST(costs_are_in_order)
{
	const struct access *chase = &access_pattern[ACCESS_CHASE];
	struct access_cost small = access_measure(chase, 16 * MIB, &mmu_lynnfield, MMU_SHADOW),
			   big[4];

	for (unsigned m = 0; m < MMU_MODES; m++)
		big[m] = access_measure(chase, 256 * MIB, &mmu_lynnfield, (enum mmu_mode)m);
	CHECK(small.walk < big[MMU_SHADOW].walk && small.misses < big[MMU_SHADOW].misses);
	CHECK(big[MMU_SHADOW].walk < big[MMU_NESTED_1G].walk);
	CHECK(big[MMU_NESTED_1G].walk < big[MMU_NESTED_2M].walk);
	CHECK(big[MMU_NESTED_2M].walk < big[MMU_NESTED_4K].walk);
	for (unsigned m = 1; m < MMU_MODES; m++)
		CHECK_EQ((u64)(big[m].misses * 1000), (u64)(big[0].misses * 1000));
}

/* DSP, Table 3: 54 s for 12.5e9 misses of mcf. */
TEST(calibrated_to_the_published_cost_of_a_nested_miss)
{
	const struct access *mcf = &access_pattern[ACCESS_MCF];
	double extra = access_measure(mcf, GIB, &mmu_lynnfield, MMU_NESTED_4K).walk -
		       access_measure(mcf, GIB, &mmu_lynnfield, MMU_SHADOW).walk;

	CHECK(extra / 2.8 > 3.8 && extra / 2.8 < 4.8);
}
