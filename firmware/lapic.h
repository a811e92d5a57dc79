/* The host's local APICs, in xAPIC or x2APIC mode as the firmware left them (Intel SDM vol. 3
 * ch. 10, AMD APM vol. 2 ch. 16).
 *
 * All functions act on the calling CPU's APIC. host_lapic_init() once on the boot CPU, after
 * hostmap_init(); lapic_init_cpu() on every CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_LAPIC_H
#define FIRMWARE_LAPIC_H

#include "penumbra/bootinfo.h"
#include "penumbra/types.h"

/* Find the mode and map the registers. 0, or -ENODEV: this CPU has no APIC, or -ENOMEM. */
int host_lapic_init(const struct boot_info *bi);
/* Software-enable with the spurious vector, mask all local sources but NMI, accept everything. */
void lapic_init_cpu(void);
bool lapic_is_x2apic(void);
/* APIC ID of the calling CPU; works before lapic_init_cpu(). */
u32 lapic_id(void);
void lapic_eoi(void);
/* Make the APIC look once more whether it has an interrupt for its CPU. */
void lapic_recheck(void);
/* Fixed interrupt @vector, NMI, INIT, start-up at physical page @page << 12, to one CPU. */
void lapic_send_ipi(u32 apic_id, unsigned vector);
void lapic_send_nmi(u32 apic_id);
void lapic_send_init(u32 apic_id);
void lapic_send_startup(u32 apic_id, u8 page);
/* Learn the timer's rate from the TSC (2 ms); boot CPU, after tsc_calibrate(). */
void lapic_timer_calibrate(void);
/* Interrupt on VECTOR_TIMER in @delta_ns (at least 1; longer than the timer reaches: earlier, at
 * its limit). Replaces what was armed. */
void lapic_timer_arm_ns(u64 delta_ns);
void lapic_timer_off(void);
/* Does what was armed come again and again by itself, in the same time, until armed anew or off? */
bool lapic_timer_repeats(void);
/* "tsc-deadline" or "counter", for the `boot` record. */
const char *lapic_timer_kind(void);

#endif
