/* INIT, start-up, start-up (Intel SDM vol. 3 §8.4.4, MultiProcessor specification 1.4 §B.4), with a
 * trampoline in a borrowed page below 1 MiB.
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/smp.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/irq.h"
#include "firmware/firmware.h"
#include "firmware/lapic.h"
#include "lib/cpuops.h"
#include "lib/str.h"
#include "mem/hostmap.h"

#define INIT_WAIT_US	  10000
#define SIPI_WAIT_US	  200
#define ONLINE_WAIT_US	  500000
#define TRAMPOLINE_LOWEST 0x1000
#define SKEW_ROUNDS	  8

/* At the end of the trampoline's code; layout shared with trampoline.S. */
struct trampoline_data {
	u32 far32_offset; /* operand of the jump to 32-bit code */
	u16 far32_sel;
	u16 gdt_limit; /* operand of LGDT */
	u32 gdt_base;
	u32 far64_offset; /* operand of the jump to 64-bit code */
	u16 far64_sel;
	u16 pad;
	u32 cr3;
	u64 stack;
	u64 entry;
	u64 arg;
} __attribute__((packed));
_Static_assert(offsetof(struct trampoline_data, cr3) == 20, "trampoline layout");
_Static_assert(offsetof(struct trampoline_data, stack) == 24, "trampoline layout");

extern const u8 trampoline_start[], trampoline_end[], trampoline_data[], trampoline_gdt[];
extern const u8 trampoline_code32[], trampoline_code64[];

static u8 saved_page[PAGE_SIZE];
static u32 released;

/* Ping-pong between the boot CPU and one waiting AP to compare their counters. */
static struct {
	u32 ask; /* id of the CPU that is to read its counter; 0 once it has */
	u64 tsc; /* what it read */
	bool done[BOOT_MAX_CPUS];
} skew;

/* A whole page of RAM below 1 MiB, as high as possible (the BIOS's data lies at the bottom). */
static hpa_t find_page(const struct boot_info *bi)
{
	hpa_t best = 0;

	for (unsigned i = 0; i < bi->nregions; i++) {
		const struct boot_region *r = &bi->region[i];
		hpa_t end = MIN(r->base + r->len, MIB), page;

		if (r->type != MEM_RAM || r->base >= MIB)
			continue;
		page = ALIGN_DOWN(end, PAGE_SIZE);
		if (page < PAGE_SIZE)
			continue;
		page -= PAGE_SIZE;
		if (page >= r->base && page >= TRAMPOLINE_LOWEST && page > best)
			best = page;
	}
	return best;
}

static u64 offset(const u8 *symbol)
{
	return (u64)symbol - (u64)trampoline_start;
}

static u32 place(hpa_t page, const u8 *symbol)
{
	return (u32)(page + offset(symbol));
}

static struct trampoline_data *trampoline_install(hpa_t page)
{
	u8 *va = hpa_va(page);
	struct trampoline_data *d = (void *)(va + offset(trampoline_data));

	memcpy(saved_page, va, PAGE_SIZE);
	memcpy(va, trampoline_start, offset(trampoline_end));
	d->far32_offset = place(page, trampoline_code32);
	d->far64_offset = place(page, trampoline_code64);
	d->gdt_base = place(page, trampoline_gdt);
	d->cr3 = (u32)hostmap_root();
	return d;
}

static bool online(const struct cpu *c)
{
	return __atomic_load_n(&c->online, __ATOMIC_ACQUIRE);
}

static bool wait_online(const struct cpu *c, u64 us)
{
	u64 until = clock_ns() + us * NSEC_PER_USEC;

	while (!online(c)) {
		if (clock_ns() > until)
			return online(c);
		cpu_pause();
	}
	return true;
}

/* The AP's half of the comparison. */
static void ap_answer(u32 id)
{
	while (!__atomic_load_n(&skew.done[id], __ATOMIC_ACQUIRE)) {
		if (__atomic_load_n(&skew.ask, __ATOMIC_ACQUIRE) == id) {
			skew.tsc = rdtsc_ordered();
			__atomic_store_n(&skew.ask, 0, __ATOMIC_RELEASE);
		}
		cpu_pause();
	}
}

/* One round: *@delta is what CPU @id's counter lacks to the boot CPU's, *@gap how uncertain that is
 * (both in ticks). True when its reading lies outside the boot CPU's readings before and after. */
static bool skew_round(u32 id, s64 *delta, u64 *gap)
{
	u64 before = rdtsc_ordered(), after;

	__atomic_store_n(&skew.ask, id, __ATOMIC_RELEASE);
	while (__atomic_load_n(&skew.ask, __ATOMIC_ACQUIRE))
		cpu_pause();
	after = rdtsc_ordered();
	*gap = after - before;
	*delta = (s64)(before + *gap / 2 - skew.tsc);
	return (s64)(skew.tsc - before) < 0 || (s64)(after - skew.tsc) < 0;
}

/* What to add to CPU @id's counter: 0 unless every round says that it is off, then what the
 * sharpest round says. */
static s64 measure_skew(u32 id)
{
	u64 gap, best_gap = UINT64_MAX;
	s64 delta, best = 0;

	for (unsigned i = 0; i < SKEW_ROUNDS; i++) {
		if (!skew_round(id, &delta, &gap))
			return 0;
		if (gap < best_gap) {
			best_gap = gap;
			best = delta;
		}
	}
	return best;
}

static void match_clock(struct cpu *c)
{
	c->tsc_delta = measure_skew(c->id);
	__atomic_store_n(&skew.done[c->id], true, __ATOMIC_RELEASE);
	if (c->tsc_delta)
		firmware_say("CPU %u: TSC is off by %lld ticks, corrected", c->id,
			     (long long)-c->tsc_delta);
}

/* Where trampoline.S enters C, interrupts off, on the CPU's own stack. */
static _Noreturn void ap_entry(struct cpu *c)
{
	cpu_load(c);
	lapic_init_cpu();
	__atomic_store_n(&c->online, true, __ATOMIC_RELEASE);
	ap_answer(c->id);
	/* Not spinning: the others need the core's, or an emulator's host's, time to come up. */
	while (!__atomic_load_n(&released, __ATOMIC_ACQUIRE))
		irq_wait();
	/* The one-to-one mapping has gone meanwhile. */
	write_cr3(read_cr3());
	hv_ap_main(c);
	for (;;)
		hlt();
}

static bool start_one(struct cpu *c, struct trampoline_data *d, u8 page)
{
	d->stack = (u64)c->stack_top;
	d->arg = (u64)c;
	d->entry = (u64)ap_entry;
	lapic_send_startup(c->apic_id, page);
	if (wait_online(c, SIPI_WAIT_US))
		return true;
	lapic_send_startup(c->apic_id, page);
	return wait_online(c, ONLINE_WAIT_US);
}

static void add_cpu(const struct boot_cpu *b, struct trampoline_data *d, u8 page)
{
	struct cpu *c = &cpus[ncpus];

	cpu_init(c, ncpus, b->apic_id, b->acpi_uid);
	if (cpu_alloc_stacks(c)) {
		firmware_say("CPU with APIC ID %u: no memory for its stacks, left out", b->apic_id);
		return;
	}
	if (start_one(c, d, page)) {
		ncpus++;
		match_clock(c);
		return;
	}
	/* Back to waiting for a start-up that never comes, before its stack goes to another. */
	lapic_send_init(b->apic_id);
	clock_delay_us(SIPI_WAIT_US);
	cpu_free_stacks(c);
	firmware_say("CPU with APIC ID %u did not start, left out", b->apic_id);
}

static bool is_ap(const struct boot_cpu *b)
{
	return b->apic_id != cpus[0].apic_id;
}

unsigned smp_start(const struct boot_info *bi)
{
	const struct boot_acpi *a = &bi->acpi;
	hpa_t page = find_page(bi);
	struct trampoline_data *d;

	if (a->ncpus < 2)
		return ncpus;
	if (!page || hostmap_identity_begin(page)) {
		firmware_say("no page below 1 MiB to start other CPUs from: using one CPU");
		return ncpus;
	}
	d = trampoline_install(page);
	for (unsigned i = 0; i < a->ncpus; i++)
		if (is_ap(&a->cpu[i]))
			lapic_send_init(a->cpu[i].apic_id);
	clock_delay_us(INIT_WAIT_US);
	for (unsigned i = 0; i < a->ncpus && ncpus < BOOT_MAX_CPUS; i++)
		if (is_ap(&a->cpu[i]))
			add_cpu(&a->cpu[i], d, (u8)(page >> PAGE_SHIFT));
	hostmap_identity_end();
	memcpy(hpa_va(page), saved_page, PAGE_SIZE);
	return ncpus;
}

void smp_release(void)
{
	__atomic_store_n(&released, 1, __ATOMIC_RELEASE);
	for (unsigned i = 1; i < ncpus; i++)
		lapic_send_ipi(cpus[i].apic_id, VECTOR_KICK);
}
