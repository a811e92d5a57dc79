/* Which interrupt the CPU gets; see board.h.
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
