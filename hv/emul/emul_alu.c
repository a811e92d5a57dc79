/* Integer arithmetic. The alu_* functions are pure: operands and flags in, result and flags out.
 * Operands are zero-extended from their size; results may carry junk above it.
 *
 * Undefined flags: cleared or computed as for the defined case, which is what processors of both
 * vendors do where they agree.
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/emul_int.h"

static unsigned top_bit(const struct alu *a)
{
	return 8 * a->size - 1;
}

static u64 flag_if(bool on, u64 flag)
{
	return on ? flag : 0;
}

static bool even_parity(u64 v)
{
	unsigned x = (u8)v;

	x ^= x >> 4;
	return !(0x6996 >> (x & 15) & 1);
}

/* SF, ZF, PF of @res. */
static u64 szp(const struct alu *a, u64 res)
{
	res &= size_mask(a->size);
	return flag_if(res >> top_bit(a) & 1, EFL_SF) | flag_if(!res, EFL_ZF) |
	       flag_if(even_parity(res), EFL_PF);
}

static void replace_flags(struct alu *a, u64 mask, u64 flags)
{
	a->flags = (a->flags & ~mask) | flags;
}

static u64 add_carry(struct alu *a, u64 carry)
{
	u64 x = a->dst, y = a->src, res = x + y + carry;
	u64 out = (x & y) | ((x | y) & ~res), over = (x ^ res) & (y ^ res);

	replace_flags(a, EFL_STATUS,
		      szp(a, res) | flag_if(out >> top_bit(a) & 1, EFL_CF) |
			      flag_if(over >> top_bit(a) & 1, EFL_OF) | ((x ^ y ^ res) & EFL_AF));
	return res;
}

static u64 sub_borrow(struct alu *a, u64 borrow)
{
	u64 x = a->dst, y = a->src, res = x - y - borrow;
	u64 out = (~x & y) | ((~x | y) & res), over = (x ^ y) & (x ^ res);

	replace_flags(a, EFL_STATUS,
		      szp(a, res) | flag_if(out >> top_bit(a) & 1, EFL_CF) |
			      flag_if(over >> top_bit(a) & 1, EFL_OF) | ((x ^ y ^ res) & EFL_AF));
	return res;
}

static u64 logic(struct alu *a, u64 res)
{
	replace_flags(a, EFL_STATUS, szp(a, res));
	return res;
}

u64 alu_add(struct alu *a)
{
	return add_carry(a, 0);
}

u64 alu_adc(struct alu *a)
{
	return add_carry(a, a->flags & EFL_CF);
}

u64 alu_sub(struct alu *a)
{
	return sub_borrow(a, 0);
}

u64 alu_sbb(struct alu *a)
{
	return sub_borrow(a, a->flags & EFL_CF);
}

u64 alu_and(struct alu *a)
{
	return logic(a, a->dst & a->src);
}

u64 alu_or(struct alu *a)
{
	return logic(a, a->dst | a->src);
}

u64 alu_xor(struct alu *a)
{
	return logic(a, a->dst ^ a->src);
}

u64 alu_not(struct alu *a)
{
	return ~a->dst;
}

u64 alu_neg(struct alu *a)
{
	a->src = a->dst;
	a->dst = 0;
	return sub_borrow(a, 0);
}

/* INC and DEC leave CF. */
u64 alu_inc(struct alu *a)
{
	u64 carry = a->flags & EFL_CF, res;

	a->src = 1;
	res = add_carry(a, 0);
	replace_flags(a, EFL_CF, carry);
	return res;
}

u64 alu_dec(struct alu *a)
{
	u64 carry = a->flags & EFL_CF, res;

	a->src = 1;
	res = sub_borrow(a, 0);
	replace_flags(a, EFL_CF, carry);
	return res;
}

/* --- shifts and rotates ----------------------------------------------------------------------- */

static unsigned shift_count(const struct alu *a)
{
	return a->src & (a->size == 8 ? 63 : 31);
}

/* A rotate changes only CF and OF. */
static u64 rotated(struct alu *a, u64 res, bool carry, bool over)
{
	replace_flags(a, EFL_CF | EFL_OF, flag_if(carry, EFL_CF) | flag_if(over, EFL_OF));
	return res;
}

u64 alu_rol(struct alu *a)
{
	unsigned count = shift_count(a), bits = 8 * a->size, n = count % bits;
	u64 res = n ? a->dst << n | a->dst >> (bits - n) : a->dst;
	bool low = res & 1;

	return count ? rotated(a, res, low, low != (res >> top_bit(a) & 1)) : a->dst;
}

u64 alu_ror(struct alu *a)
{
	unsigned count = shift_count(a), bits = 8 * a->size, n = count % bits;
	u64 res = n ? a->dst >> n | a->dst << (bits - n) : a->dst;
	bool high = res >> top_bit(a) & 1;

	return count ? rotated(a, res, high, high != (res >> (top_bit(a) - 1) & 1)) : a->dst;
}

u64 alu_rcl(struct alu *a)
{
	unsigned count = shift_count(a), n = count % (8 * a->size + 1);
	bool carry = a->flags & EFL_CF, out;
	u64 res = a->dst;

	for (unsigned i = 0; i < n; i++) {
		out = res >> top_bit(a) & 1;
		res = res << 1 | carry;
		carry = out;
	}
	return count ? rotated(a, res, carry, carry != (res >> top_bit(a) & 1)) : a->dst;
}

u64 alu_rcr(struct alu *a)
{
	unsigned count = shift_count(a), n = count % (8 * a->size + 1);
	bool carry = a->flags & EFL_CF, out;
	u64 res = a->dst, high;

	for (unsigned i = 0; i < n; i++) {
		out = res & 1;
		res = res >> 1 | (u64)carry << top_bit(a);
		carry = out;
	}
	high = (res >> top_bit(a) ^ res >> (top_bit(a) - 1)) & 1;
	return count ? rotated(a, res, carry, high) : a->dst;
}

static u64 shifted(struct alu *a, u64 res, bool carry, bool over)
{
	replace_flags(a, EFL_STATUS, szp(a, res) | flag_if(carry, EFL_CF) | flag_if(over, EFL_OF));
	return res;
}

u64 alu_shl(struct alu *a)
{
	unsigned n = shift_count(a), bits = 8 * a->size;
	bool carry;
	u64 res;

	if (!n)
		return a->dst;
	res = a->dst << n;
	carry = n <= bits && (a->dst >> (bits - n) & 1);
	return shifted(a, res, carry, carry != (res >> top_bit(a) & 1));
}

u64 alu_shr(struct alu *a)
{
	unsigned n = shift_count(a);

	if (!n)
		return a->dst;
	return shifted(a, a->dst >> n, a->dst >> (n - 1) & 1, a->dst >> top_bit(a) & 1);
}

u64 alu_sar(struct alu *a)
{
	unsigned n = shift_count(a);
	s64 val = (s64)sign_extend(a->dst, a->size);

	if (!n)
		return a->dst;
	return shifted(a, (u64)(val >> n), val >> (n - 1) & 1, false);
}

/* Double shifts: @src2 comes in from the side. A 16-bit shift by more than 16 is undefined; this
 * shifts the doubled operand on, as processors do. Returns the count that is left, 1 to the
 * operand's bits; 0: nothing to do. */
static unsigned double_shift_count(struct alu *a)
{
	unsigned n = shift_count(a), bits = 8 * a->size;

	if (n <= bits)
		return n;
	a->dst = a->src2;
	return n - bits;
}

static u64 double_shifted(struct alu *a, u64 res, bool carry)
{
	return shifted(a, res, carry, (res ^ a->dst) >> top_bit(a) & 1);
}

u64 alu_shld(struct alu *a)
{
	unsigned n = double_shift_count(a), bits = 8 * a->size;

	if (!n)
		return a->dst;
	return double_shifted(a, n == bits ? a->src2 : a->dst << n | a->src2 >> (bits - n),
			      a->dst >> (bits - n) & 1);
}

u64 alu_shrd(struct alu *a)
{
	unsigned n = double_shift_count(a), bits = 8 * a->size;

	if (!n)
		return a->dst;
	return double_shifted(a, n == bits ? a->src2 : a->dst >> n | a->src2 << (bits - n),
			      a->dst >> (n - 1) & 1);
}

/* --- bits ------------------------------------------------------------------------------------- */

static u64 bit_of(struct alu *a)
{
	u64 bit = BIT(a->src);

	replace_flags(a, EFL_CF, flag_if(a->dst & bit, EFL_CF));
	return bit;
}

u64 alu_bt(struct alu *a)
{
	bit_of(a);
	return a->dst;
}

u64 alu_bts(struct alu *a)
{
	return a->dst | bit_of(a);
}

u64 alu_btr(struct alu *a)
{
	return a->dst & ~bit_of(a);
}

u64 alu_btc(struct alu *a)
{
	return a->dst ^ bit_of(a);
}

static unsigned lowest_bit(u64 v)
{
	return (unsigned)__builtin_ctzll(v);
}

static unsigned highest_bit(u64 v)
{
	return 63 - (unsigned)__builtin_clzll(v);
}

/* BSF and BSR of zero leave the destination, on both vendors. */
u64 alu_bsf(struct alu *a)
{
	replace_flags(a, EFL_ZF, flag_if(!a->src, EFL_ZF));
	return a->src ? lowest_bit(a->src) : a->dst;
}

u64 alu_bsr(struct alu *a)
{
	replace_flags(a, EFL_ZF, flag_if(!a->src, EFL_ZF));
	return a->src ? highest_bit(a->src) : a->dst;
}

static u64 counted(struct alu *a, u64 res)
{
	replace_flags(a, EFL_CF | EFL_ZF, flag_if(!a->src, EFL_CF) | flag_if(!res, EFL_ZF));
	return res;
}

u64 alu_tzcnt(struct alu *a)
{
	return counted(a, a->src ? lowest_bit(a->src) : 8 * a->size);
}

u64 alu_lzcnt(struct alu *a)
{
	return counted(a, a->src ? top_bit(a) - highest_bit(a->src) : 8 * a->size);
}

u64 alu_popcnt(struct alu *a)
{
	u64 n = 0;

	for (u64 v = a->src; v; v &= v - 1)
		n++;
	replace_flags(a, EFL_STATUS, flag_if(!n, EFL_ZF));
	return n;
}

/* --- handlers --------------------------------------------------------------------------------- */

int emul_alu(struct emul_run *r)
{
	struct alu a = {0};
	int rc;

	emul_set_operands(r);
	rc = opnd_read(r, &r->src, &a.src);
	return rc ? rc : opnd_modify(r, &a, r->i.op->alu);
}

int emul_alu_test(struct emul_run *r)
{
	struct alu a = {.flags = r->e->rflags};
	int rc;

	emul_set_operands(r);
	a.size = r->dst.size;
	rc = opnd_read(r, &r->src, &a.src);
	if (!rc)
		rc = opnd_read(r, &r->dst, &a.dst);
	if (rc)
		return rc;
	r->i.op->alu(&a);
	emul_set_flags(r->e, a.flags);
	return 0;
}

/* The source register is written before the destination, which wins when they are the same. */
int emul_xadd(struct emul_run *r)
{
	struct alu a = {0};
	int rc;

	emul_set_operands(r);
	opnd_read(r, &r->src, &a.src);
	rc = opnd_modify(r, &a, alu_add);
	if (!rc && (r->dst.kind == OPND_MEM || r->dst.reg != r->src.reg))
		opnd_write(r, &r->src, a.old);
	return rc;
}

/* src: the accumulator; src2: the new value. */
static u64 cmpxchg_fn(struct alu *a)
{
	struct alu cmp = {.dst = a->src, .src = a->dst, .size = a->size, .flags = a->flags};

	alu_sub(&cmp);
	a->flags = cmp.flags;
	return a->dst == a->src ? a->src2 : a->dst;
}

/* On a mismatch memory is written back, a destination register is not touched. */
int emul_cmpxchg(struct emul_run *r)
{
	struct alu a = {0};
	struct opnd acc, *dst = &r->dst;
	u64 upper;
	int rc;

	emul_set_operands(r);
	acc = (struct opnd){OPND_REG, GPR_RAX, dst->size};
	opnd_read(r, &acc, &a.src);
	opnd_read(r, &r->src, &a.src2);
	upper = r->e->gpr[dst->reg];
	rc = opnd_modify(r, &a, cmpxchg_fn);
	if (rc || a.old == a.src)
		return rc;
	if (dst->kind == OPND_REG && dst->size >= 4)
		r->e->gpr[dst->reg] = upper;
	return opnd_write(r, &acc, a.old);
}

static bool wide_equal(const u64 *a, const u64 *b)
{
	return a[0] == b[0] && a[1] == b[1];
}

/* rDX:rAX and rCX:rBX as one value of 2 * @half bytes. */
static void pair_read(struct emul_run *r, unsigned high, unsigned low, unsigned half, u64 *val)
{
	u64 lo = emul_reg_read(r, low, half), hi = emul_reg_read(r, high, half);

	val[0] = half == 8 ? lo : lo | hi << 32;
	val[1] = half == 8 ? hi : 0;
}

static int swap_wide(struct emul_run *r, gva_t gva, const u64 *want, const u64 *repl, u64 *old,
		     unsigned len)
{
	struct emul *e = r->e;
	int rc = emul_load(r, gva, old, len, EMUL_RMW_READ);

	if (rc)
		return rc;
	if (!emul_locked(r) || (gva & (PAGE_SIZE - 1)) + len > PAGE_SIZE)
		return emul_store(r, gva, wide_equal(old, want) ? repl : old, len);
	/* Either it swaps, or @old is what another CPU made of it, and then it may match now. */
	for (int i = 0; i < 64; i++) {
		if (!wide_equal(old, want))
			return 0;
		rc = e->ops->cmpxchg(e, gva, old, repl, len, &e->fault);
		if (rc <= 0)
			return rc;
	}
	return -EAGAIN;
}

int emul_cmpxchg_wide(struct emul_run *r)
{
	unsigned half = r->i.osize == 8 ? 8 : 4, len = 2 * half;
	u64 want[2], repl[2], old[2] = {0, 0};
	gva_t gva;
	int rc;

	pair_read(r, GPR_RDX, GPR_RAX, half, want);
	pair_read(r, GPR_RCX, GPR_RBX, half, repl);
	rc = emul_mem_linear(r, len, true, &gva);
	if (!rc && len == 16 && (gva & 15))
		rc = emul_raise(r->e, VEC_GP, 0);
	if (!rc)
		rc = swap_wide(r, gva, want, repl, old, len);
	if (rc)
		return rc;
	if (wide_equal(old, want)) {
		r->e->rflags |= EFL_ZF;
		return 0;
	}
	r->e->rflags &= ~EFL_ZF;
	emul_reg_write(r, GPR_RAX, half, old[0]);
	emul_reg_write(r, GPR_RDX, half, half == 8 ? old[1] : old[0] >> 32);
	return 0;
}

int emul_shxd(struct emul_run *r)
{
	struct alu a = {0};

	emul_set_operands(r);
	opnd_read(r, &r->src, &a.src2);
	/* A4/AC take the count from an immediate, A5/AD from CL. */
	a.src = r->i.opcode & 1 ? (u8)r->e->gpr[GPR_RCX] : (u8)r->i.imm;
	return opnd_modify(r, &a, r->i.op->alu);
}

/* A bit index in a register reaches beyond a memory operand, in steps of the operand size. */
int emul_bit(struct emul_run *r)
{
	unsigned bits = 8u * r->i.osize;
	struct alu a = {0};
	s64 index;
	int rc;

	emul_set_operands(r);
	opnd_read(r, &r->src, &a.src);
	if (r->dst.kind == OPND_MEM && r->src.kind == OPND_REG) {
		index = (s64)sign_extend(a.src, r->i.osize);
		r->i.disp = (s64)((u64)r->i.disp + (u64)((index & ~(s64)(bits - 1)) / 8));
	}
	a.src &= bits - 1;
	if (r->i.op->alu != alu_bt)
		return opnd_modify(r, &a, r->i.op->alu);
	a.size = r->dst.size;
	a.flags = r->e->rflags;
	rc = opnd_read(r, &r->dst, &a.dst);
	if (rc)
		return rc;
	alu_bt(&a);
	emul_set_flags(r->e, a.flags);
	return 0;
}

int emul_scan(struct emul_run *r)
{
	struct alu a = {.size = r->i.osize, .flags = r->e->rflags};
	u64 res;
	int rc;

	emul_set_operands(r);
	rc = opnd_read(r, &r->src, &a.src);
	if (rc)
		return rc;
	opnd_read(r, &r->dst, &a.dst);
	res = r->i.op->alu(&a);
	/* An undisturbed destination keeps its upper half too. */
	if (a.src || (r->i.op->alu != alu_bsf && r->i.op->alu != alu_bsr))
		opnd_write(r, &r->dst, res);
	emul_set_flags(r->e, a.flags);
	return 0;
}

/* --- multiplication and division -------------------------------------------------------------- */

static u64 mul_flags(const struct emul_run *r, const struct alu *a, u64 low, bool overflow)
{
	return (r->e->rflags & ~EFL_STATUS) | (szp(a, low) & ~EFL_ZF) |
	       flag_if(overflow, EFL_CF | EFL_OF);
}

int emul_imul(struct emul_run *r)
{
	struct alu a = {.size = r->i.osize};
	__int128 product;
	u64 x, low;
	int rc;

	if (r->i.map == MAP_ONE && (r->i.opcode & 0xfe) == 0xf6)
		return emul_muldiv(r);
	emul_set_operands(r);
	rc = opnd_read(r, &r->src, &a.src);
	if (rc)
		return rc;
	x = r->i.imm;
	if (r->i.map == MAP_0F)
		opnd_read(r, &r->dst, &x);
	product = (__int128)(s64)sign_extend(x, a.size) * (s64)sign_extend(a.src, a.size);
	low = (u64)product & size_mask(a.size);
	opnd_write(r, &r->dst, low);
	emul_set_flags(r->e, mul_flags(r, &a, low, product != (s64)sign_extend(low, a.size)));
	return 0;
}

/* Write a double-width result: AX for bytes, else rDX:rAX. */
static void write_double(struct emul_run *r, u64 high, u64 low)
{
	if (r->i.osize == 1) {
		emul_wide_write(r->e, GPR_RAX, 2, high << 8 | (low & 0xff));
		return;
	}
	emul_reg_write(r, GPR_RAX, r->i.osize, low);
	emul_reg_write(r, GPR_RDX, r->i.osize, high);
}

static int multiply(struct emul_run *r, u64 src, bool is_signed)
{
	struct alu a = {.size = r->i.osize};
	u64 acc = emul_reg_read(r, GPR_RAX, a.size), low, high;
	unsigned __int128 product;
	bool overflow;

	if (is_signed)
		product = (unsigned __int128)((__int128)(s64)sign_extend(acc, a.size) *
					      (s64)sign_extend(src, a.size));
	else
		product = (unsigned __int128)acc * src;
	low = (u64)product & size_mask(a.size);
	high = (u64)(product >> (8 * a.size)) & size_mask(a.size);
	overflow = is_signed ? high != (size_mask(a.size) & -(low >> top_bit(&a) & 1)) : high != 0;
	write_double(r, high, low);
	emul_set_flags(r->e, mul_flags(r, &a, low, overflow));
	return 0;
}

/* 128 by 64 bits; the caller made sure that the quotient fits. */
static u64 divide_wide(u64 high, u64 low, u64 by, u64 *rest)
{
	u64 quot;

	__asm__("divq %4" : "=a"(quot), "=d"(*rest) : "a"(low), "d"(high), "r"(by) : "cc");
	return quot;
}

/* The dividend: AX for bytes, else rDX:rAX, as a 128-bit number. */
static void dividend(struct emul_run *r, u64 *high, u64 *low)
{
	unsigned size = r->i.osize, bits = 8 * size;

	*high = 0;
	if (size == 1) {
		*low = emul_wide_read(r->e, GPR_RAX, 2);
		return;
	}
	*low = emul_reg_read(r, GPR_RAX, size);
	if (size == 8)
		*high = r->e->gpr[GPR_RDX];
	else
		*low |= emul_reg_read(r, GPR_RDX, size) << bits;
}

static int divide(struct emul_run *r, u64 src, bool is_signed)
{
	unsigned size = r->i.osize, bits = 8 * size;
	bool neg = false, neg_by = false;
	u64 high, low, quot, rest, limit = size_mask(size);

	dividend(r, &high, &low);
	if (is_signed) {
		if (size < 8) {
			low = sign_extend(low, 2 * size);
			high = 0 - (low >> 63);
		}
		neg = high >> 63;
		neg_by = src >> (bits - 1) & 1;
		if (neg) {
			low = -low;
			high = ~high + !low;
		}
		if (neg_by)
			src = -src & size_mask(size);
		limit = (size_mask(size) >> 1) + (neg != neg_by);
	}
	if (!src || high >= src)
		return emul_raise(r->e, VEC_DE, 0);
	quot = divide_wide(high, low, src, &rest);
	if (quot > limit)
		return emul_raise(r->e, VEC_DE, 0);
	write_double(r, neg ? -rest : rest, neg != neg_by ? -quot : quot);
	return 0;
}

/* F6/F7 /4 MUL /5 IMUL /6 DIV /7 IDIV. */
int emul_muldiv(struct emul_run *r)
{
	unsigned which = r->i.reg & 7;
	u64 src;
	int rc;

	emul_set_operands(r);
	rc = opnd_read(r, &r->dst, &src);
	if (rc)
		return rc;
	if (which < 6)
		return multiply(r, src, which & 1);
	return divide(r, src, which & 1);
}
