/* When address spaces get modes of their own by themselves: see spaces_auto.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/spaces_auto.h"
#include "core/hv.h"
#include "core/own_time.h"
#include "core/partition.h"
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "paging/adaptive/fixed.h"

#define SAMPLES_A_TICK 8u /* looks at CR3, at random times, which no quantum follows */
#define TRY_TIMES      10u /* as_promote: long enough for two spaces to be young, looked at, judged */

static u64 step(u64 *random)
{
	*random = *random * 6364136223846793005ull + 1442695040888963407ull;
	return *random >> 32;
}

/* --- who is busy ------------------------------------------------------------------------------ */

static void arm(struct partition *p, u64 now_ns)
{
	struct spaces_auto *a = &p->spaces.automatic;
	u64 mean = hv_policy_params()->tick / SAMPLES_A_TICK;

	own_timer_set(p, &a->timer, now_ns + mean / 2 + step(&a->random) % mean);
}

static u64 root_of(const struct partition *p)
{
	struct walk_regs r;

	vcpu_walk_regs(&p->vcpu, &r);
	return ALIGN_DOWN(r.cr3, PAGE_SIZE);
}

/* A guest that slept most of the time says nothing by the CR3 it sleeps with. */
static void sample(void *arg, u64 now_ns)
{
	struct partition *p = arg;
	struct spaces_auto *a = &p->spaces.automatic;
	u64 guest = vcpu_guest_cycles(&p->vcpu);
	u64 all = mul_div(now_ns - a->ns, hv_policy_params()->khz, NSEC_PER_MSEC);

	if (guest - a->guest >= all / 2)
		busy_add(&a->busy, root_of(p));
	a->guest = guest;
	a->ns = now_ns;
	arm(p, now_ns);
}

void spaces_auto_watch(struct partition *p)
{
	struct spaces_auto *a = &p->spaces.automatic;

	if (!a->on)
		return;
	a->busy = (struct busy){.samples = 0};
	a->timer.fire = sample;
	a->timer.arg = p;
	a->random ^= rdtsc();
	a->guest = vcpu_guest_cycles(&p->vcpu);
	a->ns = own_time_ns(p);
	arm(p, a->ns);
}

void spaces_auto_rest(struct partition *p)
{
	own_timer_set(p, &p->spaces.automatic.timer, TIMER_OFF);
}

/* --- a try ------------------------------------------------------------------------------------ */

bool spaces_auto_due(struct partition *p, bool open, u64 now_ns)
{
	struct spaces_auto *a = &p->spaces.automatic;

	return a->on && open && now_ns >= a->rest_ns && busy_count(&a->busy) >= 2;
}

void spaces_auto_begin(struct partition *p)
{
	struct spaces_auto *a = &p->spaces.automatic;

	spaces_auto_rest(p);
	a->tries++;
	a->differed = vcpu_guest_cycles(&p->vcpu);
}

bool spaces_auto_worth(struct partition *p, const struct policy_params *params)
{
	struct spaces_auto *a = &p->spaces.automatic;
	u64 guest = vcpu_guest_cycles(&p->vcpu);

	if (spaces_differ(&p->spaces.policy, params)) {
		a->differed = guest;
		a->wait_ns = params->backoff_min;
	}
	return guest - a->differed < ns_to_cycles(params, sat_mul(params->as_promote, TRY_TIMES));
}

void spaces_auto_end(struct partition *p, const struct policy_params *params, u64 now_ns)
{
	struct spaces_auto *a = &p->spaces.automatic;

	a->vain++;
	a->wait_ns = MAX(a->wait_ns, params->backoff_min);
	a->rest_ns = now_ns + a->wait_ns;
	a->wait_ns = MIN(sat_mul(a->wait_ns, 2), params->backoff_max);
	spaces_auto_watch(p);
}
