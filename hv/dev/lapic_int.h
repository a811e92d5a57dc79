/* Shared by the sources of the local APIC only.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_LAPIC_INT_H
#define HV_DEV_LAPIC_INT_H

#include "dev/lapic.h"

#define SVR_ENABLE	     BIT(8)
#define SVR_NO_EOI_BROADCAST BIT(12)
#define SVR_WRITABLE	     (0xffu | SVR_ENABLE | BIT(9) | SVR_NO_EOI_BROADCAST)

#define ESR_SEND_VECTOR BIT(5)
#define ESR_RECV_VECTOR BIT(6)
#define ESR_REGISTER	BIT(7)

#define LVT_MODE(v)	  ((v) >> 8 & 7)
#define LVT_PENDING	  BIT(12)
#define LVT_REMOTE_IRR	  BIT(14)
#define LVT_LEVEL	  BIT(15)
#define LVT_MASKED	  BIT(16)
#define LVT_TIMER_MODE(v) ((v) >> 17 & 3)

#define ICR_WRITABLE 0x000ccfffu
#define FIRST_VECTOR 16u

/* Bring the shared page up to date: every register, or LVT entry @which, or what the page has of
 * @vector. */
void lapic_show(struct lapic *l);
void lapic_show_lvt(struct lapic *l, enum lapic_lvt which);
void lapic_show_vector(struct lapic *l, u8 vector);
/* ICR as a whole, to be asked for where the CPU writes a half of it too. */
void lapic_set_icr(struct lapic *l, u64 value);

/* Note error @bit (ESR_*) and raise the error LVT. */
void lapic_error(struct lapic *l, u32 bit);
/* Deliver what LVT entry @which says, unless it is masked. */
void lapic_lvt_fire(struct lapic *l, enum lapic_lvt which);
/* Recompute soft_enabled. */
void lapic_soft_enable(struct lapic *l);
/* Tell who sends that messages refused so far may find a taker. */
void lapic_accepts(struct lapic *l);
/* Is the xAPIC register page decoded? */
static inline bool lapic_page_on(const struct lapic *l)
{
	return lapic_enabled(l) && !lapic_x2apic(l);
}

/* Send what the ICR says. */
void lapic_icr_send(struct lapic *l);

/* Timer registers, and the callback of l->timer. */
void lapic_timer_fire(void *arg, u64 now_ns);
u32 lapic_timer_count(const struct lapic *l);
void lapic_timer_write_init(struct lapic *l, u32 value);
void lapic_timer_write_div(struct lapic *l, u32 value);
void lapic_timer_write_lvt(struct lapic *l, u32 value);
/* Expiries up to now happen now, under the settings that are about to change. */
void lapic_timer_settle(struct lapic *l);
/* Arm the machine's timer for what the registers say. */
void lapic_timer_arm(struct lapic *l);

#endif
