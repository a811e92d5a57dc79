/* A guest's policy at work; see partition_adaptive.h.
 *
 * The tick is a timer of the guest's CPU, so it finds the vCPU between two entries. A switch is
 * made there and then; its cycles are told to the policy with the next sample.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/partition_adaptive.h"
#include "core/calibrate.h"
#include "core/hv.h"
#include "core/own_time.h"
#include "core/partition_paging.h"
#include "core/partition_spaces.h"
#include "core/report.h"
#include "core/vcpu_run.h"
#include "core/walk_price.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"

#define REPLAY "replay:"
#define CHAOS  "chaos"
/* A part of a tick that it may be late, to be taken at somebody else's interrupt: what it sums up
 * does not depend on when it ends. */
#define TICK_SLACK 8u

/* --- totals ----------------------------------------------------------------------------------- */

/* Exits that are no business of nested paging. Some of their kinds have others among them, which
 * @exits counts apart. */
static void shadow_exits(struct telemetry *t, const struct exit_stats *exits)
{
	static const enum exit_reason reason[] = {EXIT_EXCEPTION, EXIT_CR, EXIT_INVLPG};

	t->shadow_exits = t->shadow_cycles = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(reason); i++) {
		t->shadow_exits += exits->count[reason[i]];
		t->shadow_cycles += exits->cycles[reason[i]];
	}
	t->shadow_exits -= exits->other_count;
	t->shadow_cycles -= exits->other_cycles;
}

static void shadow_events(struct telemetry *t, const struct shadow_paging *s)
{
	struct shadow_stats st;

	shadow_get_stats(s->tables, &st);
	t->faults = st.path[SHADOW_PATH_GUEST].count;
	t->stores = st.path[SHADOW_PATH_STORE].count;
	t->cr3_writes = st.path[SHADOW_PATH_ROOT].count;
	t->invlpgs = st.path[SHADOW_PATH_INVLPG].count;
}

static void take_totals(const struct partition *p, struct telemetry *t, u64 now_ns)
{
	*t = (struct telemetry){.ns = now_ns, .guest = vcpu_guest_cycles(&p->vcpu)};
	for (unsigned i = 0; i < EXIT_REASONS; i++)
		t->exits += p->exits.count[i];
	shadow_exits(t, &p->exits);
	if (p->vcpu.shadow)
		shadow_events(t, p->vcpu.shadow);
}

/* --- the tick --------------------------------------------------------------------------------- */

static enum policy_mode mode_of(const struct partition *p)
{
	return p->vcpu.paging == &paging_shadow ? POLICY_SHADOW : POLICY_NESTED;
}

static enum paging_kind kind_of(enum policy_mode mode)
{
	return mode == POLICY_SHADOW ? PAGING_SHADOW : PAGING_NESTED;
}

static void prefer(struct policy_measure *m, const struct policy_measure *counted)
{
	if (counted->confidence)
		*m = *counted;
}

/* What the CPU counts goes before what is estimated. */
static void read_counters(struct partition *p, struct estimates *e)
{
	struct pmu_reading r;

	pmu_meter_read(&p->pmu, p->vcpu.cpu, rdtsc(), &r);
	prefer(&e->unhalted, &r.unhalted);
	prefer(&e->instructions, &r.instructions);
	prefer(&e->walks, &r.walks);
	prefer(&e->walk_cycles, &r.walk_cycles);
}

/* Of a miss, by how many pages the guest touches in a while. */
static u64 miss_cost(const struct partition *p, const struct estimates *e, u64 guest)
{
	u64 look = mul_div(coverage_look_ns[COVERAGE_LOOKS - 1], hv_policy_params()->khz,
			   NSEC_PER_MSEC);
	u64 pages = 0;

	if (e->touched.confidence && guest)
		pages = MAX(mul_div(e->touched.value, MIN(look, guest), guest), 1ull);
	return walk_price(mode_of(p), pages);
}

static void measure(struct partition *p, struct policy_sample *x, u64 now_ns)
{
	struct estimates e = {.faults_exit =
				      !(p->vcpu.shadow && p->vcpu.shadow->setup.filters_faults),
			      .world_switch = hv_calibration()->world_switch};
	struct adaptive *a = &p->adaptive;
	struct telemetry after;
	u64 guest;

	take_totals(p, &after, now_ns);
	guest = after.guest - a->before.guest;
	estimate_tick(p, guest, &e);
	telemetry_steady(&a->misses, guest, &e);
	telemetry_bridge(&a->faults, guest, &e.faults, &e.faults_most);
	read_counters(p, &e);
	telemetry_price_walks(&e, miss_cost(p, &e, guest));
	telemetry_sample(x, mode_of(p), &a->before, &after, &e);
	telemetry_exits(&a->exits, &a->before, &after, x);
	progress_measure(&a->progress, x, a->trial);
	if (a->switch_cycles)
		x->switch_cycles = (struct policy_measure){a->switch_cycles, 100};
}

/* The samples of a trace stand for measured ones to the letter; the guest follows the decisions. */
static int next_sample(struct partition *p, struct policy_sample *x, u64 now_ns)
{
	struct adaptive *a = &p->adaptive;
	char why[128];
	int err;

	if (a->kind != ADAPTIVE_REPLAY) {
		measure(p, x, now_ns);
		return 0;
	}
	err = replay_next(&a->replay, x, why, sizeof(why));
	if (err == -EINVAL)
		report_error(p->cfg.name, "pmu", "%s, line %u: %s", hv_cmdline()->pmu,
			     a->replay.line, why);
	return err;
}

/* A switch that fails would fail at each tick. */
static void follow(struct partition *p, enum policy_mode mode)
{
	u64 start = rdtsc();

	if (partition_change_paging(p, kind_of(mode)) != 0)
		partition_adaptive_stop(p);
	else
		p->adaptive.switch_cycles = MAX(rdtsc() - start, 1ull);
}

#define HOPELESS 2u /* times all of the time */

/* No number of walks could change the decision: faults make shadow paging far too dear, or there is
 * nothing that could make it so. */
static bool walks_matter_not(const struct policy_params *params, const struct policy_sample *x,
			     const struct policy_decision *d)
{
	if (x->mode == POLICY_NESTED)
		return d->other > sat_add(d->own, HOPELESS * x->unhalted);
	return x->shadow_cycles.value < mul_ppm(x->unhalted, params->slack) / 2;
}

/* What is worth to be estimated from here on. */
static void tell_estimators(struct partition *p, const struct policy_sample *x,
			    const struct policy_decision *d)
{
	struct adaptive *a = &p->adaptive;

	estimate_spare(p, walks_matter_not(&a->policy.params, x, d));
	if (!d->alarm)
		return;
	telemetry_renew(&a->misses);
	estimate_hurry(p);
}

static void decide(struct partition *p, const struct policy_sample *x)
{
	struct adaptive *a = &p->adaptive;
	struct policy_decision d = policy_tick(&a->policy, x);
	const char *from = p->vcpu.paging->name;

	a->ticks++;
	a->by_reason[d.reason]++;
	a->decisions = policy_decision_crc(a->decisions, &d);
	a->trial = d.probe;
	a->switch_cycles = 0;
	tell_estimators(p, x, &d);
	if (d.mode != mode_of(p))
		follow(p, d.mode);
	adaptive_report(p, x, &d, from);
}

static void policy_due(struct partition *p, u64 now_ns)
{
	struct policy_sample x;

	if (next_sample(p, &x, now_ns) != 0) {
		partition_adaptive_stop(p);
		return;
	}
	adaptive_trace(p, &x);
	decide(p, &x);
	take_totals(p, &p->adaptive.before, own_time_ns(p));
	if (p->adaptive.kind == ADAPTIVE_POLICY &&
	    partition_spaces_try(p, &p->adaptive.policy.params, &x, now_ns))
		p->adaptive.kind = ADAPTIVE_SPACES;
}

/* After address spaces had modes of their own (paging.per_as=auto). */
static void policy_again(struct partition *p)
{
	struct adaptive *a = &p->adaptive;

	a->kind = ADAPTIVE_POLICY;
	estimate_start(p, a->policy.params.tick);
	take_totals(p, &a->before, own_time_ns(p));
	pmu_meter_read(&p->pmu, p->vcpu.cpu, rdtsc(), &(struct pmu_reading){0});
}

static void tick(void *arg, u64 now_ns)
{
	struct partition *p = arg;
	struct adaptive *a = &p->adaptive;
	u64 ns = a->policy.params.tick;
	struct policy_sample unused;

	if (p->state == PARTITION_RUNNING && a->kind == ADAPTIVE_CHAOS) {
		measure(p, &unused, now_ns);
		take_totals(p, &a->before, now_ns);
		partition_switch_paging(p, chaos_number(a, 2) == 1 ? PAGING_NESTED : PAGING_SHADOW,
					CHAOS);
		ns = chaos_number(a, 2 * ns);
	} else if (p->state == PARTITION_RUNNING && a->kind == ADAPTIVE_SPACES) {
		if (!partition_spaces_tick(p, &a->policy.params, now_ns))
			policy_again(p);
	} else if (p->state == PARTITION_RUNNING) {
		policy_due(p, now_ns);
	}
	if (adaptive_on(a))
		own_timer_set(p, &a->timer, now_ns + ns);
}

/* --- start and stop --------------------------------------------------------------------------- */

static bool start_replay(struct partition *p, struct policy_params *params)
{
	const char *name = hv_cmdline()->pmu + strlen(REPLAY);
	const struct boot_module *m = hv_find_module(name);
	char why[128] = "no module of that name was loaded";

	if (!m ||
	    replay_begin(&p->adaptive.replay, hpa_va(m->base), m->len, params, why, sizeof(why))) {
		report_error(p->cfg.name, "pmu", "%s%s: %s", REPLAY, name, why);
		return false;
	}
	hv_policy_overrides(params);
	return true;
}

static void start_policy(struct partition *p, struct policy_params *params)
{
	struct adaptive *a = &p->adaptive;
	bool replay = strncmp(hv_cmdline()->pmu, REPLAY, strlen(REPLAY)) == 0;

	a->kind = ADAPTIVE_POLICY;
	if (replay && start_replay(p, params))
		a->kind = ADAPTIVE_REPLAY;
	policy_init(&a->policy, policy_find(hv_cmdline()->policy), params, mode_of(p));
	adaptive_trace_begin(p);
	if (a->kind == ADAPTIVE_POLICY)
		partition_spaces_watch(p, params);
}

/* Seeds differ between guests, so that these do not switch together. */
static void start_chaos(struct partition *p)
{
	const char *word = hv_cmdline()->policy;
	u64 seed = 1;

	if (word[strlen(CHAOS)])
		parse_decimal(word + strlen(CHAOS) + 1, &seed);
	p->adaptive.kind = ADAPTIVE_CHAOS;
	p->adaptive.timer.slack_ns = 0;
	chaos_begin(&p->adaptive, seed + p->index);
}

/* False: not in this machine, or without memory. */
static bool start_spaces(struct partition *p, const struct policy_params *params)
{
	p->adaptive.kind = ADAPTIVE_SPACES;
	policy_init(&p->adaptive.policy, policy_find(hv_cmdline()->policy), params, POLICY_NESTED);
	return partition_spaces_begin(p, params) == 0;
}

void partition_adaptive_start(struct partition *p)
{
	struct policy_params params = *hv_policy_params();
	struct adaptive *a = &p->adaptive;
	const char *why;

	if (adaptive_on(a) || !paging_possible(PAGING_ADAPTIVE, &why))
		return;
	*a = (struct adaptive){.timer = {.fire = tick, .arg = p}, .why = REASON_STAY};
	a->timer.slack_ns = params.tick / TICK_SLACK;
	a->policy.params = params;
	if (strncmp(hv_cmdline()->policy, CHAOS, strlen(CHAOS)) == 0)
		start_chaos(p);
	else if (!partition_spaces_wanted() || !start_spaces(p, &params))
		start_policy(p, &params);
	if (a->kind != ADAPTIVE_REPLAY && a->kind != ADAPTIVE_SPACES)
		estimate_start(p, params.tick);
	take_totals(p, &a->before, own_time_ns(p));
	pmu_meter_read(&p->pmu, p->vcpu.cpu, rdtsc(), &(struct pmu_reading){0});
	own_timer_set(p, &a->timer, own_time_ns(p) + params.tick);
}

void partition_adaptive_stop(struct partition *p)
{
	if (!adaptive_on(&p->adaptive))
		return;
	own_timer_set(p, &p->adaptive.timer, TIMER_OFF);
	estimate_stop(p);
	partition_spaces_stop(p);
	p->adaptive.kind = ADAPTIVE_OFF;
}

void partition_adaptive_begin(struct partition *p)
{
	partition_adaptive_stop(p);
	p->adaptive = (struct adaptive){0};
	if (p->cfg.paging == PAGING_ADAPTIVE)
		partition_adaptive_start(p);
}
