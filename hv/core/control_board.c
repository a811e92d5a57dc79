/* The chips of the control partition's board and their wires; see control_board.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/cpu.h"
#include "core/ctl.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/partition.h"
#include "core/report.h"
#include "firmware/console.h"
#include "firmware/ecam.h"
#include "firmware/ioapic.h"
#include "firmware/lapic.h"
#include "firmware/pcicfg.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/hostmap.h"
#include "penumbra/acpi.h"
#include "penumbra/platform.h"

/* Virtual sources at the IOAPIC's pins. */
enum { SOURCE_PIT, SOURCE_UART }; /* CONTROL_SOURCE_CHANNEL comes after them */

#define PM1_PORTS	 2
#define SLP_EN		 BIT(13)
#define SLP_TYP(v)	 ((v) >> 10 & 7)
#define PORT_8042	 0x64
#define PULSE_RESET(v)	 (((v)&0xf1) == 0xf0) /* output port bit 0 low */
#define PORT_92		 0x92
#define P92_RESET	 0x01
#define CF9_RESET	 0x04
#define PIT_HOST_CONTROL 0x43
#define PIT_HOST_IDLE	 0x30 /* channel 0, mode 0, waiting for a count */

static struct control_board *board_of(void *ctx)
{
	return ctx;
}

/* --- local APIC --------------------------------------------------------------------------------
 */

/* It may be waiting behind another vCPU of its CPU, or asleep. */
static void wake(struct control_board *b)
{
	const struct vcpu *v = &b->part->vcpu;

	if (v->state == VCPU_HALTED || this_cpu()->current != v)
		this_cpu()->attention = true;
}

static void apic_notify(void *ctx)
{
	wake(ctx);
}

static unsigned apic_deliver(void *ctx, const struct apic_msg *msg)
{
	return board_apic_send(&board_of(ctx)->board, NULL, msg);
}

/* There is no other APIC: what is sent to one that the real machine has reaches nobody. */
static void apic_send(void *ctx, struct lapic *from, const struct apic_msg *msg)
{
	board_apic_send(&board_of(ctx)->board, from, msg);
}

static void apic_eoi(void *ctx, u8 vector)
{
	control_channel_eoi(ctx, vector);
	hostioapic_eoi(&board_of(ctx)->ioapic, vector);
}

static void apic_nmi(void *ctx)
{
	board_of(ctx)->board.nmi = true;
	wake(ctx);
}

static void apic_init(void *ctx)
{
	struct partition *p = board_of(ctx)->part;

	partition_end(p, STATUS_FAIL, "crash", "its CPU sent INIT to itself");
}

static void apic_startup(void *ctx, gpa_t startup_gpa)
{
	(void)ctx, (void)startup_gpa;
}

static void apic_base_changed(void *ctx, gpa_t base, bool mapped)
{
	struct control_board *b = ctx;

	board_place_lapic(&b->board, base, mapped);
	control_reach_changed(b->part);
	hostioapic_retry(&b->ioapic);
}

static void apic_accepts(void *ctx)
{
	hostioapic_retry(&board_of(ctx)->ioapic);
}

static const struct lapic_ops control_lapic_ops = {
	.notify = apic_notify,
	.send = apic_send,
	.eoi = apic_eoi,
	.nmi = apic_nmi,
	.init = apic_init,
	.startup = apic_startup,
	.base_changed = apic_base_changed,
	.accepts = apic_accepts,
};

static void init_lapic(struct control_board *b)
{
	struct lapic_config c = {
		.id = cpus[0].apic_id,
		.bsp = true,
		.x2apic = true,
		.tsc_deadline = true,
		.phys_bits = b->part->phys_bits,
	};

	lapic_init(&b->board.lapic, &b->part->host, &c, &control_lapic_ops, b);
	/* MSIs reach a real APIC in the mode that the firmware chose: the partition is told so. */
	if (lapic_is_x2apic())
		lapic_base_write(&b->board.lapic, b->board.lapic.base | LAPIC_BASE_X2APIC);
}

/* --- interrupt lines ---------------------------------------------------------------------------
 */

static void isa_line(struct control_board *b, unsigned irq, unsigned source, bool level)
{
	pic_set_irq(&b->board.pic, irq, level);
	hostioapic_line(&b->ioapic, b->acpi->isa[irq].gsi, source, level);
}

static void pit_irq(void *ctx, unsigned line, bool level)
{
	isa_line(ctx, line, SOURCE_PIT, level);
}

static void uart_irq(void *ctx, unsigned line, bool level)
{
	isa_line(ctx, line, SOURCE_UART, level);
}

static void pic_int(void *ctx, unsigned line, bool level)
{
	struct control_board *b = ctx;

	(void)line;
	lapic_lint(&b->board.lapic, 0, level);
}

static const struct hostioapic_ops ioapic_ops = {
	.program = control_irq_program,
	.deliver = apic_deliver,
};

/* A pin that the hypervisor's UART, our virtual one or the virtual PIT uses has no physical source
 * for the partition: the wire is not its own, or may float. */
static int init_ioapics(struct control_board *b)
{
	int gsi = console_gsi(), err = 0;

	hostioapic_init(&b->ioapic, &ioapic_ops, b);
	for (unsigned i = 0; i < b->acpi->nioapics && !err; i++) {
		const struct boot_ioapic *io = &b->acpi->ioapic[i];

		err = hostioapic_add(&b->ioapic, io->base, (u8)io->id, io->gsi_base,
				     ioapic_version(io->gsi_base));
		if (!err)
			err = bus_add_mmio(&b->board.bus, io->base, HOSTIOAPIC_MMIO_SIZE,
					   &hostioapic_mmio_ops, &b->ioapic.chip[i]);
	}
	if (gsi >= 0)
		hostioapic_isolate(&b->ioapic, (u32)gsi);
	hostioapic_isolate(&b->ioapic, b->acpi->isa[PC_IRQ_COM1].gsi);
	hostioapic_isolate(&b->ioapic, b->acpi->isa[PC_IRQ_TIMER].gsi);
	return err;
}

/* --- PCI configuration space -------------------------------------------------------------------
 */

static u32 pci_read(void *ctx, u32 sbdf, unsigned off, unsigned size)
{
	(void)ctx;
	return ecam_read(sbdf, off, size);
}

static void pci_write(void *ctx, u32 sbdf, unsigned off, unsigned size, u32 value)
{
	(void)ctx;
	ecam_write(sbdf, off, size, value);
}

static bool pci_bar_ok(void *ctx, u64 base, u64 len)
{
	return control_may_decode(board_of(ctx)->part, base, len);
}

static void pci_intx(void *ctx, bool level)
{
	control_channel_line(ctx, level);
}

static void pci_bar_moved(void *ctx, unsigned n, bool mapped, u64 base, u64 len)
{
	(void)n, (void)mapped, (void)base, (void)len;
	control_reach_changed(board_of(ctx)->part);
}

/* --- the machine's end -------------------------------------------------------------------------
 */

static void machine_event(struct control_board *b, enum machine_event ev)
{
	b->part->ops->machine_event(b->part, ev, 0);
}

static u8 reset_read(void *ctx)
{
	return board_of(ctx)->reset_control;
}

static void reset_write(void *ctx, u8 value)
{
	struct control_board *b = ctx;

	b->reset_control = value;
	if (value & CF9_RESET)
		machine_event(b, MACHINE_RESET_CF9);
}

static const struct hostpci_ops pci_ops = {
	.read = pci_read,
	.write = pci_write,
	.bar_ok = pci_bar_ok,
	.reset_read = reset_read,
	.reset_write = reset_write,
	.intx = pci_intx,
	.bar_moved = pci_bar_moved,
};

static int add_window(struct control_board *b, const struct boot_ecam *e)
{
	const struct hostpci_window *w = &b->pci.window[b->pci.nwindows];
	int err = hostpci_add_window(&b->pci, e->base, e->segment, e->bus_start, e->bus_end);

	return err ? err
		   : bus_add_mmio(&b->board.bus, w->base, w->len, &hostpci_ecam_ops, (void *)w);
}

static int init_pci(struct control_board *b)
{
	int err;

	hostpci_init(&b->pci, &b->board.bus, &pci_ops, b);
	err = bus_add_port(&b->board.bus, PCI_PORT_BASE, PCI_PORT_LEN, &hostpci_port_ops, &b->pci);
	if (!err)
		err = ecam_init(hv_boot_info());
	for (unsigned i = 0; i < b->acpi->necam && !err; i++)
		err = add_window(b, &b->acpi->ecam[i]);
	if (b->acpi->ecam_dropped)
		report_error(b->part->cfg.name, "pci",
			     "%u ECAM windows of MCFG are left out: wrong, or more than %u",
			     b->acpi->ecam_dropped, (unsigned)ARRAY_SIZE(b->acpi->ecam));
	if (!err && console_pci() != PCICFG_NONE)
		err = hostpci_hide(&b->pci, console_pci());
	return err;
}

/* Trapped real ports: the access is the partition's, but for what would end the machine under the
 * guests. */
static u32 real_read(void *dev, u16 port, unsigned size)
{
	(void)dev;
	return port_in(port, size);
}

/* Sleep states but S5 would stop the guests with no one to wake them: not done. */
static void pm1_write(void *dev, u16 port, unsigned size, u32 value)
{
	struct control_board *b = dev;
	bool high_byte = port != b->acpi->pm1a_cnt && port != b->acpi->pm1b_cnt;
	u32 word = high_byte ? value << 8 : value;

	if (!(word & SLP_EN))
		port_out(port, size, value);
	else if (SLP_TYP(word) == (b->acpi->slp_typ_s5 & 7u))
		machine_event(b, MACHINE_POWER_OFF);
}

static void kbd_write(void *dev, u16 port, unsigned size, u32 value)
{
	if (PULSE_RESET(value))
		machine_event(dev, MACHINE_RESET_8042);
	else
		port_out(port, size, value);
}

static void port92_write(void *dev, u16 port, unsigned size, u32 value)
{
	if (value & P92_RESET)
		machine_event(dev, MACHINE_RESET_PORT92);
	else
		port_out(port, size, value);
}

static void acpi_reset_write(void *dev, u16 port, unsigned size, u32 value)
{
	const struct control_board *b = dev;

	if ((u8)value == b->acpi->reset_value)
		machine_event(dev, MACHINE_RESET_ACPI);
	else
		port_out(port, size, value);
}

static u32 absent_read(void *dev, u16 port, unsigned size)
{
	(void)dev, (void)port, (void)size;
	return UINT32_MAX;
}

static void absent_write(void *dev, u16 port, unsigned size, u32 value)
{
	(void)dev, (void)port, (void)size, (void)value;
}

static const struct port_ops pm1_ops = {.read = real_read, .write = pm1_write};
static const struct port_ops kbd_ops = {.read = real_read, .write = kbd_write};
static const struct port_ops port92_ops = {.read = real_read, .write = port92_write};
static const struct port_ops acpi_reset_ops = {.read = real_read, .write = acpi_reset_write};
static const struct port_ops absent_ops = {.read = absent_read, .write = absent_write};

static int trap_ports(struct control_board *b)
{
	const struct boot_acpi *a = b->acpi;
	struct bus *bus = &b->board.bus;
	int err = bus_add_port(bus, PORT_8042, 1, &kbd_ops, b);

	if (!err)
		err = bus_add_port(bus, PORT_92, 1, &port92_ops, b);
	if (!err && a->pm1a_cnt)
		err = bus_add_port(bus, a->pm1a_cnt, PM1_PORTS, &pm1_ops, b);
	if (!err && a->pm1b_cnt)
		err = bus_add_port(bus, a->pm1b_cnt, PM1_PORTS, &pm1_ops, b);
	if (!err && console_port() && console_port() != CONTROL_COM1)
		err = bus_add_port(bus, console_port(), UART_PORTS, &absent_ops, b);
	/* Where it is one of the ports above, that one sees it. */
	if (!err && a->reset_valid && a->reset_space == ACPI_SPACE_IO &&
	    !bus_find_port(bus, (u16)a->reset_addr))
		err = bus_add_port(bus, (u16)a->reset_addr, 1, &acpi_reset_ops, b);
	return err;
}

void control_board_port_map(const struct control_board *b, u8 *map)
{
	const struct bus *bus = &b->board.bus;

	memset(map, 0, 2 * PAGE_SIZE);
	memset(map + 2 * PAGE_SIZE, 0xff, PAGE_SIZE);
	for (unsigned i = 0; i < bus->nports; i++)
		for (u32 port = bus->ports[i].base, n = bus->ports[i].len; n; port++, n--)
			map[port / 8] |= (u8)(1u << (port % 8));
}

/* --- serial line -------------------------------------------------------------------------------
 */

static void uart_out(void *ctx, const u8 *buf, unsigned n)
{
	log_write(board_of(ctx)->part->src_serial, (const char *)buf, n);
	ctl_output(0, false, (const char *)buf, n);
}

static bool uart_room(void *ctx)
{
	return log_room(board_of(ctx)->part->src_serial);
}

/* --- building ----------------------------------------------------------------------------------
 */

static int init_virtual(struct control_board *b)
{
	struct irq_line int_pin = {.set = pic_int, .ctx = b};
	struct irq_line irq0 = {.set = pit_irq, .ctx = b, .line = PC_IRQ_TIMER};
	struct irq_line irq4 = {.set = uart_irq, .ctx = b, .line = PC_IRQ_COM1};
	struct bus *bus = &b->board.bus;
	int err = pic_init(&b->board.pic, bus, &int_pin);

	b->line_ops = (struct uart_line_ops){.tx = uart_out, .tx_room = uart_room};
	if (!err)
		err = pit_init(&b->pit, bus, &b->part->host, &irq0, NULL, NULL);
	if (!err)
		err = uart_init(&b->uart, bus, &b->part->host, CONTROL_COM1, &irq4, &b->line_ops,
				b);
	return err;
}

int control_board_init(struct partition *p)
{
	struct control_board *b = &p->ctl;
	int err;

	memset(b, 0, sizeof(*b));
	b->part = p;
	b->acpi = &hv_boot_info()->acpi;
	p->uart = &b->uart;
	/* The partition sees a virtual PIT: ticks of the real one would be strangers to it. */
	outb(PIT_HOST_CONTROL, PIT_HOST_IDLE);
	init_lapic(b);
	err = init_ioapics(b);
	if (!err)
		err = control_irq_init(b);
	if (!err)
		err = init_virtual(b);
	if (!err)
		err = init_pci(b);
	return err ? err : trap_ports(b);
}

void control_board_stop(struct partition *p)
{
	struct control_board *b = &p->ctl;

	pit_reset(&b->pit);
	uart_reset(&b->uart);
	hostioapic_reset(&b->ioapic);
	lapic_reset(&b->board.lapic);
}
