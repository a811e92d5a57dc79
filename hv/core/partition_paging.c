/* A partition's paging mode: the one it starts with, and changes of it while it runs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/partition_paging.h"
#include "core/clock.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/report.h"
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "paging/mixed/mixed.h"

#define POOL_MIN   (4 * MIB)
#define POOL_SHARE 64 /* of the guest's memory */

static const struct paging_ops *const ops_of[PAGING_KINDS] = {
	[PAGING_ADAPTIVE] = &paging_nested,
	[PAGING_NESTED] = &paging_nested,
	[PAGING_SHADOW] = &paging_shadow,
};

/* A guest whose mode a policy chooses may have one that is many. */
static const struct paging_ops *ops_for(const struct partition *p, enum paging_kind kind)
{
	return kind == PAGING_ADAPTIVE && p->vcpu.mixed ? &paging_mixed : ops_of[kind];
}

/* --- shadow tables ---------------------------------------------------------------------------- */

static const u8 *fetch(struct vcpu *v, u8 *buf, unsigned *n)
{
	enum code_mode mode;

	return vcpu_insn(v, buf, n, &mode);
}

static void say(void *vcpu, const char *text)
{
	const struct vcpu *v = vcpu;

	report_error(v->part->cfg.name, "audit", "%s", text);
}

static enum shadow_policy policy(void)
{
	return strcmp(hv_cmdline()->shadow, "vtlb") ? SHADOW_AUTO : SHADOW_VTLB;
}

static u64 audit_every(void)
{
	const char *word = hv_cmdline()->shadow;
	u64 n = 1;

	if (strncmp(word, "audit", 5))
		return 0;
	if (word[5] == ':')
		parse_decimal(word + 6, &n);
	return n;
}

static int make_shadow(struct partition *p)
{
	u64 pool = MAX((p->p2m.low_bytes + p->p2m.high_bytes) / POOL_SHARE, POOL_MIN);
	const struct shadow_setup setup = {
		.policy = policy(),
		.p2m = &p->p2m,
		.pool_pages = (unsigned)(pool / (2 * PAGE_SIZE)),
		.has_nested = p->nested.root != 0,
		.audit_every = audit_every(),
		.maxphyaddr = p->phys_bits,
		.has_1g = p->cpuid.has_1g,
		.filters_faults = hv_engine_caps()->filters_faults,
		.pml4_g_rsvd = p->cpuid.amd,
		.fetch = fetch,
		.say = say,
	};

	if (p->vcpu.shadow)
		return 0;
	return shadow_paging_init(&p->vcpu, &p->shadow, &setup, hv_engine_caps()->shadow_1g,
				  hv_engine_caps()->phys_bits);
}

/* --- choice ----------------------------------------------------------------------------------- */

bool paging_possible(enum paging_kind kind, const char **why)
{
	const struct engine_caps *c = hv_engine_caps();

	*why = NULL;
	if (kind == PAGING_ADAPTIVE && (!c->nested || !c->shadow))
		*why = c->shadow ? "has no choice: the CPU has no nested paging"
				 : "has no choice: shadow paging is not built for this CPU yet";
	else if (kind == PAGING_NESTED && !c->nested)
		*why = "is not possible: the CPU has no nested paging";
	else if (kind == PAGING_SHADOW && !c->shadow)
		*why = "is not built for this CPU yet";
	return !*why;
}

/* The mode really in effect goes into every record; the config's wish is kept as "asked". */
int partition_build_paging(struct partition *p)
{
	enum paging_kind kind = p->cfg.paging;
	const char *why;

	p->vcpu.nested = &p->nested;
	if (!paging_possible(kind, &why)) {
		kind = hv_engine_caps()->nested ? PAGING_NESTED : PAGING_SHADOW;
		report_error(p->cfg.name, "paging", "paging=%s %s: the guest runs %s",
			     paging_kind_name[p->cfg.paging], why, paging_kind_name[kind]);
	}
	if (kind != PAGING_NESTED && make_shadow(p) != 0) {
		report_error(p->cfg.name, "paging", "no memory for shadow tables");
		if (!hv_engine_caps()->nested)
			return -ENOMEM;
		kind = PAGING_NESTED;
	}
	p->vcpu.paging = ops_of[kind];
	if (hv_cmdline()->watch_always)
		paging_watch(&p->vcpu, WATCHER_OPTION, WATCH_ALL);
	return 0;
}

int partition_build_nested(struct partition *p)
{
	const struct engine_caps *c = hv_engine_caps();

	if (!c->nested)
		return 0;
	return nested_map_init(&p->nested, hv_engine()->nested_format,
			       c->nested_1g && p->cpuid.has_1g, &p->p2m);
}

void partition_free_paging(struct partition *p)
{
	estimate_free(p);
	shadow_paging_free(&p->vcpu);
	nested_map_free(&p->nested);
}

/* --- changes below ---------------------------------------------------------------------------- */

void partition_low_changed(struct partition *p, gpa_t base, u64 len)
{
	if (p->nested.root)
		nested_map_update_low(&p->nested, base, len);
	shadow_paging_changed(&p->vcpu, base, len);
}

/* --- switching -------------------------------------------------------------------------------- */

static enum paging_kind kind_of(const struct paging_ops *ops)
{
	if (ops == &paging_mixed)
		return PAGING_ADAPTIVE;
	return ops == &paging_shadow ? PAGING_SHADOW : PAGING_NESTED;
}

void partition_paging_begin(struct partition *p)
{
	p->switches = 0;
	memset(p->mode_ns, 0, sizeof(p->mode_ns));
	p->mode_since_ns = clock_ns();
}

const char *partition_paging_name(const struct partition *p)
{
	return adaptive_on(&p->adaptive) ? paging_kind_name[PAGING_ADAPTIVE] : p->vcpu.paging->name;
}

u64 partition_mode_ns(const struct partition *p, enum paging_kind kind, u64 now_ns)
{
	u64 ns = p->mode_ns[kind];

	return kind == kind_of(p->vcpu.paging) ? ns + now_ns - p->mode_since_ns : ns;
}

/* A guest can be switched many times a second: not every one has to be told. */
#define TELL_GAP_NS (NSEC_PER_SEC / 4)
#define TELL_BURST  16

bool partition_paging_tell(struct partition *p)
{
	u64 now = clock_ns(), due = MAX(p->paging_tell_ns, now);

	if (due - now > (TELL_BURST - 1) * TELL_GAP_NS)
		return false;
	p->paging_tell_ns = due + TELL_GAP_NS;
	return true;
}

static void report_switch(struct partition *p, const char *from, const char *why, u64 us)
{
	struct record r;

	if (!partition_paging_tell(p))
		return;
	record_begin(&r, "paging");
	record_str(&r, "guest", p->cfg.name);
	record_str(&r, "from", from);
	record_str(&r, "to", p->vcpu.paging->name);
	record_str(&r, "why", why);
	record_u64(&r, "us", us);
	record_u64(&r, "switches", p->switches);
	record_send(&r, true);
}

int partition_change_paging(struct partition *p, enum paging_kind kind)
{
	const struct paging_ops *from = p->vcpu.paging, *to = ops_for(p, kind);
	struct vcpu *v = &p->vcpu;
	u64 now = clock_ns();

	if (from == to)
		return 0;
	if (kind != PAGING_NESTED && make_shadow(p) != 0) {
		report_error(p->cfg.name, "paging", "no memory for shadow tables");
		return -ENOMEM;
	}
	estimate_mode_ends(p);
	from->leave(v);
	if (to->enter(v) != 0) {
		report_error(p->cfg.name, "paging", "no memory to switch to %s", to->name);
		from->enter(v);
		return -ENOMEM;
	}
	p->mode_ns[kind_of(from)] += now - p->mode_since_ns;
	p->mode_since_ns = now;
	p->switches++;
	v->paging = to;
	estimate_mode(p);
	return 0;
}

int partition_switch_paging(struct partition *p, enum paging_kind kind, const char *why)
{
	const struct paging_ops *from = p->vcpu.paging;
	u64 start = clock_ns();
	int err = partition_change_paging(p, kind);

	if (!err && p->vcpu.paging != from)
		report_switch(p, from->name, why, (clock_ns() - start) / NSEC_PER_USEC);
	return err;
}

void partition_toggle_paging(struct partition *p)
{
	enum paging_kind to =
		p->vcpu.paging == ops_of[PAGING_SHADOW] ? PAGING_NESTED : PAGING_SHADOW;
	const char *why;

	if (paging_possible(to, &why))
		partition_switch_paging(p, to, "key");
	else
		hv_log(LOG_WARN, "%s: paging=%s %s", p->cfg.name, paging_kind_name[to], why);
}

/* --- shadow=audit ----------------------------------------------------------------------------- */

static void (*real_run)(struct vcpu *v, struct exit *x);

static void audited_run(struct vcpu *v, struct exit *x)
{
	shadow_paging_entry(v);
	real_run(v, x);
}

const struct engine_ops *paging_audited_engine(const struct engine_ops *engine)
{
	static struct engine_ops audited;

	if (!audit_every())
		return engine;
	audited = *engine;
	real_run = engine->run;
	audited.run = audited_run;
	return &audited;
}
