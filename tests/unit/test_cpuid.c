/* CPUID policy. Would catch: a feature leaking to the guest that nobody switches or emulates
 * (checked on a host that claims everything), a needed one lost, topology of the host showing
 * through, dynamic bits that do not follow the vCPU, XSAVE sizes that do not follow XCR0, leaves
 * beyond the maximum answered like the other vendor, and CR4/EFER masks that disagree with the bits
 * shown.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/core/cpuid.c
 */
#include "core/cpuid.h"
#include "lib/x86.h"
#include "unit.h"

/* --- hosts ------------------------------------------------------------------------------------ */

#define SUB_ANY 0xffffffffu

struct row {
	u32 leaf, sub;
	u32 reg[4];
};

struct machine {
	const char *name;
	const struct row *row;
	unsigned rows;
};

static void read_machine(void *ctx, u32 leaf, u32 sub, u32 out[4])
{
	const struct machine *m = ctx;

	memset(out, 0, 16);
	for (unsigned i = 0; i < m->rows; i++)
		if (m->row[i].leaf == leaf && (m->row[i].sub == SUB_ANY || m->row[i].sub == sub))
			memcpy(out, m->row[i].reg, 16);
}

#define AMD_VENDOR   0x68747541, 0x444d4163, 0x69746e65
#define INTEL_VENDOR 0x756e6547, 0x6c65746e, 0x49656e69
/* In register order EBX, ECX, EDX. */

static const struct row haswell[] = {
	{0, SUB_ANY, {0xd, INTEL_VENDOR}},
	{1, SUB_ANY, {0x306c3, 0x05100800, 0x7ffafbff, 0xbfebfbff}},
	{2, SUB_ANY, {0x76036301, 0x00f0b5ff, 0, 0x00c10000}},
	{4, 0, {0x1c004121, 0x01c0003f, 0x3f, 0}},
	{4, 1, {0x1c004122, 0x01c0003f, 0x3f, 0}},
	{4, 2, {0x1c004143, 0x01c0003f, 0x1ff, 0}},
	{4, 3, {0x1c03c163, 0x03c0003f, 0x1fff, 6}},
	{5, SUB_ANY, {0x40, 0x40, 3, 0x42120}},
	{6, SUB_ANY, {0x77, 2, 9, 0}},
	{7, 0, {0, 0x2fbb, 0, 0}},
	{0xa, SUB_ANY, {0x7300403, 0, 0, 0x603}},
	{0xb, 0, {1, 2, 0x100, 5}},
	{0xb, 1, {4, 8, 0x201, 5}},
	{0xd, 0, {7, 0x340, 0x340, 0}},
	{0xd, 1, {1, 0, 0, 0}},
	{0xd, 2, {0x100, 0x240, 0, 0}},
	{0x80000000, SUB_ANY, {0x80000008, 0, 0, 0}},
	{0x80000001, SUB_ANY, {0, 0, 0x21, 0x2c100800}},
	{0x80000002, SUB_ANY, {0x65746e49, 0x2952286c, 0x726f4320, 0x4d542865}},
	{0x80000006, SUB_ANY, {0, 0, 0x1006040, 0}},
	{0x80000007, SUB_ANY, {0, 0, 0, 0x100}},
	{0x80000008, SUB_ANY, {0x3027, 0, 0, 0}},
};

static const struct row penryn[] = {
	{0, SUB_ANY, {0xd, INTEL_VENDOR}},
	{1, SUB_ANY, {0x1067a, 0x00020800, 0x0c08e3fd, 0xbfebfbff}},
	{2, SUB_ANY, {0x05b0b101, 0x005657f0, 0, 0x2cb4304e}},
	{4, 0, {0x04000121, 0x01c0003f, 0x3f, 1}},
	{4, 1, {0x04000122, 0x01c0003f, 0x3f, 1}},
	{0xa, SUB_ANY, {0x07280202, 0, 0, 0x503}},
	{0xd, 0, {3, 0x240, 0x240, 0}},
	{0x80000000, SUB_ANY, {0x80000008, 0, 0, 0}},
	{0x80000001, SUB_ANY, {0, 0, 1, 0x20100800}},
	{0x80000008, SUB_ANY, {0x3024, 0, 0, 0}},
};

/* A server core with AVX-512, protection keys, XSAVES, PT, TSX, CET; highest basic leaf above ours.
 */
static const struct row icelake[] = {
	{0, SUB_ANY, {0x1b, INTEL_VENDOR}},
	{1, SUB_ANY, {0x606a6, 0x02400800, 0x7ffefbff, 0xbfebfbff}},
	{4, 0, {0x7c004121, 0x02c0003f, 0x3f, 0}},
	{7, 0, {2, 0xf3bfb7ef, 0x40417f5e, 0xbc040412}},
	{7, 1, {0x30, 0, 0, 0}},
	{0xb, 0, {1, 2, 0x100, 2}},
	{0xd, 0, {0x2e7, 0xa88, 0xa88, 0}},
	{0xd, 1, {0xf, 0x988, 0x100, 0}},
	{0xd, 2, {0x100, 0x240, 0, 0}},
	{0xd, 5, {0x40, 0x440, 0, 0}},
	{0xd, 6, {0x200, 0x480, 0, 0}},
	{0xd, 7, {0x400, 0x680, 0, 0}},
	{0xd, 9, {8, 0xa80, 0, 0}},
	{0x15, SUB_ANY, {2, 0xa8, 25000000, 0}},
	{0x16, SUB_ANY, {2100, 3500, 100, 0}},
	{0x80000000, SUB_ANY, {0x80000008, 0, 0, 0}},
	{0x80000001, SUB_ANY, {0, 0, 0x121, 0x2c100800}},
	{0x80000007, SUB_ANY, {0, 0, 0, 0x100}},
	{0x80000008, SUB_ANY, {0x3934, 0x200, 0, 0}},
};

static const struct row zen2[] = {
	{0, SUB_ANY, {0x10, AMD_VENDOR}},
	{1, SUB_ANY, {0x870f10, 0x06100800, 0x7ed8320b, 0x178bfbff}},
	{5, SUB_ANY, {0x40, 0x40, 3, 0x11}},
	{6, SUB_ANY, {4, 0, 1, 0}},
	{7, 0, {0, 0x219c91a9, 0x400004, 0}},
	{0xb, 0, {1, 2, 0x100, 6}},
	{0xd, 0, {0x207, 0x340, 0x380, 0}},
	{0xd, 1, {0xf, 0x340, 0, 0}},
	{0xd, 2, {0x100, 0x240, 0, 0}},
	{0xd, 9, {8, 0x340, 0, 0}},
	{0x80000000, SUB_ANY, {0x80000020, AMD_VENDOR}},
	{0x80000001, SUB_ANY, {0x870f10, 0x20000000, 0x75c237ff, 0x2fd3fbff}},
	{0x80000002, SUB_ANY, {0x20444d41, 0x657a7952, 0x2035206e, 0x30303633}},
	{0x80000005, SUB_ANY, {0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140}},
	{0x80000006, SUB_ANY, {0x48006400, 0x68006400, 0x02006140, 0x01009140}},
	{0x80000007, SUB_ANY, {0, 0x1b, 0, 0x6799}},
	{0x80000008, SUB_ANY, {0x3030, 0x18cf757, 0x700b, 0x10000}},
	{0x8000000a, SUB_ANY, {1, 0x8000, 0, 0x13bcff}},
	{0x8000001e, SUB_ANY, {6, 0x103, 0, 0}},
};

static const struct row k8[] = {
	{0, SUB_ANY, {1, AMD_VENDOR}},
	{1, SUB_ANY, {0x60fb2, 0x00020800, 0x2001, 0x178bfbff}},
	{0x80000000, SUB_ANY, {0x80000018, AMD_VENDOR}},
	{0x80000001, SUB_ANY, {0x60fb2, 0xd1f, 0x11f, 0xebd3fbff}},
	{0x80000007, SUB_ANY, {0, 0, 0, 0x7f}},
	{0x80000008, SUB_ANY, {0x3028, 0, 1, 0}},
	{0x8000000a, SUB_ANY, {1, 0x40, 0, 0}},
};

/* QEMU's TCG model "max". */
static const struct row qemu_max[] = {
	{0, SUB_ANY, {0xd, AMD_VENDOR}},
	{1, SUB_ANY, {0x60fb1, 0x00010800, 0xf6f8320b, 0x0fabfbff}},
	{4, 0, {0x121, 0x1c0003f, 0x3f, 1}},
	{7, 0, {1, 0x219c47ab, 0x0041061e, 0}},
	{0xd, 0, {0x21f, 0x240, 0x388, 0}},
	{0xd, 1, {4, 0, 0, 0}},
	{0xd, 2, {0x100, 0x240, 0, 0}},
	{0xd, 3, {0x40, 0x3c0, 0, 0}},
	{0xd, 4, {0x40, 0x400, 0, 0}},
	{0xd, 9, {8, 0x380, 0, 0}},
	{0x80000000, SUB_ANY, {0x8000000a, AMD_VENDOR}},
	{0x80000001, SUB_ANY, {0x60fb1, 0, 0x75, 0xed93fbff}},
	{0x80000008, SUB_ANY, {0x3928, 0x4, 0, 0}},
	{0x8000000a, SUB_ANY, {1, 0x10, 0, 0x10010001}},
};

#define MACHINE(id)                                                                                \
	{                                                                                          \
#id, id, ARRAY_SIZE(id)                                                            \
	}
static const struct machine machines[] = {MACHINE(haswell), MACHINE(penryn), MACHINE(icelake),
					  MACHINE(zen2),    MACHINE(k8),     MACHINE(qemu_max)};
enum { HASWELL, PENRYN, ICELAKE, ZEN2, K8, QEMU_MAX };

static const struct cpuid_params full = {.xcr0 = XCR0_KNOWN, .x2apic = true, .tsc_deadline = true};

static struct cpuid_policy build(unsigned which, const struct cpuid_params *params)
{
	struct cpuid_policy p;

	cpuid_policy_build(&p, read_machine, (void *)(uintptr_t)&machines[which], params);
	return p;
}

static void read_ones(void *ctx, u32 leaf, u32 sub, u32 out[4])
{
	(void)sub;
	for (unsigned i = 0; i < 4; i++)
		out[i] = 0xffffffff;
	if (leaf == 0)
		memcpy(out + 1, ctx, 12);
	if (leaf == 0x80000008)
		out[0] = 0x393934;
}

struct answer {
	u32 reg[4];
};

static struct answer ask(const struct cpuid_policy *p, u32 leaf, u32 sub)
{
	static const u64 cr4;
	static const struct cpuid_dynamic idle = {.cr4 = &cr4, .xcr0 = 1};
	struct answer a;

	cpuid_query(p, &idle, leaf, sub, a.reg);
	return a;
}

static bool all_zero(struct answer a)
{
	return !(a.reg[0] | a.reg[1] | a.reg[2] | a.reg[3]);
}

/* --- what must never show --------------------------------------------------------------------- */

static const struct {
	u32 leaf, sub;
	u8 reg, bit;
	const char *name;
} forbidden[] = {
	{1, 0, CPUID_ECX, 3, "MONITOR"},
	{1, 0, CPUID_ECX, 2, "DTES64"},
	{1, 0, CPUID_ECX, 5, "VMX"},
	{1, 0, CPUID_ECX, 6, "SMX"},
	{1, 0, CPUID_ECX, 7, "EIST"},
	{1, 0, CPUID_ECX, 15, "PDCM"},
	{1, 0, CPUID_ECX, 17, "PCID"},
	{1, 0, CPUID_ECX, 27, "OSXSAVE while CR4 has it clear"},
	{1, 0, CPUID_ECX, 31, "hypervisor"},
	{1, 0, CPUID_EDX, 18, "PSN"},
	{1, 0, CPUID_EDX, 21, "DS"},
	{1, 0, CPUID_EDX, 22, "ACPI"},
	{1, 0, CPUID_EDX, 28, "HTT"},
	{7, 0, CPUID_EBX, 2, "SGX"},
	{7, 0, CPUID_EBX, 4, "HLE"},
	{7, 0, CPUID_EBX, 10, "INVPCID"},
	{7, 0, CPUID_EBX, 11, "RTM"},
	{7, 0, CPUID_EBX, 12, "RDT-M"},
	{7, 0, CPUID_EBX, 14, "MPX"},
	{7, 0, CPUID_EBX, 15, "RDT-A"},
	{7, 0, CPUID_EBX, 25, "PT"},
	{7, 0, CPUID_ECX, 4, "OSPKE while CR4 has it clear"},
	{7, 0, CPUID_ECX, 5, "WAITPKG"},
	{7, 0, CPUID_ECX, 7, "CET_SS"},
	{7, 0, CPUID_ECX, 13, "TME"},
	{7, 0, CPUID_ECX, 16, "LA57"},
	{7, 0, CPUID_ECX, 23, "key locker"},
	{7, 0, CPUID_ECX, 29, "ENQCMD"},
	{7, 0, CPUID_ECX, 30, "SGX_LC"},
	{7, 0, CPUID_ECX, 31, "PKS"},
	{7, 0, CPUID_EDX, 5, "UINTR"},
	{7, 0, CPUID_EDX, 15, "hybrid"},
	{7, 0, CPUID_EDX, 18, "PCONFIG"},
	{7, 0, CPUID_EDX, 19, "arch LBR"},
	{7, 0, CPUID_EDX, 20, "CET_IBT"},
	{7, 0, CPUID_EDX, 22, "AMX-BF16"},
	{7, 0, CPUID_EDX, 24, "AMX-TILE"},
	{7, 0, CPUID_EDX, 26, "SPEC_CTRL"},
	{7, 0, CPUID_EDX, 29, "ARCH_CAPABILITIES"},
	{7, 1, CPUID_EAX, 26, "LAM"},
	{7, 1, CPUID_EAX, 17, "FRED"},
	{0xd, 1, CPUID_EAX, 3, "XSAVES"},
	{0xd, 1, CPUID_EAX, 4, "XFD"},
	{0xd, 0, CPUID_EAX, 3, "MPX state"},
	{0xd, 0, CPUID_EAX, 17, "AMX state"},
	{0x80000001, 0, CPUID_ECX, 1, "CMP_LEGACY"},
	{0x80000001, 0, CPUID_ECX, 2, "SVM"},
	{0x80000001, 0, CPUID_ECX, 3, "EXTAPIC"},
	{0x80000001, 0, CPUID_ECX, 10, "IBS"},
	{0x80000001, 0, CPUID_ECX, 12, "SKINIT"},
	{0x80000001, 0, CPUID_ECX, 15, "LWP"},
	{0x80000001, 0, CPUID_ECX, 19, "NODEID"},
	{0x80000001, 0, CPUID_ECX, 22, "TOPOEXT"},
	{0x80000001, 0, CPUID_ECX, 23, "PERFCTR_CORE"},
	{0x80000001, 0, CPUID_ECX, 24, "PERFCTR_NB"},
	{0x80000001, 0, CPUID_ECX, 26, "DBEXT"},
	{0x80000001, 0, CPUID_ECX, 28, "PERFCTR_LLC"},
	{0x80000001, 0, CPUID_ECX, 29, "MWAITX"},
	{0x80000007, 0, CPUID_EDX, 7, "HW P-states"},
	{0x80000008, 0, CPUID_EBX, 3, "INVLPGB"},
	{0x80000008, 0, CPUID_EBX, 4, "RDPRU"},
	{0x80000008, 0, CPUID_EBX, 14, "IBRS"},
	{0x80000008, 0, CPUID_EBX, 24, "SSBD"},
	{0x80000021, 0, CPUID_EAX, 8, "automatic IBRS"},
};

TEST(a_host_with_everything_leaks_nothing_unswitched)
{
	static const u32 vendors[2][3] = {{AMD_VENDOR}, {INTEL_VENDOR}};
	static const u32 empty[] = {3, 5, 9, 0xa, 0xc, 0xe, 0xf, 0x10, 0x12, 0x14};
	static const u32 empty_ext[] = {0x8000000a, 0x8000001b, 0x8000001c, 0x8000001d,
					0x8000001e, 0x8000001f, 0x80000020};

	for (unsigned v = 0; v < 2; v++) {
		struct cpuid_policy p;

		cpuid_policy_build(&p, read_ones, (void *)(uintptr_t)vendors[v], &full);
		for (unsigned i = 0; i < ARRAY_SIZE(forbidden); i++) {
			struct answer a = ask(&p, forbidden[i].leaf, forbidden[i].sub);

			if (a.reg[forbidden[i].reg] >> forbidden[i].bit & 1) {
				printf("# shows %s\n", forbidden[i].name);
				CHECK(!"hidden");
			}
		}
		for (unsigned i = 0; i < ARRAY_SIZE(empty); i++)
			CHECK(all_zero(ask(&p, empty[i], 0)));
		for (unsigned i = 0; i < ARRAY_SIZE(empty_ext); i++)
			CHECK(all_zero(ask(&p, empty_ext[i], 0)));
		CHECK(all_zero(ask(&p, 7, 2)));
		CHECK_EQ(ask(&p, 7, 1).reg[CPUID_EDX], 0);
		CHECK_EQ(ask(&p, 0xd, 1).reg[CPUID_ECX], 0);
		CHECK(all_zero(ask(&p, 0xd, 17)));
	}
}

TEST(nothing_of_the_hosts_topology_shows)
{
	for (unsigned m = 0; m < ARRAY_SIZE(machines); m++) {
		struct cpuid_policy p = build(m, &full);
		struct answer one = ask(&p, 1, 0);

		CHECK_EQ(one.reg[CPUID_EBX] >> 16, 1);
		CHECK_EQ(one.reg[CPUID_EDX] >> 28 & 1, 0);
		CHECK_EQ(ask(&p, 0x80000008, 0).reg[CPUID_ECX], 0);
		for (u32 i = 0; i < 8; i++)
			CHECK_EQ(ask(&p, 4, i).reg[CPUID_EAX] >> 14, 0);
		CHECK_EQ(ask(&p, 0xb, 0).reg[CPUID_EBX], p.max_basic >= 0xb);
	}
}

/* --- what must show --------------------------------------------------------------------------- */

TEST(vendor_family_and_brand_are_the_hosts)
{
	struct cpuid_policy p = build(ZEN2, &full);
	struct answer a = ask(&p, 0, 0);

	CHECK(memcmp(&a.reg[1], "Auth", 4) == 0 && memcmp(&a.reg[3], "enti", 4) == 0 &&
	      memcmp(&a.reg[2], "cAMD", 4) == 0);
	CHECK_EQ(ask(&p, 1, 0).reg[CPUID_EAX], 0x870f10);
	CHECK_EQ(ask(&p, 0x80000002, 0).reg[CPUID_EAX], 0x20444d41);
	CHECK(p.amd && !p.intel_beyond);
	p = build(HASWELL, &full);
	CHECK(!p.amd && p.intel_beyond);
	CHECK_EQ(ask(&p, 4, 3).reg[CPUID_EAX], 0x163);
	CHECK(all_zero(ask(&p, 4, 4)));
}

TEST(useful_features_pass)
{
	struct cpuid_policy p = build(ICELAKE, &full);
	struct answer seven = ask(&p, 7, 0), one = ask(&p, 1, 0), ext = ask(&p, 0x80000001, 0);

	CHECK(seven.reg[CPUID_EBX] & BIT(0));
	CHECK(seven.reg[CPUID_EBX] & BIT(7));
	CHECK(seven.reg[CPUID_EBX] & BIT(16));
	CHECK(seven.reg[CPUID_EBX] & BIT(20));
	CHECK(seven.reg[CPUID_ECX] & BIT(3));
	CHECK(seven.reg[CPUID_ECX] & BIT(2));
	CHECK_EQ(seven.reg[CPUID_EAX], 1);
	CHECK(one.reg[CPUID_ECX] & BIT(21));
	CHECK(one.reg[CPUID_ECX] & BIT(24));
	CHECK(one.reg[CPUID_ECX] & BIT(26));
	CHECK(one.reg[CPUID_EDX] & BIT(9));
	CHECK(one.reg[CPUID_EDX] & BIT(12));
	CHECK(one.reg[CPUID_EDX] & BIT(16));
	CHECK((ext.reg[CPUID_EDX] & 0x2c100800) == 0x2c100800);
	CHECK_EQ(ask(&p, 0x15, 0).reg[CPUID_ECX], 25000000);
	CHECK_EQ(ask(&p, 0x80000007, 0).reg[CPUID_EDX], 0x100);
	CHECK_EQ(p.max_basic, 0x16);
	/* No invariant TSC where the host has none. */
	p = build(K8, &full);
	CHECK_EQ(ask(&p, 0x80000007, 0).reg[CPUID_EDX], 0);
}

TEST(dynamic_bits_follow_the_vcpu)
{
	struct cpuid_policy p = build(ZEN2, &full);
	u64 cr4 = CR4_OSXSAVE;
	struct cpuid_dynamic d = {.cr4 = &cr4, .xcr0 = 1, .apic_id = 3};
	u32 out[4];

	cpuid_query(&p, &d, 1, 0, out);
	CHECK(out[CPUID_ECX] & BIT(27));
	CHECK_EQ(out[CPUID_EBX] >> 24, 3);
	cpuid_query(&p, &d, 0xb, 1, out);
	CHECK(out[CPUID_EBX] == 1 && out[CPUID_ECX] == 0x201 && out[CPUID_EDX] == 3);
	cpuid_query(&p, &d, 0xb, 2, out);
	CHECK(out[CPUID_EBX] == 0 && out[CPUID_ECX] == 2 && out[CPUID_EDX] == 3);
	p = build(ICELAKE, &full);
	cr4 = CR4_PKE;
	cpuid_query(&p, &d, 7, 0, out);
	CHECK(out[CPUID_ECX] & BIT(4));
	cpuid_query(&p, &d, 7, 1, out);
	CHECK_EQ(out[CPUID_EAX], 0x30);
	CHECK_EQ(out[CPUID_ECX], 0);
}

TEST(xsave_sizes_follow_xcr0)
{
	struct cpuid_policy p = build(ICELAKE, &full);
	u64 cr4 = 0;
	struct cpuid_dynamic d = {.cr4 = &cr4, .xcr0 = 1};
	u32 out[4];

	cpuid_query(&p, &d, 0xd, 0, out);
	CHECK_EQ(out[CPUID_EAX], 0x2e7);
	CHECK_EQ(out[CPUID_EBX], 576);
	CHECK_EQ(out[CPUID_ECX], 0xa88);
	d.xcr0 = 7;
	cpuid_query(&p, &d, 0xd, 0, out);
	CHECK_EQ(out[CPUID_EBX], 0x340);
	d.xcr0 = 0x207;
	cpuid_query(&p, &d, 0xd, 0, out);
	CHECK_EQ(out[CPUID_EBX], 0xa88);
	cpuid_query(&p, &d, 0xd, 1, out);
	CHECK_EQ(out[CPUID_EBX], 0x348);
	cpuid_query(&p, &d, 0xd, 9, out);
	CHECK(out[CPUID_EAX] == 8 && out[CPUID_EBX] == 0xa80);
	cpuid_query(&p, &d, 0xd, 63, out);
	CHECK_EQ(out[CPUID_EAX], 0);
}

TEST(without_switched_state_its_users_disappear)
{
	struct cpuid_params none = {.xcr0 = 0}, avx = {.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX};
	struct cpuid_policy p = build(ICELAKE, &none);

	CHECK_EQ(ask(&p, 1, 0).reg[CPUID_ECX] & (BIT(26) | BIT(28) | BIT(12) | BIT(29)), 0);
	CHECK_EQ(ask(&p, 7, 0).reg[CPUID_EBX] & (BIT(5) | BIT(16) | BIT(31)), 0);
	CHECK_EQ(ask(&p, 7, 0).reg[CPUID_ECX] & (BIT(3) | BIT(9) | BIT(11)), 0);
	CHECK_EQ(ask(&p, 7, 1).reg[CPUID_EAX], 0);
	CHECK(all_zero(ask(&p, 0xd, 0)));
	CHECK_EQ(p.cr4_valid & (CR4_OSXSAVE | CR4_PKE), 0);
	CHECK_EQ(ask(&p, 1, 0).reg[CPUID_ECX] & (BIT(21) | BIT(24)), 0);
	p = build(ICELAKE, &avx);
	CHECK_EQ(p.xcr0_valid, 7);
	CHECK(ask(&p, 7, 0).reg[CPUID_EBX] & BIT(5));
	CHECK_EQ(ask(&p, 7, 0).reg[CPUID_EBX] & BIT(16), 0);
	CHECK_EQ(ask(&p, 0xd, 0).reg[CPUID_ECX], 0x340);
	p = build(PENRYN, &full);
	CHECK_EQ(p.xcr0_valid, 3);
	p = build(QEMU_MAX, &full);
	CHECK_EQ(p.xcr0_valid, 0x207);
	CHECK_EQ(ask(&p, 0xd, 0).reg[CPUID_ECX], 0x388);
}

TEST(address_widths_are_cut)
{
	struct cpuid_params narrow = full;
	struct cpuid_policy p = build(QEMU_MAX, &full);

	CHECK_EQ(ask(&p, 0x80000008, 0).reg[CPUID_EAX], 0x3028);
	CHECK_EQ(p.phys_bits, 40);
	narrow.phys_bits = 36;
	p = build(ICELAKE, &narrow);
	CHECK_EQ(ask(&p, 0x80000008, 0).reg[CPUID_EAX], 0x3024);
	CHECK_EQ(p.phys_bits, 36);
	narrow.phys_bits = 60;
	p = build(ICELAKE, &narrow);
	CHECK_EQ(p.phys_bits, 52);
}

static void read_icelake_without_crystal(void *ctx, u32 leaf, u32 sub, u32 out[4])
{
	(void)ctx;
	read_machine((void *)(uintptr_t)&machines[ICELAKE], leaf, sub, out);
	if (leaf == 0x15)
		out[CPUID_ECX] = 0;
}

TEST(clock_frequencies_are_shown_where_they_are_true)
{
	static const struct {
		u32 khz;
		bool shown;
	} measured[] = {{0, true},	  {2100000, true},  {2130000, true}, {2070000, true},
			{2140000, false}, {2060000, false}, {100000, false}, {UINT32_MAX, false}};

	for (unsigned i = 0; i < ARRAY_SIZE(measured); i++) {
		struct cpuid_params params = full;
		struct cpuid_policy p;

		params.tsc_khz = measured[i].khz;
		p = build(ICELAKE, &params);
		CHECK_EQ(all_zero(ask(&p, 0x15, 0)), !measured[i].shown);
		CHECK_EQ(all_zero(ask(&p, 0x16, 0)), !measured[i].shown);
		cpuid_policy_build(&p, read_icelake_without_crystal, NULL, &params);
		CHECK_EQ(all_zero(ask(&p, 0x15, 0)), !measured[i].shown);
		CHECK_EQ(all_zero(ask(&p, 0x16, 0)), !measured[i].shown);
		/* A CPU without these leaves. */
		p = build(HASWELL, &params);
		CHECK_EQ(p.max_basic, 0xd);
	}
}

TEST(leaves_beyond_the_maximum_follow_the_vendor)
{
	static const u32 beyond[] = {0x20,	 0x40000000, 0x40000001, 0x7fffffff,
				     0x80000022, 0x8fffffff, 0xc0000000, 0xffffffff};

	for (unsigned m = 0; m < ARRAY_SIZE(machines); m++) {
		struct cpuid_policy p = build(m, &full);

		for (unsigned i = 0; i < ARRAY_SIZE(beyond); i++) {
			struct answer a = ask(&p, beyond[i], 0), top = ask(&p, p.max_basic, 0);

			if (p.intel_beyond)
				CHECK(memcmp(&a, &top, sizeof(a)) == 0);
			else
				CHECK(all_zero(a));
		}
	}
}

TEST(control_register_masks_match_the_bits_shown)
{
	struct cpuid_policy p = build(K8, &full);
	u64 old = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE |
		  CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	CHECK_EQ(p.cr4_valid, old);
	CHECK_EQ(p.efer_valid, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_FFXSR);
	CHECK(!p.has_1g);
	p = build(ICELAKE, &full);
	CHECK_EQ(p.cr4_valid,
		 old | CR4_OSXSAVE | CR4_FSGSBASE | CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_PKE);
	CHECK_EQ(p.efer_valid, EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE);
	CHECK(p.has_1g);
}

static void read_zeros(void *ctx, u32 leaf, u32 sub, u32 out[4])
{
	(void)ctx;
	(void)leaf;
	(void)sub;
	memset(out, 0, 16);
}

TEST(a_host_without_anything_is_survived)
{
	struct cpuid_policy p;

	cpuid_policy_build(&p, read_zeros, NULL, &full);
	CHECK_EQ(p.max_basic, 0);
	CHECK_EQ(p.phys_bits, 36);
	CHECK(all_zero(ask(&p, 0x80000000, 0)));
	CHECK(all_zero(ask(&p, 7, 0)));
}
