/* A fault of the CPU: the guest's, or ours to fill in.
 *
 * What the error code says is what our tables made of the access. What the guest's tables make of
 * it is found by one walk, and everything follows from that: the guest's own fault with the code
 * of its tables, a device, or the entries to put in, level by level, from what the walk met.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"

#define PREFETCH    16u
#define FILL_NODES  64u /* references that one fill may need */
#define ACCESS_MASK (PFEC_W | PFEC_U | PFEC_I)

struct fill {
	const struct walk_regs *g;
	gva_t gva;
	u32 access;
	struct sh_walk *w;
};

/* --- direct tables --------------------------------------------------------------------------- */

/* Everything a new direct table can map without more tables. */
static void populate(struct shadow *s, struct sh_page *d)
{
	for (unsigned i = 0; i < SH_ENTRIES; i++)
		sh_put(s, d, i, sh_derive(s, d, i, sh_direct_source(d)));
}

static struct sh_page *get_direct(struct shadow *s, u64 key)
{
	struct sh_page *d = sh_find(s, key);

	if (d) {
		d->pinned = s->op;
		d->used = true;
		return d;
	}
	d = sh_get(s, key);
	if (d)
		populate(s, d);
	return d;
}

/* The entry for @gpa below the direct table @d. False: no table to be had. */
static bool fill_direct(struct shadow *s, struct sh_page *d, gpa_t gpa)
{
	for (;;) {
		unsigned level = d->level;
		unsigned idx = gpa >> SH_LEVEL_SHIFT(level) & (SH_ENTRIES - 1);
		u64 e = sh_derive(s, d, idx, sh_direct_source(d));

		d->pinned = s->op;
		if (level > 1 && !sh_present(s, e)) {
			if (!get_direct(s, sh_direct_key(s, d, idx, sh_direct_source(d))))
				return false;
			e = sh_derive(s, d, idx, sh_direct_source(d));
		}
		sh_put(s, d, idx, e);
		if (!sh_is_link(s, d, d->spt[idx]))
			return true;
		d = sh_target(s, d->spt[idx]);
	}
}

/* --- tables of the guest's ------------------------------------------------------------------- */

/* With CR0.WP = 0 the supervisor may write this page although the user may not. */
static bool kernel_only_form(const struct fill *f, const struct sh_page *p)
{
	return (p->key & SH_KEY_WP0) && (f->access & PFEC_W) && !(f->access & PFEC_U) &&
	       !(f->w->all & PTE_W) && (f->w->all & PTE_U);
}

static u64 leaf_for(struct shadow *s, const struct fill *f, struct sh_page *p, unsigned idx, u64 e)
{
	u64 leaf;

	if (!kernel_only_form(f, p))
		return sh_derive(s, p, idx, e);
	leaf = sh_derive(s, p, idx, e & ~PTE_U);
	/* What is not the user's any more must not look executable to a supervisor with SMEP. */
	if (sh_present(s, leaf) && (e & PTE_U) && (s->mode.cr4 & CR4_SMEP))
		leaf |= PTE_NX;
	return leaf;
}

/* One look at them between two flushes of the guest's is enough. */
static inline bool tried_already(const struct shadow *s, struct sh_page *p, unsigned first)
{
	u32 bit = (u32)BIT(first / PREFETCH);
	bool tried = p->epoch == s->epoch && (p->tried & bit);

	if (p->epoch != s->epoch)
		p->tried = 0;
	p->epoch = s->epoch;
	p->tried |= bit;
	return tried;
}

/* Neighbours that the guest has used before. */
static void prefetch(struct shadow *s, struct sh_page *p, unsigned idx)
{
	unsigned first = ALIGN_DOWN(idx, PREFETCH);
	u64 there = p->present[first / 64] >> first % 64;
	const volatile u64 *wide = (const volatile u64 *)(const void *)p->guest + first;

	if (tried_already(s, p, first))
		return;
	for (unsigned i = 0; i < PREFETCH; i++) {
		u64 e = p->kind == SH_32 ? sh_guest(p, first + i) : wide[i];

		if ((e & (PTE_P | PTE_A)) != (PTE_P | PTE_A) || (there >> i & 1))
			continue;
		sh_take(s, p, first + i, e);
		s->stats.prefetched += sh_present(s, p->spt[first + i]);
	}
}

static void fill_small(struct shadow *s, const struct fill *f, struct sh_page *p, unsigned idx,
		       u64 e)
{
	bool changed = p->plain || sh_src(p, idx) != e;

	p->used = true;
	if (changed)
		sh_take(s, p, idx, e);
	if (!changed || kernel_only_form(f, p))
		sh_put(s, p, idx, leaf_for(s, f, p, idx, e));
	prefetch(s, p, idx);
}

static bool fill_leaf(struct shadow *s, const struct fill *f, struct sh_page *p, unsigned idx,
		      u64 e)
{
	u64 leaf = leaf_for(s, f, p, idx, e);

	if (!sh_present(s, leaf)) {
		if (!get_direct(s, sh_direct_key(s, p, idx, e)))
			return false;
		leaf = leaf_for(s, f, p, idx, e);
	}
	sh_put(s, p, idx, leaf);
	return !sh_is_link(s, p, p->spt[idx]) ||
	       fill_direct(s, sh_target(s, p->spt[idx]), f->w->gpa);
}

/* Link the table that @e points to. NULL: none to be had. */
static struct sh_page *step_down(struct shadow *s, struct sh_page *p, unsigned idx, u64 e)
{
	u64 key = sh_child_key(p, idx, e), old = p->spt[idx];
	struct sh_page *child;

	if (sh_is_link(s, p, old) && sh_target(s, old)->key == key) {
		child = sh_target(s, old);
	} else {
		child = sh_get(s, key);
		if (!child)
			return NULL;
		sh_sync_below(s, child);
		sh_settle_again(s, child);
	}
	child->pinned = s->op;
	child->used = true;
	sh_put(s, p, idx, sh_hpa(s, child) | sh_rights(p, e, false) | PTE_A);
	return child;
}

static struct sh_page *top_page(const struct shadow *s, gva_t gva)
{
	u32 n = s->current->page[s->mode.kind == SH_LONG ? 0 : gva >> 30 & 3];

	return n ? &s->page[n] : NULL;
}

static bool fill_once(struct shadow *s, const struct fill *f)
{
	struct sh_page *p = top_page(s, f->gva);

	if (f->w->leaf) {
		fill_small(s, f, f->w->leaf, f->w->step[0].index, f->w->step[0].e);
		return true;
	}
	if (!p)
		return true; /* the root is older than what was walked: it has been loaded anew */
	p->pinned = s->op;
	if (s->mode.kind == SH_DIRECT)
		return fill_direct(s, p, f->w->gpa);
	for (unsigned i = 0;; i++) {
		unsigned idx = f->gva >> SH_LEVEL_SHIFT(p->level) & (SH_ENTRIES - 1);
		unsigned gi = sh_pairs(p) ? idx >> 1 : idx;
		u64 e = f->w->step[i].e;

		if (p->level == 1) {
			fill_small(s, f, p, idx, e);
			return true;
		}
		if (sh_src(p, gi) != e)
			sh_take(s, p, gi, e);
		if (i == f->w->n - 1)
			return fill_leaf(s, f, p, idx, e);
		p = step_down(s, p, idx, e);
		if (!p)
			return false;
	}
}

static void fill(struct shadow *s, const struct fill *f)
{
	if (fill_once(s, f))
		return;
	sh_drop_all(s);
	sh_load_root(s);
	fill_once(s, f);
}

/* --- classification -------------------------------------------------------------------------- */

/* A supervisor's access that the CPU makes on its own (to a descriptor table, say) is checked by
 * SMAP whatever AC says, and the error code does not tell it from others. It is one when the tables
 * allow the access and yet it faults again. */
static bool implicit_access(struct shadow *s, const struct fill *f, u32 error)
{
	bool again = s->last_gva == f->gva && s->last_op + 1 == s->op;

	if (!(f->g->cr4 & CR4_SMAP) || !(f->g->rflags & RFLAGS_AC) || f->g->cpl == 3 ||
	    (error & (PFEC_U | PFEC_I | PFEC_RSVD)) || !(error & PFEC_P) || !(f->w->all & PTE_U))
		return false;
	s->last_gva = f->gva;
	s->last_op = s->op;
	return again;
}

/* Does the leaf's protection key forbid writes, which with WP = 0 is nothing to a supervisor? */
static bool key_forbids_write(const struct fill *f)
{
	unsigned key = f->w->step[f->w->n - 1].e >> PTE_PKEY_SHIFT & 15;

	return (f->g->cr4 & CR4_PKE) && (f->g->pkru >> (key * 2) & 2);
}

/* With CR0.WP = 0 no form of an entry lets the supervisor write and has the CPU, whose WP is 1,
 * check what else it would for a user's page: such a write is carried out in software. */
static bool beyond_forms(const struct shadow *s, const struct fill *f)
{
	if (!s->mode.role || !(f->access & PFEC_W) || (f->access & PFEC_U) || !(f->w->all & PTE_U))
		return false;
	if (s->mode.kind == SH_LONG && key_forbids_write(f))
		return true;
	return !(f->w->all & PTE_W) && (s->mode.cr4 & (CR4_SMAP | CR4_PKE));
}

static struct shadow_outcome outcome(enum shadow_result result, gpa_t gpa, u32 error)
{
	return (struct shadow_outcome){.result = result, .gpa = gpa, .error = error};
}

static struct shadow_outcome fill_access(struct shadow *s, const struct fill *f, u32 error)
{
	u64 before = s->changes;

	fill(s, f);
	if (s->changes == before && implicit_access(s, f, error) &&
	    sh_walk(s, f->g, f->gva, f->access | WALK_IMPLICIT, f->w) == SH_WALK_FAULT)
		return outcome(SHADOW_GUEST, 0, f->w->error);
	/* The CPU may have kept what the entry was before. */
	if ((error & (PFEC_P | PFEC_RSVD)) == PFEC_P)
		s->c.cpu->flush_page(s->c.cpu_ctx, s->tag, f->gva);
	return outcome(SHADOW_RETRY, f->w->gpa, 0);
}

static struct shadow_outcome classify(struct shadow *s, const struct fill *f, u32 error)
{
	bool write = f->access & PFEC_W;
	gpa_t gpa = f->w->gpa;
	hpa_t hpa;
	enum p2m_kind kind = sh_lookup(s, gpa, &hpa);

	if ((kind != P2M_RAM && kind != P2M_ROM) || (kind == P2M_ROM && write))
		return outcome(SHADOW_MMIO, gpa, 0);
	if (write && (*sh_frame(s, gpa) & SH_FRAME_SYNC) &&
	    sh_table_write(s, ALIGN_DOWN(gpa, PAGE_SIZE)))
		return outcome(SHADOW_STORE, gpa, 0);
	if (beyond_forms(s, f))
		return outcome(SHADOW_MMIO, gpa, 0);
	return fill_access(s, f, error);
}

static struct shadow_outcome handle(struct shadow *s, const struct walk_regs *g, gva_t gva,
				    u32 error)
{
	struct sh_walk w;
	struct fill f = {.g = g, .gva = gva, .access = error & ACCESS_MASK, .w = &w};
	enum sh_walked walked = SH_WALK_OK;

	w.leaf = NULL;
	if (s->mode.kind == SH_DIRECT) {
		w.gpa = gva;
		w.all = ~0ull;
		w.n = 0;
	} else if (sh_walk_known(s, g, gva, f.access, &w, &walked)) {
		w.leaf->pinned = s->op;
	} else {
		walked = sh_walk(s, g, gva, f.access, &w);
	}
	switch (walked) {
	case SH_WALK_FAULT:
		return outcome(SHADOW_GUEST, 0, w.error);
	case SH_WALK_RACE:
		return outcome(SHADOW_RETRY, 0, 0);
	default:
		return classify(s, &f, error);
	}
}

/* The guest's tables allow the access without a closer look at modes and bits to be set: its own
 * kind of page, no protection keys. */
static inline bool plainly_allowed(const struct shadow *s, u32 error, u64 e)
{
	u64 all = s->way.all & e;

	if ((s->mode.cr4 & CR4_PKE) || ((error & PFEC_U) != 0) != ((all & PTE_U) != 0))
		return false;
	if ((error & PFEC_I) && ((s->way.any | e) & PTE_NX))
		return false;
	return !(error & PFEC_W) || (all & PTE_W);
}

/* Pages mapped on demand: the guest's own fault, and the one that follows when it has mapped the
 * page. Nearly all faults are one of these, by the same way as the last. False: look closer. */
static inline bool on_demand(struct shadow *s, gva_t gva, u32 error, struct shadow_outcome *o)
{
	unsigned idx = gva >> SHIFT_4K & (SH_ENTRIES - 1);
	struct sh_page *p = s->way.leaf;
	u64 e;

	if (!sh_same_way(s, gva))
		return false;
	e = ((const volatile u64 *)(const void *)p->guest)[idx];
	if (!(e & PTE_P)) {
		*o = outcome(SHADOW_GUEST, 0, error & (PFEC_W | PFEC_U));
		return !(error & PFEC_I);
	}
	if ((error & (PFEC_P | PFEC_RSVD)) == PFEC_P || !plainly_allowed(s, error, e) ||
	    !sh_fill_empty(s, p, idx, e, error & PFEC_W))
		return false;
	prefetch(s, p, idx);
	*o = outcome(SHADOW_RETRY, (e & PTE_ADDR) | (gva & (PAGE_SIZE - 1)), 0);
	return true;
}

static __attribute__((noinline)) struct shadow_outcome look_closer(struct shadow *s,
								   const struct walk_regs *g,
								   gva_t gva, u32 error)
{
	struct shadow_outcome o;

	sh_reserve(s, FILL_NODES);
	o = handle(s, g, gva, error);
	sh_commit(s);
	return o;
}

struct shadow_outcome shadow_fault(struct shadow *s, const struct walk_regs *g, gva_t gva,
				   u32 error)
{
	static const u8 path[] = {
		[SHADOW_RETRY] = SHADOW_PATH_FILL,
		[SHADOW_GUEST] = SHADOW_PATH_GUEST,
		[SHADOW_MMIO] = SHADOW_PATH_MMIO,
	};
	u64 since = sh_now(s);
	struct shadow_outcome o;

	sh_begin(s);
	if (s->mode.kind != SH_LONG)
		gva = (u32)gva;
	if (!on_demand(s, gva, error, &o))
		o = look_closer(s, g, gva, error);
	if (o.result != SHADOW_STORE) /* counted when it is done */
		sh_account(s, path[o.result], since);
	return o;
}
