/* INT 13h of the guest BIOS, geometry and El Torito, run on the host. Would catch: a wrong sector
 * from a cylinder/head/sector address; more than one request for one call; data beside the caller's
 * buffer; an emulated diskette whose 512-byte sectors come from the wrong quarter of a CD's; a size
 * or flag that boot loaders read wrongly; a catalogue taken for bootable that is not.
 *
 * SRCS: guestbios/rom/disk.c tests/unit/guestbios_host.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "../../guestbios/rom/chs.h"
#include "../../guestbios/rom/disk.h"

void int13(struct regs *r);

static unsigned requests, logged;
static struct bios_disk_req last;
static u8 answer;

/* Byte `at` of every drive: tells drive, sector and place. */
static u8 pattern(u32 drive, u64 at)
{
	return (u8)(at * 7 + (at >> 9) * 31 + drive);
}

void channel_disk(struct bios_disk_req *req)
{
	u32 size = shared.unit[req->drive].sector_size;

	requests++;
	last = *req;
	req->status = answer;
	if (answer || req->op != BIOS_DISK_READ)
		return;
	for (u32 i = 0; i < req->count * size; i++)
		host_mem[req->gpa + i] = pattern(req->drive, req->lba * size + i);
}

void channel_event(u8 event)
{
	(void)event;
}

void log_call(u8 vector, struct regs *r)
{
	(void)vector;
	(void)r;
	logged++;
}

static void add(u32 i, u8 kind, u32 sector_size, u64 sectors, u16 cyls, u8 heads, u8 spt, u8 type)
{
	shared.unit[i] = (struct bios_unit){.kind = kind,
					    .chan = i,
					    .sector_size = sector_size,
					    .sectors = sectors,
					    .cyls = cyls,
					    .heads = heads,
					    .spt = spt,
					    .cmos = type};
	shared.ndrives = i + 1;
}

/* CD E0h, disk 80h (16 x 63), diskette 00h. */
static void start(void)
{
	host_reset();
	memset(&disk_emul, 0, sizeof(disk_emul));
	requests = logged = answer = 0;
	add(0, BOOT_CDROM, 2048, 10000, 0, 0, 0, 0);
	add(1, BOOT_DISK, 512, 100000, 99, 16, 63, 0);
	add(2, BOOT_FLOPPY, 512, 2880, 80, 2, 18, 4);
}

static struct regs call(struct regs r)
{
	int13(&r);
	return r;
}

static bool cf(const struct regs *r)
{
	return r->flags & FLAG_CF;
}

TEST(chs_read_is_one_request_into_the_callers_buffer)
{
	/* Cylinder 3, head 5, sector 7 of 16 x 63: LBA (3 * 16 + 5) * 63 + 6. */
	struct regs r = {.ax = 0x0205, .cx = 0x0307, .dx = 0x0580, .es = 0x1000, .bx = 0x200};

	start();
	r = call(r);
	CHECK(!cf(&r));
	CHECK_EQ(r.ax, 0x0005);
	CHECK_EQ(requests, 1);
	CHECK_EQ(last.lba, (3 * 16 + 5) * 63 + 6);
	CHECK_EQ(last.gpa, 0x10200);
	CHECK_EQ(host_mem[0x101ff], 0);
	CHECK_EQ(host_mem[0x10200], pattern(1, last.lba * 512));
	CHECK_EQ(host_mem[0x10200 + 5 * 512], 0);
	CHECK_EQ(bda.hd_status, 0);
}

TEST(addresses_outside_the_geometry_are_refused)
{
	static const u16 bad[][2] = {{0x0000, 0x0080},	    /* sector 0 */
				     {0x00c0 | 63, 0x1080}, /* head 16 */
				     {0x6301, 0x0080},	    /* cylinder 99 */
				     {0x0001, 0x0082}};	    /* no such drive */
	start();
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct regs r = call((struct regs){.ax = 0x0201, .cx = bad[i][0], .dx = bad[i][1]});

		CHECK(cf(&r));
		CHECK(r.ah != 0);
	}
	CHECK_EQ(requests, 0);
}

TEST(parameters_give_back_the_geometry)
{
	struct regs r = {.ax = 0x0800, .dx = 0x0080};

	start();
	r = call(r);
	CHECK(!cf(&r));
	CHECK_EQ(r.ch, 98);
	CHECK_EQ(r.cl, 63);
	CHECK_EQ(r.dh, 15);
	CHECK_EQ(r.dl, 1);
	r = call((struct regs){.ax = 0x0800, .dx = 0x0000});
	CHECK_EQ(r.ch, 79);
	CHECK_EQ(r.cl, 18);
	CHECK_EQ(r.dh, 1);
	CHECK_EQ(r.bl, 4);
}

TEST(status_is_kept_and_passed_on)
{
	struct regs r;

	start();
	answer = 0x20;
	r = call((struct regs){.ax = 0x0201, .cx = 0x0001, .dx = 0x0080});
	CHECK(cf(&r));
	CHECK_EQ(r.ah, 0x20);
	r = call((struct regs){.ax = 0x0100, .dx = 0x0080});
	CHECK(cf(&r));
	CHECK_EQ(r.ah, 0x20);
	r = call((struct regs){.ax = 0x0100, .dx = 0x0000});
	CHECK(!cf(&r));
}

static void put_packet(u16 seg, u16 off, u16 count, u64 lba)
{
	far_set_u16(0x50, 0, 16);
	far_set_u16(0x50, 2, count);
	far_set_u16(0x50, 4, off);
	far_set_u16(0x50, 6, seg);
	far_write(0x50, 8, &lba, 8);
}

TEST(extended_read_of_the_cd)
{
	struct regs r = {.ax = 0x4200, .dx = 0x00e0, .ds = 0x50, .flags = FLAG_CF};

	start();
	put_packet(0x2000, 0x10, 32, 500);
	r = call(r);
	CHECK(!cf(&r));
	CHECK_EQ(r.ah, 0);
	CHECK_EQ(requests, 1);
	CHECK_EQ(last.count, 32);
	CHECK_EQ(host_mem[0x20010], pattern(0, 500 * 2048));
	put_packet(0x2000, 0, 2, 9999);
	r = call((struct regs){.ax = 0x4200, .dx = 0x00e0, .ds = 0x50});
	CHECK(cf(&r));
	CHECK_EQ(far_u16(0x50, 2), 0); /* nothing was transferred */
	r = call((struct regs){.ax = 0x4300, .dx = 0x00e0, .ds = 0x50});
	CHECK(cf(&r));
}

TEST(extensions_are_there_for_disk_and_cd_only)
{
	struct regs r;

	start();
	r = call((struct regs){.ax = 0x4100, .bx = 0x55aa, .dx = 0x0080});
	CHECK(!cf(&r));
	CHECK_EQ(r.bx, 0xaa55);
	CHECK(r.cx & 1);
	r = call((struct regs){.ax = 0x4100, .bx = 0x55aa, .dx = 0x0000});
	CHECK(cf(&r));
	CHECK_EQ(r.bx, 0x55aa);
	CHECK_EQ(logged, 0); /* a probe is no missing function */
	r = call((struct regs){.ax = 0x7700, .dx = 0x0080});
	CHECK(cf(&r));
	CHECK_EQ(logged, 1);
}

TEST(extended_parameters_by_buffer_size)
{
	struct regs r = {.ax = 0x4800, .dx = 0x0080, .ds = 0x50};
	u8 sum = 0;

	start();
	memset(&host_mem[0x500], 0xee, 128);
	far_set_u16(0x50, 0, 26);
	CHECK(!(call(r).flags & FLAG_CF));
	CHECK_EQ(far_u16(0x50, 0), 26);
	CHECK_EQ(far_u32(0x50, 16), 100000);
	CHECK_EQ(far_u16(0x50, 24), 512);
	CHECK_EQ(far_u8(0x50, 26), 0xee);
	far_set_u16(0x50, 0, 0x80);
	CHECK(!(call(r).flags & FLAG_CF));
	CHECK_EQ(far_u16(0x50, 0), 66);
	CHECK(memcmp(&host_mem[0x524], "PCI ATA     ", 12) == 0);
	for (int i = 30; i < 66; i++)
		sum += host_mem[0x500 + i];
	CHECK_EQ(sum, 0);
	far_set_u16(0x50, 0, 20);
	CHECK(call(r).flags & FLAG_CF);
	r.dx = 0x00e0;
	far_set_u16(0x50, 0, 30);
	CHECK(!(call(r).flags & FLAG_CF));
	CHECK_EQ(far_u16(0x50, 24), 2048);
}

/* A 1.44 MB image at CD sector 100. */
static void emulate(void)
{
	start();
	disk_emul = (struct disk_emulation){.active = true,
					    .booted = true,
					    .cyls = 80,
					    .heads = 2,
					    .spt = 18,
					    .sectors = 2880,
					    .entry = {.lba = 100, .media = ELTORITO_FLOPPY_1440}};
}

TEST(emulated_sectors_come_from_the_right_quarter)
{
	for (u32 lba = 0; lba < 40; lba++)
		for (u32 n = 1; n <= 12; n++) {
			u32 bad = 0;

			emulate();
			CHECK_EQ(disk_emul_read(lba, n, 0x20000), 0);
			for (u32 i = 0; i < n * 512; i++)
				bad += host_mem[0x20000 + i] !=
				       pattern(0, 100 * 2048 + lba * 512 + i);
			CHECK_EQ(bad, 0);
			CHECK_EQ(host_mem[0x20000 + n * 512], 0);
			CHECK(requests <= 3); /* head, middle, tail */
		}
}

TEST(emulated_drive_takes_the_place_of_drive_0)
{
	struct regs r;

	emulate();
	r = call((struct regs){.ax = 0x0201, .cx = 0x0001, .dx = 0x0000, .es = 0x2000});
	CHECK(!cf(&r));
	CHECK_EQ(last.drive, 0);
	r = call((struct regs){.ax = 0x0201, .cx = 0x0001, .dx = 0x0001, .es = 0x2000});
	CHECK(!cf(&r));
	CHECK_EQ(last.drive, 2); /* the real diskette moved up */
	r = call((struct regs){.ax = 0x0301, .cx = 0x0001, .dx = 0x0000, .es = 0x2000});
	CHECK(cf(&r));
	CHECK_EQ(r.ah, DISK_PROTECTED);
	r = call((struct regs){.ax = 0x4b00, .ds = 0x50});
	CHECK(!cf(&r));
	CHECK_EQ(far_u8(0x50, 0), 0x13);
	CHECK_EQ(far_u8(0x50, 1), ELTORITO_FLOPPY_1440);
	CHECK_EQ(far_u32(0x50, 4), 100);
	r = call((struct regs){.ax = 0x0201, .cx = 0x0001, .dx = 0x0000, .es = 0x2000});
	CHECK_EQ(last.drive, 2); /* emulation ended */
}

TEST(translation_covers_the_disk_up_to_its_limit)
{
	static const u64 sizes[] = {1, 20000, 1032192, 1032193, 4000000, 16514064, 1ull << 40};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct chs_geometry g = chs_of_disk(sizes[i]);
		u64 n = (u64)g.cyls * g.heads * g.spt;

		CHECK(g.cyls >= 1 && g.cyls <= 1024 && g.heads >= 16 && g.spt == 63);
		if (sizes[i] > 63 * 16 && sizes[i] < 16514064)
			CHECK(n <= sizes[i] && n + g.heads * 63 * 2u > sizes[i]);
	}
}

TEST(geometry_of_a_partition_table)
{
	/* Start 0/1/1 = LBA 63, end head 254, sector 63. */
	u8 table[64] = {0x80, 1, 1, 0, 0x83, 254, 63, 99, 63};
	struct chs_geometry g = {0, 0, 0};

	CHECK(chs_of_partitions(table, 255 * 63 * 500, &g));
	CHECK_EQ(g.heads, 255);
	CHECK_EQ(g.spt, 63);
	CHECK_EQ(g.cyls, 500);
	table[8] = 64; /* LBA and CHS disagree */
	CHECK(!chs_of_partitions(table, 255 * 63 * 500, &g));
	table[8] = 63;
	table[4] = 0; /* unused */
	CHECK(!chs_of_partitions(table, 255 * 63 * 500, &g));
	memset(table, 0xff, sizeof(table));
	CHECK(!chs_of_partitions(table, 255 * 63 * 500, &g));
}

TEST(chs_and_lba_agree_everywhere)
{
	struct chs_geometry g = {1024, 255, 63};
	s32 want = 0;

	for (unsigned c = 0; c < 1024; c++)
		for (unsigned h = 0; h < 255; h++, want += 63)
			if (chs_to_lba(&g, c, 1 | (c >> 2 & 0xc0), h) != want)
				CHECK_EQ(chs_to_lba(&g, c, 1 | (c >> 2 & 0xc0), h), want);
	CHECK_EQ(chs_to_lba(&g, 0, 63, 0), 62);
	CHECK_EQ(chs_to_lba(&g, 0, 0, 0), -1);
}

TEST(diskette_formats_hold_short_images)
{
	static const struct floppy_format formats[] = {FLOPPY_FORMATS};
	const struct floppy_format *f;

	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		f = chs_of_floppy(formats, ARRAY_SIZE(formats), formats[i].sectors);
		CHECK(f == &formats[i]);
		CHECK_EQ(f->cyls * f->heads * f->spt, f->sectors);
	}
	f = chs_of_floppy(formats, ARRAY_SIZE(formats), 2532);
	CHECK(f && f->spt == 18);
	CHECK(!chs_of_floppy(formats, ARRAY_SIZE(formats), 5761));
	CHECK(!chs_of_floppy(formats, ARRAY_SIZE(formats), 0));
}

static void catalogue(u8 cat[64], u8 platform, u8 boot, u8 media)
{
	u16 sum = 0;

	memset(cat, 0, 64);
	cat[0] = 1;
	cat[1] = platform;
	cat[30] = 0x55;
	cat[31] = 0xaa;
	for (int i = 0; i < 32; i += 2)
		sum += cat[i] | cat[i + 1] << 8;
	cat[28] = -sum;
	cat[29] = -sum >> 8;
	cat[32] = boot;
	cat[33] = media;
	cat[38] = 4;
	cat[40] = 0x34;
	cat[41] = 0x12;
}

TEST(boot_catalogues)
{
	u8 sector[0x4b] = ELTORITO_NAME, cat[64];
	struct eltorito_entry e;

	sector[0x47] = 0x21;
	CHECK_EQ(eltorito_catalogue(sector, ELTORITO_NAME), 0x21);
	sector[8] ^= 1;
	CHECK_EQ(eltorito_catalogue(sector, ELTORITO_NAME), 0);
	catalogue(cat, 0, 0x88, 0);
	CHECK_EQ(eltorito_default(cat, &e), ELTORITO_OK);
	CHECK_EQ(e.lba, 0x1234);
	CHECK_EQ(e.load_seg, 0x7c0);
	CHECK_EQ(e.count, 4);
	cat[5] ^= 1;
	CHECK_EQ(eltorito_default(cat, &e), ELTORITO_BAD_CHECK);
	catalogue(cat, 0xef, 0x88, 0);
	CHECK_EQ(eltorito_default(cat, &e), ELTORITO_NO_X86);
	catalogue(cat, 0, 0x00, 0);
	CHECK_EQ(eltorito_default(cat, &e), ELTORITO_NOT_BOOTABLE);
	catalogue(cat, 0, 0x88, 7);
	CHECK_EQ(eltorito_default(cat, &e), ELTORITO_BAD_MEDIA);
}
