/* Performance counters at boot; see pmu_start.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/pmu_start.h"
#include "core/cpu.h"
#include "core/log.h"
#include "core/report.h"
#include "engine/pmu.h"

static void report_counters(const struct pmu_plan *p)
{
	struct record r;

	record_begin(&r, "pmu");
	record_str(&r, "family", p->family);
	record_u64(&r, "counters", p->n);
	record_str(&r, "guests_only", p->around ? "around" : p->switched ? "switched" : "events");
	record_object(&r, "confidence");
	for (unsigned role = 0; role < PMU_ROLES; role++)
		record_u64(&r, pmu_role_name[role], p->confidence[role]);
	record_close(&r);
	record_send(&r, false);
}

void pmu_start_boot(const struct pmu_ops *ops, bool asked)
{
	char why[160] = "the engine knows none";

	if (ops && pmu_start(ops, this_cpu()->id, why, sizeof(why)) == 0)
		report_counters(pmu_of(this_cpu()->id));
	else if (asked)
		report_error(NULL, "pmu", "no performance counters: %s", why);
	else
		hv_log(LOG_DEBUG, "no performance counters: %s", why);
}

void pmu_start_other(const struct pmu_ops *ops)
{
	char why[160];

	if (!pmu_of(0)->n)
		return;
	if (pmu_start(ops, this_cpu()->id, why, sizeof(why)))
		hv_log(LOG_WARN, "CPU %u: no performance counters: %s", this_cpu()->id, why);
}
