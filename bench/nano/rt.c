/* Runtime of the test kernels.
 *
 * SPDX-License-Identifier: MIT
 */
#include "rt.h"

#include "lib/str.h"
#include "lib/trap_stubs.h"
#include "penumbra/acpi.h"

#define COM1		0x3f8
#define LSR_THRE	0x20
#define SEL_CODE64	0x18
#define DEBUG_EXIT	0xf4
#define DEBUG_EXIT_PASS 0x10
#define TRAP_LIMIT	32 /* exceptions outside guard() before the kernel gives up */

void kmain(void);
void trap_handler(struct trap_frame *f);

extern char trap_stubs[], guard_landing[], boot_gdt[];
extern u64 guard_rsp;

bool (*trap_hook)(struct trap_frame *f);
struct trap_frame last_trap;

/* --- text ----------------------------------------------------------------------------------- */

void serial_init(void)
{
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x80);
	outb(COM1 + 0, 1);
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3);
	outb(COM1 + 2, 7);
	outb(COM1 + 4, 3);
}

static void put(char c)
{
	for (unsigned i = 0; i < 1000000 && !(inb(COM1 + 5) & LSR_THRE); i++)
		;
	outb(COM1, (u8)c);
}

void say(const char *fmt, ...)
{
	char line[160];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (const char *p = line; *p; p++) {
		if (*p == '\n')
			put('\r');
		put(*p);
	}
}

/* --- exceptions ------------------------------------------------------------------------------ */

static u64 idt[256][2];

void load_tables(void)
{
	struct desc_ptr i = {sizeof(idt) - 1, (u64)(uintptr_t)idt};
	struct desc_ptr g = {5 * 8 - 1, (u64)(uintptr_t)boot_gdt};

	for (unsigned v = 0; v < 256; v++) {
		u64 at = (u64)(uintptr_t)trap_stubs + v * TRAP_STUB_SIZE;

		idt[v][0] = (at & 0xffff) | (u64)SEL_CODE64 << 16 | 0x8eull << 40 |
			    (at & 0xffff0000) << 32;
		idt[v][1] = at >> 32;
	}
	lgdt(&g);
	lidt(&i);
}

void trap_handler(struct trap_frame *f)
{
	static unsigned unexpected;

	if (f->vector < 32)
		last_trap = *f;
	if (f->vector < 32 && guard_rsp) {
		f->rax = f->vector;
		f->rip = (u64)(uintptr_t)guard_landing;
		f->cs = SEL_CODE64;
		f->ss = 0x10;
		f->rsp = guard_rsp;
		f->rflags = 2;
		return;
	}
	if ((trap_hook && trap_hook(f)) || f->vector >= 32)
		return;
	say("not ok exception %u error %llx rip %llx cr2 %llx\n", (unsigned)f->vector,
	    (unsigned long long)f->error, (unsigned long long)f->rip,
	    (unsigned long long)read_cr2());
	if (++unexpected > TRAP_LIMIT || f->vector != 3)
		power_off();
}

/* --- mappings -------------------------------------------------------------------------------- */

static u64 map_pd[512] __attribute__((aligned(4096)));
static u64 map_pt[512] __attribute__((aligned(4096)));

/* Hang the table for MAP_BASE's gigabyte into the boot tables. */
static void map_init(void)
{
	u64 cr3, *pml4, *pdpt;

	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	pml4 = (u64 *)(uintptr_t)cr3;
	pdpt = (u64 *)(uintptr_t)(pml4[0] & ~0xfffull);
	map_pd[0] = (u64)(uintptr_t)map_pt | PTE_P | PTE_W | PTE_U;
	pdpt[MAP_BASE >> 30] = (u64)(uintptr_t)map_pd | PTE_P | PTE_W | PTE_U;
}

u64 *map_pte(u64 va)
{
	return &map_pt[va >> 12 & 511];
}

void map_page(u64 va, u64 pa, u64 flags)
{
	*map_pte(va) = pa | flags;
	invlpg((void *)va);
}

void map_window(u64 pa, u64 flags)
{
	map_pd[1] = pa | flags | PTE_PS;
	invlpg((void *)MAP_WINDOW);
}

/* --- power-off by ACPI ------------------------------------------------------------------------ */

static const u8 *phys(u64 pa)
{
	asm("" : "+r"(pa)); /* the compiler must not reason about objects at fixed addresses */
	return (const u8 *)(uintptr_t)pa;
}

static u32 read32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static const u8 *find_rsdp(void)
{
	u32 ebda;
	u16 segment;

	memcpy(&segment, phys(0x40e), 2);
	ebda = (u32)segment << 4;
	for (u32 at = ebda; ebda && at < ebda + 1024; at += 16)
		if (memcmp(phys(at), "RSD PTR ", 8) == 0)
			return phys(at);
	for (u32 at = 0xe0000; at < 0x100000; at += 16)
		if (memcmp(phys(at), "RSD PTR ", 8) == 0)
			return phys(at);
	return NULL;
}

static const u8 *find_fadt(void)
{
	const u8 *rsdp = find_rsdp(), *rsdt;
	u32 len;

	if (!rsdp)
		return NULL;
	rsdt = phys(read32(rsdp + 16));
	len = read32(rsdt + 4);
	for (u32 i = 36; i + 4 <= len && i < 1024; i += 4) {
		const u8 *t = phys(read32(rsdt + i));

		if (memcmp(t, "FACP", 4) == 0)
			return t;
	}
	return NULL;
}

/* SLP_TYPa of \_S5: the first element of the package after its name, 0 if there is none. */
static unsigned sleep_type(const u8 *fadt)
{
	const u8 *dsdt = phys(read32(fadt + 40));
	u32 len = read32(dsdt + 4);

	for (u32 i = 36; i + 12 < len; i++) {
		const u8 *p = dsdt + i;

		if (memcmp(p, "_S5_", 4) != 0 || p[4] != 0x12)
			continue;
		p += 5;
		p += (*p >> 6) + 2; /* package length, element count */
		return *p == 0x0a ? p[1] : *p;
	}
	return 0;
}

u16 acpi_pm1_port(void)
{
	const u8 *fadt = find_fadt();

	return fadt ? (u16)read32(fadt + 64) : 0;
}

static void acpi_off(void)
{
	const u8 *fadt = find_fadt();
	u16 pm1;

	if (!fadt)
		return;
	pm1 = (u16)read32(fadt + 64);
	if (!(inw(pm1) & PM1_SCI_EN) && read32(fadt + 48)) {
		outb((u16)read32(fadt + 48), fadt[52]);
		for (unsigned i = 0; i < 100000 && !(inw(pm1) & PM1_SCI_EN); i++)
			;
	}
	outw(pm1, (u16)((inw(pm1) & 0xc003) | sleep_type(fadt) << 10 | PM1_SLP_EN));
}

void power_off(void)
{
	acpi_off();
	for (unsigned i = 0; i < 100000; i++)
		inb(0x80);
	outb(DEBUG_EXIT, DEBUG_EXIT_PASS);
	for (;;)
		asm volatile("cli; hlt");
}

void kmain(void)
{
	serial_init();
	load_tables();
	map_init();
	kernel();
	power_off();
}
