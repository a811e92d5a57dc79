/* The board's chipset functions: i440FX host bridge, PIIX3 PCI-ISA bridge, PIIX4 power management.
 * Intel 82441FX (290549), 82371SB (290550), 82371AB (290562). The IDE function is in ide.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_PIIX_H
#define HV_DEV_PIIX_H

#include "dev/pci.h"

/* --- 00:00.0 i440FX --- */
#define I440FX_PAM0	    0x59 /* 0x59..0x5f */
#define I440FX_PAM_COUNT    7
#define I440FX_SMRAM	    0x72
#define I440FX_PAM_SEGMENTS 13

/* What a PAM attribute says of one segment. */
#define PAM_READ  1u /* reads go to RAM, else to the PCI side (ROM) */
#define PAM_WRITE 2u /* writes go to RAM, else to the PCI side (dropped) */

struct i440fx {
	struct pci_dev pci;
	/* Segment [base, base + len) is now decoded as @attr (PAM_*) says. */
	void (*pam)(void *ctx, gpa_t base, u32 len, unsigned attr);
	void *ctx;
	u8 pam_seen[I440FX_PAM_SEGMENTS]; /* what was reported last */
};

/* Plugs itself in at slot 0. @pam may be NULL. 0, or pci_bus_add()'s error. */
int i440fx_init(struct i440fx *h, struct pci_bus *b,
		void (*pam)(void *ctx, gpa_t base, u32 len, unsigned attr), void *ctx);
/* Power-up: no segment is RAM; reports what changes. */
void i440fx_reset(struct i440fx *h);

/* --- 00:01.0 PIIX3 ISA bridge --- */
#define PIIX3_PIRQRC   0x60 /* 0x60..0x63: bit 7 disables, bits 3:0 ISA IRQ */
#define PIIX3_RCR_SRST 0x02u
#define PIIX3_RCR_RCPU 0x04u

struct piix3 {
	struct pci_dev pci;
	const struct dev_host *host;
	u8 rcr;		  /* port CF9 */
	bool pirq[4];	  /* levels from the bus */
	u16 isa_asserted; /* ISA lines now driven by PIRQs */
	/* Input @irq of the interrupt controllers, as driven by PIRQs alone: the OR of all that are
	 * routed to it. Who shares the line with an ISA device ORs once more. */
	void (*isa_irq)(void *ctx, unsigned irq, bool level);
	void *ctx;
};

/* Plugs itself in at slot 1 and takes over the bus's PIRQs and port CF9 (a 0-to-1 of RST_CPU raises
 * MACHINE_RESET_CF9 with the register's value). */
int piix3_init(struct piix3 *p, const struct dev_host *host, struct pci_bus *b,
	       void (*isa_irq)(void *ctx, unsigned irq, bool level), void *ctx);
void piix3_reset(struct piix3 *p);

/* --- 00:01.3 PIIX4 power management --- */
struct piix4_pm {
	struct pci_dev pci;
};

/* Shows PMBASE at platform.h's address, enabled; the ports themselves belong to acpi_pm. */
int piix4_pm_init(struct piix4_pm *p, struct pci_bus *b);
void piix4_pm_reset(struct piix4_pm *p);

#endif
