/* ACPI specification 6.4 ch. 5.
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/acpi.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "penumbra/acpi.h"

#define ROOT_ENTRIES_MAX 256

struct acpi_hpet {
	struct acpi_header h;
	u32 block_id;
	struct acpi_gas addr;
} __attribute__((packed));

struct mcfg_entry {
	u64 base;
	u16 segment;
	u8 bus_start, bus_end;
	u32 reserved;
} __attribute__((packed));

/* --- reading -------------------------------------------------------------------------------- */

/* Sum of @len bytes at @pa; 1 (never a good sum) when they cannot be read. */
static u8 sum_phys(const struct acpi_mem *m, hpa_t pa, u64 len)
{
	u8 buf[256], acc = 0;

	while (len) {
		size_t n = (size_t)MIN(len, sizeof(buf));

		if (m->read(m->ctx, pa, buf, n))
			return 1;
		acc += acpi_sum(buf, n);
		pa += n;
		len -= n;
	}
	return acc;
}

/* Header of the table at @pa into @h; true when its length and checksum are good. */
static bool table_ok(const struct acpi_mem *m, hpa_t pa, struct acpi_header *h)
{
	if (!pa || m->read(m->ctx, pa, h, sizeof(*h)))
		return false;
	if (h->length < sizeof(*h) || h->length > ACPI_TABLE_MAX || pa + h->length < pa)
		return false;
	return sum_phys(m, pa, h->length) == 0;
}

/* --- root pointer --------------------------------------------------------------------------- */

static bool rsdp_read(const struct acpi_mem *m, hpa_t pa, struct acpi_rsdp *r)
{
	if (m->read(m->ctx, pa, r, ACPI_RSDP_V1_LEN) ||
	    memcmp(r->signature, ACPI_RSDP_SIGNATURE, 8) != 0 || acpi_sum(r, ACPI_RSDP_V1_LEN) != 0)
		return false;
	if (r->revision < 2)
		return true;
	/* A bad second half leaves the first: fall back to the RSDT. */
	if (m->read(m->ctx, pa, r, sizeof(*r)) || r->length < sizeof(*r) || r->length > PAGE_SIZE ||
	    sum_phys(m, pa, r->length) != 0)
		r->revision = 0;
	return true;
}

static hpa_t rsdp_scan(const struct acpi_mem *m, hpa_t from, hpa_t to)
{
	struct acpi_rsdp r;

	for (; from < to; from += 16)
		if (rsdp_read(m, from, &r))
			return from;
	return 0;
}

hpa_t acpi_find_rsdp(const struct acpi_mem *m)
{
	u16 segment = 0;
	hpa_t ebda, found = 0;

	if (m->read(m->ctx, 0x40e, &segment, sizeof(segment)))
		segment = 0;
	ebda = (hpa_t)segment << 4;
	if (ebda >= 0x400 && ebda < 0xa0000)
		found = rsdp_scan(m, ebda, ebda + KIB);
	return found ? found : rsdp_scan(m, 0xe0000, 0x100000);
}

/* --- MADT ----------------------------------------------------------------------------------- */

static void add_cpu(struct boot_acpi *a, u32 apic_id, u32 uid, u32 flags)
{
	if (!(flags & MADT_CPU_ENABLED) || a->ncpus == BOOT_MAX_CPUS)
		return;
	for (unsigned i = 0; i < a->ncpus; i++)
		if (a->cpu[i].apic_id == apic_id)
			return;
	a->cpu[a->ncpus++] = (struct boot_cpu){.apic_id = apic_id, .acpi_uid = uid};
}

static void madt_add_ioapic(struct boot_acpi *a, const struct madt_ioapic *e)
{
	if (a->nioapics < ARRAY_SIZE(a->ioapic))
		a->ioapic[a->nioapics++] = (struct boot_ioapic){
			.base = e->address, .id = e->id, .gsi_base = e->gsi_base};
}

static void madt_add_iso(struct boot_acpi *a, const struct madt_iso *e)
{
	if (e->bus == 0 && e->irq < ACPI_ISA_IRQS)
		a->isa[e->irq] = (struct boot_isa_irq){
			.gsi = e->gsi,
			.active_low = MADT_POLARITY(e->flags) == MADT_ACTIVE_LOW,
			.level = MADT_TRIGGER(e->flags) == MADT_LEVEL};
}

/* One entry; @e holds at least @len bytes, @len as the entry itself says, 64 at most. */
static void madt_entry(struct boot_acpi *a, const void *e, u8 type, u8 len)
{
	if (type == MADT_LAPIC && len >= sizeof(struct madt_lapic)) {
		const struct madt_lapic *c = e;

		if (c->apic_id != MADT_ALL_CPUS)
			add_cpu(a, c->apic_id, c->uid, c->flags);
	} else if (type == MADT_X2APIC && len >= sizeof(struct madt_x2apic)) {
		const struct madt_x2apic *c = e;

		if (c->apic_id != MADT_ALL_X2APIC)
			add_cpu(a, c->apic_id, c->uid, c->flags);
	} else if (type == MADT_IOAPIC && len >= sizeof(struct madt_ioapic)) {
		madt_add_ioapic(a, e);
	} else if (type == MADT_ISO && len >= sizeof(struct madt_iso)) {
		madt_add_iso(a, e);
	} else if (type == MADT_LAPIC_ADDR && len >= sizeof(struct madt_lapic_addr)) {
		a->lapic_base = ((const struct madt_lapic_addr *)e)->address;
	}
}

static void parse_madt(struct boot_acpi *a, const struct acpi_mem *m, hpa_t pa, u32 length)
{
	u64 off = sizeof(struct acpi_madt);
	struct acpi_madt t;

	if (length < off || m->read(m->ctx, pa, &t, sizeof(t)))
		return;
	a->madt = pa;
	a->lapic_base = t.lapic_base;
	while (off + 2 <= length) {
		u8 buf[64] = {0};

		if (m->read(m->ctx, pa + off, buf, MIN(sizeof(buf), length - off)))
			return;
		/* An entry that claims no length would loop for ever. */
		if (buf[1] < 2 || buf[1] > length - off)
			return;
		madt_entry(a, buf, buf[0], buf[1]);
		off += buf[1];
	}
}

/* --- \_S5 ----------------------------------------------------------------------------------- */

#define AML_ZERO    0x00
#define AML_ONE	    0x01
#define AML_NAME    0x08
#define AML_BYTE    0x0a
#define AML_WORD    0x0b
#define AML_DWORD   0x0c
#define AML_PACKAGE 0x12
#define S5_WINDOW   32 /* the longest encoding of interest, with its name */

/* An integer of a package at @p: its low byte; advances *@i. -EINVAL: something else. */
static int aml_small_int(const u8 *p, unsigned n, unsigned *i)
{
	unsigned at = *i, size;

	if (at >= n)
		return -EINVAL;
	switch (p[at]) {
	case AML_ZERO:
	case AML_ONE:
		*i = at + 1;
		return p[at];
	case AML_BYTE:
		size = 1;
		break;
	case AML_WORD:
		size = 2;
		break;
	case AML_DWORD:
		size = 4;
		break;
	default:
		return -EINVAL;
	}
	if (at + size >= n)
		return -EINVAL;
	*i = at + 1 + size;
	return p[at + 1];
}

/* Name(_S5_, Package(n){SLP_TYPa, SLP_TYPb, …}) at @p, which starts at the name: SLP_TYP values
 * (a in bits 7:0, b in 15:8), or -EINVAL. */
static int aml_s5(const u8 *p, unsigned n)
{
	unsigned i = 4, elements;
	int a, b;

	if (n < 8 || p[i++] != AML_PACKAGE)
		return -EINVAL;
	i += 1u + (p[i] >> 6); /* PkgLength: top two bits count the bytes that follow */
	if (i >= n)
		return -EINVAL;
	elements = p[i++];
	a = elements >= 1 ? aml_small_int(p, n, &i) : -EINVAL;
	if (a < 0)
		return -EINVAL;
	b = elements >= 2 ? aml_small_int(p, n, &i) : a;
	return b < 0 ? -EINVAL : (a & 7) | (b & 7) << 8;
}

/* Look through @n bytes of AML; the name must start in the first @starts. */
static int scan_s5_block(const u8 *p, unsigned n, unsigned starts)
{
	for (unsigned i = 1; i < starts && i + 4 <= n; i++) {
		bool named = p[i - 1] == AML_NAME ||
			     (p[i - 1] == '\\' && i >= 2 && p[i - 2] == AML_NAME);
		int slp;

		if (!named || memcmp(p + i, "_S5_", 4) != 0)
			continue;
		slp = aml_s5(p + i, n - i);
		if (slp >= 0)
			return slp;
	}
	return -ENOENT;
}

static void scan_s5(struct boot_acpi *a, const struct acpi_mem *m, hpa_t pa, u32 length)
{
	u8 buf[512];
	u64 off = sizeof(struct acpi_header);

	while (a->slp_typ_s5 == ACPI_SLP_UNKNOWN && off < length) {
		unsigned n = (unsigned)MIN(sizeof(buf), length - off);
		int slp;

		if (m->read(m->ctx, pa + off, buf, n))
			return;
		slp = scan_s5_block(buf, n, n);
		if (slp >= 0)
			a->slp_typ_s5 = (u16)slp;
		if (n < sizeof(buf))
			return;
		/* Blocks overlap, so that a name across a border is whole in the next one. */
		off += sizeof(buf) - S5_WINDOW;
	}
}

/* --- FADT ----------------------------------------------------------------------------------- */

/* The I/O port of a register: the extended form when it is there and names a port, else @old. */
static u32 fadt_port(const struct acpi_gas *x, u32 old)
{
	if (x->address && x->space == ACPI_SPACE_IO && x->address <= 0xffff)
		return (u32)x->address;
	return old <= 0xffff ? old : 0;
}

static void parse_fadt(struct boot_acpi *a, const struct acpi_mem *m, hpa_t pa, u32 length)
{
	struct acpi_fadt f;
	struct acpi_header dsdt;
	hpa_t dsdt_pa;

	/* Fields beyond the table's length read as zero: "not there" in all of them. */
	memset(&f, 0, sizeof(f));
	if (m->read(m->ctx, pa, &f, MIN(sizeof(f), length)))
		return;
	a->fadt = pa;
	a->pm_timer_port = fadt_port(&f.x_pm_tmr, f.pm_tmr);
	a->pm_timer_32bit = f.flags & FADT_TMR_32BIT;
	a->pm1a_cnt = (u16)fadt_port(&f.x_pm1a_cnt, f.pm1a_cnt);
	a->pm1b_cnt = (u16)fadt_port(&f.x_pm1b_cnt, f.pm1b_cnt);
	if ((f.flags & FADT_RESET_SUPPORTED) && f.reset_reg.address) {
		a->reset_valid = 1;
		a->reset_space = f.reset_reg.space;
		a->reset_addr = f.reset_reg.address;
		a->reset_value = f.reset_value;
	}
	dsdt_pa = f.x_dsdt ? f.x_dsdt : f.dsdt;
	if (table_ok(m, dsdt_pa, &dsdt) && acpi_sig_is(&dsdt, "DSDT"))
		scan_s5(a, m, dsdt_pa, dsdt.length);
}

/* --- the rest ------------------------------------------------------------------------------- */

static void parse_hpet(struct boot_acpi *a, const struct acpi_mem *m, hpa_t pa, u32 length)
{
	struct acpi_hpet t;

	if (length < sizeof(t) || m->read(m->ctx, pa, &t, sizeof(t)))
		return;
	a->hpet_table = pa;
	if (t.addr.space == ACPI_SPACE_MEMORY)
		a->hpet_base = t.addr.address;
}

static void add_ecam(struct boot_acpi *a, const struct mcfg_entry *e)
{
	if (a->necam == ARRAY_SIZE(a->ecam) || e->bus_start > e->bus_end || !e->base) {
		a->ecam_dropped++;
		return;
	}
	a->ecam[a->necam++] = (struct boot_ecam){.base = e->base,
						 .segment = e->segment,
						 .bus_start = e->bus_start,
						 .bus_end = e->bus_end};
	if (e->segment == 0 && !a->ecam_base) {
		a->ecam_base = e->base;
		a->ecam_bus_start = e->bus_start;
		a->ecam_bus_end = e->bus_end;
	}
}

static void parse_mcfg(struct boot_acpi *a, const struct acpi_mem *m, hpa_t pa, u32 length)
{
	u64 off = sizeof(struct acpi_header) + 8;

	a->mcfg = pa;
	for (; off + sizeof(struct mcfg_entry) <= length; off += sizeof(struct mcfg_entry)) {
		struct mcfg_entry e;

		if (m->read(m->ctx, pa + off, &e, sizeof(e)))
			return;
		add_ecam(a, &e);
	}
}

static void parse_table(struct boot_acpi *a, const struct acpi_mem *m, hpa_t pa)
{
	struct acpi_header h;

	if (!table_ok(m, pa, &h))
		return;
	/* The first of a kind counts. */
	if (acpi_sig_is(&h, "APIC") && !a->madt)
		parse_madt(a, m, pa, h.length);
	else if (acpi_sig_is(&h, "FACP") && !a->fadt)
		parse_fadt(a, m, pa, h.length);
	else if (acpi_sig_is(&h, "HPET") && !a->hpet_table)
		parse_hpet(a, m, pa, h.length);
	else if (acpi_sig_is(&h, "MCFG") && !a->mcfg)
		parse_mcfg(a, m, pa, h.length);
	else if (acpi_sig_is(&h, "SSDT"))
		scan_s5(a, m, pa, h.length);
}

static void acpi_defaults(struct boot_acpi *a)
{
	memset(a, 0, sizeof(*a));
	a->slp_typ_s5 = ACPI_SLP_UNKNOWN;
	for (unsigned i = 0; i < ACPI_ISA_IRQS; i++)
		a->isa[i].gsi = i;
}

/* The root table: XSDT of a revision 2 pointer when it is good, else the RSDT. */
static bool find_root(struct boot_acpi *a, const struct acpi_mem *m, const struct acpi_rsdp *r,
		      struct acpi_header *h)
{
	if (r->revision >= 2 && table_ok(m, r->xsdt, h) && acpi_sig_is(h, "XSDT")) {
		a->root = r->xsdt;
		a->root_is_xsdt = true;
		return true;
	}
	if (table_ok(m, r->rsdt, h) && acpi_sig_is(h, "RSDT")) {
		a->root = r->rsdt;
		return true;
	}
	return false;
}

int acpi_parse(struct boot_acpi *a, const struct acpi_mem *m, hpa_t rsdp)
{
	struct acpi_rsdp r = {0};
	struct acpi_header h;
	unsigned size, n;

	acpi_defaults(a);
	if (!rsdp || !rsdp_read(m, rsdp, &r) || !find_root(a, m, &r, &h))
		return -ENOENT;
	a->rsdp = rsdp;
	a->rsdp_rev = r.revision;
	size = a->root_is_xsdt ? 8 : 4;
	n = (h.length - (unsigned)sizeof(h)) / size;
	for (unsigned i = 0; i < MIN(n, ROOT_ENTRIES_MAX); i++) {
		u64 pa = 0;

		if (m->read(m->ctx, a->root + sizeof(h) + (u64)i * size, &pa, size))
			break;
		parse_table(a, m, pa);
	}
	return 0;
}
