/* Writes to tables that are kept in step: carried out here one by one while they are few; a table
 * that is hammered goes out of sync instead, and one that nothing links any more is dropped.
 *
 * Few: what is written is used before the next write (we made the entry without its accessed bit
 * and the CPU has set it), as when pages are mapped on demand. Many: no use in between, as when a
 * range is mapped, protected or torn down.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/sh_store.h"
#include "paging/shadow/shadow_int.h"

#define WRITES_LEAF  4u /* to a last-level table without use in between */
#define WRITES_LINKS 3u
#define CLEARED_MAX  2u /* entries of a last-level table made absent in a row */
#define REMOVED_MAX  8u /* or now and then */

static bool linked(const struct sh_page *p)
{
	return p->parents || p->roots;
}

/* Is some table made from the guest's at @gpa in use? */
static bool in_use(const struct shadow *s, gpa_t gpa)
{
	const struct sh_page *p;

	for (p = sh_next_of(s, gpa, NULL); p; p = sh_next_of(s, gpa, p))
		if (linked(p))
			return true;
	return false;
}

static bool hammered(const struct shadow *s, struct sh_page *p)
{
	u64 last = p->spt[p->written];
	bool leaf = p->level == 1;

	/* Where absent entries are nothing special, a table out of sync costs no more either way.
	 */
	if (leaf && s->absent != s->trap && sh_present(s, last) && (last & PTE_A))
		p->writes = 0;
	return ++p->writes >= (leaf ? WRITES_LEAF : WRITES_LINKS);
}

/* Only what the frame was once, in an address space that may be gone? Another table made from it is
 * within reach, and @p is not. */
static bool outlived(const struct shadow *s, gpa_t gpa, const struct sh_page *p)
{
	const struct sh_page *o;

	if (!s->current || !sh_out_of_reach(s, p, s->current))
		return false;
	for (o = sh_next_of(s, gpa, NULL); o; o = sh_next_of(s, gpa, o))
		if (o != p && !sh_out_of_reach(s, o, s->current))
			return true;
	return false;
}

static void drop_written(struct shadow *s, gpa_t gpa)
{
	u64 since = sh_now(s);

	sh_unshadow(s, gpa);
	sh_account(s, SHADOW_PATH_UNSHADOW, since);
}

bool sh_table_write(struct shadow *s, gpa_t gpa)
{
	struct sh_page *p;

	if (!in_use(s, gpa)) {
		drop_written(s, gpa);
		return false;
	}
	for (p = sh_next_of(s, gpa, NULL); p; p = sh_next_of(s, gpa, p)) {
		if (!hammered(s, p) || outlived(s, gpa, p))
			continue;
		sh_go_out_of_sync(s, gpa);
		return false;
	}
	return true;
}

/* --- after a write -----------------------------------------------------------------------------
 */

/* A table that the guest took out is about to be freed: so are those below that only it links. */
void sh_drop_orphan(struct shadow *s, struct sh_page *p)
{
	if (linked(p) || p->pinned == s->op || p->state == SH_FREE)
		return;
	for (unsigned i = 0; p->level > 1 && i < SH_ENTRIES && p->live; i++) {
		u64 e = p->spt[i];

		if (!sh_present(s, e))
			continue;
		sh_put(s, p, i, s->trap);
		if (!(e & PTE_PS))
			sh_drop_orphan(s, sh_target(s, e));
	}
	sh_free(s, p);
}

/* Take over entry @gi of @p. True: the guest is tearing this table down. */
static bool take_written(struct shadow *s, struct sh_page *p, unsigned gi)
{
	unsigned idx = sh_pairs(p) ? gi << 1 : gi;
	u64 e = sh_guest(p, gi), was = sh_src(p, gi), old[2] = {p->spt[idx], 0};

	if (e == was)
		return false;
	if (sh_pairs(p))
		old[1] = p->spt[idx + 1];
	sh_take(s, p, gi, e);
	p->written = (u16)idx;
	for (unsigned i = 0; i < 2; i++)
		if (sh_is_link(s, p, old[i]))
			sh_drop_orphan(s, sh_target(s, old[i]));
	if (!(was & ~e & PTE_P)) {
		p->cleared = 0;
		return false;
	}
	p->cleared++;
	return p->level > 1 || p->cleared >= CLEARED_MAX || ++p->removed >= REMOVED_MAX;
}

static bool take_range(struct shadow *s, struct sh_page *p, u64 from, u64 to)
{
	unsigned size = sh_source_size(p);
	u64 base = sh_key_quad(p->key) * sh_sources(p) * size, end = base + sh_sources(p) * size;
	bool down = false;

	for (u64 at = ALIGN_DOWN(MAX(from, base), size); at < MIN(to, end); at += size)
		down |= take_written(s, p, (unsigned)(at - base) / size);
	return down;
}

/* True: the table is being torn down. */
static bool take_write(struct shadow *s, gpa_t gpa, u64 len)
{
	gpa_t table = ALIGN_DOWN(gpa, PAGE_SIZE);
	u64 from = gpa - table;
	struct sh_page *p, *next;
	bool down = false;

	for (p = sh_next_of(s, table, NULL); p; p = next) {
		p->pinned = s->op; /* whatever is dropped below, these stay */
		down |= take_range(s, p, from, from + len);
		next = sh_next_of(s, table, p);
	}
	return down;
}

void sh_table_written(struct shadow *s, gpa_t gpa, u64 len)
{
	take_write(s, gpa, len);
}

/* --- carrying one out --------------------------------------------------------------------------
 */

struct source {
	struct shadow *s;
	const struct walk_regs *g;
};

static const void *source_at(void *ctx, gva_t gva, unsigned size)
{
	struct source *from = ctx;
	struct sh_walk w;

	if ((gva & (PAGE_SIZE - 1)) + size > PAGE_SIZE)
		return NULL;
	if (from->s->mode.kind == SH_DIRECT)
		return NULL;
	if (sh_walk(from->s, from->g, gva, from->g->cpl == 3 ? PFEC_U : 0, &w) != SH_WALK_OK)
		return NULL;
	return p2m_ptr(from->s->m, w.gpa);
}

static bool store(struct shadow *s, const struct walk_regs *g, const struct shadow_insn *i,
		  gva_t gva, gpa_t gpa)
{
	struct source from = {.s = s, .g = g};
	struct sh_memory m = {
		.gva = gva, .at = p2m_ptr(s->m, gpa), .source = source_at, .ctx = &from};
	unsigned size = m.at ? sh_store_run(i, &m) : 0;

	if (!size)
		return false;
	if (take_write(s, gpa, size))
		sh_go_out_of_sync(s, ALIGN_DOWN(gpa, PAGE_SIZE));
	return true;
}

bool shadow_store(struct shadow *s, const struct walk_regs *g, const struct shadow_insn *i,
		  gva_t gva, gpa_t gpa)
{
	u64 since = sh_now(s);
	const u32 *f;
	bool done;

	sh_begin(s);
	f = sh_frame(s, gpa);
	done = store(s, g, i, s->mode.kind == SH_LONG ? gva : (u32)gva, gpa);
	if (!done && f && (*f & SH_FRAME_SYNC))
		sh_go_out_of_sync(s, ALIGN_DOWN(gpa, PAGE_SIZE));
	sh_commit(s);
	sh_account(s, SHADOW_PATH_STORE, since);
	return done;
}
