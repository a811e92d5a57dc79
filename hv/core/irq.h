/* Hardware interrupts of the hypervisor: one handler per vector, the same on all CPUs.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_IRQ_H
#define HV_CORE_IRQ_H

#include "penumbra/types.h"

#define VECTOR_FIRST_IRQ  0x20
#define VECTOR_TIMER	  0xf0
#define VECTOR_KICK	  0xf1
#define VECTOR_PANIC_STOP 0xf2
#define VECTOR_CONSOLE	  0xf3
/* IOAPIC pins of the control partition's devices: levels below VECTOR_GSI_EDGE. What lies below
 * VECTOR_TIMER is its MSIs' (control_irq.c). */
#define VECTOR_GSI_FIRST 0xf4
#define VECTOR_GSI_EDGE	 0xf8
#define VECTOR_GSI_LAST	 0xfe
#define VECTOR_SPURIOUS	 0xff

struct trap_frame;
/* Runs with interrupts off on the interrupted stack. A level-triggered source must be quiet or
 * masked in its IOAPIC entry when the handler returns: the EOI follows. */
typedef void irq_handler_fn(unsigned vector, struct trap_frame *f);

/* Install @fn for @vector (0x20-0xfe). 0, -EINVAL, or -EBUSY when another handler is there. */
int irq_register(unsigned vector, irq_handler_fn *fn);
/* From the trap code. Counts vectors nobody registered; EOIs all but the spurious one. */
void irq_dispatch(struct trap_frame *f);

#endif
