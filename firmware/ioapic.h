/* The host's I/O APICs (82093AA data sheet), and the 8259 pair, which stays masked.
 *
 * Entries carry hypervisor vectors and physical destinations. Any CPU; one internal lock.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_IOAPIC_H
#define FIRMWARE_IOAPIC_H

#include "penumbra/bootinfo.h"
#include "penumbra/types.h"

/* Mask the 8259s. Before lapic_init_cpu() masks LINT0: an 8259 interrupt that is pending then could
 * no longer be withdrawn (seen in QEMU: it is delivered as vector -1). */
void pic_mask(void);
/* Map every I/O APIC of @bi and mask all its entries. 0 or -ENOMEM. */
int host_ioapic_init(const struct boot_info *bi);
/* Program @gsi, masked: @vector to the CPU with @apic_id (8 bits). 0; -ENOENT: no such pin;
 * -ERANGE: the ID does not fit. */
int ioapic_route(u32 gsi, unsigned vector, u32 apic_id, bool active_low, bool level);
/* Mask or unmask. 0 or -ENOENT. */
int ioapic_mask(u32 gsi, bool masked);
/* A level interrupt of @gsi was taken by a local APIC and has had no EOI yet (Remote IRR). */
bool ioapic_in_service(u32 gsi);
/* The version register of the chip whose first pin is @gsi_base; 0: no such chip. */
u32 ioapic_version(u32 gsi_base);

#endif
