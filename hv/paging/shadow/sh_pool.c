/* The pool of shadow tables: made at once, of a fixed size, found by key.
 *
 * When all are in use the clock picks one that was not used since it came by last; what the
 * operation under way needs and the root that runs are never taken. As a new table takes the place
 * that the clock has just passed, it has a whole turn before it is looked at: one instruction gets
 * all the tables it needs at a time if the pool has them at all.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/errno.h"
#include "lib/panic.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "paging/shadow/shadow_int.h"

#define NODES_PER_TABLE 64u
#define NODES_MORE	4096u
#define GUEST_PHYS_MAX	52u
#define LOW_PAGES	2u /* PAE's roots, and a table that always traps */

static u32 bucket(const struct shadow *s, gpa_t gpa)
{
	return (u32)(((gpa >> PAGE_SHIFT) * 0x9e3779b97f4a7c15ull) >> s->hash_shift);
}

struct sh_page *sh_find(const struct shadow *s, u64 key)
{
	u32 n = s->hash[bucket(s, sh_key_gpa(key))];

	while (n && s->page[n].key != key)
		n = s->page[n].hash_next;
	return n ? &s->page[n] : NULL;
}

struct sh_page *sh_next_of(const struct shadow *s, gpa_t gpa, const struct sh_page *p)
{
	u32 n = p ? p->hash_next : s->hash[bucket(s, gpa)];

	while (n && (sh_key_gpa(s->page[n].key) != gpa || sh_key_kind(s->page[n].key) == SH_DIRECT))
		n = s->page[n].hash_next;
	return n ? &s->page[n] : NULL;
}

static void hash_in(struct shadow *s, struct sh_page *p)
{
	u32 *head = &s->hash[bucket(s, sh_key_gpa(p->key))];

	p->hash_next = *head;
	*head = sh_number(s, p);
}

static void hash_out(struct shadow *s, struct sh_page *p)
{
	u32 *at = &s->hash[bucket(s, sh_key_gpa(p->key))];

	while (*at != sh_number(s, p))
		at = &s->page[*at].hash_next;
	*at = p->hash_next;
}

static void unlink_parents(struct shadow *s, struct sh_page *p)
{
	u32 ref;

	while ((ref = sh_chain_first(s, p->parents)))
		sh_put(s, &s->page[ref >> 9], ref & (SH_ENTRIES - 1), s->trap);
}

void sh_free(struct shadow *s, struct sh_page *p)
{
	unlink_parents(s, p);
	if (p->roots)
		sh_drop_roots(s, p);
	for (unsigned i = 0; i < SH_ENTRIES && p->live; i++)
		sh_put(s, p, i, s->trap);
	sh_forget_state(s, p);
	hash_out(s, p);
	p->state = SH_FREE;
	p->hash_next = s->free;
	s->free = sh_number(s, p);
	s->used--;
}

void sh_unshadow(struct shadow *s, gpa_t gpa)
{
	struct sh_page *p;

	while ((p = sh_next_of(s, gpa, NULL)))
		sh_free(s, p);
}

/* Has the CPU walked through @p since the clock came by? */
static bool walked(struct shadow *s, struct sh_page *p)
{
	u32 ref = sh_chain_first(s, p->parents);
	u64 *e;
	bool a;

	if (!ref)
		return false;
	e = &s->page[ref >> 9].spt[ref & (SH_ENTRIES - 1)];
	a = *e & PTE_A;
	*e &= ~PTE_A;
	return a;
}

static bool evictable(struct shadow *s, struct sh_page *p)
{
	return p->state != SH_FREE && p->pinned != s->op && !(p->roots && sh_in_current(s, p));
}

/* In the first turn of the clock what is not in use, in the second whatever maps nothing but pages
 * or nothing at all, in the third anything: a table of links takes much with it. */
static bool may_go(struct shadow *s, struct sh_page *p, unsigned turn)
{
	bool used;

	if (!evictable(s, p))
		return false;
	if (turn < 2 && p->live && p->level > 1)
		return false;
	used = p->used | walked(s, p);
	p->used = false;
	return !used || turn;
}

static bool evict_one(struct shadow *s)
{
	for (u32 i = 0; i < 3 * s->npages; i++) {
		u64 since;

		s->hand = s->hand % s->npages + 1;
		if (!may_go(s, &s->page[s->hand], i / s->npages))
			continue;
		since = sh_now(s);
		sh_free(s, &s->page[s->hand]);
		sh_account(s, SHADOW_PATH_EVICT, since);
		return true;
	}
	return false;
}

void sh_reserve_more(struct shadow *s, u32 nodes)
{
	while (s->nodes_left < nodes && evict_one(s))
		;
}

/* The slice of the guest's table that @p shadows. */
static const u8 *guest_slice(const struct shadow *s, const struct sh_page *p)
{
	if (p->kind == SH_DIRECT)
		return NULL;
	return sh_guest_read(s, sh_key_gpa(p->key)) +
	       sh_key_quad(p->key) * sh_sources(p) * sh_source_size(p);
}

static bool is_plain(u64 key)
{
	enum sh_kind kind = sh_key_kind(key);

	return (kind == SH_PAE || kind == SH_LONG) && sh_key_level(key) == 1 && !(key & SH_KEY_WP0);
}

static void init_page(struct shadow *s, struct sh_page *p, u64 key)
{
	u64 *spt = p->spt;
	void *src = p->src;

	*p = (struct sh_page){.key = key,
			      .spt = spt,
			      .src = src,
			      .pinned = s->op,
			      .kind = (u8)sh_key_kind(key),
			      .level = (u8)sh_key_level(key),
			      .plain = is_plain(key),
			      .used = true};
	p->guest = guest_slice(s, p);
	p->in_ram = p->guest && p2m_ptr(s->m, sh_key_gpa(key));
	for (unsigned i = 0; i < SH_ENTRIES; i++)
		spt[i] = s->trap;
	if (p->guest)
		memcpy(src, p->guest, sh_sources(p) * sh_source_size(p));
	p->compared = s->op;
}

struct sh_page *sh_get(struct shadow *s, u64 key)
{
	struct sh_page *p = sh_find(s, key);

	if (p) {
		p->used = true;
		return p;
	}
	if (!s->free && !evict_one(s))
		return NULL;
	p = &s->page[s->free];
	s->free = p->hash_next;
	s->used++;
	init_page(s, p, key);
	hash_in(s, p);
	sh_settle_new(s, p);
	return p;
}

void sh_drop_all(struct shadow *s)
{
	sh_drop_roots(s, NULL);
	for (u32 i = 1; i <= s->npages; i++)
		if (s->page[i].state != SH_FREE)
			sh_free(s, &s->page[i]);
	s->stale = SH_ALL_TAGS;
	s->flush_now = true;
}

/* --- making and giving back ------------------------------------------------------------------ */

/* One allocation holds everything but the tables themselves. */
static void *carve(uintptr_t *at, u64 n, u64 size)
{
	uintptr_t p = *at;

	*at += ALIGN_UP(n * size, 64ull);
	return (void *)p;
}

static u64 lay_out(struct shadow *s, uintptr_t base)
{
	u64 chunks = s->m->nchunks, gibs = chunks * P2M_CHUNK / GIB + 1;
	uintptr_t at = base;

	carve(&at, 1, sizeof(*s));
	s->page = carve(&at, s->npages + 1, sizeof(*s->page));
	s->hash = carve(&at, 1ull << (64 - s->hash_shift), sizeof(*s->hash));
	s->node = carve(&at, s->nnodes + 1, sizeof(*s->node));
	s->frame = carve(&at, s->nframes, sizeof(*s->frame));
	s->chunk_map = carve(&at, chunks, sizeof(u32));
	s->chunk_sync = carve(&at, chunks, sizeof(u32));
	s->gib_map = carve(&at, gibs, sizeof(u32));
	s->gib_sync = carve(&at, gibs, sizeof(u32));
	s->gib_whole = carve(&at, gibs, 1);
	return at - base;
}

static bool whole_gib(const struct p2m *m, u64 first)
{
	if (first == 0 || m->nchunks - first < GIB / P2M_CHUNK || !m->chunk[first] ||
	    (m->chunk[first] & (GIB - 1)))
		return false;
	for (u64 i = 1; i < GIB / P2M_CHUNK; i++)
		if (m->chunk[first + i] != m->chunk[first] + i * P2M_CHUNK)
			return false;
	return true;
}

static void fill_tables(struct shadow *s)
{
	for (u64 c = 0; c < s->m->nchunks; c += GIB / P2M_CHUNK)
		s->gib_whole[c * P2M_CHUNK / GIB] = whole_gib(s->m, c);
	for (u32 i = s->npages; i; i--) {
		s->page[i].spt = hpa_va(s->spt_base + (hpa_t)(i - 1) * PAGE_SIZE);
		s->page[i].src = hpa_va(s->src_base + (hpa_t)(i - 1) * PAGE_SIZE);
		s->page[i].hash_next = s->free;
		s->free = i;
	}
	for (u32 i = s->nnodes; i; i--) {
		s->node[i].next = s->node_free;
		s->node_free = i;
	}
	s->nodes_left = s->nnodes;
	memset(hpa_va(s->low_base), 0, PAGE_SIZE);
	for (unsigned i = 0; i < SH_ENTRIES; i++)
		((u64 *)hpa_va(s->low_base + PAGE_SIZE))[i] = s->trap;
	for (unsigned i = 0; i < SH_ROOTS; i++) {
		s->root[i].pdpt = (u64 *)hpa_va(s->low_base) + i * 4;
		s->root[i].table = s->low_base + i * 32;
		s->root[i].tag = SHADOW_TAG_SHARED;
	}
}

static void give_back(hpa_t base, u64 pages)
{
	if (base)
		frames_free(base, pages, OWNER_HYPERVISOR);
}

static int take_frames(struct shadow *s)
{
	s->spt_base = frames_alloc(s->npages, 1, OWNER_HYPERVISOR);
	s->src_base = frames_alloc(s->npages, 1, OWNER_HYPERVISOR);
	s->low_base = frames_alloc_below(LOW_PAGES, 1, 4 * GIB, OWNER_HYPERVISOR);
	return s->spt_base && s->src_base && s->low_base ? 0 : -ENOMEM;
}

static void size_up(struct shadow *s, const struct shadow_config *c, struct p2m *m)
{
	memset(s, 0, sizeof(*s));
	s->c = *c;
	s->m = m;
	s->format = ~0ull;
	s->ways = s->edits = 1;
	s->npages = MIN(MAX(c->pool_pages, SHADOW_MIN_PAGES), SH_CHAIN_MASK >> 9);
	s->nnodes = s->npages * NODES_PER_TABLE + NODES_MORE;
	s->nframes = m->nchunks * (P2M_CHUNK / PAGE_SIZE);
	for (s->hash_shift = 64 - 8; 1ull << (64 - s->hash_shift) < s->npages;)
		s->hash_shift--;
	/* Without an address bit to spare there is no entry that faults as reserved. */
	if (c->filters_faults && c->maxphyaddr < GUEST_PHYS_MAX)
		s->trap = PTE_P | (PTE_ADDR & ~0ull << c->maxphyaddr);
}

int shadow_create(struct shadow **out, const struct shadow_config *c, struct p2m *m)
{
	struct shadow probe, *s;
	u64 pages;
	hpa_t arena;

	size_up(&probe, c, m);
	pages = ALIGN_UP(lay_out(&probe, 0), PAGE_SIZE) / PAGE_SIZE;
	arena = frames_alloc(pages, 1, OWNER_HYPERVISOR);
	if (!arena)
		return -ENOMEM;
	s = hpa_va(arena);
	memset(s, 0, pages * PAGE_SIZE);
	size_up(s, c, m);
	lay_out(s, (uintptr_t)s);
	s->arena_pages = pages;
	if (take_frames(s)) {
		shadow_destroy(s);
		return -ENOMEM;
	}
	fill_tables(s);
	*out = s;
	return 0;
}

void shadow_destroy(struct shadow *s)
{
	give_back(s->spt_base, s->npages);
	give_back(s->src_base, s->npages);
	give_back(s->low_base, LOW_PAGES);
	give_back(va_hpa(s), s->arena_pages);
}
