/* Small ports of the board: 92h (A20, fast reset), F0h/F1h (coprocessor error) and F4h (debug
 * exit). The reset control at CF9h belongs to PIIX3 (piix.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_MISC_H
#define HV_DEV_MISC_H

#include "dev/dev.h"

#define PORT92		    0x92
#define PORT92_RESET	    0x01u
#define PORT92_A20	    0x02u
#define PORT_FPU_CLEAR	    0xf0
#define PORT_FPU_RESET	    0xf1
#define PORT_DEBUG_EXIT_LEN 4 /* accesses of 1, 2 and 4 bytes at the base port */

struct misc {
	u8 port92;
	const struct dev_host *host;
	struct irq_line a20, irq13;
};

/* @a20: port 92h's A20 bit as it changes. @irq13: coprocessor error. */
int misc_init(struct misc *m, struct bus *bus, const struct dev_host *host,
	      const struct irq_line *a20, const struct irq_line *irq13);
void misc_reset(struct misc *m);
/* The CPU's FERR# went low: an unmasked x87 exception with CR0.NE clear. */
void misc_fpu_error(struct misc *m);

#endif
