/* Has the load changed? A two-sided CUSUM over the logarithm of a rate: excursions from the mean of
 * this phase add up, less an allowance for drift; when they reach the threshold the phase is over.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_CUSUM_H
#define HV_PAGING_ADAPTIVE_CUSUM_H

#include "paging/adaptive/fixed.h"

#define CUSUM_MEAN_OVER 16 /* values; then the mean follows slowly */

struct cusum {
	s64 mean;
	s64 up, down;
	u32 n;
};

static inline void cusum_reset(struct cusum *c)
{
	*c = (struct cusum){0};
}

/* Take @value; true when it ends a phase: a new one begins with it. All in the same unit, below
 * 2^32. */
static inline bool cusum_add(struct cusum *c, u32 value, u32 drift, u32 threshold)
{
	s64 away = c->n ? (s64)value - c->mean : 0;

	c->up = MAX(c->up + away - (s64)drift, 0);
	c->down = MAX(c->down - away - (s64)drift, 0);
	if (c->up > (s64)threshold || c->down > (s64)threshold) {
		*c = (struct cusum){.mean = value, .n = 1};
		return true;
	}
	if (c->n < CUSUM_MEAN_OVER)
		c->n++;
	c->mean = c->n == 1 ? (s64)value : c->mean + away / (s64)c->n;
	return false;
}

#endif
