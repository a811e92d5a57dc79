/* The control partition's PCI configuration space. These tests would catch: a real BAR moved over
 * RAM, a local APIC, an IOAPIC or ECAM, even for the moment of sizing; a wrong answer to sizing; an
 * IOAPIC as PCI function switched off; a hidden UART seen or written, or its siblings lost; our
 * function in a place that is taken; its BAR decoded where it must not be; ECAM off by a bus.
 *
 * SRCS: hv/dev/hostpci.c hv/dev/hostpci_bar.c hv/dev/pci.c hv/dev/bus.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "hostpci_world.h"
#include "lib/errno.h"

#define MEM PCI_COMMAND_MEM

static u32 rd(struct world *w, u32 sbdf, unsigned off)
{
	return hostpci_read(&w->h, sbdf, off, 4);
}

static void wr(struct world *w, u32 sbdf, unsigned off, u32 v)
{
	hostpci_write(&w->h, sbdf, off, 4, v);
}

static void no_error(struct world *w)
{
	if (w->error)
		printf("# %s\n", w->error);
	CHECK(!w->error);
}

/* As an operating system does: decoding off, all ones, read, put back. */
static u32 size_of(struct world *w, u32 sbdf, unsigned off, bool turn_off)
{
	u32 was = rd(w, sbdf, off), command = hostpci_read(&w->h, sbdf, PCI_COMMAND, 2), v;

	if (turn_off)
		hostpci_write(&w->h, sbdf, PCI_COMMAND, 2, command & ~MEM);
	wr(w, sbdf, off, UINT32_MAX);
	v = rd(w, sbdf, off);
	wr(w, sbdf, off, was);
	hostpci_write(&w->h, sbdf, PCI_COMMAND, 2, command);
	CHECK_EQ(rd(w, sbdf, off), was);
	CHECK_EQ(hostpci_read(&w->h, sbdf, PCI_COMMAND, 2), command);
	return v;
}

TEST(mechanism_one)
{
	struct world w;
	const struct port_ops *io = &hostpci_port_ops;

	world_init(&w);
	CHECK_EQ(io->read(&w.h, 0xcfc, 4), 0xffffffff); /* not enabled */
	io->write(&w.h, 0xcf8, 4, 0xff000000 | WORLD_NIC << 8 | 3);
	CHECK_EQ(io->read(&w.h, 0xcf8, 4), 0x80000000 | WORLD_NIC << 8);
	io->write(&w.h, 0xcf8, 1, 0); /* bytes of CF8 are other ports */
	CHECK_EQ(io->read(&w.h, 0xcf8, 2), 0xffff);
	CHECK_EQ(io->read(&w.h, 0xcfc, 4), 0x100e8086);
	CHECK_EQ(io->read(&w.h, 0xcfe, 2), 0x100e);
	CHECK_EQ(io->read(&w.h, 0xcfd, 2), 0x0e80); /* within the dword, unaligned */
	CHECK_EQ(io->read(&w.h, 0xcff, 1), 0x10);
	CHECK_EQ(io->read(&w.h, 0xcfe, 4), 0xffffffff);
	io->write(&w.h, 0xcf8, 4, 0x80000000 | WORLD_NIC << 8 | 0x3c);
	io->write(&w.h, 0xcfc, 1, 11);
	CHECK_EQ(rd(&w, WORLD_NIC, 0x3c), 11);
	CHECK_EQ(io->read(&w.h, 0xcf9, 1), 0x5a);
	io->write(&w.h, 0xcf9, 1, 6);
	CHECK_EQ(w.reset_value, 6);
	no_error(&w);
}

TEST(ecam_windows)
{
	struct world w;
	struct hostpci_window *a, *b;

	world_init(&w);
	a = &w.h.window[0];
	b = &w.h.window[1];
	CHECK_EQ(b->base, 0x900000000ull + 2 * MIB);
	CHECK_EQ(b->len, 2 * MIB);
	CHECK_EQ(hostpci_ecam_ops.read(a, WORLD_NIC << 12, 4), 0x100e8086);
	CHECK_EQ(hostpci_ecam_ops.read(a, (WORLD_NIC << 12) + 3, 1), 0x10);
	CHECK_EQ(hostpci_ecam_ops.read(b, (u64)(8 << 3) << 12, 2), 0x1af4);
	CHECK_EQ(hostpci_ecam_ops.read(a, (u64)(8 << 3) << 12, 2), 0xffff);
	CHECK_EQ(hostpci_ecam_ops.read(a, WORLD_NIC << 12, 8), 0x00000003100e8086ull);
	CHECK_EQ(hostpci_ecam_ops.read(b, 2 * MIB, 4), -1ll);
	hostpci_ecam_ops.write(b, 2 * MIB, 4, 0);
	hostpci_ecam_ops.write(a, (WORLD_NIC << 12) + 0x40, 8, 0x1122334455667788ull);
	CHECK_EQ(rd(&w, WORLD_NIC, 0x40), 0x55667788);
	CHECK_EQ(rd(&w, WORLD_NIC, 0x44), 0x11223344);
	hostpci_ecam_ops.write(a, (WORLD_NIC << 12) + 0x41, 4, 0xaabbccdd);
	CHECK_EQ(rd(&w, WORLD_NIC, 0x40), 0xbbccdd88);
	CHECK_EQ(rd(&w, WORLD_NIC, 0x44), 0x112233aa);
	CHECK_EQ(hostpci_ecam_ops.read(a, (WORLD_NIC << 12) + 0xffe, 4), 0xffffffff);
	CHECK_EQ(hostpci_add_window(&w.h, WORLD_ECAM - MIB, 2, 0, 1), -EEXIST);
	CHECK_EQ(hostpci_add_window(&w.h, 0x1000, 2, 0, 1), -EINVAL);
	CHECK_EQ(hostpci_add_window(&w.h, 0, 2, 1, 0), -EINVAL);
	CHECK_EQ(hostpci_add_window(&w.h, BIT(52) - MIB, 2, 0, 1), -EINVAL);
	no_error(&w);
}

TEST(sizing_with_and_without_decoding)
{
	struct world w;

	world_init(&w);
	for (unsigned off = 0; off <= 1; off++) {
		CHECK_EQ(size_of(&w, WORLD_NIC, 0x10, off), 0xfffe0000);
		CHECK_EQ(size_of(&w, WORLD_NIC, 0x14, off), 0xffffffc1);
		CHECK_EQ(size_of(&w, WORLD_GPU, 0x10, off), 0xff00000c);
		CHECK_EQ(size_of(&w, WORLD_GPU, 0x14, off), 0xffffffff);
		CHECK_EQ(size_of(&w, WORLD_BRIDGE, 0x10, off), 0xfffff000);
		CHECK_EQ(size_of(&w, WORLD_NIC, 0x24, off), 0);
	}
	hostpci_write(&w.h, WORLD_NIC, 0x10, 4, UINT32_MAX);
	CHECK_EQ(hostpci_read(&w.h, WORLD_NIC, 0x12, 2), 0xfffe);
	CHECK_EQ(w.fn[1].dword[4], 0xe0000000); /* it has never been anywhere else */
	CHECK_EQ(w.h.refused, 0);
	no_error(&w);
}

TEST(bars_do_not_move_over_what_is_not_theirs)
{
	static const u32 bad[] = {0x1000000, WORLD_IOAPIC & ~0x1ffffu, WORLD_LAPIC, WORLD_ECAM};
	struct world w;
	u64 refused = 0;

	world_init(&w);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		wr(&w, WORLD_NIC, 0x10, bad[i]);
		CHECK_EQ(w.h.refused, ++refused);
		CHECK_EQ(rd(&w, WORLD_NIC, 0x10), 0xe0000000);
		/* Without decoding it may stand anywhere, but then not decode. */
		hostpci_write(&w.h, WORLD_NIC, PCI_COMMAND, 2, 0);
		wr(&w, WORLD_NIC, 0x10, bad[i]);
		CHECK_EQ(w.h.refused, refused);
		hostpci_write(&w.h, WORLD_NIC, PCI_COMMAND, 1, MEM | PCI_COMMAND_MASTER);
		CHECK_EQ(w.h.refused, ++refused);
		CHECK_EQ(hostpci_read(&w.h, WORLD_NIC, PCI_COMMAND, 2), PCI_COMMAND_MASTER);
		wr(&w, WORLD_NIC, 0x10, 0xe0000000);
		hostpci_write(&w.h, WORLD_NIC, PCI_COMMAND, 2, MEM);
		CHECK_EQ(hostpci_read(&w.h, WORLD_NIC, PCI_COMMAND, 2), MEM);
	}
	wr(&w, WORLD_NIC, 0x10, WORLD_LAPIC | 1); /* calling it I/O does not make it so */
	CHECK_EQ(w.h.refused, ++refused);
	wr(&w, WORLD_NIC, 0x10, 0xe4000000);
	CHECK_EQ(rd(&w, WORLD_NIC, 0x10), 0xe4000000);
	hostpci_write(&w.h, WORLD_NIC, 0x12, 2, 0x0100); /* half a register */
	CHECK_EQ(w.h.refused, refused + 1);
	wr(&w, WORLD_NIC, 0x30, 0x01000001); /* ROM over RAM */
	CHECK_EQ(w.h.refused, refused + 2);
	wr(&w, WORLD_NIC, 0x30, 0x01000000);
	wr(&w, WORLD_NIC, 0x30, 0xe5000001);
	CHECK_EQ(rd(&w, WORLD_NIC, 0x30) & ~0x7feu, 0xe5000000);
	CHECK_EQ(w.h.refused, refused + 2);
	no_error(&w);
}

TEST(both_halves_of_a_64_bit_bar_count)
{
	struct world w;

	world_init(&w);
	hostpci_write(&w.h, WORLD_GPU, PCI_COMMAND, 2, MEM);
	CHECK_EQ(w.h.refused, 0);
	wr(&w, WORLD_GPU, 0x14, 1); /* 4 GiB: RAM */
	CHECK_EQ(w.h.refused, 1);
	CHECK_EQ(rd(&w, WORLD_GPU, 0x14), 8);
	wr(&w, WORLD_GPU, 0x14, 9);
	CHECK_EQ(rd(&w, WORLD_GPU, 0x14), 9);
	hostpci_write(&w.h, WORLD_GPU, PCI_COMMAND, 2, 0);
	wr(&w, WORLD_GPU, 0x14, 1);
	hostpci_write(&w.h, WORLD_GPU, PCI_COMMAND, 2, MEM);
	CHECK_EQ(hostpci_read(&w.h, WORLD_GPU, PCI_COMMAND, 2), 0);
	no_error(&w);
}

TEST(an_ioapic_as_function_stays_where_it_is)
{
	struct world w;

	world_init(&w);
	hostpci_write(&w.h, WORLD_PIC, PCI_COMMAND, 2, 0);
	CHECK_EQ(hostpci_read(&w.h, WORLD_PIC, PCI_COMMAND, 2), MEM);
	wr(&w, WORLD_PIC, 0x10, UINT32_MAX);
	wr(&w, WORLD_PIC, 0x10, 0xe9000000);
	CHECK_EQ(rd(&w, WORLD_PIC, 0x10), WORLD_IOAPIC);
	CHECK_EQ(w.h.refused, 3);
	wr(&w, WORLD_HOST, 0x10, 0xe9000004); /* a host bridge must not stop decoding */
	CHECK_EQ(rd(&w, WORLD_HOST, 0x10), 0xd0000004);
	CHECK_EQ(w.h.refused, 4);
}

TEST(hidden_functions)
{
	struct world w;
	unsigned writes;

	world_init(&w);
	CHECK_EQ(hostpci_hide(&w.h, WORLD_NIC), 0);
	CHECK_EQ(hostpci_hide(&w.h, WORLD_NIC), 0);
	writes = w.writes;
	for (unsigned off = 0; off < 256; off += 4) {
		CHECK_EQ(rd(&w, WORLD_NIC, off), 0xffffffff);
		wr(&w, WORLD_NIC, off, 0);
		wr(&w, WORLD_UART, off, 0);
	}
	CHECK_EQ(w.writes, writes);
	/* Function 0 of two: its sibling is found behind a place-holder. */
	CHECK_EQ(rd(&w, WORLD_UART, 0), 0x00025042);
	CHECK_EQ(hostpci_read(&w.h, WORLD_UART, PCI_HEADER_TYPE, 1), 0x80);
	CHECK_EQ(hostpci_read(&w.h, WORLD_UART, PCI_CLASS_DEVICE, 2), 0xff00);
	CHECK_EQ(rd(&w, WORLD_UART, 0x10), 0);
	CHECK_EQ(rd(&w, WORLD_UART, 0x100), 0xffffffff);
	CHECK_EQ(rd(&w, WORLD_UART2, 0), 0x01591415);
	no_error(&w);
}

TEST(own_function_takes_a_free_place)
{
	struct world w;
	u32 own;

	world_init(&w);
	/* 31 is there, 30 has a function 2: 29 */
	CHECK_EQ(world_add_own(&w, WORLD_OWN), 29);
	own = HOSTPCI_SBDF(0, 0, 29, 0);
	CHECK_EQ(rd(&w, own, 0), 0x00015042);
	CHECK_EQ(rd(&w, own, 0x10), WORLD_OWN);
	CHECK_EQ(rd(&w, own, 0x3c), 0x0000010a);
	CHECK_EQ(rd(&w, own, 0x100), 0xffffffff);
	CHECK_EQ(rd(&w, own + 1, 0), 0xffffffff);
	CHECK(w.own_mapped && w.own_base == WORLD_OWN && w.moves == 1);
	CHECK(bus_find_mmio(&w.bus, WORLD_OWN + 0xfff) != NULL);
	CHECK_EQ(world_add_own(&w, WORLD_OWN), -EEXIST);
	no_error(&w);
}

TEST(own_bar_moves_where_it_may)
{
	struct world w;
	u32 own = HOSTPCI_SBDF(0, 0, 29, 0);

	world_init(&w);
	CHECK_EQ(world_add_own(&w, WORLD_OWN), 29);
	CHECK_EQ(size_of(&w, own, 0x10, true), 0xfffff000);
	CHECK_EQ(size_of(&w, own, 0x10, false), 0xfffff000);
	CHECK(w.own_mapped && w.own_base == WORLD_OWN);
	wr(&w, own, 0x10, 0xe8000000);
	CHECK(w.own_mapped && w.own_base == 0xe8000000);
	CHECK(!bus_find_mmio(&w.bus, WORLD_OWN));
	wr(&w, own, 0x10, 0x1000000); /* RAM */
	CHECK(!w.own_mapped && w.h.refused == 1);
	CHECK(!bus_find_mmio(&w.bus, 0x1000000));
	CHECK_EQ(hostpci_read(&w.h, own, PCI_COMMAND, 2), 0);
	hostpci_write(&w.h, own, PCI_COMMAND, 2, MEM);
	CHECK(!w.own_mapped && w.h.refused == 2);
	no_error(&w);
}

TEST(own_interrupt_can_be_disabled)
{
	struct world w;
	u32 own = HOSTPCI_SBDF(0, 0, 29, 0);

	world_init(&w);
	CHECK_EQ(world_add_own(&w, WORLD_OWN), 29);
	pci_set_intx(&w.own, true);
	CHECK(w.intx);
	CHECK_EQ(hostpci_read(&w.h, own, PCI_STATUS, 2) & PCI_STATUS_INTX, PCI_STATUS_INTX);
	hostpci_write(&w.h, own, PCI_COMMAND, 2, MEM | PCI_COMMAND_INTX_DISABLE);
	CHECK(!w.intx);
	CHECK_EQ(hostpci_read(&w.h, own, PCI_STATUS, 2) & PCI_STATUS_INTX, PCI_STATUS_INTX);
	hostpci_write(&w.h, own, PCI_COMMAND, 2, MEM);
	CHECK(w.intx);
	pci_set_intx(&w.own, false);
	CHECK(!w.intx);
}

TEST(own_function_without_a_place)
{
	struct world w;

	world_init(&w);
	CHECK_EQ(world_add_own(&w, 0x1000000), -EINVAL);
	CHECK(!w.h.own && !w.own_mapped);
	CHECK_EQ(rd(&w, HOSTPCI_SBDF(0, 0, 29, 0), 0), 0xffffffff);
	w.h.refused = 0;
	CHECK_EQ(world_add_own(&w, WORLD_OWN), 29);
}

/* --- random programs -------------------------------------------------------------------------- */

static u32 random32(u64 *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return (u32)(*s >> 16);
}

static u32 random_address(u64 *s)
{
	static const u32 near[] = {0,		0xffffffff, 0xfffff800, WORLD_RAM, WORLD_IOAPIC,
				   WORLD_LAPIC, WORLD_ECAM, 0xe0000000, 1,	   8};
	u32 v = near[random32(s) % ARRAY_SIZE(near)];

	return random32(s) & 1 ? v : v + (random32(s) & 0xfffff) - 0x80000;
}

static void random_write(struct world *w, u64 *s)
{
	static const u8 regs[] = {0x04, 0x04, 0x10, 0x14, 0x18, 0x1c, 0x24, 0x30, 0x38};
	u32 sbdf = w->fn[random32(s) % w->nfns].sbdf;
	unsigned off = regs[random32(s) % sizeof(regs)], size = 1u << random32(s) % 3;

	if (random32(s) % 8 == 0)
		sbdf = w->h.own_sbdf;
	if (random32(s) % 4 == 0)
		off += random32(s) & 3;
	hostpci_write(&w->h, sbdf, off, size, random_address(s));
	hostpci_read(&w->h, sbdf, off, size);
}

TEST(random_writes_never_decode_forbidden_ground)
{
	for (u64 seed = 1; seed <= 1000; seed++) {
		u64 s = seed * 0x9e3779b97f4a7c15ull;
		struct world w;

		world_init(&w);
		CHECK_EQ(world_add_own(&w, WORLD_OWN), 29);
		for (unsigned i = 0; i < 300 && !w.error; i++)
			random_write(&w, &s);
		CHECK_EQ(w.fn[5].dword[4], WORLD_IOAPIC);
		CHECK_EQ(w.fn[5].dword[1] & MEM, MEM);
		if (w.error)
			printf("# seed %llu: %s\n", (unsigned long long)seed, w.error);
		CHECK(!w.error);
		if (unit_failures)
			return;
	}
}
