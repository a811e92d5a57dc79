/* Splitting and joining a random part of nested tables: see nested_sample.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/nested/nested_sample.h"
#include "lib/str.h"
#include "mem/frames.h"

#define ENTRIES	    512u
#define LEVEL_2M    2u
#define TRIES	    4u /* for each region wanted: one may be taken, or a hole */
#define SHIFT(l)    (PAGE_SHIFT + 9 * ((l)-1))
#define INDEX(g, l) ((g) >> SHIFT(l) & (ENTRIES - 1))

bool nested_sample_possible(const struct nested_map *n)
{
	return n->root && nested_accessed(n);
}

u64 nested_sample_regions(const struct nested_map *n)
{
	u64 regions = 0;

	for (u64 i = 1; i < n->p2m->nchunks; i++)
		regions += n->p2m->chunk[i] != 0;
	return regions;
}

/* The leaf that maps @gpa; NULL where there is none. */
static u64 *find_leaf(const struct nested_map *n, gpa_t gpa, unsigned *level)
{
	u64 *table = hpa_va(n->root);

	for (*level = n->fmt->levels; *level; --*level) {
		u64 *e = &table[INDEX(gpa, *level)];

		if (!n->fmt->present(*e))
			return NULL;
		if (n->fmt->is_leaf(*e, *level))
			return e;
		table = hpa_va(n->fmt->address(*e));
	}
	return NULL;
}

/* Leaves for all that the one for @at at @level maps. Where the kind of memory is the same
 * throughout, all that tells them apart is their addresses. */
static void fill(const struct nested_map *n, u64 *table, hpa_t at, unsigned level)
{
	u64 size = BIT(SHIFT(level - 1)), first = n->fmt->leaf(at, level - 1, true, true);
	u64 apart = first ^ n->fmt->leaf(at, level, true, true);
	/* No bit but the one that says how large it is. */
	bool same = !(apart & (apart - 1));

	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = same ? first + i * size
				: n->fmt->leaf(at + i * size, level - 1, true, true);
}

/* The leaf @e at @level becomes a table of smaller ones for the same memory. NULL: no memory. */
static u64 *split(struct nested_map *n, struct nested_sample *s, u64 *e, unsigned level)
{
	hpa_t page = frames_alloc(1, 1, OWNER_HYPERVISOR), at = n->fmt->address(*e);
	u64 *table;

	if (!page)
		return NULL;
	table = hpa_va(page);
	fill(n, table, at, level);
	s->split[s->splits].entry = e;
	s->split[s->splits].was = *e;
	s->split[s->splits++].level = level;
	*e = n->fmt->table(page);
	n->tables++;
	n->leaves[level]--;
	n->leaves[level - 1] += ENTRIES;
	return table;
}

static void join(struct nested_map *n, u64 *e, u64 was, unsigned level)
{
	hpa_t page = n->fmt->address(*e);

	*e = was;
	frames_free(page, 1, OWNER_HYPERVISOR);
	n->tables--;
	n->leaves[level]++;
	n->leaves[level - 1] -= ENTRIES;
}

static void add_region(struct nested_map *n, struct nested_sample *s, gpa_t gpa)
{
	u64 accessed = nested_accessed(n), *leaf;
	unsigned level;
	u64 *e = find_leaf(n, gpa, &level);

	/* What is smaller already has been chosen before. */
	if (!e || level < LEVEL_2M)
		return;
	for (; level > LEVEL_2M; level--) {
		u64 *table = split(n, s, e, level);

		if (!table)
			return;
		e = &table[INDEX(gpa, level - 1)];
	}
	leaf = split(n, s, e, LEVEL_2M);
	if (!leaf)
		return;
	for (unsigned i = 0; i < ENTRIES; i++)
		leaf[i] &= ~accessed;
	s->region[s->n].gpa = gpa;
	s->region[s->n++].leaf = leaf;
}

static u64 step(u64 *random)
{
	*random = *random * 6364136223846793005ull + 1442695040888963407ull;
	return *random >> 32;
}

unsigned nested_sample_begin(struct nested_map *n, struct nested_sample *s, unsigned want,
			     u64 *random)
{
	const struct p2m *m = n->p2m;

	memset(s, 0, sizeof(*s));
	want = MIN(want, NESTED_SAMPLE_MAX);
	if (m->nchunks < 2)
		return 0;
	for (unsigned i = 0; i < TRIES * want && s->n < want; i++) {
		u64 chunk = 1 + step(random) % (m->nchunks - 1);

		if (m->chunk[chunk])
			add_region(n, s, chunk << P2M_CHUNK_SHIFT);
	}
	return s->n;
}

/* Most of what is looked at was not touched: eight leaves at a time. */
static u64 count_set(const u64 *leaf, u64 bit)
{
	u64 n = 0;

	for (const u64 *l = leaf; l < leaf + ENTRIES; l += 8) {
		if (!((l[0] | l[1] | l[2] | l[3] | l[4] | l[5] | l[6] | l[7]) & bit))
			continue;
		for (unsigned i = 0; i < 8; i++)
			n += (l[i] & bit) != 0;
	}
	return n;
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
	while (s->splits--)
		join(n, s->split[s->splits].entry, s->split[s->splits].was,
		     s->split[s->splits].level);
	memset(s, 0, sizeof(*s));
}
