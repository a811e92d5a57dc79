/* Address spaces in modes of their own: the two halves, and going from one to the other.
 *
 * The nested half is right whatever the guest does. The shadow half is right as long as what its
 * tables say "in step" of is guarded: the frames of such tables are not writable in the nested
 * tables, at any time while this is the vCPU's mode. See sh_freeze.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "lib/x86.h"
#include "paging/mixed/mixed_int.h"
#include "paging/nested/nested_guard.h"
#include "paging/shadow/shadow_ops.h"

#define FAULTS_A_RUN 64u /* of a nested space, that are heard of */
#define OUTLIER	     4u	 /* times what a load takes usually: not the load's */
#define USUAL_LOADS  32u

/* --- guards ----------------------------------------------------------------------------------- */

static void guard(void *ctx, gpa_t gpa, bool on)
{
	struct vcpu *v = ctx;

	if (on)
		mixed_look_end(v);
	if (!on)
		nested_unguard(v->nested, gpa);
	else if (nested_guard(v->nested, gpa) != 0)
		v->mixed->whole = true;
}

/* The nested half runs on: what it may have cached of frames guarded since goes. */
static void settle_guards(struct vcpu *v)
{
	struct mixed *m = v->mixed;

	if (m->shadow || m->guards_flushed == v->nested->guards_made)
		return;
	paging_nested.flush(v);
	m->guards_flushed = v->nested->guards_made;
}

/* --- halves ----------------------------------------------------------------------------------- */

static const struct paging_ops *half(const struct vcpu *v)
{
	return v->mixed->shadow ? &paging_shadow : &paging_nested;
}

/* Without paging, and without CR0.WP, nested tables do what the shadow's cannot. */
static bool fit(const struct vcpu_code *c)
{
	return (c->cr0 & (CR0_PG | CR0_WP)) == (CR0_PG | CR0_WP);
}

static void run_nested(struct vcpu *v)
{
	v->mixed->shadow = false;
	paging_nested.enter(v); /* flushes */
	v->mixed->guards_flushed = v->nested->guards_made;
}

static void to_nested(struct vcpu *v, bool loads)
{
	mixed_look_end(v);
	shadow_paging_freeze(v, loads);
	run_nested(v);
	v->mixed->stats.to_nested++;
}

static void to_shadow(struct vcpu *v)
{
	struct mixed *m = v->mixed;

	mixed_look_end(v);
	if (m->whole)
		shadow_leave(v->shadow->tables);
	paging_nested.leave(v);
	m->shadow = true;
	shadow_paging_thaw(v);
	m->current->held = true;
	m->stats.to_shadow++;
	if (shadow_shared(v->shadow->tables) > MIXED_SHARED_MAX)
		m->too_shared = true;
}

static void watch_faults(struct vcpu *v, bool want)
{
	unsigned bits = WATCH_BIT(WATCH_CR3) | (want ? WATCH_BIT(WATCH_FAULT) : 0);

	if (v->watch.want[WATCHER_SPACES] == bits)
		return;
	paging_watch(v, WATCHER_SPACES, bits);
	run_nested(v);
}

/* Of a nested space's page faults the first ones of some of its runs are heard of. */
static void watch_run(struct vcpu *v)
{
	const struct mixed_space *a = v->mixed->current;

	watch_faults(v, a && a->ran >= a->hear_from);
}

static void rest_if_enough(struct vcpu *v)
{
	struct mixed *m = v->mixed;
	struct mixed_space *a = m->current;

	if (m->shadow || !a || !(v->watch.want[WATCHER_SPACES] & WATCH_BIT(WATCH_FAULT)) ||
	    v->watch.count[WATCH_FAULT] - m->faults + a->heard_now < FAULTS_A_RUN)
		return;
	mixed_charge(v);
	mixed_rest(m, a);
	watch_faults(v, false);
}

static void drop_tables(struct vcpu *v, struct mixed_space *a)
{
	if (!a->held)
		return;
	a->held = false;
	v->mixed->stats.forgotten++;
	shadow_forget(v->shadow->tables, a->root);
}

void mixed_follow(struct vcpu *v, bool loads)
{
	struct mixed *m = v->mixed;
	struct mixed_space *a = m->current;
	struct vcpu_code c;
	bool want;

	v->engine->get_code(v, &c);
	want = a && a->mode == POLICY_SHADOW && fit(&c) && !m->too_shared;
	if (want && m->shadow) {
		if (loads)
			paging_shadow.cr_write(v, 3, c.cr3, c.cr3);
	} else if (want) {
		to_shadow(v);
	} else if (m->shadow) {
		to_nested(v, loads);
	}
	if (!m->shadow)
		watch_run(v);
	if (a && a->mode == POLICY_NESTED)
		drop_tables(v, a);
	settle_guards(v);
	mixed_look_begin(v);
}

/* --- paging_ops ------------------------------------------------------------------------------- */

static void end(struct vcpu *v)
{
	mixed_look_end(v);
	v->mixed->on = v->mixed->shadow = false;
	paging_watch(v, WATCHER_SPACES, 0);
	paging_shadow.leave(v);
	shadow_set_guard(v->shadow->tables, NULL, NULL);
	nested_guard_free(v->nested);
	v->engine->flush_tag(v, VCPU_TAG_NESTED);
}

static void mixed_leave(struct vcpu *v)
{
	mixed_charge(v);
	if (!v->mixed->shadow)
		paging_nested.leave(v);
	end(v);
}

static int mixed_enter(struct vcpu *v)
{
	struct mixed *m = v->mixed;
	struct vcpu_code c;

	if (!v->nested || !v->nested->root || !v->shadow)
		return -ENODEV;
	if (m->on) /* a machine that starts anew */
		end(v);
	if (nested_guard_init(v->nested) != 0)
		return -ENOMEM;
	m->on = true;
	m->whole = m->too_shared = false;
	shadow_set_guard(v->shadow->tables, guard, v);
	paging_watch(v, WATCHER_SPACES, WATCH_BIT(WATCH_CR3));
	run_nested(v);
	v->engine->get_code(v, &c);
	m->current = NULL;
	mixed_arrive(v, mixed_root(&c, c.cr3));
	return 0;
}

/* A table that the space itself has on the shadow and now walks nested, for a while (fit()), is not
 * one that others walk. */
static void guarded_access(struct vcpu *v, gpa_t gpa, bool walk)
{
	struct mixed *m = v->mixed;

	m->stats.writes += !walk;
	m->stats.walks += walk;
	shadow_foreign_write(v->shadow->tables, gpa, walk && !m->current->held);
	nested_unguard(v->nested, gpa);
}

static enum paging_result mixed_fault(struct vcpu *v, const struct exit *x, struct paging_fault *f)
{
	enum paging_result result = PAGING_RETRY;

	if (x->reason == EXIT_NESTED && nested_guarded(v->nested, x->nested.gpa))
		guarded_access(v, x->nested.gpa, x->nested.table);
	else
		result = half(v)->fault(v, x, f);
	if (x->reason == EXIT_EXCEPTION)
		rest_if_enough(v);
	settle_guards(v);
	return result;
}

/* What a load takes beside looks, and where it is not the shadow's to compare tables: that is in
 * the costs of the space. */
static void charge_load(struct vcpu *v, u64 cycles, u64 looks)
{
	struct mixed *m = v->mixed;

	if (m->shadow)
		return;
	cycles -= m->looks.cycles - looks;
	if (m->usual_load)
		cycles = MIN(cycles, OUTLIER * m->usual_load);
	m->usual_load = m->usual_load
				? m->usual_load - m->usual_load / USUAL_LOADS + cycles / USUAL_LOADS
				: MAX(cycles, USUAL_LOADS);
	m->stats.load_cycles += cycles;
}

static void load_cr3(struct vcpu *v, const struct vcpu_code *c, u64 old, u64 val)
{
	u64 start = rdtsc(), looks = v->mixed->looks.cycles;

	v->mixed->stats.loads++;
	if (!v->mixed->shadow)
		paging_nested.cr_write(v, 3, old, val);
	mixed_arrive(v, mixed_root(c, val));
	mixed_follow(v, true);
	charge_load(v, rdtsc() - start, looks);
}

static void mixed_cr_write(struct vcpu *v, unsigned cr, u64 old, u64 val)
{
	struct vcpu_code c;

	v->engine->get_code(v, &c);
	if (cr == 3) {
		load_cr3(v, &c, old, val);
	} else if (v->mixed->shadow && !fit(&c)) {
		to_nested(v, false);
	} else {
		half(v)->cr_write(v, cr, old, val);
	}
	settle_guards(v);
}

static bool mixed_cr_refused(struct vcpu *v, const struct walk_regs *after)
{
	const struct paging_ops *ops = half(v);

	return ops->cr_refused && ops->cr_refused(v, after);
}

static void mixed_invlpg(struct vcpu *v, gva_t gva)
{
	half(v)->invlpg(v, gva);
}

/* Also after a reset, which changes the guest's state without a word. */
static void mixed_flush(struct vcpu *v)
{
	struct vcpu_code c;

	v->engine->get_code(v, &c);
	if (v->mixed->shadow && !fit(&c))
		to_nested(v, false);
	paging_shadow.flush(v);
	if (v->mixed->shadow)
		v->engine->flush_tag(v, VCPU_TAG_NESTED);
	else
		paging_nested.flush(v);
}

static unsigned mixed_audit(struct vcpu *v)
{
	return paging_shadow.audit(v);
}

const struct paging_ops paging_mixed = {
	.name = "mixed",
	.enter = mixed_enter,
	.leave = mixed_leave,
	.fault = mixed_fault,
	.cr_write = mixed_cr_write,
	.cr_refused = mixed_cr_refused,
	.invlpg = mixed_invlpg,
	.flush = mixed_flush,
	.audit = mixed_audit,
};

/* --- life ------------------------------------------------------------------------------------- */

void mixed_init(struct vcpu *v, struct mixed *m, const struct mixed_setup *setup)
{
	memset(m, 0, sizeof(*m));
	m->setup = *setup;
	m->looks.setup = setup->looks;
	m->looks.sample.memory = setup->looks.memory;
	m->looks.random = rdtsc();
	v->mixed = m;
}
