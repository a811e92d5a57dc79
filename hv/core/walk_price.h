/* What a miss of the TLB costs a guest, where no counter of the CPU says so.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_WALK_PRICE_H
#define HV_CORE_WALK_PRICE_H

#include "paging/adaptive/sample.h"

/* Thousandths of a cycle for a miss in @mode of somebody who touches @pages pages of 4 KiB in some
 * ms (0: nobody knows): as calibration measured, made up with pmu=model and without calibration. 0:
 * not known. Any CPU. */
u64 walk_price(enum policy_mode mode, u64 pages);

#endif
