/* INVLPG, and memory that changes behind the guest's CPU.
 *
 * INVLPG empties the paging-structure caches whatever its address, so tables of links that are out
 * of sync are compared; of last-level tables only the entry in question. What the guest has put
 * there is filled in at once, as it is about to be used.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"

/* Take over entry @idx if the guest has changed it, or has used it and we have not got it. */
static void refresh_entry(struct shadow *s, struct sh_page *p, unsigned idx)
{
	unsigned gi = sh_pairs(p) ? idx >> 1 : idx;
	u64 e = sh_guest(p, gi);

	if (e != sh_src(p, gi) ||
	    (!sh_present(s, p->spt[idx]) && (e & (PTE_P | PTE_A)) == (PTE_P | PTE_A)))
		sh_take(s, p, gi, e);
}

/* Bring the way to @gva up to date, as far as there are tables. */
static void refresh(struct shadow *s, gva_t gva)
{
	u32 top = s->current->page[s->mode.kind == SH_LONG ? 0 : gva >> 30 & 3];

	for (struct sh_page *p = &s->page[top]; top && p->guest;) {
		unsigned idx = gva >> SH_LEVEL_SHIFT(p->level) & (SH_ENTRIES - 1);

		/* Links that we know of are right where the table is in step, and others were
		 * compared just now. */
		if (p->level == 1 || !sh_present(s, p->spt[idx]))
			refresh_entry(s, p, idx);
		if (!sh_is_link(s, p, p->spt[idx]))
			return;
		p = sh_target(s, p->spt[idx]);
	}
}

void shadow_invlpg(struct shadow *s, const struct walk_regs *g, gva_t gva)
{
	u64 since = sh_now(s);

	(void)g;
	sh_begin(s);
	if (s->c.policy == SHADOW_VTLB) {
		sh_drop_all(s);
	} else {
		gva = s->mode.kind == SH_LONG ? gva : (u32)gva;
		if (s->oos[1].head)
			sh_sync_root(s, s->current, true);
		refresh(s, gva);
		if (s->stale & BIT(s->tag))
			s->c.cpu->flush_page(s->c.cpu_ctx, s->tag, gva);
	}
	sh_commit(s);
	sh_account(s, SHADOW_PATH_INVLPG, since);
}

void shadow_written(struct shadow *s, gpa_t gpa, u64 len)
{
	if (!s->active && !s->kept)
		return;
	sh_begin(s);
	while (len) {
		u64 n = MIN(len, PAGE_SIZE - (gpa & (PAGE_SIZE - 1)));
		u32 *f = sh_frame(s, gpa);

		if (f && (*f & SH_FRAME_SYNC))
			sh_table_written(s, gpa, n);
		gpa += n;
		len -= n;
	}
	sh_commit(s);
}

/* Rare, and as good as anywhere in the tables. */
void shadow_p2m_changed(struct shadow *s, gpa_t gpa, u64 len)
{
	(void)gpa, (void)len;
	sh_begin(s);
	sh_drop_all(s);
	sh_commit(s);
}
