/* Estimates of a guest's paging load: see estimate.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/estimate.h"
#include "core/calibrate.h"
#include "core/clock.h"
#include "core/hv.h"
#include "core/partition.h"
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "paging/adaptive/fixed.h"

#define SLOTS_A_TICK  16u
#define SLOT_EVENTS   8u    /* a slot is so long that so many may be heard of in it */
#define AFFORD_PPM    300u  /* of the time, for each kind of event */
#define EXIT_CYCLES   2000u /* until measured */
#define REACH_UNKNOWN 2048u /* no TLB of today's is much larger */
#define LOOK_SHARE    16u   /* one of so many regions or tables is looked at, */
#define RAN_SHARE     4u    /* of the time of a look the guest must have run one part of so many */
#define REGIONS_MIN   16u   /* but so many where there are */
#define TABLES_PAGES  ((sizeof(struct tables) + PAGE_SIZE - 1) / PAGE_SIZE)

/* --- windows ---------------------------------------------------------------------------------- */

static bool runs_nested(const struct partition *p)
{
	return p->vcpu.paging == &paging_nested;
}

static struct watch_time guest_time(const struct partition *p)
{
	return (struct watch_time){.ns = clock_ns(), .ran = vcpu_guest_cycles(&p->vcpu)};
}

static void step_windows(struct partition *p)
{
	struct estimate *e = &p->estimate;
	struct vcpu *v = &p->vcpu;
	u64 next;
	unsigned bits = watch_step(&e->watch, guest_time(p), v->watch.count, &next);

	paging_watch(v, WATCHER_COUNTS, bits);
	for (unsigned k = 0; k < WATCH_KINDS; k++)
		v->watch.limit[k] = watch_limit(&e->watch, (enum watch_kind)k);
	timer_set(&e->window, next == WATCH_NEVER ? TIMER_OFF : next);
}

static void window_due(void *arg, u64 now_ns)
{
	(void)now_ns;
	step_windows(arg);
}

/* Too much for this window: look at it before the guest runs on. */
static void window_full(struct vcpu *v, enum watch_kind kind)
{
	(void)kind;
	timer_set(&v->part->estimate.window, clock_ns());
}

/* Events of each kind per second that may be heard of. */
static u64 affordable(void)
{
	const struct calibration *c = hv_calibration();
	/* With what each kind has to be done for. */
	u64 cycles = MAX(MAX(c->cpuid, c->fault), MAX(c->cr3, c->invlpg));

	return watch_affordable(AFFORD_PPM, hv_policy_params()->khz, cycles ? cycles : EXIT_CYCLES);
}

/* Short slots see bursts, but some events have to be within reach of a window. */
static u64 slot_ns(u64 tick_ns, u64 afford)
{
	u64 ns = MAX(tick_ns / SLOTS_A_TICK, SLOT_EVENTS * NSEC_PER_SEC / afford);

	return MIN(ns, tick_ns / 2);
}

static void begin_windows(struct estimate *e)
{
	u64 afford = affordable();

	watch_init(&e->watch, slot_ns(e->tick_ns, afford), e->random);
	for (unsigned k = 0; k < WATCH_KINDS; k++)
		watch_afford(&e->watch, (enum watch_kind)k, afford);
}

static struct policy_measure take(struct partition *p, enum watch_kind kind)
{
	return watch_take(&p->estimate.watch, kind, guest_time(p), p->vcpu.watch.count);
}

/* --- accessed bits ---------------------------------------------------------------------------- */

/* What the CPU holds of the leaves goes before the guest runs again. */
static void forget(struct vcpu *v)
{
	for (unsigned tag = 0; tag < VCPU_TAGS; tag++)
		v->engine->flush_tag(v, tag);
}

static void end_round(struct partition *p)
{
	struct estimate *e = &p->estimate;

	if (!e->looking)
		return;
	if (!e->in_shadow) {
		nested_sample_end(&p->nested, &e->sample);
		forget(&p->vcpu);
	}
	e->looking = false;
	timer_set(&e->look, TIMER_OFF);
}

static void arm_look(struct estimate *e)
{
	timer_set(&e->look, e->cleared_ns + coverage_look_ns[e->looked]);
}

static void look_at_nested(struct partition *p, struct coverage_look *l)
{
	struct estimate *e = &p->estimate;

	l->touched = nested_sample_count(&p->nested, &e->sample, &l->squares);
	l->regions = e->sample.n;
	l->of = (u32)nested_sample_regions(&p->nested);
}

static void look_at_shadow(struct partition *p, struct coverage_look *l)
{
	struct estimate *e = &p->estimate;

	l->touched = shadow_touched_count(p->vcpu.shadow->tables, &e->touched, &l->squares);
	l->regions = e->touched.n;
	l->of = e->touched.of;
}

/* A guest that hardly ran has touched little, whatever it does else. */
static bool ran_enough(const struct coverage_look *l, unsigned look)
{
	u64 all = mul_div(coverage_look_ns[look], hv_policy_params()->khz, NSEC_PER_MSEC);

	return l->ran >= all / RAN_SHARE;
}

static void look_due(void *arg, u64 now_ns)
{
	struct partition *p = arg;
	struct estimate *e = &p->estimate;
	struct coverage_look l = {.ran = vcpu_guest_cycles(&p->vcpu) - e->cleared_guest};

	(void)now_ns;
	if (e->in_shadow)
		look_at_shadow(p, &l);
	else
		look_at_nested(p, &l);
	if (ran_enough(&l, e->looked))
		coverage_pool(&e->looks[e->looked], &l);
	if (++e->looked < COVERAGE_LOOKS) {
		arm_look(e);
		return;
	}
	e->totals.looks++;
	e->totals.pages += coverage_pages(&l).value;
	end_round(p);
}

/* Choose and clear. False: there is nothing to look at. */
static bool clear_nested(struct partition *p)
{
	struct estimate *e = &p->estimate;
	u64 regions = nested_sample_regions(&p->nested);
	u64 want = MAX(regions / LOOK_SHARE, MIN(regions, REGIONS_MIN));

	if (!nested_sample_possible(&p->nested))
		return false;
	nested_sample_begin(&p->nested, &e->sample, (unsigned)want, &e->random);
	return true;
}

static bool clear_shadow(struct partition *p)
{
	struct shadow_paging *s = p->vcpu.shadow;
	struct estimate *e = &p->estimate;

	return s->running == SHADOW_TABLES &&
	       shadow_touched_begin(s->tables, &e->touched, LOOK_SHARE, &e->random);
}

/* The next round of looks. */
static void begin_round(struct partition *p)
{
	struct estimate *e = &p->estimate;

	e->looked = 0;
	e->in_shadow = p->vcpu.paging == &paging_shadow;
	if (e->in_shadow)
		e->looking = clear_shadow(p);
	else if (runs_nested(p))
		e->looking = clear_nested(p);
	if (!e->looking)
		return;
	forget(&p->vcpu);
	e->cleared_ns = clock_ns();
	e->cleared_guest = vcpu_guest_cycles(&p->vcpu);
	arm_look(e);
}

/* --- the tick --------------------------------------------------------------------------------- */

static struct tables_seen look_at_tables(struct partition *p)
{
	struct tables_seen seen = {.small_ppm = MILLION};
	struct walk_regs r;
	struct walk_mem m;

	if (!p->estimate.tables)
		return seen;
	vcpu_walk_regs(&p->vcpu, &r);
	tables_look(p->estimate.tables, vcpu_walk_mem(&p->vcpu, &m), &r, &seen);
	return seen;
}

static void add_up(struct estimate *e, const struct estimates *x)
{
	struct estimate_totals *t = &e->totals;
	u64 now = clock_ns();

	t->ticks++;
	t->ns += now - e->from_ns;
	e->from_ns = now;
	t->faults = sat_add(t->faults, x->faults.value);
	t->cr3_writes = sat_add(t->cr3_writes, x->cr3_writes.value);
	t->invlpgs = sat_add(t->invlpgs, x->invlpgs.value);
	t->table_writes = sat_add(t->table_writes, x->table_writes.value);
	t->walks = sat_add(t->walks, x->walks.value);
}

/* Pages touched at the pace of the longest look. */
static struct policy_measure pages_touched(const struct coverage_look *l, u64 guest)
{
	struct policy_measure m = coverage_pages(l);

	if (!l->ran)
		m.confidence = 0;
	m.value = l->ran ? mul_div(m.value, guest, l->ran) : 0;
	return m;
}

void estimate_tick(struct partition *p, u64 guest, struct estimates *out)
{
	struct estimate *e = &p->estimate;
	struct tables_seen seen;

	if (!e->on)
		return;
	if (runs_nested(p)) {
		out->faults = take(p, WATCH_FAULT);
		out->cr3_writes = take(p, WATCH_CR3);
		out->invlpgs = take(p, WATCH_INVLPG);
		step_windows(p);
	}
	seen = look_at_tables(p);
	out->table_writes = seen.writes;
	out->leaves = seen.leaves;
	out->walks =
		coverage_misses(e->looks, guest, e->reach, e->in_shadow ? MILLION : seen.small_ppm);
	out->touched = pages_touched(&e->looks[COVERAGE_LOOKS - 1], guest);
	if (!e->looking)
		begin_round(p);
	add_up(e, out);
}

/* Where nobody decides by them. */
static void own_tick(void *arg, u64 now_ns)
{
	struct partition *p = arg;
	struct estimate *e = &p->estimate;
	u64 guest = vcpu_guest_cycles(&p->vcpu);
	struct estimates out = {.faults_exit = false};

	estimate_tick(p, guest - e->tick_guest, &out);
	e->tick_guest = guest;
	timer_set(&e->tick, now_ns + e->tick_ns);
}

/* --- begin and end ---------------------------------------------------------------------------- */

static void read_cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
	struct cpuid c = cpuid(leaf, subleaf);

	out[0] = c.eax;
	out[1] = c.ebx;
	out[2] = c.ecx;
	out[3] = c.edx;
}

static void get_memory(struct estimate *e)
{
	if (!e->tables_pa)
		e->tables_pa = frames_alloc(TABLES_PAGES, 1, OWNER_HYPERVISOR);
	e->tables = e->tables_pa ? hpa_va(e->tables_pa) : NULL;
	if (e->tables)
		tables_init(e->tables, rdtsc());
}

static void set_timers(struct partition *p)
{
	struct estimate *e = &p->estimate;

	e->window.fire = window_due;
	e->look.fire = look_due;
	e->tick.fire = own_tick;
	e->window.arg = e->look.arg = e->tick.arg = p;
	p->vcpu.watch.full = window_full;
}

void estimate_start(struct partition *p, u64 tick_ns)
{
	struct estimate *e = &p->estimate;
	u64 reach = coverage_tlb_reach(read_cpuid);

	estimate_stop(p);
	set_timers(p);
	get_memory(e);
	e->on = true;
	e->tick_ns = tick_ns;
	e->reach = reach ? reach : REACH_UNKNOWN;
	e->random = rdtsc();
	e->from_ns = clock_ns();
	e->tick_guest = vcpu_guest_cycles(&p->vcpu);
	memset(&e->totals, 0, sizeof(e->totals));
	memset(e->looks, 0, sizeof(e->looks));
	begin_windows(e);
	estimate_mode(p);
}

void estimate_stop(struct partition *p)
{
	struct estimate *e = &p->estimate;

	if (!e->on)
		return;
	end_round(p);
	e->on = false;
	timer_set(&e->window, TIMER_OFF);
	timer_set(&e->look, TIMER_OFF);
	timer_set(&e->tick, TIMER_OFF);
	paging_watch(&p->vcpu, WATCHER_COUNTS, 0);
}

void estimate_mode_ends(struct partition *p)
{
	end_round(p);
}

void estimate_mode(struct partition *p)
{
	struct estimate *e = &p->estimate;

	if (!e->on)
		return;
	end_round(p);
	memset(e->looks, 0, sizeof(e->looks));
	if (runs_nested(p)) {
		watch_begin(&e->watch, guest_time(p), p->vcpu.watch.count);
	} else {
		watch_end(&e->watch, guest_time(p), p->vcpu.watch.count);
	}
	step_windows(p);
	begin_round(p);
}

void estimate_power_on(struct partition *p)
{
	u64 ns = hv_cmdline()->watch_ns;

	if (!ns)
		return;
	estimate_start(p, ns);
	timer_set(&p->estimate.tick, clock_ns() + ns);
}

void estimate_free(struct partition *p)
{
	struct estimate *e = &p->estimate;

	if (e->tables_pa)
		frames_free(e->tables_pa, TABLES_PAGES, OWNER_HYPERVISOR);
	e->tables_pa = 0;
	e->tables = NULL;
}
