/* Changes of the guest's tables, by comparison with copies: see tables.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/tables.h"

#include "lib/str.h"
#include "lib/x86.h"
#include "paging/adaptive/coverage.h"
#include "paging/adaptive/fixed.h"

#define E_P  BIT(0)
#define E_U  BIT(2)
#define E_A  BIT(5)
#define E_D  BIT(6)
#define E_PS BIT(7)

#define LEVELS_MAX    4
#define SMALL_UNKNOWN MILLION

/* The guest's format of tables. */
struct format {
	unsigned levels, size, entries;
	u64 address; /* bits of an entry */
	bool large;  /* bit 7 means something above the last level */
};

static const struct format formats[] = {
	{2, 4, 1024, 0xfffff000, false},
	{3, 8, 512, 0x000ffffffffff000, false},
	{4, 8, 512, 0x000ffffffffff000, false},
};

/* What one look gathers. */
struct look {
	struct tables *t;
	const struct walk_mem *m;
	struct format f;
	unsigned visits;
	/* Pages of 4 KiB that the guest has touched through entries for kernel and user: by large
	 * leaves; sampled tables are counted later. */
	u64 large[2], small[2];
};

static u64 random_below(struct tables *t, u64 n)
{
	t->random = t->random * 6364136223846793005ull + 1442695040888963407ull;
	return (u64)(((unsigned __int128)t->random * n) >> 64);
}

/* Tables are mostly empty, and mostly the same as before: eight words are judged at a time. */
#define LINE	   8u /* words */
#define LINES	   (PAGE_SIZE / 8 / LINE)
#define LINE_BYTES (8 * LINE)

static u64 any_of(const u64 *w)
{
	return w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7];
}

static u64 any_change(const u64 *w, const u64 *was)
{
	return (w[0] ^ was[0]) | (w[1] ^ was[1]) | (w[2] ^ was[2]) | (w[3] ^ was[3]) |
	       (w[4] ^ was[4]) | (w[5] ^ was[5]) | (w[6] ^ was[6]) | (w[7] ^ was[7]);
}

static u64 entry_of(const void *table, unsigned i, unsigned size)
{
	return size == 4 ? ((const volatile u32 *)table)[i] : ((const volatile u64 *)table)[i];
}

/* --- comparing -------------------------------------------------------------------------------- */

/* Entries of @c that are not what they were; -1: the table is not linked any more. */
static int changed(const struct tables *t, const struct walk_mem *m, const struct tables_copy *c)
{
	const u8 *link = m->ram(m->ctx, c->link);
	const u64 *table = m->ram(m->ctx, c->table);
	u64 ignored = E_A | E_D;
	unsigned n = 0;

	if (!link || !table || ((entry_of(link, 0, t->entry_size) ^ c->linked) & ~(E_A | E_D)))
		return -1;
	if (t->entry_size == 4)
		ignored |= ignored << 32;
	for (unsigned i = 0; i < ARRAY_SIZE(c->entry); i++) {
		u64 other;

		if (i % LINE == 0 && !(any_change(table + i, c->entry + i) & ~ignored)) {
			i += LINE - 1;
			continue;
		}
		other = (table[i] ^ c->entry[i]) & ~ignored;
		n += t->entry_size == 4 ? ((u32)other != 0) + (other >> 32 != 0) : other != 0;
	}
	return (int)n;
}

static struct policy_measure compare(const struct tables *t, const struct walk_mem *m)
{
	u64 sum = 0, squares = 0, n = 0;

	for (unsigned i = 0; i < t->n; i++) {
		int c = changed(t, m, &t->copy[i]);

		if (c < 0)
			continue;
		n++;
		sum += (u64)c;
		squares += (u64)c * (u64)c;
	}
	/* Tables that went are not part of what is told. */
	return sampled_total(sum, squares, n, t->tables - (t->n - n));
}

/* --- choosing --------------------------------------------------------------------------------- */

/* @index-th entry of the table of links at @table leads to a last-level table: every one so far has
 * had the same chance to be among the chosen. */
static void offer(struct look *l, gpa_t table, unsigned index, u64 e)
{
	struct tables *t = l->t;
	u64 nth = t->tables++, place = nth < TABLES_SAMPLE ? nth : random_below(t, nth + 1);

	if (place >= TABLES_SAMPLE)
		return;
	t->n = MAX(t->n, (unsigned)place + 1);
	t->copy[place].table = e & l->f.address;
	t->copy[place].link = table + (u64)index * l->f.size;
	t->copy[place].linked = e;
}

static u64 pages_of_leaf(const struct look *l, unsigned level)
{
	return level == 2 ? l->f.entries : (u64)l->f.entries * l->f.entries;
}

static void visit(struct look *l, gpa_t table, unsigned level, unsigned from);

/* Entry @index with the value @e of the table of links at @table. */
static void follow(struct look *l, gpa_t table, unsigned level, unsigned index, u64 e)
{
	/* PAE's four entries have neither an accessed bit nor a size. */
	bool is_pdpte = l->f.levels == 3 && level == 3;

	/* What was never used has no shadow, and changes seldom. */
	if (!(e & E_P) || (!is_pdpte && !(e & E_A)))
		return;
	if (l->f.large && (e & E_PS) && level < LEVELS_MAX && !is_pdpte)
		l->large[!!(e & E_U)] += pages_of_leaf(l, level);
	else if (level == 2)
		offer(l, table, index, e);
	else
		visit(l, e & l->f.address, level - 1, 0);
}

/* The table of links at @table, @level - 1 levels above the leaves, and what is below it, beginning
 * with line @from. */
static void visit(struct look *l, gpa_t table, unsigned level, unsigned from)
{
	bool pdpt = l->f.levels == 3 && level == 3;
	const u8 *p = l->m->ram(l->m->ctx, table);
	unsigned each = LINE_BYTES / l->f.size, lines = pdpt ? 1 : LINES;

	if (!p || l->visits >= TABLES_VISITS) {
		l->t->all = false;
		return;
	}
	l->visits++;
	for (unsigned i = 0; i < lines; i++) {
		unsigned line = (from + i) % LINES;

		if (!pdpt && !any_of((const u64 *)(p + line * LINE_BYTES)))
			continue;
		for (unsigned j = 0; j < (pdpt ? 4 : each); j++)
			follow(l, table, level, line * each + j,
			       entry_of(p, line * each + j, l->f.size));
	}
}

/* Present entries of the copy @c; how many pages of each kind have been used by it goes into @l. */
static u64 count_copy(struct look *l, const struct tables_copy *c)
{
	unsigned each = LINE_BYTES / l->f.size;
	u64 present = 0;

	for (unsigned i = 0; i < l->f.entries; i++) {
		u64 e;

		if (i % each == 0 && !any_of((const u64 *)((const u8 *)c->entry + i * l->f.size))) {
			i += each - 1;
			continue;
		}
		e = entry_of(c->entry, i, l->f.size);
		present += e & E_P;
		if ((e & (E_P | E_A)) == (E_P | E_A))
			l->small[!!(e & E_U)]++;
	}
	return present;
}

/* Large and small leaves; @copy: 16 of the small ones' tables. */
static struct policy_measure copy_tables(struct look *l)
{
	struct tables *t = l->t;
	u64 sum = 0, squares = 0;

	for (unsigned i = 0; i < t->n; i++) {
		const u64 *table = l->m->ram(l->m->ctx, t->copy[i].table);
		u64 present;

		for (unsigned j = 0; j < ARRAY_SIZE(t->copy[i].entry); j++)
			t->copy[i].entry[j] = table ? table[j] : 0;
		present = count_copy(l, &t->copy[i]);
		sum += present;
		squares += present * present;
	}
	return sampled_total(sum, squares, t->n, t->tables);
}

/* Where there are user pages they tell best: kernels map all memory by large pages, used or not. */
static u64 small_share(const struct look *l)
{
	unsigned user = l->large[1] + l->small[1] ? 1 : 0;
	u64 small = l->t->n ? mul_div(l->small[user], l->t->tables, l->t->n) : 0;

	if (!(small + l->large[user]))
		return SMALL_UNKNOWN;
	return mul_div(small, MILLION, small + l->large[user]);
}

static bool choose(struct look *l, const struct walk_regs *r)
{
	const struct format *f = &formats[(r->efer & EFER_LMA) ? 2 : (r->cr4 & CR4_PAE) ? 1 : 0];
	gpa_t top = f->levels == 3 ? r->cr3 & 0xffffffe0 : r->cr3 & f->address;
	struct tables *t = l->t;

	t->n = 0;
	t->tables = 0;
	t->all = true;
	if (!(r->cr0 & CR0_PG))
		return false;
	l->f = *f;
	l->f.large = f->levels > 2 || (r->cr4 & CR4_PSE);
	t->entry_size = (u8)f->size;
	visit(l, top, f->levels, f->levels == 3 ? 0 : (unsigned)random_below(t, LINES));
	return true;
}

void tables_init(struct tables *t, u64 seed)
{
	memset(t, 0, sizeof(*t));
	t->random = seed;
}

void tables_look(struct tables *t, const struct walk_mem *m, const struct walk_regs *r,
		 struct tables_seen *out)
{
	struct look l = {.t = t, .m = m};

	*out = (struct tables_seen){.small_ppm = SMALL_UNKNOWN};
	if (t->n)
		out->writes = compare(t, m);
	if (!choose(&l, r))
		return;
	out->leaves = copy_tables(&l);
	out->small_ppm = small_share(&l);
}
