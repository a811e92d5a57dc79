/* Roots, and the tags under which the CPU caches what it finds below them.
 *
 * Roots outlive CR3 loads, and so do the CPU's translations under a tag of a root's own: shadow
 * tables only ever say what the guest may do now, and whatever takes a right away marks the tags it
 * may be cached under as stale. A stale tag is flushed when the guest loads CR3 again, or at once
 * when the loss is none that the guest would flush for.
 *
 * A root of SHADOW_PAE is four entries in a page below 4 GiB, complete from the start, as CPUs load
 * them with CR3.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"

/* Changes of these empty the guest's TLB. */
#define CR4_FLUSHES (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP | CR4_PKE)
/* Changes of these load the PDPTEs (SDM vol. 3 section 4.4.1). */
#define CR0_PDPTES (CR0_CD | CR0_NW | CR0_PG)
#define CR4_PDPTES (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)

/* --- mode ------------------------------------------------------------------------------------ */

static u64 bits_from(unsigned low, unsigned end)
{
	return end > low ? (BIT(end) - 1) & ~(BIT(low) - 1) : 0;
}

/* SDM vol. 3 tables 4-4 to 4-19: what must be zero, without and with PS. */
static void set_reserved(struct shadow *s)
{
	const struct sh_mode *m = &s->mode;
	unsigned pse36 = MIN(MAX(m->maxphyaddr, 32), 40);
	u64 any = bits_from(m->maxphyaddr, m->kind == SH_PAE ? 63 : 52) |
		  (m->efer & EFER_NXE ? 0 : PTE_NX);

	for (unsigned i = 0; i < ARRAY_SIZE(s->rsvd); i++)
		s->rsvd[i][0] = s->rsvd[i][1] = m->kind == SH_32 ? 0 : any;
	if (m->kind == SH_32) {
		if (m->cr4 & CR4_PSE)
			s->rsvd[2][1] = bits_from(pse36 - 19, 22);
		return;
	}
	s->rsvd[2][1] |= bits_from(13, 21);
	s->rsvd[3][1] |= m->has_1g ? bits_from(13, 30) : PTE_PS;
	s->rsvd[4][0] |= m->pml4_g_rsvd ? BIT(8) : 0;
	s->rsvd[4][1] |= PTE_PS;
}

static enum sh_kind kind_of(const struct walk_regs *g)
{
	if (!(g->cr0 & CR0_PG))
		return SH_DIRECT;
	if (g->efer & EFER_LMA)
		return SH_LONG;
	return g->cr4 & CR4_PAE ? SH_PAE : SH_32;
}

static void set_format(struct shadow *s)
{
	u64 format = s->mode.kind | (s->mode.cr4 & CR4_PSE ? SH_FORMAT_PSE : 0) |
		     (s->mode.efer & EFER_NXE ? SH_FORMAT_NXE : 0) |
		     (s->mode.cr4 & CR4_SMEP ? SH_FORMAT_SMEP : 0) |
		     (s->mode.cr4 & CR4_SMAP ? SH_FORMAT_SMAP : 0) |
		     (s->mode.cr4 & CR4_PKE ? SH_FORMAT_PKE : 0);
	bool fetches =
		(s->mode.efer & EFER_NXE && s->mode.cr4 & CR4_PAE) || (s->mode.cr4 & CR4_SMEP);

	/* Without paging, tables are kept as they were read last. */
	if (s->mode.kind == SH_DIRECT || format == s->format)
		return;
	sh_drop_all(s);
	s->format = format;
	set_reserved(s);
	/* The CPU, with NX on, tells fetches from reads in an error code: not for this guest. */
	s->absent = fetches ? 0 : s->trap;
}

void sh_set_mode(struct shadow *s, const struct walk_regs *g)
{
	struct sh_mode *m = &s->mode;

	m->cr0 = g->cr0;
	m->cr3 = g->cr3;
	m->cr4 = g->cr4;
	m->efer = g->efer;
	m->maxphyaddr = g->maxphyaddr;
	m->has_1g = g->has_1g;
	m->pml4_g_rsvd = g->pml4_g_rsvd;
	m->kind = kind_of(g);
	m->role = m->kind != SH_DIRECT && !(g->cr0 & CR0_WP) ? SH_KEY_WP0 : 0;
	set_format(s);
}

void sh_sample_pdptes(struct shadow *s, const struct walk_regs *g)
{
	const u64 *e = g->pdpte;

	if (s->mode.kind != SH_PAE)
		return;
	if (!e)
		e = (const u64 *)(const void *)sh_guest_read(s, g->cr3 & 0xffffffe0u);
	for (unsigned i = 0; i < 4; i++)
		s->mode.pdpte[i] = ((const volatile u64 *)e)[i];
}

const u64 *shadow_pdpte(const struct shadow *s)
{
	return s->mode.kind == SH_PAE ? s->mode.pdpte : NULL;
}

/* --- who is reached from where --------------------------------------------------------------- */

static bool root_has(const struct shadow *s, const struct sh_root *r, const struct sh_page *p)
{
	u32 n = sh_number(s, p);

	return r->page[0] == n || r->page[1] == n || r->page[2] == n || r->page[3] == n;
}

bool sh_in_current(const struct shadow *s, const struct sh_page *p)
{
	return s->current && root_has(s, s->current, p);
}

bool sh_out_of_reach(const struct shadow *s, const struct sh_page *p, const struct sh_root *r)
{
	while (!p->roots) {
		u32 ref = sh_chain_first(s, p->parents);

		if (!ref)
			return true;
		if (!sh_chain_single(p->parents))
			return false;
		p = &s->page[ref >> 9];
	}
	return !p->parents && !root_has(s, r, p);
}

/* Tags under which translations through @p can be cached. */
static u32 tags_of(const struct shadow *s, const struct sh_page *p)
{
	while (!p->roots) {
		u32 ref = sh_chain_first(s, p->parents);

		if (!ref)
			return 0;
		if (!sh_chain_single(p->parents))
			return SH_ALL_TAGS;
		p = &s->page[ref >> 9];
	}
	return p->parents ? SH_ALL_TAGS : p->tags;
}

void sh_lost(struct shadow *s, struct sh_page *p, bool now)
{
	u32 tags = SH_BUG(FLUSH) ? 0 : tags_of(s, p);

	s->stale |= tags;
	if (now && (tags & BIT(s->tag)))
		s->flush_now = true;
}

/* --- tags ------------------------------------------------------------------------------------ */

/* The tables at the top of @r have to know which tags their roots own. */
static void tell_tags(struct shadow *s, const struct sh_root *r)
{
	for (unsigned i = 0; r && i < 4; i++) {
		struct sh_page *p = &s->page[r->page[i]];

		p->tags = 0;
		for (unsigned t = 0; t < SHADOW_TAGS; t++)
			if (s->tag_owner[t] && root_has(s, s->tag_owner[t], p))
				p->tags |= BIT(t);
	}
}

static void give_tag(struct shadow *s, unsigned tag, struct sh_root *r)
{
	struct sh_root *before = s->tag_owner[tag];

	if (s->tag_owner[SHADOW_TAG_SHARED] == r)
		s->tag_owner[SHADOW_TAG_SHARED] = NULL;
	if (before)
		before->tag = SHADOW_TAG_SHARED;
	s->tag_owner[tag] = r;
	r->tag = (u8)tag;
	s->stale |= BIT(tag);
	tell_tags(s, before);
	tell_tags(s, r);
}

/* A tag of its own if there is one to spare, or whose owner has not run since @r did. */
static unsigned choose_tag(struct shadow *s, struct sh_root *r)
{
	unsigned best = 0;

	if (r->tag != SHADOW_TAG_SHARED)
		return r->tag;
	for (unsigned t = 0; t < SHADOW_TAG_SHARED; t++) {
		if (!s->tag_owner[t]) {
			give_tag(s, t, r);
			return t;
		}
		if (s->tag_owner[t]->used < s->tag_owner[best]->used)
			best = t;
	}
	if (r->before > s->tag_owner[best]->used)
		give_tag(s, best, r);
	else if (s->tag_owner[SHADOW_TAG_SHARED] != r)
		give_tag(s, SHADOW_TAG_SHARED, r);
	return r->tag;
}

/* --- roots ----------------------------------------------------------------------------------- */

static void drop_root(struct shadow *s, struct sh_root *r)
{
	const struct sh_root gone = *r;

	s->ways++;
	s->edits++;
	for (unsigned i = 0; i < 4; i++)
		if (r->page[i])
			s->page[r->page[i]].roots--;
	for (unsigned t = 0; t < SHADOW_TAGS; t++) {
		if (s->tag_owner[t] != r)
			continue;
		s->tag_owner[t] = NULL;
		s->stale |= BIT(t);
	}
	if (s->current == r)
		s->current = NULL;
	*r = (struct sh_root){.pdpt = r->pdpt,
			      .table = s->low_base + (hpa_t)(r - s->root) * 32,
			      .tag = SHADOW_TAG_SHARED};
	tell_tags(s, &gone);
}

void sh_drop_roots(struct shadow *s, struct sh_page *p)
{
	for (unsigned i = 0; i < SH_ROOTS; i++)
		if (s->root[i].valid && (!p || root_has(s, &s->root[i], p)))
			drop_root(s, &s->root[i]);
}

/* The guest tables at the top, as a root remembers them. */
static void root_tops(const struct shadow *s, gpa_t top[4])
{
	const struct sh_mode *m = &s->mode;

	for (unsigned i = 0; i < 4; i++)
		top[i] = 0;
	if (m->kind == SH_LONG)
		top[0] = (m->cr3 & PTE_ADDR) | 1;
	for (unsigned i = 0; i < 4; i++) {
		if (m->kind == SH_32)
			top[i] = (m->cr3 & 0xfffff000u) | 1;
		else if (m->kind == SH_DIRECT)
			top[i] = i * GIB | 1;
		else if (m->kind == SH_PAE && (m->pdpte[i] & PTE_P) &&
			 !sh_pdpte_reserved(m->pdpte[i], m->maxphyaddr))
			top[i] = (m->pdpte[i] & PTE_ADDR) | 1;
	}
}

static u64 top_key(const struct shadow *s, const gpa_t *top, unsigned i)
{
	const struct sh_mode *m = &s->mode;

	return sh_key(top[i] & PTE_ADDR, m->kind, m->kind == SH_LONG ? 4 : 2,
		      m->kind == SH_32 ? i : 0, m->role);
}

static struct sh_root *find_root(struct shadow *s, const gpa_t *top)
{
	for (unsigned i = 0; i < SH_ROOTS; i++) {
		struct sh_root *r = &s->root[i];

		if (r->valid && r->role == (s->mode.role | s->mode.kind) && r->top[0] == top[0] &&
		    r->top[1] == top[1] && r->top[2] == top[2] && r->top[3] == top[3])
			return r;
	}
	return NULL;
}

/* An unused one, or the one not loaded for longest. */
static struct sh_root *free_root(struct shadow *s)
{
	struct sh_root *best = &s->root[0];

	for (unsigned i = 0; i < SH_ROOTS; i++) {
		if (!s->root[i].valid)
			return &s->root[i];
		if (s->root[i].used < best->used)
			best = &s->root[i];
	}
	drop_root(s, best);
	return best;
}

static struct sh_root *make_root(struct shadow *s, const gpa_t *top)
{
	struct sh_root *r = free_root(s);

	r->valid = true;
	r->role = s->mode.role | s->mode.kind;
	for (unsigned i = 0; i < 4; i++) {
		struct sh_page *p;

		r->top[i] = top[i];
		/* The top level has no entry that traps. */
		r->pdpt[i] = s->absent ? (s->low_base + PAGE_SIZE) | PTE_P : 0;
		if (!(top[i] & 1))
			continue;
		p = sh_get(s, top_key(s, top, i));
		if (!p) {
			drop_root(s, r);
			return NULL;
		}
		p->pinned = s->op;
		p->roots++;
		r->page[i] = sh_number(s, p);
		sh_link_known(s, p);
		r->pdpt[i] = sh_hpa(s, p) | PTE_P;
	}
	if (s->mode.kind == SH_LONG)
		r->table = r->pdpt[0] & PTE_ADDR;
	return r;
}

void sh_load_root(struct shadow *s)
{
	struct shadow_root load;
	struct sh_root *r;
	gpa_t top[4];

	root_tops(s, top);
	r = find_root(s, top);
	if (r) {
		s->stats.root_hits++;
	} else {
		s->stats.root_misses++;
		s->current = NULL; /* nothing of the old one has to stay */
		r = make_root(s, top);
		if (!r) {
			sh_drop_all(s);
			r = make_root(s, top);
		}
	}
	if (r != s->current) {
		s->ways++;
		s->edits++;
	}
	r->before = r->used;
	r->used = ++s->loads;
	s->current = r;
	s->tag = choose_tag(s, r);
	sh_sync_root(s, r, false);
	if (s->stale & BIT(s->tag))
		s->flush_now = true;
	load = (struct shadow_root){.table = r->table,
				    .format = s->mode.kind == SH_LONG ? SHADOW_LONG : SHADOW_PAE,
				    .tag = s->tag};
	s->c.cpu->load(s->c.cpu_ctx, &load);
}

/* The root of that CR3, of PAE with the top entries as they are now; NULL. */
static struct sh_root *root_of(struct shadow *s, u64 cr3)
{
	const struct sh_mode mode = s->mode;
	const struct walk_regs g = {.cr3 = cr3};
	struct sh_root *r;
	gpa_t top[4];

	s->mode.cr3 = cr3;
	sh_sample_pdptes(s, &g);
	root_tops(s, top);
	r = find_root(s, top);
	s->mode = mode;
	return r;
}

void shadow_forget(struct shadow *s, u64 cr3)
{
	struct sh_root *r = root_of(s, cr3);
	u32 page[4];

	if (!r || (s->active && r == s->current))
		return;
	sh_begin(s);
	for (unsigned i = 0; i < 4; i++)
		page[i] = r->page[i];
	drop_root(s, r);
	for (unsigned i = 0; i < 4; i++)
		if (page[i])
			sh_drop_orphan(s, &s->page[page[i]]);
	sh_commit(s);
}

/* --- events ---------------------------------------------------------------------------------- */

void sh_flush_now(struct shadow *s)
{
	s->c.cpu->flush(s->c.cpu_ctx, s->tag);
	s->flush_now = false;
	s->stale &= ~(u32)BIT(s->tag);
}

void sh_guest_flushed(struct shadow *s)
{
	s->epoch++;
	if (s->c.policy == SHADOW_VTLB)
		sh_drop_all(s);
}

void shadow_load_cr3(struct shadow *s, const struct walk_regs *g)
{
	u64 since = sh_now(s);

	sh_begin(s);
	sh_set_mode(s, g);
	sh_sample_pdptes(s, g);
	sh_guest_flushed(s);
	sh_load_root(s);
	sh_commit(s);
	sh_account(s, SHADOW_PATH_ROOT, since);
}

void shadow_mode_changed(struct shadow *s, const struct walk_regs *g)
{
	struct sh_mode old = s->mode;
	u64 cr0 = old.cr0 ^ g->cr0, cr4 = old.cr4 ^ g->cr4, efer = old.efer ^ g->efer;

	if (!(cr0 & (CR0_PDPTES | CR0_WP)) && !(cr4 & CR4_FLUSHES) &&
	    !(efer & (EFER_NXE | EFER_LMA)))
		return;
	sh_begin(s);
	sh_set_mode(s, g);
	if ((cr0 & CR0_PDPTES) || (cr4 & CR4_PDPTES) || old.kind != s->mode.kind)
		sh_sample_pdptes(s, g);
	if ((cr0 & CR0_PG) || (cr4 & CR4_FLUSHES) || (efer & (EFER_NXE | EFER_LMA))) {
		sh_guest_flushed(s);
		s->stale = SH_ALL_TAGS;
	}
	sh_load_root(s);
	sh_commit(s);
}
