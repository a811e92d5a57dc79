/* What cpu32.c and cpu64.c know and cpu.c uses: descriptors of either width.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_QEMU_PAGING_CPU_H
#define TESTS_QEMU_PAGING_CPU_H

#include "paging.h"

#define CODE	  0x08
#define DATA	  0x10
#define USER_DATA 0x23
#define TSS_SEL	  0x38
#define IDT_GATES 0x90

struct dtr {
	u16 limit;
	ulong base;
} __attribute__((packed));

extern struct dtr idtr, gdtr;

void set_gate(unsigned vector, void (*entry)(void));
/* GDT, TSS, and the gate of INT 81h with a stack of its own. */
void descriptors_init(void);

#endif
