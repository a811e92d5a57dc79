/* Model-specific registers of a guest: one table says which exist, who keeps them and what may be
 * written.
 *
 * Only accesses that the CPU intercepts come here. A register without a row, or of another vendor,
 * or of a feature that CPUID hides, faults; such accesses are counted.
 * Follows AMD APM vol. 2 appendix A, BKDG/PPR lists, and Intel SDM vol. 4.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_MSR_H
#define HV_CORE_MSR_H

#include "penumbra/types.h"

struct cpuid_policy;

#define MSR_MTRR_VAR_COUNT   8
#define MSR_MTRR_FIXED_COUNT 11
#define MSR_UNKNOWN_KEPT     8 /* a power of two */

/* What other parts of the machine keep. Every function is called on the vCPU's CPU; int results
 * are 0 or a negative error, which becomes #GP. */
struct msr_ops {
	/* Registers switched with the vCPU: EFER, the SYSCALL and SYSENTER groups, FS/GS bases,
	 * PAT, TSC_AUX. cpu_set gets values with legal bits and canonical addresses; for EFER it
	 * has to refuse a change of LME while CR0.PG is set. */
	int (*cpu_get)(void *ctx, u32 msr, u64 *value);
	int (*cpu_set)(void *ctx, u32 msr, u64 value);
	/* The guest's TSC now; move it by @delta (two's complement) for good. */
	u64 (*tsc)(void *ctx);
	void (*tsc_shift)(void *ctx, u64 delta);
	/* The local APIC: IA32_APIC_BASE, MSRs 800h-8FFh, IA32_TSC_DEADLINE. */
	u64 (*apic_base)(void *ctx);
	int (*set_apic_base)(void *ctx, u64 value);
	int (*x2apic_read)(void *ctx, u32 msr, u64 *value);
	int (*x2apic_write)(void *ctx, u32 msr, u64 value);
	u64 (*tsc_deadline)(void *ctx);
	void (*set_tsc_deadline)(void *ctx, u64 tsc);
};

struct guest_msrs_config {
	const struct cpuid_policy *cpuid; /* what the guest is shown decides which MSRs exist */
	u64 microcode;			  /* MSR 8Bh as the host reads it */
	u32 tsc_khz;
	u64 low_ram_end;  /* bytes below 4 GiB: AMD's TOP_MEM */
	u64 high_ram_end; /* end of RAM above 4 GiB, 0: none: AMD's TOP_MEM2 */
};

struct guest_msrs {
	u32 features; /* which groups of rows exist */
	u8 phys_bits;
	u64 efer_valid;
	const struct msr_ops *ops;
	void *ctx;

	u64 microcode, platform_info, perf_status;
	u64 top_mem, top_mem2;
	u64 tsc_adjust, misc_enable, mcg_status, syscfg, hwcr, de_cfg;
	u64 pat, mtrr_def_type;
	u64 mtrr_var[2 * MSR_MTRR_VAR_COUNT]; /* base, mask pairs */
	u64 mtrr_fixed[MSR_MTRR_FIXED_COUNT];

	/* Refused accesses, and the latest numbers: entry [count - 1 mod size] is the newest. */
	u64 unknown_reads, unknown_writes;
	u32 last_unknown_read[MSR_UNKNOWN_KEPT], last_unknown_write[MSR_UNKNOWN_KEPT];
};

/* @ops and @cfg->cpuid must outlive @m; @cfg need not. Ends with guest_msrs_reset(). */
void guest_msrs_init(struct guest_msrs *m, const struct guest_msrs_config *cfg,
		     const struct msr_ops *ops, void *ctx);
/* RESET values of what is kept here; the counters stay. What @ops keeps is its owner's to reset. */
void guest_msrs_reset(struct guest_msrs *m);

/* RDMSR, WRMSR. 0, or -EINVAL: the guest takes #GP(0). */
int msr_read(struct guest_msrs *m, u32 msr, u64 *value);
int msr_write(struct guest_msrs *m, u32 msr, u64 value);
/* Number of the fixed-range MTRR with index @i < MSR_MTRR_FIXED_COUNT. */
u32 msr_mtrr_fixed(unsigned i);
/* The name of the row that answers for @msr; NULL: an unknown MSR. */
const char *msr_name(u32 msr);

#endif
