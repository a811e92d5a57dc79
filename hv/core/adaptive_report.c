/* What a guest's policy says on the serial line (docs/serial.md): decisions, totals, and samples in
 * the form that tools/pnpolicy reads.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/clock.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/partition_paging.h"
#include "lib/muldiv.h"
#include "lib/str.h"
#include "paging/mixed/mixed.h"

/* --- decisions -------------------------------------------------------------------------------- */

/* Ticks without news are most: an idle one, one more of a trial. */
static bool is_news(const struct adaptive *a, const struct policy_decision *d, bool switched)
{
	if (switched || d->alarm)
		return true;
	switch (d->reason) {
	case REASON_STAY:
	case REASON_IDLE:
	case REASON_SETTLE:
	case REASON_TRIAL:
		return false;
	default:
		return d->reason != a->why;
	}
}

/* Each measure that is known: [value, confidence]. */
void adaptive_inputs(struct record *r, const struct policy_sample *x)
{
	const struct policy_measure *m;
	const char *name;

	record_object(r, "inputs");
	record_u64(r, "ns", x->ns);
	record_u64(r, "unhalted", x->unhalted);
	for (unsigned i = 0; (m = sample_measure(x, i, &name)); i++) {
		if (!m->confidence)
			continue;
		record_array(r, name);
		record_u64(r, NULL, m->value);
		record_u64(r, NULL, m->confidence);
		record_close(r);
	}
	record_close(r);
}

void adaptive_report(struct partition *p, const struct policy_sample *x,
		     const struct policy_decision *d, const char *from)
{
	struct adaptive *a = &p->adaptive;
	const char *to = p->vcpu.paging->name;
	bool news = is_news(a, d, from != to);
	struct record r;

	if (d->reason != REASON_IDLE)
		a->why = d->reason;
	if (!news || !partition_paging_tell(p))
		return;
	record_begin(&r, "paging");
	record_str(&r, "guest", p->cfg.name);
	record_str(&r, "from", from);
	record_str(&r, "to", to);
	record_str(&r, "why", "policy");
	record_u64(&r, "us", mul_div(a->switch_cycles, 1000, a->policy.params.khz));
	record_u64(&r, "switches", p->switches);
	record_str(&r, "policy", a->policy.ops->name);
	record_str(&r, "reason", policy_reason_name[d->reason]);
	record_u64(&r, "tick", a->ticks);
	record_u64(&r, "probe", d->probe);
	record_u64(&r, "alarm", d->alarm);
	record_u64(&r, "own", d->own);
	record_u64(&r, "other", d->other);
	record_u64(&r, "regret", d->regret);
	record_u64(&r, "switch_cost", d->switch_cost);
	record_s64(&r, "gain_ppm", d->gain_ppm);
	record_str(&r, "progress", progress_unit_name[a->progress.unit]);
	adaptive_inputs(&r, x);
	record_send(&r, true);
}

/* --- totals ----------------------------------------------------------------------------------- */

void adaptive_stats(struct record *r, const struct partition *p)
{
	const struct adaptive *a = &p->adaptive;
	char crc[9];

	snprintf(crc, sizeof(crc), "%08x", a->decisions);
	record_object(r, "adaptive");
	record_str(r, "policy", a->policy.ops->name);
	record_str(r, "mode", p->vcpu.paging->name);
	record_u64(r, "on", adaptive_on(a));
	record_u64(r, "ticks", a->ticks);
	record_object(r, "reasons");
	for (unsigned i = 0; i < POLICY_REASONS; i++)
		if (a->by_reason[i])
			record_u64(r, policy_reason_name[i], a->by_reason[i]);
	record_close(r);
	record_str(r, "decisions", crc);
	record_close(r);
}

/* --- trace=policy ----------------------------------------------------------------------------- */

/* Every line counts, so it may not drop: the guest waits for the serial line instead. */
static void trace_begin(struct record *r, const struct partition *p, const char *event)
{
	record_begin(r, "trace");
	record_str(r, "event", event);
	record_str(r, "guest", p->cfg.name);
}

static void trace_send(struct record *r, const struct partition *p, const char *text)
{
	record_str(r, "line", text);
	record_send(r, false);
	log_charge(p->src_vga, r->len);
}

static void trace_line(const struct partition *p, const char *text)
{
	struct record r;

	trace_begin(&r, p, "policy");
	trace_send(&r, p, text);
}

void adaptive_trace_begin(const struct partition *p)
{
	const struct policy_params *params = &p->adaptive.policy.params;
	char text[128], value[40];

	if (hv_cmdline()->trace != TRACE_POLICY)
		return;
	snprintf(text, sizeof(text), TRACE_HEADER "%llu", (unsigned long long)params->khz);
	trace_line(p, text);
	for (unsigned i = 0; i < policy_param_count; i++) {
		const struct policy_param *param = &policy_param_table[i];
		u64 v = policy_param_get(params, param);

		if (v == param->preset)
			continue;
		policy_param_format(param, v, value, sizeof(value));
		snprintf(text, sizeof(text), TRACE_PARAM "%s=%s", param->name, value);
		trace_line(p, text);
	}
}

void adaptive_trace(const struct partition *p, const struct policy_sample *x)
{
	char text[TRACE_LINE_MAX];

	if (hv_cmdline()->trace != TRACE_POLICY)
		return;
	sample_format(x, text, sizeof(text));
	trace_line(p, text);
}

/* What one address space has done by itself, and the mode that it is to have. */
void adaptive_trace_space(const struct partition *p, const struct mixed_space *a,
			  const struct policy_sample *x)
{
	char text[TRACE_LINE_MAX];
	struct record r;

	if (hv_cmdline()->trace != TRACE_POLICY)
		return;
	sample_format(x, text, sizeof(text));
	trace_begin(&r, p, "space");
	record_hex(&r, "space", a->root);
	record_str(&r, "to", a->mode == POLICY_SHADOW ? "shadow" : "nested");
	record_u64(&r, "ran_ms", mul_div(a->ran, 1, p->adaptive.policy.params.khz));
	record_u64(&r, "pages", a->misses.pages);
	trace_send(&r, p, text);
}
