/* ECAM windows, mapped whole.
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/ecam.h"
#include "firmware/pcicfg.h"
#include "lib/errno.h"
#include "lib/pci_config.h"
#include "mem/hostmap.h"

#define SBDF_SEGMENT(s) ((s) >> 16)
#define SBDF_BUS(s)	((s) >> 8 & 0xff)

static struct window {
	u8 *at; /* of bus_start */
	struct boot_ecam range;
} windows[ARRAY_SIZE(((struct boot_acpi *)0)->ecam)];
static unsigned nwindows;

int ecam_init(const struct boot_info *bi)
{
	int err = 0;

	for (unsigned i = 0; i < bi->acpi.necam; i++) {
		const struct boot_ecam *e = &bi->acpi.ecam[i];
		hpa_t first = e->base + ((u64)e->bus_start << PCI_ECAM_BUS_SHIFT);
		u64 len = ((u64)e->bus_end - e->bus_start + 1) << PCI_ECAM_BUS_SHIFT;
		u8 *at = mmio_map(first, len);

		if (at)
			windows[nwindows++] = (struct window){.at = at, .range = *e};
		else
			err = -ENOMEM;
	}
	return err;
}

static void *find(u32 sbdf, unsigned off)
{
	for (unsigned i = 0; i < nwindows; i++) {
		const struct window *w = &windows[i];
		u32 bus = SBDF_BUS(sbdf);

		if (w->range.segment != SBDF_SEGMENT(sbdf) || bus < w->range.bus_start ||
		    bus > w->range.bus_end)
			continue;
		return w->at + ((u64)(bus - w->range.bus_start) << PCI_ECAM_BUS_SHIFT) +
		       ((u64)(sbdf & 0xff) << PCI_ECAM_FUNCTION_SHIFT) + off;
	}
	return NULL;
}

static bool by_ports(u32 sbdf, unsigned off)
{
	return SBDF_SEGMENT(sbdf) == 0 && off < PCI_CONFIG_SIZE;
}

/* Through EAX and without a scaled address: what family 10h asks of accesses to this space (BIOS
 * and Kernel Developer's Guide for family 10h, §2.11). */
u32 ecam_read(u32 sbdf, unsigned off, unsigned size)
{
	const void *at = find(sbdf, off);
	u32 v = 0;

	if (!at)
		return by_ports(sbdf, off) ? pcicfg_read(sbdf, off, size) : UINT32_MAX;
	if (size == 4)
		asm volatile("movl (%1), %%eax" : "+a"(v) : "r"(at) : "memory");
	else if (size == 2)
		asm volatile("movw (%1), %%ax" : "+a"(v) : "r"(at) : "memory");
	else
		asm volatile("movb (%1), %%al" : "+a"(v) : "r"(at) : "memory");
	return v;
}

void ecam_write(u32 sbdf, unsigned off, unsigned size, u32 value)
{
	void *at = find(sbdf, off);

	if (!at && by_ports(sbdf, off))
		pcicfg_write(sbdf, off, size, value);
	else if (!at)
		return;
	else if (size == 4)
		asm volatile("movl %%eax, (%1)" : : "a"(value), "r"(at) : "memory");
	else if (size == 2)
		asm volatile("movw %%ax, (%1)" : : "a"(value), "r"(at) : "memory");
	else
		asm volatile("movb %%al, (%1)" : : "a"(value), "r"(at) : "memory");
}
