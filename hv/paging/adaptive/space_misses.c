/* TLB misses of one address space: see space_misses.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/space_misses.h"

#include "lib/str.h"
#include "paging/adaptive/fixed.h"

#define RATE_ONE   BIT(32)
#define RAN_SHARE  4u /* of a look's time the space must have run one part of so many */
#define CONFIDENCE 50 /* a lower bound from few samples is a rough one */

static bool ran_enough(u64 ran, unsigned which, u64 khz)
{
	return ran >= mul_div(coverage_look_ns[which], khz, NSEC_PER_MSEC) / RAN_SHARE;
}

/* Looks in the other mode were at other tables; what they said holds until these say more. */
static void begin_mode(struct space_misses *s, enum policy_mode mode)
{
	memset(s->look, 0, sizeof(s->look));
	s->mode = mode;
}

bool space_misses_add(struct space_misses *s, enum policy_mode mode, unsigned which,
		      const struct coverage_look *l, u64 khz)
{
	if (which >= COVERAGE_LOOKS || !l->regions || !l->ran || !ran_enough(l->ran, which, khz))
		return false;
	if (s->mode != mode)
		begin_mode(s, mode);
	coverage_pool(&s->look[which], l);
	s->pages = coverage_pages(&s->look[which]).value;
	return true;
}

void space_misses_settle(struct space_misses *s, u64 reach, u64 small_ppm)
{
	struct policy_measure m = coverage_misses(s->look, RATE_ONE, reach, small_ppm);

	if (!m.confidence)
		return;
	s->rate = s->known ? s->rate / 2 + m.value / 2 : m.value;
	s->known = true;
}

struct policy_measure space_misses_walks(const struct space_misses *s, u64 cycles, u64 price)
{
	struct policy_measure m = {.confidence = 0};

	if (!s->known || !price || !cycles)
		return m;
	m.value = mul_div(mul_div(cycles, s->rate, RATE_ONE), price, 1000);
	m.value = MAX(MIN(m.value, cycles / 10 * 9), 1ull);
	m.confidence = CONFIDENCE;
	return m;
}
