/* Virtio's PCI function: BARs, vendor capabilities, and the window through configuration space
 * (Virtio 1.1 §4.1.2, §4.1.4). See virtio.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/virtio.h"
#include "lib/errno.h"
#include "lib/str.h"

#define VIRTIO_VENDOR 0x1af4

#define CAP_VENDOR  0x09
#define CAP_FIRST   0x40u
#define CAP_LEN	    16u
#define CAP_LEN_EXT 20u /* one dword more: notify multiplier, access window */
#define CAP_BAR	    4u
#define CAP_OFFSET  8u
#define CAP_LENGTH  12u
#define CAP_WINDOW  16u

enum { CFG_COMMON = 1, CFG_NOTIFY, CFG_ISR, CFG_DEVICE, CFG_ACCESS };

struct place {
	u8 type, len;
	u8 bar;
	u32 offset, size;
};

/* Of several of one type a driver takes the first that it can use: I/O before memory. One notify
 * address serves all queues (multiplier 0): what is written says which. */
static const struct place places[] = {
	{CFG_COMMON, CAP_LEN, VIRTIO_MEM_BAR, VIRTIO_MEM_COMMON, VIRTIO_COMMON_SIZE},
	{CFG_NOTIFY, CAP_LEN_EXT, VIRTIO_IO_BAR, VIRTIO_IO_NOTIFY, 2},
	{CFG_NOTIFY, CAP_LEN_EXT, VIRTIO_MEM_BAR, VIRTIO_MEM_NOTIFY, 4},
	{CFG_ISR, CAP_LEN, VIRTIO_IO_BAR, VIRTIO_IO_ISR, 1},
	{CFG_ISR, CAP_LEN, VIRTIO_MEM_BAR, VIRTIO_MEM_ISR, 1},
	{CFG_DEVICE, CAP_LEN, VIRTIO_MEM_BAR, VIRTIO_MEM_DEVICE, VIRTIO_MAX_CONFIG},
	{CFG_ACCESS, CAP_LEN_EXT, 0, 0, 0},
};

/* --- access through configuration space (§4.1.4.7) --- */

/* Where the window points: checked, for a driver may have written anything there. */
static bool window(const struct virtio *v, u32 *offset, unsigned *size)
{
	const struct pci_dev *d = &v->pci;
	u8 bar = d->cfg[v->access_cap + CAP_BAR];

	*offset = pci_get32(d, v->access_cap + CAP_OFFSET);
	*size = pci_get32(d, v->access_cap + CAP_LENGTH);
	if ((*size != 1 && *size != 2 && *size != 4) || *offset & (*size - 1))
		return false;
	if (bar == VIRTIO_IO_BAR)
		return *offset < VIRTIO_IO_SIZE;
	return bar == VIRTIO_MEM_BAR && *offset < VIRTIO_MEM_SIZE;
}

static bool in_window(const struct virtio *v, unsigned off, unsigned len)
{
	unsigned at = v->access_cap + CAP_WINDOW;

	return off < at + 4 && off + len > at;
}

static void cfg_reading(void *owner, unsigned off, unsigned len)
{
	struct virtio *v = owner;
	u32 value, offset;
	unsigned size;

	if (!in_window(v, off, len) || !window(v, &offset, &size))
		return;
	if (v->pci.cfg[v->access_cap + CAP_BAR] == VIRTIO_IO_BAR)
		value = virtio_io_ops.read(v, (u16)offset, size);
	else
		value = (u32)virtio_mem_ops.read(v, offset, size);
	pci_set32(&v->pci, v->access_cap + CAP_WINDOW, value);
}

static void cfg_written(struct pci_dev *d, unsigned off, unsigned len)
{
	struct virtio *v = d->owner;
	u32 offset, value = pci_get32(d, v->access_cap + CAP_WINDOW);
	unsigned size;

	msix_written(&v->msix, off, len);
	virtio_intx_update(v);
	if (!in_window(v, off, len) || !window(v, &offset, &size))
		return;
	if (size < 4)
		value &= (1u << size * 8) - 1;
	if (d->cfg[v->access_cap + CAP_BAR] == VIRTIO_IO_BAR)
		virtio_io_ops.write(v, (u16)offset, size, value);
	else
		virtio_mem_ops.write(v, offset, size, value);
}

/* --- construction --- */

static unsigned add_cap(struct virtio *v, unsigned at, const struct place *p)
{
	u8 *cap = &v->pci.cfg[at];

	cap[0] = CAP_VENDOR;
	cap[1] = (u8)(at + p->len);
	cap[2] = p->len;
	cap[3] = p->type;
	cap[CAP_BAR] = p->bar;
	pci_set32(&v->pci, at + CAP_OFFSET, p->offset);
	pci_set32(&v->pci, at + CAP_LENGTH, p->size);
	if (p->type == CFG_ACCESS) {
		v->access_cap = (u8)at;
		v->pci.wmask[at + CAP_BAR] = 0xff;
		memset(&v->pci.wmask[at + CAP_OFFSET], 0xff, 12);
	}
	return at + p->len;
}

int virtio_pci_function(struct virtio *v, struct pci_bus *b, unsigned slot,
			const struct virtio_params *p)
{
	struct pci_dev *d = &v->pci;
	unsigned at = CAP_FIRST;

	pci_dev_init(d, VIRTIO_VENDOR, p->pci_id, p->class_code, 0);
	pci_set16(d, PCI_SUBSYSTEM_VENDOR, VIRTIO_VENDOR);
	pci_set16(d, PCI_SUBSYSTEM_ID, p->type);
	pci_set16(d, PCI_STATUS, PCI_STATUS_CAPS);
	d->cfg[PCI_CAPS] = CAP_FIRST;
	d->intx_pin = 1;
	d->owner = v;
	pci_bar_io(d, VIRTIO_IO_BAR, VIRTIO_IO_SIZE, &virtio_io_ops, v);
	pci_bar_mem(d, VIRTIO_MEM_BAR, VIRTIO_MEM_SIZE, &virtio_mem_ops, v);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		at = add_cap(v, at, &places[i]);
	msix_init(&v->msix, d, at, 0, VIRTIO_MSIX_BAR, v->nqueues + 1);
	d->reading = cfg_reading;
	d->written = cfg_written;
	return b ? pci_bus_add(b, slot, 0, d) : 0;
}

void virtio_pci_function_reset(struct virtio *v)
{
	v->pci.cfg[v->access_cap + CAP_BAR] = 0;
	memset(&v->pci.cfg[v->access_cap + CAP_OFFSET], 0, 12);
	pci_dev_reset(&v->pci);
	msix_reset(&v->msix);
}
