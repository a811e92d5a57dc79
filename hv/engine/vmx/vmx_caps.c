/* VT-x capabilities: the MSRs in words, and the choice of the controls. SDM vol. 3 appendix A.
 *
 * What the engine cannot do without is one table, NEEDS; what it takes where it is there is WISHES.
 * Controls of which the reserved "default1" settings have to stay come from the TRUE MSRs where
 * those exist, so that a control is 1 only if asked for (A.2 to A.5).
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/vmx/vmx_caps.h"
#include "engine/engine.h"
#include "lib/errno.h"
#include "lib/str.h"

#define CPUID_1_ECX_VMX	 BIT(5)
#define CPUID_EXT_EDX_1G BIT(26)
#define CPUID_ADDRESSES	 0x80000008u
#define PHYS_BITS_OLD	 36 /* without CPUID_ADDRESSES */
#define LINEAR_BITS_OLD	 48
#define VPIDS		 0x10000u
#define ADDRESS_BITS	 52 /* in an entry of a page table */
#define MSR_LIST_QUANTUM 512u
#define MEMORY_TYPE_WB	 6
#define EXIT_EFER	 (EXIT_CTL_SAVE_EFER | EXIT_CTL_LOAD_EFER)

/* --- reading ---------------------------------------------------------------------------------- */

static u64 read_msr(const struct cpu_source *src, u32 msr)
{
	u64 value;

	return src->rdmsr(src->ctx, msr, &value) == 0 ? value : 0;
}

/* A.3.1: the low half is what must be 1, the high half what may be. */
static struct vmx_allowed read_allowed(const struct cpu_source *src, u32 msr)
{
	u64 value = read_msr(src, msr);

	return (struct vmx_allowed){.must = (u32)value, .may = (u32)(value >> 32)};
}

static void read_controls(const struct cpu_source *src, struct vmx_caps *caps)
{
	static const u32 old[] = {MSR_VMX_PIN_CTLS, MSR_VMX_PRIMARY_CTLS, MSR_VMX_SECONDARY_CTLS,
				  MSR_VMX_EXIT_CTLS, MSR_VMX_ENTRY_CTLS};
	static const u32 real[] = {MSR_VMX_TRUE_PIN_CTLS, MSR_VMX_TRUE_PRIMARY_CTLS,
				   MSR_VMX_SECONDARY_CTLS, MSR_VMX_TRUE_EXIT_CTLS,
				   MSR_VMX_TRUE_ENTRY_CTLS};
	struct vmx_allowed *second = &caps->allowed[VMX_SECONDARY];

	for (unsigned w = 0; w < VMX_WORDS; w++) {
		/* The register is there only with the control that activates the word. */
		if (w == VMX_SECONDARY && !(caps->allowed[VMX_PRIMARY].may & PRI_CTL_SECONDARY))
			continue;
		caps->allowed[w] = read_allowed(src, (caps->true_controls ? real : old)[w]);
	}
	if (src->lacks & CPU_LACKS_NESTED)
		second->may &= ~(u32)(SEC_CTL_EPT | SEC_CTL_UNRESTRICTED);
	if (src->lacks & CPU_LACKS_UNRESTRICTED)
		second->may &= ~(u32)SEC_CTL_UNRESTRICTED;
	if (src->lacks & CPU_LACKS_TAGS)
		second->may &= ~(u32)SEC_CTL_VPID;
	if (src->lacks & CPU_LACKS_APIC_PAGE)
		second->may &= ~(u32)(SEC_CTL_APIC_ACCESS | SEC_CTL_APIC_REGISTERS);
	if (src->lacks & CPU_LACKS_MSR_CONTROLS) {
		caps->allowed[VMX_EXIT].may &= ~(u32)(EXIT_EFER | EXIT_CTL_LOAD_PAT);
		caps->allowed[VMX_ENTRY].may &= ~(u32)(ENTRY_CTL_LOAD_EFER | ENTRY_CTL_LOAD_PAT);
	}
}

static void read_basic(const struct cpu_source *src, struct vmx_caps *caps)
{
	u64 basic = read_msr(src, MSR_VMX_BASIC);

	caps->revision = (u32)(basic & VMX_BASIC_REVISION);
	caps->region_size = (u16)(basic >> VMX_BASIC_SIZE_SHIFT & VMX_BASIC_SIZE_MASK);
	caps->memory_type = (u8)(basic >> VMX_BASIC_TYPE_SHIFT & VMX_BASIC_TYPE_MASK);
	caps->insn_info_io = basic & VMX_BASIC_INS_OUTS;
	caps->true_controls = basic & VMX_BASIC_TRUE_CTLS;
	caps->free_error_code = basic & VMX_BASIC_FREE_ERROR;
}

static void read_misc(const struct cpu_source *src, struct vmx_caps *caps)
{
	u64 misc = read_msr(src, MSR_VMX_MISC);

	caps->timer_shift = misc & VMX_MISC_TIMER_MASK;
	caps->saves_lma = misc & VMX_MISC_SAVES_LMA;
	/* Being active is no matter of capability. */
	caps->activities =
		(u8)(1 | (misc >> VMX_MISC_ACTIVITY_SHIFT & VMX_MISC_ACTIVITY_MASK) << 1);
	caps->cr3_targets = misc >> VMX_MISC_CR3_SHIFT & VMX_MISC_CR3_MASK;
	caps->msr_list =
		(u16)(((misc >> VMX_MISC_LIST_SHIFT & VMX_MISC_LIST_MASK) + 1) * MSR_LIST_QUANTUM);
	caps->zero_len_inject = misc & VMX_MISC_ZERO_LEN;
}

static void read_widths(const struct cpu_source *src, struct vmx_caps *caps)
{
	struct cpuid c = {.eax = LINEAR_BITS_OLD << 8 | PHYS_BITS_OLD};

	if (src->cpuid(src->ctx, 0x80000000u, 0).eax >= CPUID_ADDRESSES)
		c = src->cpuid(src->ctx, CPUID_ADDRESSES, 0);
	caps->phys_bits = (u8)c.eax;
	caps->linear_bits = (u8)(c.eax >> 8);
}

/* Read the capability MSRs of a CPU that has VT-x. @src->lacks clears what it names. */
static void caps_read(const struct cpu_source *src, struct vmx_caps *caps)
{
	memset(caps, 0, sizeof(*caps));
	caps->lacks = src->lacks;
	read_basic(src, caps);
	read_controls(src, caps);
	read_misc(src, caps);
	read_widths(src, caps);
	caps->cr0_must = read_msr(src, MSR_VMX_CR0_FIXED0);
	caps->cr0_may = read_msr(src, MSR_VMX_CR0_FIXED1);
	caps->cr4_must = read_msr(src, MSR_VMX_CR4_FIXED0);
	caps->cr4_may = read_msr(src, MSR_VMX_CR4_FIXED1);
	/* A.10: the register exists with either of the two. */
	if (caps->allowed[VMX_SECONDARY].may & (SEC_CTL_EPT | SEC_CTL_VPID))
		caps->ept_vpid = read_msr(src, MSR_VMX_EPT_VPID_CAP);
}

/* --- choosing --------------------------------------------------------------------------------- */

/* @want as far as @a allows it, and the bits that must be 1. */
static u32 settle(const struct vmx_allowed *a, u32 want)
{
	return (want & a->may) | a->must;
}

static const struct need {
	enum vmx_word word;
	u64 bit;
	const char *text;
} needs[] = {
	{VMX_PIN, PIN_CTL_EXTINT, "external-interrupt exiting"},
	{VMX_PIN, PIN_CTL_NMI, "NMI exiting"},
	{VMX_PIN, PIN_CTL_VNMI, "virtual NMIs"},
	{VMX_PRIMARY, PRI_CTL_INTR_WINDOW, "interrupt-window exiting"},
	{VMX_PRIMARY, PRI_CTL_NMI_WINDOW, "NMI-window exiting"},
	{VMX_PRIMARY, PRI_CTL_TSC_OFFSET, "TSC offsetting"},
	{VMX_PRIMARY, PRI_CTL_HLT, "HLT exiting"},
	{VMX_PRIMARY, PRI_CTL_MWAIT, "MWAIT exiting"},
	{VMX_PRIMARY, PRI_CTL_MONITOR, "MONITOR exiting"},
	{VMX_PRIMARY, PRI_CTL_RDPMC, "RDPMC exiting"},
	{VMX_PRIMARY, PRI_CTL_TPR_SHADOW, "TPR shadow"},
	{VMX_PRIMARY, PRI_CTL_IO_BITMAPS, "I/O bitmaps"},
	{VMX_PRIMARY, PRI_CTL_MSR_BITMAPS, "MSR bitmaps"},
	{VMX_SECONDARY, SEC_CTL_EPT, "EPT (nested paging)"},
	{VMX_SECONDARY, SEC_CTL_UNRESTRICTED, "unrestricted guest (real mode in hardware)"},
	{VMX_EXIT, EXIT_CTL_HOST_64, "exits to a 64-bit host"},
	{VMX_EXIT, EXIT_CTL_SAVE_DEBUG, "saving of DR7"},
	{VMX_ENTRY, ENTRY_CTL_IA32E, "64-bit guests"},
	{VMX_ENTRY, ENTRY_CTL_LOAD_DEBUG, "loading of DR7"},
};

/* Of MSR 48Ch; asked for only where there is EPT at all. Any INVEPT will do, see configure. */
static const struct {
	u64 bits; /* one of them */
	const char *text;
} ept_needs[] = {
	{EPT_CAP_WALK_4, "EPT tables of 4 levels"},
	{EPT_CAP_WB | EPT_CAP_UC, "a memory type for EPT tables"},
	{EPT_CAP_2M, "EPT pages of 2 MiB"},
	{EPT_CAP_INVEPT, "INVEPT"},
	{EPT_CAP_INVEPT_ONE | EPT_CAP_INVEPT_ALL, "a type of INVEPT"},
};

/* Needs that each entry turns on for itself. */
#define PRIMARY_LATER (PRI_CTL_INTR_WINDOW | PRI_CTL_NMI_WINDOW)

/* Taken where they are. */
static const u32 wishes[VMX_WORDS] = {
	[VMX_PRIMARY] = PRI_CTL_SECONDARY,
	[VMX_SECONDARY] = SEC_CTL_VPID | SEC_CTL_RDTSCP | SEC_CTL_WBINVD | SEC_CTL_PAUSE_LOOP |
			  SEC_CTL_APIC_ACCESS | SEC_CTL_APIC_REGISTERS,
	[VMX_EXIT] = EXIT_EFER | EXIT_CTL_LOAD_PAT,
	[VMX_ENTRY] = ENTRY_CTL_LOAD_EFER | ENTRY_CTL_LOAD_PAT,
};

struct refusal {
	char *text;
	size_t size, used;
	unsigned missing;
};

static void name_missing(struct refusal *r, const char *what, const char *option)
{
	int n;

	if (r->used < r->size) {
		n = snprintf(r->text + r->used, r->size - r->used, "%s%s%s",
			     r->missing ? ", " : "the CPU's VT-x lacks ", what, option);
		r->used += (size_t)n;
	}
	r->missing++;
}

/* A lack that is only pretended is to be told from a real one. */
static const char *pretended(const struct vmx_caps *caps, const struct need *n)
{
	if (n->word != VMX_SECONDARY)
		return "";
	if (caps->lacks & CPU_LACKS_NESTED)
		return " [nested=off]";
	return n->bit == SEC_CTL_UNRESTRICTED && (caps->lacks & CPU_LACKS_UNRESTRICTED)
		       ? " [unrestricted=off]"
		       : "";
}

static void check_needs(const struct vmx_caps *caps, struct refusal *r)
{
	for (unsigned i = 0; i < ARRAY_SIZE(needs); i++)
		if (!(caps->allowed[needs[i].word].may & needs[i].bit))
			name_missing(r, needs[i].text, pretended(caps, &needs[i]));
	if (!(caps->allowed[VMX_SECONDARY].may & SEC_CTL_EPT))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(ept_needs); i++)
		if (!(caps->ept_vpid & ept_needs[i].bits))
			name_missing(r, ept_needs[i].text, "");
}

static bool may(const struct vmx_caps *caps, enum vmx_word word, u64 bits)
{
	return (caps->allowed[word].may & bits) == bits;
}

/* A register goes by controls all the way or by the MSR lists all the way. */
static void choose_lists(const struct vmx_caps *caps, struct vmx_config *c)
{
	c->efer_list =
		!may(caps, VMX_EXIT, EXIT_EFER) || !may(caps, VMX_ENTRY, ENTRY_CTL_LOAD_EFER);
	c->pat_list = !may(caps, VMX_EXIT, EXIT_CTL_LOAD_PAT) ||
		      !may(caps, VMX_ENTRY, ENTRY_CTL_LOAD_PAT);
}

static void choose_controls(const struct vmx_caps *caps, const struct vmx_config *config,
			    struct vmx_controls *c)
{
	u32 word[VMX_WORDS];

	for (unsigned w = 0; w < VMX_WORDS; w++)
		word[w] = wishes[w];
	for (unsigned i = 0; i < ARRAY_SIZE(needs); i++)
		word[needs[i].word] |= (u32)needs[i].bit;
	word[VMX_PRIMARY] &= ~(u32)PRIMARY_LATER;
	word[VMX_ENTRY] &= ~(u32)ENTRY_CTL_IA32E; /* a vCPU begins in real mode */
	if (!config->vpid)
		word[VMX_SECONDARY] &= ~(u32)SEC_CTL_VPID;
	if (!config->apic_access)
		word[VMX_SECONDARY] &= ~(u32)SEC_CTL_APIC_REGISTERS;
	if (config->efer_list) {
		word[VMX_EXIT] &= ~(u32)EXIT_EFER;
		word[VMX_ENTRY] &= ~(u32)ENTRY_CTL_LOAD_EFER;
	}
	if (config->pat_list) {
		word[VMX_EXIT] &= ~(u32)EXIT_CTL_LOAD_PAT;
		word[VMX_ENTRY] &= ~(u32)ENTRY_CTL_LOAD_PAT;
	}
	for (unsigned w = 0; w < VMX_WORDS; w++)
		word[w] = settle(&caps->allowed[w], word[w]);
	*c = (struct vmx_controls){.pin = word[VMX_PIN],
				   .primary = word[VMX_PRIMARY],
				   .secondary = word[VMX_SECONDARY],
				   .exit = word[VMX_EXIT],
				   .entry = word[VMX_ENTRY]};
}

static void choose_ept(const struct vmx_caps *caps, struct vmx_config *c)
{
	u64 has = caps->ept_vpid;

	c->ept_1g = has & EPT_CAP_1G;
	c->ept_ad = has & EPT_CAP_AD;
	c->ept_exec_only = has & EPT_CAP_EXEC_ONLY;
	c->ept_type = has & EPT_CAP_WB ? MEMORY_TYPE_WB : 0;
	c->invept = has & EPT_CAP_INVEPT_ONE ? INVEPT_ONE : INVEPT_ALL;
	c->pml = c->ept_ad && may(caps, VMX_SECONDARY, SEC_CTL_PML);
}

/* A tag that could not be flushed would be of no use. */
static void choose_vpid(const struct vmx_caps *caps, struct vmx_config *c)
{
	u64 has = caps->ept_vpid;

	c->vpid = may(caps, VMX_SECONDARY, SEC_CTL_VPID) && (has & EPT_CAP_INVVPID) &&
		  (has & (EPT_CAP_INVVPID_ONE | EPT_CAP_INVVPID_ALL));
	c->tags = c->vpid ? VPIDS : 1;
	if (!c->vpid)
		return;
	c->invvpid = has & EPT_CAP_INVVPID_ONE ? INVVPID_ONE : INVVPID_ALL;
	c->invvpid_address = has & EPT_CAP_INVVPID_ADDRESS;
}

static void choose_apic(const struct vmx_caps *caps, struct vmx_config *c)
{
	c->apic_access = may(caps, VMX_SECONDARY, SEC_CTL_APIC_ACCESS);
	c->apic_registers = c->apic_access && may(caps, VMX_SECONDARY, SEC_CTL_APIC_REGISTERS);
}

/* Choose the controls. 0, or -ENODEV with @why. */
static int configure(const struct vmx_caps *caps, struct vmx_config *config, char *why,
		     size_t why_len)
{
	struct refusal r = {.text = why, .size = why_len};

	memset(config, 0, sizeof(*config));
	check_needs(caps, &r);
	if (r.missing)
		return -ENODEV;
	choose_ept(caps, config);
	choose_vpid(caps, config);
	choose_lists(caps, config);
	choose_apic(caps, config);
	choose_controls(caps, config, &config->controls);
	config->preemption_timer = may(caps, VMX_PIN, PIN_CTL_TIMER);
	config->apicv = may(caps, VMX_SECONDARY, SEC_CTL_APIC_REGISTERS | SEC_CTL_INTR_DELIVERY);
	/* Processing needs acknowledged exits too (§27.2.1.1). */
	config->posted = config->apicv && may(caps, VMX_PIN, PIN_CTL_POSTED) &&
			 may(caps, VMX_EXIT, EXIT_CTL_ACK_INTR);
	config->tsc_scaling = may(caps, VMX_SECONDARY, SEC_CTL_TSC_SCALING);
	config->shadow =
		may(caps, VMX_PRIMARY, PRI_CTL_CR3_LOAD | PRI_CTL_CR3_STORE | PRI_CTL_INVLPG);
	config->filters_faults = caps->phys_bits < ADDRESS_BITS;
	config->pause_loop = may(caps, VMX_SECONDARY, SEC_CTL_PAUSE_LOOP);
	config->rdtscp = may(caps, VMX_SECONDARY, SEC_CTL_RDTSCP);
	return 0;
}

/* --- the whole -------------------------------------------------------------------------------- */

int vmx_probe_source(const struct cpu_source *src, struct vmx_caps *caps, struct vmx_config *config,
		     char *why, size_t why_len)
{
	u64 feature;
	int rc;

	if (!(src->cpuid(src->ctx, 1, 0).ecx & CPUID_1_ECX_VMX)) {
		snprintf(why, why_len, "the CPU has no VT-x (CPUID 1 ECX bit 5 is 0)");
		return -ENODEV;
	}
	if (src->rdmsr(src->ctx, MSR_FEATURE_CONTROL, &feature) != 0) {
		snprintf(why, why_len, "the CPU promises VT-x but has no MSR 3Ah to enable it by");
		return -ENODEV;
	}
	/* §24.7: VMXON needs the register locked with the right bit set; only a reset opens it. */
	if ((feature & FEATURE_CONTROL_LOCK) && !(feature & FEATURE_CONTROL_VMX)) {
		snprintf(why, why_len,
			 "VT-x is disabled in the firmware set-up and locked: enable VT-x (Intel "
			 "Virtualization Technology) there");
		return -ENODEV;
	}
	caps_read(src, caps);
	rc = configure(caps, config, why, why_len);
	config->lock = !(feature & FEATURE_CONTROL_LOCK);
	config->phys_bits = caps->phys_bits;
	config->shadow_1g = src->cpuid(src->ctx, 0x80000001u, 0).edx & CPUID_EXT_EDX_1G;
	return rc;
}

void vmx_engine_caps(const struct vmx_config *config, struct engine_caps *out)
{
	*out = (struct engine_caps){
		.nested = true,
		.shadow = config->shadow,
		.shadow_1g = config->shadow_1g,
		.filters_faults = config->filters_faults,
		.phys_bits = config->phys_bits,
		.nested_1g = config->ept_1g,
		.flush_by_tag = config->vpid && config->invvpid == INVVPID_ONE,
		.next_rip = true,
		.pause_filter = config->pause_loop,
		.tags = config->tags,
	};
}
