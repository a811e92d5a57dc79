/* What software may rely on when it changes tables that are in use (SDM vol. 3 section 4.10): after
 * which steps the new translation must be used, and where either is right.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sizes.h"

#define OTHER	 FRAME(16)
#define PF_READ	 FAULT(VEC_PF, 0)
#define PF_WRITE FAULT(VEC_PF, PF_P | PF_W)

static u64 moved(const struct spot *s, u64 flags)
{
	return OTHER | flags | (s->base[1] & ~PTE_ADDR);
}

static void by_invlpg(u64 va)
{
	invlpg(va);
}

static void by_cr3(u64 va)
{
	(void)va;
	flush();
}

static void by_pge(u64 va)
{
	(void)va;
	flush_all();
}

static void by_pg(u64 va)
{
	(void)va;
	(void)read_unpaged(OTHER);
}

static const struct {
	const char *name;
	void (*flush)(u64 va);
	bool global_may_stay;
} ways[] = {{"INVLPG", by_invlpg, false},
	    {"MOV CR3", by_cr3, true},
	    {"CR4.PGE toggled", by_pge, false},
	    {"CR0.PG off and on", by_pg, false}};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

/* Another frame, fewer rights, nothing at all: after a flush the new entry counts. */
static void test_flush(unsigned way, u64 global)
{
	struct spot s = spot_new(0);
	u32 old = mark_of(FRAME(0)), new = mark_of(OTHER), stay = 0;

	begin("new entry after", ways[way].name, global ? "of a global page" : "", (char *)0);
	stay = global && ways[way].global_may_stay;
	put(&s, 1, s.base[1] | global);
	invlpg(s.va);
	check("before", look(s.va), old);
	put(&s, 1, moved(&s, global));
	ways[way].flush(s.va);
	check_either("another frame", look(s.va), new, stay ? old : new);
	invlpg(s.va);
	check("write", store(s.va + 8, 1), NO_FAULT);
	put(&s, 1, moved(&s, global) & ~PTE_W);
	ways[way].flush(s.va);
	check_either("read-only", store(s.va + 8, 1), PF_WRITE, stay ? NO_FAULT : PF_WRITE);
	put(&s, 1, 0);
	ways[way].flush(s.va);
	check_either("absent", look(s.va), PF_READ, stay ? new : PF_READ);
	spot_reset(&s);
	end();
}

/* What is not there, or has a reserved bit, is never remembered. */
static void test_absent_not_cached(void)
{
	struct spot s = spot_new(0);

	for (unsigned level = mode->levels; level >= 1; level--) {
		if (is_pdpte(level))
			continue;
		begin("absent to present without flush:", level_name(level), (char *)0);
		put(&s, level, 0);
		flush_all();
		check("absent", look(s.va), PF_READ);
		put(&s, level, s.base[level]);
		check("present", look(s.va), mark_of(FRAME(0)));
		end();
	}
}

/* More rights: one fault at most, which makes the CPU forget what it knew. */
static void test_more_rights(void)
{
	struct spot s = spot_new(0);

	for (unsigned level = mode->levels; level >= 1; level--) {
		if (is_pdpte(level))
			continue;
		begin("more rights without flush:", level_name(level), (char *)0);
		put(&s, level, s.base[level] & ~PTE_W);
		invlpg(s.va);
		check("read", look(s.va), mark_of(FRAME(0)));
		put(&s, level, s.base[level]);
		check_either("first write", store(s.va + 8, 1), NO_FAULT, PF_WRITE);
		check("second write", store(s.va + 8, 2), NO_FAULT);
		put(&s, level, s.base[level] & ~PTE_U);
		invlpg(s.va);
		attempt(s.va, READ, true, false, 0);
		check("supervisor's", seen.fault, FAULT(VEC_PF, PF_P | PF_U));
		put(&s, level, s.base[level]);
		attempt(s.va, READ, true, false, 0);
		attempt(s.va, READ, true, false, 0);
		check("user's", seen.fault, NO_FAULT);
		end();
		spot_reset(&s);
	}
}

static void test_fewer_rights(void)
{
	struct spot s = spot_new(0);

	for (unsigned level = mode->levels; level >= 1; level--) {
		if (is_pdpte(level))
			continue;
		begin("fewer rights after INVLPG:", level_name(level), (char *)0);
		spot_reset(&s);
		check("write", store(s.va + 8, 1), NO_FAULT);
		put(&s, level, get(&s, level) & ~PTE_W);
		invlpg(s.va);
		check("read-only", store(s.va + 8, 1), PF_WRITE);
		attempt(s.va, READ, true, false, 0);
		check("user's", seen.fault, NO_FAULT);
		put(&s, level, get(&s, level) & ~PTE_U);
		invlpg(s.va);
		attempt(s.va, READ, true, false, 0);
		check("supervisor's", seen.fault, FAULT(VEC_PF, PF_P | PF_U));
		spot_reset(&s);
		end();
	}
}

/* INVLPG of any address of a large page. */
static void test_large(void)
{
	struct spot s = size_spot(2);

	begin("INVLPG elsewhere in a page of", size_name(2), (char *)0);
	check("before", look(s.va), mark_of(LARGE_A));
	put(&s, 2, LARGE_B | (s.base[2] & ~PTE_ADDR));
	invlpg(s.va + 0x123456);
	check("after", look(s.va), mark_of(LARGE_B));
	spot_reset(&s);
	end();
}

/* Another table below an entry. */
static void test_table_moved(void)
{
	struct spot s = spot_new(0);
	ulong other = new_table();

	begin("another table after INVLPG", (char *)0);
	entry_write(entry_at(other, 1, s.va), moved(&s, 0));
	check("before", look(s.va), mark_of(FRAME(0)));
	put(&s, 2, other | (s.base[2] & ~PTE_ADDR));
	invlpg(s.va);
	check("after", look(s.va), mark_of(OTHER));
	spot_reset(&s);
	check("back", look(s.va), mark_of(FRAME(0)));
	end();
}

/* --- A and D ---------------------------------------------------------------------------------- */

static void test_cleared(void)
{
	struct spot s = spot_new(0);

	begin("A and D after they were cleared", (char *)0);
	store(s.va + 8, 1);
	check("both", get(&s, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
	put(&s, 1, s.base[1]);
	invlpg(s.va);
	look(s.va);
	check("read", get(&s, 1) & (PTE_A | PTE_D), PTE_A);
	store(s.va + 8, 1);
	check("write", get(&s, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
	put(&s, 1, s.base[1] | PTE_A);
	flush();
	store(s.va + 8, 1);
	check("write after MOV CR3", get(&s, 1) & (PTE_A | PTE_D), PTE_A | PTE_D);
	put(&s, 1, s.base[1] | PTE_D);
	invlpg(s.va);
	look(s.va);
	check("A with D", get(&s, 1), s.base[1] | PTE_A | PTE_D);
	spot_reset(&s);
	end();
}

/* Cleared without a flush the CPU may set D again or not; no write may be lost, nothing else may be
 * written into the entry. */
static void test_cleared_unflushed(void)
{
	struct spot s = spot_new(0);

	begin("D cleared without flush", (char *)0);
	store(s.va + 8, 1);
	put(&s, 1, s.base[1]);
	check("write", store(s.va + 8, 0x1234), NO_FAULT);
	check("memory", at_phys(FRAME(0))[2], 0x1234);
	check("entry", get(&s, 1) & ~(PTE_A | PTE_D), s.base[1]);
	invlpg(s.va);
	store(s.va + 8, 1);
	check("after INVLPG", get(&s, 1), s.base[1] | PTE_A | PTE_D);
	spot_reset(&s);
	end();
}

/* --- control registers ------------------------------------------------------------------------ */

static void test_wp(void)
{
	struct spot s = spot_new(0);

	begin("CR0.WP counts at once", (char *)0);
	put(&s, 1, s.base[1] & ~PTE_W);
	invlpg(s.va);
	check("wp=1", store(s.va + 8, 1), PF_WRITE);
	for (unsigned i = 0; i < 3; i++) {
		set_wp(false);
		check("wp=0", store(s.va + 8, 1), NO_FAULT);
		check("entry", get(&s, 1), (s.base[1] & ~PTE_W) | PTE_A | PTE_D);
		attempt(s.va + 8, WRITE, true, false, 1);
		check("wp=0, cpl3", seen.fault, FAULT(VEC_PF, PF_P | PF_W | PF_U));
		set_wp(true);
		check("wp=1 again", store(s.va + 8, 1), PF_WRITE);
	}
	spot_reset(&s);
	end();
}

static u32 fetch(u64 va)
{
	attempt(va, FETCH, false, false, 0);
	return seen.fault;
}

static void test_smep(void)
{
	struct spot s = spot_new(0);
	u32 refused = FAULT(VEC_PF, PF_P | PF_I);

	begin("CR4.SMEP counts at once", (char *)0);
	for (unsigned i = 0; i < 3; i++) {
		check("smep=0", fetch(s.va), NO_FAULT);
		set_smep(true);
		check("smep=1", fetch(s.va), refused);
		attempt(s.va, FETCH, true, false, 0);
		check("smep=1, cpl3", seen.fault, NO_FAULT);
		set_smep(false);
	}
	end();
}

static void test_smap(void)
{
	struct spot s = spot_new(0);

	begin("CR4.SMAP and EFLAGS.AC count at once", (char *)0);
	for (unsigned i = 0; i < 3; i++) {
		check("smap=0", look(s.va), mark_of(FRAME(0)));
		set_smap(true);
		check("smap=1", look(s.va), FAULT(VEC_PF, PF_P));
		check("smap=1, write", store(s.va + 8, 1), PF_WRITE);
		attempt(s.va, READ, false, true, 0);
		check("ac=1", seen.fault, NO_FAULT);
		attempt(s.va, READ, true, false, 0);
		check("cpl3", seen.fault, NO_FAULT);
		check("ac=0", look(s.va), FAULT(VEC_PF, PF_P));
		set_smap(false);
	}
	end();
}

/* Two address spaces that differ in one page. */
static void test_two_roots(void)
{
	struct spot s = spot_new(0), t;
	ulong first = root, second = new_table();
	u32 old = mark_of(FRAME(0)), new = mark_of(OTHER);

	begin("two address spaces", (char *)0);
	for (unsigned i = 0; i < PAGE / 4; i++)
		at_phys(second)[i] = at_phys(first)[i];
	root = second;
	entry_write(entry_at(root, mode->levels, s.va), 0);
	t = spot_at(s.va, OTHER, 1);
	for (unsigned i = 0; i < 4; i++) {
		check("first", look(s.va), old);
		set_cr3(second);
		check("second", look(s.va), new);
		put(&s, 1, i & 1 ? s.base[1] : s.base[1] & ~PTE_W); /* behind its back */
		set_cr3(first);
		check("changed meanwhile", store(s.va + 8, 1), i & 1 ? NO_FAULT : PF_WRITE);
	}
	check("A of the other", get(&t, 1), t.base[1] | PTE_A);
	root = first;
	spot_reset(&s);
	end();
}

static void test_unpaged(void)
{
	struct spot s = spot_new(0);

	begin("changed, then CR0.PG off and on", (char *)0);
	check("before", look(s.va), mark_of(FRAME(0)));
	put(&s, 1, moved(&s, 0));
	check("with paging off", read_unpaged(FRAME(3)), mark_of(FRAME(3)));
	check("after", look(s.va), mark_of(OTHER));
	spot_reset(&s);
	end();
}

void test_stale(void)
{
	mark(OTHER);
	for (unsigned way = 0; way < WAYS; way++) {
		test_flush(way, 0);
		test_flush(way, PTE_G);
	}
	test_absent_not_cached();
	test_more_rights();
	test_fewer_rights();
	test_large();
	test_table_moved();
	test_cleared();
	test_cleared_unflushed();
	test_wp();
	if (cpu.has_smep)
		test_smep();
	if (cpu.has_smap)
		test_smap();
	test_two_roots();
	test_unpaged();
}
