/* Performance counters of the CPU, counting guests only: what is the same for every vendor.
 *
 * The engine's table (struct pmu_ops) says which events this CPU has for what a paging policy wants
 * to know and how they are kept from counting the hypervisor. This part programs the counters,
 * tests them before anybody believes them, and reads them. All of it knows the CPU through struct
 * pmu_cpu only and runs on the host too, on CPUs made up by tests.
 *
 * Each physical CPU has a plan of its own: cores of one machine can differ. Functions run on the
 * CPU they are about, interrupts off; none takes a lock.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_PMU_H
#define HV_ENGINE_PMU_H

#include "engine/cpu_source.h"

struct engine_ops;

enum pmu_role {
	PMU_UNHALTED,	  /* core cycles */
	PMU_INSTRUCTIONS, /* retired */
	PMU_WALKS,	  /* page walks for data, completed */
	PMU_WALK_CYCLES,  /* in page walks, nested part included */
	PMU_ROLES
};
extern const char *const pmu_role_name[PMU_ROLES];

#define PMU_COUNTERS 8

/* One counter and what it counts; a role's value is the sum of its counters. */
struct pmu_counter {
	u32 control;	  /* MSR that selects the event, 0: none (a fixed counter) */
	u64 select;	  /* its value while counting */
	u32 counter;	  /* MSR */
	u8 width;	  /* bits */
	u8 role;	  /* enum pmu_role */
	bool walks_loads; /* counts walks that loads cause, by one each: the self-test knows how
			     many */
};

struct pmu_plan {
	const char *family; /* of the event table */
	unsigned n;	    /* 0: nothing is counted */
	struct pmu_counter counter[PMU_COUNTERS];
	u8 confidence[PMU_ROLES]; /* percent, of a value that passes the checks of a reading */
	/* Which counters run: a register with a bit for each, 0 where there is none. */
	u32 global;
	u64 global_mask;
	/* A register that has to hold something for the counters without control. */
	u32 fixed;
	u64 fixed_value;
	/* What in @select keeps the hypervisor from being counted; 0 where entries and exits do. */
	u64 guest_only;
	bool switched; /* entries and exits load @global themselves: it is 0 in the hypervisor */
	bool by_list;  /* exits of this CPU need help with that */
	bool around; /* nothing of all that works: counters are started and stopped around run() */
};

/* What the plan is made from, and where it is tried. */
struct pmu_cpu {
	const struct cpu_source *source;
	/* 0, or -EFAULT where the CPU raises #GP. */
	int (*wrmsr)(void *ctx, u32 msr, u64 value);
	/* Work of a known kind: @n instructions, all hits; @n loads that each walk tables. */
	void (*work)(void *ctx, unsigned n);
	void (*walk)(void *ctx, unsigned n);
	void *ctx; /* of these three */
};

struct pmu_ops {
	/* The best this CPU has: 0, or -ENODEV with @why. Pure. */
	int (*plan)(const struct cpu_source *source, struct pmu_plan *plan, char *why,
		    size_t why_len);
	/* @plan is going to be used on this CPU: have entries and exits of VMs that are made from
	 * now on load its global mask, where it says so. NULL: nothing to do. */
	void (*use)(unsigned cpu, const struct pmu_plan *plan);
};

/* For the engines' tables: one more counter; false: no room left. */
bool pmu_plan_add(struct pmu_plan *p, const struct pmu_counter *c);

/* Try @plan's counters (docs/adaptive.md): those that do not hold what is written are taken out,
 * roles that count nothing or nonsense get confidence 0, guest-only bits that do not work make it
 * @around. 0, or -EIO with @why where nothing is left. */
int pmu_try(const struct pmu_cpu *cpu, struct pmu_plan *plan, char *why, size_t why_len);
/* Select the events, from 0, for guests only. -EIO. */
int pmu_program(const struct pmu_cpu *cpu, const struct pmu_plan *plan);

/* On each CPU, after cpu_enable(): all of the above. 0, -ENODEV or -EIO with @why, and then
 * nothing is counted there. Once it failed on the boot CPU no other one needs to try. */
int pmu_start(const struct pmu_ops *ops, unsigned cpu, char *why, size_t why_len);
/* The plan in force; n is 0 where there is none. */
const struct pmu_plan *pmu_of(unsigned cpu);
/* A reading proved the role wrong: it is not believed any more, on any CPU. */
void pmu_distrust(enum pmu_role role);
/* Counters as they stand, in the plan's order. */
void pmu_read_counters(unsigned cpu, u64 value[PMU_COUNTERS]);
/* @engine, or a table whose run() starts and stops counters, where the boot CPU needs that. */
const struct engine_ops *pmu_counted_engine(const struct engine_ops *engine);

#endif
