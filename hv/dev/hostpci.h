/* PCI configuration space of the real machine as the control partition sees it: mechanism #1
 * (CF8/CFC) and ECAM, both trapped (PCI 3.0 §3.2.2.3, §6; PCI Express base specification §7.2.2).
 *
 * Accesses pass to the real functions, but for three things:
 * - One function of ours (struct pci_dev, 5042:0001) stands at a free place of bus 0. Its BAR and
 *   INTx registers are virtual; the partition may move the BAR.
 * - Hidden functions (a UART of the hypervisor): all ones, writes dropped. A hidden function 0 of a
 *   multi-function device is shown as a place-holder 5042:0002 without class, BARs and
 *   capabilities, because nobody looks for functions 1-7 behind an absent function 0.
 * - BARs: a real function may not decode memory where ops->bar_ok says no. Checked whenever memory
 *   decoding goes on and whenever a BAR moves while it is on; the write is dropped and counted.
 *   A function whose BAR lies there already belongs to the hypervisor (an IOAPIC as PCI function):
 *   its decoding and BARs are frozen. Sizing a BAR while it decodes is answered without touching
 *   its address.
 *
 * Not guarded: bridge windows (the host bridge decodes RAM, local APICs and IOAPICs first), I/O
 * BARs, BARs that only extended capabilities describe (SR-IOV), and a chipset's private registers.
 * MSI and MSI-X registers stay direct: the partition's DMA is trusted, and so is that write.
 *
 * Locking: as every chip (dev.h). ops->read and ops->write serialise against others' use of the
 * real CF8 themselves.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_HOSTPCI_H
#define HV_DEV_HOSTPCI_H

#include "dev/dev.h"
#include "dev/pci.h"

#define HOSTPCI_VENDOR		   0x5042
#define HOSTPCI_DEVICE_CHANNEL	   0x0001
#define HOSTPCI_DEVICE_PLACEHOLDER 0x0002

#define HOSTPCI_WINDOWS 8
#define HOSTPCI_HIDDEN	8
#define HOSTPCI_BARS	7 /* six and the expansion ROM */

/* A function's place: PCI segment in bits 31:16, bus 15:8, device 7:3, function 2:0. */
#define HOSTPCI_SBDF(seg, bus, dev, fn)                                                            \
	((u32)(seg) << 16 | (u32)(bus) << 8 | (u32)(dev) << 3 | (u32)(fn))

struct hostpci_ops {
	/* One access to a real function's configuration space; @off < 4096 is a multiple of @size
	 * (1, 2, 4). All ones where nothing answers, or where @off cannot be reached. */
	u32 (*read)(void *ctx, u32 sbdf, unsigned off, unsigned size);
	void (*write)(void *ctx, u32 sbdf, unsigned off, unsigned size, u32 value);
	/* May a real function decode [@base, @base + @len) (hpa)? False for RAM and for MMIO that
	 * the hypervisor owns. Also asked for the BAR of our own function. */
	bool (*bar_ok)(void *ctx, u64 base, u64 len);
	/* Optional: byte port CF9, reset control. Not set: all ones, dropped. */
	u8 (*reset_read)(void *ctx);
	void (*reset_write)(void *ctx, u8 value);
	/* Our function's interrupt pin, after INTx disable. */
	void (*intx)(void *ctx, bool level);
	/* Our function's BAR @n is now decoded at @base (@mapped), or no longer: the page has to
	 * trap, or to be whatever it was before. Called with the bus already changed, by
	 * hostpci_add_own() for the first time. */
	void (*bar_moved)(void *ctx, unsigned n, bool mapped, u64 base, u64 len);
};

struct hostpci;
/* An ECAM window: one entry of MCFG. */
struct hostpci_window {
	struct hostpci *h;
	hpa_t base; /* of bus_start, not of bus 0 as in MCFG */
	u64 len;
	u16 seg;
	u8 bus_start, bus_end;
};

struct hostpci_hidden {
	u32 sbdf;
	bool placeholder;
};

/* What sizing writes to decoding BARs of one function are answered with. */
struct hostpci_probe {
	u32 sbdf;
	u8 valid; /* a bit per dword BAR */
	u32 value[HOSTPCI_BARS];
};

struct hostpci {
	u32 address; /* CF8 */
	struct hostpci_window window[HOSTPCI_WINDOWS];
	unsigned nwindows;
	struct hostpci_hidden hidden[HOSTPCI_HIDDEN];
	unsigned nhidden;
	struct hostpci_probe probe;
	struct pci_bus own_bus; /* holds our function only */
	struct pci_dev *own;
	u32 own_sbdf;
	const struct hostpci_ops *ops;
	void *ctx;
	u64 refused; /* BAR and COMMAND writes that were dropped */
};

/* Port handlers for PCI_PORT_BASE, PCI_PORT_LEN; dev is the struct hostpci. */
extern const struct port_ops hostpci_port_ops;
/* MMIO handlers of one window; dev is a struct hostpci_window, offsets relative to its base. */
extern const struct mmio_ops hostpci_ecam_ops;

/* @io: the bus on which our function's BAR is decoded. */
void hostpci_init(struct hostpci *h, struct bus *io, const struct hostpci_ops *ops, void *ctx);
/* One entry of MCFG, @base being bus 0's address as there. The caller claims
 * h->window[i].base/.len on its bus. 0; -EINVAL: buses out of order, base not on a MiB or the
 * window beyond 2^52; -EEXIST: overlaps another; -ENOSPC. */
int hostpci_add_window(struct hostpci *h, hpa_t base, u16 seg, u8 bus_start, u8 bus_end);
/* Hide a function. Looks at the real one, so call it before the partition runs. 0 or -ENOSPC. */
int hostpci_hide(struct hostpci *h, u32 sbdf);
/* Put @d (pci_dev_init() and its BARs done; d->intx_pin set) on bus 0 as function 0 of the highest
 * device none of whose eight functions answers; a device of which only function 0 is absent has
 * functions that its firmware hides and is not taken. BAR @bar is assigned @base (below 4 GiB) and
 * decodes at once; @irq is what INTERRUPT_LINE says. Returns the device number; -ENOSPC: no free
 * place; -EINVAL: bar_ok says no, or the bus cannot decode it there; -EEXIST: called before. */
int hostpci_add_own(struct hostpci *h, struct pci_dev *d, unsigned bar, u32 base, u8 irq);

/* Configuration access as the partition makes it: @off < 4096, @size 1, 2, 4; one that is not
 * aligned is split into bytes. */
u32 hostpci_read(struct hostpci *h, u32 sbdf, unsigned off, unsigned size);
void hostpci_write(struct hostpci *h, u32 sbdf, unsigned off, unsigned size, u32 value);

#endif
