/* Looks at what one address space uses: see mixed_looks.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/cpuops.h"
#include "paging/adaptive/fixed.h"
#include "paging/mixed/mixed_int.h"
#include "paging/shadow/shadow_ops.h"

#define WANTED	    16u		/* regions or tables are looked at, where there are */
#define COST_SHARE  1000u	/* looks take one part of so many of the vCPU's time */
#define WORTH_NS    1000000ull	/* a space that has run less since its last look needs none */
#define SMALL_LOOKS 8u		/* looks for which is true what was found out about small pages */
#define FIRST_NS    50000000ull /* and one that has run longer its first one, whatever others had */

static u64 ns_to_tsc(const struct mixed_looks *l, u64 ns)
{
	return l->setup.khz * ns / NSEC_PER_MSEC;
}

static struct mixed_looks *looks_of(const struct vcpu *v)
{
	return &v->mixed->looks;
}

/* --- what is counted -------------------------------------------------------------------------- */

static bool clear_nested(struct vcpu *v, struct mixed_looks *l)
{
	return nested_sample_possible(v->nested) &&
	       nested_sample_begin(v->nested, &l->sample, WANTED, &l->random);
}

static bool clear_shadow(struct vcpu *v, struct mixed_looks *l)
{
	return shadow_touched_begin(v->shadow->tables, &l->touched, WANTED, &l->random);
}

/* No other space has run since, so one tag is all that may know the bits as set. */
static void forget(struct vcpu *v)
{
	v->engine->flush_tag(v, v->tag);
}

static void count(struct vcpu *v, const struct mixed_looks *l, struct coverage_look *found)
{
	*found = (struct coverage_look){.ran = mixed_run_cycles(v) - l->since};
	if (l->shadow) {
		found->touched =
			shadow_touched_count(v->shadow->tables, &l->touched, &found->squares);
		found->regions = l->touched.n;
		found->of = l->touched.of;
	} else {
		found->touched = nested_sample_count(v->nested, &l->sample, &found->squares);
		found->regions = l->sample.n;
		found->of = (u32)l->sample.of;
	}
}

/* False: too little for this look. */
static bool take(struct vcpu *v, struct mixed_looks *l)
{
	struct coverage_look found;

	count(v, l, &found);
	return space_misses_add(&l->at->misses, l->shadow ? POLICY_SHADOW : POLICY_NESTED, l->done,
				&found, l->setup.khz);
}

/* --- a look ----------------------------------------------------------------------------------- */

static void close(struct vcpu *v, struct mixed_looks *l, bool news)
{
	if (l->done || news)
		space_misses_settle(&l->at->misses, l->setup.reach, l->small_ppm);
	else
		l->dropped++;
	l->rounds++;
	l->at = NULL;
	if (!l->shadow) {
		nested_sample_end(v->nested, &l->sample);
		/* The next one need only look at what has been used since. */
		nested_sample_mark(v->nested, &l->sample);
	}
	forget(v);
	l->setup.timer(v->mixed->setup.ctx, 0);
}

static void charge(struct vcpu *v, struct mixed_looks *l, u64 start)
{
	u64 cycles = rdtsc() - start;

	l->spent += cycles;
	l->cycles += cycles;
	if (!l->at)
		l->may = mixed_run_cycles(v) + l->spent * COST_SHARE;
}

/* How a space maps its memory changes seldom, and to find out takes longer than all else. */
static u64 small_ppm(struct vcpu *v, struct mixed_looks *l)
{
	struct mixed_space *a = l->next;

	if (l->shadow)
		return MILLION;
	if (a->small_looks++ % SMALL_LOOKS == 0)
		a->small_ppm = l->setup.small_ppm(v->mixed->setup.ctx);
	return a->small_ppm;
}

void mixed_look_begin(struct vcpu *v)
{
	struct mixed_looks *l = looks_of(v);
	u64 start = rdtsc();

	if (!l->next || l->next != v->mixed->current || l->at)
		return;
	l->next->unlooked = 0;
	l->shadow = v->mixed->shadow;
	l->spent = 0;
	l->done = 0;
	l->small_ppm = small_ppm(v, l);
	if (l->shadow ? clear_shadow(v, l) : clear_nested(v, l)) {
		l->at = l->next;
		forget(v);
		l->since = mixed_run_cycles(v);
		l->setup.timer(v->mixed->setup.ctx, coverage_look_ns[0]);
	}
	l->next = NULL;
	charge(v, l, start);
}

void mixed_look_due(struct vcpu *v)
{
	struct mixed_looks *l = looks_of(v);
	u64 start = rdtsc();

	if (!l->at)
		return;
	take(v, l);
	if (++l->done == COVERAGE_LOOKS)
		close(v, l, true);
	else
		l->setup.timer(v->mixed->setup.ctx,
			       coverage_look_ns[l->done] - coverage_look_ns[l->done - 1]);
	charge(v, l, start);
}

void mixed_look_end(struct vcpu *v)
{
	struct mixed_looks *l = looks_of(v);
	u64 start = rdtsc();

	if (!l->at)
		return;
	close(v, l, take(v, l));
	charge(v, l, start);
}

/* --- whose turn ------------------------------------------------------------------------------- */

/* Of those that nobody knows anything about (@unknown), or of all, the one that has run longest
 * without a look, @least cycles at least; NULL. */
static struct mixed_space *longest_without(struct mixed *m, bool unknown, u64 least)
{
	struct mixed_space *found = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(m->space); i++) {
		struct mixed_space *a = &m->space[i];

		if (!a->used || a->unlooked < least || (unknown && a->misses.known))
			continue;
		least = a->unlooked;
		found = a;
	}
	return found;
}

/* In the midst of a run the rest of it may be too short; where CR3 is loaded now and then the look
 * waits for that. */
void mixed_look_tick(struct vcpu *v)
{
	struct mixed *m = v->mixed;
	struct mixed_looks *l = &m->looks;
	bool loaded = m->stats.loads != l->loads;

	l->loads = m->stats.loads;
	if (!l->setup.timer || l->at)
		return;
	l->next = longest_without(m, true, ns_to_tsc(l, FIRST_NS));
	if (!l->next && mixed_run_cycles(v) >= l->may)
		l->next = longest_without(m, false, ns_to_tsc(l, WORTH_NS));
	if (!loaded)
		mixed_look_begin(v);
}
