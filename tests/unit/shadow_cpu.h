/* A machine for tests of the shadow tables: guest memory scattered over the host's, and a CPU that
 * walks what shadow.h loads, with a TLB per tag that forgets only what it is told to forget.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_SHADOW_CPU_H
#define TESTS_UNIT_SHADOW_CPU_H

#include <errno.h>
#include <sys/mman.h>

#include "lib/x86.h"
#include "mem/frames.h"
#include "mem/hostmap.h"
#include "paging/shadow/shadow.h"
#include "unit.h"

#define HOST_BYTES (64 * MIB)
#define RAM_CHUNKS 8u
#define RAM_BYTES  (RAM_CHUNKS * P2M_CHUNK)
#define TLB_SIZE   256u
#define TRIES	   64u

enum cpu_kind { CPU_RAM, CPU_MMIO, CPU_FAULT, CPU_STUCK };

struct cpu_result {
	enum cpu_kind kind;
	gpa_t gpa;
	u32 error;
};

struct tlb_entry {
	bool valid;
	unsigned tag;
	gva_t page; /* 4 KiB; of a larger leaf too, but forgotten with the whole of it */
	gva_t base;
	u64 size, e, all, any;
};

static struct {
	u8 *host;
	u64 host_next, host_used;
	struct p2m m;
	hpa_t chunk[RAM_CHUNKS];
	u8 *va[RAM_CHUNKS];
	struct shadow *s;
	struct shadow_root root;
	struct tlb_entry tlb[TLB_SIZE];
	u64 faults, flushes, page_flushes, stores;
	bool filtered;
	const u64 *value; /* that a write writes; NULL: what is there */
	unsigned value_size;
	u64 random;
} cpu;

__attribute__((unused)) void *hpa_va(hpa_t hpa)
{
	return cpu.host + hpa;
}

__attribute__((unused)) hpa_t va_hpa(const void *va)
{
	return (hpa_t)((const u8 *)va - cpu.host);
}

hpa_t frames_alloc(u64 pages, u64 align, unsigned owner)
{
	hpa_t hpa = cpu.host_next;

	(void)align, (void)owner;
	if (hpa + pages * PAGE_SIZE > HOST_BYTES)
		return 0;
	cpu.host_next += pages * PAGE_SIZE;
	cpu.host_used += pages;
	memset(cpu.host + hpa, 0xaa, pages * PAGE_SIZE);
	return hpa;
}

__attribute__((unused)) hpa_t frames_alloc_below(u64 pages, u64 align, hpa_t limit, unsigned owner)
{
	(void)limit;
	return frames_alloc(pages, align, owner);
}

hpa_t frames_alloc_chunk(u64 size, unsigned owner)
{
	(void)size, (void)owner;
	return 0;
}

bool frames_extent(unsigned i, hpa_t *base, u64 *len, unsigned *owner)
{
	(void)i, (void)base, (void)len, (void)owner;
	return false;
}

void frames_free(hpa_t base, u64 pages, unsigned owner)
{
	(void)base, (void)owner;
	cpu.host_used -= pages;
}

/* --- random numbers -------------------------------------------------------------------------- */

static inline void random_seed(u64 seed)
{
	cpu.random = seed * 0x9e3779b97f4a7c15ull + 1;
}

static inline u64 random_u64(void)
{
	cpu.random ^= cpu.random << 13;
	cpu.random ^= cpu.random >> 7;
	cpu.random ^= cpu.random << 17;
	return cpu.random * 0x2545f4914f6cdd1dull;
}

static inline u64 rnd(unsigned n)
{
	return (random_u64() >> 20) % n;
}

/* --- memory ---------------------------------------------------------------------------------- */

static inline void *ram_ptr(gpa_t gpa)
{
	return p2m_ptr(&cpu.m, gpa);
}

static inline void *ref_ram(void *ctx, gpa_t gpa)
{
	(void)ctx;
	return ram_ptr(gpa);
}

/* Of the chunk that has the tables. */
static inline u64 ram_sum(void)
{
	const u64 *p = ram_ptr(0x300000);
	u64 sum = 0;

	for (unsigned i = 0; i < 16 * 512; i++)
		sum = sum * 31 + p[i];
	return sum;
}

/* --- the CPU --------------------------------------------------------------------------------- */

static inline void cpu_load(void *ctx, const struct shadow_root *root)
{
	(void)ctx;
	cpu.root = *root;
}

static inline void cpu_flush(void *ctx, unsigned tag)
{
	(void)ctx;
	cpu.flushes++;
	for (unsigned i = 0; i < TLB_SIZE; i++)
		if (cpu.tlb[i].tag == tag)
			cpu.tlb[i].valid = false;
}

static inline void cpu_flush_page(void *ctx, unsigned tag, gva_t gva)
{
	(void)ctx;
	cpu.page_flushes++;
	for (unsigned i = 0; i < TLB_SIZE; i++)
		if (cpu.tlb[i].tag == tag && gva - cpu.tlb[i].base < cpu.tlb[i].size)
			cpu.tlb[i].valid = false;
}

static const struct shadow_cpu_ops cpu_ops = {
	.load = cpu_load,
	.flush = cpu_flush,
	.flush_page = cpu_flush_page,
};

static inline bool hw_refuses(const struct walk_regs *g, u32 access, const struct tlb_entry *t)
{
	bool user = t->all & PTE_U;
	u32 key = g->pkru >> ((t->e >> 59 & 15) * 2);

	if ((access & PFEC_I) && (t->any & PTE_NX))
		return true;
	if ((access & PFEC_U) && !user)
		return true;
	if ((access & PFEC_W) && !(t->all & PTE_W))
		return true;
	if (!(access & PFEC_U) && user && (access & PFEC_I) && (g->cr4 & CR4_SMEP))
		return true;
	if (!(access & (PFEC_U | PFEC_I)) && user && (g->cr4 & CR4_SMAP) &&
	    !(g->rflags & RFLAGS_AC))
		return true;
	if ((g->cr4 & CR4_PKE) && (g->efer & EFER_LMA) && user && !(access & PFEC_I))
		return (key & 1) || ((key & 2) && (access & PFEC_W));
	return false;
}

/* Walk the shadow. False: @error. */
static inline bool hw_walk(const struct walk_regs *g, gva_t gva, u32 access, struct tlb_entry *t,
			   u32 *error)
{
	unsigned level = cpu.root.format == SHADOW_LONG ? 4 : 3;
	hpa_t table = cpu.root.table;

	*t = (struct tlb_entry){
		.valid = true, .tag = cpu.root.tag, .page = gva & ~0xfffull, .all = ~0ull};
	*error = access;
	for (;; level--) {
		unsigned shift = 12 + 9 * (level - 1);
		bool pdpte = level == 3 && cpu.root.format == SHADOW_PAE;
		u64 *at = (u64 *)hpa_va(table) + (gva >> shift & (pdpte ? 3 : 511));
		u64 e = *at;

		if (!(e & PTE_P))
			return false;
		if (e & (PTE_ADDR & ~0ull << 46)) {
			*error |= PFEC_P | PFEC_RSVD;
			return false;
		}
		if (cpu.root.format == SHADOW_PAE && (e & 0x7ff0000000000000ull)) {
			*error |= PFEC_P | PFEC_RSVD;
			return false;
		}
		CHECK((e & PTE_ADDR) < HOST_BYTES);
		if (!pdpte) {
			*at |= PTE_A;
			t->all &= e;
			t->any |= e;
		}
		if (level == 1 || (e & PTE_PS)) {
			t->e = e;
			t->size = 1ull << shift;
			t->base = gva & ~(t->size - 1);
			break;
		}
		table = e & PTE_ADDR;
	}
	if (!hw_refuses(g, access, t))
		return true;
	*error |= PFEC_P;
	return false;
}

static inline gpa_t gpa_of_host(hpa_t hpa)
{
	for (unsigned i = 0; i < RAM_CHUNKS; i++)
		if (cpu.chunk[i] && hpa - cpu.chunk[i] < P2M_CHUNK)
			return i * P2M_CHUNK + (hpa - cpu.chunk[i]);
	return ~0ull;
}

static inline struct cpu_result hit(const struct tlb_entry *t, gva_t gva, u32 access)
{
	hpa_t hpa = (t->e & PTE_ADDR & ~(t->size - 1)) + (gva & (t->size - 1));
	struct cpu_result r = {.kind = CPU_RAM, .gpa = gpa_of_host(hpa)};

	CHECK(r.gpa != ~0ull);
	/* Nothing that is no RAM is ever writable. */
	if (access & PFEC_W)
		CHECK(ram_ptr(r.gpa) != NULL);
	if ((access & PFEC_W) && cpu.value)
		memcpy(ram_ptr(r.gpa), cpu.value, cpu.value_size);
	return r;
}

/* MOV to a table that is kept in step, as the shadow carries it out. */
static inline bool cpu_move(const struct walk_regs *g, gva_t gva, gpa_t gpa)
{
	u8 wide[] = {0x48, 0x89, 0x07}, narrow[] = {0x89, 0x07}; /* mov [rdi], rax or eax */
	bool is_wide = !cpu.value || cpu.value_size == 8;
	u64 gpr[16] = {[GPR_RDI] = gva}, rip = 0x1000, flags = 2;
	struct shadow_insn insn = {.gpr = gpr,
				   .rip = &rip,
				   .rflags = &flags,
				   .bytes = is_wide ? wide : narrow,
				   .len = is_wide ? 3 : 2,
				   .width = 64};

	memcpy(&gpr[GPR_RAX], cpu.value ? cpu.value : ram_ptr(gpa & ~7ull), is_wide ? 8 : 4);
	if (!shadow_store(cpu.s, g, &insn, gva, gpa))
		return false;
	CHECK_EQ(rip, 0x1000 + insn.len);
	cpu.stores++;
	return true;
}

/* One access as the guest does it; a store puts back what was there. */
static struct cpu_result cpu_run(const struct walk_regs *g, gva_t gva, u32 access)
{
	struct tlb_entry t;
	u32 error;

	for (unsigned i = 0; i < TRIES; i++) {
		struct shadow_outcome o;
		struct tlb_entry *slot =
			&cpu.tlb[(gva >> 12 ^ gva >> 21 ^ cpu.root.tag * 37) % TLB_SIZE];

		if (slot->valid && slot->tag == cpu.root.tag && slot->page == (gva & ~0xfffull) &&
		    !hw_refuses(g, access, slot))
			return hit(slot, gva, access);
		slot->valid = false;
		if (hw_walk(g, gva, access, &t, &error)) {
			*slot = t;
			return hit(&t, gva, access);
		}
		if (cpu.filtered && !(error & PFEC_P))
			return (struct cpu_result){.kind = CPU_FAULT, .error = error};
		cpu.faults++;
		o = shadow_fault(cpu.s, g, gva, error);
		if (o.result == SHADOW_GUEST)
			return (struct cpu_result){.kind = CPU_FAULT, .error = o.error};
		if (o.result == SHADOW_MMIO)
			return (struct cpu_result){.kind = CPU_MMIO, .gpa = o.gpa};
		if (o.result == SHADOW_STORE) {
			if (cpu_move(g, gva, o.gpa))
				return (struct cpu_result){.kind = CPU_RAM, .gpa = o.gpa};
		}
	}
	return (struct cpu_result){.kind = CPU_STUCK};
}

static inline struct cpu_result cpu_access(const struct walk_regs *g, gva_t gva, u32 access)
{
	return cpu_run(g, gva, access);
}

/* The guest writes @value at @gva, an entry's size. */
static inline struct cpu_result cpu_write(const struct walk_regs *g, gva_t gva, u32 access,
					  u64 value, unsigned size)
{
	struct cpu_result r;

	cpu.value = &value;
	cpu.value_size = size;
	r = cpu_run(g, gva, access | PFEC_W);
	cpu.value = NULL;
	return r;
}

/* The guest stores to its own memory, by a mapping that is not part of the test: as a device's
 * write if the frame is being watched. */
static inline void cpu_store(const struct walk_regs *g, gpa_t gpa, u64 value, unsigned size)
{
	(void)g;
	memcpy(ram_ptr(gpa), &value, size);
	if (cpu.s)
		shadow_written(cpu.s, gpa, size);
}

static inline void cpu_say(void *ctx, const char *text)
{
	(void)ctx;
	printf("# audit: %s\n", text);
}

static inline unsigned cpu_audit(const struct walk_regs *g)
{
	return shadow_audit(cpu.s, g, cpu_say, NULL);
}

static inline void cpu_memory(void)
{
	if (!cpu.host)
		cpu.host = mmap(NULL, HOST_BYTES, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(&cpu.m, 0, sizeof(cpu.m));
	cpu.m.chunk = cpu.chunk;
	cpu.m.va = cpu.va;
	cpu.m.nchunks = RAM_CHUNKS;
	memset(cpu.m.low_kind, P2M_RAM, sizeof(cpu.m.low_kind));
	/* In no order, and with a hole. */
	for (unsigned i = 0; i < RAM_CHUNKS; i++) {
		cpu.chunk[i] = i == 6 ? 0 : (2 + (i * 5) % 16) * P2M_CHUNK;
		cpu.va[i] = i == 6 ? NULL : cpu.host + cpu.chunk[i];
	}
	p2m_set_low_kind(&cpu.m, 0xe0000, 0x20000, P2M_ROM);
	p2m_set_low_kind(&cpu.m, 0xa0000, 0x10000, P2M_NONE);
}

static inline void cpu_start(const struct shadow_config *c)
{
	struct shadow_config config = *c;

	cpu_memory();
	cpu.host_next = 18 * P2M_CHUNK;
	cpu.host_used = 0;
	memset(cpu.tlb, 0, sizeof(cpu.tlb));
	cpu.faults = cpu.flushes = cpu.page_flushes = cpu.stores = 0;
	config.cpu = &cpu_ops;
	cpu.filtered = c->filters_faults;
	CHECK_EQ(shadow_create(&cpu.s, &config, &cpu.m), 0);
}

static inline void cpu_end(void)
{
	shadow_destroy(cpu.s);
	cpu.s = NULL;
	CHECK_EQ(cpu.host_used, 0);
}

#endif
