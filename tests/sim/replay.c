/* Recorded programs in the model: see replay.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "replay.h"

#include <stdlib.h>
#include <string.h>

#include "space.h"
#include "trace/read.h"

#define HZ (SIM_KHZ * 1000.0)

/* Cycles of a kernel's own work, and of the processor where nothing stalls it. A page written,
 * zeroed and freed costs about 3000 on the Core 2 of AIM9's page test (590 000 a second). */
#define CPI		0.6
#define CYCLES_FAULT	2500.0
#define CYCLES_DROP	1500.0
#define CYCLES_DROPPED	300.0
#define CYCLES_FORK	100000.0
#define CYCLES_FORKED	50.0
#define CYCLES_END	50000.0
#define CYCLES_SWITCH	2500.0
#define CYCLES_PROTECT	20.0 /* an entry made read-only, in its shadow */
#define EXITS_PER_TABLE 2    /* a table is written after a pause: out of step, and back */

#define TIMER	    2800000 /* instructions between two interrupts */
#define EXIT_LINES  64	    /* of the hypervisor's memory, for an exit */
#define FLUSH_ABOVE 33	    /* pages: Linux flushes all then */

#define REGION_SHIFT 21
#define REGION_PAGES 512
#define REGIONS	     65536
#define WELL_USED    (REGION_PAGES / 2) /* pages of 2 MiB are worth it from here on */

struct player {
	struct replay *out;
	const struct replay_lane *lane;
	struct mmu mmu[REPLAY_LANES];
	unsigned lanes;
	struct guest_memory memory;
	u16 region[REGIONS]; /* pages in use, by its number's low bits */
	u64 total, now;	     /* instructions */
	u64 timer;	     /* the next */
	u32 process;
	unsigned space;
	bool births;
	u32 young; /* bits: spaces that began within the trace */
	struct replay_window *w;
};

/* --- the first pass: how long it is, what is used well ---------------------------------------- */

static void survey_event(struct player *p, const struct touch_event *e)
{
	u16 *region = &p->region[e->at >> REGION_SHIFT & (REGIONS - 1)];
	bool fresh;

	p->total += e->instructions;
	if (e->kind > TOUCH_WRITE)
		return;
	memory_frame(&p->memory, e->at >> PAGE_SHIFT, &fresh);
	if (fresh && *region < REGION_PAGES)
		++*region;
}

static bool large_at(const struct player *p, u64 at)
{
	return p->region[at >> REGION_SHIFT & (REGIONS - 1)] >= WELL_USED;
}

/* --- what happens between accesses ------------------------------------------------------------ */

static void exits(struct player *p, unsigned lane, unsigned n)
{
	while (n--) {
		if (!p->lane[lane].tags)
			mmu_flush(&p->mmu[lane]);
		mmu_pollute(&p->mmu[lane], EXIT_LINES);
	}
}

static void shadow_exits(struct player *p, unsigned n)
{
	for (unsigned i = 0; i < p->lanes; i++)
		if (p->lane[i].mode == MMU_SHADOW)
			exits(p, i, n);
}

static unsigned table_exits(u64 pages)
{
	return EXITS_PER_TABLE * (1 + (unsigned)(pages / REGION_PAGES));
}

static void guest_flush(struct player *p)
{
	for (unsigned i = 0; i < p->lanes; i++)
		mmu_flush(&p->mmu[i]);
}

static void fault(struct player *p, u64 at, u64 gpa)
{
	bool large = large_at(p, at);

	p->w->events.faults++;
	p->w->large_faults += large ? 1.0 / REGION_PAGES : 1;
	for (unsigned i = 0; i < p->lanes; i++) {
		mmu_lines(&p->mmu[i], gpa, PAGE_SIZE / 64);
		if (p->lane[i].mode == MMU_SHADOW && !(large && p->lane[i].large))
			exits(p, i, p->lane[i].fault_exits);
	}
}

static void drop(struct player *p, u64 at, u64 pages)
{
	u64 key = (u64)p->space << (47 - PAGE_SHIFT) | at >> PAGE_SHIFT;
	u64 n = memory_drop(&p->memory, key, pages);

	p->w->events.drops++;
	p->w->events.dropped += n;
	shadow_exits(p, table_exits(n));
	if (pages > FLUSH_ABOVE) {
		guest_flush(p);
		shadow_exits(p, 1);
		p->w->events.switches++; /* by a write to CR3 */
		return;
	}
	p->w->events.invlpgs += pages;
	shadow_exits(p, (unsigned)pages);
	for (u64 k = 0; k < pages; k++)
		for (unsigned i = 0; i < p->lanes; i++)
			mmu_flush_page(&p->mmu[i], (key + k) << PAGE_SHIFT);
}

/* A process that appears before any has come or gone was there, and its shadow too. */
static void switch_to(struct player *p, u32 process)
{
	bool fresh;

	p->process = process;
	p->space = memory_space(&p->memory, process, &fresh);
	if (fresh)
		p->young &= ~(u32)BIT(p->space);
	if (fresh && p->births)
		p->young |= (u32)BIT(p->space);
	p->w->events.switches++;
	guest_flush(p);
	shadow_exits(p, 1);
}

static void fork_tables(struct player *p, u64 pages)
{
	p->births = true;
	p->w->events.forks++;
	p->w->events.forked += pages;
	guest_flush(p);
	shadow_exits(p, table_exits(pages));
}

static void end_space(struct player *p)
{
	p->births = true;
	p->w->events.ends++;
	shadow_exits(p, table_exits(memory_forget(&p->memory, p->space)));
	p->process = 0;
}

static void pass_time(struct player *p, u64 instructions)
{
	u64 which;

	p->now += instructions;
	which = p->now * REPLAY_WINDOWS / MAX(p->total, 1);
	p->w = &p->out->window[MIN(which, REPLAY_WINDOWS - 1)];
	p->w->events.instructions += instructions;
	if (p->now < p->timer)
		return;
	p->timer = p->now + TIMER;
	for (unsigned i = 0; i < p->lanes; i++)
		exits(p, i, 1);
}

/* --- accesses --------------------------------------------------------------------------------- */

static void lane_touch(struct player *p, unsigned i, const struct mmu_touch *t)
{
	struct replay_walks *c = &p->w->lane[i];
	struct mmu *m = &p->mmu[i];

	mmu_touch(m, t);
	c->misses += m->misses;
	c->references += m->references;
	c->walk_cycles += m->walk_cycles;
	c->stall_cycles += m->data_cycles - m->machine->latency[0];
	mmu_forget_counts(m);
}

static void touch(struct player *p, const struct touch_event *e, u64 gpa)
{
	bool large = large_at(p, e->at);
	struct mmu_touch small = {.gva = (u64)p->space << 47 | e->at,
				  .gpa = gpa + (e->at & (PAGE_SIZE - 1)),
				  .fetch = e->kind == TOUCH_FETCH},
			 big = small;

	big.large = true;
	big.gpa = (e->at >> REGION_SHIFT) * 40503 % (4 * GIB >> REGION_SHIFT) << REGION_SHIFT |
		  (e->at & (BIT(REGION_SHIFT) - 1));
	for (unsigned i = 0; i < p->lanes; i++)
		lane_touch(p, i, large && p->lane[i].large ? &big : &small);
}

static void page_event(struct player *p, const struct touch_event *e)
{
	bool fresh;
	u32 frame = memory_frame(&p->memory,
				 (u64)p->space << (47 - PAGE_SHIFT) | e->at >> PAGE_SHIFT, &fresh);

	p->out->pages = MAX(p->out->pages, p->memory.pages);
	if (!frame) {
		p->out->why = "more pages than the model has";
		return;
	}
	if (e->kind == TOUCH_FAULT) {
		fault(p, e->at, mmu_place(frame));
		return;
	}
	/* The guest has it already; the shadow of a new address space does not. */
	if (fresh && (p->young & BIT(p->space))) {
		p->w->events.fills++;
		shadow_exits(p, 1);
	}
	touch(p, e, mmu_place(frame));
}

static void play_event(struct player *p, const struct touch_event *e)
{
	pass_time(p, e->instructions);
	if (e->process != p->process)
		switch_to(p, e->process);
	switch (e->kind) {
	case TOUCH_DROP:
		drop(p, e->at, e->pages);
		break;
	case TOUCH_PROTECT:
		fork_tables(p, e->pages);
		break;
	case TOUCH_END:
		end_space(p);
		break;
	default:
		page_event(p, e);
	}
}

/* --- files ------------------------------------------------------------------------------------ */

static void pass(struct player *p, FILE *file,
		 void (*see)(struct player *, const struct touch_event *))
{
	struct touch_reader *r = malloc(sizeof(*r));
	struct touch_event e;

	if (!r) {
		p->out->why = "no memory";
		return;
	}
	touch_open(r, file);
	memory_start(&p->memory);
	while (!p->out->why && touch_next(r, &e))
		see(p, &e);
	memory_end(&p->memory);
	if (r->why)
		p->out->why = r->why;
	free(r);
}

static void play(struct player *p, FILE *file)
{
	p->w = p->out->window;
	for (unsigned i = 0; i < p->lanes; i++)
		mmu_start(&p->mmu[i], p->lane[i].machine, p->lane[i].mode);
	pass(p, file, play_event);
	for (unsigned i = 0; i < p->lanes; i++)
		mmu_end(&p->mmu[i]);
}

void replay_file(struct replay *out, const char *path, const struct replay_lane *lanes, unsigned n)
{
	struct player *p = calloc(1, sizeof(*p));
	FILE *file = fopen(path, "rb");

	memset(out, 0, sizeof(*out));
	out->n = n;
	if (!p || !file) {
		out->why = "cannot be opened";
	} else {
		p->out = out;
		p->lane = lanes;
		p->lanes = MIN(n, REPLAY_LANES);
		pass(p, file, survey_event);
		rewind(file);
		if (!out->why)
			play(p, file);
		if (!out->why && p->total < REPLAY_WINDOWS)
			out->why = "no instructions in it";
	}
	if (file)
		fclose(file);
	free(p);
}

/* --- phases ----------------------------------------------------------------------------------- */

static double kernel_cycles(const struct replay_events *e)
{
	return CYCLES_FAULT * (double)e->faults + CYCLES_DROP * (double)e->drops +
	       CYCLES_DROPPED * (double)e->dropped + CYCLES_FORK * (double)e->forks +
	       CYCLES_FORKED * (double)e->forked + CYCLES_END * (double)e->ends +
	       CYCLES_SWITCH * (double)e->switches;
}

double replay_base(const struct replay_window *w, unsigned l, const struct replay_overlap *o)
{
	return CPI * (double)w->events.instructions + kernel_cycles(&w->events) +
	       o->data * (double)w->lane[l].stall_cycles + 1;
}

/* Seconds of exits that are neither page faults nor counted ones of writes to CR3 and INVLPG. */
static double other_exits(const struct replay_events *e, const struct sim_costs *c)
{
	double tables = (double)(e->drops + e->forks + e->ends) +
			(double)(e->dropped + e->forked) / REGION_PAGES;

	return c->exit * ((double)e->fills + EXITS_PER_TABLE * tables) +
	       CYCLES_PROTECT * (double)e->forked / HZ;
}

struct sim_phase replay_phase(const struct replay *r, const struct replay_window *w,
			      unsigned shadow, unsigned nested, const struct replay_overlap *o,
			      const struct sim_costs *c)
{
	const struct replay_walks *s = &w->lane[shadow], *n = &w->lane[nested];
	double seconds = replay_base(w, nested, o) / HZ;
	double walks = o->walk * (double)s->walk_cycles, more = o->walk * (double)n->walk_cycles;
	double stalls = o->data * ((double)s->stall_cycles - (double)n->stall_cycles);
	struct sim_phase ph = {
		.pf = (double)w->events.faults / seconds,
		.miss = MAX((double)s->misses, 1) / seconds,
		.nested_miss = MAX((double)n->misses, 1) / seconds,
		.pages = (double)r->pages,
		.rho = walks > 0 && more > 0 ? walks / more : 1,
		.walk = MAX(walks, 1) / MAX((double)s->misses, 1) / HZ,
		.cr3 = (double)w->events.switches / seconds,
		.invlpg = (double)w->events.invlpgs / seconds,
	};

	ph.exits = MAX(stalls / HZ + other_exits(&w->events, c), 0) / seconds;
	return ph;
}
