/* The control partition's IOAPICs: see hostioapic.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/hostioapic.h"
#include "dev/ioapic_regs.h"
#include "lib/errno.h"
#include "lib/str.h"

#define FIRST_VECTOR 16 /* a local APIC takes none below */

/* What a pin may do to the partition. SMI and INIT would reach a CPU that is not its own; ExtINT
 * asks its virtual 8259 and is harmless. */
static bool rte_may_send(u64 e)
{
	switch (RTE_MODE(e)) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return RTE_VECTOR(e) >= FIRST_VECTOR;
	case APIC_NMI:
	case APIC_EXTINT:
		return true;
	default:
		return false;
	}
}

/* ExtINT pins hang on the real 8259, which is masked for good. */
static bool rte_uses_wire(u64 e)
{
	return rte_may_send(e) && RTE_MODE(e) != APIC_EXTINT;
}

static struct hostioapic_pin *find(struct hostioapic *h, u32 gsi)
{
	for (unsigned i = 0; i < h->nchips; i++) {
		const struct hostioapic_chip *c = &h->chip[i];

		if (gsi >= c->gsi_base && gsi - c->gsi_base < c->pins)
			return &h->pin[c->first + (gsi - c->gsi_base)];
	}
	return NULL;
}

/* --- one pin ---------------------------------------------------------------------------------- */

/* Bring the real entry in line with what the partition programmed and with what is held. While it
 * stays masked, trigger and polarity can wait. */
static void pin_sync(struct hostioapic *h, struct hostioapic_pin *p)
{
	bool wired = !p->isolated && rte_uses_wire(p->rte);
	bool masked = !wired || (p->rte & RTE_MASKED) || p->held;
	bool level = rte_level(p->rte), low = p->rte & RTE_LOW;

	if (masked ? p->hw_masked : !p->hw_masked && p->hw_level == level && p->hw_low == low)
		return;
	p->hw_masked = masked;
	p->hw_level = level;
	p->hw_low = low;
	h->ops->program(h->ctx, p->gsi, masked, level, low);
}

/* Remote IRR is set only when a local APIC took the message: otherwise no EOI would ever clear it.
 */
static void pin_send(struct hostioapic *h, struct hostioapic_pin *p)
{
	u64 e = p->rte;
	struct apic_msg msg = rte_msg(e);

	if (!rte_may_send(e)) {
		h->refused++;
		return;
	}
	if (!h->ops->deliver(h->ctx, &msg) || !msg.level)
		return;
	p->rte |= RTE_REMOTE_IRR;
	p->sent = msg.vector;
}

/* A level pin: send when it is asserted and not already being served. */
static void pin_level_check(struct hostioapic *h, struct hostioapic_pin *p)
{
	if (rte_level(p->rte) && !(p->rte & (RTE_MASKED | RTE_REMOTE_IRR)) &&
	    (p->sources || p->held))
		pin_send(h, p);
}

/* Nothing of the pin awaits an EOI: let go of the real line, which asks again if it is still
 * asserted, and serve the virtual sources. */
static void pin_release(struct hostioapic *h, struct hostioapic_pin *p)
{
	p->held = false;
	pin_sync(h, p);
	pin_level_check(h, p);
}

/* Changing an entry to edge clears Remote IRR: how software without an EOI register frees one. */
static void pin_write(struct hostioapic *h, struct hostioapic_pin *p, u64 rte)
{
	p->rte = rte;
	if (rte_level(p->rte))
		p->latched = false;
	else
		p->rte &= ~RTE_REMOTE_IRR;
	if (p->rte & RTE_REMOTE_IRR)
		pin_sync(h, p);
	else
		pin_release(h, p);
	if (p->latched && !(p->rte & RTE_MASKED)) {
		p->latched = false;
		pin_send(h, p);
	}
}

void hostioapic_arrived(struct hostioapic *h, u32 gsi)
{
	struct hostioapic_pin *p = find(h, gsi);

	if (!p || p->isolated)
		return;
	if (p->hw_level) {
		p->held = true;
		p->hw_masked = true;
		pin_level_check(h, p);
	} else if (!rte_uses_wire(p->rte)) {
		h->refused++;
	} else if (p->rte & RTE_MASKED) {
		/* It was on its way before the mask: the real chip would have delivered it. */
		p->latched = true;
	} else {
		pin_send(h, p);
	}
}

void hostioapic_line(struct hostioapic *h, u32 gsi, unsigned source, bool level)
{
	struct hostioapic_pin *p = find(h, gsi);
	u8 was;

	if (!p || source >= HOSTIOAPIC_SOURCES)
		return;
	was = p->sources;
	p->sources = (u8)(level ? was | BIT(source) : was & ~BIT(source));
	if (rte_level(p->rte))
		pin_level_check(h, p);
	else if (!was && p->sources && !(p->rte & RTE_MASKED))
		pin_send(h, p);
}

/* Both the vector that was sent and the one that stands in the entry count: the chip compares the
 * latter, and after a change of vector only the former ever comes. */
static void pin_eoi(struct hostioapic *h, struct hostioapic_pin *p, u8 vector)
{
	if (!(p->rte & RTE_REMOTE_IRR) || (p->sent != vector && RTE_VECTOR(p->rte) != vector))
		return;
	p->rte &= ~RTE_REMOTE_IRR;
	pin_release(h, p);
}

void hostioapic_eoi(struct hostioapic *h, u8 vector)
{
	for (unsigned i = 0; i < h->npins; i++)
		pin_eoi(h, &h->pin[i], vector);
}

void hostioapic_retry(struct hostioapic *h)
{
	for (unsigned i = 0; i < h->npins; i++)
		if (!(h->pin[i].rte & RTE_REMOTE_IRR))
			pin_release(h, &h->pin[i]);
}

/* --- registers -------------------------------------------------------------------------------- */

/* The pin whose entry the index register selects, or NULL. */
static struct hostioapic_pin *selected(const struct hostioapic_chip *c)
{
	unsigned n = (c->index - IOAPIC_REG_RTE) / 2;

	if (c->index < IOAPIC_REG_RTE || n >= c->pins)
		return NULL;
	return &c->h->pin[c->first + n];
}

static u32 chip_read(const struct hostioapic_chip *c)
{
	const struct hostioapic_pin *p = selected(c);

	if (p)
		return (u32)(c->index & 1 ? p->rte >> 32 : p->rte);
	switch (c->index) {
	case IOAPIC_REG_ID:
	case IOAPIC_REG_ARBITRATION:
		return (u32)c->id << 24;
	case IOAPIC_REG_VERSION:
		return c->version;
	default:
		return UINT32_MAX;
	}
}

static void chip_write(struct hostioapic_chip *c, u32 v)
{
	struct hostioapic_pin *p = selected(c);

	if (c->index == IOAPIC_REG_ID)
		c->id = (u8)(v >> 24);
	if (p)
		pin_write(c->h, p, rte_written(p->rte, c->index, v));
}

static u64 hostioapic_mmio_read(void *dev, u64 off, unsigned size)
{
	const struct hostioapic_chip *c = dev;

	return ioapic_window(off, size, c->index, chip_read(c));
}

static void chip_eoi(struct hostioapic_chip *c, u8 vector)
{
	if (IOAPIC_VERSION(c->version) < IOAPIC_VERSION_EOI)
		return;
	for (unsigned i = 0; i < c->pins; i++)
		pin_eoi(c->h, &c->h->pin[c->first + i], vector);
}

static void hostioapic_mmio_write(void *dev, u64 off, unsigned size, u64 value)
{
	struct hostioapic_chip *c = dev;

	/* INDEX and EOI are one byte wide, DATA only exists as a whole. */
	if (off == IOAPIC_INDEX)
		c->index = (u8)value;
	else if (off == IOAPIC_EOI)
		chip_eoi(c, (u8)value);
	else if (off == IOAPIC_DATA && size >= 4)
		chip_write(c, (u32)value);
}

const struct mmio_ops hostioapic_mmio_ops = {
	.read = hostioapic_mmio_read,
	.write = hostioapic_mmio_write,
};

/* --- set-up ----------------------------------------------------------------------------------- */

void hostioapic_init(struct hostioapic *h, const struct hostioapic_ops *ops, void *ctx)
{
	memset(h, 0, sizeof(*h));
	h->ops = ops;
	h->ctx = ctx;
}

static bool gsis_overlap(const struct hostioapic *h, u32 base, unsigned pins)
{
	for (unsigned i = 0; i < h->nchips; i++) {
		const struct hostioapic_chip *c = &h->chip[i];

		if (base < (u64)c->gsi_base + c->pins && c->gsi_base < (u64)base + pins)
			return true;
	}
	return false;
}

int hostioapic_add(struct hostioapic *h, hpa_t base, u8 id, u32 gsi_base, u32 version)
{
	unsigned pins = IOAPIC_VERSION_PINS(version);

	if (pins > HOSTIOAPIC_CHIP_PINS || (u64)gsi_base + pins > UINT32_MAX)
		return -EINVAL;
	if (gsis_overlap(h, gsi_base, pins))
		return -EEXIST;
	if (h->nchips == HOSTIOAPIC_CHIPS || pins > HOSTIOAPIC_PINS - h->npins)
		return -ENOSPC;
	h->chip[h->nchips++] = (struct hostioapic_chip){.h = h,
							.base = base,
							.version = version,
							.gsi_base = gsi_base,
							.first = h->npins,
							.pins = pins,
							.id = id,
							.reset_id = id};
	for (unsigned i = 0; i < pins; i++)
		h->pin[h->npins++] = (struct hostioapic_pin){
			.rte = RTE_MASKED, .gsi = gsi_base + i, .hw_masked = true};
	return 0;
}

int hostioapic_isolate(struct hostioapic *h, u32 gsi)
{
	struct hostioapic_pin *p = find(h, gsi);

	if (!p)
		return -ENOENT;
	p->isolated = true;
	p->latched = false;
	if (!(p->rte & RTE_REMOTE_IRR))
		p->held = false;
	pin_sync(h, p);
	return 0;
}

void hostioapic_rejoin(struct hostioapic *h, u32 gsi)
{
	struct hostioapic_pin *p = find(h, gsi);

	if (!p)
		return;
	p->isolated = false;
	pin_sync(h, p);
}

void hostioapic_reset(struct hostioapic *h)
{
	for (unsigned i = 0; i < h->npins; i++) {
		struct hostioapic_pin *p = &h->pin[i];

		p->rte = RTE_MASKED;
		p->held = false;
		p->latched = false;
		pin_sync(h, p);
	}
	for (unsigned i = 0; i < h->nchips; i++) {
		h->chip[i].id = h->chip[i].reset_id;
		h->chip[i].index = 0;
	}
}
