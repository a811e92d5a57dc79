/* Starting the application processors.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_SMP_H
#define FIRMWARE_SMP_H

#include "penumbra/bootinfo.h"

struct cpu;

/* Start every usable CPU of the MADT; each gets cpus[n], stacks and tables, and waits. One that
 * does not come up is reported and left out. Returns the number of CPUs up, ncpus. */
unsigned smp_start(const struct boot_info *bi);
/* Let the waiting CPUs go on into hv_ap_main(). */
void smp_release(void);
/* The rest of the hypervisor's entry for CPUs other than the boot CPU; interrupts off. */
void hv_ap_main(struct cpu *c);

#endif
