/* AMD-V capabilities from CPUID and VM_CR.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/svm/svm_caps.h"
#include "engine/engine.h"
#include "lib/errno.h"
#include "lib/str.h"

#define CPUID_EXT		0x80000000u
#define CPUID_EXT_ADDRESSES	0x80000008u
#define CPUID_EXT_ECX_SVM	BIT(2)
#define CPUID_EXT_EDX_1G	BIT(26)
#define SVM_EDX_NPT		BIT(0)
#define SVM_EDX_NRIPS		BIT(3)
#define SVM_EDX_CLEAN		BIT(5)
#define SVM_EDX_FLUSH_ASID	BIT(6)
#define SVM_EDX_DECODE		BIT(7)
#define SVM_EDX_PAUSE		BIT(10)
#define SVM_EDX_PAUSE_THRESHOLD BIT(12)

static u8 phys_bits(const struct cpu_source *src)
{
	u32 max = src->cpuid(src->ctx, CPUID_EXT, 0).eax;

	return max >= CPUID_EXT_ADDRESSES ? (u8)src->cpuid(src->ctx, CPUID_EXT_ADDRESSES, 0).eax
					  : 36;
}

static void read_caps(const struct cpu_source *src, struct engine_caps *caps)
{
	struct cpuid c = src->cpuid(src->ctx, CPUID_SVM, 0);
	u32 features = src->cpuid(src->ctx, CPUID_EXT_FEATURES, 0).edx;

	*caps = (struct engine_caps){
		.tags = c.ebx,
		.nested = (c.edx & SVM_EDX_NPT) && !(src->lacks & CPU_LACKS_NESTED),
		.shadow = true,
		.shadow_unpaged = true,
		.next_rip = c.edx & SVM_EDX_NRIPS,
		.clean_bits = c.edx & SVM_EDX_CLEAN,
		.flush_by_tag = (c.edx & SVM_EDX_FLUSH_ASID) && !(src->lacks & CPU_LACKS_TAGS),
		.decode = c.edx & SVM_EDX_DECODE,
		/* Without a threshold PAUSEs far apart would add up to an exit too. */
		.pause_filter = (c.edx & SVM_EDX_PAUSE) && (c.edx & SVM_EDX_PAUSE_THRESHOLD),
	};
	caps->shadow_1g = features & CPUID_EXT_EDX_1G;
	caps->phys_bits = phys_bits(src);
	caps->nested_1g = caps->nested && (features & CPUID_EXT_EDX_1G);
}

int svm_probe_source(const struct cpu_source *src, struct engine_caps *caps, char *why,
		     size_t why_len)
{
	u64 vm_cr;

	if (src->cpuid(src->ctx, CPUID_EXT, 0).eax < CPUID_SVM) {
		snprintf(why, why_len, "the CPU has no AMD-V (no CPUID leaf 8000000A)");
		return -ENODEV;
	}
	if (!(src->cpuid(src->ctx, CPUID_EXT_FEATURES, 0).ecx & CPUID_EXT_ECX_SVM)) {
		snprintf(why, why_len, "the CPU has no AMD-V (CPUID 80000001 ECX bit 2 is 0)");
		return -ENODEV;
	}
	/* A CPU without VM_CR cannot have SVM switched off by it. */
	if (src->rdmsr(src->ctx, MSR_VM_CR, &vm_cr) == 0 && (vm_cr & VM_CR_SVMDIS)) {
		snprintf(why, why_len,
			 "AMD-V is disabled in the firmware set-up%s: enable SVM (AMD-V) there",
			 vm_cr & VM_CR_LOCK ? " and locked" : "");
		return -ENODEV;
	}
	read_caps(src, caps);
	if (caps->tags < 2) {
		snprintf(why, why_len, "the CPU reports %u ASIDs, 2 are needed", caps->tags);
		return -ENODEV;
	}
	return 0;
}
