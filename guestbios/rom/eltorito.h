/* El Torito boot records ("El Torito" Bootable CD-ROM Format Specification 1.0). Pure: each
 * function looks at one 2048-byte sector.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_ELTORITO_H
#define GUESTBIOS_ELTORITO_H

#include "penumbra/types.h"

#define ELTORITO_BOOT_RECORD_LBA 17
#define ELTORITO_NO_EMULATION	 0
#define ELTORITO_FLOPPY_1200	 1
#define ELTORITO_FLOPPY_1440	 2
#define ELTORITO_FLOPPY_2880	 3
#define ELTORITO_HARD_DISK	 4

struct eltorito_entry {
	u32 lba;      /* of the image, 2048-byte sectors */
	u16 load_seg; /* 0 in the catalogue means 7C0h */
	u16 count;    /* 512-byte sectors to load */
	u8 media;
};

enum eltorito_error {
	ELTORITO_OK = 0,
	ELTORITO_NO_RECORD, /* sector 17 is no El Torito boot record */
	ELTORITO_BAD_CHECK, /* validation entry wrong */
	ELTORITO_NO_X86,    /* platform is another one */
	ELTORITO_NOT_BOOTABLE,
	ELTORITO_BAD_MEDIA,
};

static inline u32 eltorito_get32(const u8 *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24;
}

/* The catalogue's LBA from sector 17's bytes, of which the first 0x4b are needed; 0 if it is none.
 * `name` is "\1CD001\1EL TORITO SPECIFICATION". */
#define ELTORITO_NAME_LEN 30
#define ELTORITO_NAME	  "\0CD001\1EL TORITO SPECIFICATION"
static inline u32 eltorito_catalogue(const u8 *sector, const char name[ELTORITO_NAME_LEN])
{
	for (u32 i = 0; i < ELTORITO_NAME_LEN; i++)
		if (sector[i] != (u8)name[i])
			return 0;
	return eltorito_get32(sector + 0x47);
}

/* The default entry of a catalogue: its first 64 bytes. */
static inline enum eltorito_error eltorito_default(const u8 *cat, struct eltorito_entry *e)
{
	const u8 *entry = cat + 32;
	u16 sum = 0;

	for (u32 i = 0; i < 32; i += 2)
		sum += cat[i] | cat[i + 1] << 8;
	if (cat[0] != 1 || cat[30] != 0x55 || cat[31] != 0xaa || sum)
		return ELTORITO_BAD_CHECK;
	if (cat[1] != 0)
		return ELTORITO_NO_X86;
	if (entry[0] != 0x88)
		return ELTORITO_NOT_BOOTABLE;
	e->media = entry[1] & 0x0f;
	e->load_seg = entry[2] | entry[3] << 8;
	if (!e->load_seg)
		e->load_seg = 0x7c0;
	e->count = entry[6] | entry[7] << 8;
	e->lba = eltorito_get32(entry + 8);
	return e->media > ELTORITO_HARD_DISK ? ELTORITO_BAD_MEDIA : ELTORITO_OK;
}

#endif
