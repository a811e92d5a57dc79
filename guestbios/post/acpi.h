/* ACPI tables of the guest (ACPI specification 3.0/4.0 layouts). Pure: writes into memory that the
 * caller gives, with the guest-physical address it will have.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_ACPI_H
#define GUESTBIOS_ACPI_H

#include "penumbra/types.h"

#define ACPI_RSDP_LEN 36
#define ACPI_MAX_CPUS 64

struct acpi_area {
	u8 *mem; /* where tables go (E820 type 3); zero or not */
	u32 gpa, size;
	u8 *facs; /* 64 bytes in ACPI NVS */
	u32 facs_gpa;
	u32 ncpus;
	u32 used; /* result */
};

/* Build all tables and the RSDP (36 bytes). False if they do not fit. */
bool acpi_build(struct acpi_area *area, u8 *rsdp);

u8 acpi_sum(const u8 *p, u32 n);

struct aml;
void dsdt_build(struct aml *a, u32 ncpus);

#endif
