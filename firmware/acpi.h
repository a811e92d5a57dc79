/* The few things the hypervisor needs from the ACPI tables: processors, interrupt routing, timers,
 * PCI config space, power-off.
 *
 * Pure: physical memory is read through a callback, so it is tested on the host. Every table's
 * length and checksum is verified; a table that fails is treated as absent. No AML is interpreted:
 * \_S5 is found by scanning the DSDT for its encoding.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_ACPI_H
#define FIRMWARE_ACPI_H

#include "penumbra/bootinfo.h"
#include "penumbra/types.h"

struct acpi_mem {
	/* Copy @len bytes from physical @pa. 0 or negative. */
	int (*read)(void *ctx, hpa_t pa, void *buf, size_t len);
	void *ctx;
};

#define ACPI_SLP_UNKNOWN 0xffff

/* Where to find the root pointer by itself: EBDA and BIOS area (ACPI specification §5.2.5.1).
 * 0: not there. */
hpa_t acpi_find_rsdp(const struct acpi_mem *m);
/* Parse everything into @a (all fields are set), from the root pointer at @rsdp. 0, or -ENOENT:
 * no usable root pointer or root table; @a then describes a machine without ACPI. */
int acpi_parse(struct boot_acpi *a, const struct acpi_mem *m, hpa_t rsdp);

#endif
