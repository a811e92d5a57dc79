/* Guest page walker. Would catch: a wrong permission rule of any mode (WP, SMEP, SMAP, AC, NX,
 * keys), a missed or invented reserved bit, accessed/dirty bits set too early, too late or in the
 * wrong entry, a wrong error code, a wrong PSE-36 or large-page address, PAE's top level treated
 * like the others, and the fast walker meaning anything else than the complete one.
 *
 * The reference below is written from the manuals' prose, level by level by recursion with named
 * booleans, and shares nothing with the walker but the entry's bit numbers.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/paging/walk.c
 */
#include <errno.h>

#include "paging/walk.h"
#include "unit.h"

#define RAM_PAGES 24
static u8 ram_bytes[RAM_PAGES * PAGE_SIZE] __attribute__((aligned(4096)));
/* RAM_BASE > 0 so that address 0 (a wrong entry) is not RAM. */
#define RAM_BASE 0x10000ull

static void *ram_at(void *ctx, gpa_t gpa)
{
	(void)ctx;
	if (gpa < RAM_BASE || gpa - RAM_BASE >= sizeof(ram_bytes))
		return NULL;
	return ram_bytes + (gpa - RAM_BASE);
}

static const struct walk_mem mem = {.ram = ram_at};

static u64 rng_state = 0x1234567;
static u64 rnd(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state * 0x2545f4914f6cdd1dull;
}
static bool one_in(unsigned n)
{
	return (rnd() >> 20) % n == 0;
}

/* --- the reference ------------------------------------------------------------------------- */

struct ref {
	const struct walk_regs *r;
	u32 access;
	bool paged64, paged_pae; /* else 32-bit */
	bool all_user, all_write, any_nx;
	bool fault, outside;
	u32 code;
	gpa_t bad, gpa;
	u64 size;
	bool dirty, global;
	unsigned key;
	u8 *touch[5]; /* entries to mark accessed */
	unsigned ntouch;
	unsigned width;
};

static bool bit(u64 v, unsigned n)
{
	return v >> n & 1;
}

static bool any_bit(u64 v, int from, int to)
{
	for (int i = from; i <= to; i++)
		if (bit(v, i))
			return true;
	return false;
}

static void ref_fault(struct ref *s, bool present, bool rsvd, bool pk)
{
	const struct walk_regs *r = s->r;
	bool smep = bit(r->cr4, 20), nxe = bit(r->efer, 11), pae = bit(r->cr4, 5);

	s->fault = true;
	s->code = present ? 1 : 0;
	s->code += s->access & 2 ? 2 : 0;
	s->code += s->access & 4 ? 4 : 0;
	s->code += rsvd ? 8 : 0;
	if ((s->access & 16) && (smep || (pae && nxe)))
		s->code += 16;
	s->code += pk ? 32 : 0;
}

/* Levels: 4 PML4E, 3 PDPTE, 2 PDE, 1 PTE. */
static bool ref_reserved(const struct ref *s, int level, u64 e, bool large)
{
	const struct walk_regs *r = s->r;

	if (s->paged64) {
		if (any_bit(e, r->maxphyaddr, 51))
			return true;
		if (bit(e, 63) && !bit(r->efer, 11))
			return true;
		if (level == 4)
			return bit(e, 7) || (r->pml4_g_rsvd && bit(e, 8));
		if (level == 3 && bit(e, 7))
			return !r->has_1g || any_bit(e, 13, 29);
		return large && any_bit(e, 13, 20);
	}
	if (s->paged_pae) {
		if (level == 3)
			return any_bit(e, 1, 2) || any_bit(e, 6, 8) ||
			       any_bit(e, r->maxphyaddr, 63);
		if (any_bit(e, r->maxphyaddr, 62) || (bit(e, 63) && !bit(r->efer, 11)))
			return true;
		return large && any_bit(e, 13, 20);
	}
	if (large) {
		int m = r->maxphyaddr > 40 ? 40 : r->maxphyaddr < 32 ? 32 : r->maxphyaddr;

		return bit(e, 21) || any_bit(e, m - 19, 21);
	}
	return false;
}

static void ref_level(struct ref *s, int level, gpa_t table, gva_t gva)
{
	bool old32 = !s->paged64 && !s->paged_pae;
	bool pdpte_pae = s->paged_pae && level == 3;
	unsigned low = 12 + (level - 1) * (old32 ? 10 : 9);
	gpa_t at = table + ((gva >> low) % (pdpte_pae ? 4 : old32 ? 1024 : 512)) * (old32 ? 4 : 8);
	u8 *p = ram_at(NULL, at);
	u64 e = 0;
	bool large;

	if (pdpte_pae && s->r->pdpte) {
		e = s->r->pdpte[gva >> 30];
	} else {
		if (!p) {
			s->outside = true;
			s->bad = at;
			return;
		}
		memcpy(&e, p, old32 ? 4 : 8);
	}
	if (!bit(e, 0)) {
		ref_fault(s, false, false, false);
		return;
	}
	large = bit(e, 7) &&
		((level == 2 && (!old32 || bit(s->r->cr4, 4))) || (level == 3 && s->paged64));
	if (ref_reserved(s, level, e, large)) {
		ref_fault(s, true, true, false);
		return;
	}
	if (!pdpte_pae) {
		s->all_write = s->all_write && bit(e, 1);
		s->all_user = s->all_user && bit(e, 2);
		s->any_nx = s->any_nx || (!old32 && bit(e, 63));
		s->touch[s->ntouch++] = p;
	}
	if (level > 1 && !large) {
		ref_level(s, level - 1, e & 0xffffffffff000, gva);
		return;
	}
	s->size = 1ull << low;
	s->gpa = (e & 0xffffffffff000) / s->size * s->size + gva % s->size;
	if (old32 && large)
		s->gpa += (e >> 13 & 0xff) << 32;
	s->dirty = bit(e, 6);
	s->global = bit(e, 8) && bit(s->r->cr4, 7);
	s->key = e >> 59 & 15;
}

static bool ref_allowed(struct ref *s, bool *pk)
{
	const struct walk_regs *r = s->r;
	bool wp = bit(r->cr0, 16), nx_on = bit(r->efer, 11) && (s->paged64 || s->paged_pae);
	bool write = s->access & 2, user = s->access & 4, fetch = s->access & 16;
	bool ad = bit(r->pkru, s->key * 2), wd = bit(r->pkru, s->key * 2 + 1);
	bool implicit = (s->access & WALK_IMPLICIT) || r->cpl == 3;

	*pk = s->paged64 && bit(r->cr4, 22) && s->all_user && !fetch &&
	      (ad || (wd && write && (user || wp)));
	if (*pk)
		return false;
	if (fetch && nx_on && s->any_nx)
		return false;
	if (user) {
		if (!s->all_user)
			return false;
		return !write || s->all_write;
	}
	if (fetch)
		return !(bit(r->cr4, 20) && s->all_user);
	if (s->all_user && bit(r->cr4, 21) && (implicit || !bit(r->rflags, 18)))
		return false;
	return !write || s->all_write || !wp;
}

static int ref_walk(const struct walk_regs *r, gva_t gva, u32 access, struct ref *s)
{
	bool pk = false;

	*s = (struct ref){.r = r, .access = access, .all_user = true, .all_write = true};
	if (!bit(r->cr0, 31)) {
		s->gpa = gva & 0xffffffff;
		s->size = 4096;
		s->dirty = true;
		return 0;
	}
	s->paged64 = bit(r->efer, 10);
	s->paged_pae = !s->paged64 && bit(r->cr4, 5);
	if (s->paged64)
		ref_level(s, 4, r->cr3 & 0xffffffffff000, gva);
	else if (s->paged_pae)
		ref_level(s, 3, r->cr3 & 0xffffffe0, gva & 0xffffffff);
	else
		ref_level(s, 2, r->cr3 & 0xfffff000, gva & 0xffffffff);
	if (s->outside)
		return -EIO;
	if (s->fault)
		return -EFAULT;
	if (!ref_allowed(s, &pk)) {
		ref_fault(s, true, false, pk);
		return -EFAULT;
	}
	if (!(access & WALK_NO_AD)) {
		for (unsigned i = 0; i < s->ntouch; i++)
			s->touch[i][0] |= 0x20;
		if (access & 2) {
			s->touch[s->ntouch - 1][0] |= 0x40;
			s->dirty = true;
		}
	}
	return 0;
}

/* --- random machines against the reference --------------------------------------------------- */

static u64 random_entry(bool wide)
{
	/* Mostly good entries: faults at the top would hide the rest. */
	u64 e = RAM_BASE + ((rnd() >> 16) % RAM_PAGES) * PAGE_SIZE;

	e |= 0x27;
	if (one_in(12))
		e &= ~1ull;
	if (one_in(4))
		e &= ~2ull;
	if (one_in(4))
		e &= ~4ull;
	if (one_in(4))
		e &= ~0x20ull;
	if (one_in(2))
		e |= 0x40;
	if (one_in(5))
		e |= 0x80;
	if (one_in(6))
		e |= 0x100;
	if (bit(e, 7) && !one_in(6))
		e &= ~0x3fe000ull;
	if (one_in(40))
		e |= 1ull << (9 + (rnd() >> 30) % 43);
	if (wide && one_in(4))
		e |= (rnd() >> 8 & 15) << 59;
	if (wide && one_in(16))
		e |= 1ull << 63;
	if (wide && one_in(40))
		e |= 1ull << (52 + (rnd() >> 30) % 7);
	return e;
}

static void random_ram(bool wide)
{
	for (size_t i = 0; i < sizeof(ram_bytes); i += wide ? 8 : 4) {
		u64 e = random_entry(wide);

		memcpy(ram_bytes + i, &e, wide ? 8 : 4);
	}
}

static void random_regs(struct walk_regs *r, int mode, u64 pdpte[4])
{
	static const u8 widths[] = {36, 39, 40, 46, 48, 52};

	*r = (struct walk_regs){.cr0 = BIT(31) | 1,
				.cr3 = RAM_BASE + (rnd() >> 16) % RAM_PAGES * 4096};
	r->cr0 |= one_in(2) ? BIT(16) : 0;
	r->cr4 = rnd() & (BIT(4) | BIT(7) | BIT(20) | BIT(21) | BIT(22));
	r->efer = one_in(4) ? 0 : BIT(11);
	r->rflags = rnd() & BIT(18);
	r->pkru = rnd() >> 7;
	r->cpl = one_in(8) ? 3 : 0;
	r->maxphyaddr = widths[(rnd() >> 9) % sizeof(widths)];
	r->has_1g = one_in(2);
	r->pml4_g_rsvd = one_in(4);
	r->cr3 |= rnd() & 0x18;
	if (mode == 1) {
		r->cr4 |= BIT(5);
		r->cr3 |= rnd() & 0xfe0;
		for (int i = 0; i < 4; i++) {
			pdpte[i] = random_entry(true) & ~0x1e6ull & ~BIT(63);
			if (one_in(20))
				pdpte[i] |= BIT(rnd() >> 58);
		}
		if (one_in(2))
			r->pdpte = pdpte;
	}
	if (mode == 2) {
		r->cr4 |= BIT(5);
		r->efer |= BIT(10) | BIT(8);
	}
	if (mode == 3)
		r->cr0 = 1;
}

static u32 random_access_kind(void)
{
	static const u32 kind[] = {0, PFEC_W, PFEC_I};
	u32 a = kind[(rnd() >> 11) % 3];

	a |= one_in(2) ? PFEC_U : one_in(4) && a != PFEC_I ? WALK_IMPLICIT : 0;
	return a | (one_in(8) ? WALK_NO_AD : 0);
}

static u8 before[sizeof(ram_bytes)], by_ref[sizeof(ram_bytes)];

/* One access by both; false when they disagree in anything. */
static bool agree(const struct walk_regs *r, gva_t gva, u32 access, int *verdict)
{
	struct walk_result res = {0};
	struct ref s;
	bool same;
	int want, got;

	memcpy(before, ram_bytes, sizeof(ram_bytes));
	want = ref_walk(r, gva, access, &s);
	memcpy(by_ref, ram_bytes, sizeof(ram_bytes));
	memcpy(ram_bytes, before, sizeof(ram_bytes));
	got = walk_gva(&mem, r, gva, access, &res);
	*verdict = want;
	same = got == want && memcmp(ram_bytes, by_ref, sizeof(ram_bytes)) == 0;
	if (want == 0)
		same = same && res.gpa == s.gpa && res.page_size == s.size &&
		       res.writable == s.all_write && res.user == s.all_user &&
		       res.nx == s.any_nx && res.dirty == s.dirty && res.global == s.global;
	if (want == -EFAULT)
		same = same && res.error_code == s.code;
	if (want == -EIO)
		same = same && res.bad_gpa == s.bad;
	if (!same)
		printf("# gva %llx access %x cr0 %llx cr4 %llx efer %llx: %d, want %d; code %x, "
		       "want %x; "
		       "gpa %llx, want %llx\n",
		       (unsigned long long)gva, access, (unsigned long long)r->cr0,
		       (unsigned long long)r->cr4, (unsigned long long)r->efer, got, want,
		       res.error_code, s.code, (unsigned long long)res.gpa,
		       (unsigned long long)s.gpa);
	return same;
}

static void random_mode(int mode)
{
	unsigned done = 0, fault = 0, outside = 0;

	for (int round = 0; round < 60; round++) {
		random_ram(mode != 0);
		for (int i = 0; i < 400; i++) {
			struct walk_regs r;
			u64 pdpte[4];
			gva_t gva = rnd();
			int verdict;

			random_regs(&r, mode, pdpte);
			if (mode == 2)
				gva = (u64)((s64)(gva << 16) >> 16);
			if (!agree(&r, gva, random_access_kind(), &verdict)) {
				CHECK(!"walker and reference disagree");
				return;
			}
			done += verdict == 0;
			fault += verdict == -EFAULT;
			outside += verdict == -EIO;
		}
	}
	/* The comparison is worth something only if all outcomes were met. */
	CHECK(done > 1000);
	if (mode != 3)
		CHECK(fault > 1000);
	if (mode == 0 || mode == 2)
		CHECK(outside > 20);
}

TEST(random_32bit_tables_match_the_reference)
{
	random_mode(0);
}

TEST(random_pae_tables_match_the_reference)
{
	random_mode(1);
}

TEST(random_4level_tables_match_the_reference)
{
	random_mode(2);
}

TEST(unpaged_addresses_are_physical)
{
	random_mode(3);
}

/* --- directed --------------------------------------------------------------------------------- */

static u64 *entry_ptr(unsigned page, unsigned index)
{
	return (u64 *)(void *)(ram_bytes + page * PAGE_SIZE + index * 8);
}

/* Page n of RAM as an entry's address. */
static u64 page_at(unsigned n)
{
	return RAM_BASE + n * PAGE_SIZE;
}

#define GVA 0xffff800000201234ull

/* 4-level tables in pages 0..3 mapping GVA to page 4; returns the registers of a 64-bit kernel. */
static struct walk_regs long_mode_setup(void)
{
	memset(ram_bytes, 0, sizeof(ram_bytes));
	*entry_ptr(0, 256) = page_at(1) | 0x27;
	*entry_ptr(1, 0) = page_at(2) | 0x27;
	*entry_ptr(2, 1) = page_at(3) | 0x27;
	*entry_ptr(3, 1) = page_at(4) | 0x63;
	return (struct walk_regs){.cr0 = BIT(31) | BIT(16) | 1,
				  .cr3 = RAM_BASE,
				  .cr4 = BIT(5) | BIT(7),
				  .efer = BIT(8) | BIT(10) | BIT(11),
				  .maxphyaddr = 40,
				  .has_1g = true};
}

TEST(four_levels_translate_and_report_attributes)
{
	struct walk_regs r = long_mode_setup();
	struct walk_result res;

	CHECK_EQ(walk_gva(&mem, &r, GVA, PFEC_I, &res), 0);
	CHECK_EQ(res.gpa, page_at(4) + 0x234);
	CHECK_EQ(res.page_size, 4096);
	CHECK(res.writable && !res.user && !res.nx && res.dirty && !res.global);
}

TEST(first_write_sets_accessed_down_the_path_and_dirty_in_the_leaf_only)
{
	struct walk_regs r = long_mode_setup();
	struct walk_result res;

	for (unsigned i = 0; i < 4; i++)
		*entry_ptr(i, i == 0 ? 256 : i == 1 ? 0 : 1) &= ~0x60ull;
	CHECK_EQ(walk_gva(&mem, &r, GVA, PFEC_W | WALK_NO_AD, &res), 0);
	CHECK_EQ(*entry_ptr(3, 1) & 0x60, 0);
	CHECK_EQ(walk_gva(&mem, &r, GVA, PFEC_W, &res), 0);
	CHECK_EQ(*entry_ptr(0, 256) & 0x60, 0x20);
	CHECK_EQ(*entry_ptr(2, 1) & 0x60, 0x20);
	CHECK_EQ(*entry_ptr(3, 1) & 0x60, 0x60);
	CHECK(res.dirty);
}

TEST(a_faulting_walk_leaves_the_tables_alone)
{
	struct walk_regs r = long_mode_setup();
	struct walk_result res;

	*entry_ptr(0, 256) &= ~0x20ull;
	*entry_ptr(3, 1) = page_at(4) | 1;
	CHECK_EQ(walk_gva(&mem, &r, GVA, PFEC_W, &res), -EFAULT);
	CHECK_EQ(res.error_code, PFEC_P | PFEC_W);
	CHECK_EQ(*entry_ptr(0, 256) & 0x20, 0);
	CHECK_EQ(*entry_ptr(3, 1) & 0x60, 0);
}

TEST(large_pages_ignore_the_pat_bit_and_fault_on_low_address_bits)
{
	struct walk_regs r = long_mode_setup();
	struct walk_result res;

	*entry_ptr(2, 1) = 0x40000000 | 0x10e7 | BIT(8);
	CHECK_EQ(walk_gva(&mem, &r, GVA, 0, &res), 0);
	CHECK_EQ(res.gpa, 0x40001234);
	CHECK_EQ(res.page_size, 2 * MIB);
	CHECK(res.global);
	*entry_ptr(2, 1) |= 0x2000;
	CHECK_EQ(walk_gva(&mem, &r, GVA, 0, &res), -EFAULT);
	CHECK_EQ(res.error_code, PFEC_P | PFEC_RSVD);

	*entry_ptr(1, 0) = 0x80000000 | 0xe7;
	CHECK_EQ(walk_gva(&mem, &r, GVA, 0, &res), 0);
	CHECK_EQ(res.gpa, 0x80201234);
	r.has_1g = false;
	CHECK_EQ(walk_gva(&mem, &r, GVA, 0, &res), -EFAULT);
	CHECK_EQ(res.error_code, PFEC_P | PFEC_RSVD);
}

TEST(fetch_bit_is_pushed_only_with_nx_or_smep)
{
	struct walk_regs r = long_mode_setup();
	struct walk_result res;

	*entry_ptr(3, 1) = 0;
	CHECK_EQ(walk_gva(&mem, &r, GVA, PFEC_I, &res), -EFAULT);
	CHECK_EQ(res.error_code, PFEC_I);
	r.efer &= ~BIT(11);
	CHECK_EQ(walk_gva(&mem, &r, GVA, PFEC_I, &res), -EFAULT);
	CHECK_EQ(res.error_code, 0);
	r.cr4 |= BIT(20);
	CHECK_EQ(walk_gva(&mem, &r, GVA, PFEC_I | PFEC_U, &res), -EFAULT);
	CHECK_EQ(res.error_code, PFEC_I | PFEC_U);
}

TEST(smap_yields_to_ac_but_not_for_implicit_accesses)
{
	struct walk_regs r = long_mode_setup();
	struct walk_result res;

	*entry_ptr(3, 1) |= 4;
	CHECK_EQ(walk_gva(&mem, &r, GVA, 0, &res), 0);
	r.cr4 |= BIT(21);
	CHECK_EQ(walk_gva(&mem, &r, GVA, 0, &res), -EFAULT);
	CHECK_EQ(res.error_code, PFEC_P);
	r.rflags = BIT(18);
	CHECK_EQ(walk_gva(&mem, &r, GVA, 0, &res), 0);
	CHECK_EQ(walk_gva(&mem, &r, GVA, WALK_IMPLICIT, &res), -EFAULT);
	r.cpl = 3;
	CHECK_EQ(walk_gva(&mem, &r, GVA, 0, &res), -EFAULT);
	CHECK_EQ(walk_gva(&mem, &r, GVA, PFEC_U, &res), 0);
}

TEST(protection_keys_refuse_data_and_let_fetches_pass)
{
	struct walk_regs r = long_mode_setup();
	struct walk_result res;

	*entry_ptr(3, 1) |= 4 | 5ull << 59;
	r.cr4 |= BIT(22);
	r.pkru = 1u << 10;
	CHECK_EQ(walk_gva(&mem, &r, GVA, PFEC_U, &res), -EFAULT);
	CHECK_EQ(res.error_code, PFEC_P | PFEC_U | PFEC_PK);
	CHECK_EQ(walk_gva(&mem, &r, GVA, PFEC_U | PFEC_I, &res), 0);
	r.pkru = 2u << 10;
	CHECK_EQ(walk_gva(&mem, &r, GVA, PFEC_U, &res), 0);
	CHECK_EQ(walk_gva(&mem, &r, GVA, PFEC_W, &res), -EFAULT);
	r.cr0 &= ~BIT(16);
	CHECK_EQ(walk_gva(&mem, &r, GVA, PFEC_W, &res), 0);
}

TEST(pse36_puts_a_4m_page_above_4g)
{
	struct walk_regs r = {.cr0 = BIT(31) | 1, .cr3 = RAM_BASE, .cr4 = BIT(4), .maxphyaddr = 40};
	struct walk_result res;
	u32 pde = 0x00800000 | 0xab << 13 | 0xe3;

	memset(ram_bytes, 0, sizeof(ram_bytes));
	memcpy(ram_bytes + 0x300 * 4, &pde, 4);
	CHECK_EQ(walk_gva(&mem, &r, 0xc0012345, 0, &res), 0);
	CHECK_EQ(res.gpa, 0xab00812345);
	CHECK_EQ(res.page_size, 4 * MIB);
	r.maxphyaddr = 36;
	CHECK_EQ(walk_gva(&mem, &r, 0xc0012345, 0, &res), -EFAULT);
	CHECK_EQ(res.error_code, PFEC_P | PFEC_RSVD);
	r.cr4 = 0;
	CHECK_EQ(walk_gva(&mem, &r, 0xc0012345, 0, &res), -EIO);
	CHECK_EQ(res.bad_gpa, 0x00800000 + (0xab << 13) + 0x12 * 4);
}

/* Memory whose owner rewrites an entry between the walker's read and its update. */
static unsigned races;
static void *racing_ram(void *ctx, gpa_t gpa)
{
	if (gpa >= page_at(3) && gpa < page_at(4) && races) {
		races--;
		*entry_ptr(0, 256) ^= BIT(9);
	}
	return ram_at(ctx, gpa);
}

TEST(a_lost_update_race_restarts_the_walk_and_ends)
{
	const struct walk_mem racing = {.ram = racing_ram};
	struct walk_regs r = long_mode_setup();
	struct walk_result res;

	*entry_ptr(0, 256) &= ~0x20ull;
	races = 3;
	CHECK_EQ(walk_gva(&racing, &r, GVA, 0, &res), 0);
	CHECK_EQ(*entry_ptr(0, 256) & 0x20, 0x20);
	CHECK_EQ(races, 0);
	*entry_ptr(0, 256) &= ~0x20ull;
	races = 1000;
	CHECK_EQ(walk_gva(&racing, &r, GVA, 0, &res), -EIO);
	races = 0;
}
