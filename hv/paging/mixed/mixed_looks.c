/* Looks at what one address space uses: see mixed_looks.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/cpuops.h"
#include "paging/mixed/mixed_int.h"
#include "paging/shadow/shadow_ops.h"

#define WANTED	   16u	      /* regions or tables are looked at, where there are */
#define COST_SHARE 1000u      /* looks take one part of so many of the vCPU's time */
#define WORTH_NS   1000000ull /* a space that has run less since its last look needs none */

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
	l->small_ppm = l->shadow ? 1000000 : l->setup.small_ppm(v->mixed->setup.ctx);
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

void mixed_look_tick(struct vcpu *v)
{
	struct mixed *m = v->mixed;
	struct mixed_looks *l = &m->looks;
	u64 most = l->setup.khz * WORTH_NS / NSEC_PER_MSEC;

	if (!l->setup.timer || l->at || mixed_run_cycles(v) < l->may)
		return;
	l->next = NULL;
	for (unsigned i = 0; i < ARRAY_SIZE(m->space); i++) {
		struct mixed_space *a = &m->space[i];

		if (!a->used || a->unlooked < most)
			continue;
		most = a->unlooked;
		l->next = a;
	}
	mixed_look_begin(v);
}
