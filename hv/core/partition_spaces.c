/* Address spaces in modes of their own; see partition_spaces.h.
 *
 * While the gate is shut, because loads of CR3 would cost too much, the guest runs nested and they
 * are counted by windows, as for any guest that runs nested.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/partition_spaces.h"
#include "chan/records.h"
#include "core/calibrate.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/own_time.h"
#include "core/partition.h"
#include "core/partition_paging.h"
#include "core/report.h"
#include "core/vcpu_run.h"
#include "core/walk_price.h"
#include "lib/cpuops.h"
#include "lib/muldiv.h"
#include "lib/str.h"

#define CHAOS	       "chaos"
#define LEAVES_A_TABLE 64 /* as a guess */
#define CHAOS_LOADS    12 /* of CR3, after which each address space's mode is drawn anew */

static bool chaos(void)
{
	return strncmp(hv_cmdline()->paging_per_as, CHAOS, strlen(CHAOS)) == 0;
}

bool partition_spaces_wanted(void)
{
	return strcmp(hv_cmdline()->paging_per_as, "on") == 0 || chaos();
}

/* --- what mixed asks for ---------------------------------------------------------------------- */

static enum policy_mode choose(void *ctx, u64 root, u64 loads)
{
	const struct partition *p = ctx;
	u64 x = (root >> 5) + p->spaces.seed * 0x9e3779b97f4a7c15ull +
		loads / CHAOS_LOADS * 0xbf58476d1ce4e5b9ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x >> 63 ? POLICY_SHADOW : POLICY_NESTED;
}

static void add_reading(struct policy_measure *sum, const struct policy_measure *m)
{
	sum->value += m->value;
	sum->confidence = m->confidence;
}

/* As for a whole guest's sample (telemetry.h): exits that nested paging would not have. */
static u64 shadow_cycles(const struct exit_stats *e)
{
	u64 n = e->count[EXIT_EXCEPTION] + e->count[EXIT_CR] + e->count[EXIT_INVLPG];
	u64 cycles = e->cycles[EXIT_EXCEPTION] + e->cycles[EXIT_CR] + e->cycles[EXIT_INVLPG];

	return cycles - e->other_cycles + (n - e->other_count) * hv_calibration()->world_switch;
}

/* Page faults of shadow tables: all exit, unless the CPU keeps some to itself. */
static void totals(void *ctx, struct mixed_totals *t)
{
	struct partition *p = ctx;
	struct mixed_totals *sum = &p->spaces.totals;
	struct pmu_reading r;

	pmu_meter_read(&p->pmu, p->vcpu.cpu, rdtsc(), &r);
	add_reading(&sum->walk_cycles, &r.walk_cycles);
	sum->faults.value = shadow_faults_given(p->vcpu.shadow->tables);
	sum->faults.confidence = p->vcpu.shadow->setup.filters_faults ? 50 : 100;
	sum->shadow_cycles = (struct policy_measure){shadow_cycles(&p->exits), 100};
	sum->leaves.value = shadow_tables_used(p->vcpu.shadow->tables) * LEAVES_A_TABLE;
	sum->leaves.confidence = 50;
	*t = *sum;
}

static void report_change(struct partition *p, const struct mixed_space *a,
			  const struct policy_sample *x)
{
	static const char *const name[POLICY_MODES] = {
		[POLICY_NESTED] = "nested", [POLICY_SHADOW] = "shadow"};
	struct record r;

	if (!partition_paging_tell(p))
		return;
	record_begin(&r, "paging");
	record_str(&r, "guest", p->cfg.name);
	record_str(&r, "from", name[x->mode]);
	record_str(&r, "to", name[a->mode]);
	record_str(&r, "why", "space");
	record_hex(&r, "space", a->root);
	record_u64(&r, "ran_ms", mul_div(a->ran, 1, p->adaptive.policy.params.khz));
	record_u64(&r, "misses_per_ms",
		   mul_div(a->misses.rate, p->adaptive.policy.params.khz, BIT(32)));
	record_u64(&r, "pages", a->misses.pages);
	adaptive_inputs(&r, x);
	record_send(&r, true);
}

static void judged(void *ctx, const struct mixed_space *a, const struct policy_sample *x,
		   bool changed)
{
	adaptive_trace_space(ctx, a, x);
	if (changed)
		report_change(ctx, a, x);
}

/* --- looks ------------------------------------------------------------------------------------ */

static u64 price(void *ctx, enum policy_mode mode, u64 pages)
{
	(void)ctx;
	return walk_price(mode, pages);
}

static void look_due(void *arg, u64 now_ns)
{
	struct partition *p = arg;

	(void)now_ns;
	if (p->spaces.mixed.on)
		mixed_look_due(&p->vcpu);
}

static void set_look(void *ctx, u64 ns)
{
	struct partition *p = ctx;

	own_timer_set(p, &p->spaces.look, ns ? own_time_ns(p) + ns : TIMER_OFF);
}

static u64 small_ppm(void *ctx)
{
	return estimate_small_ppm(ctx);
}

/* --- the gate --------------------------------------------------------------------------------- */

/* Loads of CR3 since the last tick, or what they took as so many at the price that the gate knows.
 * What those into the shadow take is in its spaces' regret. */
static u64 load_cost(const struct partition *p)
{
	const struct partition_spaces *s = &p->spaces;
	u64 cycles = s->mixed.stats.load_cycles - s->load_cycles;

	return MAX(s->mixed.stats.loads - s->loads,
		   cycles / MAX(p->adaptive.policy.params.c_cr3, 1ull));
}

/* The guest as a whole, as far as spaces_open() looks. */
static void whole(struct partition *p, struct policy_sample *x, u64 now_ns)
{
	struct partition_spaces *s = &p->spaces;
	u64 guest = vcpu_guest_cycles(&p->vcpu);
	struct estimates e = {.faults_exit = false};

	*x = (struct policy_sample){.ns = now_ns - s->ns, .unhalted = guest - s->guest};
	if (s->mixed.on) {
		x->cr3_writes = (struct policy_measure){load_cost(p), 100};
	} else {
		estimate_tick(p, x->unhalted, &e);
		x->cr3_writes = e.cr3_writes;
	}
	s->loads = s->mixed.stats.loads;
	s->load_cycles = s->mixed.stats.load_cycles;
	s->guest = guest;
	s->ns = now_ns;
}

static bool open_gate(struct partition *p, const char *why)
{
	estimate_stop(p);
	p->spaces.opened++;
	return partition_switch_paging(p, PAGING_ADAPTIVE, why) == 0;
}

static void shut_gate(struct partition *p, const struct policy_params *params)
{
	p->spaces.shut++;
	partition_switch_paging(p, PAGING_NESTED, p->spaces.hopeless ? "shared" : "cr3");
	if (!p->spaces.hopeless)
		estimate_start(p, params->tick);
}

/* --- ticks ------------------------------------------------------------------------------------ */

static void prepare(struct partition *p, const struct policy_params *params)
{
	struct partition_spaces *s = &p->spaces;
	const struct mixed_setup setup = {.totals = totals,
					  .choose = chaos() ? choose : NULL,
					  .judged = chaos() ? NULL : judged,
					  .price = price,
					  .fault_cycles = hv_calibration()->fault,
					  .looks = {.timer = set_look,
						    .small_ppm = small_ppm,
						    .reach = estimate_reach(),
						    .khz = params->khz,
						    .memory = looks_memory(p)},
					  .ctx = p};

	if (p->vcpu.paging == &paging_mixed)
		partition_change_paging(p, PAGING_NESTED);
	own_timer_set(p, &s->look, TIMER_OFF);
	spaces_auto_rest(p);
	*s = (struct partition_spaces){
		.seed = 1, .ns = own_time_ns(p), .look = {.fire = look_due, .arg = p}};
	if (chaos() && hv_cmdline()->paging_per_as[strlen(CHAOS)])
		parse_decimal(hv_cmdline()->paging_per_as + strlen(CHAOS) + 1, &s->seed);
	spaces_init(&s->policy, params);
	cost_init(&s->cost, params);
	mixed_init(&p->vcpu, &s->mixed, &setup);
	s->guest = vcpu_guest_cycles(&p->vcpu);
}

int partition_spaces_begin(struct partition *p, const struct policy_params *params)
{
	prepare(p, params);
	return open_gate(p, "spaces") ? 0 : -ENOMEM;
}

/* --- by itself (spaces_auto.h) ---------------------------------------------------------------- */

/* What the paper's policy or a trace decides is not to be mixed with anything. */
static bool may_be_automatic(void)
{
	return strcmp(hv_cmdline()->paging_per_as, "auto") == 0 &&
	       strcmp(hv_cmdline()->policy, "regret") == 0;
}

void partition_spaces_watch(struct partition *p, const struct policy_params *params)
{
	if (!may_be_automatic())
		return;
	prepare(p, params);
	p->spaces.automatic.on = true;
	spaces_auto_watch(p);
}

bool partition_spaces_try(struct partition *p, const struct policy_params *params,
			  const struct policy_sample *x, u64 now_ns)
{
	struct partition_spaces *s = &p->spaces;

	spaces_auto_tick(p, now_ns);
	if (!s->automatic.on || s->hopeless || !measure_known(&x->cr3_writes))
		return false;
	/* The policy judges a mode just now. */
	if (!spaces_auto_due(p, spaces_open(&s->policy, params, x), now_ns) || p->adaptive.trial)
		return false;
	if (!open_gate(p, "differ"))
		return false;
	spaces_auto_begin(p);
	s->guest = vcpu_guest_cycles(&p->vcpu);
	s->ns = now_ns;
	return true;
}

/* Back to one mode, the one that all the busy ones had, if they had one. */
static void give_up(struct partition *p, const struct policy_params *params, bool open, u64 now_ns)
{
	struct partition_spaces *s = &p->spaces;
	bool shadow = open && mixed_all_shadow(&s->mixed, SPACES_BUSY);

	s->shut++;
	mixed_reset_spaces(&p->vcpu);
	partition_switch_paging(p, shadow ? PAGING_SHADOW : PAGING_NESTED,
				open	      ? "alike"
				: s->hopeless ? "shared"
					      : "cr3");
	spaces_auto_end(p, params, now_ns);
}

bool partition_spaces_tick(struct partition *p, const struct policy_params *params, u64 now_ns)
{
	struct partition_spaces *s = &p->spaces;
	struct policy_sample x;
	bool open;

	if (s->hopeless)
		return true;
	whole(p, &x, now_ns);
	open = spaces_open(&s->policy, params, &x) || s->mixed.setup.choose;
	if (mixed_hopeless(&s->mixed) && !s->mixed.setup.choose) {
		s->hopeless = true;
		open = false;
	}
	spaces_fade(&s->policy);
	if (s->automatic.on && (!open || !spaces_auto_worth(p, params))) {
		give_up(p, params, open, now_ns);
		return false;
	}
	if (s->mixed.on && !open)
		shut_gate(p, params);
	else if (!s->mixed.on && open)
		open_gate(p, "spaces");
	if (s->mixed.on)
		mixed_tick(&p->vcpu, &s->policy, params, &s->cost);
	return true;
}

void partition_spaces_stop(struct partition *p)
{
	spaces_auto_rest(p);
	if (p->spaces.mixed.on)
		mixed_look_end(&p->vcpu);
}

/* --- records ---------------------------------------------------------------------------------- */

void partition_spaces_stats(struct record *r, const struct partition *p)
{
	const struct partition_spaces *s = &p->spaces;
	const struct mixed_stats *t = &s->mixed.stats;
	unsigned on_shadow = 0;

	for (unsigned i = 0; s->mixed.on && i < ARRAY_SIZE(s->mixed.space); i++)
		on_shadow += s->mixed.space[i].used && s->mixed.space[i].mode == POLICY_SHADOW;
	record_object(r, "spaces");
	record_u64(r, "on", s->mixed.on);
	record_u64(r, "on_shadow", on_shadow);
	record_u64(r, "loads", t->loads);
	record_u64(r, "to_shadow", t->to_shadow);
	record_u64(r, "to_nested", t->to_nested);
	record_u64(r, "guards", p->nested.guards_made);
	record_u64(r, "writes", t->writes);
	record_u64(r, "walks", t->walks);
	record_u64(r, "shared", p->vcpu.shadow ? shadow_shared(p->vcpu.shadow->tables) : 0);
	record_u64(r, "reused", t->reused);
	record_u64(r, "forgotten", t->forgotten);
	record_u64(r, "promoted", t->promoted);
	record_u64(r, "demoted", t->demoted);
	record_u64(r, "heard", t->heard);
	record_array(r, "looks");
	record_u64(r, NULL, s->mixed.looks.rounds);
	record_u64(r, NULL, s->mixed.looks.dropped);
	record_u64(r, NULL, s->mixed.looks.cycles);
	record_close(r);
	record_u64(r, "load_cycles", t->load_cycles);
	record_u64(r, "opened", s->opened);
	record_u64(r, "shut", s->shut);
	record_close(r);
}
