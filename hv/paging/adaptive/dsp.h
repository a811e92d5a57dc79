/* Dynamic Switching Paging, the published policy (VEE'11): page faults and TLB misses per
 * instruction against thresholds, eight rules, once in `period`.
 *
 * What the paper leaves open is fixed so: the historic ratio is the mean of the last samples'
 * ratios, the present one included; a past sample without TLB misses has no ratio and is left out;
 * all comparisons are strict; the rules hold in the order of its figure; a switch does not clear
 * the history. Ratios are kept in 10^-7 with 16 bits behind the point, rounded down.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_DSP_H
#define HV_PAGING_ADAPTIVE_DSP_H

#include "paging/adaptive/guard.h"

#define DSP_HISTORY_MAX 8

struct dsp {
	struct guard guard;
	struct policy_sample sum; /* of the ticks since the last decision */
	/* the latest samples, the newest at (taken - 1) modulo the array */
	u64 walks[DSP_HISTORY_MAX];
	u64 ratio[DSP_HISTORY_MAX]; /* Q16 of 10^-7; nothing where walks is 0 */
	u32 taken;
};

#endif
