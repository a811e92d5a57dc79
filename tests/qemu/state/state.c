/* A guest that holds values of its own in everything that a CPU has only once, and looks whether
 * they are still there when another guest has had the CPU: control and debug registers, MSRs, the
 * x87, SSE and AVX registers, general registers.
 *
 * It sees that it lost the CPU by the time that passed between two reads of the TSC. Then it
 * compares, and goes on with other values. Two of them beside each other on one CPU differ in
 * their memory, which seeds the values. In each turn it also reads its CD: long copies of the
 * hypervisor's borrow vector registers.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/str.h"
#include "rt.h"

#define TURNS	  12u	     /* how often it wants to lose the CPU */
#define LONELY	  (1u << 24) /* reads of the TSC after which nobody else is there */
#define GAP_READS 20000u /* reads of the TSC that take longer than any interrupt of the host's */

#define PIC1_MASK	0x21
#define PIC2_MASK	0xa1
#define CMOS_INDEX	0x70
#define CMOS_DATA	0x71
#define CMOS_MEMORY_16M 0x34 /* in units of 64 KiB, two bytes */

#define CPUID_1_ECX_AVX		  BIT(28)
#define CPUID_80000001_EDX_RDTSCP BIT(27)
#define CR4_SSE			  0x600ull
#define CR4_XSAVE		  0x40000ull
#define XCR0_AVX		  7ull

#define DR6_FIXED    0xffff0ff0ull
#define CANONICAL    0x00007fffffffffffull
#define FXSAVE_FCW   0
#define FXSAVE_FTW   4
#define FXSAVE_MXCSR 24
#define FXSAVE_ST    32
#define FXSAVE_XMM   160
#define XSAVE_BV     512
#define XSAVE_YMM    576
#define AREA_SIZE    832

static u64 rng;
static unsigned failures;
static bool has_avx;

static u64 rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static void expect(u64 is, u64 want, const char *what)
{
	if (is == want)
		return;
	failures++;
	say("not ok %s: %016llx, expected %016llx\n", what, (unsigned long long)is,
	    (unsigned long long)want);
}

/* --- registers that instructions name -------------------------------------------------------- */

#define NAMED_REGISTERS(X)                                                                         \
	X(cr2, ~0ull, 0)                                                                           \
	X(cr8, 0xf, 0)                                                                             \
	X(dr0, CANONICAL, 0)                                                                       \
	X(dr1, CANONICAL, 0)                                                                       \
	X(dr2, CANONICAL, 0)                                                                       \
	X(dr3, CANONICAL, 0)                                                                       \
	X(dr6, 0xf, DR6_FIXED)

#define MEMBER(name, mask, fixed) u64 name;
static struct {
	NAMED_REGISTERS(MEMBER)
} named;

static void fill_named(void)
{
#define FILL(name, mask, fixed) write_##name(named.name = (rnd() & (mask)) | (fixed));
	NAMED_REGISTERS(FILL)
}

static void check_named(void)
{
#define CHECK(name, mask, fixed) expect(read_##name(), named.name, #name);
	NAMED_REGISTERS(CHECK)
}

/* --- MSRs ------------------------------------------------------------------------------------ */

static struct {
	u32 msr;
	u64 mask;
	const char *name;
	u64 value;
} msrs[] = {
	{MSR_STAR, ~0ull, "STAR", 0},
	{MSR_LSTAR, CANONICAL, "LSTAR", 0},
	{MSR_CSTAR, CANONICAL, "CSTAR", 0},
	{MSR_SFMASK, 0xffffffff, "SFMASK", 0},
	{MSR_FS_BASE, CANONICAL, "FS base", 0},
	{MSR_GS_BASE, CANONICAL, "GS base", 0},
	{MSR_KERNEL_GS_BASE, CANONICAL, "kernel GS base", 0},
	{MSR_SYSENTER_CS, 0xffff, "SYSENTER_CS", 0},
	{MSR_SYSENTER_ESP, CANONICAL, "SYSENTER_ESP", 0},
	{MSR_SYSENTER_EIP, CANONICAL, "SYSENTER_EIP", 0},
	{MSR_PAT, 0x0101010101010101, "PAT", 0}, /* UC or WC each */
	{MSR_TSC_AUX, 0xffffffff, "TSC_AUX", 0}, /* last: not every CPU has it */
};

static unsigned nmsrs(void)
{
	bool rdtscp = cpuid(0x80000001u, 0).edx & CPUID_80000001_EDX_RDTSCP;

	return ARRAY_SIZE(msrs) - !rdtscp;
}

static void fill_msrs(void)
{
	for (unsigned i = 0; i < nmsrs(); i++)
		wrmsr(msrs[i].msr, msrs[i].value = rnd() & msrs[i].mask);
}

static void check_msrs(void)
{
	for (unsigned i = 0; i < nmsrs(); i++)
		expect(rdmsr(msrs[i].msr), msrs[i].value, msrs[i].name);
}

/* --- x87, SSE, AVX --------------------------------------------------------------------------- */

static u8 held[AREA_SIZE] __attribute__((aligned(64)));
static u8 found[AREA_SIZE] __attribute__((aligned(64)));

static void allow_vectors(void)
{
	has_avx = cpuid(1, 0).ecx & CPUID_1_ECX_AVX;
	write_cr4(read_cr4() | CR4_SSE | (has_avx ? CR4_XSAVE : 0));
	if (has_avx)
		xsetbv(0, XCR0_AVX);
}

static void save(u8 *area)
{
	if (has_avx)
		asm volatile("xsave64 (%0)" ::"r"(area), "a"((u32)XCR0_AVX), "d"(0) : "memory");
	else
		asm volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}

static void load(const u8 *area)
{
	if (has_avx)
		asm volatile("xrstor64 (%0)" ::"r"(area), "a"((u32)XCR0_AVX), "d"(0) : "memory");
	else
		asm volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

static void put(unsigned at, u64 value, unsigned len)
{
	memcpy(held + at, &value, len);
}

/* Rounding modes are what is left to choose of the control words. */
static void fill_vectors(void)
{
	memset(held, 0, sizeof(held));
	put(FXSAVE_FCW, 0x37f | (rnd() & 0xc00), 2);
	put(FXSAVE_FTW, 0xff, 1);
	put(FXSAVE_MXCSR, 0x1f80 | (rnd() & 0x6000), 4);
	for (unsigned i = 0; i < 8; i++) {
		put(FXSAVE_ST + 16 * i, rnd() | 1ull << 63, 8);
		put(FXSAVE_ST + 16 * i + 8, 0x3fff + (rnd() & 0xff), 2);
	}
	for (unsigned i = 0; i < 32; i++)
		put(FXSAVE_XMM + 8 * i, rnd(), 8);
	if (has_avx)
		put(XSAVE_BV, XCR0_AVX, 8);
	for (unsigned i = 0; has_avx && i < 32; i++)
		put(XSAVE_YMM + 8 * i, rnd(), 8);
	load(held);
}

static void check_bytes(unsigned from, unsigned len, const char *what)
{
	for (unsigned at = from; at < from + len; at += 8) {
		u64 is = 0, want = 0;

		memcpy(&is, found + at, MIN(len, 8u));
		memcpy(&want, held + at, MIN(len, 8u));
		expect(is, want, what);
	}
}

static void check_vectors(void)
{
	save(found);
	check_bytes(FXSAVE_FCW, 2, "x87 control word");
	check_bytes(FXSAVE_MXCSR, 4, "MXCSR");
	check_bytes(FXSAVE_ST, 128, "x87 register");
	check_bytes(FXSAVE_XMM, 256, "XMM register");
	if (!has_avx)
		return;
	check_bytes(XSAVE_YMM, 256, "YMM register");
	expect(xgetbv(0), XCR0_AVX, "XCR0");
}

/* --- general registers, and waiting ---------------------------------------------------------- */

static u64 general[8]; /* R8 to R15 */

/* Read the TSC until more than @gap of it has passed between two reads; false when that has not
 * come in LONELY reads. General registers hold @general meanwhile, and are back in it. */
static bool lose_cpu(u64 gap)
{
	u64 reads = LONELY, before = rdtsc();

	asm volatile("push %%rbp; mov %[general], %%rbp;"
		     "mov (%%rbp), %%r8; mov 8(%%rbp), %%r9; mov 16(%%rbp), %%r10;"
		     "mov 24(%%rbp), %%r11; mov 32(%%rbp), %%r12; mov 40(%%rbp), %%r13;"
		     "mov 48(%%rbp), %%r14; mov 56(%%rbp), %%r15;"
		     "1: rdtsc; shl $32, %%rdx; or %%rdx, %%rax; mov %%rax, %%rdx;"
		     "sub %[before], %%rax; mov %%rdx, %[before]; cmp %[gap], %%rax; ja 2f;"
		     "dec %[reads]; jnz 1b;"
		     "2: mov %%r8, (%%rbp); mov %%r9, 8(%%rbp); mov %%r10, 16(%%rbp);"
		     "mov %%r11, 24(%%rbp); mov %%r12, 32(%%rbp); mov %%r13, 40(%%rbp);"
		     "mov %%r14, 48(%%rbp); mov %%r15, 56(%%rbp); pop %%rbp"
		     : [reads] "+c"(reads), [before] "+b"(before)
		     : [gap] "S"(gap), [general] "D"(general)
		     : "rax", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc",
		       "memory");
	return reads;
}

static u64 general_held[ARRAY_SIZE(general)];

static void fill_general(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(general); i++)
		general[i] = general_held[i] = rnd();
}

static void check_general(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(general); i++)
		expect(general[i], general_held[i], "general register");
}

/* --- a long read --------------------------------------------------------------------------------
 */

/* The CD is the secondary channel's first drive; ATA/ATAPI-6, Programming Interface for Bus Master
 * IDE Controller rev. 1.0. */
#define PCI_ADDRESS   0xcf8
#define PCI_DATA      0xcfc
#define PCI_IDE	      0x80000900u /* 00:01.1 */
#define PCI_COMMAND   0x04u
#define PCI_BAR4      0x20u
#define COMMAND_DMA   0x05u /* I/O, bus master */
#define ATA_DATA      0x170
#define ATA_FEATURES  0x171
#define ATA_DRIVE     0x176
#define ATA_COMMAND   0x177 /* read: status */
#define ATA_CONTROL   0x376
#define STATUS_BSY    0x80
#define STATUS_DRQ    0x08
#define BM_SECONDARY  8
#define BM_READ	      8
#define BM_START      1
#define CD_SECTORS    8
#define CD_DESCRIPTOR 16 /* its sector: 1, "CD001" */
#define CD_WAITS      (1u << 20)

static u8 sectors[CD_SECTORS * 2048] __attribute__((aligned(4096)));

static u16 bus_master(void)
{
	outl(PCI_ADDRESS, PCI_IDE | PCI_COMMAND);
	outl(PCI_DATA, COMMAND_DMA);
	outl(PCI_ADDRESS, PCI_IDE | PCI_BAR4);
	return (u16)(inl(PCI_DATA) & 0xfffc) + BM_SECONDARY;
}

/* The status in which all bits of @mask are as in @want, or another after a while. */
static u8 wait_status(u8 mask, u8 want)
{
	u8 is = inb(ATA_COMMAND);

	for (unsigned i = 0; i < CD_WAITS && (is & mask) != want; i++)
		is = inb(ATA_COMMAND);
	return is;
}

/* False: not what a CD has there, or an error. */
static bool read_cd(void)
{
	static const u16 packet[6] = {0x28, 0, CD_DESCRIPTOR << 8, 0, CD_SECTORS, 0};
	static u32 prd[2] __attribute__((aligned(8)));
	u16 bm = bus_master();

	prd[0] = (u32)(uintptr_t)sectors;
	prd[1] = 1u << 31 | sizeof(sectors);
	memset(sectors, 0, sizeof(sectors));
	outl(bm + 4, (u32)(uintptr_t)prd);
	outb(bm + 2, 6);
	outb(bm, BM_READ);
	outb(ATA_CONTROL, 2);
	outb(ATA_DRIVE, 0xa0);
	outb(ATA_FEATURES, 1);
	outb(ATA_COMMAND, 0xa0);
	wait_status(STATUS_BSY | STATUS_DRQ, STATUS_DRQ);
	for (unsigned i = 0; i < ARRAY_SIZE(packet); i++)
		outw(ATA_DATA, packet[i]);
	outb(bm, BM_READ | BM_START);
	wait_status(STATUS_BSY | STATUS_DRQ, 0);
	outb(bm, 0);
	return !memcmp(sectors, "\1CD001", 6);
}

/* --- */

/* TSC ticks in which the CPU was somebody else's. The quickest of some rounds had no interrupt. */
static u64 gap_ticks(void)
{
	u64 best = ~0ull;

	for (unsigned i = 0; i < 100; i++) {
		u64 start = rdtsc();

		for (unsigned n = 0; n < 10; n++)
			rdtsc();
		best = MIN(best, (rdtsc() - start) / 10);
	}
	return best * GAP_READS;
}

static u8 cmos(u8 index)
{
	outb(CMOS_INDEX, index);
	return inb(CMOS_DATA);
}

static void fill(void)
{
	fill_named();
	fill_msrs();
	fill_vectors();
	fill_general();
}

static void check(void)
{
	check_named();
	check_msrs();
	check_vectors();
	check_general();
}

void kernel(void)
{
	u64 seed = cmos(CMOS_MEMORY_16M) | (u64)cmos(CMOS_MEMORY_16M + 1) << 8;
	u64 gap = gap_ticks();
	unsigned turns = 0;

	rng = (seed + 1) * 0x9e3779b97f4a7c15ull;
	allow_vectors();
	say("state: seed %llx, gap %llu\n", (unsigned long long)seed, (unsigned long long)gap);
	/* None of its own, but not every CPU takes itself from a guest that keeps them off. */
	outb(PIC1_MASK, 0xff);
	outb(PIC2_MASK, 0xff);
	read_cd(); /* the first one fails: the drive has been reset */
	asm volatile("sti");
	for (fill(); turns < TURNS && lose_cpu(gap); turns++) {
		check();
		fill();
		expect(read_cd(), true, "CD's data");
	}
	asm volatile("cli");
	write_cr8(0);
	say("%sok state after %u turns\n", failures ? "not " : "", turns);
}
