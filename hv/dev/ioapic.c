/* IOAPIC: see ioapic.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/ioapic.h"
#include "dev/ioapic_regs.h"
#include "lib/str.h"

#define VERSION_VALUE ((IOAPIC_PINS - 1) << 16 | IOAPIC_VERSION_EOI)

/* Send entry @n. Remote IRR is set only when a local APIC took the message: otherwise no EOI would
 * ever clear it; the pin is looked at again when its entry or level changes. */
static void ioapic_send(struct ioapic *io, unsigned n)
{
	struct apic_msg msg = rte_msg(io->rte[n]);

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
static void ioapic_write_rte(struct ioapic *io, unsigned n, u32 v)
{
	io->rte[n] = rte_written(io->rte[n], io->index, v);
	if (!rte_level(io->rte[n]))
		io->rte[n] &= ~RTE_REMOTE_IRR;
	ioapic_level_check(io, n);
}

static u32 ioapic_reg_read(const struct ioapic *io)
{
	unsigned n = (io->index - IOAPIC_REG_RTE) / 2;

	switch (io->index) {
	case IOAPIC_REG_ID:
	case IOAPIC_REG_ARBITRATION:
		return (u32)io->id << 24;
	case IOAPIC_REG_VERSION:
		return VERSION_VALUE;
	}
	if (io->index < IOAPIC_REG_RTE || n >= IOAPIC_PINS)
		return UINT32_MAX;
	return (u32)(io->index & 1 ? io->rte[n] >> 32 : io->rte[n]);
}

static void ioapic_reg_write(struct ioapic *io, u32 v)
{
	unsigned n = (io->index - IOAPIC_REG_RTE) / 2;

	if (io->index == IOAPIC_REG_ID)
		io->id = v >> 24 & 0xf;
	if (io->index >= IOAPIC_REG_RTE && n < IOAPIC_PINS)
		ioapic_write_rte(io, n, v);
}

static u64 ioapic_mmio_read(void *dev, u64 off, unsigned size)
{
	const struct ioapic *io = dev;

	return ioapic_window(off, size, io->index, ioapic_reg_read(io));
}

static void ioapic_mmio_write(void *dev, u64 off, unsigned size, u64 value)
{
	struct ioapic *io = dev;

	/* INDEX and EOI are one byte wide, DATA only exists as a whole. */
	if (off == IOAPIC_INDEX)
		io->index = (u8)value;
	else if (off == IOAPIC_EOI)
		ioapic_eoi(io, (u8)value);
	else if (off == IOAPIC_DATA && size >= 4)
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
