/* MSI-X of a PCI function: capability, vector table and pending bits. PCI Local Bus Specification
 * 3.0 §6.8.2. Messages leave through pci_bus.msi.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_MSIX_H
#define HV_DEV_MSIX_H

#include "dev/pci.h"

#define MSIX_MAX_VECTORS 4u
#define MSIX_BAR_SIZE	 0x1000u /* table at 0, pending bits at MSIX_PBA */
#define MSIX_PBA	 0x800u
#define MSIX_CAP_LEN	 12u
#define MSIX_NO_VECTOR	 0xffffu

struct msix {
	struct pci_dev *pci;
	u8 cap; /* offset in configuration space */
	unsigned nvec;
	u32 table[MSIX_MAX_VECTORS][4]; /* address low, high, data, vector control */
	u32 pending;
};

/* Capability at @cap of @d's configuration space, table in memory BAR @bar. The caller links the
 * capability and passes writes of configuration space to msix_written(). */
void msix_init(struct msix *m, struct pci_dev *d, unsigned cap, u8 next, unsigned bar,
	       unsigned nvec);
void msix_reset(struct msix *m);
void msix_written(struct msix *m, unsigned off, unsigned len);
/* Is INTx out of use? */
bool msix_enabled(const struct msix *m);
/* Send vector @n, or keep it pending while it is masked. No such vector: nothing. */
void msix_raise(struct msix *m, unsigned n);

#endif
