/* RSDP, RSDT, XSDT, FADT, FACS, MADT; the DSDT's body comes from dsdt.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include "acpi.h"
#include "aml.h"
#include "penumbra/acpi.h"
#include "penumbra/platform.h"

struct acpi_facs {
	char signature[4];
	u32 length, hw_signature, wake_vector, lock, flags;
	u64 x_wake_vector;
	u8 version, reserved[31];
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_facs) == 64, "FACS");

#define IRQ_LEVEL_HIGH (MADT_LEVEL << 2 | MADT_ACTIVE_HIGH)

static void copy(void *dst, const void *src, u32 n)
{
	for (u32 i = 0; i < n; i++)
		((u8 *)dst)[i] = ((const u8 *)src)[i];
}

static void clear(void *dst, u32 n)
{
	for (u32 i = 0; i < n; i++)
		((u8 *)dst)[i] = 0;
}

/* Take n bytes from the area, 16-byte aligned and zeroed; NULL when it is full. */
static void *take(struct acpi_area *area, u32 n, u32 *gpa)
{
	u32 at = ALIGN_UP(area->used, 16u);

	if (at > area->size || n > area->size - at)
		return NULL;
	area->used = at + n;
	clear(area->mem + at, n);
	*gpa = area->gpa + at;
	return area->mem + at;
}

static void finish(struct acpi_header *h, const char *signature, u8 revision, u32 length)
{
	copy(h->signature, signature, 4);
	h->length = length;
	h->revision = revision;
	copy(h->oem_id, "PNUMBR", 6);
	copy(h->oem_table_id, "PENUMBRA", 8);
	h->oem_revision = 1;
	copy(h->creator, "PNBR", 4);
	h->creator_revision = 1;
	h->checksum = 0;
	h->checksum = -acpi_sum(h, length);
}

static u32 build_dsdt(struct acpi_area *area)
{
	u32 gpa, start;
	struct acpi_header *h = take(area, sizeof(*h), &gpa);
	struct aml a;

	if (!h)
		return 0;
	start = area->used;
	a = (struct aml){.buf = area->mem + start, .len = 0, .cap = area->size - start};
	dsdt_build(&a, area->ncpus);
	if (a.overflow)
		return 0;
	area->used = start + a.len;
	finish(h, "DSDT", 2, sizeof(*h) + a.len);
	return gpa;
}

static struct acpi_gas io_gas(u16 port, u8 bytes)
{
	/* Access size: 1 byte, 2 word, 3 dword. */
	struct acpi_gas g = {ACPI_SPACE_IO, bytes * 8, 0,
			     bytes == 1	  ? 1
			     : bytes == 2 ? 2
					  : 3,
			     port};

	return g;
}

static void fadt_registers(struct acpi_fadt *f)
{
	f->smi_cmd = PC_PORT_SMI_CMD;
	f->acpi_enable = PC_ACPI_ENABLE;
	f->acpi_disable = PC_ACPI_DISABLE;
	f->pm1a_evt = PC_PORT_PM_EVT;
	f->pm1a_cnt = PC_PORT_PM_CNT;
	f->pm_tmr = PC_PORT_PM_TMR;
	f->gpe0 = PC_PORT_GPE0;
	f->pm1_evt_len = 4;
	f->pm1_cnt_len = 2;
	f->pm_tmr_len = 4;
	f->gpe0_len = 4;
	f->x_pm1a_evt = io_gas(PC_PORT_PM_EVT, 4);
	f->x_pm1a_cnt = io_gas(PC_PORT_PM_CNT, 2);
	f->x_pm_tmr = io_gas(PC_PORT_PM_TMR, 4);
	f->x_gpe0 = io_gas(PC_PORT_GPE0, 4);
	f->x_gpe0.access = 1;
	f->reset_reg = io_gas(PC_PORT_RESET, 1);
	f->reset_value = 0x06;
}

static u32 build_fadt(struct acpi_area *area, u32 dsdt)
{
	u32 gpa;
	struct acpi_fadt *f = take(area, sizeof(*f), &gpa);

	if (!f)
		return 0;
	f->facs = area->facs_gpa;
	f->dsdt = dsdt;
	f->x_dsdt = dsdt;
	f->profile = 1; /* desktop */
	f->sci_irq = PC_IRQ_SCI;
	fadt_registers(f);
	f->c2_latency = FADT_LATENCY_NO;
	f->c3_latency = FADT_LATENCY_NO;
	f->century = 0x32;
	f->boot_arch = FADT_ARCH_LEGACY | FADT_ARCH_8042;
	f->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_RESET_SUPPORTED;
	finish(&f->h, "FACP", 4, sizeof(*f));
	return gpa;
}

static void build_facs(struct acpi_area *area)
{
	struct acpi_facs *f = (void *)area->facs;

	clear(f, sizeof(*f));
	copy(f->signature, "FACS", 4);
	f->length = sizeof(*f);
	f->version = 1;
}

static const struct madt_iso overrides[] = {
	{MADT_ISO, sizeof(struct madt_iso), 0, PC_IRQ_TIMER, 2, 0},
	{MADT_ISO, sizeof(struct madt_iso), 0, PC_IRQ_SCI, PC_IRQ_SCI, IRQ_LEVEL_HIGH},
	{MADT_ISO, sizeof(struct madt_iso), 0, PC_PIRQ_A_IRQ, PC_PIRQ_A_IRQ, IRQ_LEVEL_HIGH},
	{MADT_ISO, sizeof(struct madt_iso), 0, PC_PIRQ_C_IRQ, PC_PIRQ_C_IRQ, IRQ_LEVEL_HIGH},
};

static u32 build_madt(struct acpi_area *area)
{
	u32 len = sizeof(struct acpi_madt) + area->ncpus * sizeof(struct madt_lapic) +
		  sizeof(struct madt_ioapic) + sizeof(overrides) + sizeof(struct madt_lapic_nmi);
	struct madt_ioapic io = {MADT_IOAPIC, sizeof(io), PC_IOAPIC_ID, 0, PC_IOAPIC_BASE, 0};
	struct madt_lapic_nmi nmi = {MADT_LAPIC_NMI, sizeof(nmi), MADT_ALL_CPUS, 0, 1};
	u32 gpa;
	struct acpi_madt *t = take(area, len, &gpa);
	u8 *p;

	if (!t)
		return 0;
	t->lapic_base = PC_LAPIC_BASE;
	t->flags = MADT_PCAT_COMPAT;
	p = (u8 *)(t + 1);
	for (u32 i = 0; i < area->ncpus; i++, p += sizeof(struct madt_lapic)) {
		struct madt_lapic l = {MADT_LAPIC, sizeof(l), i, i, MADT_CPU_ENABLED};

		copy(p, &l, sizeof(l));
	}
	copy(p, &io, sizeof(io));
	p += sizeof(io);
	copy(p, overrides, sizeof(overrides));
	p += sizeof(overrides);
	copy(p, &nmi, sizeof(nmi));
	finish(&t->h, "APIC", 3, len);
	return gpa;
}

/* RSDT (4-byte) or XSDT (8-byte pointers). */
static u32 build_root(struct acpi_area *area, u32 width, const u32 *tables, u32 n)
{
	u32 gpa, len = sizeof(struct acpi_header) + n * width;
	u8 *t = take(area, len, &gpa);

	if (!t)
		return 0;
	for (u32 i = 0; i < n; i++)
		copy(t + sizeof(struct acpi_header) + i * width, &tables[i], 4);
	finish((struct acpi_header *)t, width == 4 ? "RSDT" : "XSDT", 1, len);
	return gpa;
}

static void build_rsdp(struct acpi_rsdp *r, u32 rsdt, u32 xsdt)
{
	clear(r, sizeof(*r));
	copy(r->signature, ACPI_RSDP_SIGNATURE, 8);
	copy(r->oem_id, "PNUMBR", 6);
	r->revision = 2;
	r->rsdt = rsdt;
	r->xsdt = xsdt;
	r->length = sizeof(*r);
	r->checksum = -acpi_sum(r, ACPI_RSDP_V1_LEN);
	r->ext_checksum = -acpi_sum(r, sizeof(*r));
}

bool acpi_build(struct acpi_area *area, struct acpi_rsdp *rsdp)
{
	u32 dsdt, tables[2], rsdt, xsdt;

	area->used = 0;
	if (area->ncpus > ACPI_MAX_CPUS)
		area->ncpus = ACPI_MAX_CPUS;
	build_facs(area);
	dsdt = build_dsdt(area);
	tables[0] = dsdt ? build_fadt(area, dsdt) : 0;
	tables[1] = build_madt(area);
	if (!tables[0] || !tables[1])
		return false;
	rsdt = build_root(area, 4, tables, 2);
	xsdt = build_root(area, 8, tables, 2);
	if (!rsdt || !xsdt)
		return false;
	build_rsdp(rsdp, rsdt, xsdt);
	return true;
}
