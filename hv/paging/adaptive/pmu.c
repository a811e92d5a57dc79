/* A guest's share of its CPU's counters. See pmu.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/pmu.h"
#include "lib/str.h"

#define PER_CYCLE_MAX 16 /* instructions that no CPU exceeds */
#define TURBO_MAX     8	 /* core cycles per cycle of the TSC, likewise */
/* A guest that ran this long and counted nothing has counters that stand. */
#define STUCK_CYCLES 1000000u

static void add_up(struct pmu_meter *m, unsigned cpu)
{
	const struct pmu_plan *p = pmu_of(cpu);
	u64 now[PMU_COUNTERS] = {0};

	pmu_read_counters(cpu, now);
	for (unsigned i = 0; i < p->n; i++) {
		const struct pmu_counter *c = &p->counter[i];
		u64 mask = c->width < 64 ? BIT(c->width) - 1 : UINT64_MAX;

		m->sum[c->role] += (now[i] - m->at[i]) & mask;
		m->at[i] = now[i];
	}
}

void pmu_meter_begin(struct pmu_meter *m, unsigned cpu, u64 tsc)
{
	if (!pmu_of(cpu)->n)
		return;
	pmu_read_counters(cpu, m->at);
	m->began = tsc;
	m->running = true;
}

void pmu_meter_end(struct pmu_meter *m, unsigned cpu, u64 tsc)
{
	if (!m->running)
		return;
	add_up(m, cpu);
	m->cycles += tsc - m->began;
	m->running = false;
}

/* What is impossible is not believed; if the cycles are, nothing is. */
void pmu_judge(const struct pmu_plan *plan, const u64 sum[PMU_ROLES], u64 cycles,
	       struct pmu_reading *r)
{
	u64 unhalted = sum[PMU_UNHALTED], most = cycles * TURBO_MAX;
	bool stuck = cycles >= STUCK_CYCLES && (!unhalted || !sum[PMU_INSTRUCTIONS]);
	const u8 *confidence = plan->confidence;

	memset(r, 0, sizeof(*r));
	if (!plan->n || !confidence[PMU_UNHALTED] || !confidence[PMU_INSTRUCTIONS] || stuck ||
	    unhalted > most || sum[PMU_INSTRUCTIONS] / PER_CYCLE_MAX > unhalted)
		return;
	r->unhalted = (struct policy_measure){unhalted, confidence[PMU_UNHALTED]};
	r->instructions =
		(struct policy_measure){sum[PMU_INSTRUCTIONS], confidence[PMU_INSTRUCTIONS]};
	if (sum[PMU_WALKS] <= sum[PMU_INSTRUCTIONS])
		r->walks = (struct policy_measure){sum[PMU_WALKS], confidence[PMU_WALKS]};
	if (sum[PMU_WALK_CYCLES] <= unhalted)
		r->walk_cycles =
			(struct policy_measure){sum[PMU_WALK_CYCLES], confidence[PMU_WALK_CYCLES]};
}

void pmu_meter_read(struct pmu_meter *m, unsigned cpu, u64 tsc, struct pmu_reading *r)
{
	bool running = m->running;

	pmu_meter_end(m, cpu, tsc);
	pmu_judge(pmu_of(cpu), m->sum, m->cycles, r);
	memset(m->sum, 0, sizeof(m->sum));
	m->cycles = 0;
	if (running)
		pmu_meter_begin(m, cpu, tsc);
}
