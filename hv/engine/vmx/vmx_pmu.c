/* Performance counters: events by family, and counting in VMX non-root operation only. SDM vol. 3
 * ch. 20 (performance monitoring), §25.7, §25.8 (IA32_PERF_GLOBAL_CTRL by entries and exits); event
 * codes from Intel's published event lists.
 *
 * Of walk cycles several events are parts. Where there are fewer counters than events the first
 * ones are taken, and the sum is believed less for each part that it lacks.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/vmx/vmx_pmu.h"
#include "engine/vmx/vmx.h"
#include "engine/vmx/vmx_ops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "penumbra/bootinfo.h"

#define CPUID_PERF	   0xau
#define CPUID_HYBRID	   0x1au
#define CPUID_1_MODEL(eax) (((eax) >> 4 & 15) | ((eax) >> 12 & 0xf0))
#define CPUID_FAMILY(eax)  ((eax) >> 8 & 15)
#define VENDOR_INTEL	   0x756e6547u /* "Genu" */

#define MSR_PMC0	   0x0c1u
#define MSR_PERFEVTSEL0	   0x186u
#define MSR_FIXED_CTR0	   0x309u
#define MSR_FIXED_CTR_CTRL 0x38du
#define MSR_GLOBAL_CTRL	   0x38fu

#define FIXED_INSTRUCTIONS 0
#define FIXED_CYCLES	   1
#define FIXED_BOTH	   0x33u /* rings 0 and above, both */
#define GLOBAL_FIXED	   32

#define SEL_USR	 BIT(16)
#define SEL_OS	 BIT(17)
#define SEL_EDGE BIT(18)
#define SEL_EN	 BIT(22)

#define SURE	   90
#define LACKS_PART 15 /* less, for each event there is no counter for */
#define UNCLEAR	   50 /* whether the nested part is in it is not documented */

#define CORE  0x40u /* CPUID_HYBRID EAX 31:24 */
#define SMALL 0x20u
#define ANY   0u

#define WALK(e, u)                                                                                 \
	{                                                                                          \
		.code = (u) << 8 | (e), .role = PMU_WALKS                                          \
	}
#define WALK_LOAD(e, u)                                                                            \
	{                                                                                          \
		.code = (u) << 8 | (e), .role = PMU_WALKS, .loads = true                           \
	}
#define WALK_EDGE(e, u)                                                                            \
	{                                                                                          \
		.code = (u32)SEL_EDGE | (u) << 8 | (e), .role = PMU_WALKS, .loads = true           \
	}
#define CYCLES(e, u)                                                                               \
	{                                                                                          \
		.code = (u) << 8 | (e), .role = PMU_WALK_CYCLES                                    \
	}
#define CYCLES_C1(e, u)                                                                            \
	{                                                                                          \
		.code = 1u << 24 | (u) << 8 | (e), .role = PMU_WALK_CYCLES                         \
	}
#define EVENTS 6

struct event {
	u32 code; /* counter mask, edge, unit mask, event */
	u8 role;
	bool loads; /* see struct pmu_counter */
};

static const struct family {
	const char *name;
	u8 models[16]; /* of family 6 */
	u8 kind;       /* of core, on machines with two */
	bool lists;    /* exits may clear bits of the global register that they should not */
	u8 usable;     /* counters that count these, from 0 on; 0: all */
	u8 cycles;     /* confidence of walk cycles */
	struct event event[EVENTS]; /* most needed first */
} families[] = {
	{.name = "Nehalem",
	 .models = {0x1a, 0x1e, 0x1f, 0x2e},
	 .lists = true,
	 .event = {WALK_LOAD(0x49, 0x02)}},
	{.name = "Westmere",
	 .models = {0x25, 0x2c, 0x2f},
	 .lists = true,
	 .cycles = SURE,
	 .event = {CYCLES(0x49, 0x04), CYCLES(0x4f, 0x10), WALK_LOAD(0x49, 0x02),
		   CYCLES(0x85, 0x04)}},
	{.name = "Sandy Bridge",
	 .models = {0x2a, 0x2d},
	 .cycles = SURE,
	 .event = {CYCLES(0x08, 0x04), CYCLES(0x4f, 0x10), CYCLES(0x49, 0x04),
		   WALK_LOAD(0x08, 0x02), WALK(0x49, 0x02), CYCLES(0x85, 0x04)}},
	{.name = "Ivy Bridge",
	 .models = {0x3a, 0x3e},
	 .cycles = SURE,
	 .event = {CYCLES(0x08, 0x84), CYCLES(0x4f, 0x10), CYCLES(0x49, 0x04),
		   WALK_LOAD(0x08, 0x82), WALK(0x49, 0x02), CYCLES(0x85, 0x04)}},
	{.name = "Haswell",
	 .models = {0x3c, 0x3f, 0x45, 0x46},
	 .cycles = SURE,
	 .event = {CYCLES(0x08, 0x10), CYCLES(0x4f, 0x10), CYCLES(0x49, 0x10),
		   WALK_LOAD(0x08, 0x0e), WALK(0x49, 0x0e), CYCLES(0x85, 0x10)}},
	/* Erratum BDM69: counts and durations of walks may be wrong. */
	{.name = "Broadwell",
	 .models = {0x3d, 0x47, 0x4f, 0x56},
	 .cycles = UNCLEAR,
	 .event = {CYCLES(0x08, 0x10), CYCLES(0x4f, 0x10), CYCLES(0x49, 0x10),
		   WALK_LOAD(0x08, 0x0e), WALK(0x49, 0x0e), CYCLES(0x85, 0x10)}},
	/* The nested part is not in the first ones here. */
	{.name = "Skylake",
	 .models = {0x4e, 0x5e, 0x55, 0x8e, 0x9e, 0xa5, 0xa6},
	 .cycles = SURE,
	 .event = {CYCLES(0x08, 0x10), CYCLES(0x4f, 0x10), CYCLES(0x49, 0x10),
		   WALK_LOAD(0x08, 0x0e), WALK(0x49, 0x0e), CYCLES(0x85, 0x10)}},
	{.name = "Ice Lake",
	 .models = {0x7d, 0x7e, 0x6a, 0x6c, 0x8c, 0x8d, 0xa7},
	 .cycles = UNCLEAR,
	 .event = {CYCLES_C1(0x08, 0x10), CYCLES_C1(0x49, 0x10), WALK_LOAD(0x08, 0x0e),
		   WALK(0x49, 0x0e), CYCLES_C1(0x85, 0x10)}},
	{.name = "Golden Cove and later",
	 .models = {0x97, 0x9a, 0xb7, 0xba, 0xbf, 0x8f, 0xcf, 0xaa, 0xac, 0xad, 0xae, 0xbd, 0xc5,
		    0xc6, 0xb5, 0xcc},
	 .kind = CORE,
	 .usable = 4,
	 .cycles = UNCLEAR,
	 .event = {CYCLES_C1(0x12, 0x10), CYCLES_C1(0x13, 0x10), WALK_LOAD(0x12, 0x0e),
		   WALK(0x13, 0x0e), CYCLES_C1(0x11, 0x10)}},
	{.name = "Gracemont",
	 .models = {0x97, 0x9a, 0xb7, 0xba, 0xbf, 0xbe},
	 .kind = SMALL,
	 .event = {WALK_LOAD(0x08, 0x0e), WALK(0x49, 0x0e)}},
	{.name = "Crestmont and later",
	 .models = {0xaa, 0xac, 0xaf, 0xb6, 0xbd, 0xc5, 0xc6, 0xb5},
	 .kind = SMALL,
	 .cycles = UNCLEAR,
	 .event = {CYCLES(0x08, 0x10), CYCLES(0x49, 0x10), WALK_LOAD(0x08, 0x0e), WALK(0x49, 0x0e),
		   CYCLES(0x85, 0x10)}},
	{.name = "Goldmont",
	 .models = {0x5c, 0x5f},
	 .cycles = UNCLEAR,
	 .event = {CYCLES(0x05, 0x03), WALK_EDGE(0x05, 0x01)}},
	{.name = "Goldmont Plus, Tremont",
	 .models = {0x7a, 0x86},
	 .cycles = SURE,
	 .event = {CYCLES(0x08, 0x10), CYCLES(0x4f, 0x10), CYCLES(0x49, 0x10), CYCLES(0x85, 0x10)}},
	{.name = "Silvermont",
	 .models = {0x37, 0x4a, 0x4c, 0x4d, 0x5a, 0x5d, 0x75, 0x57, 0x85},
	 .cycles = UNCLEAR,
	 .event = {CYCLES(0x05, 0x03), WALK_EDGE(0x05, 0x01)}},
};

/* --- the plan --------------------------------------------------------------------------------- */

static bool has_model(const struct family *f, u32 model)
{
	for (unsigned i = 0; i < ARRAY_SIZE(f->models) && f->models[i]; i++)
		if (f->models[i] == model)
			return true;
	return false;
}

/* What CPUID does not say counts as a big core. */
static u32 kind_of_core(const struct cpu_source *src, const struct family *f)
{
	u32 kind = 0;

	if (src->cpuid(src->ctx, 0, 0).eax >= CPUID_HYBRID)
		kind = src->cpuid(src->ctx, CPUID_HYBRID, 0).eax >> 24;
	/* Machines with small cores only need not say so. */
	if (!kind)
		kind = f->kind;
	return kind;
}

static const struct family *find_family(const struct cpu_source *src, u32 model)
{
	for (unsigned i = 0; i < ARRAY_SIZE(families); i++) {
		const struct family *f = &families[i];

		if (has_model(f, model) && (f->kind == ANY || kind_of_core(src, f) == f->kind))
			return f;
	}
	return NULL;
}

static void add_fixed(struct pmu_plan *p, unsigned index, enum pmu_role role, u8 width)
{
	const struct pmu_counter c = {
		.counter = MSR_FIXED_CTR0 + index, .width = width, .role = (u8)role};

	pmu_plan_add(p, &c);
	p->global_mask |= BIT(GLOBAL_FIXED + index);
	p->confidence[role] = 100;
}

static void add_event(struct pmu_plan *p, unsigned index, const struct event *e, u8 width)
{
	const struct pmu_counter c = {.control = MSR_PERFEVTSEL0 + index,
				      .select = e->code | SEL_USR | SEL_OS | SEL_EN,
				      .counter = MSR_PMC0 + index,
				      .width = width,
				      .role = e->role,
				      .walks_loads = e->loads};

	pmu_plan_add(p, &c);
	p->global_mask |= BIT(index);
}

static void add_events(struct pmu_plan *p, const struct family *f, unsigned counters, u8 width)
{
	u8 full[PMU_ROLES] = {[PMU_WALKS] = SURE, [PMU_WALK_CYCLES] = f->cycles};

	for (unsigned i = 0; i < EVENTS && f->event[i].code; i++) {
		const struct event *e = &f->event[i];

		if (i >= counters) {
			if (p->confidence[e->role])
				p->confidence[e->role] -= LACKS_PART;
			continue;
		}
		p->confidence[e->role] = full[e->role];
		add_event(p, i, e, width);
	}
}

int vmx_pmu_plan(const struct cpu_source *src, struct pmu_plan *plan, char *why, size_t why_len)
{
	u32 version = src->cpuid(src->ctx, 1, 0).eax, model = CPUID_1_MODEL(version);
	struct cpuid top = src->cpuid(src->ctx, 0, 0), perf = {0};
	const struct family *f = NULL;
	unsigned counters;

	memset(plan, 0, sizeof(*plan));
	if (top.ebx == VENDOR_INTEL && CPUID_FAMILY(version) == 6)
		f = find_family(src, model);
	if (!f) {
		snprintf(why, why_len, "no events are known for family %x model %x",
			 CPUID_FAMILY(version), model);
		return -ENODEV;
	}
	if (top.eax >= CPUID_PERF)
		perf = src->cpuid(src->ctx, CPUID_PERF, 0);
	/* From version 2 on: the global register, fixed counters. */
	if ((perf.eax & 0xff) < 2 || (perf.edx & 31) <= FIXED_CYCLES) {
		snprintf(why, why_len, "%s without counters (CPUID 0AH)", f->name);
		return -ENODEV;
	}
	*plan = (struct pmu_plan){.family = f->name,
				  .global = MSR_GLOBAL_CTRL,
				  .fixed = MSR_FIXED_CTR_CTRL,
				  .fixed_value = FIXED_BOTH,
				  .switched = true,
				  .by_list = f->lists};
	add_fixed(plan, FIXED_CYCLES, PMU_UNHALTED, (u8)(perf.edx >> 5));
	add_fixed(plan, FIXED_INSTRUCTIONS, PMU_INSTRUCTIONS, (u8)(perf.edx >> 5));
	counters = (u8)(perf.eax >> 8);
	if (f->usable)
		counters = MIN(counters, f->usable);
	add_events(plan, f, counters, (u8)(perf.eax >> 16));
	return 0;
}

/* --- entries and exits ------------------------------------------------------------------------ */

static u64 guest_mask[BOOT_MAX_CPUS];
static bool by_list;

static bool can_by_control(void)
{
	return (vmx_caps.allowed[VMX_EXIT].may & EXIT_CTL_LOAD_PERF) &&
	       (vmx_caps.allowed[VMX_ENTRY].may & ENTRY_CTL_LOAD_PERF);
}

static void vmx_pmu_use(unsigned cpu, const struct pmu_plan *plan)
{
	guest_mask[cpu] = plan->global_mask;
	by_list = plan->by_list || !can_by_control();
	if (by_list)
		return;
	vmx_config.controls.exit |= EXIT_CTL_LOAD_PERF;
	vmx_config.controls.entry |= ENTRY_CTL_LOAD_PERF;
}

void vmx_pmu_write(const struct vcpu *v, struct vmx_vcpu *s)
{
	u64 mask = guest_mask[v->cpu];

	if (by_list && mask) {
		vmx_list_msr(s, MSR_GLOBAL_CTRL, mask, 0);
	} else if (vmx_config.controls.exit & EXIT_CTL_LOAD_PERF) {
		vmwrite(VMCS_GUEST_PERF_GLOBAL_CTRL, mask);
		vmwrite(VMCS_HOST_PERF_GLOBAL_CTRL, 0);
	}
}

const struct pmu_ops vmx_pmu = {.plan = vmx_pmu_plan, .use = vmx_pmu_use};
