/* Page tables of all modes, by one description of each.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging.h"

const struct mode two_level = {"2-level", 2, 4, {0, 12, 22}, 0x40000000, 0x80000000};
const struct mode pae = {"pae", 3, 8, {0, 12, 21, 30}, 0x40000000, 0x80000000};
const struct mode four_level = {"4-level", 4, 8, {0, 12, 21, 30, 39}, 1ull << 39, 2ull << 39};

const struct mode *mode;
ulong root;
static ulong next_table;

u32 *at_phys(ulong pa)
{
	asm("" : "+r"(pa)); /* no object of the compiler's */
	return (u32 *)pa;
}

ulong new_table(void)
{
	ulong table = next_table;
	u32 *words = at_phys(table);

	next_table += PAGE;
	for (unsigned i = 0; i < PAGE / 4; i++)
		words[i] = 0;
	return table;
}

bool is_pdpte(unsigned level)
{
	return level == 3 && mode->levels == 3;
}

void *entry_at(ulong table, unsigned level, u64 va)
{
	unsigned entries = level == 3 && mode->levels == 3 ? 4 : PAGE / mode->entry_bytes;
	unsigned index = (unsigned)(va >> mode->shift[level]) & (entries - 1);

	return (u8 *)at_phys(table) + index * mode->entry_bytes;
}

u64 entry_read(const void *entry)
{
	return mode->entry_bytes == 8 ? *(const volatile u64 *)entry : *(const volatile u32 *)entry;
}

void entry_write(void *entry, u64 value)
{
	if (mode->entry_bytes == 8)
		*(volatile u64 *)entry = value;
	else
		*(volatile u32 *)entry = (u32)value;
}

static ulong table_below(void *entry, unsigned level)
{
	if (!(entry_read(entry) & PTE_P))
		entry_write(entry, new_table() | (is_pdpte(level) ? PTE_P : PTE_P | PTE_W | PTE_U));
	return (ulong)(entry_read(entry) & PTE_ADDR);
}

void map(u64 va, u64 pa, u64 flags, unsigned leaf)
{
	ulong table = root;

	for (unsigned level = mode->levels; level > leaf; level--)
		table = table_below(entry_at(table, level, va), level);
	entry_write(entry_at(table, leaf, va), pa | flags | (leaf > 1 ? PTE_PS : 0));
}

static void map_user_stubs(void)
{
	ulong page = new_table();

	for (unsigned i = 0; user_stubs + i < user_stubs_end; i++)
		((u8 *)at_phys(page))[i] = user_stubs[i];
	map(mode->user_va, page, PTE_P | PTE_W | PTE_U, 1);
}

void tables_begin(const struct mode *m)
{
	mode = m;
	next_table = POOL;
	root = new_table();
	for (ulong pa = 0; pa < KERNEL_END; pa += PAGE)
		map(pa, pa, PTE_P | PTE_W, 1);
	map_user_stubs();
	(void)spot_new(0); /* PAE: its PDPTE must be there at MOV CR3 */
	for (unsigned i = 0; i < 16; i++)
		mark(FRAME(i));
	mark(LARGE_A);
	mark(LARGE_B);
}

/* --- one page --------------------------------------------------------------------------------- */

u64 get(const struct spot *s, unsigned level)
{
	return entry_read(s->at[level]);
}

void put(const struct spot *s, unsigned level, u64 value)
{
	entry_write(s->at[level], value);
}

struct spot spot_at(u64 va, u64 pa, unsigned leaf)
{
	struct spot s = {.va = va, .leaf = leaf};
	ulong table = root;

	map(va, pa, PTE_P | PTE_W | PTE_U, leaf);
	for (unsigned level = mode->levels; level >= leaf; level--) {
		s.at[level] = entry_at(table, level, va);
		s.base[level] = get(&s, level);
		table = (ulong)(s.base[level] & PTE_ADDR);
	}
	return s;
}

void spot_reset(const struct spot *s)
{
	for (unsigned level = mode->levels; level >= s->leaf; level--)
		put(s, level, s->base[level]);
	invlpg(s->va);
}

struct spot spot_new(unsigned n)
{
	return spot_at(mode->test_va + (3ull << mode->shift[2]) + n * PAGE, FRAME(n), 1);
}

u32 mark_of(ulong pa)
{
	return (u32)(pa >> 4 & 0x0fffff00) | 0xc3;
}

void mark(ulong pa)
{
	at_phys(pa)[0] = mark_of(pa);
}
