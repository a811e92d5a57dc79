/* Panic: one CPU reports, the others stop.
 *
 * The others are stopped by NMI, since the hypervisor runs with interrupts off; one that sits in a
 * guest leaves it by the NMI intercept and takes the NMI in its own NMI handler.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/panic.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/ksyms.h"
#include "core/trap.h"
#include "firmware/console.h"
#include "firmware/lapic.h"
#include "lib/cpuops.h"
#include "lib/str.h"

#define BACKTRACE_MAX 24
#define STOP_WAIT_US  20000

void (*panic_hook)(const char *reason);

static u32 panic_owner; /* id + 1 of the CPU that panics */
static unsigned panic_depth;
static unsigned panic_stopped;
static char panic_reason[256];

static _Noreturn void panic_halt(void)
{
	for (;;) {
		irq_disable();
		hlt();
	}
}

void panic_stop_check(void)
{
	u32 owner = __atomic_load_n(&panic_owner, __ATOMIC_ACQUIRE);

	if (!owner || owner == this_cpu()->id + 1)
		return;
	__atomic_add_fetch(&panic_stopped, 1, __ATOMIC_RELEASE);
	panic_halt();
}

void panic_printf(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	console_write(line, strlen(line));
}

static void panic_stop_others(void)
{
	unsigned others = ncpus ? ncpus - 1 : 0;

	if (!others)
		return;
	for (unsigned i = 0; i < ncpus; i++) {
		if (&cpus[i] != this_cpu())
			lapic_send_nmi(cpus[i].apic_id);
	}
	for (unsigned us = 0; us < STOP_WAIT_US; us += 10) {
		if (__atomic_load_n(&panic_stopped, __ATOMIC_ACQUIRE) >= others)
			return;
		clock_delay_us(10);
	}
	panic_printf("hv| %u of %u other CPUs did not stop\n", others - panic_stopped, others);
}

/* Become the panicking CPU; a second panic on it (a fault in here) is cut short. */
static void panic_begin(void)
{
	u32 none = 0, me = this_cpu()->id + 1;

	irq_disable();
	if (!__atomic_compare_exchange_n(&panic_owner, &none, me, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE) &&
	    none != me) {
		__atomic_add_fetch(&panic_stopped, 1, __ATOMIC_RELEASE);
		panic_halt();
	}
	if (++panic_depth > 3)
		panic_halt();
	console_panic();
	if (panic_depth > 1) {
		panic_printf("hv| PANIC inside a panic\n");
		return;
	}
	panic_stop_others();
}

static void panic_place(u64 addr)
{
	u64 off = 0;
	const char *name = ksym_lookup(addr, &off);

	if (name)
		panic_printf("hv|   %016llx %s+0x%llx\n", (unsigned long long)addr, name,
			     (unsigned long long)off);
	else
		panic_printf("hv|   %016llx\n", (unsigned long long)addr);
}

/* Frame pointers: [rbp] is the caller's rbp, [rbp + 8] the return address. */
static void panic_backtrace(u64 rip, u64 rbp)
{
	panic_printf("hv| back-trace:\n");
	panic_place(rip);
	for (unsigned i = 0; i < BACKTRACE_MAX && rbp; i++) {
		u64 next, ret;

		if ((rbp & 7) || read_safe(rbp, &next) || read_safe(rbp + 8, &ret) || !ret)
			return;
		panic_place(ret);
		if (next <= rbp)
			return;
		rbp = next;
	}
}

#define ULL(x) ((unsigned long long)(x))

static void panic_control_registers(void)
{
	panic_printf("hv| cr0 %016llx cr2 %016llx cr3 %016llx cr4 %016llx\n", ULL(read_cr0()),
		     ULL(read_cr2()), ULL(read_cr3()), ULL(read_cr4()));
	panic_printf("hv| efer %016llx cpu %u apic %u at %llu us\n", ULL(rdmsr(MSR_EFER)),
		     this_cpu()->id, this_cpu()->apic_id, ULL(clock_ns() / NSEC_PER_USEC));
}

static void panic_registers(const struct trap_frame *f)
{
	panic_printf("hv| rip %016llx cs %04llx rflags %08llx rsp %016llx ss %04llx\n", ULL(f->rip),
		     ULL(f->cs), ULL(f->rflags), ULL(f->rsp), ULL(f->ss));
	panic_printf("hv| rax %016llx rbx %016llx rcx %016llx rdx %016llx\n", ULL(f->rax),
		     ULL(f->rbx), ULL(f->rcx), ULL(f->rdx));
	panic_printf("hv| rsi %016llx rdi %016llx rbp %016llx r8  %016llx\n", ULL(f->rsi),
		     ULL(f->rdi), ULL(f->rbp), ULL(f->r8));
	panic_printf("hv| r9  %016llx r10 %016llx r11 %016llx r12 %016llx\n", ULL(f->r9),
		     ULL(f->r10), ULL(f->r11), ULL(f->r12));
	panic_printf("hv| r13 %016llx r14 %016llx r15 %016llx\n", ULL(f->r13), ULL(f->r14),
		     ULL(f->r15));
}

static _Noreturn void panic_end(void)
{
	void (*hook)(const char *) = panic_hook;

	panic_hook = NULL;
	if (hook)
		hook(panic_reason);
	panic_printf("hv| halted\n");
	panic_halt();
}

void panic_at(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	panic_begin();
	va_start(ap, fmt);
	vsnprintf(panic_reason, sizeof(panic_reason), fmt, ap);
	va_end(ap);
	panic_printf("\nhv| PANIC: %s (%s:%d)\n", panic_reason, file, line);
	panic_control_registers();
	panic_backtrace((u64)__builtin_return_address(0), *(u64 *)__builtin_frame_address(0));
	panic_end();
}

void panic_trap(struct trap_frame *f)
{
	panic_begin();
	snprintf(panic_reason, sizeof(panic_reason), "exception %s (%llu), error 0x%llx",
		 trap_name((unsigned)f->vector), ULL(f->vector), ULL(f->error));
	panic_printf("\nhv| PANIC: %s\n", panic_reason);
	panic_registers(f);
	panic_control_registers();
	panic_backtrace(f->rip, f->rbp);
	panic_end();
}
