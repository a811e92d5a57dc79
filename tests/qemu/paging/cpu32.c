/* Descriptors of the 32-bit paging kernel. INT 81h goes to ring 1, whose stack is its own: a fault
 * on it is delivered on ring 0's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cpu.h"

#define CODE1 0x29
#define DATA1 0x31

static u64 gdt[8] = {0,
		     0x00cf9b000000ffffull, /* 08: code */
		     0x00cf93000000ffffull, /* 10: data */
		     0x00cffb000000ffffull, /* 18: code of ring 3 */
		     0x00cff3000000ffffull, /* 20: data of ring 3 */
		     0x00cfbb000000ffffull, /* 28: code of ring 1 */
		     0x00cfb3000000ffffull, /* 30: data of ring 1 */
		     0};
static u64 idt[IDT_GATES];
static u32 tss[26];
static u32 stack0[1024], stack1[1024];
const unsigned gate_size = 8;

static void set_gate_to(unsigned vector, u32 selector, u32 entry, u32 type)
{
	idt[vector] =
		(entry & 0xffff) | selector << 16 | (u64)((entry & 0xffff0000) | type << 8) << 32;
}

void set_gate(unsigned vector, void (*entry)(void))
{
	u32 type = vector >= 0x80 ? 0xee : 0x8e;

	set_gate_to(vector, vector == 0x81 ? CODE1 : CODE, (u32)entry, type);
}

void set_int81_stack(u64 top)
{
	tss[3] = top ? (u32)top : (u32)(stack1 + 1024);
}

void descriptors_init(void)
{
	u32 at = (u32)tss;

	tss[1] = (u32)(stack0 + 1024);
	tss[2] = DATA;
	tss[4] = DATA1;
	tss[25] = 104u << 16;
	set_int81_stack(0);
	gdt[7] = 103 | (u64)(at & 0xffffff) << 16 | 0x89ull << 40 | (u64)(at >> 24) << 56;
	idtr = (struct dtr){sizeof(idt) - 1, (u32)idt};
	gdtr = (struct dtr){sizeof(gdt) - 1, (u32)gdt};
}
