/* The guest page walk. Two walkers of one meaning: walk_fast() takes the case that nearly every
 * exit is (4-level, everything present and allowed, accessed/dirty already set) and gives up on
 * anything else; walk_once() is the complete one for all modes, faults and A/D updates.
 *
 * A walk that faults leaves the tables untouched: CPUs may set accessed bits before they fault,
 * none has to.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/walk.h"

#include "lib/errno.h"
#include "lib/x86.h"

#define PTE_G	       BIT(8)
#define PTE_PKEY_SHIFT 59
/* Bits 1, 2 and 6-8 of a PAE PDPTE must be zero, as must everything above the address. Bit 5 too,
 * by the book, but some CPUs set it there as if it were an accessed bit. */
#define PDPTE_RSVD 0xfff00000000001c6ull

#define SHIFT_4K	12
#define SHIFT_PAE_PDE	21
#define SHIFT_32_PDE	22
#define SHIFT_PAE_PDPTE 30
#define SHIFT_PML4	39

/* Lost races with another writer of the tables before the walk gives up: no guest that makes
 * progress comes near it. */
#define WALK_RETRIES 16

enum walk_mode { WALK_32, WALK_PAE, WALK_LONG };

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* What a walk has gathered on its way down. */
struct walk_path {
	void *slot[4]; /* entries used, top first */
	u64 entry[4];
	unsigned n;
	unsigned shift; /* of the leaf */
	u64 all, any;	/* AND and OR of the entries that carry permissions */
};

static u64 bits_from(unsigned low, unsigned end)
{
	return end > low ? (BIT(end) - 1) & ~(BIT(low) - 1) : 0;
}

static u64 read64(const void *p)
{
	return *(const volatile u64 *)p;
}

static u64 read32(const void *p)
{
	return *(const volatile u32 *)p;
}

static bool nx_enabled(const struct walk_regs *r)
{
	return (r->efer & EFER_NXE) && (r->cr4 & CR4_PAE);
}

static int walk_fault(const struct walk_regs *r, u32 access, u32 why, struct walk_result *res)
{
	res->error_code = why | (access & (PFEC_W | PFEC_U));
	if ((access & PFEC_I) && (nx_enabled(r) || (r->cr4 & CR4_SMEP)))
		res->error_code |= PFEC_I;
	return -EFAULT;
}

static inline void walk_attributes(struct walk_result *res, const struct walk_regs *r, u64 all,
				   u64 any, u64 leaf)
{
	res->writable = all & PTE_W;
	res->user = all & PTE_U;
	res->nx = any & PTE_NX;
	res->dirty = leaf & PTE_D;
	res->global = (leaf & PTE_G) && (r->cr4 & CR4_PGE);
	res->error_code = 0;
}

/* SMEP, SMAP and protection keys look only at user pages: may this access need them? */
static bool user_page_needs_check(const struct walk_regs *r, u32 access)
{
	if (!(access & PFEC_U))
		return r->cr4 & (CR4_SMEP | CR4_SMAP | CR4_PKE);
	return (r->cr4 & CR4_PKE) && !(access & PFEC_I);
}

/* The fast walk reads first and judges once: its accumulator is the OR of (entry ^ PTE_FAST) over
 * all levels, so that a bit is set where some level lacks P, W, U or A, or has any other bit. What
 * it read below a bad entry was guest RAM at a wrong place: harmless, and thrown away. */
#define PTE_FAST (PTE_P | PTE_W | PTE_U | PTE_A)

/* The accumulator bits that make the fast walk give up. */
static inline u64 fast_refused(const struct walk_regs *r, u32 access)
{
	u64 bits = PTE_P | PTE_A | (PTE_ADDR & (~0ull << (r->maxphyaddr & 63)));

	bits |= access & PFEC_U;
	if ((access & PFEC_I) || !(r->efer & EFER_NXE))
		bits |= PTE_NX;
	if ((access & PFEC_W) && ((access & PFEC_U) || (r->cr0 & CR0_WP)))
		bits |= PTE_W;
	return bits;
}

static inline const void *fast_slot(const struct walk_mem *m, u64 e, gva_t gva, unsigned shift)
{
	return m->ram(m->ctx, (e & PTE_ADDR) + (gva >> (shift - 3) & 0xff8));
}

static inline bool fast_leaf(const struct walk_regs *r, gva_t gva, u32 access, unsigned shift,
			     u64 acc, u64 leaf, struct walk_result *res)
{
	u64 offset = BIT(shift) - 1;

	if (unlikely(acc & fast_refused(r, access)))
		return false;
	if ((access & PFEC_W) && !(leaf & PTE_D))
		return false;
	if (!(acc & PTE_U) && user_page_needs_check(r, access))
		return false;
	if (shift > SHIFT_4K && (leaf & bits_from(13, shift)))
		return false;
	res->page_size = offset + 1;
	res->gpa = (leaf & PTE_ADDR & ~offset) | (gva & offset);
	walk_attributes(res, r, ~acc, acc, leaf);
	return true;
}

/* The hottest path. False: no verdict, take walk_slow(). */
static inline bool walk_fast(const struct walk_mem *m, const struct walk_regs *r, gva_t gva,
			     u32 access, struct walk_result *res)
{
	const void *slot = fast_slot(m, r->cr3, gva, SHIFT_PML4);
	u64 e, acc;

	if (unlikely(!slot))
		return false;
	e = read64(slot);
	if (unlikely(e & (PTE_PS | PTE_G)))
		return false;
	acc = e ^ PTE_FAST;
	slot = fast_slot(m, e, gva, SHIFT_PAE_PDPTE);
	if (unlikely(!slot))
		return false;
	e = read64(slot);
	acc |= e ^ PTE_FAST;
	if (unlikely(e & PTE_PS))
		return r->has_1g && fast_leaf(r, gva, access, SHIFT_PAE_PDPTE, acc, e, res);
	slot = fast_slot(m, e, gva, SHIFT_PAE_PDE);
	if (unlikely(!slot))
		return false;
	e = read64(slot);
	acc |= e ^ PTE_FAST;
	if (e & PTE_PS)
		return fast_leaf(r, gva, access, SHIFT_PAE_PDE, acc, e, res);
	slot = fast_slot(m, e, gva, SHIFT_4K);
	if (unlikely(!slot))
		return false;
	e = read64(slot);
	return fast_leaf(r, gva, access, SHIFT_4K, acc | (e ^ PTE_FAST), e, res);
}

static bool entry_is_large(const struct walk_regs *r, enum walk_mode mode, unsigned shift, u64 e)
{
	if (shift == SHIFT_4K || !(e & PTE_PS))
		return false;
	return mode != WALK_32 || (r->cr4 & CR4_PSE);
}

/* PSE-36 keeps physical bits 39:32 of a 4 MiB page in bits 20:13 of its PDE. */
static unsigned pse36_width(const struct walk_regs *r)
{
	return MIN(MAX(r->maxphyaddr, 32), 40);
}

/* The bits of @e that must be zero at this level (SDM vol. 3 fig. 4-4, 4-7, 4-11). */
static u64 entry_reserved(const struct walk_regs *r, enum walk_mode mode, unsigned shift, u64 e)
{
	bool large = entry_is_large(r, mode, shift, e);
	u64 mask;

	if (mode == WALK_32)
		return large ? e & bits_from(pse36_width(r) - 19, 22) : 0;
	mask = bits_from(r->maxphyaddr, mode == WALK_PAE ? 63 : 52);
	if (!(r->efer & EFER_NXE))
		mask |= PTE_NX;
	if (shift == SHIFT_PML4)
		mask |= PTE_PS | (r->pml4_g_rsvd ? PTE_G : 0);
	else if (shift == SHIFT_PAE_PDPTE && !r->has_1g)
		mask |= PTE_PS;
	else if (large)
		mask |= bits_from(13, shift);
	return e & mask;
}

static gpa_t leaf_frame(const struct walk_regs *r, enum walk_mode mode, const struct walk_path *w)
{
	u64 e = w->entry[w->n - 1];
	gpa_t frame = e & PTE_ADDR & ~(BIT(w->shift) - 1);

	if (mode == WALK_32 && w->shift == SHIFT_32_PDE)
		frame |= (e & bits_from(13, pse36_width(r) - 19)) << 19;
	return frame;
}

/* Follow the tables from @table. 0, or the walk's failure with @res filled. */
static int walk_descend(const struct walk_mem *m, const struct walk_regs *r, enum walk_mode mode,
			gpa_t table, gva_t gva, u32 access, struct walk_path *w,
			struct walk_result *res)
{
	unsigned step = mode == WALK_32 ? 10 : 9;

	for (;; w->shift -= step) {
		u64 index = (gva >> w->shift) & (BIT(step) - 1);
		gpa_t at = table + index * (mode == WALK_32 ? 4 : 8);
		void *slot = m->ram(m->ctx, at);
		u64 e;

		if (!slot) {
			res->bad_gpa = at;
			return -EIO;
		}
		e = mode == WALK_32 ? read32(slot) : read64(slot);
		if (!(e & PTE_P))
			return walk_fault(r, access, 0, res);
		if (entry_reserved(r, mode, w->shift, e))
			return walk_fault(r, access, PFEC_P | PFEC_RSVD, res);
		w->slot[w->n] = slot;
		w->entry[w->n++] = e;
		w->all &= e;
		w->any |= e;
		if (w->shift == SHIFT_4K || entry_is_large(r, mode, w->shift, e))
			return 0;
		table = e & PTE_ADDR;
	}
}

/* PAE's top level: four entries without permissions, in registers or at CR3. */
static int walk_pdpte(const struct walk_mem *m, const struct walk_regs *r, gva_t gva, u32 access,
		      gpa_t *table, struct walk_result *res)
{
	unsigned i = gva >> SHIFT_PAE_PDPTE & 3;
	u64 e;

	if (r->pdpte) {
		e = r->pdpte[i];
	} else {
		gpa_t at = (r->cr3 & 0xffffffe0u) + i * 8;
		const void *slot = m->ram(m->ctx, at);

		if (!slot) {
			res->bad_gpa = at;
			return -EIO;
		}
		e = read64(slot);
	}
	if (!(e & PTE_P))
		return walk_fault(r, access, 0, res);
	if (e & (PDPTE_RSVD | bits_from(r->maxphyaddr, 52)))
		return walk_fault(r, access, PFEC_P | PFEC_RSVD, res);
	*table = e & PTE_ADDR;
	return 0;
}

/* Does the page's protection key refuse this access? (SDM vol. 3 section 4.6.2) */
static bool pkey_refuses(const struct walk_regs *r, enum walk_mode mode, u32 access,
			 const struct walk_path *w)
{
	unsigned key = w->entry[w->n - 1] >> PTE_PKEY_SHIFT & 15;
	u32 rights = r->pkru >> (key * 2);

	if (mode != WALK_LONG || !(r->cr4 & CR4_PKE) || !(w->all & PTE_U) || (access & PFEC_I))
		return false;
	if (rights & 1)
		return true;
	return (rights & 2) && (access & PFEC_W) && ((access & PFEC_U) || (r->cr0 & CR0_WP));
}

/* The access rights of SDM vol. 3 section 4.6.1, keys apart. */
static bool rights_refuse(const struct walk_regs *r, u32 access, const struct walk_path *w)
{
	bool user_page = w->all & PTE_U;

	if ((access & PFEC_I) && nx_enabled(r) && (w->any & PTE_NX))
		return true;
	if (access & PFEC_U)
		return !user_page || ((access & PFEC_W) && !(w->all & PTE_W));
	if ((access & PFEC_W) && !(w->all & PTE_W) && (r->cr0 & CR0_WP))
		return true;
	if (!user_page)
		return false;
	if (access & PFEC_I)
		return r->cr4 & CR4_SMEP;
	if (!(r->cr4 & CR4_SMAP))
		return false;
	/* Supervisor accesses made while CPL is 3 are implicit by definition. */
	return (access & WALK_IMPLICIT) || r->cpl == 3 || !(r->rflags & RFLAGS_AC);
}

static bool slot_set(void *slot, u64 old, u64 bits, bool wide)
{
	u32 old32 = (u32)old;

	if (wide)
		return __atomic_compare_exchange_n((u64 *)slot, &old, old | bits, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	return __atomic_compare_exchange_n((u32 *)slot, &old32, old32 | (u32)bits, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* Set accessed bits down the path and dirty in a written leaf; false: an entry has changed since it
 * was read, the walk must start again. */
static bool walk_set_ad(struct walk_path *w, enum walk_mode mode, u32 access)
{
	for (unsigned i = 0; i < w->n; i++) {
		bool leaf = i == w->n - 1;
		u64 bits = PTE_A | (leaf && (access & PFEC_W) ? PTE_D : 0);

		if ((w->entry[i] & bits) == bits)
			continue;
		if (!slot_set(w->slot[i], w->entry[i], bits, mode != WALK_32))
			return false;
		w->entry[i] |= bits;
	}
	return true;
}

static enum walk_mode mode_of(const struct walk_regs *r)
{
	if (r->efer & EFER_LMA)
		return WALK_LONG;
	return r->cr4 & CR4_PAE ? WALK_PAE : WALK_32;
}

/* One complete walk. -EAGAIN: lost a race for an A/D update. */
static int walk_once(const struct walk_mem *m, const struct walk_regs *r, gva_t gva, u32 access,
		     struct walk_result *res)
{
	static const u8 top_shift[] = {SHIFT_32_PDE, SHIFT_PAE_PDE, SHIFT_PML4};
	enum walk_mode mode = mode_of(r);
	struct walk_path w = {.shift = top_shift[mode], .all = ~0ull};
	gpa_t table = mode == WALK_32 ? r->cr3 & 0xfffff000u : r->cr3 & PTE_ADDR;
	bool pkey;
	int rc;

	if (mode == WALK_PAE) {
		rc = walk_pdpte(m, r, gva, access, &table, res);
		if (rc)
			return rc;
	}
	rc = walk_descend(m, r, mode, table, gva, access, &w, res);
	if (rc)
		return rc;
	pkey = pkey_refuses(r, mode, access, &w);
	if (pkey || rights_refuse(r, access, &w))
		return walk_fault(r, access, PFEC_P | (pkey ? PFEC_PK : 0), res);
	if (!(access & WALK_NO_AD) && !walk_set_ad(&w, mode, access))
		return -EAGAIN;
	res->page_size = BIT(w.shift);
	res->gpa = leaf_frame(r, mode, &w) | (gva & (BIT(w.shift) - 1));
	walk_attributes(res, r, w.all, w.any, w.entry[w.n - 1]);
	return 0;
}

static void walk_unpaged(gva_t gva, struct walk_result *res)
{
	*res = (struct walk_result){.gpa = (u32)gva,
				    .page_size = PAGE_SIZE,
				    .writable = true,
				    .user = true,
				    .dirty = true};
}

static __attribute__((noinline)) int walk_slow(const struct walk_mem *m, const struct walk_regs *r,
					       gva_t gva, u32 access, struct walk_result *res)
{
	int rc = -EAGAIN;

	if (!(r->cr0 & CR0_PG)) {
		walk_unpaged(gva, res);
		return 0;
	}
	if (!(r->efer & EFER_LMA))
		gva = (u32)gva;
	for (int i = 0; i < WALK_RETRIES && rc == -EAGAIN; i++)
		rc = walk_once(m, r, gva, access, res);
	if (rc == -EAGAIN) {
		res->bad_gpa = r->cr3 & PTE_ADDR;
		rc = -EIO;
	}
	return rc;
}

int walk_gva(const struct walk_mem *m, const struct walk_regs *r, gva_t gva, u32 access,
	     struct walk_result *res)
{
	if (likely(r->efer & EFER_LMA) && likely(walk_fast(m, r, gva, access, res)))
		return 0;
	return walk_slow(m, r, gva, access, res);
}
