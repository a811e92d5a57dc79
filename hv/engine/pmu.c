/* Performance counters: plans tried, programmed and read. See pmu.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/pmu.h"
#include "engine/engine.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "penumbra/bootinfo.h"

const char *const pmu_role_name[PMU_ROLES] = {
	[PMU_UNHALTED] = "unhalted",
	[PMU_INSTRUCTIONS] = "instructions",
	[PMU_WALKS] = "walks",
	[PMU_WALK_CYCLES] = "walk_cycles",
};

static struct pmu_plan plans[BOOT_MAX_CPUS];
static bool distrusted[PMU_ROLES];

bool pmu_plan_add(struct pmu_plan *p, const struct pmu_counter *c)
{
	if (p->n == PMU_COUNTERS)
		return false;
	p->counter[p->n++] = *c;
	return true;
}

int pmu_program(const struct pmu_cpu *cpu, const struct pmu_plan *plan)
{
	int err = plan->global ? cpu->wrmsr(cpu->ctx, plan->global, 0) : 0;

	if (!err && plan->fixed)
		err = cpu->wrmsr(cpu->ctx, plan->fixed, plan->fixed_value);
	for (unsigned i = 0; !err && i < plan->n; i++) {
		const struct pmu_counter *c = &plan->counter[i];
		bool waits = plan->around && !plan->global;

		err = c->control ? cpu->wrmsr(cpu->ctx, c->control, 0) : 0;
		if (!err)
			err = cpu->wrmsr(cpu->ctx, c->counter, 0);
		if (!err && c->control && !waits)
			err = cpu->wrmsr(cpu->ctx, c->control, c->select | plan->guest_only);
	}
	/* Guest-only by the events' own bits: always on. */
	if (!err && plan->global && !plan->switched && !plan->around)
		err = cpu->wrmsr(cpu->ctx, plan->global, plan->global_mask);
	return err;
}

/* --- this CPU --------------------------------------------------------------------------------- */

#ifndef PN_HOST

#define WALK_PAGES 8

static int real_wrmsr(void *ctx, u32 msr, u64 value)
{
	(void)ctx;
	return wrmsr_safe(msr, value);
}

static void real_work(void *ctx, unsigned n)
{
	u64 left = n / 2;

	(void)ctx;
	asm volatile("1: dec %0\n\t"
		     "jnz 1b"
		     : "+r"(left)
		     :
		     : "cc");
}

/* INVLPG drops the page-structure caches too: each load walks. */
static void real_walk(void *ctx, unsigned n)
{
	static u8 pages[WALK_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));

	(void)ctx;
	for (unsigned i = 0; i < n; i++) {
		const volatile u8 *p = &pages[i % WALK_PAGES * PAGE_SIZE];

		invlpg((const void *)p);
		(void)*p;
	}
}

static struct pmu_cpu this_one(void)
{
	return (struct pmu_cpu){
		.source = engine_cpu(), .wrmsr = real_wrmsr, .work = real_work, .walk = real_walk};
}

int pmu_start(const struct pmu_ops *ops, unsigned cpu, char *why, size_t why_len)
{
	const struct pmu_cpu me = this_one();
	struct pmu_plan plan = {.n = 0};
	int err = ops->plan(me.source, &plan, why, why_len);

	if (!err)
		err = pmu_try(&me, &plan, why, why_len);
	if (!err) {
		if (ops->use)
			ops->use(cpu, &plan);
		err = pmu_program(&me, &plan);
		if (err)
			snprintf(why, why_len, "the CPU refuses its counters' settings");
	}
	if (err)
		return err;
	for (unsigned role = 0; role < PMU_ROLES; role++)
		if (distrusted[role])
			plan.confidence[role] = 0;
	plans[cpu] = plan;
	return 0;
}

void pmu_read_counters(unsigned cpu, u64 value[PMU_COUNTERS])
{
	const struct pmu_plan *p = &plans[cpu];

	for (unsigned i = 0; i < p->n; i++)
		value[i] = rdmsr(p->counter[i].counter);
}

/* --- around run() ----------------------------------------------------------------------------- */

static void (*real_run)(struct vcpu *v, struct exit *x);

static void switch_counters(const struct pmu_plan *p, bool on)
{
	if (p->global) {
		wrmsr(p->global, on ? p->global_mask : 0);
		return;
	}
	for (unsigned i = 0; i < p->n; i++)
		wrmsr(p->counter[i].control, on ? p->counter[i].select : 0);
}

static void counted_run(struct vcpu *v, struct exit *x)
{
	const struct pmu_plan *p = &plans[v->cpu];

	if (p->around)
		switch_counters(p, true);
	real_run(v, x);
	if (p->around)
		switch_counters(p, false);
}

const struct engine_ops *pmu_counted_engine(const struct engine_ops *engine)
{
	static struct engine_ops counted;

	if (!plans[0].around || !plans[0].n)
		return engine;
	counted = *engine;
	real_run = engine->run;
	counted.run = counted_run;
	return &counted;
}

#endif

const struct pmu_plan *pmu_of(unsigned cpu)
{
	return &plans[cpu];
}

void pmu_distrust(enum pmu_role role)
{
	__atomic_store_n(&distrusted[role], true, __ATOMIC_RELAXED);
	for (unsigned cpu = 0; cpu < BOOT_MAX_CPUS; cpu++)
		__atomic_store_n(&plans[cpu].confidence[role], 0, __ATOMIC_RELAXED);
}
