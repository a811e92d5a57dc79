/* IDT and the C half of every exception and interrupt.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/trap.h"
#include "core/cpu.h"
#include "core/irq.h"
#include "core/panic.h"
#include "lib/cpuops.h"
#include "lib/trap_stubs.h"

#define GATE_INTERRUPT 0x8e /* present, ring 0, 64-bit interrupt gate: IF is cleared */

struct idt_gate {
	u16 offset_lo;
	u16 sel;
	u8 ist;
	u8 type;
	u16 offset_mid;
	u32 offset_hi;
	u32 reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "IDT gate layout");

/* Distances from the fields themselves, so that the table needs no relocation. */
struct extable_entry {
	s32 insn;
	s32 fix;
};

extern const char trap_stubs[];
extern const struct extable_entry extable_start[], extable_end[];

static struct idt_gate idt[256] __attribute__((aligned(16)));

static const char *const trap_names[32] = {
	"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",   "#TS",
	"#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
	"22",  "23",  "24",  "25",  "26",  "27",  "#HV", "#VC", "#SX", "31",
};

const char *trap_name(unsigned vector)
{
	return vector < ARRAY_SIZE(trap_names) ? trap_names[vector] : "interrupt";
}

static u8 trap_ist(unsigned vector)
{
	switch (vector) {
	case VEC_NMI:
		return IST_NMI;
	case VEC_DF:
		return IST_DF;
	case VEC_MC:
		return IST_MC;
	default:
		return IST_NONE;
	}
}

void trap_init(void)
{
	for (unsigned i = 0; i < 256; i++) {
		u64 stub = (u64)trap_stubs + i * TRAP_STUB_SIZE;

		idt[i] = (struct idt_gate){
			.offset_lo = (u16)stub,
			.offset_mid = (u16)(stub >> 16),
			.offset_hi = (u32)(stub >> 32),
			.sel = SEL_CODE,
			.ist = trap_ist(i),
			.type = GATE_INTERRUPT,
		};
	}
}

void trap_load(void)
{
	struct desc_ptr p = {.limit = sizeof(idt) - 1, .base = (u64)idt};

	lidt(&p);
}

static u64 trap_fixup(u64 rip)
{
	for (const struct extable_entry *e = extable_start; (u64)e < (u64)extable_end; e++) {
		if ((u64)&e->insn + (u64)(s64)e->insn == rip)
			return (u64)&e->fix + (u64)(s64)e->fix;
	}
	return 0;
}

void trap_dispatch(struct trap_frame *f)
{
	u64 fix;

	if (f->vector >= VECTOR_FIRST_IRQ) {
		irq_dispatch(f);
		return;
	}
	if (f->vector == VEC_NMI) {
		this_cpu()->nmis++;
		panic_stop_check();
		return;
	}
	fix = trap_fixup(f->rip);
	if (!fix)
		panic_trap(f);
	f->rip = fix;
}
