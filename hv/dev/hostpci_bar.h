/* Configuration accesses to real functions, with the guard over their BARs; between hostpci.c and
 * hostpci_bar.c only.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_HOSTPCI_BAR_H
#define HV_DEV_HOSTPCI_BAR_H

#include "dev/hostpci.h"

/* @off < 4096 and a multiple of @size (1, 2, 4). A refused write is counted in h->refused. */
u32 hostpci_real_read(struct hostpci *h, u32 sbdf, unsigned off, unsigned size);
void hostpci_real_write(struct hostpci *h, u32 sbdf, unsigned off, unsigned size, u32 value);

#endif
