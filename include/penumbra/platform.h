/* The guest's emulated PC: fixed addresses that its chips, its BIOS and its ACPI tables agree on.
 * An i440FX/PIIX3-class board with a PIIX4-style power-management block.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRA_PLATFORM_H
#define PENUMBRA_PLATFORM_H

/* --- memory map ------------------------------------------------------------------------- */
#define PC_LOW_RAM_END	  0xa0000u /* EBDA is carved from just below */
#define PC_EBDA_BASE	  0x9fc00u
#define PC_VGA_TEXT_BASE  0xb8000u /* 32 KiB, plain RAM to the guest */
#define PC_VGA_TEXT_SIZE  0x8000u
#define PC_BIOS_BASE	  0xe0000u /* 128 KiB image, read-only, ends at 1 MiB */
#define PC_BIOS_SIZE	  0x20000u
#define PC_BIOS_ALIAS	  0xfffe0000u /* the same image below 4 GiB */
#define PC_PCI_HOLE_START 0xc0000000u /* RAM never lies in [this, 4 GiB) */
#define PC_PCI_MMIO_START 0xe0000000u /* BARs are assigned from here up to the IOAPIC */
#define PC_IOAPIC_BASE	  0xfec00000u
#define PC_LAPIC_BASE	  0xfee00000u
#define PC_HIGH_RAM_BASE  0x100000000ull

/* --- ports ------------------------------------------------------------------------------- */
#define PC_PORT_PM_BASE	   0x600u /* PM1a_EVT 0x600, PM1a_CNT 0x604, PM_TMR 0x608 */
#define PC_PORT_PM_EVT	   (PC_PORT_PM_BASE + 0)
#define PC_PORT_PM_CNT	   (PC_PORT_PM_BASE + 4)
#define PC_PORT_PM_TMR	   (PC_PORT_PM_BASE + 8)
#define PC_PORT_GPE0	   0x620u /* GPE0_STS/EN, 4 bytes, no sources wired */
#define PC_PORT_SMI_CMD	   0xb2u  /* ACPI_ENABLE/DISABLE values below */
#define PC_ACPI_ENABLE	   0xf1u
#define PC_ACPI_DISABLE	   0xf0u
#define PC_S5_SLP_TYP	   0u	 /* SLP_TYP of \_S5 (as PIIX4) */
#define PC_PORT_POST	   0x80u /* POST codes: an old idiom for a short delay */
#define PC_PORT_RESET	   0xcf9u
#define PC_PORT_DEBUG_EXIT 0xf4u

/* --- interrupts -------------------------------------------------------------------------- */
#define PC_IRQ_TIMER   0
#define PC_IRQ_KBD     1
#define PC_IRQ_COM1    4
#define PC_IRQ_BIOS    7 /* the BIOS channel; the board has no printer port */
#define PC_IRQ_RTC     8
#define PC_IRQ_SCI     9
#define PC_IRQ_MOUSE   12
#define PC_IRQ_FPU     13
#define PC_IRQ_IDE0    14
#define PC_IRQ_IDE1    15
#define PC_IOAPIC_PINS 24
#define PC_IOAPIC_ID   0
/* ISA IRQ n is IOAPIC pin n, except IRQ 0 on pin 2. PCI INTA-D of device d is PIRQ
 * (d + pin) & 3, routed by PIIX3 registers 0x60-0x63; the BIOS sets 10,10,11,11. The same ISA line
 * is the GSI: level, active high (MADT overrides say so). */
#define PC_PIRQ_A_IRQ 10
#define PC_PIRQ_B_IRQ 10
#define PC_PIRQ_C_IRQ 11
#define PC_PIRQ_D_IRQ 11

/* --- PCI, bus 0 -------------------------------------------------------------------------- */
#define PC_PCI_HOST_SLOT 0 /* 00:00.0 8086:1237 */
#define PC_PCI_NIC_SLOT	 3 /* INTA is PIRQ D */
#define PC_PCI_DISK_SLOT 4 /* virtio-blk; INTA is PIRQ A: not the NIC's line */
#define PC_PCI_ISA_SLOT	 1 /* 00:01.0 8086:7000 PIIX3 ISA, 01.1 8086:7010 IDE, 01.3 8086:7113 PM */

#endif
