/* Replaying: see replay.h. Integers throughout: what two machines print can be compared with cmp.
 *
 * SPDX-License-Identifier: MIT
 */
#include "replay.h"

#include <inttypes.h>
#include <string.h>

#include "lib/crc32.h"
#include "paging/adaptive/fixed.h"
#include "paging/adaptive/guard.h"

/* --- output ----------------------------------------------------------------------------------- */

struct totals {
	u64 ns, in_ns[POLICY_MODES];
	u64 switches, differs;
	u64 cycles, switch_cycles; /* paging's, what-if only */
	u32 crc;		   /* of all decisions */
};

static void print_decision(FILE *out, const char *policy, const struct ptrace_tick *at,
			   const struct policy_sample *x, const struct policy_decision *d)
{
	fprintf(out,
		"{\"policy\":\"%s\",\"line\":%u,\"from\":\"%s\",\"to\":\"%s\",\"reason\":\"%s\","
		"\"probe\":%d,\"alarm\":%d,\"own\":%" PRIu64 ",\"other\":%" PRIu64
		",\"regret\":%" PRIu64 ",\"switch_cost\":%" PRIu64 ",\"gain_ppm\":%" PRId64 "}\n",
		policy, at->line, policy_mode_name[x->mode], policy_mode_name[d->mode],
		policy_reason_name[d->reason], d->probe, d->alarm, d->own, d->other, d->regret,
		d->switch_cost, d->gain_ppm);
}

static u64 in_ms(u64 ns)
{
	return ns / NSEC_PER_MSEC;
}

static void print_totals(FILE *out, const char *policy, const struct ptrace *t,
			 const struct totals *sum, bool what_if)
{
	fprintf(out,
		"{\"policy\":\"%s\",\"total\":1,\"ticks\":%zu,\"ms\":%" PRIu64
		",\"nested_ms\":%" PRIu64 ",\"shadow_ms\":%" PRIu64 ",\"switches\":%" PRIu64,
		policy, t->n, in_ms(sum->ns), in_ms(sum->in_ns[POLICY_NESTED]),
		in_ms(sum->in_ns[POLICY_SHADOW]), sum->switches);
	if (what_if)
		fprintf(out, ",\"paging_cycles\":%" PRIu64 ",\"switch_cycles\":%" PRIu64,
			sum->cycles, sum->switch_cycles);
	else
		fprintf(out, ",\"differs\":%" PRIu64, sum->differs);
	fprintf(out, ",\"decisions\":\"%08" PRIx32 "\"}\n", sum->crc);
}

static void account(struct totals *sum, const struct policy_sample *x,
		    const struct policy_decision *d)
{
	sum->crc = policy_decision_crc(sum->crc, d);
	sum->ns = sat_add(sum->ns, x->ns);
	sum->in_ns[x->mode] = sat_add(sum->in_ns[x->mode], x->ns);
	sum->switches += d->mode != x->mode;
}

static bool worth_a_line(enum replay_detail detail, const struct policy_sample *x,
			 const struct policy_decision *d)
{
	return detail == DETAIL_TICKS || (detail == DETAIL_DECISIONS &&
					  (d->mode != x->mode || d->alarm ||
					   d->reason == REASON_KEEP || d->reason == REASON_VOID));
}

/* --- as recorded ------------------------------------------------------------------------------ */

u64 replay_recorded(const struct ptrace *t, const struct policy_ops *ops,
		    const struct policy_params *params, enum replay_detail detail, FILE *out)
{
	struct totals sum = {0};
	struct policy p;

	policy_init(&p, ops, params, t->tick[0].sample.mode);
	for (size_t i = 0; i < t->n; i++) {
		const struct policy_sample *x = &t->tick[i].sample;
		struct policy_decision d = policy_tick(&p, x);

		account(&sum, x, &d);
		sum.differs += i + 1 < t->n && t->tick[i + 1].sample.mode != d.mode;
		if (worth_a_line(detail, x, &d))
			print_decision(out, ops->name, &t->tick[i], x, &d);
	}
	print_totals(out, ops->name, t, &sum, false);
	return sum.differs;
}

/* --- what if ---------------------------------------------------------------------------------- */

/* A tick's cycles for paging, walks and exits apart. */
struct price {
	u64 walk, exits;
};

static struct price price_of(const struct policy_sample *x, const struct policy_params *p,
			     enum policy_mode mode)
{
	u64 walk = measure_or_0(&x->walk_cycles), exits = 0;

	if (mode == x->mode)
		return (struct price){walk,
				      mode == POLICY_SHADOW ? measure_or_0(&x->shadow_cycles) : 0};
	if (mode == POLICY_NESTED)
		return (struct price){mul_div(walk, 1000, p->rho), 0};
	exits = sat_add(exits, sat_mul(measure_or_0(&x->faults), p->c_pf));
	exits = sat_add(exits, sat_mul(measure_or_0(&x->cr3_writes), p->c_cr3));
	exits = sat_add(exits, sat_mul(measure_or_0(&x->invlpgs), p->c_invlpg));
	exits = sat_add(exits, sat_mul(measure_or_0(&x->table_writes), p->c_ptw));
	return (struct price){mul_div(walk, p->rho, 1000), exits};
}

static u64 whole(struct price price)
{
	return sat_add(price.walk, price.exits);
}

static u64 switch_price(const struct policy_sample *x, const struct policy_params *p,
			enum policy_mode to)
{
	return to == POLICY_NESTED
		       ? p->k_sh
		       : sat_add(p->k_hs, mul_div(measure_or_0(&x->leaves), p->k_leaf, 1000));
}

/* The tick as it would have looked in @mode: the same work, in more or less time. */
static struct policy_sample lived_in(const struct policy_sample *x, const struct policy_params *p,
				     enum policy_mode mode, u64 switched)
{
	struct price was = price_of(x, p, x->mode), is = price_of(x, p, mode);
	struct policy_sample y = *x;
	u64 busy = ns_to_cycles(p, x->ns);

	y.mode = mode;
	y.unhalted = sat_add(sat_sub(x->unhalted, was.walk), is.walk);
	busy = sat_add(sat_add(sat_sub(busy, whole(was)), whole(is)), switched);
	y.ns = MAX(mul_div(busy, NSEC_PER_MSEC, p->khz), 1);
	y.walk_cycles.value = is.walk;
	y.shadow_cycles = (struct policy_measure){is.exits, 100};
	y.switch_cycles = (struct policy_measure){switched, switched ? 100 : 0};
	return y;
}

void replay_what_if(const struct ptrace *t, const struct policy_ops *ops,
		    const struct policy_params *params, enum replay_detail detail, FILE *out)
{
	enum policy_mode mode = t->tick[0].sample.mode;
	struct totals sum = {0};
	u64 switched = 0;
	struct policy p;

	policy_init(&p, ops, params, mode);
	for (size_t i = 0; i < t->n; i++) {
		struct policy_sample x = lived_in(&t->tick[i].sample, params, mode, switched);
		struct policy_decision d = policy_tick(&p, &x);

		account(&sum, &x, &d);
		sum.cycles = sat_add(sum.cycles, whole(price_of(&t->tick[i].sample, params, mode)));
		if (worth_a_line(detail, &x, &d))
			print_decision(out, ops->name, &t->tick[i], &x, &d);
		switched = d.mode == mode ? 0 : switch_price(&t->tick[i].sample, params, d.mode);
		sum.switch_cycles = sat_add(sum.switch_cycles, switched);
		mode = d.mode;
	}
	sum.cycles = sat_add(sum.cycles, sum.switch_cycles);
	print_totals(out, ops->name, t, &sum, true);
}

void replay_static(const struct ptrace *t, enum policy_mode mode,
		   const struct policy_params *params, FILE *out)
{
	struct policy_decision none = {.mode = mode};
	struct totals sum = {0};

	for (size_t i = 0; i < t->n; i++) {
		struct policy_sample x = lived_in(&t->tick[i].sample, params, mode, 0);

		account(&sum, &x, &none);
		sum.cycles = sat_add(sum.cycles, whole(price_of(&t->tick[i].sample, params, mode)));
	}
	print_totals(out, policy_mode_name[mode], t, &sum, true);
}

/* Two states, forward; the first tick's mode is the one recorded. */
void replay_optimum(const struct ptrace *t, const struct policy_params *params, FILE *out)
{
	struct totals best[POLICY_MODES] = {{0}};
	enum policy_mode first = t->tick[0].sample.mode;

	best[!first].cycles = UINT64_MAX;
	for (size_t i = 0; i < t->n; i++) {
		const struct policy_sample *x = &t->tick[i].sample;
		struct totals was[POLICY_MODES];

		memcpy(was, best, sizeof(was));
		for (unsigned m = 0; m < POLICY_MODES; m++) {
			u64 k = switch_price(x, params, (enum policy_mode)m);
			struct policy_decision stay = {.mode = (enum policy_mode)m};
			struct policy_sample y = lived_in(x, params, stay.mode, 0);

			if (i && sat_add(was[!m].cycles, k) < was[m].cycles) {
				best[m] = was[!m];
				best[m].cycles = sat_add(best[m].cycles, k);
				best[m].switch_cycles += k;
				best[m].switches++;
			}
			account(&best[m], &y, &stay);
			best[m].cycles =
				sat_add(best[m].cycles, whole(price_of(x, params, stay.mode)));
		}
	}
	print_totals(out, "optimum", t, &best[best[1].cycles < best[0].cycles], true);
}
