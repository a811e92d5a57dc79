/* ACPI table parsing. These tests would catch: a table used in spite of a bad checksum or length, a
 * read beyond a table's end, a MADT entry of length 0 that loops for ever, extended FADT fields
 * used where the table is too short for them, the RSDT ignored when the XSDT is bad, an \_S5
 * package read wrongly or found only inside one scan block.
 *
 * SRCS: firmware/acpi.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "firmware/acpi.h"

/* Two megabytes of "physical memory"; anything beyond cannot be read. */
#define MEM_SIZE 0x200000u
static u8 *mem;
static unsigned reads;

static int mem_read(void *ctx, hpa_t pa, void *buf, size_t len)
{
	(void)ctx;
	reads++;
	if (pa > MEM_SIZE || len > MEM_SIZE - pa)
		return -1;
	memcpy(buf, mem + pa, len);
	return 0;
}

static const struct acpi_mem view = {.read = mem_read};

static void put(u32 at, unsigned size, u64 v)
{
	memcpy(mem + at, &v, size);
}

static u64 get(u32 at, unsigned size)
{
	u64 v = 0;

	memcpy(&v, mem + at, size);
	return v;
}

/* Fix the byte at @sum so that @len bytes at @at add up to 0. */
static void seal(u32 at, u32 len, u32 sum)
{
	u8 total = 0;

	mem[at + sum] = 0;
	for (u32 i = 0; i < len; i++)
		total += mem[at + i];
	mem[at + sum] = (u8)-total;
}

#define T_SUM 9 /* checksum's offset in a table header */

static void table(u32 at, const char *sig, u32 len)
{
	memcpy(mem + at, sig, 4);
	put(at + 4, 4, len);
	seal(at, len, T_SUM);
}

enum {
	RSDP = 0xf5a40,
	RSDT = 0x100000,
	XSDT = 0x100100,
	MADT = 0x101000,
	FADT = 0x102000,
	HPET = 0x103000,
	MCFG = 0x104000,
	DSDT = 0x105000,
};

static void put_madt(void)
{
	static const u8 entries[] = {
		0,    8,  0, 0,	 1, 0, 0,    0, /* CPU 0 */
		0,    8,  1, 2,	 1, 0, 0,    0, /* APIC ID 2 */
		0,    8,  2, 4,	 0, 0, 0,    0, /* disabled */
		0,    8,  3, 2,	 1, 0, 0,    0, /* the same ID again */
		9,    16, 0, 0,	 0, 1, 0,    0,	   1,	 0, 0, 0, 7, 0, 0, 0, /* x2APIC ID 0x100 */
		1,    12, 5, 0,	 0, 0, 0xc0, 0xfe, 0,	 0, 0, 0,	      /* IOAPIC */
		2,    10, 0, 0,	 2, 0, 0,    0,	   0,	 0,		      /* IRQ 0 -> GSI 2 */
		2,    10, 0, 9,	 9, 0, 0,    0,	   0x0f, 0,		      /* IRQ 9 low, level */
		2,    10, 0, 99, 9, 0, 0,    0,	   0x0f, 0,		      /* no such IRQ */
		0x7f, 4,  1, 2,						      /* unknown */
	};

	put(MADT + 36, 4, 0xfee00000);
	memcpy(mem + MADT + 44, entries, sizeof(entries));
	table(MADT, "APIC", 44 + sizeof(entries));
}

/* ACPI 1.0 part, then the extended fields when @len reaches them. */
static void put_fadt(u32 len)
{
	put(FADT + 40, 4, DSDT);
	put(FADT + 64, 4, 0x604);
	put(FADT + 76, 4, 0x608);
	put(FADT + 112, 4, 1u << 8 | 1u << 10);
	put(FADT + 116, 1, 1);
	put(FADT + 120, 8, 0xcf9);
	put(FADT + 128, 1, 6);
	put(FADT + 208, 1, 1);
	put(FADT + 212, 8, 0xb008);
	table(FADT, "FACP", len);
}

static void put_dsdt(u32 name_at, const void *s5, size_t n)
{
	memset(mem + DSDT + 36, 0x55, 2000);
	memcpy(mem + DSDT + name_at, s5, n);
	table(DSDT, "DSDT", 36 + 2000);
}

static const u8 s5_typical[] = {8, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 0x0a, 3, 0, 0};

static void put_roots(void)
{
	const u32 list[] = {MADT, FADT, HPET, MCFG};

	for (unsigned i = 0; i < 4; i++) {
		put(RSDT + 36 + 4 * i, 4, list[i]);
		put(XSDT + 36 + 8 * i, 8, list[i]);
	}
	table(RSDT, "RSDT", 36 + 16);
	table(XSDT, "XSDT", 36 + 32);
	memcpy(mem + RSDP, "RSD PTR ", 8);
	put(RSDP + 15, 1, 2);
	put(RSDP + 16, 4, RSDT);
	put(RSDP + 20, 4, 36);
	put(RSDP + 24, 8, XSDT);
	seal(RSDP, 20, 8);
	seal(RSDP, 36, 32);
}

/* A machine with everything in order; tests break one thing. */
static void machine(void)
{
	free(mem);
	mem = calloc(1, MEM_SIZE);
	put_madt();
	put_fadt(244);
	put_dsdt(100, s5_typical, sizeof(s5_typical));
	put(HPET + 44, 8, 0xfed00000);
	table(HPET, "HPET", 56);
	put(MCFG + 44, 8, 0xb0000000);
	put(MCFG + 55, 1, 0x7f);
	table(MCFG, "MCFG", 60);
	put_roots();
}

static struct boot_acpi parse(void)
{
	struct boot_acpi a;

	CHECK_EQ(acpi_parse(&a, &view, acpi_find_rsdp(&view)), 0);
	return a;
}

TEST(reads_a_whole_machine)
{
	struct boot_acpi a;

	machine();
	a = parse();
	CHECK_EQ(a.rsdp, RSDP);
	CHECK_EQ(a.root, XSDT);
	CHECK(a.root_is_xsdt);
	CHECK_EQ(a.lapic_base, 0xfee00000);
	CHECK_EQ(a.ncpus, 3);
	CHECK_EQ(a.cpu[0].apic_id, 0);
	CHECK_EQ(a.cpu[1].apic_id, 2);
	CHECK_EQ(a.cpu[1].acpi_uid, 1);
	CHECK_EQ(a.cpu[2].apic_id, 0x100);
	CHECK_EQ(a.cpu[2].acpi_uid, 7);
	CHECK_EQ(a.nioapics, 1);
	CHECK_EQ(a.ioapic[0].base, 0xfec00000);
	CHECK_EQ(a.ioapic[0].id, 5);
	CHECK_EQ(a.isa[0].gsi, 2);
	CHECK(!a.isa[0].level);
	CHECK_EQ(a.isa[9].gsi, 9);
	CHECK(a.isa[9].level && a.isa[9].active_low);
	CHECK_EQ(a.isa[4].gsi, 4);
	CHECK_EQ(a.pm_timer_port, 0xb008);
	CHECK(a.pm_timer_32bit);
	CHECK_EQ(a.pm1a_cnt, 0x604);
	CHECK_EQ(a.reset_valid, 1);
	CHECK_EQ(a.reset_addr, 0xcf9);
	CHECK_EQ(a.reset_value, 6);
	CHECK_EQ(a.hpet_base, 0xfed00000);
	CHECK_EQ(a.ecam_base, 0xb0000000);
	CHECK_EQ(a.ecam_bus_end, 0x7f);
	CHECK_EQ(a.slp_typ_s5, 0x0305);
}

TEST(finds_the_root_pointer_in_the_ebda_first)
{
	machine();
	memcpy(mem + 0x9fc20, mem + RSDP, 36);
	put(0x40e, 2, 0x9fc0);
	CHECK_EQ(acpi_find_rsdp(&view), 0x9fc20);
	mem[0x9fc20 + 9] ^= 1;
	CHECK_EQ(acpi_find_rsdp(&view), RSDP);
	mem[RSDP + 9] ^= 1;
	CHECK_EQ(acpi_find_rsdp(&view), 0);
}

TEST(without_a_root_pointer_there_is_no_acpi)
{
	struct boot_acpi a;

	machine();
	memset(&a, 0xee, sizeof(a));
	CHECK(acpi_parse(&a, &view, 0) < 0);
	CHECK_EQ(a.rsdp, 0);
	CHECK_EQ(a.ncpus, 0);
	CHECK_EQ(a.pm_timer_port, 0);
	CHECK_EQ(a.isa[7].gsi, 7);
	CHECK_EQ(a.slp_typ_s5, ACPI_SLP_UNKNOWN);
}

TEST(falls_back_to_the_rsdt)
{
	struct boot_acpi a;

	machine();
	mem[XSDT + 20] ^= 1; /* XSDT's checksum */
	a = parse();
	CHECK_EQ(a.root, RSDT);
	CHECK(!a.root_is_xsdt);
	CHECK_EQ(a.ncpus, 3);

	machine();
	mem[RSDP + 33] ^= 1; /* the extended checksum only */
	a = parse();
	CHECK_EQ(a.root, RSDT);

	mem[RSDT + 20] ^= 1;
	CHECK(acpi_parse(&a, &view, RSDP) < 0);
}

TEST(a_table_with_a_bad_checksum_is_absent)
{
	static const u32 tables[] = {MADT, FADT, HPET, MCFG, DSDT};

	for (unsigned i = 0; i < ARRAY_SIZE(tables); i++) {
		struct boot_acpi a;

		machine();
		mem[tables[i] + 12] ^= 0x40;
		a = parse();
		CHECK_EQ(a.ncpus, i == 0 ? 0 : 3);
		CHECK_EQ(a.madt, i == 0 ? 0 : MADT);
		CHECK_EQ(a.fadt, i == 1 ? 0 : FADT);
		CHECK_EQ(a.hpet_base, i == 2 ? 0 : 0xfed00000);
		CHECK_EQ(a.ecam_base, i == 3 ? 0 : 0xb0000000);
		CHECK_EQ(a.slp_typ_s5, i == 1 || i == 4 ? ACPI_SLP_UNKNOWN : 0x0305);
	}
}

TEST(lengths_beyond_memory_or_reason_are_refused)
{
	static const u32 lengths[] = {0, 35, MEM_SIZE, 0x7fffffff, 0xffffffff};

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct boot_acpi a;

		machine();
		put(MADT + 4, 4, lengths[i]);
		a = parse();
		CHECK_EQ(a.madt, 0);
		CHECK_EQ(a.fadt, FADT);
	}
}

TEST(short_tables_give_only_what_they_hold)
{
	struct boot_acpi a;

	machine();
	put_fadt(116); /* ACPI 1.0: no reset register, no extended fields */
	a = parse();
	CHECK_EQ(a.pm_timer_port, 0x608);
	CHECK_EQ(a.reset_valid, 0);

	machine();
	put_fadt(80);
	a = parse();
	CHECK_EQ(a.pm_timer_port, 0x608);
	CHECK(!a.pm_timer_32bit);

	machine();
	table(HPET, "HPET", 40);
	table(MCFG, "MCFG", 50);
	table(MADT, "APIC", 40);
	a = parse();
	CHECK_EQ(a.hpet_base, 0);
	CHECK_EQ(a.ecam_base, 0);
	CHECK_EQ(a.madt, 0);
}

/* One MCFG entry at its place in the table. */
static void put_window(unsigned i, u64 base, u16 segment, u8 first, u8 last)
{
	u32 at = MCFG + 44 + i * 16;

	put(at, 8, base);
	put(at + 8, 2, segment);
	put(at + 10, 1, first);
	put(at + 11, 1, last);
}

TEST(every_configuration_window_is_listed)
{
	struct boot_acpi a;

	machine();
	put_window(0, 0x1000000000, 1, 0, 0x3f);
	put_window(1, 0x90000000, 0, 0x20, 0x10); /* out of order */
	put_window(2, 0x80000000, 0, 0, 0x7f);
	put_window(3, 0x80000000, 0, 0x80, 0xff);
	table(MCFG, "MCFG", 44 + 4 * 16);
	a = parse();
	CHECK_EQ(a.necam, 3);
	CHECK_EQ(a.ecam_dropped, 1);
	CHECK_EQ(a.ecam[0].segment, 1);
	CHECK_EQ(a.ecam[0].base, 0x1000000000);
	CHECK_EQ(a.ecam[2].bus_start, 0x80);
	CHECK_EQ(a.ecam[2].bus_end, 0xff);
	CHECK_EQ(a.ecam_base, 0x80000000);
	CHECK_EQ(a.ecam_bus_end, 0x7f);
	for (unsigned i = 0; i < 10; i++)
		put_window(i, 0x80000000 + ((u64)i << 32), (u16)i, 0, 0xff);
	table(MCFG, "MCFG", 44 + 10 * 16);
	a = parse();
	CHECK_EQ(a.necam, 8);
	CHECK_EQ(a.ecam_dropped, 2);
}

TEST(a_madt_entry_without_length_ends_the_table)
{
	struct boot_acpi a;

	machine();
	mem[MADT + 44 + 8 + 1] = 0; /* second entry */
	seal(MADT, (u32)get(MADT + 4, 4), T_SUM);
	a = parse();
	CHECK_EQ(a.ncpus, 1);
	CHECK_EQ(a.nioapics, 0);
}

TEST(a_madt_entry_that_overhangs_ends_the_table)
{
	struct boot_acpi a;

	machine();
	table(MADT, "APIC", 44 + 8 + 5); /* cuts the second entry */
	a = parse();
	CHECK_EQ(a.ncpus, 1);
}

TEST(a_root_that_lists_itself_ends)
{
	struct boot_acpi a;

	machine();
	for (unsigned i = 0; i < 4; i++)
		put(XSDT + 36 + 8 * i, 8, XSDT);
	table(XSDT, "XSDT", 36 + 32);
	reads = 0;
	a = parse();
	CHECK_EQ(a.ncpus, 0);
	CHECK(reads < 20000);
}

TEST(many_cpus_do_not_overflow)
{
	struct boot_acpi a;
	u32 at = MADT + 44;

	machine();
	for (unsigned i = 0; i < 200; i++, at += 8) {
		const u8 e[8] = {0, 8, (u8)i, (u8)i, 1, 0, 0, 0};

		memcpy(mem + at, e, 8);
	}
	for (unsigned i = 0; i < 20; i++, at += 12) {
		const u8 e[12] = {1, 12, (u8)i, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0};

		memcpy(mem + at, e, 12);
	}
	table(MADT, "APIC", at - MADT);
	a = parse();
	CHECK_EQ(a.ncpus, BOOT_MAX_CPUS);
	CHECK_EQ(a.nioapics, ARRAY_SIZE(a.ioapic));
}

static unsigned s5_of(u32 name_at, const void *aml, size_t n)
{
	machine();
	put_dsdt(name_at, aml, n);
	return parse().slp_typ_s5;
}

TEST(s5_in_its_encodings)
{
	static const u8 root[] = {8, '\\', '_', 'S', '5', '_', 0x12, 4, 2, 1, 0, 0};
	static const u8 two_byte_len[] = {8, '_', 'S',	'5', '_', 0x12, 0x47,
					  0, 2,	  0x0b, 6,   0,	  0x0a, 7};
	static const u8 one_element[] = {8, '_', 'S', '5', '_', 0x12, 4, 1, 0x0a, 7};
	static const u8 no_name_op[] = {9, '_', 'S', '5', '_', 0x12, 6, 4, 0x0a, 5, 0x0a, 5};
	static const u8 a_method[] = {8, '_', 'S', '5', '_', 0x14, 6, 4, 0x0a, 5, 0x0a, 5};
	static const u8 odd_data[] = {8, '_', 'S', '5', '_', 0x12, 6, 4, 0x0d, 'a', 0, 0};

	CHECK_EQ(s5_of(100, root, sizeof(root)), 0x0001);
	CHECK_EQ(s5_of(100, two_byte_len, sizeof(two_byte_len)), 0x0706);
	CHECK_EQ(s5_of(100, one_element, sizeof(one_element)), 0x0707);
	CHECK_EQ(s5_of(100, no_name_op, sizeof(no_name_op)), ACPI_SLP_UNKNOWN);
	CHECK_EQ(s5_of(100, a_method, sizeof(a_method)), ACPI_SLP_UNKNOWN);
	CHECK_EQ(s5_of(100, odd_data, sizeof(odd_data)), ACPI_SLP_UNKNOWN);
}

TEST(s5_anywhere_in_the_table)
{
	for (u32 at = 36; at <= 36 + 2000 - sizeof(s5_typical); at++)
		CHECK_EQ(s5_of(at, s5_typical, sizeof(s5_typical)), 0x0305);
	/* Cut off by the table's end. */
	machine();
	put_dsdt(36 + 2000 - 9, s5_typical, 9);
	memcpy(mem + DSDT + 36 + 2000, s5_typical + 9, 5);
	CHECK_EQ(parse().slp_typ_s5, ACPI_SLP_UNKNOWN);
}
