/* Address spaces in modes of their own; see partition_spaces.h.
 *
 * While the gate is shut, because loads of CR3 would cost too much, the guest runs nested and they
 * are counted by windows, as for any guest that runs nested.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/partition_spaces.h"
#include "chan/records.h"
#include "core/clock.h"
#include "core/hv.h"
#include "core/partition.h"
#include "core/partition_paging.h"
#include "core/report.h"
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "lib/str.h"

#define CHAOS	    "chaos"
#define CHAOS_LOADS 12 /* of CR3, after which each address space's mode is drawn anew */

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

/* Page faults of shadow tables: all exit, unless the CPU keeps some to itself. */
static void totals(void *ctx, struct policy_sample *x)
{
	struct partition *p = ctx;
	struct policy_sample *t = &p->spaces.totals;
	struct shadow_stats st;
	struct pmu_reading r;

	pmu_meter_read(&p->pmu, p->vcpu.cpu, rdtsc(), &r);
	add_reading(&t->walk_cycles, &r.walk_cycles);
	shadow_get_stats(p->vcpu.shadow->tables, &st);
	t->faults = (struct policy_measure){
		.value = st.path[SHADOW_PATH_GUEST].count,
		.confidence = p->vcpu.shadow->setup.filters_faults ? 50 : 100};
	t->shadow_cycles = (struct policy_measure){
		.value = p->exits.cycles[EXIT_EXCEPTION] + p->exits.cycles[EXIT_CR] +
			 p->exits.cycles[EXIT_INVLPG] - p->exits.other_cycles,
		.confidence = 100};
	t->leaves = (struct policy_measure){.value = st.pool_used * 64, .confidence = 50};
	*x = *t;
}

/* --- the gate --------------------------------------------------------------------------------- */

/* The guest as a whole, as far as spaces_open() looks. */
static void whole(struct partition *p, struct policy_sample *x, u64 now_ns)
{
	struct partition_spaces *s = &p->spaces;
	u64 guest = vcpu_guest_cycles(&p->vcpu);
	struct estimates e = {.faults_exit = false};

	*x = (struct policy_sample){.ns = now_ns - s->ns, .unhalted = guest - s->guest};
	if (s->mixed.on) {
		x->cr3_writes = (struct policy_measure){s->mixed.stats.loads - s->loads, 100};
	} else {
		estimate_tick(p, x->unhalted, &e);
		x->cr3_writes = e.cr3_writes;
	}
	s->loads = s->mixed.stats.loads;
	s->guest = guest;
	s->ns = now_ns;
}

static bool open_gate(struct partition *p)
{
	estimate_stop(p);
	p->spaces.opened++;
	return partition_switch_paging(p, PAGING_ADAPTIVE, "spaces") == 0;
}

static void shut_gate(struct partition *p, const struct policy_params *params)
{
	p->spaces.shut++;
	partition_switch_paging(p, PAGING_NESTED, p->spaces.hopeless ? "shared" : "cr3");
	if (!p->spaces.hopeless)
		estimate_start(p, params->tick);
}

/* --- ticks ------------------------------------------------------------------------------------ */

int partition_spaces_begin(struct partition *p, const struct policy_params *params)
{
	struct partition_spaces *s = &p->spaces;
	const struct mixed_setup setup = {
		.totals = totals, .choose = chaos() ? choose : NULL, .ctx = p};

	if (p->vcpu.paging == &paging_mixed)
		partition_change_paging(p, PAGING_NESTED);
	*s = (struct partition_spaces){.seed = 1, .ns = clock_ns()};
	if (chaos() && hv_cmdline()->paging_per_as[strlen(CHAOS)])
		parse_decimal(hv_cmdline()->paging_per_as + strlen(CHAOS) + 1, &s->seed);
	spaces_init(&s->policy, params);
	cost_init(&s->cost, params);
	mixed_init(&p->vcpu, &s->mixed, &setup);
	s->guest = vcpu_guest_cycles(&p->vcpu);
	return open_gate(p) ? 0 : -ENOMEM;
}

void partition_spaces_tick(struct partition *p, const struct policy_params *params, u64 now_ns)
{
	struct partition_spaces *s = &p->spaces;
	struct policy_sample x;
	bool open;

	if (s->hopeless)
		return;
	whole(p, &x, now_ns);
	open = spaces_open(&s->policy, params, &x) || s->mixed.setup.choose;
	if (mixed_hopeless(&s->mixed) && !s->mixed.setup.choose) {
		s->hopeless = true;
		open = false;
	}
	if (s->mixed.on && !open)
		shut_gate(p, params);
	else if (!s->mixed.on && open)
		open_gate(p);
	if (s->mixed.on)
		mixed_tick(&p->vcpu, &s->policy, params, &s->cost);
}

/* --- records ---------------------------------------------------------------------------------- */

void partition_spaces_stats(struct record *r, const struct partition *p)
{
	const struct partition_spaces *s = &p->spaces;
	const struct mixed_stats *t = &s->mixed.stats;
	unsigned on_shadow = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(s->mixed.space); i++)
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
	record_u64(r, "shut", s->shut);
	record_close(r);
}
