/* The engines' choice on real CPUs, by tables of their capability MSRs and CPUID leaves. Would
 * catch: a machine taken that cannot run guests (or refused that can), a feature used that the CPU
 * lacks or left unused, a control set that the CPU forbids or a forced one cleared, registers read
 * that a CPU does not have, a refusal that does not name what is missing, and a lack pretended by
 * the command line that is not believed.
 *
 * Where the numbers come from (column "source"):
 *   D  the CPU's own registers as published: VirtualBox's CPU database (X5482, T7600, N3530,
 *      2635QM, 3960X, 3570, 5600U; AMD X2 4200+, X6 1100T, FX-8150), XMHF's notes (Westmere), a
 *      comment in Cheat Engine's dbvm (Nehalem: BASIC, pin, primary), vmxcap outputs on the KVM
 *      list of July 2019 as differences from the 5600U (E5-2683 v4, 8850H), fixtures of a
 *      hypervisor's tests (Core Ultra 255U: all but primary, secondary, exit, entry, MISC), CPUID
 *      dumps (Zen, Zen 2, Zen 4)
 *   I  inferred: the neighbouring dumps of the generation and what the SDM, AMD's BKDG/PPR and
 *      Linux's feature tables say was added or is missing. Right about the features, not
 *      necessarily in every bit.
 * MSR 3Ah is 5 unless said otherwise. TRUE MSRs are the plain ones without the default1 bits that
 * may be 0 there (CR3 exits, debug controls): so in every dump that has them.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/engine/vmx/vmx_caps.c hv/engine/svm/svm_caps.c
 */
#include <errno.h>

#include "engine/engine.h"
#include "engine/svm/svm_caps.h"
#include "engine/vmx/vmx_caps.h"
#include "unit.h"

/* --- Intel ------------------------------------------------------------------------------------ */

/* Features of struct vmx_config, as one word to compare. */
enum {
	F_1G = 1,
	F_AD = 2,
	F_VPID = 4,
	F_PML = 8,
	F_APICV = 16,
	F_POSTED = 32,
	F_TSC = 64,
	F_PLE = 128,
	F_TIMER = 256,
	F_RDTSCP = 512,
	F_BASE = F_VPID | F_TIMER | F_RDTSCP, /* of everything that runs */
};

struct intel {
	const char *name, *source;
	u64 basic, pin, primary, secondary, exit, entry, misc, cr4_may, ept;
	u8 phys;
	const char *refusal; /* NULL: it runs */
	unsigned features;
	u32 on; /* secondary controls that are on */
};

#define NO_REG	  UINT64_MAX /* reading it raises #GP */
#define PRI_CORE  0xfff9fffe0401e172ull
#define EXIT_I7	  0x7fffff00036dffull
#define ENTRY_I7  0xffff000011ffull
#define EXIT_SKL  0x1ffffff00036dffull /* BNDCFGS, processor trace */
#define ENTRY_SKL 0x3ffff000011ffull
#define PIN_I7	  0x7f00000016ull
#define PIN_POST  0xff00000016ull
#define EPT_OLD	  0xf0106114141ull
#define EPT_1G	  0xf0106134141ull
#define EPT_AD	  0xf0106334141ull
#define EPT_INFO  0xf0106734141ull /* and exit information on the access */

#define ON_BASE                                                                                    \
	(SEC_CTL_EPT | SEC_CTL_RDTSCP | SEC_CTL_VPID | SEC_CTL_WBINVD | SEC_CTL_UNRESTRICTED |     \
	 SEC_CTL_APIC_ACCESS)
#define ON_PLE	(ON_BASE | SEC_CTL_PAUSE_LOOP)
#define ON_APIC (ON_PLE | SEC_CTL_APIC_REGISTERS)

static const struct intel intels[] = {
	{"Core 2 T7600 (Merom)", "D, BASIC and pin I", 0x1a040000000007, 0x1f00000016,
	 0x77b9fffe0401e172, NO_REG, 0x3efff00036dff, 0x1fff000011ff, 0x403c0, 0x27ff, NO_REG, 36,
	 "the CPU's VT-x lacks virtual NMIs, NMI-window exiting, EPT (nested paging), unrestricted "
	 "guest (real mode in hardware)",
	 0, 0},
	{"Xeon X5482 (Penryn)", "D, BASIC and pin I", 0x5a08000000000d, 0x3f00000016,
	 0xf7f9fffe0401e172, 0x4100000000, 0x3ffff00036dff, 0x3fff000011ff, 0x403c0, 0x27ff, NO_REG,
	 38, "the CPU's VT-x lacks EPT (nested paging), unrestricted guest (real mode in hardware)",
	 0, 0},
	{"Core i7 (Nehalem)", "D, from secondary on I", 0xda04000000000e, PIN_I7, PRI_CORE,
	 0x7f00000000, EXIT_I7, ENTRY_I7, 0x401c5, 0x27ff, EPT_OLD, 36,
	 "the CPU's VT-x lacks unrestricted guest (real mode in hardware)", 0, 0},
	{"Westmere", "D", 0xda04000000000f, PIN_I7, PRI_CORE, 0xff00000000, EXIT_I7, ENTRY_I7,
	 0x401e7, 0x267ff, EPT_OLD, 36, NULL, F_BASE, ON_BASE},
	{"Core i7-2635QM (Sandy Bridge)", "D", 0xda040000000010, PIN_I7, PRI_CORE, 0xff00000000,
	 EXIT_I7, ENTRY_I7, 0x100401e5, 0x627ff, EPT_OLD, 36, NULL, F_BASE, ON_BASE},
	{"Core i7-3960X (Sandy Bridge-E)", "D", 0xda040000000010, PIN_I7, PRI_CORE, 0x4ff00000000,
	 EXIT_I7, ENTRY_I7, 0x100401e5, 0x627ff, EPT_1G, 46, NULL, F_BASE | F_1G | F_PLE, ON_PLE},
	{"Core i5-3570 (Ivy Bridge)", "D", 0xda040000000010, PIN_I7, PRI_CORE, 0x8ff00000000,
	 EXIT_I7, ENTRY_I7, 0x100401e5, 0x1767ff, EPT_OLD, 36, NULL, F_BASE, ON_BASE},
	{"Haswell", "I", 0xda040000000012, PIN_I7, PRI_CORE, 0x7cff00000000, EXIT_I7, ENTRY_I7,
	 0x300481e5, 0x1767ff, EPT_AD, 39, NULL, F_BASE | F_1G | F_AD | F_PLE, ON_PLE},
	{"Core i7-5600U (Broadwell)", "D", 0xda040000000012, PIN_I7, PRI_CORE, 0x57cff00000000,
	 EXIT_I7, ENTRY_I7, 0x300481e5, 0x3767ff, EPT_AD, 39, NULL, F_BASE | F_1G | F_AD | F_PLE,
	 ON_PLE},
	{"Xeon E5-2683 v4 (Broadwell-EP)", "D", 0xda040000000012, PIN_POST, PRI_CORE,
	 0x77fff00000000, EXIT_I7, ENTRY_I7, 0x300481e5, 0x3767ff, EPT_AD, 46, NULL,
	 F_BASE | F_1G | F_AD | F_PLE | F_PML | F_APICV | F_POSTED, ON_APIC},
	{"Core i7-8850H (Skylake generation)", "D", 0xda040000000004, PIN_I7, PRI_CORE,
	 0x5ffcff00000000, EXIT_SKL, ENTRY_SKL, 0x7004c1e7, 0x3767ff, EPT_INFO, 39, NULL,
	 F_BASE | F_1G | F_AD | F_PLE | F_PML, ON_PLE},
	{"Cascade Lake", "I", 0xda040000000004, PIN_POST, PRI_CORE, 0x25fffff00000000, EXIT_SKL,
	 ENTRY_SKL, 0x7004c1e7, 0x7767ff, EPT_INFO, 46, NULL,
	 F_BASE | F_1G | F_AD | F_PLE | F_PML | F_APICV | F_POSTED | F_TSC, ON_APIC},
	/* 5-level EPT (bit 7) and SPP: there, and of no use here. */
	{"Ice Lake-SP", "I", 0xda040000000004, PIN_POST, PRI_CORE, 0x3dfffff00000000, EXIT_SKL,
	 ENTRY_SKL, 0x7004c1e7, 0x777fff, 0xf01067341c1, 46, NULL,
	 F_BASE | F_1G | F_AD | F_PLE | F_PML | F_APICV | F_POSTED | F_TSC, ON_APIC},
	{"Alder Lake", "I", 0xda040000000004, PIN_POST, 0xfffbfffe0401e172, 0x75f7fff00000000,
	 EXIT_SKL, ENTRY_SKL, 0x7004c1e7, 0xf77fff, 0xf0106f34141, 39, NULL,
	 F_BASE | F_1G | F_AD | F_PLE | F_PML | F_APICV | F_POSTED | F_TSC, ON_APIC},
	{"Sapphire Rapids", "I", 0xda040000000004, PIN_POST, 0xfffbfffe0401e172, 0x77fffff00000000,
	 EXIT_SKL, ENTRY_SKL, 0x7004c1e7, 0xf77fff, 0xf0106f341c1, 52, NULL,
	 F_BASE | F_1G | F_AD | F_PLE | F_PML | F_APICV | F_POSTED | F_TSC, ON_APIC},
	{"Core Ultra 7 255U", "D, controls but pin I", 0x3da050000000013, PIN_POST,
	 0xfffbfffe0401e172, 0x75f7fff00000000, EXIT_SKL, ENTRY_SKL, 0x7004c1e7, 0x1f76fff,
	 0xf0106f34141, 42, NULL, F_BASE | F_1G | F_AD | F_PLE | F_PML | F_APICV | F_POSTED | F_TSC,
	 ON_APIC},
	{"Pentium N3530 (Bay Trail)", "D", 0xda040000000002, PIN_I7, PRI_CORE, 0x28ef00000000,
	 EXIT_I7, ENTRY_I7, 0x481e6, 0x1027ff, EPT_OLD, 36, NULL, F_BASE, ON_BASE},
};

struct fake {
	const struct intel *cpu;
	u64 feature; /* MSR 3Ah, NO_REG: none */
	bool vmx;
	unsigned strange; /* reads of registers that this CPU does not have */
};

static u64 true_of(u64 plain, u32 may_be_0)
{
	return plain & ~(u64)may_be_0;
}

static u64 intel_msr(struct fake *f, u32 msr)
{
	const struct intel *c = f->cpu;

	if (msr >= MSR_VMX_TRUE_PIN_CTLS && msr <= MSR_VMX_TRUE_ENTRY_CTLS &&
	    !(c->basic & VMX_BASIC_TRUE_CTLS))
		return NO_REG;
	switch (msr) {
	case MSR_FEATURE_CONTROL:
		return f->feature;
	case MSR_VMX_BASIC:
		return c->basic;
	case MSR_VMX_PIN_CTLS:
	case MSR_VMX_TRUE_PIN_CTLS:
		return c->pin;
	case MSR_VMX_PRIMARY_CTLS:
		return c->primary;
	case MSR_VMX_TRUE_PRIMARY_CTLS:
		return true_of(c->primary, 0x18000);
	case MSR_VMX_SECONDARY_CTLS:
		return c->secondary;
	case MSR_VMX_EXIT_CTLS:
		return c->exit;
	case MSR_VMX_TRUE_EXIT_CTLS:
		return true_of(c->exit, 4);
	case MSR_VMX_ENTRY_CTLS:
		return c->entry;
	case MSR_VMX_TRUE_ENTRY_CTLS:
		return true_of(c->entry, 4);
	case MSR_VMX_MISC:
		return c->misc;
	case MSR_VMX_CR0_FIXED0:
		return 0x80000021;
	case MSR_VMX_CR0_FIXED1:
		return 0xffffffff;
	case MSR_VMX_CR4_FIXED0:
		return 0x2000;
	case MSR_VMX_CR4_FIXED1:
		return c->cr4_may;
	case MSR_VMX_EPT_VPID_CAP:
		return c->ept;
	default:
		return NO_REG;
	}
}

static int fake_rdmsr(void *ctx, u32 msr, u64 *value)
{
	struct fake *f = ctx;

	*value = intel_msr(f, msr);
	if (*value != NO_REG)
		return 0;
	*value = 0;
	f->strange += msr != MSR_FEATURE_CONTROL;
	return -EFAULT;
}

static struct cpuid fake_cpuid(void *ctx, u32 leaf, u32 subleaf)
{
	struct fake *f = ctx;

	(void)subleaf;
	if (leaf == 1)
		return (struct cpuid){.ecx = f->vmx ? 0x20 : 0};
	if (leaf == 0x80000000u)
		return (struct cpuid){.eax = 0x80000008u};
	if (leaf == 0x80000008u)
		return (struct cpuid){.eax = 48u << 8 | f->cpu->phys};
	return (struct cpuid){0};
}

static struct cpu_source source_of(struct fake *f, u32 lacks)
{
	return (struct cpu_source){
		.rdmsr = fake_rdmsr, .cpuid = fake_cpuid, .ctx = f, .lacks = lacks};
}

static unsigned features_of(const struct vmx_config *c)
{
	return (c->ept_1g ? F_1G : 0) | (c->ept_ad ? F_AD : 0) | (c->vpid ? F_VPID : 0) |
	       (c->pml ? F_PML : 0) | (c->apicv ? F_APICV : 0) | (c->posted ? F_POSTED : 0) |
	       (c->tsc_scaling ? F_TSC : 0) | (c->pause_loop ? F_PLE : 0) |
	       (c->preemption_timer ? F_TIMER : 0) | (c->rdtscp ? F_RDTSCP : 0);
}

/* Every word of controls is one that the CPU takes. */
static bool allowed(const struct vmx_caps *caps, const struct vmx_controls *c)
{
	const u32 word[VMX_WORDS] = {c->pin, c->primary, c->secondary, c->exit, c->entry};

	for (unsigned w = 0; w < VMX_WORDS; w++)
		if ((word[w] & ~caps->allowed[w].may) || (caps->allowed[w].must & ~word[w]))
			return false;
	return true;
}

static void check_intel(const struct intel *cpu)
{
	struct fake f = {.cpu = cpu, .feature = 5, .vmx = true};
	struct cpu_source src = source_of(&f, 0);
	struct vmx_caps caps;
	struct vmx_config config;
	char why[384] = "";
	int rc = vmx_probe_source(&src, &caps, &config, why, sizeof(why));

	CHECK_EQ(f.strange, 0);
	CHECK_EQ(caps.phys_bits, cpu->phys);
	CHECK_STR(why, cpu->refusal ? cpu->refusal : "");
	CHECK_EQ(rc, cpu->refusal ? -ENODEV : 0);
	if (rc)
		return;
	CHECK_EQ(features_of(&config), cpu->features);
	CHECK_EQ(config.controls.secondary, cpu->on);
	CHECK(allowed(&caps, &config.controls));
	CHECK(!config.lock);
	CHECK_EQ(config.ept_type, 6);
	CHECK_EQ(config.invept, INVEPT_ONE);
	CHECK_EQ(config.invvpid, INVVPID_ONE);
	CHECK_EQ(config.tags, 65536);
	CHECK_EQ(caps.cr3_targets, 4);
	CHECK_EQ(caps.msr_list, 512);
	/* True controls: CR3 accesses of a guest with nested paging do not exit. */
	CHECK(!(config.controls.primary & (PRI_CTL_CR3_LOAD | PRI_CTL_CR3_STORE | PRI_CTL_INVLPG)));
	CHECK(!(config.controls.entry & ENTRY_CTL_IA32E));
}

TEST(real_intel_cpus_get_their_configuration_or_refusal)
{
	for (unsigned i = 0; i < ARRAY_SIZE(intels); i++) {
		unsigned before = unit_failures;

		check_intel(&intels[i]);
		if (unit_failures != before)
			printf("# … of %s (%s)\n", intels[i].name, intels[i].source);
	}
}

static const struct intel *intel_named(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(intels); i++)
		if (strstr(intels[i].name, name))
			return &intels[i];
	abort();
}

static const char *probe(struct fake *f, u32 lacks, struct vmx_config *config)
{
	static char why[384];
	struct cpu_source src = source_of(f, lacks);
	struct vmx_caps caps;

	why[0] = 0;
	vmx_probe_source(&src, &caps, config, why, sizeof(why));
	return why;
}

/* Atom 330 (VirtualBox's CPU database: CPUID 1 ECX 40E31Dh) and every AMD CPU. */
TEST(a_cpu_without_vt_x_is_not_asked_for_its_registers)
{
	struct fake f = {.cpu = intel_named("Westmere"), .feature = NO_REG};
	struct vmx_config config;

	CHECK_STR(probe(&f, 0, &config), "the CPU has no VT-x (CPUID 1 ECX bit 5 is 0)");
	CHECK_EQ(f.strange, 0);
}

TEST(feature_control_decides_whether_vt_x_can_be_switched_on)
{
	struct fake f = {.cpu = intel_named("5600U"), .vmx = true};
	struct vmx_config config;

	f.feature = 0; /* open: the hypervisor sets and locks it */
	CHECK_STR(probe(&f, 0, &config), "");
	CHECK(config.lock);
	f.feature = 4; /* set, not locked: still to be locked */
	CHECK_STR(probe(&f, 0, &config), "");
	CHECK(config.lock);
	f.feature = 1;
	CHECK_STR(probe(&f, 0, &config),
		  "VT-x is disabled in the firmware set-up and locked: enable VT-x (Intel "
		  "Virtualization Technology) there");
	f.feature = 3; /* only inside SMX operation */
	CHECK(strstr(probe(&f, 0, &config), "and locked"));
	f.feature = NO_REG;
	CHECK_STR(probe(&f, 0, &config),
		  "the CPU promises VT-x but has no MSR 3Ah to enable it by");
}

TEST(what_the_command_line_takes_away_is_gone_and_named)
{
	struct fake f = {.cpu = intel_named("5600U"), .feature = 5, .vmx = true};
	struct vmx_config config;

	CHECK_STR(probe(&f, CPU_LACKS_NESTED, &config),
		  "the CPU's VT-x lacks EPT (nested paging) [nested=off], unrestricted guest (real "
		  "mode in hardware) [nested=off]");
	CHECK_STR(probe(&f, CPU_LACKS_UNRESTRICTED, &config),
		  "the CPU's VT-x lacks unrestricted guest (real mode in hardware) "
		  "[unrestricted=off]");
	CHECK_STR(probe(&f, CPU_LACKS_TAGS, &config), "");
	CHECK(!config.vpid && !(config.controls.secondary & SEC_CTL_VPID));
	CHECK_EQ(config.tags, 1);
}

TEST(the_cpu_serves_local_apic_registers_only_on_a_page_of_its_own)
{
	struct intel cpu = *intel_named("E5-2683");
	struct fake f = {.cpu = &cpu, .feature = 5, .vmx = true};
	u32 both = SEC_CTL_APIC_ACCESS | SEC_CTL_APIC_REGISTERS;
	struct vmx_config config;

	CHECK_STR(probe(&f, 0, &config), "");
	CHECK(config.apic_access && config.apic_registers);
	CHECK_STR(probe(&f, CPU_LACKS_APIC_PAGE, &config), "");
	CHECK(!config.apic_access && !config.apic_registers && !(config.controls.secondary & both));
	cpu.secondary &= ~(SEC_CTL_APIC_ACCESS << 32);
	CHECK_STR(probe(&f, 0, &config), "");
	CHECK(!config.apic_access && !config.apic_registers && !(config.controls.secondary & both));
}

/* EFER and PAT go all the way by controls, or all the way by the lists. */
static bool by_control_or_list(const struct vmx_config *c)
{
	u32 efer_exit = c->controls.exit & (EXIT_CTL_SAVE_EFER | EXIT_CTL_LOAD_EFER);
	bool efer_entry = c->controls.entry & ENTRY_CTL_LOAD_EFER;
	bool pat_exit = c->controls.exit & EXIT_CTL_LOAD_PAT;
	bool pat_entry = c->controls.entry & ENTRY_CTL_LOAD_PAT;

	return efer_exit == (c->efer_list ? 0 : EXIT_CTL_SAVE_EFER | EXIT_CTL_LOAD_EFER) &&
	       efer_entry == !c->efer_list && pat_exit == !c->pat_list && pat_entry == !c->pat_list;
}

/* Each single capability bit less: refused by name, or done without. Catches a need or a wish that
 * is taken for granted, and a name that does not fit the buffer. */
TEST(any_capability_less_is_refused_or_done_without)
{
	struct intel cpu = *intel_named("Cascade");
	u64 *word[] = {&cpu.pin, &cpu.primary, &cpu.secondary, &cpu.exit, &cpu.entry};
	unsigned refused = 0;

	for (unsigned w = 0; w < ARRAY_SIZE(word); w++)
		for (unsigned bit = 32; bit < 64; bit++) {
			u64 kept = *word[w];
			struct fake f = {.cpu = &cpu, .feature = 5, .vmx = true};
			struct cpu_source src = source_of(&f, 0);
			struct vmx_caps caps;
			struct vmx_config config;
			char why[64] = "";
			int rc;

			if ((kept >> (bit - 32)) & 1)
				continue; /* forced to 1 */
			*word[w] &= ~BIT(bit);
			rc = vmx_probe_source(&src, &caps, &config, why, sizeof(why));
			if (rc) {
				refused++;
				CHECK(strstr(why, "the CPU's VT-x lacks ") == why);
				CHECK(strlen(why) < sizeof(why));
			} else {
				CHECK(allowed(&caps, &config.controls));
				CHECK(by_control_or_list(&config));
			}
			*word[w] = kept;
		}
	/* 19 needs, of which the two of DR7 are among the forced ones, and the secondary word
	 * itself. */
	CHECK_EQ(refused, 19 - 2 + 1);
}

TEST(ept_and_vpid_need_a_way_to_flush_them)
{
	struct intel cpu = *intel_named("5600U");
	struct fake f = {.cpu = &cpu, .feature = 5, .vmx = true};
	struct vmx_config config;

	cpu.ept = EPT_AD & ~(u64)EPT_CAP_INVEPT_ONE;
	CHECK_STR(probe(&f, 0, &config), "");
	CHECK_EQ(config.invept, INVEPT_ALL);
	cpu.ept &= ~(u64)EPT_CAP_INVEPT_ALL;
	CHECK_STR(probe(&f, 0, &config), "the CPU's VT-x lacks a type of INVEPT");
	cpu.ept = EPT_AD & ~(u64)EPT_CAP_INVEPT;
	CHECK_STR(probe(&f, 0, &config), "the CPU's VT-x lacks INVEPT");
	cpu.ept = EPT_AD & ~(u64)EPT_CAP_WALK_4;
	CHECK_STR(probe(&f, 0, &config), "the CPU's VT-x lacks EPT tables of 4 levels");
	cpu.ept = EPT_AD & ~(u64)EPT_CAP_WB;
	CHECK_STR(probe(&f, 0, &config), "");
	CHECK_EQ(config.ept_type, 0);
	cpu.ept = EPT_AD & ~(u64)EPT_CAP_INVVPID_ONE;
	CHECK_STR(probe(&f, 0, &config), "");
	CHECK(config.vpid && config.invvpid == INVVPID_ALL);
	cpu.ept &= ~(u64)EPT_CAP_INVVPID_ALL;
	CHECK_STR(probe(&f, 0, &config), "");
	CHECK(!config.vpid && !(config.controls.secondary & SEC_CTL_VPID));
	cpu.ept = EPT_AD & ~(u64)EPT_CAP_AD;
	cpu.secondary |= SEC_CTL_PML << 32;
	CHECK_STR(probe(&f, 0, &config), "");
	CHECK(!config.pml); /* it logs what sets a dirty flag */
}

TEST(the_neutral_view_follows_the_configuration)
{
	struct fake f = {.cpu = intel_named("5600U"), .feature = 5, .vmx = true};
	struct vmx_config config;
	struct engine_caps caps;

	probe(&f, 0, &config);
	vmx_engine_caps(&config, &caps);
	CHECK(caps.nested && caps.nested_1g && caps.flush_by_tag && caps.next_rip);
	CHECK(caps.pause_filter);
	CHECK_EQ(caps.tags, 65536);
	f.cpu = intel_named("2635QM");
	probe(&f, CPU_LACKS_TAGS, &config);
	vmx_engine_caps(&config, &caps);
	CHECK(caps.nested && !caps.nested_1g && !caps.flush_by_tag && !caps.pause_filter);
	CHECK_EQ(caps.tags, 1);
}

/* --- AMD -------------------------------------------------------------------------------------- */

enum {
	A_NPT = 1,
	A_1G = 2,
	A_FLUSH = 4,
	A_NRIP = 8,
	A_DECODE = 16,
	A_CLEAN = 32,
	A_PAUSE = 64,
	A_ALL = 127,
};

struct amd {
	const char *name, *source;
	u32 max_leaf; /* CPUID 80000000 EAX */
	bool svm, pages_1g;
	u32 asids, edx; /* CPUID 8000000A */
	const char *refusal;
	unsigned features;
};

static const struct amd amds[] = {
	{"Athlon 64 3200+ (K8 before rev F)", "D", 0x80000018, false, false, 0, 0,
	 "the CPU has no AMD-V (CPUID 80000001 ECX bit 2 is 0)", 0},
	{"any CPU without the leaf", "I", 0x80000008, false, false, 0, 0,
	 "the CPU has no AMD-V (no CPUID leaf 8000000A)", 0},
	{"Athlon 64 X2 4200+ (K8 rev F)", "D", 0x80000018, true, false, 0x40, 0, NULL, 0},
	{"Phenom 8650 (K10 rev B)", "I", 0x8000001a, true, true, 0x40, 0x7, NULL, A_NPT | A_1G},
	/* A pause filter without a threshold: not used. */
	{"Phenom II X6 1100T (K10 rev E)", "D", 0x8000001b, true, true, 0x40, 0x40f, NULL,
	 A_NPT | A_1G | A_NRIP},
	{"FX-8150 (Bulldozer)", "D", 0x8000001e, true, true, 0x10000, 0x14ff, NULL, A_ALL},
	{"FX-8350 (Piledriver)", "I", 0x8000001e, true, true, 0x10000, 0x14ff, NULL, A_ALL},
	{"Athlon 5350 (Jaguar)", "I", 0x8000001e, true, true, 8, 0x1cff, NULL, A_ALL},
	{"EPYC 7001 (Zen)", "D", 0x8000001f, true, true, 0x8000, 0x1bcff, NULL, A_ALL},
	{"EPYC 7002 (Zen 2)", "D", 0x80000020, true, true, 0x8000, 0x13bcff, NULL, A_ALL},
	{"Ryzen 5000 (Zen 3)", "I", 0x80000023, true, true, 0x8000, 0x119b9cff, NULL, A_ALL},
	{"EPYC 4244P (Zen 4)", "D", 0x80000028, true, true, 0x8000, 0x1ebfbcff, NULL, A_ALL},
	{"Ryzen 9000 (Zen 5)", "I", 0x80000028, true, true, 0x8000, 0x3ebfbcff, NULL, A_ALL},
	/* The emulator of our tests, for comparison: no nRIP, no decode assists, no flush by ASID,
	 * no clean bits. */
	{"QEMU TCG max", "D", 0x8000000a, true, true, 0x10, 0x10010001, NULL, A_NPT | A_1G},
	{"a CPU whose only ASID is the host's", "I", 0x8000000a, true, true, 1, 1,
	 "the CPU reports 1 ASIDs, 2 are needed", 0},
};

struct amd_fake {
	const struct amd *cpu;
	u64 vm_cr; /* NO_REG: #GP, as on CPUs and emulators without it */
};

static int amd_rdmsr(void *ctx, u32 msr, u64 *value)
{
	struct amd_fake *f = ctx;

	*value = msr == MSR_VM_CR && f->vm_cr != NO_REG ? f->vm_cr : 0;
	return msr == MSR_VM_CR && f->vm_cr != NO_REG ? 0 : -EFAULT;
}

static struct cpuid amd_cpuid(void *ctx, u32 leaf, u32 subleaf)
{
	const struct amd *c = ((struct amd_fake *)ctx)->cpu;

	(void)subleaf;
	/* Above the last leaf a CPU answers with what it likes. */
	if (leaf > c->max_leaf)
		return (struct cpuid){~0u, ~0u, ~0u, ~0u};
	switch (leaf) {
	case 0x80000000u:
		return (struct cpuid){.eax = c->max_leaf};
	case 0x80000001u:
		return (struct cpuid){.ecx = c->svm ? 4 : 0, .edx = c->pages_1g ? 1u << 26 : 0};
	case 0x8000000au:
		return (struct cpuid){.eax = 1, .ebx = c->asids, .edx = c->edx};
	default:
		return (struct cpuid){0};
	}
}

static int amd_probe(struct amd_fake *f, u32 lacks, struct engine_caps *caps, char *why,
		     size_t size)
{
	struct cpu_source src = {.rdmsr = amd_rdmsr, .cpuid = amd_cpuid, .ctx = f, .lacks = lacks};

	why[0] = 0;
	memset(caps, 0, sizeof(*caps));
	return svm_probe_source(&src, caps, why, size);
}

static unsigned amd_features(const struct engine_caps *c)
{
	return (c->nested ? A_NPT : 0) | (c->nested_1g ? A_1G : 0) |
	       (c->flush_by_tag ? A_FLUSH : 0) | (c->next_rip ? A_NRIP : 0) |
	       (c->decode ? A_DECODE : 0) | (c->clean_bits ? A_CLEAN : 0) |
	       (c->pause_filter ? A_PAUSE : 0);
}

TEST(real_amd_cpus_get_their_configuration_or_refusal)
{
	for (unsigned i = 0; i < ARRAY_SIZE(amds); i++) {
		struct amd_fake f = {.cpu = &amds[i], .vm_cr = 0};
		unsigned before = unit_failures;
		struct engine_caps caps;
		char why[256];
		int rc = amd_probe(&f, 0, &caps, why, sizeof(why));

		CHECK_EQ(rc, amds[i].refusal ? -ENODEV : 0);
		CHECK_STR(why, amds[i].refusal ? amds[i].refusal : "");
		if (!rc) {
			CHECK_EQ(amd_features(&caps), amds[i].features);
			CHECK_EQ(caps.tags, amds[i].asids);
		}
		if (unit_failures != before)
			printf("# … of %s (%s)\n", amds[i].name, amds[i].source);
	}
}

TEST(vm_cr_decides_whether_amd_v_can_be_switched_on)
{
	struct amd_fake f = {.cpu = &amds[8]};
	struct engine_caps caps;
	char why[256];

	f.vm_cr = NO_REG;
	CHECK_EQ(amd_probe(&f, 0, &caps, why, sizeof(why)), 0);
	f.vm_cr = VM_CR_LOCK; /* locked with AMD-V on */
	CHECK_EQ(amd_probe(&f, 0, &caps, why, sizeof(why)), 0);
	f.vm_cr = VM_CR_SVMDIS;
	CHECK_EQ(amd_probe(&f, 0, &caps, why, sizeof(why)), -ENODEV);
	CHECK_STR(why, "AMD-V is disabled in the firmware set-up: enable SVM (AMD-V) there");
	f.vm_cr = VM_CR_SVMDIS | VM_CR_LOCK;
	CHECK_EQ(amd_probe(&f, 0, &caps, why, sizeof(why)), -ENODEV);
	CHECK_STR(why,
		  "AMD-V is disabled in the firmware set-up and locked: enable SVM (AMD-V) there");
}

TEST(pretended_lacks_take_nested_paging_and_the_single_flush)
{
	struct amd_fake f = {.cpu = &amds[8]};
	struct engine_caps caps;
	char why[256];

	CHECK_EQ(amd_probe(&f, CPU_LACKS_NESTED, &caps, why, sizeof(why)), 0);
	CHECK_EQ(amd_features(&caps), A_ALL & ~(unsigned)(A_NPT | A_1G));
	CHECK_EQ(amd_probe(&f, CPU_LACKS_TAGS, &caps, why, sizeof(why)), 0);
	CHECK_EQ(amd_features(&caps), A_ALL & ~(unsigned)A_FLUSH);
	CHECK_EQ(amd_probe(&f, CPU_LACKS_UNRESTRICTED, &caps, why, sizeof(why)), 0);
	CHECK_EQ(amd_features(&caps), A_ALL);
}
