/* Virtio 1.1 over PCI, split virtqueues: what a device has in common with the others.
 * Section numbers (§) are those of the OASIS standard "Virtual I/O Device (VIRTIO) Version 1.1".
 *
 *   virtio_ring.c  virtqueues: descriptor chains, used ring, notifications on both sides
 *   virtio_pci.c   registers: the legacy I/O layout and the modern structures, interrupts
 *   virtio_caps.c  the PCI function: capabilities, BARs, access through configuration space
 *
 * A device is transitional: drivers from before and after 1.0 find their interface. It embeds
 * struct virtio, offers features and gets kicks.
 *
 * Everything in guest memory is hostile: each value is read once, indices and lengths are checked,
 * a chain has at most as many descriptors as its table, and the work of one kick is bounded by the
 * queue's size. A queue that makes no sense stops the device until the driver resets it (§2.1.2,
 * DEVICE_NEEDS_RESET).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_VIRTIO_H
#define HV_DEV_VIRTIO_H

#include "dev/blk.h"
#include "dev/msix.h"

#define VIRTIO_MAX_QUEUES 2u
#define VIRTIO_MAX_CONFIG 64u

/* Device status (§2.1) */
#define VIRTIO_S_DRIVER_OK   0x04u
#define VIRTIO_S_FEATURES_OK 0x08u
#define VIRTIO_S_NEEDS_RESET 0x40u

/* ISR status (§4.1.4.5) */
#define VIRTIO_ISR_QUEUE  1u
#define VIRTIO_ISR_CONFIG 2u

/* Features of every device (§6) */
#define VIRTIO_F_ANY_LAYOUT    BIT(27) /* legacy: no fixed cut into descriptors */
#define VIRTIO_F_INDIRECT_DESC BIT(28)
#define VIRTIO_F_EVENT_IDX     BIT(29)
#define VIRTIO_F_VERSION_1     BIT(32)

struct virtio;

struct virtq {
	u16 max; /* largest size, a power of two */
	u16 num; /* size in force */
	bool enabled;
	bool no_kicks; /* the driver was asked not to notify */
	u16 vector;    /* MSI-X */
	gpa_t desc, avail, used;
	u16 last_avail; /* next entry of the available ring */
	u16 avail_idx;	/* the driver's index as last read */
	u16 used_idx;
	u16 signalled; /* used_idx at the last decision about an interrupt */
};

/* A descriptor chain as pieces of guest memory, neighbours merged: first what the device reads,
 * then what it writes. */
struct virtio_chain {
	u16 head;
	unsigned nout, nin; /* seg[0, nout) to be read, seg[nout, nout + nin) to be written */
	u64 out_len, in_len;
	struct blk_seg *seg; /* the caller's */
	unsigned max;	     /* its size */
};

struct virtio_ops {
	/* The driver notified queue @n, or set DRIVER_OK with it enabled. */
	void (*kick)(struct virtio *v, unsigned n);
	/* Device reset by the driver or the machine: nothing stays in flight. */
	void (*reset)(struct virtio *v);
};

struct virtio {
	struct pci_dev pci;
	struct msix msix;
	const struct dev_host *host;
	const struct virtio_ops *ops;
	u64 offered, features;
	u32 device_feature_sel, driver_feature_sel;
	u16 queue_sel, config_vector;
	u8 status, isr, generation;
	bool broken;
	u8 access_cap; /* where the capability for access through configuration space is */
	unsigned nqueues;
	struct virtq q[VIRTIO_MAX_QUEUES];
	u8 config[VIRTIO_MAX_CONFIG]; /* device-specific; the device fills it, reset keeps it */
	unsigned config_len;
	u64 kicks, interrupts; /* statistics */
};

struct virtio_params {
	u16 pci_id; /* transitional PCI device id */
	u16 type;   /* virtio device id: subsystem id */
	u32 class_code;
	u64 features; /* of the device; those of transport and rings are added */
	unsigned nqueues;
	u16 queue_max;
	unsigned config_len;
};

/* --- for devices --- */

/* Plug the function in at @slot of @b. 0 or pci_bus_add()'s error. */
int virtio_init(struct virtio *v, const struct dev_host *host, struct pci_bus *b, unsigned slot,
		const struct virtio_params *p, const struct virtio_ops *ops);
/* Machine reset, the PCI function included. */
void virtio_reset(struct virtio *v);
/* The device changed v->config: tell the driver. */
void virtio_config_changed(struct virtio *v);
/* The driver broke the rules: stop until reset. */
void virtio_break(struct virtio *v);
static inline bool virtio_has(const struct virtio *v, u64 feature)
{
	return v->features & feature;
}
/* May queue @n be served? */
static inline bool virtio_live(const struct virtio *v, unsigned n)
{
	return v->q[n].enabled && (v->status & VIRTIO_S_DRIVER_OK) && !v->broken;
}

/* Look at the chain @ahead entries after the next one, without taking it. 1: @c is filled in
 * (@c->seg and @c->max are the caller's); 0: there is none; negative: the device is broken now. */
int virtq_peek(struct virtio *v, struct virtq *q, unsigned ahead, struct virtio_chain *c);
/* Take the next @n chains that were peeked at. */
static inline void virtq_take(struct virtq *q, unsigned n)
{
	q->last_avail = (u16)(q->last_avail + n);
}
/* Return chain @head, into which @len bytes were written, as the used entry @ahead after the last
 * published one; then publish @n of them. */
void virtq_fill(struct virtio *v, struct virtq *q, unsigned ahead, u16 head, u32 len);
void virtq_publish(struct virtio *v, struct virtq *q, unsigned n);
static inline void virtq_push(struct virtio *v, struct virtq *q, u16 head, u32 len)
{
	virtq_fill(v, q, 0, head, len);
	virtq_publish(v, q, 1);
}
/* After publishing: interrupt the driver if it wants that (§2.6.7). */
void virtq_signal(struct virtio *v, struct virtq *q);
/* Ask the driver to notify of chains beyond those seen so far, or to spare it (§2.6.10). Kicks may
 * come all the same. The vCPU stands still between the last look and this, so none is missed. */
void virtq_want_kicks(struct virtio *v, struct virtq *q);
void virtq_spare_kicks(struct virtio *v, struct virtq *q);

/* Bytes [off, off+len) of @seg[0, n) to @buf. 0, or -EFAULT: shorter, or not RAM. */
int virtio_copy_from(struct virtio *v, const struct blk_seg *seg, unsigned n, u64 off, void *buf,
		     size_t len);
/* Remove @len bytes at the front of @seg[0, *n); they are there. */
void virtio_trim_front(struct blk_seg *seg, unsigned *n, u64 len);

/* --- between the transport's sources --- */

/* @q as before the driver set it up. */
void virtio_ring_reset(struct virtq *q);
/* Send MSI-X @vector, or set @isr bits and INTx. */
void virtio_interrupt(struct virtio *v, unsigned vector, u8 isr);
void virtio_intx_update(struct virtio *v);
int virtio_pci_function(struct virtio *v, struct pci_bus *b, unsigned slot,
			const struct virtio_params *p);
void virtio_pci_function_reset(struct virtio *v);

#define VIRTIO_IO_BAR	   0u
#define VIRTIO_MSIX_BAR	   1u
#define VIRTIO_MEM_BAR	   4u
#define VIRTIO_IO_SIZE	   128u
#define VIRTIO_IO_NOTIFY   16u /* offsets in the I/O BAR that modern drivers use as well */
#define VIRTIO_IO_ISR	   19u
#define VIRTIO_MEM_SIZE	   0x4000u
#define VIRTIO_MEM_COMMON  0x0000u
#define VIRTIO_MEM_ISR	   0x1000u
#define VIRTIO_MEM_DEVICE  0x2000u
#define VIRTIO_MEM_NOTIFY  0x3000u
#define VIRTIO_COMMON_SIZE 56u

extern const struct port_ops virtio_io_ops;
extern const struct mmio_ops virtio_mem_ops;

#endif
