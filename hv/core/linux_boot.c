/* See linux_boot.h. Offsets are those of struct setup_header and struct boot_params in the kernel's
 * documentation.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/linux_boot.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "lib/x86.h"

/* Setup header, in the file and in the zero page at the same offsets. */
#define HDR_FIRST	 0x1f1u
#define HDR_SETUP_SECTS	 0x1f1u
#define HDR_SYSSIZE	 0x1f4u /* units of 16 bytes */
#define HDR_BOOT_FLAG	 0x1feu
#define HDR_JUMP_LEN	 0x201u /* the header ends at 0x202 + this byte */
#define HDR_MAGIC	 0x202u
#define HDR_VERSION	 0x206u
#define HDR_LOADER	 0x210u
#define HDR_LOADFLAGS	 0x211u
#define HDR_INITRD	 0x218u
#define HDR_INITRD_LEN	 0x21cu
#define HDR_CMDLINE	 0x228u
#define HDR_INITRD_MAX	 0x22cu
#define HDR_ALIGNMENT	 0x230u
#define HDR_RELOCATABLE	 0x234u
#define HDR_XLOADFLAGS	 0x236u
#define HDR_CMDLINE_SIZE 0x238u
#define HDR_INIT_SIZE	 0x260u
#define HDR_END		 0x268u /* what version 2.12 has */
#define HDR_LIMIT	 0x290u /* where the memory map's table begins, or before */
#define BOOT_FLAG	 0xaa55u
#define MAGIC_HDRS	 0x53726448u
#define VERSION_XLOAD	 0x020cu
#define XLF_KERNEL_64	 BIT(0)
#define XLF_ABOVE_4G	 BIT(1)
#define LOADED_HIGH	 BIT(0)
#define LOADER_UNDEFINED 0xffu
#define SECTOR		 512u
#define DEFAULT_SECTS	 4u
#define MAX_ALIGNMENT	 (1 * GIB)
#define MAX_INIT_SIZE	 (2 * GIB)

/* Zero page */
#define PARAM_RSDP	    0x070u
#define PARAM_E820_COUNT    0x1e8u
#define PARAM_E820	    0x2d0u
#define PARAM_E820_MAX	    128u
#define E820_ENTRY	    20u
#define PARAM_INITRD_HI	    0x0c0u
#define PARAM_INITRD_LEN_HI 0x0c4u
#define PARAM_CMDLINE_HI    0x0c8u

#define GDT_CODE 0x00af9b000000ffffull /* 64-bit, present, accessed */
#define GDT_DATA 0x00cf93000000ffffull

static u64 get(const void *base, unsigned off, unsigned size)
{
	u64 v = 0;

	memcpy(&v, (const u8 *)base + off, size);
	return v;
}

static void put(void *base, unsigned off, unsigned size, u64 v)
{
	memcpy((u8 *)base + off, &v, size);
}

static int bad(const char **why, const char *text)
{
	*why = text;
	return -EINVAL;
}

/* Is it a kernel of a kind that can be started in 64-bit mode? */
static int check_kind(const void *file, u64 len, const char **why)
{
	if (len < HDR_LIMIT || get(file, HDR_BOOT_FLAG, 2) != BOOT_FLAG ||
	    get(file, HDR_MAGIC, 4) != MAGIC_HDRS)
		return bad(why, "it is no Linux kernel (bzImage)");
	if (get(file, HDR_VERSION, 2) < VERSION_XLOAD)
		return bad(why,
			   "its boot protocol is older than 2.12: Linux 3.8 or later is needed");
	if (!(get(file, HDR_XLOADFLAGS, 2) & XLF_KERNEL_64))
		return bad(why, "it is no 64-bit kernel");
	if (!get(file, HDR_RELOCATABLE, 1))
		return bad(why, "it is not relocatable (CONFIG_RELOCATABLE)");
	return 0;
}

int linux_image_check(struct linux_image *im, const void *file, u64 len, const char **why)
{
	u64 sects, flags;

	if (check_kind(file, len, why))
		return -EINVAL;
	sects = get(file, HDR_SETUP_SECTS, 1);
	flags = get(file, HDR_XLOADFLAGS, 2);
	*im = (struct linux_image){
		.version = (u16)get(file, HDR_VERSION, 2),
		.payload = ((sects ? sects : DEFAULT_SECTS) + 1) * SECTOR,
		.payload_len = get(file, HDR_SYSSIZE, 4) * 16,
		.alignment = get(file, HDR_ALIGNMENT, 4),
		.init_size = get(file, HDR_INIT_SIZE, 4),
		.initrd_end = flags & XLF_ABOVE_4G ? UINT64_MAX : get(file, HDR_INITRD_MAX, 4) + 1,
		.cmdline_max = get(file, HDR_CMDLINE_SIZE, 4),
	};
	if (im->payload > len || im->payload_len > len - im->payload)
		return bad(why, "it is truncated");
	if (im->payload_len <= LINUX_ENTRY_OFFSET)
		return bad(why, "it has no 64-bit entry");
	if (im->alignment < PAGE_SIZE || im->alignment > MAX_ALIGNMENT ||
	    (im->alignment & (im->alignment - 1)))
		return bad(why, "its header asks for an impossible alignment");
	if (im->init_size < im->payload_len || im->init_size > MAX_INIT_SIZE)
		return bad(why, "its header asks for an impossible amount of memory");
	return 0;
}

int linux_layout(struct linux_layout *l, const struct linux_image *im, hpa_t base, u64 len,
		 u64 initrd_len, u64 acpi_len, const char **why)
{
	hpa_t end = base + len, next = base;
	u64 tail = acpi_len + ALIGN_UP(initrd_len, PAGE_SIZE);

	*why = "its memory is too small for kernel and ramdisk";
	if (initrd_len > len || acpi_len > len || tail > len)
		return -ENOMEM;
	l->params = next;
	l->cmdline = next += PAGE_SIZE;
	l->gdt = next += PAGE_SIZE;
	l->tables = next += PAGE_SIZE;
	next += LINUX_TABLE_PAGES * PAGE_SIZE;
	l->kernel = ALIGN_UP(next, im->alignment);
	l->acpi = end - acpi_len;
	l->initrd = end - tail;
	l->initrd_len = initrd_len;
	l->acpi_len = acpi_len;
	if (l->kernel + im->init_size > l->initrd)
		return -ENOMEM;
	if (l->initrd + initrd_len > im->initrd_end) {
		*why = "this kernel takes no ramdisk that high in memory";
		return -ENOMEM;
	}
	return 0;
}

void linux_params(void *page, const void *file, const struct linux_layout *l, hpa_t rsdp)
{
	u64 end = HDR_MAGIC + get(file, HDR_JUMP_LEN, 1);

	memset(page, 0, PAGE_SIZE);
	end = MIN(MAX(end, (u64)HDR_END), (u64)HDR_LIMIT);
	memcpy((u8 *)page + HDR_FIRST, (const u8 *)file + HDR_FIRST, end - HDR_FIRST);
	put(page, HDR_LOADER, 1, LOADER_UNDEFINED);
	put(page, HDR_LOADFLAGS, 1, get(file, HDR_LOADFLAGS, 1) | LOADED_HIGH);
	put(page, HDR_INITRD, 4, l->initrd);
	put(page, PARAM_INITRD_HI, 4, l->initrd >> 32);
	put(page, HDR_INITRD_LEN, 4, l->initrd_len);
	put(page, PARAM_INITRD_LEN_HI, 4, l->initrd_len >> 32);
	put(page, HDR_CMDLINE, 4, l->cmdline);
	put(page, PARAM_CMDLINE_HI, 4, l->cmdline >> 32);
	put(page, PARAM_RSDP, 8, rsdp);
}

/* --- memory map ------------------------------------------------------------------------------- */

struct map {
	u8 *page;
	unsigned n;
	int err;
};

static u8 *map_entry(const struct map *m, unsigned i)
{
	return m->page + PARAM_E820 + i * E820_ENTRY;
}

/* Does @base go on where the last entry, of the same type, ends? */
static bool map_extends(const struct map *m, u64 base, unsigned type)
{
	const u8 *last;

	if (!m->n)
		return false;
	last = map_entry(m, m->n - 1);
	return get(last, 16, 4) == type && get(last, 0, 8) + get(last, 8, 8) == base;
}

static void map_add(struct map *m, u64 base, u64 end, unsigned type)
{
	u8 *e;

	if (base >= end || m->err)
		return;
	if (map_extends(m, base, type)) {
		e = map_entry(m, m->n - 1);
		put(e, 8, 8, end - get(e, 0, 8));
		return;
	}
	if (m->n == PARAM_E820_MAX) {
		m->err = -ENOSPC;
		return;
	}
	e = map_entry(m, m->n++);
	put(e, 0, 8, base);
	put(e, 8, 8, end - base);
	put(e, 16, 4, type);
}

/* [@base, @end) is RAM of the machine: the part within [@lo, @hi) gets @type, the rest stays for
 * the caller: *@base moves behind it. */
static void map_part(struct map *m, u64 *base, u64 end, u64 lo, u64 hi, unsigned type)
{
	lo = MIN(MAX(lo, *base), end);
	hi = MIN(MAX(hi, lo), end);
	if (lo == hi)
		return;
	map_add(m, *base, lo, MEM_RESERVED);
	map_add(m, lo, hi, type);
	*base = hi;
}

static void map_ram(struct map *m, const struct boot_region *r, hpa_t ram, hpa_t acpi, hpa_t end)
{
	u64 at = r->base, stop = r->base + r->len;
	u64 low_end = MIN(ALIGN_DOWN(stop, PAGE_SIZE), (u64)LINUX_LOW_END);

	map_part(m, &at, stop, ALIGN_UP(r->base, PAGE_SIZE), low_end, MEM_RAM);
	map_part(m, &at, stop, ram, acpi, MEM_RAM);
	map_part(m, &at, stop, acpi, end, MEM_ACPI);
	map_add(m, at, stop, MEM_RESERVED);
}

int linux_memory_map(void *page, const struct boot_info *bi, hpa_t base, u64 len,
		     const struct linux_layout *l)
{
	struct map m = {.page = page};

	for (unsigned i = 0; i < bi->nregions; i++) {
		const struct boot_region *r = &bi->region[i];

		if (r->type == MEM_RAM)
			map_ram(&m, r, base, l->acpi, base + len);
		else
			map_add(&m, r->base, r->base + r->len, r->type);
	}
	put(page, PARAM_E820_COUNT, 1, m.n);
	return m.err;
}

/* --- CPU state -------------------------------------------------------------------------------- */

void linux_gdt(u64 *gdt)
{
	gdt[0] = gdt[1] = 0;
	gdt[LINUX_BOOT_CS / 8] = GDT_CODE;
	gdt[LINUX_BOOT_DS / 8] = GDT_DATA;
}

void linux_tables(u64 *tables, hpa_t at)
{
	const unsigned n = PAGE_SIZE / 8;
	u64 *pdpt = tables + n, *pd = tables + 2 * n;

	memset(tables, 0, LINUX_TABLE_PAGES * PAGE_SIZE);
	tables[0] = (at + PAGE_SIZE) | PTE_P | PTE_W;
	for (unsigned i = 0; i < 4; i++)
		pdpt[i] = (at + (2 + i) * PAGE_SIZE) | PTE_P | PTE_W;
	for (unsigned i = 0; i < 4 * n; i++)
		pd[i] = i * 2 * MIB | PTE_P | PTE_W | PTE_PS;
}
