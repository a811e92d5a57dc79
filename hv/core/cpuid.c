/* CPUID policy: the tables of what passes, what is forced and why, and their evaluation.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/cpuid.h"

#include "lib/str.h"
#include "lib/x86.h"

/* --- feature bits --------------------------------------------------------------------------- */

/* 1.ECX */
#define F1C_SSE3	 BIT(0)
#define F1C_PCLMULQDQ	 BIT(1)
#define F1C_SSSE3	 BIT(9)
#define F1C_FMA		 BIT(12)
#define F1C_CX16	 BIT(13)
#define F1C_SSE41	 BIT(19)
#define F1C_SSE42	 BIT(20)
#define F1C_X2APIC	 BIT(21)
#define F1C_MOVBE	 BIT(22)
#define F1C_POPCNT	 BIT(23)
#define F1C_TSC_DEADLINE BIT(24)
#define F1C_AES		 BIT(25)
#define F1C_XSAVE	 BIT(26)
#define F1C_OSXSAVE	 BIT(27)
#define F1C_AVX		 BIT(28)
#define F1C_F16C	 BIT(29)
#define F1C_RDRAND	 BIT(30)

/* 1.EDX; bits 0-9, 12-17, 23, 24 also in 80000001.EDX on AMD */
#define F1D_FPU	    BIT(0)
#define F1D_VME	    BIT(1)
#define F1D_DE	    BIT(2)
#define F1D_PSE	    BIT(3)
#define F1D_TSC	    BIT(4)
#define F1D_MSR	    BIT(5)
#define F1D_PAE	    BIT(6)
#define F1D_MCE	    BIT(7)
#define F1D_CX8	    BIT(8)
#define F1D_APIC    BIT(9)
#define F1D_SEP	    BIT(11)
#define F1D_MTRR    BIT(12)
#define F1D_PGE	    BIT(13)
#define F1D_MCA	    BIT(14)
#define F1D_CMOV    BIT(15)
#define F1D_PAT	    BIT(16)
#define F1D_PSE36   BIT(17)
#define F1D_CLFLUSH BIT(19)
#define F1D_MMX	    BIT(23)
#define F1D_FXSR    BIT(24)
#define F1D_SSE	    BIT(25)
#define F1D_SSE2    BIT(26)
#define F1D_SS	    BIT(27)
#define F1D_COMMON                                                                                 \
	(F1D_FPU | F1D_VME | F1D_DE | F1D_PSE | F1D_TSC | F1D_MSR | F1D_PAE | F1D_MCE | F1D_CX8 |  \
	 F1D_APIC | F1D_MTRR | F1D_PGE | F1D_MCA | F1D_CMOV | F1D_PAT | F1D_PSE36 | F1D_MMX |      \
	 F1D_FXSR)

#define F6A_ARAT BIT(2)

/* 7.0.EBX */
#define F7B_FSGSBASE	    BIT(0)
#define F7B_TSC_ADJUST	    BIT(1)
#define F7B_BMI1	    BIT(3)
#define F7B_AVX2	    BIT(5)
#define F7B_FDP_EXCPTN_ONLY BIT(6)
#define F7B_SMEP	    BIT(7)
#define F7B_BMI2	    BIT(8)
#define F7B_ERMS	    BIT(9)
#define F7B_ZERO_FCS_FDS    BIT(13)
#define F7B_AVX512F	    BIT(16)
#define F7B_AVX512DQ	    BIT(17)
#define F7B_RDSEED	    BIT(18)
#define F7B_ADX		    BIT(19)
#define F7B_SMAP	    BIT(20)
#define F7B_AVX512IFMA	    BIT(21)
#define F7B_CLFLUSHOPT	    BIT(23)
#define F7B_CLWB	    BIT(24)
#define F7B_AVX512CD	    BIT(28)
#define F7B_SHA		    BIT(29)
#define F7B_AVX512BW	    BIT(30)
#define F7B_AVX512VL	    BIT(31)
#define F7B_AVX512                                                                                 \
	(F7B_AVX512F | F7B_AVX512DQ | F7B_AVX512IFMA | F7B_AVX512CD | F7B_AVX512BW | F7B_AVX512VL)

/* 7.0.ECX */
#define F7C_AVX512VBMI	    BIT(1)
#define F7C_UMIP	    BIT(2)
#define F7C_PKU		    BIT(3)
#define F7C_OSPKE	    BIT(4)
#define F7C_AVX512VBMI2	    BIT(6)
#define F7C_GFNI	    BIT(8)
#define F7C_VAES	    BIT(9)
#define F7C_VPCLMULQDQ	    BIT(10)
#define F7C_AVX512VNNI	    BIT(11)
#define F7C_AVX512BITALG    BIT(12)
#define F7C_AVX512VPOPCNTDQ BIT(14)
#define F7C_RDPID	    BIT(22)
#define F7C_CLDEMOTE	    BIT(25)
#define F7C_MOVDIRI	    BIT(27)
#define F7C_MOVDIR64B	    BIT(28)
#define F7C_AVX512                                                                                 \
	(F7C_AVX512VBMI | F7C_AVX512VBMI2 | F7C_AVX512VNNI | F7C_AVX512BITALG | F7C_AVX512VPOPCNTDQ)

/* 7.0.EDX */
#define F7D_AVX512_4VNNIW      BIT(2)
#define F7D_AVX512_4FMAPS      BIT(3)
#define F7D_FSRM	       BIT(4)
#define F7D_AVX512VP2INTERSECT BIT(8)
#define F7D_MD_CLEAR	       BIT(10)
#define F7D_SERIALIZE	       BIT(14)
#define F7D_AVX512FP16	       BIT(23)
#define F7D_AVX512	       (F7D_AVX512_4VNNIW | F7D_AVX512_4FMAPS | F7D_AVX512VP2INTERSECT | F7D_AVX512FP16)

/* 7.1.EAX */
#define F71A_AVX_VNNI	BIT(4)
#define F71A_AVX512BF16 BIT(5)
#define F71A_FZRM	BIT(10)
#define F71A_FSRS	BIT(11)
#define F71A_FSRC	BIT(12)
#define F71A_AVX_IFMA	BIT(23)

/* D.1.EAX */
#define FD1A_XSAVEOPT BIT(0)
#define FD1A_XSAVEC   BIT(1)
#define FD1A_XGETBV1  BIT(2)

/* 80000001.ECX */
#define E1C_LAHF	BIT(0)
#define E1C_ALTMOVCR8	BIT(4)
#define E1C_ABM		BIT(5)
#define E1C_SSE4A	BIT(6)
#define E1C_MISALIGNSSE BIT(7)
#define E1C_PREFETCHW	BIT(8)
#define E1C_OSVW	BIT(9)
#define E1C_XOP		BIT(11)
#define E1C_FMA4	BIT(16)
#define E1C_TBM		BIT(21)

/* 80000001.EDX */
#define E1D_SYSCALL  BIT(11)
#define E1D_NX	     BIT(20)
#define E1D_MMXEXT   BIT(22)
#define E1D_FFXSR    BIT(25)
#define E1D_1G	     BIT(26)
#define E1D_RDTSCP   BIT(27)
#define E1D_LM	     BIT(29)
#define E1D_3DNOWEXT BIT(30)
#define E1D_3DNOW    BIT(31)

#define E7D_INVARIANT_TSC BIT(8)

/* 80000008.EBX */
#define E8B_CLZERO     BIT(0)
#define E8B_XSAVEERPTR BIT(2)
#define E8B_WBNOINVD   BIT(9)
#define E8B_BTC_NO     BIT(29)

/* 80000021.EAX */
#define E21A_NO_NESTED_DATA_BP	  BIT(0)
#define E21A_LFENCE_SERIALIZES	  BIT(2)
#define E21A_NULL_SEL_CLEARS_BASE BIT(6)

/* --- the policy ------------------------------------------------------------------------------- */

struct cpuid_rule {
	u32 leaf;
	u8 reg;
	u32 pass;  /* shown where the host has it */
	u32 force; /* shown always */
	const char *why;
};

#define EVERYTHING 0xffffffffu

static const struct cpuid_rule rules[] = {
	{0x0, CPUID_EBX, EVERYTHING, 0, "the vendor is the host's: code paths depend on it"},
	{0x0, CPUID_ECX, EVERYTHING, 0, "vendor"},
	{0x0, CPUID_EDX, EVERYTHING, 0, "vendor"},
	{0x1, CPUID_EAX, EVERYTHING, 0,
	 "family, model, stepping: errata workarounds need the truth"},
	{0x1, CPUID_EBX, 0xffff, 0x10000,
	 "brand, CLFLUSH size; one logical CPU; APIC ID is dynamic"},
	{0x1, CPUID_ECX,
	 F1C_SSE3 | F1C_PCLMULQDQ | F1C_SSSE3 | F1C_FMA | F1C_CX16 | F1C_SSE41 | F1C_SSE42 |
		 F1C_MOVBE | F1C_POPCNT | F1C_AES | F1C_XSAVE | F1C_AVX | F1C_F16C | F1C_RDRAND,
	 0,
	 "instructions only: no MONITOR (HLT gives the CPU away), debug store, thermal, PCID (tags "
	 "are ours), "
	 "virtualisation; x2APIC and TSC deadline by parameter, OSXSAVE dynamic"},
	{0x1, CPUID_EDX, F1D_COMMON | F1D_SEP | F1D_CLFLUSH | F1D_SSE | F1D_SSE2 | F1D_SS, F1D_APIC,
	 "no serial number, thermal, debug store or HTT: one thread; the virtual LAPIC is always "
	 "there"},
	{0x2, CPUID_EAX, EVERYTHING, 0, "cache descriptors"},
	{0x2, CPUID_EBX, EVERYTHING, 0, "cache descriptors"},
	{0x2, CPUID_ECX, EVERYTHING, 0, "cache descriptors"},
	{0x2, CPUID_EDX, EVERYTHING, 0, "cache descriptors"},
	{0x6, CPUID_EAX, 0, F6A_ARAT, "no power management; the virtual APIC timer never stops"},
	{0x7, CPUID_EBX,
	 F7B_FSGSBASE | F7B_TSC_ADJUST | F7B_BMI1 | F7B_AVX2 | F7B_FDP_EXCPTN_ONLY | F7B_SMEP |
		 F7B_BMI2 | F7B_ERMS | F7B_ZERO_FCS_FDS | F7B_RDSEED | F7B_ADX | F7B_SMAP |
		 F7B_CLFLUSHOPT | F7B_CLWB | F7B_SHA | F7B_AVX512,
	 0, "no SGX, INVPCID, TSX (exits abort it), MPX, resource control, processor trace"},
	{0x7, CPUID_ECX,
	 F7C_UMIP | F7C_PKU | F7C_GFNI | F7C_VAES | F7C_VPCLMULQDQ | F7C_RDPID | F7C_CLDEMOTE |
		 F7C_MOVDIRI | F7C_MOVDIR64B | F7C_AVX512,
	 0, "no WAITPKG, CET, TME, LA57, key locker, PKS, ENQCMD; OSPKE dynamic"},
	{0x7, CPUID_EDX, F7D_FSRM | F7D_MD_CLEAR | F7D_SERIALIZE | F7D_AVX512, 0,
	 "no UINTR, AMX, hybrid, LBR, CET; no speculation-control MSRs: they are not switched"},
	{0x15, CPUID_EAX, EVERYTHING, 0, "TSC frequency where it is true: the TSC is not scaled"},
	{0x15, CPUID_EBX, EVERYTHING, 0, "TSC frequency"},
	{0x15, CPUID_ECX, EVERYTHING, 0, "TSC frequency"},
	{0x16, CPUID_EAX, 0xffff, 0, "CPU frequency"},
	{0x16, CPUID_EBX, 0xffff, 0, "CPU frequency"},
	{0x16, CPUID_ECX, 0xffff, 0, "bus frequency"},
	{0x80000000, CPUID_EBX, EVERYTHING, 0, "vendor"},
	{0x80000000, CPUID_ECX, EVERYTHING, 0, "vendor"},
	{0x80000000, CPUID_EDX, EVERYTHING, 0, "vendor"},
	{0x80000001, CPUID_EAX, EVERYTHING, 0, "family, model, stepping"},
	{0x80000001, CPUID_EBX, EVERYTHING, 0, "package type, brand"},
	{0x80000001, CPUID_ECX,
	 E1C_LAHF | E1C_ALTMOVCR8 | E1C_ABM | E1C_SSE4A | E1C_MISALIGNSSE | E1C_PREFETCHW |
		 E1C_OSVW | E1C_XOP | E1C_FMA4 | E1C_TBM,
	 0,
	 "no virtualisation, SKINIT, extended APIC space, IBS, LWP, watchdog, node MSR, multi-core "
	 "topology, counters, MWAITX, data-breakpoint masks, translation-cache extension"},
	{0x80000001, CPUID_EDX,
	 F1D_COMMON | E1D_SYSCALL | E1D_NX | E1D_MMXEXT | E1D_FFXSR | E1D_1G | E1D_RDTSCP | E1D_LM |
		 E1D_3DNOWEXT | E1D_3DNOW,
	 0, "long mode and instructions; no MP bit"},
	{0x80000002, CPUID_EAX, EVERYTHING, 0, "brand string"},
	{0x80000002, CPUID_EBX, EVERYTHING, 0, "brand string"},
	{0x80000002, CPUID_ECX, EVERYTHING, 0, "brand string"},
	{0x80000002, CPUID_EDX, EVERYTHING, 0, "brand string"},
	{0x80000003, CPUID_EAX, EVERYTHING, 0, "brand string"},
	{0x80000003, CPUID_EBX, EVERYTHING, 0, "brand string"},
	{0x80000003, CPUID_ECX, EVERYTHING, 0, "brand string"},
	{0x80000003, CPUID_EDX, EVERYTHING, 0, "brand string"},
	{0x80000004, CPUID_EAX, EVERYTHING, 0, "brand string"},
	{0x80000004, CPUID_EBX, EVERYTHING, 0, "brand string"},
	{0x80000004, CPUID_ECX, EVERYTHING, 0, "brand string"},
	{0x80000004, CPUID_EDX, EVERYTHING, 0, "brand string"},
	{0x80000005, CPUID_EAX, EVERYTHING, 0, "L1 TLB"},
	{0x80000005, CPUID_EBX, EVERYTHING, 0, "L1 TLB"},
	{0x80000005, CPUID_ECX, EVERYTHING, 0, "L1 data cache"},
	{0x80000005, CPUID_EDX, EVERYTHING, 0, "L1 instruction cache"},
	{0x80000006, CPUID_EAX, EVERYTHING, 0, "L2 TLB"},
	{0x80000006, CPUID_EBX, EVERYTHING, 0, "L2 TLB"},
	{0x80000006, CPUID_ECX, EVERYTHING, 0, "L2 cache"},
	{0x80000006, CPUID_EDX, EVERYTHING, 0, "L3 cache"},
	{0x80000007, CPUID_EDX, E7D_INVARIANT_TSC, 0, "no P-states, sensors, RAS reports"},
	{0x80000008, CPUID_EAX, 0xffff, 0,
	 "address widths, cut by parameter and to 48 linear bits"},
	{0x80000008, CPUID_EBX, E8B_CLZERO | E8B_XSAVEERPTR | E8B_WBNOINVD | E8B_BTC_NO, 0,
	 "no INVLPGB, RDPRU, IRPERF, PPIN, CPPC, speculation-control MSRs"},
	{0x80000019, CPUID_EAX, EVERYTHING, 0, "1 GiB TLB"},
	{0x80000019, CPUID_EBX, EVERYTHING, 0, "1 GiB TLB"},
	{0x8000001a, CPUID_EAX, 7, 0, "width of the FPU: FP128, MOVU, FP256"},
	{0x80000021, CPUID_EAX,
	 E21A_NO_NESTED_DATA_BP | E21A_LFENCE_SERIALIZES | E21A_NULL_SEL_CLEARS_BASE, 0,
	 "facts about the core; no EFER extensions"},
};

/* Bits that make no sense to a guest without these XSAVE components. */
static const struct {
	u64 xcr0;
	u32 leaf;
	u8 reg;
	u32 bits;
} needs_xcr0[] = {
	{XCR0_X87 | XCR0_SSE, 0x1, CPUID_ECX, F1C_XSAVE},
	{XCR0_X87 | XCR0_SSE, 0x80000008, CPUID_EBX, E8B_XSAVEERPTR},
	{XCR0_AVX, 0x1, CPUID_ECX, F1C_AVX | F1C_FMA | F1C_F16C},
	{XCR0_AVX, 0x7, CPUID_EBX, F7B_AVX2},
	{XCR0_AVX, 0x7, CPUID_ECX, F7C_VAES | F7C_VPCLMULQDQ},
	{XCR0_AVX, 0x80000001, CPUID_ECX, E1C_XOP | E1C_FMA4},
	{XCR0_AVX512, 0x7, CPUID_EBX, (u32)F7B_AVX512},
	{XCR0_AVX512, 0x7, CPUID_ECX, F7C_AVX512},
	{XCR0_AVX512, 0x7, CPUID_EDX, F7D_AVX512},
	{XCR0_PKRU, 0x7, CPUID_ECX, F7C_PKU},
};

/* CR4 and EFER bits that exist only with a feature. */
static const struct {
	u32 leaf;
	u8 reg;
	u32 bit;
	u64 cr4, efer;
} control_bits[] = {
	{0x1, CPUID_EDX, F1D_VME, CR4_VME | CR4_PVI, 0},
	{0x1, CPUID_EDX, F1D_TSC, CR4_TSD, 0},
	{0x1, CPUID_EDX, F1D_DE, CR4_DE, 0},
	{0x1, CPUID_EDX, F1D_PSE, CR4_PSE, 0},
	{0x1, CPUID_EDX, F1D_PAE, CR4_PAE, 0},
	{0x1, CPUID_EDX, F1D_MCE, CR4_MCE, 0},
	{0x1, CPUID_EDX, F1D_PGE, CR4_PGE, 0},
	{0x1, CPUID_EDX, F1D_MMX, CR4_PCE,
	 0}, /* RDPMC came with MMX CPUs and has no bit of its own */
	{0x1, CPUID_EDX, F1D_FXSR, CR4_OSFXSR, 0},
	{0x1, CPUID_EDX, F1D_SSE, CR4_OSXMMEXCPT, 0},
	{0x1, CPUID_ECX, F1C_XSAVE, CR4_OSXSAVE, 0},
	{0x7, CPUID_EBX, F7B_FSGSBASE, CR4_FSGSBASE, 0},
	{0x7, CPUID_EBX, F7B_SMEP, CR4_SMEP, 0},
	{0x7, CPUID_EBX, F7B_SMAP, CR4_SMAP, 0},
	{0x7, CPUID_ECX, F7C_UMIP, CR4_UMIP, 0},
	{0x7, CPUID_ECX, F7C_PKU, CR4_PKE, 0},
	{0x80000001, CPUID_EDX, E1D_SYSCALL, 0, EFER_SCE},
	{0x80000001, CPUID_EDX, E1D_LM, 0, EFER_SCE | EFER_LME | EFER_LMA},
	{0x80000001, CPUID_EDX, E1D_NX, 0, EFER_NXE},
	{0x80000001, CPUID_EDX, E1D_FFXSR, 0, EFER_FFXSR},
};

/* --- building --------------------------------------------------------------------------------- */

enum cpuid_kind {
	KIND_PLAIN,
	KIND_FEATURES, /* leaf 1: OSXSAVE, APIC ID */
	KIND_FLAGS,    /* leaf 7: subleaves, OSPKE */
	KIND_CACHE,    /* leaf 4: subleaves */
	KIND_TOPOLOGY, /* leaf B: subleaves, x2APIC ID */
	KIND_XSAVE,    /* leaf D: subleaves, sizes by XCR0 */
};

#define EXT		  0x80000000u
#define LINEAR_BITS	  48u
#define XSAVE_LEGACY_AREA 576u

/* Access to the host's CPUID during a build. */
struct host_cpuid {
	void (*read)(void *ctx, u32 leaf, u32 sub, u32 out[4]);
	void *ctx;
	u32 max_basic, max_ext;
};

static u32 *slot_reg(struct cpuid_policy *p, u32 leaf, unsigned reg)
{
	return leaf & EXT ? &p->ext[leaf - EXT].reg[reg] : &p->basic[leaf].reg[reg];
}

static void host_read(const struct host_cpuid *h, u32 leaf, u32 sub, u32 out[4])
{
	memset(out, 0, 4 * sizeof(u32));
	if (leaf & EXT ? leaf <= h->max_ext : leaf <= h->max_basic)
		h->read(h->ctx, leaf, sub, out);
}

static void apply_rules(struct cpuid_policy *p, const struct host_cpuid *h)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct cpuid_rule *r = &rules[i];
		u32 host[4];

		host_read(h, r->leaf, 0, host);
		*slot_reg(p, r->leaf, r->reg) = (host[r->reg] & r->pass) | r->force;
	}
}

/* Leaf 4: cache levels as they are, shared by nobody. */
static void build_cache(struct cpuid_policy *p, const struct host_cpuid *h)
{
	for (unsigned i = 0; i < CPUID_CACHE_LEAVES; i++) {
		host_read(h, 4, i, p->cache[i]);
		p->cache[i][CPUID_EAX] &= 0x3fff;
		if (!(p->cache[i][CPUID_EAX] & 0x1f)) {
			memset(p->cache[i], 0, sizeof(p->cache[i]));
			return;
		}
	}
}

static void build_flags(struct cpuid_policy *p, const struct host_cpuid *h)
{
	u32 avx = F71A_AVX_VNNI | F71A_AVX_IFMA;
	u32 host[4];

	host_read(h, 7, 0, host);
	if (!host[CPUID_EAX])
		return;
	host_read(h, 7, 1, host);
	if (!(p->xcr0_valid & XCR0_AVX))
		host[CPUID_EAX] &= ~avx;
	if ((p->xcr0_valid & XCR0_AVX512) != XCR0_AVX512)
		host[CPUID_EAX] &= ~F71A_AVX512BF16;
	p->features7_1[CPUID_EAX] =
		host[CPUID_EAX] & (avx | F71A_AVX512BF16 | F71A_FZRM | F71A_FSRS | F71A_FSRC);
	p->basic[7].reg[CPUID_EAX] = 1;
}

/* The components a guest may enable: switched by us, present in the host, and complete sets. */
static u64 usable_xcr0(const struct host_cpuid *h, u64 wanted)
{
	u32 features[4], host[4];
	u64 x;

	host_read(h, 1, 0, features);
	host_read(h, 0xd, 0, host);
	if (!(features[CPUID_ECX] & F1C_XSAVE))
		return 0;
	x = (host[CPUID_EAX] | (u64)host[CPUID_EDX] << 32) & wanted & XCR0_KNOWN;
	if ((x & (XCR0_X87 | XCR0_SSE)) != (XCR0_X87 | XCR0_SSE))
		return 0;
	if (!(x & XCR0_AVX) || (x & XCR0_AVX512) != XCR0_AVX512)
		x &= ~XCR0_AVX512;
	return x;
}

/* Bytes of an XSAVE area for components @xcr0, standard or compacted form. At least 576. */
static u32 xsave_size(const struct cpuid_policy *p, u64 xcr0, bool compact)
{
	u32 end = XSAVE_LEGACY_AREA;

	for (unsigned i = 2; i < CPUID_XSAVE_LEAVES; i++) {
		u32 start = p->xsave[i][CPUID_EBX];

		if (!(xcr0 & BIT(i)) || !p->xsave[i][CPUID_EAX])
			continue;
		if (compact)
			start = p->xsave[i][CPUID_ECX] & 2 ? ALIGN_UP(end, 64) : end;
		end = MAX(end, start + p->xsave[i][CPUID_EAX]);
	}
	return end;
}

static void build_xsave(struct cpuid_policy *p, const struct host_cpuid *h)
{
	u64 x = p->xcr0_valid;
	u32 host[4];

	if (!x)
		return;
	for (unsigned i = 2; i < CPUID_XSAVE_LEAVES; i++) {
		if (!(x & BIT(i)))
			continue;
		host_read(h, 0xd, i, host);
		memcpy(p->xsave[i], host, sizeof(host));
		p->xsave[i][CPUID_ECX] &= 2; /* alignment; a user-mode component */
		p->xsave[i][CPUID_EDX] = 0;
	}
	p->xsave[0][CPUID_EAX] = (u32)x;
	p->xsave[0][CPUID_ECX] = xsave_size(p, x, false);
	p->xsave[0][CPUID_EDX] = x >> 32;
	/* No XSAVES: IA32_XSS is not switched. */
	host_read(h, 0xd, 1, host);
	p->xsave[1][CPUID_EAX] = host[CPUID_EAX] & (FD1A_XSAVEOPT | FD1A_XSAVEC | FD1A_XGETBV1);
}

static void drop_dependants(struct cpuid_policy *p)
{
	for (unsigned i = 0; i < ARRAY_SIZE(needs_xcr0); i++)
		if ((p->xcr0_valid & needs_xcr0[i].xcr0) != needs_xcr0[i].xcr0)
			*slot_reg(p, needs_xcr0[i].leaf, needs_xcr0[i].reg) &= ~needs_xcr0[i].bits;
}

static void build_address_widths(struct cpuid_policy *p, const struct host_cpuid *h,
				 const struct cpuid_params *params)
{
	u32 *eax = &p->ext[8].reg[CPUID_EAX];
	unsigned phys = *eax & 0xff, linear = *eax >> 8 & 0xff;

	if (h->max_ext < EXT + 8) {
		p->phys_bits = 36;
		return;
	}
	if (params->phys_bits && params->phys_bits < phys)
		phys = params->phys_bits;
	*eax = phys | MIN(linear, LINEAR_BITS) << 8;
	p->phys_bits = phys;
}

static void derive_controls(struct cpuid_policy *p)
{
	for (unsigned i = 0; i < ARRAY_SIZE(control_bits); i++) {
		if (!(*slot_reg(p, control_bits[i].leaf, control_bits[i].reg) &
		      control_bits[i].bit))
			continue;
		p->cr4_valid |= control_bits[i].cr4;
		p->efer_valid |= control_bits[i].efer;
	}
	p->has_1g = p->ext[1].reg[CPUID_EDX] & E1D_1G;
}

static bool vendor_is(const struct cpuid_policy *p, const char *name)
{
	u32 text[3] = {p->basic[0].reg[CPUID_EBX], p->basic[0].reg[CPUID_EDX],
		       p->basic[0].reg[CPUID_ECX]};

	return memcmp(text, name, sizeof(text)) == 0;
}

static void set_maxima(struct cpuid_policy *p, const struct host_cpuid *h)
{
	p->max_basic = MIN(h->max_basic, CPUID_BASIC_LEAVES - 1);
	p->basic[0].reg[CPUID_EAX] = p->max_basic;
	if (h->max_ext < EXT)
		return;
	p->max_ext = MIN(h->max_ext - EXT, CPUID_EXT_LEAVES - 1);
	p->ext[0].reg[CPUID_EAX] = EXT + p->max_ext;
}

/* Kernels believe these two leaves and measure only without them. The TSC is not always what they
 * say: an overclocked bus, a crystal that the CPU does not know, an emulator. */
static void check_frequency(struct cpuid_policy *p, u64 measured_khz)
{
	u32 *tsc = p->basic[0x15].reg, *base = p->basic[0x16].reg;
	u64 said_khz = (u64)base[CPUID_EAX] * 1000;

	if (tsc[CPUID_EAX] && tsc[CPUID_EBX] && tsc[CPUID_ECX])
		said_khz = (u64)tsc[CPUID_ECX] * tsc[CPUID_EBX] / tsc[CPUID_EAX] / 1000;
	if (!measured_khz || !said_khz ||
	    MAX(said_khz, measured_khz) - MIN(said_khz, measured_khz) <= said_khz / 64)
		return;
	memset(tsc, 0, sizeof(p->basic[0x15].reg));
	memset(base, 0, sizeof(p->basic[0x16].reg));
}

void cpuid_policy_build(struct cpuid_policy *p,
			void (*host)(void *ctx, u32 leaf, u32 sub, u32 out[4]), void *ctx,
			const struct cpuid_params *params)
{
	struct host_cpuid h = {.read = host, .ctx = ctx};
	u32 out[4];

	memset(p, 0, sizeof(*p));
	host(ctx, 0, 0, out);
	h.max_basic = out[CPUID_EAX];
	host(ctx, EXT, 0, out);
	h.max_ext = out[CPUID_EAX] & EXT ? out[CPUID_EAX] : 0;

	apply_rules(p, &h);
	set_maxima(p, &h);
	if (params->x2apic)
		p->basic[1].reg[CPUID_ECX] |= F1C_X2APIC;
	if (params->tsc_deadline)
		p->basic[1].reg[CPUID_ECX] |= F1C_TSC_DEADLINE;
	p->xcr0_valid = usable_xcr0(&h, params->xcr0);
	drop_dependants(p);
	build_cache(p, &h);
	build_flags(p, &h);
	build_xsave(p, &h);
	build_address_widths(p, &h, params);
	check_frequency(p, params->tsc_khz);
	derive_controls(p);
	p->intel_beyond = vendor_is(p, "GenuineIntel");
	p->amd = vendor_is(p, "AuthenticAMD") || vendor_is(p, "HygonGenuine");
	p->basic[1].kind = KIND_FEATURES;
	p->basic[4].kind = KIND_CACHE;
	p->basic[7].kind = KIND_FLAGS;
	p->basic[0xb].kind = KIND_TOPOLOGY;
	p->basic[0xd].kind = KIND_XSAVE;
}

/* --- answering -------------------------------------------------------------------------------- */

static void set_all(u32 out[4], const u32 in[4])
{
	__builtin_memcpy(out, in, 4 * sizeof(out[0]));
}

static const u32 zeros[4];

/* One package, one core, one thread (SDM vol. 2, leaf 0BH). */
static void query_topology(const struct cpuid_dynamic *d, u32 sub, u32 out[4])
{
	out[CPUID_EAX] = 0;
	out[CPUID_EBX] = sub < 2;
	out[CPUID_ECX] = (sub & 0xff) | (sub < 2 ? (sub + 1) << 8 : 0);
	out[CPUID_EDX] = d->apic_id;
}

static void query_xsave(const struct cpuid_policy *p, const struct cpuid_dynamic *d, u32 sub,
			u32 out[4])
{
	set_all(out, sub < CPUID_XSAVE_LEAVES ? p->xsave[sub] : zeros);
	if (!p->xcr0_valid)
		return;
	if (sub == 0)
		out[CPUID_EBX] = xsave_size(p, d->xcr0, false);
	else if (sub == 1 && (out[CPUID_EAX] & FD1A_XSAVEC))
		out[CPUID_EBX] = xsave_size(p, d->xcr0, true);
}

/* Leaves with subleaves whose answers are not in their slot. */
static __attribute__((noinline)) void query_subleaf(const struct cpuid_policy *p,
						    const struct cpuid_dynamic *d, u32 kind,
						    u32 sub, u32 out[4])
{
	switch (kind) {
	case KIND_FLAGS:
		set_all(out, sub == 1 ? p->features7_1 : zeros);
		break;
	case KIND_CACHE:
		set_all(out, sub < CPUID_CACHE_LEAVES ? p->cache[sub] : zeros);
		break;
	case KIND_TOPOLOGY:
		query_topology(d, sub, out);
		break;
	case KIND_XSAVE:
		query_xsave(p, d, sub, out);
		break;
	default:
		break;
	}
}

static __attribute__((noinline)) void query_beyond(const struct cpuid_policy *p,
						   const struct cpuid_dynamic *d, u32 sub,
						   u32 out[4])
{
	if (p->intel_beyond)
		cpuid_query(p, d, p->max_basic, sub, out);
	else
		set_all(out, zeros);
}

void cpuid_query(const struct cpuid_policy *p, const struct cpuid_dynamic *d, u32 leaf, u32 sub,
		 u32 out[4])
{
	const struct cpuid_slot *s;

	if (leaf <= p->max_basic) {
		s = &p->basic[leaf];
	} else if (leaf - EXT <= p->max_ext) {
		s = &p->ext[leaf - EXT];
	} else {
		query_beyond(p, d, sub, out);
		return;
	}
	set_all(out, s->reg);
	if (s->kind == KIND_PLAIN)
		return;
	if (s->kind == KIND_FEATURES) {
		out[CPUID_EBX] |= d->apic_id << 24;
		if (*d->cr4 & CR4_OSXSAVE)
			out[CPUID_ECX] |= F1C_OSXSAVE;
	} else if (s->kind == KIND_FLAGS && sub == 0) {
		if (*d->cr4 & CR4_PKE)
			out[CPUID_ECX] |= F7C_OSPKE;
	} else {
		query_subleaf(p, d, s->kind, sub, out);
	}
}
