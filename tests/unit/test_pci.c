/* PCI bus and chipset functions: would catch wrong configuration mechanism decoding, BAR sizing or
 * mapping errors (overlaps, moves, disabled decoding), a PIRQ that is not the OR of its sources,
 * PAM segments off by one, reset control without its edge.
 *
 * SRCS: hv/dev/pci.c hv/dev/piix.c hv/dev/bus.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/piix.h"

#include "fake_host.h"
#include "unit.h"

struct rig {
	struct fake_host f;
	struct bus io;
	struct pci_bus bus;
	struct i440fx host;
	struct piix3 isa;
	struct piix4_pm pm;
	u16 isa_lines;
	unsigned isa_calls;
	u8 pam[13];
	unsigned pam_calls;
};

static void on_isa(void *ctx, unsigned irq, bool level)
{
	struct rig *r = ctx;

	r->isa_calls++;
	r->isa_lines = (u16)(level ? r->isa_lines | 1u << irq : r->isa_lines & ~(1u << irq));
}
static void on_pam(void *ctx, gpa_t base, u32 len, unsigned attr)
{
	struct rig *r = ctx;

	r->pam_calls++;
	if (base == 0xf0000) {
		CHECK_EQ(len, 0x10000);
		r->pam[12] = (u8)attr;
		return;
	}
	CHECK_EQ(len, 0x4000);
	CHECK(base >= 0xc0000 && base < 0xf0000 && !(base & 0x3fff));
	r->pam[(base - 0xc0000) / 0x4000] = (u8)attr;
}

static struct rig *rig_new(void)
{
	struct rig *r = calloc(1, sizeof(*r));

	fake_host_init(&r->f, NULL, 0);
	pci_bus_init(&r->bus, &r->io);
	bus_add_port(&r->io, PCI_PORT_BASE, PCI_PORT_LEN, &pci_port_ops, &r->bus);
	CHECK_EQ(i440fx_init(&r->host, &r->bus, on_pam, r), 0);
	CHECK_EQ(piix3_init(&r->isa, &r->f.host, &r->bus, on_isa, r), 0);
	CHECK_EQ(piix4_pm_init(&r->pm, &r->bus), 0);
	return r;
}

static void addr(struct rig *r, unsigned slot, unsigned fn, unsigned reg)
{
	bus_port_write(&r->io, 0xcf8, 4, 0x80000000u | slot << 11 | fn << 8 | (reg & 0xfc));
}
static u32 rd(struct rig *r, unsigned slot, unsigned fn, unsigned reg, unsigned size)
{
	addr(r, slot, fn, reg);
	return bus_port_read(&r->io, (u16)(0xcfc + (reg & 3)), size);
}
static void wr(struct rig *r, unsigned slot, unsigned fn, unsigned reg, unsigned size, u32 v)
{
	addr(r, slot, fn, reg);
	bus_port_write(&r->io, (u16)(0xcfc + (reg & 3)), size, v);
}

TEST(board_is_what_old_systems_look_for)
{
	struct rig *r = rig_new();

	CHECK_EQ(rd(r, 0, 0, 0, 4), 0x12378086);
	CHECK_EQ(rd(r, 0, 0, 0xa, 2), 0x0600);
	CHECK_EQ(rd(r, 1, 0, 0, 4), 0x70008086);
	CHECK_EQ(rd(r, 1, 0, 0xa, 2), 0x0601);
	CHECK_EQ(rd(r, 1, 0, 0xe, 1), 0x80);
	CHECK_EQ(rd(r, 0, 0, 0xe, 1), 0x00);
	CHECK_EQ(rd(r, 1, 3, 0, 4), 0x71138086);
	CHECK_EQ(rd(r, 1, 3, 0x40, 4), 0x601);
	CHECK_EQ(rd(r, 1, 3, 0x80, 1), 1);
	CHECK_EQ(rd(r, 1, 3, 0x3c, 2), 0x0109);
	CHECK_EQ(rd(r, 1, 1, 0, 4), 0xffffffff);
	CHECK_EQ(rd(r, 31, 7, 0, 2), 0xffff);
	bus_port_write(&r->io, 0xcf8, 4, 0x80010000); /* bus 1 */
	CHECK_EQ(bus_port_read(&r->io, 0xcfc, 4), 0xffffffff);
	bus_port_write(&r->io, 0xcf8, 4, 0); /* not enabled */
	CHECK_EQ(bus_port_read(&r->io, 0xcfc, 4), 0xffffffff);
	free(r);
}

TEST(address_register_is_dwords_only)
{
	struct rig *r = rig_new();

	bus_port_write(&r->io, 0xcf8, 4, 0xffffffff);
	CHECK_EQ(bus_port_read(&r->io, 0xcf8, 4), 0x80fffffc);
	bus_port_write(&r->io, 0xcf8, 1, 0);
	bus_port_write(&r->io, 0xcfa, 2, 0);
	CHECK_EQ(bus_port_read(&r->io, 0xcf8, 4), 0x80fffffc);
	CHECK_EQ(bus_port_read(&r->io, 0xcf8, 2), 0xffff);
	free(r);
}

TEST(bytes_and_words_select_within_the_dword)
{
	struct rig *r = rig_new();

	CHECK_EQ(rd(r, 0, 0, 1, 1), 0x80);
	CHECK_EQ(rd(r, 0, 0, 2, 2), 0x1237);
	wr(r, 1, 3, 0x3c, 4, 0xffffff55); /* only INTERRUPT_LINE is writable */
	CHECK_EQ(rd(r, 1, 3, 0x3c, 4), 0x00000155);
	wr(r, 1, 0, 0, 4, 0);
	CHECK_EQ(rd(r, 1, 0, 0, 4), 0x70008086);
	free(r);
}

TEST(reset_control_acts_on_the_rising_edge)
{
	struct rig *r = rig_new();

	bus_port_write(&r->io, 0xcf9, 1, 0x02);
	CHECK_EQ(r->f.events, 0);
	CHECK_EQ(bus_port_read(&r->io, 0xcf9, 1), 0x02);
	bus_port_write(&r->io, 0xcf9, 1, 0x06);
	CHECK_EQ(r->f.events, 1);
	CHECK_EQ(r->f.last_event, MACHINE_RESET_CF9);
	CHECK_EQ(r->f.last_value, 6);
	bus_port_write(&r->io, 0xcf9, 1, 0x06);
	CHECK_EQ(r->f.events, 1);
	bus_port_write(&r->io, 0xcf9, 1, 0x00);
	bus_port_write(&r->io, 0xcf9, 1, 0x04);
	CHECK_EQ(r->f.events, 2);
	addr(r, 0, 0, 4); /* the address dword has bit 10 set: no reset */
	bus_port_write(&r->io, 0xcf8, 4, 0x80000400);
	CHECK_EQ(r->f.events, 2);
	piix3_reset(&r->isa);
	CHECK_EQ(bus_port_read(&r->io, 0xcf9, 1), 0);
	free(r);
}

/* --- BARs --- */

static u32 bar_read(void *dev, u16 port, unsigned size)
{
	(void)size;
	return (u32)((uintptr_t)dev & 0xff00) | (port & 0xff);
}
static u64 bar_mread(void *dev, u64 off, unsigned size)
{
	(void)dev;
	(void)size;
	return off + 1;
}
static const struct port_ops bar_ops = {.read = bar_read};
static const struct mmio_ops bar_mops = {.read = bar_mread};

TEST(bars_size_map_move_and_unmap)
{
	struct rig *r = rig_new();
	struct pci_dev d;

	pci_dev_init(&d, 0x1234, 0x5678, 0xff0000, 1);
	pci_bar_io(&d, 0, 16, &bar_ops, &d);
	pci_bar_mem(&d, 1, 0x1000, &bar_mops, &d);
	CHECK_EQ(pci_bus_add(&r->bus, 2, 0, &d), 0);
	CHECK_EQ(pci_bus_add(&r->bus, 2, 0, &d), -EEXIST);
	CHECK_EQ(pci_bus_add(&r->bus, 32, 0, &d), -EINVAL);
	wr(r, 2, 0, 0x10, 4, 0xffffffff);
	wr(r, 2, 0, 0x14, 4, 0xffffffff);
	CHECK_EQ(rd(r, 2, 0, 0x10, 4), 0xfffffff1);
	CHECK_EQ(rd(r, 2, 0, 0x14, 4), 0xfffff000);
	wr(r, 2, 0, 0x10, 4, 0xc000);
	CHECK(!bus_find_port(&r->io, 0xc000));
	wr(r, 2, 0, 0x04, 2, 3);
	CHECK(bus_find_port(&r->io, 0xc000) && bus_find_port(&r->io, 0xc00f));
	CHECK(!bus_find_port(&r->io, 0xc010));
	CHECK(!bus_find_mmio(&r->io, 0xfffff000)); /* a size probe is not an address */
	wr(r, 2, 0, 0x14, 4, 0xe0000000);
	CHECK(bus_find_mmio(&r->io, 0xe0000fff));
	wr(r, 2, 0, 0x10, 4, 0xd000);
	CHECK(!bus_find_port(&r->io, 0xc000));
	CHECK(bus_find_port(&r->io, 0xd000));
	wr(r, 2, 0, 0x11, 1, 0xff); /* a byte of the BAR */
	CHECK(bus_find_port(&r->io, 0xff00));
	wr(r, 2, 0, 0x04, 2, 0);
	CHECK(!bus_find_port(&r->io, 0xff00) && !bus_find_mmio(&r->io, 0xe0000000));
	wr(r, 2, 0, 0x04, 2, 3);
	pci_dev_reset(&d);
	CHECK(!bus_find_port(&r->io, 0xff00) && !bus_find_mmio(&r->io, 0xe0000000));
	CHECK_EQ(rd(r, 2, 0, 0x10, 4), 1);
	free(r);
}

TEST(overlapping_bars_wait_for_their_place)
{
	struct rig *r = rig_new();
	struct pci_dev d[2];

	for (unsigned i = 0; i < 2; i++) {
		pci_dev_init(&d[i], 0x1234, (u16)i, 0xff0000, 1);
		pci_bar_io(&d[i], 0, 16, &bar_ops, &d[i]);
		pci_bus_add(&r->bus, 2 + i, 0, &d[i]);
		wr(r, 2 + i, 0, 0x10, 4, 0xc000);
		wr(r, 2 + i, 0, 0x04, 2, 1);
	}
	CHECK(bus_find_port(&r->io, 0xc000)->dev == &d[0]);
	wr(r, 2, 0, 0x10, 4, 0xc100);
	CHECK(bus_find_port(&r->io, 0xc000)->dev == &d[1]);
	CHECK(bus_find_port(&r->io, 0xc100)->dev == &d[0]);
	wr(r, 2, 0, 0x10, 4, 0xcf0); /* over the configuration ports themselves */
	CHECK_EQ(rd(r, 2, 0, 0, 4), 0x1234);
	free(r);
}

TEST(random_bar_writes_never_break_the_board)
{
	struct rig *r = rig_new();
	struct pci_dev d[3];

	srand(3);
	for (unsigned i = 0; i < 3; i++) {
		pci_dev_init(&d[i], 0x1234, (u16)i, 0xff0000, 1);
		pci_bar_io(&d[i], 0, 16, &bar_ops, &d[i]);
		pci_bar_mem(&d[i], 1, 0x1000, &bar_mops, &d[i]);
		pci_bus_add(&r->bus, 2 + i, 0, &d[i]);
	}
	for (unsigned i = 0; i < 20000; i++) {
		u32 v = rand() % 2 ? (u32)rand() << 1 : (u32)rand() & 0xff0;

		wr(r, 2 + rand() % 3, 0, 4 + rand() % 20, rand() % 2 ? 1 : 4, v);
		for (unsigned n = 0; n < 3; n++) {
			u32 base = pci_get32(&d[n], 0x10) & ~1u;
			const struct port_range *p = bus_find_port(&r->io, (u16)base);

			if (d[n].bar[0].mapped)
				CHECK(p && p->dev == &d[n] && (d[n].cfg[4] & 1));
		}
		CHECK_EQ(rd(r, 0, 0, 0, 4), 0x12378086);
	}
	CHECK(r->io.nports <= 4);
	free(r);
}

/* --- interrupts --- */

TEST(pirqs_are_or_ed_and_routed)
{
	struct rig *r = rig_new();
	struct pci_dev d[3];

	for (unsigned i = 0; i < 3; i++) {
		pci_dev_init(&d[i], 0x1234, (u16)i, 0xff0000, 1);
		d[i].intx_pin = 1;
	}
	pci_bus_add(&r->bus, 4, 0, &d[0]); /* PIRQA */
	pci_bus_add(&r->bus, 8, 0, &d[1]); /* PIRQA */
	pci_bus_add(&r->bus, 5, 0, &d[2]); /* PIRQB */
	CHECK_EQ(rd(r, 4, 0, 0x3d, 1), 1);
	pci_set_intx(&d[0], true);
	CHECK_EQ(r->isa_lines, 0); /* not routed yet */
	wr(r, 1, 0, 0x60, 4, 0x80800b0a);
	CHECK_EQ(r->isa_lines, 1u << 10);
	pci_set_intx(&d[1], true);
	pci_set_intx(&d[0], false);
	CHECK_EQ(r->isa_lines, 1u << 10);
	CHECK_EQ(r->isa_calls, 1);
	pci_set_intx(&d[2], true);
	CHECK_EQ(r->isa_lines, 1u << 10 | 1u << 11);
	wr(r, 1, 0, 0x61, 1, 0x0a); /* share one line */
	CHECK_EQ(r->isa_lines, 1u << 10);
	pci_set_intx(&d[1], false);
	CHECK_EQ(r->isa_lines, 1u << 10);
	pci_set_intx(&d[2], false);
	CHECK_EQ(r->isa_lines, 0);
	pci_set_intx(&d[2], true);
	CHECK_EQ(rd(r, 5, 0, 6, 1) & 8, 8);
	wr(r, 5, 0, 4, 2, 0x400); /* INTx disable */
	CHECK_EQ(r->isa_lines, 0);
	CHECK_EQ(rd(r, 5, 0, 6, 1) & 8, 8);
	wr(r, 5, 0, 4, 2, 0);
	CHECK_EQ(r->isa_lines, 1u << 10);
	wr(r, 1, 0, 0x61, 1, 0x02); /* IRQ 2 cannot be named */
	CHECK_EQ(r->isa_lines, 0);
	free(r);
}

TEST(pam_reports_each_segment)
{
	struct rig *r = rig_new();
	static const u8 zero[13];

	wr(r, 0, 0, 0x59, 1, 0xff);
	CHECK_EQ(rd(r, 0, 0, 0x59, 1), 0x30);
	CHECK_EQ(r->pam[12], 3);
	CHECK_EQ(r->pam_calls, 1);
	wr(r, 0, 0, 0x5a, 1, 0x21); /* C0000: read, C4000: write */
	CHECK_EQ(r->pam[0], 1);
	CHECK_EQ(r->pam[1], 2);
	wr(r, 0, 0, 0x5c, 4, 0x33333333);
	for (unsigned i = 4; i < 12; i++)
		CHECK_EQ(r->pam[i], 3);
	CHECK_EQ(r->pam[2] | r->pam[3], 0);
	CHECK_EQ(r->pam_calls, 11);
	wr(r, 0, 0, 0x5c, 4, 0x33333333);
	CHECK_EQ(r->pam_calls, 11);
	i440fx_reset(&r->host);
	CHECK(!memcmp(r->pam, zero, sizeof(zero)));
	free(r);
}
