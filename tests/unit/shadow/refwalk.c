/* The reference page walk; see refwalk.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "shadow/refwalk.h"

#include <string.h>

/* Bits of registers and entries, by the manuals' numbers. */
enum { B_P = 0, B_RW = 1, B_US = 2, B_A = 5, B_D = 6, B_PS = 7, B_G = 8, B_XD = 63 };
enum { CR0_WP_BIT = 16, CR0_PG_BIT = 31 };
enum { CR4_PSE_BIT = 4, CR4_PAE_BIT = 5, CR4_PGE_BIT = 7 };
enum { CR4_SMEP_BIT = 20, CR4_SMAP_BIT = 21, CR4_PKE_BIT = 22 };
enum { EFER_LMA_BIT = 10, EFER_NXE_BIT = 11 };
enum { EFLAGS_AC_BIT = 18 };
enum { ERR_P = 1, ERR_WR = 2, ERR_US = 4, ERR_RSVD = 8, ERR_ID = 16, ERR_PK = 32 };

static bool is(u64 v, unsigned bit)
{
	return v >> bit & 1;
}

/* @v's bits @high..@low, as the manuals write them; 0 when that is an empty range. */
static u64 field(u64 v, int high, int low)
{
	return high < low ? 0 : v & ~0ull >> (63 - high) & ~0ull << low;
}

enum ref_mode ref_mode_of(const struct walk_regs *r)
{
	if (!is(r->cr0, CR0_PG_BIT))
		return REF_UNPAGED;
	if (is(r->efer, EFER_LMA_BIT))
		return REF_LONG;
	return is(r->cr4, CR4_PAE_BIT) ? REF_PAE : REF_32;
}

/* The lowest linear-address bit that selects an entry at this level. */
static unsigned level_shift(enum ref_mode mode, unsigned level)
{
	if (mode == REF_32)
		return level == 2 ? 22 : 12;
	return 12 + 9 * (level - 1);
}

static void step_to(enum ref_mode mode, gva_t gva, unsigned level, gpa_t table, struct ref_at *at)
{
	unsigned entries = mode == REF_32 ? 1024 : 512;

	at->level = level;
	at->bytes = 4096 / entries;
	at->entry = table + (gva >> level_shift(mode, level)) % entries * at->bytes;
}

/* SDM vol. 3 table 4-8, but for bit 5: reserved by the book, set by some CPUs as if accessed. */
static bool pdpte_reserved(const struct walk_regs *r, u64 e)
{
	return field(e, 2, 1) || field(e, 8, 6) || field(e, 63, r->maxphyaddr);
}

bool ref_pdptes_ok(const struct walk_regs *r, const u64 pdpte[4])
{
	for (int i = 0; i < 4; i++)
		if (is(pdpte[i], B_P) && pdpte_reserved(r, pdpte[i]))
			return false;
	return true;
}

bool ref_first(const struct walk_regs *r, gva_t gva, struct ref_at *at, enum ref_kind *kind)
{
	u64 e;

	switch (ref_mode_of(r)) {
	case REF_LONG:
		step_to(REF_LONG, gva, 4, field(r->cr3, 51, 12), at);
		return true;
	case REF_32:
		step_to(REF_32, gva, 2, field(r->cr3, 31, 12), at);
		return true;
	default:
		e = r->pdpte[gva >> 30 & 3];
		*kind = !is(e, B_P) ? REF_ABSENT : REF_RESERVED;
		if (!is(e, B_P) || pdpte_reserved(r, e))
			return false;
		step_to(REF_PAE, gva, 2, field(e, 51, 12), at);
		return true;
	}
}

/* Is the entry the last one: a page, not a table? */
static bool maps_page(const struct walk_regs *r, enum ref_mode mode, unsigned level, u64 e)
{
	if (level == 1)
		return true;
	if (level == 4 || !is(e, B_PS))
		return false;
	return mode != REF_32 || is(r->cr4, CR4_PSE_BIT);
}

/* M of PSE-36: the page's physical-address bits M-1:32 lie from bit 13 on (SDM fig. 4-4). */
static int pse36_m(const struct walk_regs *r)
{
	return r->maxphyaddr < 40 ? r->maxphyaddr : 40;
}

static bool reserved_32(const struct walk_regs *r, unsigned level, u64 e)
{
	return level == 2 && maps_page(r, REF_32, 2, e) && field(e, 21, pse36_m(r) - 19);
}

static bool reserved_64(const struct walk_regs *r, enum ref_mode mode, unsigned level, u64 e)
{
	if (is(e, B_XD) && !is(r->efer, EFER_NXE_BIT))
		return true;
	if (field(e, mode == REF_PAE ? 62 : 51, r->maxphyaddr))
		return true;
	switch (level) {
	case 4:
		return is(e, B_PS) || (r->pml4_g_rsvd && is(e, B_G));
	case 3:
		return is(e, B_PS) && (!r->has_1g || field(e, 29, 13));
	case 2:
		return is(e, B_PS) && field(e, 20, 13);
	default:
		return false;
	}
}

static gpa_t page_base(const struct walk_regs *r, enum ref_mode mode, unsigned level, u64 e)
{
	if (mode == REF_32 && level == 2)
		return field(e, 31, 22) | field(e, pse36_m(r) - 20, 13) << 19;
	return field(e, 51, (int)level_shift(mode, level));
}

enum ref_kind ref_entry(const struct walk_regs *r, gva_t gva, u64 e, struct ref_at *at,
			struct ref_rights *rights, struct ref_leaf *leaf)
{
	enum ref_mode mode = ref_mode_of(r);
	unsigned level = at->level;

	if (!is(e, B_P))
		return REF_ABSENT;
	if (mode == REF_32 ? reserved_32(r, level, e) : reserved_64(r, mode, level, e))
		return REF_RESERVED;
	rights->user = rights->user && is(e, B_US);
	rights->write = rights->write && is(e, B_RW);
	rights->exec = rights->exec && !(mode != REF_32 && is(e, B_XD));
	if (!maps_page(r, mode, level, e)) {
		step_to(mode, gva, level - 1, field(e, mode == REF_32 ? 31 : 51, 12), at);
		return REF_TABLE;
	}
	leaf->rights = *rights;
	leaf->base = page_base(r, mode, level, e);
	leaf->size = 1ull << level_shift(mode, level);
	leaf->dirty = is(e, B_D);
	leaf->global = is(e, B_G) && is(r->cr4, CR4_PGE_BIT);
	leaf->key = mode == REF_LONG ? e >> 59 & 15 : 0;
	return REF_LEAF;
}

/* SDM vol. 3 §4.6.2. */
static bool key_forbids(const struct walk_regs *r, const struct ref_access *a,
			const struct ref_leaf *l)
{
	bool access_disabled = is(r->pkru, 2 * l->key),
	     write_disabled = is(r->pkru, 2 * l->key + 1);

	if (ref_mode_of(r) != REF_LONG || !is(r->cr4, CR4_PKE_BIT))
		return false;
	if (!l->rights.user || a->fetch)
		return false;
	return access_disabled ||
	       (write_disabled && a->write && (a->user || is(r->cr0, CR0_WP_BIT)));
}

/* SDM vol. 3 §4.6.1, the two lists in their order. */
static bool supervisor_may(const struct walk_regs *r, const struct ref_access *a,
			   const struct ref_rights *p)
{
	bool smap = is(r->cr4, CR4_SMAP_BIT);
	bool smap_lifted = is(r->rflags, EFLAGS_AC_BIT) && !a->implicit;

	if (a->fetch) {
		if (p->user && is(r->cr4, CR4_SMEP_BIT))
			return false;
		return p->exec;
	}
	if (p->user && smap && !smap_lifted)
		return false;
	return !a->write || p->write || !is(r->cr0, CR0_WP_BIT);
}

static bool user_may(const struct ref_access *a, const struct ref_rights *p)
{
	if (!p->user)
		return false;
	if (a->fetch)
		return p->exec;
	return !a->write || p->write;
}

/* SDM vol. 3 §4.7: the bits that describe the access. */
u32 ref_error(const struct walk_regs *r, const struct ref_access *a)
{
	bool nx = is(r->cr4, CR4_PAE_BIT) && is(r->efer, EFER_NXE_BIT);
	u32 error = 0;

	if (a->write)
		error |= ERR_WR;
	if (a->user)
		error |= ERR_US;
	if (a->fetch && (nx || is(r->cr4, CR4_SMEP_BIT)))
		error |= ERR_ID;
	return error;
}

bool ref_allows(const struct walk_regs *r, const struct ref_access *a, const struct ref_leaf *l,
		u32 *error)
{
	bool key = key_forbids(r, a, l);

	if (!key && (a->user ? user_may(a, &l->rights) : supervisor_may(r, a, &l->rights)))
		return true;
	*error = ref_error(r, a) | ERR_P | (key ? ERR_PK : 0);
	return false;
}

static void ref_end(const struct walk_regs *r, const struct ref_access *a, enum ref_kind kind,
		    struct ref_walk *w)
{
	w->result = REF_FAULT;
	w->error = ref_error(r, a) | (kind == REF_RESERVED ? ERR_P | ERR_RSVD : 0);
}

static void ref_finish(const struct walk_regs *r, gva_t gva, const struct ref_access *a,
		       struct ref_walk *w)
{
	if (!ref_allows(r, a, &w->leaf, &w->error)) {
		w->result = REF_FAULT;
		return;
	}
	w->result = REF_OK;
	w->gpa = w->leaf.base + gva % w->leaf.size;
	for (unsigned i = 0; i < w->steps; i++) {
		u64 want = 1ull << B_A | (a->write && i == w->steps - 1 ? 1ull << B_D : 0);

		w->mark[i] = want & ~w->value[i];
	}
}

void ref_translate(const struct walk_regs *r, ref_read *read, void *ctx, gva_t gva,
		   const struct ref_access *a, struct ref_walk *w)
{
	struct ref_rights rights = {true, true, true};
	struct ref_at at;
	enum ref_kind kind;

	memset(w, 0, sizeof(*w));
	if (ref_mode_of(r) != REF_LONG)
		gva &= 0xffffffff;
	if (ref_mode_of(r) == REF_UNPAGED) {
		w->gpa = gva;
		w->leaf = (struct ref_leaf){rights, gva & ~0xfffull, 4096, true, false, 0};
		return;
	}
	if (!ref_first(r, gva, &at, &kind)) {
		ref_end(r, a, kind, w);
		return;
	}
	for (;;) {
		w->step[w->steps] = at;
		if (!read(ctx, at.entry, at.bytes, &w->value[w->steps])) {
			w->result = REF_NO_TABLE;
			return;
		}
		kind = ref_entry(r, gva, w->value[w->steps], &at, &rights, &w->leaf);
		w->steps++;
		if (kind == REF_LEAF) {
			ref_finish(r, gva, a, w);
			return;
		}
		if (kind != REF_TABLE) {
			ref_end(r, a, kind, w);
			return;
		}
	}
}
