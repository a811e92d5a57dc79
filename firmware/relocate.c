/* The image runs at its link address in the high half wherever it lies, so moving it is: copy, make
 * page tables that map the copy, load them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/relocate.h"
#include "firmware/boot.h"
#include "lib/errno.h"
#include "lib/str.h"

#define PLACE_ALIGN (2 * MIB)
#define ENTRIES	    512
#define PTE_TABLE   0x3u
#define PTE_LARGE   0x83u
#define PML4_HIGH   511
#define PDPT_IMAGE  510
#define PD_IMAGE    1 /* IMAGE_VMA is 2 MiB into the directory */

/* The lowest start of whatever overlaps [base, base + len), or 0: nothing does. */
static hpa_t conflict(const struct boot_info *bi, hpa_t base, u64 len, hpa_t avoid, u64 avoid_len)
{
	hpa_t lowest = 0;

	if (avoid_len && avoid < base + len && base < avoid + avoid_len)
		lowest = avoid;
	for (unsigned i = 0; i < bi->nmodules; i++) {
		const struct boot_module *m = &bi->module[i];

		if (m->len && m->base < base + len && base < m->base + m->len &&
		    (!lowest || m->base < lowest))
			lowest = m->base;
	}
	return lowest;
}

static hpa_t place_in(const struct boot_info *bi, const struct boot_region *r, u64 len, hpa_t avoid,
		      u64 avoid_len)
{
	hpa_t end = MIN(r->base + r->len, 4 * GIB), base;

	/* Each round ends below the lowest thing in the way, so this ends. */
	while (end >= len && (base = ALIGN_DOWN(end - len, PLACE_ALIGN)) >= MAX(r->base, MIB)) {
		hpa_t hit = conflict(bi, base, len, avoid, avoid_len);

		if (!hit)
			return base;
		end = hit;
	}
	return 0;
}

hpa_t image_find_place(const struct boot_info *bi, u64 len, hpa_t avoid, u64 avoid_len)
{
	for (unsigned i = bi->nregions; i-- > 0;) {
		const struct boot_region *r = &bi->region[i];
		hpa_t base;

		if (r->type != MEM_RAM || r->base >= 4 * GIB)
			continue;
		base = place_in(bi, r, len, avoid, avoid_len);
		if (base)
			return base;
	}
	return 0;
}

/* The same tables as entry.S makes, at @t, for an image at @base. One-to-one pointers. */
static void make_tables(hpa_t t, hpa_t base)
{
	u64(*table)[ENTRIES] = (void *)t;

	memset(table, 0, 4 * PAGE_SIZE);
	table[0][0] = (t + 1 * PAGE_SIZE) | PTE_TABLE;
	table[0][PML4_HIGH] = (t + 2 * PAGE_SIZE) | PTE_TABLE;
	table[2][PDPT_IMAGE] = (t + 3 * PAGE_SIZE) | PTE_TABLE;
	for (u64 off = 0; off < image_size(); off += 2 * MIB)
		table[3][PD_IMAGE + off / (2 * MIB)] = (base + off) | PTE_LARGE;
	for (u64 i = 0; i < 4; i++)
		table[1][i] = (t + (4 + i) * PAGE_SIZE) | PTE_TABLE;
	for (u64 i = 0; i < 4 * ENTRIES; i++)
		table[4 + i / ENTRIES][i % ENTRIES] = i * 2 * MIB | PTE_LARGE;
}

int image_move_high(struct boot_info *bi)
{
	hpa_t from = bi->image_base, to = image_find_place(bi, bi->image_len, from, bi->image_len);
	u64 copied = (u64)boot_tables - IMAGE_VMA;

	if (!to || to < from)
		return -ENOMEM;
	make_tables(to + copied, to);
	bi->image_base = to;
	boot_copy_and_switch((void *)to, (const void *)from, copied, to + copied);
	return 0;
}
