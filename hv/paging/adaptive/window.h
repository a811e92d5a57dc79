/* Ticks of one mode and one load, added up, and how two such windows compare.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_WINDOW_H
#define HV_PAGING_ADAPTIVE_WINDOW_H

#include "paging/adaptive/params.h"
#include "paging/adaptive/sample.h"

#define WINDOW_TICKS 128 /* then halved, so that old ticks fade */

struct window {
	u32 n;
	u64 busy; /* cycles in guest mode and in exits for shadow paging */
	u64 progress;
	u64 walk, shadow; /* cycles as reported */
	u64 faults, walks;
};

/* Noise of progress from tick to tick. */
struct noise {
	u64 variance; /* ppm squared */
};

static inline u64 busy_cycles(const struct policy_sample *x)
{
	return x->unhalted + (x->mode == POLICY_SHADOW ? x->shadow_cycles.value : 0);
}

/* @x has passed the guard, and its progress is known. */
void window_add(struct window *w, const struct policy_sample *x);
/* Progress per cycle in @b against @a: ppm by which it is better, at most +-10^7; 0 when one of
 * them is empty. */
s64 window_gain(const struct window *a, const struct window *b);
/* True when page faults or TLB misses per progress differ by more than 2 to 1. */
bool window_other_load(const struct window *a, const struct window *b);

void noise_init(struct noise *s, const struct policy_params *p);
/* @x against the window it will be added to. */
void noise_add(struct noise *s, const struct window *w, const struct policy_sample *x);
/* ppm by which the gains of two windows of @a and @b ticks differ by chance, times sigmas. */
u64 noise_of(const struct noise *s, const struct policy_params *p, u32 a, u32 b);

#endif
