/* Building and changing the hypervisor's page tables (4 levels; AMD APM vol. 2 §5.3, Intel SDM
 * vol. 3 §4.5).
 *
 * SPDX-License-Identifier: MIT
 */
#include "mem/hostmap.h"
#include "firmware/boot.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/panic.h"
#include "lib/str.h"
#include "mem/frames.h"

#define PTE_PWT	      BIT(3)
#define PTE_PCD	      BIT(4)
#define PTE_PAT_4K    BIT(7)
#define PTE_PAT_LARGE BIT(12)

#define TABLE_ENTRIES 512
#define TOP_LEVEL     4

static u64 root[TABLE_ENTRIES] __attribute__((aligned(4096)));
static hpa_t image_base;
static bool live; /* our tables are loaded: reach page tables through the direct map */
static bool has_1g;
static u64 mmio_next = HOSTMAP_MMIO;
static u64 *peek_pte;

hpa_t va_hpa(const void *va)
{
	u64 a = (u64)va;

	return a >= HOSTMAP_IMAGE ? a - IMAGE_VMA + image_base : a - HOSTMAP_DIRECT;
}

/* Before the switch the first 4 GiB are mapped one to one, and tables come from there. */
static u64 *table_va(hpa_t hpa)
{
	return live ? hpa_va(hpa) : (u64 *)hpa;
}

static hpa_t table_alloc(void)
{
	hpa_t t = live ? frames_alloc(1, 1, OWNER_HYPERVISOR)
		       : frames_alloc_below(1, 1, 4 * GIB, OWNER_HYPERVISOR);

	if (t)
		memset(table_va(t), 0, PAGE_SIZE);
	return t;
}

/* Bytes that one entry covers at @level (1: 4 KiB … 4: 512 GiB). */
static u64 level_size(unsigned level)
{
	return PAGE_SIZE << (9 * (level - 1));
}

static u64 *entry_of(u64 *table, u64 va, unsigned level)
{
	return &table[va / level_size(level) % TABLE_ENTRIES];
}

static u64 leaf_bits(unsigned prot, unsigned level)
{
	u64 e = PTE_P | PTE_A;

	if (prot & HOSTMAP_W)
		e |= PTE_W | PTE_D;
	if (!(prot & HOSTMAP_X))
		e |= PTE_NX;
	if (prot & HOSTMAP_UC)
		e |= PTE_PCD | PTE_PWT;
	if (prot & HOSTMAP_WC)
		e |= level > 1 ? PTE_PAT_LARGE : PTE_PAT_4K;
	if (level > 1)
		e |= PTE_PS;
	return e;
}

/* The entry of @va at @level, tables above it made where missing; NULL when out of memory. */
static u64 *entry_make(u64 va, unsigned level)
{
	u64 *table = root;

	for (unsigned l = TOP_LEVEL; l > level; l--) {
		u64 *e = entry_of(table, va, l);

		ASSERT(!(*e & PTE_PS));
		if (!(*e & PTE_P)) {
			hpa_t t = table_alloc();

			if (!t)
				return NULL;
			*e = t | PTE_P | PTE_W | PTE_A;
		}
		table = table_va(*e & PTE_ADDR);
	}
	return entry_of(table, va, level);
}

static unsigned best_level(u64 va, hpa_t hpa, u64 len)
{
	for (unsigned l = has_1g ? 3 : 2; l > 1; l--)
		if (len >= level_size(l) && !((va | hpa) & (level_size(l) - 1)))
			return l;
	return 1;
}

int hostmap_map(u64 va, hpa_t hpa, u64 len, unsigned prot)
{
	if ((va | hpa | len) & (PAGE_SIZE - 1) || ((prot & HOSTMAP_W) && (prot & HOSTMAP_X)))
		return -EINVAL;
	while (len) {
		unsigned level = best_level(va, hpa, len);
		u64 *e = entry_make(va, level);

		if (!e)
			return -ENOMEM;
		*e = hpa | leaf_bits(prot, level);
		va += level_size(level);
		hpa += level_size(level);
		len -= level_size(level);
	}
	return 0;
}

/* The leaf that maps @va, or NULL; *@size its reach. */
static u64 *leaf_find(u64 va, u64 *size)
{
	u64 *table = root;

	for (unsigned l = TOP_LEVEL; l; l--) {
		u64 *e = entry_of(table, va, l);

		if (!(*e & PTE_P))
			return NULL;
		if (l == 1 || (*e & PTE_PS)) {
			*size = level_size(l);
			return e;
		}
		table = table_va(*e & PTE_ADDR);
	}
	return NULL;
}

hpa_t hostmap_translate(u64 va)
{
	u64 size = 0;
	const u64 *e = leaf_find(va, &size);

	return e ? (*e & PTE_ADDR & ~(size - 1)) + (va & (size - 1)) : 0;
}

void hostmap_unmap(u64 va, u64 len)
{
	for (u64 end = va + len; va < end; va += PAGE_SIZE) {
		u64 size = 0;
		u64 *e = leaf_find(va, &size);

		if (!e)
			continue;
		ASSERT(size == PAGE_SIZE);
		*e = 0;
		invlpg((void *)va);
	}
}

static void *mmio_map_prot(hpa_t hpa, u64 size, unsigned prot)
{
	hpa_t base = ALIGN_DOWN(hpa, PAGE_SIZE);
	u64 len = ALIGN_UP(hpa + size, PAGE_SIZE) - base, va;

	/* The same place within 2 MiB as the device, so that large ranges get large pages. */
	va = ALIGN_UP(mmio_next, 2 * MIB) + (base & (2 * MIB - 1));
	mmio_next = va + len + PAGE_SIZE;
	if (hostmap_map(va, base, len, prot))
		return NULL;
	return (void *)(va + (hpa - base));
}

void *mmio_map(hpa_t hpa, u64 size)
{
	return mmio_map_prot(hpa, size, HOSTMAP_W | HOSTMAP_UC);
}

void *mmio_map_wc(hpa_t hpa, u64 size)
{
	return mmio_map_prot(hpa, size, HOSTMAP_W | HOSTMAP_WC);
}

int phys_read(hpa_t hpa, void *buf, size_t len)
{
	u8 *out = buf;

	if (!peek_pte)
		peek_pte = entry_make(HOSTMAP_PEEK, 1);
	if (!peek_pte)
		return -ENOMEM;
	while (len) {
		size_t off = hpa & (PAGE_SIZE - 1), n = MIN(len, PAGE_SIZE - off);
		u64 want = ALIGN_DOWN(hpa, PAGE_SIZE) | leaf_bits(0, 1);

		if (*peek_pte != want) {
			*peek_pte = want;
			invlpg((void *)HOSTMAP_PEEK);
		}
		memcpy(out, (const void *)(HOSTMAP_PEEK + off), n);
		hpa += n;
		out += n;
		len -= n;
	}
	return 0;
}

int hostmap_identity_begin(hpa_t page)
{
	return hostmap_map(page, page, PAGE_SIZE, HOSTMAP_X);
}

void hostmap_identity_end(void)
{
	root[0] = 0;
	write_cr3(read_cr3());
}

/* A piece of the image: at its link address with @prot, and never executable in the direct map. */
static int map_piece(const char *from, const char *to, unsigned prot)
{
	u64 va = (u64)from, len = (u64)(to - from);
	int err = prot == 0 && va == IMAGE_VMA ? 0 : hostmap_map(va, va_hpa(from), len, prot);

	return err ? err
		   : hostmap_map(HOSTMAP_DIRECT + va_hpa(from), va_hpa(from), len,
				 prot & HOSTMAP_W);
}

/* The 32-bit entry code (before text_start) is done with: it stays out of the high half. */
static int map_image(void)
{
	int err = map_piece((const char *)IMAGE_VMA, text_start, 0);

	if (!err)
		err = map_piece(text_start, text_end, HOSTMAP_X);
	if (!err)
		err = map_piece(rodata_start, rodata_end, 0);
	if (!err)
		err = map_piece(data_start, image_end, HOSTMAP_W);
	return err;
}

static int map_direct(hpa_t base, hpa_t end, unsigned prot)
{
	return base < end ? hostmap_map(HOSTMAP_DIRECT + base, base, end - base, prot) : 0;
}

static int map_region(const struct boot_region *r)
{
	hpa_t lo = ALIGN_UP(r->base, PAGE_SIZE), hi = ALIGN_DOWN(r->base + r->len, PAGE_SIZE);
	hpa_t img = image_base, img_end = image_base + image_size();
	int err;

	if (r->type != MEM_RAM) {
		if (r->type != MEM_ACPI && r->type != MEM_NVS)
			return 0;
		return map_direct(lo, hi, 0);
	}
	/* The image's own frames come piecewise from map_image(). */
	err = map_direct(lo, MIN(hi, MAX(img, lo)), HOSTMAP_W);
	return err ? err : map_direct(MAX(lo, MIN(img_end, hi)), hi, HOSTMAP_W);
}

#define CPUID_EDX_1G BIT(26)

int hostmap_init(const struct boot_info *bi)
{
	int err;

	image_base = bi->image_base;
	has_1g = cpuid(CPUID_EXT_FEATURES, 0).edx & CPUID_EDX_1G;
	err = map_image();
	for (unsigned i = 0; i < bi->nregions && !err; i++)
		err = map_region(&bi->region[i]);
	if (err)
		return err;
	write_cr3(va_hpa(root));
	live = true;
	return 0;
}

hpa_t hostmap_root(void)
{
	return va_hpa(root);
}

/* Writability and executability must hold at every level to count. */
static unsigned audit_table(const u64 *table, unsigned level, bool w, bool x, bool low)
{
	unsigned bad = 0;

	for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
		u64 e = table[i];
		bool ew = w && (e & PTE_W), ex = x && !(e & PTE_NX);

		if (!(e & PTE_P))
			continue;
		if (level == TOP_LEVEL)
			low = i < TABLE_ENTRIES / 2;
		if (level > 1 && !(e & PTE_PS))
			bad += audit_table(table_va(e & PTE_ADDR), level - 1, ew, ex, low);
		else
			bad += ex && (ew || low);
	}
	return bad;
}

unsigned hostmap_audit(void)
{
	return audit_table(root, TOP_LEVEL, true, true, false);
}
