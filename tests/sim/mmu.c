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
	.stlb = {128, 4},
	.walk_cache = {{1, 32}, {1, 4}, {1, 2}},
	.nested_tlb = {1, 16},
	.nested_walk = {1, 16},
	.cache = {{64, 8}, {512, 8}, {8192, 16}},
	.latency = {4, 10, 40, 180},
};
const struct mmu_machine mmu_icelake = {
	.name = "icelake",
	.dtlb = {16, 4},
	.stlb = {128, 16},
	.walk_cache = {{1, 32}, {1, 8}, {1, 4}},
	.nested_tlb = {4, 16},
	.nested_walk = {1, 32},
	.cache = {{64, 12}, {1024, 20}, {16384, 24}},
	.latency = {5, 14, 60, 260},
};

const char *const mmu_mode_name[MMU_MODES] = {
	[MMU_SHADOW] = "shadow",
	[MMU_NESTED_4K] = "nested 4K",
	[MMU_NESTED_2M] = "nested 2M",
	[MMU_NESTED_1G] = "nested 1G",
};

/* --- associative arrays, least recently used goes --------------------------------------------- */

static void array_start(struct mmu_array *a, struct mmu_size size)
{
	a->size = size;
	a->tag = malloc((size_t)size.sets * size.ways * sizeof(*a->tag));
	if (!a->tag) {
		fputs("sim: out of memory\n", stderr);
		exit(2);
	}
	memset(a->tag, 0xff, (size_t)size.sets * size.ways * sizeof(*a->tag));
}

/* Look @key up and make it the newest; true if it was there. */
static bool array_access(struct mmu_array *a, u64 key)
{
	u64 *set = a->tag + (key & (a->size.sets - 1)) * a->size.ways;
	unsigned i = 0;
	bool hit;

	while (i < a->size.ways - 1 && set[i] != key)
		i++;
	hit = set[i] == key;
	memmove(set + 1, set, i * sizeof(*set));
	*set = key;
	return hit;
}

/* --- physical memory -------------------------------------------------------------------------- */

/* Guest frames are handed out in blocks of 64 KiB that lie anywhere in 4 GiB, as after some uptime.
 */
#define BLOCK_PAGES 16
#define BLOCKS_MASK 0xffffull

static u64 scatter(u64 frame)
{
	u64 block = frame / BLOCK_PAGES;

	block = (block & ~BLOCKS_MASK) | (block * 40503 & BLOCKS_MASK);
	return block * BLOCK_PAGES + frame % BLOCK_PAGES;
}

/* Where things are: bits 44 up tell tables of which kind and level, the rest which one. */
#define REGION_SHIFT	   44
#define DATA		   0ull
#define TABLE(kind, level) ((u64)((kind)*4 + (level)) << REGION_SHIFT)
enum { GUEST_TABLE, SHADOW_TABLE, NESTED_TABLE };

/* Cycles for one reference of the processor or its walker to @addr. */
static unsigned touch(struct mmu *m, u64 addr)
{
	u64 line = addr / 64;
	unsigned level = 0;

	while (level < 3 && !array_access(&m->cache[level], line))
		level++;
	return m->machine->latency[level];
}

static void reference(struct mmu *m, u64 addr)
{
	m->references++;
	m->walk_cycles += touch(m, addr);
}

/* Address of the entry for @addr in the table of @level (1: last) of @kind. */
static u64 entry(unsigned kind, unsigned level, u64 addr)
{
	unsigned shift = 12 + 9 * (level - 1);

	return TABLE(kind, level) + (addr >> (shift + 9) << 12) + (addr >> shift & 511) * 8;
}

/* --- walks ------------------------------------------------------------------------------------ */

/* Level of the table at which the walk for @gva begins, by what the walk caches know; all of them
 * know it afterwards. */
static unsigned first_level(struct mmu *m, u64 gva)
{
	unsigned first = 4;

	for (unsigned level = 3; level >= 1; level--)
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

/* Guest-physical address of the guest's entry for @gva: tables are frames like others. */
static u64 guest_entry(unsigned level, u64 gva)
{
	u64 e = entry(GUEST_TABLE, level, gva);
	u64 region = e >> REGION_SHIFT << REGION_SHIFT;

	return region + (scatter((e - region) >> 12) << 12) + (e & 4095);
}

static void walk(struct mmu *m, u64 gva, u64 gpa)
{
	unsigned first = first_level(m, gva);

	for (unsigned level = first; level >= 1; level--) {
		if (m->mode == MMU_SHADOW) {
			reference(m, entry(SHADOW_TABLE, level, gva));
			continue;
		}
		/* A walk cache holds where the table is; the others must be looked for. */
		if (level != first || first == 4)
			translate(m, guest_entry(level, gva));
		reference(m, guest_entry(level, gva));
	}
	if (m->mode != MMU_SHADOW)
		translate(m, gpa);
}

void mmu_access(struct mmu *m, u64 gva)
{
	u64 page = gva >> 12;
	u64 gpa = DATA + (scatter(page) << 12) + (gva & 4095);

	m->accesses++;
	if (!array_access(&m->dtlb, page) && !array_access(&m->stlb, page)) {
		m->misses++;
		walk(m, gva, gpa);
	}
	m->data_cycles += touch(m, gpa);
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
	array_start(&m->stlb, machine->stlb);
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
	free(m->stlb.tag);
	free(m->nested_tlb.tag);
	free(m->nested_walk.tag);
	for (unsigned i = 0; i < 3; i++) {
		free(m->walk_cache[i].tag);
		free(m->cache[i].tag);
	}
}
