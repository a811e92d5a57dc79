/* The modes of the 32-bit image: two levels, PAE, and the ways from one to the other.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sizes.h"

#define RIGHTS (PTE_P | PTE_W | PTE_U)

/* --- two levels ------------------------------------------------------------------------------- */

/* Without CR4.PSE bit 7 of a PDE means nothing. */
static void test_pse(void)
{
	struct spot s = size_spot(2);
	ulong table = new_table();

	begin("CR4.PSE counts at once", (char *)0);
	entry_write(entry_at(table, 1, s.va), OTHER | RIGHTS);
	for (unsigned i = 0; i < 3; i++) {
		put(&s, 2, s.base[2]);
		invlpg(s.va);
		check("pse=1", look(s.va), mark_of(LARGE_A));
		put(&s, 2, table | RIGHTS | PTE_PS);
		set_pse(false);
		check("pse=0", look(s.va), mark_of(OTHER));
		put(&s, 2, s.base[2] & ~PTE_PS);
		set_pse(true);
	}
	put(&s, 2, 0);
	invlpg(s.va);
	end();
}

/* Bits 13 up of a large page's entry are address bits 32 up: nothing of the low frame may be seen.
 */
static void test_pse36(void)
{
	struct spot s = size_spot(2);

	begin("PSE-36: another frame", (char *)0);
	put(&s, 2, s.base[2] | 1u << 13);
	invlpg(s.va);
	check("the low frame", look(s.va) == mark_of(LARGE_A), 0);
	check("no fault", seen.fault, NO_FAULT);
	check("A", get(&s, 2), s.base[2] | 1u << 13 | PTE_A);
	spot_reset(&s);
	check("back", look(s.va), mark_of(LARGE_A));
	end();
}

/* --- PAE's four PDPTEs ------------------------------------------------------------------------ */

/* A directory in which the spot's page is OTHER. */
static ulong other_directory(const struct spot *s)
{
	ulong directory = new_table(), table = new_table();

	entry_write(entry_at(directory, 2, s->va), table | RIGHTS);
	entry_write(entry_at(table, 1, s->va), OTHER | RIGHTS);
	return directory;
}

/* A CPU holds them in registers from MOV CR3 on, except under nested paging of one vendor, where
 * each walk reads them (APM vol. 2 section 15.25): until then either counts. */
static void test_pdpte_loaded(void)
{
	struct spot s = spot_new(0);
	u32 old = mark_of(FRAME(0)), new = mark_of(OTHER);
	u64 other = other_directory(&s) | PTE_P;

	begin("PDPTE counts from MOV CR3 on", (char *)0);
	check("before", look(s.va), old);
	put(&s, 3, other);
	check_either("in memory only", look(s.va), old, new);
	invlpg(s.va);
	check_either("after INVLPG", look(s.va), old, new);
	flush();
	check("after MOV CR3", look(s.va), new);
	put(&s, 3, s.base[3]);
	check_either("changed back", look(s.va), old, new);
	set_pge(false);
	check("after CR4.PGE", look(s.va), old);
	set_pge(true);
	put(&s, 3, other);
	(void)read_unpaged(OTHER);
	check("after CR0.PG", look(s.va), new);
	put(&s, 3, 0);
	check_either("gone from memory only", look(s.va), new, FAULT(VEC_PF, 0));
	flush();
	check("absent", look(s.va), FAULT(VEC_PF, 0));
	put(&s, 3, s.base[3]);
	flush();
	check("present", look(s.va), old);
	end();
}

static void test_pdpte_untouched(void)
{
	struct spot s = spot_new(0);

	put(&s, 3, s.base[3] & ~PTE_A);
	flush();
	look(s.va);
	store(s.va + 8, 1);
	expect("PDPTE: no A", get(&s, 3), s.base[3] & ~PTE_A);
	put(&s, 3, s.base[3]);
}

/* #GP at MOV CR3, or under nested paging of one vendor #PF at the first use. */
static void test_pdpte_reserved(void)
{
	struct spot s = spot_new(0);

	begin("PDPTE: reserved bits are refused", (char *)0);
	for (unsigned n = 1; n < 64; n++) {
		bool refused;

		if (n > 2 && (n < 5 || n > 8) && n < cpu.maxphy)
			continue;
		put(&s, 3, s.base[3] | 1ull << n);
		run_kernel(kernel_cr3, root, 0);
		refused = seen.fault == FAULT(VEC_GP, 0);
		if (!seen.fault) {
			look(s.va);
			refused = (seen.fault & ~(u32)PF_P) == FAULT(VEC_PF, PF_RSVD);
		}
		check("refused, bit", refused ? 0 : n, 0);
		put(&s, 3, (s.base[3] & ~PTE_P) | 1ull << n);
		run_kernel(kernel_cr3, root, 0);
		check("not present", seen.fault, NO_FAULT);
		put(&s, 3, s.base[3]);
		flush();
		check("after all", look(s.va), mark_of(FRAME(0)));
	}
	end();
}

/* The four stand anywhere at 32 bytes. */
static void test_pdpt_place(void)
{
	struct spot s = spot_new(0);
	ulong place = new_table() + PAGE - 32;

	begin("PDPT at the end of a page", (char *)0);
	for (unsigned i = 0; i < 8; i++)
		at_phys(place)[i] = at_phys(root)[i];
	put(&s, 3, 0);
	set_cr3(place);
	check("CR3", get_cr3(), place);
	check("its page", look(s.va), mark_of(FRAME(0)));
	put(&s, 3, s.base[3]);
	set_cr3(root);
	check("back", look(s.va), mark_of(FRAME(0)));
	end();
}

/* --- from one mode to the other --------------------------------------------------------------- */

static void test_switch(const struct mode *m, const char *from)
{
	struct spot s;

	mode_off();
	mode_on(m);
	begin("tables after those of", from, (char *)0);
	for (unsigned leaf = 1; leaf <= 2; leaf++) {
		s = size_spot(leaf);
		for (unsigned kind = READ; kind < KINDS; kind++)
			access_checked(&s, kind, kind & 1, false);
	}
	end();
}

static void test_two_level(void)
{
	mode_on(&two_level);
	test_common();
	test_pse();
	if (cpu.has_pse36)
		test_pse36();
	mode_off();
}

static void test_pae(void)
{
	mode_on(&pae);
	test_common();
	test_pdpte_loaded();
	test_pdpte_untouched();
	test_pdpte_reserved();
	test_pdpt_place();
}

void test_mode(void)
{
	test_two_level();
	test_pae();
	test_soft_delivery();
	test_switch(&two_level, "PAE");
	test_switch(&pae, "two levels");
	test_switch(&pae, "PAE");
	mode_off();
	mode_on(&two_level);
	test_soft_delivery();
}
