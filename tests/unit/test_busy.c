/* Busy address spaces by samples. Catches a count from too few samples, spaces that hardly run
 * taken for busy, busy ones lost among many that run once, one that is gone and still counts; a
 * name that changes though the processes do not, or stays though they do, or depends on their
 * order, or that a storm of short ones has.
 *
 * SRCS: hv/paging/adaptive/busy.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "paging/adaptive/busy.h"

static void add(struct busy *b, u64 root, unsigned n)
{
	while (n--)
		busy_add(b, root);
}

TEST(few_samples_say_nothing)
{
	struct busy b = {.samples = 0};

	add(&b, 0x1000, 12);
	add(&b, 0x2000, 11);
	CHECK_EQ(busy_count(&b), 0);
	add(&b, 0x2000, 1);
	CHECK_EQ(busy_count(&b), 2);
}

TEST(one_is_one_whatever_its_root)
{
	struct busy b = {.samples = 0};

	add(&b, 0, 1000);
	CHECK_EQ(busy_count(&b), 1);
}

TEST(who_hardly_runs_is_not_busy)
{
	struct busy b = {.samples = 0};

	for (unsigned i = 0; i < 50; i++) {
		add(&b, 0x1000, 19);
		add(&b, 0x2000, 1);
	}
	CHECK_EQ(busy_count(&b), 1);
}

TEST(two_busy_ones_among_many_that_run_once)
{
	struct busy b = {.samples = 0};

	for (u64 i = 0; i < 200; i++) {
		add(&b, 0x1000, 2);
		add(&b, 0x2000, 2);
		add(&b, 0x100000 + i * 0x1000, 1);
	}
	CHECK_EQ(busy_count(&b), 2);
}

TEST(a_storm_of_short_ones_has_none)
{
	struct busy b = {.samples = 0};

	for (u64 i = 0; i < 1000; i++) {
		busy_add(&b, i * 0x1000);
		CHECK(i < 100 || busy_count(&b) <= BUSY_SPACES);
	}
	add(&b, 0x1000, 200);
	CHECK_EQ(busy_count(&b), 1);
}

TEST(who_has_gone_counts_no_more)
{
	struct busy b = {.samples = 0};

	add(&b, 0x1000, 50);
	add(&b, 0x2000, 50);
	CHECK_EQ(busy_count(&b), 2);
	add(&b, 0x2000, 100);
	CHECK_EQ(busy_count(&b), 1);
}

/* --- names ------------------------------------------------------------------------------------ */

static u64 dice;

static u64 roll(u64 n)
{
	dice = dice * 6364136223846793005ull + 1442695040888963407ull;
	return (dice >> 33) % n;
}

/* How often the name changed in 1000 times 3 samples, each of @root being as likely. */
static unsigned changes(struct busy *b, const u64 *root, unsigned n)
{
	unsigned count = 0;
	u64 last = 0;

	dice = 3;
	for (unsigned i = 0; i < 1030; i++) {
		struct policy_measure m;

		for (unsigned look = 0; look < 3; look++)
			busy_add(b, root[roll(n)]);
		m = busy_name(b);
		count += i > 30 && (m.value != last || m.confidence != 100);
		last = m.value;
	}
	return count;
}

TEST(a_name_stays_as_long_as_the_processes_do)
{
	static const u64 one[] = {0x5000}, two[] = {0x5000, 0x9000};
	static const u64 mostly[] = {0x5000, 0x5000, 0x5000, 0x5000, 0x5000, 0x5000, 0x5000,
				     0x5000, 0x5000, 0x5000, 0x5000, 0x5000, 0x5000, 0x7000};
	struct busy b = {.samples = 0};

	CHECK_EQ(changes(&b, one, 1), 0);
	b = (struct busy){.samples = 0};
	CHECK(changes(&b, two, 2) <= 4);
	b = (struct busy){.samples = 0};
	CHECK(changes(&b, mostly, 14) <= 4);
}

TEST(others_have_another_name_soon)
{
	struct busy b = {.samples = 0}, other = {.samples = 0};
	unsigned n = 0;
	u64 named;

	add(&b, 0x5000, 23);
	CHECK_EQ(busy_name(&b).confidence, 0);
	add(&b, 0x5000, 50);
	named = busy_name(&b).value;
	CHECK(named && named < BIT(40));
	while (busy_name(&b).value == named && ++n < 200)
		busy_add(&b, 0x9000);
	CHECK(n > 3 && n < 20);
	add(&b, 0x9000, 200);
	add(&other, 0x9000, 40);
	CHECK_EQ(busy_name(&b).value, busy_name(&other).value);
}

TEST(a_name_does_not_know_who_was_first)
{
	struct busy b = {.samples = 0}, other = {.samples = 0};

	for (unsigned i = 0; i < 50; i++) {
		busy_add(&b, 0x5000);
		busy_add(&b, 0x9000);
		busy_add(&other, 0x9000);
		busy_add(&other, 0x5000);
	}
	CHECK_EQ(busy_name(&b).value, busy_name(&other).value);
	CHECK_EQ(busy_name(&b).confidence, 100);
}

TEST(a_storm_of_short_ones_has_no_name)
{
	struct busy b = {.samples = 0};

	for (u64 i = 0; i < 1000; i++) {
		busy_add(&b, i * 0x2000);
		CHECK_EQ(busy_name(&b).confidence, 0);
	}
}
