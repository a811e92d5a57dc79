/* policy=chaos: modes switched by chance, at random exits and at random times, so that whatever
 * differs between modes or is lost between them shows in what guests say. The same seed and the
 * same exits give the same switches.
 *
 * An engine table of its own wraps run(), so that nothing else pays for it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/hv.h"
#include "core/partition_paging.h"
#include "lib/str.h"

/* Vigna's xorshift64*: no state but one word, which must not be 0. */
static u64 next_random(struct adaptive *a)
{
	u64 x = a->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	a->random = x;
	return x * 0x2545f4914f6cdd1dull >> 11;
}

u64 chaos_number(struct adaptive *a, u64 most)
{
	return 1 + next_random(a) % MAX(most, 1ull);
}

void chaos_begin(struct adaptive *a, u64 seed)
{
	a->random = seed * 0x9e3779b97f4a7c15ull;
	a->random += !a->random;
	a->exits_left = chaos_number(a, hv_policy_params()->chaos_exits);
}

static void (*real_run)(struct vcpu *v, struct exit *x);

static void chaos_run(struct vcpu *v, struct exit *x)
{
	struct partition *p = v->part;
	struct adaptive *a = &p->adaptive;

	if (a->kind == ADAPTIVE_CHAOS && !--a->exits_left) {
		a->exits_left = chaos_number(a, hv_policy_params()->chaos_exits);
		partition_switch_paging(
			p, v->paging == &paging_shadow ? PAGING_NESTED : PAGING_SHADOW, "chaos");
	}
	real_run(v, x);
}

const struct engine_ops *adaptive_engine(const struct engine_ops *engine)
{
	static struct engine_ops chaotic;

	if (strncmp(hv_cmdline()->policy, "chaos", 5) != 0)
		return engine;
	chaotic = *engine;
	real_run = engine->run;
	chaotic.run = chaos_run;
	return &chaotic;
}
