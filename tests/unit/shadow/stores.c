/* Storing instructions; see stores.h. Opcodes and flags by Intel SDM vol. 2.
 *
 * SPDX-License-Identifier: MIT
 */
#include "shadow/stores.h"

#include <string.h>

enum { AX, CX, DX, BX, SP, BP, SI, DI, R9 = 9, R10 = 10 };
enum { CF = 1, PF = 4, AF = 0x10, ZF = 0x40, SF = 0x80, OF = 0x800 };
#define ALL_FLAGS (CF | PF | AF | ZF | SF | OF)

static u64 low_mask(unsigned size)
{
	return size >= 8 ? ~0ull : BIT(8 * size) - 1;
}

/* --- bytes --- */

static void byte(struct store_insn_test *t, u8 b)
{
	t->bytes[t->len++] = b;
}

static void number(struct store_insn_test *t, u64 v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		byte(t, (u8)(v >> 8 * i));
}

/* How the memory operand is written. */
struct form {
	bool sib, extended; /* base R9 */
	unsigned disp;	    /* bytes */
};

static struct form form_of(unsigned form, unsigned width)
{
	struct form f = {.sib = form & 1,
			 .disp = (form >> 1 & 3) == 1	? 1
				 : (form >> 1 & 3) == 2 ? 4
							: 0};

	f.extended = (form & 8) && width == 64;
	return f;
}

static void modrm(struct store_insn_test *t, struct form f, unsigned reg)
{
	unsigned mod = f.disp == 1 ? 0x40 : f.disp == 4 ? 0x80 : 0, base = f.extended ? 1 : DI;

	byte(t, (u8)(mod | (reg & 7) << 3 | (f.sib ? 4 : base)));
	if (f.sib)
		byte(t, (u8)(0x80 | SI << 3 | base)); /* + RSI * 4 */
	number(t, 0x10, f.disp);
}

struct opcode {
	u8 op; /* for operands larger than a byte; the byte's is one less */
	bool two, lock, byte_form;
	s8 ext; /* in the reg field; -1: a register stands there */
	u8 imm; /* bytes */
};

static const struct opcode opcodes[STORE_KINDS] = {
	[STORE_MOV] = {0x89, false, false, true, -1, 0},
	[STORE_MOV_IMM] = {0xc7, false, false, true, 0, 4},
	[STORE_XCHG] = {0x87, false, false, true, -1, 0},
	[STORE_CMPXCHG] = {0xb1, true, true, true, -1, 0},
	[STORE_CMPXCHG_FAILS] = {0xb1, true, true, true, -1, 0},
	[STORE_CMPXCHG_PAIR] = {0xc7, true, true, false, 1, 0},
	[STORE_OR] = {0x09, false, true, true, -1, 0},
	[STORE_AND] = {0x21, false, true, true, -1, 0},
	[STORE_XOR] = {0x31, false, true, true, -1, 0},
	[STORE_ADD] = {0x01, false, true, true, -1, 0},
	[STORE_SUB] = {0x29, false, true, true, -1, 0},
	[STORE_OR_IMM8] = {0x83, false, true, false, 1, 1},
	[STORE_AND_IMM8] = {0x83, false, true, false, 4, 1},
	[STORE_ADD_IMM] = {0x81, false, true, true, 0, 4},
	[STORE_BTS] = {0xba, true, true, false, 5, 1},
	[STORE_BTR] = {0xba, true, true, false, 6, 1},
	[STORE_BTC] = {0xba, true, true, false, 7, 1},
	[STORE_BTS_REG] = {0xab, true, true, false, -1, 0},
	[STORE_XADD] = {0xc1, true, true, true, -1, 0},
	[STORE_INC] = {0xff, false, true, true, 0, 0},
	[STORE_DEC] = {0xff, false, true, true, 1, 0},
	[STORE_NOT] = {0xf7, false, true, true, 2, 0},
	[STORE_NEG] = {0xf7, false, true, true, 3, 0},
	[STORE_MOVNTI] = {0xc3, true, false, false, -1, 0},
	[STORE_MOVAPS] = {0x29, true, false, false, 0, 0},
};

static void prefixes(struct store_insn_test *t, unsigned form, struct form f, bool lock, bool wide,
		     bool ext_reg)
{
	bool size_prefix = t->width == 16 ? t->size == 4 : t->size == 2;

	if (form & 16)
		byte(t, 0x3e); /* DS */
	if (lock)
		byte(t, 0xf0);
	if (size_prefix)
		byte(t, 0x66);
	if (t->width == 16)
		byte(t, 0x67);
	if (t->width == 64 && (wide || f.extended || ext_reg || (form & 32)))
		byte(t, (u8)(0x40 | (wide ? 8 : 0) | (ext_reg ? 4 : 0) | (f.extended ? 1 : 0)));
}

static void encode_modrm(struct store_insn_test *t, struct store_cpu *c, unsigned form, u64 gva,
			 unsigned *reg)
{
	const struct opcode *o = &opcodes[t->kind];
	struct form f = form_of(form, t->width);
	bool ext_reg = o->ext < 0 && (form & 64) && t->width == 64;
	bool lock = o->lock && !(form & 128), pair = t->kind == STORE_CMPXCHG_PAIR;
	unsigned imm = MIN((unsigned)o->imm, t->size);
	bool wide = t->size == 8 ? !pair : pair && t->size == 16;

	*reg = ext_reg ? R10 : DX;
	prefixes(t, form, f, lock, wide, ext_reg);
	if (o->two)
		byte(t, 0x0f);
	byte(t, (u8)(o->op - (o->byte_form && t->size == 1)));
	modrm(t, f, o->ext < 0 ? *reg : (unsigned)o->ext);
	number(t, t->operand, imm);
	c->gpr[SI] = 0x20;
	c->gpr[f.extended ? R9 : DI] = gva - (f.sib ? 0x80 : 0) - (f.disp ? 0x10 : 0);
	if (t->width != 64)
		c->gpr[DI] = (u32)c->gpr[DI];
}

/* --- operands --- */

static u64 sign_extended(u64 v, unsigned size)
{
	return size == 1 ? (u64)(s8)v : size == 2 ? (u64)(s16)v : size == 4 ? (u64)(s32)v : v;
}

/* The register operand that makes @want of @old. */
static u64 register_operand(enum store_kind kind, u64 old, u64 want)
{
	switch (kind) {
	case STORE_XOR:
		return old ^ want;
	case STORE_ADD:
	case STORE_XADD:
		return want - old;
	case STORE_SUB:
		return old - want;
	default:
		return want;
	}
}

static unsigned fitting_size(enum store_kind kind, unsigned width, unsigned size)
{
	if (kind == STORE_CMPXCHG_PAIR)
		return width == 64 && size == 16 ? 16 : 8;
	if (kind == STORE_MOVAPS)
		return 16;
	if (kind == STORE_PUSH)
		return width / 8;
	if (size > 8)
		size = 8;
	if (size == 8 && width != 64)
		size = 4;
	if (size < 4 && kind == STORE_MOVNTI)
		size = 4;
	if (size == 1 && !opcodes[kind].byte_form && opcodes[kind].op)
		size = width == 16 ? 2 : 4;
	return size;
}

static void make_registers(struct store_insn_test *t, struct store_cpu *c, const u64 old[2],
			   const u64 want[2])
{
	memset(c, 0, sizeof(*c));
	c->rip = 0x1000;
	c->rflags = 2 | (want[0] >> 7 & ALL_FLAGS);
	c->gpr[AX] = old[0];
	c->vector[0] = want[0];
	c->vector[1] = want[1];
	if (t->kind == STORE_CMPXCHG_FAILS)
		c->gpr[AX] = ~old[0];
	if (t->kind == STORE_CMPXCHG_PAIR) {
		u64 m = low_mask(t->size / 2);

		c->gpr[AX] = old[0] & m;
		c->gpr[DX] = t->size == 16 ? old[1] : old[0] >> 32;
		c->gpr[BX] = want[0] & m;
		c->gpr[CX] = t->size == 16 ? want[1] : want[0] >> 32;
	}
	t->operand = want[0];
	if (t->kind == STORE_MOV_IMM)
		t->operand = sign_extended(want[0], MIN(t->size, 4u));
	else if (t->kind == STORE_ADD_IMM)
		t->operand = sign_extended(want[0] - old[0], MIN(t->size, 4u));
	else if (t->kind == STORE_OR_IMM8 || t->kind == STORE_AND_IMM8)
		t->operand = sign_extended(want[0], 1);
	else if (t->kind >= STORE_BTS && t->kind <= STORE_BTS_REG)
		t->operand = (want[0] ^ old[0]) ? (unsigned)__builtin_ctzll(want[0] ^ old[0]) : 0;
}

static void make_string(struct store_insn_test *t, struct store_cpu *c, unsigned form, u64 gva,
			u64 want, unsigned repeat)
{
	t->rep = t->kind == STORE_REP_STOS;
	if (t->rep)
		byte(t, 0xf3);
	prefixes(t, form & ~(8u | 16u), (struct form){0}, false, t->size == 8, false);
	byte(t, t->size == 1 ? 0xaa : 0xab);
	c->gpr[DI] = gva;
	c->gpr[AX] = want;
	c->gpr[CX] = repeat;
}

void store_make(struct store_insn_test *t, struct store_cpu *c, enum store_kind kind, unsigned form,
		unsigned width, unsigned size, u64 gva, const u64 old[2], const u64 want[2],
		unsigned repeat)
{
	unsigned reg = DX;

	memset(t, 0, sizeof(*t));
	t->kind = kind;
	t->width = width;
	t->size = fitting_size(kind, width, size);
	make_registers(t, c, old, want);
	switch (kind) {
	case STORE_STOS:
	case STORE_REP_STOS:
		make_string(t, c, form, gva, want[0], repeat);
		return;
	case STORE_MOFFS:
		prefixes(t, form & ~8u, (struct form){0}, false, t->size == 8, false);
		byte(t, t->size == 1 ? 0xa2 : 0xa3);
		number(t, gva, width == 64 ? 8 : 4);
		c->gpr[AX] = want[0];
		return;
	case STORE_PUSH:
		byte(t, 0x52); /* RDX */
		c->gpr[SP] = gva + t->size;
		c->gpr[DX] = want[0];
		return;
	default:
		break;
	}
	encode_modrm(t, c, form, gva, &reg);
	if (kind != STORE_CMPXCHG_PAIR && opcodes[kind].ext < 0)
		c->gpr[reg] = kind == STORE_BTS_REG ? t->operand % (8 * t->size)
						    : register_operand(kind, old[0], want[0]);
	if (kind == STORE_BTS_REG)
		t->operand = c->gpr[reg];
}

/* --- meaning --- */

static void set_flags(struct store_cpu *c, u64 mask, u64 flags)
{
	c->rflags = (c->rflags & ~mask) | (flags & mask);
}

/* ZF, SF and PF of a result. */
static u64 result_flags(u64 r, unsigned size)
{
	u64 f = 0;

	r &= low_mask(size);
	if (!r)
		f |= ZF;
	if (r >> (8 * size - 1) & 1)
		f |= SF;
	if (!(__builtin_popcount((unsigned)(r & 0xff)) & 1))
		f |= PF;
	return f;
}

static u64 add(struct store_cpu *c, u64 a, u64 b, unsigned size, u64 mask)
{
	u64 m = low_mask(size), r = (a + b) & m;
	u64 f = result_flags(r, size);

	a &= m;
	b &= m;
	if (r < a)
		f |= CF;
	if (((a ^ r) & (b ^ r)) >> (8 * size - 1) & 1)
		f |= OF;
	if ((a ^ b ^ r) & 0x10)
		f |= AF;
	set_flags(c, mask, f);
	return r;
}

static u64 subtract(struct store_cpu *c, u64 a, u64 b, unsigned size, u64 mask)
{
	u64 m = low_mask(size), r;
	u64 f;

	a &= m;
	b &= m;
	r = (a - b) & m;
	f = result_flags(r, size);
	if (a < b)
		f |= CF;
	if (((a ^ b) & (a ^ r)) >> (8 * size - 1) & 1)
		f |= OF;
	if ((a ^ b ^ r) & 0x10)
		f |= AF;
	set_flags(c, mask, f);
	return r;
}

static u64 logic(struct store_cpu *c, u64 r, unsigned size, u64 *unsure)
{
	set_flags(c, ALL_FLAGS, result_flags(r, size));
	*unsure |= AF;
	return r;
}

static u64 bit_op(struct store_cpu *c, u64 old, u64 bit, int op, unsigned size, u64 *unsure)
{
	u64 b = BIT(bit % (8 * size));

	set_flags(c, CF, old & b ? CF : 0);
	*unsure |= ALL_FLAGS & ~CF;
	return op > 0 ? old | b : op < 0 ? old & ~b : old ^ b;
}

/* Writing a register of @size bytes. */
static void put_register(u64 *reg, u64 v, unsigned size)
{
	if (size == 4)
		*reg = (u32)v;
	else
		*reg = (*reg & ~low_mask(size)) | (v & low_mask(size));
}

static void execute_pair(const struct store_insn_test *t, struct store_cpu *c, u8 *memory)
{
	unsigned half = t->size / 2;
	u64 low = 0, high = 0, m = low_mask(half);

	memcpy(&low, memory, half);
	memcpy(&high, memory + half, half);
	if (low == (c->gpr[AX] & m) && high == (c->gpr[DX] & m)) {
		c->rflags |= ZF;
		memcpy(memory, &c->gpr[BX], half);
		memcpy(memory + half, &c->gpr[CX], half);
	} else {
		c->rflags &= ~(u64)ZF;
		put_register(&c->gpr[AX], low, half);
		put_register(&c->gpr[DX], high, half);
	}
}

static u64 compare_exchange(const struct store_insn_test *t, struct store_cpu *c, u64 old, u64 new)
{
	if (!subtract(c, c->gpr[AX], old, t->size, ALL_FLAGS))
		return new;
	put_register(&c->gpr[AX], old, t->size);
	return old;
}

/* The register operand of an instruction that was made: in R10 if its REX says so. */
static u64 *register_of(const struct store_insn_test *t, struct store_cpu *c)
{
	for (unsigned i = 0; i < t->len && t->width == 64; i++) {
		u8 b = t->bytes[i];

		if (b == 0x3e || b == 0xf0 || b == 0x66 || b == 0x67 || b == 0xf3)
			continue;
		return &c->gpr[(b & 0xf4) == 0x44 ? R10 : DX];
	}
	return &c->gpr[DX];
}

static u64 new_value(const struct store_insn_test *t, struct store_cpu *c, u64 old, u64 *unsure)
{
	u64 *reg = register_of(t, c), v = *reg;
	unsigned size = t->size;

	switch (t->kind) {
	case STORE_MOV_IMM:
		return t->operand;
	case STORE_MOFFS:
	case STORE_STOS:
	case STORE_REP_STOS:
		return c->gpr[AX];
	case STORE_XCHG:
		put_register(reg, old, size);
		return v;
	case STORE_CMPXCHG:
	case STORE_CMPXCHG_FAILS:
		return compare_exchange(t, c, old, v);
	case STORE_OR:
		return logic(c, old | v, size, unsure);
	case STORE_AND:
		return logic(c, old & v, size, unsure);
	case STORE_XOR:
		return logic(c, old ^ v, size, unsure);
	case STORE_OR_IMM8:
		return logic(c, old | t->operand, size, unsure);
	case STORE_AND_IMM8:
		return logic(c, old & t->operand, size, unsure);
	case STORE_ADD:
		return add(c, old, v, size, ALL_FLAGS);
	case STORE_ADD_IMM:
		return add(c, old, t->operand, size, ALL_FLAGS);
	case STORE_SUB:
		return subtract(c, old, v, size, ALL_FLAGS);
	case STORE_XADD:
		put_register(reg, old, size);
		return add(c, old, v, size, ALL_FLAGS);
	case STORE_INC:
		return add(c, old, 1, size, ALL_FLAGS & ~CF);
	case STORE_DEC:
		return subtract(c, old, 1, size, ALL_FLAGS & ~CF);
	case STORE_NOT:
		return ~old;
	case STORE_NEG:
		return subtract(c, 0, old, size, ALL_FLAGS);
	case STORE_BTS:
	case STORE_BTS_REG:
		return bit_op(c, old, t->operand, 1, size, unsure);
	case STORE_BTR:
		return bit_op(c, old, t->operand, -1, size, unsure);
	case STORE_BTC:
		return bit_op(c, old, t->operand, 0, size, unsure);
	default:
		return v;
	}
}

void store_execute(const struct store_insn_test *t, struct store_cpu *c, u8 *memory, u64 *unsure)
{
	u64 old = 0, new;
	bool string = t->kind == STORE_STOS || t->kind == STORE_REP_STOS;

	if (t->kind == STORE_CMPXCHG_PAIR) {
		execute_pair(t, c, memory);
	} else if (t->kind == STORE_MOVAPS) {
		memcpy(memory, c->vector, 16);
	} else {
		memcpy(&old, memory, t->size);
		new = new_value(t, c, old, unsure);
		memcpy(memory, &new, t->size);
	}
	if (t->kind == STORE_PUSH)
		c->gpr[SP] -= t->size;
	if (string)
		c->gpr[DI] += t->size;
	if (string && t->width != 64)
		c->gpr[DI] = (u32)c->gpr[DI];
	if (!t->rep || !--c->gpr[CX])
		c->rip += t->len;
}
