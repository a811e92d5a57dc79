/* Register access differs between the modes; everything else does not.
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/lapic.h"
#include "core/clock.h"
#include "core/irq.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/muldiv.h"
#include "mem/hostmap.h"

enum lapic_reg {
	LAPIC_ID = 0x020,
	LAPIC_TPR = 0x080,
	LAPIC_EOI = 0x0b0,
	LAPIC_LDR = 0x0d0,
	LAPIC_DFR = 0x0e0,
	LAPIC_SVR = 0x0f0,
	LAPIC_ESR = 0x280,
	LAPIC_LVT_CMCI = 0x2f0,
	LAPIC_ICR = 0x300,
	LAPIC_ICR_HI = 0x310,
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_THERMAL = 0x330,
	LAPIC_LVT_PERF = 0x340,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_LINT1 = 0x360,
	LAPIC_LVT_ERROR = 0x370,
	LAPIC_TIMER_INIT = 0x380,
	LAPIC_TIMER_COUNT = 0x390,
	LAPIC_TIMER_DIV = 0x3e0,
	LAPIC_VERSION = 0x030,
};

#define X2APIC_MSR(reg)	 (0x800u + ((u32)(reg) >> 4))
#define APIC_BASE_BSP	 BIT(8)
#define APIC_BASE_ENABLE BIT(11)
#define APIC_BASE_X2	 BIT(10)
#define DFR_FLAT	 0xffffffffu
#define LDR_FIRST	 (1u << 24)
#define SVR_ENABLE	 0x100
#define LVT_MASKED	 BIT(16)
#define LVT_NMI		 0x400
#define LVT_PERIODIC	 (1u << 17)
#define LVT_TSC_DEADLINE (2u << 17)
#define ICR_FIXED	 0x0000
#define ICR_NMI		 0x0400
#define ICR_INIT	 0x0500
#define ICR_STARTUP	 0x0600
#define ICR_ASSERT	 0x4000
#define ICR_PENDING	 BIT(12)
#define TIMER_DIV_1	 0x0b

#define CPUID_1_EDX_APIC	 BIT(9)
#define CPUID_1_ECX_TSC_DEADLINE BIT(24)
#define CALIBRATE_US		 2000
#define TIMER_MIN_NS		 2000 /* shorter periods would repeat before they are served */
#define ICR_WAIT_READS		 100000
/* Version register: bits 23:16 = highest LVT entry. */
#define LVT_MAX(version)  ((version) >> 16 & 0xff)
#define LVT_INDEX_THERMAL 5
#define LVT_INDEX_CMCI	  6

static volatile u8 *regs; /* xAPIC */
static bool x2apic;
static bool tsc_deadline;
static u64 timer_mult; /* timer ticks = ns * mult >> 32 */

static u32 lapic_read(enum lapic_reg r)
{
	return x2apic ? (u32)rdmsr(X2APIC_MSR(r)) : *(volatile u32 *)(regs + r);
}

static void lapic_write(enum lapic_reg r, u32 v)
{
	if (x2apic)
		wrmsr(X2APIC_MSR(r), v);
	else
		*(volatile u32 *)(regs + r) = v;
}

int host_lapic_init(const struct boot_info *bi)
{
	u64 base;

	if (!(cpuid(1, 0).edx & CPUID_1_EDX_APIC))
		return -ENODEV;
	base = rdmsr(MSR_APIC_BASE);
	x2apic = (base & (APIC_BASE_ENABLE | APIC_BASE_X2)) == (APIC_BASE_ENABLE | APIC_BASE_X2);
	tsc_deadline = cpuid(1, 0).ecx & CPUID_1_ECX_TSC_DEADLINE;
	if (x2apic)
		return 0;
	/* The MSR is the truth; the MADT's address is what firmware meant it to be. */
	if (!(base & APIC_BASE_ENABLE) && bi->acpi.lapic_base)
		base = (base & ~APIC_BASE_ADDR) | bi->acpi.lapic_base;
	wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
	regs = mmio_map(base & APIC_BASE_ADDR, PAGE_SIZE);
	return regs ? 0 : -ENOMEM;
}

/* An AP in the other mode than the boot CPU is brought into line. */
static void match_mode(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	if (x2apic && !(base & APIC_BASE_X2)) {
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2);
	} else if (!(base & APIC_BASE_ENABLE)) {
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
	}
}

/* The boot CPU alone has a logical ID, the one that an operating system gives its first CPU: MSIs
 * of the control partition may be addressed to that. Not to be set in x2APIC mode. */
static void set_logical_id(void)
{
	bool bsp = rdmsr(MSR_APIC_BASE) & APIC_BASE_BSP;

	if (x2apic)
		return;
	lapic_write(LAPIC_DFR, DFR_FLAT);
	lapic_write(LAPIC_LDR, bsp ? LDR_FIRST : 0);
}

void lapic_init_cpu(void)
{
	unsigned max;

	match_mode();
	set_logical_id();
	max = LVT_MAX(lapic_read(LAPIC_VERSION));
	lapic_write(LAPIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	lapic_write(LAPIC_LVT_LINT0, LVT_MASKED);
	lapic_write(LAPIC_LVT_LINT1, LVT_NMI);
	lapic_write(LAPIC_LVT_ERROR, LVT_MASKED | VECTOR_SPURIOUS);
	if (max >= LVT_INDEX_THERMAL - 1)
		lapic_write(LAPIC_LVT_PERF, LVT_MASKED);
	if (max >= LVT_INDEX_THERMAL)
		lapic_write(LAPIC_LVT_THERMAL, LVT_MASKED);
	if (max >= LVT_INDEX_CMCI)
		lapic_write(LAPIC_LVT_CMCI, LVT_MASKED);
	lapic_write(LAPIC_TIMER_DIV, TIMER_DIV_1);
	lapic_write(LAPIC_TIMER_INIT, 0);
	if (tsc_deadline)
		lapic_write(LAPIC_LVT_TIMER, LVT_TSC_DEADLINE | VECTOR_TIMER);
	else
		lapic_write(LAPIC_LVT_TIMER, LVT_PERIODIC | VECTOR_TIMER);
	/* What the firmware left in service would block its priority class for ever. */
	for (unsigned i = 0; i < 8; i++)
		lapic_eoi();
}

bool lapic_is_x2apic(void)
{
	return x2apic;
}

u32 lapic_id(void)
{
	return x2apic ? lapic_read(LAPIC_ID) : lapic_read(LAPIC_ID) >> 24;
}

void lapic_eoi(void)
{
	lapic_write(LAPIC_EOI, 0);
}

void lapic_recheck(void)
{
	lapic_write(LAPIC_TPR, 0);
}

/* Interrupts off, or a handler that sends between the two writes would redirect ours. */
static void icr_send(u32 apic_id, u32 command)
{
	u64 flags;

	if (x2apic) {
		/* Unlike a store to the xAPIC page the MSR write is not serialising. */
		asm volatile("mfence; lfence" : : : "memory");
		wrmsr(X2APIC_MSR(LAPIC_ICR), (u64)apic_id << 32 | command);
		return;
	}
	flags = irq_save();
	for (unsigned i = 0; i < ICR_WAIT_READS && (lapic_read(LAPIC_ICR) & ICR_PENDING); i++)
		cpu_pause();
	lapic_write(LAPIC_ICR_HI, apic_id << 24);
	lapic_write(LAPIC_ICR, command);
	irq_restore(flags);
}

void lapic_send_ipi(u32 apic_id, unsigned vector)
{
	icr_send(apic_id, ICR_ASSERT | ICR_FIXED | (vector & 0xff));
}

void lapic_send_nmi(u32 apic_id)
{
	icr_send(apic_id, ICR_ASSERT | ICR_NMI);
}

void lapic_send_init(u32 apic_id)
{
	icr_send(apic_id, ICR_ASSERT | ICR_INIT);
}

void lapic_send_startup(u32 apic_id, u8 page)
{
	icr_send(apic_id, ICR_ASSERT | ICR_STARTUP | page);
}

/* --- timer ---------------------------------------------------------------------------------- */

void lapic_timer_calibrate(void)
{
	u64 t0, t1, ns;
	u32 left;

	if (tsc_deadline)
		return;
	lapic_write(LAPIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
	lapic_write(LAPIC_TIMER_INIT, 0xffffffff);
	t0 = rdtsc_ordered();
	clock_delay_us(CALIBRATE_US);
	left = lapic_read(LAPIC_TIMER_COUNT);
	t1 = rdtsc_ordered();
	lapic_write(LAPIC_TIMER_INIT, 0);
	lapic_write(LAPIC_LVT_TIMER, LVT_PERIODIC | VECTOR_TIMER);
	ns = clock_tsc_to_ns(t1) - clock_tsc_to_ns(t0);
	timer_mult = ns ? ((u64)(0xffffffff - left) << 32) / ns : 0;
}

/* The counter is periodic so that an expiry nobody saw comes again. */
void lapic_timer_arm_ns(u64 delta_ns)
{
	u64 ticks;

	if (tsc_deadline) {
		ticks = MIN(mul_div(delta_ns, clock_tsc_hz(), NSEC_PER_SEC), (u64)INT64_MAX);
		wrmsr(MSR_TSC_DEADLINE, rdtsc() + MAX(ticks, 1));
		return;
	}
	delta_ns = MAX(MIN(delta_ns, BIT(40)), (u64)TIMER_MIN_NS);
	ticks = mul_shift32(delta_ns, timer_mult);
	lapic_write(LAPIC_TIMER_INIT, (u32)MAX(MIN(ticks, (u64)UINT32_MAX), 1));
}

bool lapic_timer_repeats(void)
{
	return !tsc_deadline;
}

void lapic_timer_off(void)
{
	if (tsc_deadline)
		wrmsr(MSR_TSC_DEADLINE, 0);
	else
		lapic_write(LAPIC_TIMER_INIT, 0);
}

const char *lapic_timer_kind(void)
{
	return tsc_deadline ? "tsc-deadline" : "counter";
}
