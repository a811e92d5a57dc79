/* Pages that a guest uses, by accessed bits of its shadow tables' leaves. Would catch: bits that
 * are left set, so that the past counts; entries that count though they are not present; a table
 * counted that has become another one since; a choice that prefers some tables; a leaf that loses
 * more than its bit, or does not get it again.
 *
 * SRCS: hv/mem/p2m.c hv/paging/walk.c hv/paging/shadow/sh_*.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "shadow_cpu.h"

#define ALL	  (PTE_P | PTE_W | PTE_U)
#define USED	  (ALL | PTE_A | PTE_D)
#define TABLES_AT 0x300000ull
#define DATA_AT	  0x800000ull
#define REGION	  (2 * MIB) /* of one last-level table */

static struct walk_regs g;
static gpa_t next_table;
static u64 seed;

static gpa_t new_table(void)
{
	gpa_t t = next_table;

	next_table += PAGE_SIZE;
	memset(ram_ptr(t), 0, PAGE_SIZE);
	return t;
}

static void map(gva_t gva, u64 e)
{
	gpa_t at, table = g.cr3;

	for (unsigned level = 4;; level--) {
		at = table + (gva >> (12 + 9 * (level - 1)) & 511) * 8;
		if (level == 1)
			break;
		if (!(*(u64 *)ram_ptr(at) & PTE_P))
			cpu_store(&g, at, new_table() | ALL, 8);
		table = *(u64 *)ram_ptr(at) & PTE_ADDR;
	}
	cpu_store(&g, at, e, 8);
}

/* @regions with @pages each are mapped, and have been used. */
static void begin(unsigned regions, unsigned pages)
{
	static const struct shadow_config config = {.policy = SHADOW_AUTO,
						    .pool_pages = SHADOW_MIN_PAGES,
						    .has_1g = true,
						    .maxphyaddr = 46};

	next_table = TABLES_AT;
	seed = 11;
	g = (struct walk_regs){.cr0 = CR0_PG | CR0_PE | CR0_WP,
			       .cr4 = CR4_PAE,
			       .efer = EFER_LMA | EFER_LME | EFER_NXE,
			       .maxphyaddr = 40,
			       .has_1g = true};
	cpu_start(&config);
	g.cr3 = new_table();
	shadow_enter(cpu.s, &g);
	for (unsigned r = 0; r < regions; r++)
		for (unsigned i = 0; i < pages; i++)
			map(r * REGION + i * PAGE_SIZE, (DATA_AT + i * PAGE_SIZE) | USED);
	for (unsigned r = 0; r < regions; r++)
		for (unsigned i = 0; i < pages; i++)
			cpu_access(&g, r * REGION + i * PAGE_SIZE, 0);
}

static void flush_all(void)
{
	for (unsigned i = 0; i < TLB_SIZE; i++)
		cpu.tlb[i].valid = false;
}

static unsigned clear(struct shadow_touched *t, unsigned want)
{
	unsigned n = shadow_touched_begin(cpu.s, t, want, &seed);

	flush_all();
	return n;
}

static void use(unsigned region, unsigned page)
{
	CHECK_EQ(cpu_access(&g, region * REGION + page * PAGE_SIZE, 0).kind, CPU_RAM);
}

TEST(what_was_used_since_is_counted)
{
	struct shadow_touched t;
	u64 squares, faults;

	begin(6, 8);
	CHECK_EQ(clear(&t, SHADOW_TOUCHED_MAX), 6);
	CHECK_EQ(t.of, 6);
	CHECK_EQ(shadow_touched_count(cpu.s, &t, &squares), 0);
	CHECK_EQ(squares, 0);
	faults = cpu.faults;
	for (unsigned r = 0; r < 6; r++)
		for (unsigned i = 0; i < r; i++)
			use(r, i);
	CHECK_EQ(shadow_touched_count(cpu.s, &t, &squares), 0 + 1 + 2 + 3 + 4 + 5);
	CHECK_EQ(squares, 0 + 1 + 4 + 9 + 16 + 25);
	/* Nothing of the leaves but the bit was taken. */
	CHECK_EQ(cpu.faults, faults);
	CHECK_EQ(cpu_audit(&g), 0);
	CHECK_EQ(clear(&t, SHADOW_TOUCHED_MAX), 6);
	CHECK_EQ(shadow_touched_count(cpu.s, &t, &squares), 0);
	cpu_end();
}

TEST(what_is_gone_does_not_count)
{
	struct shadow_touched t;
	u64 squares;

	begin(2, 8);
	clear(&t, SHADOW_TOUCHED_MAX);
	for (unsigned i = 0; i < 8; i++)
		use(0, i);
	map(3 * PAGE_SIZE, 0);
	shadow_invlpg(cpu.s, &g, 3 * PAGE_SIZE);
	CHECK_EQ(shadow_touched_count(cpu.s, &t, &squares), 7);
	cpu_end();
}

TEST(a_table_that_became_another_does_not_count)
{
	struct shadow_touched t;
	u64 squares;

	begin(2, 8);
	clear(&t, SHADOW_TOUCHED_MAX);
	for (unsigned i = 0; i < 8; i++)
		use(0, i);
	for (unsigned i = 0; i < t.n; i++)
		t.table[i].key ^= PAGE_SIZE;
	CHECK_EQ(shadow_touched_count(cpu.s, &t, &squares), 0);
	cpu_end();
}

/* Each one as often as any other, and their pages only. */
TEST(some_are_chosen_by_chance)
{
	unsigned chosen[64] = {0};
	struct shadow_touched t;
	u64 squares;

	begin(40, 2);
	for (unsigned round = 0; round < 500; round++) {
		CHECK_EQ(clear(&t, 8), 8);
		CHECK_EQ(t.of, 40);
		for (unsigned i = 0; i < t.n; i++) {
			CHECK(t.table[i].number < ARRAY_SIZE(chosen));
			chosen[t.table[i].number]++;
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(chosen); i++)
		CHECK(!chosen[i] || (chosen[i] > 60 && chosen[i] < 140));
	for (unsigned r = 0; r < 40; r++)
		use(r, 1);
	/* The others have their bits as they were. */
	CHECK_EQ(shadow_touched_count(cpu.s, &t, &squares), 8);
	CHECK_EQ(squares, 8);
	cpu_end();
}

TEST(without_tables_there_is_nothing)
{
	struct shadow_touched t;
	u64 squares;

	begin(0, 0);
	CHECK_EQ(clear(&t, 8), 0);
	CHECK_EQ(shadow_touched_count(cpu.s, &t, &squares), 0);
	cpu_end();
}
