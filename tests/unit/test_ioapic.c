/* IOAPIC: would catch an edge sent twice or while masked, a level interrupt that is lost after EOI
 * or repeats before it, Remote IRR that never clears, and registers that take what they should not.
 *
 * SRCS: hv/dev/ioapic.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/ioapic.h"

#include "unit.h"

struct rig {
	struct ioapic io;
	struct apic_msg last;
	unsigned sent;
	unsigned accept;
};

static unsigned on_deliver(void *ctx, const struct apic_msg *msg)
{
	struct rig *r = ctx;

	r->last = *msg;
	r->sent++;
	return r->accept;
}

static void wr(struct rig *r, u8 reg, u32 v)
{
	ioapic_mmio_ops.write(&r->io, 0x00, 4, reg);
	ioapic_mmio_ops.write(&r->io, 0x10, 4, v);
}
static u32 rd(struct rig *r, u8 reg)
{
	ioapic_mmio_ops.write(&r->io, 0x00, 4, reg);
	return (u32)ioapic_mmio_ops.read(&r->io, 0x10, 4);
}
static struct rig rig(void)
{
	struct rig r = {.accept = 1};

	ioapic_init(&r.io, 3, on_deliver, NULL);
	return r;
}
#define RIG(r)                                                                                     \
	struct rig r = rig();                                                                      \
	r.io.ctx = &r

TEST(registers)
{
	RIG(r);
	CHECK_EQ(rd(&r, 0), 3u << 24);
	CHECK_EQ(rd(&r, 1), 0x170020);
	wr(&r, 0, 0xff00ffff);
	CHECK_EQ(rd(&r, 0), 0x0f000000);
	CHECK_EQ(rd(&r, 0x10), 0x10000);
	wr(&r, 0x10, 0xffffffff);
	CHECK_EQ(rd(&r, 0x10), 0x1afff); /* delivery status and Remote IRR are read-only */
	wr(&r, 0x11, 0xffffffff);
	CHECK_EQ(rd(&r, 0x11), 0xff000000);
	CHECK_EQ(rd(&r, 0x40), 0xffffffff); /* past the last entry */
	wr(&r, 0x40, 1);
	wr(&r, 0xff, 1);
	ioapic_mmio_ops.write(&r.io, 0xfff, 8, 1);
	CHECK_EQ(ioapic_mmio_ops.read(&r.io, 0xff0, 8), 0);
}

TEST(edges_are_sent_once_and_lost_while_masked)
{
	RIG(r);
	wr(&r, 0x13, 0x05000000);
	wr(&r, 0x12, 0x0931); /* logical, lowest priority */
	ioapic_set_pin(&r.io, 1, true);
	CHECK_EQ(r.sent, 1);
	CHECK_EQ(r.last.vector, 0x31);
	CHECK_EQ(r.last.dest, 5);
	CHECK_EQ(r.last.mode, APIC_LOWEST);
	CHECK(r.last.logical && !r.last.level);
	ioapic_set_pin(&r.io, 1, true);
	CHECK_EQ(r.sent, 1);
	ioapic_set_pin(&r.io, 1, false);
	ioapic_set_pin(&r.io, 1, true);
	CHECK_EQ(r.sent, 2);
	ioapic_set_pin(&r.io, 1, false);
	wr(&r, 0x12, 0x10931);
	ioapic_set_pin(&r.io, 1, true);
	wr(&r, 0x12, 0x0931);
	CHECK_EQ(r.sent, 2);
	ioapic_set_pin(&r.io, 24, true);
	ioapic_set_pin(&r.io, 4000000, true);
}

TEST(level_repeats_only_after_eoi)
{
	RIG(r);
	wr(&r, 0x24, 0x8040);
	ioapic_set_pin(&r.io, 10, true);
	CHECK_EQ(r.sent, 1);
	CHECK(r.last.level);
	CHECK_EQ(rd(&r, 0x24), 0xc040);
	ioapic_set_pin(&r.io, 10, false);
	ioapic_set_pin(&r.io, 10, true);
	CHECK_EQ(r.sent, 1);
	ioapic_eoi(&r.io, 0x41); /* not ours */
	CHECK_EQ(r.sent, 1);
	ioapic_eoi(&r.io, 0x40);
	CHECK_EQ(r.sent, 2);
	ioapic_set_pin(&r.io, 10, false);
	ioapic_mmio_ops.write(&r.io, 0x40, 4, 0x40); /* EOI register */
	CHECK_EQ(r.sent, 2);
	CHECK_EQ(rd(&r, 0x24), 0x8040);
}

TEST(level_waits_for_the_mask_and_for_a_taker)
{
	RIG(r);
	wr(&r, 0x24, 0x18040);
	ioapic_set_pin(&r.io, 10, true);
	CHECK_EQ(r.sent, 0);
	wr(&r, 0x24, 0x8040);
	CHECK_EQ(r.sent, 1);
	ioapic_eoi(&r.io, 0x40);
	CHECK_EQ(r.sent, 2);
	ioapic_set_pin(&r.io, 10, false);
	ioapic_eoi(&r.io, 0x40);
	r.accept = 0; /* no local APIC is enabled */
	ioapic_set_pin(&r.io, 10, true);
	CHECK_EQ(rd(&r, 0x24), 0x8040);
	r.accept = 1;
	ioapic_set_pin(&r.io, 10, true);
	CHECK_EQ(rd(&r, 0x24), 0xc040);
}

TEST(switching_to_edge_frees_remote_irr)
{
	RIG(r);
	wr(&r, 0x24, 0x8040);
	ioapic_set_pin(&r.io, 10, true);
	wr(&r, 0x24, 0x10040);
	wr(&r, 0x24, 0x18040);
	CHECK_EQ(rd(&r, 0x24), 0x18040);
	wr(&r, 0x24, 0x8040);
	CHECK_EQ(r.sent, 2);
}

TEST(nmi_is_an_edge_and_odd_modes_are_dropped)
{
	RIG(r);
	wr(&r, 0x24, 0x8400);
	ioapic_set_pin(&r.io, 10, true);
	CHECK_EQ(r.sent, 1);
	CHECK_EQ(r.last.mode, APIC_NMI);
	CHECK_EQ(rd(&r, 0x24), 0x8400);
	ioapic_set_pin(&r.io, 10, true); /* still up: no second NMI */
	wr(&r, 0x24, 0x8400);
	CHECK_EQ(r.sent, 1);
	wr(&r, 0x16, 0x0630); /* STARTUP does not exist here */
	ioapic_set_pin(&r.io, 3, true);
	CHECK_EQ(r.sent, 1);
}

TEST(reset_masks_everything)
{
	RIG(r);
	wr(&r, 0x24, 0x8040);
	ioapic_set_pin(&r.io, 10, true);
	ioapic_reset(&r.io);
	CHECK_EQ(rd(&r, 0x24), 0x10000);
	CHECK_EQ(r.io.pins, 1u << 10);
}
