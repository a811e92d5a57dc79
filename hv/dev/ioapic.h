/* IOAPIC with 24 pins and an EOI register (82093AA data sheet; version 20h as in later chipsets).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_IOAPIC_H
#define HV_DEV_IOAPIC_H

#include "dev/apic_msg.h"
#include "dev/dev.h"

#define IOAPIC_PINS	 24
#define IOAPIC_MMIO_SIZE 0x1000u

struct ioapic {
	u64 rte[IOAPIC_PINS];
	u32 pins; /* asserted levels, polarity already taken out */
	u8 id;
	u8 index;
	u8 reset_id;
	/* Send to the local APICs; returns how many accepted it. */
	unsigned (*deliver)(void *ctx, const struct apic_msg *msg);
	void *ctx;
};

/* MMIO handlers; dev is the struct ioapic, offsets relative to the page. */
extern const struct mmio_ops ioapic_mmio_ops;

/* @deliver: as in struct ioapic. The owner puts ioapic_mmio_ops on its bus. */
void ioapic_init(struct ioapic *io, u8 id,
		 unsigned (*deliver)(void *ctx, const struct apic_msg *msg), void *ctx);
/* All pins masked; the levels at the pins stay, they belong to the sources. */
void ioapic_reset(struct ioapic *io);
/* Pin @pin is asserted (whatever its polarity bit says) or not. Edges at masked pins are lost. */
void ioapic_set_pin(struct ioapic *io, unsigned pin, bool asserted);
/* A local APIC ended level-triggered @vector: clears Remote IRR, sends again what is still
 * asserted. */
void ioapic_eoi(struct ioapic *io, u8 vector);

#endif
