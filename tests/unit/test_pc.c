/* The board. Would catch: an interrupt line soldered to the wrong pin or to one controller only,
 * lost wake-ups, ticks dropped while a guest does not run, a reset that leaves timers or lines
 * alive or forgets the clock, memory sizes or drives told wrongly to the BIOS, typed bytes in the
 * wrong sink.
 *
 * SRCS: hv/dev/board.c hv/dev/pc.c hv/dev/acpi_pm.c hv/dev/bioschan.c hv/dev/blk_ram.c hv/dev/bus.c
 * SRCS: hv/dev/dma8237.c hv/dev/i8042.c hv/dev/i8042_keys.c hv/dev/misc.c hv/dev/pic8259.c
 * SRCS: hv/dev/pit8254.c hv/dev/rtc.c hv/dev/uart16550.c hv/dev/vga.c hv/dev/ide.c
 * SRCS: hv/dev/ide_dma.c hv/dev/ata.c hv/dev/atapi.c hv/dev/atapi_mmc.c hv/dev/pci.c hv/dev/piix.c
 * SRCS: hv/dev/ioapic.c hv/dev/lapic.c hv/dev/lapic_ipi.c hv/dev/lapic_regs.c
 * SRCS: hv/dev/lapic_timer.c hv/lib/timerq.c hv/lib/str.c
 * SRCS: hv/dev/msix.c hv/dev/virtio_ring.c hv/dev/virtio_pci.c hv/dev/virtio_caps.c
 * SRCS: hv/dev/vblk.c hv/dev/vnet.c hv/dev/rtl8139.c hv/dev/rtl8139_rx.c
 * SRCS: hv/dev/rtl8139_tx.c hv/dev/rtl8139_eeprom.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/pc.h"

#include "board_host.h"
#include "unit.h"

#define LAPIC_SVR  0xf0
#define LAPIC_EOI  0xb0
#define LAPIC_LVT0 0x350
#define LAPIC_LVT1 0x360

#define MEM_SIZE (4u << 20)

static struct board_host b;
static struct pc pc;
static struct blk_ram cd, disk;
static u8 media[64 * 2048], vram[PC_VGA_TEXT_SIZE], mem[MEM_SIZE];
static unsigned wakes, a20_calls, rows;
static bool a20_on, tx_open;
static char tx[64], bios_text[64];

static void on_wake(void *ctx)
{
	(void)ctx;
	wakes++;
}

static void on_a20(void *ctx, bool on)
{
	(void)ctx;
	a20_calls++;
	a20_on = on;
}

static void on_tx(void *ctx, const u8 *buf, unsigned n)
{
	(void)ctx;
	strncat(tx, (const char *)buf, n);
}

static bool on_room(void *ctx)
{
	(void)ctx;
	return tx_open;
}

static void on_text(void *ctx, const char *buf, unsigned n)
{
	(void)ctx;
	strncat(bios_text, buf, n);
}

static void on_row(void *ctx, unsigned row, const char *text)
{
	(void)ctx, (void)row, (void)text;
	rows++;
}

static const struct pc_ops ops = {
	.wake = on_wake,
	.a20 = on_a20,
	.uart_tx = on_tx,
	.uart_tx_room = on_room,
	.bios_text = on_text,
};

static void setup(void)
{
	struct pc_config cfg = {
		.name = "alpha",
		.low_ram = 256 * MIB,
		.high_ram = 1 * GIB,
		.ncpus = 1,
		.tsc_khz = 2000000,
		.cdrom = &cd.blk,
		.disk = &disk.blk,
		.boot = {BOOT_CDROM, BOOT_DISK},
		.vga = true,
		.serial = true,
		.vram = vram,
		.time = {2024, 2, 29, 12, 34, 56},
		.phys_bits = 40,
		.ops = &ops,
	};

	board_host_init(&b, mem, sizeof(mem));
	memset(vram, 0, sizeof(vram));
	blk_ram_init(&cd, &b.f.host, media, sizeof(media), true);
	blk_ram_init(&disk, &b.f.host, media, sizeof(media), false);
	CHECK_EQ(pc_init(&pc, &b.f.host, &cfg), 0);
	wakes = a20_calls = rows = 0;
	tx_open = true;
	tx[0] = bios_text[0] = '\0';
}

/* The accesses of a guest: to the board's own bus. */
static u32 in(u16 port, unsigned size)
{
	return bus_port_read(&pc.board.bus, port, size);
}

static void out(u16 port, u8 value)
{
	bus_port_write(&pc.board.bus, port, 1, value);
}

static void mmio(gpa_t gpa, u32 value)
{
	const struct mmio_range *r = bus_find_mmio(&pc.board.bus, gpa);

	CHECK(r);
	if (r)
		r->ops->write(r->dev, gpa - r->base, 4, value);
}

static void init_pics(void)
{
	static const u8 icw[2][4] = {{0x11, 0x20, 4, 1}, {0x11, 0x28, 2, 1}};

	for (unsigned i = 0; i < 2; i++) {
		u16 port = i ? 0xa0 : 0x20;

		out(port, icw[i][0]);
		for (unsigned k = 1; k < 4; k++)
			out(port + 1, icw[i][k]);
		out(port + 1, 0);
	}
}

static void eoi_pics(void)
{
	out(0xa0, 0x20);
	out(0x20, 0x20);
}

static void rte(unsigned pin, u64 value)
{
	mmio(PC_IOAPIC_BASE, 0x11 + 2 * pin);
	mmio(PC_IOAPIC_BASE + 0x10, (u32)(value >> 32));
	mmio(PC_IOAPIC_BASE, 0x10 + 2 * pin);
	mmio(PC_IOAPIC_BASE + 0x10, (u32)value);
}

/* 8259 out of the way, local APIC on. */
static void use_apic(void)
{
	out(0x21, 0xff);
	out(0xa1, 0xff);
	mmio(PC_LAPIC_BASE + LAPIC_LVT0, 0x10000);
	mmio(PC_LAPIC_BASE + LAPIC_SVR, 0x1ff);
}

static void start_pit(unsigned n)
{
	out(0x43, 0x34);
	out(0x40, (u8)n);
	out(0x40, (u8)(n >> 8));
}

TEST(the_timer_reaches_the_cpu_through_the_8259)
{
	setup();
	init_pics();
	CHECK(!board_intr_pending(&pc.board));
	CHECK_EQ(board_intr_ack(&pc.board), -1);
	start_pit(11932);
	wakes = 0;
	board_run(&b, 11 * NSEC_PER_MSEC);
	CHECK(wakes > 0);
	CHECK(board_intr_pending(&pc.board));
	CHECK_EQ(board_intr_ack(&pc.board), 0x20);
	CHECK(!board_intr_pending(&pc.board));
	eoi_pics();
	board_run(&b, 10 * NSEC_PER_MSEC);
	CHECK_EQ(board_intr_ack(&pc.board), 0x20);
}

TEST(every_chip_drives_its_own_line_on_both_controllers)
{
	static const struct {
		unsigned irq, pin;
	} wire[] = {{1, 1}, {4, 4}, {8, 8}, {9, 9}, {13, 13}, {14, 14}, {15, 15}, {0, 2}};

	for (unsigned i = 0; i < ARRAY_SIZE(wire); i++) {
		setup();
		init_pics();
		rte(wire[i].pin, 0x50 + wire[i].irq); /* to APIC ID 0 */
		mmio(PC_LAPIC_BASE + LAPIC_SVR, 0x1ff);
		switch (wire[i].irq) {
		case 0:
			start_pit(1000);
			board_run(&b, NSEC_PER_MSEC);
			break;
		case 1:
			pc_key(&pc, 'x');
			break;
		case 4:
			out(0x3fc, 0x08);
			out(0x3f9, 0x02);
			break;
		case 8:
			out(0x70, 0x0b);
			out(0x71, 0x12);
			board_run(&b, NSEC_PER_SEC);
			break;
		case 9:
			out(PC_PORT_SMI_CMD, PC_ACPI_ENABLE);
			out(PC_PORT_PM_EVT + 3, 0x01);
			acpi_pm_power_button(&pc.pm);
			break;
		case 13:
			misc_fpu_error(&pc.misc);
			break;
		case 14:
			out(0x1f6, 0xa0);
			out(0x1f7, 0xec); /* IDENTIFY DEVICE */
			board_run(&b, NSEC_PER_MSEC);
			break;
		case 15:
			out(0x176, 0xa0);
			out(0x177, 0xa1); /* IDENTIFY PACKET DEVICE */
			board_run(&b, NSEC_PER_MSEC);
			break;
		}
		CHECK_EQ(board_intr_ack(&pc.board),
			 0x50 + wire[i].irq); /* the local APIC's first */
		mmio(PC_LAPIC_BASE + LAPIC_EOI, 0);
		CHECK_EQ(board_intr_ack(&pc.board), 0x20 + wire[i].irq); /* then the 8259's */
		CHECK_EQ(board_intr_ack(&pc.board), -1);
		if (unit_failures)
			printf("# irq %u\n", wire[i].irq);
	}
}

TEST(pci_interrupts_arrive_by_piix3_routing_and_share)
{
	setup();
	init_pics();
	out(0x4d1, 0x0c);
	CHECK_EQ(pc.isa_bridge.pci.cfg[PIIX3_PIRQRC], 0x80);
	for (unsigned i = 0; i < 4; i++)
		pci_cfg_write(&pc.isa_bridge.pci, PIIX3_PIRQRC + i, 1, i < 2 ? 10 : 11);
	pc.pci.pirq(pc.pci.pirq_ctx, 2, true);
	CHECK_EQ(board_intr_ack(&pc.board), 0x28 + 3);
	eoi_pics();
	CHECK(board_intr_pending(&pc.board)); /* level */
	pc.pci.pirq(pc.pci.pirq_ctx, 2, false);
	CHECK(!board_intr_pending(&pc.board));
	pc.pci.pirq(pc.pci.pirq_ctx, 0, true);
	pc.pci.pirq(pc.pci.pirq_ctx, 1, true);
	pc.pci.pirq(pc.pci.pirq_ctx, 0, false);
	CHECK_EQ(board_intr_ack(&pc.board), 0x28 + 2);
	CHECK_EQ(pc.ioapic.pins >> 10 & 3, 1);
}

TEST(the_8259_is_cut_off_and_comes_back_as_the_apic_says)
{
	setup();
	init_pics();
	pc_key(&pc, 'x');
	CHECK(board_intr_pending(&pc.board));
	mmio(PC_LAPIC_BASE + LAPIC_LVT0, 0x10000);
	CHECK(!board_intr_pending(&pc.board));
	CHECK_EQ(board_intr_ack(&pc.board), -1);
	rte(0, 0x700); /* ExtINT on pin 0 */
	CHECK_EQ(board_intr_ack(&pc.board), 0x21);
	eoi_pics();
	rte(0, 0x10000);
	in(0x60, 1);
	board_run(&b, NSEC_PER_MSEC);
	CHECK(!board_intr_pending(&pc.board));
	CHECK_EQ(lapic_base_write(&pc.board.lapic, 0xfee00000 | LAPIC_BASE_BSP),
		 0); /* globally off */
	CHECK_EQ(board_intr_ack(&pc.board), 0x21);
}

/* 100 ticks pass while the vCPU does not run: all of them arrive in the end. */
static unsigned count_ticks(void)
{
	unsigned ticks = 0;
	u64 end = b.f.now + 300 * NSEC_PER_MSEC;

	while (b.f.now < end) {
		int vector;

		board_run(&b, 20 * NSEC_PER_USEC);
		vector = board_intr_ack(&pc.board);
		ticks += vector >= 0;
		if (vector >= 0x50)
			mmio(PC_LAPIC_BASE + LAPIC_EOI, 0);
		else if (vector >= 0)
			eoi_pics();
	}
	return ticks;
}

TEST(no_tick_is_lost_while_a_guest_waits)
{
	setup();
	init_pics();
	start_pit(1193);
	board_run(&b, 100 * NSEC_PER_MSEC);
	CHECK_EQ(count_ticks(), 400);
	setup();
	init_pics();
	use_apic();
	rte(2, 0x50);
	start_pit(1193);
	board_run(&b, 100 * NSEC_PER_MSEC);
	CHECK_EQ(count_ticks(), 400);
}

TEST(a_masked_timer_owes_nothing)
{
	setup();
	init_pics();
	out(0x21, 0xff);
	start_pit(1193);
	board_run(&b, 100 * NSEC_PER_MSEC);
	out(0x21, 0x00);
	CHECK(count_ticks() <= 302);
}

TEST(nmis_go_through_lint1_and_its_mask)
{
	setup();
	pc_nmi(&pc);
	CHECK(!board_nmi_pending(&pc.board)); /* LINT1 is masked after reset */
	mmio(PC_LAPIC_BASE + LAPIC_SVR, 0x1ff);
	mmio(PC_LAPIC_BASE + LAPIC_LVT1, 0x400);
	wakes = 0;
	pc_nmi(&pc);
	CHECK(board_nmi_pending(&pc.board));
	CHECK(wakes > 0);
	board_nmi_ack(&pc.board);
	CHECK(!board_nmi_pending(&pc.board));
	out(0x70, 0x8f);
	pc_nmi(&pc);
	CHECK(!board_nmi_pending(&pc.board));
}

static u8 cmos(u8 index)
{
	out(0x70, index);
	return (u8)in(0x71, 1);
}

TEST(cmos_and_bios_config_tell_the_memory_and_drives)
{
	struct bios_config *c = &pc.bioschan.config;

	setup();
	CHECK_EQ(cmos(0x15) | cmos(0x16) << 8, 640);
	CHECK_EQ(cmos(0x17) | cmos(0x18) << 8, 63 * 1024);
	CHECK_EQ(cmos(0x30) | cmos(0x31) << 8, 63 * 1024);
	CHECK_EQ(cmos(0x34) | cmos(0x35) << 8, (256 - 16) * 16);
	CHECK_EQ(cmos(0x5b) | cmos(0x5c) << 8 | cmos(0x5d) << 16, 1024 * 16);
	CHECK_EQ(cmos(0x32), 0x20);
	CHECK_EQ(cmos(RTC_DAY), 0x29);
	CHECK_EQ(c->low_ram, 256 * MIB);
	CHECK_STR(c->name, "alpha");
	CHECK(c->drive[0].type == BOOT_CDROM && c->drive[0].sectors == 64);
	CHECK(c->drive[1].type == BOOT_DISK && c->drive[1].sectors == 256);
	CHECK_EQ(c->drive[2].type, BOOT_NONE);
	CHECK(c->boot[0] == BOOT_CDROM && c->boot[1] == BOOT_DISK && !c->boot[2]);
}

TEST(reset_is_power_on_but_for_the_clock)
{
	setup();
	init_pics();
	use_apic();
	start_pit(1193);
	out(0x70, 0x0b);
	out(0x71, 0x72);
	out(0x70, 0x50);
	out(0x71, 0xa5);
	pc_key(&pc, 'x');
	pc_key(&pc, 0x1b);
	out(0x3f9, 0x0f);
	out(0x1f6, 0xa0);
	out(0x1f7, 0x20); /* a read in flight */
	out(0x92, 0x02);
	board_run(&b, 2500 * NSEC_PER_MSEC);
	pc_reset(&pc);
	CHECK_EQ(timerq_next(&b.f.q), TIMER_OFF);
	CHECK(!board_intr_pending(&pc.board));
	CHECK(!board_nmi_pending(&pc.board));
	CHECK_EQ(pc.isa_lines & ~1u, 0); /* OUT of the idle timer is high */
	CHECK_EQ(cmos(0x50), 0xa5);
	CHECK_EQ(cmos(RTC_SEC), 0x58);
	CHECK(board_extint_routed(&pc.board));
	init_pics();
	pc_key(&pc, 'y');
	CHECK_EQ(board_intr_ack(&pc.board), 0x21);
	CHECK_EQ(in(0x60, 1), 0x15);
}

TEST(reset_and_power_requests_reach_the_owner)
{
	setup();
	out(0xcf9, 0x02);
	out(0xcf9, 0x06);
	CHECK_EQ(b.f.last_event, MACHINE_RESET_CF9);
	out(0x64, 0xfe);
	CHECK_EQ(b.f.last_event, MACHINE_RESET_8042);
	out(0x92, 0x01);
	CHECK_EQ(b.f.last_event, MACHINE_RESET_PORT92);
	bus_port_write(&pc.board.bus, PC_PORT_PM_CNT, 2, 0x2000);
	CHECK_EQ(b.f.last_event, MACHINE_POWER_OFF);
	out(0xf4, 0x10);
	CHECK(b.f.last_event == MACHINE_DEBUG_EXIT && b.f.last_value == 0x10);
	CHECK_EQ(b.f.events, 5);
	bus_port_write(&pc.board.bus, 0xcf8, 4, 0x80000000); /* the dword is PCI's */
	CHECK_EQ(in(0xcfc, 4), 0x12378086);
	CHECK_EQ(b.f.events, 5);
}

TEST(a20_is_open_when_either_source_opens_it)
{
	setup();
	out(0x64, 0xdd);
	CHECK(a20_calls == 1 && !a20_on);
	out(0x92, 0x02);
	CHECK(a20_calls == 2 && a20_on);
	out(0x64, 0xdf);
	out(0x92, 0x00);
	CHECK(a20_calls == 2 && a20_on);
}

TEST(typed_bytes_have_one_sink)
{
	setup();
	CHECK(pc_input(&pc, 'a'));
	CHECK_EQ(in(0x60, 1), 0x1e);
	CHECK_EQ(in(0x3fd, 1) & 1, 0);
	out(0x3f9, 0x01);
	CHECK(pc_input(&pc, 'b'));
	CHECK_EQ(in(0x3f8, 1), 'b');
	pc.cfg.serial = false;
	CHECK(pc_input(&pc, 'c'));
	CHECK(!pc_uart_rx(&pc, 'c'));
}

TEST(output_goes_where_it_belongs)
{
	setup();
	out(0x3f8, 'h');
	tx_open = false;
	out(0x3f8, 'i');
	CHECK_STR(tx, "h");
	tx_open = true;
	uart_tx_kick(&pc.uart);
	CHECK_STR(tx, "hi");
	out(BIOSCHAN_PORT_TEXT, 'T');
	CHECK_STR(bios_text, "T");
	vram[0] = 'x';
	CHECK_EQ(pc_screen_changed(&pc, on_row, NULL), 1);
	CHECK_EQ(pc_screen_changed(&pc, on_row, NULL), 0);
	CHECK_EQ(pc_screen_read(&pc, on_row, NULL), 25);
}

TEST(the_apic_page_moves_with_its_base)
{
	setup();
	CHECK(bus_find_mmio(&pc.board.bus, 0xfee00020));
	CHECK_EQ(lapic_base_write(&pc.board.lapic, 0xfed00000 | LAPIC_BASE_ENABLE | LAPIC_BASE_BSP),
		 0);
	CHECK(!bus_find_mmio(&pc.board.bus, 0xfee00020));
	CHECK(bus_find_mmio(&pc.board.bus, 0xfed00020));
	CHECK_EQ(lapic_base_write(&pc.board.lapic, 0xfec00000 | LAPIC_BASE_ENABLE | LAPIC_BASE_BSP),
		 0);
	CHECK(bus_find_mmio(&pc.board.bus, 0xfec00020)->dev == &pc.ioapic); /* no room there */
	pc_reset(&pc);
	CHECK(bus_find_mmio(&pc.board.bus, 0xfee00020)->dev == &pc.board.lapic);
}

TEST(boards_without_serial_and_vga_claim_no_ports_for_them)
{
	struct pc_config cfg = {.low_ram = 64 * MIB, .phys_bits = 40, .ops = &ops};

	setup();
	CHECK_EQ(pc_init(&pc, &b.f.host, &cfg), 0);
	CHECK(!bus_find_port(&pc.board.bus, 0x3f8));
	CHECK(!bus_find_port(&pc.board.bus, 0x3d4));
	pc_reset(&pc);
	CHECK_EQ(pc_screen_changed(&pc, on_row, NULL), 0);
	CHECK_EQ(cmos(RTC_CENTURY), 0x20);
}

TEST(polled_reads_are_counted)
{
	setup();
	in(0x40, 1);
	in(0x61, 1);
	in(PC_PORT_PM_TMR, 4);
	CHECK_EQ(pc_polled_reads(&pc), 3);
}
