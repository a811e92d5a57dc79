/* Pages that the guest may not write for now; see nested_guard.h.
 *
 * A region once split stays so until nested_guard_free(): guests take their tables from the same
 * places over and over, and putting it together costs a flush.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/nested/nested_guard.h"

#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"

#define ENTRIES		   512u
#define LEVEL_SHIFT(level) (PAGE_SHIFT + 9 * ((level)-1))
#define LEVEL_SIZE(level)  (1ull << LEVEL_SHIFT(level))

static u64 *entry_in(hpa_t table, gpa_t gpa, unsigned level)
{
	return (u64 *)hpa_va(table) + ((gpa >> LEVEL_SHIFT(level)) & (ENTRIES - 1));
}

static u64 bitmap_pages(const struct nested_map *n)
{
	return ALIGN_UP(n->guard_bits / 8, PAGE_SIZE) / PAGE_SIZE;
}

int nested_guard_init(struct nested_map *n)
{
	hpa_t bits;

	if (n->guard)
		return 0;
	n->guard_bits = n->p2m->nchunks << (P2M_CHUNK_SHIFT - PAGE_SHIFT);
	bits = frames_alloc(bitmap_pages(n), 1, OWNER_HYPERVISOR);
	if (!bits)
		return -ENOMEM;
	n->guard = hpa_va(bits);
	memset(n->guard, 0, bitmap_pages(n) * PAGE_SIZE);
	return 0;
}

/* --- splitting -------------------------------------------------------------------------------- */

/* The large leaf *@e at @level becomes a table of smaller ones that say the same. */
static int split(struct nested_map *n, u64 *e, unsigned level)
{
	hpa_t page = frames_alloc(1, 1, OWNER_HYPERVISOR), hpa = n->fmt->address(*e);
	u64 *table;

	if (!page)
		return -ENOMEM;
	n->tables++;
	table = hpa_va(page);
	for (unsigned i = 0; i < ENTRIES; i++)
		table[i] = n->fmt->leaf(hpa + i * LEVEL_SIZE(level - 1), level - 1, true, true);
	*e = n->fmt->table(page);
	n->leaves[level]--;
	n->leaves[level - 1] += ENTRIES;
	return 0;
}

/* The entry of RAM at @gpa for its page alone. NULL: no memory to split what it is part of. */
static u64 *page_entry(struct nested_map *n, gpa_t gpa)
{
	hpa_t table = n->root;

	for (unsigned level = n->fmt->levels; level > 1; level--) {
		u64 *e = entry_in(table, gpa, level);

		if (!n->fmt->present(*e))
			return NULL;
		if (n->fmt->is_leaf(*e, level) && split(n, e, level) != 0)
			return NULL;
		table = n->fmt->address(*e);
	}
	return entry_in(table, gpa, 1);
}

/* --- pages ------------------------------------------------------------------------------------ */

int nested_guard(struct nested_map *n, gpa_t gpa)
{
	u64 page = gpa >> PAGE_SHIFT, *e;
	hpa_t hpa;

	if (p2m_lookup(n->p2m, gpa, &hpa) != P2M_RAM || page >= n->guard_bits ||
	    nested_guarded(n, gpa))
		return 0;
	e = page_entry(n, gpa);
	if (!e)
		return -ENOMEM;
	n->guard[page / 64] |= BIT(page % 64);
	*e = n->fmt->leaf(ALIGN_DOWN(hpa, PAGE_SIZE), 1, false, true);
	n->guards_made++;
	return 0;
}

void nested_unguard(struct nested_map *n, gpa_t gpa)
{
	u64 page = gpa >> PAGE_SHIFT, *e;
	hpa_t hpa;

	if (!nested_guarded(n, gpa))
		return;
	n->guard[page / 64] &= ~BIT(page % 64);
	e = page_entry(n, gpa);
	/* It may be no RAM any more; then the map has been changed for that. */
	if (e && p2m_lookup(n->p2m, gpa, &hpa) == P2M_RAM)
		*e = n->fmt->leaf(ALIGN_DOWN(hpa, PAGE_SIZE), 1, true, true);
}

/* --- putting together ------------------------------------------------------------------------- */

/* The table *@e, all of whose entries are leaves one after the other, becomes one. */
static void join(struct nested_map *n, u64 *e, unsigned level)
{
	hpa_t page = n->fmt->address(*e), hpa;
	const u64 *table = hpa_va(page);

	hpa = n->fmt->address(table[0]);
	if (hpa & (LEVEL_SIZE(level) - 1))
		return;
	for (unsigned i = 0; i < ENTRIES; i++)
		if (table[i] !=
		    n->fmt->leaf(hpa + i * LEVEL_SIZE(level - 1), level - 1, true, true))
			return;
	*e = n->fmt->leaf(hpa, level, true, true);
	frames_free(page, 1, OWNER_HYPERVISOR);
	n->tables--;
	n->leaves[level]++;
	n->leaves[level - 1] -= ENTRIES;
}

static void join_at(struct nested_map *n, gpa_t gpa, unsigned level)
{
	hpa_t table = n->root;

	for (unsigned l = n->fmt->levels; l; l--) {
		u64 *e = entry_in(table, gpa, l);

		if (!n->fmt->present(*e) || n->fmt->is_leaf(*e, l))
			return;
		if (l == level) {
			join(n, e, level);
			return;
		}
		table = n->fmt->address(*e);
	}
}

/* Of a large leaf only RAM above the first chunk was ever part. */
static void join_all(struct nested_map *n)
{
	u64 chunks = n->p2m->nchunks, per_gib = GIB / P2M_CHUNK;

	for (u64 i = 1; i < chunks; i++)
		if (n->p2m->chunk[i])
			join_at(n, i << P2M_CHUNK_SHIFT, 2);
	for (u64 i = per_gib; n->use_1g && i + per_gib <= chunks; i += per_gib)
		if (n->p2m->chunk[i])
			join_at(n, i << P2M_CHUNK_SHIFT, 3);
}

void nested_guard_free(struct nested_map *n)
{
	if (!n->guard)
		return;
	for (u64 w = 0; w < n->guard_bits / 64; w++)
		while (n->guard[w])
			nested_unguard(n, (w * 64 + (unsigned)__builtin_ctzll(n->guard[w]))
						  << PAGE_SHIFT);
	join_all(n);
	frames_free(va_hpa(n->guard), bitmap_pages(n), OWNER_HYPERVISOR);
	n->guard = NULL;
}
