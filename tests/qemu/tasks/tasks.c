/* A guest of hardware tasks: every way into a task and out of it, what the CPU writes into both
 * TSSs, and the faults of bad ones, each on the side on which it belongs. It knows what the manual
 * says (SDM vol. 3 ch. 8) and says "ok" or "not ok" for each point, as a machine of its own and as
 * a guest.
 *
 * Task 0 is the main program. The others are loops: each entry does one round.
 *
 * SPDX-License-Identifier: MIT
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define COM1	      0x3f8
#define PIC1	      0x20
#define CODE	      0x08
#define DATA	      0x10
#define GDT_TASKS     3 /* first TSS descriptor */
#define GDT_LDT	      20
#define GDT_BAD	      21 /* a data segment that is not present */
#define GDT_USER      22 /* code of ring 3: no stack for ring 0 */
#define GDT_NARROW    23 /* a stack of 64 KiB */
#define TSS_SEL(task) ((u16)((GDT_TASKS + (task)) * 8))

#define TYPE_TSS32 0x89
#define TYPE_TSS16 0x81
#define TYPE_BUSY  0x02
#define TYPE_LDT   0x82

#define EFLAGS_FIXED 0x2
#define EFLAGS_NT    0x4000
#define EFLAGS_VM    0x20000
#define CR0_TS	     0x8
#define CR0_WP	     0x10000u /* or shadow paging would leave it to nested tables */
#define CR0_PG	     0x80000000u

enum { MAIN, CALLED, JUMPED, GATED, FAULTED, TICKED, NARROW, VM86, STRICT, PAGED, BROKEN, TASKS };

struct tss {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt;
	u16 trap, iomap;
};

struct tss16 {
	u16 link, sp0, ss0, sp1, ss1, sp2, ss2, ip, flags;
	u16 ax, cx, dx, bx, sp, bp, si, di;
	u16 es, cs, ss, ds, ldt;
};

u64 gdt[24] = {0, 0x00cf9a000000ffffull, 0x00cf92000000ffffull};
static u64 idt[256];
static u64 ldt[2];
static struct tss tss[TASKS];
static struct tss16 narrow;
static u32 stacks[TASKS][256];
static u32 directory[2][1024] __attribute__((aligned(4096)));
static u32 table[2][1024] __attribute__((aligned(4096)));
static u32 frames[2][1024] __attribute__((aligned(4096)));

extern u32 fault_error, fault_vector, fault_eip;
extern const u8 vm86_code[], vm86_end[];
int caught(void (*deed)(u32), u32 arg);
void strict_look(void);
void main(void);
void fault_1(void), fault_10(void), fault_11(void), fault_12(void), fault_13(void), fault_14(void);

/* --- the machine -------------------------------------------------------------------------------
 */

static void outb(u16 port, u8 value)
{
	asm volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static u8 inb(u16 port)
{
	u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void put(char c)
{
	while (!(inb(COM1 + 5) & 0x20))
		;
	outb(COM1, (u8)c);
}

static void say(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			put('\r');
		put(*text);
	}
}

static void say_hex(u32 value)
{
	for (int shift = 28; shift >= 0; shift -= 4)
		put("0123456789abcdef"[value >> shift & 15]);
}

static unsigned failures, done;

static void expect(const char *what, u32 got, u32 want)
{
	done++;
	if (got == want) {
		say("ok ");
		say(what);
	} else {
		failures++;
		say("not ok ");
		say(what);
		say(": ");
		say_hex(got);
		say(", expected ");
		say_hex(want);
	}
	say("\n");
}

static u16 str(void)
{
	u16 sel;

	asm volatile("str %0" : "=r"(sel));
	return sel;
}

static u32 eflags(void)
{
	u32 flags;

	asm volatile("pushfl; pop %0" : "=r"(flags));
	return flags;
}

static u32 cr0(void)
{
	u32 value;

	asm volatile("mov %%cr0, %0" : "=r"(value));
	return value;
}

static u64 descriptor(u32 base, u32 limit, u8 type)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)type << 40 |
	       (u64)(limit >> 16 & 15) << 48 | (u64)(base >> 24) << 56;
}

static u8 type_of(u16 sel)
{
	return (u8)(gdt[sel >> 3] >> 40);
}

static void set_gate(unsigned vector, void (*entry)(void))
{
	u32 at = (u32)entry;

	idt[vector] = (at & 0xffff) | CODE << 16 | 0x8e0000000000ull | (u64)(at >> 16) << 48;
}

static void set_task_gate(unsigned vector, unsigned task)
{
	idt[vector] = (u64)TSS_SEL(task) << 16 | 0x850000000000ull;
}

/* A task that begins at @entry with a stack of its own. */
static void make_task(unsigned task, void (*entry)(void))
{
	tss[task] = (struct tss){.eip = (u32)entry,
				 .eflags = EFLAGS_FIXED,
				 .esp = (u32)&stacks[task][256],
				 .es = DATA,
				 .cs = CODE,
				 .ss = DATA,
				 .ds = DATA,
				 .fs = DATA,
				 .gs = DATA,
				 .iomap = sizeof(struct tss)};
	gdt[GDT_TASKS + task] = descriptor((u32)&tss[task], sizeof(struct tss) - 1, TYPE_TSS32);
}

/* The offset of a far pointer to a TSS is not used. */
static void far_call(u32 sel)
{
	struct {
		u32 offset;
		u16 sel;
	} __attribute__((packed)) to = {0, (u16)sel};

	asm volatile("lcall *%0" ::"m"(to) : "memory", "cc");
}

static void far_jump(u32 sel)
{
	struct {
		u32 offset;
		u16 sel;
	} __attribute__((packed)) to = {0, (u16)sel};

	asm volatile("ljmp *%0" ::"m"(to) : "memory", "cc");
}

static void iret(void)
{
	asm volatile("iretl" ::: "memory", "cc");
}

/* --- CALL, IRET, JMP ---------------------------------------------------------------------------
 */

static volatile u32 seen_tr, seen_flags, seen_link, seen_ts, rounds;

static void look(unsigned task)
{
	seen_tr = str();
	seen_flags = eflags();
	seen_link = tss[task].link & 0xffff;
	seen_ts = cr0() & CR0_TS;
	asm volatile("clts");
	rounds++;
}

static void called(void)
{
	for (;;) {
		look(CALLED);
		iret();
	}
}

static void jumped(void)
{
	for (;;) {
		look(JUMPED);
		far_jump(TSS_SEL(MAIN));
	}
}

/* The registers that compilers keep in hand are compared by themselves: a switch that loses one
 * breaks the program. */
static void test_call(void)
{
	u32 kept = 0x12345678;

	asm volatile("" : "+S"(kept));
	far_call(TSS_SEL(CALLED));
	asm volatile("" : "+S"(kept));
	expect("call: a register survives", kept, 0x12345678);
	expect("call: TR of the new task", seen_tr, TSS_SEL(CALLED));
	expect("call: NT is set", seen_flags & EFLAGS_NT, EFLAGS_NT);
	expect("call: link to the old task", seen_link, TSS_SEL(MAIN));
	expect("call: CR0.TS is set", seen_ts, CR0_TS);
	expect("iret: TR is the old one", str(), TSS_SEL(MAIN));
	expect("iret: NT is clear", eflags() & EFLAGS_NT, 0);
	expect("iret: the left task is not busy", type_of(TSS_SEL(CALLED)), TYPE_TSS32);
	expect("iret: the old task is busy", type_of(TSS_SEL(MAIN)), TYPE_TSS32 | TYPE_BUSY);
	expect("iret: NT of the left task is saved clear", tss[CALLED].eflags & EFLAGS_NT, 0);
	expect("iret: segments are saved", tss[CALLED].ss & 0xffff, DATA);
	far_call(TSS_SEL(CALLED));
	expect("call: goes on behind the IRET", rounds, 2);
}

static void test_jump(void)
{
	rounds = 0;
	far_jump(TSS_SEL(JUMPED));
	expect("jmp: TR of the new task", seen_tr, TSS_SEL(JUMPED));
	expect("jmp: NT stays clear", seen_flags & EFLAGS_NT, 0);
	expect("jmp: no link", seen_link, 0);
	expect("jmp: the left task is not busy", type_of(TSS_SEL(JUMPED)), TYPE_TSS32);
	expect("jmp: the old task is busy again", type_of(TSS_SEL(MAIN)), TYPE_TSS32 | TYPE_BUSY);
	far_jump(TSS_SEL(JUMPED));
	expect("jmp: goes on behind the JMP", rounds, 2);
}

/* --- task gates --------------------------------------------------------------------------------
 */

volatile u32 gate_error, gate_eip;

static void gated(void)
{
	for (;;) {
		look(GATED);
		gate_eip = tss[MAIN].eip;
		iret();
	}
}

/* An exception that has an error code: it lies on this task's stack. The faulting instruction is
 * skipped. */
static __attribute__((naked)) void faulted(void)
{
	asm volatile("1: popl gate_error\n"
		     "movl %0, %%eax\n"
		     "movl %%eax, gate_eip\n"
		     "addl $2, %0\n"
		     "iretl\n"
		     "jmp 1b" ::"m"(tss[MAIN].eip));
}

static void ticked(void)
{
	for (;;) {
		look(TICKED);
		outb(PIC1, 0x20);
		outb(PIC1 + 1, 0xff);
		iret();
	}
}

static void test_soft_gate(void)
{
	u32 after;

	set_task_gate(0x40, GATED);
	asm volatile("int $0x40; 1: mov $1b, %0" : "=r"(after)::"memory");
	expect("int: the gate's task", seen_tr, TSS_SEL(GATED));
	expect("int: EIP behind the instruction", gate_eip, after);
	expect("int: NT is set", seen_flags & EFLAGS_NT, EFLAGS_NT);
}

static void test_fault_gate(void)
{
	u32 at;
	u64 kept = idt[13];

	set_task_gate(13, FAULTED);
	asm volatile("mov $1f, %0; mov $0xf8, %%ecx; 1: mov %%ecx, %%fs"
		     : "=&r"(at)::"ecx", "memory");
	idt[13] = kept;
	expect("fault: error code on the new stack", gate_error, 0xf8);
	expect("fault: EIP at the instruction", gate_eip, at);
	expect("fault: the stack is where it was", tss[FAULTED].esp, (u32)&stacks[FAULTED][256]);
}

static void test_interrupt_gate(void)
{
	set_task_gate(0x48, TICKED);
	rounds = 0;
	outb(PIC1, 0x11), outb(PIC1 + 1, 0x48), outb(PIC1 + 1, 4), outb(PIC1 + 1, 1);
	outb(0x43, 0x34), outb(0x40, 0xff), outb(0x40, 0x0f);
	outb(PIC1 + 1, 0xfe);
	for (u32 i = 0; i < 100000000 && !rounds; i++)
		asm volatile("sti; nop; cli" ::: "memory");
	expect("interrupt: the gate's task", seen_tr, TSS_SEL(TICKED));
	expect("interrupt: back", str(), TSS_SEL(MAIN));
	outb(PIC1 + 1, 0xff);
}

/* --- faults of the old task --------------------------------------------------------------------
 */

#define FAULT(vector) ((vector) << 16 | 1)

static void iret_to(u32 link)
{
	u32 kept = tss[MAIN].link;

	tss[MAIN].link = link;
	asm volatile("pushfl; orl $0x4000, (%%esp); popfl; iretl" ::: "memory", "cc");
	tss[MAIN].link = kept;
}

static void expect_fault(const char *what, void (*deed)(u32), u32 arg, u32 vector, u32 error)
{
	u32 got = (u32)caught(deed, arg);

	asm volatile("pushfl; andl $~0x4000, (%%esp); popfl" ::: "memory", "cc");
	expect(what, got, FAULT(vector));
	expect("  its error code", fault_error, error);
	expect("  the task is the old one", str(), TSS_SEL(MAIN));
}

static void test_refused(void)
{
	u64 kept = gdt[GDT_TASKS + BROKEN];

	expect_fault("call of a busy task is #GP", far_call, TSS_SEL(MAIN), 13, TSS_SEL(MAIN));
	gdt[GDT_TASKS + BROKEN] = kept & ~(0x80ull << 40);
	expect_fault("call of an absent task is #NP", far_call, TSS_SEL(BROKEN), 11,
		     TSS_SEL(BROKEN));
	gdt[GDT_TASKS + BROKEN] = (kept & ~0xffffull) | (sizeof(struct tss) - 5);
	expect_fault("call of a short TSS is #TS", far_call, TSS_SEL(BROKEN), 10, TSS_SEL(BROKEN));
	expect("  it is not busy", type_of(TSS_SEL(BROKEN)), TYPE_TSS32);
	gdt[GDT_TASKS + BROKEN] = kept;
	expect_fault("iret to a task that is not busy is #TS", iret_to, TSS_SEL(BROKEN), 10,
		     TSS_SEL(BROKEN));
	expect_fault("iret to no TSS is #TS", iret_to, DATA, 10, DATA);
}

/* --- faults of the new task --------------------------------------------------------------------
 */

volatile u32 strict_error;
static volatile u32 strict_eip, strict_link, strict_eflags;

/* #TS, #NP, #SS and #GP of a task that has no stack to take them on: it is given up, the main
 * program goes on. */
static __attribute__((naked)) void strict(void)
{
	asm volatile("1: popl strict_error\n"
		     "call strict_look\n"
		     "iretl\n"
		     "jmp 1b");
}

void strict_look(void)
{
	u32 bad = tss[STRICT].link & 0xffff;
	struct tss *t = &tss[(bad >> 3) - GDT_TASKS];

	strict_link = bad;
	strict_eip = t->eip;
	strict_eflags = t->eflags;
	gdt[bad >> 3] &= ~((u64)TYPE_BUSY << 40);
	tss[STRICT].link = TSS_SEL(MAIN);
}

static void test_broken(const char *what, unsigned vector, u32 error)
{
	u64 kept = idt[vector];

	strict_link = strict_error = 0;
	set_task_gate(vector, STRICT);
	far_call(TSS_SEL(BROKEN));
	idt[vector] = kept;
	expect(what, strict_error, error);
	expect("  it is the new task's", strict_link, TSS_SEL(BROKEN));
	expect("  at its first instruction", strict_eip, (u32)called);
	expect("  and the main program goes on", str(), TSS_SEL(MAIN));
}

static void test_new_task(void)
{
	gdt[GDT_BAD] = descriptor(0, 0xfffff, 0x12);
	gdt[GDT_USER] = descriptor(0, 0xfffff, 0xfa);
	make_task(BROKEN, called);
	tss[BROKEN].ss = 0;
	test_broken("a null SS is #TS", 10, 0);
	make_task(BROKEN, called);
	tss[BROKEN].ss = GDT_BAD * 8;
	test_broken("an absent SS is #SS", 12, GDT_BAD * 8);
	make_task(BROKEN, called);
	tss[BROKEN].ds = GDT_BAD * 8;
	test_broken("an absent DS is #NP", 11, GDT_BAD * 8);
	make_task(BROKEN, called);
	tss[BROKEN].cs = GDT_USER * 8;
	test_broken("CS of another ring is #TS", 10, GDT_USER * 8);
	make_task(BROKEN, called);
	tss[BROKEN].ldt = DATA;
	test_broken("an LDT that is none is #TS", 10, DATA);
}

/* --- other kinds of tasks ----------------------------------------------------------------------
 */

static volatile u32 narrow_ax;

/* Code of a 16-bit TSS in a 32-bit code segment below 64 KiB. */
static void narrow_task(void)
{
	for (;;) {
		u32 eax;

		asm volatile("mov %%eax, %0" : "=r"(eax));
		narrow_ax = eax & 0xffff;
		seen_tr = str();
		seen_link = narrow.link;
		iret();
	}
}

static void test_narrow(void)
{
	narrow = (struct tss16){.ip = (u16)(u32)narrow_task,
				.flags = EFLAGS_FIXED,
				.ax = 0x4711,
				.sp = 0x7000,
				.es = DATA,
				.cs = CODE,
				.ss = GDT_NARROW * 8,
				.ds = DATA};
	gdt[GDT_NARROW] = descriptor(0, 0xffff, 0x92);
	gdt[GDT_TASKS + NARROW] = descriptor((u32)&narrow, sizeof(narrow) - 1, TYPE_TSS16);
	far_call(TSS_SEL(NARROW));
	expect("16-bit: AX", narrow_ax, 0x4711);
	expect("16-bit: TR", seen_tr, TSS_SEL(NARROW));
	expect("16-bit: link", seen_link, TSS_SEL(MAIN));
	expect("16-bit: not busy any more", type_of(TSS_SEL(NARROW)), TYPE_TSS16);
}

static void test_vm86(void)
{
	u64 kept = idt[13];
	u8 *code = (u8 *)0x6000;

	for (u32 i = 0; vm86_code + i < vm86_end; i++)
		code[i] = vm86_code[i];
	tss[VM86] = (struct tss){.cr3 = tss[MAIN].cr3,
				 .eflags = EFLAGS_FIXED | EFLAGS_VM,
				 .cs = 0x600,
				 .ss = 0x600,
				 .esp = 0x100,
				 .ds = 0x1234,
				 .iomap = sizeof(struct tss)};
	gdt[GDT_TASKS + VM86] = descriptor((u32)&tss[VM86], sizeof(struct tss) - 1, TYPE_TSS32);
	set_task_gate(13, STRICT);
	far_call(TSS_SEL(VM86));
	idt[13] = kept;
	expect("vm86: its fault", strict_link, TSS_SEL(VM86));
	expect("vm86: EFLAGS.VM is saved", strict_eflags & EFLAGS_VM, EFLAGS_VM);
	expect("vm86: EIP", strict_eip, 0);
	expect("vm86: a segment", tss[VM86].ds & 0xffff, 0x1234);
	expect("vm86: back", str(), TSS_SEL(MAIN));
}

static void trapped_call(u32 sel)
{
	far_call(sel);
}

static void test_trap(void)
{
	u32 dr6;

	tss[CALLED].trap = 1;
	asm volatile("mov %0, %%dr6" ::"r"(0));
	expect("T: #DB", (u32)caught(trapped_call, TSS_SEL(CALLED)), FAULT(1));
	asm volatile("mov %%dr6, %0" : "=r"(dr6));
	expect("T: DR6.BT", dr6 & 0x8000, 0x8000);
	expect("T: in the new task", str(), TSS_SEL(CALLED));
	expect("T: before its first instruction", fault_eip, tss[CALLED].eip);
}

/* --- address spaces ----------------------------------------------------------------------------
 */

#define WINDOW 0x40000000u

static volatile u32 paged_value, paged_cr3;

static void paged(void)
{
	for (;;) {
		paged_value = *(volatile u32 *)WINDOW;
		asm volatile("mov %%cr3, %0" : "=r"(paged_cr3));
		iret();
	}
}

static void test_paged(void)
{
	for (unsigned i = 0; i < 2; i++) {
		directory[i][0] = 0x87; /* 4 MiB, as it is; for the virtual-8086 task too */
		directory[i][WINDOW >> 22] = (u32)table[i] | 3;
		table[i][0] = (u32)frames[i] | 3;
		frames[i][0] = 0x1000 + i;
	}
	ldt[1] = 0x00cf92000000ffffull;
	gdt[GDT_LDT] = descriptor((u32)ldt, sizeof(ldt) - 1, TYPE_LDT);
	asm volatile("mov %%cr4, %%eax; or $0x10, %%eax; mov %%eax, %%cr4" ::: "eax");
	asm volatile("mov %0, %%cr3" ::"r"(directory[0]));
	asm volatile("mov %0, %%cr0" ::"r"(cr0() | CR0_PG | CR0_WP) : "memory");
	for (unsigned i = 0; i < TASKS; i++)
		tss[i].cr3 = (u32)directory[0];
	make_task(PAGED, paged);
	tss[PAGED].cr3 = (u32)directory[1];
	tss[PAGED].ldt = GDT_LDT * 8;
	tss[PAGED].ds = 0xc; /* from the LDT */
	far_call(TSS_SEL(PAGED));
	expect("cr3: the new task's memory", paged_value, 0x1001);
	expect("cr3: the new task's", paged_cr3, (u32)directory[1]);
	expect("cr3: the old task's memory", *(volatile u32 *)WINDOW, 0x1000);
	expect("ldt: accessed is set", (u32)(ldt[1] >> 40) & 1, 1);
}

/* ------------------------------------------------------------------------------------------------
 */

static void power_off(void)
{
	/* The PIIX4's power management at 00:01.3 or 00:07.3 says where PM1 is; a machine without
	 * it gets the ports that are common. */
	static const u32 functions[] = {1 << 11 | 3 << 8, 7 << 11 | 3 << 8, 3 << 11 | 0 << 8};

	for (unsigned i = 0; i < 3; i++) {
		u32 id, base;

		asm volatile("outl %0, %1" ::"a"(0x80000000u | functions[i]), "Nd"((u16)0xcf8));
		asm volatile("inl %1, %0" : "=a"(id) : "Nd"((u16)0xcfc));
		if (id != 0x71138086)
			continue;
		asm volatile("outl %0, %1" ::"a"(0x80000040u | functions[i]), "Nd"((u16)0xcf8));
		asm volatile("inl %1, %0" : "=a"(base) : "Nd"((u16)0xcfc));
		asm volatile("outw %0, %1" ::"a"((u16)0x2000), "Nd"((u16)((base & 0xffc0) + 4)));
	}
}

void main(void)
{
	static const struct {
		u8 vector;
		void (*entry)(void);
	} faults[] = {{1, fault_1},   {10, fault_10}, {11, fault_11},
		      {12, fault_12}, {13, fault_13}, {14, fault_14}};
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) idtr = {sizeof(idt) - 1, (u32)idt};

	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		set_gate(faults[i].vector, faults[i].entry);
	asm volatile("lidt %0" ::"m"(idtr));
	make_task(MAIN, 0);
	make_task(CALLED, called);
	make_task(JUMPED, jumped);
	make_task(GATED, gated);
	make_task(FAULTED, faulted);
	make_task(TICKED, ticked);
	make_task(STRICT, strict);
	make_task(BROKEN, called);
	asm volatile("ltr %w0" ::"r"(TSS_SEL(MAIN)));
	outb(COM1 + 3, 3);
	say("tasks: begin\n");
	test_call();
	test_jump();
	test_fault_gate();
	test_interrupt_gate();
	test_refused();
	test_new_task();
	test_narrow();
	test_paged();
	test_soft_gate();
	test_vm86();
	test_trap();
	say(failures ? "not ok tasks\n" : "ok tasks\n");
	say("tasks: ");
	say_hex(done);
	say(" points, ");
	say_hex(failures);
	say(" failures\n");
	power_off();
}
