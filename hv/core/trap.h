/* Exceptions and interrupts taken in the hypervisor.
 *
 * The IDT is one for all CPUs. An exception whose address is in the exception table continues at
 * the fixup (cpuops.h: rdmsr_safe() and friends); an NMI is counted; anything else is a panic with
 * the registers. Vectors from 0x20 go to irq.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_TRAP_H
#define HV_CORE_TRAP_H

#include "penumbra/types.h"

/* As trap_entry.S leaves it on the stack. */
struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8;
	u64 rdi, rsi, rbp, rbx, rdx, rcx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct trap_frame) == 22 * 8, "trap frame layout");

/* Fill the IDT; once, on the boot CPU. */
void trap_init(void);
/* LIDT on this CPU. */
void trap_load(void);
/* From trap_entry.S. */
void trap_dispatch(struct trap_frame *f);
/* Name of exception @vector, "#PF" style. */
const char *trap_name(unsigned vector);

#endif
