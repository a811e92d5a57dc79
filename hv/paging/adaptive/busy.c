/* Busy address spaces: see busy.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/busy.h"

#define WEIGHT	    4096u /* of a new sample; in all BUSY_FADES of them at most */
#define BUSY_FADES  32u	  /* one part of so many is forgotten at each */
#define BUSY_SHARE  8u
#define SAMPLES_MIN 24u
#define NAMED_MOST  2u
#define NAMED_FROM  3u /* a part of so many */
#define NAME_BITS   40
#define HASH	    0x9e3779b97f4a7c15ull

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
	b->space[least].named = false;
	return least;
}

void busy_add(struct busy *b, u64 root)
{
	fade(b);
	b->space[place_of(b, root)].weight += WEIGHT;
	if (b->samples < SAMPLES_MIN)
		b->samples++;
}

static u64 total(const struct busy *b)
{
	u64 all = 0;

	for (unsigned i = 0; i < BUSY_SPACES; i++)
		all += b->space[i].weight;
	return all;
}

unsigned busy_count(const struct busy *b)
{
	u64 all = total(b);
	unsigned n = 0;

	for (unsigned i = 0; i < BUSY_SPACES && b->samples >= SAMPLES_MIN; i++)
		n += b->space[i].weight >= all / BUSY_SHARE;
	return n;
}

/* Who is in the name from now on; how many. */
static unsigned choose_names(struct busy *b)
{
	u64 all = total(b);
	unsigned n = 0;

	for (unsigned i = 0; i < BUSY_SPACES; i++) {
		b->space[i].named &= b->space[i].weight >= all / BUSY_SHARE;
		n += b->space[i].named;
	}
	for (unsigned i = 0; i < BUSY_SPACES && n < NAMED_MOST; i++) {
		if (b->space[i].named || b->space[i].weight < all / NAMED_FROM)
			continue;
		b->space[i].named = true;
		n++;
	}
	return n;
}

struct policy_measure busy_name(struct busy *b)
{
	struct policy_measure m = {.confidence = 0};

	if (b->samples < SAMPLES_MIN || !choose_names(b))
		return m;
	m.confidence = 100;
	for (unsigned i = 0; i < BUSY_SPACES; i++)
		if (b->space[i].named)
			m.value += (b->space[i].root >> PAGE_SHIFT) * HASH >> (64 - NAME_BITS);
	m.value &= BIT(NAME_BITS) - 1;
	return m;
}
