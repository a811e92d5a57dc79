/* The Linux boot protocol. Would catch: a header field trusted beyond the file or the memory, a
 * kernel or ramdisk placed over each other or out of reach, a memory map that gives the partition
 * what is not its own or has more entries than the protocol allows, page tables that map anything
 * but one to one.
 *
 * SRCS: hv/core/linux_boot.c hv/lib/str.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/linux_boot.h"

#include "lib/errno.h"
#include "unit.h"

#define FILE_SIZE (64u * 1024)
#define SECTS	  31u
#define PAYLOAD	  ((SECTS + 1) * 512u)

static u8 file[FILE_SIZE], page[PAGE_SIZE];
static struct linux_image im;
static struct linux_layout at;
static const char *why;

static void put(u8 *base, unsigned off, unsigned size, u64 v)
{
	memcpy(base + off, &v, size);
}

static u64 get(const u8 *base, unsigned off, unsigned size)
{
	u64 v = 0;

	memcpy(&v, base + off, size);
	return v;
}

/* A header such as Debian's kernels have. */
static void make_file(void)
{
	memset(file, 0, sizeof(file));
	put(file, 0x1f1, 1, SECTS);
	put(file, 0x1f4, 4, (FILE_SIZE - PAYLOAD) / 16);
	put(file, 0x1fe, 2, 0xaa55);
	put(file, 0x200, 2, 0x6aeb); /* jump over the header */
	put(file, 0x202, 4, 0x53726448);
	put(file, 0x206, 2, 0x020f);
	put(file, 0x22c, 4, 0x7fffffff);
	put(file, 0x230, 4, 0x200000);
	put(file, 0x234, 1, 1);
	put(file, 0x236, 2, 3);
	put(file, 0x238, 4, 2047);
	put(file, 0x260, 4, 32 * MIB);
}

static int check(void)
{
	why = NULL;
	return linux_image_check(&im, file, FILE_SIZE, &why);
}

static int place(hpa_t base, u64 len, u64 initrd)
{
	return linux_layout(&at, &im, base, len, initrd, 64 * KIB, &why);
}

TEST(a_kernel_of_today_is_taken)
{
	make_file();
	CHECK_EQ(check(), 0);
	CHECK_EQ(im.payload, PAYLOAD);
	CHECK_EQ(im.payload_len, FILE_SIZE - PAYLOAD);
	CHECK_EQ(im.alignment, 2 * MIB);
	CHECK_EQ(im.init_size, 32 * MIB);
	CHECK_EQ(im.initrd_end, UINT64_MAX);
	put(file, 0x1f1, 1, 0); /* means four */
	put(file, 0x1f4, 4, 0x400);
	CHECK_EQ(check(), 0);
	CHECK_EQ(im.payload, 5 * 512);
}

static const struct {
	unsigned off, size;
	u64 value;
	const char *says;
} wrong[] = {
	{0x1fe, 2, 0, "no Linux kernel"},
	{0x202, 4, 0, "no Linux kernel"},
	{0x206, 2, 0x020b, "boot protocol"},
	{0x236, 2, 2, "64-bit"},
	{0x234, 1, 0, "relocatable"},
	{0x1f1, 1, 255, "truncated"},
	{0x1f4, 4, 0xffffffff, "truncated"},
	{0x1f4, 4, (FILE_SIZE - PAYLOAD) / 16 + 1, "truncated"},
	{0x1f4, 4, 0, "no 64-bit entry"},
	{0x1f4, 4, 0x20, "no 64-bit entry"},
	{0x230, 4, 0, "alignment"},
	{0x230, 4, 0x300000, "alignment"},
	{0x230, 4, 0x80000000, "alignment"},
	{0x260, 4, 0, "amount of memory"},
	{0x260, 4, 0xffffffff, "amount of memory"},
};

TEST(what_is_wrong_with_a_header_is_said)
{
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		make_file();
		put(file, wrong[i].off, wrong[i].size, wrong[i].value);
		CHECK_EQ(check(), -EINVAL);
		CHECK(why && strstr(why, wrong[i].says));
	}
}

TEST(a_file_cut_anywhere_is_refused)
{
	make_file();
	for (u64 len = 0; len < FILE_SIZE; len += 97)
		CHECK_EQ(linux_image_check(&im, file, len, &why), -EINVAL);
}

static bool apart(hpa_t a, u64 a_len, hpa_t b, u64 b_len)
{
	return a + a_len <= b || b + b_len <= a;
}

TEST(nothing_is_placed_over_anything_else)
{
	static const u64 initrds[] = {1, 4096, 5 * MIB + 3, 60 * MIB};

	make_file();
	check();
	for (unsigned i = 0; i < ARRAY_SIZE(initrds); i++) {
		hpa_t base = 3 * GIB - 128 * MIB;

		CHECK_EQ(place(base, 128 * MIB, initrds[i]), 0);
		CHECK_EQ(at.params, base);
		CHECK(apart(at.tables, LINUX_TABLE_PAGES * PAGE_SIZE, at.kernel, im.init_size));
		CHECK(at.tables >= base + 3 * PAGE_SIZE && at.kernel % im.alignment == 0);
		CHECK(apart(at.kernel, im.init_size, at.initrd, initrds[i]));
		CHECK(apart(at.initrd, initrds[i], at.acpi, at.acpi_len));
		CHECK_EQ(at.initrd % PAGE_SIZE, 0);
		CHECK_EQ(at.acpi + at.acpi_len, base + 128 * MIB);
	}
}

TEST(what_does_not_fit_is_refused)
{
	make_file();
	check();
	CHECK_EQ(place(GIB, 32 * MIB, 1), -ENOMEM);
	CHECK_EQ(place(GIB, 128 * MIB, 100 * MIB), -ENOMEM);
	CHECK_EQ(place(GIB, 128 * MIB, UINT64_MAX - 5), -ENOMEM);
	CHECK_EQ(place(GIB, 128 * MIB, 200 * MIB), -ENOMEM);
	put(file, 0x236, 2, 1); /* the ramdisk below 2 GiB */
	check();
	CHECK_EQ(im.initrd_end, 2 * GIB);
	CHECK_EQ(place(3 * GIB - 128 * MIB, 128 * MIB, MIB), -ENOMEM);
	CHECK(strstr(why, "ramdisk"));
	CHECK_EQ(place(2 * GIB - 128 * MIB, 128 * MIB, MIB), 0);
}

TEST(the_zero_page_has_the_header_and_nothing_of_the_file_else)
{
	make_file();
	memset(file, 0xee, 0x1f1);
	memset(file + 0x26c, 0xee, 0x100);
	check();
	place(GIB, 128 * MIB, 12345);
	memset(page, 0x77, sizeof(page));
	linux_params(page, file, &at, 0x7ff0000);
	CHECK_EQ(get(page, 0x202, 4), 0x53726448);
	CHECK_EQ(get(page, 0x210, 1), 0xff);
	CHECK_EQ(get(page, 0x211, 1) & 1, 1);
	CHECK_EQ(get(page, 0x218, 4), at.initrd);
	CHECK_EQ(get(page, 0x21c, 4), 12345);
	CHECK_EQ(get(page, 0x228, 4), at.cmdline);
	CHECK_EQ(get(page, 0x070, 8), 0x7ff0000);
	CHECK_EQ(get(page, 0x1ef, 1), 0); /* sentinel */
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		if (i < 0x1f1 || i >= 0x290)
			CHECK(page[i] != 0xee && page[i] != 0x77);
}

static struct boot_info bi;

static void region(hpa_t base, u64 len, enum mem_type type)
{
	bi.region[bi.nregions++] = (struct boot_region){base, len, type};
}

/* Type of @a in the map; 0: not mentioned. */
static unsigned type_at(u64 a)
{
	for (unsigned i = 0; i < page[0x1e8]; i++) {
		const u8 *e = page + 0x2d0 + 20 * i;

		if (a >= get(e, 0, 8) && a - get(e, 0, 8) < get(e, 8, 8))
			return (unsigned)get(e, 16, 4);
	}
	return 0;
}

TEST(the_map_shows_its_own_memory_only)
{
	hpa_t base = 512 * MIB;

	make_file();
	check();
	place(base, 128 * MIB, MIB);
	memset(&bi, 0, sizeof(bi));
	region(0, 0x9fc00, MEM_RAM);
	region(0x9fc00, 0x400, MEM_RESERVED);
	region(0xf0000, 0x10000, MEM_RESERVED);
	region(MIB, GIB - MIB, MEM_RAM);
	region(GIB, MIB, MEM_ACPI);
	region(GIB + MIB, MIB, MEM_NVS);
	region(4 * GIB, GIB, MEM_RAM);
	memset(page, 0, sizeof(page));
	CHECK_EQ(linux_memory_map(page, &bi, base, 128 * MIB, &at), 0);
	CHECK_EQ(type_at(0), MEM_RAM);
	CHECK_EQ(type_at(0x9efff), MEM_RAM);
	CHECK_EQ(type_at(0x9f000), MEM_RESERVED); /* no whole page */
	CHECK_EQ(type_at(0xa0000), 0);
	CHECK_EQ(type_at(MIB), MEM_RESERVED);
	CHECK_EQ(type_at(base - 1), MEM_RESERVED);
	CHECK_EQ(type_at(base), MEM_RAM);
	CHECK_EQ(type_at(at.acpi - 1), MEM_RAM);
	CHECK_EQ(type_at(at.acpi), MEM_ACPI);
	CHECK_EQ(type_at(base + 128 * MIB), MEM_RESERVED);
	CHECK_EQ(type_at(GIB), MEM_ACPI);
	CHECK_EQ(type_at(GIB + MIB), MEM_NVS);
	CHECK_EQ(type_at(4 * GIB), MEM_RESERVED);
	CHECK_EQ(type_at(6 * GIB), 0);
}

TEST(a_map_with_too_many_pieces_is_refused)
{
	make_file();
	check();
	place(GIB, 128 * MIB, MIB);
	memset(&bi, 0, sizeof(bi));
	for (unsigned i = 0; i < 140; i++)
		region((1 + 2 * i) * MIB, MIB, i % 2 ? MEM_RESERVED : MEM_NVS);
	memset(page, 0, sizeof(page));
	CHECK_EQ(linux_memory_map(page, &bi, GIB, 128 * MIB, &at), -ENOSPC);
	CHECK_EQ(page[0x1e8], 128);
	for (unsigned i = 0x2d0 + 128 * 20; i < PAGE_SIZE; i++)
		CHECK_EQ(page[i], 0);
}

TEST(tables_map_four_gigabytes_one_to_one)
{
	static u64 tables[LINUX_TABLE_PAGES * 512];
	hpa_t where = 0x12345000;
	u64 gdt[4];

	linux_tables(tables, where);
	for (u64 a = 0; a < 4 * GIB; a += 2 * MIB) {
		u64 pdpt = tables[a >> 39], pd, leaf;

		CHECK_EQ(pdpt, (where + PAGE_SIZE) | 3);
		pd = tables[(pdpt - where) / PAGE_SIZE * 512 + (a >> 30)];
		CHECK(pd >= where && pd < where + LINUX_TABLE_PAGES * PAGE_SIZE);
		leaf = tables[((pd & ~0xfffull) - where) / 8 + (a >> 21 & 511)];
		CHECK_EQ(leaf, a | 0x83);
	}
	CHECK_EQ(tables[1], 0);
	linux_gdt(gdt);
	CHECK_EQ(gdt[LINUX_BOOT_CS / 8] >> 53 & 1, 1); /* L */
	CHECK_EQ(gdt[LINUX_BOOT_CS / 8] >> 43 & 1, 1); /* code */
	CHECK_EQ(gdt[LINUX_BOOT_DS / 8] >> 41 & 1, 1); /* writable */
}
