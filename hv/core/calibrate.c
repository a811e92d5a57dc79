/* Calibration at boot: what is measured, and what is made of it. See calibrate.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/calibrate.h"
#include "core/calibrate_probe.h"
#include "core/calibrate_result.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/report.h"
#include "lib/cpuops.h"
#include "paging/adaptive/pmu.h"

/* Twenty sets of loads and five loops of exits: about half a second at most. */
#define SHARE_MS 20

static struct calibration result;

const struct calibration *hv_calibration(void)
{
	return &result;
}

static void measure_exits(struct probe *p, struct calibration *c)
{
	c->cpuid = probe_exit_cost(p, PROBE_CPUID, &c->world_switch);
	c->cr3 = probe_exit_cost(p, PROBE_CR3, NULL);
	c->invlpg = probe_exit_cost(p, PROBE_INVLPG, NULL);
	c->fault = probe_exit_cost(p, PROBE_FAULT, NULL);
	c->fill = probe_fill_cost(p);
}

static void measure_loads(struct probe *p, struct calibration_loads *l)
{
	for (unsigned mode = 0; mode < POLICY_MODES; mode++)
		for (unsigned i = 0; i < CALIBRATION_SETS; i++) {
			l->small[mode][i] =
				probe_load_cost(p, mode, PROBE_SMALL, calibration_pages[i]);
			l->large[mode][i] =
				probe_load_cost(p, mode, PROBE_LARGE, calibration_pages[i]);
		}
}

/* What the counters say of a load that is known by now, before anybody believes them. */
static void check_counters(struct probe *p, const struct calibration *c, u64 pages)
{
	enum policy_mode mode = probe_can(p, POLICY_NESTED) ? POLICY_NESTED : POLICY_SHADOW;
	u64 loads = p->loads, begin = rdtsc(), end;
	struct pmu_meter m = {.cycles = 0};
	struct pmu_reading r;
	bool wrong[PMU_ROLES];

	if (!pmu_of(p->vcpu.cpu)->n)
		return;
	pmu_meter_begin(&m, p->vcpu.cpu, begin);
	probe_load_cost(p, mode, PROBE_SMALL, pages);
	end = rdtsc();
	pmu_meter_read(&m, p->vcpu.cpu, end, &r);
	calibration_judge(c, mode, &r, p->loads - loads, end - begin, wrong);
	for (unsigned role = 0; role < PMU_ROLES; role++) {
		if (!wrong[role] || !pmu_of(p->vcpu.cpu)->confidence[role])
			continue;
		report_error(NULL, "pmu", "%s are not what a known load makes of them",
			     pmu_role_name[role]);
		pmu_distrust(role);
	}
}

static void record_costs(struct record *r, const char *name, const u64 cost[CALIBRATION_SETS])
{
	record_array(r, name);
	for (unsigned i = 0; i < CALIBRATION_SETS; i++)
		record_u64(r, NULL, cost[i]);
	record_close(r);
}

static void record_walks(struct record *r, const struct calibration *c)
{
	for (unsigned mode = 0; mode < POLICY_MODES; mode++) {
		if (!c->walk[0].known[mode])
			continue;
		record_array(r, policy_mode_name[mode]);
		for (unsigned i = 0; i < CALIBRATION_SETS; i++)
			record_u64(r, NULL, c->walk[i].cost[mode]);
		record_close(r);
	}
}

static void report(const struct calibration *c, const struct calibration_loads *l)
{
	struct record r;

	record_begin(&r, "calibration");
	record_u64(&r, "us", c->us);
	record_object(&r, "exits");
	record_u64(&r, "cpuid", c->cpuid);
	record_u64(&r, "fault", c->fault);
	record_u64(&r, "cr3", c->cr3);
	record_u64(&r, "invlpg", c->invlpg);
	record_close(&r);
	record_u64(&r, "world_switch", c->world_switch);
	record_u64(&r, "fill", c->fill);
	record_costs(&r, "pages", calibration_pages);
	record_object(&r, "loads");
	record_costs(&r, "nested", l->small[POLICY_NESTED]);
	record_costs(&r, "nested_large", l->large[POLICY_NESTED]);
	record_costs(&r, "shadow", l->small[POLICY_SHADOW]);
	record_costs(&r, "shadow_large", l->large[POLICY_SHADOW]);
	record_close(&r);
	record_object(&r, "walk");
	record_walks(&r, c);
	record_close(&r);
	record_u64(&r, "rho", c->rho);
	record_send(&r, false);
}

void calibrate(const struct engine_ops *engine, const struct engine_caps *caps, u64 tsc_khz)
{
	static struct probe p;
	static struct calibration_loads loads;
	u64 start = clock_ns();
	int err;

	p.share = tsc_khz * SHARE_MS;
	err = probe_make(&p, engine, caps);
	if (!err) {
		measure_exits(&p, &result);
		measure_loads(&p, &loads);
		calibration_evaluate(&result, &loads);
		check_counters(&p, &result, calibration_pages[CALIBRATION_SETS - 1]);
	}
	probe_free(&p);
	if (err || p.unexpected) {
		result = (struct calibration){.done = false};
		if (err)
			report_error(NULL, "calibration", "no room for its guest (%d)", err);
		else
			report_error(NULL, "calibration", "its guest ended by %s at 0x%llx",
				     exit_reason_name[p.unexpected],
				     (unsigned long long)p.vcpu.rip);
		return;
	}
	result.filtered = caps->filters_faults;
	result.done = true;
	result.us = (clock_ns() - start) / NSEC_PER_USEC;
	report(&result, &loads);
}
