/* SSE and AVX moves between vector registers, memory and general registers: what drivers use on
 * device memory. No arithmetic. A VEX-encoded load clears the rest of the 256-bit register.
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/emul_int.h"

/* #UD and #NM as in APM vol. 4 ch. 2 (exception classes 1, 4, 5); CR4.OSXSAVE stands for XCR0. */
static int check_usable(struct emul_run *r)
{
	struct emul *e = r->e;
	bool vex = r->i.prefix & PFX_VEX;

	if (vex && (!(e->cr4 & CR4_OSXSAVE) || !(e->cr0 & CR0_PE) || (e->rflags & RFLAGS_VM)))
		return emul_raise(e, VEC_UD, 0);
	if (!vex && (!(e->cr4 & CR4_OSFXSR) || (e->cr0 & CR0_EM)))
		return emul_raise(e, VEC_UD, 0);
	return e->cr0 & CR0_TS ? emul_raise(e, VEC_NM, 0) : 0;
}

/* The integer-vector opcodes without a mandatory prefix are MMX. */
static bool is_mmx(const struct emul_insn *i)
{
	u8 op = i->opcode;
	bool shared = (op >= 0x60 && op <= 0x7f) || op == 0xd6 || op == 0xe7;

	return i->map == MAP_0F && shared && !(i->prefix & (PFX_OPSIZE | PFX_REP | PFX_VEX));
}

static bool is_gpr_form(const struct emul_insn *i)
{
	return i->opcode == 0x6e || (i->opcode == 0x7e && !(i->prefix & PFX_REP));
}

static bool is_store(const struct emul_insn *i)
{
	if (i->map != MAP_0F)
		return false;
	switch (i->opcode) {
	case 0x11:
	case 0x13:
	case 0x17:
	case 0x29:
	case 0x2b:
	case 0x7f:
	case 0xd6:
	case 0xe7:
		return true;
	case 0x7e:
		return is_gpr_form(i);
	default:
		return false;
	}
}

struct vec_form {
	unsigned len;	/* bytes moved */
	unsigned at;	/* first byte of them in the register */
	unsigned whole; /* bytes of the register a full write covers */
	bool merge;	/* keep the other bytes */
};

static struct vec_form form_of(const struct emul_insn *i)
{
	u8 arg = i->op->arg;
	struct vec_form f = {.len = arg & VEC_SIZE, .at = arg & VEC_HIGH ? 8 : 0};

	f.whole = i->prefix & PFX_VEX ? 32 : 16;
	if (!f.len)
		f.len = i->prefix & PFX_VEX_L ? 32 : 16;
	/* MOVSS and MOVSD merge between registers and clear from memory. */
	f.merge = (arg & VEC_MERGE) || (i->mod == 3 && (i->opcode & 0xfe) == 0x10 && f.len < 16);
	return f;
}

static int vec_address(struct emul_run *r, const struct vec_form *f, bool write, gva_t *gva)
{
	int rc = emul_mem_linear(r, f->len, write, gva);

	if (!rc && (r->i.op->arg & VEC_ALIGNED) && (*gva & (f->len - 1)))
		return emul_raise(r->e, VEC_GP, 0);
	return rc;
}

/* The bytes to put into a register: from memory, a general register, or the other vector register.
 */
static int vec_source(struct emul_run *r, const struct vec_form *f, u8 *buf)
{
	const struct emul_insn *i = &r->i;
	u8 all[32] = {0};
	u64 val;
	gva_t gva;
	int rc;

	if (i->mod != 3) {
		rc = vec_address(r, f, false, &gva);
		return rc ? rc : emul_load(r, gva, buf, f->len, EMUL_READ);
	}
	if (is_gpr_form(i)) {
		val = emul_reg_read(r, i->rm, f->len);
		memcpy(buf, &val, f->len);
		return 0;
	}
	r->e->ops->vec_read(r->e, i->rm, all, f->len > 16 ? 32 : 16);
	memcpy(buf, all, f->len);
	return 0;
}

static void vec_set(struct emul_run *r, unsigned reg, const struct vec_form *f, const u8 *buf)
{
	u8 all[32] = {0};

	if (f->merge)
		r->e->ops->vec_read(r->e, reg, all, 16);
	memcpy(all + f->at, buf, f->len);
	r->e->ops->vec_write(r->e, reg, all, f->whole);
}

static int vec_load(struct emul_run *r, const struct vec_form *f)
{
	u8 buf[32] = {0};
	int rc = vec_source(r, f, buf);

	if (!rc)
		vec_set(r, r->i.reg, f, buf);
	return rc;
}

static int vec_store(struct emul_run *r, const struct vec_form *f)
{
	const struct emul_insn *i = &r->i;
	u8 all[32] = {0};
	u64 val = 0;
	gva_t gva;
	int rc;

	r->e->ops->vec_read(r->e, i->reg, all, f->len > 16 ? 32 : 16);
	if (i->mod != 3) {
		rc = vec_address(r, f, true, &gva);
		return rc ? rc : emul_store(r, gva, all + f->at, f->len);
	}
	if (is_gpr_form(i)) {
		memcpy(&val, all, f->len);
		emul_reg_write(r, i->rm, f->len, val);
	} else {
		vec_set(r, i->rm, f, all);
	}
	return 0;
}

int emul_vec_move(struct emul_run *r)
{
	struct vec_form f = form_of(&r->i);
	int rc;

	if (is_mmx(&r->i))
		return emul_unhandled(r->e, "MMX register");
	if ((r->i.prefix & PFX_VEX) && f.merge)
		return emul_unhandled(r->e, "three-operand vector move");
	rc = check_usable(r);
	if (rc)
		return rc;
	return is_store(&r->i) ? vec_store(r, &f) : vec_load(r, &f);
}

int emul_movs_or_movsd(struct emul_run *r)
{
	return r->i.map == MAP_ONE ? emul_movs(r) : emul_vec_move(r);
}

int emul_cmpsd(struct emul_run *r)
{
	return r->i.map == MAP_ONE ? emul_cmps(r) : emul_unhandled(r->e, "vector comparison");
}
