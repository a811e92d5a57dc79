/* Memory types from MTRRs. These tests would catch: a device mapped cacheable, RAM mapped uncached,
 * a leaf that spans two types and takes the weaker, fixed ranges looked up in the wrong place.
 *
 * SRCS: hv/engine/vmx/memtype.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "engine/vmx/memtype.h"

#define PHYS_BITS 36
#define GIB1	  (1024 * MIB)

struct cpu {
	u64 def, cap;
	u64 var[16];
	u64 fixed[11];
};

static u64 read(void *ctx, u32 msr)
{
	static const u16 fixed_msr[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
					0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
	const struct cpu *c = ctx;

	if (msr == 0xfe)
		return c->cap;
	if (msr == 0x2ff)
		return c->def;
	if (msr >= 0x200 && msr < 0x210)
		return c->var[msr - 0x200];
	for (unsigned i = 0; i < ARRAY_SIZE(fixed_msr); i++)
		if (msr == fixed_msr[i])
			return c->fixed[i];
	CHECK(!"an MSR that is no MTRR");
	return 0;
}

static void range(struct cpu *c, unsigned i, hpa_t base, u64 size, u8 type)
{
	c->var[2 * i] = base | type;
	c->var[2 * i + 1] = (((1ull << PHYS_BITS) - 1) & ~(size - 1)) | 1u << 11;
}

/* A PC of 4 GiB: write-back but for 3 to 4 GiB; the screen and the ROMs below 1 MiB. */
static void machine(struct cpu *c, struct mtrrs *m)
{
	*c = (struct cpu){.def = 0xc06, .cap = 0x508};
	range(c, 0, 3 * GIB1, GIB1, MEMTYPE_UC);
	range(c, 1, 0x90000000, 0x10000000, MEMTYPE_WC);
	c->fixed[0] = c->fixed[1] = 0x0606060606060606; /* to 9FFFF */
	c->fixed[2] = 0;				/* the screen */
	for (unsigned i = 3; i < 11; i++)
		c->fixed[i] = 0x0505050505050505;
	c->fixed[10] = 0x0605050505050505; /* FF000 alone */
	mtrrs_read(m, read, c, PHYS_BITS);
}

TEST(variable_ranges)
{
	struct cpu c;
	struct mtrrs m;

	machine(&c, &m);
	CHECK_EQ(m.nvar, 2);
	CHECK_EQ(mtrrs_type(&m, 0x200000, 2 * MIB), MEMTYPE_WB);
	CHECK_EQ(mtrrs_type(&m, 0xfee00000, PAGE_SIZE), MEMTYPE_UC);
	CHECK_EQ(mtrrs_type(&m, 3 * GIB1, GIB1), MEMTYPE_UC);
	CHECK_EQ(mtrrs_type(&m, 0x90000000, 2 * MIB), MEMTYPE_WC);
	CHECK_EQ(mtrrs_type(&m, 4 * GIB1, GIB1), MEMTYPE_WB);
	/* A gigabyte with 256 MiB of another type in it. */
	CHECK_EQ(mtrrs_type(&m, 2 * GIB1, GIB1), MEMTYPE_UC);
}

TEST(fixed_ranges)
{
	struct cpu c;
	struct mtrrs m;

	machine(&c, &m);
	CHECK_EQ(mtrrs_type(&m, 0, PAGE_SIZE), MEMTYPE_WB);
	CHECK_EQ(mtrrs_type(&m, 0x9f000, PAGE_SIZE), MEMTYPE_WB);
	CHECK_EQ(mtrrs_type(&m, 0xa0000, PAGE_SIZE), MEMTYPE_UC);
	CHECK_EQ(mtrrs_type(&m, 0xbf000, PAGE_SIZE), MEMTYPE_UC);
	CHECK_EQ(mtrrs_type(&m, 0xc0000, PAGE_SIZE), MEMTYPE_WP);
	CHECK_EQ(mtrrs_type(&m, 0xfe000, PAGE_SIZE), MEMTYPE_WP);
	CHECK_EQ(mtrrs_type(&m, 0xff000, PAGE_SIZE), MEMTYPE_WB);
	CHECK_EQ(mtrrs_type(&m, 0, 2 * MIB), MEMTYPE_UC);
	/* Switched off they say nothing. */
	c.def = 0x806;
	mtrrs_read(&m, read, &c, PHYS_BITS);
	CHECK_EQ(mtrrs_type(&m, 0xa0000, PAGE_SIZE), MEMTYPE_WB);
	CHECK_EQ(mtrrs_type(&m, 0, 2 * MIB), MEMTYPE_WB);
}

TEST(overlaps)
{
	struct cpu c;
	struct mtrrs m;

	machine(&c, &m);
	range(&c, 2, 0x40000000, 0x10000000, MEMTYPE_WB);
	range(&c, 3, 0x40000000, 0x8000000, MEMTYPE_WT);
	range(&c, 4, 0x40000000, 0x200000, MEMTYPE_UC);
	range(&c, 5, 0x44000000, 0x200000, MEMTYPE_WC);
	mtrrs_read(&m, read, &c, PHYS_BITS);
	CHECK_EQ(mtrrs_type(&m, 0x40000000, 2 * MIB), MEMTYPE_UC); /* UC wins */
	CHECK_EQ(mtrrs_type(&m, 0x40200000, 2 * MIB), MEMTYPE_WT); /* WT over WB */
	CHECK_EQ(mtrrs_type(&m, 0x44000000, 2 * MIB), MEMTYPE_UC); /* undefined */
	CHECK_EQ(mtrrs_type(&m, 0x48000000, 2 * MIB), MEMTYPE_WB);
}

TEST(switched_off)
{
	struct cpu c;
	struct mtrrs m;

	machine(&c, &m);
	c.def = 6;
	mtrrs_read(&m, read, &c, PHYS_BITS);
	CHECK_EQ(mtrrs_type(&m, 0x200000, 2 * MIB), MEMTYPE_UC);
	/* More ranges than there is room for are not written past the end. */
	c.def = 0x806;
	c.cap = 0;
	mtrrs_read(&m, read, &c, PHYS_BITS);
	CHECK_EQ(m.nvar, 0);
	CHECK_EQ(mtrrs_type(&m, 3 * GIB1, PAGE_SIZE), MEMTYPE_WB);
}
