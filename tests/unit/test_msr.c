/* MSR table. Would catch: an unsorted table (rows become unreachable), a register of the other
 * vendor or of a hidden feature answering, illegal values accepted (memory types, reserved bits,
 * non-canonical bases, EFER bits), ignored bits sticking, TSC and TSC_ADJUST drifting apart, LAPIC
 * and CPU registers not reaching their owner, and refused accesses not counted.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/core/msr.c hv/core/cpuid.c
 */
#include <errno.h>

#include "core/cpuid.h"
#include "core/msr.h"
#include "lib/x86.h"
#include "unit.h"

/* --- the machine around it -------------------------------------------------------------------- */

struct board {
	u32 msr; /* last access */
	u64 value;
	u64 efer;
	u64 tsc, deadline, apic_base;
	unsigned cpu_sets;
};

static int cpu_get(void *ctx, u32 msr, u64 *value)
{
	struct board *b = ctx;

	*value = msr == 0xc0000080 ? b->efer : b->value;
	b->msr = msr;
	return 0;
}

static int cpu_set(void *ctx, u32 msr, u64 value)
{
	struct board *b = ctx;

	b->msr = msr;
	b->value = value;
	b->cpu_sets++;
	if (msr == 0xc0000080)
		b->efer = value;
	return 0;
}

static u64 tsc(void *ctx)
{
	return ((struct board *)ctx)->tsc;
}

static void tsc_shift(void *ctx, u64 delta)
{
	((struct board *)ctx)->tsc += delta;
}

static u64 apic_base(void *ctx)
{
	return ((struct board *)ctx)->apic_base;
}

static int set_apic_base(void *ctx, u64 value)
{
	if (value & 1)
		return -EINVAL;
	((struct board *)ctx)->apic_base = value;
	return 0;
}

static int x2apic_read(void *ctx, u32 msr, u64 *value)
{
	*value = msr + 1;
	((struct board *)ctx)->msr = msr;
	return msr == 0x8ff ? -EINVAL : 0;
}

static int x2apic_write(void *ctx, u32 msr, u64 value)
{
	((struct board *)ctx)->msr = msr;
	((struct board *)ctx)->value = value;
	return 0;
}

static u64 tsc_deadline(void *ctx)
{
	return ((struct board *)ctx)->deadline;
}

static void set_tsc_deadline(void *ctx, u64 value)
{
	((struct board *)ctx)->deadline = value;
}

static const struct msr_ops board_ops = {
	.cpu_get = cpu_get,
	.cpu_set = cpu_set,
	.tsc = tsc,
	.tsc_shift = tsc_shift,
	.apic_base = apic_base,
	.set_apic_base = set_apic_base,
	.x2apic_read = x2apic_read,
	.x2apic_write = x2apic_write,
	.tsc_deadline = tsc_deadline,
	.set_tsc_deadline = set_tsc_deadline,
};

/* Hosts: AMD or Intel with all features, or an AMD with none beyond the first CPUs'. */
enum host { AMD, INTEL, OLD_AMD };

static void read_host(void *ctx, u32 leaf, u32 sub, u32 out[4])
{
	enum host host = *(enum host *)ctx;
	u32 ones = host == OLD_AMD ? 0 : 0xffffffff;

	(void)sub;
	for (unsigned i = 0; i < 4; i++)
		out[i] = ones;
	if (leaf == 0) {
		out[0] = 0xd;
		memcpy(&out[1], host == INTEL ? "Genu" : "Auth", 4);
		memcpy(&out[3], host == INTEL ? "ineI" : "enti", 4);
		memcpy(&out[2], host == INTEL ? "ntel" : "cAMD", 4);
	}
	if (leaf == 0x80000000)
		out[0] = 0x80000008;
	if (leaf == 0x80000008)
		out[0] = 0x3028;
}

static struct cpuid_policy policy;
static struct board board;

static struct guest_msrs boot(enum host host)
{
	struct cpuid_params params = {
		.xcr0 = 7, .x2apic = host != OLD_AMD, .tsc_deadline = host != OLD_AMD};
	struct guest_msrs_config cfg = {.cpuid = &policy,
					.microcode = 0x123,
					.tsc_khz = 2600000,
					.low_ram_end = 0x20000000,
					.high_ram_end = 0x140000000};
	struct guest_msrs m;

	memset(&board, 0, sizeof(board));
	cpuid_policy_build(&policy, read_host, &host, &params);
	guest_msrs_init(&m, &cfg, &board_ops, &board);
	return m;
}

static bool readable(struct guest_msrs *m, u32 msr)
{
	u64 v;

	return msr_read(m, msr, &v) == 0;
}

static u64 get(struct guest_msrs *m, u32 msr)
{
	u64 v = 0xdeadbeef;

	CHECK_EQ(msr_read(m, msr, &v), 0);
	return v;
}

/* --- tests ------------------------------------------------------------------------------------ */

/* Bisection over an unsorted table would lose some of these. */
TEST(rows_are_reachable_and_gaps_are_gaps)
{
	static const u32 known[] = {
		0x0,	    0x1,	0x10,	    0x17,	0x1b,	    0x2a,	0x34,
		0x3a,	    0x3b,	0x79,	    0x8b,	0xc2,	    0xce,	0xfe,
		0x119,	    0x11e,	0x174,	    0x176,	0x179,	    0x17a,	0x187,
		0x198,	    0x199,	0x1a0,	    0x1d9,	0x1de,	    0x200,	0x20f,
		0x250,	    0x258,	0x259,	    0x268,	0x26f,	    0x277,	0x2ff,
		0x6e0,	    0x800,	0x8ff,	    0xc0000080, 0xc0000081, 0xc0000083, 0xc0000084,
		0xc0000100, 0xc0000102, 0xc0000103, 0xc0010000, 0xc0010007, 0xc0010010, 0xc0010015,
		0xc001001a, 0xc001001d, 0xc001001f, 0xc0010020, 0xc0010055, 0xc0010058, 0xc0010113,
		0xc0010131, 0xc0010140, 0xc0010141, 0xc0011022, 0xc0011029, 0xc001102a};
	static const u32 gaps[] = {
		0x2,	    0x11,	0x3c,	    0x48,	0x49,	    0x10a,	0x17b,
		0x210,	    0x251,	0x25a,	    0x270,	0x276,	    0x278,	0x400,
		0x480,	    0x6e1,	0x7ff,	    0x900,	0x40000000, 0xc000007f, 0xc0000085,
		0xc0000104, 0xc0010008, 0xc0010114, 0xc0010117, 0xc0010200, 0xc0010201, 0xc0000300,
		0xc0000301, 0x309,	0x38d,	    0x38f,	0x4c1,	    0xc0011033, 0xc0011005,
		0xc001102b, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		CHECK(msr_name(known[i]) != NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(gaps); i++)
		CHECK(msr_name(gaps[i]) == NULL);
}

TEST(unknown_registers_fault_and_are_counted)
{
	struct guest_msrs m = boot(AMD);
	u64 v;

	for (u32 i = 0; i < 10; i++)
		CHECK_EQ(msr_read(&m, 0x4000 + i, &v), -EINVAL);
	CHECK_EQ(msr_write(&m, 0x5000, 0), -EINVAL);
	CHECK_EQ(m.unknown_reads, 10);
	CHECK_EQ(m.unknown_writes, 1);
	CHECK_EQ(m.last_unknown_read[9 % MSR_UNKNOWN_KEPT], 0x4009);
	CHECK_EQ(m.last_unknown_write[0], 0x5000);
	guest_msrs_reset(&m);
	CHECK_EQ(m.unknown_reads, 10);
}

TEST(each_vendor_has_its_own)
{
	static const u32 amd_only[] = {0xc0010010, 0xc0010015, 0xc001001a,
				       0xc0010055, 0xc0010141, 0xc0011029};
	static const u32 intel_only[] = {0x17, 0x3a, 0xce, 0x1a0, 0x34, 0x198};
	struct guest_msrs a = boot(AMD), i;

	for (unsigned n = 0; n < ARRAY_SIZE(amd_only); n++)
		CHECK(readable(&a, amd_only[n]));
	for (unsigned n = 0; n < ARRAY_SIZE(intel_only); n++)
		CHECK(!readable(&a, intel_only[n]));
	i = boot(INTEL);
	for (unsigned n = 0; n < ARRAY_SIZE(amd_only); n++)
		CHECK(!readable(&i, amd_only[n]));
	for (unsigned n = 0; n < ARRAY_SIZE(intel_only); n++)
		CHECK(readable(&i, intel_only[n]));
	CHECK_EQ(get(&i, 0x3a), 1);
	CHECK_EQ(msr_write(&i, 0x3a, 5), -EINVAL);
	CHECK_EQ(get(&i, 0xce), 26 << 8);
	CHECK_EQ(get(&a, 0xc001001a), 0x20000000);
	CHECK_EQ(get(&a, 0xc001001d), 0x140000000);
	CHECK_EQ(get(&a, 0x8b), 0x123);
}

TEST(registers_of_hidden_features_fault)
{
	static const u32 dependent[] = {0x3b,  0x174, 0x277,	  0x2ff,      0xfe,	 0x179,
					0x6e0, 0x802, 0xc0000081, 0xc0000100, 0xc0000103};
	struct guest_msrs m = boot(OLD_AMD);

	for (unsigned n = 0; n < ARRAY_SIZE(dependent); n++)
		CHECK(!readable(&m, dependent[n]));
	m = boot(AMD);
	for (unsigned n = 0; n < ARRAY_SIZE(dependent); n++)
		CHECK(readable(&m, dependent[n]));
}

TEST(pat_takes_only_memory_types)
{
	struct guest_msrs m = boot(AMD);

	CHECK_EQ(get(&m, 0x277), 0x0007040600070406);
	CHECK_EQ(msr_write(&m, 0x277, 0x0407050600070106), 0);
	CHECK_EQ(get(&m, 0x277), 0x0407050600070106);
	CHECK(board.msr == 0x277 && board.value == 0x0407050600070106);
	CHECK_EQ(msr_write(&m, 0x277, 0x0407050600070206), -EINVAL);
	CHECK_EQ(msr_write(&m, 0x277, 0x0307050600070106), -EINVAL);
	CHECK_EQ(msr_write(&m, 0x277, 0x0807050600070106), -EINVAL);
	CHECK_EQ(get(&m, 0x277), 0x0407050600070106);
}

TEST(mtrrs_check_types_and_reserved_bits)
{
	struct guest_msrs m = boot(AMD);

	CHECK_EQ(get(&m, 0xfe), 0x508);
	CHECK_EQ(msr_write(&m, 0xfe, 0x508), -EINVAL);
	CHECK_EQ(msr_write(&m, 0x2ff, 0xc06), 0);
	CHECK_EQ(msr_write(&m, 0x2ff, 0x1c06), -EINVAL);
	CHECK_EQ(msr_write(&m, 0x2ff, 0xc02), -EINVAL);
	CHECK_EQ(msr_write(&m, 0x2ff, 0xc07), -EINVAL);
	CHECK_EQ(get(&m, 0x2ff), 0xc06);
	/* 40 physical bits. */
	CHECK_EQ(msr_write(&m, 0x20e, 0xff00000006), 0);
	CHECK_EQ(msr_write(&m, 0x20e, 0x10000000006), -EINVAL);
	CHECK_EQ(msr_write(&m, 0x20e, 0x806), -EINVAL);
	CHECK_EQ(msr_write(&m, 0x20e, 0x2), -EINVAL);
	CHECK_EQ(msr_write(&m, 0x20f, 0xff80000800), 0);
	CHECK_EQ(msr_write(&m, 0x20f, 0xff80000801), -EINVAL);
	CHECK_EQ(get(&m, 0x20e), 0xff00000006);
	CHECK_EQ(get(&m, 0x20f), 0xff80000800);
	CHECK(!readable(&m, 0x210));
}

TEST(fixed_mtrrs_are_eleven_distinct_registers)
{
	static const u32 fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
				    0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
	struct guest_msrs m = boot(INTEL);

	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
		CHECK_EQ(
			msr_write(&m, fixed[i], i & 1 ? 0x0606060606060606 : (u64)(i % 3 + 4) << 8),
			0);
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
		CHECK_EQ(get(&m, fixed[i]), i & 1 ? 0x0606060606060606 : (u64)(i % 3 + 4) << 8);
	CHECK_EQ(msr_write(&m, 0x250, 0x0200), -EINVAL);
	CHECK_EQ(msr_write(&m, 0x250, 0x1e), -EINVAL);
}

TEST(amd_dram_bits_of_fixed_mtrrs_need_syscfg)
{
	struct guest_msrs m = boot(AMD);

	CHECK_EQ(msr_write(&m, 0x250, 0x1e1e), -EINVAL);
	CHECK_EQ(msr_write(&m, 0xc0010010, BIT(18) | BIT(19) | BIT(23)), 0);
	CHECK_EQ(get(&m, 0xc0010010), BIT(18) | BIT(19));
	CHECK_EQ(msr_write(&m, 0x250, 0x1e1e), 0);
	CHECK_EQ(get(&m, 0x250), 0x1e1e);
	CHECK_EQ(msr_write(&m, 0xc0010010, BIT(18)), 0);
	CHECK_EQ(get(&m, 0x250), 0x0606);
	CHECK_EQ(msr_write(&m, 0x250, 0x0500), 0);
	CHECK_EQ(msr_write(&m, 0xc0010010, BIT(18) | BIT(19)), 0);
	CHECK_EQ(get(&m, 0x250), 0x1d18);
}

TEST(tsc_and_tsc_adjust_move_together)
{
	struct guest_msrs m = boot(INTEL);

	board.tsc = 1000;
	CHECK_EQ(get(&m, 0x10), 1000);
	CHECK_EQ(msr_write(&m, 0x10, 400), 0);
	CHECK_EQ(get(&m, 0x10), 400);
	CHECK_EQ((s64)get(&m, 0x3b), -600);
	CHECK_EQ(msr_write(&m, 0x3b, 100), 0);
	CHECK_EQ(get(&m, 0x10), 1100);
	CHECK_EQ(get(&m, 0x3b), 100);
	guest_msrs_reset(&m);
	CHECK_EQ(get(&m, 0x3b), 0);
}

TEST(efer_keeps_lma_and_refuses_unknown_bits)
{
	struct guest_msrs m = boot(AMD);

	board.efer = EFER_LME | EFER_LMA;
	CHECK_EQ(msr_write(&m, 0xc0000080, EFER_LME | EFER_NXE | EFER_SCE), 0);
	CHECK_EQ(board.efer, EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE);
	board.efer = 0;
	CHECK_EQ(msr_write(&m, 0xc0000080, EFER_LME | EFER_LMA), 0);
	CHECK_EQ(board.efer, EFER_LME);
	CHECK_EQ(msr_write(&m, 0xc0000080, BIT(12)), -EINVAL);
	CHECK_EQ(msr_write(&m, 0xc0000080, BIT(15)), -EINVAL);
	CHECK_EQ(board.efer, EFER_LME);
}

TEST(bases_must_be_canonical)
{
	static const u32 addresses[] = {0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101,
					0xc0000102, 0x175,	0x176};
	struct guest_msrs m = boot(AMD);

	for (unsigned i = 0; i < ARRAY_SIZE(addresses); i++) {
		board.cpu_sets = 0;
		CHECK_EQ(msr_write(&m, addresses[i], 0x800000000000), -EINVAL);
		CHECK_EQ(msr_write(&m, addresses[i], 0xffff7fffffffffff), -EINVAL);
		CHECK_EQ(board.cpu_sets, 0);
		CHECK_EQ(msr_write(&m, addresses[i], 0xffff800000000000), 0);
		CHECK(board.msr == addresses[i] && board.value == 0xffff800000000000);
	}
	CHECK_EQ(msr_write(&m, 0xc0000103, 0x1234567890), 0);
	CHECK_EQ(board.value, 0x34567890);
}

TEST(apic_registers_reach_the_apic)
{
	struct guest_msrs m = boot(AMD);
	u64 v;

	CHECK_EQ(msr_write(&m, 0x1b, 0xfee00900), 0);
	CHECK_EQ(get(&m, 0x1b), 0xfee00900);
	CHECK_EQ(msr_write(&m, 0x1b, 1), -EINVAL);
	CHECK_EQ(get(&m, 0x802), 0x803);
	CHECK_EQ(msr_read(&m, 0x8ff, &v), -EINVAL);
	CHECK_EQ(msr_write(&m, 0x830, 77), 0);
	CHECK(board.msr == 0x830 && board.value == 77);
	CHECK_EQ(msr_write(&m, 0x6e0, 5555), 0);
	CHECK_EQ(get(&m, 0x6e0), 5555);
}

TEST(ignored_bits_do_not_stick)
{
	struct guest_msrs m = boot(INTEL);

	CHECK_EQ(get(&m, 0x1a0), 0x1801);
	CHECK_EQ(msr_write(&m, 0x1a0, ~0ull), 0);
	CHECK_EQ(get(&m, 0x1a0), 0x1801);
	CHECK_EQ(msr_write(&m, 0x1a0, 0), 0);
	CHECK_EQ(get(&m, 0x1a0), 0x1800);
	CHECK_EQ(msr_write(&m, 0x17a, 1), -EINVAL);
	CHECK_EQ(msr_write(&m, 0x17a, 0), 0);
	CHECK_EQ(msr_write(&m, 0x1d9, 3), 0);
	CHECK_EQ(get(&m, 0x1d9), 0);
	m = boot(AMD);
	CHECK(get(&m, 0xc0010015) & BIT(24));
	CHECK_EQ(msr_write(&m, 0xc0010015, BIT(3)), 0);
	CHECK_EQ(get(&m, 0xc0010015), BIT(24) | BIT(3));
	CHECK(get(&m, 0xc0011029) & BIT(1));
	CHECK_EQ(msr_write(&m, 0xc0010004, 0xabcd), 0);
	CHECK_EQ(get(&m, 0xc0010004), 0);
}

TEST(write_only_registers_do_not_read)
{
	struct guest_msrs m = boot(INTEL);

	CHECK(!readable(&m, 0x79));
	CHECK_EQ(msr_write(&m, 0x79, 0x1000), 0);
	m = boot(AMD);
	CHECK(!readable(&m, 0xc0010020));
	CHECK_EQ(msr_write(&m, 0xc0010020, 0x1000), 0);
}
