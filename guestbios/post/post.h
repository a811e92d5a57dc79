/* The steps of POST, in the order post_main() takes them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_POST_H
#define GUESTBIOS_POST_H

#include "penumbra/platform.h"
#include "penumbra/types.h"
#include "ports.h"
#include "shared.h"

/* A physical address as a pointer. The empty asm keeps the compiler from reasoning about objects at
 * such low addresses. */
static inline void *phys(u32 address)
{
	__asm__("" : "+r"(address));
	return (void *)address;
}

#define EBDA(offset) phys(EBDA_PHYS + (offset))

/* Read the hypervisor's description of this machine. False: there is no channel. */
bool channel_config(struct bios_config *cfg);
void channel_log(const char *text);

void hw_init_early(void);			   /* PIC, PIT, keyboard controller, LAPIC, MTRRs */
void hw_init_clock(const struct bios_config *cfg); /* RTC and CMOS */
void vga_init(void);
void pci_init(void);
void ivt_init(void);
void bda_init(const struct bios_config *cfg, const struct bios_shared *shared);
void units_init(const struct bios_config *cfg, struct bios_shared *shared);
u32 clock_ticks(void); /* since midnight, from the RTC */

#endif
