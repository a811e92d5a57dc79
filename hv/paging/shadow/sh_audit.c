/* Comparing everything with its source.
 *
 * Whatever an entry says has to follow from the guest's entry it was made from (its @src); @src has
 * to be what the guest's memory says, unless the table is out of sync; everything that points
 * somewhere has to be known there, and nothing else. docs/paging.md tells how to read a complaint.
 *
 * It may run at every exit, so what is plainly right is passed by quickly: words that say nothing
 * or have not moved, eight at a time; small pages of plain RAM. All else is looked at rule by rule.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/str.h"
#include "paging/shadow/shadow_int.h"

#define SAID_MAX	 20u /* complaints told; the rest is only counted */
#define GROUP		 8u  /* words compared at once */
#define W_TO_D		 5u  /* the shift that makes PTE_D of PTE_W */
#define FRAMES_PER_CHUNK (P2M_CHUNK / PAGE_SIZE)

struct audit {
	struct shadow *s;
	void (*say)(void *ctx, const char *text);
	void *ctx;
	unsigned wrong;
	u64 refs; /* entries that a chain has to know */
};

__attribute__((format(printf, 4, 5))) static void complain(struct audit *a, const struct sh_page *p,
							   int idx, const char *fmt, ...)
{
	char text[160];
	int n = 0;
	va_list ap;

	if (++a->wrong > SAID_MAX)
		return;
	if (p)
		n = snprintf(text, sizeof(text),
			     "table %llx[%d] is %llx: ", (unsigned long long)p->key, idx,
			     (unsigned long long)(idx < 0 ? 0 : p->spt[idx]));
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	a->say(a->ctx, text);
}

/* --- words ---------------------------------------------------------------------------------------
 */

static inline bool all_are(const u64 *w, u64 v)
{
	return !((w[0] ^ v) | (w[1] ^ v) | (w[2] ^ v) | (w[3] ^ v) | (w[4] ^ v) | (w[5] ^ v) |
		 (w[6] ^ v) | (w[7] ^ v));
}

static inline bool are_same(const u64 *a, const u64 *b)
{
	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) | (a[4] ^ b[4]) |
		 (a[5] ^ b[5]) | (a[6] ^ b[6]) | (a[7] ^ b[7]));
}

static inline u32 any_of(const u32 *f)
{
	return f[0] | f[1] | f[2] | f[3] | f[4] | f[5] | f[6] | f[7];
}

/* Do eight words go up by @step from @first, but for the bits of @but? */
static inline bool all_rise(const u64 *w, u64 first, u64 step, u64 but)
{
	return !(((w[0] ^ first) | (w[1] ^ (first + step)) | (w[2] ^ (first + 2 * step)) |
		  (w[3] ^ (first + 3 * step)) | (w[4] ^ (first + 4 * step)) |
		  (w[5] ^ (first + 5 * step)) | (w[6] ^ (first + 6 * step)) |
		  (w[7] ^ (first + 7 * step))) &
		 ~but);
}

static inline bool all_count(const u32 *f, u32 first)
{
	return !((f[0] ^ first) | (f[1] ^ (first + 1)) | (f[2] ^ (first + 2)) |
		 (f[3] ^ (first + 3)) | (f[4] ^ (first + 4)) | (f[5] ^ (first + 5)) |
		 (f[6] ^ (first + 6)) | (f[7] ^ (first + 7)));
}

/* --- chains -------------------------------------------------------------------------------------
 */

static bool chain_has(const struct shadow *s, u32 head, u32 ref)
{
	u32 n = head & SH_CHAIN_MASK;

	if (!(head & SH_CHAIN_LIST))
		return n == ref;
	while (n && s->node[n].ref != ref)
		n = s->node[n].next;
	return n;
}

static u64 chain_length(const struct shadow *s, u32 head, u64 *nodes)
{
	u64 len = 0;

	if (!(head & SH_CHAIN_LIST))
		return (head & SH_CHAIN_MASK) != 0;
	for (u32 n = head & SH_CHAIN_MASK; n; n = s->node[n].next)
		len++;
	*nodes += len;
	return len;
}

/* What the frames of chunk @c know: the length of their chains. How many of them hold a synced
 * table has been counted on the way. */
static u64 audit_chunk(struct audit *a, u64 c, u64 *nodes)
{
	const struct shadow *s = a->s;
	const u32 *frame = &s->frame[c * FRAMES_PER_CHUNK];
	u32 synced = 0;
	u64 refs = 0;

	for (unsigned f = 0; f < FRAMES_PER_CHUNK; f += GROUP) {
		u32 any = any_of(frame + f);

		for (unsigned i = f; any && i < f + GROUP; i++) {
			if (any & SH_CHAIN_LIST)
				refs += chain_length(s, frame[i], nodes);
			else
				refs += (frame[i] & SH_CHAIN_MASK) != 0;
			synced += frame[i] >> 30 & 1;
		}
	}
	if (synced != s->chunk_sync[c])
		complain(a, NULL, 0, "%u synced frames in chunk %llu, %u counted", synced,
			 (unsigned long long)c, s->chunk_sync[c]);
	return refs + chain_length(s, s->chunk_map[c], nodes);
}

static u64 audit_chunks(struct audit *a, u64 *nodes)
{
	const struct shadow *s = a->s;
	u64 refs = 0;
	u32 synced = 0;

	for (u64 c = 0; c < s->m->nchunks; c++) {
		u64 gib = c * P2M_CHUNK / GIB;

		refs += audit_chunk(a, c, nodes);
		synced += s->chunk_sync[c];
		if (c + 1 < s->m->nchunks && (c + 1) * P2M_CHUNK % GIB)
			continue;
		if (synced != s->gib_sync[gib])
			complain(a, NULL, 0, "%u synced frames in GiB %llu, %u counted", synced,
				 (unsigned long long)gib, s->gib_sync[gib]);
		synced = 0;
	}
	return refs;
}

/* As every entry was found in its chain, chains that hold as many references hold no others. */
static void audit_chains(struct audit *a)
{
	struct shadow *s = a->s;
	u64 nodes = 0, refs = audit_chunks(a, &nodes);

	for (u64 i = 0; i <= s->m->nchunks * P2M_CHUNK / GIB; i++)
		refs += chain_length(s, s->gib_map[i], &nodes);
	for (u32 i = 1; i <= s->npages; i++)
		if (s->page[i].state != SH_FREE)
			refs += chain_length(s, s->page[i].parents, &nodes);
	if (refs != a->refs)
		complain(a, NULL, 0, "%llu references for %llu entries", (unsigned long long)refs,
			 (unsigned long long)a->refs);
	if (nodes + s->nodes_left != s->nnodes)
		complain(a, NULL, 0, "%llu nodes in use, %u left of %u", (unsigned long long)nodes,
			 s->nodes_left, s->nnodes);
}

/* --- entries ------------------------------------------------------------------------------------
 */

/* What of the guest's entry @src an entry must not exceed, and must not fall short of. */
static void audit_rights(struct audit *a, const struct sh_page *p, unsigned idx, u64 src, bool leaf)
{
	u64 e = p->spt[idx], w = e & PTE_W;
	bool folded = p->key & SH_KEY_WP0;

	if (!(src & PTE_P) || !(src & PTE_A))
		complain(a, p, (int)idx, "the guest's %llx is not present or not accessed",
			 (unsigned long long)src);
	if (leaf && w && !(src & PTE_D))
		complain(a, p, (int)idx, "writable, the guest's %llx is not dirty",
			 (unsigned long long)src);
	if (folded && leaf && !(e & PTE_U))
		return; /* the supervisor's form */
	if (!folded && w && !(src & PTE_W))
		complain(a, p, (int)idx, "writable, the guest's %llx is not",
			 (unsigned long long)src);
	if (folded && leaf && w && (!(src & PTE_W) || (p->key & SH_KEY_READONLY)) &&
	    !(p->key & SH_KEY_KERNEL))
		complain(a, p, (int)idx, "writable for the user, the guest's %llx is not",
			 (unsigned long long)src);
	if ((e ^ src) & (PTE_U | (p->kind == SH_32 ? 0 : PTE_NX)))
		complain(a, p, (int)idx, "rights differ from the guest's %llx",
			 (unsigned long long)src);
}

static void audit_link(struct audit *a, const struct sh_page *p, unsigned idx, u64 src, bool large)
{
	struct shadow *s = a->s;
	u64 key = large ? sh_direct_key(s, p, idx, src) : sh_child_key(p, idx, src);
	hpa_t at = (p->spt[idx] & PTE_ADDR) - s->spt_base;
	const struct sh_page *child;

	a->refs++;
	if (at >= (u64)s->npages * PAGE_SIZE) {
		complain(a, p, (int)idx, "links no table of ours");
		return;
	}
	child = sh_target(s, p->spt[idx]);
	if (child->state == SH_FREE || child->key != key)
		complain(a, p, (int)idx, "links %llx, not %llx",
			 (unsigned long long)(child->state == SH_FREE ? 0 : child->key),
			 (unsigned long long)key);
	else if (!chain_has(s, child->parents, sh_number(s, p) << 9 | idx))
		complain(a, p, (int)idx, "not known to the table it links");
}

static u32 leaf_chain(const struct shadow *s, gpa_t gpa, unsigned level)
{
	if (level == 1)
		return *sh_frame(s, gpa);
	return level == 2 ? s->chunk_map[gpa >> P2M_CHUNK_SHIFT] : s->gib_map[gpa / GIB];
}

static void audit_writable_leaf(struct audit *a, const struct sh_page *p, unsigned idx, gpa_t gpa,
				unsigned level)
{
	struct shadow *s = a->s;

	a->refs++;
	if (!sh_frame(s, gpa) ||
	    !chain_has(s, leaf_chain(s, gpa, level), sh_number(s, p) << 9 | idx)) {
		complain(a, p, (int)idx, "writable, not known to %llx", (unsigned long long)gpa);
		return;
	}
	/* These counts are held against the frames in audit_chunks(). */
	if ((level == 2 && !s->chunk_sync[gpa >> P2M_CHUNK_SHIFT]) ||
	    (level == 3 && !s->gib_sync[gpa / GIB]))
		return;
	for (gpa_t f = gpa; f < gpa + SH_LEVEL_SIZE(level); f += PAGE_SIZE)
		if (*sh_frame(s, f) & SH_FRAME_SYNC)
			complain(a, p, (int)idx, "writable, but %llx holds a synced table",
				 (unsigned long long)f);
}

static void audit_leaf(struct audit *a, const struct sh_page *p, unsigned idx)
{
	unsigned level = p->level;
	gpa_t gpa = sh_entry_gpa(a->s, p, idx);
	u64 step = level == 1 ? PAGE_SIZE : P2M_CHUNK;
	bool w = p->spt[idx] & PTE_W;

	for (u64 off = 0; off < SH_LEVEL_SIZE(level); off += step) {
		hpa_t hpa = 0;
		enum p2m_kind kind = p2m_lookup(a->s->m, gpa + off, &hpa);

		if ((kind != P2M_RAM && (kind != P2M_ROM || w)) ||
		    hpa != (p->spt[idx] & PTE_ADDR) + off)
			complain(a, p, (int)idx, "%llx is kind %d at %llx",
				 (unsigned long long)(gpa + off), kind, (unsigned long long)hpa);
	}
	if (w)
		audit_writable_leaf(a, p, idx, gpa, level);
}

/* What the plain entries of a table have in common: those that map 4 KiB of RAM and hold by every
 * rule. Copied together, as there can be thousands of them. */
struct plain {
	bool may; /* there can be such */
	bool direct;
	u64 equal; /* bits in which entry and source may not differ */
	u64 rsvd;
	u64 rights; /* of a direct table's entries */
	gpa_t base;
	u32 ref; /* of entry 0 */
	const u32 *frame;
	const hpa_t *chunk;
	u64 nchunks;
};

static struct plain plain_of(const struct shadow *s, const struct sh_page *p)
{
	return (struct plain){.may = p->level == 1 && p->kind != SH_32 && !(p->key & SH_KEY_WP0),
			      .direct = p->kind == SH_DIRECT,
			      .equal = PTE_U | PTE_NX,
			      .rsvd = s->rsvd[1][0],
			      .rights = sh_direct_source(p) & ~(u64)PTE_A,
			      .base = sh_key_gpa(p->key),
			      .ref = sh_number(s, p) << 9,
			      .frame = s->frame,
			      .chunk = s->m->chunk,
			      .nchunks = s->m->nchunks};
}

/* The same of eight entries from @idx on: a direct table's, each of which maps its page of plain
 * RAM with all rights and is the only one that may write it. */
static bool are_plain(struct audit *a, const struct plain *t, const u64 *e, unsigned idx)
{
	gpa_t gpa = t->base + idx * PAGE_SIZE;
	u64 chunk = gpa >> P2M_CHUNK_SHIFT;

	if (!t->may || !t->direct || !chunk || chunk >= t->nchunks || !t->chunk[chunk])
		return false;
	if (!all_rise(e, (t->chunk[chunk] + (gpa & (P2M_CHUNK - 1))) | t->rights, PAGE_SIZE,
		      PTE_A) ||
	    !all_count(t->frame + (gpa >> PAGE_SHIFT), t->ref | idx))
		return false;
	a->refs += GROUP;
	return true;
}

/* May entry @idx be writable, of the frame that @head is of? */
static bool is_known(struct audit *a, const struct plain *t, u32 head, unsigned idx)
{
	u32 ref = t->ref | idx;

	if ((head & SH_FRAME_SYNC) ||
	    ((head & ~(u32)SH_FRAME_HELD) != ref && !chain_has(a->s, head, ref)))
		return false;
	a->refs++;
	return true;
}

/* audit_entry() has nothing to say of @e, entry @idx. False: ask it. */
static inline bool is_plain(struct audit *a, const struct plain *t, unsigned idx, u64 e, u64 src)
{
	gpa_t gpa = src & PTE_ADDR;
	u64 chunk = gpa >> P2M_CHUNK_SHIFT;
	u64 wrong = (~src & (PTE_P | PTE_A)) | ((e ^ src) & t->equal) | (src & t->rsvd) |
		    (e & ~src & PTE_W) | (e << W_TO_D & ~src & PTE_D);

	if (wrong || chunk - 1 >= t->nchunks - 1 || !t->chunk[chunk] ||
	    (e & PTE_ADDR) != t->chunk[chunk] + (gpa & (P2M_CHUNK - 1)))
		return false;
	return !(e & PTE_W) || is_known(a, t, t->frame[gpa >> PAGE_SHIFT], idx);
}

/* Of eight entries from @idx on, made from the guest's at @src: a bit for each that is plain. */
static __attribute__((noinline)) unsigned plain_ones(struct audit *a, const struct plain *t,
						     const u64 *e, const u64 *src, unsigned idx)
{
	unsigned found = 0;

	for (unsigned i = 0; i < GROUP; i++)
		if ((e[i] & PTE_P) && is_plain(a, t, idx + i, e[i], src[i]))
			found |= 1u << i;
	return found;
}

static void audit_entry(struct audit *a, const struct sh_page *p, unsigned idx, u64 src)
{
	struct shadow *s = a->s;
	enum sh_kind kind = p->kind;
	unsigned level = p->level;
	bool large = kind == SH_DIRECT ? level > 1 : sh_is_large(s, kind, level, src);

	if (kind != SH_DIRECT) {
		if (src & s->rsvd[level][level > 1 && (src & PTE_PS)])
			complain(a, p, (int)idx, "the guest's %llx is reserved",
				 (unsigned long long)src);
		audit_rights(a, p, idx, src, large || level == 1);
	}
	if (sh_is_link(s, p, p->spt[idx]))
		audit_link(a, p, idx, src, large);
	else
		audit_leaf(a, p, idx);
}

/* --- tables --------------------------------------------------------------------------------------
 */

/* Entry @i, which is not @trap. True: present. */
static bool audit_slot(struct audit *a, const struct sh_page *p, unsigned i)
{
	u64 e = p->spt[i];
	u64 src = p->guest ? sh_src(p, sh_pairs(p) ? i >> 1 : i) : sh_direct_source(p);

	if (sh_present(a->s, e)) {
		audit_entry(a, p, i, src);
		return true;
	}
	if (e || p->state != SH_SYNCED || (src & PTE_P))
		complain(a, p, (int)i, "absent, the guest's is %llx", (unsigned long long)src);
	return false;
}

/* Eight entries from @first on, not all of them @trap; a bit for each that is present. */
static unsigned audit_eight(struct audit *a, const struct sh_page *p, const struct plain *t,
			    unsigned first)
{
	const u64 *e = &p->spt[first];
	unsigned present = 0;

	if (are_plain(a, t, e, first))
		return 0xff;
	if (t->may && !t->direct)
		present = plain_ones(a, t, e, (const u64 *)p->src + first, first);
	for (unsigned i = 0; i < GROUP; i++)
		if (!(present >> i & 1) && e[i] != a->s->trap && audit_slot(a, p, first + i))
			present |= 1u << i;
	return present;
}

/* 64 entries from @first on; a bit for each that is present. */
static u64 audit_slots(struct audit *a, const struct sh_page *p, const struct plain *t,
		       unsigned first)
{
	u64 trap = a->s->trap, present = 0;

	for (unsigned g = 0; g < 64; g += GROUP)
		if (!all_are(&p->spt[first + g], trap))
			present |= (u64)audit_eight(a, p, t, first + g) << g;
	return present;
}

static void audit_entries(struct audit *a, const struct sh_page *p)
{
	const struct plain t = plain_of(a->s, p);
	unsigned live = 0;

	for (unsigned w = 0; w < SH_ENTRIES / 64; w++) {
		u64 present = audit_slots(a, p, &t, w * 64);

		if (present != p->present[w])
			complain(a, p, (int)w * 64, "of 64 entries %llx present, not %llx",
				 (unsigned long long)present, (unsigned long long)p->present[w]);
		for (; present; present &= present - 1)
			live++;
	}
	if (live != p->live)
		complain(a, p, -1, "%u entries present, %u counted", live, p->live);
}

/* The walks of others set accessed and dirty bits behind our back: more of them is no difference.
 * ROM has lost those that ours set. */
static void audit_source(struct audit *a, const struct sh_page *p)
{
	u64 lost = p2m_ptr(a->s->m, sh_key_gpa(p->key)) ? 0 : PTE_A | PTE_D;
	const u64 *words = (const u64 *)(const void *)p->guest, *src = p->src;
	unsigned per_word = 8 / sh_source_size(p);

	for (unsigned gi = 0; gi < sh_sources(p); gi++) {
		u64 now, was;

		if (gi % (GROUP * per_word) == 0 &&
		    are_same(words + gi / per_word, src + gi / per_word)) {
			gi += GROUP * per_word - 1;
			continue;
		}
		now = sh_guest(p, gi);
		was = sh_src(p, gi);
		if ((now ^ was) & ~(u64)(PTE_A | PTE_D) || (was & ~now & ~lost))
			complain(a, p, (int)(sh_pairs(p) ? gi << 1 : gi),
				 "made from %llx, synced, but the guest's is %llx",
				 (unsigned long long)was, (unsigned long long)now);
	}
}

static void audit_state(struct audit *a, const struct sh_page *p, u32 *oos)
{
	const u32 *f = p->guest ? sh_frame(a->s, sh_key_gpa(p->key)) : NULL;
	bool ram = f && p2m_ptr(a->s->m, sh_key_gpa(p->key));

	*oos += p->state == SH_OOS;
	if (!ram && p->state != SH_SYNCED)
		complain(a, p, -1, "out of sync, but not in RAM");
	if (ram && (!(*f & SH_FRAME_HELD) || !(*f & SH_FRAME_SYNC) != (p->state == SH_OOS)))
		complain(a, p, -1, "state %u, its frame's flags are %x", p->state, *f);
	if (sh_find(a->s, p->key) != p)
		complain(a, p, -1, "not found by its key, or not alone");
}

static void audit_counts(struct audit *a, u32 used, u32 oos)
{
	struct shadow *s = a->s;
	u32 listed = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(s->oos); i++)
		for (u32 n = s->oos[i].head; n && listed <= s->npages; n = s->page[n].oos_next)
			listed++;
	if (used != s->used || oos != listed || listed != s->oos_count)
		complain(a, NULL, 0, "%u tables of %u, %u out of sync, %u listed of %u", used,
			 s->used, oos, listed, s->oos_count);
}

static void audit_roots(struct audit *a)
{
	struct shadow *s = a->s;
	u64 tops = 0, counted = 0;

	for (unsigned i = 0; i < SH_ROOTS; i++) {
		struct sh_root *r = &s->root[i];

		for (unsigned k = 0; r->valid && k < 4; k++) {
			const struct sh_page *p = &s->page[r->page[k]];

			tops += r->page[k] != 0;
			if (r->page[k] && (p->state == SH_FREE || !p->roots ||
					   (r->pdpt[k] & PTE_ADDR) != sh_hpa(s, p)))
				complain(a, p, -1, "not the top of root %u that it was", i);
		}
		if (r->valid && r->tag != SHADOW_TAG_SHARED && s->tag_owner[r->tag] != r)
			complain(a, NULL, 0, "root %u does not own tag %u", i, r->tag);
	}
	for (u32 i = 1; i <= s->npages; i++)
		counted += s->page[i].state != SH_FREE ? s->page[i].roots : 0;
	if (tops != counted)
		complain(a, NULL, 0, "%llu tops of roots, %llu counted", (unsigned long long)tops,
			 (unsigned long long)counted);
	if (s->active && (!s->current || s->flush_now))
		complain(a, NULL, 0, "no root, or a flush not done");
}

unsigned shadow_audit(struct shadow *s, const struct walk_regs *g,
		      void (*say)(void *ctx, const char *text), void *ctx)
{
	struct audit a = {.s = s, .say = say, .ctx = ctx};
	u32 used = 0, oos = 0;

	for (u32 i = 1; i <= s->npages; i++) {
		const struct sh_page *p = &s->page[i];

		if (p->state == SH_FREE)
			continue;
		used++;
		audit_state(&a, p, &oos);
		audit_entries(&a, p);
		if ((s->active || s->kept) && p->guest && p->state == SH_SYNCED)
			audit_source(&a, p);
	}
	audit_counts(&a, used, oos);
	audit_chains(&a);
	audit_roots(&a);
	if (s->active && (s->mode.cr3 != g->cr3 || (s->mode.cr0 ^ g->cr0) & (CR0_PG | CR0_WP)))
		complain(&a, NULL, 0, "root made for CR3 %llx, the guest's is %llx",
			 (unsigned long long)s->mode.cr3, (unsigned long long)g->cr3);
	return a.wrong;
}
