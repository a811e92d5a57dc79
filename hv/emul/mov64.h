/* The accesses that nearly every device register gets, without the emulator's set-up: MOV and MOVZX
 * between memory and a register or an immediate, in 64-bit code, flat segments, no unusual
 * encoding. What it declines the emulator executes; what it accepts means the same to both.
 *
 * Pure: bytes and registers in, what to do out (APM vol. 3 ch. 1.2-1.7).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_EMUL_MOV64_H
#define HV_EMUL_MOV64_H

#include "lib/x86.h"
#include "penumbra/types.h"

struct mov64 {
	gva_t gva; /* of the memory operand; not checked for being canonical */
	u64 value; /* a store's */
	u8 len;	   /* of the instruction, bytes */
	u8 size;   /* of the memory operand: 1, 2, 4, 8 */
	bool store;
	u8 reg, width; /* a load's destination and how many bytes of it are written */
};

/* False: not such an instruction. INSN_MAX of @bytes can be read, whatever they are; @rip is that
 * of the first. */
bool mov64_decode(const u8 *bytes, const u64 *gpr, u64 rip, struct mov64 *m);
/* Finish a load: @value (its low @m->size bytes) goes to the register. */
void mov64_load(const struct mov64 *m, u64 *gpr, u64 value);

#endif
