/* What acpi_patch.c and acpi_madt.c share: fields at any alignment, sums, the MADT.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_ACPI_TABLE_H
#define HV_CORE_ACPI_TABLE_H

#include "lib/str.h"
#include "penumbra/acpi.h"

/* Set the checksum of the table @t of @len bytes. */
static inline void acpi_seal(u8 *t, u32 len)
{
	u8 *sum = t + offsetof(struct acpi_header, checksum);

	*sum = 0;
	*sum = (u8)-acpi_sum(t, len);
}

static inline u64 acpi_get(const u8 *p, unsigned size)
{
	u64 v = 0;

	memcpy(&v, p, size);
	return v;
}

static inline void acpi_put(u8 *p, unsigned size, u64 v)
{
	memcpy(p, &v, size);
}

/* Leave the CPU with @apic_id as the only one in the MADT @t, whose *@len bytes are set anew; the
 * sum is not. 0; -EINVAL: an entry is cut off or claims no length; -ENOENT: no such CPU that is
 * enabled. */
int acpi_madt_keep_cpu(u8 *t, u32 *len, u32 apic_id);
/* ISA IRQs that the MADT says something about, as source or as target: bit n is IRQ n. */
u32 acpi_madt_isa_irqs(const u8 *t, u32 len);

#endif
