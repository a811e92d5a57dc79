/* The hypervisor's own look at a long-mode address: translation only, no rights, nothing written.
 *
 * For finding the bytes of an instruction that the CPU has just executed there: it had the rights.
 * The tables are read afresh at every call. Anything but the plain case is left to walk_gva().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_LOOK_H
#define HV_PAGING_LOOK_H

#include "penumbra/types.h"

#define LOOK_P	BIT(0)
#define LOOK_PS BIT(7)
/* Flags only: an entry with a bit above the address (NX, available bits) names no memory and is
 * left to the general walk. */
#define LOOK_ADDR (~0xfffull)

/* Pointer to guest RAM at @gpa or NULL; inlined into the walk. */
typedef const void *look_ram_fn(const void *ctx, gpa_t gpa);

/* Replace *@e by the entry for @gva in the table it points at. False: that is not memory. */
static inline __attribute__((always_inline)) bool look_entry(look_ram_fn *ram, const void *ctx,
							     gva_t gva, unsigned shift, u64 *e)
{
	const u8 *table = ram(ctx, *e & LOOK_ADDR);

	if (__builtin_expect(!table, 0))
		return false;
	/* One read: the guest's other CPUs or devices may be writing. */
	*e = __atomic_load_n((const u64 *)(table + ((gva >> (shift - 3)) & 0xff8)),
			     __ATOMIC_RELAXED);
	return true;
}

/* Translate @gva by the four-level tables at @cr3. False: not present, or not in RAM. Entries that
 * are not present are followed like others and found out at the end: their addresses are checked
 * too. */
static inline __attribute__((always_inline)) bool look_long(u64 cr3, gva_t gva, look_ram_fn *ram,
							    const void *ctx, gpa_t *gpa)
{
	u64 e = cr3, present, mask = PAGE_SIZE - 1;

	if (!look_entry(ram, ctx, gva, 39, &e))
		return false;
	present = e;
	if (!look_entry(ram, ctx, gva, 30, &e))
		return false;
	present &= e;
	if (__builtin_expect(e & LOOK_PS, 0)) {
		mask = GIB - 1;
		goto leaf;
	}
	if (!look_entry(ram, ctx, gva, 21, &e))
		return false;
	present &= e;
	if (e & LOOK_PS) {
		mask = 2 * MIB - 1;
		goto leaf;
	}
	if (!look_entry(ram, ctx, gva, 12, &e))
		return false;
	present &= e;
leaf:
	*gpa = (e & LOOK_ADDR & ~mask) | (gva & mask);
	return present & LOOK_P;
}

#endif
