/* From another way of translating to this one and back.
 *
 * While the guest runs otherwise its tables change unseen, so on return every table that was kept
 * is compared with the copy of what it was made from: tens of nanoseconds each. Where nothing was
 * kept of the address space that runs, tables are made from all that the guest's say has been used,
 * up to a limit: the rest comes by faults.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"

#define BUILD_TABLES 512u /* at a time: a gigabyte in pages of 4 KiB, about a millisecond */

static bool used_link(const struct shadow *s, const struct sh_page *p, u64 e)
{
	unsigned level = p->level;

	if (level == 1 || (e & (PTE_P | PTE_A)) != (PTE_P | PTE_A))
		return false;
	return !(e & s->rsvd[level][(e & PTE_PS) != 0]) && !sh_is_large(s, p->kind, level, e);
}

/* Make the tables that @p links and fill them. Nothing is evicted for it. */
static void build(struct shadow *s, struct sh_page *p, unsigned *left)
{
	p->pinned = s->op;
	/* Of empty entries nobody has asked so far what the guest's are. */
	if (p->state == SH_OOS)
		sh_compare_all(s, p);
	for (unsigned i = 0; i < SH_ENTRIES && *left && s->free; i++) {
		u64 e = sh_src(p, sh_pairs(p) ? i >> 1 : i), key;

		if (!used_link(s, p, e))
			continue;
		key = sh_child_key(p, i, e);
		if (sh_find(s, key))
			continue;
		--*left;
		build(s, sh_get(s, key), left);
	}
	sh_link_known(s, p);
}

void sh_build_current(struct shadow *s)
{
	unsigned left = MIN(BUILD_TABLES, s->npages / 2);

	for (unsigned i = 0; i < 4; i++)
		if (s->current->page[i] && s->page[s->current->page[i]].guest)
			build(s, &s->page[s->current->page[i]], &left);
}

int shadow_enter(struct shadow *s, const struct walk_regs *g)
{
	u64 misses;

	sh_begin(s);
	s->active = true;
	s->kept = s->guard != NULL;
	sh_set_mode(s, g);
	sh_sample_pdptes(s, g);
	sh_guest_flushed(s);
	s->stale = SH_ALL_TAGS;
	for (u32 i = 1; i <= s->npages; i++)
		if (s->page[i].state != SH_FREE)
			sh_compare_all(s, &s->page[i]);
	misses = s->stats.root_misses;
	sh_load_root(s);
	if (s->stats.root_misses != misses && s->c.policy == SHADOW_AUTO)
		sh_build_current(s);
	sh_commit(s);
	return 0;
}

void shadow_leave(struct shadow *s)
{
	s->active = s->kept = false;
}
