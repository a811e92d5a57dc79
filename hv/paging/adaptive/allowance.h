/* What measuring may cost: a share of the time, over any long time, whatever one measurement takes.
 * Pure.
 *
 * Each is charged what it took, and the next one waits until the share has paid for it. Some may be
 * done ahead of that, when something has changed and there is news to be had; then the ones after
 * them wait the longer.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_ALLOWANCE_H
#define HV_PAGING_ADAPTIVE_ALLOWANCE_H

#include "penumbra/types.h"

struct allowance {
	u64 ppm;   /* of the time; 0: anything is allowed */
	u64 at;	   /* paid for up to here, in cycles of any one clock */
	s64 left;  /* cycles; below 0: debts */
	u64 usual; /* what one has cost lately; 0: there was none */
};

void allowance_init(struct allowance *a, u64 ppm, u64 now);
/* May one be done at @now? @ahead: though so many are not paid for yet. */
bool allowance_allows(struct allowance *a, u64 now, unsigned ahead);
/* It took @cycles. What is far beyond the usual was somebody else's time (an SMI, the host of an
 * emulator), and charged in part. */
void allowance_spend(struct allowance *a, u64 cycles);

#endif
