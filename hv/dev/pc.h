/* The emulated PC: every chip of one guest's board and the wires between them.
 *
 * ISA IRQ n goes to the 8259 pair and to IOAPIC pin n (IRQ 0 to pin 2); PCI's INTA-D arrive there
 * by PIIX3's routing. The 8259's INT is the local APIC's LINT0, or IOAPIC pin 0 in ExtINT mode. The
 * owner does for pc->board what board.h says, and takes machine events through dev_host.
 *
 * Locking: as dev.h says; all calls on the CPU that runs the machine, with the vCPU stopped.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_PC_H
#define HV_DEV_PC_H

#include "dev/acpi_pm.h"
#include "dev/bioschan.h"
#include "dev/board.h"
#include "dev/dma8237.h"
#include "dev/i8042.h"
#include "dev/ide.h"
#include "dev/ioapic.h"
#include "dev/misc.h"
#include "dev/models.h"
#include "dev/pci.h"
#include "dev/piix.h"
#include "dev/pit8254.h"
#include "dev/rtc.h"
#include "dev/rtl8139.h"
#include "dev/uart16550.h"
#include "dev/vblk.h"
#include "dev/vga.h"
#include "dev/vnet.h"
#include "penumbra/platform.h"

#define PC_COM1 0x3f8

/* What the board asks of the vCPU and of the serial line. Any member may be NULL. */
struct pc_ops {
	/* board_intr_pending() or board_nmi_pending() may have become true: end HLT, kick the vCPU.
	 */
	void (*wake)(void *ctx);
	/* An INIT message reached the vCPU. */
	void (*cpu_init)(void *ctx);
	/* PAM: guest-physical [base, base + len) now reads/writes RAM as PAM_READ/PAM_WRITE say. */
	void (*pam)(void *ctx, gpa_t base, u32 len, unsigned attr);
	/* The A20 gate opened (@on) or closed. */
	void (*a20)(void *ctx, bool on);
	/* COM1 output; tx_room is asked before each up to UART_FIFO_SIZE bytes. After false, call
	 * uart_tx_kick(&pc->uart) when there is room again. */
	void (*uart_tx)(void *ctx, const u8 *buf, unsigned n);
	bool (*uart_tx_room)(void *ctx);
	/* Bytes of INT 10h text and of the BIOS's log, LF included; enum bios_event. */
	void (*bios_text)(void *ctx, const char *buf, unsigned n);
	void (*bios_log)(void *ctx, const char *buf, unsigned n);
	void (*bios_event)(void *ctx, unsigned event);
};

struct pc_config {
	const char *name;
	u8 uuid[16];
	u64 low_ram;  /* bytes from 0, at most PC_PCI_HOLE_START */
	u64 high_ram; /* bytes from 4 GiB */
	unsigned ncpus;
	u32 tsc_khz;
	struct blk *cdrom, *disk, *floppy; /* NULL: none */
	struct net *nic;		   /* NULL: none */
	enum disk_model disk_model;	   /* the CD is always an IDE drive */
	enum nic_model nic_model;
	u8 boot[4]; /* enum bios_boot_dev, BOOT_NONE ends */
	bool vga, serial;
	const u8 *vram; /* the text page: PC_VGA_TEXT_SIZE bytes, readable here; may be NULL */
	struct {
		u16 year; /* 0: the clock starts at 2000-01-01 */
		u8 month, day, hour, min, sec;
	} time;
	bool x2apic, tsc_deadline; /* as CPUID tells the guest */
	u8 phys_bits;		   /* guest's physical address width */
	const struct pc_ops *ops;  /* not NULL */
	void *ctx;
};

struct pc {
	struct board board; /* first: see core/partition.h */
	const struct dev_host *host;
	struct pc_config cfg;

	struct pit pit;
	struct rtc rtc;
	struct i8042 kbd;
	struct uart uart;
	struct acpi_pm pm;
	struct dma8237 dma;
	struct misc misc;
	struct vga vga;
	struct bioschan bioschan;
	struct ioapic ioapic;
	struct pci_bus pci;
	struct i440fx host_bridge;
	struct piix3 isa_bridge;
	struct piix4_pm pm_function;
	struct ide ide;
	struct vblk vblk; /* the disk, if it is DISK_VIRTIO */
	struct vnet vnet; /* the NIC, one of these */
	struct rtl8139 rtl;

	struct uart_line_ops line_ops;
	struct bioschan_ops bios_ops;
	u16 isa_lines;	/* levels driven by ISA chips */
	u16 pirq_lines; /* levels driven by PCI through PIIX3 */
	bool a20_kbd, a20_port92;
};

/* Build the board in power-on state. @cfg is copied; what it points to, and @host, must outlive
 * @pc. 0, or a negative error when a port range or PCI place is taken twice (a bug). */
int pc_init(struct pc *pc, const struct dev_host *host, const struct pc_config *cfg);
/* Machine reset: every chip to power-on state, no timer armed, disk requests cancelled; clock, CMOS
 * RAM and media live on. Also the way to quiesce a machine that ends. */
void pc_reset(struct pc *pc);
/* The vCPU is about to lose its CPU: chips that look for requests now and then, to spare it the
 * exits of telling them, look now. */
void pc_cpu_leaves(struct pc *pc);

/* Pulse the board's NMI line (LINT1), which CMOS port 70h bit 7 masks. */
void pc_nmi(struct pc *pc);

/* A typed byte. False: no room, offer it again later. pc_input() chooses the one sink: COM1 once
 * the guest has used its receiver since reset, else the keyboard. */
bool pc_uart_rx(struct pc *pc, u8 byte);
bool pc_key(struct pc *pc, u8 byte);
bool pc_input(struct pc *pc, u8 byte);

/* The text screen (pc_config.vram): rows that changed since the last call; all visible rows. 0 with
 * no VGA or in graphics modes. */
unsigned pc_screen_changed(struct pc *pc, vga_line_fn *fn, void *ctx);
unsigned pc_screen_read(struct pc *pc, vga_line_fn *fn, void *ctx);

/* Guest's reads of PIT counters, port 61h and PM timer: polled calibration (stats row). */
static inline u64 pc_polled_reads(const struct pc *pc)
{
	return pc->pit.counter_reads + pc->pit.port61_reads + pc->pm.timer_reads;
}

#endif
