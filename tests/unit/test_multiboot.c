/* What the loader says -> struct boot_info. These tests would catch: tags or modules read beyond
 * the block, overlaps of the memory map resolved in favour of RAM, an address that wraps, the name
 * of a module or the image's own path mistaken for arguments, the EFI map used although an
 * E820-like one is there, a place for the image that overlaps a module or lies above 4 GiB.
 *
 * SRCS: firmware/multiboot.c firmware/relocate.c hv/lib/str.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "firmware/boot.h"
#include "firmware/multiboot.h"
#include "firmware/relocate.h"
#include "lib/errno.h"

/* Names of the linker script that relocate.c's other half refers to. */
char boot_tables[1], image_end[1];
void boot_copy_and_switch(void *dst, const void *src, u64 len, u64 cr3)
{
	(void)dst, (void)src, (void)len, (void)cr3;
	abort();
}

static u8 *mem;
static u64 mem_size;

static const void *at(void *ctx, hpa_t pa, u64 len)
{
	(void)ctx;
	return pa <= mem_size && len <= mem_size - pa ? mem + pa : NULL;
}

static const struct phys_view view = {.at = at};
static struct boot_info bi;
static struct multiboot_extra extra;

/* Exactly @n bytes, so that the sanitizer sees the first one read beyond. */
static void memory(u64 n)
{
	free(mem);
	mem = calloc(1, n);
	mem_size = n;
	memset(&bi, 0, sizeof(bi));
}

static void put(u64 where, unsigned size, u64 v)
{
	memcpy(mem + where, &v, size);
}

static void region(hpa_t base, u64 len, enum mem_type type)
{
	bi.region[bi.nregions++] = (struct boot_region){.base = base, .len = len, .type = type};
}

static void check_region(unsigned i, hpa_t base, u64 len, enum mem_type type)
{
	CHECK(i < bi.nregions);
	CHECK_EQ(bi.region[i].base, base);
	CHECK_EQ(bi.region[i].len, len);
	CHECK_EQ(bi.region[i].type, type);
}

/* --- memory map ----------------------------------------------------------------------------- */

TEST(map_is_sorted_and_merged)
{
	memory(1);
	region(0x200000, 0x100000, MEM_RAM);
	region(0, 0xa0000, MEM_RAM);
	region(0x100000, 0x100000, MEM_RAM);
	CHECK_EQ(memory_map_normalise(&bi), 0);
	CHECK_EQ(bi.nregions, 2);
	check_region(0, 0, 0xa0000, MEM_RAM);
	check_region(1, 0x100000, 0x200000, MEM_RAM);
}

TEST(overlaps_go_to_the_less_usable_type)
{
	memory(1);
	region(0, 0x10000, MEM_RAM);
	region(0x4000, 0x2000, MEM_ACPI);
	region(0x5000, 0x2000, MEM_RESERVED);
	region(0x6000, 0x800, MEM_BAD);
	memory_map_normalise(&bi);
	CHECK_EQ(bi.nregions, 6);
	check_region(0, 0, 0x4000, MEM_RAM);
	check_region(1, 0x4000, 0x1000, MEM_ACPI);
	check_region(2, 0x5000, 0x1000, MEM_RESERVED);
	check_region(3, 0x6000, 0x800, MEM_BAD);
	check_region(4, 0x6800, 0x800, MEM_RESERVED);
	check_region(5, 0x7000, 0x9000, MEM_RAM);
}

/* Any map against a byte-for-byte reference on a small address space. */
TEST(random_maps_match_a_byte_map)
{
	static const unsigned rank[] = {0, 1, 4, 2, 3, 5};
	u8 want[256], got[256];

	srand(1);
	for (unsigned round = 0; round < 2000; round++) {
		memory(1);
		memset(want, 0, sizeof(want));
		memset(got, 0, sizeof(got));
		for (unsigned n = rand() % 12; n; n--) {
			unsigned base = rand() % 250, len = 1 + rand() % (256 - base);
			enum mem_type t = (enum mem_type)(1 + rand() % 5);

			region(base, len, t);
			for (unsigned i = base; i < base + len; i++)
				if (rank[t] > rank[want[i]])
					want[i] = (u8)t;
		}
		memory_map_normalise(&bi);
		for (unsigned i = 0; i < bi.nregions; i++) {
			if (i)
				CHECK(bi.region[i].base >=
				      bi.region[i - 1].base + bi.region[i - 1].len);
			memset(got + bi.region[i].base, bi.region[i].type, bi.region[i].len);
		}
		CHECK(memcmp(want, got, sizeof(got)) == 0);
	}
}

/* --- Multiboot2 ----------------------------------------------------------------------------- */

#define INFO 0x40u
static u64 tail;

static void mb2_begin(void)
{
	memory(0x4000);
	tail = INFO + 8;
}

static u64 mb2_tag(u32 type, u32 size)
{
	u64 where = tail;

	put(where, 4, type);
	put(where + 4, 4, size);
	tail += ALIGN_UP((u64)size, 8);
	return where + 8;
}

static void mb2_text(u32 type, const char *s)
{
	strcpy((char *)mem + mb2_tag(type, 8 + (u32)strlen(s) + 1), s);
}

static void mb2_module(u32 start, u32 end, const char *s)
{
	u64 p = mb2_tag(3, 16 + (u32)strlen(s) + 1);

	put(p, 4, start);
	put(p + 4, 4, end);
	strcpy((char *)mem + p + 8, s);
}

static void mb2_mmap(u64 base, u64 len, u32 type)
{
	u64 p = mb2_tag(6, 16 + 24);

	put(p, 4, 24);
	put(p + 8, 8, base);
	put(p + 16, 8, len);
	put(p + 24, 4, type);
}

static int mb2_parse(void)
{
	put(INFO, 4, tail + 8 - INFO);
	mb2_tag(0, 8);
	/* The block ends where memory does: reading on is caught. */
	mem = realloc(mem, tail);
	mem_size = tail;
	return multiboot_parse(&bi, &extra, MULTIBOOT2_BOOTED, INFO, &view);
}

TEST(mb2_block_is_read)
{
	u64 p;

	mb2_begin();
	mb2_text(1, "verbose console=com2");
	mb2_text(2, "GRUB 2.06");
	mb2_module(0x100000, 0x180000, "guestbios.bin");
	mb2_module(0x200000, 0x200010, "  disk.img   ro  cached");
	mb2_mmap(0x100000, 0x1000000, 1);
	p = mb2_tag(8, 32);
	put(p, 8, 0x80000000);
	put(p + 8, 4, 4096);
	put(p + 12, 4, 1024);
	put(p + 16, 4, 768);
	put(p + 20, 1, 32);
	put(p + 21, 1, 1);
	memcpy(mem + mb2_tag(14, 8 + 20), "RSD PTR old.........", 20);
	memcpy(mem + mb2_tag(15, 8 + 36), "RSD PTR new.........................", 36);
	memcpy(mem + mb2_tag(14, 8 + 20), "RSD PTR old.........", 20);
	CHECK_EQ(mb2_parse(), 0);
	CHECK_STR(bi.cmdline, "verbose console=com2");
	CHECK_STR(bi.loader, "GRUB 2.06");
	CHECK(!bi.efi);
	CHECK_EQ(bi.nmodules, 2);
	CHECK_STR(bi.module[0].name, "guestbios.bin");
	CHECK_STR(bi.module[0].args, "");
	CHECK_EQ(bi.module[0].len, 0x80000);
	CHECK_STR(bi.module[1].name, "disk.img");
	CHECK_STR(bi.module[1].args, "ro  cached");
	CHECK_EQ(bi.fb.base, 0x80000000);
	CHECK_EQ(bi.fb.width, 1024);
	CHECK(!bi.fb.text);
	CHECK_EQ(extra.rsdp_len, 36);
	CHECK(memcmp(extra.rsdp, "RSD PTR new", 11) == 0);
	check_region(0, 0x100000, 0x1000000, MEM_RAM);
}

static void efi_map(void)
{
	u64 p = mb2_tag(17, 16 + 3 * 48);
	static const u32 types[] = {7, 4, 9};

	put(p, 4, 48);
	for (unsigned i = 0; i < 3; i++) {
		put(p + 8 + 48 * i, 4, types[i]);
		put(p + 8 + 48 * i + 8, 8, 0x100000 * (i + 1));
		put(p + 8 + 48 * i + 24, 8, 0x100);
	}
}

TEST(efi_map_only_without_the_other)
{
	mb2_begin();
	efi_map();
	CHECK_EQ(mb2_parse(), 0);
	CHECK(bi.efi);
	CHECK_EQ(bi.nregions, 2);
	check_region(0, 0x100000, 0x200000, MEM_RAM);
	check_region(1, 0x300000, 0x100000, MEM_ACPI);

	mb2_begin();
	efi_map();
	mb2_mmap(0, 0x80000, 1);
	CHECK_EQ(mb2_parse(), 0);
	CHECK_EQ(bi.nregions, 1);
	check_region(0, 0, 0x80000, MEM_RAM);
}

TEST(no_memory_map_is_an_error)
{
	mb2_begin();
	mb2_text(1, "x");
	CHECK(mb2_parse() < 0);
	mb2_begin();
	put(mb2_tag(4, 16) + 4, 4, 1024);
	CHECK_EQ(mb2_parse(), 0);
	check_region(0, 0x100000, 0x100000, MEM_RAM);
}

TEST(tags_that_lie_about_their_size)
{
	static const u32 sizes[] = {0, 7, 0x1000, 0xfffffff8, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 p;

		mb2_begin();
		mb2_mmap(0, 0x80000, 1);
		p = mb2_tag(3, 16);
		put(p - 4, 4, sizes[i]);
		mb2_text(1, "after");
		mb2_parse();
		CHECK_EQ(bi.nmodules, 0);
		CHECK_STR(bi.cmdline, "");
		CHECK_EQ(bi.nregions, 1);
	}
	/* Every type with every size too small for it. */
	for (u32 type = 1; type < 24; type++) {
		for (u32 size = 8; size < 40; size++) {
			mb2_begin();
			mb2_tag(type, size);
			mb2_parse();
		}
	}
}

TEST(total_size_is_bounded)
{
	mb2_begin();
	put(INFO, 4, 0xffffffff);
	CHECK(multiboot_parse(&bi, &extra, MULTIBOOT2_BOOTED, INFO, &view) < 0);
	put(INFO, 4, 4);
	CHECK(multiboot_parse(&bi, &extra, MULTIBOOT2_BOOTED, INFO, &view) < 0);
	CHECK(multiboot_parse(&bi, &extra, MULTIBOOT2_BOOTED, 0xfffffff0, &view) < 0);
	CHECK(multiboot_parse(&bi, &extra, 0x12345678, INFO, &view) < 0);
}

TEST(map_entries_that_wrap_or_are_nothing)
{
	mb2_begin();
	mb2_mmap(0xffffffffffff0000, 0x100000, 2);
	CHECK_EQ(mb2_parse(), 0);
	CHECK_EQ(bi.nregions, 1);
	CHECK_EQ(bi.region[0].base, 0xffffffffffff0000);
	CHECK(bi.region[0].len <= 0x10000 && bi.region[0].len >= 0xffff);
	mb2_begin();
	mb2_mmap(0x1000, 0, 1);
	CHECK(mb2_parse() < 0);
}

TEST(modules_beyond_the_table_are_counted)
{
	mb2_begin();
	mb2_mmap(0, 0x80000, 1);
	for (unsigned i = 0; i < BOOT_MAX_MODULES + 3; i++)
		mb2_module(0x100000, 0x100000, "");
	CHECK_EQ(mb2_parse(), 0);
	CHECK_EQ(bi.nmodules, BOOT_MAX_MODULES);
	CHECK_EQ(bi.modules_dropped, 3);
	CHECK_STR(bi.module[0].name, "");
}

TEST(long_texts_are_cut)
{
	char text[4000];

	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 0;
	mb2_begin();
	mb2_mmap(0, 0x80000, 1);
	mb2_text(1, text);
	mb2_module(0, 0, text);
	CHECK_EQ(mb2_parse(), 0);
	CHECK_EQ(strlen(bi.cmdline), BOOT_CMDLINE_MAX - 1);
	CHECK_EQ(strlen(bi.module[0].name), BOOT_MODNAME_MAX - 1);
	CHECK_EQ(strlen(bi.module[0].args), 0);
}

/* --- Multiboot1 ----------------------------------------------------------------------------- */

static void mb1_machine(const char *cmdline, const char *module)
{
	memory(0x1000);
	put(0x100, 4, 1 | 4 | 8 | 0x40);
	put(0x100 + 16, 4, 0x200);
	strcpy((char *)mem + 0x200, cmdline);
	put(0x100 + 20, 4, 1);
	put(0x100 + 24, 4, 0x300);
	put(0x300, 4, 0x150000);
	put(0x304, 4, 0x150100);
	put(0x308, 4, 0x400);
	strcpy((char *)mem + 0x400, module);
	put(0x100 + 44, 4, 24);
	put(0x100 + 48, 4, 0x500);
	put(0x500, 4, 20);
	put(0x504, 8, 0x100000);
	put(0x50c, 8, 0x700000);
	put(0x514, 4, 1);
}

static int mb1_parse(void)
{
	return multiboot_parse(&bi, &extra, MULTIBOOT1_BOOTED, 0x100, &view);
}

TEST(mb1_block_is_read)
{
	mb1_machine("/boot/penumbra.elf paging=nested verbose", "/boot/guestbios.bin one two");
	CHECK_EQ(mb1_parse(), 0);
	CHECK_STR(bi.cmdline, "paging=nested verbose");
	CHECK_EQ(bi.nmodules, 1);
	CHECK_STR(bi.module[0].name, "guestbios.bin");
	CHECK_STR(bi.module[0].args, "one two");
	CHECK_EQ(bi.module[0].base, 0x150000);
	CHECK_EQ(bi.module[0].len, 0x100);
	CHECK_EQ(bi.nregions, 1);
	check_region(0, 0x100000, 0x700000, MEM_RAM);
}

TEST(mb1_image_name_is_only_dropped_when_it_is_one)
{
	static const char *const texts[][2] = {
		{"penumbra.elf", ""},
		{"penumbra.elf a=b", "a=b"},
		{"a=/b.elf c", "a=/b.elf c"},
		{"verbose x=y.elf", "verbose x=y.elf"},
		{"", ""},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
		mb1_machine(texts[i][0], "m");
		CHECK_EQ(mb1_parse(), 0);
		CHECK_STR(bi.cmdline, texts[i][1]);
	}
}

TEST(mb1_pointers_and_counts_may_lie)
{
	mb1_machine("x", "m");
	put(0x100 + 20, 4, 0xffffffff); /* modules: those beyond memory are not there */
	CHECK_EQ(mb1_parse(), 0);
	CHECK_EQ(bi.nmodules, BOOT_MAX_MODULES);

	mb1_machine("x", "m");
	put(0x100 + 16, 4, 0xffe); /* command line runs into the end of memory */
	mem[0xffe] = mem[0xfff] = 'z';
	put(0x100 + 24, 4, 0xfffffff0);
	put(0x100 + 44, 4, 0xffffffff); /* memory map's length */
	CHECK_EQ(mb1_parse(), 0);
	CHECK_STR(bi.cmdline, "zz");
	CHECK_EQ(bi.nmodules, 0);

	mb1_machine("x", "m");
	put(0x500, 4, 0); /* an entry of no size */
	CHECK_EQ(mb1_parse(), -ENOENT);
	put(0x100 + 8, 4, 0x400); /* falls back to the two sizes */
	CHECK_EQ(mb1_parse(), 0);
	check_region(0, 0x100000, 0x100000, MEM_RAM);
}

/* --- a place for the image ------------------------------------------------------------------ */

static void place_machine(void)
{
	memory(1);
	region(0, 0x9f000, MEM_RAM);
	region(0x100000, 0x7ff00000, MEM_RAM); /* to 2 GiB */
	region(0x100000000, 0x100000000, MEM_RAM);
}

static void module(hpa_t base, u64 len)
{
	bi.module[bi.nmodules].base = base;
	bi.module[bi.nmodules++].len = len;
}

TEST(image_goes_to_the_top_below_4g)
{
	place_machine();
	CHECK_EQ(image_find_place(&bi, 0x50000, 0x200000, 0x50000), 0x7fe00000);
	/* Not over modules, not even partly. */
	module(0x7fe4f000, 0x1000);
	CHECK_EQ(image_find_place(&bi, 0x50000, 0x200000, 0x50000), 0x7fc00000);
	module(0x7fc00000, 0x1000);
	CHECK_EQ(image_find_place(&bi, 0x50000, 0x200000, 0x50000), 0x7fa00000);
	/* Enough space behind a module in the same 2 MiB does not count: alignment. */
	module(0x300000, 0x7f800000);
	CHECK_EQ(image_find_place(&bi, 0x50000, 0x200000, 0x50000), 0);
	CHECK_EQ(image_find_place(&bi, 0x50000, 0, 0), 0x200000);
}

TEST(a_region_across_4g_counts_up_to_there)
{
	memory(1);
	region(0x100000, 0x200000000, MEM_RAM);
	CHECK_EQ(image_find_place(&bi, 0x300000, 0, 0), 0xffc00000);
}
