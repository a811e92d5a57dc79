/* Performance counters on made-up CPUs: those that people have, with the events that their makers'
 * lists give, and broken ones. Would catch: an event of another family, a role summed from the
 * wrong counters, a CPU without known events that is counted on nevertheless, a counter believed
 * that stands, lies, is somebody else's, cannot be written or counts the hypervisor, a wrap taken
 * for a huge count, an impossible reading passed on.
 *
 * Models and events: Intel's perfmon lists and AMD's BKDGs and PPRs as of the research note;
 * CPUID 0AH as such CPUs have it with hyper-threading on (4 counters), or off (8).
 *
 * SRCS: hv/paging/adaptive/pmu.c hv/engine/pmu_try.c hv/engine/svm/svm_pmu.c hv/lib/str.c
 * SRCS: hv/lib/fmt.c
 * SPDX-License-Identifier: MIT
 */
#include "fake_frames.h"
#include "fake_vmx.h"

#include "engine/pmu.c"
#include "engine/svm/svm_pmu.h"
#include "engine/vmx/vmx_pmu.c"
#include "paging/adaptive/pmu.h"

struct vmx_caps vmx_caps;
struct vmx_config vmx_config;

static unsigned listed; /* calls of vmx_list_msr() */

void vmx_list_msr(struct vmx_vcpu *s, u32 msr, u64 guest, u64 host)
{
	(void)s;
	CHECK_EQ(msr, MSR_GLOBAL_CTRL);
	CHECK(guest && !host);
	listed++;
}

/* --- CPUs ------------------------------------------------------------------------------------- */

#define HT	   0x07300404u /* CPUID 0AH EAX: version 4, 4 counters of 48 bits */
#define ALL	   0x07300804u /* 8 of them */
#define SIX	   0x08300605u
#define EDX	   0x603u /* 3 fixed counters of 48 bits */
#define EVENTS_MAX 6

struct model {
	const char *name;
	bool amd;
	u32 version; /* CPUID 1 EAX */
	u32 perf, kind;
	const char *family;	/* NULL: nothing to count */
	u64 select[EVENTS_MAX]; /* without ring and enable bits, in order */
	u8 walks, cycles;	/* confidence */
};

static const struct model models[] = {
	{"Core 2 (Penryn)", false, 0x10676, 0x07280202, 0, NULL, {0}, 0, 0},
	{"Nehalem", false, 0x106a5, 0x07300403, 0, "Nehalem", {0x0249}, 90, 0},
	{"Lynnfield i7-860", false, 0x106e5, 0x07300403, 0, "Nehalem", {0x0249}, 90, 0},
	{"Westmere-EP",
	 false,
	 0x206c2,
	 0x07300403,
	 0,
	 "Westmere",
	 {0x0449, 0x104f, 0x0249, 0x0485},
	 90,
	 90},
	{"i7-2635QM",
	 false,
	 0x206a7,
	 0x07300403,
	 0,
	 "Sandy Bridge",
	 {0x0408, 0x104f, 0x0449, 0x0208},
	 75,
	 75},
	{"i7-2600, no HT",
	 false,
	 0x206a7,
	 0x07300803,
	 0,
	 "Sandy Bridge",
	 {0x0408, 0x104f, 0x0449, 0x0208, 0x0249, 0x0485},
	 90,
	 90},
	{"i5-3570, no HT",
	 false,
	 0x306a9,
	 0x07300803,
	 0,
	 "Ivy Bridge",
	 {0x8408, 0x104f, 0x0449, 0x8208, 0x0249, 0x0485},
	 90,
	 90},
	{"Haswell",
	 false,
	 0x306c3,
	 0x07300403,
	 0,
	 "Haswell",
	 {0x1008, 0x104f, 0x1049, 0x0e08},
	 75,
	 75},
	{"i7-5600U",
	 false,
	 0x306d4,
	 0x07300403,
	 0,
	 "Broadwell",
	 {0x1008, 0x104f, 0x1049, 0x0e08},
	 75,
	 35},
	{"E5-2683 v4",
	 false,
	 0x406f1,
	 0x07300403,
	 0,
	 "Broadwell",
	 {0x1008, 0x104f, 0x1049, 0x0e08},
	 75,
	 35},
	{"i7-8850H", false, 0x906ea, HT, 0, "Skylake", {0x1008, 0x104f, 0x1049, 0x0e08}, 75, 75},
	{"Cascade Lake, no HT",
	 false,
	 0x50657,
	 ALL,
	 0,
	 "Skylake",
	 {0x1008, 0x104f, 0x1049, 0x0e08, 0x0e49, 0x1085},
	 90,
	 90},
	{"Ice Lake-SP",
	 false,
	 0x606a6,
	 ALL,
	 0,
	 "Ice Lake",
	 {0x1001008, 0x1001049, 0x0e08, 0x0e49, 0x1001085},
	 90,
	 50},
	{"Alder Lake, P",
	 false,
	 0x90672,
	 SIX,
	 0x40,
	 "Golden Cove and later",
	 {0x1001012, 0x1001013, 0x0e12, 0x0e13},
	 90,
	 35},
	{"Alder Lake, E", false, 0x90672, SIX, 0x20, "Gracemont", {0x0e08, 0x0e49}, 90, 0},
	{"Alder Lake-N", false, 0xb06e0, SIX, 0x20, "Gracemont", {0x0e08, 0x0e49}, 90, 0},
	{"Sapphire Rapids",
	 false,
	 0x806f8,
	 ALL,
	 0,
	 "Golden Cove and later",
	 {0x1001012, 0x1001013, 0x0e12, 0x0e13},
	 90,
	 35},
	{"Core Ultra 255U, P",
	 false,
	 0xb0650,
	 SIX,
	 0x40,
	 "Golden Cove and later",
	 {0x1001012, 0x1001013, 0x0e12, 0x0e13},
	 90,
	 35},
	{"Core Ultra 255U, E",
	 false,
	 0xb0650,
	 SIX,
	 0x20,
	 "Crestmont and later",
	 {0x1008, 0x1049, 0x0e08, 0x0e49, 0x1085},
	 90,
	 50},
	{"Bay Trail N3530", false, 0x30678, 0x07280203, 0, "Silvermont", {0x0305, 0x40105}, 90, 50},
	{"Apollo Lake", false, 0x506c9, 0x07300404, 0, "Goldmont", {0x0305, 0x40105}, 90, 50},
	{"Gemini Lake",
	 false,
	 0x706a1,
	 0x07300404,
	 0,
	 "Goldmont Plus, Tremont",
	 {0x1008, 0x104f, 0x1049, 0x1085},
	 0,
	 90},
	{"family 6 model FFh", false, 0xf06f0, HT, 0, NULL, {0}, 0, 0},
	{"Skylake behind a hypervisor that hides it", false, 0x506e3, 0, 0, NULL, {0}, 0, 0},
	{"Phenom II X6", true, 0x100fa0, 0, 0, "10h", {0x0746, 0xc0, 0x76}, 90, 0},
	{"FX-8150", true, 0x600f12, 0, 0, "15h", {0x0746, 0xc0, 0x76}, 90, 0},
	{"Ryzen 7 1800X", true, 0x800f11, 0, 0, "17h (Zen, Zen 2)", {0xf045, 0xc0, 0x76}, 90, 0},
	{"EPYC 7702", true, 0x830f10, 0, 0, "17h (Zen, Zen 2)", {0xf045, 0xc0, 0x76}, 90, 0},
	{"Ryzen 9 5950X", true, 0xa20f10, 0, 0, "19h (Zen 3, 4)", {0xf045, 0xc0, 0x76}, 90, 0},
	{"EPYC 9654", true, 0xa10f11, 2, 0, "19h (Zen 3, 4)", {0xf045, 0xc0, 0x76}, 90, 0},
	{"Ryzen 9 9950X", true, 0xb40f40, 2, 0, "1Ah (Zen 5)", {0xf045, 0xc0, 0x76}, 90, 0},
	{"Athlon 64 X2", true, 0x40fb2, 0, 0, NULL, {0}, 0, 0},
	{"Jaguar", true, 0x700f01, 0, 0, NULL, {0}, 0, 0},
};

static const struct model *model_named(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
		if (strstr(models[i].name, name))
			return &models[i];
	abort();
}

/* What can be wrong with a counter register. */
enum fault {
	GOOD,
	STANDS,	   /* never counts */
	READ_ONLY, /* what is written is lost */
	FOREIGN,   /* counts while it is stopped */
	DOUBLES,   /* counts twice */
	RAISES_GP,
	NO_BIT,	   /* the guest-only bits are not kept */
	NO_EFFECT, /* they are, and change nothing */
};

struct fake {
	const struct model *m;
	enum fault fault;
	unsigned which; /* counter in the plan's order; of the faults that are a counter's */
	u64 reg[0x1000], high[0x1000];
	struct pmu_plan plan;
};

static u64 *reg_of(struct fake *f, u32 msr)
{
	return msr < 0x1000 ? &f->reg[msr] : &f->high[msr & 0xfff];
}

static struct cpuid fake_cpuid(void *ctx, u32 leaf, u32 sub)
{
	const struct model *m = ((struct fake *)ctx)->m;

	(void)sub;
	switch (leaf) {
	case 0:
		return m->amd ? (struct cpuid){.eax = 0x10, .ebx = 0x68747541}
			      : (struct cpuid){.eax = 0x1f, .ebx = 0x756e6547};
	case 1:
		return (struct cpuid){.eax = m->version};
	case 0xa:
		return (struct cpuid){.eax = m->perf, .edx = m->perf ? EDX : 0};
	case 0x1a:
		return (struct cpuid){.eax = m->kind << 24};
	case 0x80000000u:
		return (struct cpuid){.eax = 0x80000022u};
	case 0x80000001u:
		return (struct cpuid){.ecx = m->amd && m->version >= 0x600000 ? BIT(23) : 0};
	case 0x80000022u:
		return (struct cpuid){.eax = m->perf == 2};
	}
	return (struct cpuid){0};
}

static bool is_broken(const struct fake *f, u32 msr)
{
	return f->fault != GOOD && f->which < f->plan.n && f->plan.counter[f->which].counter == msr;
}

static int fake_rdmsr(void *ctx, u32 msr, u64 *value)
{
	struct fake *f = ctx;

	*value = *reg_of(f, msr);
	if (f->fault == RAISES_GP && is_broken(f, msr)) {
		*value = 0;
		return -EFAULT;
	}
	return 0;
}

static int fake_wrmsr(void *ctx, u32 msr, u64 value)
{
	struct fake *f = ctx;

	if (f->fault == READ_ONLY && is_broken(f, msr))
		return 0;
	*reg_of(f, msr) = f->fault == NO_BIT ? value & ~BIT(40) : value;
	return 0;
}

/* Does the counter at @i run in the hypervisor now? */
static bool runs(struct fake *f, unsigned i)
{
	const struct pmu_counter *c = &f->plan.counter[i];
	u64 select = c->control ? *reg_of(f, c->control) : 0;
	unsigned bit = c->control ? (c->control & 0xff) : 0;

	if (c->control && !(select & BIT(22)))
		return false;
	if ((select & BIT(40)) && f->fault != NO_EFFECT)
		return false;
	if (!f->m->amd) {
		bit = c->control ? c->control - 0x186 : 32 + (c->counter - 0x309);
		return (*reg_of(f, 0x38f) >> bit & 1) && (c->control || *reg_of(f, 0x38d) == 0x33);
	}
	return f->m->perf != 2 || (*reg_of(f, 0xc0000301) >> (c->control - 0xc0010200) / 2 & 1);
}

/* What @n units of work are to the counter at @i: by its event alone, not by its role. */
static u64 events(struct fake *f, unsigned i, unsigned n, bool walks)
{
	const struct pmu_counter *c = &f->plan.counter[i];
	u32 select = c->control ? (u32)*reg_of(f, c->control) & 0xffff : 0, event = select & 0xff;
	bool loads =
		event == 0x08 || event == 0x12 || (f->m->amd && event != 0xc0 && event != 0x76);

	if (c->counter == 0x309 || (f->m->amd && select == 0xc0))
		return walks ? 3 * n : n + 100;
	if (c->counter == 0x30a || (f->m->amd && select == 0x76))
		return walks ? 200 * n : n / 2 + 300;
	if (!walks)
		return 0;
	if (event == 0x05)
		return select >> 8 == 3 ? 25 * n : n;
	if (event == 0x49)
		loads = strstr(f->plan.family, "Nehalem") || strstr(f->plan.family, "Westmere");
	if (!loads)
		return 0;
	/* Completed walks, or cycles in them. */
	return f->m->amd || (select >> 8 & 0x7f) == 0x0e || (select >> 8 & 0x7f) == 0x02 ? n
											 : 25 * n;
}

static void do_work(struct fake *f, unsigned n, bool walks)
{
	for (unsigned i = 0; i < f->plan.n; i++) {
		bool mine = is_broken(f, f->plan.counter[i].counter);
		u64 *value = reg_of(f, f->plan.counter[i].counter);

		if (mine && f->fault == FOREIGN)
			*value += 77;
		if (!runs(f, i) || (mine && (f->fault == STANDS || f->fault == READ_ONLY)))
			continue;
		*value += events(f, i, n, walks) * (mine && f->fault == DOUBLES ? 2 : 1);
		*value &= BIT(48) - 1;
	}
}

static void fake_work(void *ctx, unsigned n)
{
	do_work(ctx, n, false);
}

static void fake_walk(void *ctx, unsigned n)
{
	do_work(ctx, n, true);
}

/* --- what is chosen --------------------------------------------------------------------------- */

static struct cpu_source source;

static int plan_of(struct fake *f, struct pmu_plan *p, char *why)
{
	source = (struct cpu_source){.rdmsr = fake_rdmsr, .cpuid = fake_cpuid, .ctx = f};
	why[0] = 0;
	return (f->m->amd ? svm_pmu_plan : vmx_pmu_plan)(&source, p, why, 128);
}

static int try(struct fake *f, struct pmu_plan *p)
{
	const struct pmu_cpu cpu = {.source = &source,
				    .wrmsr = fake_wrmsr,
				    .work = fake_work,
				    .walk = fake_walk,
				    .ctx = f};
	char why[128];
	int err = plan_of(f, p, why);

	f->plan = *p;
	return err ? err : pmu_try(&cpu, p, why, sizeof(why));
}

static void check_model(const struct model *m)
{
	struct fake f = {.m = m};
	struct pmu_plan p;
	char why[128];
	unsigned n = 0;

	CHECK_EQ(plan_of(&f, &p, why), m->family ? 0 : -ENODEV);
	if (!m->family) {
		CHECK(strlen(why) > 10 && p.n == 0);
		return;
	}
	CHECK_STR(p.family, m->family);
	for (unsigned i = 0; i < p.n; i++) {
		if (!p.counter[i].control)
			continue;
		CHECK_EQ(p.counter[i].select, m->select[n] | 0x430000);
		n++;
	}
	CHECK(n == EVENTS_MAX || m->select[n] == 0);
	CHECK_EQ(p.confidence[PMU_WALKS], m->walks);
	CHECK_EQ(p.confidence[PMU_WALK_CYCLES], m->cycles);
	CHECK(p.confidence[PMU_UNHALTED] == 100 && p.confidence[PMU_INSTRUCTIONS] >= 95);
	CHECK_EQ(p.guest_only, m->amd ? BIT(40) : 0);
	CHECK_EQ(p.switched, !m->amd);
	/* And a CPU that is right passes its test as it is. */
	CHECK_EQ(try(&f, &p), 0);
	CHECK_EQ(p.n, f.plan.n);
	CHECK(memcmp(p.confidence, f.plan.confidence, sizeof(p.confidence)) == 0);
	CHECK(!p.around);
}

TEST(each_family_counts_its_own_events)
{
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
		unsigned before = unit_failures;

		check_model(&models[i]);
		if (unit_failures != before)
			printf("# … of %s\n", models[i].name);
	}
}

TEST(counters_are_the_registers_that_the_family_has)
{
	struct fake f = {.m = model_named("Phenom")};
	struct pmu_plan p;
	char why[128];

	plan_of(&f, &p, why);
	CHECK(p.counter[1].control == 0xc0010001 && p.counter[1].counter == 0xc0010005);
	f.m = model_named("FX-8150");
	plan_of(&f, &p, why);
	CHECK(p.counter[1].control == 0xc0010202 && p.counter[1].counter == 0xc0010203);
	CHECK(!p.global);
	f.m = model_named("9654");
	plan_of(&f, &p, why);
	CHECK(p.global == 0xc0000301 && p.global_mask == 7);
	f.m = model_named("Haswell");
	plan_of(&f, &p, why);
	CHECK(p.counter[0].counter == 0x30a && p.counter[1].counter == 0x309);
	CHECK(p.counter[2].control == 0x186 && p.counter[5].counter == 0xc4);
	CHECK_EQ(p.global_mask, 0x30000000full);
}

/* --- self-test -------------------------------------------------------------------------------- */

static unsigned counters_of(const struct pmu_plan *p, unsigned role)
{
	unsigned n = 0;

	for (unsigned i = 0; i < p->n; i++)
		n += p->counter[i].role == role;
	return n;
}

/* Every counter of every CPU, broken in every way: its role is gone, the others are not. A counter
 * of stores, fetches or nested walks alone stands in the test, which has none: those that count
 * twice or never are found for loads, instructions and cycles. */
static void check_broken(const struct model *m, enum fault fault)
{
	struct fake whole = {.m = m};
	struct pmu_plan p;

	if (try(&whole, &p))
		return;
	for (unsigned i = 0; i < whole.plan.n; i++) {
		struct fake f = {.m = m, .fault = fault, .which = i};
		const struct pmu_counter *c = &whole.plan.counter[i];
		bool counts = c->role < PMU_WALKS || c->walks_loads;
		int err = try(&f, &p);

		if ((fault == STANDS && !counts) ||
		    (fault == DOUBLES && c->role != PMU_INSTRUCTIONS))
			continue;
		CHECK(err || (!p.confidence[c->role] && !counters_of(&p, c->role)));
		CHECK(err == 0 || err == -EIO);
	}
}

TEST(a_broken_counter_is_found)
{
	static const enum fault faults[] = {STANDS, READ_ONLY, FOREIGN, DOUBLES, RAISES_GP};

	for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(faults); j++) {
			unsigned before = unit_failures;

			check_broken(&models[i], faults[j]);
			if (unit_failures != before)
				printf("# … of %s, fault %u\n", models[i].name, faults[j]);
		}
}

TEST(guest_only_that_does_not_work_is_done_by_hand)
{
	static const enum fault faults[] = {NO_BIT, NO_EFFECT};

	for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
		for (unsigned j = 0; j < ARRAY_SIZE(faults); j++) {
			struct fake f = {.m = &models[i], .fault = faults[j], .which = 99};
			const struct pmu_cpu cpu = {
				.source = &source, .wrmsr = fake_wrmsr, .ctx = &f};
			struct pmu_plan p;

			if (!models[i].amd || try(&f, &p))
				continue;
			CHECK(p.around && !p.guest_only);
			CHECK_EQ(pmu_program(&cpu, &p), 0);
			f.plan = p;
			for (unsigned k = 0; k < p.n; k++)
				CHECK(!runs(&f, k));
		}
}

TEST(programmed_counters_leave_the_hypervisor_alone)
{
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
		struct fake f = {.m = &models[i]};
		const struct pmu_cpu cpu = {.source = &source, .wrmsr = fake_wrmsr, .ctx = &f};
		struct pmu_plan p;

		if (try(&f, &p))
			continue;
		CHECK_EQ(pmu_program(&cpu, &p), 0);
		fake_walk(&f, 1000);
		for (unsigned k = 0; k < p.n; k++) {
			CHECK_EQ(*reg_of(&f, p.counter[k].counter), 0);
			CHECK(!p.counter[k].control ||
			      (*reg_of(&f, p.counter[k].control) & BIT(22)));
		}
	}
}

TEST(a_cpu_whose_registers_read_as_zero_is_not_believed)
{
	struct fake f = {.m = model_named("5600U"), .fault = READ_ONLY};
	struct pmu_plan p;

	/* Every counter: an emulator that ignores registers it does not know. */
	for (f.which = 0; f.which < 6; f.which++)
		CHECK(try(&f, &p) || p.n < f.plan.n);
}

/* --- entries and exits ------------------------------------------------------------------------ */

TEST(the_models_with_the_erratum_and_those_without_the_controls_use_lists)
{
	struct vmx_vcpu s = {.built = true};
	struct vcpu v = {.cpu = 3};
	struct fake f = {.m = model_named("Lynnfield")};
	struct pmu_plan p;
	char why[128];

	vmx_caps.allowed[VMX_EXIT].may = EXIT_CTL_LOAD_PERF;
	vmx_caps.allowed[VMX_ENTRY].may = ENTRY_CTL_LOAD_PERF;
	listed = 0;
	plan_of(&f, &p, why);
	vmx_pmu.use(3, &p);
	vmx_pmu_write(&v, &s);
	CHECK_EQ(listed, 1);
	CHECK_EQ(vmx_config.controls.exit, 0);
	f.m = model_named("Haswell");
	plan_of(&f, &p, why);
	vmx_caps.allowed[VMX_ENTRY].may = 0;
	vmx_pmu.use(3, &p);
	vmx_pmu_write(&v, &s);
	CHECK_EQ(listed, 2);
	vmx_caps.allowed[VMX_ENTRY].may = ENTRY_CTL_LOAD_PERF;
	vmx_pmu.use(3, &p);
	vmx_pmu_write(&v, &s);
	CHECK_EQ(listed, 2);
	CHECK_EQ(vmx_config.controls.exit, EXIT_CTL_LOAD_PERF);
	CHECK_EQ(vmx_config.controls.entry, ENTRY_CTL_LOAD_PERF);
	CHECK_EQ(vmread(VMCS_GUEST_PERF_GLOBAL_CTRL), 0x30000000full);
	CHECK_EQ(vmread(VMCS_HOST_PERF_GLOBAL_CTRL), 0);
}

/* --- readings --------------------------------------------------------------------------------- */

static u64 counter_now[PMU_COUNTERS];

void pmu_read_counters(unsigned cpu, u64 value[PMU_COUNTERS])
{
	(void)cpu;
	memcpy(value, counter_now, sizeof(counter_now));
}

/* Counters: cycles, instructions, walk cycles (loads, nested, stores), walks. */
static void use_haswell(struct pmu_meter *m)
{
	struct fake f = {.m = model_named("Haswell")};
	char why[128];

	plan_of(&f, &plans[0], why);
	memset(counter_now, 0, sizeof(counter_now));
	memset(m, 0, sizeof(*m));
}

TEST(a_reading_is_what_this_guest_did)
{
	struct pmu_meter m;
	struct pmu_reading r;

	use_haswell(&m);
	counter_now[0] = 777;
	pmu_meter_begin(&m, 0, 1000);
	counter_now[0] += 5000000;
	counter_now[1] += 4000000;
	counter_now[2] += 100000;
	counter_now[3] += 30000;
	counter_now[5] += 2000;
	pmu_meter_end(&m, 0, 5001000);
	counter_now[0] += 999999999; /* another guest's */
	pmu_meter_begin(&m, 0, 9000000);
	counter_now[0] += 1000;
	counter_now[1] += 900;
	pmu_meter_read(&m, 0, 9001000, &r);
	CHECK_EQ(r.unhalted.value, 5001000);
	CHECK_EQ(r.instructions.value, 4000900);
	CHECK_EQ(r.walk_cycles.value, 130000);
	CHECK_EQ(r.walks.value, 2000);
	CHECK(r.unhalted.confidence == 100 && r.walk_cycles.confidence == 75);
	CHECK(m.running);
	counter_now[0] += 10;
	counter_now[1] += 9;
	pmu_meter_read(&m, 0, 9001010, &r);
	CHECK_EQ(r.unhalted.value, 10);
}

TEST(a_wrap_is_no_huge_count)
{
	struct pmu_meter m;
	struct pmu_reading r;

	use_haswell(&m);
	counter_now[0] = counter_now[1] = BIT(48) - 100;
	pmu_meter_begin(&m, 0, 0);
	counter_now[0] = counter_now[1] = 900;
	pmu_meter_end(&m, 0, 1000);
	pmu_meter_read(&m, 0, 1000, &r);
	CHECK_EQ(r.unhalted.value, 1000);
	CHECK_EQ(r.unhalted.confidence, 100);
}

static struct pmu_reading judged(u64 unhalted, u64 instructions, u64 walks, u64 walk_cycles,
				 u64 tsc)
{
	const u64 sum[PMU_ROLES] = {unhalted, instructions, walks, walk_cycles};
	struct pmu_reading r;

	pmu_judge(&plans[0], sum, tsc, &r);
	return r;
}

TEST(the_impossible_is_not_believed)
{
	struct pmu_meter m;

	use_haswell(&m);
	CHECK(judged(1000000, 900000, 5000, 90000, 1000000).walk_cycles.confidence);
	CHECK(!judged(0, 0, 0, 0, 1000000).unhalted.confidence);	    /* stuck */
	CHECK(!judged(1000000, 0, 5, 90, 1000000).instructions.confidence); /* one of them */
	CHECK(judged(0, 0, 0, 0, 500).unhalted.confidence);		    /* hardly ran */
	CHECK(!judged(BIT(47), 900000, 5, 90, 1000000).walks.confidence);   /* ran backwards */
	CHECK(!judged(1000, 900000, 5, 90, 1000000).instructions.confidence);
	CHECK(!judged(1000000, 900000, 5, 1000001, 1000000).walk_cycles.confidence);
	CHECK(!judged(1000000, 900000, 900001, 5, 1000000).walks.confidence);
	pmu_distrust(PMU_WALK_CYCLES);
	CHECK(!judged(1000000, 900000, 5000, 90000, 1000000).walk_cycles.confidence);
	CHECK(judged(1000000, 900000, 5000, 90000, 1000000).walks.confidence);
}

TEST(without_counters_nothing_is_known)
{
	struct pmu_meter m = {.cycles = 0};
	struct pmu_reading r;

	memset(&plans[0], 0, sizeof(plans[0]));
	pmu_meter_begin(&m, 0, 0);
	pmu_meter_end(&m, 0, 1000);
	pmu_meter_read(&m, 0, 1000, &r);
	CHECK(!r.unhalted.confidence && !r.instructions.confidence && !r.walks.confidence &&
	      !r.walk_cycles.confidence);
}
