/* The shadow tests' reference walk, against tables made by hand from the manuals' figures and
 * against the hypervisor's own walker on random tables: two walkers written apart that agree. Would
 * catch a wrong rule of either: which bits are reserved, who may do what, what an error code says,
 * where a large page lies, which entries get their accessed and dirty bits.
 *
 * SRCS: hv/paging/walk.c tests/unit/shadow/refwalk.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/errno.h"
#include "lib/x86.h"
#include "shadow/refwalk.h"
#include "unit.h"

#define FRAMES	 32
#define BASE	 0x40000ull
#define FRAME(n) (BASE + (n)*PAGE_SIZE)

static u8 memory[FRAMES * PAGE_SIZE] __attribute__((aligned(4096)));

static bool read_entry(void *ctx, gpa_t at, unsigned bytes, u64 *value)
{
	(void)ctx;
	*value = 0;
	if (at < BASE || at >= BASE + sizeof(memory))
		return false;
	memcpy(value, memory + (at - BASE), bytes);
	return true;
}

static void *ram(void *ctx, gpa_t gpa)
{
	(void)ctx;
	return gpa < BASE || gpa >= BASE + sizeof(memory) ? NULL : memory + (gpa - BASE);
}

static const struct walk_mem walk_memory = {.ram = ram};

static void put(unsigned frame, unsigned index, unsigned bytes, u64 value)
{
	memcpy(memory + frame * PAGE_SIZE + index * bytes, &value, bytes);
}

static struct walk_regs regs_of(enum ref_mode mode)
{
	static u64 pdpte[4];
	struct walk_regs r = {
		.cr0 = CR0_PE | CR0_PG | CR0_WP, .cr3 = FRAME(0), .maxphyaddr = 40, .has_1g = true};

	memset(memory, 0, sizeof(memory));
	if (mode == REF_32)
		r.cr4 = CR4_PSE;
	else
		r.cr4 = CR4_PAE;
	if (mode == REF_LONG)
		r.efer = EFER_LME | EFER_LMA | EFER_NXE;
	if (mode == REF_PAE) {
		r.efer = EFER_NXE;
		memset(pdpte, 0, sizeof(pdpte));
		pdpte[1] = FRAME(1) | PTE_P;
		r.pdpte = pdpte;
	}
	return r;
}

static struct ref_walk look(const struct walk_regs *r, gva_t gva, const char *how)
{
	struct ref_access a = {.write = strchr(how, 'w'),
			       .fetch = strchr(how, 'x'),
			       .user = strchr(how, 'u'),
			       .implicit = strchr(how, 'i')};
	struct ref_walk w;

	ref_translate(r, read_entry, NULL, gva, &a, &w);
	return w;
}

/* --- by hand --- */

static gva_t four_levels_tables(u64 rights)
{
	put(0, 256, 8, FRAME(1) | rights);
	put(1, 1, 8, FRAME(2) | rights);
	put(2, 2, 8, FRAME(3) | rights);
	put(3, 3, 8, FRAME(7) | rights);
	return 0xffff800000000000ull + (1ull << 30) + (2ull << 21) + (3ull << 12) + 0x123;
}

TEST(four_levels_translate_and_mark)
{
	struct walk_regs r = regs_of(REF_LONG);
	gva_t gva = four_levels_tables(PTE_P | PTE_W | PTE_U);
	struct ref_walk w = look(&r, gva, "uw");

	CHECK_EQ(w.result, REF_OK);
	CHECK_EQ(w.gpa, FRAME(7) + 0x123);
	CHECK_EQ(w.steps, 4);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(w.mark[i], PTE_A);
	CHECK_EQ(w.mark[3], PTE_A | PTE_D);
	put(3, 3, 8, FRAME(7) | 0x63);
	CHECK_EQ(look(&r, gva, "w").mark[3], 0);
	CHECK_EQ(look(&r, gva, "u").error, 5);
	CHECK_EQ(look(&r, gva + PAGE_SIZE, "u").error, 4);
	CHECK_EQ(look(&r, gva + PAGE_SIZE, "w").error, 2);
	CHECK_EQ(look(&r, gva + PAGE_SIZE, "x").error, 16);
}

TEST(every_level_can_withhold_a_right)
{
	for (unsigned level = 0; level < 4; level++) {
		struct walk_regs r = regs_of(REF_LONG);
		gva_t gva = four_levels_tables(PTE_P | PTE_W | PTE_U);
		static const u16 index[] = {256, 1, 2, 3};
		u64 e;

		read_entry(NULL, FRAME(level) + index[level] * 8, 8, &e);
		put(level, index[level], 8, e & ~PTE_W);
		CHECK_EQ(look(&r, gva, "uw").error, 7);
		CHECK_EQ(look(&r, gva, "w").error, 3);
		r.cr0 &= ~CR0_WP;
		CHECK_EQ(look(&r, gva, "w").result, REF_OK);
		CHECK_EQ(look(&r, gva, "uw").error, 7);
		put(level, index[level], 8, e | PTE_NX);
		CHECK_EQ(look(&r, gva, "ux").error, 0x15);
		CHECK_EQ(look(&r, gva, "x").error, 0x11);
		CHECK_EQ(look(&r, gva, "u").result, REF_OK);
		r.efer &= ~EFER_NXE;
		CHECK_EQ(look(&r, gva, "u").error, 0xd);
		CHECK_EQ(look(&r, gva, "ux").error, 0xd);
		put(level, index[level], 8, e & ~PTE_U);
		CHECK_EQ(look(&r, gva, "u").error, 5);
		CHECK_EQ(look(&r, gva, "").result, REF_OK);
	}
}

TEST(smep_smap_and_keys)
{
	struct walk_regs r = regs_of(REF_LONG);
	gva_t gva = four_levels_tables(PTE_P | PTE_W | PTE_U);

	r.cr4 |= CR4_SMEP | CR4_SMAP;
	CHECK_EQ(look(&r, gva, "x").error, 0x11);
	CHECK_EQ(look(&r, gva, "ux").result, REF_OK);
	CHECK_EQ(look(&r, gva, "").error, 1);
	CHECK_EQ(look(&r, gva, "w").error, 3);
	r.rflags |= RFLAGS_AC;
	CHECK_EQ(look(&r, gva, "w").result, REF_OK);
	CHECK_EQ(look(&r, gva, "iw").error, 3);
	CHECK_EQ(look(&r, gva, "x").error, 0x11);
	r.cr4 = (r.cr4 & ~(CR4_SMAP | CR4_SMEP)) | CR4_PKE;
	put(3, 3, 8, FRAME(7) | 7 | 5ull << 59);
	r.pkru = 2u << 10; /* writes with key 5 */
	CHECK_EQ(look(&r, gva, "u").result, REF_OK);
	CHECK_EQ(look(&r, gva, "uw").error, 0x27);
	CHECK_EQ(look(&r, gva, "w").error, 0x23);
	r.cr0 &= ~CR0_WP;
	CHECK_EQ(look(&r, gva, "w").result, REF_OK);
	r.pkru = 1u << 10;
	CHECK_EQ(look(&r, gva, "").error, 0x21);
	CHECK_EQ(look(&r, gva, "ux").result, REF_OK);
	put(3, 3, 8, FRAME(7) | 3 | 5ull << 59); /* a supervisor page: keys do not matter */
	CHECK_EQ(look(&r, gva, "w").result, REF_OK);
}

TEST(large_pages_and_their_reserved_bits)
{
	struct walk_regs r = regs_of(REF_LONG);
	gva_t gva = four_levels_tables(PTE_P | PTE_W | PTE_U);

	put(2, 2, 8, 0x6600000 | 0x87 | BIT(12)); /* PAT is no part of the address */
	CHECK_EQ(look(&r, gva, "").gpa, 0x6600000 + 0x3123);
	put(2, 2, 8, 0x6600000 | 0x87 | BIT(13));
	CHECK_EQ(look(&r, gva, "").error, 9);
	put(2, 2, 8, 0x6600000 | 0x87 | BIT(39));
	CHECK_EQ(look(&r, gva, "").gpa, BIT(39) + 0x6600000 + 0x3123);
	put(2, 2, 8, 0x6600000 | 0x87 | BIT(40));
	CHECK_EQ(look(&r, gva, "uw").error, 0xf);
	put(1, 1, 8, GIB | 0x87);
	CHECK_EQ(look(&r, gva, "").gpa, GIB + 0x403123);
	r.has_1g = false;
	CHECK_EQ(look(&r, gva, "").error, 9);
	put(0, 256, 8, FRAME(1) | 0x87);
	CHECK_EQ(look(&r, gva, "").error, 9);
	put(0, 256, 8, FRAME(1) | 0x107);
	r.has_1g = true;
	CHECK_EQ(look(&r, gva, "").result, REF_OK);
	r.pml4_g_rsvd = true;
	CHECK_EQ(look(&r, gva, "").error, 9);
}

TEST(two_levels_and_pse36)
{
	struct walk_regs r = regs_of(REF_32);

	put(0, 769, 4, FRAME(1) | 7);
	put(1, 1023, 4, FRAME(5) | 7);
	CHECK_EQ(look(&r, 0xc07ffabc, "uw").gpa, FRAME(5) + 0xabc);
	CHECK_EQ(look(&r, 0xc07ffabc, "uw").steps, 2);
	put(0, 769, 4, 0x12400000 | 0x87 | 0xabu << 13);
	CHECK_EQ(look(&r, 0xc07ffabc, "uw").gpa, 0xab124ffabcull + 0x300000);
	put(0, 769, 4, 0x12400000 | 0x87 | BIT(21));
	CHECK_EQ(look(&r, 0xc07ffabc, "").error, 9);
	r.maxphyaddr = 36;
	put(0, 769, 4, 0x12400000 | 0x87 | BIT(17));
	CHECK_EQ(look(&r, 0xc07ffabc, "").error, 9);
	put(0, 769, 4, 0x12400000 | 0x87 | BIT(16));
	CHECK_EQ(look(&r, 0xc07ffabc, "").gpa, (8ull << 32) + 0x127ffabc);
	r.cr4 &= ~CR4_PSE; /* bit 7 means nothing: a table, and none of ours */
	CHECK_EQ(look(&r, 0xc07ffabc, "").result, REF_NO_TABLE);
	/* No NX, no I in error codes, but for SMEP. */
	put(0, 0, 4, 0);
	CHECK_EQ(look(&r, 0, "ux").error, 4);
	r.cr4 |= CR4_SMEP;
	CHECK_EQ(look(&r, 0, "ux").error, 0x14);
}

TEST(pae_and_its_top)
{
	struct walk_regs r = regs_of(REF_PAE);
	u64 four[4] = {0};

	put(1, 3, 8, FRAME(2) | 7);
	put(2, 4, 8, FRAME(9) | 7);
	CHECK_EQ(look(&r, 0x40604010, "uw").gpa, FRAME(9) + 0x10);
	CHECK_EQ(look(&r, 0x40604010, "uw").steps, 2);
	CHECK_EQ(look(&r, 0x10, "uw").error, 6);
	put(2, 4, 8, FRAME(9) | 7 | BIT(52));
	CHECK_EQ(look(&r, 0x40604010, "u").error, 0xd);
	put(2, 4, 8, FRAME(9) | 7 | PTE_NX);
	CHECK_EQ(look(&r, 0x40604010, "ux").error, 0x15);
	CHECK(ref_pdptes_ok(&r, four));
	four[3] = FRAME(3) | 1;
	CHECK(ref_pdptes_ok(&r, four));
	for (unsigned bit = 0; bit < 64; bit++) {
		bool reserved = (bit >= 1 && bit <= 2) || (bit >= 6 && bit <= 8) || bit >= 40;

		four[3] = 1 | BIT(bit);
		CHECK_EQ(ref_pdptes_ok(&r, four), !reserved);
		four[3] = BIT(bit) & ~1ull;
		CHECK(ref_pdptes_ok(&r, four));
	}
}

TEST(unpaged_is_one_to_one)
{
	struct walk_regs r = {.cr0 = CR0_PE};

	CHECK_EQ(look(&r, 0x112345678ull, "uwx").gpa, 0x12345678);
}

/* --- against the other walker --- */

static u64 rng = 88172645463325252ull;

static u64 rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1dull >> 16;
}

static bool percent(unsigned p)
{
	return rnd() % 100 < p;
}

static u64 random_entry(bool wide)
{
	u64 e = FRAME(rnd() % FRAMES);

	e |= percent(96) ? PTE_P : 0;
	e |= percent(85) ? PTE_W : 0;
	e |= percent(85) ? PTE_U : 0;
	e |= percent(50) ? PTE_A : 0;
	e |= percent(50) ? PTE_D : 0;
	e |= percent(15) ? PTE_PS : 0;
	e |= percent(10) ? BIT(8) : 0;
	e |= percent(2) ? rnd() << 9 : 0;
	if (!wide)
		return percent(80) ? e : e & ~(BIT(22) - BIT(12));
	e |= percent(10) ? PTE_NX : 0;
	e |= percent(30) ? (rnd() & 15) << 59 : 0;
	e |= percent(3) ? BIT(rnd() % 63) : 0;
	return e;
}

static struct walk_regs random_regs(enum ref_mode mode, u64 pdpte[4])
{
	static const u8 widths[] = {32, 36, 39, 40, 41, 46, 52};
	struct walk_regs r = {.cr0 = CR0_PE | CR0_PG | (percent(70) ? CR0_WP : 0),
			      .cr3 = FRAME(rnd() % FRAMES) | (rnd() & 0x18),
			      .efer = percent(75) ? EFER_NXE : 0,
			      .rflags = percent(50) ? RFLAGS_AC : 0,
			      .pkru = (u32)rnd() & (u32)rnd(),
			      .maxphyaddr = widths[rnd() % ARRAY_SIZE(widths)],
			      .has_1g = percent(50),
			      .pml4_g_rsvd = percent(50)};

	if (percent(70))
		r.cr4 |= CR4_PSE;
	for (unsigned bit = 20; bit <= 22; bit++)
		r.cr4 |= percent(40) ? BIT(bit) : 0;
	r.cr4 |= percent(50) ? CR4_PGE : 0;
	if (mode != REF_32)
		r.cr4 |= CR4_PAE;
	if (mode == REF_LONG)
		r.efer |= EFER_LME | EFER_LMA;
	if (mode == REF_PAE) {
		for (unsigned i = 0; i < 4; i++)
			pdpte[i] = FRAME(rnd() % FRAMES) | (percent(90) ? PTE_P : 0);
		r.pdpte = pdpte;
	}
	return r;
}

static void random_tables(bool wide)
{
	for (unsigned at = 0; at < sizeof(memory); at += wide ? 8 : 4) {
		u64 e = random_entry(wide);

		memcpy(memory + at, &e, wide ? 8 : 4);
	}
}

/* The marks that a reference walk asks for, as the other walker should have made them. */
static void check_marked(const struct ref_walk *w)
{
	for (unsigned i = 0; i < w->steps; i++) {
		u64 want = 0, now;

		/* An entry met twice has both walks' marks. */
		for (unsigned j = 0; j < w->steps; j++)
			if (w->step[j].entry == w->step[i].entry)
				want |= w->mark[j];
		read_entry(NULL, w->step[i].entry, w->step[i].bytes, &now);
		CHECK_EQ(now, w->value[i] | want);
	}
}

static unsigned outcomes[3]; /* enum ref_result */

static void compare(const struct walk_regs *r, gva_t gva, const struct ref_access *a)
{
	struct walk_regs regs = *r;
	struct walk_result got;
	struct ref_walk w;
	u32 access = (a->write ? PFEC_W : 0) | (a->fetch ? PFEC_I : 0) | (a->user ? PFEC_U : 0) |
		     (a->implicit ? WALK_IMPLICIT : 0);
	int rc;

	regs.cpl = a->user || a->implicit ? 3 : 0;
	ref_translate(r, read_entry, NULL, gva, a, &w);
	outcomes[w.result]++;
	rc = walk_gva(&walk_memory, &regs, gva, access, &got);
	CHECK_EQ(rc, w.result == REF_OK ? 0 : w.result == REF_FAULT ? -EFAULT : -EIO);
	if (!rc && w.result == REF_OK) {
		CHECK_EQ(got.gpa, w.gpa);
		CHECK_EQ(got.page_size, w.leaf.size);
		CHECK_EQ(got.global, w.leaf.global);
		CHECK_EQ(got.writable, w.leaf.rights.write);
		CHECK_EQ(got.user, w.leaf.rights.user);
	} else if (w.result == REF_FAULT) {
		CHECK_EQ(got.error_code, w.error);
	}
	check_marked(&w);
}

static void compare_many(enum ref_mode mode)
{
	static const struct ref_access kinds[] = {{0},
						  {.write = true},
						  {.fetch = true},
						  {.user = true},
						  {.user = true, .write = true},
						  {.user = true, .fetch = true},
						  {.implicit = true},
						  {.implicit = true, .write = true}};
	u64 pdpte[4];

	memset(outcomes, 0, sizeof(outcomes));
	for (unsigned i = 0; i < 40 && !unit_failures; i++) {
		random_tables(mode != REF_32);
		for (unsigned j = 0; j < 5000 && !unit_failures; j++) {
			struct walk_regs r = random_regs(mode, pdpte);
			gva_t gva = rnd() << 16 ^ rnd();

			gva = mode == REF_LONG ? (u64)((s64)(gva << 16) >> 16) : (u32)gva;
			compare(&r, gva, &kinds[rnd() % ARRAY_SIZE(kinds)]);
		}
	}
	/* Agreement about faults alone would say little. */
	CHECK(outcomes[REF_OK] > 20000 && outcomes[REF_FAULT] > 20000 && outcomes[REF_NO_TABLE]);
}

TEST(agrees_on_random_two_level_tables)
{
	compare_many(REF_32);
}

TEST(agrees_on_random_pae_tables)
{
	compare_many(REF_PAE);
}

TEST(agrees_on_random_four_level_tables)
{
	compare_many(REF_LONG);
}
