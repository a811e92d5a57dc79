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

#define SAMPLES_A_TICK 8u  /* looks at CR3 in a round, at random times, which no quantum follows */
#define ROUND	       32u /* so many: enough for busy_count() */
#define TICKS_A_SAMPLE 5u  /* between rounds, beside a look at each tick */
#define FOUND_TICKS    20u /* so long is true what a round has found; */
#define VAIN_TICKS     4u  /* so long none begins after one that was in vain, doubled each time, */
#define VAIN_MOST      4u  /* so often */
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
	u64 tick = hv_policy_params()->tick;
	u64 mean = a->round ? tick / SAMPLES_A_TICK : tick * TICKS_A_SAMPLE;

	own_timer_set(p, &a->timer, now_ns + mean / 2 + mul_div(step(&a->random), mean, BIT(32)));
}

static u64 root_of(const struct partition *p)
{
	struct walk_regs r;

	vcpu_walk_regs(&p->vcpu, &r);
	return ALIGN_DOWN(r.cr3, PAGE_SIZE);
}

static void begin_round(struct partition *p, u64 now_ns)
{
	struct spaces_auto *a = &p->spaces.automatic;

	a->busy = (struct busy){.samples = 0};
	a->round = ROUND;
	arm(p, now_ns);
}

/* Where many take turns, each new one raises suspicion. */
static void end_round(struct spaces_auto *a, u64 now_ns)
{
	bool found = busy_count(&a->busy) >= 2;

	a->calm = found ? 0 : MIN(a->calm + 1, VAIN_MOST);
	a->calm_ns =
		now_ns + hv_policy_params()->tick * (found ? FOUND_TICKS : VAIN_TICKS << a->calm);
}

/* Between rounds. Somebody else runs than when it was looked last: is it worth to find out who is
 * busy? What the last round found is not true for ever. */
static void suspect(struct partition *p, u64 root, u64 now_ns)
{
	struct spaces_auto *a = &p->spaces.automatic;

	if (now_ns < a->calm_ns || now_ns < a->rest_ns)
		return;
	a->busy = (struct busy){.samples = 0};
	if (root != a->root)
		begin_round(p, now_ns);
}

/* A guest that slept most of the time says nothing by the CR3 it sleeps with. */
static void look(struct partition *p, u64 now_ns)
{
	struct spaces_auto *a = &p->spaces.automatic;
	u64 guest = vcpu_guest_cycles(&p->vcpu), root = root_of(p);
	u64 all = mul_div(now_ns - a->ns, hv_policy_params()->khz, NSEC_PER_MSEC);

	if (guest - a->guest >= all / 2) {
		if (a->round)
			busy_add(&a->busy, root);
		else
			suspect(p, root, now_ns);
		a->root = root;
	}
	a->guest = guest;
	a->ns = now_ns;
}

static void sample(void *arg, u64 now_ns)
{
	struct partition *p = arg;
	struct spaces_auto *a = &p->spaces.automatic;

	look(p, now_ns);
	if (a->round && !--a->round)
		end_round(a, now_ns);
	arm(p, now_ns);
}

void spaces_auto_tick(struct partition *p, u64 now_ns)
{
	struct spaces_auto *a = &p->spaces.automatic;

	if (a->on && !a->round)
		look(p, now_ns);
}

void spaces_auto_watch(struct partition *p)
{
	struct spaces_auto *a = &p->spaces.automatic;

	if (!a->on)
		return;
	a->timer.fire = sample;
	a->timer.arg = p;
	a->random ^= rdtsc();
	a->guest = vcpu_guest_cycles(&p->vcpu);
	a->ns = own_time_ns(p);
	a->calm_ns = a->calm = 0;
	begin_round(p, a->ns);
	if (a->ns < a->rest_ns)
		a->round = 0;
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
