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

static unsigned entry_of(unsigned word, u64 present)
{
	return 64 * word + (unsigned)__builtin_ctzll(present);
}

static void clear(struct sh_page *p)
{
	for (unsigned word = 0; word < ARRAY_SIZE(p->present); word++)
		for (u64 left = p->present[word]; left; left &= left - 1)
			p->spt[entry_of(word, left)] &= ~(u64)PTE_A;
}

static u64 count(const struct sh_page *p)
{
	u64 touched = 0;

	for (unsigned word = 0; word < ARRAY_SIZE(p->present); word++)
		for (u64 left = p->present[word]; left; left &= left - 1)
			touched += (p->spt[entry_of(word, left)] & PTE_A) != 0;
	return touched;
}

static u64 random_below(u64 *random, u64 n)
{
	*random = *random * 6364136223846793005ull + 1442695040888963407ull;
	return (u64)((unsigned __int128)*random * n >> 64);
}

/* Each of them is as likely to be among the @want. */
static void choose(const struct shadow *s, struct shadow_touched *t, unsigned want, u64 *random)
{
	for (u32 i = 1; i <= s->npages; i++) {
		u64 nth = t->of, place;

		if (!is_leaf_table(&s->page[i]))
			continue;
		t->of++;
		place = nth < want ? nth : random_below(random, nth + 1);
		if (place < want)
			t->table[place].number = i;
	}
}

unsigned shadow_touched_begin(struct shadow *s, struct shadow_touched *t, unsigned want,
			      u64 *random)
{
	memset(t, 0, sizeof(*t));
	want = MIN(want, SHADOW_TOUCHED_MAX);
	choose(s, t, want, random);
	t->n = MIN(t->of, want);
	for (unsigned i = 0; i < t->n; i++) {
		struct sh_page *p = &s->page[t->table[i].number];

		t->table[i].key = p->key;
		clear(p);
	}
	return t->n;
}

u64 shadow_touched_count(const struct shadow *s, const struct shadow_touched *t, u64 *squares)
{
	u64 sum = 0;

	*squares = 0;
	for (unsigned i = 0; i < t->n; i++) {
		const struct sh_page *p = &s->page[t->table[i].number];
		u64 touched;

		/* It may have become another table since. */
		if (!is_leaf_table(p) || p->key != t->table[i].key)
			continue;
		touched = count(p);
		sum += touched;
		*squares += touched * touched;
	}
	return sum;
}
