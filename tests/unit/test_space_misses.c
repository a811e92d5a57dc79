/* TLB misses of one address space, by looks that end when it goes. The space makes random accesses
 * to some pages, as many as a TLB of the same size would miss are known. Catches an estimate that
 * is above the truth (which promotes for nothing) or far below it, for quanta of 1 to 10 ms; one
 * made from runs too short to say anything; looks in one mode taken for those in the other; a price
 * that becomes more than all of the time.
 *
 * SRCS: hv/paging/adaptive/space_misses.c hv/paging/adaptive/coverage.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "paging/adaptive/fixed.h"
#include "paging/adaptive/space_misses.h"

#define KHZ	   1000000ull
#define REACH	   1024u
#define PAGES	   16384u
#define REGIONS	   64u /* of the guest; the space's pages are in half of them */
#define SAMPLED	   16u
#define PER_REGION 512u
#define ROUNDS	   20u

static u64 seed;
static bool touched[PAGES];

static u64 number(u64 below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u64)(((unsigned __int128)seed * below) >> 64);
}

/* What @SAMPLED regions chosen at random show of it. */
static struct coverage_look seen_in(const bool sampled[REGIONS], u64 ran)
{
	struct coverage_look l = {.ran = ran, .regions = SAMPLED, .of = REGIONS};

	for (unsigned r = 0; r < PAGES / PER_REGION; r++) {
		u64 n = 0;

		for (unsigned i = 0; sampled[r] && i < PER_REGION; i++)
			n += touched[r * PER_REGION + i];
		l.touched += n;
		l.squares += n * n;
	}
	return l;
}

static void choose(bool sampled[REGIONS])
{
	for (unsigned r = 0; r < REGIONS; r++)
		sampled[r] = false;
	for (unsigned n = 0; n < SAMPLED;) {
		u64 r = number(REGIONS);

		n += !sampled[r];
		sampled[r] = true;
	}
}

/* A round of looks at a space that accesses one of @pages pages every @each cycles, and goes after
 * @quantum_ns. How many were taken. */
static unsigned round_of(struct space_misses *s, u64 pages, u64 each, u64 quantum_ns)
{
	bool sampled[REGIONS];
	u64 now = 0, end = mul_div(quantum_ns, KHZ, NSEC_PER_MSEC);
	unsigned taken = 0;

	choose(sampled);
	memset(touched, 0, sizeof(touched));
	for (unsigned which = 0; which < COVERAGE_LOOKS && now < end; which++) {
		u64 till = MIN(mul_div(coverage_look_ns[which], KHZ, NSEC_PER_MSEC), end);
		struct coverage_look l;

		for (; now < till; now += each)
			touched[number(pages)] = true;
		l = seen_in(sampled, till);
		taken += space_misses_add(s, POLICY_NESTED, which, &l, KHZ);
	}
	space_misses_settle(s, REACH, MILLION);
	return taken;
}

TEST(below_the_truth_but_not_far_for_any_quantum)
{
	static const u64 quantum[] = {1000000, 2000000, 4000000, 10000000, 100000000};
	static const u64 pages[] = {2048, 4096, 16384}, each[] = {20, 100, 400};

	for (unsigned q = 0; q < ARRAY_SIZE(quantum); q++)
		for (unsigned p = 0; p < ARRAY_SIZE(pages); p++)
			for (unsigned e = 0; e < ARRAY_SIZE(each); e++) {
				struct space_misses s = {.known = false};
				u64 truth = mul_div(BIT(32) / each[e], pages[p] - REACH, pages[p]);

				seed = q + 10 * p + 100 * e;
				for (unsigned i = 0; i < ROUNDS; i++)
					CHECK(round_of(&s, pages[p], each[e], quantum[q]) >= 2);
				CHECK(s.known);
				printf("# %llu ms, %llu pages, 1/%llu: %llu %% of the misses\n",
				       (unsigned long long)(quantum[q] / NSEC_PER_MSEC),
				       (unsigned long long)pages[p], (unsigned long long)each[e],
				       (unsigned long long)mul_div(s.rate, 100, truth));
				/* 16 of 64 regions, four rounds' worth: a quarter by chance. */
				CHECK(s.rate <= truth + truth / 4);
				/* Four regions of 64 may be met by no round. */
				CHECK(pages[p] < 8 * PER_REGION || s.rate >= truth / 5);
			}
}

TEST(within_the_tlb_there_are_none)
{
	struct space_misses s = {.known = false};

	seed = 1;
	for (unsigned i = 0; i < ROUNDS; i++)
		round_of(&s, REACH / 2, 20, 10000000);
	CHECK(s.known);
	CHECK_EQ(s.rate, 0);
	/* The guard takes no walks at all for a counter that stands still. */
	CHECK_EQ(space_misses_walks(&s, 1000000, 60000).value, 1);
}

TEST(runs_too_short_say_nothing)
{
	struct space_misses s = {.known = false};

	for (unsigned i = 0; i < 1000; i++)
		CHECK_EQ(round_of(&s, PAGES, 20, 20000), 0);
	CHECK(!s.known);
	CHECK_EQ(space_misses_walks(&s, 1000000, 60000).confidence, 0);
}

TEST(what_was_seen_in_one_mode_is_not_pooled_with_the_other)
{
	struct coverage_look many = {
		.ran = 10000000, .touched = 9000, .squares = 81000000, .regions = 1, .of = 1};
	struct coverage_look few = {.ran = 10000000, .regions = 1, .of = 1};
	struct space_misses s = {.known = false};
	u64 rate;

	CHECK(space_misses_add(&s, POLICY_NESTED, 2, &many, KHZ));
	space_misses_settle(&s, REACH, MILLION);
	rate = s.rate;
	CHECK(rate > 0);
	/* It holds until the other mode has been seen, and goes by halves then. */
	CHECK(space_misses_add(&s, POLICY_SHADOW, 2, &few, KHZ));
	CHECK_EQ(s.rate, rate);
	space_misses_settle(&s, REACH, MILLION);
	CHECK_EQ(s.rate, rate / 2);
	CHECK_EQ(s.pages, 0);
}

TEST(a_price_too_high_is_no_more_than_the_time)
{
	struct space_misses s = {.known = true, .rate = BIT(31)};

	CHECK_EQ(space_misses_walks(&s, 1000000, 60000).value, 900000);
	CHECK_EQ(space_misses_walks(&s, 1000000, 1000).value, 500000);
	CHECK_EQ(space_misses_walks(&s, 1000000, 0).confidence, 0);
	CHECK_EQ(space_misses_walks(&s, 0, 60000).confidence, 0);
	s.rate = UINT64_MAX;
	CHECK(space_misses_walks(&s, UINT64_MAX, UINT64_MAX).value <= UINT64_MAX / 10 * 9);
}

TEST(nonsense_is_not_taken)
{
	struct coverage_look l = {.ran = 10000000, .touched = 9000, .regions = 1, .of = 1};
	struct space_misses s = {.known = false};

	CHECK(!space_misses_add(&s, POLICY_NESTED, COVERAGE_LOOKS, &l, KHZ));
	l.regions = 0;
	CHECK(!space_misses_add(&s, POLICY_NESTED, 2, &l, KHZ));
	l.regions = 1;
	l.ran = 0;
	CHECK(!space_misses_add(&s, POLICY_NESTED, 2, &l, 0));
	space_misses_settle(&s, REACH, MILLION);
	CHECK(!s.known);
}
