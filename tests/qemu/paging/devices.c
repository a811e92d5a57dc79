/* The same rights for instructions whose other operand is a port or a device in memory: a
 * hypervisor does those accesses itself, by a walk of its own, and must fault and set A and D as a
 * CPU does.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sizes.h"

#define SCRATCH	  0x3ff /* COM1's scratch register: a byte that stays */
#define LAPIC	  0xfee00000u
#define LAPIC_VER 0x30u
#define LAPIC_TPR 0x80u

static u64 lapic; /* its va */

static u32 scratch_prepare(u32 token)
{
	outb(SCRATCH, (u8)token);
	return token;
}

static u32 scratch_read(void)
{
	return inb(SCRATCH);
}

static volatile u32 *lapic_register(u32 offset)
{
	return (volatile u32 *)(ulong)(lapic + offset);
}

static u32 version_prepare(u32 token)
{
	(void)token;
	return *lapic_register(LAPIC_VER);
}

static u32 tpr_read(void)
{
	u32 value = *lapic_register(LAPIC_TPR);

	*lapic_register(LAPIC_TPR) = 0;
	return value;
}

static const struct way outs = {.name = "OUTS",
				.kind = READ,
				.kernel = kernel_outs,
				.user = user_outs,
				.read = scratch_read,
				.mask = 0xff};
static const struct way ins = {.name = "INS",
			       .kind = WRITE,
			       .kernel = kernel_ins,
			       .user = user_ins,
			       .prepare = scratch_prepare,
			       .mask = 0xff};
static const struct way to_device = {.name = "MOVS to a device",
				     .kind = READ,
				     .kernel = kernel_to_device,
				     .read = tpr_read,
				     .mask = 0xff};
static const struct way from_device = {.name = "MOVS from a device",
				       .kind = WRITE,
				       .kernel = kernel_from_device,
				       .prepare = version_prepare,
				       .mask = ~0u};
static const struct way *const ways[] = {&outs, &ins, &to_device, &from_device};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void each_way(const struct spot *s, bool ac, const char *state)
{
	for (unsigned i = 0; i < WAYS; i++) {
		run_device = (ulong)lapic + (ways[i] == &to_device ? LAPIC_TPR : LAPIC_VER);
		point_rights(ways[i], s, false, ac, state);
		if (ways[i]->user)
			point_rights(ways[i], s, true, ac, state);
	}
}

static void test_size(unsigned leaf)
{
	struct spot s = size_spot(leaf);

	each_way(&s, false, "wp=1");
	set_wp(false);
	each_way(&s, false, "wp=0");
	set_wp(true);
	if (!cpu.has_smap)
		return;
	set_smap(true);
	each_way(&s, false, "smap=1 ac=0");
	each_way(&s, true, "smap=1 ac=1");
	set_smap(false);
}

/* What is not there or has a reserved bit, at each level. */
static void test_refused(unsigned leaf)
{
	struct spot s = size_spot(leaf);

	run_device = (ulong)lapic + LAPIC_VER;
	begin(size_name(leaf), "entries that refuse OUTS and INS", (char *)0);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned level = mode->levels; level >= leaf; level--) {
			if (is_pdpte(level))
				continue;
			put(&s, level, s.base[level] & ~PTE_P);
			access_by(i & 1 ? &ins : &outs, &s, i >> 1, false);
			if (mode->levels > 2)
				put(&s, level, s.base[level] | 1ull << 51);
			access_by(i & 1 ? &ins : &outs, &s, i >> 1, false);
			spot_reset(&s);
		}
	end();
}

/* Four bytes from a device to two pages. */
static void test_cross(void)
{
	struct spot low = spot_new(5), high = spot_new(6);
	u32 *words = at_phys(FRAME(6)), version = *lapic_register(LAPIC_VER);

	begin("MOVS from a device across a page's end", (char *)0);
	run_device = (ulong)lapic + LAPIC_VER;
	words[-1] = 0x22221111;
	words[0] = 0x44443333;
	put(&high, 1, high.base[1] & ~PTE_W);
	invlpg(high.va);
	attempt_by(&from_device, high.va - 2, false, false, 0);
	check("high read-only", seen.fault, FAULT(VEC_PF, PF_P | PF_W));
	check("CR2", seen.cr2, high.va);
	put(&high, 1, 0);
	invlpg(high.va);
	attempt_by(&from_device, high.va - 2, false, false, 0);
	check("high absent", seen.fault, FAULT(VEC_PF, PF_W));
	check("CR2", seen.cr2, high.va);
	put(&low, 1, 0);
	spot_reset(&high);
	invlpg(low.va);
	attempt_by(&from_device, high.va - 2, false, false, 0);
	check("low absent", seen.fault, FAULT(VEC_PF, PF_W));
	check("CR2", seen.cr2, high.va - 2);
	check("nothing of the low half is written", words[-1], 0x22221111);
	check("nothing of the high half is written", words[0], 0x44443333);
	spot_reset(&low);
	attempt_by(&from_device, high.va - 2, false, false, 0);
	check("both", seen.fault, NO_FAULT);
	check("low half", words[-1], version << 16 | 0x1111);
	check("high half", words[0], 0x44440000 | version >> 16);
	check("D of both", get(&low, 1) & get(&high, 1) & PTE_D, PTE_D);
	spot_reset(&low);
	spot_reset(&high);
	mark(FRAME(6));
	end();
}

void test_devices(void)
{
	unsigned without_p = rsvd_without_p, with_a = rsvd_with_a;

	/* Not below entries whose rights are played with. */
	lapic = mode->user_va + (4ull << mode->shift[2]);
	map(lapic, LAPIC, PTE_P | PTE_W, 1);
	for (unsigned leaf = 1; leaf <= sizes_max(); leaf++) {
		test_size(leaf);
		test_refused(leaf);
	}
	test_cross();
	expect("ports: P beside RSVD", rsvd_without_p - without_p, 0);
	expect("ports: no A in an entry with reserved bits", rsvd_with_a - with_a, 0);
}
