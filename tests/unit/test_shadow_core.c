/* Shadow tables against the walker of hv/paging/walk.c. Would catch: an entry that allows more or
 * less than the guest's, in any paging mode; a wrong error code or address; accessed and dirty bits
 * not set, or set in the wrong place; a translation that outlives the guest's flush of it; a table
 * not noticed when it is linked elsewhere; a device taken for memory; a loop of faults that gets
 * nowhere; a pool that leaks or runs out.
 *
 * The CPU here walks the shadow tables by itself, with a TLB that forgets only what it is told to.
 *
 * SRCS: hv/mem/p2m.c hv/paging/walk.c hv/paging/shadow/sh_*.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "shadow_cpu.h"

/* --- the programs ---------------------------------------------------------------------------- */

enum { M32, M32_PSE, MPAE, MLONG, MODES };

static const char *const mode_name[] = {"32", "32 PSE", "PAE", "long"};

#define TABLES	    12u
#define TABLE(i)    (0x300000ull + (i)*PAGE_SIZE)
#define DATA(i)	    (0x500000ull + (i)*PAGE_SIZE)
#define NOWHERE	    0xf0000000ull
#define ROM_ADDRESS 0xe1000ull

static unsigned mode;
static struct walk_regs g;

static void set_mode(unsigned m, unsigned variant)
{
	mode = m;
	g = (struct walk_regs){.cr0 = CR0_PG | CR0_PE | (variant & 1 ? 0 : CR0_WP),
			       .cr3 = TABLE(0),
			       .maxphyaddr = 40,
			       .has_1g = !(variant & 2)};
	if (m == M32_PSE)
		g.cr4 |= CR4_PSE;
	if (m >= MPAE)
		g.cr4 |= CR4_PAE;
	if (m == MLONG)
		g.efer |= EFER_LMA | EFER_LME;
	if (!(variant & 4))
		g.efer |= EFER_NXE;
	if (variant & 8)
		g.cr4 |= CR4_SMEP;
	if (variant & 16)
		g.cr4 |= CR4_SMAP;
	if ((variant & 32) && m == MLONG)
		g.cr4 |= CR4_PKE;
	if (variant & 64)
		g.rflags |= RFLAGS_AC;
}

static u64 random_target(void)
{
	switch (rnd(16)) {
	case 0:
		return NOWHERE;
	case 1:
		return ROM_ADDRESS;
	case 2:
		return 0; /* real-mode memory */
	case 3:
	case 4:
		return DATA(rnd(16));
	case 5:
		return rnd(4) * 2 * MIB;
	case 6:
		return rnd(2) * 4 * MIB;
	default:
		return TABLE(rnd(TABLES));
	}
}

static u64 random_entry(void)
{
	u64 e = random_target();

	e |= rnd(12) ? PTE_P : 0;
	e |= rnd(4) ? PTE_W : 0;
	e |= rnd(4) ? PTE_U : 0;
	e |= rnd(2) ? PTE_A : 0;
	e |= rnd(2) ? PTE_D : 0;
	e |= rnd(6) ? 0 : PTE_PS;
	e |= rnd(3) ? 0 : BIT(8);
	if (mode >= MPAE) {
		e |= rnd(6) ? 0 : PTE_NX;
		e |= rnd(30) ? 0 : BIT(45);
		e |= rnd(4) || mode != MLONG ? 0 : rnd(16) << 59;
	}
	return e;
}

static const unsigned places[] = {0, 1, 2, 17, 256, 510, 511};

static gva_t random_gva(void)
{
	gva_t v = 0;

	if (mode == MLONG) {
		for (unsigned i = 0; i < 4; i++)
			v = v << 9 | places[rnd(3 + (i == 3) * 4)];
		v = v << 12;
		return v & BIT(47) ? v | ~0ull << 48 : v;
	}
	v = (u64)rnd(4) << 30 | places[rnd(ARRAY_SIZE(places))] << 21 |
	    places[rnd(ARRAY_SIZE(places))] << 12;
	return (u32)v;
}

/* The guest writes a random entry of some table. */
static void change_entry(void)
{
	gpa_t table = TABLE(rnd(TABLES));
	unsigned size = mode < MPAE ? 4 : 8;
	unsigned idx = places[rnd(ARRAY_SIZE(places))] + (size == 4 ? rnd(2) * 512 : 0);
	u64 e = random_entry();

	cpu_store(&g, table + idx * size, e, size);
}

/* The guest writes some table by a mapping of it, if there is one. */
static void change_mapped_entry(void)
{
	unsigned size = mode < MPAE ? 4 : 8;
	gva_t gva = random_gva() + places[rnd(ARRAY_SIZE(places))] * size;
	struct cpu_result r = cpu_access(&g, gva, 0);

	if (r.kind == CPU_RAM && r.gpa - TABLE(0) < TABLES * PAGE_SIZE)
		cpu_write(&g, gva, 0, random_entry(), size);
}

static void fill_tables(void)
{
	for (unsigned i = 0; i < TABLES; i++)
		memset(ram_ptr(TABLE(i)), 0, PAGE_SIZE);
	for (unsigned i = 0; i < 200; i++)
		change_entry();
}

/* PAE's top level is checked when it is loaded, and this guest passes. */
static void load_cr3(void)
{
	for (unsigned i = 0; mode == MPAE && i < 4; i++) {
		u64 e = *(u64 *)ram_ptr(g.cr3 + i * 8);

		cpu_store(&g, g.cr3 + i * 8, e & (0xfffff000 | PTE_P), 8);
	}
	CHECK(!shadow_pdpte_bad(cpu.s, &g));
	shadow_load_cr3(cpu.s, &g);
}

/* What the reference walk says must be what the CPU comes to. */
static bool check_access(gva_t gva, u32 access)
{
	const struct walk_mem mem = {.ram = ref_ram};
	struct walk_result want = {0};
	struct cpu_result got;
	struct walk_regs now;
	int rc;

	g.cpl = access & PFEC_U ? 3 : 0;
	now = g;
	now.pdpte = shadow_pdpte(cpu.s);
	rc = walk_gva(&mem, &now, gva, access | WALK_NO_AD, &want);
	if (rc == -EIO)
		return true; /* tables elsewhere: another test's */
	got = cpu_access(&g, gva, access);
	if (rc == -EFAULT) {
		CHECK_EQ(got.kind, CPU_FAULT);
		CHECK_EQ(got.error, want.error_code);
	} else {
		CHECK_EQ(got.kind == CPU_FAULT || got.kind == CPU_STUCK, false);
		CHECK_EQ(got.gpa, want.gpa);
		if (!unit_failures && got.kind == CPU_RAM) {
			u64 sum = ram_sum();

			walk_gva(&mem, &now, gva, access, &want);
			CHECK_EQ(ram_sum() == sum, true);
		}
	}
	if (unit_failures)
		printf("# mode %s gva %llx access %x cr0 %llx cr4 %llx efer %llx\n",
		       mode_name[mode], (unsigned long long)gva, access, (unsigned long long)g.cr0,
		       (unsigned long long)g.cr4, (unsigned long long)g.efer);
	return !unit_failures;
}

static u32 random_access_kind(void)
{
	static const u32 kinds[] = {0, PFEC_W, PFEC_I, PFEC_U, PFEC_U | PFEC_W, PFEC_U | PFEC_I};

	return kinds[rnd(6)];
}

/* Changes without a flush in between, accesses that may see either; then a flush, and exactness. */
static void run_program(unsigned m, unsigned variant, const struct shadow_config *c, unsigned ops)
{
	random_seed(m * 1000 + variant * 7 + c->policy);
	set_mode(m, variant);
	cpu_start(c);
	fill_tables();
	CHECK_EQ(shadow_enter(cpu.s, &g), 0);
	for (unsigned i = 0; i < ops && !unit_failures; i++) {
		for (unsigned n = rnd(4); n; n--) {
			change_entry();
			cpu_access(&g, random_gva(), random_access_kind());
			change_mapped_entry();
		}
		if (!rnd(40)) {
			set_mode(m, variant ^ rnd(2));
			shadow_mode_changed(cpu.s, &g);
		}
		if (!rnd(10))
			g.cr3 = TABLE(rnd(3));
		if (!rnd(50)) {
			shadow_leave(cpu.s);
			change_entry();
			shadow_enter(cpu.s, &g);
		}
		load_cr3();
		g.pkru = rnd(2) ? 0 : (u32)random_u64();
		for (unsigned n = 0; n < 6 && !unit_failures; n++) {
			gva_t gva = random_gva();

			check_access(gva, random_access_kind());
			if (rnd(3))
				continue;
			change_entry();
			shadow_invlpg(cpu.s, &g, gva);
			check_access(gva, random_access_kind());
			load_cr3();
		}
		CHECK_EQ(cpu_audit(&g), 0);
	}
	cpu_end();
}

static const struct shadow_config simple = {
	.policy = SHADOW_VTLB, .pool_pages = SHADOW_MIN_PAGES, .has_1g = true, .maxphyaddr = 46};

static void run_all(struct shadow_config c, unsigned ops)
{
	for (unsigned m = 0; m < MODES; m++)
		for (unsigned v = 0; v < 128 && !unit_failures; v++)
			run_program(m, v, &c, ops);
}

TEST(reference_policy_is_exact_after_every_flush)
{
	run_all(simple, 40);
}

TEST(hybrid_is_exact_after_every_flush)
{
	struct shadow_config c = simple;

	c.policy = SHADOW_AUTO;
	run_all(c, 60);
}

TEST(hybrid_with_filtered_faults_is_exact_after_every_flush)
{
	struct shadow_config c = simple;

	c.policy = SHADOW_AUTO;
	c.filters_faults = true;
	run_all(c, 60);
}

/* --- unpaged --------------------------------------------------------------------------------- */

TEST(unpaged_guest_sees_memory_as_it_is)
{
	set_mode(M32, 0);
	g.cr0 = 0;
	cpu_start(&simple);
	shadow_enter(cpu.s, &g);
	for (gva_t a = 0; a < RAM_BYTES + 8 * MIB; a += 0x7000) {
		struct cpu_result r = cpu_access(&g, a, PFEC_W);
		hpa_t hpa;
		enum p2m_kind kind = p2m_lookup(&cpu.m, a, &hpa);

		CHECK_EQ(r.gpa, a);
		CHECK_EQ(r.kind, kind == P2M_RAM ? CPU_RAM : CPU_MMIO);
	}
	CHECK_EQ(cpu_access(&g, ROM_ADDRESS, 0).kind, CPU_RAM);
	CHECK_EQ(cpu_access(&g, ROM_ADDRESS, PFEC_W).kind, CPU_MMIO);
	CHECK(cpu.faults < 700);
	cpu_end();
}
