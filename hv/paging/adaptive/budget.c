/* Budgets: see budget.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/budget.h"

#include "paging/adaptive/fixed.h"

void budget_init(struct budget *b, const struct policy_params *p)
{
	*b = (struct budget){
		.tokens = (s64)MIN(ns_to_cycles(p, p->probe_start), BIT(62)),
		.switches = p->switch_burst * Q16_ONE,
		.backoff_ns = p->backoff_min,
		.next_ns = p->backoff_min,
		.free_trial = true,
	};
}

void budget_tick(struct budget *b, const struct policy_params *p, u64 ns, u64 unhalted, u64 k)
{
	s64 most = (s64)MIN(ns_to_cycles(p, p->probe_burst), BIT(62));
	u64 k_ns = mul_div(k, NSEC_PER_MSEC, p->khz);
	u64 gap = MAX(MAX(p->switch_gap, mul_div(k_ns, MILLION, p->switch_share)), 1);

	b->tokens = MIN(b->tokens + (s64)mul_ppm(unhalted, p->probe_share), most);
	b->switches =
		MIN(sat_add(b->switches, mul_div(ns, Q16_ONE, gap)), p->switch_burst * Q16_ONE);
}

void budget_charge(struct budget *b, const struct policy_params *p, u64 cycles)
{
	s64 least = -(s64)MIN(ns_to_cycles(p, p->probe_burst), BIT(62));

	b->tokens = MAX(b->tokens - (s64)MIN(cycles, BIT(61)), least);
}

bool budget_can_switch(const struct budget *b, bool home)
{
	return b->switches >= (home ? 1 : 2) * Q16_ONE;
}

void budget_switched(struct budget *b)
{
	b->switches = sat_sub(b->switches, Q16_ONE);
}

void budget_back_off(struct budget *b, const struct policy_params *p, u64 now_ns, bool agrees,
		     unsigned factor)
{
	b->backoff_ns =
		agrees ? MIN(sat_mul(b->backoff_ns, factor), p->backoff_max) : p->backoff_min;
	b->next_ns = sat_add(now_ns, b->backoff_ns);
}

void budget_new_phase(struct budget *b, const struct policy_params *p, u64 now_ns)
{
	b->backoff_ns = p->backoff_min;
	b->next_ns = sat_add(now_ns, b->backoff_ns);
	b->free_trial = true;
}
