/* The tests' memory management unit; see fakemmu.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "shadow/fakemmu.h"

#include <string.h>

#include "lib/x86.h"
#include "mem/hostmap.h"

static u64 mix(u64 v)
{
	v *= 0x9e3779b97f4a7c15ull;
	return v ^ v >> 32;
}

void fakemmu_init(struct fakemmu *m, u8 maxphyaddr, bool has_1g, unsigned forget)
{
	memset(m, 0, sizeof(*m));
	m->maxphyaddr = maxphyaddr;
	m->has_1g = has_1g;
	m->forget = forget;
	for (unsigned t = 0; t < SHADOW_TAGS; t++)
		m->epoch[t] = 1;
}

/* --- what the hypervisor asks of it --- */

static void mmu_load(void *ctx, const struct shadow_root *root)
{
	struct fakemmu *m = ctx;

	m->root = *root;
	m->loaded = true;
	m->loads++;
	if (root->tag >= SHADOW_TAGS)
		m->broken = "a tag that does not exist";
	if (root->table & (root->format == SHADOW_PAE ? 31 : 4095))
		m->broken = "a root that is not aligned";
	if (root->format == SHADOW_PAE && root->table >> 32)
		m->broken = "a PAE root above 4 GiB";
}

static void mmu_flush(void *ctx, unsigned tag)
{
	struct fakemmu *m = ctx;

	m->flushes++;
	if (tag < SHADOW_TAGS)
		m->epoch[tag]++;
	else
		m->broken = "a flush of a tag that does not exist";
}

static struct mmu_page *page_slot(struct fakemmu *m, unsigned tag, gva_t gva, unsigned size)
{
	return &m->page[tag][size][mix(gva >> (12 + 9 * size)) % MMU_PAGES];
}

static struct mmu_table *table_slot(struct fakemmu *m, unsigned tag, gva_t gva, unsigned level)
{
	return &m->table[tag][level - 1][mix(gva >> (12 + 9 * level)) % MMU_TABLES];
}

/* INVLPGA and INVVPID of one address: the page, whatever its size, and all pointers to tables on
 * its way. */
static void forget_page(struct fakemmu *m, unsigned tag, gva_t gva)
{
	for (unsigned size = 0; size < 3; size++) {
		struct mmu_page *p = page_slot(m, tag, gva, size);
		struct mmu_table *t = table_slot(m, tag, gva, size + 1);

		if (p->page == gva >> (12 + 9 * size))
			p->epoch = 0;
		if (t->prefix == gva >> (21 + 9 * size))
			t->epoch = 0;
	}
}

static void mmu_flush_page(void *ctx, unsigned tag, gva_t gva)
{
	struct fakemmu *m = ctx;

	m->page_flushes++;
	if (tag < SHADOW_TAGS)
		forget_page(m, tag, gva);
	else
		m->broken = "a flush of a tag that does not exist";
}

const struct shadow_cpu_ops fakemmu_ops = {
	.load = mmu_load,
	.flush = mmu_flush,
	.flush_page = mmu_flush_page,
};

/* --- what the guest does with it --- */

/* The CPU's own state while the guest of state @g runs on these tables. */
static struct walk_regs host_regs(const struct fakemmu *m, const struct walk_regs *g)
{
	struct walk_regs h = *g;

	h.cr0 |= CR0_PG | CR0_WP;
	h.cr4 |= CR4_PAE;
	if (!(g->cr0 & CR0_PG))
		h.cr4 &= ~(CR4_SMEP | CR4_SMAP | CR4_PKE);
	h.efer |= EFER_NXE | EFER_LMA | EFER_LME;
	if (m->root.format == SHADOW_PAE)
		h.efer &= ~(EFER_LMA | EFER_LME);
	h.maxphyaddr = m->maxphyaddr;
	h.has_1g = m->has_1g;
	h.pml4_g_rsvd = true;
	h.cr3 = m->root.table;
	h.pdpte = NULL;
	return h;
}

static hpa_t entry_of(hpa_t table, gva_t gva, unsigned level)
{
	return table + (gva >> (3 + 9 * level) & 511) * 8;
}

/* Where the walk begins: at the deepest table that is known, or above it when @luck says so. False:
 * PAE's top level has nothing there. */
static bool walk_start(struct fakemmu *m, gva_t gva, u32 luck, struct ref_at *at,
		       struct ref_rights *rights)
{
	unsigned tag = m->root.tag;
	u64 e;

	at->bytes = 8;
	for (unsigned level = 1; level <= 3; level++) {
		const struct mmu_table *t = table_slot(m, tag, gva, level);

		if (t->epoch != m->epoch[tag] || t->prefix != gva >> (12 + 9 * level) ||
		    (luck >> level & 7) == 7)
			continue;
		at->level = level;
		at->entry = entry_of(t->table, gva, level);
		*rights = t->rights;
		return true;
	}
	*rights = (struct ref_rights){true, true, true};
	at->level = 4;
	at->entry = entry_of(m->root.table, gva, 4);
	if (m->root.format == SHADOW_LONG)
		return true;
	memcpy(&e, hpa_va(m->root.table + (gva >> 30 & 3) * 8), 8);
	if (!(e & PTE_P))
		return false;
	if (e & (0x1e6ull | ~(BIT(m->maxphyaddr) - 1)))
		m->broken = "a PDPTE with reserved bits set";
	at->level = 2;
	at->entry = entry_of(e & PTE_ADDR, gva, 2);
	return true;
}

static void keep_table(struct fakemmu *m, gva_t gva, const struct ref_at *at,
		       const struct ref_rights *rights)
{
	*table_slot(m, m->root.tag, gva, at->level) = (struct mmu_table){
		gva >> (12 + 9 * at->level), m->epoch[m->root.tag], at->entry & ~4095ull, *rights};
}

/* Walk the tables; a leaf that the access may use is marked in memory and kept. */
static bool walk(struct fakemmu *m, const struct walk_regs *h, gva_t gva,
		 const struct ref_access *a, u32 luck, struct ref_leaf *leaf, u32 *error)
{
	u32 kind_bits = (a->write ? PFEC_W : 0) | (a->user ? PFEC_U : 0) | (a->fetch ? PFEC_I : 0);
	struct ref_rights rights;
	struct ref_at at;

	m->walks++;
	*error = kind_bits;
	if (!walk_start(m, gva, luck, &at, &rights))
		return false;
	for (;;) {
		u64 *e = hpa_va(at.entry);
		enum ref_kind kind = ref_entry(h, gva, *e, &at, &rights, leaf);

		if (kind == REF_ABSENT)
			return false;
		if (kind == REF_RESERVED) {
			*error = kind_bits | PFEC_P | PFEC_RSVD;
			return false;
		}
		if (kind == REF_LEAF) {
			if (!ref_allows(h, a, leaf, error))
				return false;
			*e |= PTE_A | (a->write ? PTE_D : 0);
			leaf->dirty = *e & PTE_D;
			return true;
		}
		*e |= PTE_A;
		keep_table(m, gva, &at, &rights);
	}
}

static unsigned size_of(const struct ref_leaf *leaf)
{
	return leaf->size == PAGE_SIZE ? 0 : leaf->size == 2 * MIB ? 1 : 2;
}

static void keep_page(struct fakemmu *m, gva_t gva, const struct ref_leaf *leaf)
{
	unsigned size = size_of(leaf);

	*page_slot(m, m->root.tag, gva, size) =
		(struct mmu_page){gva >> (12 + 9 * size), m->epoch[m->root.tag], *leaf};
}

/* A kept translation: of several, the one that @luck says. */
static struct mmu_page *kept(struct fakemmu *m, gva_t gva, u32 luck)
{
	unsigned tag = m->root.tag;

	for (unsigned i = 0; i < 3; i++) {
		unsigned size = (i + luck) % 3;
		struct mmu_page *p = page_slot(m, tag, gva, size);

		if (p->epoch == m->epoch[tag] && p->page == gva >> (12 + 9 * size))
			return p;
	}
	return NULL;
}

bool fakemmu_access(struct fakemmu *m, const struct walk_regs *g, gva_t gva,
		    const struct ref_access *a, u32 luck, hpa_t *hpa, u32 *error)
{
	struct walk_regs h = host_regs(m, g);
	struct mmu_page *p = kept(m, gva, luck);
	struct ref_leaf leaf;

	if (p && m->forget && (luck >> 8) % m->forget == 0) {
		p->epoch = 0;
		p = NULL;
	}
	if (p && a->write && !p->leaf.dirty) {
		p->epoch = 0;
		p = NULL;
	}
	if (p) {
		m->hits++;
		leaf = p->leaf;
		if (!ref_allows(&h, a, &leaf, error)) {
			forget_page(m, m->root.tag, gva);
			return false;
		}
	} else {
		if (!walk(m, &h, gva, a, luck >> 16, &leaf, error)) {
			forget_page(m, m->root.tag, gva);
			return false;
		}
		keep_page(m, gva, &leaf);
	}
	*hpa = leaf.base + gva % leaf.size;
	return true;
}

void fakemmu_prefetch(struct fakemmu *m, const struct walk_regs *g, gva_t gva)
{
	/* What a CPU fetches ahead it may keep whoever is allowed to use it. */
	static const struct ref_access any = {0};
	struct walk_regs h = host_regs(m, g);
	struct ref_leaf leaf;
	u32 error;

	h.cr4 &= ~(CR4_SMAP | CR4_PKE);
	if (m->loaded && walk(m, &h, gva, &any, 0, &leaf, &error))
		keep_page(m, gva, &leaf);
}
