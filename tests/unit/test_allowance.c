/* What measuring may cost: a share of the time over any long time, whatever one measurement takes.
 * Would catch: a share that is exceeded in the long run, by haste too; debts that are forgotten or
 * that stop everything for ever; fractions lost by asking often; one wild value that does either.
 *
 * SRCS: hv/paging/adaptive/allowance.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "paging/adaptive/allowance.h"

#define PPM  1200
#define TICK 100000000ull

static struct allowance a;
static u64 now, spent, runs;

static void begin(u64 ppm)
{
	now = 12345;
	spent = runs = 0;
	allowance_init(&a, ppm, now);
}

static bool tick(u64 cycles, unsigned ahead)
{
	now += TICK;
	if (!allowance_allows(&a, now, ahead))
		return false;
	allowance_spend(&a, cycles);
	spent += cycles;
	runs++;
	return true;
}

TEST(the_share_holds_whatever_one_costs)
{
	for (u64 cycles = 1000; cycles < 100000000; cycles *= 3) {
		u64 start, may;

		begin(PPM);
		start = now;
		for (unsigned i = 0; i < 10000; i++)
			tick(cycles, 0);
		may = (now - start) / 1000000 * PPM;
		CHECK(spent <= may + 3 * cycles);
		/* And is made use of. */
		CHECK(runs == 10000 || spent + 3 * cycles >= may);
	}
}

TEST(haste_is_paid_for_later)
{
	const u64 cycles = 1000000;
	unsigned in_a_row = 0;
	u64 start;

	begin(PPM);
	start = now;
	while (tick(cycles, 4))
		in_a_row++;
	CHECK(in_a_row >= 4 && in_a_row <= 6);
	CHECK(!tick(cycles, 0));
	for (unsigned i = 0; i < 10000; i++)
		tick(cycles, i % 50 < 4 ? 4 : 0);
	CHECK(spent <= (now - start) / 1000000 * PPM + 6 * cycles);
}

TEST(one_wild_value_does_not_stop_it)
{
	unsigned waited = 0;

	begin(PPM);
	for (unsigned i = 0; i < 100; i++)
		tick(100000, 0);
	CHECK(runs > 95);
	now += TICK;
	CHECK(allowance_allows(&a, now, 0));
	allowance_spend(&a, 1ull << 60);
	while (!tick(100000, 0))
		waited++;
	CHECK(waited >= 1 && waited < 10);
	/* Each time as wild: then it is what it costs. */
	begin(PPM);
	for (unsigned i = 0; i < 10000; i++)
		tick(i ? 100000000 : 1000, 0);
	CHECK(runs < 40);
}

TEST(asking_often_loses_nothing)
{
	begin(PPM);
	allowance_spend(&a, 1000000);
	for (u64 i = 0; i < 1000000 && !allowance_allows(&a, now, 0); i++)
		now += 999;
	CHECK(now - 12345 > 800000000 && now - 12345 < 850000000);
}

TEST(without_a_share_all_is_allowed)
{
	begin(0);
	for (unsigned i = 0; i < 1000; i++)
		CHECK(tick(1ull << 50, 0));
}
