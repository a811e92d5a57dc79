/* Estimates of a guest's paging load: see estimate.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/estimate.h"
#include "core/calibrate.h"
#include "core/hv.h"
#include "core/own_time.h"
#include "core/partition.h"
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "lib/str.h"
#include "lib/x86.h"
#include "mem/frames.h"
#include "paging/adaptive/fixed.h"

#define SLOTS_A_TICK  16u
#define SLOT_EVENTS   8u    /* a slot is so long that so many may be heard of in it */
#define SLOT_STEPS    4u    /* windows opened and closed in it, roughly, */
#define STEP_CYCLES   2500u /* each for so much beside the exit */
#define CLOSE_SLACK   8u    /* of a tick: mostly somebody else has an interrupt by then */
#define EXIT_CYCLES   2000u /* until measured */
#define REACH_UNKNOWN 2048u /* no TLB of today's is much larger */
#define CR3_SPACE     0x000fffffffffe000ull /* without Linux' choice of one of two halves */
#define NOT_SEEN      20u		    /* percent, at most: of what is carried on */
/* Of the time (ppm): in all below 0.3 %. */
#define EVENTS_PPM   250u /* for each kind of event */
#define STEPS_PPM    300u
#define TABLES_PPM   300u
#define LOOKS_PPM    1200u
#define TABLES_PAGES ((sizeof(struct tables) + PAGE_SIZE - 1) / PAGE_SIZE)

/* --- windows ---------------------------------------------------------------------------------- */

static bool runs_nested(const struct partition *p)
{
	return p->vcpu.paging == &paging_nested;
}

static struct watch_time guest_time(const struct partition *p)
{
	return (struct watch_time){.ns = own_time_ns(p), .ran = vcpu_guest_cycles(&p->vcpu)};
}

static void step_windows(struct partition *p)
{
	struct estimate *e = &p->estimate;
	u64 start = rdtsc();
	struct watch_when when;
	unsigned bits = watch_step(&e->watch, guest_time(p), &when);

	paging_watch(&p->vcpu, WATCHER_COUNTS, bits);
	own_timer_set(p, &e->window, when.open_ns);
	own_timer_set(p, &e->close, when.close_ns);
	e->totals.window_cycles += rdtsc() - start;
}

/* A random moment. */
static void window_due(void *arg, u64 now_ns)
{
	(void)now_ns;
	estimate_note(arg);
	step_windows(arg);
}

static void close_due(void *arg, u64 now_ns)
{
	(void)now_ns;
	step_windows(arg);
}

/* Its window is over, or enough for this one: look at it before the guest runs on. */
static void heard(struct vcpu *v, enum watch_kind kind)
{
	struct partition *p = v->part;

	if (watch_heard(&p->estimate.watch, kind, guest_time(p)))
		own_timer_set(p, &p->estimate.window, own_time_ns(p));
}

/* Of an event that is heard of, with what each kind has to be done for. */
static u64 event_cycles(void)
{
	const struct calibration *c = hv_calibration();
	u64 cycles = MAX(MAX(c->cpuid, c->fault), MAX(c->cr3, c->invlpg));

	return cycles ? cycles : EXIT_CYCLES;
}

/* Short slots see bursts, but some events have to be within reach of a window, and it has to be
 * opened and closed. A tick, or a whole part of it, so that each tick has as many windows. */
static u64 slot_ns(u64 tick_ns, u64 afford)
{
	const struct calibration *c = hv_calibration();
	u64 steps = SLOT_STEPS * (STEP_CYCLES + (c->cpuid ? c->cpuid : EXIT_CYCLES));
	u64 ns = MAX(tick_ns / SLOTS_A_TICK, SLOT_EVENTS * NSEC_PER_SEC / afford);

	steps = mul_div(steps, NSEC_PER_MSEC, hv_policy_params()->khz);
	ns = MAX(ns, mul_div(steps, MILLION, STEPS_PPM));
	return tick_ns / MAX(tick_ns / MAX(ns, 1ull), 1ull);
}

static void begin_windows(struct estimate *e)
{
	u64 afford = watch_affordable(EVENTS_PPM, hv_policy_params()->khz, event_cycles());

	watch_init(&e->watch, slot_ns(e->tick_ns, afford), e->random);
	for (unsigned k = 0; k < WATCH_KINDS; k++)
		watch_afford(&e->watch, (enum watch_kind)k, afford);
}

static struct policy_measure take(struct partition *p, enum watch_kind kind)
{
	return watch_take(&p->estimate.watch, kind, guest_time(p));
}

static void take_windows(struct partition *p, struct estimates *out)
{
	struct estimate *e = &p->estimate;
	u64 heard = 0;

	for (unsigned k = 0; k < WATCH_KINDS; k++)
		heard += p->vcpu.watch.count[k];
	e->totals.window_cycles += (heard - e->heard) * event_cycles();
	e->heard = heard;
	if (!runs_nested(p))
		return;
	out->faults = take(p, WATCH_FAULT);
	out->faults_most = watch_most(&e->watch, WATCH_FAULT);
	out->cr3_writes = take(p, WATCH_CR3);
	out->invlpgs = take(p, WATCH_INVLPG);
	watch_tick(&e->watch, own_time_ns(p));
	step_windows(p);
}

void estimate_note(struct partition *p)
{
	struct walk_regs r;

	vcpu_walk_regs(&p->vcpu, &r);
	if (r.cr0 & CR0_PG)
		busy_add(&p->estimate.busy, r.cr3 & CR3_SPACE);
}

/* --- tables and looks ------------------------------------------------------------------------- */

static void compare_tables(struct partition *p)
{
	struct estimate *e = &p->estimate;
	u64 start = rdtsc(), cycles;
	struct walk_regs r;
	struct walk_mem m;

	vcpu_walk_regs(&p->vcpu, &r);
	tables_look(e->tables, vcpu_walk_mem(&p->vcpu, &m), &r, &e->seen);
	e->seen_ran = e->unseen;
	e->unseen = 0;
	cycles = rdtsc() - start;
	e->totals.table_cycles += cycles;
	allowance_spend(&e->tables_share, cycles);
}

static void carry_on(struct policy_measure *m)
{
	m->confidence = MIN(m->confidence, (u8)NOT_SEEN);
}

/* What changes from tick to tick is not compared in each. */
static void look_at_tables(struct partition *p, u64 guest, struct estimates *out)
{
	struct estimate *e = &p->estimate;
	bool now = e->tables && allowance_allows(&e->tables_share, own_time_tsc(p), 0);

	e->unseen += guest;
	if (now)
		compare_tables(p);
	out->leaves = e->seen.leaves;
	out->table_writes = e->seen.writes;
	out->table_writes.value =
		e->seen_ran ? mul_div(e->seen.writes.value, guest, e->seen_ran) : 0;
	if (!now)
		carry_on(&out->table_writes);
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

/* The guest goes on touching as many, in whichever mode, until somebody has looked again. */
static struct policy_measure touched_as_before(const struct estimate *e, u64 guest)
{
	struct policy_measure m = e->touched;

	m.value = e->touched_guest ? mul_div(m.value, guest, e->touched_guest) : 0;
	carry_on(&m);
	return m;
}

static void take_looks(struct partition *p, u64 guest, struct estimates *out)
{
	struct estimate *e = &p->estimate;
	const struct looks *l = &p->looks;

	if (looks_fresh(p) && guest) {
		out->walks = coverage_misses(l->pooled, guest, e->reach,
					     l->in_shadow ? MILLION : e->seen.small_ppm);
		e->touched = pages_touched(&l->pooled[COVERAGE_LOOKS - 1], guest);
		e->touched_guest = guest;
		out->touched = e->touched;
	} else {
		out->touched = touched_as_before(e, guest);
	}
	looks_tick(p, e->spare);
}

void estimate_spare(struct partition *p, bool spare)
{
	p->estimate.spare = spare;
}

void estimate_hurry(struct partition *p)
{
	looks_hurry(p);
}

/* --- the tick --------------------------------------------------------------------------------- */

static void add_up(struct partition *p, const struct estimates *x)
{
	struct estimate *e = &p->estimate;
	struct estimate_totals *t = &e->totals;
	u64 now = own_time_ns(p);

	t->ticks++;
	t->ns += now - e->from_ns;
	e->from_ns = now;
	t->faults = sat_add(t->faults, x->faults.value);
	t->cr3_writes = sat_add(t->cr3_writes, x->cr3_writes.value);
	t->invlpgs = sat_add(t->invlpgs, x->invlpgs.value);
	t->table_writes = sat_add(t->table_writes, x->table_writes.value);
	t->walks = sat_add(t->walks, x->walks.value);
}

void estimate_tick(struct partition *p, u64 guest, struct estimates *out)
{
	struct estimate *e = &p->estimate;

	if (!e->on)
		return;
	estimate_note(p);
	out->spaces = busy_name(&e->busy);
	take_windows(p, out);
	look_at_tables(p, guest, out);
	take_looks(p, guest, out);
	add_up(p, out);
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
	own_timer_set(p, &e->tick, now_ns + e->tick_ns);
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
	e->close.fire = close_due;
	e->tick.fire = own_tick;
	e->window.arg = e->close.arg = e->tick.arg = p;
	e->close.slack_ns = e->tick_ns / CLOSE_SLACK;
	p->vcpu.watch.heard = heard;
}

u64 estimate_reach(void)
{
	u64 reach = coverage_tlb_reach(read_cpuid);

	return reach ? reach : REACH_UNKNOWN;
}

u64 estimate_small_ppm(struct partition *p)
{
	struct estimate *e = &p->estimate;

	if (!e->tables)
		get_memory(e);
	if (!e->tables)
		return MILLION;
	compare_tables(p);
	return e->seen.small_ppm;
}

void estimate_start(struct partition *p, u64 tick_ns)
{
	struct estimate *e = &p->estimate;

	estimate_stop(p);
	e->on = true;
	e->tick_ns = tick_ns;
	set_timers(p);
	get_memory(e);
	e->reach = estimate_reach();
	e->random = rdtsc();
	e->from_ns = own_time_ns(p);
	e->tick_guest = vcpu_guest_cycles(&p->vcpu);
	e->seen_ran = e->unseen = e->touched_guest = 0;
	e->seen = (struct tables_seen){.small_ppm = MILLION};
	e->touched = (struct policy_measure){0};
	e->spare = false;
	memset(&e->busy, 0, sizeof(e->busy));
	memset(&e->totals, 0, sizeof(e->totals));
	/* What was asked for by hand is had whatever it costs. */
	allowance_init(&e->tables_share, hv_cmdline()->watch_ns ? 0 : TABLES_PPM, own_time_tsc(p));
	looks_start(p, hv_cmdline()->watch_ns ? 0 : LOOKS_PPM, e->reach);
	begin_windows(e);
	estimate_mode(p);
}

void estimate_stop(struct partition *p)
{
	struct estimate *e = &p->estimate;

	if (!e->on)
		return;
	looks_stop(p);
	e->on = false;
	own_timer_set(p, &e->window, TIMER_OFF);
	own_timer_set(p, &e->close, TIMER_OFF);
	own_timer_set(p, &e->tick, TIMER_OFF);
	/* Others may go on hearing of events. */
	p->vcpu.watch.heard = NULL;
	paging_watch(&p->vcpu, WATCHER_COUNTS, 0);
}

void estimate_mode_ends(struct partition *p)
{
	looks_mode_ends(p);
}

void estimate_mode(struct partition *p)
{
	struct estimate *e = &p->estimate;

	if (!e->on)
		return;
	if (runs_nested(p))
		watch_begin(&e->watch, guest_time(p));
	else
		watch_end(&e->watch, guest_time(p));
	step_windows(p);
	looks_mode(p);
}

void estimate_power_on(struct partition *p)
{
	u64 ns = hv_cmdline()->watch_ns;

	if (!ns)
		return;
	estimate_start(p, ns);
	own_timer_set(p, &p->estimate.tick, own_time_ns(p) + ns);
}

void estimate_free(struct partition *p)
{
	struct estimate *e = &p->estimate;

	if (e->tables_pa)
		frames_free(e->tables_pa, TABLES_PAGES, OWNER_HYPERVISOR);
	e->tables_pa = 0;
	e->tables = NULL;
	looks_free(p);
}
