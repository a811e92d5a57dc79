/* How the daemon reaches the hypervisor: registers, an interrupt, and memory that both see.
 *
 * One implementation for the machine (transport_uio), one in the tests.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRAD_TRANSPORT_H
#define PENUMBRAD_TRANSPORT_H

#include "penumbra/channel.h"

struct transport;

struct transport_ops {
	const char *name;
	/* Find the function and reach its registers. 0 or -errno, said. */
	int (*open)(struct transport *t);
	/* Get up to t->want_pages zeroed pages of CHAN_PAGE_SIZE, at least two, mapped one after
	 * the other at t->area; sets t->npages. After DETACH: the hypervisor writes to none of
	 * them. 0 or -errno, said. */
	int (*map_area)(struct transport *t);
	/* Address of page @i for CHAN_CMD_PAGE. 0: unknown. */
	u64 (*page_address)(struct transport *t, unsigned i);
	u32 (*reg_read)(struct transport *t, u32 reg);
	void (*reg_write)(struct transport *t, u32 reg, u32 value);
	/* After t->irq_fd became readable: take the event in, before ISR is read. */
	void (*irq_taken)(struct transport *t);
	/* After ISR was cleared: let the next interrupt through. */
	void (*irq_enable)(struct transport *t);
	void (*close)(struct transport *t);
};

struct transport {
	const struct transport_ops *ops;
	u8 *area;
	unsigned want_pages, npages;
	int irq_fd; /* readable on an interrupt; -1: there is none, the daemon has to look */
	void *priv;
};

/* The PCI function 5042:0001 through uio_pci_generic. */
extern const struct transport_ops transport_uio;

/* Write @cmd with @arg. 0 or -errno. */
int transport_command(struct transport *t, enum chan_cmd cmd, u64 arg);

/* Pages of the huge page pool at @base: @n mapped and present there, or -errno. Raises the pool's
 * size when it has too few free. */
int hugepages_map(unsigned n, u8 **base);
/* Physical address of the page at @p, which is mapped; 0: the kernel does not tell. */
u64 hugepages_address(const void *p);

#endif
