/* The set-valued oracle; see oracle.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "shadow/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "lib/x86.h"
#include "shadow/world.h"

#define VERSIONS 24   /* of one entry that are looked at */
#define STEPS	 4000 /* of one search; beyond, anything may be */

static const unsigned shifts[4] = {12, 21, 22, 30};

void oracle_init(struct oracle *o)
{
	struct oracle_space *space = o->space ? o->space : calloc(ORACLE_SPACES, sizeof(*space));

	memset(o, 0, sizeof(*o));
	o->space = space;
}

void oracle_load_cr3(struct oracle *o, const struct walk_regs *g)
{
	struct oracle_space *s;

	if (o->spaces == ORACLE_SPACES)
		abort();
	s = &o->space[o->spaces++];
	s->from = world_time;
	s->invlpg = false;
	s->cr3 = g->cr3;
	if (g->pdpte)
		memcpy(s->pdpte, g->pdpte, sizeof(s->pdpte));
}

void oracle_flush_all(struct oracle *o, const struct walk_regs *g)
{
	o->spaces = 0;
	oracle_load_cr3(o, g);
}

static unsigned invlpg_slot(u64 page)
{
	return (unsigned)(page * 0x9e3779b97f4a7c15ull >> 52) % ORACLE_INVLPG;
}

/* A slot that another page takes only makes the oracle more lenient. */
void oracle_invlpg(struct oracle *o, gva_t gva)
{
	if (o->spaces == ORACLE_SPACES)
		abort();
	o->space[o->spaces] = o->space[o->spaces - 1];
	o->space[o->spaces].from = world_time;
	o->space[o->spaces++].invlpg = true;
	for (unsigned i = 0; i < 4; i++) {
		u64 page = gva >> shifts[i];
		unsigned slot = invlpg_slot(page);

		o->invlpg[i][slot].page = page;
		o->invlpg[i][slot].time = world_time;
	}
}

static u64 invlpg_time(const struct oracle *o, unsigned size, gva_t gva)
{
	u64 page = gva >> shifts[size];
	unsigned slot = invlpg_slot(page);

	return o->invlpg[size][slot].page == page ? o->invlpg[size][slot].time : 0;
}

/* One question. */
struct search {
	const struct walk_regs *g;
	gva_t gva;
	const struct ref_access *a;
	hpa_t hpa;
	u64 to;	       /* the last moment at which entries may have been read */
	u64 leaf_size; /* of which leaves are looked for */
	bool global;   /* only such leaves */
	unsigned steps;
};

static bool reaches(const struct search *q, gpa_t gpa)
{
	hpa_t hpa;
	enum p2m_kind kind = p2m_lookup(&world_p2m, gpa, &hpa);

	return hpa == q->hpa && (kind == P2M_RAM || (kind == P2M_ROM && !q->a->write));
}

static bool leaf_permits(const struct search *q, const struct ref_leaf *leaf, bool in_ram)
{
	u32 error;

	if (leaf->size != q->leaf_size || (q->global && !leaf->global))
		return false;
	if (q->a->write && !leaf->dirty && in_ram)
		return false;
	return ref_allows(q->g, q->a, leaf, &error) && reaches(q, leaf->base + q->gva % leaf->size);
}

/* Entries from @at on, read at @from or later. */
static bool search_from(struct search *q, struct ref_at at, struct ref_rights rights, u64 from)
{
	struct world_version v[VERSIONS];
	bool in_ram = world_is_ram(at.entry);
	unsigned n = world_versions(at.entry, from, v, VERSIONS);
	u64 until = ~0ull;

	if (n == VERSIONS || ++q->steps > STEPS) {
		q->steps = STEPS + 1;
		return true;
	}
	for (unsigned i = 0; i < n; until = v[i++].since) {
		u64 value = at.bytes == 8 ? v[i].value : (u32)(v[i].value >> (at.entry & 4) * 8);
		struct ref_at next = at;
		struct ref_rights r = rights;
		struct ref_leaf leaf;
		enum ref_kind kind;

		if (v[i].since > q->to || until <= from || (!(value & PTE_A) && in_ram))
			continue;
		kind = ref_entry(q->g, q->gva, value, &next, &r, &leaf);
		if (kind == REF_LEAF && leaf_permits(q, &leaf, in_ram))
			return true;
		if (kind == REF_TABLE && search_from(q, next, r, MAX(from, v[i].since)))
			return true;
	}
	return false;
}

static bool search_space(struct oracle *o, struct search *q, const struct oracle_space *s)
{
	struct walk_regs g = *q->g;
	const struct walk_regs *now = q->g;
	struct ref_at at;
	enum ref_kind kind;
	bool found = false;

	g.cr3 = s->cr3;
	g.pdpte = s->pdpte;
	if (!ref_first(&g, q->gva, &at, &kind))
		return false;
	q->g = &g;
	for (unsigned i = 0; i < 4 && !found; i++) {
		u64 from = MAX(s->from, invlpg_time(o, i, q->gva));

		q->leaf_size = BIT(shifts[i]);
		found = from <= q->to &&
			search_from(q, at, (struct ref_rights){true, true, true}, from);
	}
	q->g = now;
	return found;
}

bool oracle_permits(struct oracle *o, const struct walk_regs *g, gva_t gva,
		    const struct ref_access *a, hpa_t hpa)
{
	struct search q = {.g = g, .gva = gva, .a = a, .hpa = hpa, .to = world_time};
	bool found = false;

	if (ref_mode_of(g) == REF_UNPAGED)
		return reaches(&q, (u32)gva);
	if (ref_mode_of(g) != REF_LONG)
		q.gva = (u32)gva;
	o->searched++;
	for (unsigned i = o->spaces; i-- && !found;) {
		found = search_space(o, &q, &o->space[i]);
		q.to = o->space[i].from;
		if (o->space[i].invlpg)
			continue;
		q.global = true;
		if (!(g->cr4 & CR4_PGE))
			break;
	}
	o->unsure += q.steps > STEPS;
	o->stale += found;
	return found;
}

/* Entries from @at on: does a walk end in an entry that is absent, or reserved, now? */
static bool search_fault(struct search *q, struct ref_at at, u64 from, enum ref_kind want)
{
	struct world_version v[VERSIONS];
	unsigned n = world_versions(at.entry, from, v, VERSIONS);
	bool in_ram = world_is_ram(at.entry);

	if (n == VERSIONS || ++q->steps > STEPS)
		return true;
	for (unsigned i = 0; i < n; i++) {
		u64 value = at.bytes == 8 ? v[i].value : (u32)(v[i].value >> (at.entry & 4) * 8);
		struct ref_rights rights = {true, true, true};
		struct ref_at next = at;
		struct ref_leaf leaf;
		enum ref_kind kind = ref_entry(q->g, q->gva, value, &next, &rights, &leaf);

		if (!i && kind == want)
			return true;
		if (kind == REF_TABLE && (!i || (value & PTE_A) || !in_ram) &&
		    search_fault(q, next, MAX(from, v[i].since), want))
			return true;
	}
	return false;
}

bool oracle_permits_fault(struct oracle *o, const struct walk_regs *g, gva_t gva,
			  const struct ref_access *a, u32 error)
{
	const struct oracle_space *s = &o->space[o->spaces - 1];
	struct search q = {.g = g, .gva = gva, .a = a};
	bool reserved = error & PFEC_RSVD;
	struct ref_at at;
	enum ref_kind kind;

	if (ref_mode_of(g) == REF_UNPAGED || (error & PFEC_P) != (reserved ? PFEC_P : 0) ||
	    ref_error(g, a) != (error & ~(PFEC_P | PFEC_RSVD)) || !ref_first(g, gva, &at, &kind))
		return false;
	return search_fault(&q, at, s->from, reserved ? REF_RESERVED : REF_ABSENT);
}
