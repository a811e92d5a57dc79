/* Busy address spaces by samples. Catches a count from too few samples, spaces that hardly run
 * taken for busy, busy ones lost among many that run once, one that is gone and still counts.
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
