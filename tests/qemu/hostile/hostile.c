/* A guest that behaves as badly as ring 0 allows. One image per behaviour, chosen by HOSTILE at
 * build time, so that no menu or key press is needed.
 *
 * Every image says "hostile NAME: begin". Those that survive their own deeds end with "ok NAME" (or
 * "not ok ..." where an access that must fault did not) and power off; the others never come back,
 * which is what their test waits for:
 *
 *   triple    triple-faults at once: resets for ever, or until it is declared crashed
 *   cliloop   spins with interrupts off
 *   hltoff    HLT with interrupts off
 *   badcr3    CR3 points outside RAM
 *   badstack  every exception faults again: IDT and stack outside RAM
 *   slow      triple-faults, but only every eleven seconds: resets for ever
 *   resets    resets by port 92h, for ever
 *   flood     prints for ever to COM1 and by the BIOS channel, without waiting for either
 *   ports     writes and reads every I/O port in every size, but those that reset or power off
 *   mmio      reads, writes and executes physical memory that does not exist
 *   tables    page tables full of random bytes
 *   tablesout the same at addresses out of RAM
 *   virt      instructions of virtualisation and system-management extensions
 *   msrs      reads and writes every MSR of the populated ranges with wild values
 *   desc      garbage descriptors loaded into every segment register
 *   cr        control registers, XCR0 and debug registers with every single bit flipped
 *   lme       long mode enabled, but paging and PAE off, and then exits
 *   storm     as many timer and self-interrupts as the machine will give
 *   ipi       every kind of inter-processor interrupt to others, and start-up messages
 *   disk      disk requests of the BIOS channel at wild addresses
 *   debug     single steps and breakpoints, also where the debug exception is delivered to
 *
 * And two well-behaved ones: "wait" idles until a byte comes in on COM1. It shows what the others
 * leave of timers, interrupts and the serial line, and keeps the machine up until its test has
 * looked. "chatty" prints numbered lines for ever, as fast as the transmitter takes them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/str.h"
#include "penumbra/bioschan.h"
#include "rt.h"

#define NAME_(x) #x
#define NAME(x)	 NAME_(x)

#define VEC_UD 6
#define VEC_GP 13
#define VEC_PF 14

static u64 rng = 0x9e3779b97f4a7c15ull;
static u64 rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static unsigned failures;
static void expect(bool good, const char *what)
{
	if (good)
		return;
	failures++;
	say("not ok %s\n", what);
}

/* --- ends without return ------------------------------------------------------------------- */

__attribute__((unused)) static void triple(void)
{
	static const struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) nothing = {0, 0};

	asm volatile("lidt %0; int3" ::"m"(nothing));
}

__attribute__((unused)) static void cliloop(void)
{
	for (;;)
		asm volatile("cli");
}

__attribute__((unused)) static void hltoff(void)
{
	for (;;)
		asm volatile("cli; hlt");
}

__attribute__((unused)) static void badcr3(void)
{
	asm volatile("mov %0, %%cr3; int3" ::"r"(0xd0000000ull) : "memory");
}

__attribute__((unused)) static void badstack(void)
{
	static const struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) outside = {0xfff, 0xd0000000};

	asm volatile("lidt %0; mov %1, %%rsp; ud2" ::"m"(outside), "r"(0xd8000000ull));
}

/* --- I/O ports ----------------------------------------------------------------------------- */

/* Ports whose writes end or reset the machine; the deed is the business of other tests. */
static unsigned pm1;
static bool ends_the_machine(unsigned port)
{
	return port == 0x64 || port == 0x92 || port == 0xcf9 || (port & ~3u) == 0xf4 ||
	       (pm1 && port - (pm1 - 4) < 8) || port == BIOSCHAN_PORT_EVENT;
}

static bool port_is_safe(unsigned port, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		if (ends_the_machine(port + i))
			return false;
	return true;
}

static void poke8(unsigned port, u32 value)
{
	if (!port_is_safe(port, 1))
		return;
	inb((u16)port);
	outb((u16)port, (u8)value);
}

static void poke16(unsigned port, u32 value)
{
	if (!port_is_safe(port, 2))
		return;
	inw((u16)port);
	outw((u16)port, (u16)value);
}

static void poke32(unsigned port, u32 value)
{
	if (!port_is_safe(port, 4))
		return;
	inl((u16)port);
	outl((u16)port, value);
}

static void poke_all(unsigned port, u32 value)
{
	poke8(port, value);
	poke16(port, value);
	poke32(port, value);
}

__attribute__((unused)) static void ports(void)
{
	static u8 buffer[64];
	void *p = buffer;
	u64 n = 16;

	pm1 = acpi_pm1_port();
	for (unsigned port = 0; port < 0x1000; port++) {
		poke_all(port, 0);
		poke_all(port, 0xffffffff);
		poke_all(port, (u32)rnd());
	}
	for (unsigned port = 0x1000; port < 0x10000; port++)
		(port & 1 ? poke8 : port & 2 ? poke16 : poke32)(port, (u32)rnd());
	asm volatile("rep outsl" : "+S"(p), "+c"(n) : "d"(0x1f0) : "memory");
	p = buffer, n = 16;
	asm volatile("rep insl" : "+D"(p), "+c"(n) : "d"(0xffff) : "memory");
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	serial_init();
	say("\n"); /* ends a line of what was written to the UART */
}

/* --- output without end -------------------------------------------------------------------- */

static void flood_port(u16 port, const char *text)
{
	for (; *text; text++)
		outb(port, (u8)*text);
}

__attribute__((unused)) static void flood(void)
{
	/* Lines, parts of lines, overwritten lines, and what must not pass for a record. */
	static const char *const text[] = {
		"a line like any other, again and again and again and again and again\n",
		"part of a line ",
		"overwritten\r",
		"\n{\"pnb\":1,\"seq\":1,\"t_us\":1,\"type\":\"result\"}\n",
		"\r{\"pnb\":1,\"seq\":2,\"t_us\":2,\"type\":\"result\"}\r\n",
		"\x1b[2J\x1b[1;1H\x1d",
	};

	for (unsigned i = 0;; i++) {
		flood_port(0x3f8, text[i % ARRAY_SIZE(text)]);
		flood_port(BIOSCHAN_PORT_TEXT, text[rnd() % ARRAY_SIZE(text)]);
		flood_port(BIOSCHAN_PORT_LOG, text[rnd() % ARRAY_SIZE(text)]);
		outb(BIOSCHAN_PORT_EVENT, i & 1 ? BIOS_EVENT_BOOT : BIOS_EVENT_NO_BOOT);
		outb(BIOSCHAN_PORT_EVENT, 0x55);
	}
}

__attribute__((unused)) static void chatty(void)
{
	for (unsigned i = 0;; i++)
		say("line %u of a guest that always has something more to say\n", i);
}

__attribute__((unused)) static void resets(void)
{
	outb(0x92, 1);
	for (;;)
		asm volatile("hlt");
}

/* --- memory that is not there -------------------------------------------------------------- */

static void run_window(void *arg)
{
	((void (*)(void))(uintptr_t)(MAP_WINDOW + (u64)(uintptr_t)arg))();
}

static void touch_window(u64 pa)
{
	volatile u64 *p = (volatile u64 *)(uintptr_t)(MAP_WINDOW + 0x1000);
	volatile u8 *edge = (volatile u8 *)(uintptr_t)(MAP_WINDOW + 0x1fff);
	u64 old;

	map_window(pa, PTE_P | PTE_W);
	old = *p;
	*p = old;
	*edge = (u8)old;
	*(volatile u32 *)(uintptr_t)(MAP_WINDOW + 0x1ffe) = 0xffffffff; /* across a page */
	asm volatile("lock incq %0" : "+m"(*p));
	asm volatile("xchg %0, %1" : "+m"(*p), "+r"(old));
}

__attribute__((unused)) static void mmio(void)
{
	/* The hole below the chips; then far above all RAM, up to 2^40. */
	for (u64 pa = 0xc0000000; pa < 0xfe000000; pa += 0x1000000)
		touch_window(pa);
	for (unsigned bit = 36; bit < 40; bit++)
		touch_window(1ull << bit);
	touch_window(0xffffe00000ull);
	map_window(0xd0000000, PTE_P | PTE_W);
	/* Open bus reads as all ones, and FF FF is #UD; whatever comes, it must be a fault. */
	expect(guard(run_window, NULL) >= 0, "executing open bus faults");
	/* The chips' own pages, in sizes and places they do not have. */
	for (u64 off = 0; off < 0x1000; off += 4) {
		*(volatile u8 *)(uintptr_t)(0xfec00000 + off) = (u8)rnd();
		*(volatile u64 *)(uintptr_t)(0xfec00000 + (off & ~7ull)) = rnd();
		(void)*(volatile u16 *)(uintptr_t)(0xfee00000 + (off & 0xffe));
	}
}

#define WILD_TABLES 8
#define WILD_VA	    0xffff800000000000ull
static u64 wild_table[WILD_TABLES][512] __attribute__((aligned(4096)));

static void touch_wild(void *arg)
{
	volatile u8 *p = (volatile u8 *)arg;

	*p = *p;
}

/* Hang @entry into the top-level table at WILD_VA. */
static void set_wild_root(u64 entry)
{
	u64 *pml4 = (u64 *)0x70000;

	asm("" : "+r"(pml4));
	pml4[256] = entry;
	asm volatile("mov %0, %%cr3" ::"r"(pml4) : "memory");
}

/* An entry at random: one of the tables, any flags, sometimes any reserved bit. Where it says
 * "large" the address bits make it a reserved-bit fault: no write can leave the tables. */
static u64 wild_entry(void)
{
	u64 e = (u64)(uintptr_t)wild_table[rnd() % WILD_TABLES] | (rnd() & 0x800000000000017eull);

	e |= rnd() % 8 ? 3 : 0;
	e |= rnd() % 16 ? 0 : 0x80;
	return rnd() % 16 ? e : e | 1ull << (40 + rnd() % 23);
}

static void touch_tables(unsigned rounds, u64 (*entry)(void))
{
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned t = 0; t < WILD_TABLES; t++)
			for (unsigned i = 0; i < 512; i++)
				wild_table[t][i] = entry();
		set_wild_root((u64)(uintptr_t)wild_table[0] | 7);
		for (unsigned i = 0; i < 500; i++)
			guard(touch_wild, (void *)(uintptr_t)(WILD_VA | (rnd() & 0x7fffffffffull)));
	}
	set_wild_root(0);
}

__attribute__((unused)) static void tables(void)
{
	touch_tables(40, wild_entry);
}

static u64 outside_entry(void)
{
	return 0xc0000003 | (rnd() & 0xff1ffff000);
}

__attribute__((unused)) static void tablesout(void)
{
	touch_tables(1, outside_entry);
}

/* --- instructions -------------------------------------------------------------------------- */

#define INSN(name, text)                                                                           \
	static void insn_##name(void *arg)                                                         \
	{                                                                                          \
		asm volatile(text ::"a"(arg), "b"(0), "c"(0), "d"(0) : "memory");                  \
	}
INSN(vmrun, ".byte 0x0f, 0x01, 0xd8")
INSN(vmmcall, ".byte 0x0f, 0x01, 0xd9")
INSN(vmload, ".byte 0x0f, 0x01, 0xda")
INSN(vmsave, ".byte 0x0f, 0x01, 0xdb")
INSN(stgi, ".byte 0x0f, 0x01, 0xdc")
INSN(clgi, ".byte 0x0f, 0x01, 0xdd")
INSN(skinit, ".byte 0x0f, 0x01, 0xde")
INSN(invlpga, ".byte 0x0f, 0x01, 0xdf")
INSN(vmcall, ".byte 0x0f, 0x01, 0xc1")
INSN(vmxon, "movq $0, -8(%%rsp); .byte 0xf3, 0x0f, 0xc7, 0x74, 0x24, 0xf8")
INSN(vmxoff, ".byte 0x0f, 0x01, 0xc4")
INSN(vmlaunch, ".byte 0x0f, 0x01, 0xc2")
INSN(getsec, ".byte 0x0f, 0x37")
INSN(rsm, ".byte 0x0f, 0xaa")
INSN(monitor, ".byte 0x0f, 0x01, 0xc8")
INSN(mwait, ".byte 0x0f, 0x01, 0xc9")

static const struct {
	const char *name;
	void (*run)(void *arg);
} virt_insns[] = {
	{"vmrun", insn_vmrun},	 {"vmmcall", insn_vmmcall}, {"vmload", insn_vmload},
	{"vmsave", insn_vmsave}, {"stgi", insn_stgi},	    {"clgi", insn_clgi},
	{"skinit", insn_skinit}, {"invlpga", insn_invlpga}, {"vmcall", insn_vmcall},
	{"vmxon", insn_vmxon},	 {"vmxoff", insn_vmxoff},   {"vmlaunch", insn_vmlaunch},
	{"getsec", insn_getsec}, {"rsm", insn_rsm},	    {"monitor", insn_monitor},
	{"mwait", insn_mwait},
};

static void write_svme(void *arg)
{
	(void)arg;
	wrmsr(0xc0000080, rdmsr(0xc0000080) | 1u << 12);
}

static void write_vmxe(void *arg)
{
	(void)arg;
	asm volatile("mov %%cr4, %%rax; or $0x2000, %%rax; mov %%rax, %%cr4" ::: "rax");
}

#define UNMAPPED ((void *)~0ull)

static bool has_monitor(void)
{
	u32 a = 1, c = 0;

	asm volatile("cpuid" : "+a"(a), "+c"(c)::"rbx", "rdx");
	return c & 8;
}

__attribute__((unused)) static void virt(void)
{
	static void *const operands[] = {NULL, (void *)0x1000, (void *)0xd0000000,
					 (void *)0x800000000000, UNMAPPED};

	for (unsigned i = 0; i < ARRAY_SIZE(virt_insns); i++)
		for (unsigned o = 0; o < ARRAY_SIZE(operands); o++) {
			int vector;

			if (has_monitor() && i >= ARRAY_SIZE(virt_insns) - 2)
				break; /* a machine that has them may stop for good */
			vector = guard(virt_insns[i].run, operands[o]);

			/* AMD's CPUs translate MONITOR's operand first, intercepted or not. */
			expect(vector == VEC_UD || vector == VEC_GP ||
				       (vector == VEC_PF && virt_insns[i].run == insn_monitor &&
					operands[o] == UNMAPPED),
			       virt_insns[i].name);
		}
	expect(guard(write_svme, NULL) == VEC_GP, "EFER.SVME is #GP");
	expect(guard(write_vmxe, NULL) == VEC_GP, "CR4.VMXE is #GP");
	asm volatile("wbinvd");
}

/* --- registers ----------------------------------------------------------------------------- */

struct msr_access {
	u32 msr;
	u64 value;
};

static void read_msr(void *arg)
{
	struct msr_access *a = arg;

	a->value = rdmsr(a->msr);
}

static void write_msr(void *arg)
{
	const struct msr_access *a = arg;

	wrmsr(a->msr, a->value);
}

/* Wild values only where they can hurt others, not where they merely end this kernel. */
static bool msr_is_ours(u32 msr)
{
	return msr == 0xc0000080 || msr == 0x1b || (msr >= 0xc0000100 && msr <= 0xc0000102);
}

static void poke_msr(u32 msr, unsigned *faults)
{
	static const u64 wild[] = {0, ~0ull, 0x8000000000000000ull, 0x0000800000000000ull};
	struct msr_access a = {.msr = msr}, w = {.msr = msr};

	*faults += guard(read_msr, &a) >= 0;
	for (unsigned i = 0; i < ARRAY_SIZE(wild) && !msr_is_ours(msr); i++) {
		w.value = i ? wild[i] : rnd();
		*faults += guard(write_msr, &w) >= 0;
	}
}

__attribute__((unused)) static void msrs(void)
{
	static const u32 from[] = {0, 0x40000000, 0xc0000000, 0xc0010000, 0xc0011000, 0xffffff00};
	static const u32 count[] = {0x1000, 0x200, 0x400, 0x400, 0x200, 0x100};
	unsigned faults = 0;

	for (unsigned r = 0; r < ARRAY_SIZE(from); r++)
		for (u32 i = 0; i < count[r]; i++)
			poke_msr(from[r] + i, &faults);
	say("hostile msrs: %u accesses faulted\n", faults);
}

#define LOADER(name, insn)                                                                         \
	static void load_##name(void *sel)                                                         \
	{                                                                                          \
		asm volatile(insn ::"r"((u16)(uintptr_t)sel));                                     \
	}
LOADER(ds, "mov %0, %%ds")
LOADER(es, "mov %0, %%es")
LOADER(fs, "mov %0, %%fs")
LOADER(gs, "mov %0, %%gs")
LOADER(ldt, "lldt %0")
LOADER(tr, "ltr %0")

static u64 wild_gdt[8192] __attribute__((aligned(8)));

__attribute__((unused)) static void desc(void)
{
	static void (*const load[])(void *) = {load_ds, load_es,  load_fs,
					       load_gs, load_ldt, load_tr};
	extern u64 boot_gdt[];
	const struct desc_ptr g = {sizeof(wild_gdt) - 1, (u64)(uintptr_t)wild_gdt};

	for (unsigned i = 0; i < ARRAY_SIZE(wild_gdt); i++)
		/* Bit 8 is bit 40 of a table base in the entry before: accessed bits must
		 * not be written into this kernel. */
		wild_gdt[i] = i < 5 ? boot_gdt[i] : rnd() | 0x100;
	lgdt(&g);
	for (unsigned i = 0; i < 12000; i++)
		guard(load[i % ARRAY_SIZE(load)], (void *)(uintptr_t)(rnd() & 0xffff));
	asm volatile("mov %0, %%ds; mov %0, %%es; mov %1, %%fs; mov %1, %%gs; lldt %w1" ::"r"(0x10),
		     "r"(0));
	load_tables();
}

/* Bits whose change takes 64-bit code away from under itself. CPUs refuse that; an emulator that
 * does not would only end this kernel. */
#define CR0_KEEP (1ull << 31 | 1)
#define CR4_KEEP (1ull << 5 | 1ull << 12 | 1ull << 17)

static void flip_cr(void *arg)
{
	u64 v = (u64)(uintptr_t)arg, bit = 1ull << (v & 63), saved;

	switch (v >> 8) {
	case 0:
		asm volatile("mov %%cr0, %0; mov %0, %%rcx; xor %1, %%rcx; mov %%rcx, %%cr0; mov "
			     "%0, %%cr0"
			     : "=&r"(saved)
			     : "r"(bit)
			     : "rcx", "memory");
		break;
	case 1:
		asm volatile("mov %%cr4, %0; mov %0, %%rcx; xor %1, %%rcx; mov %%rcx, %%cr4; mov "
			     "%0, %%cr4"
			     : "=&r"(saved)
			     : "r"(bit)
			     : "rcx", "memory");
		break;
	case 2:
		asm volatile("mov %0, %%cr8; mov %1, %%cr8" ::"r"(bit), "r"(0ull));
		break;
	case 3:
		asm volatile("mov %0, %%dr7; mov %1, %%dr7" ::"r"(bit), "r"(0x400ull));
		break;
	case 4:
		asm volatile("mov %0, %%dr6; mov %0, %%dr0; mov %1, %%dr0" ::"r"(bit), "r"(0ull));
		break;
	case 5:
		asm volatile("xsetbv" ::"a"((u32)bit | 1), "d"((u32)(bit >> 32)), "c"(0));
		break;
	case 6:
		asm volatile("lmsw %w0; clts" ::"r"(bit));
		break;
	default: /* reserved whatever the physical address width */
		asm volatile("mov %%cr3, %0; mov %0, %%rcx; or %1, %%rcx; mov %%rcx, %%cr3; mov "
			     "%0, %%cr3"
			     : "=&r"(saved)
			     : "r"(bit & 0x7ff0000000000000ull)
			     : "rcx", "memory");
		break;
	}
}

__attribute__((unused)) static void cr(void)
{
	u64 before, after;

	asm volatile("mov %%cr0, %0" : "=r"(before));
	for (u64 reg = 0; reg < 8; reg++)
		for (u64 bit = 0; bit < 64; bit++) {
			if (reg < 2 && ((reg ? CR4_KEEP : CR0_KEEP) >> bit & 1))
				continue;
			guard(flip_cr, (void *)(uintptr_t)(reg << 8 | bit));
		}
	asm volatile("mov %%cr0, %0" : "=r"(after));
	expect((after & ~0x3eull) == (before & ~0x3eull), "CR0 survives");
}

/* Leaves long mode for 32-bit code, turns paging and PAE off with EFER.LME still set, and goes on
 * with instructions that exit. The text and the power-off are done by port from there. */
__attribute__((unused, naked)) static void lme(void)
{
	asm volatile("pushq $0x08; pushq $1f; lretq\n"
		     ".code32\n"
		     "1: mov $0x10, %%eax; mov %%eax, %%ds; mov %%eax, %%ss\n"
		     "mov %%cr0, %%eax; and $0x7fffffff, %%eax; mov %%eax, %%cr0\n"
		     "mov %%cr4, %%eax; and $~0x20, %%eax; mov %%eax, %%cr4\n"
		     "mov $1000, %%edi\n"
		     "2: xor %%eax, %%eax; cpuid; inb $0x61, %%al; dec %%edi; jnz 2b\n"
		     "mov %0, %%esi; mov $0x3f8, %%edx\n"
		     "3: lodsb; test %%al, %%al; jz 4f; outb %%al, %%dx\n"
		     "mov $20000, %%ecx; 5: loop 5b; jmp 3b\n"
		     "4: mov $0x10, %%al; outb %%al, $0xf4; cli; hlt; jmp 4b\n"
		     ".code64" ::"i"("ok lme\r\n"));
}

/* --- interrupts ---------------------------------------------------------------------------- */

#define LAPIC(r)	 (*(volatile u32 *)(uintptr_t)(0xfee00000 + (r)))
#define LAPIC_EOI	 0xb0
#define LAPIC_SVR	 0xf0
#define LAPIC_ICR_LOW	 0x300
#define LAPIC_ICR_HIGH	 0x310
#define LAPIC_LVT_TIMER	 0x320
#define LAPIC_TIMER_INIT 0x380
#define LAPIC_TIMER_DIV	 0x3e0
#define TIMER_VECTOR	 0x40
#define SELF_VECTOR	 0x41
#define TIMER_LIMIT	 20000
#define ICR_SELF	 0x40000
#define ICR_OTHERS	 0xc0000

static volatile unsigned timer_irqs, self_irqs;

static bool take_irq(struct trap_frame *f)
{
	if (f->vector < 32)
		return false;
	if (f->vector == TIMER_VECTOR && ++timer_irqs == TIMER_LIMIT)
		LAPIC(LAPIC_TIMER_INIT) =
			0; /* or an unbounded timer would leave no other progress */
	if (f->vector == SELF_VECTOR)
		self_irqs++;
	LAPIC(LAPIC_EOI) = 0;
	return true;
}

/* Half a second or more of interrupts, the timer counting down from @count. */
static void storm_with(u32 count)
{
	u64 end = rdtsc() + 500000000ull;

	timer_irqs = self_irqs = 0;
	LAPIC(LAPIC_TIMER_INIT) = count;
	asm volatile("sti");
	while (rdtsc() < end)
		LAPIC(LAPIC_ICR_LOW) = ICR_SELF | SELF_VECTOR;
	asm volatile("cli");
	LAPIC(LAPIC_TIMER_INIT) = 0;
	say("hostile storm: period %u: %u timer and %u self-interrupts\n", count, timer_irqs,
	    self_irqs);
}

/* Interrupts come from the local APIC alone; its timer is periodic as soon as it has a count. */
static void prepare_timer(void)
{
	trap_hook = take_irq;
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	LAPIC(LAPIC_SVR) = 0x1ff;
	LAPIC(LAPIC_TIMER_DIV) = 0xb;
	LAPIC(LAPIC_LVT_TIMER) = 0x20000 | TIMER_VECTOR;
}

/* The timer ticks, roughly every ten milliseconds. */
static void start_ticks(void)
{
	prepare_timer();
	LAPIC(LAPIC_TIMER_INIT) = 10000000;
}

static u8 rtc_second(void)
{
	outb(0x70, 0);
	return inb(0x71);
}

__attribute__((unused)) static void slow(void)
{
	start_ticks();
	for (unsigned seconds = 0; seconds < 12; seconds++) {
		u8 now = rtc_second();

		while (rtc_second() == now)
			asm volatile("sti; hlt; cli");
	}
	triple();
}

__attribute__((unused)) static void wait(void)
{
	unsigned before = timer_irqs;

	start_ticks();
	inb(0x3f8); /* says that bytes are wanted here, not from the keyboard */
	while (!(inb(0x3fd) & 1))
		asm volatile("sti; hlt; cli");
	expect(inb(0x3f8) == 'q', "the byte is the one that was sent");
	expect(timer_irqs != before, "the timer ticks");
}

__attribute__((unused)) static void storm(void)
{
	prepare_timer();
	storm_with(20000);
	expect(timer_irqs > 0 && self_irqs > 0, "interrupts arrive");
	storm_with(1);
	trap_hook = NULL;
}

__attribute__((unused)) static void ipi(void)
{
	trap_hook = take_irq;
	LAPIC(LAPIC_SVR) = 0x1ff;
	for (unsigned round = 0; round < 200; round++)
		for (unsigned mode = 0; mode < 8; mode++) {
			u32 low = mode << 8 | (u8)rnd();

			/* INIT and SMI would hit this CPU only if it addressed itself. */
			LAPIC(LAPIC_ICR_LOW) = low | ICR_OTHERS | 0x4000;
			LAPIC(LAPIC_ICR_HIGH) = (u32)(1 + rnd() % 254) << 24;
			LAPIC(LAPIC_ICR_LOW) = low | 0x4000;
		}
	for (unsigned id = 0; id < 256; id++) {
		LAPIC(LAPIC_ICR_HIGH) = id << 24;
		LAPIC(LAPIC_ICR_LOW) = 0x4600 | (u8)rnd(); /* start-up: ignored by a running CPU */
	}
	trap_hook = NULL;
}

__attribute__((unused)) static void disk(void)
{
	static struct bios_disk_req req;
	static const u64 wild[] = {0,	       0xa0000,	       0xe0000,
				   0xd0000000, 0xfee00000,     0xfffffff0,
				   ~0ull,      0x100000000ull, 0x7ffffffffff0ull};

	for (unsigned i = 0; i < 2000; i++) {
		req = (struct bios_disk_req){.op = (u32)rnd() & 3,
					     .drive = (u32)rnd() & 7,
					     .lba = i & 1 ? rnd() : rnd() & 0xff,
					     .count = i & 2 ? (u32)rnd() : (u32)rnd() & 0xff,
					     .status = BIOS_DISK_PENDING,
					     .gpa = wild[rnd() % ARRAY_SIZE(wild)]};
		outl(BIOSCHAN_PORT_DISK, i & 4 ? (u32)(uintptr_t)&req : (u32)rnd() | 0xc0000000);
	}
}

/* --- debug exceptions ---------------------------------------------------------------------- */

#define VEC_DB	     1
#define VEC_BP	     3
#define DR6_RESET    0xffff0ff0ull
#define DR6_BS	     0x4000
#define DR7_RESET    0x400ull
#define DR7_WRITES_0 (DR7_RESET | 0xd0003) /* DR0: writes of four bytes */
#define DR7_CODE_0   (DR7_RESET | 0x3)

static volatile unsigned steps, hits;
static volatile u32 watched;

static bool take_debug(struct trap_frame *f)
{
	u64 dr6;

	asm volatile("mov %%dr6, %0; mov %1, %%dr6" : "=&r"(dr6) : "r"(DR6_RESET));
	steps += f->vector == VEC_DB && (dr6 & DR6_BS);
	hits += f->vector == VEC_DB && (dr6 & 1);
	f->rflags |= RFLAGS_RF; /* or an instruction's breakpoint strikes again */
	return f->vector == VEC_DB || f->vector == VEC_BP;
}

static void set_dr(u64 dr0, u64 dr7)
{
	asm volatile("mov %0, %%dr0; mov %1, %%dr7" ::"r"(dr0), "r"(dr7) : "memory");
}

/* 100 steps in the loop and some around it, two of them over instructions that exit. */
static __attribute__((noinline)) void step_over(void)
{
	asm volatile("pushfq; orl %0, (%%rsp); popfq; mov $50, %%ecx; 1: dec %%ecx; jnz 1b;"
		     "xor %%eax, %%eax; xor %%ecx, %%ecx; cpuid; inb $0x61, %%al;"
		     "pushfq; andl %1, (%%rsp); popfq" ::"i"(RFLAGS_TF),
		     "i"(~RFLAGS_TF)
		     : "rax", "rbx", "rcx", "rdx", "memory", "cc");
}

__attribute__((unused)) static void debug(void)
{
	trap_hook = take_debug;
	step_over();
	expect(steps == 108, "every instruction steps once");
	set_dr((u64)(uintptr_t)&watched, DR7_WRITES_0);
	watched = 1;
	expect(hits == 1, "a watched variable is seen");
	set_dr((u64)(uintptr_t)step_over, DR7_CODE_0);
	step_over();
	expect(hits == 2, "a watched instruction is seen");
	/* Where an exception frame goes: each delivery meets the breakpoint once more. */
	set_dr((u64)(uintptr_t)__builtin_frame_address(0) - 128, DR7_WRITES_0);
	for (unsigned i = 0; i < 1000; i++)
		asm volatile("int3" ::: "memory");
	set_dr(0, DR7_RESET);
	say("hostile debug: %u steps, %u hits\n", steps, hits);
	trap_hook = NULL;
}

void kernel(void)
{
	say("hostile " NAME(HOSTILE) ": begin\n");
	HOSTILE();
	if (!failures)
		say("ok " NAME(HOSTILE) "\n");
}
