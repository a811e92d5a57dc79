/* The control partition's board: the chips that are virtual for it (local APIC, 8259s, PIT, COM1),
 * the real IOAPICs and PCI configuration space behind filters, and the few real ports that are
 * trapped. Everything else of the machine it reaches directly.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CONTROL_BOARD_H
#define HV_CORE_CONTROL_BOARD_H

#include "dev/board.h"
#include "dev/hostioapic.h"
#include "dev/hostpci.h"
#include "dev/pit8254.h"
#include "dev/uart16550.h"
#include "penumbra/bootinfo.h"

#define CONTROL_COM1 0x3f8

/* Which virtual source of the IOAPICs' pins the channel's INTx is (dev/hostioapic.h). */
#define CONTROL_SOURCE_CHANNEL 2

struct partition;

/* A real IOAPIC pin as it is routed now. */
struct control_route {
	u32 gsi;
	u8 vector; /* of the hypervisor's; 0: never unmasked so far */
	bool live; /* unmasked */
	bool level;
	volatile bool arrived; /* an interrupt handler saw it; to be handed on */
};

struct control_board {
	struct board board; /* first: see core/partition.h */
	struct pit pit;
	struct uart uart;
	struct hostioapic ioapic;
	struct hostpci pci;
	struct uart_line_ops line_ops;
	struct partition *part;
	const struct boot_acpi *acpi;

	struct control_route route[HOSTIOAPIC_PINS];
	unsigned nroutes;
	volatile u32 msi[8]; /* vectors of MSIs that arrived, to be handed on */
	u64 msis, gsis;	     /* interrupts handed on */
	u64 lost;	     /* arrived while the board was not ready for them */

	u8 reset_control; /* CF9 as written */
	u32 chan_gsi;	  /* where the channel's INTx goes */
	bool chan_lent;	  /* that pin's wire is cut off for it */
	bool chan_line;
	unsigned chan_deaf; /* interrupts in a row there that changed nothing */
};

/* Build the board of @p in power-on state. 0, or a negative error when there is no room. */
int control_board_init(struct partition *p);
/* Quiesce it: no timer armed, no physical interrupt routed. */
void control_board_stop(struct partition *p);
/* Set a bit in @map (PORT_MAP_PAGES pages) for each port that must exit. */
void control_board_port_map(const struct control_board *b, u8 *map);

/* --- physical interrupts (control_irq.c) --- */

/* Install the handlers and know the pins. After control_board_init() has added the IOAPICs. */
int control_irq_init(struct control_board *b);
/* Hand what has arrived to the virtual chips. */
void control_irq_service(struct control_board *b);
/* Is any real IOAPIC pin unmasked for it? */
bool control_irq_live(const struct control_board *b);
/* hostioapic_ops.program */
void control_irq_program(void *ctx, u32 gsi, bool masked, bool level, bool active_low);

/* --- ACPI (control_acpi.c) --- */

/* Tables that show @p its one CPU, in its memory at [@at, @at + @len). The address of their root
 * pointer; 0 after an error record: it starts without ACPI. Boot CPU. */
gpa_t control_acpi_tables(struct partition *p, hpa_t at, u64 len);
/* An ISA IRQ of which nobody speaks; negative: none. Boot CPU. */
int control_acpi_free_irq(void);

/* --- the channel's function (control_channel.c) --- */

/* Plug @d, the channel's PCI function with its registers in BAR 0, into the partition's bus 0.
 * Before the partition runs. Negative: no place; it runs without. */
int control_channel_add(struct partition *p, struct pci_dev *d);
/* hostpci_ops.intx */
void control_channel_line(struct control_board *b, bool level);
/* The partition ended @vector; before the IOAPICs hear of it. */
void control_channel_eoi(struct control_board *b, u8 vector);

/* --- reach (control_reach.c) --- */

/* p2m.device: may the partition reach the real machine in all of [@gpa, @gpa + @len)? Never RAM,
 * never what the hypervisor owns or traps. @ctx: the struct partition. */
bool control_may_reach(void *ctx, gpa_t gpa, u64 len);
/* The same for the BAR of a PCI function, the channel's own included. */
bool control_may_decode(const struct partition *p, gpa_t gpa, u64 len);
/* What is trapped has changed. */
void control_reach_changed(struct partition *p);

#endif
