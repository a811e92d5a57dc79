/* The vector table of the hypervisor's own interrupts.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/irq.h"
#include "core/cpu.h"
#include "core/trap.h"
#include "firmware/lapic.h"
#include "lib/errno.h"

static irq_handler_fn *irq_table[256];

int irq_register(unsigned vector, irq_handler_fn *fn)
{
	if (vector < VECTOR_FIRST_IRQ || vector >= VECTOR_SPURIOUS)
		return -EINVAL;
	if (irq_table[vector] && irq_table[vector] != fn)
		return -EBUSY;
	__atomic_store_n(&irq_table[vector], fn, __ATOMIC_RELEASE);
	return 0;
}

void irq_dispatch(struct trap_frame *f)
{
	unsigned vector = (unsigned)f->vector & 0xff;
	irq_handler_fn *fn = __atomic_load_n(&irq_table[vector], __ATOMIC_ACQUIRE);

	/* The APIC does not set an in-service bit for the spurious vector. */
	if (vector == VECTOR_SPURIOUS) {
		this_cpu()->spurious++;
		return;
	}
	if (fn)
		fn(vector, f);
	else
		this_cpu()->spurious++;
	lapic_eoi();
}
