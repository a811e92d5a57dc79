/* TLB misses of one address space, from looks at accessed bits while it alone ran. Pure.
 *
 * A look goes on for as long as its space does: what is counted when that goes is a look too, as
 * long as the time it ran. So there are looks whatever the guest's quantum is, and none of one that
 * never runs for a quarter of the shortest.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_SPACE_MISSES_H
#define HV_PAGING_ADAPTIVE_SPACE_MISSES_H

#include "paging/adaptive/coverage.h"

struct space_misses {
	struct coverage_look look[COVERAGE_LOOKS]; /* the last rounds in @mode, newer ones more */
	enum policy_mode mode;
	bool known;
	u64 rate;  /* misses per 2^32 cycles, a lower bound */
	u64 pages; /* touched in the longest look */
};

/* The @which-th look of a round in @mode has found @l. @khz: of the clock of @l's cycles. False:
 * the space ran too shortly for it, and nothing is taken. */
bool space_misses_add(struct space_misses *s, enum policy_mode mode, unsigned which,
		      const struct coverage_look *l, u64 khz);
/* A round is over. @reach, @small_ppm: as for coverage_misses(). */
void space_misses_settle(struct space_misses *s, u64 reach, u64 small_ppm);
/* Cycles in walks of @cycles of the space's, each miss at @price thousandths of a cycle; confidence
 * 0 before the first round and without a price. At least 1, and at most nine tenths of the time: a
 * price too high is no lie. */
struct policy_measure space_misses_walks(const struct space_misses *s, u64 cycles, u64 price);

#endif
