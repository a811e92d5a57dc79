/* Nanobenchmarks: ring-0 loops of one instruction, timed by RDTSC, and checks of instruction forms
 * that a hypervisor has to measure honestly. Runs the same natively and as a guest.
 *
 * Lines: "BENCH name metric value". tsc_per_op is the median of ROUNDS rounds, tsc_per_op_min the
 * best; one decimal. Under QEMU's -icount shift=0 a TSC tick is an instruction. Loops include their
 * own DEC and JNZ; k_empty is that alone. Checks print "ok ..." or "not ok ...".
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/str.h"
#include "rt.h"

#define ROUNDS 5
#define OPS    4000u

#define LAPIC_ID    0xfee00020u
#define LAPIC_TPR   0xfee00080u
#define LAPIC_EOI   0xfee000b0u
#define LAPIC_COUNT 0xfee00390u

static u8 code_a[4096] __attribute__((aligned(4096)));
static u8 code_b[4096] __attribute__((aligned(4096)));

/* A loop of @n times @insns; RAX..RDX are free for them, %1 is @in. */
#define LOOP(n, insns, in)                                                                         \
	do {                                                                                       \
		u64 n_ = (n);                                                                      \
		asm volatile("1: " insns "\n\tdec %0\n\tjnz 1b"                                    \
			     : "+r"(n_)                                                            \
			     : "r"((u64)(in))                                                      \
			     : "rax", "rbx", "rcx", "rdx", "memory");                              \
	} while (0)

/* A benchmark that is such a loop. */
#define BENCH(name, insns, in)                                                                     \
	static void b_##name(u64 n)                                                                \
	{                                                                                          \
		LOOP(n, insns, in);                                                                \
	}
#define CPUID "mov %k1, %%eax; xor %%ecx, %%ecx; cpuid"
BENCH(empty, "", 0)
BENCH(cpuid_0, CPUID, 0)
BENCH(cpuid_1, CPUID, 1)
BENCH(cpuid_7, CPUID, 7)
BENCH(cpuid_ext8, CPUID, 0x80000008)
BENCH(cpuid_prefixed, "mov %k1, %%eax; xor %%ecx, %%ecx; .byte 0x66, 0x2e, 0x48, 0x0f, 0xa2", 0)
BENCH(io80, "outb %%al, $0x80", 0)
BENCH(in, "inb $0x61, %%al", 0)
BENCH(in80, "inb $0x80, %%al", 0)
BENCH(pci,
      "mov $0xcf8, %%edx; mov %k1, %%eax; outl %%eax, %%dx; mov $0xcfc, %%edx; inl %%dx, %%eax",
      0x80000000u)
BENCH(pit, "inb $0x42, %%al", 0)
BENCH(uart, "mov $0x3fd, %%edx; inb %%dx, %%al", 0)
BENCH(cr3, "mov %%cr3, %%rax; mov %%rax, %%cr3", 0)
BENCH(invlpg, "invlpg (%1)", code_a)
BENCH(cr0, "mov %%cr0, %%rax; mov %%rax, %%cr0", 0)
BENCH(cr0_ts, "mov %%cr0, %%rax; or $8, %%eax; mov %%rax, %%cr0; clts", 0)
BENCH(cr8, "mov %1, %%cr8", 0)
BENCH(rdmsr, "mov %k1, %%ecx; rdmsr", MSR_APIC_BASE)
BENCH(rdmsr_fs, "mov %k1, %%ecx; rdmsr", MSR_FS_BASE)
BENCH(rdtsc, "rdtsc", 0)
BENCH(mmio, "mov (%1), %%eax", LAPIC_ID)
BENCH(mmio_eoi, "movl $0, (%1)", LAPIC_EOI)
BENCH(mmio_tpr, "mov (%1), %%eax; mov %%eax, (%1)", LAPIC_TPR)
BENCH(mmio_count, "mov (%1), %%eax", LAPIC_COUNT)
BENCH(callret, "call 2f; jmp 3f; 2: ret; 3:", 0)

/* SYSCALL from ring 0; the handler goes straight back. */
static void b_syscall(u64 n)
{
	u64 entry;

	asm volatile("lea 1f(%%rip), %0; jmp 2f; 1: jmp *%%rcx; 2:" : "=r"(entry));
	wrmsr(MSR_STAR, 0x18ull << 32);
	wrmsr(MSR_LSTAR, entry);
	wrmsr(MSR_SFMASK, 0x200);
	asm volatile("1: syscall; dec %0; jnz 1b" : "+r"(n)::"rcx", "r11", "memory");
}

/* What user code may reach: the entries above the window's own. */
static void open_to_user(void)
{
	u64 cr3;

	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	*(u64 *)(uintptr_t)(cr3 & ~0xfffull) |= PTE_U;
	asm volatile("mov %0, %%cr3" ::"r"(cr3) : "memory");
}

/* SYSCALL from ring 3 and SYSRET back, as a kernel's users see it. The loop is the user's; it ends
 * by a SYSCALL with EAX not 0. */
static void b_syscall_user(u64 n)
{
	static const u8 loop[] = {
		0x0f, 0x05,		      /* 1: syscall */
		0x48, 0xff, 0xcb,	      /* dec %rbx */
		0x75, 0xf9,		      /* jnz 1b */
		0xb8, 0x01, 0x00, 0x00, 0x00, /* mov $1, %eax */
		0x0f, 0x05,		      /* syscall */
	};

	open_to_user();
	memcpy(code_a, loop, sizeof(loop));
	map_page(MAP_BASE, (u64)(uintptr_t)code_a, PTE_P | PTE_W | PTE_U);
	wrmsr(MSR_STAR, 0x20ull << 48 | 0x18ull << 32);
	wrmsr(MSR_SFMASK, 0x200);
	asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %%rdx; shr $32, %%rdx; mov %[lstar], %%ecx; "
		     "wrmsr; xor %%eax, %%eax; mov %[user], %%rcx; mov $2, %%r11d; mov %[n], "
		     "%%rbx; sysretq; 1: test %%eax, %%eax; jnz 2f; sysretq; 2:" ::[lstar] "i"(
			     MSR_LSTAR),
		     [user] "r"(MAP_BASE), [n] "r"(n)
		     : "rax", "rbx", "rcx", "rdx", "r11", "memory", "cc");
}

static bool skip_div(struct trap_frame *f)
{
	f->rip += 2; /* DIV ECX */
	return f->vector == 0;
}
static void b_divzero(u64 n)
{
	trap_hook = skip_div;
	LOOP(n, "xor %%ecx, %%ecx; div %%ecx", 0);
	trap_hook = NULL;
}

static bool map_back(struct trap_frame *f)
{
	map_page(MAP_BASE, (u64)(uintptr_t)code_a, PTE_P | PTE_W);
	return f->vector == 14;
}
static void b_pgfault(u64 n)
{
	trap_hook = map_back;
	while (n--) {
		map_page(MAP_BASE, 0, 0);
		*(volatile u8 *)MAP_BASE = 1;
	}
	trap_hook = NULL;
}
static void b_ptemod(u64 n)
{
	while (n--) {
		map_page(MAP_BASE, (u64)(uintptr_t)(n & 1 ? code_a : code_b), PTE_P | PTE_W);
		*(volatile u8 *)MAP_BASE = 1;
	}
}

/* --- page table entries written, and nothing else in the time taken --------------------------- */

#define BATCH 64u

static void map_batch(u64 flags)
{
	for (u64 va = MAP_BASE; va < MAP_BASE + BATCH * 4096; va += 4096) {
		map_page(va, (u64)(uintptr_t)code_a, flags);
		if (flags)
			*(volatile u8 *)va = 1;
	}
}

/* @n entries from @from to @to, in batches; entries that are present have been used. */
static u64 write_entries(u64 n, u64 from, u64 to)
{
	volatile u64 *pte = map_pte(MAP_BASE);
	u64 ticks = 0;

	for (u64 k; n; n -= k) {
		u64 start, value = to ? (u64)(uintptr_t)code_a | to : 0;

		k = n < BATCH ? n : BATCH;
		map_batch(from);
		start = rdtsc();
		for (u64 i = 0; i < k; i++)
			pte[i] = value;
		ticks += rdtsc() - start;
	}
	map_batch(0);
	return ticks;
}
#define PTE_USED (PTE_P | PTE_W | 0x60) /* accessed, dirty */
static u64 t_ptemod_same(u64 n)
{
	return write_entries(n, PTE_USED, PTE_USED);
}
static u64 t_ptemod_p_np(u64 n)
{
	return write_entries(n, PTE_USED, 0);
}
static u64 t_ptemod_np_p(u64 n)
{
	return write_entries(n, 0, PTE_P | PTE_W);
}

static const struct {
	const char *name;
	void (*run)(u64 n);
	u64 (*timed)(u64 n); /* in place of run: takes its time itself */
} benches[] = {
	{"k_empty", b_empty, NULL},
	{"k_cpuid_0", b_cpuid_0, NULL},
	{"k_cpuid_1", b_cpuid_1, NULL},
	{"k_cpuid_7", b_cpuid_7, NULL},
	{"k_cpuid_80000008", b_cpuid_ext8, NULL},
	{"k_cpuid_prefixed", b_cpuid_prefixed, NULL},
	{"k_io80", b_io80, NULL},
	{"k_in61", b_in, NULL},
	{"k_in80", b_in80, NULL},
	{"k_pci_config", b_pci, NULL},
	{"k_in42", b_pit, NULL},
	{"k_in3fd", b_uart, NULL},
	{"k_cr3", b_cr3, NULL},
	{"k_invlpg", b_invlpg, NULL},
	{"k_cr0", b_cr0, NULL},
	{"k_cr0_ts", b_cr0_ts, NULL},
	{"k_cr8", b_cr8, NULL},
	{"k_rdmsr", b_rdmsr, NULL},
	{"k_rdmsr_fsbase", b_rdmsr_fs, NULL},
	{"k_rdtsc", b_rdtsc, NULL},
	{"k_mmio_apic", b_mmio, NULL},
	{"k_mmio_apic_eoi", b_mmio_eoi, NULL},
	{"k_mmio_apic_tpr", b_mmio_tpr, NULL},
	{"k_mmio_apic_count", b_mmio_count, NULL},
	{"k_callret", b_callret, NULL},
	{"k_syscall", b_syscall, NULL},
	{"k_syscall_user", b_syscall_user, NULL},
	{"k_divzero", b_divzero, NULL},
	{"k_pgfault", b_pgfault, NULL},
	{"k_ptemod", b_ptemod, NULL},
	{"k_ptemod_same", NULL, t_ptemod_same},
	{"k_ptemod_p_np", NULL, t_ptemod_p_np},
	{"k_ptemod_np_p", NULL, t_ptemod_np_p},
};

static void sort(u64 *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		for (unsigned j = i; j && v[j] < v[j - 1]; j--) {
			u64 t = v[j];

			v[j] = v[j - 1];
			v[j - 1] = t;
		}
}

static void report(const char *name, const char *metric, u64 ticks)
{
	u64 tenths = (ticks * 10 + OPS / 2) / OPS;

	say("BENCH %s %s %llu.%llu\n", name, metric, (unsigned long long)(tenths / 10),
	    (unsigned long long)(tenths % 10));
}

static u64 ticks_of(unsigned bench, u64 n)
{
	u64 start = rdtsc();

	if (benches[bench].timed)
		return benches[bench].timed(n);
	benches[bench].run(n);
	return rdtsc() - start;
}

static void measure(unsigned bench)
{
	u64 ticks[ROUNDS];

	ticks_of(bench, 16); /* first-touch costs are not the loop's */
	for (unsigned i = 0; i < ROUNDS; i++)
		ticks[i] = ticks_of(bench, OPS);
	sort(ticks, ROUNDS);
	report(benches[bench].name, "tsc_per_op", ticks[ROUNDS / 2]);
	report(benches[bench].name, "tsc_per_op_min", ticks[0]);
}

/* --- checks ----------------------------------------------------------------------------------- */

static unsigned checks;

static void check(bool good, const char *name)
{
	say("%s %u %s\n", good ? "ok" : "not ok", ++checks, name);
}

struct cpuid_result {
	u32 eax, ebx, ecx, edx, mark;
};

/* Call @code with a leaf in EAX; what it leaves in the registers. */
static struct cpuid_result call_code(u64 code, u32 leaf)
{
	struct cpuid_result r;

	asm volatile("mov $0x11, %%esi; call *%[code]"
		     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx), "=&S"(r.mark)
		     : [code] "r"(code), "0"(leaf), "2"(0)
		     : "memory");
	return r;
}

static bool same_leaf(const struct cpuid_result *r, u32 leaf)
{
	u32 a = leaf, b, c = 0, d;

	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return r->eax == a && r->ebx == b && r->ecx == c && r->edx == d;
}

/* MOV ESI, imm32; RET: what follows the CPUID, so that a wrong length shows. */
static void put_tail(u8 *p, u32 mark)
{
	p[0] = 0xbe;
	memcpy(p + 1, &mark, 4);
	p[5] = 0xc3;
}

static void check_form(const char *name, const char *prefix, unsigned n)
{
	struct cpuid_result r;

	memcpy(code_a, prefix, n);
	memcpy(code_a + n, "\x0f\xa2", 2);
	put_tail(code_a + n + 2, 0x77);
	r = call_code((u64)(uintptr_t)code_a, 1);
	check(same_leaf(&r, 1) && r.mark == 0x77, name);
}

static void check_prefixed_forms(void)
{
	check_form("cpuid plain", "", 0);
	check_form("cpuid with 66", "\x66", 1);
	check_form("cpuid with 67", "\x67", 1);
	check_form("cpuid with F2", "\xf2", 1);
	check_form("cpuid with F3", "\xf3", 1);
	check_form("cpuid with a segment prefix", "\x2e", 1);
	check_form("cpuid with FS", "\x64", 1);
	check_form("cpuid with REX.W", "\x48", 1);
	check_form("cpuid with REX.RXB", "\x47", 1);
	check_form("cpuid with a void REX", "\x48\x66", 2);
	check_form("cpuid with four prefixes", "\x66\x2e\xf2\x4f", 4);
	check_form("cpuid of 15 bytes", "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66", 13);
}

/* Two pages in a row, backed by pages that are not neighbours, with the CPUID across the border. */
static void check_page_border(void)
{
	for (unsigned before = 1; before < 4; before++) {
		static const u8 insn[] = {0x66, 0x48, 0x0f, 0xa2};
		unsigned skip = 4 - before;
		struct cpuid_result r;

		map_page(MAP_BASE, (u64)(uintptr_t)code_b, PTE_P | PTE_W);
		map_page(MAP_BASE + 4096, (u64)(uintptr_t)code_a, PTE_P | PTE_W);
		memcpy(code_b + 4096 - before, insn, before);
		memcpy(code_a, insn + before, skip);
		put_tail(code_a + skip, 0x88);
		r = call_code(MAP_BASE + 4096 - before, 1);
		check(same_leaf(&r, 1) && r.mark == 0x88, "cpuid across a page border");
	}
}

/* The same address holds another form at the second exit: the page was exchanged in between. */
static void check_remapped(void)
{
	struct cpuid_result r;

	memcpy(code_a, "\x0f\xa2", 2);
	put_tail(code_a + 2, 0x1);
	memcpy(code_b, "\x66\xf2\x48\x0f\xa2", 5);
	put_tail(code_b + 5, 0x2);
	map_page(MAP_BASE, (u64)(uintptr_t)code_a, PTE_P | PTE_W);
	r = call_code(MAP_BASE, 0);
	check(same_leaf(&r, 0) && r.mark == 1, "cpuid in a page to be exchanged");
	map_page(MAP_BASE, (u64)(uintptr_t)code_b, PTE_P | PTE_W);
	r = call_code(MAP_BASE, 0);
	check(same_leaf(&r, 0) && r.mark == 2, "cpuid after the page was exchanged");
}

static void check_rewritten(void)
{
	struct cpuid_result r;

	memcpy(code_a, "\x66\x66\x66\x0f\xa2", 5);
	put_tail(code_a + 5, 0x3);
	r = call_code((u64)(uintptr_t)code_a, 1);
	check(same_leaf(&r, 1) && r.mark == 3, "cpuid to be rewritten");
	memcpy(code_a, "\x0f\xa2", 2);
	put_tail(code_a + 2, 0x4);
	r = call_code((u64)(uintptr_t)code_a, 1);
	check(same_leaf(&r, 1) && r.mark == 4, "cpuid after it was rewritten in place");
}

static void lock_cpuid(void *arg)
{
	(void)arg;
	asm volatile(".byte 0xf0, 0x0f, 0xa2" ::: "eax", "ebx", "ecx", "edx");
}

static void too_long(void *arg)
{
	(void)arg;
	asm volatile(".fill 14, 1, 0x66; .byte 0x0f, 0xa2" ::: "eax", "ebx", "ecx", "edx");
}

void kernel(void)
{
	int lock;

	say("nano: begin\n");
	check_prefixed_forms();
	check_page_border();
	check_remapped();
	check_rewritten();
	/* #UD on CPUs; emulators have been seen to execute it. */
	lock = guard(lock_cpuid, NULL);
	check(lock == 6 || lock == -1, "cpuid with LOCK ends");
	check(guard(too_long, NULL) == 13, "cpuid of 16 bytes is #GP");
	for (unsigned i = 0; i < ARRAY_SIZE(benches); i++)
		measure(i);
	say("nano: end\n");
}
