/* PCI bus 0: see pci.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/pci.h"
#include "lib/errno.h"
#include "lib/str.h"

/* CF8 */
#define ADDR_BUS(a)  ((a) >> 16 & 0xff)
#define ADDR_SLOT(a) ((a) >> 11 & 0x1f)
#define ADDR_FN(a)   ((a) >> 8 & 7)

#define BAR_END (PCI_BAR0 + PCI_BARS * 4)

/* --- BARs --- */

static void bar_unmap(struct pci_dev *d, struct pci_bar *bar)
{
	if (!bar->mapped)
		return;
	if (bar->io)
		bus_del_port(d->bus->io, (u16)bar->base, bar->dev);
	else
		bus_del_mmio(d->bus->io, bar->base, bar->dev);
	bar->mapped = false;
}

/* Where COMMAND and the register want the BAR, or 0: nowhere (an address of 0 means unassigned). */
static u32 bar_wanted(const struct pci_dev *d, unsigned n)
{
	const struct pci_bar *bar = &d->bar[n];
	u16 need = bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEM;
	u32 base = pci_get32(d, PCI_BAR0 + n * 4) & ~(bar->size - 1);

	if (!bar->size || !(pci_get16(d, PCI_COMMAND) & need))
		return 0;
	if (bar->io && base > 0x10000u - bar->size)
		return 0;
	/* A memory range must end below 4 GiB; all ones while its size is probed is no place. */
	if (!bar->io && base > UINT32_MAX - bar->size)
		return 0;
	return base;
}

static void bar_try_map(struct pci_dev *d, unsigned n)
{
	struct pci_bar *bar = &d->bar[n];
	u32 base = bar_wanted(d, n);
	int err;

	if (!base || bar->mapped)
		return;
	if (bar->io)
		err = bus_add_port(d->bus->io, (u16)base, (u16)bar->size, bar->port_ops, bar->dev);
	else
		err = bus_add_mmio(d->bus->io, base, bar->size, bar->mmio_ops, bar->dev);
	bar->base = base;
	bar->mapped = !err;
}

/* A BAR may wait for a place that another one occupies: whenever one moves, all are tried. */
static void bus_remap(struct pci_bus *b)
{
	for (unsigned i = 0; i < PCI_SLOTS * PCI_FNS; i++) {
		struct pci_dev *d = b->dev[i / PCI_FNS][i % PCI_FNS];

		for (unsigned n = 0; d && n < PCI_BARS; n++)
			bar_try_map(d, n);
	}
}

static void dev_remap(struct pci_dev *d)
{
	bool moved = false;

	if (!d->bus || !d->bus->io)
		return;
	for (unsigned n = 0; n < PCI_BARS; n++) {
		struct pci_bar *bar = &d->bar[n];
		u32 base = bar_wanted(d, n);

		if (base == (bar->mapped ? bar->base : 0))
			continue;
		bar_unmap(d, bar);
		moved = true;
	}
	if (moved)
		bus_remap(d->bus);
}

static void bar_setup(struct pci_dev *d, unsigned n, u32 size, bool io, void *dev)
{
	u32 mask = ~(size - 1);

	d->bar[n].size = size;
	d->bar[n].io = io;
	d->bar[n].dev = dev;
	for (unsigned i = 0; i < 4; i++)
		d->wmask[PCI_BAR0 + n * 4 + i] = (u8)(mask >> i * 8);
	d->cfg[PCI_BAR0 + n * 4] = io ? PCI_BAR_IO : 0;
	d->wmask[PCI_COMMAND] |= io ? PCI_COMMAND_IO : PCI_COMMAND_MEM;
}

void pci_bar_io(struct pci_dev *d, unsigned n, u32 size, const struct port_ops *ops, void *dev)
{
	bar_setup(d, n, size, true, dev);
	d->bar[n].port_ops = ops;
}

void pci_bar_mem(struct pci_dev *d, unsigned n, u32 size, const struct mmio_ops *ops, void *dev)
{
	bar_setup(d, n, size, false, dev);
	d->bar[n].mmio_ops = ops;
}

/* --- INTx --- */

/* A PIRQ is the OR of the functions on it, so it is counted. */
static void pirq_update(struct pci_dev *d, bool level)
{
	struct pci_bus *b = d->bus;
	unsigned pirq = (d->slot + d->intx_pin - 1u) & 3;
	u16 was = b->pirq_sources[pirq];

	b->pirq_sources[pirq] = (u16)(level ? was + 1 : was - 1);
	if (b->pirq && !was != !b->pirq_sources[pirq])
		b->pirq(b->pirq_ctx, pirq, level);
}

static void intx_update(struct pci_dev *d)
{
	bool out = d->intx && !(pci_get16(d, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);

	d->cfg[PCI_STATUS] &= (u8)~PCI_STATUS_INTX;
	if (d->intx)
		d->cfg[PCI_STATUS] |= PCI_STATUS_INTX;
	if (out == d->intx_out || !d->bus || !d->intx_pin)
		return;
	d->intx_out = out;
	pirq_update(d, out);
}

void pci_set_intx(struct pci_dev *d, bool level)
{
	d->intx = level;
	intx_update(d);
}

/* --- configuration space --- */

static bool touches(unsigned off, unsigned len, unsigned first, unsigned end)
{
	return off < end && off + len > first;
}

u32 pci_cfg_read(const struct pci_dev *d, unsigned off, unsigned size)
{
	u32 v = 0;

	if (d->reading)
		d->reading(d->owner, off, size);
	for (unsigned i = 0; i < size && off + i < sizeof(d->cfg); i++)
		v |= (u32)d->cfg[off + i] << i * 8;
	return v;
}

void pci_cfg_write(struct pci_dev *d, unsigned off, unsigned size, u32 value)
{
	if (off + size > sizeof(d->cfg))
		return;
	for (unsigned i = 0; i < size; i++) {
		u8 v = (u8)(value >> i * 8), m = d->wmask[off + i];
		u8 kept = d->cfg[off + i] & (u8) ~(v & d->w1c[off + i]);

		d->cfg[off + i] = (u8)((kept & ~m) | (v & m));
	}
	if (touches(off, size, PCI_COMMAND, PCI_COMMAND + 2) ||
	    touches(off, size, PCI_BAR0, BAR_END)) {
		dev_remap(d);
		intx_update(d);
	}
	if (d->written)
		d->written(d, off, size);
}

void pci_dev_init(struct pci_dev *d, u16 vendor, u16 device, u32 class_code, u8 revision)
{
	memset(d, 0, sizeof(*d));
	pci_set16(d, PCI_VENDOR_ID, vendor);
	pci_set16(d, PCI_DEVICE_ID, device);
	d->cfg[PCI_REVISION] = revision;
	d->cfg[PCI_CLASS_PROG] = (u8)class_code;
	pci_set16(d, PCI_CLASS_DEVICE, (u16)(class_code >> 8));
	d->wmask[PCI_COMMAND] = PCI_COMMAND_MASTER;
	d->wmask[PCI_COMMAND + 1] = PCI_COMMAND_INTX_DISABLE >> 8;
	d->w1c[PCI_STATUS + 1] = 0xf9; /* parity, SERR, master/target aborts */
	d->wmask[PCI_INTERRUPT_LINE] = 0xff;
}

void pci_dev_reset(struct pci_dev *d)
{
	pci_set16(d, PCI_COMMAND, 0);
	d->cfg[PCI_INTERRUPT_LINE] = 0;
	for (unsigned n = 0; n < PCI_BARS; n++)
		if (d->bar[n].size)
			pci_set32(d, PCI_BAR0 + n * 4, d->bar[n].io ? PCI_BAR_IO : 0);
	dev_remap(d);
	pci_set_intx(d, false);
}

/* --- the bus --- */

int pci_bus_add(struct pci_bus *b, unsigned slot, unsigned fn, struct pci_dev *d)
{
	if (slot >= PCI_SLOTS || fn >= PCI_FNS)
		return -EINVAL;
	if (b->dev[slot][fn])
		return -EEXIST;
	b->dev[slot][fn] = d;
	d->bus = b;
	d->slot = (u8)slot;
	d->fn = (u8)fn;
	d->cfg[PCI_INTERRUPT_PIN] = d->intx_pin;
	for (unsigned i = 1; i < PCI_FNS; i++)
		if (b->dev[slot][0] && b->dev[slot][i])
			b->dev[slot][0]->cfg[PCI_HEADER_TYPE] |= PCI_HEADER_MULTIFUNCTION;
	return 0;
}

void pci_bus_init(struct pci_bus *b, struct bus *io)
{
	memset(b, 0, sizeof(*b));
	b->io = io;
}

static struct pci_dev *selected(const struct pci_bus *b)
{
	u32 a = b->address;

	if (!(a & PCI_ADDR_ENABLE) || ADDR_BUS(a))
		return NULL;
	return b->dev[ADDR_SLOT(a)][ADDR_FN(a)];
}

static u32 ones(unsigned size)
{
	return size >= 4 ? UINT32_MAX : (1u << size * 8) - 1;
}

static u32 pci_port_read(void *dev, u16 port, unsigned size)
{
	const struct pci_bus *b = dev;
	const struct pci_dev *d;

	if (port == PCI_PORT_ADDRESS && size == 4)
		return b->address;
	if (port == PCI_PORT_RESET && size == 1 && b->reset_ctl_read)
		return b->reset_ctl_read(b->reset_ctl_ctx);
	if (port < PCI_PORT_DATA || port + size > PCI_PORT_DATA + 4)
		return ones(size);
	d = selected(b);
	return d ? pci_cfg_read(d, PCI_ADDR_REG(b->address) + (port - PCI_PORT_DATA), size)
		 : ones(size);
}

static void pci_port_write(void *dev, u16 port, unsigned size, u32 value)
{
	struct pci_bus *b = dev;
	struct pci_dev *d;

	if (port == PCI_PORT_ADDRESS && size == 4)
		b->address = value & PCI_ADDR_WRITABLE;
	if (port == PCI_PORT_RESET && size == 1 && b->reset_ctl_write)
		b->reset_ctl_write(b->reset_ctl_ctx, (u8)value);
	if (port < PCI_PORT_DATA || port + size > PCI_PORT_DATA + 4)
		return;
	d = selected(b);
	if (d)
		pci_cfg_write(d, PCI_ADDR_REG(b->address) + (port - PCI_PORT_DATA), size, value);
}

const struct port_ops pci_port_ops = {
	.read = pci_port_read,
	.write = pci_port_write,
};
