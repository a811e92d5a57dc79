/* ACPI tables of the guest (ACPI specification 3.0/4.0 layouts). Pure: writes into memory that the
 * caller gives, with the guest-physical address it will have.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_ACPI_H
#define GUESTBIOS_ACPI_H

#include "penumbra/types.h"

#define ACPI_MAX_CPUS 64

struct acpi_rsdp;

struct acpi_area {
	u8 *mem; /* where tables go (E820 type 3); zero or not */
	u32 gpa, size;
	u8 *facs; /* 64 bytes in ACPI NVS */
	u32 facs_gpa;
	u32 ncpus;
	u32 used; /* result */
};

/* Build all tables and the root pointer. False if they do not fit. */
bool acpi_build(struct acpi_area *area, struct acpi_rsdp *rsdp);

struct aml;
void dsdt_build(struct aml *a, u32 ncpus);

#endif
