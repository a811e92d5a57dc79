/* Which file system is on a device, and its label: ISO 9660, FAT, exFAT, ext2/3/4. Offsets are
 * those of ECMA-119 8.4, of Microsoft's FAT and exFAT specifications and of Linux' ext4 super
 * block.
 *
 * SPDX-License-Identifier: MIT
 */
#include "init.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SECTOR	       512
#define ISO_PVD_OFFSET 32768
#define ISO_VOLID      40
#define ISO_VOLID_LEN  32
#define EXT_OFFSET     1024
#define EXT_MAGIC      0x38
#define EXT_LABEL      0x78
#define EXT_LABEL_LEN  16
#define FAT_LABEL_LEN  11
#define EXFAT_ENTRY    32
#define EXFAT_LABEL    0x83
#define EXFAT_END      0x00

static uint32_t le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool read_at(int fd, off_t at, void *buffer, size_t size)
{
	return pread(fd, buffer, size, at) == (ssize_t)size;
}

/* A label that is padded with blanks or ended by a zero byte; unprintable bytes become '?'. */
static void set_label(struct volume *v, const uint8_t *text, size_t size)
{
	size_t n = 0;

	while (n < size && n < sizeof(v->label) - 1 && text[n]) {
		v->label[n] = text[n] >= ' ' && text[n] < 0x7f ? (char)text[n] : '?';
		n++;
	}
	while (n && v->label[n - 1] == ' ')
		n--;
	v->label[n] = '\0';
}

static bool is_iso(int fd, struct volume *v)
{
	uint8_t pvd[ISO_VOLID + ISO_VOLID_LEN];

	if (!read_at(fd, ISO_PVD_OFFSET, pvd, sizeof(pvd)) || memcmp(pvd, "\1CD001", 6))
		return false;
	v->type = "iso9660";
	set_label(v, pvd + ISO_VOLID, ISO_VOLID_LEN);
	return true;
}

static bool is_ext(int fd, struct volume *v)
{
	uint8_t sb[EXT_LABEL + EXT_LABEL_LEN];

	if (!read_at(fd, EXT_OFFSET, sb, sizeof(sb)) || sb[EXT_MAGIC] != 0x53 ||
	    sb[EXT_MAGIC + 1] != 0xef)
		return false;
	v->type = "ext4";
	set_label(v, sb + EXT_LABEL, EXT_LABEL_LEN);
	return true;
}

static bool is_fat(int fd, struct volume *v)
{
	uint8_t boot[SECTOR];

	if (!read_at(fd, 0, boot, sizeof(boot)) || boot[510] != 0x55 || boot[511] != 0xaa)
		return false;
	if (!memcmp(boot + 0x52, "FAT32", 5))
		set_label(v, boot + 0x47, FAT_LABEL_LEN);
	else if (!memcmp(boot + 0x36, "FAT1", 4))
		set_label(v, boot + 0x2b, FAT_LABEL_LEN);
	else
		return false;
	v->type = "vfat";
	return true;
}

/* The label is an entry of the root directory, whose first cluster is looked through. */
static void exfat_label(int fd, const uint8_t *boot, struct volume *v)
{
	unsigned sector_shift = boot[108], cluster_shift = boot[109];
	uint64_t heap = le32(boot + 88), root = le32(boot + 96);
	uint8_t entry[EXFAT_ENTRY], text[FAT_LABEL_LEN];
	off_t at;

	if (sector_shift < 9 || sector_shift > 12 || cluster_shift > 25 - sector_shift || root < 2)
		return;
	at = (off_t)((heap + ((root - 2) << cluster_shift)) << sector_shift);
	for (int i = 0; i < SECTOR / EXFAT_ENTRY; i++, at += EXFAT_ENTRY) {
		if (!read_at(fd, at, entry, sizeof(entry)) || entry[0] == EXFAT_END)
			return;
		if (entry[0] != EXFAT_LABEL || entry[1] > FAT_LABEL_LEN)
			continue;
		for (int c = 0; c < entry[1]; c++)
			text[c] = entry[3 + 2 * c] ? '?' : entry[2 + 2 * c];
		set_label(v, text, entry[1]);
		return;
	}
}

static bool is_exfat(int fd, struct volume *v)
{
	uint8_t boot[SECTOR];

	if (!read_at(fd, 0, boot, sizeof(boot)) || memcmp(boot + 3, "EXFAT   ", 8))
		return false;
	v->type = "exfat";
	exfat_label(fd, boot, v);
	return true;
}

/* ISO 9660 first: a hybrid image also has a boot sector. */
bool volume_read(int fd, struct volume *v)
{
	memset(v, 0, sizeof(*v));
	return is_iso(fd, v) || is_ext(fd, v) || is_exfat(fd, v) || is_fat(fd, v);
}

/* A label too long for the file system counts by what fits into it; FAT's has no lower case. */
bool volume_label_is(const struct volume *v, const char *label)
{
	bool fat = !strcmp(v->type, "vfat") || !strcmp(v->type, "exfat");

	if (fat && strlen(label) > FAT_LABEL_LEN)
		return strlen(v->label) == FAT_LABEL_LEN &&
		       !strncasecmp(v->label, label, FAT_LABEL_LEN);
	return fat ? !strcasecmp(v->label, label) : !strcmp(v->label, label);
}
