/* Layouts of the ACPI tables that are read, patched or built here (ACPI specification 6.4 ch. 5):
 * the firmware reads the host's, hv/ patches them for the control partition, the BIOS builds a
 * guest's. Addresses in them are physical ones of the machine whose tables they are.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRA_ACPI_H
#define PENUMBRA_ACPI_H

#include "penumbra/types.h"

#define ACPI_TABLE_MAX (4 * MIB) /* a longer table is not believed */
#define ACPI_ISA_IRQS  16

/* Root pointer; in revision 0 it ends before @length. */
struct acpi_rsdp {
	char signature[8]; /* ACPI_RSDP_SIGNATURE */
	u8 checksum;	   /* of the first ACPI_RSDP_V1_LEN bytes */
	char oem_id[6];
	u8 revision;
	u32 rsdt, length;
	u64 xsdt;
	u8 ext_checksum, reserved[3];
} __attribute__((packed));
#define ACPI_RSDP_SIGNATURE "RSD PTR "
#define ACPI_RSDP_V1_LEN    20
_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP revision 2");

struct acpi_header {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem_id[6], oem_table_id[8];
	u32 oem_revision;
	char creator[4];
	u32 creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_header) == 36, "table header");

/* Generic address structure. */
struct acpi_gas {
	u8 space, bits, offset, access;
	u64 address;
} __attribute__((packed));
#define ACPI_SPACE_MEMORY 0
#define ACPI_SPACE_IO	  1

/* FADT up to revision 4; older ones are shorter. */
struct acpi_fadt {
	struct acpi_header h;
	u32 facs, dsdt;
	u8 reserved0, profile;
	u16 sci_irq;
	u32 smi_cmd;
	u8 acpi_enable, acpi_disable, s4bios, pstate;
	u32 pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
	u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base, cst;
	u16 c2_latency, c3_latency, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alarm, month_alarm, century;
	u16 boot_arch;
	u8 reserved1;
	u32 flags;
	struct acpi_gas reset_reg;
	u8 reset_value, reserved2[3];
	u64 x_facs, x_dsdt;
	struct acpi_gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr, x_gpe0,
		x_gpe1;
} __attribute__((packed));
_Static_assert(offsetof(struct acpi_fadt, pm_tmr) == 76, "FADT");
_Static_assert(offsetof(struct acpi_fadt, flags) == 112, "FADT");
_Static_assert(sizeof(struct acpi_fadt) == 244, "FADT revision 4");

/* acpi_fadt.flags */
#define FADT_WBINVD	     BIT(0)
#define FADT_PROC_C1	     BIT(2)
#define FADT_SLP_BUTTON	     BIT(5) /* no fixed sleep button */
#define FADT_TMR_32BIT	     BIT(8)
#define FADT_RESET_SUPPORTED BIT(10)
#define FADT_CLUSTER	     BIT(18) /* logical APIC destinations must be clusters */
#define FADT_PHYSICAL	     BIT(19) /* APIC destinations must be physical */
/* acpi_fadt.boot_arch */
#define FADT_ARCH_LEGACY BIT(0)
#define FADT_ARCH_8042	 BIT(1)
#define FADT_LATENCY_NO	 0xffff /* above 100 and 1000 us: no C2, no C3 */

/* PM1 control register (§4.8.3.2.1) */
#define PM1_SCI_EN	  0x0001u
#define PM1_SLP_TYP_SHIFT 10
#define PM1_SLP_TYP	  0x1c00u
#define PM1_SLP_EN	  0x2000u /* write-only */

/* MADT: header, address of the local APICs, flags, entries. */
struct acpi_madt {
	struct acpi_header h;
	u32 lapic_base, flags;
} __attribute__((packed));
#define MADT_PCAT_COMPAT 1u

enum madt_type {
	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_ISO = 2, /* interrupt source override */
	MADT_NMI = 3, /* NMI source */
	MADT_LAPIC_NMI = 4,
	MADT_LAPIC_ADDR = 5,
	MADT_X2APIC = 9,
	MADT_X2APIC_NMI = 10,
};

struct madt_lapic {
	u8 type, len, uid, apic_id;
	u32 flags;
} __attribute__((packed));

struct madt_ioapic {
	u8 type, len, id, reserved;
	u32 address, gsi_base;
} __attribute__((packed));

struct madt_iso {
	u8 type, len, bus, irq;
	u32 gsi;
	u16 flags;
} __attribute__((packed));

struct madt_nmi {
	u8 type, len;
	u16 flags;
	u32 gsi;
} __attribute__((packed));

struct madt_lapic_nmi {
	u8 type, len, uid;
	u16 flags;
	u8 lint;
} __attribute__((packed));

struct madt_lapic_addr {
	u8 type, len;
	u16 reserved;
	u64 address;
} __attribute__((packed));

struct madt_x2apic {
	u8 type, len;
	u16 reserved;
	u32 apic_id, flags, uid;
} __attribute__((packed));

struct madt_x2apic_nmi {
	u8 type, len;
	u16 flags;
	u32 uid;
	u8 lint, reserved[3];
} __attribute__((packed));

#define MADT_CPU_ENABLED     BIT(0)
#define MADT_ALL_CPUS	     0xffu	 /* UID in an NMI entry; no APIC ID either */
#define MADT_ALL_X2APIC	     0xffffffffu /* the same of the x2APIC entries */
#define MADT_POLARITY(flags) ((flags)&3)
#define MADT_TRIGGER(flags)  ((flags) >> 2 & 3)
#define MADT_ACTIVE_HIGH     1
#define MADT_ACTIVE_LOW	     3
#define MADT_LEVEL	     3

/* Bytes of a table or root pointer that is good add up to 0. */
static inline u8 acpi_sum(const void *p, size_t n)
{
	const u8 *b = p;
	u8 acc = 0;

	while (n--)
		acc += *b++;
	return acc;
}

/* @sig: four characters. */
static inline bool acpi_sig_is(const struct acpi_header *h, const char *sig)
{
	for (unsigned i = 0; i < sizeof(h->signature); i++)
		if (h->signature[i] != sig[i])
			return false;
	return true;
}

#endif
