/* The guest's page walk as the shadow needs it: with every entry met on the way, as what is filled
 * is made from them. The rules are those of SDM vol. 3 ch. 4 and APM vol. 2 ch. 5.
 *
 * A walk that faults leaves the tables untouched.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"

#define RETRIES 16

/* What a bus answers where nobody is. */
static const u8 ones[PAGE_SIZE] = {[0 ... PAGE_SIZE - 1] = 0xff};

const u8 *sh_guest_read(const struct shadow *s, gpa_t gpa)
{
	const u8 *p = p2m_ptr(s->m, gpa);

	if (!p)
		p = p2m_ptr_read(s->m, gpa);
	return p ? p : ones + (gpa & (PAGE_SIZE - 1));
}

bool sh_is_large(const struct shadow *s, enum sh_kind kind, unsigned level, u64 e)
{
	if (level == 1 || !(e & PTE_PS))
		return false;
	return kind != SH_32 || (s->format & SH_FORMAT_PSE);
}

/* PSE-36: physical bits 39:32 of a 4 MiB page are bits 20:13 of its entry. */
gpa_t sh_leaf_gpa(const struct shadow *s, enum sh_kind kind, unsigned level, u64 e)
{
	unsigned width = MIN(MAX(s->mode.maxphyaddr, 32), 40);

	if (kind != SH_32 || level == 1)
		return e & PTE_ADDR & ~(SH_LEVEL_SIZE(level) - 1);
	return (e & 0xffc00000u) | (e >> 13 & (BIT(width - 32) - 1)) << 32;
}

static bool nx_enabled(const struct walk_regs *g)
{
	return (g->efer & EFER_NXE) && (g->cr4 & CR4_PAE);
}

static enum sh_walked fault(const struct walk_regs *g, u32 access, u32 why, struct sh_walk *w)
{
	w->error = why | (access & (PFEC_W | PFEC_U));
	if ((access & PFEC_I) && (nx_enabled(g) || (g->cr4 & CR4_SMEP)))
		w->error |= PFEC_I;
	return SH_WALK_FAULT;
}

static bool key_refuses(const struct shadow *s, const struct walk_regs *g, u32 access,
			const struct sh_walk *w)
{
	u32 rights = g->pkru >> ((w->step[w->n - 1].e >> PTE_PKEY_SHIFT & 15) * 2);

	if (s->mode.kind != SH_LONG || !(g->cr4 & CR4_PKE) || !(w->all & PTE_U) ||
	    (access & PFEC_I))
		return false;
	if (rights & 1)
		return true;
	return (rights & 2) && (access & PFEC_W) && ((access & PFEC_U) || (g->cr0 & CR0_WP));
}

static bool refused(const struct walk_regs *g, u32 access, const struct sh_walk *w)
{
	bool user_page = w->all & PTE_U, read_only = !(w->all & PTE_W);

	if ((access & PFEC_I) && (w->any & PTE_NX))
		return true;
	if (access & PFEC_U)
		return !user_page || ((access & PFEC_W) && read_only);
	if ((access & PFEC_W) && read_only && (g->cr0 & CR0_WP))
		return true;
	if (!user_page)
		return false;
	if (access & PFEC_I)
		return g->cr4 & CR4_SMEP;
	if (!(g->cr4 & CR4_SMAP))
		return false;
	return (access & WALK_IMPLICIT) || g->cpl == 3 || !(g->rflags & RFLAGS_AC);
}

static bool entry_or(const struct sh_step *t, u64 bits, bool wide)
{
	u64 old = t->e;
	u32 old32 = (u32)t->e;

	if (!t->ram)
		return true;
	if (wide)
		return __atomic_compare_exchange_n((u64 *)t->slot, &old, old | bits, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	return __atomic_compare_exchange_n((u32 *)t->slot, &old32, old32 | (u32)bits, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* False: an entry changed since it was read. */
static bool mark(struct sh_walk *w, bool wide, u32 access)
{
	for (unsigned i = 0; i < w->n; i++) {
		struct sh_step *t = &w->step[i];
		u64 bits = PTE_A | (i == w->n - 1 && (access & PFEC_W) ? PTE_D : 0);

		if ((t->e & bits) == bits)
			continue;
		if (!entry_or(t, bits, wide))
			return false;
		t->e |= bits;
	}
	return true;
}

static void step_read(const struct shadow *s, struct sh_step *t, gpa_t table, bool wide)
{
	gpa_t at = table + t->index * (wide ? 8 : 4);

	t->slot = p2m_ptr(s->m, at);
	t->ram = t->slot;
	if (!t->ram)
		t->slot = (void *)(uintptr_t)sh_guest_read(s, at);
	t->e = wide ? *(const volatile u64 *)t->slot : *(const volatile u32 *)t->slot;
}

static enum sh_walked descend(struct shadow *s, const struct walk_regs *g, gpa_t table, gva_t gva,
			      u32 access, struct sh_walk *w)
{
	bool wide = s->mode.kind != SH_32;
	unsigned bits = wide ? 9 : 10;

	for (unsigned level = s->mode.kind == SH_LONG ? 4 : 2;; level--) {
		struct sh_step *t = &w->step[w->n];
		unsigned shift = SHIFT_4K + bits * (level - 1);

		t->index = gva >> shift & (BIT(bits) - 1);
		step_read(s, t, table, wide);
		if (!(t->e & PTE_P))
			return fault(g, access, 0, w);
		if (t->e & s->rsvd[level][level > 1 && (t->e & PTE_PS)])
			return fault(g, access, PFEC_P | PFEC_RSVD, w);
		w->n++;
		w->all &= t->e;
		w->any |= t->e;
		if (level == 1 || sh_is_large(s, s->mode.kind, level, t->e)) {
			w->gpa = sh_leaf_gpa(s, s->mode.kind, level, t->e) |
				 (gva & (BIT(shift) - 1));
			return SH_WALK_OK;
		}
		table = t->e & PTE_ADDR;
	}
}

/* All entries are there: rights, accessed and dirty bits. */
static enum sh_walked finish(struct shadow *s, const struct walk_regs *g, u32 access,
			     struct sh_walk *w)
{
	bool key = key_refuses(s, g, access, w);

	if (key || refused(g, access, w))
		return fault(g, access, PFEC_P | (key ? PFEC_PK : 0), w);
	return mark(w, s->mode.kind != SH_32, access) ? SH_WALK_OK : SH_WALK_RACE;
}

static enum sh_walked walk_once(struct shadow *s, const struct walk_regs *g, gva_t gva, u32 access,
				struct sh_walk *w)
{
	gpa_t table = s->mode.kind == SH_32 ? s->mode.cr3 & 0xfffff000u : s->mode.cr3 & PTE_ADDR;
	w->n = 0;
	w->all = ~0ull;
	w->any = 0;
	if (s->mode.kind == SH_PAE) {
		u64 e = s->mode.pdpte[gva >> 30 & 3];

		if (!(e & PTE_P))
			return fault(g, access, 0, w);
		if (sh_pdpte_reserved(e, g->maxphyaddr))
			return fault(g, access, PFEC_P | PFEC_RSVD, w);
		table = e & PTE_ADDR;
	}
	if (descend(s, g, table, gva, access, w) != SH_WALK_OK)
		return SH_WALK_FAULT;
	return finish(s, g, access, w);
}

enum sh_walked sh_walk(struct shadow *s, const struct walk_regs *g, gva_t gva, u32 access,
		       struct sh_walk *w)
{
	enum sh_walked rc = SH_WALK_RACE;

	for (unsigned i = 0; i < RETRIES && rc == SH_WALK_RACE; i++)
		rc = walk_once(s, g, gva, access, w);
	return rc;
}

/* A link of ours says that the guest's entry it was made from is present, accessed and has no bit
 * reserved; if that has not changed it is the guest's link, and no address need be looked up. */
static bool find_way(struct shadow *s, gva_t gva)
{
	bool longmode = s->mode.kind == SH_LONG;
	u32 top = s->current->page[longmode ? 0 : gva >> 30 & 3];
	struct sh_page *p = &s->page[top];
	struct sh_way *y = &s->way;

	y->region = ~0ull;
	if ((!longmode && s->mode.kind != SH_PAE) || s->mode.role || !top)
		return false;
	y->all = ~0ull;
	y->any = 0;
	for (unsigned i = 0; i < SH_WAY_LINKS; i++) {
		unsigned idx = gva >> SH_LEVEL_SHIFT(p->level) & (SH_ENTRIES - 1);
		const volatile u64 *slot = (const volatile u64 *)(const void *)p->guest + idx;
		u64 e = *slot;

		if (e != ((const u64 *)p->src)[idx] || !sh_is_link(s, p, p->spt[idx]))
			return false;
		y->slot[i] = slot;
		y->e[i] = e;
		y->all &= e;
		y->any |= e;
		/* PAE's one link fills all three places. */
		if (longmode || i == SH_WAY_LINKS - 1)
			p = sh_target(s, p->spt[idx]);
		if (!p->guest)
			return false;
	}
	y->leaf = p;
	y->edits = s->edits;
	y->region = gva >> SH_LEVEL_SHIFT(2);
	return true;
}

bool sh_walk_known(struct shadow *s, const struct walk_regs *g, gva_t gva, u32 access,
		   struct sh_walk *w, enum sh_walked *verdict)
{
	struct sh_step *t = &w->step[0];
	struct sh_page *p;

	if (!sh_same_way(s, gva) && !find_way(s, gva))
		return false;
	p = s->way.leaf;
	w->leaf = p;
	w->n = 1;
	t->index = gva >> SHIFT_4K & (SH_ENTRIES - 1);
	t->slot = (u64 *)(uintptr_t)p->guest + t->index;
	t->ram = p->in_ram;
	t->e = *(const volatile u64 *)t->slot;
	w->all = s->way.all & t->e;
	w->any = s->way.any | t->e;
	if (!(t->e & PTE_P))
		*verdict = fault(g, access, 0, w);
	else if (t->e & s->rsvd[1][0])
		*verdict = fault(g, access, PFEC_P | PFEC_RSVD, w);
	else
		*verdict = finish(s, g, access, w);
	w->gpa = (t->e & PTE_ADDR) | (gva & (PAGE_SIZE - 1));
	return true;
}

bool shadow_pdpte_bad(const struct shadow *s, const struct walk_regs *g)
{
	const u64 *e = g->pdpte;

	if (!(g->cr0 & CR0_PG) || !(g->cr4 & CR4_PAE) || (g->efer & EFER_LMA))
		return false;
	if (!e)
		e = (const u64 *)(const void *)sh_guest_read(s, g->cr3 & 0xffffffe0u);
	for (unsigned i = 0; i < 4; i++)
		if ((e[i] & PTE_P) && sh_pdpte_reserved(e[i], g->maxphyaddr))
			return true;
	return false;
}
