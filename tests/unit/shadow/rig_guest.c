/* The shadow's test machine: what its guest does to its paging, and what others do; see rig.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "lib/x86.h"
#include "shadow/rig.h"

/* --- addresses --- */

/* The direct map is in entry 2 of the top level; its tables are these frames. */
#define MAP_TOP 2u
enum { MAP_PT = 79, MAP_PD = 78, MAP_PDPT = 77 };

/* Entries of a table that are in use: four, or in wide runs 8, 16 or 32 so that a root has about as
 * many last-level tables in each mode. */
static unsigned choice_bits(const struct rig *r)
{
	static const u8 wide[] = {[REF_32] = 5, [REF_PAE] = 4, [REF_LONG] = 3};

	return r->setup.wide ? wide[r->setup.mode] : 2;
}

unsigned rig_index(const struct rig *r, unsigned level, unsigned choice)
{
	static const u16 of_512[] = {0, 1, 5, 511}, of_1024[] = {0, 1, 513, 1023};

	choice &= BIT(choice_bits(r)) - 1;
	if (r->setup.mode == REF_PAE && level == 3)
		return choice % 3 + (choice % 3 == 2); /* 2 is the direct map's */
	if (choice >= 4)
		return (37 * choice + 3) % (r->setup.mode == REF_32 ? 1024 : 512);
	return r->setup.mode == REF_32 ? of_1024[choice] : of_512[choice];
}

gva_t rig_gva(const struct rig *r, unsigned choice)
{
	enum ref_mode mode = r->setup.mode;
	unsigned levels = mode == REF_32 ? 2 : mode == REF_PAE ? 3 : 4;
	gva_t gva = 0;

	for (unsigned level = 1; level <= levels; level++) {
		unsigned shift = mode == REF_32 ? 2 + 10 * level : 3 + 9 * level;

		gva |= (gva_t)rig_index(r, level, choice) << shift;
		choice >>= choice_bits(r);
	}
	return gva & BIT(47) ? gva | 0xffffull << 48 : gva;
}

gva_t rig_map_gva(const struct rig *r, unsigned n)
{
	static const unsigned top[] = {[REF_32] = 22, [REF_PAE] = 30, [REF_LONG] = 39};

	return ((gva_t)MAP_TOP << top[r->setup.mode]) + (gva_t)n * PAGE_SIZE;
}

unsigned rig_entry_bytes(const struct rig *r)
{
	return r->setup.mode == REF_32 ? 4 : 8;
}

/* --- what others do --- */

void rig_device_write(struct rig *r, gpa_t gpa, const void *bytes, unsigned len)
{
	if (!world_store(gpa, bytes, len))
		return;
	if (r->s)
		shadow_written(r->s, gpa, len);
}

static void write_entry(struct rig *r, unsigned frame, unsigned index, u64 value)
{
	unsigned bytes = rig_entry_bytes(r);

	rig_device_write(r, world_frame(frame) + index * bytes, &value, bytes);
}

static u64 table_entry(unsigned frame)
{
	return world_frame(frame) | PTE_P | PTE_W | PTE_U;
}

/* The direct map: every frame in order by 4 KiB pages, and the two chunks of tables by large ones
 * behind them. */
static void build_map(struct rig *r)
{
	enum ref_mode mode = r->setup.mode;

	for (unsigned n = 0; n < WORLD_FRAMES; n++)
		if (mode != REF_32 || world_frame(n) < 4 * GIB)
			write_entry(r, MAP_PT, n, world_frame(n) | PTE_P | PTE_W);
	if (mode == REF_32)
		return;
	write_entry(r, MAP_PD, 0, table_entry(MAP_PT));
	for (unsigned i = 1; i < 3; i++)
		write_entry(r, MAP_PD, i, 2 * MIB * i | PTE_P | PTE_W | PTE_PS);
	write_entry(r, MAP_PDPT, 0, table_entry(MAP_PD));
}

/* Tables number @k of the second and the first level. */
static unsigned directory(const struct rig *r, unsigned k)
{
	return 8 + k % (r->setup.wide ? 64 : 4);
}

static unsigned last_table(const struct rig *r, unsigned k)
{
	return r->setup.wide ? 84 + k % 124 : 12 + k % 8;
}

/* Three roots (frames 0..2) over shared tables; the third level's are frames 4.. */
static void build_root(struct rig *r, unsigned root)
{
	enum ref_mode mode = r->setup.mode;
	unsigned n = 1u << choice_bits(r);

	for (unsigned c = 0; c < n; c++) {
		if (mode == REF_32) {
			write_entry(r, root, rig_index(r, 2, c),
				    table_entry(last_table(r, n * root + c)));
			continue;
		}
		if (mode == REF_LONG) {
			write_entry(r, root, rig_index(r, 4, c), table_entry(4 + root));
			write_entry(r, 4 + root, rig_index(r, 3, c),
				    table_entry(directory(r, root * (n - 3) + c)));
		} else {
			write_entry(r, root, rig_index(r, 3, c),
				    world_frame(directory(r, root * (n - 3) + c)) | PTE_P);
		}
	}
	write_entry(r, root, MAP_TOP,
		    mode == REF_LONG  ? table_entry(MAP_PDPT)
		    : mode == REF_PAE ? world_frame(MAP_PD) | PTE_P
				      : table_entry(MAP_PT));
}

static void build_below(struct rig *r)
{
	unsigned n = 1u << choice_bits(r);

	for (unsigned k = 0; k < 64 && r->setup.mode != REF_32; k++)
		for (unsigned c = 0; c < n && (k < 4 || r->setup.wide); c++)
			write_entry(r, directory(r, k), rig_index(r, 2, c),
				    table_entry(last_table(r, n * k + c)));
	for (unsigned k = 0; k < 124; k++)
		for (unsigned c = 0; c < n && (k < 8 || r->setup.wide); c++)
			write_entry(r, last_table(r, k), rig_index(r, 1, c),
				    table_entry(WORLD_DATA + (4 * k + c) % 18));
}

void rig_build(struct rig *r)
{
	static const u8 nothing[PAGE_SIZE];

	for (unsigned n = 0; n < (r->setup.wide ? WORLD_LOW_TABLES : 20u); n++)
		rig_device_write(r, world_frame(n), nothing, PAGE_SIZE);
	for (unsigned n = MAP_PDPT; n <= MAP_PT; n++)
		rig_device_write(r, world_frame(n), nothing, PAGE_SIZE);
	build_map(r);
	for (unsigned root = 0; root < 3; root++)
		build_root(r, root);
	build_below(r);
}

void rig_set_kind(struct rig *r, unsigned frame, enum p2m_kind kind)
{
	gpa_t gpa = world_frame(frame);

	p2m_set_low_kind(&world_p2m, gpa, PAGE_SIZE, kind);
	shadow_p2m_changed(r->s, gpa, PAGE_SIZE);
	oracle_flush_all(&r->oracle, &r->g);
}

static void audit_says(void *ctx, const char *text)
{
	rig_fail(ctx, "audit: %s", text);
}

void rig_audit(struct rig *r)
{
	gpa_t stray = world_stray();

	if (stray)
		rig_fail(r, "host memory %llx was written by nobody", (unsigned long long)stray);
	if ((r->nested && !r->frozen) || r->setup.audit_every == RIG_BLIND)
		return;
	r->n.audits++;
	if (shadow_audit(r->s, &r->g, audit_says, r))
		rig_fail(r, "the audit has found something, without words");
}

/* As the hypervisor gives the registers on when they have changed. */
static struct walk_regs told(const struct rig *r)
{
	struct walk_regs g = r->g;

	if (!r->setup.pdptes_told)
		g.pdpte = NULL;
	return g;
}

static void check_pdptes(struct rig *r)
{
	const u64 *p = shadow_pdpte(r->s);

	if (ref_mode_of(&r->g) != REF_PAE) {
		if (p)
			rig_fail(r, "the shadow has PDPTEs, the guest none");
		return;
	}
	for (unsigned i = 0; i < 4; i++)
		if (!p || p[i] != r->pdpte[i])
			rig_fail(r, "PDPTE %u: the shadow has %llx, the CPU %llx", i,
				 p ? (unsigned long long)p[i] : 0, (unsigned long long)r->pdpte[i]);
}

/* --- address spaces with modes of their own --- */

static u64 guard_bits[(4 * GIB + 16 * MIB) / PAGE_SIZE / 64];

static void guard(void *ctx, gpa_t gpa, bool on)
{
	struct rig *r = ctx;
	u64 n = gpa >> PAGE_SHIFT, bit = BIT(n % 64);

	guard_bits[n / 64] = (guard_bits[n / 64] & ~bit) | (on ? bit : 0);
	r->n.guarded += on;
}

bool rig_guarded(gpa_t gpa)
{
	u64 n = gpa >> PAGE_SHIFT;

	return n / 64 < ARRAY_SIZE(guard_bits) && (guard_bits[n / 64] >> n % 64 & 1);
}

void rig_foreign_write(struct rig *r, gpa_t gpa, bool walk)
{
	if (!r->frozen || !rig_guarded(gpa))
		return;
	r->n.foreign++;
	r->n.walked += walk;
	shadow_foreign_write(r->s, gpa, walk);
	if (rig_guarded(gpa) && r->setup.audit_every != RIG_BLIND)
		rig_fail(r, "gpa %llx is still guarded", (unsigned long long)gpa);
}

static void freeze(struct rig *r)
{
	if (r->nested)
		return;
	shadow_freeze(r->s);
	r->nested = r->frozen = true;
	r->mmu.loaded = false;
}

static void thaw(struct rig *r)
{
	struct walk_regs g = told(r);

	r->n.thaws++;
	r->nested = r->frozen = false;
	shadow_thaw(r->s, &g);
	check_pdptes(r);
}

/* Every address space has its time in each mode; now and then one is not coming back. */
static bool runs_on_shadow(struct rig *r, u64 cr3)
{
	u64 h = (cr3 >> 5) * 0x9e3779b97f4a7c15ull + r->loads / 24 * 0xbf58476d1ce4e5b9ull;

	h ^= h >> 31;
	return h * 0x94d049bb133111ebull >> 63;
}

static void follow(struct rig *r)
{
	bool want = runs_on_shadow(r, r->g.cr3);

	if (++r->loads % 24 == 0 && r->frozen)
		shadow_forget(r->s, world_frame((unsigned)(r->loads / 24) % 3));
	if (!want)
		freeze(r);
	else if (r->nested)
		thaw(r);
}

void rig_leave(struct rig *r)
{
	if (r->nested)
		return;
	shadow_leave(r->s);
	r->nested = true;
	r->mmu.loaded = false;
	r->n.switches++;
}

void rig_enter(struct rig *r)
{
	if (!r->nested)
		return;
	r->frozen = false;
	if (shadow_enter(r->s, &r->g))
		rig_fail(r, "shadow_enter() failed");
	r->nested = false;
}

/* --- the guest's registers --- */

void rig_invlpg(struct rig *r, gva_t gva)
{
	if (ref_mode_of(&r->g) != REF_LONG)
		gva = (u32)gva;
	oracle_invlpg(&r->oracle, gva);
	if (!r->nested)
		shadow_invlpg(r->s, &r->g, gva);
}

static bool read_pdptes(const struct walk_regs *g, u64 pdpte[4])
{
	for (unsigned i = 0; i < 4; i++)
		world_read(NULL, (g->cr3 & 0xffffffe0u) + 8 * i, 8, &pdpte[i]);
	return ref_pdptes_ok(g, pdpte);
}

/* Does the change from @a to @b load the PDPTEs (SDM vol. 3 §4.4.1)? */
static bool loads_pdptes(const struct walk_regs *a, const struct walk_regs *b)
{
	return ((a->cr0 ^ b->cr0) & (CR0_PG | CR0_CD | CR0_NW)) ||
	       ((a->cr4 ^ b->cr4) & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) || a->cr3 != b->cr3;
}

/* The registers are @g from now on. False: they cannot be. */
static bool take_regs(struct rig *r, const struct walk_regs *g, bool load)
{
	u64 pdpte[4];

	if (ref_mode_of(g) == REF_PAE && load) {
		bool ok = read_pdptes(g, pdpte);
		struct walk_regs ask = *g;

		ask.pdpte = r->setup.pdptes_told ? pdpte : NULL;
		if (!r->nested && ok == shadow_pdpte_bad(r->s, &ask))
			rig_fail(r, "PDPTEs at cr3 %llx: the shadow would %s them",
				 (unsigned long long)g->cr3, ok ? "refuse" : "take");
		if (!ok) {
			r->n.refused++;
			return false;
		}
		memcpy(r->pdpte, pdpte, sizeof(pdpte));
	}
	r->g = *g;
	r->g.pdpte = ref_mode_of(g) == REF_PAE ? r->pdpte : NULL;
	return true;
}

bool rig_load_cr3(struct rig *r, u64 cr3)
{
	struct walk_regs g = r->g;

	g.cr3 = ref_mode_of(&g) == REF_LONG ? cr3 & (BIT(g.maxphyaddr) - 1) & ~0xfffull : (u32)cr3;
	if (!take_regs(r, &g, true))
		return false;
	oracle_load_cr3(&r->oracle, &r->g);
	if (r->setup.mixed && r->s && (r->nested || !runs_on_shadow(r, r->g.cr3))) {
		follow(r);
		return true;
	}
	r->loads++;
	if (r->nested)
		return true;
	g = told(r);
	shadow_load_cr3(r->s, &g);
	check_pdptes(r);
	return true;
}

/* CR0.WP, SMAP and keys are looked at when an access is made; all else empties the TLB. */
static bool keeps_tlb(const struct walk_regs *a, const struct walk_regs *b)
{
	return !((a->cr0 ^ b->cr0) & ~CR0_WP) && !((a->cr4 ^ b->cr4) & ~(CR4_SMAP | CR4_PKE)) &&
	       a->efer == b->efer;
}

bool rig_set_control(struct rig *r, u64 cr0, u64 cr4, u64 efer)
{
	struct walk_regs g = r->g, before = r->g;

	g.cr0 = cr0;
	g.cr4 = cr4;
	g.efer = efer & ~EFER_LMA;
	if ((efer & EFER_LME) && (cr0 & CR0_PG))
		g.efer |= EFER_LMA;
	if (!take_regs(r, &g, loads_pdptes(&before, &g)))
		return false;
	if (!keeps_tlb(&before, &r->g))
		oracle_flush_all(&r->oracle, &r->g);
	if (r->nested)
		return true;
	g = told(r);
	shadow_mode_changed(r->s, &g);
	check_pdptes(r);
	return true;
}

static void mode_bits(struct rig *r, enum ref_mode mode, u64 *cr4, u64 *efer)
{
	r->setup.mode = mode;
	*cr4 &= ~(CR4_PAE | CR4_SMEP | CR4_SMAP | CR4_PKE);
	*efer &= ~(EFER_LME | EFER_LMA);
	if (mode == REF_32)
		*cr4 |= CR4_PSE;
	else
		*cr4 |= CR4_PAE;
	if (mode == REF_LONG)
		*efer |= EFER_LME;
}

void rig_change_mode(struct rig *r, enum ref_mode mode)
{
	u64 cr0 = r->g.cr0, cr4 = r->g.cr4, efer = r->g.efer;

	rig_set_control(r, cr0 & ~CR0_PG, cr4, efer);
	mode_bits(r, mode, &cr4, &efer);
	rig_set_control(r, cr0 & ~CR0_PG, cr4, efer);
	rig_build(r);
	rig_load_cr3(r, world_frame(0));
	if (!rig_set_control(r, cr0 | CR0_PG, cr4, efer))
		rig_fail(r, "the test's own tables were refused");
}

/* --- a whole run --- */

static u64 ticks;
static u64 tick(void)
{
	return ticks += 7;
}

static bool create(struct rig *r)
{
	struct shadow_config c = {.policy = r->setup.policy,
				  .pool_pages = r->setup.pool_pages,
				  .has_1g = r->setup.has_1g,
				  .maxphyaddr = r->setup.maxphyaddr,
				  .filters_faults = r->setup.filters_faults,
				  .cpu = &fakemmu_ops,
				  .cpu_ctx = &r->mmu,
				  .now = tick};

	if (shadow_create(&r->s, &c, &world_p2m)) {
		rig_fail(r, "shadow_create() failed");
		return false;
	}
	return true;
}

bool rig_begin(struct rig *r, const struct rig_setup *setup)
{
	u64 cr4 = CR4_PGE, efer = EFER_NXE;

	r->s = NULL;
	r->setup = *setup;
	r->failed = r->nested = r->frozen = false;
	r->loads = 0;
	r->kind = 0;
	memset(&r->n, 0, sizeof(r->n));
	world_reset();
	fakemmu_init(&r->mmu, setup->maxphyaddr, setup->has_1g, setup->forget);
	oracle_init(&r->oracle);
	mode_bits(r, setup->mode, &cr4, &efer);
	r->g = (struct walk_regs){.cr3 = world_frame(0),
				  .cr4 = cr4,
				  .cr0 = CR0_PE | CR0_WP,
				  .efer = efer,
				  .rflags = 2,
				  .maxphyaddr = setup->maxphyaddr,
				  .has_1g = setup->has_1g};
	rig_build(r);
	if (!create(r))
		return false;
	r->nested = true;
	if (setup->mixed) {
		memset(guard_bits, 0, sizeof(guard_bits));
		shadow_set_guard(r->s, guard, r);
	}
	rig_set_control(r, CR0_PE | CR0_WP | CR0_PG, cr4, efer);
	rig_enter(r);
	return !r->failed;
}

void rig_end(struct rig *r)
{
	if (!r->failed)
		rig_audit(r);
	if (r->s)
		shadow_destroy(r->s);
	r->s = NULL;
	if (!r->failed && world_frames_used())
		rig_fail(r, "%u frames were not given back", world_frames_used());
}
