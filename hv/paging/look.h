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

#define LOOK_P	  BIT(0)
#define LOOK_PS	  BIT(7)
#define LOOK_ADDR 0x000ffffffffff000ull

/* Pointer to guest RAM at @gpa or NULL; inlined into the walk. */
typedef const void *look_ram_fn(const void *ctx, gpa_t gpa);

static inline __attribute__((always_inline)) bool look_entry(look_ram_fn *ram, const void *ctx,
							     gva_t gva, unsigned shift, u64 *e)
{
	const u8 *table = ram(ctx, *e & LOOK_ADDR);

	if (!table)
		return false;
	/* One read: the guest's other CPUs or devices may be writing. */
	*e = __atomic_load_n((const u64 *)(table + ((gva >> (shift - 3)) & 0xff8)),
			     __ATOMIC_RELAXED);
	return *e & LOOK_P;
}

/* Translate @gva by the four-level tables at @cr3. False: not present, or not in RAM. */
static inline __attribute__((always_inline)) bool look_long(u64 cr3, gva_t gva, look_ram_fn *ram,
							    const void *ctx, gpa_t *gpa)
{
	u64 e = cr3;

	if (!look_entry(ram, ctx, gva, 39, &e) || !look_entry(ram, ctx, gva, 30, &e))
		return false;
	if (e & LOOK_PS) {
		*gpa = (e & LOOK_ADDR & ~(GIB - 1)) | (gva & (GIB - 1));
		return true;
	}
	if (!look_entry(ram, ctx, gva, 21, &e))
		return false;
	if (e & LOOK_PS) {
		*gpa = (e & LOOK_ADDR & ~(2 * MIB - 1)) | (gva & (2 * MIB - 1));
		return true;
	}
	if (!look_entry(ram, ctx, gva, 12, &e))
		return false;
	*gpa = (e & LOOK_ADDR) | (gva & (PAGE_SIZE - 1));
	return true;
}

#endif
