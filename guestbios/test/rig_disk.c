/* QEMU rig: stands in for rom/channel.c and moves data by IDE PIO. Never part of the product.
 *
 * SPDX-License-Identifier: MIT
 */
#include "disk.h"

#define PRIMARY	  0x1f0
#define SECONDARY 0x170
#define DRQ	  0x08
#define BSY	  0x80
#define ERR	  0x01

static bool wait_drq(u16 base)
{
	u8 s;

	while ((s = inb(base + 7)) & BSY)
		;
	return s & DRQ && !(s & ERR);
}

static void data(u16 base, u8 op, u32 gpa, u32 bytes)
{
	for (u32 i = 0; i < bytes; i += 2, gpa += 2) {
		u16 seg = gpa >> 4 > 0xf000 ? 0xf000 : gpa >> 4;
		u32 off = gpa - seg * 16u;

		if (op == BIOS_DISK_READ)
			far_set_u16(seg, off, inw(base));
		else
			outw(base, far_u16(seg, off));
	}
}

static u8 ata(const struct bios_disk_req *r, u8 slave, u32 lba, u32 gpa)
{
	outb(PRIMARY + 6, 0xe0 | slave << 4 | (lba >> 24 & 0x0f));
	outb(PRIMARY + 2, 1);
	outb(PRIMARY + 3, lba);
	outb(PRIMARY + 4, lba >> 8);
	outb(PRIMARY + 5, lba >> 16);
	outb(PRIMARY + 7, r->op == BIOS_DISK_READ ? 0x20 : 0x30);
	if (!wait_drq(PRIMARY))
		return DISK_NOT_FOUND;
	data(PRIMARY, r->op, gpa, 512);
	while (inb(PRIMARY + 7) & BSY)
		;
	return DISK_OK;
}

static bool retried;

static u8 atapi(u32 lba, u32 gpa)
{
	u8 cdb[12] = {0x28, 0, lba >> 24, lba >> 16, lba >> 8, lba, 0, 0, 1};

	outb(SECONDARY + 6, 0xa0);
	outb(SECONDARY + 1, 0);
	outb(SECONDARY + 4, 0);
	outb(SECONDARY + 5, 8);
	outb(SECONDARY + 7, 0xa0);
	if (!wait_drq(SECONDARY))
		return DISK_NOT_READY;
	for (u8 i = 0; i < 12; i += 2)
		outw(SECONDARY, cdb[i] | cdb[i + 1] << 8);
	if (!wait_drq(SECONDARY))
		return DISK_NOT_FOUND;
	data(SECONDARY, BIOS_DISK_READ, gpa, 2048);
	while (inb(SECONDARY + 7) & (BSY | DRQ))
		;
	return DISK_OK;
}

void channel_disk(struct bios_disk_req *r)
{
	u32 size = r->drive == 0 ? 2048 : 512;

	r->status = DISK_OK;
	for (u32 i = 0; i < r->count && r->status == DISK_OK; i++)
		r->status = r->drive == 0 ? atapi(r->lba + i, r->gpa + i * size)
					  : ata(r, r->drive == 2, r->lba + i, r->gpa + i * size);
	if (r->drive == 0 && r->status && !retried) { /* unit attention after a reset */
		retried = true;
		channel_disk(r);
	}
}

void channel_event(u8 event)
{
	(void)event;
}
