/* TLB, walk caches and walks: see mmu.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "mmu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct mmu_machine mmu_lynnfield = {
	.name = "lynnfield",
	.dtlb = {16, 4},
	.itlb = {16, 4},
	.stlb = {128, 4},
	.dtlb_2m = {8, 4},
	.walk_cache = {{1, 32}, {1, 4}, {1, 2}},
	.nested_tlb = {1, 16},
	.nested_walk = {1, 16},
	.cache = {{64, 8}, {512, 8}, {8192, 16}},
	.l1i = {128, 4},
	.latency = {4, 10, 40, 180},
};
const struct mmu_machine mmu_icelake = {
	.name = "icelake",
	.dtlb = {16, 4},
	.itlb = {16, 8},
	.stlb = {128, 16},
	.dtlb_2m = {8, 4},
	.stlb_2m = true,
	.walk_cache = {{1, 32}, {1, 8}, {1, 4}},
	.nested_tlb = {4, 16},
	.nested_walk = {1, 32},
	.cache = {{64, 12}, {1024, 20}, {16384, 24}},
	.l1i = {64, 8},
	.latency = {5, 14, 60, 260},
};

const char *const mmu_mode_name[MMU_MODES] = {
	[MMU_SHADOW] = "shadow",
	[MMU_NESTED_4K] = "nested 4K",
	[MMU_NESTED_2M] = "nested 2M",
	[MMU_NESTED_1G] = "nested 1G",
};

/* --- associative arrays, least recently used goes --------------------------------------------- */

static void array_empty(struct mmu_array *a)
{
	memset(a->tag, 0xff, (size_t)a->size.sets * a->size.ways * sizeof(*a->tag));
}

static void array_start(struct mmu_array *a, struct mmu_size size)
{
	a->size = size;
	a->tag = malloc((size_t)size.sets * size.ways * sizeof(*a->tag));
	if (!a->tag) {
		fputs("sim: out of memory\n", stderr);
		exit(2);
	}
	array_empty(a);
}

static void array_remove(struct mmu_array *a, u64 key)
{
	u64 *set = a->tag + (key & (a->size.sets - 1)) * a->size.ways;

	for (unsigned i = 0; i < a->size.ways; i++)
		if (set[i] == key)
			set[i] = ~0ull;
}

/* Look @key up and make it the newest; true if it was there. */
static bool array_access(struct mmu_array *a, u64 key)
{
	u64 *set = a->tag + (key & (a->size.sets - 1)) * a->size.ways;
	u64 newer = key;

	for (unsigned i = 0; i < a->size.ways; i++) {
		u64 here = set[i];

		set[i] = newer;
		if (here == key)
			return true;
		newer = here;
	}
	return false;
}

/* --- physical memory -------------------------------------------------------------------------- */

#define BLOCK_PAGES 16
#define BLOCKS_MASK 0xffffull

static u64 scatter(u64 frame)
{
	u64 block = frame / BLOCK_PAGES;

	block = (block & ~BLOCKS_MASK) | (block * 40503 & BLOCKS_MASK);
	return block * BLOCK_PAGES + frame % BLOCK_PAGES;
}

u64 mmu_place(u64 n)
{
	return scatter(n) << PAGE_SHIFT;
}

/* Where things are: bits 44 up tell tables of which kind and level, the rest which one. */
#define REGION_SHIFT	   44
#define DATA		   0ull
#define TABLE(kind, level) ((u64)((kind)*4 + (level)) << REGION_SHIFT)
enum { GUEST_TABLE, SHADOW_TABLE, NESTED_TABLE, HOST };

/* Cycles for one reference of the processor or its walker to @addr, through @first. */
static unsigned touch(struct mmu *m, struct mmu_array *first, u64 addr)
{
	u64 line = addr / 64;
	unsigned level = 1;

	if (array_access(first, line))
		return m->machine->latency[0];
	while (level < 3 && !array_access(&m->cache[level], line))
		level++;
	return m->machine->latency[level];
}

static void reference(struct mmu *m, u64 addr)
{
	m->references++;
	m->walk_cycles += touch(m, &m->cache[0], addr);
}

/* Address of the entry for @addr in the table of @level (1: last) of @kind. */
static u64 entry(unsigned kind, unsigned level, u64 addr)
{
	unsigned shift = 12 + 9 * (level - 1);

	return TABLE(kind, level) + (addr >> (shift + 9) << 12) + (addr >> shift & 511) * 8;
}

/* --- walks ------------------------------------------------------------------------------------ */

/* Level of the table at which the walk for @gva to one of level @last begins, by what the walk
 * caches know; all of them know it afterwards. */
static unsigned first_level(struct mmu *m, u64 gva, unsigned last)
{
	unsigned first = 4;

	for (unsigned level = 3; level >= last; level--)
		if (array_access(&m->walk_cache[level - 1], gva >> (12 + 9 * level)))
			first = level;
	return first;
}

static unsigned leaf_level(const struct mmu *m)
{
	return m->mode == MMU_NESTED_1G ? 3 : m->mode == MMU_NESTED_2M ? 2 : 1;
}

/* Guest-physical @gpa to host-physical, as a cost. */
static void translate(struct mmu *m, u64 gpa)
{
	unsigned leaf = leaf_level(m), level = 4;
	unsigned shift = 12 + 9 * (leaf - 1);

	if (array_access(&m->nested_tlb, gpa >> (shift > 21 ? 21 : shift)))
		return;
	if (array_access(&m->nested_walk, gpa >> (shift + 9)))
		level = leaf;
	for (; level >= leaf; level--)
		reference(m, entry(NESTED_TABLE, level, gpa));
}

/* Tables of each level lie in 4 GiB, however far apart what they map is. */
#define TABLES_MASK 0xfffffull

static u64 table_frame(u64 n)
{
	return scatter((n ^ (n >> 20) * 0x9e3779b1ull) & TABLES_MASK);
}

/* Guest-physical address of the guest's entry for @gva: tables are frames like others. */
static u64 guest_entry(unsigned level, u64 gva)
{
	u64 e = entry(GUEST_TABLE, level, gva);
	u64 region = e >> REGION_SHIFT << REGION_SHIFT;

	return region + (table_frame((e - region) >> 12) << 12) + (e & 4095);
}

static void walk(struct mmu *m, const struct mmu_touch *t)
{
	unsigned last = t->large ? 2 : 1, first = first_level(m, t->gva, last);

	for (unsigned level = first; level >= last; level--) {
		if (m->mode == MMU_SHADOW) {
			reference(m, entry(SHADOW_TABLE, level, t->gva));
			continue;
		}
		/* A walk cache holds where the table is; the others must be looked for. */
		if (level != first || first == 4)
			translate(m, guest_entry(level, t->gva));
		reference(m, guest_entry(level, t->gva));
	}
	if (m->mode != MMU_SHADOW)
		translate(m, t->gpa);
}

/* Keys of large pages in the shared second level. */
#define LARGE BIT(60)

/* A guest's large page is one in the TLB only where the host's is as well. */
static bool tlb_hit(struct mmu *m, const struct mmu_touch *t)
{
	u64 page = t->gva >> 12, large = t->gva >> 21;

	if (t->large && m->mode != MMU_NESTED_4K)
		return array_access(&m->dtlb_2m, large) ||
		       (m->machine->stlb_2m && array_access(&m->stlb, large | LARGE));
	return array_access(t->fetch ? &m->itlb : &m->dtlb, page) || array_access(&m->stlb, page);
}

void mmu_touch(struct mmu *m, const struct mmu_touch *t)
{
	m->accesses++;
	if (!tlb_hit(m, t)) {
		m->misses++;
		walk(m, t);
	}
	m->data_cycles += touch(m, t->fetch ? &m->l1i : &m->cache[0], DATA + t->gpa);
}

void mmu_access(struct mmu *m, u64 gva)
{
	struct mmu_touch t = {.gva = gva, .gpa = (scatter(gva >> 12) << 12) + (gva & 4095)};

	mmu_touch(m, &t);
}

/* --- what others do to it --------------------------------------------------------------------- */

void mmu_lines(struct mmu *m, u64 gpa, unsigned n)
{
	while (n--)
		touch(m, &m->cache[0], DATA + gpa + n * 64);
}

#define HOST_LINES 1024

void mmu_pollute(struct mmu *m, unsigned n)
{
	while (n--)
		touch(m, &m->cache[0], TABLE(HOST, 0) + m->host_line++ % HOST_LINES * 64);
}

void mmu_flush(struct mmu *m)
{
	array_empty(&m->dtlb);
	array_empty(&m->itlb);
	array_empty(&m->stlb);
	array_empty(&m->dtlb_2m);
	for (unsigned i = 0; i < 3; i++)
		array_empty(&m->walk_cache[i]);
}

void mmu_flush_page(struct mmu *m, u64 gva)
{
	array_remove(&m->dtlb, gva >> 12);
	array_remove(&m->itlb, gva >> 12);
	array_remove(&m->stlb, gva >> 12);
	array_remove(&m->dtlb_2m, gva >> 21);
	array_remove(&m->stlb, gva >> 21 | LARGE);
	for (unsigned i = 0; i < 3; i++)
		array_empty(&m->walk_cache[i]);
}

/* --- life ------------------------------------------------------------------------------------- */

void mmu_forget_counts(struct mmu *m)
{
	m->accesses = m->misses = m->references = m->walk_cycles = m->data_cycles = 0;
}

void mmu_start(struct mmu *m, const struct mmu_machine *machine, enum mmu_mode mode)
{
	memset(m, 0, sizeof(*m));
	m->machine = machine;
	m->mode = mode;
	array_start(&m->dtlb, machine->dtlb);
	array_start(&m->itlb, machine->itlb);
	array_start(&m->stlb, machine->stlb);
	array_start(&m->dtlb_2m, machine->dtlb_2m);
	array_start(&m->l1i, machine->l1i);
	array_start(&m->nested_tlb, machine->nested_tlb);
	array_start(&m->nested_walk, machine->nested_walk);
	for (unsigned i = 0; i < 3; i++) {
		array_start(&m->walk_cache[i], machine->walk_cache[i]);
		array_start(&m->cache[i], machine->cache[i]);
	}
}

void mmu_end(struct mmu *m)
{
	free(m->dtlb.tag);
	free(m->itlb.tag);
	free(m->stlb.tag);
	free(m->dtlb_2m.tag);
	free(m->l1i.tag);
	free(m->nested_tlb.tag);
	free(m->nested_walk.tag);
	for (unsigned i = 0; i < 3; i++) {
		free(m->walk_cache[i].tag);
		free(m->cache[i].tag);
	}
}
