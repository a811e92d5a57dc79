/* The address spaces of a guest that has them in modes of their own: which there are, what each
 * has cost, and the policy's answers.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/str.h"
#include "lib/x86.h"
#include "mem/p2m.h"
#include "paging/adaptive/fixed.h"
#include "paging/mixed/mixed_int.h"
#include "paging/nested/nested_map.h"
#include "paging/shadow/shadow_ops.h"

#define USER_LONG 256u /* entries of the top table that are a process's */
#define USER_32	  768u /* with the kernel in the last gigabyte, as is usual */
#define USER_PAE  3u

#define MANY_FAULTS  100u /* within 10 % or so */
#define RATE_ONE     BIT(32)
#define LATELY_TICKS 8u
#define FAULT_CYCLES 2000u /* to hear of one, where nobody measured that */
#define FAULT_REST   1000u /* times that long nothing is heard of then */

u64 mixed_root(const struct vcpu_code *c, u64 cr3)
{
	if (c->efer & EFER_LMA)
		return cr3 & PTE_ADDR;
	return cr3 & (c->cr4 & CR4_PAE ? 0xffffffe0u : 0xfffff000u);
}

/* --- whose frame is it? ----------------------------------------------------------------------- */

struct top {
	const u8 *table;
	unsigned entries, size;
};

static bool top_of(const struct vcpu *v, u64 root, struct top *t)
{
	struct vcpu_code c;

	v->engine->get_code(v, &c);
	t->table = p2m_peek(v->nested->p2m, root);
	t->size = !(c.efer & EFER_LMA) && !(c.cr4 & CR4_PAE) ? 4 : 8;
	t->entries = c.efer & EFER_LMA ? USER_LONG : t->size == 4 ? USER_32 : USER_PAE;
	return t->table != NULL;
}

/* Address and presence: what the CPU sets in an entry does not count. */
static u64 top_entry(const struct top *t, unsigned i)
{
	u64 e = t->size == 4 ? ((const volatile u32 *)(const void *)t->table)[i]
			     : ((const volatile u64 *)(const void *)t->table)[i];

	return e & PTE_P ? e & (PTE_ADDR | PTE_P) : 0;
}

static void remember(struct mixed_space *a, const struct top *t)
{
	unsigned n = 0;

	a->mark[0] = a->mark[1] = 0;
	for (unsigned i = 0; i < t->entries && n < ARRAY_SIZE(a->mark); i++) {
		u64 e = top_entry(t, i);

		if (!e)
			continue;
		a->mark[n] = e;
		a->mark_at[n++] = (u16)i;
	}
}

/* Nothing of the user's half is where it was: the frame is another process's by now. */
static bool reused(const struct vcpu *v, struct mixed_space *a)
{
	bool gone = a->mark[0] != 0;
	struct top t;

	if (!top_of(v, a->root, &t))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(a->mark); i++)
		if (a->mark[i] && a->mark_at[i] < t.entries &&
		    top_entry(&t, a->mark_at[i]) == a->mark[i])
			gone = false;
	if (gone || !a->mark[0])
		remember(a, &t);
	return gone;
}

/* --- the table -------------------------------------------------------------------------------- */

static struct mixed_space *find(struct mixed *m, u64 root)
{
	for (unsigned i = 0; i < ARRAY_SIZE(m->space); i++)
		if (m->space[i].used && m->space[i].root == root)
			return &m->space[i];
	return NULL;
}

/* The one loaded longest ago makes room, or one that was never used. */
static struct mixed_space *make_room(struct vcpu *v, u64 root)
{
	struct mixed *m = v->mixed;
	struct mixed_space *oldest = m->current == m->space ? m->space + 1 : m->space;

	for (unsigned i = 0; i < ARRAY_SIZE(m->space) && oldest->used; i++) {
		struct mixed_space *a = &m->space[i];

		if (a != m->current && (!a->used || a->last < oldest->last))
			oldest = a;
	}
	if (m->looks.next == oldest)
		m->looks.next = NULL;
	if (oldest->held) {
		m->stats.forgotten++;
		shadow_forget(v->shadow->tables, oldest->root);
	}
	*oldest = (struct mixed_space){.root = root, .used = true, .fresh = true};
	return oldest;
}

struct mixed_space *mixed_arrive(struct vcpu *v, u64 root)
{
	struct mixed *m = v->mixed;
	struct mixed_space *a = m->current;

	if (!a || a->root != root) {
		mixed_charge(v);
		mixed_look_end(v);
		mixed_rest(m, a);
		a = find(m, root);
	}
	if (!a)
		a = make_room(v, root);
	if (reused(v, a)) {
		m->stats.reused++;
		a->fresh = true;
		a->mode = POLICY_NESTED;
		a->sum = (struct policy_sample){0};
		a->misses = (struct space_misses){.known = false};
		a->faults_known = false;
	}
	a->last = m->stats.loads;
	m->current = a;
	if (m->setup.choose)
		a->mode = m->setup.choose(m->setup.ctx, root, m->stats.loads);
	return a;
}

void mixed_reset_spaces(struct vcpu *v)
{
	for (unsigned i = 0; i < ARRAY_SIZE(v->mixed->space); i++)
		v->mixed->space[i].mode = POLICY_NESTED;
	if (v->mixed->on)
		mixed_follow(v, false);
}

/* --- what it cost ----------------------------------------------------------------------------- */

u64 mixed_run_cycles(const struct vcpu *v)
{
	return v->run_cycles + (v->run_since ? v->exit_tsc - v->run_since : 0);
}

static void add(struct policy_measure *sum, const struct policy_measure *now,
		const struct policy_measure *before, bool first)
{
	sum->value += now->value - before->value;
	sum->confidence = first ? now->confidence : MIN(sum->confidence, now->confidence);
}

static void add_totals(struct mixed *m, struct policy_sample *sum, bool first)
{
	struct mixed_totals x;

	m->setup.totals(m->setup.ctx, &x);
	add(&sum->faults, &x.faults, &m->totals.faults, first);
	add(&sum->walk_cycles, &x.walk_cycles, &m->totals.walk_cycles, first);
	add(&sum->shadow_cycles, &x.shadow_cycles, &m->totals.shadow_cycles, first);
	sum->leaves = x.leaves;
	m->totals = x;
}

static void add_faults(struct vcpu *v, struct mixed_space *a, u64 cycles)
{
	u64 now = v->watch.count[WATCH_FAULT];

	if (a && (v->watch.bits & WATCH_BIT(WATCH_FAULT))) {
		a->heard += now - v->mixed->faults;
		a->heard_now += now - v->mixed->faults;
		v->mixed->stats.heard += now - v->mixed->faults;
		a->watched += cycles;
	}
	v->mixed->faults = now;
}

/* Counts of one mode only: what was gathered in the other is dropped. */
void mixed_charge(struct vcpu *v)
{
	struct mixed *m = v->mixed;
	enum policy_mode mode = m->shadow ? POLICY_SHADOW : POLICY_NESTED;
	struct policy_sample *sum = m->current ? &m->current->sum : &m->nobodys;
	u64 now = mixed_run_cycles(v);
	bool first;

	if (sum->mode != mode)
		*sum = (struct policy_sample){.mode = mode};
	first = !sum->unhalted;
	sum->unhalted += now - m->cycles;
	if (m->current) {
		m->current->ran += now - m->cycles;
		m->current->unlooked += now - m->cycles;
		m->current->lately += now - m->cycles;
	}
	add_faults(v, m->current, now - m->cycles);
	m->cycles = now;
	if (m->setup.totals)
		add_totals(m, sum, first);
}

/* Nothing is heard of it for so long that what was took a thousandth of its time. */
void mixed_rest(const struct mixed *m, struct mixed_space *a)
{
	u64 each = sat_mul(MAX(m->setup.fault_cycles, FAULT_CYCLES), FAULT_REST);

	if (!a)
		return;
	a->hear_from = MAX(a->hear_from, sat_add(a->ran, sat_mul(a->heard_now, each)));
	a->heard_now = 0;
}

/* --- the policy ------------------------------------------------------------------------------- */

/* What was heard of in some runs stands for all of them, and for those in which nothing was to be
 * heard. */
static struct policy_measure faults_of(struct mixed_space *a)
{
	bool news = a->watched != 0;

	if (news)
		a->fault_rate = mul_div(a->heard, RATE_ONE, a->watched);
	a->faults_known |= news;
	return (struct policy_measure){.value = mul_div(a->sum.unhalted, a->fault_rate, RATE_ONE),
				       .confidence = !news		       ? 30
						     : a->heard >= MANY_FAULTS ? 90
									       : 50};
}

/* Without counters: misses as the looks tell, and what one costs. */
static void estimate_walks(const struct mixed *m, struct mixed_space *a)
{
	if (a->sum.walk_cycles.confidence || !m->setup.price)
		return;
	a->sum.walk_cycles =
		space_misses_walks(&a->misses, a->sum.unhalted,
				   m->setup.price(m->setup.ctx, a->sum.mode, a->misses.pages));
	if (a->sum.mode == POLICY_NESTED)
		a->sum.leaves = (struct policy_measure){a->misses.pages, 50};
}

static void follow(struct mixed *m, struct mixed_space *a, enum policy_mode mode)
{
	bool changed = mode != a->mode;

	a->mode = mode;
	m->stats.promoted += changed && mode == POLICY_SHADOW;
	m->stats.demoted += changed && mode == POLICY_NESTED;
	if (m->setup.judged)
		m->setup.judged(m->setup.ctx, a, &a->sum, changed);
}

static void ask(struct mixed *m, struct mixed_space *a, struct spaces *s,
		const struct policy_params *p, struct cost_model *cost)
{
	if (a->fresh)
		spaces_forget(s, a->root);
	a->fresh = false;
	if (a->sum.mode == POLICY_NESTED)
		a->sum.faults = faults_of(a);
	a->heard = a->watched = 0;
	a->sum.ns = mul_div(a->sum.unhalted, NSEC_PER_MSEC, p->khz);
	estimate_walks(m, a);
	follow(m, a, spaces_ran(s, p, cost, a->root, &a->sum));
	a->sum = (struct policy_sample){.mode = a->sum.mode};
}

/* Nested before a run in which faults were heard of: that is awaited. */
static bool ready(const struct mixed_space *a)
{
	return a->used && a->sum.unhalted &&
	       (a->sum.mode == POLICY_SHADOW || a->watched || a->faults_known);
}

/* How many are busy, and how many of those in @mode. */
static unsigned busy_in(const struct mixed *m, unsigned busy, enum policy_mode mode)
{
	unsigned n = 0;
	u64 all = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(m->space); i++)
		all += m->space[i].lately;
	for (unsigned i = 0; i < ARRAY_SIZE(m->space); i++)
		n += m->space[i].used && m->space[i].mode == mode && m->space[i].lately &&
		     m->space[i].lately >= all / busy;
	return n;
}

bool mixed_all_shadow(const struct mixed *m, unsigned busy)
{
	return busy_in(m, busy, POLICY_SHADOW) && !busy_in(m, busy, POLICY_NESTED);
}

void mixed_tick(struct vcpu *v, struct spaces *s, const struct policy_params *p,
		struct cost_model *cost)
{
	struct mixed *m = v->mixed;

	mixed_charge(v);
	for (unsigned i = 0; i < ARRAY_SIZE(m->space); i++) {
		m->space[i].lately -= m->space[i].lately / LATELY_TICKS;
		if (p->khz && ready(&m->space[i]))
			ask(m, &m->space[i], s, p, cost);
	}
	if (m->on && !m->setup.choose)
		mixed_follow(v, false);
	mixed_look_tick(v);
}
