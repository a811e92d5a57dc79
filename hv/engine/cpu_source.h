/* Where an engine reads what the CPU can do: the CPU itself, or a table of another CPU in a test.
 * What the command line pretends that the CPU lacks is part of it, so that no other code has to
 * ask.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_CPU_SOURCE_H
#define HV_ENGINE_CPU_SOURCE_H

#include "lib/cpuops.h"
#include "penumbra/types.h"

/* cpu_source.lacks: nested=off, unrestricted=off, vpid=off, msr_controls=off, apic_page=off */
#define CPU_LACKS_NESTED       BIT(0)
#define CPU_LACKS_UNRESTRICTED BIT(1)
#define CPU_LACKS_TAGS	       BIT(2)
#define CPU_LACKS_MSR_CONTROLS BIT(3)
#define CPU_LACKS_APIC_PAGE    BIT(4)

struct cpu_source {
	/* 0, or -EFAULT where the CPU raises #GP (@value is then 0). */
	int (*rdmsr)(void *ctx, u32 msr, u64 *value);
	struct cpuid (*cpuid)(void *ctx, u32 leaf, u32 subleaf);
	void *ctx;
	u32 lacks; /* CPU_LACKS_* */
};

/* The CPU that this runs on, less what engine_pretend() was told. */
const struct cpu_source *engine_cpu(void);
/* Before engine_select(): CPU_LACKS_* as the command line has it. */
void engine_pretend(u32 lacks);

#endif
