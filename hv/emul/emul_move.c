/* Data movement without arithmetic: MOV and its kin, conditions, conversions, segment registers,
 * single flags.
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/emul_int.h"

/* --- segment registers -------------------------------------------------------------------- */

int emul_can_load_sreg(struct emul_run *r, unsigned seg)
{
	struct emul *e = r->e;

	if (seg == SEG_CS || seg > SEG_GS)
		return emul_raise(e, VEC_UD, 0);
	if ((e->cr0 & CR0_PE) && !(e->rflags & RFLAGS_VM))
		return emul_unhandled(e, "segment load in protected mode");
	return 0;
}

int emul_load_sreg(struct emul_run *r, unsigned seg, u16 sel)
{
	r->e->seg[seg].sel = sel;
	r->e->seg[seg].base = (u64)sel << 4;
	return 0;
}

/* A selector goes to memory as 16 bits, to a register zero-extended. */
static int mov_from_sreg(struct emul_run *r)
{
	unsigned seg = r->i.reg & 7;

	if (seg > SEG_GS)
		return emul_raise(r->e, VEC_UD, 0);
	if (r->dst.kind == OPND_MEM)
		r->dst.size = 2;
	return opnd_write(r, &r->dst, r->e->seg[seg].sel);
}

static int mov_to_sreg(struct emul_run *r)
{
	unsigned seg = r->i.reg & 7;
	u64 sel;
	int rc = emul_can_load_sreg(r, seg);

	r->src.size = 2;
	if (!rc)
		rc = opnd_read(r, &r->src, &sel);
	return rc ? rc : emul_load_sreg(r, seg, (u16)sel);
}

/* LDS and its like: offset, then selector, from memory. */
int emul_lfar(struct emul_run *r)
{
	u8 buf[6];
	u64 off = 0;
	u16 sel;
	gva_t gva;
	int rc = emul_can_load_sreg(r, r->i.op->arg);

	if (!rc)
		rc = emul_mem_linear(r, r->i.osize + 2u, false, &gva);
	if (!rc)
		rc = emul_load(r, gva, buf, r->i.osize + 2u, EMUL_READ);
	if (rc)
		return rc;
	memcpy(&off, buf, r->i.osize);
	memcpy(&sel, buf + r->i.osize, 2);
	emul_reg_write(r, r->i.reg, r->i.osize, off);
	return emul_load_sreg(r, r->i.op->arg, sel);
}

/* --- moves -------------------------------------------------------------------------------- */

/* 88-8B with memory, most of all that is ever emulated: bit 1 of the opcode is the direction. */
static int mov_plain(struct emul_run *r)
{
	unsigned size = r->i.osize;
	bool load = r->i.opcode & 2;
	u64 val = 0;
	gva_t gva;
	int rc = emul_mem_linear(r, size, !load, &gva);

	if (rc)
		return rc;
	if (!load) {
		val = emul_reg_read(r, r->i.reg, size);
		return emul_store(r, gva, &val, size);
	}
	rc = emul_load(r, gva, &val, size, EMUL_READ);
	if (!rc)
		emul_reg_write(r, r->i.reg, size, val);
	return rc;
}

int emul_mov(struct emul_run *r)
{
	u64 val;
	int rc;

	if (r->i.map == MAP_ONE && (r->i.opcode & 0xfc) == 0x88 && r->i.mod != 3)
		return mov_plain(r);
	if (r->i.map == MAP_0F && r->i.opcode != 0xc3)
		return emul_unhandled(r->e, "control or debug register");
	emul_set_operands(r);
	if (r->i.map == MAP_ONE && r->i.opcode == 0x8c)
		return mov_from_sreg(r);
	if (r->i.map == MAP_ONE && r->i.opcode == 0x8e)
		return mov_to_sreg(r);
	rc = opnd_read(r, &r->src, &val);
	return rc ? rc : opnd_write(r, &r->dst, val);
}

/* 0F B6/B7/BE/BF: the opcode's low bit gives the source's size. MOVSXD's source is 32 bits, or 16
 * with an operand size of 16. */
static int read_narrow(struct emul_run *r, u64 *val)
{
	emul_set_operands(r);
	if (r->i.map == MAP_ONE)
		r->src.size = MIN(r->i.osize, 4);
	else
		r->src.size = r->i.opcode & 1 ? 2 : 1;
	return opnd_read(r, &r->src, val);
}

int emul_movzx(struct emul_run *r)
{
	u64 val;
	int rc = read_narrow(r, &val);

	return rc ? rc : opnd_write(r, &r->dst, val);
}

int emul_movsx(struct emul_run *r)
{
	u64 val;
	int rc = read_narrow(r, &val);

	return rc ? rc : opnd_write(r, &r->dst, sign_extend(val, r->src.size));
}

static u64 swap_bytes(u64 val, unsigned size)
{
	return __builtin_bswap64(val) >> (64 - 8 * size);
}

int emul_movbe(struct emul_run *r)
{
	u64 val;
	int rc;

	emul_set_operands(r);
	rc = opnd_read(r, &r->src, &val);
	return rc ? rc : opnd_write(r, &r->dst, swap_bytes(val, r->i.osize));
}

int emul_bswap(struct emul_run *r)
{
	u64 val = emul_reg_read(r, r->i.rm, r->i.osize);

	/* With a 16-bit operand the result is undefined; processors give zero. */
	emul_reg_write(r, r->i.rm, r->i.osize, r->i.osize == 2 ? 0 : swap_bytes(val, r->i.osize));
	return 0;
}

int emul_lea(struct emul_run *r)
{
	emul_reg_write(r, r->i.reg, r->i.osize, emul_ea(r));
	return 0;
}

static u64 swap_fn(struct alu *a)
{
	return a->src;
}

/* With memory it is locked even without the prefix. */
int emul_xchg(struct emul_run *r)
{
	struct alu a = {0};
	int rc;

	emul_set_operands(r);
	opnd_read(r, &r->src, &a.src);
	r->i.prefix |= PFX_LOCK;
	rc = opnd_modify(r, &a, swap_fn);
	if (!rc)
		emul_reg_write(r, r->src.reg, r->src.size, a.old);
	return rc;
}

/* --- conditions --------------------------------------------------------------------------- */

bool emul_condition(u64 f, unsigned cc)
{
	bool sf = f & EFL_SF, of = f & EFL_OF, zf = f & EFL_ZF, result = false;

	switch (cc >> 1 & 7) {
	case 0:
		result = of;
		break;
	case 1:
		result = f & EFL_CF;
		break;
	case 2:
		result = zf;
		break;
	case 3:
		result = (f & EFL_CF) || zf;
		break;
	case 4:
		result = sf;
		break;
	case 5:
		result = f & EFL_PF;
		break;
	case 6:
		result = sf != of;
		break;
	case 7:
		result = sf != of || zf;
		break;
	}
	return result != (cc & 1);
}

int emul_setcc(struct emul_run *r)
{
	emul_set_operands(r);
	return opnd_write(r, &r->dst, emul_condition(r->e->rflags, r->i.opcode));
}

/* The source is read, and a 32-bit destination cleared above, whatever the condition. */
int emul_cmovcc(struct emul_run *r)
{
	u64 val;
	int rc;

	emul_set_operands(r);
	rc = opnd_read(r, &r->src, &val);
	if (rc)
		return rc;
	if (!emul_condition(r->e->rflags, r->i.opcode))
		opnd_read(r, &r->dst, &val);
	return opnd_write(r, &r->dst, val);
}

/* --- accumulator and flags ------------------------------------------------------------------ */

int emul_convert(struct emul_run *r)
{
	unsigned size = r->i.osize;
	u64 acc = emul_reg_read(r, GPR_RAX, size);

	if (r->i.op->arg)
		emul_reg_write(r, GPR_RDX, size, sign_extend(acc, size) >> 63 ? ~0ull : 0);
	else
		emul_reg_write(r, GPR_RAX, size, sign_extend(acc & size_mask(size / 2), size / 2));
	return 0;
}

int emul_xlat(struct emul_run *r)
{
	u64 off = r->e->gpr[GPR_RBX] + (u8)r->e->gpr[GPR_RAX];
	unsigned seg = r->i.override == EMUL_NOREG ? SEG_DS : r->i.override;
	u8 val;
	int rc = emul_load_seg(r, seg, off & size_mask(r->i.asize), &val, 1);

	if (!rc)
		emul_reg_write(r, GPR_RAX, 1, val);
	return rc;
}

#define LAHF_FLAGS (EFL_CF | EFL_PF | EFL_AF | EFL_ZF | EFL_SF)

int emul_lahf(struct emul_run *r)
{
	u64 ah = (r->e->rflags & LAHF_FLAGS) | RFLAGS_FIXED;

	r->e->gpr[GPR_RAX] = (r->e->gpr[GPR_RAX] & ~0xff00ull) | ah << 8;
	return 0;
}

int emul_sahf(struct emul_run *r)
{
	u64 ah = r->e->gpr[GPR_RAX] >> 8;

	r->e->rflags = (r->e->rflags & ~LAHF_FLAGS) | (ah & LAHF_FLAGS);
	return 0;
}

int emul_flag(struct emul_run *r)
{
	u64 *f = &r->e->rflags;

	switch (r->i.opcode) {
	case 0xf5:
		*f ^= EFL_CF;
		break;
	case 0xf8:
		*f &= ~EFL_CF;
		break;
	case 0xf9:
		*f |= EFL_CF;
		break;
	case 0xfc:
		*f &= ~EFL_DF;
		break;
	case 0xfd:
		*f |= EFL_DF;
		break;
	}
	return 0;
}

int emul_nop(struct emul_run *r)
{
	(void)r;
	return 0;
}

int emul_undefined(struct emul_run *r)
{
	return emul_raise(r->e, VEC_UD, 0);
}

int emul_cacheline(struct emul_run *r)
{
	gva_t gva;

	return emul_mem_linear(r, 1, false, &gva);
}
