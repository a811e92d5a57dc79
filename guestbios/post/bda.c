/* The interrupt vectors, the BIOS data area and the drive table.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chs.h"
#include "post.h"

/* Labels of the 16-bit half: their addresses are offsets in F000h. */
extern const u8 entry_iret[], entry_exc00[], entry_exc06[], entry_irq_master[], entry_irq_slave[];
extern const u8 entry_05[], entry_70[], entry_74[], entry_76[], entry_40[], font8x8_high[];
extern const u8 font8x16[], video_save_table[];
extern const u8 vector_offsets[];

#define ROM_OFFSET(label) ((u32)(label))

static void set_vector(u32 n, u32 offset, u16 seg)
{
	u32 *ivt = phys(0);

	ivt[n] = offset | (u32)seg << 16;
}

void ivt_init(void)
{
	const u16 *offsets = phys(0xf0000 + ROM_OFFSET(vector_offsets));

	for (u32 i = 0; i < 0x60; i++)
		set_vector(i, ROM_OFFSET(entry_iret), ROM_SEG);
	for (u32 i = 0x60; i < 0x100; i++)
		set_vector(i, 0, 0);
	for (u32 i = 0x08; i < 0x1f; i++)
		set_vector(i, offsets[i - 8], ROM_SEG);
	for (u32 i = 0x70; i < 0x78; i++)
		set_vector(i, ROM_OFFSET(entry_irq_slave), ROM_SEG);
	set_vector(0x00, ROM_OFFSET(entry_exc00), ROM_SEG);
	set_vector(0x05, ROM_OFFSET(entry_05), ROM_SEG);
	set_vector(0x06, ROM_OFFSET(entry_exc06), ROM_SEG);
	set_vector(0x1f, ROM_OFFSET(font8x8_high), ROM_SEG);
	set_vector(0x40, ROM_OFFSET(entry_40), ROM_SEG);
	set_vector(0x41, EBDA_FDPT0, EBDA_SEG);
	set_vector(0x43, ROM_OFFSET(font8x16), ROM_SEG);
	set_vector(0x46, EBDA_FDPT1, EBDA_SEG);
	set_vector(0x70, ROM_OFFSET(entry_70), ROM_SEG);
	set_vector(0x74, ROM_OFFSET(entry_74), ROM_SEG);
	set_vector(0x76, ROM_OFFSET(entry_76), ROM_SEG);
	set_vector(0x77, ROM_OFFSET(entry_76), ROM_SEG);
}

/* --- drives -------------------------------------------------------------------------------- */
/* The parameter table of a hard disk, where INT 41h and 46h point. */
static void fdpt_init(u32 offset, const struct bios_unit *u)
{
	u8 *t = EBDA(offset);

	t[0] = u->cyls;
	t[1] = u->cyls >> 8;
	t[2] = u->heads;
	t[5] = t[6] = 0xff; /* no write precompensation */
	t[8] = u->heads > 8 ? 0x08 : 0;
	t[12] = u->cyls;
	t[13] = u->cyls >> 8;
	t[14] = u->spt;
}

static bool unit_geometry(struct bios_unit *u)
{
	static const struct floppy_format formats[] = {FLOPPY_FORMATS};
	const struct floppy_format *f;
	struct chs_geometry g;

	switch (u->kind) {
	case BOOT_DISK:
		g = chs_of_disk(u->sectors);
		u->cyls = g.cyls;
		u->heads = g.heads;
		u->spt = g.spt;
		return true;
	case BOOT_FLOPPY:
		f = chs_of_floppy(formats, ARRAY_SIZE(formats), u->sectors);
		if (!f)
			return false;
		u->cyls = f->cyls;
		u->heads = f->heads;
		u->spt = f->spt;
		u->cmos = f->type;
	}
	return true;
}

void units_init(const struct bios_config *cfg, struct bios_shared *shared)
{
	u32 disks = 0;

	for (u32 i = 0; i < BIOS_MAX_DRIVES; i++) {
		const struct bios_drive *d = &cfg->drive[i];
		struct bios_unit *u = &shared->unit[shared->ndrives];

		if (d->type == BOOT_NONE || d->type > BOOT_FLOPPY || !d->sectors)
			continue;
		u->kind = d->type;
		u->chan = i;
		u->sectors = d->sectors;
		u->sector_size = d->type == BOOT_CDROM ? 2048 : 512;
		if (d->sector_size != u->sector_size || !unit_geometry(u)) {
			channel_log("a drive's size fits no format: left out\n");
			continue;
		}
		if (u->kind == BOOT_DISK && disks < 2)
			fdpt_init(disks ? EBDA_FDPT1 : EBDA_FDPT0, u);
		disks += u->kind == BOOT_DISK;
		shared->ndrives++;
	}
}

/* --- BDA ----------------------------------------------------------------------------------- */
#define EQUIP_FPU    0x0002
#define EQUIP_VIDEO  0x0020 /* 80x25 colour */
#define EQUIP_SERIAL 0x0200 /* one port */

static void put16(u8 *bda, u32 at, u16 v)
{
	bda[at] = v;
	bda[at + 1] = v >> 8;
}

static void put32(u8 *bda, u32 at, u32 v)
{
	put16(bda, at, v);
	put16(bda, at + 2, v >> 16);
}

void bda_init(const struct bios_config *cfg, const struct bios_shared *shared)
{
	u8 *bda = phys(0x400);
	u32 disks = 0, floppies = 0;
	u16 equip = EQUIP_FPU | EQUIP_VIDEO | EQUIP_SERIAL;

	(void)cfg;
	for (u32 i = 0; i < shared->ndrives; i++) {
		disks += shared->unit[i].kind == BOOT_DISK;
		floppies += shared->unit[i].kind == BOOT_FLOPPY;
	}
	if (floppies)
		equip |= 1 | (floppies - 1) << 6;
	for (u32 i = 0; i < 0x100; i++)
		bda[i] = 0;
	put16(bda, 0x00, 0x3f8);
	put16(bda, 0x0e, EBDA_SEG);
	put16(bda, 0x10, equip);
	put16(bda, 0x13, EBDA_BASE_KB);
	put16(bda, 0x1a, 0x1e); /* keyboard buffer: empty, 16 keys */
	put16(bda, 0x1c, 0x1e);
	put16(bda, 0x80, 0x1e);
	put16(bda, 0x82, 0x3e);
	bda[0x96] = 0x10;
	bda[0x49] = 3;
	put16(bda, 0x4a, 80);
	put16(bda, 0x4c, 0x1000);
	put16(bda, 0x60, 0x0607);
	put16(bda, 0x63, 0x3d4);
	bda[0x65] = 0x29;
	bda[0x66] = 0x30;
	bda[0x84] = 24;
	put16(bda, 0x85, 16);
	bda[0x87] = 0x60;
	bda[0x88] = 0xf9;
	bda[0x89] = 0x51;
	bda[0x8a] = 0x08;
	put16(bda, 0xa8, ROM_OFFSET(video_save_table));
	put16(bda, 0xaa, ROM_SEG);
	bda[0x75] = disks;
	bda[0x7c] = 1;
	put32(bda, 0x6c, clock_ticks());
}
