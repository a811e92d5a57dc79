/* Stack and near control transfer. A target is checked before anything is pushed or popped for
 * good.
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/emul_int.h"

/* --- stack ---------------------------------------------------------------------------------- */

static u64 stack_pointer(const struct emul_run *r, s64 delta)
{
	return (r->e->gpr[GPR_RSP] + (u64)delta) & size_mask(r->asize_ss);
}

static int push(struct emul_run *r, u64 val, unsigned size)
{
	u64 sp = stack_pointer(r, -(s64)size);
	int rc = emul_store_seg(r, SEG_SS, sp, &val, size);

	if (!rc)
		emul_wide_write(r->e, GPR_RSP, r->asize_ss, sp);
	return rc;
}

/* Reads only; the caller moves rSP with drop() once nothing can fail any more. */
static int peek(struct emul_run *r, u64 *val, unsigned size)
{
	*val = 0;
	return emul_load_seg(r, SEG_SS, stack_pointer(r, 0), val, size);
}

static void drop(struct emul_run *r, unsigned bytes)
{
	emul_wide_write(r->e, GPR_RSP, r->asize_ss, stack_pointer(r, bytes));
}

/* Segment register that a PUSH or POP opcode names. */
static unsigned opcode_sreg(const struct emul_insn *i)
{
	if (i->map == MAP_0F)
		return i->opcode & 8 ? SEG_GS : SEG_FS;
	return i->opcode >> 3 & 3;
}

int emul_push(struct emul_run *r)
{
	u64 val;
	int rc;

	emul_set_operands(r);
	if (r->dst.kind == OPND_NONE && r->src.kind == OPND_NONE)
		return push(r, r->e->seg[opcode_sreg(&r->i)].sel, r->i.osize);
	rc = opnd_read(r, r->dst.kind == OPND_NONE ? &r->src : &r->dst, &val);
	return rc ? rc : push(r, val, r->i.osize);
}

static int pop_sreg(struct emul_run *r)
{
	unsigned seg = opcode_sreg(&r->i);
	u64 val;
	int rc = emul_can_load_sreg(r, seg);

	if (!rc)
		rc = peek(r, &val, 2);
	if (rc)
		return rc;
	drop(r, r->i.osize);
	return emul_load_sreg(r, seg, (u16)val);
}

/* A memory operand based on rSP, and POP rSP itself, see rSP already moved. */
int emul_pop(struct emul_run *r)
{
	u64 sp = r->e->gpr[GPR_RSP], val;
	int rc;

	emul_set_operands(r);
	if (r->dst.kind == OPND_NONE)
		return pop_sreg(r);
	rc = peek(r, &val, r->i.osize);
	if (rc)
		return rc;
	drop(r, r->i.osize);
	rc = opnd_write(r, &r->dst, val);
	if (rc)
		r->e->gpr[GPR_RSP] = sp;
	return rc;
}

int emul_leave(struct emul_run *r)
{
	u64 frame = emul_wide_read(r->e, GPR_RBP, r->asize_ss), val = 0;
	int rc = emul_load_seg(r, SEG_SS, frame, &val, r->i.osize);

	if (rc)
		return rc;
	emul_wide_write(r->e, GPR_RSP, r->asize_ss, frame + r->i.osize);
	emul_wide_write(r->e, GPR_RBP, r->i.osize, val);
	return 0;
}

/* The display of nested frames that ENTER copies: pointers below the old frame, then the new one.
 */
static int push_display(struct emul_run *r, unsigned level, u64 frame)
{
	unsigned size = r->i.osize;
	u64 from = emul_wide_read(r->e, GPR_RBP, r->asize_ss), val;
	int rc = 0;

	for (unsigned n = 1; n < level && !rc; n++) {
		val = 0;
		from = (from - size) & size_mask(r->asize_ss);
		rc = emul_load_seg(r, SEG_SS, from, &val, size);
		if (!rc)
			rc = push(r, val, size);
	}
	return rc || !level ? rc : push(r, frame, size);
}

/* The new top of the stack must be writable, though nothing is written there. */
static int probe_stack(struct emul_run *r, u64 sp)
{
	u8 byte;
	gva_t gva;
	int rc = emul_linear(r, SEG_SS, sp, 1, true, &gva);

	return rc ? rc : emul_load(r, gva, &byte, 1, EMUL_RMW_READ);
}

int emul_enter(struct emul_run *r)
{
	struct emul *e = r->e;
	u64 sp = e->gpr[GPR_RSP], frame, top;
	int rc = push(r, emul_wide_read(e, GPR_RBP, r->i.osize), r->i.osize);

	frame = e->gpr[GPR_RSP];
	if (!rc)
		rc = push_display(r, r->i.imm2 & 31, frame);
	top = stack_pointer(r, -(s64)(u16)r->i.imm);
	if (!rc)
		rc = probe_stack(r, top);
	if (rc) {
		e->gpr[GPR_RSP] = sp;
		return rc;
	}
	emul_wide_write(e, GPR_RSP, r->asize_ss, top);
	emul_wide_write(e, GPR_RBP, r->i.osize, frame);
	return 0;
}

/* --- branches ------------------------------------------------------------------------------- */

static int set_target(struct emul_run *r, u64 target)
{
	gva_t gva;

	if (r->mode == EMUL_LONG64) {
		/* With an operand-size prefix AMD takes 16 bits and Intel 64. */
		if (r->i.prefix & PFX_OPSIZE)
			return emul_unhandled(r->e, "branch with operand-size prefix");
		if (emul_linear(r, SEG_CS, target, 1, false, &gva))
			return emul_raise(r->e, VEC_GP, 0);
	} else {
		target &= size_mask(r->i.osize);
		if (target > r->e->seg[SEG_CS].limit)
			return emul_raise(r->e, VEC_GP, 0);
	}
	r->next_rip = target;
	return 0;
}

/* Near targets come from a displacement or from r/m (group FF); far ones are not executed here. */
static int branch_target(struct emul_run *r, u64 *target)
{
	u8 op = r->i.opcode;

	if (r->i.map == MAP_ONE && op == 0xff && !(r->i.reg & 1)) {
		emul_set_operands(r);
		return opnd_read(r, &r->dst, target);
	}
	if (r->i.map == MAP_ONE && (op == 0xff || op == 0x9a || op == 0xea))
		return emul_unhandled(r->e, "far control transfer");
	*target = r->next_rip + r->i.imm;
	return 0;
}

int emul_jmp(struct emul_run *r)
{
	u64 target;
	int rc = branch_target(r, &target);

	return rc ? rc : set_target(r, target);
}

int emul_call(struct emul_run *r)
{
	u64 ret = r->next_rip, target;
	int rc = branch_target(r, &target);

	if (!rc)
		rc = set_target(r, target);
	return rc ? rc : push(r, ret, r->i.osize);
}

int emul_jcc(struct emul_run *r)
{
	return emul_condition(r->e->rflags, r->i.opcode) ? emul_jmp(r) : 0;
}

int emul_loop(struct emul_run *r)
{
	u64 count = (emul_wide_read(r->e, GPR_RCX, r->i.asize) - 1) & size_mask(r->i.asize);
	bool zf = r->e->rflags & EFL_ZF;
	int rc = 0;

	if (count && (r->i.op->arg == 2 || r->i.op->arg == zf))
		rc = emul_jmp(r);
	if (!rc)
		emul_wide_write(r->e, GPR_RCX, r->i.asize, count);
	return rc;
}

int emul_jcxz(struct emul_run *r)
{
	return emul_wide_read(r->e, GPR_RCX, r->i.asize) ? 0 : emul_jmp(r);
}

int emul_ret(struct emul_run *r)
{
	u64 target;
	int rc;

	if (r->i.opcode != 0xc2 && r->i.opcode != 0xc3)
		return emul_unhandled(r->e, "far control transfer");
	rc = peek(r, &target, r->i.osize);
	if (!rc)
		rc = set_target(r, target);
	if (!rc)
		drop(r, r->i.osize + (r->i.opcode == 0xc2 ? (u16)r->i.imm : 0u));
	return rc;
}
