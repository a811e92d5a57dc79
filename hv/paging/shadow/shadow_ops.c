/* Shadow paging as a paging mode; see shadow_ops.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_ops.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/x86.h"
#include "paging/ledger.h"
#include "paging/nested/nested_map.h"

_Static_assert(VCPU_TAGS == VCPU_TAG_SHADOW + SHADOW_TAGS, "a tag for every root that has one");

/* --- what the tables ask of the CPU ----------------------------------------------------------- */

static void cpu_load(void *ctx, const struct shadow_root *root)
{
	struct vcpu *v = ctx;
	struct vcpu_code c;
	struct translation t = {.kind = TRANSLATION_SHADOW,
				.root = root->table,
				.tag = VCPU_TAG_SHADOW + root->tag,
				.long_mode = root->format == SHADOW_LONG,
				.filter_faults = v->shadow->setup.filters_faults};

	v->engine->get_code(v, &c);
	t.unpaged = !(c.cr0 & CR0_PG);
	v->engine->set_translation(v, &t);
}

static void cpu_flush(void *ctx, unsigned tag)
{
	struct vcpu *v = ctx;

	v->engine->flush_tag(v, VCPU_TAG_SHADOW + tag);
	ledger_flushed(v, VCPU_TAG_SHADOW + tag, v->shadow->setup.p2m->gen);
}

static void cpu_flush_page(void *ctx, unsigned tag, gva_t gva)
{
	struct vcpu *v = ctx;

	v->engine->flush_page(v, VCPU_TAG_SHADOW + tag, gva);
}

static const struct shadow_cpu_ops cpu_ops = {
	.load = cpu_load, .flush = cpu_flush, .flush_page = cpu_flush_page};

static void flush_all(struct vcpu *v)
{
	for (unsigned tag = 0; tag < SHADOW_TAGS; tag++)
		cpu_flush(v, tag);
}

/* --- the guest's state ------------------------------------------------------------------------ */

static void guest_regs(const struct vcpu *v, struct walk_regs *g)
{
	const struct shadow_setup *setup = &v->shadow->setup;
	struct vcpu_code c;

	v->engine->get_code(v, &c);
	g->cr0 = c.cr0;
	g->cr3 = c.cr3;
	g->cr4 = c.cr4;
	g->efer = c.efer;
	g->rflags = v->rflags;
	g->pkru = c.cr4 & CR4_PKE ? rdpkru() : 0;
	g->cpl = c.cpl;
	g->maxphyaddr = setup->maxphyaddr;
	g->has_1g = setup->has_1g;
	g->pml4_g_rsvd = setup->pml4_g_rsvd;
	g->pdpte = NULL;
}

/* What a page fault needs of it: all else of the kept state changes by exits that tell. Where the
 * CPU does not say user, the privilege level is asked for only if SMAP hangs on it. */
static struct walk_regs *fault_regs(const struct vcpu *v, u32 error)
{
	struct walk_regs *g = &v->shadow->regs;
	struct vcpu_code c;

	g->rflags = v->rflags;
	g->cpl = error & PFEC_U ? 3 : 0;
	if (!(error & PFEC_U) && (g->cr4 & CR4_SMAP) && (v->rflags & RFLAGS_AC)) {
		v->engine->get_code(v, &c);
		g->cpl = c.cpl;
	}
	if (g->cr4 & CR4_PKE)
		g->pkru = rdpkru();
	return g;
}

static enum shadow_running wanted(const struct shadow_paging *s, const struct walk_regs *g)
{
	const u64 both = CR0_PG | CR0_WP;

	return s->setup.has_nested && (g->cr0 & both) != both ? SHADOW_NESTED : SHADOW_TABLES;
}

/* --- between nested and shadow tables --------------------------------------------------------- */

static void note_written(void *ctx, gpa_t gpa, u64 len)
{
	struct vcpu *v = ctx;

	shadow_written(v->shadow->tables, gpa, len);
}

static void run_nested(struct vcpu *v)
{
	const struct translation t = {.kind = TRANSLATION_NESTED,
				      .root = v->nested->root,
				      .tag = VCPU_TAG_NESTED,
				      .watch_cr0 = true};

	v->engine->set_translation(v, &t);
	v->engine->flush_tag(v, VCPU_TAG_NESTED);
	ledger_flushed(v, VCPU_TAG_NESTED, v->nested->p2m->gen);
	v->shadow->running = SHADOW_NESTED;
}

/* The entries of PAE paging that the CPU has loaded count, not what memory has by now. */
static void loaded_pdptes(struct vcpu *v, struct walk_regs *g, u64 pdpte[4])
{
	if (v->engine->get_pdptes && (g->cr0 & CR0_PG) && (g->cr4 & CR4_PAE) &&
	    !(g->efer & EFER_LMA)) {
		v->engine->get_pdptes(v, pdpte);
		g->pdpte = pdpte;
	}
}

static void tables_run(struct vcpu *v, struct walk_regs *g)
{
	struct shadow_paging *s = v->shadow;

	g->pdpte = NULL;
	s->running = SHADOW_TABLES;
	s->regs = *g;
	v->pdptes = shadow_pdpte(s->tables);
	s->setup.p2m->written = note_written;
	s->setup.p2m->written_ctx = v;
}

static int run_tables(struct vcpu *v, struct walk_regs *g)
{
	u64 pdpte[4];
	int err;

	loaded_pdptes(v, g, pdpte);
	err = shadow_enter(v->shadow->tables, g);
	if (err)
		return err;
	flush_all(v);
	tables_run(v, g);
	return 0;
}

static void stop_tables(struct vcpu *v)
{
	struct shadow_paging *s = v->shadow;

	if (v->pdptes && v->engine->set_pdptes)
		v->engine->set_pdptes(v, v->pdptes);
	v->pdptes = NULL;
	s->setup.p2m->written = NULL;
	shadow_leave(s->tables);
}

void shadow_paging_freeze(struct vcpu *v, bool loads)
{
	struct shadow_paging *s = v->shadow;

	if (!loads && v->pdptes && v->engine->set_pdptes)
		v->engine->set_pdptes(v, v->pdptes);
	v->pdptes = NULL;
	shadow_freeze(s->tables);
	s->running = SHADOW_FROZEN;
}

void shadow_paging_thaw(struct vcpu *v)
{
	struct walk_regs g;
	u64 pdpte[4];

	guest_regs(v, &g);
	loaded_pdptes(v, &g, pdpte);
	shadow_thaw(v->shadow->tables, &g);
	if (!ledger_clean(v, v->shadow->setup.p2m->gen))
		flush_all(v);
	tables_run(v, &g);
}

/* Run as the guest's state @g wants it. True: that changed something. */
static bool follow(struct vcpu *v, struct walk_regs *g)
{
	struct shadow_paging *s = v->shadow;
	enum shadow_running want = wanted(s, g);

	if (want == s->running)
		return false;
	s->mode_changes++;
	if (want == SHADOW_NESTED) {
		stop_tables(v);
		run_nested(v);
	} else if (run_tables(v, g) != 0) {
		return false; /* nested tables serve on */
	}
	return true;
}

/* --- paging_ops ------------------------------------------------------------------------------- */

static void shadow_ops_leave(struct vcpu *v)
{
	if (v->shadow->running == SHADOW_TABLES || v->shadow->running == SHADOW_FROZEN)
		stop_tables(v);
	v->shadow->running = SHADOW_OFF;
}

static int shadow_ops_enter(struct vcpu *v)
{
	struct walk_regs g;

	shadow_ops_leave(v);
	guest_regs(v, &g);
	if (wanted(v->shadow, &g) == SHADOW_TABLES)
		return run_tables(v, &g);
	run_nested(v);
	return 0;
}

/* The delivery of an event can write to a table too: then no instruction stands for it. */
static __attribute__((noinline)) enum paging_result store(struct vcpu *v, const struct walk_regs *g,
							  gva_t gva, gpa_t gpa)
{
	struct shadow_insn i = {.gpr = v->gpr, .rip = &v->rip, .rflags = &v->rflags};
	struct vcpu_code c;
	u8 buf[15];

	v->engine->get_code(v, &c);
	i.width = (c.efer & EFER_LMA) && (c.cs_attr & SEG_ATTR_L) ? 64
		  : c.cs_attr & SEG_ATTR_DB			  ? 32
								  : 16;
	if (v->event.type == EVENT_NONE)
		i.bytes = v->shadow->setup.fetch(v, buf, &i.len);
	return shadow_store(v->shadow->tables, g, &i, gva, gpa) ? PAGING_DONE : PAGING_RETRY;
}

static enum paging_result shadow_ops_fault(struct vcpu *v, const struct exit *x,
					   struct paging_fault *f)
{
	struct shadow_outcome o;
	struct walk_regs *g;

	if (x->reason == EXIT_NESTED)
		return paging_nested.fault(v, x, f);
	g = fault_regs(v, x->exc.error);
	o = shadow_fault(v->shadow->tables, g, x->exc.cr2, x->exc.error);
	f->gva = x->exc.cr2;
	f->gpa = o.gpa;
	f->error = o.error;
	f->access = x->exc.error & (PFEC_W | PFEC_I);
	f->table = false;
	switch (o.result) {
	case SHADOW_GUEST:
		return PAGING_GUEST;
	case SHADOW_MMIO:
		return PAGING_MMIO;
	case SHADOW_STORE:
		return store(v, g, x->exc.cr2, o.gpa);
	default:
		return PAGING_RETRY;
	}
}

static void shadow_ops_cr_write(struct vcpu *v, unsigned cr, u64 old, u64 val)
{
	struct shadow_paging *s = v->shadow;
	struct walk_regs g;

	(void)old;
	if (cr == 3 && s->running == SHADOW_TABLES) {
		s->regs.cr3 = val;
		shadow_load_cr3(s->tables, &s->regs);
		v->pdptes = shadow_pdpte(s->tables);
		return;
	}
	guest_regs(v, &g);
	if (follow(v, &g) || s->running != SHADOW_TABLES)
		return;
	s->regs = g;
	shadow_mode_changed(s->tables, &g);
	v->pdptes = shadow_pdpte(s->tables);
}

static bool shadow_ops_cr_refused(struct vcpu *v, const struct walk_regs *after)
{
	const struct shadow_paging *s = v->shadow;

	return s->running == SHADOW_TABLES && wanted(s, after) == SHADOW_TABLES &&
	       shadow_pdpte_bad(s->tables, after);
}

static void shadow_ops_invlpg(struct vcpu *v, gva_t gva)
{
	struct shadow_paging *s = v->shadow;

	if (s->running == SHADOW_TABLES)
		shadow_invlpg(s->tables, &s->regs, gva);
	else
		paging_nested.invlpg(v, gva);
}

/* Also after a reset, which changes the guest's state without a word. */
static void shadow_ops_flush(struct vcpu *v)
{
	struct shadow_paging *s = v->shadow;
	struct walk_regs g;

	if (s->running == SHADOW_OFF)
		return;
	if (s->running == SHADOW_FROZEN) {
		flush_all(v);
		return;
	}
	guest_regs(v, &g);
	if (!follow(v, &g) && s->running == SHADOW_TABLES) {
		s->regs = g;
		shadow_mode_changed(s->tables, &g);
		v->pdptes = shadow_pdpte(s->tables);
	}
	if (s->running == SHADOW_NESTED)
		paging_nested.flush(v);
	flush_all(v);
}

static unsigned shadow_ops_audit(struct vcpu *v)
{
	struct shadow_paging *s = v->shadow;
	unsigned wrong = s->setup.has_nested ? paging_nested.audit(v) : 0;
	struct walk_regs g;

	if (s->running == SHADOW_TABLES || s->running == SHADOW_FROZEN) {
		guest_regs(v, &g);
		wrong += shadow_audit(s->tables, &g, s->setup.say, v);
	}
	s->audits++;
	s->violations += wrong;
	return wrong;
}

const struct paging_ops paging_shadow = {
	.name = "shadow",
	.enter = shadow_ops_enter,
	.leave = shadow_ops_leave,
	.fault = shadow_ops_fault,
	.cr_write = shadow_ops_cr_write,
	.cr_refused = shadow_ops_cr_refused,
	.invlpg = shadow_ops_invlpg,
	.flush = shadow_ops_flush,
	.audit = shadow_ops_audit,
};

/* --- life ------------------------------------------------------------------------------------- */

static u64 cycles(void)
{
	return rdtsc();
}

int shadow_paging_init(struct vcpu *v, struct shadow_paging *s, const struct shadow_setup *setup,
		       bool has_1g, u8 phys_bits)
{
	struct shadow_config c = {.policy = setup->policy,
				  .pool_pages = MAX(setup->pool_pages, SHADOW_MIN_PAGES),
				  .has_1g = has_1g,
				  .maxphyaddr = phys_bits,
				  .filters_faults = setup->filters_faults,
				  .cpu = &cpu_ops,
				  .cpu_ctx = v,
				  .now = cycles};
	int err;

	*s = (struct shadow_paging){.setup = *setup};
	s->until_audit = setup->audit_every;
	err = shadow_create(&s->tables, &c, setup->p2m);
	if (!err)
		v->shadow = s;
	return err;
}

void shadow_paging_free(struct vcpu *v)
{
	if (!v->shadow)
		return;
	v->shadow->setup.p2m->written = NULL;
	shadow_destroy(v->shadow->tables);
	v->shadow = NULL;
	v->pdptes = NULL;
}

void shadow_paging_changed(struct vcpu *v, gpa_t gpa, u64 len)
{
	if (v->shadow)
		shadow_p2m_changed(v->shadow->tables, gpa, len);
}

void shadow_paging_entry(struct vcpu *v)
{
	struct shadow_paging *s = v->shadow;
	struct walk_regs g;

	if (!s || (s->running != SHADOW_TABLES && s->running != SHADOW_FROZEN) || !s->until_audit ||
	    --s->until_audit)
		return;
	s->until_audit = s->setup.audit_every;
	guest_regs(v, &g);
	s->audits++;
	s->violations += shadow_audit(s->tables, &g, s->setup.say, v);
}
