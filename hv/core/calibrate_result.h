/* From loads as measured to costs of walks. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CALIBRATE_RESULT_H
#define HV_CORE_CALIBRATE_RESULT_H

#include "core/calibrate.h"
#include "paging/adaptive/pmu.h"

extern const u64 calibration_pages[CALIBRATION_SETS];

/* Thousandths of a cycle per load, over small pages and over large ones; 0: not measured. */
struct calibration_loads {
	u64 small[POLICY_MODES][CALIBRATION_SETS];
	u64 large[POLICY_MODES][CALIBRATION_SETS];
};

/* Fill in @c's walk and rho. */
void calibration_evaluate(struct calibration *c, const struct calibration_loads *l);

/* Counters that say @r over @loads random loads in the largest set, in @mode and @cycles of the
 * TSC: true in @wrong for each role that cannot be. */
void calibration_judge(const struct calibration *c, enum policy_mode mode,
		       const struct pmu_reading *r, u64 loads, u64 cycles, bool wrong[PMU_ROLES]);

#endif
