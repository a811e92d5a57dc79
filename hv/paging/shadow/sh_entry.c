/* One entry of a shadow table: what it has to be, and what else changes when it does.
 *
 * Rights are mirrored: each of our entries carries those of the guest's at the same level, and the
 * CPU combines them. So a table looks the same from wherever it is reached. Two exceptions:
 *
 *   CR0.WP = 0   The CPU runs with WP = 1. Links are writable, W is folded into the leaf (the key
 *                says what was refused above), and a supervisor's write to a read-only user page
 *                gets a leaf that is writable and not the user's, until the user wants it.
 *   direct       Tables of ours for a large leaf of the guest's allow everything; what the guest
 *                allows stands in the entry that links them.
 *
 * A leaf is there only if the guest's has A set, is writable only if that has D set; thus both are
 * set by the walk of a fault.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"

#define RIGHTS_MASK (PTE_ADDR | PTE_P | PTE_W | PTE_U | PTE_PS | PTE_NX | PTE_PKEY)
#define DIRECT_ALL  (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

u64 sh_direct_source(const struct sh_page *p)
{
	u64 key = p->key >> SH_KEY_PKEY_SHIFT & 15;

	return DIRECT_ALL | key << PTE_PKEY_SHIFT | (p->level > 1 ? PTE_PS : 0);
}

gpa_t sh_entry_gpa(const struct shadow *s, const struct sh_page *p, unsigned idx)
{
	unsigned level = p->level;

	if (p->kind == SH_DIRECT)
		return sh_key_gpa(p->key) + ((gpa_t)idx << SH_LEVEL_SHIFT(level));
	if (sh_pairs(p))
		return sh_leaf_gpa(s, SH_32, level, sh_src(p, idx >> 1)) +
		       (idx & 1) * SH_LEVEL_SIZE(2);
	return sh_leaf_gpa(s, p->kind, level, sh_src(p, idx));
}

u64 sh_rights(const struct sh_page *p, u64 e, bool leaf)
{
	u64 r = PTE_P | (e & (PTE_U | PTE_NX));
	bool w = e & PTE_W;

	if (!leaf)
		return r | (w || (p->key & SH_KEY_WP0) ? PTE_W : 0);
	if (p->key & SH_KEY_WP0)
		w = (w && !(p->key & SH_KEY_READONLY)) || !(e & PTE_U) || (p->key & SH_KEY_KERNEL);
	if (p->kind == SH_LONG || p->kind == SH_DIRECT)
		r |= e & PTE_PKEY;
	return r | (w && ((e & PTE_D) || SH_BUG(DIRTY)) ? PTE_W : 0);
}

u64 sh_child_key(const struct sh_page *p, unsigned idx, u64 e)
{
	u64 role = 0;

	if (p->key & SH_KEY_WP0)
		role = (p->key & (SH_KEY_WP0 | SH_KEY_READONLY | SH_KEY_KERNEL)) |
		       (e & PTE_W ? 0 : SH_KEY_READONLY) | (e & PTE_U ? 0 : SH_KEY_KERNEL);
	return sh_key(e & PTE_ADDR, p->kind, p->level - 1, sh_pairs(p) ? idx & 1 : 0, role);
}

static u64 direct_key(const struct sh_page *p, gpa_t gpa, u64 e)
{
	u64 pkey = 0;

	if (p->kind == SH_LONG || p->kind == SH_DIRECT)
		pkey = (e >> PTE_PKEY_SHIFT & 15) << SH_KEY_PKEY_SHIFT;
	return sh_key(gpa, SH_DIRECT, p->level - 1, 0, pkey);
}

u64 sh_direct_key(const struct shadow *s, const struct sh_page *p, unsigned idx, u64 e)
{
	gpa_t gpa = sh_leaf_gpa(s, p->kind, p->level, e);

	if (p->kind == SH_DIRECT)
		gpa = sh_entry_gpa(s, p, idx);
	else if (sh_pairs(p))
		gpa += (idx & 1) * SH_LEVEL_SIZE(2);
	return direct_key(p, gpa, e);
}

static inline u64 small_leaf(const struct shadow *s, gpa_t gpa, u64 rights)
{
	hpa_t hpa;
	enum p2m_kind kind = sh_lookup(s, gpa, &hpa);

	if (kind != P2M_RAM && kind != P2M_ROM)
		return s->trap;
	if (kind == P2M_ROM || (*sh_frame(s, gpa) & SH_FRAME_SYNC))
		rights &= ~PTE_W;
	return hpa | rights;
}

/* Rights of a link carry no key: bits 62:52 are ignored or reserved there. */
static u64 link_to(const struct shadow *s, const struct sh_page *child, u64 rights)
{
	return sh_hpa(s, child) | (rights & ~PTE_PKEY);
}

/* The guest's D is set where we allow writes, so ours need not tell. */
static u64 with_dirty(const struct shadow *s, u64 leaf)
{
	return (leaf & PTE_W) && leaf != s->trap ? leaf | PTE_D : leaf;
}

static u64 derive_leaf(struct shadow *s, struct sh_page *p, unsigned idx, u64 e)
{
	unsigned level = p->level;
	u64 rights = sh_rights(p, e, true), key, leaf;
	const struct sh_page *direct;
	gpa_t gpa;
	hpa_t hpa;

	if (level == 1) {
		gpa = p->kind == SH_DIRECT ? sh_entry_gpa(s, p, idx) : e & PTE_ADDR;
		leaf = small_leaf(s, gpa, rights);
	} else {
		key = sh_direct_key(s, p, idx, e);
		gpa = sh_key_gpa(key);
		if (sh_large_ok(s, gpa, level, rights & PTE_W)) {
			p2m_lookup(s->m, gpa, &hpa);
			leaf = hpa | rights | PTE_PS;
		} else {
			direct = sh_find(s, key);
			return direct ? link_to(s, direct, rights) : s->trap;
		}
	}
	return with_dirty(s, leaf);
}

static u64 derive_link(struct shadow *s, struct sh_page *p, unsigned idx, u64 e)
{
	struct sh_page *child = sh_find(s, sh_child_key(p, idx, e));

	if (!child)
		return s->trap;
	sh_sync_below(s, child);
	return link_to(s, child, sh_rights(p, e, false));
}

u64 sh_derive(struct shadow *s, struct sh_page *p, unsigned idx, u64 e)
{
	enum sh_kind kind = p->kind;
	unsigned level = p->level;

	if (!(e & PTE_P))
		return p->state == SH_SYNCED ? s->absent : s->trap;
	if (kind == SH_DIRECT)
		return derive_leaf(s, p, idx, e);
	if (!(e & PTE_A) || (e & s->rsvd[level][level > 1 && (e & PTE_PS)]))
		return s->trap;
	if (level == 1 || sh_is_large(s, kind, level, e))
		return derive_leaf(s, p, idx, e);
	return derive_link(s, p, idx, e);
}

/* --- changing one ---------------------------------------------------------------------------- */

/* The chain that has to know of the entry @e, NULL: none. */
static u32 *chain_of(struct shadow *s, struct sh_page *p, unsigned idx, u64 e)
{
	unsigned level = p->level;
	gpa_t gpa;

	if (sh_is_link(s, p, e))
		return &sh_target(s, e)->parents;
	if (!(e & PTE_W))
		return NULL;
	gpa = sh_entry_gpa(s, p, idx);
	if (level == 1)
		return sh_frame(s, gpa);
	return level == 2 ? &s->chunk_map[gpa >> P2M_CHUNK_SHIFT] : &s->gib_map[gpa / GIB];
}

static u32 ref_of(const struct shadow *s, const struct sh_page *p, unsigned idx)
{
	return sh_number(s, p) << 9 | idx;
}

static void take_out(struct shadow *s, struct sh_page *p, unsigned idx)
{
	u64 e = p->spt[idx];
	u32 *chain;

	if (!sh_present(s, e))
		return;
	chain = chain_of(s, p, idx, e);
	if (chain)
		sh_chain_remove(s, chain, ref_of(s, p, idx));
	s->ways += sh_is_link(s, p, e);
	if (p->level > 1 && (e & PTE_PS))
		s->stats.large_leaves--;
	p->live--;
	p->present[idx / 64] &= ~BIT(idx % 64);
	p->spt[idx] = s->trap;
}

static void put_in(struct shadow *s, struct sh_page *p, unsigned idx, u64 e)
{
	u32 *chain;

	if (!sh_present(s, e)) {
		p->spt[idx] = e;
		return;
	}
	chain = chain_of(s, p, idx, e);
	if (chain && !sh_chain_add(s, chain, ref_of(s, p, idx))) {
		p->spt[idx] = s->trap;
		return;
	}
	s->ways += sh_is_link(s, p, e);
	if (p->level > 1 && (e & PTE_PS))
		s->stats.large_leaves++;
	p->live++;
	p->present[idx / 64] |= BIT(idx % 64);
	p->spt[idx] = e;
}

/* Could the CPU do with a copy of @old what @new does not allow? */
static bool loses(const struct shadow *s, u64 old, u64 new)
{
	if (!sh_present(s, old))
		return false;
	if (!sh_present(s, new) || ((old ^ new) & (PTE_ADDR | PTE_PS | PTE_PKEY)))
		return true;
	return (old & ~new &(PTE_W | PTE_U)) || (new & ~old &PTE_NX);
}

/* The CPU caches links too, and whatever lies below them, for addresses that no INVLPG of the guest
 * will name: those go at once. So do halves of a 4 MiB page. */
static void tell_loss(struct shadow *s, struct sh_page *p, u64 old, u64 new)
{
	if (loses(s, old, new))
		sh_lost(s, p, sh_is_link(s, p, old) || sh_pairs(p));
}

void sh_put(struct shadow *s, struct sh_page *p, unsigned idx, u64 new)
{
	u64 old = p->spt[idx];

	if (((old ^ new) & RIGHTS_MASK) == 0)
		return;
	s->changes++;
	s->edits += p->level > 1;
	tell_loss(s, p, old, new);
	take_out(s, p, idx);
	put_in(s, p, idx, new);
}

/* Nothing: a bug made on purpose. */
static bool split_unseen(const struct shadow *s, const struct sh_page *p, u64 old, u64 e)
{
	return SH_BUG(LARGE) && sh_present(s, old) && p->level > 1 && (old & PTE_PS) && (e & PTE_P);
}

/* A 32-bit directory's entry, and those of 4 bytes altogether. */
static void take_narrow(struct shadow *s, struct sh_page *p, unsigned gi, u32 e)
{
	unsigned first = sh_pairs(p) ? gi << 1 : gi, n = sh_pairs(p) ? 2 : 1;
	u64 old[2], new[2];

	/* While the old links are in place: what is compared below them tells its losses by them.
	 */
	for (unsigned i = 0; i < n; i++)
		new[i] = sh_derive(s, p, first + i, e);
	for (unsigned i = 0; i < n; i++) {
		old[i] = p->spt[first + i];
		take_out(s, p, first + i);
	}
	((u32 *)p->src)[gi] = e;
	for (unsigned i = 0; i < n; i++) {
		put_in(s, p, first + i, split_unseen(s, p, old[i], e) ? old[i] : new[i]);
		s->changes += ((p->spt[first + i] ^ old[i]) & RIGHTS_MASK) != 0;
		tell_loss(s, p, old[i], p->spt[first + i]);
	}
}

/* Do both stand for the same, so that nobody's references change? */
static bool same_place(const struct shadow *s, u64 old, u64 new)
{
	if (!sh_present(s, old) || !sh_present(s, new))
		return sh_present(s, old) == sh_present(s, new);
	return !((old ^ new) & (PTE_ADDR | PTE_PS | PTE_W));
}

/* sh_derive() for the commonest: a last-level entry of 8 bytes, CR0.WP set. */
static inline u64 derive_small(const struct shadow *s, const struct sh_page *p, u64 e)
{
	u64 rights = PTE_P | (e & (PTE_U | PTE_NX | (p->kind == SH_LONG ? PTE_PKEY : 0)));

	if (!(e & PTE_P))
		return p->state == SH_SYNCED ? s->absent : s->trap;
	if (!(e & PTE_A) || (e & s->rsvd[1][0]))
		return s->trap;
	if ((e & PTE_W) && ((e & PTE_D) || SH_BUG(DIRTY)))
		rights |= PTE_W;
	return with_dirty(s, small_leaf(s, e & PTE_ADDR, rights));
}

/* The place of a last-level entry changes hands: those who have to know are told. The new entry,
 * which traps if nobody could be. */
static u64 replace_small(struct shadow *s, struct sh_page *p, unsigned idx, u64 new, u64 e)
{
	bool was = sh_present(s, p->spt[idx]), is = sh_present(s, new);
	u32 ref = ref_of(s, p, idx);

	if (was && (p->spt[idx] & PTE_W))
		sh_chain_remove(s, sh_frame(s, sh_src(p, idx) & PTE_ADDR), ref);
	if (is && (new &PTE_W) && !sh_chain_add(s, sh_frame(s, e & PTE_ADDR), ref)) {
		new = s->trap;
		is = false;
	}
	if (was != is) {
		p->live = (u16)(p->live + is - was);
		p->present[idx / 64] ^= BIT(idx % 64);
	}
	return new;
}

/* The commonest entry, and the one whose cost is felt. */
static void take_small(struct shadow *s, struct sh_page *p, unsigned idx, u64 e)
{
	u64 old = p->spt[idx], new = derive_small(s, p, e);

	if (!same_place(s, old, new))
		new = replace_small(s, p, idx, new, e);
	((u64 *)p->src)[idx] = e;
	p->spt[idx] = new;
	s->changes += ((new ^ old) & RIGHTS_MASK) != 0;
	tell_loss(s, p, old, new);
}

bool sh_fill_empty(struct shadow *s, struct sh_page *p, unsigned idx, u64 e, bool write)
{
	u64 new = derive_small(s, p, e);

	if (sh_present(s, p->spt[idx]) || !sh_present(s, new) || (write && !(new &PTE_W)))
		return false;
	if ((new &PTE_W) && !sh_chain_add(s, sh_frame(s, e & PTE_ADDR), ref_of(s, p, idx)))
		return false;
	((u64 *)p->src)[idx] = e;
	p->spt[idx] = new;
	p->live++;
	p->present[idx / 64] |= BIT(idx % 64);
	p->used = true;
	s->changes++;
	return true;
}

void sh_take(struct shadow *s, struct sh_page *p, unsigned gi, u64 e)
{
	u64 old, new;

	if (__builtin_expect(p->plain, 1)) {
		take_small(s, p, gi, e);
		return;
	}
	if (p->kind == SH_32) {
		take_narrow(s, p, gi, (u32)e);
		return;
	}
	new = sh_derive(s, p, gi, e);
	s->edits += p->level > 1;
	old = p->spt[gi];
	if (split_unseen(s, p, old, e))
		new = old;
	if (same_place(s, old, new)) {
		p->spt[gi] = new;
		((u64 *)p->src)[gi] = e;
	} else {
		take_out(s, p, gi);
		((u64 *)p->src)[gi] = e;
		put_in(s, p, gi, new);
	}
	s->changes += ((p->spt[gi] ^ old) & RIGHTS_MASK) != 0;
	tell_loss(s, p, old, p->spt[gi]);
}

void sh_link_known(struct shadow *s, struct sh_page *p)
{
	if (!p->guest)
		return;
	for (unsigned i = 0; i < SH_ENTRIES; i++) {
		u64 e = sh_src(p, sh_pairs(p) ? i >> 1 : i);

		if ((e & (PTE_P | PTE_A)) == (PTE_P | PTE_A) && !sh_present(s, p->spt[i]))
			sh_put(s, p, i, sh_derive(s, p, i, e));
	}
}
