/* Which pages the guest uses, by the accessed bits of leaves: they are ours alone here, since a
 * leaf is made only once the guest's own entry has its bit. What makes entries, compares or audits
 * them does not look at the bit.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/str.h"
#include "paging/shadow/shadow_int.h"

static bool is_leaf_table(const struct sh_page *p)
{
	return p->state != SH_FREE && p->level == 1 && p->live;
}

static void clear(struct sh_page *p)
{
	for (unsigned i = 0; i < SH_ENTRIES; i++)
		if (p->present[i / 64] >> (i % 64) & 1)
			__atomic_and_fetch(&p->spt[i], ~(u64)PTE_A, __ATOMIC_RELAXED);
}

static u64 step(u64 *random)
{
	*random = *random * 6364136223846793005ull + 1442695040888963407ull;
	return *random >> 32;
}

unsigned shadow_touched_begin(struct shadow *s, struct shadow_touched *t, unsigned share,
			      u64 *random)
{
	u64 seen = 0;

	memset(t, 0, sizeof(*t));
	for (u32 i = 1; i <= s->npages; i++)
		t->of += is_leaf_table(&s->page[i]);
	t->n = MIN(MAX(t->of / MAX(share, 1u), MIN(t->of, SHADOW_TOUCHED_MIN)), SHADOW_TOUCHED_MAX);
	/* Each one is as likely to be among the @n. */
	for (u32 i = 1; i <= s->npages && t->n; i++) {
		u64 place = seen;

		if (!is_leaf_table(&s->page[i]))
			continue;
		if (seen++ >= t->n)
			place = step(random) % seen;
		if (place < t->n)
			t->table[place].number = i;
	}
	for (unsigned i = 0; i < t->n; i++) {
		t->table[i].key = s->page[t->table[i].number].key;
		clear(&s->page[t->table[i].number]);
	}
	return t->n;
}

u64 shadow_touched_count(const struct shadow *s, const struct shadow_touched *t, u64 *squares)
{
	u64 sum = 0;

	*squares = 0;
	for (unsigned i = 0; i < t->n; i++) {
		const struct sh_page *p = &s->page[t->table[i].number];
		u64 touched = 0;

		/* It may have become another table since. */
		if (!is_leaf_table(p) || p->key != t->table[i].key)
			continue;
		for (unsigned e = 0; e < SH_ENTRIES; e++)
			touched += sh_present(s, p->spt[e]) && (p->spt[e] & PTE_A);
		sum += touched;
		*squares += touched * touched;
	}
	return sum;
}
