/* The DSDT: what ACPI cannot find out from PCI, in AML.
 *
 * SPDX-License-Identifier: MIT
 */
#include "acpi.h"
#include "aml.h"
#include "penumbra/bioschan.h"
#include "penumbra/platform.h"

static const char *const link_name[4] = {"LNKA", "LNKB", "LNKC", "LNKD"};
static const char *const link_path[4] = {"ISA.LNKA", "ISA.LNKB", "ISA.LNKC", "ISA.LNKD"};
static const char *const pirq_name[4] = {"PRQA", "PRQB", "PRQC", "PRQD"};

static void name_int(struct aml *a, const char *name, u32 v)
{
	aml_name(a, name);
	aml_int(a, v);
}

static void name_hid(struct aml *a, const char *id)
{
	aml_name(a, "_HID");
	aml_eisaid(a, id);
}

/* --- PCI interrupt links -------------------------------------------------------------------- */
/* _CRS: a template whose interrupt number (at byte 5) is read from the router. */
static void link_crs(struct aml *a, const char *pirq)
{
	static const u8 none = 0;
	u32 method = aml_method(a, "_CRS", 0), res;

	aml_byte(a, AML_STORE);
	res = aml_resources(a);
	aml_res_level_irqs(a, &none, 1);
	aml_end_resources(a, res);
	aml_byte(a, AML_LOCAL0);
	aml_byte(a, AML_CREATE_DWORD_FIELD);
	aml_byte(a, AML_LOCAL0);
	aml_int(a, 5);
	aml_path(a, "IRQN");
	aml_byte(a, AML_STORE);
	aml_byte(a, AML_AND);
	aml_path(a, pirq);
	aml_int(a, 0x0f);
	aml_byte(a, AML_NULL_NAME);
	aml_path(a, "IRQN");
	aml_byte(a, AML_RETURN);
	aml_byte(a, AML_LOCAL0);
	aml_end(a, method);
}

static void link_srs(struct aml *a, const char *pirq)
{
	u32 method = aml_method(a, "_SRS", 1);

	aml_byte(a, AML_CREATE_DWORD_FIELD);
	aml_byte(a, AML_ARG0);
	aml_int(a, 5);
	aml_path(a, "IRQN");
	aml_byte(a, AML_STORE);
	aml_path(a, "IRQN");
	aml_path(a, pirq);
	aml_end(a, method);
}

/* Bit 7 of a router register disconnects the line. */
static void link_dis_sta(struct aml *a, const char *pirq)
{
	u32 method = aml_method(a, "_DIS", 0), cond;

	aml_byte(a, AML_OR);
	aml_path(a, pirq);
	aml_int(a, 0x80);
	aml_path(a, pirq);
	aml_end(a, method);

	method = aml_method(a, "_STA", 0);
	cond = aml_if(a);
	aml_byte(a, AML_AND);
	aml_path(a, pirq);
	aml_int(a, 0x80);
	aml_byte(a, AML_NULL_NAME);
	aml_byte(a, AML_RETURN);
	aml_int(a, 0x09);
	aml_end(a, cond);
	aml_byte(a, AML_RETURN);
	aml_int(a, 0x0b);
	aml_end(a, method);
}

static void link_device(struct aml *a, u32 i)
{
	static const u8 possible[] = {PC_PIRQ_A_IRQ, PC_PIRQ_C_IRQ};
	u32 device = aml_device(a, link_name[i]), res;

	name_hid(a, "PNP0C0F");
	name_int(a, "_UID", i + 1);
	aml_name(a, "_PRS");
	res = aml_resources(a);
	aml_res_level_irqs(a, possible, sizeof(possible));
	aml_end_resources(a, res);
	link_crs(a, pirq_name[i]);
	link_srs(a, pirq_name[i]);
	link_dis_sta(a, pirq_name[i]);
	aml_end(a, device);
}

/* Pin p (0 = INTA) of device d is link (d + p) & 3. */
static void pci_routing(struct aml *a)
{
	u32 all, one;

	aml_name(a, "_PRT");
	all = aml_package(a, 31 * 4);
	for (u32 i = 0; i < 31 * 4; i++) {
		u32 dev = i / 4 + 1, pin = i & 3;

		one = aml_package(a, 4);
		aml_int(a, dev << 16 | 0xffff);
		aml_int(a, pin);
		aml_path(a, link_path[(dev + pin) & 3]);
		aml_int(a, 0);
		aml_end(a, one);
	}
	aml_end(a, all);
}

/* --- devices on the ISA bridge -------------------------------------------------------------- */
struct io_range {
	u16 base;
	u8 len;
};

struct isa_device {
	const char *name, *hid;
	struct io_range io[9];
	u8 irq; /* 0xff: none */
};

#define NO_IRQ 0xff

static const struct isa_device isa_devices[] = {
	{.name = "PIC", .hid = "PNP0000", .io = {{0x20, 2}, {0xa0, 2}}, .irq = 2},
	{.name = "TIMR", .hid = "PNP0100", .io = {{0x40, 4}}, .irq = PC_IRQ_TIMER},
	{.name = "RTC", .hid = "PNP0B00", .io = {{0x70, 2}}, .irq = PC_IRQ_RTC},
	{.name = "SPKR", .hid = "PNP0800", .io = {{0x61, 1}}, .irq = NO_IRQ},
	{.name = "KBD", .hid = "PNP0303", .io = {{0x60, 1}, {0x64, 1}}, .irq = PC_IRQ_KBD},
	{.name = "COM1", .hid = "PNP0501", .io = {{0x3f8, 8}}, .irq = PC_IRQ_COM1},
	{.name = "MBRD",
	 .hid = "PNP0C02",
	 .io = {{0x92, 1},
		{PC_PORT_SMI_CMD, 2},
		{PC_PORT_DEBUG_EXIT, 1},
		{0x4d0, 2},
		{BIOSCHAN_PORT_BASE, BIOSCHAN_PORT_LEN},
		{PC_PORT_PM_BASE, 0x24},
		{PC_PORT_RESET, 1}},
	 .irq = NO_IRQ},
};

static void isa_device(struct aml *a, const struct isa_device *d)
{
	u32 device = aml_device(a, d->name), res;

	name_hid(a, d->hid);
	name_int(a, "_UID", 1);
	aml_name(a, "_CRS");
	res = aml_resources(a);
	for (u32 i = 0; i < ARRAY_SIZE(d->io) && d->io[i].len; i++)
		aml_res_io(a, d->io[i].base, d->io[i].len);
	if (d->irq != NO_IRQ)
		aml_res_irq(a, d->irq);
	aml_end_resources(a, res);
	aml_end(a, device);
}

static void isa_bridge(struct aml *a)
{
	u32 device = aml_device(a, "ISA");

	name_int(a, "_ADR", PC_PCI_ISA_SLOT << 16);
	aml_pci_config_field(a, "PIRQ", 0x60, pirq_name, 4);
	for (u32 i = 0; i < ARRAY_SIZE(isa_devices); i++)
		isa_device(a, &isa_devices[i]);
	for (u32 i = 0; i < 4; i++)
		link_device(a, i);
	aml_end(a, device);
}

/* --- PCI root ------------------------------------------------------------------------------- */
static void pci_windows(struct aml *a)
{
	u32 res;

	aml_name(a, "_CRS");
	res = aml_resources(a);
	aml_res_bus(a, 0, 0xff);
	aml_res_io(a, 0xcf8, 8);
	aml_res_io_window(a, 0x0000, 0x0cf7);
	aml_res_io_window(a, 0x0d00, 0xffff);
	aml_res_mem_window(a, PC_LOW_RAM_END, 0xbffff, true);
	aml_res_mem_window(a, PC_PCI_MMIO_START, PC_IOAPIC_BASE - 1, false);
	aml_end_resources(a, res);
}

static void pci_root(struct aml *a)
{
	u32 device = aml_device(a, "PCI0");

	name_hid(a, "PNP0A03");
	name_int(a, "_UID", 0);
	name_int(a, "_ADR", 0);
	pci_windows(a);
	isa_bridge(a);
	aml_end(a, device);
}

static void processors(struct aml *a, u32 ncpus)
{
	u32 scope = aml_scope(a, "\\_PR");

	for (u32 i = 0; i < ncpus; i++) {
		char name[5] = {'C', 'P', "0123456789ABCDEF"[i >> 4 & 15],
				"0123456789ABCDEF"[i & 15], 0};

		aml_processor(a, name, i);
	}
	aml_end(a, scope);
}

static void sleep_states(struct aml *a)
{
	u32 pack;

	aml_name(a, "_S5");
	pack = aml_package(a, 4);
	aml_int(a, PC_S5_SLP_TYP);
	aml_int(a, PC_S5_SLP_TYP);
	aml_int(a, 0);
	aml_int(a, 0);
	aml_end(a, pack);
}

void dsdt_build(struct aml *a, u32 ncpus)
{
	u32 scope;

	sleep_states(a);
	processors(a, ncpus);
	scope = aml_scope(a, "\\_SB");
	pci_root(a);
	aml_end(a, scope);
	/* The routing names links that must exist by then. */
	scope = aml_scope(a, "\\_SB.PCI0");
	pci_routing(a);
	aml_end(a, scope);
}
