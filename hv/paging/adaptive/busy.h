/* Which address spaces of a guest are busy, from samples of CR3 at random times. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_BUSY_H
#define HV_PAGING_ADAPTIVE_BUSY_H

#include "penumbra/types.h"

#define BUSY_SPACES 8u

struct busy {
	u32 samples; /* so far, as many as tell */
	struct {
		u64 root;
		u32 weight; /* 0: free */
	} space[BUSY_SPACES];
};

/* Whoever has @root ran when it was looked. Older samples count less and less. */
void busy_add(struct busy *b, u64 root);
/* How many address spaces have an eighth of the guest's time or more; 0 until that can be said. */
unsigned busy_count(const struct busy *b);

#endif
