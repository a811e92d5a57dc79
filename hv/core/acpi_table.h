/* What acpi_patch.c and acpi_madt.c share: the header of a table, fields, sums.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_ACPI_TABLE_H
#define HV_CORE_ACPI_TABLE_H

#include "lib/str.h"
#include "penumbra/types.h"

#define ACPI_ISA_IRQS 16

struct acpi_head {
	char signature[4];
	u32 length;
	u8 revision, checksum;
	char oem[6], oem_table[8];
	u32 oem_revision;
	char creator[4];
	u32 creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_head) == 36, "table header layout");
#define ACPI_CHECKSUM_AT 9

static inline u8 acpi_sum(const void *p, size_t n)
{
	const u8 *b = p;
	u8 acc = 0;

	while (n--)
		acc += *b++;
	return acc;
}

/* Set the byte at @checksum_at so that @n bytes add up to 0. */
static inline void acpi_seal(void *table, size_t n, size_t checksum_at)
{
	u8 *b = table;

	b[checksum_at] = 0;
	b[checksum_at] = (u8)-acpi_sum(b, n);
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
