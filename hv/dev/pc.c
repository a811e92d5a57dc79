/* The board. See pc.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/pc.h"
#include "dev/ioapic_regs.h"

#include "lib/errno.h"
#include "lib/str.h"

#define IOAPIC_TIMER_PIN  2 /* ISA IRQ 0 */
#define IOAPIC_EXTINT_PIN 0

static void wake(struct pc *pc)
{
	if (pc->cfg.ops->wake)
		pc->cfg.ops->wake(pc->cfg.ctx);
}

/* --- interrupt wiring ------------------------------------------------------------------------- */

/* An input of the interrupt controllers: the OR of its ISA chip and the PIRQs routed to it. */
static void drive_irq(struct pc *pc, unsigned irq)
{
	bool level = (pc->isa_lines | pc->pirq_lines) >> irq & 1;

	pic_set_irq(&pc->board.pic, irq, level);
	if (irq != PIC_CASCADE_IR)
		ioapic_set_pin(&pc->ioapic, irq ? irq : IOAPIC_TIMER_PIN, level);
}

static u16 with_bit(u16 set, unsigned bit, bool value)
{
	return (u16)(value ? set | 1u << bit : set & ~(1u << bit));
}

static void isa_irq(void *ctx, unsigned irq, bool level)
{
	struct pc *pc = ctx;

	pc->isa_lines = with_bit(pc->isa_lines, irq, level);
	drive_irq(pc, irq);
}

static struct irq_line isa_line(struct pc *pc, unsigned irq)
{
	return (struct irq_line){.set = isa_irq, .ctx = pc, .line = irq};
}

static void pirq_irq(void *ctx, unsigned irq, bool level)
{
	struct pc *pc = ctx;

	pc->pirq_lines = with_bit(pc->pirq_lines, irq & 15, level);
	drive_irq(pc, irq & 15);
}

/* The 8259's INT pin, soldered to LINT0. */
static void pic_int(void *ctx, unsigned line, bool level)
{
	struct pc *pc = ctx;

	(void)line;
	lapic_lint(&pc->board.lapic, 0, level);
	if (level && board_extint_routed(&pc->board))
		wake(pc);
}

void pc_nmi(struct pc *pc)
{
	if (rtc_nmi_masked(&pc->rtc))
		return;
	lapic_lint(&pc->board.lapic, 1, true);
	lapic_lint(&pc->board.lapic, 1, false);
}

/* Where channel 0's last edge is. Whoever has the line unmasked is asked: the 8259 as long as its
 * INT reaches the CPU, and IOAPIC pin 2 by its vector in the local APIC. */
static enum pit_tick pit_tick_state(void *ctx)
{
	const struct pc *pc = ctx;
	u64 rte = pc->ioapic.rte[IOAPIC_TIMER_PIN];
	u8 vector = (u8)rte;
	bool wanted = false;

	if (!pic_line_masked(&pc->board.pic, PC_IRQ_TIMER) && board_extint_routed(&pc->board)) {
		if (pic_line_waiting(&pc->board.pic, PC_IRQ_TIMER))
			return PIT_TICK_WAITING;
		wanted = true;
	}
	if (!(rte & RTE_MASKED)) {
		if (pc->board.lapic.irr[vector / 32] >> (vector % 32) & 1)
			return PIT_TICK_WAITING;
		wanted = true;
	}
	return wanted ? PIT_TICK_TAKEN : PIT_TICK_MASKED;
}

/* --- APIC bus --------------------------------------------------------------------------------- */

static unsigned apic_deliver(void *ctx, const struct apic_msg *msg)
{
	struct pc *pc = ctx;

	return board_apic_send(&pc->board, NULL, msg);
}

/* A message-signalled interrupt: what a write to FEEx_xxxx means (SDM vol. 3 §11.11). */
#define MSI_BASE    0xfee00000u
#define MSI_LOGICAL BIT(2)
#define MSI_LEVEL   BIT(15)

static void msi_write(void *ctx, u64 address, u32 data)
{
	struct apic_msg msg = {
		.dest = (u32)address >> 12 & 0xff,
		.logical = address & MSI_LOGICAL,
		.mode = data >> 8 & 7,
		.vector = (u8)data,
		.level = data & MSI_LEVEL,
	};

	if ((address & ~0xfffffull) == MSI_BASE)
		apic_deliver(ctx, &msg);
}

static void apic_send(void *ctx, struct lapic *from, const struct apic_msg *msg)
{
	struct pc *pc = ctx;

	board_apic_send(&pc->board, from, msg);
}

static void apic_notify(void *ctx)
{
	wake(ctx);
}

static void apic_eoi(void *ctx, u8 vector)
{
	struct pc *pc = ctx;

	ioapic_eoi(&pc->ioapic, vector);
}

static void apic_nmi(void *ctx)
{
	struct pc *pc = ctx;

	pc->board.nmi = true;
	wake(pc);
}

static void apic_init(void *ctx)
{
	struct pc *pc = ctx;

	if (pc->cfg.ops->cpu_init)
		pc->cfg.ops->cpu_init(pc->cfg.ctx);
}

/* A running CPU ignores start-up messages (SDM vol. 3 §9.4.4), and there is no other. */
static void apic_startup(void *ctx, gpa_t startup_gpa)
{
	(void)ctx, (void)startup_gpa;
}

static void apic_base_changed(void *ctx, gpa_t base, bool mapped)
{
	struct pc *pc = ctx;

	board_place_lapic(&pc->board, base, mapped);
}

static const struct lapic_ops pc_lapic_ops = {
	.notify = apic_notify,
	.send = apic_send,
	.eoi = apic_eoi,
	.nmi = apic_nmi,
	.init = apic_init,
	.startup = apic_startup,
	.base_changed = apic_base_changed,
};

/* --- A20 -------------------------------------------------------------------------------------- */

enum { A20_KBD, A20_PORT92 };

/* The gate is open when either of its two sources opens it. */
static void a20_line(void *ctx, unsigned source, bool level)
{
	struct pc *pc = ctx;
	bool before = pc->a20_kbd || pc->a20_port92;

	*(source == A20_KBD ? &pc->a20_kbd : &pc->a20_port92) = level;
	if ((pc->a20_kbd || pc->a20_port92) != before && pc->cfg.ops->a20)
		pc->cfg.ops->a20(pc->cfg.ctx, !before);
}

/* --- building --------------------------------------------------------------------------------- */

static void pam_changed(void *ctx, gpa_t base, u32 len, unsigned attr)
{
	struct pc *pc = ctx;

	if (pc->cfg.ops->pam)
		pc->cfg.ops->pam(pc->cfg.ctx, base, len, attr);
}

static void cmos_word(struct pc *pc, unsigned index, u64 value)
{
	u16 v = (u16)MIN(value, 0xffffu);

	rtc_cmos_write(&pc->rtc, index, (u8)v);
	rtc_cmos_write(&pc->rtc, index + 1, (u8)(v >> 8));
}

/* Memory sizes and equipment, where systems since the AT look for them. */
static void fill_cmos(struct pc *pc)
{
	u64 low = pc->cfg.low_ram, high = pc->cfg.high_ram;
	u64 ext_kb = low > MIB ? MIN((low - MIB) / KIB, 63 * 1024ull) : 0;
	u64 high_64k = MIN(high >> 16, 0xffffffull);

	cmos_word(pc, CMOS_BASE_KB, 640);
	cmos_word(pc, CMOS_EXT_KB, ext_kb);
	cmos_word(pc, CMOS_EXT2_KB, ext_kb);
	cmos_word(pc, CMOS_EXT16_64K, low > 16 * MIB ? (low - 16 * MIB) >> 16 : 0);
	for (unsigned i = 0; i < 3; i++)
		rtc_cmos_write(&pc->rtc, CMOS_HIGH_64K + i, (u8)(high_64k >> (8 * i)));
	rtc_cmos_write(&pc->rtc, CMOS_EQUIPMENT, 0x06); /* x87, PS/2; EGA/VGA; no floppy drive */
}

static void add_drive(struct bios_config *bc, struct blk **slot, unsigned at, u8 type,
		      struct blk *medium, u32 sector_size)
{
	if (!medium)
		return;
	slot[at] = medium;
	bc->drive[at] = (struct bios_drive){
		.type = type,
		.sector_size = sector_size,
		.sectors = medium->size / sector_size,
	};
}

static int init_bioschan(struct pc *pc)
{
	struct blk *drive[BIOS_MAX_DRIVES] = {NULL};
	int err;
	struct bios_config bc = {
		.size = sizeof(bc),
		.ncpus = pc->cfg.ncpus,
		.low_ram = pc->cfg.low_ram,
		.high_ram = pc->cfg.high_ram,
		.tsc_khz = pc->cfg.tsc_khz,
	};

	memcpy(bc.boot, pc->cfg.boot, sizeof(bc.boot));
	memcpy(bc.uuid, pc->cfg.uuid, sizeof(bc.uuid));
	if (pc->cfg.name)
		str_copy(bc.name, pc->cfg.name, sizeof(bc.name));
	add_drive(&bc, drive, 0, BOOT_CDROM, pc->cfg.cdrom, 2048);
	add_drive(&bc, drive, 1, BOOT_DISK, pc->cfg.disk, 512);
	add_drive(&bc, drive, 2, BOOT_FLOPPY, pc->cfg.floppy, 512);
	pc->bios_ops = (struct bioschan_ops){
		.text = pc->cfg.ops->bios_text,
		.log = pc->cfg.ops->bios_log,
		.event = pc->cfg.ops->bios_event,
	};
	err = bioschan_init(&pc->bioschan, &pc->board.bus, pc->host, &bc, drive, &pc->bios_ops,
			    pc->cfg.ctx);
	pc->bioschan.irq = isa_line(pc, PC_IRQ_BIOS);
	return err;
}

static void init_lapic(struct pc *pc)
{
	struct lapic_config lc = {
		.bsp = true,
		.x2apic = pc->cfg.x2apic,
		.tsc_deadline = pc->cfg.tsc_deadline,
		.phys_bits = pc->cfg.phys_bits,
	};

	lapic_init(&pc->board.lapic, pc->host, &lc, &pc_lapic_ops, pc);
	if (!pc->board.lapic_mapped)
		apic_base_changed(pc, PC_LAPIC_BASE, true);
}

static int init_interrupts(struct pc *pc)
{
	struct irq_line int_pin = {.set = pic_int, .ctx = pc};
	int err;

	init_lapic(pc);
	ioapic_init(&pc->ioapic, PC_IOAPIC_ID, apic_deliver, pc);
	pc->board.extint_rte = &pc->ioapic.rte[IOAPIC_EXTINT_PIN];
	err = bus_add_mmio(&pc->board.bus, PC_IOAPIC_BASE, IOAPIC_MMIO_SIZE, &ioapic_mmio_ops,
			   &pc->ioapic);
	return err ? err : pic_init(&pc->board.pic, &pc->board.bus, &int_pin);
}

static int init_serial(struct pc *pc)
{
	struct irq_line irq = isa_line(pc, PC_IRQ_COM1);

	if (!pc->cfg.serial)
		return 0;
	pc->line_ops = (struct uart_line_ops){
		.tx = pc->cfg.ops->uart_tx,
		.tx_room = pc->cfg.ops->uart_tx_room,
	};
	return uart_init(&pc->uart, &pc->board.bus, pc->host, PC_COM1, &irq, &pc->line_ops,
			 pc->cfg.ctx);
}

static int init_clock(struct pc *pc)
{
	struct irq_line irq0 = isa_line(pc, PC_IRQ_TIMER), irq8 = isa_line(pc, PC_IRQ_RTC);
	int err = pit_init(&pc->pit, &pc->board.bus, pc->host, &irq0, pit_tick_state, pc);

	if (!err)
		err = rtc_init(&pc->rtc, &pc->board.bus, pc->host, &irq8);
	if (err)
		return err;
	if (pc->cfg.time.year)
		rtc_set_time(&pc->rtc, pc->cfg.time.year, pc->cfg.time.month, pc->cfg.time.day,
			     pc->cfg.time.hour, pc->cfg.time.min, pc->cfg.time.sec);
	fill_cmos(pc);
	return 0;
}

static int init_isa(struct pc *pc)
{
	struct irq_line irq1 = isa_line(pc, PC_IRQ_KBD), sci = isa_line(pc, PC_IRQ_SCI);
	struct irq_line irq13 = isa_line(pc, PC_IRQ_FPU);
	struct irq_line a20_kbd = {.set = a20_line, .ctx = pc, .line = A20_KBD};
	struct irq_line a20_port92 = {.set = a20_line, .ctx = pc, .line = A20_PORT92};
	int err = init_clock(pc);

	if (!err)
		err = i8042_init(&pc->kbd, &pc->board.bus, pc->host, &irq1, &a20_kbd);
	if (!err)
		err = init_serial(pc);
	if (!err)
		err = acpi_pm_init(&pc->pm, &pc->board.bus, pc->host, &sci);
	if (!err)
		err = dma8237_init(&pc->dma, &pc->board.bus);
	if (!err)
		err = misc_init(&pc->misc, &pc->board.bus, pc->host, &a20_port92, &irq13);
	if (!err && pc->cfg.vga)
		err = vga_init(&pc->vga, &pc->board.bus, pc->host);
	return err ? err : init_bioschan(pc);
}

/* An IDE disk is the primary master, the CD the secondary one; a floppy is the BIOS's alone. */
static int init_ide(struct pc *pc)
{
	struct irq_line irq[2] = {isa_line(pc, PC_IRQ_IDE0), isa_line(pc, PC_IRQ_IDE1)};
	int err = ide_init(&pc->ide, pc->host, &pc->pci, irq);

	if (!err)
		err = ide_map(&pc->ide, &pc->board.bus);
	if (!err && pc->cfg.disk && pc->cfg.disk_model == DISK_IDE)
		err = ide_attach_disk(&pc->ide, 0, 0, pc->cfg.disk);
	if (!err && pc->cfg.cdrom)
		err = ide_attach_cd(&pc->ide, 1, 0, pc->cfg.cdrom);
	return err;
}

static bool has_vblk(const struct pc *pc)
{
	return pc->cfg.disk && pc->cfg.disk_model == DISK_VIRTIO;
}

static bool has_nic(const struct pc *pc, enum nic_model model)
{
	return pc->cfg.nic && pc->cfg.nic_model == model;
}

/* What has a choice of models: slots are the board's, whichever it is. */
static int init_slots(struct pc *pc)
{
	int err = 0;

	if (has_nic(pc, NIC_VIRTIO))
		err = vnet_init(&pc->vnet, pc->host, &pc->pci, PC_PCI_NIC_SLOT, pc->cfg.nic);
	if (has_nic(pc, NIC_RTL8139))
		err = rtl8139_init(&pc->rtl, pc->host, &pc->pci, PC_PCI_NIC_SLOT, pc->cfg.nic);
	if (!err && has_vblk(pc))
		err = vblk_init(&pc->vblk, pc->host, &pc->pci, PC_PCI_DISK_SLOT, pc->cfg.disk,
				"PENUMBRA-DISK");
	return err;
}

static void reset_slots(struct pc *pc)
{
	if (has_nic(pc, NIC_VIRTIO))
		vnet_reset(&pc->vnet);
	if (has_nic(pc, NIC_RTL8139))
		rtl8139_reset(&pc->rtl);
	if (has_vblk(pc))
		vblk_reset(&pc->vblk);
}

static int init_pci(struct pc *pc)
{
	int err;

	pci_bus_init(&pc->pci, &pc->board.bus);
	pc->pci.msi = msi_write;
	pc->pci.msi_ctx = pc;
	err = bus_add_port(&pc->board.bus, PCI_PORT_BASE, PCI_PORT_LEN, &pci_port_ops, &pc->pci);
	if (!err)
		err = i440fx_init(&pc->host_bridge, &pc->pci, pam_changed, pc);
	if (!err)
		err = piix3_init(&pc->isa_bridge, pc->host, &pc->pci, pirq_irq, pc);
	if (!err)
		err = piix4_pm_init(&pc->pm_function, &pc->pci);
	if (!err)
		err = init_ide(pc);
	return err ? err : init_slots(pc);
}

int pc_init(struct pc *pc, const struct dev_host *host, const struct pc_config *cfg)
{
	int err;

	memset(pc, 0, sizeof(*pc));
	pc->host = host;
	pc->cfg = *cfg;
	err = init_interrupts(pc);
	if (!err)
		err = init_isa(pc);
	if (!err)
		err = init_pci(pc);
	return err;
}

void pc_cpu_leaves(struct pc *pc)
{
	if (has_vblk(pc))
		vblk_guest_leaves(&pc->vblk);
}

/* Sources first, so that the controllers start from quiet lines. */
void pc_reset(struct pc *pc)
{
	pit_reset(&pc->pit);
	rtc_reset(&pc->rtc);
	i8042_reset(&pc->kbd);
	if (pc->cfg.serial)
		uart_reset(&pc->uart);
	acpi_pm_reset(&pc->pm);
	dma8237_reset(&pc->dma);
	misc_reset(&pc->misc);
	if (pc->cfg.vga)
		vga_reset(&pc->vga);
	bioschan_reset(&pc->bioschan);
	ide_reset(&pc->ide);
	reset_slots(pc);
	i440fx_reset(&pc->host_bridge);
	piix3_reset(&pc->isa_bridge);
	piix4_pm_reset(&pc->pm_function);
	pc->pci.address = 0;
	ioapic_reset(&pc->ioapic);
	pic_reset(&pc->board.pic);
	lapic_reset(&pc->board.lapic);
	pc->board.nmi = false;
	fill_cmos(pc);
}

/* --- input and screen ------------------------------------------------------------------------- */

bool pc_uart_rx(struct pc *pc, u8 byte)
{
	return pc->cfg.serial && uart_rx(&pc->uart, byte);
}

bool pc_key(struct pc *pc, u8 byte)
{
	return i8042_type_ascii(&pc->kbd, byte);
}

bool pc_input(struct pc *pc, u8 byte)
{
	if (pc->cfg.serial && uart_receiver_used(&pc->uart))
		return pc_uart_rx(pc, byte);
	return pc_key(pc, byte);
}

static bool has_screen(const struct pc *pc)
{
	return pc->cfg.vga && pc->cfg.vram;
}

unsigned pc_screen_changed(struct pc *pc, vga_line_fn *fn, void *ctx)
{
	return has_screen(pc) ? vga_changed_lines(&pc->vga, pc->cfg.vram, fn, ctx) : 0;
}

unsigned pc_screen_read(struct pc *pc, vga_line_fn *fn, void *ctx)
{
	return has_screen(pc) ? vga_text_read(&pc->vga, pc->cfg.vram, fn, ctx) : 0;
}
