/* A small decoder for stores; see sh_store.h.
 *
 * It knows what compilers and kernels use on page tables: MOV, MOVNTI, XCHG, CMPXCHG (8B, 16B too),
 * XADD, ADD/OR/AND/SUB/XOR, INC/DEC/NOT/NEG, BTS/BTR/BTC, STOS and MOVS. What it does not know, it
 * leaves alone. The operand's address is computed and compared with the one that faulted, so that
 * segment bases other than 0 and operands that begin on another page are left alone as well.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/str.h"
#include "paging/shadow/sh_store_int.h"

#define NO_INDEX   4u
#define SEG_PREFIX 0x26u /* ES; CS, SS and DS are 0x2e, 0x36 and 0x3e */

/* --- operands ----------------------------------------------------------------------------------
 */

static bool take(struct store *t, u8 *byte)
{
	if (t->p >= t->end)
		return false;
	*byte = *t->p++;
	return true;
}

/* A signed number of 1, 2 or 4 bytes. */
static bool take_signed(struct store *t, unsigned bytes, u64 *v)
{
	s32 n = 0;

	if ((u64)(t->end - t->p) < bytes)
		return false;
	memcpy(&n, t->p, bytes);
	t->p += bytes;
	*v = (u64)(s64)(bytes == 1 ? (s8)n : bytes == 2 ? (s16)n : n);
	return true;
}

static bool take_sib(struct store *t, unsigned mod, bool *no_base)
{
	unsigned index, base;
	u8 sib;

	if (!take(t, &sib))
		return false;
	index = (sib >> 3 & 7) | (t->rex & REX_X) << 2;
	base = (sib & 7) | (t->rex & REX_B) << 3;
	if (index != NO_INDEX)
		t->ea += gpr(t, index) << (sib >> 6);
	*no_base = (sib & 7) == 5 && mod == 0;
	if (!*no_base)
		t->ea += gpr(t, base);
	return true;
}

/* ModRM with 32- or 64-bit addressing. False: a register, or no more bytes. */
static bool take_modrm(struct store *t, unsigned *ext)
{
	unsigned mod, rm, bytes;
	bool no_base = false;
	u64 disp = 0;
	u8 modrm;

	if (!take(t, &modrm) || modrm >> 6 == 3)
		return false;
	mod = modrm >> 6;
	rm = modrm & 7;
	*ext = modrm >> 3 & 7;
	t->reg = *ext | (t->rex & REX_R) << 1;
	if (rm == 4) {
		if (!take_sib(t, mod, &no_base))
			return false;
	} else if (rm == 5 && mod == 0) {
		no_base = true;
		t->rip_relative = t->i->width == 64;
	} else {
		t->ea = gpr(t, rm | (t->rex & REX_B) << 3);
	}
	bytes = mod == 1 ? 1 : mod == 2 || no_base ? 4 : 0;
	if (bytes && !take_signed(t, bytes, &disp))
		return false;
	t->ea += disp;
	return true;
}

/* --- opcodes -----------------------------------------------------------------------------------
 */

static bool take_prefixes(struct store *t, u8 *op)
{
	t->size = 4;
	for (;;) {
		if (!take(t, op))
			return false;
		if (*op == 0x66)
			t->size = 2;
		else if (*op == 0xf0)
			t->lock = true;
		else if ((*op & 0xfe) == 0xf2)
			t->repeat = true;
		else if ((*op & 0xe7) == SEG_PREFIX || (*op & 0xfe) == 0x64)
			t->override = true;
		else
			break;
	}
	if (t->i->width == 64 && (*op & 0xf0) == 0x40) {
		t->rex = *op;
		if (!take(t, op))
			return false;
		if (t->rex & REX_W)
			t->size = 8;
	}
	return true;
}

static enum action group_action(u8 op, unsigned ext)
{
	static const enum action arithmetic[8] = {
		[0] = DO_ADD, [1] = DO_OR, [4] = DO_AND, [5] = DO_SUB, [6] = DO_XOR};

	switch (op) {
	case 0xc6:
		return ext == 0 ? DO_MOV : DO_NOTHING;
	case 0x80:
		return arithmetic[ext];
	case 0xf6:
		return ext == 2 ? DO_NOT : ext == 3 ? DO_NEG : DO_NOTHING;
	case 0xfe:
		return ext == 0 ? DO_INC : ext == 1 ? DO_DEC : DO_NOTHING;
	default:
		return DO_NOTHING;
	}
}

/* Opcodes of one byte whose bit 0 says whether the operand is more than a byte. */
static enum action plain_action(u8 op)
{
	switch (op & 0xfe) {
	case 0x88:
		return DO_MOV;
	case 0x86:
		return DO_XCHG;
	case 0x00:
		return DO_ADD;
	case 0x08:
		return DO_OR;
	case 0x20:
		return DO_AND;
	case 0x28:
		return DO_SUB;
	case 0x30:
		return DO_XOR;
	default:
		return DO_NOTHING;
	}
}

static bool decode_one_byte(struct store *t, u8 op)
{
	unsigned ext;

	if (!(op & 1))
		t->size = 1;
	if ((op & 0xfe) == 0xaa || (op & 0xfe) == 0xa4) {
		t->action = (op & 0xfe) == 0xaa ? DO_STOS : DO_MOVS;
		t->ea = gpr(t, GPR_RDI);
		return !t->lock;
	}
	t->action = plain_action(op);
	if (t->action != DO_NOTHING)
		return take_modrm(t, &ext);
	if (op == 0x83) {
		t->byte_imm = true;
		op = 0x81;
	}
	if (op == 0x82 || !take_modrm(t, &ext))
		return false;
	t->action = group_action(op & 0xfe, ext);
	t->from_imm = (op & 0xfe) == 0xc6 || (op & 0xfe) == 0x80;
	if (t->from_imm && !take_signed(t, t->byte_imm ? 1 : MIN(t->size, 4u), &t->imm))
		return false;
	return t->action != DO_NOTHING;
}

static bool decode_bit(struct store *t, u8 op)
{
	unsigned ext, kind;

	if (!take_modrm(t, &ext))
		return false;
	kind = op == 0xba ? ext : op >> 3 & 7;
	if (kind < 5) /* BT, which does not write, and what is none */
		return false;
	t->action = kind == 5 ? DO_BTS : kind == 6 ? DO_BTR : DO_BTC;
	if (op == 0xba) {
		if (!take_signed(t, 1, &t->imm))
			return false;
		t->imm &= t->size * 8 - 1;
		return true;
	}
	/* A register names any bit of memory. */
	t->imm = read_reg(t, t->reg);
	return t->imm < t->size * 8;
}

static bool decode_two_bytes(struct store *t, u8 op)
{
	unsigned ext;

	if (op == 0xab || op == 0xb3 || op == 0xbb || op == 0xba)
		return decode_bit(t, op);
	if (op != 0xc3 && (op & 0xfe) != 0xb0 && (op & 0xfe) != 0xc0 && op != 0xc7)
		return false;
	if (!take_modrm(t, &ext))
		return false;
	if (op == 0xc3) {
		t->action = DO_MOV;
		return t->size >= 4;
	}
	if (op == 0xc7) {
		t->action = DO_CMPXCHG_PAIR;
		t->size = t->size == 8 ? 16 : 8;
		return ext == 1;
	}
	t->action = (op & 0xfe) == 0xb0 ? DO_CMPXCHG : DO_XADD;
	if (!(op & 1))
		t->size = 1;
	return true;
}

bool sh_store_decode(struct store *t)
{
	u8 op;

	if (!take_prefixes(t, &op))
		return false;
	if (op == 0x0f) {
		if (!take(t, &op) || !decode_two_bytes(t, op))
			return false;
	} else if (!decode_one_byte(t, op)) {
		return false;
	}
	if (t->repeat && t->action != DO_STOS && t->action != DO_MOVS)
		return false;
	if (t->lock && t->action == DO_MOV)
		return false;
	if (t->rip_relative)
		t->ea += *t->i->rip + (u64)(t->p - t->i->bytes);
	if (t->i->width != 64)
		t->ea = (u32)t->ea;
	return t->ea == t->m->gva && !(t->ea & (t->size - 1));
}
