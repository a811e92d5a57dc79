/* A PCI bus with one virtio function and a small driver for both its interfaces, as an operating
 * system would have one. The test puts its device into the rig's bus at RIG_SLOT.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_VIRTIO_RIG_H
#define TESTS_UNIT_VIRTIO_RIG_H

#include "dev/virtio.h"
#include "fake_host.h"
#include "unit.h"

#define RIG_MEM	 (8u << 20)
#define RIG_SLOT 4
#define RIG_IO	 0xc000
#define RIG_MSIX 0xe0010000u
#define RIG_REGS 0xe0020000u
#define RIG_MSI	 0xfee00000u

#define F_VERSION_1 BIT(32)
#define F_EVENT_IDX BIT(29)
#define F_INDIRECT  BIT(28)

#define D_NEXT	   1u
#define D_WRITE	   2u
#define D_INDIRECT 4u

/* Driver's side of one queue. */
struct drv {
	unsigned n;
	u16 num;
	gpa_t desc, avail, used;
	u16 next; /* available index */
	u16 seen; /* used index up to which it has looked */
	u16 free; /* next descriptor to use */
	bool event_idx;
};

struct rig {
	struct fake_host f;
	struct bus io;
	struct pci_bus pci;
	struct virtio *v;
	struct drv q[2];
	bool line;
	unsigned edges, messages;
	u32 last_message;
	u8 mem[RIG_MEM];
};

static inline void rig_pirq(void *ctx, unsigned pirq, bool level)
{
	struct rig *r = ctx;

	(void)pirq;
	r->edges += level && !r->line;
	r->line = level;
}

static inline void rig_msi(void *ctx, u64 address, u32 data)
{
	struct rig *r = ctx;

	CHECK_EQ(address, RIG_MSI);
	r->messages++;
	r->last_message = data;
}

static inline void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	fake_host_init(&r->f, r->mem, RIG_MEM);
	pci_bus_init(&r->pci, &r->io);
	r->pci.pirq = rig_pirq;
	r->pci.pirq_ctx = r;
	r->pci.msi = rig_msi;
	r->pci.msi_ctx = r;
}

/* What a BIOS does. */
static inline void rig_place(struct rig *r, struct virtio *v)
{
	r->v = v;
	pci_cfg_write(&v->pci, PCI_BAR0, 4, RIG_IO);
	pci_cfg_write(&v->pci, PCI_BAR0 + 4 * VIRTIO_MSIX_BAR, 4, RIG_MSIX);
	pci_cfg_write(&v->pci, PCI_BAR0 + 4 * VIRTIO_MEM_BAR, 4, RIG_REGS);
	pci_cfg_write(&v->pci, PCI_COMMAND, 2, 7);
}

/* --- registers --- */

static inline u64 mmio_in(struct rig *r, gpa_t at, unsigned size)
{
	const struct mmio_range *m = bus_find_mmio(&r->io, at);

	CHECK(m != NULL);
	return m ? m->ops->read(m->dev, at - m->base, size) : ~0ull;
}
static inline void mmio_out(struct rig *r, gpa_t at, unsigned size, u64 v)
{
	const struct mmio_range *m = bus_find_mmio(&r->io, at);

	CHECK(m != NULL);
	if (m)
		m->ops->write(m->dev, at - m->base, size, v);
}
static inline u32 io_in(struct rig *r, unsigned off, unsigned size)
{
	return bus_port_read(&r->io, (u16)(RIG_IO + off), size);
}
static inline void io_out(struct rig *r, unsigned off, unsigned size, u32 v)
{
	bus_port_write(&r->io, (u16)(RIG_IO + off), size, v);
}
#define common_in(r, off, size)	    mmio_in(r, RIG_REGS + (off), size)
#define common_out(r, off, size, v) mmio_out(r, RIG_REGS + (off), size, v)

static inline u8 rig_status(struct rig *r)
{
	return (u8)common_in(r, 20, 1);
}
static inline u8 isr(struct rig *r)
{
	return (u8)io_in(r, VIRTIO_IO_ISR, 1);
}
static inline void kick(struct rig *r, unsigned n)
{
	io_out(r, VIRTIO_IO_NOTIFY, 2, n);
}

/* --- guest memory --- */

static inline void put(struct rig *r, gpa_t at, const void *data, size_t len)
{
	CHECK(at + len <= RIG_MEM);
	memcpy(r->mem + at, data, len);
}
static inline void put16(struct rig *r, gpa_t at, u16 v)
{
	put(r, at, &v, 2);
}
static inline u16 get16(struct rig *r, gpa_t at)
{
	u16 v;

	memcpy(&v, r->mem + at, 2);
	return v;
}
static inline u32 get32(struct rig *r, gpa_t at)
{
	u32 v;

	memcpy(&v, r->mem + at, 4);
	return v;
}

/* --- start-up --- */

static inline void drv_init(struct rig *r, unsigned n, u16 num, gpa_t desc, gpa_t avail, gpa_t used,
			    bool event_idx)
{
	r->q[n] = (struct drv){.n = n,
			       .num = num,
			       .desc = desc,
			       .avail = avail,
			       .used = used,
			       .event_idx = event_idx};
	memset(r->mem + desc, 0, 16u * num);
	memset(r->mem + avail, 0, 6u + 2u * num);
	memset(r->mem + used, 0, 6u + 8u * num);
}

/* Queue @n lies at 64 KiB * (n + 1), its rings on pages of their own. */
static inline void modern_queue(struct rig *r, unsigned n, u16 num, bool event_idx)
{
	gpa_t base = 0x10000u * (n + 1);

	drv_init(r, n, num, base, base + 0x4000, base + 0x6000, event_idx);
	common_out(r, 22, 2, n);
	common_out(r, 24, 2, num);
	common_out(r, 32, 8, base);
	common_out(r, 40, 4, base + 0x4000);
	common_out(r, 44, 4, 0);
	common_out(r, 48, 8, base + 0x6000);
	common_out(r, 28, 2, 1);
	CHECK_EQ(common_in(r, 28, 2), 1);
	CHECK_EQ(common_in(r, 24, 2), num);
}

/* The sequence of §3.1.1, with the features that the driver knows; false if FEATURES_OK did not
 * stay. */
static inline bool modern_features(struct rig *r, u64 known)
{
	u64 offered;

	common_out(r, 20, 1, 0);
	CHECK_EQ(rig_status(r), 0);
	common_out(r, 20, 1, 1);
	common_out(r, 20, 1, 3);
	common_out(r, 0, 4, 0);
	offered = common_in(r, 4, 4);
	common_out(r, 0, 4, 1);
	offered |= common_in(r, 4, 4) << 32;
	CHECK(offered & F_VERSION_1);
	known &= offered;
	common_out(r, 8, 4, 0);
	common_out(r, 12, 4, (u32)known);
	common_out(r, 8, 4, 1);
	common_out(r, 12, 4, (u32)(known >> 32));
	common_out(r, 20, 1, 0xb);
	return rig_status(r) & 8;
}

static inline void modern_start(struct rig *r, u64 known, unsigned queues, u16 num)
{
	CHECK(modern_features(r, known | F_VERSION_1));
	for (unsigned n = 0; n < queues; n++)
		modern_queue(r, n, num, known & F_EVENT_IDX);
	common_out(r, 20, 1, 0xf);
	CHECK_EQ(rig_status(r), 0xf);
}

static inline void legacy_start(struct rig *r, u32 known, unsigned queues)
{
	io_out(r, 18, 1, 0);
	io_out(r, 18, 1, 3);
	io_out(r, 4, 4, io_in(r, 0, 4) & known);
	for (unsigned n = 0; n < queues; n++) {
		gpa_t base = 0x10000u * (n + 1);
		u16 num;

		io_out(r, 14, 2, n);
		CHECK_EQ(io_in(r, 8, 4), 0);
		num = (u16)io_in(r, 12, 2);
		CHECK(num);
		drv_init(r, n, num, base, base + 16u * num, ALIGN_UP(base + 18u * num + 6, 4096ull),
			 known & F_EVENT_IDX);
		io_out(r, 8, 4, (u32)(base >> 12));
		CHECK_EQ(io_in(r, 8, 4), base >> 12);
	}
	io_out(r, 18, 1, 7);
}

/* --- MSI-X --- */

static inline unsigned cap_find(struct rig *r, u8 id, unsigned after)
{
	struct pci_dev *d = &r->v->pci;
	unsigned at = pci_cfg_read(d, after ? after + 1 : PCI_CAPS, 1);

	for (unsigned i = 0; at && i < 48; i++) {
		if (pci_cfg_read(d, at, 1) == id)
			return at;
		at = pci_cfg_read(d, at + 1, 1);
	}
	return 0;
}

static inline void msix_on(struct rig *r, unsigned vectors)
{
	unsigned cap = cap_find(r, 0x11, 0);

	CHECK(cap);
	pci_cfg_write(&r->v->pci, cap + 2, 2, 0x8000);
	for (unsigned i = 0; i < vectors; i++) {
		mmio_out(r, RIG_MSIX + 16 * i, 8, RIG_MSI);
		mmio_out(r, RIG_MSIX + 16 * i + 8, 8, 0x40 + i);
	}
}

/* --- rings --- */

struct buf {
	gpa_t gpa;
	u32 len;
	bool in;
};

static inline void desc_put(struct rig *r, gpa_t table, unsigned n, gpa_t gpa, u32 len, u16 flags,
			    u16 next)
{
	gpa_t at = table + 16u * n;

	put(r, at, &gpa, 8);
	put(r, at + 8, &len, 4);
	put16(r, at + 12, flags);
	put16(r, at + 14, next);
}

static inline void avail_put(struct rig *r, struct drv *q, u16 head)
{
	put16(r, q->avail + 4 + 2u * (q->next % q->num), head);
	put16(r, q->avail + 2, ++q->next);
}

/* Make @n buffers available as one chain of direct descriptors; its head. */
static inline u16 chain(struct rig *r, struct drv *q, const struct buf *b, unsigned n)
{
	u16 head = q->free;

	for (unsigned i = 0; i < n; i++) {
		u16 at = q->free, next = (u16)((at + 1) % q->num);

		desc_put(r, q->desc, at, b[i].gpa, b[i].len,
			 (u16)((b[i].in ? D_WRITE : 0) | (i + 1 < n ? D_NEXT : 0)), next);
		q->free = next;
	}
	avail_put(r, q, head);
	return head;
}

/* The same behind an indirect descriptor, its table at @table. */
static inline u16 chain_indirect(struct rig *r, struct drv *q, gpa_t table, const struct buf *b,
				 unsigned n)
{
	u16 head = q->free;

	for (unsigned i = 0; i < n; i++)
		desc_put(r, table, i, b[i].gpa, b[i].len,
			 (u16)((b[i].in ? D_WRITE : 0) | (i + 1 < n ? D_NEXT : 0)), (u16)(i + 1));
	desc_put(r, q->desc, head, table, 16 * n, D_INDIRECT, 0);
	q->free = (u16)((head + 1) % q->num);
	avail_put(r, q, head);
	return head;
}

static inline unsigned used_new(struct rig *r, const struct drv *q)
{
	return (u16)(get16(r, q->used + 2) - q->seen);
}

/* Next used entry: its id; *len if not NULL. -1: none. */
static inline int used_take(struct rig *r, struct drv *q, u32 *len)
{
	gpa_t at = q->used + 4 + 8u * (q->seen % q->num);

	if (!used_new(r, q))
		return -1;
	q->seen++;
	if (len)
		*len = get32(r, at + 4);
	return (int)get32(r, at);
}

/* Would a driver notify after its last chain (§2.6.10)? @old is its index before. */
static inline bool wants_kick(struct rig *r, const struct drv *q, u16 old)
{
	u16 event = get16(r, q->used + 4 + 8u * q->num);

	if (!q->event_idx)
		return !(get16(r, q->used) & 1);
	return (u16)(q->next - event - 1) < (u16)(q->next - old);
}
/* Ask for an interrupt when the device passes entry @event. */
static inline void used_event(struct rig *r, const struct drv *q, u16 event)
{
	put16(r, q->avail + 4 + 2u * q->num, event);
}

#endif
