/* The memory map that INT 15h/E820h tells. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_E820_H
#define GUESTBIOS_E820_H

#include "../layout.h"
#include "penumbra/bioschan.h"
#include "penumbra/platform.h"

#define E820_RAM      1
#define E820_RESERVED 2
#define E820_ACPI     3
#define E820_NVS      4

/* Firmware tables take the top of low RAM; the last page of it is ACPI NVS (FACS). */
#define TABLES_SIZE 0x10000u
#define NVS_SIZE    0x1000u

static inline u32 e820_tables_base(u64 low_ram)
{
	return ALIGN_DOWN((u32)low_ram, TABLES_SIZE) - TABLES_SIZE;
}

static inline void e820_add(struct bios_e820 *map, u32 *n, u64 base, u64 end, u32 type)
{
	if (end <= base)
		return;
	map[*n].base = base;
	map[*n].len = end - base;
	map[*n].type = type;
	++*n;
}

/* Writes at most 10 entries, ascending, without overlap; returns their number. */
static inline u32 e820_build(struct bios_e820 *map, u64 low_ram, u64 high_ram)
{
	u32 tables = e820_tables_base(low_ram), nvs = tables + TABLES_SIZE - NVS_SIZE, n = 0;

	e820_add(map, &n, 0, EBDA_PHYS, E820_RAM);
	e820_add(map, &n, EBDA_PHYS, PC_LOW_RAM_END, E820_RESERVED);
	e820_add(map, &n, PC_BIOS_BASE, PC_BIOS_BASE + PC_BIOS_SIZE, E820_RESERVED);
	e820_add(map, &n, MIB, tables, E820_RAM);
	e820_add(map, &n, tables, nvs, E820_ACPI);
	e820_add(map, &n, nvs, nvs + NVS_SIZE, E820_NVS);
	e820_add(map, &n, PC_IOAPIC_BASE, PC_IOAPIC_BASE + PAGE_SIZE, E820_RESERVED);
	e820_add(map, &n, PC_LAPIC_BASE, PC_LAPIC_BASE + PAGE_SIZE, E820_RESERVED);
	e820_add(map, &n, PC_BIOS_ALIAS, (u64)PC_BIOS_ALIAS + PC_BIOS_SIZE, E820_RESERVED);
	e820_add(map, &n, PC_HIGH_RAM_BASE, PC_HIGH_RAM_BASE + high_ram, E820_RAM);
	return n;
}

#endif
