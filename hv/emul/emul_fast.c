/* Direct decoder for the instructions that touch MMIO almost always: MOV between register,
 * immediate and memory, MOVZX and MOVSX. It declines (returns false) whatever is unusual: a LOCK
 * prefix, missing bytes, too long an instruction. What it accepts it decodes exactly as the full
 * decoder.
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/emul_int.h"

/* Bytes of the instruction not read yet. */
struct cursor {
	const u8 *p, *end;
};

static bool take(struct cursor *c, unsigned n, u64 *val)
{
	u64 v = 0;

	if ((unsigned)(c->end - c->p) < n)
		return false;
	for (unsigned i = 0; i < n; i++)
		v |= (u64)c->p[i] << (8 * i);
	c->p += n;
	*val = v;
	return true;
}

/* Legacy prefixes; LOCK ends the fast path. */
static bool is_prefix(struct emul_insn *i, bool long64, u8 byte, bool *asize)
{
	if (byte != 0x67)
		return emul_take_prefix(i, long64, byte);
	*asize = true;
	return true;
}

/* Displacement bytes that follow a ModRM byte with memory, by its mod and rm and the SIB's base. */
static unsigned disp_size(const struct emul_insn *i, u8 modrm, int sib)
{
	unsigned mod = modrm >> 6, rm = modrm & 7;

	if (mod == 1)
		return 1;
	if (i->asize == 2)
		return mod == 2 || rm == 6 ? 2 : 0;
	if (mod == 2 || rm == 5)
		return 4;
	return rm == 4 && (sib & 7) == 5 ? 4 : 0;
}

static bool take_modrm(struct emul_insn *i, struct cursor *c, bool long64, u8 rex)
{
	u64 modrm, byte, disp = 0;
	unsigned size;
	int sib = -1;

	if (!take(c, 1, &modrm))
		return false;
	i->mod = (u8)(modrm >> 6);
	i->reg = (u8)((modrm >> 3 & 7) | (rex & 4) << 1);
	i->rm = (u8)((modrm & 7) | (rex & 1) << 3);
	if (i->mod == 3)
		return true;
	if (i->asize != 2 && (modrm & 7) == 4) {
		if (!take(c, 1, &byte))
			return false;
		sib = (int)byte;
	}
	size = disp_size(i, (u8)modrm, sib);
	if (size && !take(c, size, &disp))
		return false;
	emul_set_mem(i, long64, (u8)modrm, sib, rex, size ? (s64)sign_extend(disp, size) : 0);
	return true;
}

/* Which table entry executes it, and the sizes of its parts; NULL: not ours. */
static const struct emul_op *classify(const struct emul_insn *i)
{
	u8 op = i->opcode;

	if (i->map == MAP_0F) {
		if ((op & 0xfe) == 0xb6)
			return emul_op_movzx;
		return (op & 0xfe) == 0xbe ? emul_op_movsx : NULL;
	}
	if ((op >= 0x88 && op <= 0x8b) || (op >= 0xa0 && op <= 0xa3) || (op & 0xfe) == 0xc6)
		return emul_op_mov;
	return NULL;
}

static bool take_rest(struct emul_run *r, struct cursor *c, u8 rex)
{
	struct emul_insn *i = &r->i;
	bool long64 = r->mode == EMUL_LONG64;
	u64 val;

	if (i->map == MAP_ONE && (i->opcode & 0xfc) == 0xa0) {
		i->mod = 0;
		if (!take(c, i->asize, &val))
			return false;
		i->disp = (s64)val;
		return true;
	}
	if (!take_modrm(i, c, long64, rex))
		return false;
	if (i->map == MAP_0F || (i->opcode & 0xfe) != 0xc6)
		return true;
	if ((i->reg & 7) != 0)
		return false;
	if (!take(c, MIN(i->osize, 4), &val))
		return false;
	i->imm = sign_extend(val, MIN(i->osize, 4));
	return true;
}

static void set_sizes(struct emul_run *r, bool asize, u8 rex)
{
	static const u8 wide[EMUL_MODES] = {2, 2, 4, 4}, address[EMUL_MODES] = {2, 2, 4, 8};
	static const u8 other_address[EMUL_MODES] = {4, 4, 2, 4};
	struct emul_insn *i = &r->i;

	i->asize = asize ? other_address[r->mode] : address[r->mode];
	if (i->map == MAP_ONE && !(i->opcode & 1))
		i->osize = 1;
	else if (rex & 8)
		i->osize = 8;
	else
		i->osize = i->prefix & PFX_OPSIZE ? 6 - wide[r->mode] : wide[r->mode];
}

bool emul_decode_fast(struct emul_run *r)
{
	struct emul_insn *i = &r->i;
	struct cursor c = {r->e->insn, r->e->insn + r->n};
	bool long64 = r->mode == EMUL_LONG64, asize = false;
	u8 rex = 0;

	*i = (struct emul_insn){
		.mod = 3, .override = EMUL_NOREG, .base = EMUL_NOREG, .index = EMUL_NOREG};
	while (c.p < c.end && is_prefix(i, long64, *c.p, &asize))
		c.p++;
	if (long64 && c.p < c.end && (*c.p & 0xf0) == 0x40) {
		rex = *c.p++;
		i->prefix |= PFX_REX;
	}
	if (c.end - c.p < 2)
		return false;
	if (*c.p == 0x0f) {
		i->map = MAP_0F;
		c.p++;
	}
	i->opcode = *c.p++;
	i->op = classify(i);
	if (!i->op)
		return false;
	set_sizes(r, asize, rex);
	if (!take_rest(r, &c, rex))
		return false;
	emul_set_seg(i);
	i->len = (u8)(c.p - r->e->insn);
	return true;
}
