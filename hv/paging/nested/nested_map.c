/* Nested page tables: built whole at guest creation, so that a running guest never faults on RAM.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/nested/nested_map.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "paging/nested/nested_guard.h"
#include "penumbra/platform.h"

#define ENTRIES		   512u
#define LEVEL_SHIFT(level) (PAGE_SHIFT + 9 * ((level)-1))
#define LEVEL_SIZE(level)  (1ull << LEVEL_SHIFT(level))

static unsigned table_index(gpa_t gpa, unsigned level)
{
	return (gpa >> LEVEL_SHIFT(level)) & (ENTRIES - 1);
}

static hpa_t new_table(struct nested_map *n)
{
	hpa_t page = frames_alloc(1, 1, OWNER_HYPERVISOR);

	if (page) {
		memset(hpa_va(page), 0, PAGE_SIZE);
		n->tables++;
	}
	return page;
}

/* The entry for @gpa at @level, making the tables above it. NULL: no memory. */
static u64 *entry_at(struct nested_map *n, gpa_t gpa, unsigned level)
{
	u64 *table = hpa_va(n->root);

	for (unsigned l = n->fmt->levels; l > level; l--) {
		u64 *e = &table[table_index(gpa, l)];

		if (!n->fmt->present(*e)) {
			hpa_t page = new_table(n);

			if (!page)
				return NULL;
			*e = n->fmt->table(page);
		}
		table = hpa_va(n->fmt->address(*e));
	}
	return &table[table_index(gpa, level)];
}

/* p2m_lookup(), and the page that was placed. */
static enum p2m_kind lookup(const struct nested_map *n, gpa_t gpa, hpa_t *hpa)
{
	if (n->placed_hpa && gpa == n->placed_gpa) {
		*hpa = n->placed_hpa;
		return P2M_RAM;
	}
	return p2m_lookup(n->p2m, gpa, hpa);
}

static u64 leaf_for(const struct nested_map *n, gpa_t gpa, unsigned level)
{
	hpa_t hpa;
	enum p2m_kind kind = lookup(n, gpa, &hpa);

	if (kind != P2M_RAM && kind != P2M_ROM)
		return 0; /* devices come on demand */
	return n->fmt->leaf(hpa, level, kind == P2M_RAM && !nested_guarded(n, gpa), true);
}

static int map_leaf(struct nested_map *n, gpa_t gpa, unsigned level)
{
	u64 leaf = leaf_for(n, gpa, level);
	u64 *e;

	if (!leaf)
		return 0;
	e = entry_at(n, gpa, level);
	if (!e)
		return -ENOMEM;
	*e = leaf;
	n->leaves[level]++;
	return 0;
}

/* A gigabyte can be one leaf when both sides are aligned and the host's is in one piece. */
static bool whole_gib(const struct p2m *m, u64 chunk)
{
	if (chunk == 0 || chunk % (GIB / P2M_CHUNK) || m->nchunks - chunk < GIB / P2M_CHUNK)
		return false;
	if (!m->chunk[chunk] || m->chunk[chunk] & (GIB - 1))
		return false;
	for (u64 i = 1; i < GIB / P2M_CHUNK; i++)
		if (m->chunk[chunk + i] != m->chunk[chunk] + i * P2M_CHUNK)
			return false;
	return true;
}

static int map_4k_range(struct nested_map *n, gpa_t base, u64 len)
{
	int err = 0;

	for (u64 off = 0; off < len && !err; off += PAGE_SIZE)
		err = map_leaf(n, base + off, 1);
	return err;
}

static int map_chunks(struct nested_map *n)
{
	int err = map_4k_range(n, 0, P2M_CHUNK);

	for (u64 i = 1; i < n->p2m->nchunks && !err;) {
		if (n->use_1g && whole_gib(n->p2m, i)) {
			err = map_leaf(n, i << P2M_CHUNK_SHIFT, 3);
			i += GIB / P2M_CHUNK;
		} else {
			err = map_leaf(n, i << P2M_CHUNK_SHIFT, 2);
			i++;
		}
	}
	return err;
}

int nested_map_init(struct nested_map *n, const struct nested_format *fmt, bool use_1g,
		    struct p2m *p2m)
{
	int err;

	memset(n, 0, sizeof(*n));
	n->fmt = fmt;
	n->use_1g = use_1g && fmt->has_1g;
	n->p2m = p2m;
	n->root = new_table(n);
	if (!n->root)
		return -ENOMEM;
	err = map_chunks(n);
	return err ? err : map_4k_range(n, p2m->alias_base, p2m->alias_len);
}

static void free_table(struct nested_map *n, hpa_t table, unsigned level)
{
	const u64 *entry = hpa_va(table);

	for (unsigned i = 0; level > 1 && i < ENTRIES; i++)
		if (n->fmt->present(entry[i]) && !n->fmt->is_leaf(entry[i], level))
			free_table(n, n->fmt->address(entry[i]), level - 1);
	frames_free(table, 1, OWNER_HYPERVISOR);
	n->tables--;
}

void nested_map_free(struct nested_map *n)
{
	nested_guard_free(n);
	if (n->root)
		free_table(n, n->root, n->fmt->levels);
	n->root = 0;
}

/* Can a cached copy of @from allow what @to does not? */
static bool leaf_loses(const struct nested_map *n, u64 from, u64 to)
{
	if (!n->fmt->present(from) || from == to)
		return false;
	return !n->fmt->present(to) || n->fmt->address(from) != n->fmt->address(to) ||
	       to != n->fmt->leaf(n->fmt->address(to), 1, true, true);
}

void nested_map_update_low(struct nested_map *n, gpa_t base, u64 len)
{
	for (gpa_t gpa = base; gpa < base + len && gpa < P2M_CHUNK; gpa += PAGE_SIZE) {
		u64 *e = entry_at(n, gpa, 1), leaf = leaf_for(n, gpa, 1);

		if (!e)
			continue;
		n->p2m->gen += leaf_loses(n, *e, leaf);
		*e = leaf;
	}
}

static bool mapped(const struct nested_map *n, gpa_t gpa)
{
	hpa_t table = n->root;

	for (unsigned level = n->fmt->levels; level; level--) {
		u64 e = ((const u64 *)hpa_va(table))[table_index(gpa, level)];

		if (!n->fmt->present(e))
			return false;
		if (n->fmt->is_leaf(e, level))
			return true;
		table = n->fmt->address(e);
	}
	return false;
}

/* --- devices ---------------------------------------------------------------------------------- */

/* The entry for @gpa at @level; NULL where a larger leaf or a smaller table is in the way, or there
 * may be no more tables. */
static u64 *device_entry(struct nested_map *n, gpa_t gpa, unsigned level)
{
	u64 *e = hpa_va(n->root);

	for (unsigned l = n->fmt->levels;; l--) {
		e += table_index(gpa, l);
		if (l == level)
			return n->fmt->present(*e) && !n->fmt->is_leaf(*e, l) ? NULL : e;
		if (n->fmt->present(*e) && n->fmt->is_leaf(*e, l))
			return NULL;
		if (!n->fmt->present(*e)) {
			hpa_t page = n->device_tables < NESTED_DEVICE_TABLES ? new_table(n) : 0;

			if (!page)
				return NULL;
			n->device_tables++;
			*e = n->fmt->table(page);
		}
		e = hpa_va(n->fmt->address(*e));
	}
}

int nested_map_device(struct nested_map *n, gpa_t gpa)
{
	const struct p2m *m = n->p2m;

	if (mapped(n, gpa))
		return 0;
	for (unsigned level = n->use_1g ? 3 : 2; level; level--) {
		gpa_t base = ALIGN_DOWN(gpa, LEVEL_SIZE(level));
		u64 *e;

		if (!m->device(m->device_ctx, base, LEVEL_SIZE(level)))
			continue;
		e = device_entry(n, base, level);
		if (!e)
			continue;
		*e = n->fmt->leaf(base, level, true, true);
		n->leaves[level]++;
		return 0;
	}
	return -ENOMEM;
}

static void drop_devices(struct nested_map *n, hpa_t table, unsigned level, gpa_t base)
{
	u64 *entry = hpa_va(table);

	for (unsigned i = 0; i < ENTRIES; i++) {
		gpa_t gpa = base + i * LEVEL_SIZE(level);
		hpa_t hpa;

		if (!n->fmt->present(entry[i]))
			continue;
		if (!n->fmt->is_leaf(entry[i], level)) {
			drop_devices(n, n->fmt->address(entry[i]), level - 1, gpa);
		} else if (lookup(n, gpa, &hpa) != P2M_RAM) {
			entry[i] = 0;
			n->leaves[level]--;
			n->p2m->gen++;
		}
	}
}

void nested_map_drop_devices(struct nested_map *n)
{
	drop_devices(n, n->root, n->fmt->levels, 0);
}

/* --- a page that is no memory ------------------------------------------------------------------
 */

static void take_away(struct nested_map *n)
{
	u64 *e = n->placed_hpa ? entry_at(n, n->placed_gpa, 1) : NULL;

	n->placed_hpa = 0;
	if (!e || !n->fmt->present(*e))
		return;
	*e = 0;
	n->leaves[1]--;
	n->p2m->gen++;
}

int nested_map_place(struct nested_map *n, gpa_t gpa, hpa_t hpa)
{
	hpa_t other;
	int err;

	if (n->placed_hpa == hpa && n->placed_gpa == gpa)
		return 0;
	take_away(n);
	if (!hpa)
		return 0;
	/* A guest that moves it about must not make tables everywhere. */
	if (gpa != PC_LAPIC_BASE || p2m_lookup(n->p2m, gpa, &other) != P2M_NONE || mapped(n, gpa))
		return -EINVAL;
	n->placed_gpa = gpa;
	n->placed_hpa = hpa;
	err = map_leaf(n, gpa, 1);
	if (err)
		n->placed_hpa = 0;
	return err;
}

/* --- audit ------------------------------------------------------------------------------------ */

/* Steps in which memory can change its kind or place. */
static u64 p2m_step(gpa_t gpa)
{
	return gpa < P2M_CHUNK ? PAGE_SIZE : P2M_CHUNK;
}

/* Does the leaf @e at @gpa translate all it covers as the p2m does? */
static bool leaf_right(const struct nested_map *n, u64 e, gpa_t gpa, unsigned level)
{
	e |= nested_accessed(n);
	for (u64 off = 0; off < LEVEL_SIZE(level); off += p2m_step(gpa + off)) {
		hpa_t hpa;
		enum p2m_kind kind = lookup(n, gpa + off, &hpa);
		bool writable = kind != P2M_ROM && !nested_guarded(n, gpa + off);

		if (kind == P2M_NONE || e != n->fmt->leaf(hpa - off, level, writable, true))
			return false;
	}
	return true;
}

static unsigned audit_table(const struct nested_map *n, hpa_t table, unsigned level, gpa_t base)
{
	const u64 *entry = hpa_va(table);
	unsigned wrong = 0;

	for (unsigned i = 0; i < ENTRIES; i++) {
		gpa_t gpa = base + i * LEVEL_SIZE(level);
		u64 e = entry[i];

		if (!n->fmt->present(e))
			continue;
		if (n->fmt->is_leaf(e, level))
			wrong += !leaf_right(n, e, gpa, level);
		else
			wrong += audit_table(n, n->fmt->address(e), level - 1, gpa);
	}
	return wrong;
}

/* Steps of [@base, @end) with memory behind them that the tables leave out. */
static unsigned audit_holes(const struct nested_map *n, gpa_t base, gpa_t end, u64 step)
{
	unsigned holes = 0;

	for (gpa_t gpa = base; gpa < end; gpa += step) {
		hpa_t hpa;
		enum p2m_kind kind = p2m_lookup(n->p2m, gpa, &hpa);

		holes += (kind == P2M_RAM || kind == P2M_ROM) && !mapped(n, gpa);
	}
	return holes;
}

unsigned nested_map_audit(const struct nested_map *n)
{
	const struct p2m *m = n->p2m;

	return audit_table(n, n->root, n->fmt->levels, 0) +
	       audit_holes(n, 0, P2M_CHUNK, PAGE_SIZE) +
	       audit_holes(n, P2M_CHUNK, m->nchunks << P2M_CHUNK_SHIFT, P2M_CHUNK) +
	       audit_holes(n, m->alias_base, m->alias_base + m->alias_len, PAGE_SIZE);
}
