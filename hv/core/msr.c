/* The MSR table and its handlers.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/msr.h"

#include "core/cpuid.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "lib/x86.h"

/* Numbers that the code below names; the rest live in the table only. */
#define MSR_MTRR_FIX16K_FIRST 0x258u
#define MSR_MTRR_FIX4K_FIRST  0x268u

/* struct guest_msrs.features: a row exists where all its bits are set. */
#define HAS_AMD	       BIT(0)
#define HAS_INTEL      BIT(1)
#define HAS_LM	       BIT(2)
#define HAS_SEP	       BIT(3)
#define HAS_TSC_AUX    BIT(4)
#define HAS_TSC_ADJUST BIT(5)
#define HAS_DEADLINE   BIT(6)
#define HAS_X2APIC     BIT(7)
#define HAS_MTRR       BIT(8)
#define HAS_PAT	       BIT(9)
#define HAS_MCA	       BIT(10)
#define HAS_OSVW       BIT(11)

/* MTRRcap: eight variable ranges, fixed ranges, write combining. */
#define MTRR_CAP	(MSR_MTRR_VAR_COUNT | BIT(8) | BIT(10))
#define MTRR_DEF_RSVD	(~(BIT(11) | BIT(10) | 0xffull))
#define MTRR_MASK_VALID BIT(11)

/* AMD SYSCFG: extended fixed-range bits can be seen and changed, variable DRAM ranges, TOM2. */
#define SYSCFG_FIX_DRAM_MOD BIT(19)
#define SYSCFG_WRITABLE	    (BIT(18) | BIT(19) | BIT(20) | BIT(21) | BIT(22))
/* Fixed-range MTRR bytes: AMD's RdMem and WrMem, where SYSCFG lets them be seen. */
#define MTRR_FIX_AMD_BITS 0x1818181818181818ull

/* HWCR: the TSC runs at the P0 frequency; kernels complain when it is clear. */
#define HWCR_TSC_FREQ_SEL	BIT(24)
#define HWCR_WRITABLE		(BIT(3) | BIT(4) | BIT(6) | BIT(8) | BIT(18) | BIT(20))
#define DE_CFG_LFENCE_SERIALIZE BIT(1)

/* MISC_ENABLE: fast strings; branch-trace store and PEBS do not exist. */
#define MISC_FAST_STRINGS     BIT(0)
#define MISC_BTS_UNAVAILABLE  BIT(11)
#define MISC_PEBS_UNAVAILABLE BIT(12)

/* OSVW: errata 0 to 3 are known not to need the guest's help (the host's workarounds hold). */
#define OSVW_COUNT 4

struct msr_row {
	u32 first, last;
	const char *name;
	u32 needs;
	int (*read)(const struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 *value);
	int (*write)(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value);
	u16 field;    /* offset of the state in struct guest_msrs */
	u64 value;    /* of constants */
	u64 writable; /* bits that a write changes; others are ignored */
};

/* --- handlers --------------------------------------------------------------------------------- */

static u64 *row_field(struct guest_msrs *m, const struct msr_row *r)
{
	return (u64 *)(void *)((char *)m + r->field);
}

static int read_constant(const struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 *value)
{
	(void)m, (void)msr;
	*value = r->value;
	return 0;
}

static int write_ignored(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	(void)m, (void)r, (void)msr, (void)value;
	return 0;
}

static int read_field(const struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 *value)
{
	(void)msr;
	*value = *(const u64 *)(const void *)((const char *)m + r->field);
	return 0;
}

static int write_field(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	u64 *f = row_field(m, r);

	(void)msr;
	*f = (*f & ~r->writable) | (value & r->writable);
	return 0;
}

/* MCG_STATUS: software may only clear it. */
static int write_zero_only(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	(void)msr;
	if (value)
		return -EINVAL;
	*row_field(m, r) = 0;
	return 0;
}

static int read_cpu(const struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 *value)
{
	(void)r;
	return m->ops->cpu_get(m->ctx, msr, value);
}

static int write_cpu(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	return m->ops->cpu_set(m->ctx, msr, value & r->writable);
}

static int write_canonical(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	(void)r;
	if ((u64)((s64)(value << 16) >> 16) != value)
		return -EINVAL;
	return m->ops->cpu_set(m->ctx, msr, value);
}

/* LMA is a status bit: what is written to it does not matter. */
static int write_efer(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	u64 old;

	(void)r;
	if (value & ~m->efer_valid || m->ops->cpu_get(m->ctx, msr, &old) != 0)
		return -EINVAL;
	return m->ops->cpu_set(m->ctx, msr, (value & ~EFER_LMA) | (old & EFER_LMA));
}

static int read_tsc(const struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 *value)
{
	(void)r, (void)msr;
	*value = m->ops->tsc(m->ctx);
	return 0;
}

/* A write to the TSC shows in TSC_ADJUST and the other way round (SDM vol. 3 §18.17.3). */
static void shift_tsc(struct guest_msrs *m, u64 delta)
{
	m->tsc_adjust += delta;
	m->ops->tsc_shift(m->ctx, delta);
}

static int write_tsc(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	(void)r, (void)msr;
	shift_tsc(m, value - m->ops->tsc(m->ctx));
	return 0;
}

static int write_tsc_adjust(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	(void)r, (void)msr;
	shift_tsc(m, value - m->tsc_adjust);
	return 0;
}

static int read_apic_base(const struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 *value)
{
	(void)r, (void)msr;
	*value = m->ops->apic_base(m->ctx);
	return 0;
}

static int write_apic_base(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	(void)r, (void)msr;
	return m->ops->set_apic_base(m->ctx, value);
}

static int read_x2apic(const struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 *value)
{
	(void)r;
	return m->ops->x2apic_read(m->ctx, msr, value);
}

static int write_x2apic(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	(void)r;
	return m->ops->x2apic_write(m->ctx, msr, value);
}

static int read_deadline(const struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 *value)
{
	(void)r, (void)msr;
	*value = m->ops->tsc_deadline(m->ctx);
	return 0;
}

static int write_deadline(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	(void)r, (void)msr;
	m->ops->set_tsc_deadline(m->ctx, value);
	return 0;
}

/* Memory types: UC, WC, WT, WP, WB; the PAT has UC- (7) besides. */
static bool memory_type_ok(u8 type)
{
	return type <= 6 && type != 2 && type != 3;
}

static bool memory_types_ok(u64 bytes, bool pat)
{
	for (unsigned i = 0; i < 8; i++) {
		u8 type = bytes >> (8 * i) & 0xff;

		if (!memory_type_ok(type) && !(pat && type == 7))
			return false;
	}
	return true;
}

static int write_pat(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	(void)r;
	if (!memory_types_ok(value, true))
		return -EINVAL;
	m->pat = value;
	return m->ops->cpu_set(m->ctx, msr, value);
}

static int read_mtrr_var(const struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 *value)
{
	*value = m->mtrr_var[msr - r->first];
	return 0;
}

static int write_mtrr_var(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	bool mask = msr & 1;
	u64 address = (BIT(m->phys_bits) - 1) & ~0xfffull;

	if (value & ~(address | (mask ? MTRR_MASK_VALID : 0xff)))
		return -EINVAL;
	if (!mask && !memory_type_ok(value & 0xff))
		return -EINVAL;
	m->mtrr_var[msr - r->first] = value;
	return 0;
}

/* The eleven fixed ranges: 64K at 250h, 16K at 258h and 259h, 4K at 268h to 26Fh. */
static unsigned mtrr_fixed_index(u32 msr)
{
	if (msr >= MSR_MTRR_FIX4K_FIRST)
		return 3 + msr - MSR_MTRR_FIX4K_FIRST;
	return msr >= MSR_MTRR_FIX16K_FIRST ? 1 + msr - MSR_MTRR_FIX16K_FIRST : 0;
}

u32 msr_mtrr_fixed(unsigned i)
{
	return i >= 3 ? MSR_MTRR_FIX4K_FIRST + i - 3 : i ? MSR_MTRR_FIX16K_FIRST + i - 1 : 0x250;
}

static int read_mtrr_fixed(const struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 *value)
{
	(void)r;
	*value = m->mtrr_fixed[mtrr_fixed_index(msr)];
	if (!(m->syscfg & SYSCFG_FIX_DRAM_MOD))
		*value &= ~MTRR_FIX_AMD_BITS;
	return 0;
}

static int write_mtrr_fixed(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	u64 *f = &m->mtrr_fixed[mtrr_fixed_index(msr)];
	u64 amd_bits = value & MTRR_FIX_AMD_BITS;

	(void)r;
	if (!(m->syscfg & SYSCFG_FIX_DRAM_MOD)) {
		if (amd_bits)
			return -EINVAL;
		amd_bits = *f & MTRR_FIX_AMD_BITS;
	}
	value &= ~MTRR_FIX_AMD_BITS;
	if (!memory_types_ok(value, false))
		return -EINVAL;
	*f = value | amd_bits;
	return 0;
}

static int write_mtrr_def(struct guest_msrs *m, const struct msr_row *r, u32 msr, u64 value)
{
	(void)r, (void)msr;
	if ((value & MTRR_DEF_RSVD) || !memory_type_ok(value & 0xff))
		return -EINVAL;
	m->mtrr_def_type = value;
	return 0;
}

/* --- the table -------------------------------------------------------------------------------- */

#define FIELD(f)     .field = offsetof(struct guest_msrs, f)
#define ZERO	     .read = read_constant, .write = write_ignored
#define READ_ONLY(v) .read = read_constant, .value = (v)
#define CONSTANT(v)  .read = read_constant, .value = (v), .write = write_ignored
#define CPU(bits)    .read = read_cpu, .write = write_cpu, .writable = (bits)
#define CPU_ADDRESS  .read = read_cpu, .write = write_canonical
#define ONE(n)	     .first = (n), .last = (n)
#define RANGE(a, b)  .first = (a), .last = (b)

/* Sorted by number. "Ignored" rows are registers that old kernels touch without expecting a fault.
 */
static const struct msr_row table[] = {
	{RANGE(0x0, 0x1), "P5_MC", ZERO},
	{ONE(0x10), "TSC", .read = read_tsc, .write = write_tsc},
	{ONE(0x17), "PLATFORM_ID", HAS_INTEL, READ_ONLY(0)},
	{ONE(0x1b), "APIC_BASE", .read = read_apic_base, .write = write_apic_base},
	{ONE(0x2a), "EBL_CR_POWERON", HAS_INTEL, ZERO},
	{ONE(0x34), "SMI_COUNT", HAS_INTEL, READ_ONLY(0)},
	{ONE(0x3a), "FEATURE_CONTROL", HAS_INTEL, READ_ONLY(FEATURE_CONTROL_LOCK)},
	{ONE(0x3b), "TSC_ADJUST", HAS_TSC_ADJUST, .read = read_field, .write = write_tsc_adjust,
	 FIELD(tsc_adjust)},
	{ONE(0x79), "BIOS_UPDT_TRIG", HAS_INTEL, .write = write_ignored},
	{ONE(0x8b), "UCODE_REV", .read = read_field, .write = write_ignored, FIELD(microcode)},
	{RANGE(0xc1, 0xc2), "PERFCTR", HAS_INTEL, ZERO},
	{ONE(0xce), "PLATFORM_INFO", HAS_INTEL, .read = read_field, FIELD(platform_info)},
	{ONE(0xfe), "MTRRcap", HAS_MTRR, READ_ONLY(MTRR_CAP)},
	{ONE(0x119), "BBL_CR_CTL", HAS_INTEL, ZERO},
	{ONE(0x11e), "BBL_CR_CTL3", HAS_INTEL, ZERO},
	{ONE(0x174), "SYSENTER_CS", HAS_SEP, CPU(0xffffffff)},
	{RANGE(0x175, 0x176), "SYSENTER_ESP/EIP", HAS_SEP, CPU_ADDRESS},
	{ONE(0x179), "MCG_CAP", HAS_MCA, READ_ONLY(0)}, /* no banks: nothing can be reported */
	{ONE(0x17a), "MCG_STATUS", HAS_MCA, .read = read_field, .write = write_zero_only,
	 FIELD(mcg_status)},
	{RANGE(0x186, 0x187), "PERFEVTSEL", HAS_INTEL, ZERO},
	{ONE(0x198), "PERF_STATUS", HAS_INTEL, .read = read_field, .write = write_ignored,
	 FIELD(perf_status)},
	{ONE(0x199), "PERF_CTL", HAS_INTEL, ZERO},
	{ONE(0x1a0), "MISC_ENABLE", HAS_INTEL, .read = read_field, .write = write_field,
	 FIELD(misc_enable), .writable = MISC_FAST_STRINGS},
	{ONE(0x1d9), "DEBUGCTL", ZERO}, /* no LBR, no branch stepping */
	{RANGE(0x1db, 0x1de), "LASTBRANCH", ZERO},
	{RANGE(0x200, 0x200 + 2 * MSR_MTRR_VAR_COUNT - 1), "MTRRphys", HAS_MTRR,
	 .read = read_mtrr_var, .write = write_mtrr_var},
	{ONE(0x250), "MTRRfix64K", HAS_MTRR, .read = read_mtrr_fixed, .write = write_mtrr_fixed},
	{RANGE(0x258, 0x259), "MTRRfix16K", HAS_MTRR, .read = read_mtrr_fixed,
	 .write = write_mtrr_fixed},
	{RANGE(0x268, 0x26f), "MTRRfix4K", HAS_MTRR, .read = read_mtrr_fixed,
	 .write = write_mtrr_fixed},
	{ONE(MSR_PAT), "PAT", HAS_PAT, .read = read_field, .write = write_pat, FIELD(pat)},
	{ONE(0x2ff), "MTRRdefType", HAS_MTRR, .read = read_field, .write = write_mtrr_def,
	 FIELD(mtrr_def_type)},
	{ONE(0x6e0), "TSC_DEADLINE", HAS_DEADLINE, .read = read_deadline, .write = write_deadline},
	{RANGE(0x800, 0x8ff), "x2APIC", HAS_X2APIC, .read = read_x2apic, .write = write_x2apic},
	{ONE(MSR_EFER), "EFER", .read = read_cpu, .write = write_efer},
	{ONE(0xc0000081), "STAR", HAS_LM, CPU(~0ull)},
	{RANGE(0xc0000082, 0xc0000083), "LSTAR/CSTAR", HAS_LM, CPU_ADDRESS},
	{ONE(0xc0000084), "SFMASK", HAS_LM, CPU(0xffffffff)},
	{RANGE(0xc0000100, 0xc0000102), "FS/GS/KERNEL_GS_BASE", HAS_LM, CPU_ADDRESS},
	{ONE(0xc0000103), "TSC_AUX", HAS_TSC_AUX, CPU(0xffffffff)},
	{RANGE(0xc0010000, 0xc0010007), "K7 PERFEVTSEL/PERFCTR", HAS_AMD, ZERO},
	{ONE(0xc0010010), "SYSCFG", HAS_AMD, .read = read_field, .write = write_field,
	 FIELD(syscfg), .writable = SYSCFG_WRITABLE},
	{ONE(0xc0010015), "HWCR", HAS_AMD, .read = read_field, .write = write_field, FIELD(hwcr),
	 .writable = HWCR_WRITABLE},
	{RANGE(0xc0010016, 0xc0010019), "IORR", HAS_AMD, ZERO},
	{ONE(0xc001001a), "TOP_MEM", HAS_AMD, .read = read_field, .write = write_ignored,
	 FIELD(top_mem)},
	{ONE(0xc001001d), "TOP_MEM2", HAS_AMD, .read = read_field, .write = write_ignored,
	 FIELD(top_mem2)},
	{ONE(0xc001001f), "NB_CFG", HAS_AMD, ZERO},
	{ONE(0xc0010020), "PATCH_LOADER", HAS_AMD, .write = write_ignored},
	{ONE(0xc0010055), "INT_PENDING", HAS_AMD, ZERO}, /* C1E is not in use */
	{ONE(0xc0010058), "MMIO_CONF_BASE", HAS_AMD, ZERO},
	{RANGE(0xc0010111, 0xc0010113), "SMM_BASE/ADDR/MASK", HAS_AMD, ZERO},
	{ONE(0xc0010131), "SEV_STATUS", HAS_AMD, READ_ONLY(0)}, /* early code reads it unguarded */
	{ONE(0xc0010140), "OSVW_ID_LENGTH", HAS_AMD | HAS_OSVW, CONSTANT(OSVW_COUNT)},
	{ONE(0xc0010141), "OSVW_STATUS", HAS_AMD | HAS_OSVW, ZERO},
	{RANGE(0xc0011022, 0xc0011023), "DC_CFG/BU_CFG", HAS_AMD, ZERO},
	{ONE(0xc0011029), "DE_CFG", HAS_AMD, .read = read_field, .write = write_field,
	 FIELD(de_cfg), .writable = DE_CFG_LFENCE_SERIALIZE},
	{ONE(0xc001102a), "BU_CFG2", HAS_AMD, ZERO},
};

/* Which rows a guest has follows from what CPUID shows it. */
static const struct {
	u32 leaf;
	u8 reg;
	u8 bit;
	u32 feature;
} cpuid_features[] = {
	{0x1, CPUID_ECX, 21, HAS_X2APIC},     {0x1, CPUID_ECX, 24, HAS_DEADLINE},
	{0x1, CPUID_EDX, 11, HAS_SEP},	      {0x1, CPUID_EDX, 12, HAS_MTRR},
	{0x1, CPUID_EDX, 14, HAS_MCA},	      {0x1, CPUID_EDX, 16, HAS_PAT},
	{0x7, CPUID_EBX, 1, HAS_TSC_ADJUST},  {0x7, CPUID_ECX, 22, HAS_TSC_AUX},	/* RDPID */
	{0x80000001, CPUID_ECX, 9, HAS_OSVW}, {0x80000001, CPUID_EDX, 27, HAS_TSC_AUX}, /* RDTSCP */
	{0x80000001, CPUID_EDX, 29, HAS_LM},
};

static u32 features_of(const struct cpuid_policy *p)
{
	static const u64 cr4;
	static const struct cpuid_dynamic nothing = {.cr4 = &cr4, .xcr0 = 1};
	u32 features = p->amd ? HAS_AMD : p->intel_beyond ? HAS_INTEL : 0;

	for (unsigned i = 0; i < ARRAY_SIZE(cpuid_features); i++) {
		u32 out[4];

		cpuid_query(p, &nothing, cpuid_features[i].leaf, 0, out);
		if (out[cpuid_features[i].reg] >> cpuid_features[i].bit & 1)
			features |= cpuid_features[i].feature;
	}
	return features;
}

void guest_msrs_init(struct guest_msrs *m, const struct guest_msrs_config *cfg,
		     const struct msr_ops *ops, void *ctx)
{
	u64 ratio = MIN(cfg->tsc_khz / 100000, 255);

	*m = (struct guest_msrs){.features = features_of(cfg->cpuid),
				 .phys_bits = cfg->cpuid->phys_bits,
				 .efer_valid = cfg->cpuid->efer_valid,
				 .ops = ops,
				 .ctx = ctx,
				 .microcode = cfg->microcode,
				 .platform_info = ratio << 8,
				 .perf_status = ratio << 8,
				 .top_mem = cfg->low_ram_end,
				 .top_mem2 = cfg->high_ram_end};
	guest_msrs_reset(m);
}

void guest_msrs_reset(struct guest_msrs *m)
{
	m->tsc_adjust = 0;
	m->misc_enable = MISC_FAST_STRINGS | MISC_BTS_UNAVAILABLE | MISC_PEBS_UNAVAILABLE;
	m->mcg_status = 0;
	m->syscfg = 0;
	m->hwcr = HWCR_TSC_FREQ_SEL;
	m->de_cfg = DE_CFG_LFENCE_SERIALIZE;
	m->pat = PAT_RESET;
	m->mtrr_def_type = 0;
	memset(m->mtrr_var, 0, sizeof(m->mtrr_var));
	memset(m->mtrr_fixed, 0, sizeof(m->mtrr_fixed));
}

static const struct msr_row *find_row(u32 msr)
{
	unsigned low = 0, high = ARRAY_SIZE(table);

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (msr > table[mid].last)
			low = mid + 1;
		else
			high = mid;
	}
	return low < ARRAY_SIZE(table) && msr >= table[low].first ? &table[low] : NULL;
}

/* The row of an MSR that this guest has, or NULL. */
static const struct msr_row *guest_row(const struct guest_msrs *m, u32 msr)
{
	const struct msr_row *r = find_row(msr);

	return r && (r->needs & ~m->features) == 0 ? r : NULL;
}

int msr_read(struct guest_msrs *m, u32 msr, u64 *value)
{
	const struct msr_row *r = guest_row(m, msr);

	if (r && r->read && r->read(m, r, msr, value) == 0)
		return 0;
	m->last_unknown_read[m->unknown_reads++ % MSR_UNKNOWN_KEPT] = msr;
	return -EINVAL;
}

int msr_write(struct guest_msrs *m, u32 msr, u64 value)
{
	const struct msr_row *r = guest_row(m, msr);

	if (r && r->write && r->write(m, r, msr, value) == 0)
		return 0;
	m->last_unknown_write[m->unknown_writes++ % MSR_UNKNOWN_KEPT] = msr;
	return -EINVAL;
}

const char *msr_name(u32 msr)
{
	const struct msr_row *r = find_row(msr);

	return r ? r->name : NULL;
}
