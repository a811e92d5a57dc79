/* Looks at accessed bits: see estimate_look.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/estimate_look.h"
#include "core/calibrate.h"
#include "core/hv.h"
#include "core/own_time.h"
#include "core/partition.h"
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "paging/adaptive/fixed.h"

#define LOOK_SHARE   16u /* one of so many regions or tables is looked at, */
#define SAMPLE_ROUGH 16u /* but so many where there are, */
#define SAMPLE_SURE  8u	 /* or these where the last rounds agreed */
#define SURE	     80u /* percent */
#define RAN_SHARE    4u	 /* of the time of a look the guest must have run one part of so many */
#define MARKED_NS    2000000u
#define HURRY	     4u
#define SPARE_TICKS  16u      /* between rounds, where they decide nothing */
#define SURE_TICKS   4u	      /* likewise, where the last ones agreed */
#define SLACK_FROM   2000000u /* ns: longer looks may wait for somebody else's interrupt, */
#define SLACK	     2u	    /* one part of so many; pages are put to the time that the guest ran */
#define WALK_UNKNOWN 60000u /* thousandths of a cycle */
#define WALK_PAGES   4096u

/* What the CPU holds of the leaves goes before the guest runs again. */
static void forget(struct vcpu *v)
{
	for (unsigned tag = 0; tag < VCPU_TAGS; tag++)
		v->engine->flush_tag(v, tag);
}

/* --- a round ---------------------------------------------------------------------------------- */

static void set_look(struct partition *p, u64 ns)
{
	struct looks *l = &p->looks;

	l->timer.slack_ns = ns > SLACK_FROM ? ns / SLACK : 0;
	own_timer_set(p, &l->timer, l->cleared_ns + ns);
}

static void cleared(struct partition *p)
{
	forget(&p->vcpu);
	p->looks.cleared_ns = own_time_ns(p);
	p->looks.cleared_guest = vcpu_guest_cycles(&p->vcpu);
}

static bool sure(const struct looks *l)
{
	return coverage_pages(&l->pooled[COVERAGE_LOOKS - 1]).confidence >= SURE;
}

static unsigned wanted(const struct looks *l)
{
	unsigned least = sure(l) ? SAMPLE_SURE : SAMPLE_ROUGH;

	return MAX(l->pooled[COVERAGE_LOOKS - 1].of / LOOK_SHARE, least);
}

static bool clear_nested(struct partition *p)
{
	struct looks *l = &p->looks;

	return nested_sample_begin(&p->nested, &l->sample, wanted(l), &l->random) != 0;
}

static bool clear_shadow(struct partition *p)
{
	struct shadow_paging *s = p->vcpu.shadow;
	struct looks *l = &p->looks;

	return s->running == SHADOW_TABLES &&
	       shadow_touched_begin(s->tables, &l->touched, wanted(l), &l->random) != 0;
}

/* Choose and clear. */
static void begin_round(struct partition *p)
{
	struct looks *l = &p->looks;

	l->looked = 0;
	l->state = LOOKS_REST;
	if (!(l->in_shadow ? clear_shadow(p) : clear_nested(p)))
		return;
	l->state = LOOKS_ROUND;
	cleared(p);
	set_look(p, coverage_look_ns[0]);
}

/* The regions that the guest uses are not known yet. */
static void begin_marking(struct partition *p)
{
	struct looks *l = &p->looks;

	if (!nested_sample_possible(&p->nested))
		return;
	nested_sample_mark(&p->nested, &l->sample);
	l->state = LOOKS_MARKED;
	cleared(p);
	set_look(p, MARKED_NS);
}

static void begin(struct partition *p)
{
	struct looks *l = &p->looks;

	l->in_shadow = p->vcpu.paging == &paging_shadow;
	if (l->in_shadow || l->sample.marked)
		begin_round(p);
	else if (p->vcpu.paging == &paging_nested)
		begin_marking(p);
}

/* Nested tables as they were; from now on they tell what is used until the next round. */
static void end(struct partition *p)
{
	struct looks *l = &p->looks;

	if (l->state == LOOKS_ROUND && !l->in_shadow) {
		nested_sample_end(&p->nested, &l->sample);
		nested_sample_mark(&p->nested, &l->sample);
		forget(&p->vcpu);
	}
	l->state = LOOKS_REST;
	own_timer_set(p, &l->timer, TIMER_OFF);
}

/* --- looks ------------------------------------------------------------------------------------ */

static void look_at_nested(struct partition *p, struct coverage_look *c)
{
	const struct nested_sample *s = &p->looks.sample;

	c->touched = nested_sample_count(&p->nested, s, &c->squares);
	c->regions = s->n;
	c->of = (u32)s->of;
}

static void look_at_shadow(struct partition *p, struct coverage_look *c)
{
	const struct shadow_touched *t = &p->looks.touched;

	c->touched = shadow_touched_count(p->vcpu.shadow->tables, t, &c->squares);
	c->regions = t->n;
	c->of = t->of;
}

/* A guest that hardly ran has touched little, whatever it does else. */
static bool ran_enough(const struct coverage_look *c, unsigned look)
{
	u64 all = mul_div(coverage_look_ns[look], hv_policy_params()->khz, NSEC_PER_MSEC);

	return c->ran >= all / RAN_SHARE;
}

static void look(struct partition *p)
{
	struct looks *l = &p->looks;
	struct coverage_look c = {.ran = vcpu_guest_cycles(&p->vcpu) - l->cleared_guest};

	if (l->in_shadow)
		look_at_shadow(p, &c);
	else
		look_at_nested(p, &c);
	if (ran_enough(&c, l->looked)) {
		coverage_pool(&l->pooled[l->looked], &c);
		l->fresh = true;
	}
	if (++l->looked < COVERAGE_LOOKS) {
		set_look(p, coverage_look_ns[l->looked]);
		return;
	}
	l->rounds++;
	l->pages += coverage_pages(&c).value;
	end(p);
}

/* --- what it costs ---------------------------------------------------------------------------- */

/* What was done since @start; all of a round is charged at its end. */
static void charge(struct looks *l, u64 start)
{
	u64 cycles = rdtsc() - start;

	l->cycles += cycles;
	l->round += cycles;
	if (l->state != LOOKS_REST || !l->round)
		return;
	l->cycles += l->flush;
	allowance_spend(&l->allowance, l->round + l->flush);
	l->round = 0;
}

static void look_due(void *arg, u64 now_ns)
{
	struct partition *p = arg;
	u64 start = rdtsc();

	(void)now_ns;
	estimate_note(p);
	if (p->looks.state == LOOKS_MARKED)
		begin_round(p);
	else
		look(p);
	charge(&p->looks, start);
}

/* A round flushes twice, and half of what a TLB of @reach entries holds is missed afterwards. */
static u64 flush_cycles(u64 reach)
{
	const struct calibration *c = hv_calibration();
	u64 walk = c->done ? calibration_walk(c, POLICY_NESTED, WALK_PAGES) : WALK_UNKNOWN;

	return mul_div(reach, walk, 1000);
}

/* --- begin and end ---------------------------------------------------------------------------- */

hpa_t looks_memory(struct partition *p)
{
	struct nested_sample *s = &p->looks.sample;

	if (!s->memory)
		s->memory = frames_alloc(NESTED_SAMPLE_PAGES, 1, OWNER_HYPERVISOR);
	return s->memory;
}

void looks_start(struct partition *p, u64 ppm, u64 reach)
{
	struct looks *l = &p->looks;
	hpa_t memory = looks_memory(p);

	*l = (struct looks){.timer = {.fire = look_due, .arg = p},
			    .sample = {.memory = memory},
			    .random = rdtsc(),
			    .flush = flush_cycles(reach)};
	allowance_init(&l->allowance, ppm, own_time_tsc(p));
}

void looks_stop(struct partition *p)
{
	end(p);
}

void looks_free(struct partition *p)
{
	struct nested_sample *s = &p->looks.sample;

	if (s->memory)
		frames_free(s->memory, NESTED_SAMPLE_PAGES, OWNER_HYPERVISOR);
	s->memory = 0;
}

void looks_mode_ends(struct partition *p)
{
	end(p);
}

void looks_hurry(struct partition *p)
{
	memset(p->looks.pooled, 0, sizeof(p->looks.pooled));
	p->looks.hurry = HURRY;
}

void looks_mode(struct partition *p)
{
	p->looks.sample.marked = false;
	looks_hurry(p);
	looks_tick(p, false);
}

/* Ticks from one round to the next, as far as anybody has a use for it. */
static unsigned ticks_apart(const struct looks *l, bool spare)
{
	if (spare)
		return SPARE_TICKS;
	return l->allowance.ppm && !l->hurry && sure(l) ? SURE_TICKS : 1;
}

void looks_tick(struct partition *p, bool spare)
{
	struct looks *l = &p->looks;
	u64 start = rdtsc();

	if (l->state != LOOKS_REST || ++l->spared < ticks_apart(l, spare))
		return;
	if (!allowance_allows(&l->allowance, own_time_tsc(p), l->hurry))
		return;
	l->spared = 0;
	if (l->hurry)
		l->hurry--;
	begin(p);
	charge(l, start);
}

bool looks_fresh(struct partition *p)
{
	bool fresh = p->looks.fresh;

	p->looks.fresh = false;
	return fresh;
}
