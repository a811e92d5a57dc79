/* The state of a table: in step with the guest's, or out of it.
 *
 * A synced table's frame is mapped nowhere writable; what writes it exits. A table out of sync may
 * be written freely: like a CPU's TLB and paging-structure caches it may be behind the guest's
 * memory until the guest flushes, when all that the guest can get at is compared with the copy of
 * what it was made from. All tables made from one frame are in the same state. Tables in ROM, or
 * where there is no memory, never change and count as synced. What other address spaces walk
 * without us stays out of sync (sh_freeze.c).
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"

#define PATIENCE_LEAF  4u
#define PATIENCE_LINKS 8u
#define PATIENCE_MAX   128u
#define GONE_AT_ONCE   16u /* entries of a last-level table, between two flushes */
#define ASLEEP_LOADS   64u /* of CR3, since a table was within reach */

/* --- the list of tables out of sync ---------------------------------------------------------- */

static struct sh_list *list_of(struct shadow *s, const struct sh_page *p)
{
	return &s->oos[p->level > 1];
}

static void list_add(struct shadow *s, struct sh_page *p)
{
	struct sh_list *l = list_of(s, p);
	u32 n = sh_number(s, p);

	p->oos_prev = l->tail;
	p->oos_next = 0;
	if (l->tail)
		s->page[l->tail].oos_next = n;
	else
		l->head = n;
	l->tail = n;
	s->oos_count++;
}

static void list_remove(struct shadow *s, struct sh_page *p)
{
	struct sh_list *l = list_of(s, p);

	if (p->oos_prev)
		s->page[p->oos_prev].oos_next = p->oos_next;
	else
		l->head = p->oos_next;
	if (p->oos_next)
		s->page[p->oos_next].oos_prev = p->oos_prev;
	else
		l->tail = p->oos_prev;
	s->oos_count--;
}

/* --- comparing ------------------------------------------------------------------------------- */

static void compare_word(struct shadow *s, struct sh_page *p, unsigned word)
{
	unsigned per = 8 / sh_source_size(p);

	for (unsigned gi = word * per; gi < (word + 1) * per; gi++) {
		u64 e = sh_guest(p, gi);

		if (e != sh_src(p, gi))
			sh_take(s, p, gi, e);
	}
}

static bool compare_present(struct shadow *s, struct sh_page *p)
{
	bool changed = false;

	for (unsigned w = 0; w < ARRAY_SIZE(p->present); w++) {
		for (u64 left = p->present[w]; left; left &= left - 1) {
			unsigned idx = w * 64 + (unsigned)__builtin_ctzll(left);
			unsigned gi = sh_pairs(p) ? idx >> 1 : idx;
			u64 e = sh_guest(p, gi);

			if (e == sh_src(p, gi))
				continue;
			sh_take(s, p, gi, e);
			p->gone += !(e & PTE_P);
			changed = true;
		}
	}
	return changed;
}

bool sh_compare(struct shadow *s, struct sh_page *p)
{
	bool changed;
	u64 since;

	if (p->compared == s->op || !p->guest)
		return false;
	since = sh_now(s);
	p->compared = s->op;
	p->gone = 0;
	changed = compare_present(s, p);
	sh_account(s, SHADOW_PATH_RESYNC, since);
	return changed;
}

void sh_compare_all(struct shadow *s, struct sh_page *p)
{
	const u64 *now = (const u64 *)(const void *)p->guest, *was = p->src;
	unsigned words = sh_sources(p) * sh_source_size(p) / 8;
	u64 since = sh_now(s);

	if (!now)
		return;
	p->compared = s->op;
	for (unsigned i = 0; i < words; i += 4) {
		u64 diff = (now[i] ^ was[i]) | (now[i + 1] ^ was[i + 1]) |
			   (now[i + 2] ^ was[i + 2]) | (now[i + 3] ^ was[i + 3]);

		for (unsigned k = 0; diff && k < 4; k++)
			compare_word(s, p, i + k);
	}
	sh_account(s, SHADOW_PATH_RESYNC, since);
}

/* Can a walk through @top come to @p? */
static bool may_be_below(const struct shadow *s, const struct sh_page *p, const struct sh_page *top)
{
	while (p->level < top->level) {
		u32 ref = sh_chain_first(s, p->parents);

		if (!ref)
			return false;
		if (!sh_chain_single(p->parents))
			return true;
		p = &s->page[ref >> 9];
	}
	return p == top;
}

/* Whoever comes by a new way has never seen what the tables along it said before. */
void sh_sync_below(struct shadow *s, struct sh_page *top)
{
	if (top->state == SH_OOS)
		sh_compare(s, top);
	if (top->level == 1)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(s->oos); i++)
		for (u32 n = s->oos[i].head; n; n = s->page[n].oos_next)
			if (s->page[n].compared != s->op && may_be_below(s, &s->page[n], top))
				sh_compare(s, &s->page[n]);
}

/* Is none of the tables made from the guest's at @gpa within the guest's reach, or needed now? */
static bool asleep(const struct shadow *s, gpa_t gpa)
{
	const struct sh_page *p;

	for (p = sh_next_of(s, gpa, NULL); p; p = sh_next_of(s, gpa, p))
		if (p->pinned == s->op || !s->current || !sh_out_of_reach(s, p, s->current))
			return false;
	return true;
}

/* A table of an address space that does not run, and yet changed: it has most likely been torn down
 * and its frame put to another use. If not, it is soon made again. */
static bool looks_dead(struct shadow *s, struct sh_page *p)
{
	u64 before = s->changes;

	if (!p->parents && !p->roots)
		return true;
	sh_compare_all(s, p);
	return s->changes != before;
}

/* Take a table of another address space off the list. False: it is not one. */
static bool retire(struct shadow *s, struct sh_page *p)
{
	gpa_t gpa = sh_key_gpa(p->key);

	p->reached = s->loads;
	if (s->c.policy != SHADOW_AUTO || p->shared || !asleep(s, gpa))
		return false;
	if (looks_dead(s, p))
		sh_unshadow(s, gpa);
	else
		sh_go_synced(s, gpa);
	return true;
}

/* Compared without a difference, often enough: True: it is in step now, with all tables made from
 * the same. */
static bool calmed(struct shadow *s, struct sh_page *p)
{
	if (s->c.policy != SHADOW_AUTO || p->shared || ++p->clean < p->patience)
		return false;
	sh_go_synced(s, sh_key_gpa(p->key));
	return true;
}

/* A range of pages was taken out of it at once, and that is over: what comes next is most likely
 * filled on demand. */
static bool torn_down(struct shadow *s, struct sh_page *p)
{
	if (s->c.policy != SHADOW_AUTO || p->shared || p->level > 1 || s->absent == s->trap ||
	    p->gone < GONE_AT_ONCE)
		return false;
	sh_go_synced(s, sh_key_gpa(p->key));
	return true;
}

/* Out of reach from the running root. That is looked up once after each change of links. */
static bool far(struct shadow *s, struct sh_page *p, const struct sh_root *r)
{
	if (p->far == s->ways)
		return true;
	if (sh_out_of_reach(s, p, r)) {
		p->far = s->ways;
		return true;
	}
	p->reached = s->loads;
	return false;
}

/* True: other tables of the list may have gone with it. */
static bool sync_one(struct shadow *s, struct sh_page *p, const struct sh_root *r)
{
	if (p->compared == s->op)
		return false;
	if (far(s, p, r)) {
		if (p->parents || p->roots || p->pinned == s->op)
			return s->loads - p->reached > ASLEEP_LOADS && retire(s, p);
		sh_drop_orphan(s, p);
		return true;
	}
	if (SH_BUG(RESYNC) && sh_number(s, p) == s->oos[p->level > 1].head)
		return false;
	if (!sh_compare(s, p))
		return calmed(s, p);
	p->clean = 0;
	return torn_down(s, p);
}

/* What was compared already is passed over when the list is begun anew. */
static void sync_list(struct shadow *s, const struct sh_list *l, const struct sh_root *r)
{
	u32 next;

	for (u32 n = l->head; n; n = next) {
		next = s->page[n].oos_next;
		if (sync_one(s, &s->page[n], r))
			next = l->head;
	}
}

void sh_sync_root(struct shadow *s, const struct sh_root *r, bool links_only)
{
	sync_list(s, &s->oos[1], r);
	if (!links_only)
		sync_list(s, &s->oos[0], r);
}

/* --- changing state -------------------------------------------------------------------------- */

/* An absent entry faults without our hearing of it: only where a write to the guest's does not. */
static void mark_absent(struct shadow *s, struct sh_page *p)
{
	for (unsigned i = 0; s->absent != s->trap && i < SH_ENTRIES; i++)
		if (!(sh_src(p, sh_pairs(p) ? i >> 1 : i) & PTE_P))
			p->spt[i] = s->absent;
}

static void unmark_absent(struct shadow *s, struct sh_page *p)
{
	for (unsigned i = 0; s->absent != s->trap && !SH_BUG(ABSENT) && i < SH_ENTRIES; i++)
		if (p->spt[i] == s->absent)
			p->spt[i] = s->trap;
}

static void frame_synced(struct shadow *s, gpa_t gpa)
{
	*sh_frame(s, gpa) |= SH_FRAME_SYNC;
	s->chunk_sync[gpa >> P2M_CHUNK_SHIFT]++;
	s->gib_sync[gpa / GIB]++;
	if (!SH_BUG(PROTECT))
		sh_write_protect(s, gpa);
	if (s->guard && !SH_BUG(OPEN))
		s->guard(s->guard_ctx, gpa, true);
}

static void frame_unsynced(struct shadow *s, gpa_t gpa)
{
	u32 *f = sh_frame(s, gpa);

	if (!(*f & SH_FRAME_SYNC))
		return;
	*f &= ~(u32)SH_FRAME_SYNC;
	s->chunk_sync[gpa >> P2M_CHUNK_SHIFT]--;
	s->gib_sync[gpa / GIB]--;
	if (s->guard)
		s->guard(s->guard_ctx, gpa, false);
}

static void page_synced(struct shadow *s, struct sh_page *p)
{
	p->state = SH_SYNCED;
	p->writes = p->cleared = p->removed = 0;
	mark_absent(s, p);
}

static void page_out_of_sync(struct shadow *s, struct sh_page *p)
{
	p->state = SH_OOS;
	p->clean = 0;
	p->reached = s->loads;
	unmark_absent(s, p);
	list_add(s, p);
}

/* The one longest out of sync, but for those that this operation is about. */
static struct sh_page *oldest(const struct shadow *s, gpa_t but)
{
	u32 n = s->oos[0].head;

	if (!n)
		n = s->oos[1].head;
	while (n && (s->page[n].pinned == s->op || s->page[n].shared ||
		     sh_key_gpa(s->page[n].key) == but))
		n = s->page[n].oos_next;
	return n ? &s->page[n] : NULL;
}

/* Those that cannot be otherwise do not count: there have to be enough for an instruction. */
static void keep_few(struct shadow *s, gpa_t but)
{
	while (s->c.policy == SHADOW_AUTO && s->oos_count > SH_OOS_MAX + s->shared) {
		struct sh_page *p = oldest(s, but);

		if (!p)
			break;
		if (!retire(s, p))
			sh_go_synced(s, sh_key_gpa(p->key));
	}
}

void sh_go_synced(struct shadow *s, gpa_t gpa)
{
	struct sh_page *p;

	frame_synced(s, gpa);
	for (p = sh_next_of(s, gpa, NULL); p; p = sh_next_of(s, gpa, p)) {
		sh_compare_all(s, p);
		list_remove(s, p);
		page_synced(s, p);
	}
}

void sh_go_out_of_sync(struct shadow *s, gpa_t gpa)
{
	struct sh_page *p;

	frame_unsynced(s, gpa);
	s->stats.went_out_of_sync++;
	for (p = sh_next_of(s, gpa, NULL); p; p = sh_next_of(s, gpa, p)) {
		page_out_of_sync(s, p);
		p->patience = (u8)MIN(p->patience * 2u, PATIENCE_MAX);
	}
	keep_few(s, gpa);
}

/* Has the guest made no more than one entry of it so far? */
static bool hardly_used(const struct sh_page *p)
{
	unsigned n = 0;

	for (unsigned gi = 0; n < 2 && gi < sh_sources(p); gi++)
		n += sh_guest(p, gi) & PTE_P;
	return n < 2;
}

/* Tables are born out of sync, as they are about to be filled, and earn their state by being left
 * alone; unless absent entries are worth something: then last-level tables that are filled on
 * demand, which begin with one entry, are watched from the start, until they turn out to be
 * hammered. Those that begin with more are copies (fork): changed and torn down in one go. */
static bool born_out_of_sync(const struct shadow *s, const struct sh_page *p)
{
	if (s->c.policy == SHADOW_VTLB)
		return true;
	return p->level > 1 || s->absent == s->trap || !hardly_used(p);
}

void sh_settle_again(struct shadow *s, struct sh_page *p)
{
	if (p->state != SH_OOS || p->shared || born_out_of_sync(s, p))
		return;
	p->patience = PATIENCE_LEAF;
	sh_go_synced(s, sh_key_gpa(p->key));
}

void sh_settle_new(struct shadow *s, struct sh_page *p)
{
	gpa_t gpa = sh_key_gpa(p->key);
	u32 *f;

	p->state = SH_SYNCED;
	p->patience = p->level == 1 ? PATIENCE_LEAF : PATIENCE_LINKS;
	if (!p->guest)
		return;
	if (!p->in_ram) {
		page_synced(s, p);
		return;
	}
	f = sh_frame(s, gpa);
	if (!(*f & SH_FRAME_HELD) && !born_out_of_sync(s, p))
		frame_synced(s, gpa);
	*f |= SH_FRAME_HELD;
	if (*f & SH_FRAME_SYNC)
		page_synced(s, p);
	else
		page_out_of_sync(s, p);
	keep_few(s, gpa);
}

void sh_forget_state(struct shadow *s, struct sh_page *p)
{
	gpa_t gpa = sh_key_gpa(p->key);
	struct sh_page *other;

	if (p->state == SH_OOS)
		list_remove(s, p);
	s->shared -= p->shared;
	if (!p->in_ram)
		return;
	other = sh_next_of(s, gpa, NULL);
	if (other == p)
		other = sh_next_of(s, gpa, p);
	if (other)
		return;
	frame_unsynced(s, gpa);
	*sh_frame(s, gpa) &= ~(u32)SH_FRAME_HELD;
}
