/* Frames in several roles: tables that map themselves, tables that become data and data that become
 * tables, tables shared and read-only, large pages split and merged.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sizes.h"

#define OTHER  FRAME(16)
#define SELF   9u  /* index of the PDE that maps its own table */
#define SPARE  11u /* index of a PDE for tables that come and go */
#define RIGHTS (PTE_P | PTE_W | PTE_U)

static ulong table_of(const struct spot *s, unsigned level)
{
	return (ulong)(s->base[level] & PTE_ADDR);
}

/* The page directory of the test area, and an address by its index there. */
static ulong directory(void)
{
	struct spot s = spot_new(0);

	return mode->levels == 2 ? root : table_of(&s, 3);
}

static u64 va_of(unsigned pde)
{
	return mode->levels == 2 ? (u64)(pde + (mode->test_va >> 22)) << 22
				 : mode->test_va + ((u64)pde << mode->shift[2]);
}

static void *pde_at(unsigned pde)
{
	return entry_at(directory(), 2, va_of(pde));
}

/* --- tables that map themselves --------------------------------------------------------------- */

static void store_entry(u64 va, u64 value)
{
	check("write of an entry", store(va, (u32)value), NO_FAULT);
	if (mode->entry_bytes == 8)
		store(va + 4, (u32)(value >> 32));
}

/* The PTE of the spot as it appears through the PDE that maps its own table. */
static u64 self_va(const struct spot *s)
{
	u64 pte = (u64)((u8 *)s->at[1] - (u8 *)at_phys(table_of(s, 2)));
	unsigned index = (unsigned)(s->va >> mode->shift[2]) & (PAGE / mode->entry_bytes - 1);

	return va_of(SELF) + index * PAGE + pte;
}

static void test_self_map(void)
{
	struct spot s = spot_new(0);
	u64 pte = self_va(&s);

	begin("self-mapped tables", (char *)0);
	entry_write(pde_at(SELF), directory() | RIGHTS);
	check("reads its PTE", look(pte), (u32)get(&s, 1));
	look(s.va);
	check("A appears there", look(pte), (u32)(s.base[1] | PTE_A));
	store_entry(pte, OTHER | RIGHTS);
	invlpg(s.va);
	check("its new frame", look(s.va), mark_of(OTHER));
	store_entry(pte, 0);
	invlpg(s.va);
	check("absent", look(s.va), FAULT(VEC_PF, 0));
	store_entry(pte, s.base[1]);
	check("present", look(s.va), mark_of(FRAME(0)));
	/* The PDE is the last level of that window too: a write there set D in it. */
	check("D of the PDE", entry_read(s.at[2]) & PTE_D, PTE_D);
	entry_write(pde_at(SELF), 0);
	flush();
	check("window closed", look(pte), FAULT(VEC_PF, 0));
	spot_reset(&s);
	end();
}

/* XCHG of a PTE, as kernels take A and D along when they unmap. */
static void test_xchg(void)
{
	struct spot s = spot_new(0);
	u32 taken = 0;

	begin("XCHG takes A and D", (char *)0);
	spot_reset(&s);
	store(s.va + 8, 1);
	asm volatile("xchg %0, %1" : "+r"(taken), "+m"(*(volatile u32 *)s.at[1]));
	invlpg(s.va);
	check("entry", taken, (u32)(s.base[1] | PTE_A | PTE_D));
	check("absent", look(s.va), FAULT(VEC_PF, 0));
	spot_reset(&s);
	end();
}

/* One table that is PT in one place and PD in another. */
static void test_two_levels(void)
{
	ulong both = new_table(), below = new_table();
	unsigned index = 5;
	u64 deep = va_of(SPARE) + ((u64)index << mode->shift[1]);

	/* As a PT it maps `below` at `deep`; its entry 5 as a PDE leads to `below` as a PT. */
	begin("one table at two levels", (char *)0);
	entry_write((u8 *)at_phys(both) + index * mode->entry_bytes, below | RIGHTS);
	entry_write(pde_at(SPARE), both | RIGHTS);
	flush();
	check("empty table as data", look(deep), 0);
	store_entry(deep + 8, OTHER | RIGHTS);
	check("data in the table", entry_read((u8 *)at_phys(below) + 8), OTHER | RIGHTS);
	entry_write(pde_at(SPARE), below | RIGHTS);
	flush();
	check("as a table", look(va_of(SPARE) + ((u64)(8 / mode->entry_bytes) << 12)),
	      mark_of(OTHER));
	entry_write(pde_at(SPARE), 0);
	flush();
	end();
}

/* A page table that is mapped by one of its own entries. */
static void test_own_entry(void)
{
	ulong table = new_table();
	u64 va = va_of(SPARE), entry = va + PAGE + 2 * mode->entry_bytes;

	begin("a table in its own window", (char *)0);
	entry_write((u8 *)at_phys(table) + mode->entry_bytes, table | RIGHTS);
	entry_write(pde_at(SPARE), table | RIGHTS);
	flush();
	check("absent", look(va + 2 * PAGE), FAULT(VEC_PF, 0));
	store_entry(entry, OTHER | RIGHTS);
	check("present", look(va + 2 * PAGE), mark_of(OTHER));
	check("A", look(entry), OTHER | RIGHTS | PTE_A);
	entry_write(pde_at(SPARE), 0);
	flush();
	end();
}

/* --- tables and data -------------------------------------------------------------------------- */

static void test_table_to_data(void)
{
	struct spot s = spot_new(1);
	ulong table = new_table();
	u64 va = va_of(SPARE);

	begin("a table's frame becomes data", (char *)0);
	for (unsigned i = 0; i < PAGE / mode->entry_bytes; i++)
		entry_write((u8 *)at_phys(table) + i * mode->entry_bytes, FRAME(i % 16) | RIGHTS);
	entry_write(pde_at(SPARE), table | RIGHTS);
	flush();
	for (unsigned i = 0; i < 64; i++)
		check("page", look(va + i * PAGE), mark_of(FRAME(i % 16)));
	entry_write(pde_at(SPARE), 0);
	flush();
	put(&s, 1, table | RIGHTS);
	invlpg(s.va);
	for (unsigned i = 0; i < PAGE / 4; i += 4)
		check("write", store(s.va + i * 4, i), NO_FAULT);
	for (unsigned i = 0; i < PAGE / 4; i += 4)
		check("data", at_phys(table)[i], i);
	check("no table any more", look(va), FAULT(VEC_PF, 0));
	spot_reset(&s);
	end();
}

static void test_data_to_table(void)
{
	struct spot s = spot_new(1);
	ulong table = new_table();
	u64 va = va_of(SPARE);

	begin("data become a table", (char *)0);
	put(&s, 1, table | RIGHTS);
	invlpg(s.va);
	store_entry(s.va, FRAME(2) | RIGHTS);
	store_entry(s.va + mode->entry_bytes, FRAME(3) | RIGHTS);
	entry_write(pde_at(SPARE), table | RIGHTS);
	check("first page", look(va), mark_of(FRAME(2)));
	check("second page", look(va + PAGE), mark_of(FRAME(3)));
	/* Through the same mapping, now that it is a table. */
	store_entry(s.va, FRAME(4) | RIGHTS);
	invlpg(va);
	check("changed", look(va), mark_of(FRAME(4)));
	check("A by the CPU", look(s.va), FRAME(4) | RIGHTS | PTE_A);
	check("at CPL 3", (attempt(s.va, WRITE, true, false, 0), seen.fault), NO_FAULT);
	invlpg(va);
	check("absent", look(va), FAULT(VEC_PF, 0));
	entry_write(pde_at(SPARE), 0);
	flush();
	spot_reset(&s);
	end();
}

/* All entries of a table written, used, cleared, several times. */
static void test_storm(void)
{
	ulong table = new_table();
	unsigned entries = PAGE / mode->entry_bytes;
	u64 va = va_of(SPARE);

	begin("a table filled and cleared", (char *)0);
	entry_write(pde_at(SPARE), table | RIGHTS);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < entries; i++)
			entry_write((u8 *)at_phys(table) + i * mode->entry_bytes,
				    FRAME((i + round) % 16) | RIGHTS);
		for (unsigned i = 0; i < entries; i += 7)
			check("page", look(va + (u64)i * PAGE), mark_of(FRAME((i + round) % 16)));
		for (unsigned i = 0; i < entries; i++)
			entry_write((u8 *)at_phys(table) + i * mode->entry_bytes, 0);
		flush();
		for (unsigned i = 0; i < entries; i += 31)
			check("cleared", look(va + (u64)i * PAGE), FAULT(VEC_PF, 0));
	}
	entry_write(pde_at(SPARE), 0);
	flush();
	end();
}

/* --- tables shared and read-only -------------------------------------------------------------- */

static void test_shared(void)
{
	ulong table = new_table();
	u64 a = va_of(SPARE), b = va_of(SPARE + 1);

	begin("one table below two entries", (char *)0);
	entry_write(at_phys(table), FRAME(2) | RIGHTS);
	entry_write(pde_at(SPARE), table | RIGHTS);
	entry_write(pde_at(SPARE + 1), table | PTE_P);
	flush();
	check("read here", look(a), mark_of(FRAME(2)));
	check("read there", look(b), mark_of(FRAME(2)));
	check("write there", store(b + 8, 1), FAULT(VEC_PF, PF_P | PF_W));
	check("D is not set", entry_read(at_phys(table)), FRAME(2) | RIGHTS | PTE_A);
	check("write here", store(a + 8, 1), NO_FAULT);
	check("D is set", entry_read(at_phys(table)), FRAME(2) | RIGHTS | PTE_A | PTE_D);
	attempt(b, READ, true, false, 0);
	check("cpl3 there", seen.fault, FAULT(VEC_PF, PF_P | PF_U));
	entry_write(at_phys(table), FRAME(3) | RIGHTS);
	invlpg(a);
	invlpg(b);
	check("changed here", look(a), mark_of(FRAME(3)));
	check("changed there", look(b), mark_of(FRAME(3)));
	entry_write(pde_at(SPARE), 0);
	entry_write(pde_at(SPARE + 1), 0);
	flush();
	end();
}

/* Every mapping of the table read-only: software must fault, the CPU's own A and D must not. */
static void test_read_only_tables(void)
{
	struct spot s = spot_new(2);
	ulong table = table_of(&s, 2), upper = directory();

	begin("A and D in read-only tables", (char *)0);
	spot_reset(&s);
	map(table, table, PTE_P, 1);
	map(upper, upper, PTE_P, 1);
	flush_all();
	check("write by software", store(table, 0), FAULT(VEC_PF, PF_P | PF_W));
	check("read", look(s.va), mark_of(FRAME(2)));
	check("A", get(&s, 1), s.base[1] | PTE_A);
	check("write", store(s.va + 8, 1), NO_FAULT);
	check("D", get(&s, 1), s.base[1] | PTE_A | PTE_D);
	map(table, table, PTE_P | PTE_W, 1);
	map(upper, upper, PTE_P | PTE_W, 1);
	flush_all();
	spot_reset(&s);
	end();
}

static void test_alias(void)
{
	struct spot a = spot_new(3), b = spot_new(4);

	begin("two mappings of one frame", (char *)0);
	put(&b, 1, (a.base[1] & ~PTE_W));
	invlpg(b.va);
	store(a.va + 8, 0x77);
	check("seen there", look(b.va + 8), 0x77);
	check("no write there", store(b.va + 8, 0), FAULT(VEC_PF, PF_P | PF_W));
	check("D here", get(&a, 1) & PTE_D, PTE_D);
	check("no D there", get(&b, 1) & PTE_D, 0);
	spot_reset(&b);
	end();
}

/* --- split and merge -------------------------------------------------------------------------- */

static ulong split_table(ulong pa, u64 rights)
{
	ulong table = new_table();

	for (unsigned i = 0; i < PAGE / mode->entry_bytes; i++)
		entry_write((u8 *)at_phys(table) + i * mode->entry_bytes, (pa + i * PAGE) | rights);
	return table;
}

static void test_split(void)
{
	struct spot s = size_spot(2);
	ulong table = split_table(LARGE_A, RIGHTS);
	u64 far = s.va + 0x1ff000;

	begin("split and merge of", size_name(2), (char *)0);
	mark(LARGE_A + 0x1ff000);
	check("large", look(far), mark_of(LARGE_A + 0x1ff000));
	for (unsigned round = 0; round < 3; round++) {
		entry_write(s.at[2], table | RIGHTS);
		invlpg(s.va);
		invlpg(far);
		check("split", look(far), mark_of(LARGE_A + 0x1ff000));
		check("A of that page", entry_read(entry_at(table, 1, far)) & PTE_A, PTE_A);
		entry_write(entry_at(table, 1, s.va), OTHER | RIGHTS);
		entry_write(entry_at(table, 1, far), (LARGE_A + 0x1ff000) | PTE_P);
		invlpg(s.va);
		invlpg(far);
		check("one page replaced", look(s.va), mark_of(OTHER));
		check("one page read-only", store(far + 8, 1), FAULT(VEC_PF, PF_P | PF_W));
		put(&s, 2, s.base[2]);
		invlpg(s.va);
		invlpg(far);
		check("merged", look(s.va), mark_of(LARGE_A));
		check("merged, writable", store(far + 8, 1), NO_FAULT);
		check("D of the large page", get(&s, 2), s.base[2] | PTE_A | PTE_D);
	}
	spot_reset(&s);
	end();
}

void test_reuse(void)
{
	mark(OTHER);
	test_self_map();
	test_xchg();
	test_two_levels();
	test_own_entry();
	test_table_to_data();
	test_data_to_table();
	test_storm();
	test_shared();
	test_read_only_tables();
	test_alias();
	test_split();
}
