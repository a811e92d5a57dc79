/* What exploration and switching may cost.
 *
 * A token bucket, filled with a share of the guest's time, pays for trials that fail. A back-off
 * spaces them while they say the same. A second bucket holds switches. Its last one is kept for the
 * way to the mode that is cheaper in the long run: a load that changes faster than switching may
 * follow rests there.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_BUDGET_H
#define HV_PAGING_ADAPTIVE_BUDGET_H

#include "paging/adaptive/params.h"

struct budget {
	s64 tokens;   /* cycles */
	u64 switches; /* Q16 */
	u64 backoff_ns;
	u64 next_ns;	 /* no trial before */
	bool free_trial; /* a new phase: the next one needs no tokens */
};

void budget_init(struct budget *b, const struct policy_params *p);
/* @ns and @unhalted cycles have passed; a round trip costs @k cycles. */
void budget_tick(struct budget *b, const struct policy_params *p, u64 ns, u64 unhalted, u64 k);
/* A failed trial cost @cycles. */
void budget_charge(struct budget *b, const struct policy_params *p, u64 cycles);
/* @home: that switch leads to the mode that is cheaper in the long run. */
bool budget_can_switch(const struct budget *b, bool home);
void budget_switched(struct budget *b);
/* A trial ended: @agrees with the one before (times @factor longer to the next) or not. */
void budget_back_off(struct budget *b, const struct policy_params *p, u64 now_ns, bool agrees,
		     unsigned factor);
/* The load changed: what was learned about it is void. */
void budget_new_phase(struct budget *b, const struct policy_params *p, u64 now_ns);

#endif
