/* A store between its decoding (sh_store.c) and its execution (sh_store_run.c).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_SHADOW_SH_STORE_INT_H
#define HV_PAGING_SHADOW_SH_STORE_INT_H

#include "lib/x86.h"
#include "paging/shadow/sh_store.h"

enum action {
	DO_NOTHING,
	DO_MOV,
	DO_XCHG,
	DO_CMPXCHG,
	DO_CMPXCHG_PAIR,
	DO_XADD,
	DO_ADD,
	DO_OR,
	DO_AND,
	DO_SUB,
	DO_XOR,
	DO_INC,
	DO_DEC,
	DO_NOT,
	DO_NEG,
	DO_BTS,
	DO_BTR,
	DO_BTC,
	DO_STOS,
	DO_MOVS,
};

struct store {
	const struct shadow_insn *i;
	const struct sh_memory *m;
	const u8 *p, *end;
	enum action action;
	unsigned size; /* of the operand, bytes */
	unsigned reg;  /* modrm.reg with REX.R */
	u8 rex;
	bool lock, repeat, override, from_imm, byte_imm;
	u64 ea, imm;
	bool rip_relative;
};

static inline u64 low(u64 v, unsigned size)
{
	return size == 8 ? v : v & (BIT(size * 8) - 1);
}

static inline u64 gpr(const struct store *t, unsigned n)
{
	return t->i->width == 64 ? t->i->gpr[n] : (u32)t->i->gpr[n];
}

/* Without REX, byte registers 4 to 7 are the second bytes of the first four. */
static inline bool second_byte(const struct store *t, unsigned n)
{
	return t->size == 1 && !t->rex && n >= 4 && n < 8;
}

static inline u64 read_reg(const struct store *t, unsigned n)
{
	return low(second_byte(t, n) ? t->i->gpr[n - 4] >> 8 : t->i->gpr[n], t->size);
}

/* Decode the bytes of @t->i: a store that is known, aligned at @t->m->gva. */
bool sh_store_decode(struct store *t);

#endif
