/* Calibration's arithmetic: catches walks priced by noise, by a clock that knows none or by a base
 * that misses the TLB itself, interpolation that leaves the two neighbours or falls where they
 * rise, priors over what the user set or from what was not measured.
 *
 * SRCS: hv/core/calibrate_result.c hv/paging/adaptive/params.c hv/lib/str.c hv/lib/fmt.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "core/calibrate_result.h"

#define CYCLE 1000u

static struct calibration_loads typical(void)
{
	return (struct calibration_loads){
		.small = {{17000, 30000, 44000, 60000, 71000}, {16000, 24000, 30000, 38000, 43000}},
		.large = {{10000, 10000, 10000, 10000, 11000}, {10000, 10000, 10000, 10000, 10000}},
	};
}

static struct calibration of(const struct calibration_loads *l)
{
	struct calibration c = {.done = true};

	calibration_evaluate(&c, l);
	return c;
}

TEST(walks_are_what_large_pages_save)
{
	struct calibration_loads l = typical();
	struct calibration c = of(&l);

	CHECK_EQ(c.walk[0].pages, 256);
	CHECK_EQ(c.walk[0].cost[POLICY_NESTED], 7 * CYCLE);
	CHECK_EQ(c.walk[4].cost[POLICY_NESTED], 60 * CYCLE);
	CHECK_EQ(c.walk[4].cost[POLICY_SHADOW], 33 * CYCLE);
	CHECK_EQ(c.rho, (20 + 28 + 33) * 1000 / (34 + 50 + 60));
}

TEST(large_pages_that_miss_are_no_base)
{
	struct calibration_loads l = typical();

	for (unsigned i = 1; i < CALIBRATION_SETS; i++)
		l.large[POLICY_NESTED][i] = 50000;
	CHECK_EQ(of(&l).walk[4].cost[POLICY_NESTED], 71000 - 17000);
}

TEST(no_difference_is_not_known)
{
	struct calibration_loads l = typical();
	struct calibration c;

	memcpy(l.small, l.large, sizeof(l.small));
	c = of(&l);
	CHECK(!c.walk[0].known[POLICY_NESTED] && !c.walk[4].known[POLICY_SHADOW]);
	CHECK_EQ(c.rho, 0);
	CHECK_EQ(calibration_walk(&c, POLICY_NESTED, 5000), 0);
	/* In noise, though more than a cycle. */
	l = typical();
	l.large[POLICY_SHADOW][4] = l.small[POLICY_SHADOW][0] = 41500;
	CHECK(!of(&l).walk[4].known[POLICY_SHADOW]);
	l.large[POLICY_SHADOW][4] = l.small[POLICY_SHADOW][0] = 39000;
	CHECK(of(&l).walk[4].known[POLICY_SHADOW]);
}

TEST(one_mode_alone_gives_no_ratio)
{
	struct calibration_loads l = typical();
	struct calibration c;

	memset(l.small[POLICY_NESTED], 0, sizeof(l.small[0]));
	memset(l.large[POLICY_NESTED], 0, sizeof(l.large[0]));
	c = of(&l);
	CHECK(!c.walk[0].known[POLICY_NESTED] && c.walk[0].known[POLICY_SHADOW]);
	CHECK_EQ(c.rho, 0);
}

TEST(between_the_sets_it_rises_as_they_do)
{
	struct calibration_loads l = typical();
	struct calibration c = of(&l);
	u64 before = 0;

	CHECK_EQ(calibration_walk(&c, POLICY_NESTED, 0), 7 * CYCLE);
	CHECK_EQ(calibration_walk(&c, POLICY_NESTED, 1), 7 * CYCLE);
	for (unsigned i = 0; i < CALIBRATION_SETS; i++)
		CHECK_EQ(calibration_walk(&c, POLICY_NESTED, c.walk[i].pages),
			 c.walk[i].cost[POLICY_NESTED]);
	CHECK_EQ(calibration_walk(&c, POLICY_NESTED, UINT64_MAX), 60 * CYCLE);
	CHECK_EQ(calibration_walk(&c, POLICY_NESTED, 512), 13500); /* half of two octaves */
	for (u64 pages = 1; pages < 100000; pages += 7) {
		u64 cost = calibration_walk(&c, POLICY_NESTED, pages);

		CHECK(cost >= before);
		before = cost;
	}
}

static const char *set_by_user;

static bool user_set(const char *name)
{
	return set_by_user && strcmp(name, set_by_user) == 0;
}

TEST(counters_are_held_against_a_known_load)
{
	struct calibration_loads l = typical();
	struct calibration c = of(&l);
	/* 100 000 loads of 14 instructions, 60 cycles of walks each. */
	const struct pmu_reading right = {.unhalted = {8000000, 100},
					  .instructions = {1400500, 100},
					  .walks = {98000, 90},
					  .walk_cycles = {6200000, 90}};
	struct pmu_reading r = right;
	bool wrong[PMU_ROLES];

	calibration_judge(&c, POLICY_NESTED, &r, 100000, 8000000, wrong);
	for (unsigned role = 0; role < PMU_ROLES; role++)
		CHECK(!wrong[role]);
	r.instructions.value *= 2;
	r.walks.value /= 3;
	r.walk_cycles.value /= 3; /* the nested part is not in it */
	calibration_judge(&c, POLICY_NESTED, &r, 100000, 8000000, wrong);
	CHECK(wrong[PMU_INSTRUCTIONS] && wrong[PMU_WALKS] && wrong[PMU_WALK_CYCLES]);
	/* Cycles of the core, at twice the rate of those that costs are in. */
	r = right;
	r.walk_cycles.value = 13000000;
	r.unhalted.value = 16000000;
	calibration_judge(&c, POLICY_NESTED, &r, 100000, 8000000, wrong);
	CHECK(!wrong[PMU_WALK_CYCLES]);
	memset(&r, 0, sizeof(r));
	calibration_judge(&c, POLICY_NESTED, &r, 100000, 8000000, wrong);
	for (unsigned role = 0; role < PMU_ROLES; role++)
		CHECK(wrong[role]);
	/* Where walks have no price only what needs none is judged. */
	memcpy(l.small, l.large, sizeof(l.small));
	c = of(&l);
	r = right;
	r.walks.value = 0;
	calibration_judge(&c, POLICY_NESTED, &r, 100000, 8000000, wrong);
	CHECK(!wrong[PMU_WALKS] && !wrong[PMU_INSTRUCTIONS]);
}

TEST(priors_go_where_the_user_set_none)
{
	struct calibration_loads l = typical();
	struct calibration c = of(&l);
	struct policy_params p, preset;

	policy_params_init(&preset, 2800000);
	c.fault = 700;
	c.fill = 2000;
	c.cr3 = 800;
	p = preset;
	set_by_user = NULL;
	calibration_priors(&c, &p, user_set);
	CHECK_EQ(p.rho, c.rho);
	CHECK_EQ(p.c_pf, 2700);
	CHECK_EQ(p.c_cr3, 800);
	CHECK_EQ(p.c_invlpg, preset.c_invlpg); /* not measured */
	c.filtered = true;
	set_by_user = "rho";
	p = preset;
	calibration_priors(&c, &p, user_set);
	CHECK_EQ(p.rho, preset.rho);
	CHECK_EQ(p.c_pf, 2000);
	c.rho = 1700;
	set_by_user = NULL;
	calibration_priors(&c, &p, user_set);
	CHECK_EQ(p.rho, preset.rho_max);
	c.done = false;
	p = preset;
	calibration_priors(&c, &p, user_set);
	CHECK(memcmp(&p, &preset, sizeof(p)) == 0);
}
