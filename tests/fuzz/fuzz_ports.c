/* Random accesses to every port, APIC page and disk request of a whole board, with time, typing,
 * interrupts and resets in between. Whatever the guest does, the chips must stay inside their
 * state, raise no interrupt that cannot be acknowledged, start no timer storm, and be quiet and
 * working after a reset.
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
#include "../unit/board_host.h"
#include "dev/pc.h"
#include "fuzz.h"

#define RAM_SIZE    0x20000u
#define MEDIUM_SIZE (64u * 2048)
#define REP_MAX	    64
#define STEPS_MAX   4096u

/* Timers per second that a guest can cause at most, all chips at their fastest: PIT and LAPIC by
 * their minimum periods, RTC at 8192 Hz, keyboard wire, UART, media; with a margin. */
#define STORM_LIMIT 120000u

struct machine {
	struct board_host b;
	struct pc pc;
	struct blk_ram disk, cd;
	u8 *ram, *medium, *vram; /* separate allocations: ASan guards their ends */
	bool room;
	u8 seen;
};

/* Reads every byte handed over, so that ASan judges the pointer. */
static void on_tx(void *ctx, const u8 *buf, unsigned n)
{
	struct machine *m = ctx;

	for (unsigned i = 0; i < n; i++)
		m->seen ^= buf[i];
}

static bool on_room(void *ctx)
{
	return ((struct machine *)ctx)->room;
}

static void on_text(void *ctx, const char *buf, unsigned n)
{
	on_tx(ctx, (const u8 *)buf, n);
}

static void on_row(void *ctx, unsigned row, const char *text)
{
	(void)ctx;
	MUST(row < VGA_MAX_ROWS && strlen(text) <= VGA_MAX_COLS);
}

static const struct pc_ops ops = {
	.uart_tx = on_tx,
	.uart_tx_room = on_room,
	.bios_text = on_text,
	.bios_log = on_text,
};

static struct machine *machine_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct pc_config cfg = {
		.name = "fuzz",
		.low_ram = RAM_SIZE,
		.ncpus = 1,
		.boot = {BOOT_CDROM},
		.vga = true,
		.serial = true,
		.time = {2024, 2, 29, 23, 59, 58},
		.x2apic = true,
		.tsc_deadline = true,
		.phys_bits = 40,
		.ops = &ops,
		.ctx = m,
	};

	m->ram = calloc(1, RAM_SIZE);
	m->medium = calloc(1, MEDIUM_SIZE);
	m->vram = calloc(1, PC_VGA_TEXT_SIZE);
	board_host_init(&m->b, m->ram, RAM_SIZE);
	blk_ram_init(&m->disk, &m->b.f.host, m->medium, MEDIUM_SIZE, false);
	blk_ram_init(&m->cd, &m->b.f.host, m->medium, MEDIUM_SIZE, true);
	cfg.disk = &m->disk.blk;
	cfg.cdrom = &m->cd.blk;
	cfg.vram = m->vram;
	MUST(!pc_init(&m->pc, &m->b.f.host, &cfg));
	return m;
}

static void machine_free(struct machine *m)
{
	free(m->vram);
	free(m->medium);
	free(m->ram);
	free(m);
}

static u32 take32(struct program *p)
{
	u32 v = take(p);

	v |= (u32)take(p) << 8;
	v |= (u32)take(p) << 16;
	return v | (u32)take(p) << 24;
}

/* Mostly a port that answers; sometimes any. */
static u16 take_port(struct machine *m, struct program *p)
{
	unsigned pick = take(p);
	const struct port_range *r;

	if (pick == 0xff)
		return (u16)(take(p) | take(p) << 8);
	r = &m->pc.board.bus.ports[pick % m->pc.board.bus.nports];
	return (u16)(r->base + take(p) % (r->len + 1u));
}

static void rep(struct machine *m, struct program *p, u16 port, unsigned size)
{
	const struct port_range *r = bus_find_port(&m->pc.board.bus, port);
	unsigned count = take(p) % REP_MAX + 1;
	u8 *buf = calloc(count, size); /* exact: ASan sees one byte too many */
	unsigned moved = 0;

	if (r && take(p) & 1 && r->ops->read_rep)
		moved = r->ops->read_rep(r->dev, port, size, buf, count);
	else if (r && r->ops->write_rep)
		moved = r->ops->write_rep(r->dev, port, size, buf, count);
	MUST(moved <= count);
	free(buf);
}

static void mmio(struct machine *m, struct program *p)
{
	gpa_t page = take(p) & 1 ? m->pc.board.lapic_at : PC_IOAPIC_BASE;
	gpa_t gpa = page + (take(p) << 4 & 0xff0);
	const struct mmio_range *r = bus_find_mmio(&m->pc.board.bus, gpa);
	unsigned size = 1u << take(p) % 4;

	if (!r)
		return;
	if (take(p) & 1)
		r->ops->write(r->dev, gpa - r->base, size, take32(p));
	else
		r->ops->read(r->dev, gpa - r->base, size);
}

static void msr(struct machine *m, struct program *p)
{
	struct lapic *l = &m->pc.board.lapic;
	u64 value = take32(p);

	switch (take(p) % 3) {
	case 0:
		(void)lapic_base_write(l, (value & 0xfffff000) | (take(p) & 0xd) << 8);
		break;
	case 1:
		(void)lapic_msr_write(l, 0x800 + take(p), value);
		break;
	default:
		lapic_set_tsc_deadline(l, m->b.f.now * 5 / 2 + value);
		break;
	}
}

/* Time passes; timers come no faster than the fastest chips together. */
static void pass(struct machine *m, u64 ns)
{
	u64 before = m->b.fired;

	board_run(&m->b, ns);
	MUST(m->b.fired - before <= 64 + ns * STORM_LIMIT / NSEC_PER_SEC);
}

static void acknowledge(struct machine *m)
{
	bool pending = board_intr_pending(&m->pc.board);
	int vector = board_intr_ack(&m->pc.board);

	MUST(pending == (vector >= 0));
	MUST(vector < 256);
	board_nmi_ack(&m->pc.board);
}

static void access_port(struct machine *m, struct program *p)
{
	u16 port = take_port(m, p);
	unsigned size = 1u << take(p) % 3;
	unsigned kind = take(p) % 8;

	if (kind == 0)
		rep(m, p, port, size);
	else if (kind < 4)
		MUST(size == 4 || bus_port_read(&m->pc.board.bus, port, size) >> (8 * size) == 0);
	else
		bus_port_write(&m->pc.board.bus, port, size, take32(p) >> (take(p) & 24));
}

static void reset(struct machine *m)
{
	pc_reset(&m->pc);
	MUST(timerq_next(&m->b.f.q) == TIMER_OFF);
	MUST(!board_intr_pending(&m->pc.board) && !board_nmi_pending(&m->pc.board));
}

static void step(struct machine *m, struct program *p)
{
	unsigned op = take(p);

	switch (op % 16) {
	case 0:
		pass(m, take32(p) % (10 * NSEC_PER_MSEC));
		break;
	case 1:
		pass(m, take(p) * NSEC_PER_MSEC);
		break;
	case 2:
	case 3:
		acknowledge(m);
		break;
	case 4:
		pc_input(&m->pc, take(p));
		break;
	case 5:
		mmio(m, p);
		break;
	case 6:
		msr(m, p);
		break;
	case 7:
		m->room = op & 0x80;
		uart_tx_kick(&m->pc.uart);
		break;
	case 8:
		if (op & 0x80)
			pc_screen_changed(&m->pc, on_row, NULL);
		else
			m->vram[take32(p) % PC_VGA_TEXT_SIZE] = take(p);
		break;
	case 9:
		m->ram[take32(p) % RAM_SIZE] = take(p);
		break;
	case 10:
		if (op == 0xfa)
			reset(m);
		else
			pc_nmi(&m->pc);
		break;
	default:
		access_port(m, p);
		break;
	}
}

/* The keyboard interrupts again: bus, 8259, LINT0 and CPU interface all live. */
static void prove_alive(struct machine *m)
{
	static const u8 icw[] = {0x11, 0x20, 0x04, 0x01};

	reset(m);
	for (unsigned i = 0; i < 4; i++)
		bus_port_write(&m->pc.board.bus, i ? 0x21 : 0x20, 1, icw[i]);
	bus_port_write(&m->pc.board.bus, 0x21, 1, 0);
	MUST(pc_key(&m->pc, 'x'));
	MUST(board_intr_ack(&m->pc.board) == 0x21);
	MUST(bus_port_read(&m->pc.board.bus, 0x60, 1) == 0x2d);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct program prog = {data, data + size};
	struct machine *m = machine_new();

	for (unsigned i = 0; i < STEPS_MAX && prog.p < prog.end; i++)
		step(m, &prog);
	prove_alive(m);
	machine_free(m);
	return 0;
}
