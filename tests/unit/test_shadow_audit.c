/* The audit of shadow tables itself: right tables give no complaint, and each single thing spoilt
 * in them does. Would catch: a rule that the audit leaves out, an entry, word or frame that its
 * quick looks pass by, a count it believes.
 *
 * SRCS: hv/mem/p2m.c hv/paging/walk.c hv/paging/shadow/sh_*.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"
#include "shadow_cpu.h"

#define ALL	  (PTE_P | PTE_W | PTE_U)
#define USED	  (ALL | PTE_A | PTE_D)
#define ROOT	  0x300000ull
#define PDPT	  0x301000ull
#define DIRECTORY 0x302000ull
#define LEAVES	  0x303000ull
#define SECOND	  0x304000ull
#define DATA(i)	  (0x800000ull + (i)*PAGE_SIZE)
#define LARGE	  0xa00000ull

static struct walk_regs g;
static unsigned complaints;
static const char *awaited; /* part of a complaint */
static bool told;

static void count(void *ctx, const char *text)
{
	(void)ctx;
	complaints++;
	told |= awaited && strstr(text, awaited);
}

static unsigned audit(void)
{
	unsigned wrong;

	complaints = 0;
	wrong = shadow_audit(cpu.s, &g, count, NULL);
	CHECK_EQ(wrong != 0, complaints != 0);
	return wrong;
}

static void put(gpa_t table, unsigned i, u64 e)
{
	cpu_store(&g, table + i * 8, e, 8);
}

static gva_t small(unsigned i)
{
	return i * PAGE_SIZE;
}

/* Two last-level tables and a 2 MiB page under one root: leaves of all kinds, many empty ones. */
static void begin(bool filters)
{
	const struct shadow_config c = {.policy = SHADOW_AUTO,
					.pool_pages = SHADOW_MIN_PAGES,
					.has_1g = true,
					.maxphyaddr = 46,
					.filters_faults = filters};

	g = (struct walk_regs){.cr0 = CR0_PG | CR0_PE | CR0_WP,
			       .cr3 = ROOT,
			       .cr4 = CR4_PAE,
			       .efer = EFER_LMA | EFER_LME | EFER_NXE,
			       .maxphyaddr = 40};
	cpu_start(&c);
	for (gpa_t t = ROOT; t <= SECOND; t += PAGE_SIZE)
		memset(ram_ptr(t), 0, PAGE_SIZE);
	shadow_enter(cpu.s, &g);
	put(ROOT, 0, PDPT | ALL);
	put(PDPT, 0, DIRECTORY | ALL);
	put(DIRECTORY, 0, LEAVES | ALL);
	put(DIRECTORY, 1, SECOND | ALL);
	put(DIRECTORY, 2, LARGE | USED | PTE_PS);
	for (unsigned i = 0; i < 16; i++) {
		put(LEAVES, i * 31, DATA(i) | USED);
		put(LEAVES, i * 31 + 1, DATA(i) | PTE_P | PTE_A);
		put(SECOND, i * 32,
		    DATA(i / 2) | PTE_P | PTE_A | (i & 1 ? PTE_W | PTE_D : PTE_U | PTE_NX));
	}
	put(LEAVES, 511, 0xe1000 | PTE_P | PTE_A); /* ROM */
	for (unsigned i = 0; i < 512; i++) {
		cpu_access(&g, small(i), 0);
		cpu_access(&g, small(512 + i), 0);
	}
	cpu_access(&g, small(1024), PFEC_W);
	/* Compared often enough without a difference, tables are synced. */
	for (unsigned i = 0; i < 40; i++) {
		shadow_load_cr3(cpu.s, &g);
		cpu_access(&g, small(0), PFEC_W);
		cpu_access(&g, small(512), 0);
	}
	CHECK_EQ(audit(), 0);
}

static struct sh_page *table_of(gpa_t gpa)
{
	return sh_next_of(cpu.s, gpa, NULL);
}

/* *@at as @value: is that noticed? */
#define SPOIL(at, value)                                                                           \
	do {                                                                                       \
		__typeof__(at) kept_ = (at);                                                       \
		(at) = (value);                                                                    \
		CHECK(audit() > 0);                                                                \
		(at) = kept_;                                                                      \
		CHECK_EQ(audit(), 0);                                                              \
	} while (0)

/* --- entries ---------------------------------------------------------------------------------- */

static void spoil_leaf(struct sh_page *p, unsigned i)
{
	static const u64 bits[] = {PTE_P, PTE_W, PTE_U, PTE_NX, BIT(12), BIT(21), BIT(30)};

	for (unsigned b = 0; b < ARRAY_SIZE(bits); b++)
		SPOIL(p->spt[i], p->spt[i] ^ bits[b]);
}

static void spoil_link(struct sh_page *p, unsigned i)
{
	static const u64 bits[] = {PTE_P, PTE_U, PTE_NX, PTE_PS, BIT(12), BIT(30)};

	for (unsigned b = 0; b < ARRAY_SIZE(bits); b++)
		SPOIL(p->spt[i], p->spt[i] ^ bits[b]);
}

static void spoil_table(struct sh_page *p)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < SH_ENTRIES; i++) {
		u64 e = p->spt[i];

		if (!sh_present(cpu.s, e)) {
			SPOIL(p->spt[i], sh_hpa(cpu.s, p) | ALL);
			SPOIL(p->spt[i], 0x123000 | PTE_A);
		} else if (sh_is_link(cpu.s, p, e)) {
			spoil_link(p, i);
			seen++;
		} else {
			spoil_leaf(p, i);
			seen++;
		}
	}
	CHECK_EQ(seen, p->live);
}

static void spoil_all_tables(bool filters)
{
	begin(filters);
	for (gpa_t t = ROOT; t <= SECOND; t += PAGE_SIZE) {
		CHECK(table_of(t) != NULL);
		spoil_table(table_of(t));
	}
	CHECK(table_of(LEAVES)->live >= 32);
	CHECK(table_of(DIRECTORY)->live == 3);
	cpu_end();
}

TEST(every_wrong_entry_is_found)
{
	spoil_all_tables(false);
}

TEST(every_wrong_entry_is_found_where_the_cpu_filters_faults)
{
	spoil_all_tables(true);
}

/* What a device or another walker wrote past us, and what our copy of it became. */
TEST(every_unheard_write_to_a_synced_table_is_found)
{
	begin(true);
	for (gpa_t t = ROOT; t <= SECOND; t += PAGE_SIZE) {
		u64 *guest = ram_ptr(t), *src = table_of(t)->src;

		CHECK_EQ(table_of(t)->state, SH_SYNCED);
		for (unsigned i = 0; i < 512; i++) {
			SPOIL(guest[i], guest[i] ^ PTE_P);
			SPOIL(guest[i], guest[i] ^ BIT(51));
			SPOIL(src[i], src[i] ^ PTE_W);
			if (guest[i] & PTE_A)
				SPOIL(guest[i], guest[i] ^ PTE_A);
		}
	}
	cpu_end();
}

TEST(accessed_and_dirty_bits_that_others_set_are_no_difference)
{
	begin(true);
	*(u64 *)ram_ptr(DIRECTORY) |= PTE_A | PTE_D;
	*(u64 *)ram_ptr(LEAVES + 8) |= PTE_D;
	CHECK_EQ(audit(), 0);
	cpu_end();
}

/* --- what knows of them ----------------------------------------------------------------------- */

TEST(every_wrong_reference_is_found)
{
	struct shadow *s;

	begin(true);
	s = cpu.s;
	for (unsigned i = 0; i < 16; i++) {
		SPOIL(*sh_frame(s, DATA(i)), 0u);
		SPOIL(*sh_frame(s, DATA(i)), *sh_frame(s, DATA(i)) ^ 1u);
		SPOIL(*sh_frame(s, DATA(i)), *sh_frame(s, DATA(i)) | (u32)SH_FRAME_SYNC);
	}
	for (u64 f = 0; f < s->nframes; f += 37)
		if (!(s->frame[f] & SH_CHAIN_MASK))
			SPOIL(s->frame[f], s->frame[f] | 0x201u);
	for (gpa_t t = ROOT; t <= SECOND; t += PAGE_SIZE) {
		SPOIL(*sh_frame(s, t), *sh_frame(s, t) & ~(u32)SH_FRAME_SYNC);
		SPOIL(*sh_frame(s, t), *sh_frame(s, t) & ~(u32)SH_FRAME_HELD);
	}
	SPOIL(table_of(LEAVES)->parents, 0u);
	SPOIL(table_of(ROOT)->parents, 0x201u);
	SPOIL(s->chunk_map[LARGE >> P2M_CHUNK_SHIFT], 0u);
	cpu_end();
}

TEST(every_wrong_count_is_found)
{
	struct sh_page *p;
	struct shadow *s;

	begin(true);
	s = cpu.s;
	p = table_of(LEAVES);
	for (u64 c = 0; c < s->m->nchunks; c++)
		SPOIL(s->chunk_sync[c], s->chunk_sync[c] + 1);
	SPOIL(s->gib_sync[0], s->gib_sync[0] - 1);
	SPOIL(p->live, (u16)(p->live + 1));
	for (unsigned i = 0; i < SH_ENTRIES; i++)
		SPOIL(p->present[i / 64], p->present[i / 64] ^ BIT(i % 64));
	SPOIL(p->state, SH_OOS);
	SPOIL(s->used, s->used + 1);
	SPOIL(s->oos_count, s->oos_count + 1);
	SPOIL(s->nodes_left, s->nodes_left - 1);
	SPOIL(table_of(ROOT)->roots, (u8)2);
	SPOIL(s->flush_now, true);
	SPOIL(g.cr3, PDPT);
	cpu_end();
}

/* All counts are right, but a frame that holds a synced table can be written. */
static void sync_frame(gpa_t gpa, const char *complaint)
{
	begin(true);
	*sh_frame(cpu.s, gpa) |= (u32)SH_FRAME_SYNC;
	cpu.s->chunk_sync[gpa >> P2M_CHUNK_SHIFT]++;
	cpu.s->gib_sync[0]++;
	awaited = complaint;
	told = false;
	audit();
	CHECK(told);
	awaited = NULL;
	cpu_end();
}

TEST(a_synced_table_that_can_be_written_is_found)
{
	sync_frame(DATA(0), "writable, but 800000 holds a synced table");
	sync_frame(LARGE + 0x77000, "writable, but a77000 holds a synced table");
}
