/* INT 19h and 18h: the boot order, one message per device that fails, and the end when none boots.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chs.h"
#include "disk.h"

#define BOOT_ADDR 0x7c00u
#define SCRATCH	  0x7c00u /* sectors are looked at where a boot sector would go */

static u8 boot_index;
static u8 no_boot;

void boot_first(void);
void boot_next(void);
void boot_jump(u32 seg_off, u8 drive);

ROM char eltorito_name[ELTORITO_NAME_LEN] = ELTORITO_NAME;

/* --- CD ------------------------------------------------------------------------------------ */
static enum eltorito_error read_catalogue(const struct bios_unit *cd, struct eltorito_entry *e)
{
	u8 head[0x4b], name[ELTORITO_NAME_LEN];
	u32 cat;

	for (u8 i = 0; i < sizeof(name); i++)
		name[i] = rom_u8(eltorito_name + i);
	if (disk_transfer(cd, BIOS_DISK_READ, ELTORITO_BOOT_RECORD_LBA, 1, SCRATCH))
		return ELTORITO_NO_RECORD;
	far_read(head, 0, SCRATCH, sizeof(head));
	cat = eltorito_catalogue(head, (char *)name);
	if (!cat || disk_transfer(cd, BIOS_DISK_READ, cat, 1, SCRATCH))
		return ELTORITO_NO_RECORD;
	far_read(head, 0, SCRATCH, 64);
	return eltorito_default(head, e);
}

static void say_why(enum eltorito_error err)
{
	switch (err) {
	case ELTORITO_NO_RECORD:
		TTY("no El Torito boot record\n");
		break;
	case ELTORITO_BAD_CHECK:
		TTY("boot catalogue is damaged\n");
		break;
	case ELTORITO_NO_X86:
		TTY("boot catalogue is for another platform\n");
		break;
	case ELTORITO_NOT_BOOTABLE:
		TTY("default entry is not bootable\n");
		break;
	default:
		TTY("emulation type unknown\n");
	}
}

/* A hard-disk image's geometry is that of its one partition entry's end. */
static bool emulate_disk(void)
{
	u8 end[3];

	if (disk_transfer(&shared.unit[disk_emul.cd], BIOS_DISK_READ, disk_emul.entry.lba, 1,
			  SCRATCH))
		return false;
	far_read(end, 0, SCRATCH + 0x1be + 5, 3);
	disk_emul.heads = end[0] + 1;
	disk_emul.spt = end[1] & 0x3f;
	disk_emul.cyls = (end[2] | (end[1] & 0xc0) << 2) + 1;
	if (!disk_emul.spt || end[0] == 0xff)
		return false;
	disk_emul.sectors = (u32)disk_emul.cyls * disk_emul.heads * disk_emul.spt;
	disk_emul.drive = 0x80;
	bda.hd_count++;
	return true;
}

static bool emulate_floppy(u8 media)
{
	disk_emul.cyls = 80;
	disk_emul.heads = 2;
	disk_emul.spt = media == ELTORITO_FLOPPY_1200	? 15
			: media == ELTORITO_FLOPPY_1440 ? 18
							: 36;
	disk_emul.sectors = 160u * disk_emul.spt;
	disk_emul.drive = 0;
	bda.equip |= 1;
	return true;
}

/* Load the boot image: `count` 512-byte sectors, whole CD sectors at a time. */
static bool load_image(const struct bios_unit *cd, const struct eltorito_entry *e)
{
	u32 n = (e->count + 3u) / 4;

	return !disk_transfer(cd, BIOS_DISK_READ, e->lba, n ? n : 1, linear(e->load_seg, 0));
}

static void boot_cd(u8 index)
{
	struct bios_unit *cd = &shared.unit[index];
	struct eltorito_entry *e = &disk_emul.entry;
	enum eltorito_error err = read_catalogue(cd, e);
	bool ok = true;

	if (err) {
		say_why(err);
		return;
	}
	disk_emul.cd = index;
	disk_emul.drive = DISK_FIRST_CD;
	for (u8 i = 0; i < index; i++)
		disk_emul.drive += shared.unit[i].kind == BOOT_CDROM;
	if (e->media != ELTORITO_NO_EMULATION)
		ok = e->media == ELTORITO_HARD_DISK ? emulate_disk() : emulate_floppy(e->media);
	if (!ok || !load_image(cd, e)) {
		TTY("boot image cannot be read\n");
		return;
	}
	disk_emul.booted = true;
	if (e->media != ELTORITO_NO_EMULATION) {
		disk_emul.active = true;
		disk_emul_start();
	}
	TTY("starting\n");
	text_sync();
	channel_event(BIOS_EVENT_BOOT);
	boot_jump(e->load_seg == 0x7c0 ? BOOT_ADDR : (u32)e->load_seg << 16, disk_emul.drive);
}

/* --- disk, diskette ------------------------------------------------------------------------ */
static void boot_sector(u8 index, u8 drive)
{
	if (disk_transfer(&shared.unit[index], BIOS_DISK_READ, 0, 1, BOOT_ADDR)) {
		TTY("cannot be read\n");
		return;
	}
	if (drive & 0x80 ? far_u16(0, BOOT_ADDR + 510) != 0xaa55 : far_u16(0, BOOT_ADDR) == 0) {
		TTY("no boot sector\n");
		return;
	}
	TTY("starting\n");
	text_sync();
	channel_event(BIOS_EVENT_BOOT);
	boot_jump(BOOT_ADDR, drive);
}

/* --- the order ----------------------------------------------------------------------------- */
static void say_kind(u8 kind)
{
	TTY("Boot from ");
	switch (kind) {
	case BOOT_CDROM:
		TTY("CD");
		break;
	case BOOT_DISK:
		TTY("disk");
		break;
	default:
		TTY("diskette");
	}
	TTY(": ");
}

static void boot_device(u8 kind)
{
	bool found = false;

	for (u8 i = 0; i < shared.ndrives; i++) {
		if (shared.unit[i].kind != kind)
			continue;
		found = true;
		say_kind(kind);
		if (kind == BOOT_CDROM)
			boot_cd(i);
		else
			boot_sector(i, kind == BOOT_DISK ? 0x80 : 0x00);
		break;
	}
	if (!found) {
		say_kind(kind);
		TTY("no such drive\n");
	}
}

static __attribute__((noreturn)) void give_up(void)
{
	if (!no_boot) {
		no_boot = 1;
		TTY("No bootable device: ");
		if (!shared.boot[0])
			TTY("the boot order is empty\n");
		else
			TTY("every device of the boot order failed\n");
		text_sync();
		channel_event(BIOS_EVENT_NO_BOOT);
	}
	for (;;)
		irq_window_wait();
}

/* A boot sector that gives up by INT 18h comes back here. */
void boot_next(void)
{
	disk_emul.active = disk_emul.booted = false;
	while (boot_index < sizeof(shared.boot) && shared.boot[boot_index])
		boot_device(shared.boot[boot_index++]);
	give_up();
}

static void banner(void)
{
	u32 mib = (shared.low_ram >> 20) + (u32)(shared.high_ram >> 20);

	TTY("Penumbra BIOS: guest ");
	tty_name();
	TTY(", ");
	tty_dec(mib);
	TTY(" MiB\n");
}

/* A disk prepared elsewhere keeps the geometry that its partition table was written with. */
static void adopt_geometry(void)
{
	struct chs_geometry g;
	u8 table[64];

	for (u8 i = 0; i < shared.ndrives; i++) {
		struct bios_unit *u = &shared.unit[i];

		if (u->kind != BOOT_DISK || disk_transfer(u, BIOS_DISK_READ, 0, 1, SCRATCH))
			continue;
		far_read(table, 0, SCRATCH + 0x1be, sizeof(table));
		if (far_u16(0, SCRATCH + 510) != 0xaa55 ||
		    !chs_of_partitions(table, u->sectors, &g))
			continue;
		u->cyls = g.cyls;
		u->heads = g.heads;
		u->spt = g.spt;
	}
}

void boot_first(void)
{
	if (!boot_index) {
		banner();
		adopt_geometry();
	}
	boot_index = 0;
	no_boot = 0;
	boot_next();
}
