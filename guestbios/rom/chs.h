/* Disk geometry and cylinder/head/sector addresses. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_CHS_H
#define GUESTBIOS_CHS_H

#include "penumbra/types.h"

struct chs_geometry {
	u16 cyls; /* 1..1024 */
	u8 heads, spt;
};

/* An INT 13h address as it stands in registers: CH = cylinder 7:0, CL = sector | cylinder 9:8 in
 * the top bits, DH = head. Returns the LBA, or -1 if it lies outside the geometry. */
static inline s32 chs_to_lba(const struct chs_geometry *g, u8 ch, u8 cl, u8 dh)
{
	u16 cyl = ch | (cl & 0xc0) << 2;
	u8 sector = cl & 0x3f;

	if (sector == 0 || sector > g->spt || dh >= g->heads || cyl >= g->cyls)
		return -1;
	return ((s32)cyl * g->heads + dh) * g->spt + sector - 1;
}

/* "LBA-assisted" translation: 63 sectors, the smallest of 16..128, 255 heads that keeps cylinders
 * within 1024 (Phoenix Enhanced Disk Drive specification, annex on translation). */
static inline struct chs_geometry chs_of_disk(u64 sectors)
{
	u32 n = sectors > 0x7fffffff ? 0x7fffffff : (u32)sectors;
	u32 heads = 16;
	struct chs_geometry g;
	u32 cyls;

	while (heads < 128 && n / (63 * heads) > 1024)
		heads *= 2;
	if (n / (63 * heads) > 1024)
		heads = 255;
	cyls = n / (63 * heads);
	g.cyls = cyls > 1024 ? 1024 : cyls ? cyls : 1;
	g.heads = heads;
	g.spt = 63;
	return g;
}

/* What a partition table (64 bytes) says about the geometry it was made with: a used entry's end is
 * at the last head and sector of a cylinder, and its start agrees. False if no entry tells. */
static inline bool chs_of_partitions(const u8 table[64], u64 sectors, struct chs_geometry *g)
{
	for (u32 i = 0; i < 4; i++) {
		const u8 *e = table + i * 16;
		u32 start = e[8] | e[9] << 8 | e[10] << 16 | (u32)e[11] << 24;
		u32 heads = e[5] + 1, spt = e[6] & 0x3f, cyls;
		struct chs_geometry t = {1024, heads, spt};

		if (!e[4] || !spt || heads < 2 || heads > 255 || !start)
			continue;
		if (chs_to_lba(&t, e[3], e[2], e[1]) != (s32)start)
			continue;
		cyls = (sectors > 0x7fffffff ? 0x7fffffff : (u32)sectors) / (heads * spt);
		g->cyls = cyls > 1024 ? 1024 : cyls ? cyls : 1;
		g->heads = heads;
		g->spt = spt;
		return true;
	}
	return false;
}

/* Diskette formats, smallest first; `type` as INT 13h/08h returns it in BL. */
struct floppy_format {
	u16 sectors;
	u8 cyls, heads, spt, type;
};

#define FLOPPY_FORMATS                                                                             \
	{320, 40, 1, 8, 1}, {360, 40, 1, 9, 1}, {640, 40, 2, 8, 1}, {720, 40, 2, 9, 1},            \
		{1440, 80, 2, 9, 3}, {2400, 80, 2, 15, 2}, {2880, 80, 2, 18, 4},                   \
	{                                                                                          \
		5760, 80, 2, 36, 6                                                                 \
	}

/* The smallest format that holds `sectors` (images are often cut short after their last used
 * sector); NULL if none does. */
static inline const struct floppy_format *chs_of_floppy(const struct floppy_format *formats, u32 n,
							u64 sectors)
{
	for (u32 i = 0; i < n; i++)
		if (sectors && sectors <= formats[i].sectors)
			return &formats[i];
	return NULL;
}

#endif
