/* QEMU rig: stands in for post/channel.c, because QEMU has no such channel at 510h (it has its own
 * fw_cfg there). Builds struct bios_config from fw_cfg, CMOS and IDENTIFY. Never part of the
 * product.
 *
 *   primary master: hard disk      primary slave: diskette image      secondary master: CD
 *
 * SPDX-License-Identifier: MIT
 */
#include "post.h"

#define FW_CFG_RAM_SIZE 3
#define ATA_PRIMARY	0x1f0
#define ATA_SECONDARY	0x170
#define CMOS_BOOT_ORDER 0x3d
#define QEMU_LOW_MAX	0xc0000000u

static u64 ram_size(void)
{
	u64 v;

	outw(BIOSCHAN_PORT_SELECT, FW_CFG_RAM_SIZE);
	insb(BIOSCHAN_PORT_DATA, &v, sizeof(v));
	return v;
}

/* Sectors of an ATA disk, 0 if there is none. */
static u32 identify(u16 base, u8 slave)
{
	u16 id[256];
	u8 status;

	outb(base + 6, 0xa0 | slave << 4);
	outb(base + 7, 0xec);
	if (inb(base + 7) == 0)
		return 0;
	while ((status = inb(base + 7)) & 0x80)
		;
	if (status & 1 || !(status & 8))
		return 0;
	for (u32 i = 0; i < 256; i++)
		id[i] = inw(base);
	return id[60] | (u32)id[61] << 16;
}

static void add_drive(struct bios_config *cfg, u32 i, u8 type, u32 sector_size, u32 sectors)
{
	cfg->drive[i].type = sectors ? type : BOOT_NONE;
	cfg->drive[i].sector_size = sector_size;
	cfg->drive[i].sectors = sectors;
}

static void boot_order(struct bios_config *cfg)
{
	static const u8 kind[4] = {BOOT_NONE, BOOT_FLOPPY, BOOT_DISK, BOOT_CDROM};
	u8 order = cmos_read(CMOS_BOOT_ORDER);

	cfg->boot[0] = kind[order & 3];
	cfg->boot[1] = kind[order >> 4 & 3];
}

bool channel_config(struct bios_config *cfg)
{
	u64 ram = ram_size();

	cfg->size = sizeof(*cfg);
	cfg->ncpus = 1;
	cfg->low_ram = ram < QEMU_LOW_MAX ? ram : QEMU_LOW_MAX;
	cfg->high_ram = ram - cfg->low_ram;
	cfg->tsc_khz = 1000000;
	cfg->name[0] = 'r';
	cfg->name[1] = 'i';
	cfg->name[2] = 'g';
	add_drive(cfg, 0, BOOT_CDROM, 2048, 0x200000);
	add_drive(cfg, 1, BOOT_DISK, 512, identify(ATA_PRIMARY, 0));
	add_drive(cfg, 2, BOOT_FLOPPY, 512, identify(ATA_PRIMARY, 1));
	boot_order(cfg);
	return true;
}
