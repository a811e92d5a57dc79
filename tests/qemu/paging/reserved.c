/* Reserved bits at each level, and the bits that the CPU ignores.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sizes.h"

static bool is_reserved(const struct spot *s, unsigned level, u64 bit)
{
	struct verdict want;

	put(s, level, s->base[level] | bit);
	want = model(s, READ, false, false);
	put(s, level, s->base[level]);
	return want.fault & PF_RSVD && !want.used;
}

/* PS above the leaf would make another leaf of the entry. */
static bool is_ignored(const struct spot *s, unsigned level, unsigned n)
{
	static const u64 ignored = PTE_G | 0xe00 | 0x07f0000000000000ull;
	bool upper = level > s->leaf;

	if (mode->levels == 2 && n > 31)
		return false;
	if (mode->levels == 3 && n > 51)
		return false;
	/* Bit 8 of a PML4E is reserved on some CPUs. */
	return (1ull << n & ignored) && !(upper && n == 8);
}

static void access_all(const struct spot *s)
{
	for (unsigned i = 0; i < 2 * KINDS; i++)
		access_checked(s, i / 2, i & 1, false);
}

static void test_level(const struct spot *s, unsigned level)
{
	unsigned bits = mode->entry_bytes * 8;

	begin(size_name(s->leaf), "reserved bits of the", level_name(level), (char *)0);
	for (unsigned n = 7; n < bits; n++) {
		if (!is_reserved(s, level, 1ull << n))
			continue;
		put(s, level, s->base[level] | 1ull << n);
		access_all(s);
		put(s, level, (s->base[level] | 1ull << n) & ~(PTE_U | PTE_W));
		access_all(s);
		spot_reset(s);
	}
	end();
	begin(size_name(s->leaf), "ignored bits of the", level_name(level), (char *)0);
	for (unsigned n = 8; n < bits; n++) {
		if (!is_ignored(s, level, n))
			continue;
		put(s, level, s->base[level] | 1ull << n);
		access_all(s);
		spot_reset(s);
	}
	end();
}

/* Reserved above counts before what is not there below; what is not there above before reserved. */
static void test_order(const struct spot *s)
{
	begin("reserved below what is absent", (char *)0);
	put(s, 1, s->base[1] | PTE_NX | 1ull << 51);
	put(s, 2, s->base[2] & ~PTE_P);
	access_all(s);
	spot_reset(s);
	end();
}

static void test_nx_off(unsigned leaf)
{
	struct spot s = size_spot(leaf);

	set_nxe(false);
	begin(size_name(leaf), "reserved NX, nxe=0", (char *)0);
	for (unsigned level = mode->levels; level >= leaf; level--) {
		if (is_pdpte(level))
			continue;
		put(&s, level, s.base[level] | PTE_NX);
		access_all(&s);
		spot_reset(&s);
	}
	end();
	set_nxe(true);
}

void test_reserved(void)
{
	rsvd_without_p = rsvd_with_a = 0;
	for (unsigned leaf = 1; leaf <= sizes_max(); leaf++) {
		struct spot s = size_spot(leaf);

		for (unsigned level = mode->levels; level >= leaf; level--)
			if (!is_pdpte(level))
				test_level(&s, level);
		if (mode->levels > 2 && leaf == 1)
			test_order(&s);
		if (mode->levels > 2 && cpu.nxe)
			test_nx_off(leaf);
	}
	expect("reserved bits: P in the error code", rsvd_without_p, 0);
	expect("reserved bits: no A in the entry", rsvd_with_a, 0);
}
