/* Multiboot specification 0.6.96 §3.3 and Multiboot2 specification 2.0 §3.6.
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/multiboot.h"
#include "lib/errno.h"
#include "lib/str.h"

#define MB2_INFO_MAX (1 * MIB)

enum mb2_tag_type {
	MB2_END = 0,
	MB2_CMDLINE = 1,
	MB2_LOADER = 2,
	MB2_MODULE = 3,
	MB2_BASIC_MEM = 4,
	MB2_MMAP = 6,
	MB2_FRAMEBUFFER = 8,
	MB2_EFI32 = 11,
	MB2_EFI64 = 12,
	MB2_RSDP_OLD = 14,
	MB2_RSDP_NEW = 15,
	MB2_EFI_MMAP = 17,
};

struct mb2_tag {
	u32 type;
	u32 size;
};

struct mb2_module {
	struct mb2_tag tag;
	u32 start, end;
	char string[];
};

struct mb2_basic_mem {
	struct mb2_tag tag;
	u32 lower, upper; /* KiB from 0 and from 1 MiB */
};

struct mb2_mmap {
	struct mb2_tag tag;
	u32 entry_size, entry_version;
};

struct mb2_mmap_entry {
	u64 base, len;
	u32 type, reserved;
};

struct mb2_framebuffer {
	struct mb2_tag tag;
	u64 addr;
	u32 pitch, width, height;
	u8 bpp, type;
	u16 reserved;
} __attribute__((packed));

struct mb2_efi_mmap {
	struct mb2_tag tag;
	u32 desc_size, desc_version;
};

struct efi_desc {
	u32 type, pad;
	u64 phys, virt, pages, attr;
};

struct mb1_info {
	u32 flags;
	u32 mem_lower, mem_upper;
	u32 boot_device;
	u32 cmdline;
	u32 mods_count, mods_addr;
	u32 syms[4];
	u32 mmap_length, mmap_addr;
	u32 drives_length, drives_addr;
	u32 config_table;
	u32 loader_name;
	u32 apm_table;
	u32 vbe[4];
	u64 fb_addr;
	u32 fb_pitch, fb_width, fb_height;
	u8 fb_bpp, fb_type;
} __attribute__((packed));
_Static_assert(offsetof(struct mb1_info, fb_addr) == 88, "Multiboot1 layout");

#define MB1_HAS_MEM	BIT(0)
#define MB1_HAS_CMDLINE BIT(2)
#define MB1_HAS_MODS	BIT(3)
#define MB1_HAS_MMAP	BIT(6)
#define MB1_HAS_LOADER	BIT(9)
#define MB1_HAS_FB	BIT(12)
/* Before the framebuffer fields, which old loaders do not have. */
#define MB1_INFO_MIN offsetof(struct mb1_info, fb_addr)

struct mb1_module {
	u32 start, end, string, reserved;
};

struct mb1_mmap_entry {
	u32 size; /* of the rest */
	u64 base, len;
	u32 type;
} __attribute__((packed));

#define FB_TYPE_RGB  1
#define FB_TYPE_TEXT 2

/* --- the memory map ------------------------------------------------------------------------- */

static enum mem_type e820_type(u32 type)
{
	return type >= MEM_RAM && type <= MEM_BAD ? (enum mem_type)type : MEM_RESERVED;
}

/* EFI memory types (UEFI specification §7.2) after the boot services have gone. */
static enum mem_type efi_type(u32 type)
{
	switch (type) {
	case 1: /* loader code and data, boot services code and data, conventional */
	case 2:
	case 3:
	case 4:
	case 7:
		return MEM_RAM;
	case 8:
		return MEM_BAD;
	case 9:
		return MEM_ACPI;
	case 10:
		return MEM_NVS;
	default:
		return MEM_RESERVED;
	}
}

static void region_add(struct boot_info *bi, hpa_t base, u64 len, enum mem_type type)
{
	struct boot_region *last = bi->nregions ? &bi->region[bi->nregions - 1] : NULL;

	if (base + len < base)
		len = 0 - base;
	if (!len)
		return;
	/* EFI maps have many neighbours of one kind: do not let them fill the table. */
	if (last && last->type == type && last->base + last->len == base)
		last->len += len;
	else if (bi->nregions < BOOT_MAX_REGIONS)
		bi->region[bi->nregions++] =
			(struct boot_region){.base = base, .len = len, .type = type};
}

/* The higher, the less usable: wins where regions overlap. */
static unsigned type_rank(enum mem_type type)
{
	static const u8 rank[] = {
		[MEM_RAM] = 1, [MEM_ACPI] = 2, [MEM_NVS] = 3, [MEM_RESERVED] = 4, [MEM_BAD] = 5};

	return rank[type];
}

/* What the raw map says about address @pos (0: nothing) and where that may change next. */
static unsigned map_at(const struct boot_region *raw, unsigned n, hpa_t pos, hpa_t *change)
{
	unsigned type = 0;

	*change = UINT64_MAX;
	for (unsigned i = 0; i < n; i++) {
		hpa_t end = raw[i].base + raw[i].len - 1; /* last byte: may be the very last */

		if (raw[i].base > pos) {
			*change = MIN(*change, raw[i].base);
		} else if (end >= pos) {
			if (end != UINT64_MAX)
				*change = MIN(*change, end + 1);
			if (!type || type_rank(raw[i].type) > type_rank((enum mem_type)type))
				type = raw[i].type;
		}
	}
	return type;
}

unsigned memory_map_normalise(struct boot_info *bi)
{
	static struct boot_region raw[BOOT_MAX_REGIONS];
	unsigned n = bi->nregions, lost = 0;
	hpa_t pos = 0;

	memcpy(raw, bi->region, n * sizeof(raw[0]));
	bi->nregions = 0;
	while (pos != UINT64_MAX) {
		hpa_t end;
		unsigned type = map_at(raw, n, pos, &end), before = bi->nregions;

		if (type) {
			u64 full = before == BOOT_MAX_REGIONS ? bi->region[before - 1].len : 0;

			region_add(bi, pos, end - pos, (enum mem_type)type);
			lost += full && bi->region[before - 1].len == full;
		}
		pos = end;
	}
	return lost;
}

static void mem_sizes(struct boot_info *bi, u32 lower_kib, u32 upper_kib)
{
	region_add(bi, 0, lower_kib * KIB, MEM_RAM);
	region_add(bi, MIB, upper_kib * KIB, MEM_RAM);
}

/* --- strings -------------------------------------------------------------------------------- */

static const char *skip_blanks(const char *s)
{
	while (*s == ' ')
		s++;
	return s;
}

/* Copy @len bytes at most, up to a NUL, into @dst of @size bytes. */
static void copy_text(char *dst, size_t size, const char *src, u64 len)
{
	size_t n = strnlen(src, (size_t)MIN(len, size - 1));

	memcpy(dst, src, n);
	dst[n] = 0;
}

/* A module's name is the first word. Loaders that pass the file's path as that word (ISOLINUX)
 * start it with a slash: then the name is the path's last part. */
static void module_set_text(struct boot_module *m, const char *text)
{
	const char *word = skip_blanks(text), *end = strchr(word, ' ');
	size_t n = end ? (size_t)(end - word) : strlen(word);

	copy_text(m->name, sizeof(m->name), word, n);
	if (m->name[0] == '/') {
		const char *base = strrchr(m->name, '/') + 1;

		memmove(m->name, base, strlen(base) + 1);
	}
	copy_text(m->args, sizeof(m->args), skip_blanks(word + n), sizeof(m->args));
}

static void module_add(struct boot_info *bi, u32 start, u32 end, const char *text)
{
	struct boot_module *m;

	if (end < start)
		end = start;
	if (bi->nmodules == BOOT_MAX_MODULES) {
		bi->modules_dropped++;
		return;
	}
	m = &bi->module[bi->nmodules++];
	m->base = start;
	m->len = end - start;
	module_set_text(m, text);
}

/* Some loaders put the image's own path in front of the command line: drop a first word that has
 * no '=' and names a file. */
static void strip_image_name(char *cmdline)
{
	char *word = cmdline + (skip_blanks(cmdline) - cmdline), *end = strchr(word, ' ');
	size_t n = end ? (size_t)(end - word) : strlen(word);

	if (memchr(word, '=', n))
		return;
	if (memchr(word, '/', n) ||
	    (n > 4 && (strstr(word, ".elf") && strstr(word, ".elf") < word + n)))
		memmove(cmdline, skip_blanks(word + n), strlen(skip_blanks(word + n)) + 1);
}

static void set_fb(struct boot_fb *fb, hpa_t base, u32 pitch, u32 width, u32 height, u8 bpp,
		   u8 type)
{
	if (type != FB_TYPE_RGB && type != FB_TYPE_TEXT)
		return;
	*fb = (struct boot_fb){.base = base,
			       .pitch = pitch,
			       .width = width,
			       .height = height,
			       .bpp = bpp,
			       .text = type == FB_TYPE_TEXT};
}

/* --- Multiboot2 ----------------------------------------------------------------------------- */

static void mb2_mmap_add(struct boot_info *bi, const struct mb2_mmap *t)
{
	const u8 *p = (const u8 *)(t + 1), *end = (const u8 *)t + t->tag.size;

	if (t->entry_size < sizeof(struct mb2_mmap_entry))
		return;
	for (; (u64)(end - p) >= t->entry_size; p += t->entry_size) {
		struct mb2_mmap_entry e;

		memcpy(&e, p, sizeof(e));
		region_add(bi, e.base, e.len, e820_type(e.type));
	}
}

static void mb2_efi_mmap_add(struct boot_info *bi, const struct mb2_efi_mmap *t)
{
	const u8 *p = (const u8 *)(t + 1), *end = (const u8 *)t + t->tag.size;

	if (t->desc_size < sizeof(struct efi_desc))
		return;
	for (; (u64)(end - p) >= t->desc_size; p += t->desc_size) {
		struct efi_desc d;

		memcpy(&d, p, sizeof(d));
		if (d.pages <= UINT64_MAX / PAGE_SIZE)
			region_add(bi, d.phys, d.pages * PAGE_SIZE, efi_type(d.type));
	}
}

static void mb2_fb(struct boot_info *bi, const struct mb2_framebuffer *t)
{
	set_fb(&bi->fb, t->addr, t->pitch, t->width, t->height, t->bpp, t->type);
}

static void mb2_rsdp(struct multiboot_extra *x, const struct mb2_tag *t)
{
	unsigned want = t->type == MB2_RSDP_NEW ? 36 : 20, have = t->size - sizeof(*t);

	if (have < want || want < x->rsdp_len)
		return;
	memcpy(x->rsdp, t + 1, want);
	x->rsdp_len = want;
}

static void mb2_module(struct boot_info *bi, const struct mb2_module *t)
{
	char text[2 * BOOT_MODNAME_MAX];

	copy_text(text, sizeof(text), t->string, t->tag.size - sizeof(*t));
	module_add(bi, t->start, t->end, text);
}

/* The memory map comes in up to three forms; the first of these that is there is used. */
struct mb2_maps {
	const struct mb2_mmap *e820;
	const struct mb2_efi_mmap *efi;
	const struct mb2_basic_mem *basic;
};

static size_t mb2_min_size(u32 type)
{
	switch (type) {
	case MB2_MODULE:
		return sizeof(struct mb2_module);
	case MB2_BASIC_MEM:
		return sizeof(struct mb2_basic_mem);
	case MB2_MMAP:
		return sizeof(struct mb2_mmap);
	case MB2_FRAMEBUFFER:
		return sizeof(struct mb2_framebuffer);
	case MB2_EFI_MMAP:
		return sizeof(struct mb2_efi_mmap);
	default:
		return sizeof(struct mb2_tag);
	}
}

static void mb2_tag(struct boot_info *bi, struct multiboot_extra *x, struct mb2_maps *maps,
		    const struct mb2_tag *t)
{
	const char *text = (const char *)(t + 1);
	size_t len = t->size - sizeof(*t);

	switch (t->type) {
	case MB2_CMDLINE:
		copy_text(bi->cmdline, sizeof(bi->cmdline), text, len);
		break;
	case MB2_LOADER:
		copy_text(bi->loader, sizeof(bi->loader), text, len);
		break;
	case MB2_MODULE:
		mb2_module(bi, (const void *)t);
		break;
	case MB2_BASIC_MEM:
		maps->basic = (const void *)t;
		break;
	case MB2_MMAP:
		maps->e820 = (const void *)t;
		break;
	case MB2_EFI_MMAP:
		maps->efi = (const void *)t;
		bi->efi = true;
		break;
	case MB2_FRAMEBUFFER:
		mb2_fb(bi, (const void *)t);
		break;
	case MB2_EFI32:
	case MB2_EFI64:
		bi->efi = true;
		break;
	case MB2_RSDP_OLD:
	case MB2_RSDP_NEW:
		mb2_rsdp(x, t);
		break;
	default:
		break;
	}
}

static int mb2_parse(struct boot_info *bi, struct multiboot_extra *x, hpa_t info,
		     const struct phys_view *v)
{
	const u32 *head = v->at(v->ctx, info, 8);
	u32 total = head ? head[0] : 0;
	const u8 *base = total >= 8 && total <= MB2_INFO_MAX ? v->at(v->ctx, info, total) : NULL;
	struct mb2_maps maps = {0};

	if (!base)
		return -EINVAL;
	for (u64 off = 8; off + sizeof(struct mb2_tag) <= total;) {
		const struct mb2_tag *t = (const void *)(base + off);

		if (t->type == MB2_END || t->size < sizeof(*t) || t->size > total - off)
			break;
		if (t->size >= mb2_min_size(t->type))
			mb2_tag(bi, x, &maps, t);
		off += ALIGN_UP((u64)t->size, 8);
	}
	if (maps.e820)
		mb2_mmap_add(bi, maps.e820);
	if (!bi->nregions && maps.efi)
		mb2_efi_mmap_add(bi, maps.efi);
	if (!bi->nregions && maps.basic)
		mem_sizes(bi, maps.basic->lower, maps.basic->upper);
	return 0;
}

/* --- Multiboot1 ----------------------------------------------------------------------------- */

/* A NUL-terminated string of the loader's, whose length nothing bounds. */
static void mb1_string(char *dst, size_t size, u32 pa, const struct phys_view *v)
{
	size_t n = 0;

	while (n < size - 1) {
		const char *c = v->at(v->ctx, (hpa_t)pa + n, 1);

		if (!c || !*c)
			break;
		dst[n++] = *c;
	}
	dst[n] = 0;
}

static void mb1_modules(struct boot_info *bi, const struct mb1_info *mi, const struct phys_view *v)
{
	for (u32 i = 0; i < mi->mods_count; i++) {
		const struct mb1_module *m =
			v->at(v->ctx, mi->mods_addr + (u64)i * sizeof(*m), sizeof(*m));
		char text[2 * BOOT_MODNAME_MAX] = "";

		if (!m)
			return;
		if (m->string)
			mb1_string(text, sizeof(text), m->string, v);
		module_add(bi, m->start, m->end, text);
		if (bi->modules_dropped == UINT16_MAX)
			return;
	}
}

static void mb1_mmap(struct boot_info *bi, const struct mb1_info *mi, const struct phys_view *v)
{
	u64 off = 0;

	while (off + sizeof(struct mb1_mmap_entry) <= mi->mmap_length) {
		struct mb1_mmap_entry e;
		const void *p = v->at(v->ctx, mi->mmap_addr + off, sizeof(e));

		if (!p)
			return;
		memcpy(&e, p, sizeof(e));
		if (e.size < sizeof(e) - sizeof(e.size))
			return;
		region_add(bi, e.base, e.len, e820_type(e.type));
		off += (u64)e.size + sizeof(e.size);
	}
}

static int mb1_parse(struct boot_info *bi, hpa_t info, const struct phys_view *v)
{
	const void *head = v->at(v->ctx, info, MB1_INFO_MIN);
	struct mb1_info mi = {0};

	if (!head)
		return -EINVAL;
	memcpy(&mi, head, MB1_INFO_MIN);
	if (mi.flags & MB1_HAS_FB) {
		const void *whole = v->at(v->ctx, info, sizeof(mi));

		if (whole)
			memcpy(&mi, whole, sizeof(mi));
		set_fb(&bi->fb, mi.fb_addr, mi.fb_pitch, mi.fb_width, mi.fb_height, mi.fb_bpp,
		       mi.fb_type);
	}
	if (mi.flags & MB1_HAS_CMDLINE)
		mb1_string(bi->cmdline, sizeof(bi->cmdline), mi.cmdline, v);
	if (mi.flags & MB1_HAS_LOADER)
		mb1_string(bi->loader, sizeof(bi->loader), mi.loader_name, v);
	if (mi.flags & MB1_HAS_MODS)
		mb1_modules(bi, &mi, v);
	if (mi.flags & MB1_HAS_MMAP)
		mb1_mmap(bi, &mi, v);
	if (!bi->nregions && (mi.flags & MB1_HAS_MEM))
		mem_sizes(bi, mi.mem_lower, mi.mem_upper);
	return 0;
}

int multiboot_parse(struct boot_info *bi, struct multiboot_extra *x, u32 magic, hpa_t info,
		    const struct phys_view *v)
{
	int err = -EINVAL;

	x->rsdp_len = 0;
	if (magic == MULTIBOOT2_BOOTED)
		err = mb2_parse(bi, x, info, v);
	else if (magic == MULTIBOOT1_BOOTED)
		err = mb1_parse(bi, info, v);
	if (err)
		return err;
	strip_image_name(bi->cmdline);
	memory_map_normalise(bi);
	return bi->nregions ? 0 : -ENOENT;
}
