/* Splitting and joining a random part of nested tables: see nested_sample.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/nested/nested_sample.h"

#define ENTRIES	    512u
#define LEVEL_2M    2u
#define SHIFT(l)    (PAGE_SHIFT + 9 * ((l)-1))
#define INDEX(g, l) ((g) >> SHIFT(l) & (ENTRIES - 1))

bool nested_sample_possible(const struct nested_map *n)
{
	return n->root && nested_accessed(n);
}

/* --- all large leaves ------------------------------------------------------------------------- */

/* The entry for @gpa in the lowest table above pages of 4 KiB that there is for it, and its level;
 * NULL where nothing is mapped. */
static u64 *find_large(const struct nested_map *n, gpa_t gpa, unsigned *level)
{
	u64 *table = hpa_va(n->root);

	for (*level = n->fmt->levels;; --*level) {
		u64 *e = &table[INDEX(gpa, *level)];

		if (*level == LEVEL_2M || !n->fmt->present(*e) || n->fmt->is_leaf(*e, *level))
			return n->fmt->present(*e) ? e : NULL;
		table = hpa_va(n->fmt->address(*e));
	}
}

typedef void (*leaf_visit)(struct nested_map *n, struct nested_sample *s, u64 *leaf, unsigned level,
			   gpa_t gpa, void *ctx);

/* All leaves of memory above 2 MiB; what is mapped by smaller ones is passed over. */
static void each_large(struct nested_map *n, struct nested_sample *s, leaf_visit visit, void *ctx)
{
	const struct p2m *m = n->p2m;
	unsigned level = 0;
	u64 *e = NULL;

	for (u64 chunk = 1; chunk < m->nchunks;) {
		gpa_t gpa = chunk << P2M_CHUNK_SHIFT;
		bool in_table = e && level == LEVEL_2M && INDEX(gpa, LEVEL_2M);

		/* Neighbours are in one table. */
		e = in_table ? e + 1 : find_large(n, gpa, &level);
		if (e && m->chunk[chunk] && n->fmt->present(*e) && n->fmt->is_leaf(*e, level))
			visit(n, s, e, level, gpa, ctx);
		chunk += e ? BIT(SHIFT(level) - P2M_CHUNK_SHIFT) : 1;
	}
}

static void clear_leaf(struct nested_map *n, struct nested_sample *s, u64 *leaf, unsigned level,
		       gpa_t gpa, void *ctx)
{
	(void)s, (void)level, (void)gpa, (void)ctx;
	*leaf &= ~nested_accessed(n);
}

void nested_sample_mark(struct nested_map *n, struct nested_sample *s)
{
	each_large(n, s, clear_leaf, NULL);
	s->marked = true;
}

/* --- choosing --------------------------------------------------------------------------------- */

struct choice {
	unsigned want;
	u64 *random;
};

static u64 random_below(u64 *random, u64 n)
{
	*random = *random * 6364136223846793005ull + 1442695040888963407ull;
	return (u64)((unsigned __int128)*random * n >> 64);
}

/* Each region so far has had the same chance to be among the chosen. */
static void offer_leaf(struct nested_map *n, struct nested_sample *s, u64 *leaf, unsigned level,
		       gpa_t gpa, void *ctx)
{
	u64 regions = BIT(SHIFT(level) - P2M_CHUNK_SHIFT);
	struct choice *c = ctx;

	if (s->marked && !(*leaf & nested_accessed(n)))
		return;
	for (u64 i = 0; i < regions; i++) {
		u64 nth = s->of++, place = nth < c->want ? nth : random_below(c->random, nth + 1);

		if (place < c->want)
			s->region[place].gpa = gpa + (i << P2M_CHUNK_SHIFT);
	}
}

/* --- splitting -------------------------------------------------------------------------------- */

/* Leaves for all that the one for @at at @level maps, never used so far. Where the kind of memory
 * is the same throughout, all that tells them apart is their addresses. */
static void fill(const struct nested_map *n, u64 *table, hpa_t at, unsigned level)
{
	u64 size = BIT(SHIFT(level - 1)), first = n->fmt->leaf(at, level - 1, true, true);
	u64 apart = first ^ n->fmt->leaf(at, level, true, true);
	u64 used = nested_accessed(n), next = first & ~used;
	/* No bit but the one that says how large it is. */
	bool same = !(apart & (apart - 1));

	for (unsigned i = 0; i < ENTRIES; i++, next += size)
		table[i] = same ? next : n->fmt->leaf(at + i * size, level - 1, true, true) & ~used;
}

/* The leaf @e at @level becomes a table of smaller ones for the same memory. NULL: no memory. */
static u64 *split(struct nested_map *n, struct nested_sample *s, u64 *e, unsigned level)
{
	hpa_t page = s->memory + s->splits * PAGE_SIZE;
	u64 *table;

	if (!s->memory || s->splits >= NESTED_SAMPLE_PAGES)
		return NULL;
	table = hpa_va(page);
	fill(n, table, n->fmt->address(*e), level);
	s->split[s->splits].entry = e;
	s->split[s->splits].was = *e;
	s->split[s->splits++].level = level;
	*e = n->fmt->table(page);
	n->tables++;
	n->leaves[level]--;
	n->leaves[level - 1] += ENTRIES;
	return table;
}

/* Tables for all of the region at @gpa; NULL without memory. */
static u64 *split_region(struct nested_map *n, struct nested_sample *s, gpa_t gpa)
{
	unsigned level;
	u64 *e = find_large(n, gpa, &level), *table = NULL;

	for (; e && level >= LEVEL_2M; level--) {
		table = split(n, s, e, level);
		e = table ? &table[INDEX(gpa, level - 1)] : NULL;
	}
	return table;
}

unsigned nested_sample_begin(struct nested_map *n, struct nested_sample *s, unsigned want,
			     u64 *random)
{
	struct choice c = {.want = MIN(want, NESTED_SAMPLE_MAX), .random = random};
	unsigned chosen;

	s->n = s->splits = 0;
	s->of = 0;
	each_large(n, s, offer_leaf, &c);
	chosen = (unsigned)MIN(s->of, (u64)c.want);
	for (unsigned i = 0; i < chosen; i++) {
		u64 *leaf = split_region(n, s, s->region[i].gpa);

		if (!leaf)
			continue;
		s->region[s->n].gpa = s->region[i].gpa;
		s->region[s->n++].leaf = leaf;
	}
	return s->n;
}

/* --- counting and joining --------------------------------------------------------------------- */

/* Bits added up where they stand, eight leaves at a time; most are not set. */
static u64 count_set(const u64 *leaf, u64 bit)
{
	u64 n = 0;

	for (const u64 *l = leaf; l < leaf + ENTRIES; l += 8) {
		if (!((l[0] | l[1] | l[2] | l[3] | l[4] | l[5] | l[6] | l[7]) & bit))
			continue;
		n += (l[0] & bit) + (l[1] & bit) + (l[2] & bit) + (l[3] & bit) + (l[4] & bit) +
		     (l[5] & bit) + (l[6] & bit) + (l[7] & bit);
	}
	return n / bit;
}

u64 nested_sample_count(const struct nested_map *n, const struct nested_sample *s, u64 *squares)
{
	u64 accessed = nested_accessed(n), sum = 0;

	*squares = 0;
	for (unsigned r = 0; r < s->n; r++) {
		u64 touched = count_set(s->region[r].leaf, accessed);

		sum += touched;
		*squares += touched * touched;
	}
	return sum;
}

void nested_sample_end(struct nested_map *n, struct nested_sample *s)
{
	while (s->splits) {
		unsigned level = s->split[--s->splits].level;

		*s->split[s->splits].entry = s->split[s->splits].was;
		n->tables--;
		n->leaves[level]++;
		n->leaves[level - 1] -= ENTRIES;
	}
	s->n = 0;
}
