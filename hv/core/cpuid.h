/* What a guest's CPUID shows: one policy per partition, built at its start from the host's CPUID,
 * then read in a few instructions per exit.
 *
 * Bits are allowed one by one; whatever the tables do not name is zero, so a feature of a later CPU
 * stays hidden until someone has decided about it. Follows AMD APM vol. 3 appendix E and Intel SDM
 * vol. 2 (CPUID).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CPUID_H
#define HV_CORE_CPUID_H

#include "penumbra/types.h"

enum cpuid_reg { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX };

#define XCR0_X87    BIT(0)
#define XCR0_SSE    BIT(1)
#define XCR0_AVX    BIT(2)
#define XCR0_AVX512 (BIT(5) | BIT(6) | BIT(7))
#define XCR0_PKRU   BIT(9)
/* Components that a guest may ever be given. */
#define XCR0_KNOWN (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU)

struct cpuid_params {
	unsigned phys_bits; /* MAXPHYADDR to show; 0 or above the host's: the host's */
	u64 xcr0;    /* components whose state is switched; 0 hides XSAVE and all that needs it */
	bool x2apic; /* the virtual LAPIC has x2APIC mode */
	bool tsc_deadline; /* ... and TSC-deadline mode */
	u32 tsc_khz;	   /* as measured; 0: unknown, the host's leaves 15h and 16h are believed */
};

/* The vCPU's state that shows in CPUID. */
struct cpuid_dynamic {
	const u64 *cr4; /* where the engine keeps it */
	u64 xcr0;
	u32 apic_id;
};

#define CPUID_BASIC_LEAVES 0x17
#define CPUID_EXT_LEAVES   0x22
#define CPUID_CACHE_LEAVES 8
#define CPUID_XSAVE_LEAVES 10

struct cpuid_slot {
	u32 reg[4];
	u32 kind; /* enum cpuid_kind of cpuid.c: what else the leaf needs; 0: nothing */
};

struct cpuid_policy {
	u32 max_basic; /* < CPUID_BASIC_LEAVES */
	u32 max_ext;   /* leaf - 0x80000000, < CPUID_EXT_LEAVES; with no extended leaves 0, reading
			  zeros */
	bool intel_beyond; /* leaves beyond the maximum read as the highest basic one, not as zeros
			    */
	struct cpuid_slot basic[CPUID_BASIC_LEAVES];
	struct cpuid_slot ext[CPUID_EXT_LEAVES];
	u32 cache[CPUID_CACHE_LEAVES][4];
	u32 features7_1[4];
	u32 xsave[CPUID_XSAVE_LEAVES][4];

	/* What follows from the bits shown, for those who check the guest's writes and walks. */
	u64 cr4_valid, efer_valid, xcr0_valid;
	u8 phys_bits;
	bool has_1g;
	bool amd; /* AMD or Hygon: reserved bits and MSRs are theirs */
};

/* Build @p. @host executes CPUID on the machine (or reads a table in tests): out = EAX, EBX, ECX,
 * EDX. */
void cpuid_policy_build(struct cpuid_policy *p,
			void (*host)(void *ctx, u32 leaf, u32 sub, u32 out[4]), void *ctx,
			const struct cpuid_params *params);

/* What the guest reads. Total: every leaf and subleaf has an answer. No lock: @p does not change.
 */
void cpuid_query(const struct cpuid_policy *p, const struct cpuid_dynamic *d, u32 leaf, u32 sub,
		 u32 out[4]);

#endif
