/* From loads as measured to costs of walks. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CALIBRATE_RESULT_H
#define HV_CORE_CALIBRATE_RESULT_H

#include "core/calibrate.h"

extern const u64 calibration_pages[CALIBRATION_SETS];

/* Thousandths of a cycle per load, over small pages and over large ones; 0: not measured. */
struct calibration_loads {
	u64 small[POLICY_MODES][CALIBRATION_SETS];
	u64 large[POLICY_MODES][CALIBRATION_SETS];
};

/* Fill in @c's walk and rho. */
void calibration_evaluate(struct calibration *c, const struct calibration_loads *l);

#endif
