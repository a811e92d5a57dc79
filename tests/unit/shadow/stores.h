/* Instructions that store: their bytes, and what they do. A second opinion on the shadow's store
 * decoder, and the guest's CPU where it runs on its own.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_SHADOW_STORES_H
#define TESTS_UNIT_SHADOW_STORES_H

#include "penumbra/types.h"

enum store_kind {
	STORE_MOV,
	STORE_MOV_IMM,
	STORE_MOFFS,
	STORE_XCHG,
	STORE_CMPXCHG,	     /* that finds what it expects */
	STORE_CMPXCHG_FAILS, /* that does not */
	STORE_CMPXCHG_PAIR,  /* 8B, 16B */
	STORE_OR,
	STORE_AND,
	STORE_XOR,
	STORE_ADD,
	STORE_SUB,
	STORE_OR_IMM8,
	STORE_AND_IMM8,
	STORE_ADD_IMM,
	STORE_BTS,
	STORE_BTR,
	STORE_BTC,
	STORE_BTS_REG,
	STORE_XADD,
	STORE_INC,
	STORE_DEC,
	STORE_NOT,
	STORE_NEG,
	STORE_STOS,
	STORE_REP_STOS,
	STORE_MOVNTI,
	STORE_MOVAPS,
	STORE_PUSH,
	STORE_KINDS
};

struct store_cpu {
	u64 gpr[16];
	u64 rip, rflags;
	u64 vector[2];
};

struct store_insn_test {
	enum store_kind kind;
	u8 bytes[15];
	unsigned len, width, size; /* of the code segment, of the operand in bytes */
	u64 operand;		   /* immediate or bit number */
	bool rep;
};

/* Make @c's registers and an instruction that stores @size bytes at @gva and leaves @want there,
 * as far as its kind can, with @old there now. @form varies addressing and prefixes. @repeat: for
 * REP. */
void store_make(struct store_insn_test *t, struct store_cpu *c, enum store_kind kind, unsigned form,
		unsigned width, unsigned size, u64 gva, const u64 old[2], const u64 want[2],
		unsigned repeat);
/* Carry it out on @memory (the operand's bytes); of REP, one turn. Adds to *@unsure the flags that
 * the manual leaves open. */
void store_execute(const struct store_insn_test *t, struct store_cpu *c, u8 *memory, u64 *unsure);

#endif
