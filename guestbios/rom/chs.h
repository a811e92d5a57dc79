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

/* Diskette formats by size; drive type as INT 13h/08h returns it in BL. Returns 0 if no format has
 * this many sectors. */
static inline u8 chs_of_floppy(u64 sectors, struct chs_geometry *g)
{
	u32 n = sectors > 0xffffff ? 0xffffff : (u32)sectors;

	g->heads = 2;
	g->cyls = 80;
	switch (n) {
	case 320:
	case 360:
		g->cyls = 40;
		g->heads = 1;
		g->spt = n / 40;
		return 1;
	case 640:
	case 720:
		g->cyls = 40;
		g->spt = n / 80;
		return 1;
	case 1440:
		g->spt = 9;
		return 3;
	case 2400:
		g->spt = 15;
		return 2;
	case 2880:
		g->spt = 18;
		return 4;
	case 5760:
		g->spt = 36;
		return 6;
	}
	return 0;
}

#endif
