/* Which interrupt the CPU gets, and where its local APIC is; see board.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/board.h"
#include "dev/ioapic_regs.h"

static bool rte_is_extint(u64 rte)
{
	return !(rte & RTE_MASKED) && RTE_MODE(rte) == APIC_EXTINT;
}

bool board_extint_routed(const struct board *b)
{
	return lapic_accepts_extint(&b->lapic) || (b->extint_rte && rte_is_extint(*b->extint_rte));
}

int board_intr_ack(struct board *b)
{
	int vector = lapic_pending(&b->lapic);

	if (vector >= 0) {
		lapic_ack(&b->lapic, (u8)vector);
		return vector;
	}
	if (pic_pending(&b->pic) && board_extint_routed(b))
		return pic_ack(&b->pic);
	return -1;
}

void board_place_lapic(struct board *b, gpa_t base, bool mapped)
{
	if (b->lapic_mapped)
		bus_del_mmio(&b->bus, b->lapic_at, &b->lapic);
	b->lapic_at = base;
	b->lapic_mapped =
		mapped && !bus_add_mmio(&b->bus, base, LAPIC_MMIO_SIZE, &lapic_mmio_ops, &b->lapic);
	if (b->lapic_placed)
		b->lapic_placed(b->owner);
}

unsigned board_apic_send(struct board *b, const struct lapic *from, const struct apic_msg *msg)
{
	struct lapic *all[] = {&b->lapic};

	return lapic_route(all, 1, from, msg);
}
