/* Performance counters: events by family, and the GuestOnly bit. APM vol. 2 §13.2, and the event
 * lists of AMD's BKDGs and PPRs.
 *
 * No event of these CPUs tells cycles in page walks; only sampling (IBS) does, which takes an
 * interrupt for each sample and cannot be kept to guests. So walks are counted, and what one costs
 * is for others to say.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/svm/svm_pmu.h"
#include "lib/errno.h"
#include "lib/str.h"

#define CPUID_1_FAMILY(eax) (((eax) >> 8 & 15) + ((eax) >> 20 & 0xff))
#define CPUID_EXT_MAX	    0x80000000u
#define CPUID_PERF_V2	    0x80000022u
#define CPUID_PERF_V2_EAX   BIT(0)
#define CPUID_EXT_PERF_CORE BIT(23) /* 80000001 ECX */

#define MSR_PERF_CTL_OLD 0xc0010000u /* four of them, then four counters */
#define MSR_PERF_CTR_OLD 0xc0010004u
#define MSR_PERF_CTL	 0xc0010200u /* each with its counter behind it */
#define MSR_GLOBAL_CTL	 0xc0000301u
#define COUNTER_BITS	 48

#define SEL_USR	       BIT(16)
#define SEL_OS	       BIT(17)
#define SEL_EN	       BIT(22)
#define SEL_GUEST_ONLY BIT(40)

#define INSTRUCTIONS 0x0c0u
#define UNHALTED     0x076u
#define SURE	     90

/* Counters 0 to 2, the only ones that all families count walks on. */
static const struct family {
	const char *name;
	u8 first, last; /* family numbers */
	u16 walks;	/* unit mask, event: data accesses that missed all TLBs */
} families[] = {
	{"10h", 0x10, 0x10, 0x0746},
	{"12h", 0x12, 0x12, 0x0746},
	{"15h", 0x15, 0x15, 0x0746},
	{"17h (Zen, Zen 2)", 0x17, 0x18, 0xf045},
	{"19h (Zen 3, 4)", 0x19, 0x19, 0xf045},
	{"1Ah (Zen 5)", 0x1a, 0x1a, 0xf045},
};

static const struct family *find_family(u32 number)
{
	for (unsigned i = 0; i < ARRAY_SIZE(families); i++)
		if (number >= families[i].first && number <= families[i].last)
			return &families[i];
	return NULL;
}

static bool has_vendor(const struct cpu_source *src)
{
	u32 ebx = src->cpuid(src->ctx, 0, 0).ebx;

	return ebx == 0x68747541u || ebx == 0x6f677948u; /* "Auth", "Hygo" */
}

static void add(struct pmu_plan *p, bool core, enum pmu_role role, u32 event, u8 confidence)
{
	unsigned i = p->n;
	const struct pmu_counter c = {
		.control = core ? MSR_PERF_CTL + 2 * i : MSR_PERF_CTL_OLD + i,
		.counter = core ? MSR_PERF_CTL + 2 * i + 1 : MSR_PERF_CTR_OLD + i,
		.select = event | SEL_USR | SEL_OS | SEL_EN,
		.width = COUNTER_BITS,
		.role = (u8)role,
		.walks_loads = role == PMU_WALKS,
	};

	pmu_plan_add(p, &c);
	p->confidence[role] = confidence;
	if (p->global)
		p->global_mask |= BIT(i);
}

int svm_pmu_plan(const struct cpu_source *src, struct pmu_plan *plan, char *why, size_t why_len)
{
	u32 number = CPUID_1_FAMILY(src->cpuid(src->ctx, 1, 0).eax);
	const struct family *f = has_vendor(src) ? find_family(number) : NULL;
	bool core = src->cpuid(src->ctx, CPUID_EXT_FEATURES, 0).ecx & CPUID_EXT_PERF_CORE;
	bool v2 = src->cpuid(src->ctx, CPUID_EXT_MAX, 0).eax >= CPUID_PERF_V2 &&
		  (src->cpuid(src->ctx, CPUID_PERF_V2, 0).eax & CPUID_PERF_V2_EAX);

	memset(plan, 0, sizeof(*plan));
	if (!f) {
		snprintf(why, why_len, "no events are known for family %x", number);
		return -ENODEV;
	}
	*plan = (struct pmu_plan){
		.family = f->name, .global = v2 ? MSR_GLOBAL_CTL : 0, .guest_only = SEL_GUEST_ONLY};
	add(plan, core, PMU_WALKS, f->walks, SURE);
	add(plan, core, PMU_INSTRUCTIONS, INSTRUCTIONS, 95);
	add(plan, core, PMU_UNHALTED, UNHALTED, 100);
	return 0;
}

const struct pmu_ops svm_pmu = {.plan = svm_pmu_plan};
