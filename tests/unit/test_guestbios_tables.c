/* The guest BIOS's tables: ACPI, MP, SMBIOS, E820. Would catch: a wrong checksum, length, pointer
 * or count; AML whose blocks do not nest or end; tables that run over their place; a memory map
 * with overlaps or holes where RAM is.
 *
 * SRCS: guestbios/post/acpi.c guestbios/post/aml.c guestbios/post/dsdt.c
 * SRCS: guestbios/post/mptable.c guestbios/post/smbios.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "../../guestbios/post/acpi.h"
#include "../../guestbios/post/aml.h"
#include "../../guestbios/post/e820.h"
#include "../../guestbios/post/mptable.h"
#include "../../guestbios/post/smbios.h"
#include "../../guestbios/shared.h"
#include "penumbra/acpi.h"
#include "penumbra/platform.h"

#define BASE 0x1fff0000u
#define SIZE 0xf000u

static u8 memory[SIZE], facs[64], rsdp[sizeof(struct acpi_rsdp)];

static u32 get32(const u8 *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24;
}

static bool build(u32 ncpus, u32 size)
{
	struct acpi_area area = {
		.mem = memory,
		.gpa = BASE,
		.size = size,
		.facs = facs,
		.facs_gpa = BASE + SIZE,
		.ncpus = ncpus,
	};

	memset(memory, 0xee, sizeof(memory));
	memset(facs, 0xee, sizeof(facs));
	memset(rsdp, 0xee, sizeof(rsdp));
	return acpi_build(&area, (struct acpi_rsdp *)rsdp);
}

/* The table at a guest address if it is whole and sums to zero, else NULL. */
static const u8 *table(u32 gpa, const char *signature)
{
	const u8 *t = memory + (gpa - BASE);
	u32 len;

	if (gpa < BASE || gpa - BASE > SIZE - 36)
		return NULL;
	len = get32(t + 4);
	if (len < 36 || len > SIZE - (gpa - BASE) || acpi_sum(t, len) != 0)
		return NULL;
	return memcmp(t, signature, 4) == 0 ? t : NULL;
}

static const u8 *root_entry(unsigned n, const char *signature)
{
	const u8 *xsdt = table(get32(rsdp + 24), "XSDT");

	return xsdt ? table(get32(xsdt + 36 + n * 8), signature) : NULL;
}

TEST(roots_lead_to_every_table)
{
	const u8 *rsdt, *xsdt, *fadt;

	CHECK(build(1, SIZE));
	CHECK(memcmp(rsdp, "RSD PTR ", 8) == 0);
	CHECK_EQ(acpi_sum(rsdp, 20), 0);
	CHECK_EQ(acpi_sum(rsdp, 36), 0);
	rsdt = table(get32(rsdp + 16), "RSDT");
	xsdt = table(get32(rsdp + 24), "XSDT");
	CHECK(rsdt && xsdt);
	if (!rsdt || !xsdt)
		return;
	CHECK_EQ(get32(rsdt + 4), 36 + 2 * 4);
	CHECK_EQ(get32(xsdt + 4), 36 + 2 * 8);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(get32(rsdt + 36 + i * 4), get32(xsdt + 36 + i * 8));
	fadt = root_entry(0, "FACP");
	CHECK(fadt != NULL);
	CHECK(root_entry(1, "APIC") != NULL);
	CHECK(fadt && table(get32(fadt + 40), "DSDT") != NULL);
	CHECK(fadt && get32(fadt + 36) == BASE + SIZE);
	CHECK(memcmp(facs, "FACS", 4) == 0 && get32(facs + 4) == 64);
}

TEST(fadt_names_the_boards_registers)
{
	const u8 *f;

	CHECK(build(1, SIZE));
	f = root_entry(0, "FACP");
	if (!f) {
		CHECK(f);
		return;
	}
	CHECK_EQ(get32(f + 4), 244);
	CHECK_EQ(f[46], PC_IRQ_SCI);
	CHECK_EQ(get32(f + 48), PC_PORT_SMI_CMD);
	CHECK_EQ(f[52], PC_ACPI_ENABLE);
	CHECK_EQ(get32(f + 56), PC_PORT_PM_EVT);
	CHECK_EQ(get32(f + 64), PC_PORT_PM_CNT);
	CHECK_EQ(get32(f + 76), PC_PORT_PM_TMR);
	CHECK_EQ(get32(f + 80), PC_PORT_GPE0);
	CHECK(get32(f + 112) & 1 << 10); /* the reset register is there: */
	CHECK_EQ(f[116], 1);
	CHECK_EQ(get32(f + 120), PC_PORT_RESET);
	CHECK_EQ(f[128], 6);
	CHECK_EQ(get32(f + 140), get32(f + 40));  /* X_DSDT */
	CHECK_EQ(get32(f + 152), PC_PORT_PM_EVT); /* X_PM1a_EVT */
}

TEST(madt_has_every_cpu_and_override)
{
	static const u8 level_high[] = {9, 10, 11};
	unsigned cpus = 0, overrides = 0, ioapics = 0;
	const u8 *t, *end;

	CHECK(build(5, SIZE));
	t = root_entry(1, "APIC");
	if (!t) {
		CHECK(t);
		return;
	}
	CHECK_EQ(get32(t + 36), PC_LAPIC_BASE);
	end = t + get32(t + 4);
	for (const u8 *p = t + 44; p < end; p += p[1]) {
		CHECK(p[1] >= 2 && p + p[1] <= end);
		if (p[0] == 0) {
			CHECK_EQ(p[3], cpus);
			cpus++;
		} else if (p[0] == 1) {
			CHECK_EQ(get32(p + 4), PC_IOAPIC_BASE);
			ioapics++;
		} else if (p[0] == 2 && p[3] == 0) {
			CHECK_EQ(get32(p + 4), 2);
		} else if (p[0] == 2) {
			CHECK_EQ(p[3], level_high[overrides]);
			CHECK_EQ(get32(p + 4), p[3]);
			CHECK_EQ(p[8], 0x0d);
			overrides++;
		}
		if (p[1] < 2)
			break;
	}
	CHECK_EQ(cpus, 5);
	CHECK_EQ(ioapics, 1);
	CHECK_EQ(overrides, 3);
}

TEST(tables_that_do_not_fit_are_refused)
{
	CHECK(!build(1, 0));
	CHECK(!build(1, 100));
	CHECK(!build(1, 0x1000));
	CHECK(build(64, SIZE));
	CHECK(build(100000, SIZE)); /* clipped, not overflowed */
}

/* --- AML: an independent reader of block structure ----------------------------------------- */
static u32 pkg_length(const u8 *p, u32 *bytes)
{
	u32 n = p[0] >> 6, len = p[0] & (n ? 0x0f : 0x3f);

	*bytes = n + 1;
	for (u32 i = 0; i < n; i++)
		len |= (u32)p[1 + i] << (4 + i * 8);
	return len;
}

static bool name_char(u8 c)
{
	return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Length of a name string at p, 0 if it is none. */
static u32 name_string(const u8 *p)
{
	u32 n = 0, segments = 1;

	if (p[n] == '\\')
		n++;
	if (p[n] == 0)
		return n + 1;
	if (p[n] == 0x2e) {
		segments = 2;
		n++;
	} else if (p[n] == 0x2f) {
		segments = p[n + 1];
		n += 2;
	}
	for (u32 i = 0; i < segments * 4; i++)
		if (!name_char(p[n + i]))
			return 0;
	return n + segments * 4;
}

/* Walk the terms in [p, end): each must end where its block says. Returns false on anything that
 * the BIOS has no reason to emit. */
static bool walk(const u8 *p, const u8 *end, unsigned depth);

static bool walk_block(const u8 **p, const u8 *end, u32 skip_after_name, bool named, bool terms,
		       unsigned depth)
{
	u32 bytes, len = pkg_length(*p, &bytes);
	const u8 *stop = *p + len, *q = *p + bytes;

	if (stop > end || len < bytes)
		return false;
	if (named) {
		u32 n = name_string(q);

		if (!n)
			return false;
		q += n;
	}
	q += skip_after_name;
	*p = stop;
	return q <= stop && (!terms || walk(q, stop, depth + 1));
}

static bool walk(const u8 *p, const u8 *end, unsigned depth)
{
	if (depth > 8)
		return false;
	while (p < end) {
		u8 op = *p++;

		switch (op) {
		case 0x00:
		case 0x01:
		case 0x60:
		case 0x68:
		case 0x70: /* operands follow as terms */
		case 0x7b:
		case 0x7d:
		case 0x8a:
		case 0xa4:
		case 0x08:
			break;
		case 0x0a:
			p += 1;
			break;
		case 0x0b:
			p += 2;
			break;
		case 0x0c:
			p += 4;
			break;
		case 0x10:
			if (!walk_block(&p, end, 0, true, true, depth))
				return false;
			break;
		case 0x11:
			if (!walk_block(&p, end, 0, false, false, depth))
				return false;
			break;
		case 0x12:
			if (!walk_block(&p, end, 1, false, true, depth))
				return false;
			break;
		case 0x14:
			if (!walk_block(&p, end, 1, true, true, depth))
				return false;
			break;
		case 0xa0:
			if (!walk_block(&p, end, 0, false, true, depth))
				return false;
			break;
		case 0x5b:
			op = *p++;
			if (op == 0x80) {
				p += name_string(p) + 1; /* then two integers */
				break;
			}
			if (op != 0x81 && op != 0x82 && op != 0x83)
				return false;
			if (!walk_block(&p, end, 0, true, op == 0x82, depth))
				return false;
			break;
		default:
			p--;
			if (!name_string(p))
				return false;
			p += name_string(p);
		}
	}
	return p == end;
}

static const u8 *dsdt(void)
{
	const u8 *fadt = root_entry(0, "FACP");

	return fadt ? table(get32(fadt + 40), "DSDT") : NULL;
}

static const u8 *find(const u8 *p, u32 n, const void *what, u32 len)
{
	for (u32 i = 0; i + len <= n; i++)
		if (memcmp(p + i, what, len) == 0)
			return p + i;
	return NULL;
}

TEST(dsdt_blocks_nest_and_end)
{
	const u8 *t;

	CHECK(build(3, SIZE));
	t = dsdt();
	CHECK(t && walk(t + 36, t + get32(t + 4), 0));
}

TEST(dsdt_has_what_the_os_needs)
{
	static const u8 pnp0a03[] = {0x0c, 0x41, 0xd0, 0x0a, 0x03};
	static const char *const names[] = {"_S5_", "_PRT", "_CRS", "LNKA", "LNKD", "RTC_",
					    "KBD_", "COM1", "CP00", "CP02", "PRQC"};
	const u8 *t;

	CHECK(build(3, SIZE));
	t = dsdt();
	if (!t) {
		CHECK(t);
		return;
	}
	CHECK(find(t, get32(t + 4), pnp0a03, sizeof(pnp0a03)) != NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (!find(t, get32(t + 4), names[i], 4))
			CHECK_STR("absent", names[i]);
	}
	CHECK(find(t, get32(t + 4), "CP03", 4) == NULL);
}

TEST(dsdt_routes_pins_round_the_links)
{
	/* Device 2, INTB: link (2 + 1) & 3 = D. */
	static const u8 entry[] = {0x0c, 0xff, 0xff, 2,	  0,   0x01, 0x2e, 'I',
				   'S',	 'A',  '_',  'L', 'N', 'K',  'D',  0x00};
	const u8 *t;

	CHECK(build(1, SIZE));
	t = dsdt();
	CHECK(t && find(t, get32(t + 4), entry, sizeof(entry)) != NULL);
}

TEST(aml_remembers_overflow)
{
	u8 small[8];
	struct aml a = {.buf = small, .cap = sizeof(small)};

	dsdt_build(&a, 1);
	CHECK(a.overflow);
	CHECK_EQ(a.len, 8);
}

/* --- MP table ------------------------------------------------------------------------------- */
TEST(mp_table_counts_and_sums)
{
	u8 buf[EBDA_MPTABLE_LEN], pointer[MP_POINTER_LEN];
	unsigned len, entries, cpus = 0, seen = 0;
	const u8 *p;

	CHECK(mptable_build(buf, sizeof(buf), 0x9f000, pointer, 4));
	CHECK(memcmp(pointer, "_MP_", 4) == 0);
	CHECK_EQ(get32(pointer + 4), 0x9f000);
	CHECK_EQ(acpi_sum(pointer, 16), 0);
	len = buf[4] | buf[5] << 8;
	CHECK(len <= sizeof(buf));
	CHECK_EQ(acpi_sum(buf, len), 0);
	entries = buf[34] | buf[35] << 8;
	for (p = buf + 44; p < buf + len; p += *p == 0 ? 20 : 8, seen++)
		cpus += *p == 0;
	CHECK(p == buf + len);
	CHECK_EQ(seen, entries);
	CHECK_EQ(cpus, 4);
}

TEST(mp_table_too_big_leaves_no_pointer)
{
	u8 buf[EBDA_MPTABLE_LEN], pointer[MP_POINTER_LEN] = {0};

	CHECK(!mptable_build(buf, sizeof(buf), 0x9f000, pointer, 60));
	CHECK(!mptable_build(buf, 10, 0x9f000, pointer, 1));
	CHECK_EQ(pointer[0], 0);
	CHECK(mptable_build(buf, sizeof(buf), 0x9f000, pointer, 8)); /* what fits its place */
}

/* --- SMBIOS --------------------------------------------------------------------------------- */
static unsigned smbios_walk(const u8 *buf, u32 room, u8 *types)
{
	u32 at = 0;
	unsigned n = 0;

	while (at + 4 <= room && n < 32) {
		types[n++] = buf[at];
		if (buf[at + 1] < 4)
			return 0;
		if (buf[at] == 127)
			return n;
		at += buf[at + 1];
		while (at + 1 < room && (buf[at] || buf[at + 1]))
			at++;
		at += 2;
	}
	return 0;
}

TEST(smbios_structures_are_all_there)
{
	static const u8 want[] = {0, 1, 3, 4, 16, 17, 19, 19, 32, 127};
	struct bios_config cfg = {
		.ncpus = 2, .low_ram = 3 * GIB, .high_ram = 61 * GIB, .name = "a"};
	u8 buf[EBDA_SMBIOS_LEN], types[32];

	CHECK(smbios_build(buf, sizeof(buf), &cfg));
	CHECK_EQ(smbios_walk(buf, sizeof(buf), types), SMBIOS_COUNT);
	CHECK(memcmp(types, want, sizeof(want)) == 0);
	cfg.high_ram = 0;
	memset(cfg.name, 'x', 15);
	CHECK(smbios_build(buf, sizeof(buf), &cfg));
	CHECK_EQ(smbios_walk(buf, sizeof(buf), types), SMBIOS_COUNT);
	CHECK_EQ(types[7], 126);
	CHECK(!smbios_build(buf, 200, &cfg));
}

/* --- E820 ----------------------------------------------------------------------------------- */
static u64 ram_of(const struct bios_e820 *map, u32 n)
{
	u64 sum = 0;

	for (u32 i = 0; i < n; i++)
		sum += map[i].type == E820_RAM ? map[i].len : 0;
	return sum;
}

static void check_map(u64 low, u64 high)
{
	struct bios_e820 map[SHARED_E820_MAX];
	u32 n = e820_build(map, low, high);

	CHECK(n <= SHARED_E820_MAX);
	for (u32 i = 1; i < n; i++)
		CHECK(map[i].base >= map[i - 1].base + map[i - 1].len);
	CHECK_EQ(ram_of(map, n),
		 ALIGN_DOWN(low, TABLES_SIZE) - TABLES_SIZE - MIB + EBDA_PHYS + high);
}

TEST(memory_map_covers_ram_and_overlaps_nothing)
{
	check_map(2 * MIB, 0);
	check_map(512 * MIB, 0);
	check_map(512 * MIB + 4096, 0);
	check_map(PC_PCI_HOLE_START, 0);
	check_map(PC_PCI_HOLE_START, 13 * GIB);
}
