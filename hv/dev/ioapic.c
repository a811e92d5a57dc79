/* IOAPIC: see ioapic.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/ioapic.h"
#include "lib/str.h"

/* Memory window */
#define WIN_INDEX 0x00u
#define WIN_DATA  0x10u
#define WIN_EOI	  0x40u

/* Registers behind the index */
#define REG_ID		0x00u
#define REG_VERSION	0x01u
#define REG_ARBITRATION 0x02u
#define REG_RTE0	0x10u
#define VERSION_VALUE	((IOAPIC_PINS - 1) << 16 | 0x20u)

/* Redirection table entry */
#define RTE_VECTOR(e)  ((u8)(e))
#define RTE_MODE(e)    ((u8)((e) >> 8 & 7))
#define RTE_LOGICAL    BIT(11)
#define RTE_STATUS     BIT(12)
#define RTE_REMOTE_IRR BIT(14)
#define RTE_LEVEL      BIT(15)
#define RTE_MASKED     BIT(16)
#define RTE_DEST(e)    ((u8)((e) >> 56))
#define RTE_READ_ONLY  (RTE_STATUS | RTE_REMOTE_IRR)
#define RTE_WRITABLE   (0xff00000000000000ull | 0x1ffffu)

/* NMI, INIT, SMI and ExtINT are edges whatever the trigger bit says. */
static bool rte_level(u64 e)
{
	return (e & RTE_LEVEL) && RTE_MODE(e) <= APIC_LOWEST;
}

/* Send entry @n. Remote IRR is set only when a local APIC took the message: otherwise no EOI would
 * ever clear it; the pin is looked at again when its entry or level changes. */
static void ioapic_send(struct ioapic *io, unsigned n)
{
	u64 e = io->rte[n];
	struct apic_msg msg = {
		.dest = RTE_DEST(e),
		.logical = e & RTE_LOGICAL,
		.mode = RTE_MODE(e),
		.vector = RTE_VECTOR(e),
		.level = rte_level(e),
	};

	if (msg.mode == APIC_RESERVED || msg.mode == APIC_STARTUP)
		return;
	if (msg.level)
		io->rte[n] |= RTE_REMOTE_IRR;
	if (!io->deliver(io->ctx, &msg) && msg.level)
		io->rte[n] &= ~RTE_REMOTE_IRR;
}

/* Level pin @n: send when it is asserted and not already being served. */
static void ioapic_level_check(struct ioapic *io, unsigned n)
{
	u64 e = io->rte[n];

	if (rte_level(e) && !(e & (RTE_MASKED | RTE_REMOTE_IRR)) && (io->pins & BIT(n)))
		ioapic_send(io, n);
}

void ioapic_set_pin(struct ioapic *io, unsigned pin, bool asserted)
{
	bool was;

	if (pin >= IOAPIC_PINS)
		return;
	was = io->pins & BIT(pin);
	io->pins = asserted ? io->pins | (u32)BIT(pin) : io->pins & ~(u32)BIT(pin);
	if (rte_level(io->rte[pin]))
		ioapic_level_check(io, pin);
	else if (asserted && !was && !(io->rte[pin] & RTE_MASKED))
		ioapic_send(io, pin);
}

void ioapic_eoi(struct ioapic *io, u8 vector)
{
	for (unsigned n = 0; n < IOAPIC_PINS; n++) {
		u64 e = io->rte[n];

		if (RTE_VECTOR(e) != vector || !(e & RTE_REMOTE_IRR))
			continue;
		io->rte[n] &= ~RTE_REMOTE_IRR;
		ioapic_level_check(io, n);
	}
}

/* Changing an entry to edge clears Remote IRR: how software without an EOI register frees one. */
static void ioapic_write_rte(struct ioapic *io, unsigned n, u64 value)
{
	io->rte[n] = (value & RTE_WRITABLE & ~RTE_READ_ONLY) | (io->rte[n] & RTE_READ_ONLY);
	if (!rte_level(io->rte[n]))
		io->rte[n] &= ~RTE_REMOTE_IRR;
	ioapic_level_check(io, n);
}

static u32 ioapic_reg_read(const struct ioapic *io)
{
	unsigned n = (io->index - REG_RTE0) / 2;

	switch (io->index) {
	case REG_ID:
	case REG_ARBITRATION:
		return (u32)io->id << 24;
	case REG_VERSION:
		return VERSION_VALUE;
	}
	if (io->index < REG_RTE0 || n >= IOAPIC_PINS)
		return UINT32_MAX;
	return (u32)(io->index & 1 ? io->rte[n] >> 32 : io->rte[n]);
}

static void ioapic_reg_write(struct ioapic *io, u32 v)
{
	unsigned n = (io->index - REG_RTE0) / 2;
	u64 e;

	if (io->index == REG_ID)
		io->id = v >> 24 & 0xf;
	if (io->index < REG_RTE0 || n >= IOAPIC_PINS)
		return;
	e = io->rte[n];
	if (io->index & 1)
		e = (u32)e | (u64)v << 32;
	else
		e = (e & ~0xffffffffull) | v;
	ioapic_write_rte(io, n, e);
}

static u64 ioapic_mmio_read(void *dev, u64 off, unsigned size)
{
	struct ioapic *io = dev;
	u32 v = 0;

	if ((off & ~3ull) == WIN_INDEX)
		v = io->index;
	else if ((off & ~3ull) == WIN_DATA)
		v = ioapic_reg_read(io);
	v >>= (off & 3) * 8;
	return size >= 4 ? v : v & ((1u << size * 8) - 1);
}

static void ioapic_mmio_write(void *dev, u64 off, unsigned size, u64 value)
{
	struct ioapic *io = dev;

	/* INDEX and EOI are one byte wide, DATA only exists as a whole. */
	if (off == WIN_INDEX)
		io->index = (u8)value;
	else if (off == WIN_EOI)
		ioapic_eoi(io, (u8)value);
	else if (off == WIN_DATA && size >= 4)
		ioapic_reg_write(io, (u32)value);
}

const struct mmio_ops ioapic_mmio_ops = {
	.read = ioapic_mmio_read,
	.write = ioapic_mmio_write,
};

void ioapic_reset(struct ioapic *io)
{
	for (unsigned n = 0; n < IOAPIC_PINS; n++)
		io->rte[n] = RTE_MASKED;
	io->id = io->reset_id;
	io->index = 0;
}

void ioapic_init(struct ioapic *io, u8 id,
		 unsigned (*deliver)(void *ctx, const struct apic_msg *msg), void *ctx)
{
	memset(io, 0, sizeof(*io));
	io->reset_id = id;
	io->deliver = deliver;
	io->ctx = ctx;
	ioapic_reset(io);
}
