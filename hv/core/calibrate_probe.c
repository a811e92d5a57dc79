/* The calibration's guest and its measures.
 *
 *   guest-linear            guest-physical           behind it
 *   2 MiB   code, tables    2 MiB                    chunk 1
 *   1 GiB   small pages     1 GiB + the same         chunk 2, over and over
 *   2 GiB   large pages     1 GiB + the same         chunk 2, over and over
 *   3 GiB   every 8th page  in 4..6 MiB              chunk 2
 *
 * The tables are as large as those of real memory of that size, in nested mode by 2 MiB leaves
 * below the guest's own tables, as guests have them. The data is 512 lines of one chunk, always in
 * the cache: loads over small and large pages and in either mode hit the same lines, so that what
 * they differ by is the translation alone. Chunk 0 has the hypervisor's tables.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/calibrate_probe.h"
#include "core/cpu.h"
#include "engine/reset.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"

#define LEVELS	    4u
#define INDEX(a, l) ((a) >> (PAGE_SHIFT + 9 * ((l)-1)) & 511)

#define SMALL_AT GIB
#define LARGE_AT (2 * GIB)
#define TOUCH_AT (3 * GIB)
#define DATA_GPA GIB
#define STRIDE	 (8 * PAGE_SIZE) /* further apart than shadow paging looks around */

#define CODE_GPA   P2M_CHUNK
#define TABLES_GPA (P2M_CHUNK + PAGE_SIZE)

#define ATTR_CODE64 0x0a9b
#define ATTR_DATA   0x0c93

#define EXITS_PER_BATCH	   32u
#define FILLS_PER_BATCH	   16u
#define LOADS_PER_BATCH	   4096u
#define LEAST_BATCHES	   2u /* the first finds caches cold */
#define MOST_BATCHES	   32u
#define MOST_INTERRUPTIONS 100000u

#define LCG_A 6364136223846793005ull
#define LCG_C 1442695040888963407ull

extern const u8 probe_code[], probe_code_end[];
extern const u8 probe_cpuid[], probe_cr3[], probe_invlpg[], probe_fault[], probe_touch[],
	probe_loads[];

static const struct {
	const u8 *entry;
	enum exit_reason reason;
	u8 len; /* of the instruction that exits */
} loops[PROBE_EXITS] = {
	[PROBE_CPUID] = {probe_cpuid, EXIT_CPUID, 2},
	[PROBE_CR3] = {probe_cr3, EXIT_CR, 3},
	[PROBE_INVLPG] = {probe_invlpg, EXIT_INVLPG, 3},
	[PROBE_FAULT] = {probe_fault, EXIT_EXCEPTION, 2},
};

/* --- tables ----------------------------------------------------------------------------------- */

/* Tables in one run of pages, the root first. */
struct tables {
	u8 *va;
	u64 base; /* as the entries name it */
	unsigned used;
	const struct nested_format *format;
};

static u64 plain_leaf(hpa_t to, unsigned level, bool writable, bool executable)
{
	(void)writable, (void)executable;
	return to | PTE_P | PTE_W | PTE_A | PTE_D | (level > 1 ? PTE_PS : 0);
}

static u64 plain_table(hpa_t to)
{
	return to | PTE_P | PTE_W | PTE_A;
}

static bool plain_present(u64 entry)
{
	return entry & PTE_P;
}

static hpa_t plain_address(u64 entry)
{
	return entry & PTE_ADDR;
}

static const struct nested_format plain_format = {.levels = LEVELS,
						  .leaf = plain_leaf,
						  .table = plain_table,
						  .present = plain_present,
						  .address = plain_address};

static u64 *page_of(const struct tables *t, u64 address)
{
	return (u64 *)(t->va + (address - t->base));
}

static void map(struct tables *t, u64 at, u64 to, unsigned level)
{
	u64 *table = page_of(t, t->base);

	for (unsigned l = LEVELS; l > level; l--) {
		u64 *e = &table[INDEX(at, l)];

		if (!t->format->present(*e))
			*e = t->format->table(t->base + t->used++ * PAGE_SIZE);
		table = page_of(t, t->format->address(*e));
	}
	table[INDEX(at, level)] = t->format->leaf(to, level, true, true);
}

static struct tables tables_in(const struct probe *p, unsigned chunk, u64 offset, u64 base,
			       const struct nested_format *format)
{
	return (struct tables){.va = p->p2m.va[chunk] + offset,
			       .base = base + offset,
			       .used = 1,
			       .format = format};
}

/* The memory of the random loads, small pages and large, from @to on: of that, pieces of @piece are
 * all the same. */
static void map_loads(struct tables *t, u64 to, u64 piece)
{
	for (u64 i = 0; i < PROBE_PAGES_MAX * PAGE_SIZE; i += PAGE_SIZE)
		map(t, SMALL_AT + i, to + i % piece, 1);
	for (u64 i = 0; i < PROBE_PAGES_MAX * PAGE_SIZE; i += P2M_CHUNK)
		map(t, LARGE_AT + i, to + i % piece, 2);
}

static gpa_t make_guest_tables(struct probe *p)
{
	struct tables t = tables_in(p, 1, TABLES_GPA - CODE_GPA, CODE_GPA, &plain_format);

	map(&t, CODE_GPA, CODE_GPA, 2);
	map_loads(&t, DATA_GPA, UINT64_MAX);
	for (u64 i = 0; i < PROBE_TOUCHED; i++)
		map(&t, TOUCH_AT + i * STRIDE, 2 * P2M_CHUNK + i * PAGE_SIZE, 1);
	return t.base;
}

static hpa_t make_shadow_tables(struct probe *p)
{
	struct tables t = tables_in(p, 0, 0, p->p2m.chunk[0], &plain_format);

	map(&t, CODE_GPA, p->p2m.chunk[1], 2);
	map_loads(&t, p->p2m.chunk[2], P2M_CHUNK);
	return t.base;
}

static hpa_t make_nested_tables(struct probe *p)
{
	struct tables t = tables_in(p, 0, P2M_CHUNK / 2, p->p2m.chunk[0], p->engine->nested_format);

	map(&t, CODE_GPA, p->p2m.chunk[1], 2);
	for (u64 i = 0; i < PROBE_PAGES_MAX * PAGE_SIZE; i += P2M_CHUNK)
		map(&t, DATA_GPA + i, p->p2m.chunk[2], 2);
	return t.base;
}

/* --- the vCPU --------------------------------------------------------------------------------- */

static void set_registers(struct probe *p)
{
	struct vcpu_sregs r;

	vcpu_sregs_reset(&r);
	for (unsigned i = 0; i < SEG_LDTR; i++)
		r.seg[i] =
			(struct segment){.sel = SEL_DATA, .attr = ATTR_DATA, .limit = UINT32_MAX};
	r.seg[SEG_CS] = (struct segment){.sel = SEL_CODE, .attr = ATTR_CODE64, .limit = UINT32_MAX};
	r.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	r.cr4 = CR4_PAE;
	r.cr3 = p->guest_root;
	r.efer = EFER_LME | EFER_LMA | EFER_NXE;
	p->engine->set_sregs(&p->vcpu, &r);
	p->engine->set_tsc_offset(&p->vcpu, 0);
	/* On, or not every CPU leaves the guest for the host's own. It has none itself. */
	p->vcpu.rflags = RFLAGS_FIXED | RFLAGS_IF;
}

static int make_vcpu(struct probe *p)
{
	struct vcpu *v = &p->vcpu;
	int err;

	memset(v, 0, sizeof(*v));
	v->cpu = this_cpu()->id;
	v->engine = p->engine;
	err = p->engine->vcpu_init(v);
	if (err)
		return err;
	p->engine->moved(v);
	set_registers(p);
	return 0;
}

int probe_make(struct probe *p, const struct engine_ops *engine, const struct engine_caps *caps)
{
	int err;

	p->engine = engine;
	p->caps = caps;
	p->unexpected = EXIT_NONE;
	err = p2m_init(&p->p2m, 3 * P2M_CHUNK, OWNER_HYPERVISOR);
	if (err)
		return err;
	memcpy(p->p2m.va[1], probe_code, (size_t)(probe_code_end - probe_code));
	p->guest_root = make_guest_tables(p);
	p->shadow_root = make_shadow_tables(p);
	p->nested_root =
		caps->nested && engine->nested_format->levels == LEVELS ? make_nested_tables(p) : 0;
	return make_vcpu(p);
}

void probe_free(struct probe *p)
{
	if (p->vcpu.engine_data)
		p->engine->vcpu_free(&p->vcpu);
	if (p->p2m.chunk)
		p2m_free(&p->p2m);
}

bool probe_can(const struct probe *p, enum policy_mode mode)
{
	return mode == POLICY_SHADOW ? p->caps->shadow : p->nested_root != 0;
}

static void translate_by(struct probe *p, enum policy_mode mode)
{
	bool shadow = mode == POLICY_SHADOW;
	const struct translation t = {
		.kind = shadow ? TRANSLATION_SHADOW : TRANSLATION_NESTED,
		.root = shadow ? p->shadow_root : p->nested_root,
		.tag = shadow ? VCPU_TAG_SHADOW : VCPU_TAG_NESTED,
		.long_mode = shadow,
	};

	p->engine->set_translation(&p->vcpu, &t);
	p->engine->flush_tag(&p->vcpu, t.tag);
}

static void start_at(struct probe *p, const u8 *entry)
{
	p->vcpu.rip = CODE_GPA + (u64)(entry - probe_code);
}

/* Up to the next exit that the guest makes, interrupts of the host's between. */
static void run(struct probe *p, struct exit *x)
{
	for (unsigned i = 0; i < MOST_INTERRUPTIONS; i++) {
		p->engine->run(&p->vcpu, x);
		if (x->reason == EXIT_INTR)
			irq_let_in();
		else if (x->reason != EXIT_NMI)
			return;
	}
}

static bool expect(struct probe *p, const struct exit *x, enum exit_reason reason)
{
	if (x->reason == reason)
		return true;
	p->unexpected = x->reason;
	return false;
}

/* --- measures --------------------------------------------------------------------------------- */

/* The best of several batches: what else goes on only ever adds. */
struct best {
	u64 until; /* no batch begins after it but the least */
	unsigned batches;
	u64 cycles; /* of the best one */
};

static struct best best_begin(const struct probe *p)
{
	return (struct best){.until = rdtsc() + p->share, .cycles = UINT64_MAX};
}

static bool best_more(const struct best *b)
{
	return b->batches < LEAST_BATCHES || (b->batches < MOST_BATCHES && rdtsc() < b->until);
}

static void best_add(struct best *b, u64 cycles)
{
	b->batches++;
	b->cycles = MIN(b->cycles, cycles);
}

static bool exit_batch(struct probe *p, enum probe_exit what, u64 *cycles, u64 *inside)
{
	u64 start = rdtsc_ordered(), before;
	struct exit x;

	*inside = 0;
	for (unsigned i = 0; i < EXITS_PER_BATCH; i++) {
		before = rdtsc();
		run(p, &x);
		*inside += p->vcpu.exit_tsc - before;
		if (!expect(p, &x, loops[what].reason))
			return false;
		p->vcpu.rip += loops[what].len;
	}
	*cycles = rdtsc_ordered() - start;
	return true;
}

u64 probe_exit_cost(struct probe *p, enum probe_exit what, u64 *inside)
{
	enum policy_mode mode =
		what == PROBE_CPUID && probe_can(p, POLICY_NESTED) ? POLICY_NESTED : POLICY_SHADOW;
	struct best best = best_begin(p), within = best;
	u64 cycles, part;

	if (!probe_can(p, mode) || p->unexpected)
		return 0;
	translate_by(p, mode);
	start_at(p, loops[what].entry);
	while (best_more(&best)) {
		p->vcpu.gpr[GPR_RAX] = p->guest_root;
		p->vcpu.gpr[GPR_RDI] = what == PROBE_FAULT ? TOUCH_AT : SMALL_AT;
		if (!exit_batch(p, what, &cycles, &part))
			return 0;
		best_add(&best, cycles);
		best_add(&within, part);
	}
	if (inside)
		*inside = within.cycles / EXITS_PER_BATCH;
	return best.cycles / EXITS_PER_BATCH;
}

/* Fills until a batch is full or the guest has touched all its pages: false then. */
static bool fill_batch(struct probe *p, u64 *cycles)
{
	u64 start = rdtsc_ordered();
	struct paging_fault f;
	struct exit x;

	for (unsigned i = 0; i < FILLS_PER_BATCH; i++) {
		run(p, &x);
		if (x.reason == EXIT_CPUID)
			return false;
		if (!expect(p, &x, EXIT_EXCEPTION))
			return false;
		if (paging_shadow.fault(&p->vcpu, &x, &f) != PAGING_RETRY) {
			p->unexpected = x.reason;
			return false;
		}
	}
	*cycles = rdtsc_ordered() - start;
	return true;
}

static int shadow_begin(struct probe *p)
{
	const struct shadow_setup setup = {.policy = SHADOW_AUTO,
					   .p2m = &p->p2m,
					   .pool_pages = SHADOW_MIN_PAGES,
					   .maxphyaddr = p->caps->phys_bits,
					   .filters_faults = p->caps->filters_faults};
	int err = shadow_paging_init(&p->vcpu, &p->shadow, &setup, p->caps->shadow_1g,
				     p->caps->phys_bits);

	return err ? err : paging_shadow.enter(&p->vcpu);
}

static void shadow_end(struct probe *p)
{
	if (!p->vcpu.shadow)
		return;
	paging_shadow.leave(&p->vcpu);
	shadow_paging_free(&p->vcpu);
}

u64 probe_fill_cost(struct probe *p)
{
	struct best best = best_begin(p);
	u64 cycles;

	if (!probe_can(p, POLICY_SHADOW) || p->unexpected)
		return 0;
	if (shadow_begin(p) == 0) {
		start_at(p, probe_touch);
		p->vcpu.gpr[GPR_RDI] = TOUCH_AT;
		p->vcpu.gpr[GPR_RSI] = STRIDE;
		p->vcpu.gpr[GPR_RCX] = PROBE_TOUCHED;
		while (best_more(&best) && fill_batch(p, &cycles))
			best_add(&best, cycles);
	}
	shadow_end(p);
	return best.batches ? best.cycles / FILLS_PER_BATCH : 0;
}

static bool load_batch(struct probe *p, enum probe_pages kind, u64 pages, u64 *cycles)
{
	struct vcpu *v = &p->vcpu;
	struct exit x;

	start_at(p, probe_loads);
	v->gpr[GPR_RDI] = kind == PROBE_SMALL ? SMALL_AT : LARGE_AT;
	v->gpr[GPR_RSI] = pages - 1;
	v->gpr[GPR_RCX] = LOADS_PER_BATCH;
	v->gpr[GPR_R10] = LCG_A;
	v->gpr[GPR_R11] = LCG_C;
	run(p, &x);
	*cycles = v->gpr[GPR_RAX];
	p->loads += LOADS_PER_BATCH;
	return expect(p, &x, EXIT_CPUID);
}

u64 probe_load_cost(struct probe *p, enum policy_mode mode, enum probe_pages kind, u64 pages)
{
	struct best best = best_begin(p);
	u64 cycles;

	if (!probe_can(p, mode) || p->unexpected)
		return 0;
	translate_by(p, mode);
	while (best_more(&best)) {
		if (!load_batch(p, kind, pages, &cycles))
			return 0;
		best_add(&best, cycles);
	}
	return best.cycles * 1000 / LOADS_PER_BATCH;
}
