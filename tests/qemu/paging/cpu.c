/* The CPU's registers and exceptions as the paging kernel uses them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cpu.h"

#define MSR_EFER     0xc0000080u
#define EFER_NXE     0x800u
#define EFLAGS_IOPL3 0x3000u
#define USER_TOP     0xf00 /* of the stack in the page of the stubs */

struct cpu cpu;
struct seen seen;
struct dtr idtr, gdtr;

extern ulong run_cx, run_ax, run_code, run_sp, run_flags, run_value, run_error, run_ip, run_cr2;
extern u32 run_at_cpl3, run_vector;
void run(void);
void run_done(void), run_int81(void);
void fault_6(void), fault_8(void), fault_10(void), fault_11(void), fault_12(void), fault_13(void);
void fault_14(void);

void outb(u16 port, u8 value)
{
	asm volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

u8 inb(u16 port)
{
	u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* --- control registers ------------------------------------------------------------------------ */

ulong get_cr0(void)
{
	ulong value;

	asm volatile("mov %%cr0, %0" : "=r"(value)::"memory");
	return value;
}

void set_cr0(ulong value)
{
	asm volatile("mov %0, %%cr0" ::"r"(value) : "memory");
}

ulong get_cr3(void)
{
	ulong value;

	asm volatile("mov %%cr3, %0" : "=r"(value)::"memory");
	return value;
}

void set_cr3(ulong value)
{
	asm volatile("mov %0, %%cr3" ::"r"(value) : "memory");
}

ulong get_cr4(void)
{
	ulong value;

	asm volatile("mov %%cr4, %0" : "=r"(value)::"memory");
	return value;
}

void set_cr4(ulong value)
{
	asm volatile("mov %0, %%cr4" ::"r"(value) : "memory");
}

static void set_cr4_bit(ulong bit, bool on)
{
	set_cr4(on ? get_cr4() | bit : get_cr4() & ~bit);
}

void set_wp(bool on)
{
	set_cr0(on ? get_cr0() | CR0_WP : get_cr0() & ~(ulong)CR0_WP);
	cpu.wp = on;
}

void set_smep(bool on)
{
	set_cr4_bit(CR4_SMEP, on);
	cpu.smep = on;
}

void set_smap(bool on)
{
	set_cr4_bit(CR4_SMAP, on);
	cpu.smap = on;
}

void set_pse(bool on)
{
	set_cr4_bit(CR4_PSE, on);
	cpu.pse = on;
}

void set_pge(bool on)
{
	set_cr4_bit(CR4_PGE, on);
}

void set_nxe(bool on)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(MSR_EFER));
	lo = on ? lo | EFER_NXE : lo & ~EFER_NXE;
	asm volatile("wrmsr" ::"c"(MSR_EFER), "a"(lo), "d"(hi) : "memory");
	cpu.nxe = on;
	flush_all();
}

void flush(void)
{
	set_cr3(get_cr3());
}

void flush_all(void)
{
	ulong cr4 = get_cr4();

	set_cr4(cr4 ^ CR4_PGE);
	set_cr4(cr4);
}

void invlpg(u64 va)
{
	asm volatile("invlpg (%0)" ::"r"((ulong)va) : "memory");
}

static u32 cpuid(u32 leaf, unsigned reg)
{
	u32 r[4];

	asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
	return r[reg];
}

enum { EAX, EBX, ECX, EDX };

static void find_features(void)
{
	u32 seven = cpuid(0, EAX) >= 7 ? cpuid(7, EBX) : 0;
	u32 extended = cpuid(0x80000000, EAX);

	cpu.has_smep = seven >> 7 & 1;
	cpu.has_smap = seven >> 20 & 1;
	cpu.has_pse36 = cpuid(1, EDX) >> 17 & 1;
	if (extended >= 0x80000001) {
		cpu.has_nx = cpuid(0x80000001, EDX) >> 20 & 1;
		cpu.has_1g = cpuid(0x80000001, EDX) >> 26 & 1;
	}
	cpu.maxphy = extended >= 0x80000008 ? (u8)cpuid(0x80000008, EAX) : 36;
}

/* --- descriptor tables ------------------------------------------------------------------------ */

void load_tables(void)
{
	asm volatile("lidt %0" ::"m"(idtr));
	asm volatile("lgdt %0" ::"m"(gdtr));
}

void load_idt_at(u64 va)
{
	struct dtr at = {idtr.limit, (ulong)va};

	asm volatile("lidt %0" ::"m"(at));
}

void load_gdt_at(u64 va)
{
	struct dtr at = {gdtr.limit, (ulong)va};

	asm volatile("lgdt %0" ::"m"(at));
}

static void copy(ulong pa, const struct dtr *from)
{
	for (unsigned i = 0; i <= from->limit; i++)
		((u8 *)at_phys(pa))[i] = ((const u8 *)from->base)[i];
}

void copy_idt(ulong pa)
{
	copy(pa, &idtr);
}

void copy_gdt(ulong pa)
{
	copy(pa, &gdtr);
}

void cpu_init(void)
{
	static const struct {
		unsigned vector;
		void (*entry)(void);
	} gates[] = {{6, fault_6},   {8, fault_8},     {10, fault_10},
		     {11, fault_11}, {12, fault_12},   {13, fault_13},
		     {14, fault_14}, {0x80, run_done}, {0x81, run_int81}};

	for (unsigned i = 0; i < sizeof(gates) / sizeof(gates[0]); i++)
		set_gate(gates[i].vector, gates[i].entry);
	descriptors_init();
	load_tables();
	asm volatile("ltr %w0" ::"r"(TSS_SEL));
	asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" ::"r"(USER_DATA));
	asm volatile("mov %0, %%ss" ::"r"(DATA));
	find_features();
}

/* --- accesses --------------------------------------------------------------------------------- */

static void run_it(void)
{
	asm volatile("mov %0, %%cr2" ::"r"((ulong)CR2_NONE));
	run_error = 0;
	run_cr2 = 0;
	run();
	seen.fault = run_vector == 0xff ? NO_FAULT : FAULT(run_vector, (u32)run_error & 0xffff);
	seen.cr2 = run_cr2;
	seen.ip = run_ip;
	seen.value = (u32)run_value;
}

static void run_at(ulong code, bool user, ulong cx, ulong ax, ulong flags)
{
	run_code = code;
	run_at_cpl3 = user;
	run_sp = (ulong)mode->user_va + USER_TOP;
	run_cx = cx;
	run_ax = ax;
	run_flags = flags | 2;
	run_it();
}

void attempt_by(const struct way *way, u64 va, bool user, bool ac, u32 value)
{
	ulong code =
		user ? (ulong)mode->user_va + (ulong)(way->user - user_stubs) : (ulong)way->kernel;

	run_at(code, user, (ulong)va, value, EFLAGS_IOPL3 | (ac ? EFLAGS_AC : 0));
	if (way->read && !seen.fault)
		seen.value = way->read();
}

const struct way plain[KINDS] = {
	[READ] = {.name = "read",
		  .kind = READ,
		  .kernel = kernel_read,
		  .user = user_read,
		  .mask = ~0u},
	[WRITE] = {.name = "write",
		   .kind = WRITE,
		   .kernel = kernel_write,
		   .user = user_write,
		   .mask = ~0u},
	[FETCH] = {.name = "fetch", .kind = FETCH, .kernel = kernel_fetch, .user = user_fetch},
};

void attempt(u64 va, unsigned kind, bool user, bool ac, u32 value)
{
	attempt_by(&plain[kind], va, user, ac, value);
}

u32 look(u64 va)
{
	attempt(va, READ, false, false, 0);
	return seen.fault ? seen.fault : seen.value;
}

u32 store(u64 va, u32 value)
{
	attempt(va, WRITE, false, false, value);
	return seen.fault;
}

void run_kernel(void (*routine)(void), ulong cx, ulong ax)
{
	run_at((ulong)routine, false, cx, ax, 0);
}

void run_user(const u8 *stub)
{
	run_at((ulong)mode->user_va + (ulong)(stub - user_stubs), true, 0, 0, 0);
}
