/* ACPI tables for the control partition. These tests would catch: a second CPU left in the MADT, an
 * IOAPIC or override lost; a table of the IOMMU, HPET or machine errors passed on; a bad checksum
 * produced; the firmware's own tables written to; a read past a table; an endless loop over a
 * malformed MADT; a table changed between check and use; an ISA IRQ chosen that is in use.
 *
 * SRCS: hv/core/acpi_patch.c hv/core/acpi_madt.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "core/acpi_patch.h"
#include "lib/errno.h"

#define MEM_SIZE 0x40000u
#define BASE	 0x7fe00000ull	/* of the "physical" memory with the tables */
#define HIGH	 0x100000000ull /* the same again above 4 GiB */
#define BUF_GPA	 0x1000000ull

enum {
	RSDP = 0x100,
	XSDT = 0x1000,
	RSDT = 0x1800,
	MADT = 0x2000,
	FADT = 0x3000,
	DSDT = 0x4000,
	FACS = 0x5000,
	OTHER = 0x6000
};

static u8 mem[MEM_SIZE], snapshot[MEM_SIZE];
static u8 *window; /* what was mapped last, in an allocation of its own: ASan sees its ends */
static u8 buf[0x8000] __attribute__((aligned(16)));
static unsigned ntables;

static const void *map(void *ctx, hpa_t hpa, size_t len)
{
	(void)ctx;
	free(window);
	window = NULL;
	if (hpa >= HIGH)
		hpa -= HIGH;
	if (hpa < BASE || hpa - BASE > MEM_SIZE || len > MEM_SIZE - (hpa - BASE))
		return NULL;
	window = malloc(len ? len : 1);
	memcpy(window, mem + (hpa - BASE), len);
	return window;
}

static const struct acpi_source src = {.map = map};

static void put(u32 at, unsigned size, u64 v)
{
	memcpy(mem + at, &v, size);
}

static u64 get(const u8 *p, unsigned size)
{
	u64 v = 0;

	memcpy(&v, p, size);
	return v;
}

static u8 sum(const u8 *p, size_t n)
{
	u8 acc = 0;

	while (n--)
		acc += *p++;
	return acc;
}

static void seal(u32 at, u32 len, u32 sum_at)
{
	mem[at + sum_at] = 0;
	mem[at + sum_at] = (u8)-sum(mem + at, len);
}

static void table(u32 at, const char *sig, u32 len)
{
	memcpy(mem + at, sig, 4);
	put(at + 4, 4, len);
	seal(at, len, 9);
}

static void add(u32 at)
{
	put(XSDT + 36 + ntables * 8, 8, BASE + at);
	put(RSDT + 36 + ntables * 4, 4, BASE + at);
	ntables++;
	table(XSDT, "XSDT", 36 + ntables * 8);
	table(RSDT, "RSDT", 36 + ntables * 4);
}

static void other(const char *sig)
{
	u32 at = OTHER + ntables * 0x100;

	table(at, sig, 64);
	add(at);
}

static const u8 madt_entries[] = {
	0,    8,  0,	0, 1, 0, 0,    0,				/* CPU 0, APIC ID 0 */
	0,    8,  1,	2, 1, 0, 0,    0,				/* CPU 1, APIC ID 2 */
	0,    8,  2,	4, 0, 0, 0,    0,				/* disabled, APIC ID 4 */
	9,    16, 0,	0, 0, 1, 0,    0,    1,	   0, 0, 0, 7, 0, 0, 0, /* x2APIC ID 0x100, uid 7 */
	1,    12, 5,	0, 0, 0, 0xc0, 0xfe, 0,	   0, 0, 0,		/* IOAPIC */
	1,    12, 6,	0, 0, 0, 0xc1, 0xfe, 24,   0, 0, 0,		/* second IOAPIC */
	2,    10, 0,	0, 2, 0, 0,    0,    0,	   0,			/* IRQ 0 -> GSI 2 */
	2,    10, 0,	9, 9, 0, 0,    0,    0x0f, 0,			/* IRQ 9 low, level */
	3,    8,  0,	0, 7, 0, 0,    0,				/* GSI 7 is an NMI */
	4,    6,  0xff, 0, 0, 1,					/* LINT1 of all */
	4,    6,  1,	0, 0, 1,					/* LINT1 of uid 1 */
	10,   12, 0,	0, 7, 0, 0,    0,    1,	   0, 0, 0,		/* LINT1 of uid 7 */
	5,    12, 0,	0, 0, 0, 0xe0, 0xfe, 0,	   0, 0, 0,		/* local APIC address */
	16,   16, 0,	0, 0, 0, 0,    0,    1,	   2, 3, 4, 5, 6, 7, 8, /* wake-up mailbox */
	0x7f, 4,  1,	2,						/* unknown */
};

static void put_madt(const u8 *entries, u32 n)
{
	put(MADT + 36, 4, 0xfee00000);
	memcpy(mem + MADT + 44, entries, n);
	table(MADT, "APIC", 44 + n);
}

static void put_fadt(u32 len)
{
	memset(mem + FADT + 36, 0x11, len - 36);
	put(FADT + 36, 4, BASE + FACS);
	put(FADT + 40, 4, BASE + DSDT);
	put(FADT + 46, 2, 11);
	put(FADT + 112, 4, 1u << 18 | 1u << 10);
	if (len >= 148) {
		put(FADT + 132, 8, 0);
		put(FADT + 140, 8, BASE + DSDT);
	}
	table(FADT, "FACP", len);
}

static void world(void)
{
	memset(mem, 0, sizeof(mem));
	memset(buf, 0xee, sizeof(buf));
	ntables = 0;
	put_madt(madt_entries, sizeof(madt_entries));
	put_fadt(244);
	table(DSDT, "DSDT", 0x200);
	memcpy(mem + RSDP, "RSD PTR ", 8);
	mem[RSDP + 15] = 2;
	put(RSDP + 16, 4, BASE + RSDT);
	put(RSDP + 20, 4, 36);
	put(RSDP + 24, 8, BASE + XSDT);
	seal(RSDP, 20, 8);
	seal(RSDP, 36, 32);
	add(FADT);
	add(MADT);
}

static struct acpi_patch patch(u32 apic_id)
{
	return (struct acpi_patch){.src = src,
				   .rsdp = BASE + RSDP,
				   .apic_id = apic_id,
				   .buf = buf,
				   .buf_gpa = BUF_GPA,
				   .buf_len = sizeof(buf)};
}

static int run(struct acpi_patch *p)
{
	int err;

	memcpy(snapshot, mem, sizeof(mem));
	err = acpi_patch(p);
	CHECK(!memcmp(snapshot, mem, sizeof(mem)));
	CHECK(p->used <= p->buf_len);
	return err;
}

/* A table by the partition's eyes: in the buffer or the firmware's. */
static const u8 *see(gpa_t gpa)
{
	if (gpa >= BUF_GPA && gpa - BUF_GPA < sizeof(buf))
		return buf + (gpa - BUF_GPA);
	if (gpa >= HIGH)
		gpa -= HIGH;
	return gpa >= BASE && gpa - BASE < MEM_SIZE ? mem + (gpa - BASE) : NULL;
}

/* Follow the new root pointer as an operating system does; both root tables must agree. */
static const u8 *find(const struct acpi_patch *p, const char *sig)
{
	const u8 *r = see(p->new_rsdp), *x, *found = NULL;
	u32 n;

	CHECK(r && !memcmp(r, "RSD PTR ", 8) && !sum(r, 20) && !sum(r, 36) &&
	      p->new_rsdp % 16 == 0);
	x = see(get(r + 24, 8));
	CHECK(x && !memcmp(x, "XSDT", 4));
	n = (u32)get(x + 4, 4);
	CHECK_EQ(sum(x, n), 0);
	for (u32 i = 36; i < n; i += 8) {
		const u8 *t = see(get(x + i, 8));

		CHECK(t != NULL);
		CHECK_EQ(sum(t, get(t + 4, 4)), 0);
		if (!memcmp(t, sig, 4))
			found = t;
	}
	if (get(r + 16, 4)) {
		const u8 *y = see(get(r + 16, 4));

		CHECK(!memcmp(y, "RSDT", 4) && !sum(y, get(y + 4, 4)));
		CHECK_EQ((get(y + 4, 4) - 36) * 2, n - 36);
		for (u32 i = 0; i < (n - 36) / 8; i++)
			CHECK_EQ(get(y + 36 + i * 4, 4), get(x + 36 + i * 8, 8));
	}
	return found;
}

/* Entries of the MADT at @t: how many of each type, and the CPU's ID. */
static void count(const u8 *t, unsigned n[256], u32 *id)
{
	u32 len = (u32)get(t + 4, 4);

	memset(n, 0, 256 * sizeof(*n));
	for (u32 off = 44; off < len; off += t[off + 1]) {
		n[t[off]]++;
		if (t[off] == 0)
			*id = t[off + 3];
		else if (t[off] == 9)
			*id = (u32)get(t + off + 4, 4);
	}
}

TEST(madt_has_one_cpu)
{
	static const u32 ids[] = {0, 2, 0x100};
	unsigned n[256];
	u32 id;

	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
		struct acpi_patch p = patch(ids[i]);

		world();
		CHECK_EQ(run(&p), 0);
		count(find(&p, "APIC"), n, &id);
		CHECK_EQ(id, ids[i]);
		CHECK_EQ(n[0] + n[9], 1);
		CHECK_EQ(n[1], 2);
		CHECK_EQ(n[2], 2);
		CHECK_EQ(n[3], 1);
		CHECK_EQ(n[4], i == 1 ? 2 : 1); /* that of uid 1 goes with CPU 1 */
		CHECK_EQ(n[10], i == 2);
		CHECK_EQ(n[5], 1);
		CHECK_EQ(n[16], 0);
		CHECK_EQ(n[0x7f], 0);
	}
}

TEST(a_cpu_listed_twice_appears_once)
{
	static const u8 twice[] = {0, 8, 0, 2, 1, 0, 0, 0, 9, 16, 0, 0,
				   2, 0, 0, 0, 1, 0, 0, 0, 0, 0,  0, 0};
	struct acpi_patch p = patch(2);
	unsigned n[256];
	u32 id;

	world();
	put_madt(twice, sizeof(twice));
	CHECK_EQ(run(&p), 0);
	count(find(&p, "APIC"), n, &id);
	CHECK_EQ(n[0] + n[9], 1);
}

TEST(fadt_asks_for_physical_destinations)
{
	struct acpi_patch p = patch(0);
	const u8 *t;

	world();
	CHECK_EQ(run(&p), 0);
	t = find(&p, "FACP");
	CHECK_EQ(get(t + 112, 4), 1u << 19 | 1u << 10);
	CHECK_EQ(get(t + 36, 4), BASE + FACS);
	CHECK_EQ(get(t + 140, 8), BASE + DSDT);
	CHECK_EQ(get(t + 96, 4), 0xffffffff); /* no C2, no C3 */
	CHECK(t[55] == 0 && t[95] == 0 && t[105] == 0);
	CHECK_EQ(t[109], 0x11); /* boot architecture flags stay */
}

TEST(tables_are_kept_or_left_out)
{
	static const char *const out[] = {"DMAR", "IVRS", "HPET", "SRAT", "SLIT", "MSCT",
					  "BERT", "HEST", "ERST", "EINJ", "SPCR", "DBG2"};
	static const char *const in[] = {"MCFG", "TPM2", "SSDT", "WAET", "OEMX"};
	struct acpi_patch p = patch(0);

	world();
	for (unsigned i = 0; i < ARRAY_SIZE(out); i++)
		other(out[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(in); i++)
		other(in[i]);
	CHECK_EQ(run(&p), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(out); i++)
		CHECK(!find(&p, out[i]));
	for (unsigned i = 0; i < ARRAY_SIZE(in); i++)
		CHECK(find(&p, in[i]) >= mem && find(&p, in[i]) < mem + MEM_SIZE);
	CHECK_EQ(p.removed, ARRAY_SIZE(out));
	CHECK_EQ(p.kept, ARRAY_SIZE(in));
	CHECK_EQ(p.copied, 2);
	CHECK_STR(p.removed_sigs, "DMAR IVRS HPET SRAT SLIT MSCT BERT HEST ERST EINJ SPCR DBG2");
}

TEST(only_the_first_madt_counts)
{
	struct acpi_patch p = patch(0);

	world();
	add(MADT);
	CHECK_EQ(run(&p), 0);
	CHECK(p.copied == 2 && p.removed == 1);
	CHECK_STR(p.removed_sigs, "APIC");
}

TEST(more_tables_removed_than_names_fit)
{
	struct acpi_patch p = patch(0);

	world();
	for (unsigned i = 0; i < 60; i++)
		other("HPET");
	CHECK_EQ(run(&p), 0);
	CHECK_EQ(p.removed, 60);
	CHECK(strlen(p.removed_sigs) < sizeof(p.removed_sigs));
}

static bool above_dsdt(void *ctx, hpa_t hpa, u64 len)
{
	(void)ctx;
	return hpa + len < BASE + DSDT;
}

TEST(what_the_partition_cannot_reach_is_copied)
{
	struct acpi_patch p = patch(0);
	const u8 *t;

	world();
	other("SSDT");
	p.reachable = above_dsdt;
	CHECK_EQ(run(&p), 0);
	t = find(&p, "SSDT");
	CHECK(t >= buf && t < buf + sizeof(buf));
	t = find(&p, "FACP");
	CHECK_EQ(get(t + 140, 8), get(t + 40, 4));
	t = see(get(t + 140, 8));
	CHECK(t >= buf && t < buf + sizeof(buf) && !memcmp(t, mem + DSDT, 0x200));
	CHECK_EQ(p.copied, 4);
}

TEST(rsdt_only_where_all_is_low)
{
	struct acpi_patch p = patch(0);

	world();
	CHECK_EQ(run(&p), 0);
	CHECK(get(see(p.new_rsdp) + 16, 4) != 0);
	other("SSDT");
	put(XSDT + 36 + 2 * 8, 8, HIGH + BASE + OTHER + 0x200);
	table(XSDT, "XSDT", 36 + 3 * 8);
	CHECK_EQ(run(&p), 0);
	CHECK(find(&p, "SSDT") != NULL);
	CHECK_EQ(get(see(p.new_rsdp) + 16, 4), 0);
	p.buf_gpa = 0x180000000ull;
	CHECK_EQ(run(&p), 0);
	CHECK(p.new_rsdp >= 0x180000000ull);
	CHECK_EQ(get(buf + (p.new_rsdp - p.buf_gpa) + 16, 4), 0);
}

TEST(acpi_1_and_a_bad_xsdt_fall_back)
{
	struct acpi_patch p = patch(0);

	world();
	mem[RSDP + 15] = 0;
	seal(RSDP, 20, 8);
	put_fadt(116);
	CHECK_EQ(run(&p), 0);
	CHECK(find(&p, "APIC") && find(&p, "FACP"));
	world();
	mem[XSDT + 9]++;
	CHECK_EQ(run(&p), 0);
	CHECK(find(&p, "APIC") != NULL);
	mem[RSDT + 9]++;
	CHECK_EQ(run(&p), -ENOENT);
	CHECK_STR(p.bad, "RSDP");
	mem[RSDP]++;
	CHECK_EQ(run(&p), -ENOENT);
	p.rsdp = 0;
	CHECK_EQ(run(&p), -ENOENT);
}

TEST(errors_name_the_table)
{
	static const u8 no_length[] = {0, 0, 0, 0};
	static const u8 unknown[] = {0, 8, 0, 0, 1, 0, 0, 0, 0x7f, 0, 0, 0};
	static const u8 cut[] = {0, 8, 0, 0, 1, 0, 0, 0, 1, 12, 0};
	static const u8 too_short[] = {0, 8, 0, 0, 1, 0, 0, 0, 1, 3, 0};
	struct acpi_patch p = patch(0);

	world();
	p.apic_id = 4; /* listed, but disabled */
	CHECK_EQ(run(&p), -EINVAL);
	p.apic_id = 0;
#define BAD(what, sig)                                                                             \
	do {                                                                                       \
		world();                                                                           \
		what;                                                                              \
		CHECK_EQ(run(&p), -EINVAL);                                                        \
		CHECK_STR(p.bad, sig);                                                             \
		CHECK(p.why && !p.new_rsdp);                                                       \
	} while (0)
	BAD(put_madt(no_length, sizeof(no_length)), "APIC");
	BAD(put_madt(unknown, sizeof(unknown)), "APIC");
	BAD(put_madt(cut, sizeof(cut)), "APIC");
	BAD(put_madt(too_short, sizeof(too_short)), "APIC");
	BAD(put_madt(madt_entries + 8, sizeof(madt_entries) - 8), "APIC"); /* CPU 0 is not there */
	BAD(table(MADT, "APIC", 40), "APIC");
	BAD(mem[MADT + 9]++, "APIC");
	BAD(table(MADT, "XPIC", 44), "APIC");
	BAD(mem[FADT + 9]++, "FACP");
	BAD(put_fadt(112), "FACP");
	BAD(put(DSDT, 4, 0), "DSDT");
	BAD(put(DSDT + 4, 4, 0xffffffff), "DSDT");
	BAD(other("SSDT"); put(OTHER + 0x200 + 4, 4, 35), "SSDT");
	BAD(other("SSDT"); put(OTHER + 0x200 + 4, 4, 0xfffffff0), "SSDT");
	BAD(add(0x10000000), "RSDT");
	BAD(other("\x01\x80OK"); put(OTHER + 0x200 + 4, 4, 0), "??OK");
	BAD(put(XSDT + 4, 4, 36 + 8 * 300); seal(XSDT, 36 + 8 * 300, 9), "XSDT");
}

TEST(a_small_buffer_is_an_error_at_any_size)
{
	struct acpi_patch p = patch(0);
	size_t need;

	world();
	CHECK_EQ(run(&p), 0);
	need = p.used;
	for (size_t n = 0; n < need; n++) {
		u8 *small = malloc(n ? n : 1);

		/* The end of the allocation is the end of the buffer. */
		p.buf = small;
		p.buf_len = n;
		CHECK_EQ(run(&p), -ENOSPC);
		free(small);
		if (unit_failures)
			return;
	}
	p.buf = buf;
	p.buf_len = need;
	CHECK_EQ(run(&p), 0);
}

/* A table that becomes another one between two looks. */
static unsigned looks;
static const void *changing_map(void *ctx, hpa_t hpa, size_t len)
{
	if (hpa == BASE + MADT && looks++ == 1) {
		put(MADT + 4, 4, 0x8000);
		seal(MADT, 44 + sizeof(madt_entries), 9);
	}
	return map(ctx, hpa, len);
}

TEST(a_table_that_changes_is_refused)
{
	struct acpi_patch p = patch(0);

	world();
	looks = 0;
	p.src.map = changing_map;
	CHECK_EQ(acpi_patch(&p), -EINVAL);
	CHECK_STR(p.bad, "APIC");
}

TEST(free_isa_irq)
{
	world(); /* overrides 0 and 9, target 2, NMI 7, SCI 11 */
	CHECK_EQ(acpi_free_isa_irq(&src, BASE + RSDP, 0), 10);
	CHECK_EQ(acpi_free_isa_irq(&src, BASE + RSDP, 1u << 10), 5);
	CHECK_EQ(acpi_free_isa_irq(&src, BASE + RSDP, 1u << 10 | 1u << 5), 15);
	CHECK_EQ(acpi_free_isa_irq(&src, BASE + RSDP, 0x8420), 6);
	CHECK_EQ(acpi_free_isa_irq(&src, BASE + RSDP, 0x8460), 3);
	CHECK_EQ(acpi_free_isa_irq(&src, BASE + RSDP, 0x8468), -ENOENT);
	mem[MADT + 9]++;
	CHECK_EQ(acpi_free_isa_irq(&src, BASE + RSDP, 0), -ENOENT);
	CHECK_EQ(acpi_free_isa_irq(&src, 0, 0), -ENOENT);
	free(window);
	window = NULL;
}
