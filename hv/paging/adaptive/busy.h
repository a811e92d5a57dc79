/* Which address spaces of a guest are busy, from samples of CR3 at random times. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_BUSY_H
#define HV_PAGING_ADAPTIVE_BUSY_H

#include "paging/adaptive/sample.h"

#define BUSY_SPACES 8u

struct busy {
	u32 samples; /* so far, as many as tell */
	struct {
		u64 root;
		u32 weight; /* 0: free */
		bool named;
	} space[BUSY_SPACES];
};

/* Whoever has @root ran when it was looked. Older samples count less and less. */
void busy_add(struct busy *b, u64 root);
/* How many address spaces have an eighth of the guest's time or more; 0 until that can be said. */
unsigned busy_count(const struct busy *b);
/* A name, at most 2^40, for those of them that have most of it: one or two, the same whatever order
 * they run in. Who has a third gets into it and stays down to an eighth, so that it changes with
 * what the guest does and not by the chance of some samples. Confidence 0: there are many that have
 * little each, or it cannot be said yet. */
struct policy_measure busy_name(struct busy *b);

#endif
