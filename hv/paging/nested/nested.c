/* Nested paging: the CPU walks both tables; the hypervisor sees only accesses to what is not RAM.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/ledger.h"
#include "paging/nested/nested_map.h"
#include "paging/paging.h"

static void nested_flush(struct vcpu *v)
{
	v->engine->flush_tag(v, VCPU_TAG_NESTED);
	ledger_flushed(v, VCPU_TAG_NESTED, v->nested->p2m->gen);
}

/* --- what is heard of on request -------------------------------------------------------------- */

static void translate(struct vcpu *v)
{
	const struct translation t = {.kind = TRANSLATION_NESTED,
				      .root = v->nested->root,
				      .tag = VCPU_TAG_NESTED,
				      .watch = v->watch.bits};

	v->engine->set_translation(v, &t);
}

static u8 wanted(const struct vcpu_watch *w)
{
	u8 bits = 0;

	for (unsigned i = 0; i < WATCHERS; i++)
		bits |= w->want[i];
	return bits;
}

void paging_watch(struct vcpu *v, enum watcher who, unsigned bits)
{
	struct vcpu_watch *w = &v->watch;

	w->want[who] = (u8)(bits & WATCH_ALL);
	if (v->paging != &paging_nested || w->bits == wanted(w))
		return;
	w->bits = wanted(w);
	translate(v);
}

static void heard(struct vcpu *v, enum watch_kind kind)
{
	struct vcpu_watch *w = &v->watch;

	w->count[kind]++;
	if (w->heard)
		w->heard(v, kind);
}

/* --- the mode --------------------------------------------------------------------------------- */

static int nested_enter(struct vcpu *v)
{
	v->watch.bits = wanted(&v->watch);
	translate(v);
	nested_flush(v);
	return 0;
}

static void nested_leave(struct vcpu *v)
{
	v->watch.bits = 0;
	nested_flush(v);
}

/* The CPU has found it in the guest's own tables. */
static enum paging_result own_fault(struct vcpu *v, const struct exit *x, struct paging_fault *f)
{
	heard(v, WATCH_FAULT);
	f->gva = x->exc.cr2;
	f->error = x->exc.error;
	return PAGING_GUEST;
}

/* The tables are complete for memory, so a fault means that there is no RAM, or a ROM that was
 * written to, or a device that the guest may have itself and meets for the first time. It can also
 * be a leftover of a change made since: then the p2m allows the access and it is run again. */
static enum paging_result nested_fault(struct vcpu *v, const struct exit *x, struct paging_fault *f)
{
	enum p2m_kind kind;
	hpa_t hpa;

	if (x->reason == EXIT_EXCEPTION)
		return own_fault(v, x, f);
	kind = p2m_lookup(v->nested->p2m, x->nested.gpa, &hpa);
	f->gpa = x->nested.gpa;
	f->access = x->nested.access;
	f->table = x->nested.table;
	if (kind == P2M_RAM) {
		nested_flush(v);
		return PAGING_RETRY;
	}
	if (kind == P2M_DEVICE && nested_map_device(v->nested, x->nested.gpa) == 0) {
		nested_flush(v);
		return PAGING_RETRY;
	}
	return PAGING_MMIO;
}

/* The guest's own tables are the hardware's business. */
static void nested_cr_write(struct vcpu *v, unsigned cr, u64 old, u64 val)
{
	(void)old, (void)val;
	if (cr == 3 && (v->watch.bits & WATCH_BIT(WATCH_CR3)))
		heard(v, WATCH_CR3);
}

static void nested_invlpg(struct vcpu *v, gva_t gva)
{
	if (v->watch.bits & WATCH_BIT(WATCH_INVLPG))
		heard(v, WATCH_INVLPG);
	v->engine->flush_page(v, VCPU_TAG_NESTED, gva);
}

static unsigned nested_audit(struct vcpu *v)
{
	return nested_map_audit(v->nested);
}

const struct paging_ops paging_nested = {
	.name = "nested",
	.enter = nested_enter,
	.leave = nested_leave,
	.fault = nested_fault,
	.cr_write = nested_cr_write,
	.invlpg = nested_invlpg,
	.flush = nested_flush,
	.audit = nested_audit,
};
