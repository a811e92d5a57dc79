/* Labels of file systems as the control partition's init reads them: catches wrong offsets, a
 * hybrid image taken for its boot sector, labels cut or padded, and reading past what a hostile
 * disk says.
 *
 * SRCS: rootfs/init/volume.c
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include <unistd.h>

#include "rootfs/init/init.h"

#define IMAGE_SIZE (256 * 1024)

/* An image of zeros. */
static FILE *image(void)
{
	FILE *file = tmpfile();

	CHECK(file && !ftruncate(fileno(file), IMAGE_SIZE));
	return file;
}

static void put(FILE *file, long at, const void *text, size_t n)
{
	CHECK(pwrite(fileno(file), text, n, at) == (ssize_t)n);
}

static void expect(FILE *file, const char *type, const char *label)
{
	struct volume v;

	CHECK(volume_read(fileno(file), &v));
	CHECK(v.type && !strcmp(v.type, type));
	CHECK(!strcmp(v.label, label));
	fclose(file);
}

TEST(iso_before_its_boot_sector)
{
	FILE *file = image();

	put(file, 32768, "\1CD001", 6);
	put(file, 32768 + 40, "PENUMBRA                        ", 32);
	put(file, 510, "\x55\xaa", 2);
	put(file, 0x52, "FAT32   ", 8);
	expect(file, "iso9660", "PENUMBRA");
}

TEST(ext_label_without_end)
{
	FILE *file = image();

	put(file, 1024 + 0x38, "\x53\xef", 2);
	put(file, 1024 + 0x78, "0123456789abcdefOVER", 20);
	expect(file, "ext4", "0123456789abcdef");
}

TEST(fat32_and_fat16)
{
	FILE *file = image();

	put(file, 510, "\x55\xaa", 2);
	put(file, 0x52, "FAT32   ", 8);
	put(file, 0x47, "PENUMBRA-DA", 11);
	expect(file, "vfat", "PENUMBRA-DA");
	file = image();
	put(file, 510, "\x55\xaa", 2);
	put(file, 0x36, "FAT16   ", 8);
	put(file, 0x2b, "A\x01 B       ", 11);
	expect(file, "vfat", "A? B");
}

/* Sectors of 512 bytes, clusters of 4 KiB, heap at sector 64, root directory in cluster 5. */
TEST(exfat_label_in_the_root_directory)
{
	static const u8 shifts[] = {9, 3};
	FILE *file = image();
	long root = (64 + (5 - 2) * 8) * 512;

	put(file, 3, "EXFAT   ", 8);
	put(file, 88, "\x40\0\0\0", 4);
	put(file, 96, "\5\0\0\0", 4);
	put(file, 108, shifts, 2);
	put(file, root, "\x81", 1);
	put(file, root + 32, "\x83\3L\0A\0B\0", 8);
	expect(file, "exfat", "LAB");
}

TEST(hostile_exfat_has_no_label)
{
	static const u8 shifts[][2] = {{0, 0}, {9, 200}, {12, 13}, {13, 0}, {9, 16}};

	for (size_t i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
		FILE *file = image();

		put(file, 3, "EXFAT   ", 8);
		put(file, 88, "\xff\xff\xff\xff", 4);
		put(file, 96, "\xff\xff\xff\xff", 4);
		put(file, 108, shifts[i], 2);
		expect(file, "exfat", "");
	}
}

TEST(nothing_on_noise_and_short_devices)
{
	struct volume v;
	FILE *file = image();

	CHECK(!volume_read(fileno(file), &v));
	CHECK(!ftruncate(fileno(file), 700));
	put(file, 510, "\x55\xaa", 2);
	CHECK(!volume_read(fileno(file), &v));
	fclose(file);
}

static bool is(const char *type, const char *text, const char *label)
{
	struct volume v = {.type = type};

	snprintf(v.label, sizeof(v.label), "%s", text);
	return volume_label_is(&v, label);
}

TEST(labels_are_cut_only_where_the_file_system_cuts)
{
	CHECK(is("ext4", "PENUMBRA-DATA", DATA_LABEL));
	CHECK(!is("ext4", "PENUMBRA-DA", DATA_LABEL));
	CHECK(is("vfat", "PENUMBRA-DA", DATA_LABEL));
	CHECK(is("vfat", "penumbra-da", DATA_LABEL));
	CHECK(!is("vfat", "PENUMBRA-D", DATA_LABEL));
	CHECK(!is("vfat", "PENUMBRA", DATA_LABEL));
	CHECK(is("iso9660", "PENUMBRA", MEDIUM_LABEL));
	CHECK(!is("iso9660", "penumbra", MEDIUM_LABEL));
}
