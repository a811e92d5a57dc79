/* Ports CF8 and CFC.
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/pcicfg.h"
#include "lib/cpuops.h"
#include "lib/pci_config.h"

#define BDF_END	  0x10000u
#define FUNCTIONS 8

static void select(u32 bdf, unsigned reg)
{
	outl(PCI_PORT_ADDRESS, PCI_ADDR_ENABLE | bdf << 8 | (reg & 0xfc));
}

u32 pcicfg_read32(u32 bdf, unsigned reg)
{
	select(bdf, reg);
	return inl(PCI_PORT_DATA);
}

u16 pcicfg_read16(u32 bdf, unsigned reg)
{
	select(bdf, reg);
	return inw((u16)(PCI_PORT_DATA + (reg & 2)));
}

void pcicfg_write16(u32 bdf, unsigned reg, u16 value)
{
	select(bdf, reg);
	outw((u16)(PCI_PORT_DATA + (reg & 2)), value);
}

u32 pcicfg_read(u32 bdf, unsigned off, unsigned size)
{
	select(bdf, off);
	return port_in((u16)(PCI_PORT_DATA + (off & 3)), size);
}

void pcicfg_write(u32 bdf, unsigned off, unsigned size, u32 value)
{
	select(bdf, off);
	port_out((u16)(PCI_PORT_DATA + (off & 3)), size, value);
}

static bool is_multi(u32 bdf)
{
	return pcicfg_read16(bdf, PCICFG_HEADER_TYPE) & PCICFG_HEADER_MULTI;
}

u32 pcicfg_find_class(u16 class16)
{
	for (u32 bdf = 0; bdf < BDF_END; bdf++) {
		if ((pcicfg_read32(bdf, PCICFG_VENDOR) & 0xffff) == 0xffff) {
			/* Without function 0 there is no device. */
			if (bdf % FUNCTIONS == 0)
				bdf += FUNCTIONS - 1;
			continue;
		}
		if (pcicfg_read32(bdf, PCICFG_CLASS_REV) >> 16 == class16)
			return bdf;
		if (bdf % FUNCTIONS == 0 && !is_multi(bdf))
			bdf += FUNCTIONS - 1;
	}
	return PCICFG_NONE;
}
