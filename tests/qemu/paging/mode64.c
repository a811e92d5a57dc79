/* The mode of the 64-bit image: four levels.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sizes.h"

#define HIGH	     0xffff800000000000ull
#define NO_ADDRESS   0x0000800000000000ull
#define ALMOST_ALL_F 0xfffffffffffff000ull

static void test_canonical(void)
{
	struct spot s = spot_at(HIGH, FRAME(0), 1), t = spot_at(ALMOST_ALL_F, FRAME(1), 1);

	begin("addresses that are none", (char *)0);
	check("lowest", look(NO_ADDRESS), FAULT(VEC_GP, 0));
	check("highest", look(HIGH - 8), FAULT(VEC_GP, 0));
	invlpg(NO_ADDRESS);
	for (unsigned kind = READ; kind < KINDS; kind++) {
		access_checked(&s, kind, false, false);
		access_checked(&t, kind, true, false);
	}
	put(&t, 1, 0);
	invlpg(t.va);
	check("upper half absent", look(t.va + 8), FAULT(VEC_PF, 0));
	check("CR2", seen.cr2, t.va + 8);
	end();
}

/* A large page's table above it split one level further down, and back. */
static void test_split_1g(void)
{
	struct spot s = size_spot(3);
	ulong directory = new_table();

	begin("split and merge of 1G", (char *)0);
	check("large", look(s.va), mark_of(LARGE_A));
	for (unsigned round = 0; round < 3; round++) {
		entry_write(entry_at(directory, 2, s.va), LARGE_B | PTE_P | PTE_W | PTE_U | PTE_PS);
		put(&s, 3, directory | PTE_P | PTE_W | PTE_U);
		invlpg(s.va);
		check("split", look(s.va), mark_of(LARGE_B));
		put(&s, 3, s.base[3]);
		invlpg(s.va);
		check("merged", look(s.va), mark_of(LARGE_A));
		check("A", get(&s, 3), s.base[3] | PTE_A);
	}
	spot_reset(&s);
	end();
}

void test_mode(void)
{
	mode_on(&four_level);
	test_common();
	test_canonical();
	if (cpu.has_1g)
		test_split_1g();
	test_soft_delivery();
}
