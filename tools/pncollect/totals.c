/* Totals of trace entries; see totals.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "totals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_PORTS 16u

/* --- taking in -------------------------------------------------------------------------------- */

void totals_names(struct totals *t, struct span reasons, struct span guests)
{
	struct span key, value;
	struct json_walk w = json_walk(reasons);

	for (unsigned i = 0; i < TRACE_REASONS && json_next(&w, &key, &value); i++)
		json_text(value, t->reason[i], sizeof(t->reason[i]));
	w = json_walk(guests);
	for (unsigned i = 0; i < TRACE_GUESTS && json_next(&w, &key, &value); i++)
		json_text(value, t->guest[i].name, sizeof(t->guest[i].name));
}

/* The slot of a guest's port; NULL when the table is full. */
static struct totals_port *port_slot(struct totals *t, u8 guest, u16 port)
{
	unsigned at = (port * 8u + guest) * 2654435761u >> 22;

	for (unsigned i = 0; i < TOTALS_PORTS; i++) {
		struct totals_port *p = &t->port[(at + i) % TOTALS_PORTS];

		if (!p->used)
			*p = (struct totals_port){.used = true, .guest = guest, .port = port};
		if (p->guest == guest && p->port == port)
			return p;
	}
	return NULL;
}

static void add_port(struct totals *t, const struct trace_entry *e)
{
	struct totals_port *p = port_slot(t, e->guest, TRACE_IO_PORT(e->detail));
	unsigned in = !!(e->detail & TRACE_IO_IN), bucket = 0;

	if (!p)
		return;
	for (u64 limit = 50000; e->cycles >= limit && bucket < TOTALS_BUCKETS - 1; limit *= 10)
		bucket++;
	p->way[in].n++;
	p->way[in].cycles += e->cycles;
	p->bucket[in][bucket]++;
}

void totals_entry(struct totals *t, const struct trace_entry *e)
{
	struct totals_guest *g = &t->guest[e->guest % TRACE_GUESTS];
	unsigned reason = TRACE_REASON(e->reason);

	t->entries++;
	g->reason[reason].n++;
	g->reason[reason].cycles += e->cycles;
	if (!g->first_tsc || e->tsc < g->first_tsc)
		g->first_tsc = e->tsc;
	if (e->tsc > g->last_tsc)
		g->last_tsc = e->tsc;
	if (!strcmp(t->reason[reason], "io"))
		add_port(t, e);
}

static struct totals_guest *find_guest(struct totals *t, const char *name)
{
	for (unsigned i = 0; i < TRACE_GUESTS; i++)
		if (name[0] && !strcmp(t->guest[i].name, name))
			return &t->guest[i];
	return NULL;
}

/* Members of @exits by reason; the first number of each. */
static void take_counts(const struct totals *t, u64 *to, struct span exits)
{
	struct json_walk w = json_walk(exits);
	struct span key, value;

	memset(to, 0, TRACE_REASONS * sizeof(*to));
	while (json_next(&w, &key, &value)) {
		struct json_walk pair = json_walk(value);
		struct span none, count = value;

		if (*value.p == '[' && !json_next(&pair, &none, &count))
			continue;
		for (unsigned i = 0; i < TRACE_REASONS; i++)
			if (key.len && strlen(t->reason[i]) == key.len &&
			    !memcmp(t->reason[i], key.p, key.len))
				json_u64(count, &to[i]);
	}
}

void totals_stats(struct totals *t, const char *guest, struct span exits)
{
	struct totals_guest *g = find_guest(t, guest);

	if (g)
		take_counts(t, g->stats_seen, exits);
}

void totals_counts(struct totals *t, const char *guest, struct span exits)
{
	struct totals_guest *g = find_guest(t, guest);

	if (!g)
		return;
	take_counts(t, g->counts, exits);
	memcpy(g->stats, g->stats_seen, sizeof(g->stats));
	g->has_counts = true;
}

/* --- printing --------------------------------------------------------------------------------- */

static double share(u64 part, u64 whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static u64 mean(const struct totals_cost *c)
{
	return c->n ? c->cycles / c->n : 0;
}

static struct totals_cost sum_of(const struct totals_guest *g)
{
	struct totals_cost sum = {0, 0};

	for (unsigned i = 0; i < TRACE_REASONS; i++) {
		sum.n += g->reason[i].n;
		sum.cycles += g->reason[i].cycles;
	}
	return sum;
}

/* What the hypervisor counted, beside the entries that are here. */
static bool print_reasons(const struct totals *t, const struct totals_guest *g)
{
	struct totals_cost sum = sum_of(g);
	bool fine = true;

	printf("\n%s: %" PRIu64 " entries\n%-12s %10s %8s %12s %8s %10s %10s\n", g->name, sum.n,
	       "reason", "entries", "%", "mean cycles", "% time", "counted", "stats");
	for (unsigned i = 0; i < TRACE_REASONS; i++) {
		const struct totals_cost *c = &g->reason[i];
		bool differs = g->has_counts && g->counts[i] != g->stats[i];

		if (!c->n && !g->counts[i] && !g->stats[i])
			continue;
		printf("%-12s %10" PRIu64 " %8.2f %12" PRIu64 " %8.2f %10" PRIu64 " %10" PRIu64
		       "%s\n",
		       t->reason[i], c->n, share(c->n, sum.n), mean(c),
		       share(c->cycles, sum.cycles), g->counts[i], g->stats[i],
		       differs ? "  differs" : "");
		fine = fine && !differs;
	}
	return fine;
}

/* The costliest port that is cheaper than @below, or as cheap and later in the table. */
static const struct totals_port *next_port(const struct totals *t, unsigned guest,
					   const struct totals_port *below)
{
	const struct totals_port *best = NULL;
	u64 best_cycles = 0, limit = UINT64_MAX;

	if (below)
		limit = below->way[0].cycles + below->way[1].cycles;
	for (unsigned i = 0; i < TOTALS_PORTS; i++) {
		const struct totals_port *p = &t->port[i];
		u64 cycles = p->way[0].cycles + p->way[1].cycles;

		if (!p->used || p->guest != guest || cycles > limit ||
		    (below && cycles == limit && p <= below))
			continue;
		if (!best || cycles > best_cycles) {
			best = p;
			best_cycles = cycles;
		}
	}
	return best;
}

static void print_port(const struct totals_port *p, const struct totals_cost *all, double ms)
{
	for (unsigned in = 0; in < 2; in++) {
		const struct totals_cost *c = &p->way[in];

		if (!c->n)
			continue;
		printf("0x%04x %-5s %10" PRIu64 " %8.2f %12" PRIu64 " %8.2f %9.2f", p->port,
		       in ? "read" : "write", c->n, share(c->n, all->n), mean(c),
		       share(c->cycles, all->cycles), ms > 0 ? (double)c->n / ms : 0);
		for (unsigned b = 0; b < TOTALS_BUCKETS; b++)
			printf(" %8.2f", share(p->bucket[in][b], c->n));
		printf("\n");
	}
}

static void print_ports(const struct totals *t, unsigned guest)
{
	const struct totals_guest *g = &t->guest[guest];
	const struct totals_port *p = next_port(t, guest, NULL);
	struct totals_cost all = {0, 0};
	double ms = t->tsc_khz ? (double)(g->last_tsc - g->first_tsc) / (double)t->tsc_khz : 0;

	if (!p)
		return;
	for (unsigned i = 0; i < TRACE_REASONS; i++)
		if (!strcmp(t->reason[i], "io"))
			all = g->reason[i];
	printf("\n%s: I/O ports, the costliest %u\n%-12s %10s %8s %12s %8s %9s %8s %8s %8s %8s\n",
	       g->name, SHOWN_PORTS, "port", "entries", "%", "mean cycles", "% time", "per ms",
	       "<50K", "<500K", "<5M", "more");
	for (unsigned i = 0; i < SHOWN_PORTS && p; i++) {
		print_port(p, &all, ms);
		p = next_port(t, guest, p);
	}
}

/* With every entry here, they are what the hypervisor counted up to the last of them at least. */
static bool complete_fits(const struct totals *t, const struct totals_guest *g)
{
	if (t->missing || !t->from_start || !g->has_counts)
		return true;
	for (unsigned i = 0; i < TRACE_REASONS; i++)
		if (g->reason[i].n < g->counts[i]) {
			printf("%s: %s has fewer entries than were counted, and none is missing\n",
			       g->name, t->reason[i]);
			return false;
		}
	return true;
}

bool totals_print(const struct totals *t)
{
	bool fine = true;

	printf("\n%" PRIu64 " entries, %" PRIu64 " missing between them%s\n", t->entries,
	       t->missing, t->from_start ? "" : "; earlier ones are not here");
	for (unsigned i = 0; i < TRACE_GUESTS; i++) {
		const struct totals_guest *g = &t->guest[i];

		if (!sum_of(g).n && !g->has_counts)
			continue;
		fine = print_reasons(t, g) && fine;
		print_ports(t, i);
		fine = complete_fits(t, g) && fine;
	}
	return fine;
}
