/* Machines and loads: see loads.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "loads.h"

/* Shadow paging as measured for Xen 3.3 (DSP, Table 3: 4.3 ns a miss, 9.85 us a fault; Tables 4 and
 * 5: 28 to 66 ms a round trip for large loads), and as a small one may do it. */
const struct sim_costs sim_xen = {"xen-like", 4e-9, 10e-6, 2e-3, 0.25e-6, 0.5e-3, 3.3e-6};
const struct sim_costs sim_own = {"proposed", 4e-9, 1.2e-6, 0.5e-3, 30e-9, 0.1e-3, 0.6e-6};

const struct sim_sight sim_exact = {.walk_scale = 1};
const struct sim_sight sim_seen = {
	.walk_scale = 1, .walk_noise = 0.05, .progress_noise = 0.02, .window_faults = 2500};

#define PHASE(t, pf_, miss_, pages_, rho_)                                                         \
	{                                                                                          \
		.seconds = t, .pf = pf_, .miss = miss_, .pages = pages_, .rho = rho_               \
	}
#define MCF(t) PHASE(t, 600, 33e6, 60e3, 0.5)
#define GCC(t) PHASE(t, 33e3, 2.7e6, 60e3, 0.54)

const struct sim_load sim_named[SIM_NAMED] = {
	{"mcf-like", 400, 1, {MCF(400)}},
	{"gcc-like", 400, 1, {GCC(400)}},
	{"DSP \"hole\"", 400, 1, {PHASE(400, 1260, 42e6, 60e3, 0.5)}},
	{"20 s phases", 400, 2, {MCF(20), GCC(20)}},
	{"3 s phases", 400, 2, {MCF(3), GCC(3)}},
	{"0.7 s adversarial",
	 400,
	 2,
	 {PHASE(0.7, 0, 40e6, 30e3, 0.5), PHASE(0.7, 40e3, 1e6, 30e3, 0.5)}},
};

struct sim_load sim_random_load(unsigned i)
{
	bool tuning = i < SIM_TUNING;
	struct sim_random r = {tuning ? 1000 + i : 770000 + i};
	struct sim_load load = {tuning ? "tuning" : "held out", 300, 1, {{.seconds = 300}}};
	struct sim_phase *ph = load.phase;

	ph->pf = sim_log_between(&r, 10, 50e3);
	ph->miss = sim_log_between(&r, 0.1e6, 50e6);
	ph->pages = sim_log_between(&r, 1e3, 250e3);
	ph->rho = sim_between(&r, 0.25, 0.7);
	return load;
}

struct sim_load sim_random_trace(u64 seed, double shortest)
{
	struct sim_random r = {seed * 7919 + 17};
	struct sim_load load = {"trace", 0, 1 + (unsigned)(sim_uniform(&r) * 12), {{.seconds = 0}}};
	double pages = sim_log_between(&r, 1e3, 250e3);

	for (unsigned i = 0; i < load.n; i++) {
		struct sim_phase *ph = &load.phase[i];

		ph->seconds = sim_log_between(&r, shortest, 20);
		ph->pf = sim_log_between(&r, 10, 50e3);
		ph->miss = sim_log_between(&r, 0.1e6, 50e6);
		ph->rho = sim_between(&r, 0.25, 0.7);
		ph->pages = pages;
		load.seconds += ph->seconds;
	}
	return load;
}

static u64 in_cycles(double seconds, double unit)
{
	return (u64)(seconds * SIM_KHZ * 1000 * unit + 0.5);
}

void sim_params(struct policy_params *p, const struct sim_costs *c)
{
	policy_params_init(p, SIM_KHZ);
	p->rho = 450;
	p->c_pf = in_cycles(c->pf, 1.5);
	p->k_hs = in_cycles(c->hs, 1);
	p->k_leaf = in_cycles(c->hs_page, 1000);
	p->k_sh = in_cycles(c->sh, 1);
}
