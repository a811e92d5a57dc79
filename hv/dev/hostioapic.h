/* The real machine's IOAPICs as the control partition sees them (82093AA data sheet;
 * docs/control-board.md).
 *
 * The hypervisor owns the physical redirection entries: they carry its own vectors and physical
 * destinations. What the partition programs is kept here; of it only mask, trigger mode and
 * polarity reach the real entry, through ops->program. Sources are the physical pin
 * (hostioapic_arrived()) and virtual devices (hostioapic_line()); both may share a GSI.
 *
 * A physical level interrupt leaves its real entry masked until the partition's EOI, so it can
 * neither storm nor keep a bit in service in the real local APIC. It is "held" meanwhile: whether
 * the line is still asserted shows when the real entry is unmasked, and the interrupt arrives
 * again if it is. Hence nothing is lost over masking, reprogramming or a flip to edge.
 *
 * Where it differs from the chip: an EOI for the vector that was sent frees an entry even if the
 * entry's vector was changed since; SMI, INIT and START-UP entries and vectors below 16 send
 * nothing.
 *
 * Locking: as every chip (dev.h). hostioapic_arrived() too: an interrupt handler only notes the
 * GSI for later. ops must not call back.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_HOSTIOAPIC_H
#define HV_DEV_HOSTIOAPIC_H

#include "dev/apic_msg.h"
#include "dev/dev.h"

#define HOSTIOAPIC_CHIPS     8
#define HOSTIOAPIC_PINS	     512 /* of all chips together */
#define HOSTIOAPIC_CHIP_PINS 120 /* that the 8-bit index register reaches */
#define HOSTIOAPIC_SOURCES   8
#define HOSTIOAPIC_MMIO_SIZE 0x1000u

struct hostioapic_ops {
	/* Program the real entry of @gsi. Called when one of the three differs from what it was,
	 * and to unmask after an EOI. After hostioapic_add() and _reset() entries are taken to be
	 * masked. */
	void (*program)(void *ctx, u32 gsi, bool masked, bool level, bool active_low);
	/* Send to the partition's virtual local APIC; returns how many took it (0: none matches or
	 * it is off). */
	unsigned (*deliver)(void *ctx, const struct apic_msg *msg);
};

struct hostioapic_pin {
	u64 rte;
	u32 gsi;
	u8 sent;	/* vector of the level interrupt that awaits its EOI */
	u8 sources;	/* virtual sources that assert the pin */
	bool isolated;	/* no physical source */
	bool held;	/* a physical level interrupt arrived; its real entry is masked */
	bool latched;	/* a physical edge arrived while the partition had just masked the pin */
	bool hw_masked; /* what ops->program was told last */
	bool hw_level;
	bool hw_low;
};

struct hostioapic;
struct hostioapic_chip {
	struct hostioapic *h;
	hpa_t base;
	u32 version; /* register 1 as the real chip shows it */
	u32 gsi_base;
	unsigned first, pins; /* pin[first .. first + pins) */
	u8 id, reset_id;
	u8 index;
};

struct hostioapic {
	struct hostioapic_chip chip[HOSTIOAPIC_CHIPS];
	unsigned nchips;
	struct hostioapic_pin pin[HOSTIOAPIC_PINS];
	unsigned npins;
	const struct hostioapic_ops *ops;
	void *ctx;
	u64 refused; /* messages not sent: SMI, INIT, ..., or a vector below 16 */
};

/* MMIO handlers of one page; dev is a struct hostioapic_chip, offsets relative to its base. */
extern const struct mmio_ops hostioapic_mmio_ops;

/* No chips yet: hostioapic_add(). */
void hostioapic_init(struct hostioapic *h, const struct hostioapic_ops *ops, void *ctx);
/* Add the real chip at @base (hpa) with its MADT @id and @gsi_base; @version: its register 1, which
 * also says how many pins it has. All pins masked. 0; -ENOSPC: too many chips or pins; -EEXIST: its
 * GSIs overlap another chip's; -EINVAL: GSIs beyond 32 bits, or more pins than can be indexed. */
int hostioapic_add(struct hostioapic *h, hpa_t base, u8 id, u32 gsi_base, u32 version);
/* @gsi has virtual sources only: its real entry stays masked for ever. For pins of the hypervisor's
 * own devices (its UART) and ISA IRQs lent to virtual ones, whose wire may float. -ENOENT: none. */
int hostioapic_isolate(struct hostioapic *h, u32 gsi);
/* @gsi is its wire's again. */
void hostioapic_rejoin(struct hostioapic *h, u32 gsi);
/* All pins masked, in the real entries too. Levels of virtual sources stay: they are theirs. */
void hostioapic_reset(struct hostioapic *h);

/* The physical interrupt of @gsi has arrived. The caller has masked the real entry if that is
 * level-triggered (before the EOI of the real local APIC), or not if it is edge-triggered. */
void hostioapic_arrived(struct hostioapic *h, u32 gsi);
/* Virtual source @source (0..HOSTIOAPIC_SOURCES-1) asserts @gsi or not; sources are ORed. Polarity
 * is already taken out. Unknown GSIs are ignored. */
void hostioapic_line(struct hostioapic *h, u32 gsi, unsigned source, bool level);
/* The virtual local APIC ended level-triggered @vector. */
void hostioapic_eoi(struct hostioapic *h, u8 vector);
/* The virtual local APIC takes messages that it refused before (was enabled, changed its ID): level
 * interrupts that found no taker are tried again. */
void hostioapic_retry(struct hostioapic *h);

#endif
