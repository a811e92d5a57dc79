/* PCI bus 0: configuration mechanism #1 (CF8/CFC), functions with BARs, INTx.
 * PCI Local Bus Specification 3.0, ch. 3.2.2.3 and 6.
 *
 * A function is a struct pci_dev embedded in its chip: 256 bytes of configuration space with a mask
 * of writable and of write-1-to-clear bits, so most registers need no code.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_PCI_H
#define HV_DEV_PCI_H

#include "dev/dev.h"
#include "lib/le.h"
#include "lib/pci_config.h"

#define PCI_PORT_BASE PCI_PORT_ADDRESS /* 8 ports: address, reset control at CF9, data */
#define PCI_PORT_LEN  8

#define PCI_SLOTS 32
#define PCI_FNS	  8
#define PCI_BARS  6

#define PCI_VENDOR_ID		 0x00
#define PCI_DEVICE_ID		 0x02
#define PCI_COMMAND		 0x04
#define PCI_COMMAND_IO		 0x001u
#define PCI_COMMAND_MEM		 0x002u
#define PCI_COMMAND_MASTER	 0x004u
#define PCI_COMMAND_INTX_DISABLE 0x400u
#define PCI_STATUS		 0x06
#define PCI_STATUS_INTX		 0x08u
#define PCI_STATUS_CAPS		 0x10u
#define PCI_REVISION		 0x08
#define PCI_CLASS_PROG		 0x09
#define PCI_CLASS_DEVICE	 0x0a
#define PCI_HEADER_TYPE		 0x0e
#define PCI_HEADER_MULTIFUNCTION 0x80u
#define PCI_BAR0		 0x10
#define PCI_SUBSYSTEM_VENDOR	 0x2c
#define PCI_SUBSYSTEM_ID	 0x2e
#define PCI_CAPS		 0x34
#define PCI_INTERRUPT_LINE	 0x3c
#define PCI_INTERRUPT_PIN	 0x3d

struct pci_dev;
struct pci_bus;

struct pci_bar {
	u32 size; /* power of two, >= 4 (I/O) or 16 (memory); 0: not implemented */
	bool io;
	const struct port_ops *port_ops;
	const struct mmio_ops *mmio_ops;
	void *dev; /* passed to the handlers */
	bool mapped;
	u32 base; /* where it is mapped */
};

struct pci_dev {
	u8 cfg[256];
	u8 wmask[256]; /* bits that software may write */
	u8 w1c[256];   /* bits that writing 1 clears */
	struct pci_bar bar[PCI_BARS];
	struct pci_bus *bus;
	u8 slot, fn;
	u8 intx_pin;   /* 1..4 = INTA..INTD, 0: none */
	bool intx;     /* the function asserts its interrupt */
	bool intx_out; /* what the bus sees after INTx disable */
	/* Optional. After a write changed configuration bytes [off, off+len). */
	void (*written)(struct pci_dev *d, unsigned off, unsigned len);
	/* Optional. Configuration bytes [off, off+len) are about to be read: bring cfg up to date.
	 */
	void (*reading)(void *owner, unsigned off, unsigned len);
	void *owner;
};

struct pci_bus {
	struct pci_dev *dev[PCI_SLOTS][PCI_FNS];
	u32 address;	     /* CF8 */
	struct bus *io;	     /* where BARs are decoded */
	u16 pirq_sources[4]; /* functions that assert each PIRQ */
	/* PIRQ A-D (0..3) changed level. */
	void (*pirq)(void *ctx, unsigned pirq, bool level);
	void *pirq_ctx;
	/* A memory write of a message-signalled interrupt; unset: lost. */
	void (*msi)(void *ctx, u64 address, u32 data);
	void *msi_ctx;
	/* Byte port CF9; unset: not decoded. */
	u8 (*reset_ctl_read)(void *ctx);
	void (*reset_ctl_write)(void *ctx, u8 value);
	void *reset_ctl_ctx;
};

/* Port handlers for PCI_PORT_BASE; dev is the struct pci_bus. */
extern const struct port_ops pci_port_ops;

/* An empty bus; BARs are decoded on @io. The owner puts pci_port_ops there. */
void pci_bus_init(struct pci_bus *b, struct bus *io);
/* Fill in the header of a function. @class_code is 24 bits: base, sub, programming interface. */
void pci_dev_init(struct pci_dev *d, u16 vendor, u16 device, u32 class_code, u8 revision);
/* Back to power-up: COMMAND, BARs and INTERRUPT_LINE cleared, BARs unmapped. The chip restores its
 * own registers after it. */
void pci_dev_reset(struct pci_dev *d);
/* Plug @d in. -EEXIST when the place is taken, -EINVAL when there is no such place. Function 0 with
 * others beside it shows the multi-function bit by itself. */
int pci_bus_add(struct pci_bus *b, unsigned slot, unsigned fn, struct pci_dev *d);
/* Implement BAR @n. The range is decoded while COMMAND enables it and nothing else claims it. */
void pci_bar_io(struct pci_dev *d, unsigned n, u32 size, const struct port_ops *ops, void *dev);
void pci_bar_mem(struct pci_dev *d, unsigned n, u32 size, const struct mmio_ops *ops, void *dev);
/* Level of the function's INTx pin. */
void pci_set_intx(struct pci_dev *d, bool level);

/* Configuration access to @d as the guest would make it: @size 1, 2, 4 at @off, within one dword.
 */
u32 pci_cfg_read(const struct pci_dev *d, unsigned off, unsigned size);
void pci_cfg_write(struct pci_dev *d, unsigned off, unsigned size, u32 value);

/* Registers of @d as they stand, without the masks that bind the guest. */
static inline u16 pci_get16(const struct pci_dev *d, unsigned off)
{
	return le_get16(d->cfg + off);
}
static inline u32 pci_get32(const struct pci_dev *d, unsigned off)
{
	return le_get32(d->cfg + off);
}
static inline void pci_set16(struct pci_dev *d, unsigned off, u16 v)
{
	le_put16(d->cfg + off, v);
}
static inline void pci_set32(struct pci_dev *d, unsigned off, u32 v)
{
	le_put32(d->cfg + off, v);
}

#endif
