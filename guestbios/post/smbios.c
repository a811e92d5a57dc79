/* SMBIOS: firmware, system, chassis, processor, memory.
 *
 * SPDX-License-Identifier: MIT
 */
#include "smbios.h"

#include "penumbra/platform.h"

#define H_MEMORY 0x1000

struct writer {
	u8 *buf;
	u32 len, cap, count;
	bool overflow;
};

static void put(struct writer *w, u8 v)
{
	if (w->len >= w->cap) {
		w->overflow = true;
		return;
	}
	w->buf[w->len++] = v;
}

/* A structure: the formatted area (its first four bytes are filled in), then strings. */
static void structure(struct writer *w, u8 type, u16 handle, u8 *area, u8 len,
		      const char *const *strings, u32 nstrings)
{
	area[0] = type;
	area[1] = len;
	area[2] = handle;
	area[3] = handle >> 8;
	for (u32 i = 0; i < len; i++)
		put(w, area[i]);
	for (u32 i = 0; i < nstrings; i++) {
		const char *s = strings[i];

		do
			put(w, *s);
		while (*s++);
	}
	if (!nstrings)
		put(w, 0);
	put(w, 0);
	w->count++;
}

static void set16(u8 *p, u32 v)
{
	p[0] = v;
	p[1] = v >> 8;
}

static void set32(u8 *p, u32 v)
{
	set16(p, v);
	set16(p + 2, v >> 16);
}

static void firmware(struct writer *w)
{
	static const char *const s[] = {"Penumbra", "1", "01/01/2024"};
	u8 a[24] = {[4] = 1, [5] = 2, [8] = 3, [9] = PC_BIOS_SIZE / 0x10000 - 1};

	set16(a + 6, PC_BIOS_BASE >> 4);
	a[10] = 0x80; /* PCI */
	a[11] = 0x80; /* boots from CD */
	a[12] = 0x08; /* EDD */
	a[18] = 0x01; /* ACPI */
	a[19] = 0x14; /* a virtual machine; targeted content */
	a[20] = a[22] = 0xff;
	a[21] = a[23] = 0xff;
	structure(w, 0, 0x0000, a, sizeof(a), s, ARRAY_SIZE(s));
}

static void system(struct writer *w, const struct bios_config *cfg)
{
	const char *s[] = {"Penumbra", "Guest PC", "1", cfg->name};
	u8 a[27] = {[4] = 1, [5] = 2, [6] = 3, [24] = 6 /* power switch */};
	bool named = cfg->name[0] != 0;

	for (u32 i = 0; i < 16; i++)
		a[8 + i] = cfg->uuid[i];
	a[25] = named ? 4 : 0; /* SKU: the partition's name */
	structure(w, 1, 0x0100, a, sizeof(a), s, named ? 4 : 3);
}

static void chassis(struct writer *w)
{
	static const char *const s[] = {"Penumbra"};
	u8 a[21] = {[4] = 1, [5] = 1 /* other */, [9] = 3, [10] = 3, [11] = 3, [12] = 2};

	structure(w, 3, 0x0300, a, sizeof(a), s, ARRAY_SIZE(s));
}

static void processor(struct writer *w, const struct bios_config *cfg)
{
	static const char *const s[] = {"CPU 0"};
	u8 a[42] = {[4] = 1, [5] = 3 /* central */, [6] = 2 /* family unknown */};
	u32 mhz = cfg->tsc_khz / 1000, n = cfg->ncpus > 255 ? 255 : cfg->ncpus;

	set16(a + 20, mhz);
	set16(a + 22, mhz);
	a[24] = 0x41; /* populated, enabled */
	a[25] = 1;    /* no upgrade socket: other */
	set16(a + 26, 0xffff);
	set16(a + 28, 0xffff);
	set16(a + 30, 0xffff);
	a[35] = a[36] = a[37] = n; /* cores, enabled, threads */
	set16(a + 38, 0x0004);	   /* 64-bit capable */
	set16(a + 40, 2);
	structure(w, 4, 0x0400, a, sizeof(a), s, ARRAY_SIZE(s));
}

static void memory_array(struct writer *w, u64 total)
{
	u8 a[23] = {[4] = 1 /* other */, [5] = 3 /* system memory */, [6] = 3 /* no ECC */};
	u64 kib = total >> 10;

	set32(a + 7, kib < 0x80000000u ? (u32)kib : 0x80000000u);
	if (kib >= 0x80000000u)
		for (u32 i = 0; i < 8; i++)
			a[15 + i] = total >> (i * 8);
	set16(a + 11, 0xfffe);
	set16(a + 13, 1);
	structure(w, 16, H_MEMORY, a, sizeof(a), NULL, 0);
}

static void memory_device(struct writer *w, u64 total)
{
	static const char *const s[] = {"DIMM 0"};
	u8 a[34] = {[16] = 1, [14] = 9 /* DIMM */, [18] = 7 /* RAM */};
	u32 mib = total >> 20;

	set16(a + 4, H_MEMORY);
	set16(a + 6, 0xfffe);
	set16(a + 8, 64);
	set16(a + 10, 64);
	set16(a + 12, mib < 0x7fff ? mib : 0x7fff);
	if (mib >= 0x7fff)
		set32(a + 28, mib);
	set16(a + 19, 0x0002);
	structure(w, 17, 0x1100, a, sizeof(a), s, ARRAY_SIZE(s));
}

/* Type 19 maps [start, end); without high RAM its second one is type 126, inactive. */
static void memory_map(struct writer *w, u8 type, u16 handle, u64 start, u64 len)
{
	u8 a[31] = {[14] = 1};
	u64 first = start >> 10, last = ((start + len) >> 10) - 1;

	if (last < 0xffffffffu) {
		set32(a + 4, first);
		set32(a + 8, last);
	} else {
		u64 end = start + len - 1;

		set32(a + 4, 0xffffffff);
		set32(a + 8, 0xffffffff);
		for (u32 i = 0; i < 8; i++) {
			a[15 + i] = start >> (i * 8);
			a[23 + i] = end >> (i * 8);
		}
	}
	set16(a + 12, H_MEMORY);
	structure(w, type, handle, a, sizeof(a), NULL, 0);
}

static void boot_status(struct writer *w)
{
	u8 a[20] = {0}; /* no errors */

	structure(w, 32, 0x2000, a, sizeof(a), NULL, 0);
}

static void end_of_table(struct writer *w)
{
	u8 a[4] = {0};

	structure(w, 127, 0x7f00, a, sizeof(a), NULL, 0);
}

bool smbios_build(u8 *buf, u32 room, const struct bios_config *cfg)
{
	struct writer w = {.buf = buf, .cap = room};
	u64 total = cfg->low_ram + cfg->high_ram;

	firmware(&w);
	system(&w, cfg);
	chassis(&w);
	processor(&w, cfg);
	memory_array(&w, total);
	memory_device(&w, total);
	memory_map(&w, 19, 0x1300, 0, cfg->low_ram);
	memory_map(&w, cfg->high_ram ? 19 : 126, 0x1301, PC_HIGH_RAM_BASE,
		   cfg->high_ram ? cfg->high_ram : KIB);
	boot_status(&w);
	end_of_table(&w);
	while (w.len < w.cap)
		w.buf[w.len++] = 0;
	return !w.overflow && w.count == SMBIOS_COUNT;
}
