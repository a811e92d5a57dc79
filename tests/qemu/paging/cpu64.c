/* Descriptors of the 64-bit paging kernel. INT 81h has an interrupt stack of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cpu.h"

static u64 gdt[10] = {0,
		      0x00af9b000000ffffull, /* 08: code */
		      0x00cf93000000ffffull, /* 10: data */
		      0x00affb000000ffffull, /* 18: code of ring 3 */
		      0x00cff3000000ffffull, /* 20: data of ring 3 */
		      0,
		      0,
		      0, /* 38: the TSS, two entries */
		      0,
		      0x00cf9b000000ffffull}; /* 48: 32-bit code */
static u64 idt[IDT_GATES][2];
static u32 tss[26];
static u64 stack0[512], stack81[512];
const unsigned gate_size = 16;

void set_gate(unsigned vector, void (*entry)(void))
{
	u64 at = (ulong)entry, type = vector >= 0x80 ? 0xee : 0x8e, ist = vector == 0x81;

	idt[vector][0] =
		(at & 0xffff) | CODE << 16 | ist << 32 | type << 40 | (at & 0xffff0000) << 32;
	idt[vector][1] = at >> 32;
}

static void put64(u32 *at, u64 value)
{
	at[0] = (u32)value;
	at[1] = (u32)(value >> 32);
}

void set_int81_stack(u64 top)
{
	put64(tss + 9, top ? top : (ulong)(stack81 + 512));
}

void descriptors_init(void)
{
	u64 at = (ulong)tss;

	put64(tss + 1, (ulong)(stack0 + 512));
	tss[25] = 104u << 16;
	set_int81_stack(0);
	gdt[7] = 103 | (at & 0xffffff) << 16 | 0x89ull << 40 | (at >> 24 & 0xff) << 56;
	gdt[8] = at >> 32;
	idtr = (struct dtr){sizeof(idt) - 1, (ulong)idt};
	gdtr = (struct dtr){sizeof(gdt) - 1, (ulong)gdt};
}
