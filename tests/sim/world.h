/* A machine whose paging costs are known: loads of phases, what each phase costs in either mode,
 * and a policy that runs in it through the samples it would see. First level of the simulator:
 * costs are linear in events (docs/adaptive.md says what that leaves out).
 *
 * A tick is 0.1 s of work, in native time without page walks, at one instruction a cycle, 2.8 GHz.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "paging/adaptive/policy.h"

#define SIM_KHZ	   2800000u
#define SIM_TICK   0.1 /* seconds */
#define SIM_PHASES 16

struct sim_phase {
	double seconds;
	double pf;	    /* page faults a second */
	double miss;	    /* TLB misses a second */
	double pages;	    /* that a shadow maps */
	double rho;	    /* walk in shadow / walk in nested */
	double walk;	    /* seconds for a walk in shadow; 0: the machine's */
	double nested_miss; /* TLB misses in nested mode; 0: as many */
	double cr3, invlpg; /* writes a second */
	double exits;	    /* seconds a second that shadow costs besides */
};

struct sim_load {
	const char *name;
	double seconds; /* of work in all; phases are repeated until then */
	unsigned n;
	struct sim_phase phase[SIM_PHASES];
};

/* Seconds. */
struct sim_costs {
	const char *name;
	double walk; /* one walk in shadow */
	double pf;   /* one page fault in shadow */
	double hs, hs_page, sh;
	double exit; /* one exit in shadow: write to CR3, INVLPG */
};

/* How well a policy sees. */
struct sim_sight {
	double walk_scale;     /* W reported / real */
	double shadow_scale;   /* the same in shadow only, beside it; 0: as in nested */
	double walk_noise;     /* relative, of each tick's W and X */
	double progress_noise; /* 0: progress is not known */
	double progress_drift; /* slow noise besides: deviation; it fades over 2 s */
	double window_faults;  /* a second that page-fault windows may take; 0: exact */
};

struct sim_result {
	double seconds; /* everything */
	double native;	/* without paging */
	unsigned switches;
	double switch_seconds;
	double probe_seconds; /* lost in trials that were taken back, switches included */
};

struct sim_random {
	u64 state;
};

double sim_uniform(struct sim_random *r); /* [0,1) */
double sim_between(struct sim_random *r, double a, double b);
double sim_log_between(struct sim_random *r, double a, double b);
double sim_normal(struct sim_random *r);

unsigned sim_ticks(const struct sim_load *load);
const struct sim_phase *sim_phase_at(const struct sim_load *load, unsigned tick);
/* Seconds that walks add to one tick of @ph, and that paging does. */
double sim_walks(const struct sim_phase *ph, const struct sim_costs *c, enum policy_mode mode);
double sim_overhead(const struct sim_phase *ph, const struct sim_costs *c, enum policy_mode mode);
double sim_switch(const struct sim_phase *ph, const struct sim_costs *c, enum policy_mode to);

/* One mode throughout, from its start on (no switch). */
struct sim_result sim_static(const struct sim_load *load, const struct sim_costs *c,
			     enum policy_mode mode);
/* The best sequence of modes in hindsight, switches paid; starts nested. */
struct sim_result sim_optimum(const struct sim_load *load, const struct sim_costs *c);
/* Called with every tick, if given. */
typedef void sim_watch_fn(void *ctx, const struct policy_sample *x,
			  const struct policy_decision *d);
struct sim_result sim_policy(const struct sim_load *load, const struct sim_costs *c,
			     const struct sim_sight *sight, const struct policy_ops *ops,
			     const struct policy_params *params, u64 seed, sim_watch_fn *watch,
			     void *ctx);
/* Parameters of a policy that was calibrated at boot on a machine of @c, not quite rightly. */
void sim_params(struct policy_params *p, const struct sim_costs *c);

#endif
