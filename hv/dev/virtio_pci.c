/* Virtio over PCI: registers and interrupts (Virtio 1.1 §4.1.4, legacy layout §4.1.4.8). See
 * virtio.h.
 *
 * Notifications and the ISR have their place in the I/O BAR for drivers of both ages: an I/O port
 * costs a guest one plain exit, a memory register an emulated instruction.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/virtio.h"
#include "lib/str.h"

#define LEGACY_PAGE 4096u

/* --- interrupts --- */

/* Level of INTx: any cause not yet read, as long as messages are not in use. */
void virtio_intx_update(struct virtio *v)
{
	pci_set_intx(&v->pci, v->isr && !msix_enabled(&v->msix));
}

void virtio_interrupt(struct virtio *v, unsigned vector, u8 isr)
{
	v->interrupts++;
	if (msix_enabled(&v->msix)) {
		msix_raise(&v->msix, vector);
		return;
	}
	v->isr |= isr;
	virtio_intx_update(v);
}

static u8 isr_take(struct virtio *v)
{
	u8 isr = v->isr;

	v->isr = 0;
	virtio_intx_update(v);
	return isr;
}

static void config_interrupt(struct virtio *v)
{
	if (v->status & VIRTIO_S_DRIVER_OK)
		virtio_interrupt(v, v->config_vector, VIRTIO_ISR_CONFIG);
}

void virtio_config_changed(struct virtio *v)
{
	v->generation++;
	config_interrupt(v);
}

/* Legacy drivers do not know the status bit; their queues just stand still. */
void virtio_break(struct virtio *v)
{
	if (v->broken)
		return;
	v->broken = true;
	if (!virtio_has(v, VIRTIO_F_VERSION_1))
		return;
	v->status |= VIRTIO_S_NEEDS_RESET;
	config_interrupt(v);
}

/* --- what both register layouts do --- */

/* Device reset (§2.1.1: writing 0 to the status). */
static void device_reset(struct virtio *v)
{
	v->ops->reset(v);
	for (unsigned i = 0; i < v->nqueues; i++)
		virtio_ring_reset(&v->q[i]);
	v->features = 0;
	v->device_feature_sel = v->driver_feature_sel = 0;
	v->queue_sel = 0;
	v->config_vector = MSIX_NO_VECTOR;
	v->status = 0;
	v->broken = false;
	v->isr = 0;
	virtio_intx_update(v);
}

static void kick(struct virtio *v, unsigned n)
{
	if (n < v->nqueues && virtio_live(v, n))
		v->ops->kick(v, n);
}

/* A modern driver must accept VERSION_1; only one of the legacy kind does without, and that never
 * asks whether its features are fine (§3.1.1, §6.1). */
static void set_status(struct virtio *v, u8 status)
{
	u8 was = v->status;

	if (!status) {
		device_reset(v);
		return;
	}
	if (!virtio_has(v, VIRTIO_F_VERSION_1))
		status &= (u8)~VIRTIO_S_FEATURES_OK;
	v->status = (status & (u8)~VIRTIO_S_NEEDS_RESET) | (was & VIRTIO_S_NEEDS_RESET);
	if (!(was & VIRTIO_S_DRIVER_OK) && (status & VIRTIO_S_DRIVER_OK))
		for (unsigned n = 0; n < v->nqueues; n++)
			kick(v, n);
}

static void set_features(struct virtio *v, u64 features)
{
	if (!(v->status & (VIRTIO_S_FEATURES_OK | VIRTIO_S_DRIVER_OK)))
		v->features = features & v->offered;
}

static struct virtq *selected(struct virtio *v)
{
	return v->queue_sel < v->nqueues ? &v->q[v->queue_sel] : NULL;
}

/* A vector that does not exist reads back as none: the driver sees that it failed (§4.1.5.1.2). */
static u16 valid_vector(const struct virtio *v, u16 vector)
{
	return vector < v->msix.nvec ? vector : MSIX_NO_VECTOR;
}

static u32 config_read(const struct virtio *v, unsigned off, unsigned size)
{
	u32 value = 0;

	for (unsigned i = 0; i < size && off + i < v->config_len; i++)
		value |= (u32)v->config[off + i] << i * 8;
	return value;
}

/* --- legacy registers --- */

enum {
	L_FEATURES = 0,
	L_DRIVER_FEATURES = 4,
	L_QUEUE_PFN = 8,
	L_QUEUE_SIZE = 12,
	L_QUEUE_SELECT = 14,
	L_QUEUE_NOTIFY = VIRTIO_IO_NOTIFY,
	L_STATUS = 18,
	L_ISR = VIRTIO_IO_ISR,
	L_END = 20,
	L_CONFIG_VECTOR = 20, /* these two only while MSI-X is on */
	L_QUEUE_VECTOR = 22,
	L_END_MSIX = 24,
};

static unsigned legacy_config(const struct virtio *v)
{
	return msix_enabled(&v->msix) ? L_END_MSIX : L_END;
}

static u32 legacy_read(struct virtio *v, unsigned off)
{
	const struct virtq *q = selected(v);

	switch (off) {
	case L_FEATURES:
		return (u32)v->offered;
	case L_DRIVER_FEATURES:
		return (u32)v->features;
	case L_QUEUE_PFN:
		return q && q->enabled ? (u32)(q->desc / LEGACY_PAGE) : 0;
	case L_QUEUE_SIZE:
		return q ? q->max : 0;
	case L_QUEUE_SELECT:
		return v->queue_sel;
	case L_STATUS:
		return v->status;
	case L_ISR:
		return isr_take(v);
	case L_CONFIG_VECTOR:
		return v->config_vector;
	case L_QUEUE_VECTOR:
		return q ? q->vector : MSIX_NO_VECTOR;
	default:
		return 0;
	}
}

/* One page number places all three parts of a queue (§2.6.2). */
static void legacy_queue(struct virtq *q, u32 pfn)
{
	if (!q)
		return;
	if (!pfn) {
		u16 vector = q->vector;

		virtio_ring_reset(q);
		q->vector = vector;
		return;
	}
	if (q->enabled)
		return;
	q->num = q->max;
	q->desc = (gpa_t)pfn * LEGACY_PAGE;
	q->avail = q->desc + 16u * q->num;
	q->used = ALIGN_UP(q->avail + 6 + 2u * q->num, (gpa_t)LEGACY_PAGE);
	q->enabled = true;
}

static void legacy_write(struct virtio *v, unsigned off, u32 value)
{
	struct virtq *q = selected(v);

	switch (off) {
	case L_DRIVER_FEATURES:
		set_features(v, value);
		break;
	case L_QUEUE_PFN:
		legacy_queue(q, value);
		break;
	case L_QUEUE_SELECT:
		v->queue_sel = (u16)value;
		break;
	case L_QUEUE_NOTIFY:
		v->kicks++;
		kick(v, (u16)value);
		break;
	case L_STATUS:
		set_status(v, (u8)value);
		break;
	case L_CONFIG_VECTOR:
		v->config_vector = valid_vector(v, (u16)value);
		break;
	case L_QUEUE_VECTOR:
		if (q)
			q->vector = valid_vector(v, (u16)value);
		break;
	}
}

/* Registers answer at their own offset; a wider access sees them filled up with zeros. */
static u32 io_read(void *dev, u16 port, unsigned size)
{
	struct virtio *v = dev;
	unsigned off = port & (VIRTIO_IO_SIZE - 1), config = legacy_config(v);

	return off < config ? legacy_read(v, off) : config_read(v, off - config, size);
}

static void io_write(void *dev, u16 port, unsigned size, u32 value)
{
	struct virtio *v = dev;
	unsigned off = port & (VIRTIO_IO_SIZE - 1);

	(void)size;
	if (off < legacy_config(v))
		legacy_write(v, off, value);
}

const struct port_ops virtio_io_ops = {
	.read = io_read,
	.write = io_write,
};

/* --- modern registers: common configuration (§4.1.4.3) --- */

enum {
	C_DEVICE_FEATURE_SELECT = 0,
	C_DEVICE_FEATURE = 4,
	C_DRIVER_FEATURE_SELECT = 8,
	C_DRIVER_FEATURE = 12,
	C_CONFIG_VECTOR = 16,
	C_NUM_QUEUES = 18,
	C_STATUS = 20,
	C_GENERATION = 21,
	C_QUEUE_SELECT = 22,
	C_QUEUE_SIZE = 24,
	C_QUEUE_VECTOR = 26,
	C_QUEUE_ENABLE = 28,
	C_QUEUE_NOTIFY_OFF = 30,
	C_QUEUE_DESC = 32,
	C_QUEUE_DRIVER = 40,
	C_QUEUE_DEVICE = 48,
};

static u32 half(u64 features, u32 select)
{
	return select > 1 ? 0 : (u32)(features >> select * 32);
}

/* The address register that @off lies in, or NULL. */
static gpa_t *queue_address(struct virtq *q, unsigned off)
{
	switch (off & ~7u) {
	case C_QUEUE_DESC:
		return &q->desc;
	case C_QUEUE_DRIVER:
		return &q->avail;
	case C_QUEUE_DEVICE:
		return &q->used;
	default:
		return NULL;
	}
}

static u32 queue_read(struct virtq *q, unsigned off)
{
	const gpa_t *address = queue_address(q, off);

	switch (off) {
	case C_QUEUE_SIZE:
		return q->num;
	case C_QUEUE_VECTOR:
		return q->vector;
	case C_QUEUE_ENABLE:
		return q->enabled;
	default: /* C_QUEUE_NOTIFY_OFF: one address for all */
		return address ? (u32)(*address >> (off & 4) * 8) : 0;
	}
}

static u32 common_read(struct virtio *v, unsigned off)
{
	struct virtq *q = selected(v);

	switch (off) {
	case C_DEVICE_FEATURE_SELECT:
		return v->device_feature_sel;
	case C_DEVICE_FEATURE:
		return half(v->offered, v->device_feature_sel);
	case C_DRIVER_FEATURE_SELECT:
		return v->driver_feature_sel;
	case C_DRIVER_FEATURE:
		return half(v->features, v->driver_feature_sel);
	case C_CONFIG_VECTOR:
		return v->config_vector;
	case C_NUM_QUEUES:
		return v->nqueues;
	case C_STATUS:
		return v->status;
	case C_GENERATION:
		return v->generation;
	case C_QUEUE_SELECT:
		return v->queue_sel;
	default:
		return q && off >= C_QUEUE_SIZE ? queue_read(q, off) : 0;
	}
}

/* A queue that is enabled is not changed any more (§4.1.4.3.2), its vector excepted. */
static void queue_write(struct virtio *v, struct virtq *q, unsigned off, u32 value)
{
	gpa_t *address = queue_address(q, off);

	if (off == C_QUEUE_VECTOR)
		q->vector = valid_vector(v, (u16)value);
	if (q->enabled)
		return;
	if (off == C_QUEUE_SIZE && value && value <= q->max && !(value & (value - 1)))
		q->num = (u16)value;
	else if (off == C_QUEUE_ENABLE && (u16)value == 1)
		q->enabled = true;
	else if (address && off & 4)
		*address = (u32)*address | (u64)value << 32;
	else if (address)
		*address = ALIGN_DOWN(*address, BIT(32)) | value;
}

static void write_driver_feature(struct virtio *v, u32 value)
{
	unsigned shift = v->driver_feature_sel * 32;

	if (v->driver_feature_sel <= 1)
		set_features(v, (v->features & ~((u64)UINT32_MAX << shift)) | (u64)value << shift);
}

static void common_write(struct virtio *v, unsigned off, u32 value)
{
	struct virtq *q = selected(v);

	switch (off) {
	case C_DEVICE_FEATURE_SELECT:
		v->device_feature_sel = value;
		break;
	case C_DRIVER_FEATURE_SELECT:
		v->driver_feature_sel = value;
		break;
	case C_DRIVER_FEATURE:
		write_driver_feature(v, value);
		break;
	case C_CONFIG_VECTOR:
		v->config_vector = valid_vector(v, (u16)value);
		break;
	case C_STATUS:
		set_status(v, (u8)value);
		break;
	case C_QUEUE_SELECT:
		v->queue_sel = (u16)value;
		break;
	default:
		if (q && off >= C_QUEUE_SIZE)
			queue_write(v, q, off, value);
	}
}

/* --- the memory BAR: four pages --- */

static u32 mem_read32(struct virtio *v, unsigned off, unsigned size)
{
	unsigned in_page = off & 0xfff;

	switch (off & ~0xfffu) {
	case VIRTIO_MEM_COMMON:
		return common_read(v, in_page);
	case VIRTIO_MEM_ISR:
		return in_page ? 0 : isr_take(v);
	case VIRTIO_MEM_DEVICE:
		return config_read(v, in_page, size);
	default:
		return 0;
	}
}

static u64 mem_read(void *dev, u64 off, unsigned size)
{
	u64 value = mem_read32(dev, (unsigned)off, MIN(size, 4u));

	if (size == 8)
		value |= (u64)mem_read32(dev, (unsigned)off + 4, 4) << 32;
	return value;
}

static void mem_write32(struct virtio *v, unsigned off, u32 value)
{
	switch (off & ~0xfffu) {
	case VIRTIO_MEM_COMMON:
		common_write(v, off & 0xfff, value);
		break;
	case VIRTIO_MEM_NOTIFY:
		v->kicks++;
		kick(v, (u16)value);
		break;
	}
}

static void mem_write(void *dev, u64 off, unsigned size, u64 value)
{
	mem_write32(dev, (unsigned)off, (u32)value);
	if (size == 8 && off < VIRTIO_MEM_NOTIFY)
		mem_write32(dev, (unsigned)off + 4, (u32)(value >> 32));
}

const struct mmio_ops virtio_mem_ops = {
	.read = mem_read,
	.write = mem_write,
};

/* --- construction --- */

int virtio_init(struct virtio *v, const struct dev_host *host, struct pci_bus *b, unsigned slot,
		const struct virtio_params *p, const struct virtio_ops *ops)
{
	memset(v, 0, sizeof(*v));
	v->host = host;
	v->ops = ops;
	v->offered = p->features | VIRTIO_F_ANY_LAYOUT | VIRTIO_F_INDIRECT_DESC |
		     VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1;
	v->nqueues = p->nqueues;
	v->config_len = p->config_len;
	for (unsigned i = 0; i < v->nqueues; i++) {
		v->q[i].max = p->queue_max;
		virtio_ring_reset(&v->q[i]);
	}
	v->config_vector = MSIX_NO_VECTOR;
	return virtio_pci_function(v, b, slot, p);
}

void virtio_reset(struct virtio *v)
{
	device_reset(v);
	virtio_pci_function_reset(v);
}
