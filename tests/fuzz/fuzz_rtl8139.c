/* Random registers, frames and time on the RTL8139. Whatever the guest does, the chip must stay
 * inside its registers and guest RAM, send only what is a frame, write nothing outside its receive
 * ring (with WRAP: and the bytes behind it), keep INTx equal to ISR and IMR, and work after a
 * reset.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/dev/rtl8139.c hv/dev/rtl8139_rx.c hv/dev/rtl8139_tx.c hv/dev/rtl8139_eeprom.c
 * SRCS: hv/dev/pci.c hv/dev/bus.c hv/lib/timerq.c
 */
#include "fuzz.h"

#include "../unit/fake_host.h"
#include "../unit/fake_net.h"
#include "dev/rtl8139.h"

#define MEM_SIZE 0x30000u

struct machine {
	struct fake_host f;
	struct bus io;
	struct pci_bus pci;
	struct rtl8139 d;
	struct fake_net wire;
	u8 *mem;
};

static u32 reg32(const struct machine *m, unsigned off)
{
	u32 v;

	memcpy(&v, &m->d.reg[off], 4);
	return v;
}

static struct machine *machine_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));

	m->mem = calloc(1, MEM_SIZE);
	fake_host_init(&m->f, m->mem, MEM_SIZE);
	fake_net_init(&m->wire, &m->f.host);
	pci_bus_init(&m->pci, &m->io);
	MUST(!rtl8139_init(&m->d, &m->f.host, &m->pci, 3, &m->wire.net));
	return m;
}

static void check(const struct machine *m)
{
	u32 both = reg32(m, 0x3c);

	MUST(m->d.pci.intx == !!(both & both >> 16 & 0xffff));
	MUST(m->d.tx_next < RTL8139_TX && m->d.tx_pending < 16);
	MUST(!(m->d.reg[0x37] & 0x10));
}

static u32 take32(struct program *s)
{
	u32 v = take(s);

	v |= (u32)take(s) << 8;
	v |= (u32)take(s) << 16;
	return v | (u32)take(s) << 24;
}

static u32 in(struct machine *m, unsigned off, unsigned size)
{
	return m->d.pci.bar[0].port_ops->read(&m->d, (u16)off, size);
}
static void out(struct machine *m, unsigned off, unsigned size, u32 v)
{
	m->d.pci.bar[0].port_ops->write(&m->d, (u16)off, size, v);
}

static void start(struct machine *m, struct program *s)
{
	out(m, 0x30, 4, take(s) * 0x200u);
	out(m, 0x44, 4, (u32)take(s) << 7 | 0xf);
	out(m, 0x37, 1, 0x0c);
	out(m, 0x3c, 2, 0xe07f);
}

/* A frame arrives; memory outside the ring must stay as it was. */
static void frame(struct machine *m, struct program *s)
{
	u32 rcr = reg32(m, 0x44), size = 8192u << (rcr >> 11 & 3), base = reg32(m, 0x30);
	u32 room = size + (rcr & 0x80 && size < 65536 ? 1528 : 0);
	u64 stored = m->d.rx_frames;
	u8 *before = malloc(MEM_SIZE);
	u8 fill = take(s);

	memcpy(before, m->mem, MEM_SIZE);
	(void)fake_net_deliver(&m->wire, m->wire.net.mac, take(s) * 6u, fill);
	/* A frame that was stored never makes the ring look empty. */
	MUST(m->d.rx_frames == stored || !(in(m, 0x37, 1) & 1));
	for (u32 i = 0; i < MEM_SIZE; i++)
		MUST(m->mem[i] == before[i] || i - base < room);
	free(before);
}

static void send(struct machine *m, struct program *s)
{
	u8 n = take(s) & 3;

	out(m, 0x20 + 4u * n, 4, take(s) * 0x400u);
	out(m, 0x10 + 4u * n, 4, take(s) * 8u);
}

static void any_register(struct machine *m, struct program *s)
{
	u8 how = take(s), off = take(s);

	if (how & 1)
		out(m, off, 1u << (how >> 1) % 3, take32(s));
	else if (how & 0x80)
		(void)m->d.pci.bar[1].mmio_ops->read(&m->d, off, 1u << (how >> 1) % 4);
	else
		(void)in(m, off, 1u << (how >> 1) % 3);
}

static void works_after_reset(struct machine *m)
{
	u32 sent;

	m->wire.room = 1;
	rtl8139_reset(&m->d);
	out(m, 0x30, 4, 0x10000);
	out(m, 0x37, 1, 0x0c);
	out(m, 0x44, 4, 0xf);
	MUST(in(m, 0x37, 1) & 1);
	MUST(fake_net_deliver(&m->wire, m->wire.net.mac, 60, 3));
	MUST(!(in(m, 0x37, 1) & 1) && m->mem[0x10000 + 4 + 59] == 3);
	sent = m->wire.sent;
	out(m, 0x20, 4, 0x8000);
	out(m, 0x10, 4, 60);
	MUST(m->wire.sent == sent + 1);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct machine *m = machine_new();
	struct program s = {data, data + size};
	unsigned steps = 0;

	start(m, &s);

	while (s.p < s.end && steps++ < 300) {
		switch (take(&s) % 8) {
		case 0:
			start(m, &s);
			break;
		case 1:
			frame(m, &s);
			break;
		case 2:
			send(m, &s);
			break;
		case 3:
			out(m, 0x38, 2, (u32)take(&s) * 64);
			break;
		case 4:
			m->wire.room = take(&s);
			m->wire.net.nic->tx_ready(m->wire.net.nic_ctx);
			break;
		case 5:
			fake_advance(&m->f, take(&s) * 100000ull);
			break;
		default:
			any_register(m, &s);
		}
		check(m);
	}
	works_after_reset(m);
	free(m->mem);
	free(m);
	return 0;
}
