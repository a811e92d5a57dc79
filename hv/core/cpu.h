/* Per-CPU data of the hypervisor and the CPU's own descriptor tables.
 *
 * cpus[0] is the boot CPU; cpus[0..ncpus-1] are up, in the order of the MADT. %gs:0 holds the
 * running CPU's struct; %gs is never swapped, because the hypervisor runs in ring 0 only.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CPU_H
#define HV_CORE_CPU_H

#include "core/hwtimer.h"
#include "lib/timerq.h"
#include "penumbra/bootinfo.h"
#include "penumbra/types.h"

#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_TSS	 0x18 /* two slots */

#define CPU_STACK_SIZE	   (64 * KIB)
#define CPU_IST_STACK_SIZE (8 * KIB)

/* Interrupt-stack-table slots: exceptions that may strike on a bad or half-switched stack. */
enum cpu_ist { IST_NONE, IST_NMI, IST_DF, IST_MC, IST_END };

/* 64-bit task-state segment (AMD APM vol. 2 §12.2.5, Intel SDM vol. 3 §8.7). */
struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7]; /* ist[n - 1] serves slot n */
	u64 reserved2;
	u16 reserved3;
	u16 iomap_base;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "TSS layout");

struct vcpu;

/* How late this CPU came to serve its timer: by then every guest's timers on it waited as well.
 * Classes: up to 10, 100, 1000, 10 000 us, and more. */
#define TIMER_LATE_CLASSES 5
struct timer_late {
	u64 count, total_ns, max_ns;
	u64 classes[TIMER_LATE_CLASSES];
};

struct cpu {
	struct cpu *self; /* first: read through %gs:0 */
	unsigned id;	  /* index in cpus[] */
	u32 apic_id;
	u32 acpi_uid;
	bool bsp;
	bool online;   /* set by the CPU itself when it has reached C; read with acquire */
	s64 tsc_delta; /* added to this CPU's TSC to get the boot CPU's; 0 where they agree */
	u64 nmis;
	u64 spurious; /* interrupts on vector 0xff or without a handler */
	void *stack_top;
	u64 gdt[5];
	struct tss tss;

	/* Scheduler and timers (sched.c, timer.c). Only the CPU itself touches these, but for
	 * @attention, which interrupt handlers set. */
	volatile bool attention; /* cpu_service() has something to do */
	struct vcpu *incoming;	 /* pinned here by another CPU, to be queued; linked by next */
	struct vcpu *run_queue;	 /* ring; points at the one that ran last */
	struct vcpu *first; /* goes before the others when an interrupt waits for it, or NULL */
	bool first_only;    /* nobody else runs yet */
	u64 first_turn_ns;  /* how long @first usually runs, from its wake-up to HLT */
	u64 first_ran_ns;   /* how long it has in this turn */
	u64 grace_end_ns;   /* it wants the CPU, the one that runs has until then; 0: it does not */
	u64 grace_last_ns;  /* that may be put off until then */
	struct timer grace;
	struct vcpu *current; /* whose FPU and debug state is in the CPU */
	struct timer slice;
	struct timerq timers;
	struct hwtimer hwtimer; /* timers' hardware */
	struct timer_late late;
	u64 idle_ns;	/* halted: for how long, */
	u64 idle_waits; /* and how often */
};

extern struct cpu cpus[BOOT_MAX_CPUS];
extern unsigned ncpus;

/* The running CPU. Not for host builds. */
static inline struct cpu *this_cpu(void)
{
	struct cpu *c;

	asm("movq %%gs:0, %0" : "=r"(c));
	return c;
}

/* Boot CPU, first thing in C: cpus[0] on static stacks, descriptor tables, exceptions caught. */
void cpu_init_boot(void);
/* Give @c its stacks: guard pages between them, frames of the hypervisor's. 0 or -ENOMEM. */
int cpu_alloc_stacks(struct cpu *c);
/* Return them (a CPU that did not come up). */
void cpu_free_stacks(struct cpu *c);
/* Fill in @c's GDT and TSS. */
void cpu_init(struct cpu *c, unsigned id, u32 apic_id, u32 acpi_uid);
/* On the CPU itself: load GDT, TSS, IDT, GS base, PAT. */
void cpu_load(struct cpu *c);

#endif
