/* The control partition's PCI configuration space: see hostpci.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/hostpci.h"
#include "dev/hostpci_bar.h"
#include "lib/errno.h"
#include "lib/str.h"

/* CF8 */
#define ADDR_BDF(a) ((a) >> 8 & 0xffff)

#define PHYS_END BIT(52)

#define NO_VENDOR  0xffffu
#define CLASS_NONE 0xff000000u /* class and revision dword */

#define FUNCTION_0(sbdf) (((sbdf)&7) == 0)

static u32 ones(unsigned size)
{
	return size >= 4 ? UINT32_MAX : (1u << size * 8) - 1;
}

static u32 real_read(struct hostpci *h, u32 sbdf, unsigned off, unsigned size)
{
	return h->ops->read(h->ctx, sbdf, off, size) & ones(size);
}

/* --- which function --------------------------------------------------------------------------- */

static const struct hostpci_hidden *hidden(const struct hostpci *h, u32 sbdf)
{
	for (unsigned i = 0; i < h->nhidden; i++)
		if (h->hidden[i].sbdf == sbdf)
			return &h->hidden[i];
	return NULL;
}

static u32 hidden_read(const struct hostpci_hidden *f, unsigned off, unsigned size)
{
	u32 v = 0;

	if (!f->placeholder || off >= PCI_CONFIG_SIZE)
		return ones(size);
	switch (off & ~3u) {
	case PCI_VENDOR_ID:
		v = HOSTPCI_VENDOR | HOSTPCI_DEVICE_PLACEHOLDER << 16;
		break;
	case PCI_REVISION:
		v = CLASS_NONE;
		break;
	case PCI_HEADER_TYPE & ~3u:
		v = PCI_HEADER_MULTIFUNCTION << 16;
		break;
	}
	return v >> (off & 3) * 8 & ones(size);
}

static bool is_own(const struct hostpci *h, u32 sbdf)
{
	return h->own && sbdf == h->own_sbdf;
}

/* Tell of BARs that the last write moved; @was: as they were before it. */
static void own_moved(struct hostpci *h, const struct pci_bar *was)
{
	for (unsigned n = 0; n < PCI_BARS; n++) {
		const struct pci_bar *bar = &h->own->bar[n];

		if (bar->io || (bar->mapped == was[n].mapped && bar->base == was[n].base))
			continue;
		if (was[n].mapped)
			h->ops->bar_moved(h->ctx, n, false, was[n].base, bar->size);
		if (bar->mapped)
			h->ops->bar_moved(h->ctx, n, true, bar->base, bar->size);
	}
}

static bool own_allowed(struct hostpci *h)
{
	for (unsigned n = 0; n < PCI_BARS; n++) {
		const struct pci_bar *bar = &h->own->bar[n];

		if (bar->mapped && !bar->io && !h->ops->bar_ok(h->ctx, bar->base, bar->size))
			return false;
	}
	return true;
}

/* A BAR where it may not be is not decoded: COMMAND says so. */
static void own_write(struct hostpci *h, unsigned off, unsigned size, u32 v)
{
	struct pci_bar was[PCI_BARS];

	memcpy(was, h->own->bar, sizeof(was));
	pci_cfg_write(h->own, off, size, v);
	if (!own_allowed(h)) {
		h->refused++;
		pci_cfg_write(h->own, PCI_COMMAND, 2,
			      pci_get16(h->own, PCI_COMMAND) & ~PCI_COMMAND_MEM);
	}
	own_moved(h, was);
}

static u32 read_aligned(struct hostpci *h, u32 sbdf, unsigned off, unsigned size)
{
	const struct hostpci_hidden *f = hidden(h, sbdf);

	if (is_own(h, sbdf))
		return off < PCI_CONFIG_SIZE ? pci_cfg_read(h->own, off, size) : ones(size);
	if (f)
		return hidden_read(f, off, size);
	return hostpci_real_read(h, sbdf, off, size);
}

static void write_aligned(struct hostpci *h, u32 sbdf, unsigned off, unsigned size, u32 v)
{
	if (is_own(h, sbdf)) {
		if (off < PCI_CONFIG_SIZE)
			own_write(h, off, size, v);
	} else if (!hidden(h, sbdf)) {
		hostpci_real_write(h, sbdf, off, size, v);
	}
}

u32 hostpci_read(struct hostpci *h, u32 sbdf, unsigned off, unsigned size)
{
	u32 v = 0;

	if (off >= PCI_CONFIG_SIZE_EXT || size > PCI_CONFIG_SIZE_EXT - off)
		return ones(size);
	if (off % size == 0)
		return read_aligned(h, sbdf, off, size);
	for (unsigned i = 0; i < size; i++)
		v |= read_aligned(h, sbdf, off + i, 1) << i * 8;
	return v;
}

void hostpci_write(struct hostpci *h, u32 sbdf, unsigned off, unsigned size, u32 value)
{
	if (off >= PCI_CONFIG_SIZE_EXT || size > PCI_CONFIG_SIZE_EXT - off)
		return;
	if (off % size == 0) {
		write_aligned(h, sbdf, off, size, value & ones(size));
		return;
	}
	for (unsigned i = 0; i < size; i++)
		write_aligned(h, sbdf, off + i, 1, value >> i * 8 & 0xff);
}

/* --- ports and windows ------------------------------------------------------------------------ */

static u32 hostpci_port_read(void *dev, u16 port, unsigned size)
{
	struct hostpci *h = dev;

	if (port == PCI_PORT_ADDRESS && size == 4)
		return h->address;
	if (port == PCI_PORT_RESET && size == 1 && h->ops->reset_read)
		return h->ops->reset_read(h->ctx);
	if (port < PCI_PORT_DATA || port + size > PCI_PORT_DATA + 4 ||
	    !(h->address & PCI_ADDR_ENABLE))
		return ones(size);
	return hostpci_read(h, ADDR_BDF(h->address),
			    PCI_ADDR_REG(h->address) + (port - PCI_PORT_DATA), size);
}

static void hostpci_port_write(void *dev, u16 port, unsigned size, u32 value)
{
	struct hostpci *h = dev;

	if (port == PCI_PORT_ADDRESS && size == 4)
		h->address = value & PCI_ADDR_WRITABLE;
	if (port == PCI_PORT_RESET && size == 1 && h->ops->reset_write)
		h->ops->reset_write(h->ctx, (u8)value);
	if (port < PCI_PORT_DATA || port + size > PCI_PORT_DATA + 4 ||
	    !(h->address & PCI_ADDR_ENABLE))
		return;
	hostpci_write(h, ADDR_BDF(h->address), PCI_ADDR_REG(h->address) + (port - PCI_PORT_DATA),
		      size, value);
}

const struct port_ops hostpci_port_ops = {
	.read = hostpci_port_read,
	.write = hostpci_port_write,
};

static u32 window_sbdf(const struct hostpci_window *w, u64 off)
{
	u32 bus = w->bus_start + (u32)(off >> PCI_ECAM_BUS_SHIFT);

	return (u32)w->seg << 16 | bus << 8 | (u32)(off >> PCI_ECAM_FUNCTION_SHIFT & 0xff);
}

/* The chipset takes eight bytes as two dwords, or not at all. */
static u64 hostpci_ecam_read(void *dev, u64 off, unsigned size)
{
	struct hostpci_window *w = dev;
	u32 sbdf = window_sbdf(w, off);
	unsigned reg = off % PCI_CONFIG_SIZE_EXT;

	if (off >= w->len)
		return UINT64_MAX;
	if (size <= 4)
		return hostpci_read(w->h, sbdf, reg, size);
	return hostpci_read(w->h, sbdf, reg, 4) | (u64)hostpci_read(w->h, sbdf, reg + 4, 4) << 32;
}

static void hostpci_ecam_write(void *dev, u64 off, unsigned size, u64 value)
{
	struct hostpci_window *w = dev;
	u32 sbdf = window_sbdf(w, off);
	unsigned reg = off % PCI_CONFIG_SIZE_EXT;

	if (off >= w->len)
		return;
	hostpci_write(w->h, sbdf, reg, MIN(size, 4u), (u32)value);
	if (size > 4)
		hostpci_write(w->h, sbdf, reg + 4, 4, (u32)(value >> 32));
}

const struct mmio_ops hostpci_ecam_ops = {
	.read = hostpci_ecam_read,
	.write = hostpci_ecam_write,
};

/* --- set-up ----------------------------------------------------------------------------------- */

static void own_pirq(void *ctx, unsigned pirq, bool level)
{
	struct hostpci *h = ctx;

	(void)pirq;
	h->ops->intx(h->ctx, level);
}

void hostpci_init(struct hostpci *h, struct bus *io, const struct hostpci_ops *ops, void *ctx)
{
	memset(h, 0, sizeof(*h));
	pci_bus_init(&h->own_bus, io);
	h->own_bus.pirq = own_pirq;
	h->own_bus.pirq_ctx = h;
	h->ops = ops;
	h->ctx = ctx;
}

int hostpci_add_window(struct hostpci *h, hpa_t base, u16 seg, u8 bus_start, u8 bus_end)
{
	u64 first = base + ((u64)bus_start << PCI_ECAM_BUS_SHIFT);
	u64 len = ((u64)bus_end - bus_start + 1) << PCI_ECAM_BUS_SHIFT;

	if (bus_end < bus_start || base % BIT(PCI_ECAM_BUS_SHIFT) || base >= PHYS_END ||
	    first > PHYS_END - len)
		return -EINVAL;
	for (unsigned i = 0; i < h->nwindows; i++) {
		const struct hostpci_window *w = &h->window[i];

		if (first < w->base + w->len && w->base < first + len)
			return -EEXIST;
	}
	if (h->nwindows == HOSTPCI_WINDOWS)
		return -ENOSPC;
	h->window[h->nwindows++] = (struct hostpci_window){.h = h,
							   .base = first,
							   .len = len,
							   .seg = seg,
							   .bus_start = bus_start,
							   .bus_end = bus_end};
	return 0;
}

int hostpci_hide(struct hostpci *h, u32 sbdf)
{
	bool multi = real_read(h, sbdf, PCI_VENDOR_ID, 2) != NO_VENDOR &&
		     (real_read(h, sbdf, PCI_HEADER_TYPE, 1) & PCI_HEADER_MULTIFUNCTION);

	if (hidden(h, sbdf))
		return 0;
	if (h->nhidden == HOSTPCI_HIDDEN)
		return -ENOSPC;
	h->hidden[h->nhidden++] =
		(struct hostpci_hidden){.sbdf = sbdf, .placeholder = FUNCTION_0(sbdf) && multi};
	return 0;
}

static bool device_answers(struct hostpci *h, unsigned dev)
{
	for (unsigned fn = 0; fn < PCI_FNS; fn++)
		if (real_read(h, HOSTPCI_SBDF(0, 0, dev, fn), PCI_VENDOR_ID, 2) != NO_VENDOR)
			return true;
	return false;
}

static int free_device(struct hostpci *h)
{
	for (unsigned dev = PCI_SLOTS - 1; dev; dev--)
		if (!device_answers(h, dev))
			return (int)dev;
	return -ENOSPC;
}

/* Firmware would have done this for a real function. */
static int own_assign(struct hostpci *h, unsigned bar, u32 base, u8 irq)
{
	const struct pci_bar *b = &h->own->bar[bar];

	own_write(h, PCI_BAR0 + bar * 4, 4, base);
	own_write(h, PCI_COMMAND, 2, PCI_COMMAND_MEM);
	own_write(h, PCI_INTERRUPT_LINE, 1, irq);
	return b->mapped && b->base == base ? 0 : -EINVAL;
}

int hostpci_add_own(struct hostpci *h, struct pci_dev *d, unsigned bar, u32 base, u8 irq)
{
	int dev = free_device(h), err;

	if (h->own)
		return -EEXIST;
	if (bar >= PCI_BARS || !d->bar[bar].size || d->bar[bar].io)
		return -EINVAL;
	if (dev < 0)
		return dev;
	err = pci_bus_add(&h->own_bus, (unsigned)dev, 0, d);
	if (err)
		return err;
	h->own = d;
	h->own_sbdf = HOSTPCI_SBDF(0, 0, dev, 0);
	err = own_assign(h, bar, base, irq);
	if (err) {
		pci_dev_reset(d);
		h->own_bus.dev[dev][0] = NULL;
		d->bus = NULL;
		h->own = NULL;
	}
	return err ? err : dev;
}
