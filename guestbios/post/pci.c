/* PCI bus 0: BARs, interrupt lines and the PIIX's own registers.
 *
 * SPDX-License-Identifier: MIT
 */
#include "post.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc

#define PCI_ID	    0x00
#define PCI_COMMAND 0x04
#define PCI_CLASS   0x08
#define PCI_HEADER  0x0c /* header type in bits 23:16 */
#define PCI_BAR0    0x10
#define PCI_INTR    0x3c /* line in bits 7:0, pin in 15:8 */
#define CMD_IO	    0x01
#define CMD_MEM	    0x02
#define CMD_MASTER  0x04
#define CLASS_IDE   0x0101

#define PIIX3_ISA   0x70008086u
#define PIIX3_IDE   0x70108086u
#define PIIX4_PM    0x71138086u
#define PIIX_PIRQRC 0x60
#define PIIX_IDETIM 0x40
#define PIIX_PMBASE 0x40
#define PIIX_PMMISC 0x80

/* I/O BARs start here: clear of ISA aliases and of the PM block. */
#define PCI_IO_START 0xc000u

struct pci_space {
	u32 io, mem;
};

static const u8 pirq_irq[4] = {PC_PIRQ_A_IRQ, PC_PIRQ_B_IRQ, PC_PIRQ_C_IRQ, PC_PIRQ_D_IRQ};

static void pci_select(u32 devfn, u32 reg)
{
	outl(CONFIG_ADDRESS, 0x80000000u | devfn << 8 | reg);
}

static u32 pci_read(u32 devfn, u32 reg)
{
	pci_select(devfn, reg);
	return inl(CONFIG_DATA);
}

static void pci_write(u32 devfn, u32 reg, u32 v)
{
	pci_select(devfn, reg);
	outl(CONFIG_DATA, v);
}

/* Size a BAR and give it a naturally aligned place. Returns the command bit that it needs, 0 if it
 * does not exist or finds no place; *wide tells of a 64-bit BAR. */
static u32 place_bar(struct pci_space *s, u32 devfn, u32 reg, bool *wide)
{
	u32 v, size, *next;
	bool io;

	pci_select(devfn, reg);
	outl(CONFIG_DATA, 0xffffffff);
	v = inl(CONFIG_DATA);
	io = v & 1;
	*wide = !io && (v & 6) == 4;
	if (!v || v == 0xffffffff)
		return 0;
	size = io ? -(v & 0xfffffffc) & 0xffff : -(v & 0xfffffff0);
	next = io ? &s->io : &s->mem;
	if (!size || ALIGN_UP(*next, size) < *next ||
	    ALIGN_UP(*next, size) + size > (io ? 0x10000 : PC_IOAPIC_BASE)) {
		outl(CONFIG_DATA, 0);
		return 0;
	}
	*next = ALIGN_UP(*next, size);
	outl(CONFIG_DATA, *next);
	*next += size;
	if (*wide)
		pci_write(devfn, reg + 4, 0);
	return io ? CMD_IO : CMD_MEM;
}

static void pci_interrupt(u32 devfn)
{
	u32 v = pci_read(devfn, PCI_INTR), pin = v >> 8 & 0xff;

	if (pin >= 1 && pin <= 4)
		outl(CONFIG_DATA, (v & ~0xffu) | pirq_irq[((devfn >> 3) + pin - 1) & 3]);
}

/* Registers of the south bridge that no BAR describes. */
static void piix_init(u32 devfn, u32 id)
{
	switch (id) {
	case PIIX3_ISA:
		pci_write(devfn, PIIX_PIRQRC,
			  pirq_irq[0] | pirq_irq[1] << 8 | pirq_irq[2] << 16 |
				  (u32)pirq_irq[3] << 24);
		break;
	case PIIX3_IDE: /* decode both channels' legacy ports */
		pci_write(devfn, PIIX_IDETIM, 0x80008000);
		break;
	case PIIX4_PM:
		pci_write(devfn, PIIX_PMBASE, PC_PORT_PM_BASE | 1);
		pci_write(devfn, PIIX_PMMISC, pci_read(devfn, PIIX_PMMISC) | 1);
		break;
	}
}

static void pci_function(struct pci_space *s, u32 devfn, u32 id)
{
	u32 command = 0, class = pci_read(devfn, PCI_CLASS) >> 16;
	bool wide;

	for (u32 i = 0; i < 6; i++) {
		command |= place_bar(s, devfn, PCI_BAR0 + i * 4, &wide);
		i += wide;
	}
	piix_init(devfn, id);
	pci_interrupt(devfn);
	if (class == CLASS_IDE)
		command |= CMD_IO | CMD_MASTER;
	if (command)
		pci_write(devfn, PCI_COMMAND, (pci_read(devfn, PCI_COMMAND) & 0xffff) | command);
}

void pci_init(void)
{
	struct pci_space space = {PCI_IO_START, PC_PCI_MMIO_START};

	for (u32 devfn = 0; devfn < 256; devfn++) {
		u32 id = pci_read(devfn, PCI_ID), header;

		if (id == 0xffffffff) {
			if (!(devfn & 7))
				devfn |= 7;
			continue;
		}
		header = pci_read(devfn, PCI_HEADER) >> 16 & 0xff;
		if (!(header & 0x7f))
			pci_function(&space, devfn, id);
		if (!(devfn & 7) && !(header & 0x80))
			devfn |= 7;
	}
}
