/* Two processes: see mix.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mix.h"

#include "paging/adaptive/spaces.h"

#define CYCLES (SIM_KHZ * 1000.0)

static unsigned ticks(const struct sim_mix *mix)
{
	return (unsigned)(mix->seconds / SIM_TICK + 0.5);
}

/* Seconds of a tick for CR3 writes that exit. */
static double cr3_seconds(const struct sim_mix *mix)
{
	return SIM_TICK / mix->quantum * MIX_CR3;
}

struct sim_result mix_static(const struct sim_mix *mix, const struct sim_costs *c,
			     enum policy_mode mode)
{
	struct sim_result res = {0};

	for (unsigned t = 0; t < ticks(mix); t++) {
		res.native += SIM_TICK;
		res.seconds += SIM_TICK;
		for (unsigned i = 0; i < 2; i++)
			res.seconds += sim_overhead(&mix->process[i], c, mode) / 2;
		if (mode == POLICY_SHADOW)
			res.seconds += cr3_seconds(mix);
	}
	return res;
}

static struct policy_measure known(double value)
{
	return (struct policy_measure){value > 1 ? (u64)value : 1, 100};
}

/* Half a tick of @ph. */
static struct policy_sample run_of(const struct sim_phase *ph, const struct sim_costs *c,
				   const struct sim_sight *s, enum policy_mode mode,
				   struct sim_random *r)
{
	double walk = sim_walks(ph, c, mode) / 2;
	double all = sim_overhead(ph, c, mode) / 2;
	struct policy_sample x = {.mode = mode};

	x.ns = (u64)((SIM_TICK / 2 + all) * NSEC_PER_SEC);
	x.unhalted = (u64)((SIM_TICK / 2 + walk) * CYCLES);
	x.faults = known(ph->pf * SIM_TICK / 2);
	x.leaves = known(ph->pages);
	x.walk_cycles = known(walk * CYCLES * s->walk_scale * (1 + s->walk_noise * sim_normal(r)));
	x.shadow_cycles = known((all - walk) * CYCLES * (1 + s->walk_noise * sim_normal(r)));
	return x;
}

struct sim_result mix_spaces(const struct sim_mix *mix, const struct sim_costs *c,
			     const struct sim_sight *sight, const struct policy_params *params,
			     u64 seed)
{
	enum policy_mode mode[2] = {POLICY_NESTED, POLICY_NESTED};
	struct sim_result res = {0};
	struct sim_random r = {seed};
	struct cost_model model;
	struct spaces spaces;

	spaces_init(&spaces, params);
	cost_init(&model, params);
	for (unsigned t = 0; t < ticks(mix); t++) {
		struct policy_sample whole = {.ns = (u64)(SIM_TICK * NSEC_PER_SEC),
					      .unhalted = (u64)(SIM_TICK * CYCLES),
					      .cr3_writes = known(SIM_TICK / mix->quantum)};
		bool open = spaces_open(&spaces, params, &whole);

		res.native += SIM_TICK;
		res.seconds += SIM_TICK + (open ? cr3_seconds(mix) : 0);
		for (unsigned i = 0; i < 2; i++) {
			const struct sim_phase *ph = &mix->process[i];
			struct policy_sample x = run_of(ph, c, sight, mode[i], &r);
			enum policy_mode to =
				spaces_ran(&spaces, params, &model, 0x1000 * (i + 1), &x);

			res.seconds += sim_overhead(ph, c, mode[i]) / 2;
			if (mode[i] == POLICY_SHADOW)
				res.seconds += SIM_TICK / mix->quantum / 2 * MIX_RESYNC;
			if (to == mode[i])
				continue;
			res.switches++;
			res.switch_seconds += sim_switch(ph, c, to);
			res.seconds += sim_switch(ph, c, to);
			mode[i] = to;
		}
	}
	return res;
}
