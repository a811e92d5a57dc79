/* PCI BIOS 2.1 functions over configuration mechanism #1, bus 0.
 *
 * Compiled twice: with -m16 for INT 1Ah, and as PCIBIOS_32 for the entry that BIOS32 names, where
 * it runs at whatever address the caller mapped it: no constants in memory, no absolute address.
 *
 * SPDX-License-Identifier: MIT
 */
#include "pcibios.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc

#define SUCCESS		 0x00
#define NOT_SUPPORTED	 0x81
#define BAD_VENDOR	 0x83
#define DEVICE_NOT_FOUND 0x86
#define BAD_REGISTER	 0x87

static inline u32 config_address(u32 bdf, u32 reg)
{
	return 0x80000000u | bdf << 8 | (reg & 0xfc);
}

static inline void select(u32 bdf, u32 reg)
{
	__asm__ volatile("outl %0,%w1" : : "a"(config_address(bdf, reg)), "d"(CONFIG_ADDRESS));
}

static u32 config_read(u32 bdf, u32 reg, u32 width)
{
	u16 port = CONFIG_DATA + (reg & 3);
	u32 v = 0;

	select(bdf, reg);
	if (width == 0)
		__asm__ volatile("inb %w1,%b0" : "+a"(v) : "d"(port));
	else if (width == 1)
		__asm__ volatile("inw %w1,%w0" : "+a"(v) : "d"(port));
	else
		__asm__ volatile("inl %w1,%0" : "=a"(v) : "d"(port));
	return v;
}

static void config_write(u32 bdf, u32 reg, u32 width, u32 v)
{
	u16 port = CONFIG_DATA + (reg & 3);

	select(bdf, reg);
	if (width == 0)
		__asm__ volatile("outb %b0,%w1" : : "a"(v), "d"(port));
	else if (width == 1)
		__asm__ volatile("outw %w0,%w1" : : "a"(v), "d"(port));
	else
		__asm__ volatile("outl %0,%w1" : : "a"(v), "d"(port));
}

/* Functions of bus 0 in order, skipping 1-7 where function 0 is absent or alone. */
static u32 next_function(u32 devfn)
{
	if (devfn & 7)
		return devfn + 1;
	if ((config_read(devfn, 0, 1) & 0xffff) == 0xffff || !(config_read(devfn, 0x0e, 0) & 0x80))
		return devfn + 8;
	return devfn + 1;
}

/* The `index`th function of bus 0 whose register `reg` >> shift equals want; -1 if there is none.
 */
static u32 find(u32 reg, u32 shift, u32 want, u32 index)
{
	for (u32 devfn = 0; devfn < 256; devfn = next_function(devfn)) {
		u32 v = config_read(devfn, reg, 2);

		if (v != 0xffffffff && v >> shift == want && index-- == 0)
			return devfn;
	}
	return 0xffffffff;
}

static u8 find_call(struct pci_call *c, u32 reg, u32 shift, u32 want)
{
	u32 devfn = find(reg, shift, want, c->esi & 0xffff);

	if (devfn == 0xffffffff)
		return DEVICE_NOT_FOUND;
	c->ebx = (c->ebx & 0xffff0000) | devfn;
	return SUCCESS;
}

static u32 merge(u32 old, u32 v, u32 width)
{
	if (width == 0)
		return (old & 0xffffff00) | (v & 0xff);
	return width == 1 ? (old & 0xffff0000) | (v & 0xffff) : v;
}

/* 08h-0Ah read, 0Bh-0Dh write a byte, word, dword at BX (bus, device, function), register DI. */
static u8 access_call(struct pci_call *c, u32 function)
{
	u32 width = function < 0x0b ? function - 0x08 : function - 0x0b;
	u32 reg = c->edi & 0xffff, bdf = c->ebx & 0xffff;

	if (reg > 0xff || reg & ((1u << width) - 1))
		return BAD_REGISTER;
	if (function < 0x0b)
		c->ecx = merge(c->ecx, config_read(bdf, reg, width), width);
	else
		config_write(bdf, reg, width, c->ecx);
	return SUCCESS;
}

static u8 call(struct pci_call *c, u32 function)
{
	if (function == 0x01) { /* present: version 2.10, mechanism #1, last bus 0 */
		c->edx = 0x20494350;
		c->ebx = (c->ebx & 0xffff0000) | 0x0210;
		c->ecx &= 0xffffff00;
		c->eax = (c->eax & 0xffffff00) | 0x01;
		return SUCCESS;
	}
	if (function == 0x02) {
		if ((c->edx & 0xffff) == 0xffff)
			return BAD_VENDOR;
		return find_call(c, 0, 0, (c->ecx & 0xffff) << 16 | (c->edx & 0xffff));
	}
	if (function == 0x03)
		return find_call(c, 8, 8, c->ecx & 0xffffff);
	if (function >= 0x08 && function <= 0x0d)
		return access_call(c, function);
	return NOT_SUPPORTED;
}

void pci_bios_call(struct pci_call *c)
{
	u8 status = call(c, c->eax & 0x7f);

	c->eax = (c->eax & 0xffff00ff) | (u32)status << 8;
	c->cf = status != SUCCESS;
}
