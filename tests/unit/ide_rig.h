/* A board with one IDE disk (primary master) and one CD (secondary master), and a small polling and
 * interrupt-driven driver to exercise them as an operating system would.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_IDE_RIG_H
#define TESTS_UNIT_IDE_RIG_H

#include "dev/ide.h"
#include "fake_host.h"
#include "lib/crc32.h"
#include "unit.h"

#define RIG_MEM	 (1u << 20)
#define RIG_DISK (4u << 20)
#define RIG_CD	 (1u << 20)
#define BM_BASE	 0xc000

#define BSY  0x80u
#define DRDY 0x40u
#define DRQ  0x08u
#define ERR  0x01u

struct rig {
	struct fake_host f;
	struct bus io;
	struct pci_bus pci;
	struct ide ide;
	struct blk_ram disk, cd;
	unsigned edges[2];
	bool line[2];
	u8 mem[RIG_MEM], disk_data[RIG_DISK], cd_data[RIG_CD];
};

static inline void rig_irq(void *ctx, unsigned line, bool level)
{
	struct rig *r = ctx;

	r->edges[line] += level && !r->line[line];
	r->line[line] = level;
}

static inline struct rig *rig_new(void)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct irq_line irq[2] = {{rig_irq, r, 0}, {rig_irq, r, 1}};

	srand(1);
	for (unsigned i = 0; i < RIG_DISK; i++)
		r->disk_data[i] = (u8)rand();
	for (unsigned i = 0; i < RIG_CD; i++)
		r->cd_data[i] = (u8)rand();
	fake_host_init(&r->f, r->mem, RIG_MEM);
	blk_ram_init(&r->disk, &r->f.host, r->disk_data, RIG_DISK, false);
	blk_ram_init(&r->cd, &r->f.host, r->cd_data, RIG_CD, true);
	pci_bus_init(&r->pci, &r->io);
	CHECK_EQ(ide_init(&r->ide, &r->f.host, &r->pci, irq), 0);
	CHECK_EQ(ide_map(&r->ide, &r->io), 0);
	CHECK_EQ(ide_attach_disk(&r->ide, 0, 0, &r->disk.blk), 0);
	CHECK_EQ(ide_attach_cd(&r->ide, 1, 0, &r->cd.blk), 0);
	pci_cfg_write(&r->ide.pci, 0x20, 4, BM_BASE);
	pci_cfg_write(&r->ide.pci, PCI_COMMAND, 2, 5);
	return r;
}

static inline void rig_free(struct rig *r)
{
	free(r);
}

static inline u16 cmd_port(unsigned ch, unsigned reg)
{
	return (u16)((ch ? 0x170 : 0x1f0) + reg);
}
static inline void out(struct rig *r, unsigned ch, unsigned reg, u8 v)
{
	bus_port_write(&r->io, cmd_port(ch, reg), 1, v);
}
static inline u8 in(struct rig *r, unsigned ch, unsigned reg)
{
	return (u8)bus_port_read(&r->io, cmd_port(ch, reg), 1);
}
static inline u8 altstatus(struct rig *r, unsigned ch)
{
	return (u8)bus_port_read(&r->io, ch ? 0x376 : 0x3f6, 1);
}
static inline void control(struct rig *r, unsigned ch, u8 v)
{
	bus_port_write(&r->io, ch ? 0x376 : 0x3f6, 1, v);
}
static inline u32 bm_in(struct rig *r, unsigned ch, unsigned reg, unsigned size)
{
	return bus_port_read(&r->io, (u16)(BM_BASE + ch * 8 + reg), size);
}
static inline void bm_out(struct rig *r, unsigned ch, unsigned reg, unsigned size, u32 v)
{
	bus_port_write(&r->io, (u16)(BM_BASE + ch * 8 + reg), size, v);
}

/* Wait until the drive is not busy; the status then. The interrupt is left pending. */
static inline u8 wait_idle(struct rig *r, unsigned ch)
{
	for (unsigned i = 0; (altstatus(r, ch) & BSY) && i < 1000; i++)
		fake_advance(&r->f, 1000);
	CHECK(!(altstatus(r, ch) & BSY));
	return altstatus(r, ch);
}

/* Acknowledge as an interrupt handler does: the line must be up, reading the status drops it. */
static inline u8 take_irq(struct rig *r, unsigned ch)
{
	u8 st;

	wait_idle(r, ch);
	CHECK(r->line[ch]);
	st = in(r, ch, 7);
	CHECK(!r->line[ch]);
	return st;
}

static inline void lba28(struct rig *r, u8 cmd, u32 lba, u8 n)
{
	out(r, 0, 6, (u8)(0xe0 | lba >> 24));
	out(r, 0, 2, n);
	out(r, 0, 3, (u8)lba);
	out(r, 0, 4, (u8)(lba >> 8));
	out(r, 0, 5, (u8)(lba >> 16));
	out(r, 0, 7, cmd);
}

static inline void lba48(struct rig *r, u8 cmd, u64 lba, u16 n)
{
	out(r, 0, 6, 0xe0);
	out(r, 0, 2, (u8)(n >> 8));
	out(r, 0, 3, (u8)(lba >> 24));
	out(r, 0, 4, (u8)(lba >> 32));
	out(r, 0, 5, (u8)(lba >> 40));
	lba28(r, cmd, (u32)lba & 0xffffff, (u8)n);
}

/* Read @n words singly or by REP INS (as far as each goes). */
static inline void pio_in(struct rig *r, unsigned ch, void *buf, unsigned n, bool rep)
{
	const struct port_range *p = bus_find_port(&r->io, cmd_port(ch, 0));
	u8 *at = buf;

	for (unsigned i = 0; i < n;) {
		unsigned got = rep ? p->ops->read_rep(p->dev, cmd_port(ch, 0), 2, at, n - i) : 0;

		if (!got) {
			u16 v = (u16)bus_port_read(&r->io, cmd_port(ch, 0), 2);

			memcpy(at, &v, 2);
			got = 1;
		}
		i += got;
		at += got * 2;
	}
}
static inline void pio_out(struct rig *r, unsigned ch, const void *buf, unsigned n, bool rep)
{
	const struct port_range *p = bus_find_port(&r->io, cmd_port(ch, 0));
	const u8 *at = buf;

	for (unsigned i = 0; i < n;) {
		unsigned put = rep ? p->ops->write_rep(p->dev, cmd_port(ch, 0), 2, at, n - i) : 0;

		if (!put) {
			u16 v;

			memcpy(&v, at, 2);
			bus_port_write(&r->io, cmd_port(ch, 0), 2, v);
			put = 1;
		}
		i += put;
		at += put * 2;
	}
}

/* Write entry @n of a PRD table at @table. */
static inline void prd(struct rig *r, u32 table, unsigned n, u32 addr, u32 len, bool last)
{
	u32 e[2] = {addr, (len & 0xffff) | (last ? 0x80000000u : 0)};

	memcpy(r->mem + table + n * 8, e, 8);
}
static inline void bm_start(struct rig *r, unsigned ch, u32 table, bool to_memory)
{
	bm_out(r, ch, 4, 4, table);
	bm_out(r, ch, 0, 1, to_memory ? 8 : 0);
	bm_out(r, ch, 2, 1, 0x66);
	bm_out(r, ch, 0, 1, to_memory ? 9 : 1);
}

/* Send a packet; the caller looks at what follows. */
static inline void packet(struct rig *r, const u8 p[12], u16 limit, bool dma)
{
	out(r, 1, 6, 0xa0);
	out(r, 1, 1, dma);
	out(r, 1, 4, (u8)limit);
	out(r, 1, 5, (u8)(limit >> 8));
	out(r, 1, 7, 0xa0);
	CHECK_EQ(wait_idle(r, 1) & (DRQ | ERR), DRQ);
	CHECK_EQ(in(r, 1, 2), 1); /* command, to drive */
	pio_out(r, 1, p, 6, false);
}

/* Run a packet command by PIO; bytes received into @buf, or -sense key. */
static inline int packet_in(struct rig *r, const u8 p[12], u16 limit, void *buf, unsigned max)
{
	unsigned got = 0;

	packet(r, p, limit, false);
	for (;;) {
		u8 st = take_irq(r, 1);
		unsigned len;

		if (st & ERR) {
			CHECK_EQ(in(r, 1, 2) & 3, 3);
			return -(in(r, 1, 1) >> 4);
		}
		if (!(st & DRQ))
			break;
		CHECK_EQ(in(r, 1, 2) & 3, 2);
		len = in(r, 1, 4) | in(r, 1, 5) << 8;
		CHECK(len && len <= limit && got + len <= max);
		if (!len || got + len > max)
			return -100;
		pio_in(r, 1, (u8 *)buf + got, (len + 1) / 2, true);
		got += len;
	}
	CHECK_EQ(in(r, 1, 2) & 3, 3);
	return (int)got;
}

#endif
