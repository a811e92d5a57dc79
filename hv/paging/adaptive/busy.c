/* Busy address spaces: see busy.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/busy.h"

#define WEIGHT	    4096u /* of a new sample; in all BUSY_FADES of them at most */
#define BUSY_FADES  32u	  /* one part of so many is forgotten at each */
#define BUSY_SHARE  8u
#define SAMPLES_MIN 24u

static void fade(struct busy *b)
{
	for (unsigned i = 0; i < BUSY_SPACES; i++)
		b->space[i].weight -= b->space[i].weight / BUSY_FADES;
}

/* @root's place; a new one gets that of the one that ran least. */
static unsigned place_of(struct busy *b, u64 root)
{
	unsigned least = 0;

	for (unsigned i = 0; i < BUSY_SPACES; i++) {
		if (b->space[i].weight && b->space[i].root == root)
			return i;
		if (b->space[i].weight < b->space[least].weight)
			least = i;
	}
	b->space[least].root = root;
	b->space[least].weight = 0;
	return least;
}

void busy_add(struct busy *b, u64 root)
{
	fade(b);
	b->space[place_of(b, root)].weight += WEIGHT;
	if (b->samples < SAMPLES_MIN)
		b->samples++;
}

unsigned busy_count(const struct busy *b)
{
	u32 all = 0;
	unsigned n = 0;

	for (unsigned i = 0; i < BUSY_SPACES; i++)
		all += b->space[i].weight;
	for (unsigned i = 0; i < BUSY_SPACES && b->samples >= SAMPLES_MIN; i++)
		n += b->space[i].weight >= all / BUSY_SHARE;
	return n;
}
