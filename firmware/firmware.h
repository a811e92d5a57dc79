/* What the boot code says on every console, and its hand-over to hv/.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_FIRMWARE_H
#define FIRMWARE_FIRMWARE_H

#include "penumbra/bootinfo.h"

/* One line, prefixed "hv| ", on every console. Boot only: core/log.c has the line afterwards. */
void firmware_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The hypervisor proper, on the boot CPU: 64-bit mode, its own stack, interrupts off, GDT, IDT and
 * TSS loaded, console up, address space and frame allocator live, clock running, the other CPUs
 * waiting for smp_release(). */
void hv_main(struct boot_info *bi);

#endif
