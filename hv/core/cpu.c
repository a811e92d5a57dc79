/* Per-CPU structures, descriptor tables and stacks.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/cpu.h"
#include "core/trap.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "mem/hostmap.h"

#define GDT_CODE64	  0x00af9b000000ffffull
#define GDT_DATA	  0x00cf93000000ffffull
#define GDT_TSS_AVAILABLE (0x89ull << 40)

/* PAT entries 0-3 as after reset (WB WT UC- UC); entry 4, chosen by the PAT bit alone, is WC. */
#define PAT_VALUE 0x0007040100070406ull

/* One slot of the stack window per CPU: guard, NMI, guard, #DF, guard, #MC, guard, main. */
#define STACK_SLOT	  (1 * MIB)
#define STACK_IST_STEP	  (PAGE_SIZE + CPU_IST_STACK_SIZE)
#define STACK_MAIN_OFFSET ((IST_END - 1) * STACK_IST_STEP + PAGE_SIZE)
#define STACK_BYTES	  ((IST_END - 1) * CPU_IST_STACK_SIZE + CPU_STACK_SIZE)

struct cpu cpus[BOOT_MAX_CPUS] __attribute__((aligned(64)));
unsigned ncpus;

/* Until cpu_alloc_stacks() has run for the boot CPU. */
static u8 boot_ist[IST_END - 1][PAGE_SIZE] __attribute__((aligned(16)));

void cpu_init(struct cpu *c, unsigned id, u32 apic_id, u32 acpi_uid)
{
	u64 base = (u64)&c->tss;

	c->self = c;
	c->id = id;
	c->apic_id = apic_id;
	c->acpi_uid = acpi_uid;
	c->tss.iomap_base = sizeof(c->tss); /* beyond the limit: no I/O map */
	c->gdt[SEL_CODE / 8] = GDT_CODE64;
	c->gdt[SEL_DATA / 8] = GDT_DATA;
	c->gdt[SEL_TSS / 8] = GDT_TSS_AVAILABLE | (sizeof(c->tss) - 1) | (base & 0xffffff) << 16 |
			      (base >> 24 & 0xff) << 56;
	c->gdt[SEL_TSS / 8 + 1] = base >> 32;
}

static void cpu_load_gdt(struct cpu *c)
{
	struct desc_ptr p = {.limit = sizeof(c->gdt) - 1, .base = (u64)c->gdt};

	lgdt(&p);
	asm volatile("pushq %0\n\t"
		     "leaq 1f(%%rip), %%rax\n\t"
		     "pushq %%rax\n\t"
		     "lretq\n"
		     "1: movl %1, %%ds\n\t"
		     "movl %1, %%es\n\t"
		     "movl %1, %%ss\n\t"
		     :
		     : "i"(SEL_CODE), "r"(SEL_DATA)
		     : "rax", "memory");
}

void cpu_load(struct cpu *c)
{
	cpu_load_gdt(c);
	wrmsr(MSR_GS_BASE, (u64)c);
	/* LTR refuses a busy descriptor: this CPU may have loaded it before. */
	c->gdt[SEL_TSS / 8] &= ~(2ull << 40);
	ltr(SEL_TSS);
	trap_load();
	wrmsr(MSR_PAT, PAT_VALUE);
}

void cpu_init_boot(void)
{
	struct cpu *c = &cpus[0];

	cpu_init(c, 0, 0, 0);
	c->bsp = true;
	c->online = true;
	for (unsigned i = IST_NMI; i < IST_END; i++)
		c->tss.ist[i - 1] = (u64)boot_ist[i - 1] + sizeof(boot_ist[0]);
	ncpus = 1;
	trap_init();
	cpu_load(c);
}

static u64 stack_slot(const struct cpu *c)
{
	return HOSTMAP_STACKS + c->id * STACK_SLOT;
}

int cpu_alloc_stacks(struct cpu *c)
{
	hpa_t hpa = frames_alloc(STACK_BYTES / PAGE_SIZE, 1, OWNER_HYPERVISOR);
	u64 va = stack_slot(c);

	if (!hpa)
		return -ENOMEM;
	for (unsigned i = IST_NMI; i < IST_END; i++) {
		va += PAGE_SIZE;
		if (hostmap_map(va, hpa, CPU_IST_STACK_SIZE, HOSTMAP_W))
			return -ENOMEM;
		va += CPU_IST_STACK_SIZE;
		hpa += CPU_IST_STACK_SIZE;
		c->tss.ist[i - 1] = va;
	}
	va = stack_slot(c) + STACK_MAIN_OFFSET;
	if (hostmap_map(va, hpa, CPU_STACK_SIZE, HOSTMAP_W))
		return -ENOMEM;
	c->stack_top = (void *)(va + CPU_STACK_SIZE);
	c->tss.rsp[0] = va + CPU_STACK_SIZE;
	return 0;
}

void cpu_free_stacks(struct cpu *c)
{
	u64 va = stack_slot(c);
	hpa_t hpa = hostmap_translate(va + PAGE_SIZE);

	if (!hpa)
		return;
	hostmap_unmap(va, STACK_MAIN_OFFSET + CPU_STACK_SIZE);
	frames_free(hpa, STACK_BYTES / PAGE_SIZE, OWNER_HYPERVISOR);
	c->stack_top = NULL;
}
