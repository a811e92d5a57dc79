/* RTL8139. Would catch: an EEPROM read that is a bit off, the MAC at a wrong place, transmit
 * buffers out of turn or never handed back, a receive ring wrong at its wrap or over-filled,
 * filters that let through or hold back the wrong frames, an interrupt that does not follow ISR and
 * IMR, a driver and a full ring that wait for each other, writes to locked registers, anything
 * alive after a reset.
 *
 * SRCS: hv/dev/rtl8139.c hv/dev/rtl8139_rx.c hv/dev/rtl8139_tx.c hv/dev/rtl8139_eeprom.c
 * SRCS: hv/dev/pci.c hv/dev/bus.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/rtl8139.h"

#include "fake_host.h"
#include "fake_net.h"
#include "unit.h"

#define MEM  (1u << 20)
#define IO   0xc000
#define MMIO 0xe0000000u
#define RING 0x20000u
#define TX   0x10000u
/* Top six bits of the CRC of 01-00-5E-00-00-01, most significant bit first. */
#define HASH_ALL_HOSTS 31

struct machine {
	struct fake_host f;
	struct bus io;
	struct pci_bus pci;
	struct rtl8139 d;
	struct fake_net net;
	bool line;
	u32 taken; /* driver's position in the ring */
	u8 mem[MEM];
};

static const u8 broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void on_pirq(void *ctx, unsigned pirq, bool level)
{
	(void)pirq;
	((struct machine *)ctx)->line = level;
}

static struct machine *machine_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));

	fake_host_init(&m->f, m->mem, MEM);
	fake_net_init(&m->net, &m->f.host);
	pci_bus_init(&m->pci, &m->io);
	m->pci.pirq = on_pirq;
	m->pci.pirq_ctx = m;
	CHECK_EQ(rtl8139_init(&m->d, &m->f.host, &m->pci, 3, &m->net.net), 0);
	pci_cfg_write(&m->d.pci, PCI_BAR0, 4, IO);
	pci_cfg_write(&m->d.pci, PCI_BAR0 + 4, 4, MMIO);
	pci_cfg_write(&m->d.pci, PCI_COMMAND, 2, 7);
	return m;
}

static u32 in(struct machine *m, unsigned off, unsigned size)
{
	return bus_port_read(&m->io, (u16)(IO + off), size);
}
static void out(struct machine *m, unsigned off, unsigned size, u32 v)
{
	bus_port_write(&m->io, (u16)(IO + off), size, v);
}

/* Bring it up as drivers do: reset, ring, enable, filter. */
static void start(struct machine *m, u32 rcr)
{
	out(m, 0x37, 1, 0x10);
	CHECK(!(in(m, 0x37, 1) & 0x10));
	out(m, 0x30, 4, RING);
	out(m, 0x37, 1, 0x0c);
	out(m, 0x44, 4, rcr);
	out(m, 0x3c, 2, 0xe07f);
	m->taken = 0;
}

static void ee_clock(struct machine *m, bool bit)
{
	out(m, 0x50, 1, 0x88 | (bit ? 2 : 0));
	out(m, 0x50, 1, 0x8c | (bit ? 2 : 0));
}

/* Read a word with @bits of address, as drivers do that do not know the EEPROM's size. */
static u16 ee_read(struct machine *m, unsigned word, unsigned bits)
{
	u32 command = 6u << bits | word;
	u16 v = 0;

	out(m, 0x50, 1, 0x80);
	out(m, 0x50, 1, 0x88);
	for (int i = (int)bits + 4; i >= 0; i--)
		ee_clock(m, command >> i & 1);
	out(m, 0x50, 1, 0x88);
	for (unsigned i = 0; i < 16; i++) {
		out(m, 0x50, 1, 0x8c);
		v = (u16)(v << 1 | (in(m, 0x50, 1) & 1));
		out(m, 0x50, 1, 0x88);
	}
	out(m, 0x50, 1, 0x00);
	return v;
}

TEST(identity_and_eeprom)
{
	struct machine *m = machine_new();

	CHECK_EQ(pci_cfg_read(&m->d.pci, 0, 4), 0x813910ec);
	CHECK(pci_cfg_read(&m->d.pci, PCI_REVISION, 1) < 0x20); /* no descriptor mode */
	for (unsigned i = 0; i < 6; i++)
		CHECK_EQ(in(m, i, 1), m->net.net.mac[i]);
	CHECK_EQ(ee_read(m, 0, 6), 0x8129);
	CHECK(ee_read(m, 0, 8) != 0x8129); /* so the driver finds that it is the small one */
	CHECK_EQ(ee_read(m, 7, 6), 0x5452);
	CHECK_EQ(ee_read(m, 8, 6), 0x1200);
	CHECK_EQ(ee_read(m, 9, 6), 0x5634);
	CHECK_EQ(in(m, 0x40, 4) & 0x7cc00000, 0x74000000);
	CHECK_EQ(in(m, 0x58, 1) & 4, 0);       /* link */
	CHECK_EQ(in(m, 0x64, 2) & 0x24, 0x24); /* PHY: link, negotiated */
	CHECK_EQ(bus_find_mmio(&m->io, MMIO)->ops->read(&m->d, 0, 4), 0x12005452);
	free(m);
}

TEST(configuration_is_locked)
{
	struct machine *m = machine_new();
	u32 was = in(m, 0x52, 1);

	out(m, 0x52, 1, 0xff);
	CHECK_EQ(in(m, 0x52, 1), was);
	out(m, 0x50, 1, 0xc0);
	out(m, 0x52, 1, 0x1d);
	CHECK_EQ(in(m, 0x52, 1), 0x1d);
	out(m, 0x50, 1, 0x00);
	free(m);
}

static void tx(struct machine *m, unsigned n, u32 len, u8 fill)
{
	memset(m->mem + TX + n * 0x1000, fill, len);
	out(m, 0x20 + 4 * n, 4, TX + n * 0x1000);
	out(m, 0x10 + 4 * n, 4, len | 0x30000);
}

TEST(transmit_in_turn)
{
	struct machine *m = machine_new();

	start(m, 0xf);
	for (unsigned i = 0; i < 10; i++) {
		CHECK(in(m, 0x10 + 4 * (i % 4), 4) & 0x2000);
		tx(m, i % 4, 60 + i, (u8)i);
		CHECK_EQ(m->net.sent, i + 1);
		CHECK_EQ(m->net.last_len, 60 + i);
		CHECK_EQ(m->net.last[59], i);
		CHECK_EQ(in(m, 0x10 + 4 * (i % 4), 4) & 0xa000, 0xa000);
		CHECK_EQ(in(m, 0x3e, 2), 4);
		CHECK(m->line);
		out(m, 0x3e, 2, 4);
		CHECK(!m->line);
	}
	CHECK_EQ(in(m, 0x60, 2) & 0xf, 0xf);
	tx(m, 3, 60, 1); /* out of turn: waits */
	CHECK_EQ(m->net.sent, 10);
	CHECK(!(in(m, 0x1c, 4) & 0x2000));
	tx(m, 2, 60, 2);
	CHECK_EQ(m->net.sent, 12);
	CHECK_EQ(m->net.last[0], 1);
	free(m);
}

TEST(transmit_waits_for_room)
{
	struct machine *m = machine_new();

	start(m, 0xf);
	m->net.room = 1;
	for (unsigned i = 0; i < 4; i++)
		tx(m, i, 60 + i, (u8)i);
	CHECK_EQ(m->net.sent, 1);
	CHECK(!(in(m, 0x14, 4) & 0x2000));
	m->net.room = 9;
	m->net.net.nic->tx_ready(m->net.net.nic_ctx);
	CHECK_EQ(m->net.sent, 4);
	CHECK_EQ(m->net.last_len, 63);
	CHECK_EQ(in(m, 0x60, 2) & 0xf00f, 0xf00f);
	free(m);
}

TEST(transmit_of_nonsense)
{
	struct machine *m = machine_new();

	start(m, 0xf);
	tx(m, 0, 0, 0);
	tx(m, 1, 13, 0);
	out(m, 0x18, 4, 0x1fff);
	CHECK_EQ(m->net.sent, 0);
	out(m, 0x2c, 4, 0xfffff000); /* not RAM */
	out(m, 0x1c, 4, 60);
	CHECK(in(m, 0x1c, 4) & 0x40002000);
	CHECK(in(m, 0x3e, 2) & 8);
	out(m, 0x37, 1, 0x08); /* transmitter off */
	tx(m, 0, 60, 1);
	CHECK_EQ(m->net.sent, 0);
	free(m);
}

/* Take one frame out of an 8 KiB ring; its length without FCS, -1 when there is none. */
static int rx_take(struct machine *m, u16 *status, u8 *last)
{
	u32 head, len;
	u16 next;

	if (in(m, 0x37, 1) & 1)
		return -1;
	memcpy(&head, m->mem + RING + m->taken, 4);
	len = head >> 16;
	*status = (u16)head;
	*last = m->mem[RING + (m->taken + 4 + len - 4 - 1) % 8192];
	m->taken = ((m->taken + 4 + len + 3) & ~3u) % 8192;
	next = (u16)(m->taken - 16);
	out(m, 0x38, 2, next);
	return (int)len - 4;
}

TEST(receive_around_the_ring)
{
	struct machine *m = machine_new();
	u16 status;
	u8 last;

	start(m, 0xf);
	for (unsigned i = 0; i < 100; i++) {
		u32 len = 60 + i * 14;

		CHECK(fake_net_deliver(&m->net, m->net.net.mac, len, (u8)i));
		CHECK(m->line);
		CHECK_EQ(in(m, 0x3e, 2), 1);
		out(m, 0x3e, 2, 1);
		CHECK_EQ(rx_take(m, &status, &last), (int)len);
		CHECK_EQ(status, 0x4001);
		CHECK_EQ(last, i);
		CHECK_EQ(in(m, 0x3a, 2), m->taken);
	}
	CHECK_EQ(rx_take(m, &status, &last), -1);
	CHECK(fake_net_deliver(&m->net, broadcast, 20, 0)); /* padded */
	CHECK_EQ(rx_take(m, &status, &last), 60);
	CHECK_EQ(status, 0x2001);
	free(m);
}

TEST(receive_past_the_end_with_wrap)
{
	struct machine *m = machine_new();
	unsigned n = 0;

	start(m, 0x8f);
	while (fake_net_deliver(&m->net, m->net.net.mac, 1500, (u8)n)) {
		n++;
		out(m, 0x38, 2, (u16)(in(m, 0x3a, 2) - 16)); /* the driver keeps up */
		if (n == 6)
			break;
	}
	CHECK_EQ(n, 6); /* the sixth crosses the end at 8192 */
	CHECK_EQ(m->mem[RING + 5 * 1508 + 4 + 1499], 5);
	CHECK_EQ(m->mem[RING], 0x01); /* the first header was not written over */
	CHECK_EQ(in(m, 0x3a, 2), 6 * 1508 - 8192);
	free(m);
}

TEST(full_ring_holds_back)
{
	struct machine *m = machine_new();
	unsigned n = 0;
	u16 status;
	u8 last;

	start(m, 0xf);
	while (fake_net_deliver(&m->net, m->net.net.mac, 1000, (u8)n) && n < 20)
		n++;
	CHECK_EQ(n, 8); /* 8 of 1008 bytes; the ninth does not fit */
	CHECK_EQ(m->net.ready, 0);
	CHECK_EQ(rx_take(m, &status, &last), 1000);
	CHECK_EQ(m->net.ready, 1);
	CHECK(fake_net_deliver(&m->net, m->net.net.mac, 1000, 8));
	for (unsigned i = 1; i <= 8; i++) {
		CHECK_EQ(rx_take(m, &status, &last), 1000);
		CHECK_EQ(last, i);
	}
	CHECK_EQ(rx_take(m, &status, &last), -1);
	free(m);
}

/* A driver that polls: acknowledges after each frame, and stops at a budget with frames left. */
static void poll_with_budget(struct machine *m, unsigned budget)
{
	u16 status;
	u8 last;

	while (budget-- && rx_take(m, &status, &last) >= 0) {
		fake_net_deliver(&m->net, m->net.net.mac, 1000, 0); /* what was held back */
		out(m, 0x3e, 2, 0x51);
	}
}

/* How often of 10 such polls the driver is told of the rest within @ns. */
static unsigned told_within(struct machine *m, u64 ns, bool masks)
{
	unsigned told = 0;

	start(m, 0xf);
	while (fake_net_deliver(&m->net, m->net.net.mac, 1000, 0))
		;
	CHECK(m->line);
	for (unsigned i = 0; i < 10; i++) {
		if (masks)
			out(m, 0x3c, 2, 0xe02e);
		poll_with_budget(m, 4);
		if (masks)
			out(m, 0x3c, 2, 0xe07f);
		CHECK(!m->line);
		CHECK(!fake_net_deliver(&m->net, m->net.net.mac, 1000, 0)); /* no room */
		fake_advance(&m->f, ns);
		told += m->line;
	}
	return told;
}

TEST(frames_left_unread_are_told_of_again)
{
	struct machine *m = machine_new();

	CHECK_EQ(told_within(m, 300000, true), 10);
	CHECK_EQ(told_within(m, 20000000, false), 10);
	free(m);
}

TEST(frames_read_are_not_told_of_again)
{
	struct machine *m = machine_new();
	u16 status;
	u8 last;

	start(m, 0xf);
	fake_net_deliver(&m->net, m->net.net.mac, 1000, 0);
	out(m, 0x3e, 2, 1); /* first acknowledged, then taken */
	CHECK(!m->line);
	CHECK_EQ(rx_take(m, &status, &last), 1000);
	fake_advance(&m->f, 100000000);
	CHECK(!m->line);
	CHECK_EQ(timerq_next(&m->f.q), TIMER_OFF);
	fake_net_deliver(&m->net, m->net.net.mac, 1000, 0);
	out(m, 0x3e, 2, 1);
	out(m, 0x37, 1, 0x10); /* nor after a reset */
	start(m, 0xf);
	fake_advance(&m->f, 100000000);
	CHECK(!m->line);
	free(m);
}

/* A driver that takes its frames later, in a thread, must not drown in interrupts until then. */
TEST(reminders_are_not_a_storm)
{
	struct machine *m = machine_new();
	unsigned told = 0;

	start(m, 0xf);
	fake_net_deliver(&m->net, m->net.net.mac, 1000, 0);
	for (unsigned us = 0; us < 10000; us += 10) {
		told += m->line;
		out(m, 0x3c, 2, 0);
		out(m, 0x3e, 2, 1);
		out(m, 0x3c, 2, 0xe07f);
		CHECK(!m->line);
		fake_advance(&m->f, 10000);
	}
	CHECK(told > 10 && told < 60);
	free(m);
}

TEST(filters)
{
	struct machine *m = machine_new();
	static const u8 other[6] = {0x52, 1, 2, 3, 4, 5};
	static const u8 all_hosts[6] = {0x01, 0x00, 0x5e, 0x00, 0x00, 0x01};
	u16 status;
	u8 last;

	start(m, 0x0);
	fake_net_deliver(&m->net, m->net.net.mac, 60, 0);
	fake_net_deliver(&m->net, broadcast, 60, 0);
	fake_net_deliver(&m->net, all_hosts, 60, 0);
	CHECK_EQ(rx_take(m, &status, &last), -1);
	out(m, 0x44, 4, 0x0e);
	fake_net_deliver(&m->net, other, 60, 0);
	fake_net_deliver(&m->net, all_hosts, 60, 0);
	CHECK_EQ(rx_take(m, &status, &last), -1);
	/* The data sheet's hash of 01-00-5E-00-00-01 is bit HASH_ALL_HOSTS, and no other one. */
	for (unsigned bit = 0; bit < 64; bit++) {
		out(m, 0x08, 4, bit < 32 ? 1u << bit : 0);
		out(m, 0x0c, 4, bit < 32 ? 0 : 1u << (bit - 32));
		fake_net_deliver(&m->net, all_hosts, 60, 0);
		CHECK_EQ(rx_take(m, &status, &last), bit == HASH_ALL_HOSTS ? 60 : -1);
	}
	out(m, 0x44, 4, 0x01);
	fake_net_deliver(&m->net, other, 60, 0);
	CHECK_EQ(rx_take(m, &status, &last), 60);
	CHECK_EQ(status, 0x0001);
	free(m);
}

TEST(loopback)
{
	struct machine *m = machine_new();
	u16 status;
	u8 last;

	start(m, 0xf);
	out(m, 0x40, 4, 0x60000);
	memset(m->mem + TX, 0x42, 100);
	memcpy(m->mem + TX, m->net.net.mac, 6);
	out(m, 0x20, 4, TX);
	out(m, 0x10, 4, 100);
	CHECK_EQ(m->net.sent, 0);
	CHECK_EQ(rx_take(m, &status, &last), 100);
	CHECK_EQ(last, 0x42);
	free(m);
}

TEST(timer)
{
	struct machine *m = machine_new();

	start(m, 0xf);
	out(m, 0x48, 4, 0);
	out(m, 0x54, 4, 33000);
	fake_advance(&m->f, 999000);
	CHECK_EQ(in(m, 0x3e, 2), 0);
	fake_advance(&m->f, 2000);
	CHECK_EQ(in(m, 0x3e, 2), 0x4000);
	CHECK(in(m, 0x48, 4) > 33000 && in(m, 0x48, 4) < 33200);
	out(m, 0x54, 4, 0);
	CHECK_EQ(timerq_next(&m->f.q), TIMER_OFF);
	free(m);
}

TEST(link_and_phy)
{
	struct machine *m = machine_new();

	start(m, 0xf);
	m->net.net.link_up = false;
	m->net.net.nic->link(m->net.net.nic_ctx);
	CHECK_EQ(in(m, 0x3e, 2), 0x20);
	CHECK_EQ(in(m, 0x74, 2) & 0x800, 0x800); /* changed, once */
	CHECK_EQ(in(m, 0x74, 2) & 0x800, 0);
	CHECK_EQ(in(m, 0x58, 1) & 4, 4);
	CHECK_EQ(in(m, 0x64, 2) & 0x24, 0);
	out(m, 0x62, 2, 0x9200); /* reset and restart end at once */
	CHECK_EQ(in(m, 0x62, 2) & 0x8200, 0);
	free(m);
}

TEST(reset_ends_everything)
{
	struct machine *m = machine_new();

	start(m, 0xf);
	m->net.room = 0;
	tx(m, 0, 60, 1);
	out(m, 0x54, 4, 100);
	fake_net_deliver(&m->net, m->net.net.mac, 60, 1);
	CHECK(m->line);
	out(m, 0x37, 1, 0x10);
	CHECK(!m->line);
	CHECK_EQ(in(m, 0x3c, 4), 0);
	m->net.room = 9;
	m->net.net.nic->tx_ready(m->net.net.nic_ctx);
	fake_advance(&m->f, 1000000);
	CHECK_EQ(m->net.sent, 0);
	CHECK_EQ(in(m, 0x3e, 2), 0);
	rtl8139_reset(&m->d);
	CHECK(fake_net_deliver(&m->net, m->net.net.mac, 60, 1));
	CHECK_EQ(bus_port_read(&m->io, IO, 1), 0xff);
	free(m);
}
