/* Some address spaces of a guest on shadow tables, others not, switched between at loads of CR3.
 *
 * In between the tables are frozen, but not forgotten: what is in step with the guest's tables
 * stays so, because the frames of those are guarded by whoever runs the guest then (nested tables
 * without the right to write). The first write to one puts it out of sync, like any table that is
 * hammered, and it is compared when it is next within reach. So a thaw is a load of CR3 like any
 * other.
 *
 * A table that the other address spaces' own walks come by, the kernel's, cannot be guarded where
 * a CPU's walk counts as a write: it is out of sync for good.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"

/* Of these no change may go unheard; the others do not matter to tables. */
#define MODE_CR0  (CR0_PG | CR0_WP)
#define MODE_CR4  (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP | CR4_PKE)
#define MODE_EFER (EFER_NXE | EFER_LMA)

static void unshare(struct shadow *s)
{
	for (u32 i = 1; i <= s->npages; i++)
		s->page[i].shared = false;
	s->shared = 0;
}

void shadow_set_guard(struct shadow *s, void (*guard)(void *ctx, gpa_t gpa, bool on), void *ctx)
{
	s->guard = guard;
	s->guard_ctx = ctx;
	s->kept = false;
	unshare(s);
	for (u32 i = 1; guard && i <= s->npages; i++) {
		const struct sh_page *p = &s->page[i];

		if (p->state == SH_SYNCED && p->in_ram)
			guard(ctx, sh_key_gpa(p->key), true);
	}
}

void shadow_freeze(struct shadow *s)
{
	s->active = false;
}

static bool other_mode(const struct shadow *s, const struct walk_regs *g)
{
	const struct sh_mode *m = &s->mode;

	return ((m->cr0 ^ g->cr0) & MODE_CR0) || ((m->cr4 ^ g->cr4) & MODE_CR4) ||
	       ((m->efer ^ g->efer) & MODE_EFER);
}

void shadow_thaw(struct shadow *s, const struct walk_regs *g)
{
	u64 misses = s->stats.root_misses;

	if (!s->kept || other_mode(s, g)) {
		shadow_enter(s, g);
		return;
	}
	s->active = true;
	shadow_load_cr3(s, g);
	if (s->stats.root_misses == misses || s->c.policy != SHADOW_AUTO)
		return;
	sh_begin(s);
	sh_build_current(s);
	sh_commit(s);
}

static void share(struct shadow *s, gpa_t gpa)
{
	struct sh_page *p;

	for (p = sh_next_of(s, gpa, NULL); p; p = sh_next_of(s, gpa, p)) {
		s->shared += !p->shared;
		p->shared = true;
	}
}

void shadow_foreign_write(struct shadow *s, gpa_t gpa, bool walk)
{
	const u32 *f;

	gpa = ALIGN_DOWN(gpa, PAGE_SIZE);
	f = sh_frame(s, gpa);
	if (!f || !(*f & SH_FRAME_SYNC))
		return;
	if (SH_BUG(GUARD) && sh_next_of(s, gpa, NULL)->level == 1)
		return;
	sh_begin(s);
	if (walk)
		share(s, gpa);
	sh_go_out_of_sync(s, gpa);
	sh_commit(s);
}

unsigned shadow_shared(const struct shadow *s)
{
	return s->shared;
}
