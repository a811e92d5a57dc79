/* PCI BIOS 2.1, the part that knows no mode: compiled for INT 1Ah and for the 32-bit entry.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_PCIBIOS_H
#define GUESTBIOS_PCIBIOS_H

#include "penumbra/types.h"

#define PCIBIOS_GET_ROUTING 0x0e

struct pci_call {
	u32 eax, ebx, ecx, edx, edi, esi;
	u32 cf;
};

/* Serve AX = B1xx: registers in and out, CF in `cf`. Uses no memory but *c. */
#ifdef PCIBIOS_32
#define pci_bios_call pci_bios_call32
#endif
void pci_bios_call(struct pci_call *c);

struct regs;
/* B10Eh: the routing table needs far pointers, so each mode has its own. */
void pci_get_routing(struct regs *r);

#endif
