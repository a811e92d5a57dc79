/* The pool of shadow tables under pressure, the CPU's tags, large leaves, and the transitions of a
 * table's state. Would catch: eviction of what an instruction needs, so that it never ends; lost or
 * doubled references; a root that keeps a translation its tables lost; flushes that are not needed;
 * large leaves over tables, or small ones where large would do; a state machine that never leaves
 * a state.
 *
 * SRCS: hv/mem/p2m.c hv/paging/walk.c hv/paging/shadow/sh_*.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "shadow_cpu.h"

#define ALL	  (PTE_P | PTE_W | PTE_U)
#define USED	  (ALL | PTE_A | PTE_D)
#define TABLES_AT 0x300000ull /* guest tables are taken from here on */
#define DATA_AT	  0x800000ull

static struct walk_regs g;
static gpa_t next_table;

static const struct shadow_config normal = {
	.policy = SHADOW_AUTO, .pool_pages = SHADOW_MIN_PAGES, .has_1g = true, .maxphyaddr = 46};

static gpa_t new_table(void)
{
	gpa_t t = next_table;

	next_table += PAGE_SIZE;
	memset(ram_ptr(t), 0, PAGE_SIZE);
	return t;
}

/* The guest's entry for @gva at @level below @root, with all tables above it. */
static gpa_t entry_at(gpa_t root, gva_t gva, unsigned level)
{
	for (unsigned l = 4;; l--) {
		gpa_t at = root + (gva >> (12 + 9 * (l - 1)) & 511) * 8;
		u64 *e = ram_ptr(at);

		if (l == level)
			return at;
		if (!(*e & PTE_P))
			cpu_store(&g, at, new_table() | ALL, 8);
		root = *e & PTE_ADDR;
	}
}

static void map(gpa_t root, gva_t gva, unsigned level, u64 e)
{
	cpu_store(&g, entry_at(root, gva, level), e, 8);
}

static gpa_t start(const struct shadow_config *c)
{
	next_table = TABLES_AT;
	g = (struct walk_regs){.cr0 = CR0_PG | CR0_PE | CR0_WP,
			       .cr4 = CR4_PAE,
			       .efer = EFER_LMA | EFER_LME | EFER_NXE,
			       .maxphyaddr = 40,
			       .has_1g = true};
	cpu_start(c);
	g.cr3 = new_table();
	return g.cr3;
}

static struct shadow_stats stats(void)
{
	struct shadow_stats st;

	shadow_get_stats(cpu.s, &st);
	return st;
}

static void expect_ram(gva_t gva, u32 access, gpa_t gpa)
{
	struct cpu_result r = cpu_access(&g, gva, access);

	CHECK_EQ(r.kind, CPU_RAM);
	CHECK_EQ(r.gpa, gpa);
}

static void load(gpa_t root)
{
	g.cr3 = root;
	shadow_load_cr3(cpu.s, &g);
}

static u64 faults_of(gva_t gva, u32 access)
{
	u64 before = cpu.faults;

	cpu_access(&g, gva, access);
	return cpu.faults - before;
}

/* --- the pool ----------------------------------------------------------------------------------
 */

TEST(more_tables_than_the_pool_holds)
{
	gpa_t root = start(&normal);

	random_seed(1);
	shadow_enter(cpu.s, &g);
	for (unsigned i = 0; i < 600; i++)
		map(root, i * GIB, 1, DATA_AT | USED);
	for (unsigned n = 0; n < 3000 && !unit_failures; n++)
		expect_ram(rnd(600) * GIB, rnd(2) ? PFEC_W : 0, DATA_AT);
	CHECK_EQ(cpu_audit(&g), 0);
	CHECK(stats().path[SHADOW_PATH_EVICT].count > 1000);
	cpu_end();
}

/* As many as one instruction can need at once. */
TEST(thirty_addresses_stay_mapped_together)
{
	gpa_t root = start(&normal);

	random_seed(2);
	shadow_enter(cpu.s, &g);
	for (unsigned i = 0; i < 512; i++)
		map(root, i * 3 * GIB & (BIT(47) - 1), 1, DATA_AT | USED);
	for (unsigned turn = 0; turn < 50; turn++) {
		u64 want[30], missed = 0;

		for (unsigned i = 0; i < 30; i++)
			want[i] = rnd(512) * 3 * GIB & (BIT(47) - 1);
		for (unsigned i = 0; i < 30; i++)
			expect_ram(want[i], PFEC_W, DATA_AT);
		/* What was only in the TLB may have gone in the first round, not in the second. */
		for (unsigned i = 0; i < 30; i++)
			expect_ram(want[i], PFEC_W, DATA_AT);
		for (unsigned i = 0; i < 30; i++)
			missed += faults_of(want[i], PFEC_W);
		CHECK_EQ(missed, 0);
		CHECK_EQ(cpu_audit(&g), 0);
	}
	CHECK(stats().path[SHADOW_PATH_EVICT].count > 100);
	cpu_end();
}

/* A frame mapped a hundred thousand times asks for more references than there are. */
TEST(references_run_out_and_progress_does_not)
{
	gpa_t root = start(&normal);
	gpa_t table;

	shadow_enter(cpu.s, &g);
	map(root, 0, 1, DATA_AT | USED);
	table = *(u64 *)ram_ptr(entry_at(root, 0, 2)) & PTE_ADDR;
	for (unsigned i = 0; i < 512; i++)
		*(u64 *)ram_ptr(table + i * 8) = DATA_AT | USED;
	/* 200 tables of the same contents. */
	for (unsigned k = 1; k < 200; k++) {
		gpa_t other = new_table();

		memcpy(ram_ptr(other), ram_ptr(table), PAGE_SIZE);
		map(root, k * 2 * MIB, 2, other | ALL);
	}
	for (unsigned k = 0; k < 200 && !unit_failures; k++)
		for (unsigned i = 0; i < 512; i += 8)
			expect_ram(k * 2 * MIB + i * PAGE_SIZE, PFEC_W, DATA_AT);
	CHECK_EQ(cpu_audit(&g), 0);
	cpu_end();
}

/* --- tags --------------------------------------------------------------------------------------
 */

TEST(four_roots_keep_their_translations)
{
	gpa_t root[4];

	root[0] = start(&normal);
	for (unsigned i = 0; i < 4; i++) {
		root[i] = i ? new_table() : root[0];
		map(root[i], 0x1000, 1, (DATA_AT + i * PAGE_SIZE) | USED);
	}
	shadow_enter(cpu.s, &g);
	for (unsigned i = 0; i < 4; i++) {
		load(root[i]);
		expect_ram(0x1000, PFEC_W, DATA_AT + i * PAGE_SIZE);
	}
	cpu.flushes = 0;
	for (unsigned n = 0; n < 20; n++) {
		load(root[n % 4]);
		CHECK_EQ(faults_of(0x1000, PFEC_W), 0);
		expect_ram(0x1000, PFEC_W, DATA_AT + n % 4 * PAGE_SIZE);
	}
	CHECK_EQ(cpu.flushes, 0);
	/* One of them changes: that one is flushed, the others are not. */
	map(root[2], 0x1000, 1, (DATA_AT + 9 * PAGE_SIZE) | USED);
	for (unsigned n = 0; n < 4; n++) {
		load(root[n]);
		expect_ram(0x1000, PFEC_W, DATA_AT + (n == 2 ? 9 : n) * PAGE_SIZE);
	}
	CHECK_EQ(cpu.flushes, 1);
	CHECK_EQ(cpu_audit(&g), 0);
	cpu_end();
}

TEST(shared_tables_change_for_every_root)
{
	gpa_t root[6];
	u64 *shared;

	root[0] = start(&normal);
	map(root[0], BIT(46), 1, DATA_AT | USED);
	for (unsigned i = 1; i < 6; i++) {
		root[i] = new_table();
		memcpy(ram_ptr(root[i]), ram_ptr(root[0]), PAGE_SIZE);
	}
	shadow_enter(cpu.s, &g);
	for (unsigned i = 0; i < 6; i++) {
		load(root[i]);
		expect_ram(BIT(46), PFEC_W, DATA_AT);
	}
	shared = ram_ptr(entry_at(root[0], BIT(46), 1));
	*shared = (DATA_AT + PAGE_SIZE) | USED;
	shadow_invlpg(cpu.s, &g, BIT(46));
	for (unsigned i = 6; i-- > 0;) {
		expect_ram(BIT(46), PFEC_W, DATA_AT + PAGE_SIZE);
		load(root[i]);
	}
	CHECK_EQ(cpu_audit(&g), 0);
	cpu_end();
}

/* --- large leaves ------------------------------------------------------------------------------
 */

TEST(large_pages_stay_large_where_no_table_is)
{
	gpa_t root = start(&normal);

	map(root, 0x40000000, 2, 0x800000 | USED | PTE_PS);
	map(root, 0x40200000, 2, (TABLES_AT & ~(2 * MIB - 1)) | USED | PTE_PS);
	shadow_enter(cpu.s, &g);
	expect_ram(0x40000000 + 5 * PAGE_SIZE, PFEC_W, 0x800000 + 5 * PAGE_SIZE);
	CHECK_EQ(stats().large_leaves, 1);
	CHECK_EQ(faults_of(0x40000000 + 9 * PAGE_SIZE, PFEC_W), 0);
	/* The tables themselves lie in the other: once they are kept in step, it is made of small
	 * leaves, all at once. */
	for (unsigned n = 0; n < 10; n++)
		load(root);
	CHECK_EQ(stats().out_of_sync, 0);
	expect_ram(0x40200000, PFEC_W, TABLES_AT & ~(2 * MIB - 1));
	CHECK_EQ(stats().large_leaves, 1);
	CHECK_EQ(faults_of(0x40200000 + 5 * PAGE_SIZE, PFEC_W), 0);
	/* A write to a table through it is seen. */
	map(root, 0x50000000, 1, DATA_AT | USED);
	expect_ram(0x50000000, 0, DATA_AT);
	cpu_write(&g, 0x40200000 + (entry_at(root, 0x50000000, 2) & (2 * MIB - 1)), 0, 0, 8);
	shadow_invlpg(cpu.s, &g, 0x50000000);
	CHECK_EQ(cpu_access(&g, 0x50000000, 0).kind, CPU_FAULT);
	CHECK_EQ(cpu_audit(&g), 0);
	cpu_end();
}

TEST(a_gigabyte_leaf_is_made_of_what_there_is)
{
	gpa_t root = start(&normal);

	map(root, 7 * GIB, 3, 0 | USED | PTE_PS);
	shadow_enter(cpu.s, &g);
	expect_ram(7 * GIB + 0x800000, PFEC_W, 0x800000);
	expect_ram(7 * GIB + 0x1000, PFEC_W, 0x1000);
	CHECK_EQ(cpu_access(&g, 7 * GIB + 0xe1000, PFEC_W).kind, CPU_MMIO);
	expect_ram(7 * GIB + 0xe1000, 0, 0xe1000);
	CHECK_EQ(cpu_access(&g, 7 * GIB + RAM_BYTES, 0).kind, CPU_MMIO);
	CHECK_EQ(cpu_access(&g, 7 * GIB + RAM_BYTES, 0).gpa, RAM_BYTES);
	CHECK_EQ(cpu_audit(&g), 0);
	cpu_end();
}

/* --- states ------------------------------------------------------------------------------------
 */

/* Entries mapped on demand cost a fault of the guest's and one of ours at most. */
TEST(demand_mapping_costs_two_faults)
{
	gpa_t root = start(&normal);
	u64 before;

	map(root, 0, 1, DATA_AT | USED);
	shadow_enter(cpu.s, &g);
	expect_ram(0, PFEC_W, DATA_AT);
	before = cpu.faults + cpu.stores;
	for (unsigned i = 1; i < 200; i++) {
		CHECK_EQ(cpu_access(&g, i * PAGE_SIZE, PFEC_W).kind, CPU_FAULT);
		*(u64 *)ram_ptr(entry_at(root, i * PAGE_SIZE, 1)) =
			(DATA_AT + i % 16 * PAGE_SIZE) | USED;
		expect_ram(i * PAGE_SIZE, PFEC_W, DATA_AT + i % 16 * PAGE_SIZE);
	}
	CHECK((cpu.faults + cpu.stores - before) <= 2 * 199 + 2);
	cpu_end();
}

/* Protecting and unprotecting a page costs two INVLPGs and no fault. */
TEST(invlpg_prefills)
{
	gpa_t root = start(&normal);
	u64 *e;

	map(root, 0x5000, 1, DATA_AT | USED);
	shadow_enter(cpu.s, &g);
	expect_ram(0x5000, PFEC_W, DATA_AT);
	e = ram_ptr(entry_at(root, 0x5000, 1));
	cpu.faults = 0;
	for (unsigned n = 0; n < 50; n++) {
		*e &= ~PTE_W;
		shadow_invlpg(cpu.s, &g, 0x5000);
		expect_ram(0x5000, 0, DATA_AT);
		*e |= PTE_W;
		shadow_invlpg(cpu.s, &g, 0x5000);
		expect_ram(0x5000, PFEC_W, DATA_AT);
	}
	CHECK_EQ(cpu.faults, 0);
	cpu_end();
}

/* A quiet table is kept in step, a hammered one is not. */
TEST(tables_go_in_and_out_of_sync)
{
	gpa_t root = start(&normal), table;
	struct shadow_stats st;

	map(root, 0, 1, DATA_AT | USED);
	table = *(u64 *)ram_ptr(entry_at(root, 0, 2)) & PTE_ADDR;
	map(root, 0x10000000, 1, table | USED); /* where the guest writes it */
	shadow_enter(cpu.s, &g);
	expect_ram(0, PFEC_W, DATA_AT);
	expect_ram(0x10000000, 0, table);
	CHECK(stats().out_of_sync > 0);
	for (unsigned n = 0; n < 10; n++)
		load(root);
	CHECK_EQ(stats().out_of_sync, 0);
	for (unsigned n = 0; n < 8; n++)
		cpu_write(&g, 0x10000000 + n * 8, 0, (DATA_AT + n * PAGE_SIZE) | USED, 8);
	st = stats();
	CHECK_EQ(st.out_of_sync, 1);
	CHECK(cpu.stores >= 1 && cpu.stores <= 4);
	for (unsigned n = 0; n < 8; n++)
		expect_ram(n * PAGE_SIZE, PFEC_W, DATA_AT + n * PAGE_SIZE);
	CHECK_EQ(cpu_audit(&g), 0);
	cpu_end();
}

/* Frozen tables are used again, with what changed in the meantime. */
TEST(tables_survive_a_spell_of_the_other_mode)
{
	gpa_t root = start(&normal);

	for (unsigned i = 0; i < 64; i++)
		map(root, i * PAGE_SIZE, 1, (DATA_AT + i * PAGE_SIZE) | USED);
	shadow_enter(cpu.s, &g);
	for (unsigned i = 0; i < 64; i++)
		expect_ram(i * PAGE_SIZE, PFEC_W, DATA_AT + i * PAGE_SIZE);
	shadow_leave(cpu.s);
	*(u64 *)ram_ptr(entry_at(root, 0x7000, 1)) = (DATA_AT + 99 * PAGE_SIZE) | USED;
	*(u64 *)ram_ptr(entry_at(root, 0x8000, 1)) = 0;
	shadow_enter(cpu.s, &g);
	cpu.faults = 0;
	for (unsigned i = 0; i < 64; i++)
		if (i != 8)
			expect_ram(i * PAGE_SIZE, PFEC_W, DATA_AT + (i == 7 ? 99 : i) * PAGE_SIZE);
	CHECK_EQ(cpu.faults, 0);
	CHECK_EQ(cpu_access(&g, 0x8000, 0).kind, CPU_FAULT);
	CHECK_EQ(cpu_audit(&g), 0);
	cpu_end();
}

/* A whole address space torn down and its frames used for data: a few exits, not one per table. */
TEST(tearing_down_is_cheap)
{
	gpa_t root = start(&normal), other = new_table(), first;
	u64 before;

	map(root, 0x40000000, 2, 0 | USED | PTE_PS); /* the guest's own view of its memory */
	map(root, 0x40200000, 2, 0x200000 | USED | PTE_PS);
	memcpy(ram_ptr(other), ram_ptr(root), PAGE_SIZE);
	first = next_table;
	for (unsigned i = 0; i < 20; i++)
		map(other, BIT(40) + i * 2 * MIB, 1, (DATA_AT + i * PAGE_SIZE) | USED);
	shadow_enter(cpu.s, &g);
	load(other);
	for (unsigned i = 0; i < 20; i++)
		expect_ram(BIT(40) + i * 2 * MIB, PFEC_W, DATA_AT + i * PAGE_SIZE);
	before = cpu.faults;
	for (unsigned i = 0; i < 20; i++)
		for (unsigned level = 1; level < 3; level++)
			cpu_write(&g, 0x40000000 + entry_at(other, BIT(40) + i * 2 * MIB, level), 0,
				  0, 8);
	cpu_write(&g, 0x40000000 + entry_at(other, BIT(40), 3), 0, 0, 8);
	cpu_write(&g, 0x40000000 + entry_at(other, BIT(40), 4), 0, 0, 8);
	load(root);
	for (gpa_t t = first; t < next_table; t += PAGE_SIZE)
		cpu_write(&g, 0x40000000 + t, 0, 0x5555, 8);
	printf("# %llu faults\n", (unsigned long long)(cpu.faults - before));
	CHECK(cpu.faults - before <= 30);
	CHECK_EQ(cpu_audit(&g), 0);
	cpu_end();
}
