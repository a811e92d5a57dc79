/* How software reaches PCI configuration space: mechanism #1 (PCI 3.0 §3.2.2.3) and the memory
 * window of PCI Express (PCIe 5.0 §7.2.2).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_LIB_PCI_CONFIG_H
#define HV_LIB_PCI_CONFIG_H

#include "penumbra/types.h"

#define PCI_PORT_ADDRESS  0xcf8
#define PCI_PORT_RESET	  0xcf9 /* reset control of PIIX and later chipsets, a byte */
#define PCI_PORT_DATA	  0xcfc
#define PCI_ADDR_ENABLE	  0x80000000u
#define PCI_ADDR_WRITABLE 0x80fffffcu
#define PCI_ADDR_REG(a)	  ((a)&0xfcu)

#define PCI_CONFIG_SIZE		256u  /* bytes of a function that mechanism #1 reaches */
#define PCI_CONFIG_SIZE_EXT	4096u /* with PCI Express */
#define PCI_ECAM_BUS_SHIFT	20
#define PCI_ECAM_FUNCTION_SHIFT 12

#define PCI_BAR_IO 1u

#endif
