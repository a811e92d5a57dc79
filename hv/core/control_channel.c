/* The channel's PCI function on the control partition's bus, and where its INTx goes.
 *
 * Which GSI an operating system takes for it only the firmware's AML knows, which nobody here
 * reads: INTERRUPT_LINE holds where _PRT has no entry for the place, else the GSI can be any. So
 * the line is offered where it is heard: at a pin that is unmasked for levels, beginning with
 * INTERRUPT_LINE's. An interrupt that is served there takes the line down before its EOI; if a few
 * in a row do not, the pin is another device's and the next one is tried.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/partition.h"

/* In the range that a PC's chipset takes for interrupt messages: no device can decode it. An
 * operating system moves it into a host bridge's window. */
#define BAR_BASE 0xfeef0000u

#define NO_IRQ	   0xffu
#define DEAF_LIMIT 4u
#define RTE_LEVEL  BIT(15)
#define RTE_MASKED BIT(16)

static const struct hostioapic_pin *pin_of(const struct control_board *b, u32 gsi)
{
	for (unsigned i = 0; i < b->ioapic.nchips; i++) {
		const struct hostioapic_chip *c = &b->ioapic.chip[i];

		if (gsi >= c->gsi_base && gsi - c->gsi_base < c->pins)
			return &b->ioapic.pin[c->first + gsi - c->gsi_base];
	}
	return NULL;
}

static bool heard_at(const struct control_board *b, u32 gsi)
{
	const struct hostioapic_pin *pin = pin_of(b, gsi);

	return pin && (pin->rte & (RTE_LEVEL | RTE_MASKED)) == RTE_LEVEL;
}

/* The next pin in turn at which somebody listens; the one it has if there is none. */
static u32 next_gsi(const struct control_board *b)
{
	unsigned at = 0;

	while (at < b->nroutes && b->route[at].gsi != b->chan_gsi)
		at++;
	for (unsigned n = 1; n <= b->nroutes; n++) {
		u32 gsi = b->route[(at + n) % b->nroutes].gsi;

		if (heard_at(b, gsi))
			return gsi;
	}
	return b->chan_gsi;
}

/* An IRQ that was lent for nothing may be a device's: an operating system chooses for links of PCI
 * interrupts. */
static void move_to(struct control_board *b, u32 gsi)
{
	hostioapic_line(&b->ioapic, b->chan_gsi, CONTROL_SOURCE_CHANNEL, false);
	if (gsi != b->chan_gsi && b->chan_lent) {
		b->chan_lent = false;
		hostioapic_rejoin(&b->ioapic, b->chan_gsi);
	}
	b->chan_gsi = gsi;
	b->chan_deaf = 0;
	hostioapic_line(&b->ioapic, gsi, CONTROL_SOURCE_CHANNEL, b->chan_line);
}

void control_channel_line(struct control_board *b, bool level)
{
	b->chan_line = level;
	if (level && !heard_at(b, b->chan_gsi)) {
		move_to(b, next_gsi(b));
		return;
	}
	if (!level)
		b->chan_deaf = 0;
	hostioapic_line(&b->ioapic, b->chan_gsi, CONTROL_SOURCE_CHANNEL, level);
}

void control_channel_eoi(struct control_board *b, u8 vector)
{
	const struct hostioapic_pin *pin = pin_of(b, b->chan_gsi);

	if (!b->chan_line || !pin || (u8)pin->rte != vector)
		return;
	if (++b->chan_deaf == DEAF_LIMIT)
		move_to(b, next_gsi(b));
}

int control_channel_add(struct partition *p, struct pci_dev *d)
{
	struct control_board *b = &p->ctl;
	int irq = control_acpi_free_irq();
	int slot;

	if (irq >= 0) {
		b->chan_gsi = (u32)irq;
		b->chan_lent = hostioapic_isolate(&b->ioapic, b->chan_gsi) == 0;
	}
	slot = hostpci_add_own(&b->pci, d, 0, BAR_BASE, irq >= 0 ? (u8)irq : NO_IRQ);
	return slot < 0 ? slot : 0;
}
