/* What every machine has where its CPU meets its chips: the address decoders and the interrupt
 * controllers that face the CPU. The emulated PC and the control partition's board begin with it.
 *
 * The owner runs the vCPU: it passes port and MMIO exits to @bus, asks board_intr_pending() and
 * board_nmi_pending() before each entry, and injects what board_intr_ack() gives.
 *
 * Locking: as dev.h says; all calls on the CPU that runs the machine, with the vCPU stopped.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_BOARD_H
#define HV_DEV_BOARD_H

#include "dev/dev.h"
#include "dev/lapic.h"
#include "dev/pic8259.h"

struct board {
	struct lapic lapic;
	struct pic pic;
	bool nmi;
	/* The IOAPIC entry that the 8259's INT is soldered to besides LINT0. NULL: to none. */
	const u64 *extint_rte;
	struct bus bus;
	gpa_t lapic_at; /* where the local APIC's page is decoded */
	bool lapic_mapped;
	/* Who has its page in a map of the CPU's is told of each change. NULL: nobody. */
	void (*lapic_placed)(void *owner);
	void *owner;
};

/* Decode the local APIC's page at @base (gpa), or nowhere. Where the guest puts it over something
 * else, that keeps the addresses. */
void board_place_lapic(struct board *b, gpa_t base, bool mapped);
/* Send @msg to the local APIC if it is for that: from @from, or from a chip (NULL). Returns how
 * many took it. */
unsigned board_apic_send(struct board *b, const struct lapic *from, const struct apic_msg *msg);

/* Does the 8259's INT reach the vCPU: through LINT0 or the IOAPIC entry in ExtINT mode? */
bool board_extint_routed(const struct board *b);
/* True when the vCPU would take a maskable interrupt now (RFLAGS.IF is the caller's matter). */
static inline bool board_intr_pending(const struct board *b)
{
	return lapic_pending(&b->lapic) >= 0 || (pic_pending(&b->pic) && board_extint_routed(b));
}
/* Acknowledge: the vector to inject, local APIC first, then the 8259; -1 when nothing is pending.
 */
int board_intr_ack(struct board *b);
/* An NMI is pending; board_nmi_ack() when it was injected. */
static inline bool board_nmi_pending(const struct board *b)
{
	return b->nmi;
}
static inline void board_nmi_ack(struct board *b)
{
	b->nmi = false;
}

#endif
