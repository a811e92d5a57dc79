/* Interrupt messages of the local APIC: ICR, destinations, arbitration (SDM vol. 3 §11.6).
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/lapic_int.h"

#define ICR_LOGICAL	 BIT(11)
#define ICR_ASSERT	 BIT(14)
#define ICR_LEVEL	 BIT(15)
#define ICR_SHORTHAND(v) ((v) >> 18 & 3)

#define DFR_FLAT 0xfu

static bool match_logical(const struct lapic *l, u32 dest, bool wide)
{
	u8 ldr = (u8)(l->ldr >> 24);

	if (lapic_x2apic(l)) {
		if (!wide) /* an 8-bit sender reaches cluster 0 */
			return !(l->ldr >> 16) && (l->ldr & dest & 0xff);
		return dest >> 16 == l->ldr >> 16 && (dest & l->ldr & 0xffff);
	}
	if (l->dfr >> 28 == DFR_FLAT)
		return ldr & dest;
	return (dest >> 4 & 0xf) == ldr >> 4 && (ldr & dest & 0xf);
}

/* Does @l belong to the destination of @msg (shorthands excluded)? */
static bool match(const struct lapic *l, const struct apic_msg *msg)
{
	u32 broadcast = msg->wide ? UINT32_MAX : 0xff;
	u32 dest = msg->wide ? msg->dest : msg->dest & 0xff;

	if (!lapic_enabled(l))
		return false;
	if (dest == broadcast)
		return true;
	if (msg->logical)
		return match_logical(l, dest, msg->wide);
	return dest == l->id;
}

/* @l matched. */
static void deliver(struct lapic *l, const struct apic_msg *msg)
{
	switch (msg->mode) {
	case APIC_FIXED:
	case APIC_LOWEST:
		if (l->soft_enabled)
			lapic_set_irr(l, msg->vector, msg->level);
		break;
	case APIC_NMI:
		l->ops->nmi(l->ctx);
		break;
	case APIC_INIT:
		l->ops->init(l->ctx);
		break;
	case APIC_STARTUP:
		l->ops->startup(l->ctx, (gpa_t)msg->vector << 12);
		break;
	default: /* SMI and ExtINT have no receiver on this board */
		break;
	}
}

static bool addressed(const struct lapic *l, const struct lapic *from, const struct apic_msg *msg)
{
	switch (msg->shorthand) {
	case APIC_SELF:
		return l == from;
	case APIC_ALL:
		return lapic_enabled(l);
	case APIC_OTHERS:
		return l != from && lapic_enabled(l);
	default:
		return match(l, msg);
	}
}

static bool takes(const struct lapic *l, const struct apic_msg *msg)
{
	return l->soft_enabled || (msg->mode != APIC_FIXED && msg->mode != APIC_LOWEST);
}

unsigned lapic_route(struct lapic *const *all, unsigned n, const struct lapic *from,
		     const struct apic_msg *msg)
{
	struct lapic *lowest = NULL;
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		struct lapic *l = all[i];

		if (!addressed(l, from, msg) || !takes(l, msg))
			continue;
		count++;
		if (msg->mode != APIC_LOWEST)
			deliver(l, msg);
		else if (!lowest || l->ppr < lowest->ppr)
			lowest = l;
	}
	if (lowest) {
		deliver(lowest, msg);
		return 1;
	}
	return count;
}

void lapic_icr_send(struct lapic *l)
{
	u32 low = (u32)l->icr;
	struct apic_msg msg = {
		.dest = lapic_x2apic(l) ? (u32)(l->icr >> 32) : (u32)(l->icr >> 56),
		.wide = lapic_x2apic(l),
		.logical = low & ICR_LOGICAL,
		.shorthand = ICR_SHORTHAND(low),
		.mode = LVT_MODE(low),
		.vector = (u8)low,
	};

	if (msg.mode == APIC_RESERVED || msg.mode == APIC_EXTINT)
		return;
	/* INIT level de-assert only resynchronised arbitration IDs of the first APICs. */
	if (msg.mode == APIC_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT))
		return;
	/* Only fixed and lowest-priority messages carry an interrupt vector. */
	if (msg.mode <= APIC_LOWEST && msg.vector < FIRST_VECTOR) {
		lapic_error(l, ESR_SEND_VECTOR);
		return;
	}
	/* A CPU cannot start itself: with SELF only fixed delivery is defined (SDM table 11-3). */
	if (msg.shorthand == APIC_SELF && msg.mode != APIC_FIXED)
		return;
	l->ops->send(l->ctx, l, &msg);
}
