/* A guest with a gibibyte of page tables, far more than a hypervisor will shadow at a time, that
 * goes through them at random: accesses, each by tables not used for long; changes of entries, by
 * address and through the tables themselves; CR3 among ROOTS top-level tables; tables wiped and
 * made anew; top-level entries that lead to devices, ROM and nowhere. What it reads is checked
 * against what it wrote.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/str.h"
#include "rt.h"

#define LEAVES	  262144u	/* last-level tables, one for each 2 MiB of the window */
#define LEAVES_AT 0x10000000ull /* 1 GiB of them */
#define ROOTS	  1024u
#define ROOTS_AT  0x4000000ull
#define MIDDLE_AT 0x8000000ull /* 512 directories, then their table */
#define PDPT_AT	  (MIDDLE_AT + 512 * PAGE_SIZE)
#define DATA_AT	  0x2000000ull
#define DATA	  64u
#define WINDOW	  0xffff800000000000ull
#define SLOT	  256u /* top-level entry of the window */
#define SELF	  510u /* of the root itself */
#define ODD	  300u /* first of those that lead to no RAM */
#define STEPS	  40000u
#define CHUNK	  5000u

#define ALL  (PTE_P | PTE_W | PTE_U)
#define USED (ALL | PTE_A | PTE_D)

/* Devices, ROM, video memory, nothing, nothing above all memory. */
static const u64 odd[] = {0xfee00000, 0xfec00000, 0xf0000, 0xa0000, 0xd0000000, 0x4000000000};

static u64 rng = 0x9e3779b97f4a7c15ull;
static unsigned wrong, faults;

static u64 rnd(u64 n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 11) % n;
}

static u64 *at(u64 pa)
{
	asm("" : "+r"(pa)); /* the compiler must not reason about objects at fixed addresses */
	return (u64 *)(uintptr_t)pa;
}

static void expect(bool good, const char *what, u64 n)
{
	if (good)
		return;
	if (++wrong <= 20)
		say("not ok %s %llx\n", what, (unsigned long long)n);
}

/* --- tables ---------------------------------------------------------------------------------- */

static u64 leaf_table(u64 n)
{
	return LEAVES_AT + n * PAGE_SIZE;
}

/* Which entry of the table @n is in use. */
static unsigned slot_of(u64 n)
{
	return (unsigned)(n * 7 % 512);
}

static u64 page_va(u64 n)
{
	return WINDOW + (n << 21) + ((u64)slot_of(n) << 12);
}

static u64 data_page(u64 i)
{
	return DATA_AT + i * PAGE_SIZE;
}

static u64 mark(u64 pa)
{
	return pa ^ 0x5a5a5a5a12345678ull;
}

static void build(void)
{
	u64 *boot = at(0x70000);

	for (u64 i = 0; i < DATA; i++)
		*at(data_page(i)) = mark(data_page(i));
	for (u64 n = 0; n < LEAVES; n++)
		at(leaf_table(n))[slot_of(n)] = data_page(n % DATA) | USED;
	for (u64 n = 0; n < LEAVES; n++)
		at(MIDDLE_AT)[n] = leaf_table(n) | ALL;
	for (u64 i = 0; i < 512; i++)
		at(PDPT_AT)[i] = (MIDDLE_AT + i * PAGE_SIZE) | ALL;
	for (u64 r = 0; r < ROOTS; r++) {
		u64 pa = ROOTS_AT + r * PAGE_SIZE, *root = at(pa);

		memcpy(root, boot, PAGE_SIZE);
		root[SLOT] = PDPT_AT | ALL;
		root[SELF] = pa | ALL;
		for (unsigned i = 0; i < ARRAY_SIZE(odd); i++)
			root[ODD + i] = odd[i] | ALL;
	}
}

static u64 current;

static void load_root(u64 r)
{
	current = ROOTS_AT + r * PAGE_SIZE;
	asm volatile("mov %0, %%cr3" ::"r"(current) : "memory");
}

/* --- steps ----------------------------------------------------------------------------------- */

static void check(u64 n)
{
	u64 pa = at(leaf_table(n))[slot_of(n)] & PTE_ADDR;

	expect(*(volatile u64 *)(uintptr_t)page_va(n) == mark(pa), "read through table", n);
}

static void write_data(u64 n)
{
	volatile u64 *p = (volatile u64 *)(uintptr_t)page_va(n);
	u64 pa = at(leaf_table(n))[slot_of(n)] & PTE_ADDR, value = rnd(~0ull);

	p[1] = value;
	expect(at(pa)[1] == value, "write through table", n);
}

static void change(u64 n)
{
	at(leaf_table(n))[slot_of(n)] = data_page(rnd(DATA)) | USED;
	invlpg((void *)(uintptr_t)page_va(n));
	check(n);
}

/* Where the entry of @va at the last level is seen through the root's entry for itself. */
static volatile u64 *mapped_entry(u64 va)
{
	return (volatile u64 *)(uintptr_t)(0xffff000000000000ull | (u64)SELF << 39 |
					   (va >> 9 & 0x7ffffffff8ull));
}

static void change_by_itself(u64 n)
{
	volatile u64 *e = mapped_entry(page_va(n));

	expect((*e & PTE_ADDR) == (at(leaf_table(n))[slot_of(n)] & PTE_ADDR), "entry seen in table",
	       n);
	*e = data_page(rnd(DATA)) | USED;
	invlpg((void *)(uintptr_t)page_va(n));
	check(n);
}

static void wipe(u64 n)
{
	memset(at(leaf_table(n)), 0, PAGE_SIZE);
	invlpg((void *)(uintptr_t)page_va(n));
	at(leaf_table(n))[slot_of(n)] = data_page(rnd(DATA)) | USED;
	check(n);
}

static void touch(void *arg)
{
	(void)*(volatile u64 *)arg;
}

/* Tables in devices, ROM and nowhere: whatever comes of it, a fault or a value. */
static void go_astray(void)
{
	u64 va = (ODD + rnd(ARRAY_SIZE(odd))) << 39 | rnd(1ull << 39);

	faults += guard(touch, (void *)(uintptr_t)(0xffff000000000000ull | va)) >= 0;
}

static void step(void)
{
	u64 n = rnd(LEAVES);

	switch (rnd(20)) {
	case 0:
	case 1:
		load_root(rnd(ROOTS));
		break;
	case 2:
		change(n);
		break;
	case 3:
		change_by_itself(n);
		break;
	case 4:
		wipe(n);
		break;
	case 5:
		go_astray();
		break;
	case 6:
	case 7:
	case 8:
		write_data(n);
		break;
	default:
		check(n);
	}
}

void kernel(void)
{
	say("thrash: begin\n");
	build();
	load_root(0);
	say("thrash: %u tables\n", LEAVES + 512 + 1 + ROOTS);
	for (unsigned i = 1; i <= STEPS; i++) {
		step();
		if (i % CHUNK == 0)
			say("thrash: step %u\n", i);
	}
	say("thrash: %u faults\n", faults);
	say(wrong ? "not ok thrash\n" : "ok thrash\n");
}
