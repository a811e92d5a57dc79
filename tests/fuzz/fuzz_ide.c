/* Random port accesses, PRD tables, guest memory and time steps on both IDE channels, a disk on one
 * and a CD on the other. Whatever the guest does, the controller must stay inside its buffers,
 * touch only memory that is RAM, keep its phase and position consistent, and work again after a
 * reset.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/dev/ide.c hv/dev/ide_dma.c hv/dev/ata.c hv/dev/atapi.c hv/dev/atapi_mmc.c hv/dev/pci.c
 * SRCS: hv/dev/bus.c hv/dev/blk_ram.c hv/lib/timerq.c
 */
#include "fuzz.h"

#include "../unit/fake_host.h"
#include "dev/ide.h"

#define MEM_SIZE  0x20000u
#define DISK_SIZE (300u * 512)
#define CD_SIZE	  (90u * 2048)
#define BM_BASE	  0xc000

struct machine {
	struct fake_host f;
	struct bus io;
	struct pci_bus pci;
	struct ide ide;
	struct blk_ram disk, cd;
	bool line[2];
	u8 *mem, *disk_data, *cd_data; /* separate allocations: ASan guards their ends */
};

static void on_irq(void *ctx, unsigned line, bool level)
{
	struct machine *m = ctx;

	MUST(m->line[line] != level); /* only changes are told */
	m->line[line] = level;
}

static void map_bus_master(struct machine *m)
{
	pci_cfg_write(&m->ide.pci, 0x20, 4, BM_BASE);
	pci_cfg_write(&m->ide.pci, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
}

static struct machine *machine_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct irq_line irq[2] = {{on_irq, m, 0}, {on_irq, m, 1}};

	m->mem = calloc(1, MEM_SIZE);
	m->disk_data = calloc(1, DISK_SIZE);
	m->cd_data = calloc(1, CD_SIZE);
	fake_host_init(&m->f, m->mem, MEM_SIZE);
	blk_ram_init(&m->disk, &m->f.host, m->disk_data, DISK_SIZE, false);
	blk_ram_init(&m->cd, &m->f.host, m->cd_data, CD_SIZE, true);
	pci_bus_init(&m->pci, &m->io);
	MUST(!ide_init(&m->ide, &m->f.host, &m->pci, irq));
	MUST(!ide_map(&m->ide, &m->io));
	MUST(!ide_attach_disk(&m->ide, 0, 0, &m->disk.blk));
	MUST(!ide_attach_cd(&m->ide, 1, 0, &m->cd.blk));
	map_bus_master(m);
	return m;
}

static void machine_free(struct machine *m)
{
	free(m->mem);
	free(m->disk_data);
	free(m->cd_data);
	free(m);
}

static void check(const struct machine *m)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct ide_channel *c = &m->ide.ch[i];
		const struct ide_drive *d = &c->drive[c->active];

		MUST(c->pos <= c->drq_end || (c->phase != IDE_PIO_IN && c->phase != IDE_PIO_OUT));
		MUST(c->end <= IDE_BUF_SIZE && c->drq_end <= IDE_BUF_SIZE);
		if (c->phase == IDE_PIO_IN || c->phase == IDE_PIO_OUT)
			MUST(c->pos < c->drq_end && c->drq_end <= c->end && (d->status & 8));
		if (c->phase == IDE_BUSY)
			MUST((d->status & 0x80) && d->blk && (m->disk.head || m->cd.head));
		if (c->phase == IDE_IDLE && !(c->control & 4))
			MUST(!(d->status & 0x88));
		MUST(m->line[i] == c->irq_out);
	}
}

static u32 take32(struct program *s)
{
	u32 v = take(s);

	v |= (u32)take(s) << 8;
	v |= (u32)take(s) << 16;
	return v | (u32)take(s) << 24;
}

static u16 pick_port(struct program *s)
{
	u8 v = take(s);

	switch (v >> 6) {
	case 0:
		return 0x1f0 + (v & 7);
	case 1:
		return 0x170 + (v & 7);
	case 2:
		return v & 1 ? 0x3f6 : 0x376;
	default:
		return BM_BASE + (v & 15);
	}
}

static void rep(struct machine *m, struct program *s, bool write)
{
	u16 port = take(s) & 1 ? 0x1f0 : 0x170;
	unsigned size = 1u << take(s) % 3, count = take(s) * 16u;
	const struct port_range *p = bus_find_port(&m->io, port);
	u8 *buf = calloc(count + 1u, size);
	unsigned n;

	if (write) {
		for (unsigned i = 0; i < 12 && i < count * size; i++)
			buf[i] = take(s);
		n = p->ops->write_rep(p->dev, port, size, buf, count);
	} else {
		n = p->ops->read_rep(p->dev, port, size, buf, count);
	}
	MUST(n <= count);
	free(buf);
}

static u8 pick(struct program *s, const u8 *table, unsigned n)
{
	u8 v = take(s);

	return v < n ? table[v] : v;
}

/* A whole command at once, mostly one that exists and a small address, so that the interesting
 * states are reached often. */
static void command(struct machine *m, struct program *s)
{
	static const u8 known[] = {0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0xc4, 0xc5,
				   0xc6, 0xc8, 0xca, 0xe7, 0xec, 0xef, 0xa1, 0x90, 0x91, 0xf8};
	u8 v = take(s);
	u16 base = v & 1 ? 0x1f0 : 0x170;

	bus_port_write(&m->io, base + 6, 1, v & 2 ? take(s) : 0xe0);
	bus_port_write(&m->io, base + 1, 1, take(s));
	bus_port_write(&m->io, base + 2, 1, take(s));
	bus_port_write(&m->io, base + 3, 1, take(s));
	bus_port_write(&m->io, base + 4, 1, v & 4 ? take(s) : 0);
	bus_port_write(&m->io, base + 5, 1, v & 4 ? take(s) : 0);
	bus_port_write(&m->io, base + 7, 1, pick(s, known, sizeof(known)));
}

static void packet(struct machine *m, struct program *s)
{
	static const u8 known[] = {0x00, 0x03, 0x12, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x2f,
				   0x43, 0x46, 0x4a, 0x51, 0x5a, 0xa8, 0xbb, 0xbd, 0xbe};
	u8 p[12] = {0}, v = take(s), filled = take(s);

	bus_port_write(&m->io, 0x176, 1, 0xa0);
	bus_port_write(&m->io, 0x171, 1, v & 1);
	bus_port_write(&m->io, 0x174, 2, v & 2 ? 0x800 : v & 4 ? take(s) : 0xfffe);
	bus_port_write(&m->io, 0x177, 1, 0xa0);
	p[0] = pick(s, known, sizeof(known));
	for (unsigned i = 1; i < 12; i++)
		p[i] = i < 8 && filled >> i & 1 ? take(s) : 0;
	p[8] = take(s);
	p[9] = filled & 1 ? take(s) : 0x10;
	for (unsigned i = 0; i < 12; i += 2)
		bus_port_write(&m->io, 0x170, 2, p[i] | (u32)p[i + 1] << 8);
	if (v & 8)
		fake_advance(&m->f, 1000);
}

static void write_prd(struct machine *m, struct program *s)
{
	u32 at = take(s) * 8u, e[2] = {take32(s) & 0x3ffff, take32(s)};

	memcpy(m->mem + at, e, sizeof(e));
}

static void step(struct machine *m, struct program *s)
{
	static const u8 sizes[4] = {1, 2, 4, 1};
	u8 op = take(s);
	unsigned size = sizes[op >> 6];

	switch (op & 15) {
	case 0:
	case 1:
	case 2:
		bus_port_write(&m->io, pick_port(s), size, take32(s));
		break;
	case 3:
	case 4:
		bus_port_read(&m->io, pick_port(s), size);
		break;
	case 5:
		rep(m, s, false);
		break;
	case 6:
		rep(m, s, true);
		break;
	case 7:
	case 8:
		command(m, s);
		break;
	case 9:
	case 10:
		fake_advance(&m->f, take(s) * 100u);
		break;
	case 11:
		write_prd(m, s);
		break;
	case 12:
		if (op & 64) {
			packet(m, s);
			break;
		}
		m->mem[take32(s) % MEM_SIZE] = take(s);
		break;
	case 13:
		pci_cfg_write(&m->ide.pci, take(s) & 0xfc, 4, take32(s));
		map_bus_master(m);
		break;
	case 14:
		if (op >> 4 == 15) {
			ide_reset(&m->ide);
			map_bus_master(m);
		}
		break;
	default: /* start a bus master with the table at 0 */
		bus_port_write(&m->io, BM_BASE + (op & 16 ? 8 : 0), 1, op & 32 ? 9 : 1);
	}
}

/* After a reset, a sector must come through unharmed whatever went before. */
static void still_works(struct machine *m)
{
	ide_reset(&m->ide);
	for (unsigned i = 0; i < 512; i++)
		m->disk_data[7 * 512 + i] = (u8)(i * 3);
	bus_port_write(&m->io, 0x1f6, 1, 0xe0);
	bus_port_write(&m->io, 0x1f2, 1, 1);
	bus_port_write(&m->io, 0x1f3, 1, 7);
	bus_port_write(&m->io, 0x1f4, 2, 0);
	bus_port_write(&m->io, 0x1f7, 1, 0x20);
	fake_advance(&m->f, 1000);
	MUST(m->line[0] && bus_port_read(&m->io, 0x1f7, 1) == 0x58);
	for (unsigned i = 0; i < 512; i += 2)
		MUST((bus_port_read(&m->io, 0x1f0, 2) & 0xff) == (u8)(i * 3));
	MUST(bus_port_read(&m->io, 0x1f7, 1) == 0x50);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct program s = {data, data + size};
	struct machine *m = machine_new();

	while (s.p < s.end) {
		step(m, &s);
		check(m);
	}
	still_works(m);
	machine_free(m);
	return 0;
}
