/* Performance counters at boot: whether they are used, on each CPU, and what the record says.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_PMU_START_H
#define HV_CORE_PMU_START_H

#include "engine/engine.h"

/* Boot CPU, the engine on: start counting for @ops and send the record. @asked: by pmu=on. */
void pmu_start_boot(const struct pmu_ops *ops, bool asked);
/* Another CPU, after that. Nothing happens where the boot CPU does not count. */
void pmu_start_other(const struct pmu_ops *ops);

#endif
