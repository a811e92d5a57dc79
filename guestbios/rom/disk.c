/* INT 13h: hard disks 80h up, diskettes 00h up, CDs E0h up, and the image of an emulating CD.
 *
 * SPDX-License-Identifier: MIT
 */
#include "disk.h"
#include "chs.h"
#include "penumbra/platform.h"

struct disk_emulation disk_emul;

/* A call's target: a unit or the emulated image, in 512- or 2048-byte sectors. */
struct target {
	struct bios_unit *unit; /* NULL: the emulated image */
	u64 sectors;
	u16 sector_size;
	struct chs_geometry chs;
	u8 kind;
	u8 floppy_type;
};

/* --- which drive --------------------------------------------------------------------------- */
struct bios_unit *disk_unit(u8 drive)
{
	u8 kind = drive >= DISK_FIRST_CD ? BOOT_CDROM : drive & 0x80 ? BOOT_DISK : BOOT_FLOPPY;
	u8 n = kind == BOOT_CDROM ? drive - DISK_FIRST_CD : drive & 0x7f;

	/* The emulated image shifts the real drives of its kind up by one. */
	if (disk_emul.active && kind != BOOT_CDROM && !((drive ^ disk_emul.drive) & 0x80)) {
		if (n == 0)
			return NULL;
		n--;
	}
	for (u8 i = 0; i < shared.ndrives; i++)
		if (shared.unit[i].kind == kind && n-- == 0)
			return &shared.unit[i];
	return NULL;
}

static bool find_target(u8 drive, struct target *t)
{
	struct bios_unit *u = disk_unit(drive);

	t->unit = u;
	if (u) {
		t->sectors = u->sectors;
		t->sector_size = u->sector_size;
		t->chs.cyls = u->cyls;
		t->chs.heads = u->heads;
		t->chs.spt = u->spt;
		t->kind = u->kind;
		t->floppy_type = u->cmos;
		return true;
	}
	if (!disk_emul.active || drive != disk_emul.drive)
		return false;
	t->sectors = disk_emul.sectors;
	t->sector_size = 512;
	t->chs.cyls = disk_emul.cyls;
	t->chs.heads = disk_emul.heads;
	t->chs.spt = disk_emul.spt;
	t->kind = drive & 0x80 ? BOOT_DISK : BOOT_FLOPPY;
	t->floppy_type = disk_emul.spt == 15 ? 2 : disk_emul.spt == 36 ? 6 : 4;
	return true;
}

static u8 count_units(u8 kind)
{
	u8 n = disk_emul.active && (disk_emul.drive & 0x80 ? BOOT_DISK : BOOT_FLOPPY) == kind;

	for (u8 i = 0; i < shared.ndrives; i++)
		n += shared.unit[i].kind == kind;
	return n;
}

/* --- transfers ----------------------------------------------------------------------------- */
u8 disk_transfer(const struct bios_unit *u, u8 op, u64 lba, u32 count, u32 gpa)
{
	struct bios_disk_req req;

	if (lba >= u->sectors || count > u->sectors - lba)
		return DISK_NOT_FOUND;
	if (op == BIOS_DISK_WRITE && u->kind == BOOT_CDROM)
		return DISK_PROTECTED;
	if (!count)
		return DISK_OK;
	req.op = op;
	req.drive = u->chan;
	req.lba = lba;
	req.count = count;
	req.gpa = gpa;
	channel_disk(&req);
	return req.status;
}

/* Memory for the one CD sector whose halves are wanted: taken from the top of base memory when an
 * emulated image boots, as PC BIOSes do. */
#define BOUNCE_KB  2
#define BOUNCE_SEG (EBDA_SEG - BOUNCE_KB * 64)

void disk_emul_start(void)
{
	bda.base_kb = EBDA_BASE_KB - BOUNCE_KB;
	shared.e820[0].len = (EBDA_BASE_KB - BOUNCE_KB) * KIB;
	shared.e820[1].base = shared.e820[0].len;
	shared.e820[1].len = PC_LOW_RAM_END - shared.e820[0].len;
}

/* Part of one CD sector by way of the bounce buffer. */
static u8 emul_read_part(const struct bios_unit *cd, u32 lba, u32 count, u32 gpa)
{
	u8 status = disk_transfer(cd, BIOS_DISK_READ, disk_emul.entry.lba + lba / 4, 1,
				  BOUNCE_SEG * 16u);
	u16 seg = gpa >> 4 > 0xf000 ? 0xf000 : gpa >> 4;
	u32 src = (lba & 3) * 512, dst = gpa - seg * 16u;

	if (status)
		return status;
	for (u32 i = 0; i < count * 128; i++, src += 4, dst += 4)
		far_set_u32(seg, dst, far_u32(BOUNCE_SEG, src));
	return DISK_OK;
}

/* The image's 512-byte sectors lie in 2048-byte ones: whole ones go straight into the buffer. */
u8 disk_emul_read(u32 lba, u32 count, u32 gpa)
{
	const struct bios_unit *cd = &shared.unit[disk_emul.cd];

	if (lba >= disk_emul.sectors || count > disk_emul.sectors - lba)
		return DISK_NOT_FOUND;
	while (count) {
		u32 n = lba & 3 || count < 4 ? MIN(count, 4 - (lba & 3)) : count & ~3u;
		u8 status;

		if (lba & 3 || n < 4)
			status = emul_read_part(cd, lba, n, gpa);
		else
			status = disk_transfer(cd, BIOS_DISK_READ, disk_emul.entry.lba + lba / 4,
					       n / 4, gpa);
		if (status)
			return status;
		lba += n;
		count -= n;
		gpa += n * 512;
	}
	return DISK_OK;
}

static u8 target_transfer(const struct target *t, u8 op, u64 lba, u32 count, u32 gpa)
{
	if (t->unit)
		return disk_transfer(t->unit, op, lba, count, gpa);
	if (op == BIOS_DISK_WRITE)
		return DISK_PROTECTED;
	if (lba > 0xffffffff)
		return DISK_NOT_FOUND;
	return disk_emul_read(lba, count, gpa);
}

/* --- CHS functions ------------------------------------------------------------------------- */
static u8 chs_transfer(struct regs *r, const struct target *t, u8 op, bool verify)
{
	s32 lba = chs_to_lba(&t->chs, r->ch, r->cl, r->dh);
	u8 status;

	if (t->kind == BOOT_CDROM || r->al == 0)
		return DISK_BAD_COMMAND;
	if (lba < 0 || (u64)lba + r->al > t->sectors) {
		r->al = 0;
		return DISK_NOT_FOUND;
	}
	if (verify)
		return DISK_OK;
	status = target_transfer(t, op, lba, r->al, linear(r->es, r->bx));
	if (status)
		r->al = 0;
	return status;
}

static u8 get_parameters(struct regs *r, const struct target *t)
{
	u16 last = t->chs.cyls - 1;

	if (t->kind == BOOT_CDROM)
		return DISK_BAD_COMMAND;
	r->al = 0;
	r->ch = last;
	r->cl = t->chs.spt | (last >> 2 & 0xc0);
	r->dh = t->chs.heads - 1;
	r->dl = count_units(t->kind);
	if (t->kind == BOOT_FLOPPY) {
		r->bx = t->floppy_type;
		r->es = far_u16(0, 0x1e * 4 + 2);
		r->edi = (r->edi & 0xffff0000) | far_u16(0, 0x1e * 4);
	}
	return DISK_OK;
}

/* 15h: AH = 1 diskette without change line, 2 with, 3 hard disk with its size in CX:DX. */
static void get_type(struct regs *r, const struct target *t)
{
	u32 n = (u32)t->chs.cyls * t->chs.heads * t->chs.spt;

	r->ah = t->kind == BOOT_FLOPPY ? 1 : 3;
	if (t->kind != BOOT_FLOPPY) {
		r->cx = n >> 16;
		r->dx = n;
	}
	set_cf(r, false);
}

/* --- EDD ----------------------------------------------------------------------------------- */
struct edd_packet {
	u8 size, pad;
	u16 count;
	u16 off, seg;
	u64 lba;
	u64 flat; /* when seg:off is FFFF:FFFF and the packet is 24 bytes long */
} __attribute__((packed));

static u8 edd_transfer(struct regs *r, const struct target *t, u8 op, bool move)
{
	u16 si = r->esi;
	struct edd_packet p;
	u32 gpa;
	u8 status;

	p.size = far_u8(r->ds, si);
	if (p.size < 16)
		return DISK_BAD_COMMAND;
	far_read(&p, r->ds, si, p.size >= 24 ? 24 : 16);
	gpa = linear(p.seg, p.off);
	if (p.seg == 0xffff && p.off == 0xffff && p.size >= 24) {
		gpa = p.flat;
		if (p.flat >> 32)
			return DISK_BOUNDARY;
	}
	if (p.lba >= t->sectors || p.count > t->sectors - p.lba)
		status = DISK_NOT_FOUND;
	else
		status = move ? target_transfer(t, op, p.lba, p.count, gpa) : DISK_OK;
	if (status)
		far_set_u16(r->ds, si + 2, 0);
	return status;
}

struct edd_parameters {
	u16 size, flags;
	u32 cyls, heads, spt;
	u64 sectors;
	u16 sector_size;
	u32 dpte;
	u16 key;
	u8 path_len, pad[3];
	char bus[4], interface[8];
	u64 interface_path, device_path;
	u8 pad2, sum;
} __attribute__((packed));
_Static_assert(sizeof(struct edd_parameters) == 66, "EDD 3.0 drive parameters");

#define EDD_FLAG_CHS_VALID 0x0002
#define EDD_FLAG_REMOVABLE 0x0004
#define EDD_FLAG_CHANGE	   0x0010
#define EDD_FLAG_LOCKABLE  0x0020

ROM char edd_bus[13] = "PCI ATA     ";

static u8 edd_get_parameters(struct regs *r, const struct target *t)
{
	u16 si = r->esi, room = far_u16(r->ds, si), n;
	struct edd_parameters p;
	u8 *raw = (u8 *)&p;

	if (room < 26)
		return DISK_BAD_COMMAND;
	n = room >= 66 ? 66 : room >= 30 ? 30 : 26;
	for (u8 i = 0; i < sizeof(p); i++)
		raw[i] = 0;
	p.size = n;
	p.sectors = t->sectors;
	p.sector_size = t->sector_size;
	if (t->kind == BOOT_CDROM) {
		p.flags = EDD_FLAG_REMOVABLE | EDD_FLAG_LOCKABLE | EDD_FLAG_CHANGE;
		p.cyls = p.heads = p.spt = 0xffffffff;
	} else {
		p.flags = EDD_FLAG_CHS_VALID;
		p.cyls = t->chs.cyls;
		p.heads = t->chs.heads;
		p.spt = t->chs.spt;
	}
	p.dpte = 0xffffffff;
	p.key = 0xbedd;
	p.path_len = 36;
	for (u8 i = 0; i < 12; i++)
		raw[offsetof(struct edd_parameters, bus) + i] = rom_u8(edd_bus + i);
	p.interface_path = 0x00010100 | (u64)(t->unit ? t->unit->chan & 1 : 0) << 24;
	p.device_path = 0;
	for (u8 i = 30; i < 65; i++)
		p.sum -= raw[i];
	far_write(r->ds, si, &p, n);
	return DISK_OK;
}

/* --- CD functions -------------------------------------------------------------------------- */
/* 4Bh: AL=1 fills the specification packet, AL=0 also ends the emulation. */
static u8 cd_emulation(struct regs *r)
{
	const struct disk_emulation *e = &disk_emul;
	u8 p[0x13] = {0};

	if (r->al > 1 || !e->booted)
		return DISK_BAD_COMMAND;
	p[0] = sizeof(p);
	p[1] = e->entry.media;
	p[2] = e->drive;
	p[4] = e->entry.lba;
	p[5] = e->entry.lba >> 8;
	p[6] = e->entry.lba >> 16;
	p[7] = e->entry.lba >> 24;
	p[12] = e->entry.load_seg;
	p[13] = e->entry.load_seg >> 8;
	p[14] = e->entry.count;
	p[15] = e->entry.count >> 8;
	p[16] = e->active ? (e->cyls - 1) & 0xff : 0;
	p[17] = e->active ? e->spt | ((e->cyls - 1) >> 2 & 0xc0) : 0;
	p[18] = e->active ? e->heads - 1 : 0;
	far_write(r->ds, r->esi & 0xffff, p, sizeof(p));
	if (r->al == 0)
		disk_emul.active = false;
	return DISK_OK;
}

/* --- dispatch ------------------------------------------------------------------------------ */
static void finish(struct regs *r, u8 status)
{
	r->ah = status;
	set_cf(r, status != DISK_OK);
}

static void save_status(u8 drive, u8 status)
{
	if (drive & 0x80)
		bda.hd_status = status;
	else
		bda.fd_status = status;
}

#define REGS_SET -1
#define UNKNOWN	 -2

/* Functions 41h and up. Returns as call_target(). */
static int call_extension(struct regs *r, const struct target *t)
{
	if (t->kind == BOOT_FLOPPY && r->ah <= 0x4f)
		return DISK_BAD_COMMAND; /* diskettes have none: programs probe for that */
	switch (r->ah) {
	case 0x41:
		if (r->bx != 0x55aa)
			break;
		r->bx = 0xaa55;
		r->cx = t->kind == BOOT_CDROM ? 0x0007 : 0x0005;
		r->ah = 0x30;
		set_cf(r, false);
		return REGS_SET;
	case 0x42:
	case 0x43:
		return edd_transfer(r, t, r->ah == 0x42 ? BIOS_DISK_READ : BIOS_DISK_WRITE, true);
	case 0x44:
		return edd_transfer(r, t, BIOS_DISK_READ, false);
	case 0x45: /* lock, unlock, locked? */
		if (t->kind != BOOT_CDROM)
			return DISK_OK;
		r->al = 0;
		return DISK_OK;
	case 0x46:
		return DISK_NO_EJECT;
	case 0x48:
		return edd_get_parameters(r, t);
	case 0x49: /* media changed? never */
		return DISK_OK;
	case 0x4e:
		/* hardware configuration: prefetch and DMA are the hypervisor's business */
		return DISK_OK;
	}
	return UNKNOWN;
}

/* Returns AH, REGS_SET when the function set the registers itself, or UNKNOWN. */
static int call_target(struct regs *r, const struct target *t)
{
	switch (r->ah) {
	case 0x00: /* reset, recalibrate, seek, ...: nothing moves */
	case 0x0d:
	case 0x0c:
	case 0x11:
	case 0x10:
	case 0x09:
	case 0x14:
	case 0x47:
		return DISK_OK;
	case 0x02:
	case 0x03:
		return chs_transfer(r, t, r->ah == 2 ? BIOS_DISK_READ : BIOS_DISK_WRITE, false);
	case 0x04:
		return chs_transfer(r, t, BIOS_DISK_READ, true);
	case 0x05:
		return t->unit && t->kind != BOOT_CDROM ? DISK_OK : DISK_PROTECTED;
	case 0x08:
		return get_parameters(r, t);
	case 0x15:
		get_type(r, t);
		return REGS_SET;
	case 0x16:
	case 0x17:
	case 0x18:
		if (t->kind != BOOT_FLOPPY)
			break;
		if (r->ah == 0x18) {
			r->es = far_u16(0, 0x1e * 4 + 2);
			r->edi = (r->edi & 0xffff0000) | far_u16(0, 0x1e * 4);
		}
		return DISK_OK;
	}
	return r->ah >= 0x41 ? call_extension(r, t) : UNKNOWN;
}

static void disk_call(struct regs *r, u8 vector)
{
	u8 drive = r->dl;
	struct target t;
	int status;

	if (r->ah == 0x01) {
		status = drive & 0x80 ? bda.hd_status : bda.fd_status;
		finish(r, status);
		return;
	}
	if (r->ah == 0x4b) {
		finish(r, cd_emulation(r));
		return;
	}
	if (!find_target(drive, &t)) {
		if (r->ah == 0x15) { /* no drive is no error here */
			r->ah = 0;
			set_cf(r, false);
			return;
		}
		if (r->ah == 0x08 && !(drive & 0x80))
			r->bx = r->cx = r->dx = 0;
		status = r->ah == 0x00 && !(drive & 0x80) ? DISK_OK : DISK_BAD_COMMAND;
	} else {
		status = call_target(r, &t);
	}
	if (status == REGS_SET)
		return;
	if (status == UNKNOWN) {
		log_call(vector, r);
		status = DISK_BAD_COMMAND;
	}
	save_status(drive, status);
	finish(r, status);
}

void int13(struct regs *r);
void int13(struct regs *r)
{
	disk_call(r, 0x13);
}

void int40(struct regs *r);
void int40(struct regs *r)
{
	r->dl &= 0x7f;
	disk_call(r, 0x40);
}
