/* Memory types of physical addresses as the MTRRs have them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/vmx/memtype.h"
#include "lib/str.h"
#include "lib/x86.h"

#define MSR_MTRR_FIX_64K 0x250u
#define MSR_MTRR_FIX_16K 0x258u /* two */
#define MSR_MTRR_FIX_4K	 0x268u /* eight */
#define CAP_COUNT	 0xffu
#define CAP_FIXED	 BIT(8)
#define DEF_ENABLED	 BIT(11)
#define DEF_FIXED	 BIT(10)
#define TYPE		 0xffu
#define MASK_VALID	 BIT(11)
#define FIXED_END	 0x100000ull
#define NO_TYPE		 (-1)

static void read_fixed(struct mtrrs *m, u64 (*read)(void *ctx, u32 msr), void *ctx)
{
	static const u16 msr[MTRR_FIXED_LEN / 8] = {
		MSR_MTRR_FIX_64K,    MSR_MTRR_FIX_16K,	  MSR_MTRR_FIX_16K + 1, MSR_MTRR_FIX_4K,
		MSR_MTRR_FIX_4K + 1, MSR_MTRR_FIX_4K + 2, MSR_MTRR_FIX_4K + 3,	MSR_MTRR_FIX_4K + 4,
		MSR_MTRR_FIX_4K + 5, MSR_MTRR_FIX_4K + 6, MSR_MTRR_FIX_4K + 7};

	for (unsigned i = 0; i < ARRAY_SIZE(msr); i++) {
		u64 types = read(ctx, msr[i]);

		memcpy(m->fixed + 8 * i, &types, sizeof(types));
	}
}

static void read_variable(struct mtrrs *m, unsigned n, u64 (*read)(void *ctx, u32 msr), void *ctx,
			  unsigned phys_bits)
{
	u64 all = (1ull << phys_bits) - 1;

	for (unsigned i = 0; i < MIN(n, (unsigned)MTRR_VAR_MAX); i++) {
		u64 base = read(ctx, MSR_MTRR_VAR + 2 * i);
		u64 mask = read(ctx, MSR_MTRR_VAR + 2 * i + 1);
		u64 size;

		if (!(mask & MASK_VALID))
			continue;
		mask &= all & ~(u64)(PAGE_SIZE - 1);
		size = mask &
		       -mask; /* the lowest mask bit; holes above it are not used by firmware */
		m->var[m->nvar].base = base & mask;
		m->var[m->nvar].last = (base & mask) + size - 1;
		m->var[m->nvar++].type = (u8)(base & TYPE);
	}
}

void mtrrs_read(struct mtrrs *m, u64 (*read)(void *ctx, u32 msr), void *ctx, unsigned phys_bits)
{
	u64 cap = read(ctx, MSR_MTRR_CAP), def = read(ctx, MSR_MTRR_DEF);

	memset(m, 0, sizeof(*m));
	m->enabled = def & DEF_ENABLED;
	m->fixed_enabled = (cap & CAP_FIXED) && (def & DEF_FIXED);
	m->def = (u8)(def & TYPE);
	if (!m->enabled)
		return;
	if (m->fixed_enabled)
		read_fixed(m, read, ctx);
	read_variable(m, (unsigned)(cap & CAP_COUNT), read, ctx, phys_bits);
}

static unsigned fixed_index(hpa_t hpa)
{
	if (hpa < 0x80000)
		return (unsigned)(hpa >> 16);
	if (hpa < 0xc0000)
		return 8 + (unsigned)((hpa - 0x80000) >> 14);
	return 24 + (unsigned)((hpa - 0xc0000) >> 12);
}

/* Where ranges overlap UC wins, then WT over WB; anything else is undefined, so UC. */
static int combined(int a, int b)
{
	if (a == NO_TYPE || a == b)
		return b;
	if ((a == MEMTYPE_WT && b == MEMTYPE_WB) || (a == MEMTYPE_WB && b == MEMTYPE_WT))
		return MEMTYPE_WT;
	return MEMTYPE_UC;
}

static enum memtype variable_type(const struct mtrrs *m, hpa_t base, hpa_t last)
{
	int type = NO_TYPE;

	for (unsigned i = 0; i < m->nvar; i++) {
		if (m->var[i].last < base || m->var[i].base > last)
			continue;
		if (m->var[i].base > base || m->var[i].last < last)
			return MEMTYPE_UC; /* only a part of it */
		type = combined(type, m->var[i].type);
	}
	return type == NO_TYPE ? m->def : (enum memtype)type;
}

enum memtype mtrrs_type(const struct mtrrs *m, hpa_t base, u64 len)
{
	hpa_t last = base + len - 1;
	int type = NO_TYPE;

	if (!m->enabled)
		return MEMTYPE_UC;
	if (!m->fixed_enabled || base >= FIXED_END)
		return variable_type(m, base, last);
	for (hpa_t hpa = base; hpa <= last && hpa < FIXED_END; hpa += PAGE_SIZE) {
		if (type != NO_TYPE && type != m->fixed[fixed_index(hpa)])
			return MEMTYPE_UC;
		type = m->fixed[fixed_index(hpa)];
	}
	if (last >= FIXED_END && variable_type(m, FIXED_END, last) != (enum memtype)type)
		return MEMTYPE_UC;
	return (enum memtype)type;
}
