/* The counters' self-test. What a counter says is believed only if
 *
 * - it holds what is written to it while stopped (else somebody else uses it: firmware, SMM),
 * - it counts known work of the hypervisor's about right, when it is allowed to count that,
 * - it counts none of it when it is to count guests only.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/pmu.h"
#include "lib/errno.h"
#include "lib/str.h"

/* Writes reach 32 bits of the older counters, sign-extended. */
#define PATTERN	     0x2a5a5a5aull
#define INSTRUCTIONS 20000u
#define LOADS	     1000u
#define SLACK	     2000u /* instructions of the test's own, generously */
#define FEW	     64u   /* events in a stretch that should have none */

static int put(const struct pmu_cpu *cpu, u32 msr, u64 value)
{
	return msr ? cpu->wrmsr(cpu->ctx, msr, value) : 0;
}

static u64 mask_of(const struct pmu_counter *c)
{
	return c->width < 64 ? BIT(c->width) - 1 : UINT64_MAX;
}

static int get(const struct pmu_cpu *cpu, const struct pmu_counter *c, u64 *value)
{
	return cpu->source->rdmsr(cpu->source->ctx, c->counter, value);
}

static int stop(const struct pmu_cpu *cpu, const struct pmu_plan *p)
{
	int err = put(cpu, p->global, 0);

	for (unsigned i = 0; !err && i < p->n; i++)
		err = put(cpu, p->counter[i].control, 0);
	return err;
}

/* --- does it hold? ---------------------------------------------------------------------------- */

static bool holds(const struct pmu_cpu *cpu, const struct pmu_counter *c)
{
	u64 value;

	if (put(cpu, c->counter, PATTERN))
		return false;
	cpu->work(cpu->ctx, INSTRUCTIONS);
	return get(cpu, c, &value) == 0 && value == PATTERN;
}

/* A role of which one counter is missing would be too low: all of them go. */
static void drop_role(struct pmu_plan *p, unsigned role)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < p->n; i++)
		if (p->counter[i].role != role)
			p->counter[kept++] = p->counter[i];
	p->n = kept;
	p->confidence[role] = 0;
}

static void drop_broken(const struct pmu_cpu *cpu, struct pmu_plan *p)
{
	bool broken[PMU_ROLES] = {false};

	for (unsigned i = 0; i < p->n; i++)
		if (!holds(cpu, &p->counter[i]))
			broken[p->counter[i].role] = true;
	for (unsigned role = 0; role < PMU_ROLES; role++)
		if (broken[role])
			drop_role(p, role);
}

/* --- does it count? --------------------------------------------------------------------------- */

struct counted {
	u64 sum[PMU_ROLES];
	u64 load_walks;
	bool wide; /* a value beyond the counter's width */
};

/* @work under the events with @extra bits; the global register as @global. */
static int count(const struct pmu_cpu *cpu, const struct pmu_plan *p, u64 extra, u64 global,
		 void (*work)(void *ctx, unsigned n), unsigned n, struct counted *r)
{
	int err = stop(cpu, p);
	u64 value;

	memset(r, 0, sizeof(*r));
	for (unsigned i = 0; !err && i < p->n; i++) {
		err = put(cpu, p->counter[i].counter, 0);
		if (!err)
			err = put(cpu, p->counter[i].control, p->counter[i].select | extra);
	}
	if (!err)
		err = put(cpu, p->fixed, p->fixed_value);
	if (!err)
		err = put(cpu, p->global, global);
	if (!err)
		work(cpu->ctx, n);
	if (!err)
		err = stop(cpu, p);
	for (unsigned i = 0; !err && i < p->n; i++) {
		const struct pmu_counter *c = &p->counter[i];

		err = get(cpu, c, &value);
		r->sum[c->role] += value;
		r->load_walks += c->walks_loads ? value : 0;
		r->wide |= value & ~mask_of(c);
	}
	return err;
}

static bool has(const struct pmu_plan *p, unsigned role)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->counter[i].role == role)
			return true;
	return false;
}

static bool within(u64 value, u64 low, u64 high)
{
	return value >= low && value <= high;
}

static void judge_work(struct pmu_plan *p, const struct counted *r)
{
	u64 cycles = r->sum[PMU_UNHALTED];

	if (r->wide || !within(r->sum[PMU_INSTRUCTIONS], INSTRUCTIONS, INSTRUCTIONS + SLACK))
		drop_role(p, PMU_INSTRUCTIONS);
	/* A loop of two instructions: between a sixteenth of a cycle and 64 each. */
	if (r->wide || !within(cycles, INSTRUCTIONS / 16, INSTRUCTIONS * 64))
		drop_role(p, PMU_UNHALTED);
}

/* Page walks for loads, one each but for those the CPU makes on speculation; of cycles more than
 * walks, but not more than there were. */
static void judge_walks(struct pmu_plan *p, const struct counted *r)
{
	u64 cycles = r->sum[PMU_UNHALTED];

	if (has(p, PMU_WALKS) && !within(r->load_walks, LOADS / 2, LOADS * 4))
		drop_role(p, PMU_WALKS);
	if (has(p, PMU_WALK_CYCLES) &&
	    (!has(p, PMU_UNHALTED) || !within(r->sum[PMU_WALK_CYCLES], LOADS, cycles)))
		drop_role(p, PMU_WALK_CYCLES);
}

/* --- guests only? ----------------------------------------------------------------------------- */

static bool keeps_bits(const struct pmu_cpu *cpu, const struct pmu_plan *p)
{
	const struct pmu_counter *c = &p->counter[0];
	u64 value;

	if (put(cpu, c->control, c->select | p->guest_only) ||
	    cpu->source->rdmsr(cpu->source->ctx, c->control, &value))
		return false;
	return (value & p->guest_only) == p->guest_only;
}

static bool counts_none(const struct counted *r)
{
	for (unsigned role = 0; role < PMU_ROLES; role++)
		if (r->sum[role] > FEW)
			return false;
	return true;
}

/* With what is to keep the hypervisor out in force, its own work counts for nothing. */
static int try_guest_only(const struct pmu_cpu *cpu, struct pmu_plan *p)
{
	struct counted r;
	int err;

	if (p->guest_only && !keeps_bits(cpu, p)) {
		p->around = true;
	} else {
		err = count(cpu, p, p->guest_only, p->switched ? 0 : p->global_mask, cpu->work,
			    INSTRUCTIONS, &r);
		if (err)
			return err;
		if (!counts_none(&r)) {
			/* Not even stopped by the register that entries and exits load. */
			if (p->switched)
				return -EIO;
			p->around = true;
		}
	}
	if (p->around)
		p->guest_only = 0;
	return 0;
}

int pmu_try(const struct pmu_cpu *cpu, struct pmu_plan *p, char *why, size_t why_len)
{
	struct counted r;
	int err = stop(cpu, p);

	if (!err) {
		drop_broken(cpu, p);
		err = count(cpu, p, 0, p->global_mask, cpu->work, INSTRUCTIONS, &r);
	}
	if (!err) {
		judge_work(p, &r);
		err = count(cpu, p, 0, p->global_mask, cpu->walk, LOADS, &r);
	}
	if (!err) {
		judge_walks(p, &r);
		err = p->n ? try_guest_only(cpu, p) : 0;
	}
	if (!err)
		err = stop(cpu, p);
	if (err)
		p->n = 0;
	if (!p->n) {
		snprintf(why, why_len, "%s: its counters %s", p->family,
			 err ? "refuse their settings or count while stopped"
			     : "do not count what they should");
		return -EIO;
	}
	return 0;
}
