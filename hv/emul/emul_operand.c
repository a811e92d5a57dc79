/* Operands: registers at their widths, effective addresses, segmentation, memory accesses, and the
 * read-modify-write cycle that most instructions are.
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/emul_int.h"

/* Attempts of a locked operation within one step. A loser is told to run again, so that other
 * CPUs' luck cannot hold this one here. */
#define LOCK_TRIES 64

/* --- registers ---------------------------------------------------------------------------- */

/* Without REX, byte registers 4-7 are AH, CH, DH, BH. */
static bool is_high_byte(const struct emul_run *r, unsigned reg, unsigned size)
{
	return size == 1 && reg >= 4 && reg < 8 && !(r->i.prefix & PFX_REX);
}

u64 emul_reg_read(const struct emul_run *r, unsigned reg, unsigned size)
{
	if (is_high_byte(r, reg, size))
		return (u8)(r->e->gpr[reg - 4] >> 8);
	return r->e->gpr[reg] & size_mask(size);
}

void emul_reg_write(struct emul_run *r, unsigned reg, unsigned size, u64 val)
{
	u64 *gpr = r->e->gpr;

	if (is_high_byte(r, reg, size))
		gpr[reg - 4] = (gpr[reg - 4] & ~0xff00ull) | (val & 0xff) << 8;
	else
		emul_wide_write(r->e, reg, size, val);
}

void emul_wide_write(struct emul *e, unsigned reg, unsigned width, u64 val)
{
	u64 mask = size_mask(width);

	/* A 32-bit result clears the upper half, a shorter one keeps what is above. */
	if (width >= 4)
		e->gpr[reg] = val & mask;
	else
		e->gpr[reg] = (e->gpr[reg] & ~mask) | (val & mask);
}

/* --- segmentation ------------------------------------------------------------------------- */

static int segment_fault(struct emul_run *r, unsigned seg)
{
	return emul_raise(r->e, seg == SEG_SS ? VEC_SS : VEC_GP, 0);
}

static bool is_canonical(const struct emul *e, u64 addr)
{
	unsigned bits = e->cr4 & CR4_LA57 ? 57 : 48;

	return (addr + BIT(bits - 1)) >> bits == 0;
}

static int linear_long(struct emul_run *r, unsigned seg, u64 off, unsigned len, gva_t *gva)
{
	u64 base = seg == SEG_FS || seg == SEG_GS ? r->e->seg[seg].base : 0;
	u64 first = base + off, last = first + len - 1;

	if (!is_canonical(r->e, first) || !is_canonical(r->e, last))
		return segment_fault(r, seg);
	if (last < first)
		return emul_unhandled(r->e, "access wraps the linear address space");
	*gva = first;
	return 0;
}

/* May @s be read (or written) as its type says? Real and virtual-8086 mode do not look. */
static bool type_allows(const struct segment *s, bool write)
{
	bool code = s->attr & 8, rw = s->attr & 2;

	if (!(s->attr & SEG_ATTR_P))
		return false;
	return write ? !code && rw : !code || rw;
}

static bool within_limit(const struct segment *s, u64 off, unsigned len)
{
	u64 last = off + len - 1;
	bool expand_down = (s->attr & (SEG_ATTR_S | 0xc)) == (SEG_ATTR_S | 4);

	if (!expand_down)
		return last <= s->limit;
	return off > s->limit && last <= (s->attr & SEG_ATTR_DB ? 0xffffffffull : 0xffffull);
}

int emul_linear_checked(struct emul_run *r, unsigned seg, u64 off, unsigned len, bool write,
			gva_t *gva)
{
	const struct segment *s = &r->e->seg[seg];
	bool typed;
	u64 first;

	if (r->mode == EMUL_LONG64)
		return linear_long(r, seg, off, len, gva);
	typed = (r->e->cr0 & CR0_PE) && !(r->e->rflags & RFLAGS_VM);
	if ((typed && !type_allows(s, write)) || !within_limit(s, off, len))
		return segment_fault(r, seg);
	first = (s->base + off) & 0xffffffff;
	if (first + len - 1 > 0xffffffff)
		return emul_unhandled(r->e, "access wraps the linear address space");
	*gva = first;
	return 0;
}

u64 emul_ea(const struct emul_run *r)
{
	const struct emul_insn *i = &r->i;
	u64 off = (u64)i->disp;

	if (i->base != EMUL_NOREG)
		off += r->e->gpr[i->base];
	if (i->index != EMUL_NOREG)
		off += r->e->gpr[i->index] << i->scale;
	if (i->rip_rel)
		off += r->next_rip;
	return off & size_mask(i->asize);
}

int emul_mem_linear(struct emul_run *r, unsigned len, bool write, gva_t *gva)
{
	return emul_linear(r, r->i.seg, emul_ea(r), len, write, gva);
}

/* --- memory ------------------------------------------------------------------------------- */

int emul_load_seg(struct emul_run *r, unsigned seg, u64 off, void *buf, unsigned len)
{
	gva_t gva;
	int rc = emul_linear(r, seg, off, len, false, &gva);

	return rc ? rc : emul_load(r, gva, buf, len, EMUL_READ);
}

int emul_store_seg(struct emul_run *r, unsigned seg, u64 off, const void *buf, unsigned len)
{
	gva_t gva;
	int rc = emul_linear(r, seg, off, len, true, &gva);

	return rc ? rc : emul_store(r, gva, buf, len);
}

/* --- operands ----------------------------------------------------------------------------- */

/* Where an opcode's operands are. O: register in the opcode's low bits; A: accumulator; M: moffs.
 */
enum form {
	F_NONE,
	F_RM_R,
	F_R_RM,
	F_RM_I,
	F_A_I,
	F_O_I,
	F_O,
	F_RM,
	F_I,
	F_A_O,
	F_A_M,
	F_M_A,
	F_RM_1,
	F_RM_CL,
	F_RM_S,
	F_S_RM,
};

#define ALU_ROW F_RM_R, F_RM_R, F_R_RM, F_R_RM, F_A_I, F_A_I, F_NONE, F_NONE
#define X8(f)	f, f, f, f, f, f, f, f

static const u8 form_one[256] = {
	ALU_ROW,
	ALU_ROW,
	ALU_ROW,
	ALU_ROW,
	ALU_ROW,
	ALU_ROW,
	ALU_ROW,
	ALU_ROW,
	X8(F_O),
	X8(F_O),
	X8(F_O),
	X8(F_O),
	[0x63] = F_R_RM,
	[0x68] = F_I,
	[0x69] = F_R_RM,
	[0x6a] = F_I,
	[0x6b] = F_R_RM,
	[0x80] = F_RM_I,
	F_RM_I,
	F_RM_I,
	F_RM_I,
	F_RM_R,
	F_RM_R,
	F_RM_R,
	F_RM_R,
	[0x88] = F_RM_R,
	F_RM_R,
	F_R_RM,
	F_R_RM,
	F_RM_S,
	F_R_RM,
	F_S_RM,
	F_RM,
	[0x90] = X8(F_A_O),
	[0xa0] = F_A_M,
	F_A_M,
	F_M_A,
	F_M_A,
	[0xa8] = F_A_I,
	F_A_I,
	[0xb0] = X8(F_O_I),
	X8(F_O_I),
	[0xc0] = F_RM_I,
	F_RM_I,
	[0xc4] = F_R_RM,
	F_R_RM,
	[0xc6] = F_RM_I,
	F_RM_I,
	[0xd0] = F_RM_1,
	F_RM_1,
	F_RM_CL,
	F_RM_CL,
	[0xf6] = F_RM,
	F_RM,
	[0xfe] = F_RM,
	F_RM,
};

static const u8 form_0f[256] = {
	[0x40] = X8(F_R_RM),
	X8(F_R_RM),
	[0x90] = X8(F_RM),
	X8(F_RM),
	[0xa3] = F_RM_R,
	F_RM_R,
	F_RM_R,
	[0xab] = F_RM_R,
	F_RM_R,
	F_RM_R,
	[0xaf] = F_R_RM,
	[0xb0] = F_RM_R,
	F_RM_R,
	F_R_RM,
	F_RM_R,
	F_R_RM,
	F_R_RM,
	F_R_RM,
	F_R_RM,
	[0xb8] = F_R_RM,
	[0xba] = F_RM_I,
	F_RM_R,
	F_R_RM,
	F_R_RM,
	F_R_RM,
	F_R_RM,
	[0xc0] = F_RM_R,
	F_RM_R,
	[0xc3] = F_RM_R,
	[0xc7] = F_RM,
	[0xc8] = X8(F_O),
};

static enum form form_of(const struct emul_insn *i)
{
	switch (i->map) {
	case MAP_ONE:
		/* TEST shares its opcode with one-operand instructions. */
		if ((i->opcode & 0xfe) == 0xf6 && (i->reg & 7) < 2)
			return F_RM_I;
		return form_one[i->opcode];
	case MAP_0F:
		return form_0f[i->opcode];
	case MAP_0F38:
		return i->opcode == 0xf0 ? F_R_RM : i->opcode == 0xf1 ? F_RM_R : F_NONE;
	default:
		return F_NONE;
	}
}

static struct opnd opnd_reg(unsigned reg, unsigned size)
{
	return (struct opnd){OPND_REG, (u8)reg, (u8)size};
}

static struct opnd opnd_rm(const struct emul_insn *i)
{
	if (i->mod == 3)
		return opnd_reg(i->rm, i->osize);
	return (struct opnd){OPND_MEM, 0, i->osize};
}

void emul_set_operands(struct emul_run *r)
{
	static const struct opnd none;
	const struct emul_insn *i = &r->i;
	unsigned size = i->osize;
	struct opnd imm = {OPND_IMM, 0, (u8)size}, mem = {OPND_MEM, 0, (u8)size};

	r->dst = r->src = none;
	switch (form_of(i)) {
	case F_NONE:
		break;
	case F_RM_R:
		r->dst = opnd_rm(i);
		r->src = opnd_reg(i->reg, size);
		break;
	case F_R_RM:
		r->dst = opnd_reg(i->reg, size);
		r->src = opnd_rm(i);
		break;
	case F_RM_I:
	case F_RM_1:
		r->dst = opnd_rm(i);
		r->src = imm;
		break;
	case F_RM_CL:
		r->dst = opnd_rm(i);
		r->src = opnd_reg(GPR_RCX, 1);
		break;
	case F_A_I:
		r->dst = opnd_reg(GPR_RAX, size);
		r->src = imm;
		break;
	case F_O_I:
		r->dst = opnd_reg(i->rm, size);
		r->src = imm;
		break;
	case F_O:
	case F_RM:
		r->dst = opnd_rm(i);
		break;
	case F_I:
		r->src = imm;
		break;
	case F_A_O:
		r->dst = opnd_reg(i->rm, size);
		r->src = opnd_reg(GPR_RAX, size);
		break;
	case F_A_M:
		r->dst = opnd_reg(GPR_RAX, size);
		r->src = mem;
		break;
	case F_M_A:
		r->dst = mem;
		r->src = opnd_reg(GPR_RAX, size);
		break;
	case F_RM_S:
		r->dst = opnd_rm(i);
		break;
	case F_S_RM:
		r->src = opnd_rm(i);
		break;
	}
}

int opnd_read(struct emul_run *r, const struct opnd *o, u64 *val)
{
	gva_t gva;
	int rc;

	switch (o->kind) {
	case OPND_REG:
		*val = emul_reg_read(r, o->reg, o->size);
		return 0;
	case OPND_IMM:
		*val = r->i.imm & size_mask(o->size);
		return 0;
	case OPND_MEM:
		*val = 0;
		rc = emul_mem_linear(r, o->size, false, &gva);
		return rc ? rc : emul_load(r, gva, val, o->size, EMUL_READ);
	default:
		*val = 0;
		return 0;
	}
}

int opnd_write(struct emul_run *r, const struct opnd *o, u64 val)
{
	gva_t gva;
	int rc;

	if (o->kind != OPND_MEM) {
		emul_reg_write(r, o->reg, o->size, val);
		return 0;
	}
	rc = emul_mem_linear(r, o->size, true, &gva);
	return rc ? rc : emul_store(r, gva, &val, o->size);
}

static void apply(struct emul_run *r, struct alu *a, alu_fn fn, u64 *result)
{
	a->dst = a->old;
	a->flags = r->e->rflags;
	*result = fn(a) & size_mask(a->size);
}

/* A locked operation whose operand straddles two pages is done unlocked: no compare-and-swap
 * spans two frames. */
static bool can_swap(gva_t gva, unsigned len)
{
	return (gva & (PAGE_SIZE - 1)) + len <= PAGE_SIZE;
}

static int modify_mem(struct emul_run *r, struct alu *a, alu_fn fn)
{
	struct emul *e = r->e;
	u64 result;
	gva_t gva;
	int rc = emul_mem_linear(r, a->size, true, &gva);

	a->old = 0;
	if (!rc)
		rc = emul_load(r, gva, &a->old, a->size, EMUL_RMW_READ);
	if (rc)
		return rc;
	if (!emul_locked(r) || !can_swap(gva, a->size)) {
		apply(r, a, fn, &result);
		return emul_store(r, gva, &result, a->size);
	}
	for (int i = 0; i < LOCK_TRIES; i++) {
		apply(r, a, fn, &result);
		rc = e->ops->cmpxchg(e, gva, &a->old, &result, a->size, &e->fault);
		if (rc <= 0)
			return rc;
	}
	return -EAGAIN;
}

int opnd_modify(struct emul_run *r, struct alu *a, alu_fn fn)
{
	u64 result;
	int rc;

	a->size = r->dst.size;
	if (r->dst.kind == OPND_MEM) {
		rc = modify_mem(r, a, fn);
		if (rc)
			return rc;
	} else {
		a->old = emul_reg_read(r, r->dst.reg, a->size);
		apply(r, a, fn, &result);
		emul_reg_write(r, r->dst.reg, a->size, result);
	}
	emul_set_flags(r->e, a->flags);
	return 0;
}
