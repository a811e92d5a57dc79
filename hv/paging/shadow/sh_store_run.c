/* Executing a decoded store as the CPU would; see sh_store.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/sh_store_int.h"

#define FLAG_CF	  BIT(0)
#define FLAG_PF	  BIT(2)
#define FLAG_AF	  BIT(4)
#define FLAG_ZF	  BIT(6)
#define FLAG_SF	  BIT(7)
#define FLAG_OF	  BIT(11)
#define FLAGS_ALL (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

static void write_reg(const struct store *t, unsigned n, u64 v)
{
	u64 *r = &t->i->gpr[second_byte(t, n) ? n - 4 : n];
	unsigned shift = second_byte(t, n) ? 8 : 0;
	u64 mask = low(~0ull, t->size) << shift;

	if (t->size == 4)
		*r = (u32)v;
	else
		*r = (*r & ~mask) | (v << shift & mask);
}

/* --- execution ---------------------------------------------------------------------------------
 */

static u64 sign_of(u64 v, unsigned size)
{
	return v >> (size * 8 - 1) & 1;
}

static u64 result_flags(u64 r, unsigned size)
{
	u64 f = r ? 0 : FLAG_ZF;

	f |= sign_of(r, size) ? FLAG_SF : 0;
	return f | (__builtin_parity((unsigned)(r & 0xff)) ? 0 : FLAG_PF);
}

static u64 add_flags(u64 a, u64 b, u64 r, unsigned size)
{
	return result_flags(r, size) | (r < a ? FLAG_CF : 0) | ((a ^ b ^ r) & FLAG_AF) |
	       (sign_of((a ^ r) & (b ^ r), size) ? FLAG_OF : 0);
}

static u64 sub_flags(u64 a, u64 b, u64 r, unsigned size)
{
	return result_flags(r, size) | (a < b ? FLAG_CF : 0) | ((a ^ b ^ r) & FLAG_AF) |
	       (sign_of((a ^ b) & (a ^ r), size) ? FLAG_OF : 0);
}

static u64 read_memory(const void *at, unsigned size)
{
	switch (size) {
	case 1:
		return *(const volatile u8 *)at;
	case 2:
		return *(const volatile u16 *)at;
	case 4:
		return *(const volatile u32 *)at;
	default:
		return *(const volatile u64 *)at;
	}
}

#define SWAP(type)                                                                                 \
	({                                                                                         \
		type old_ = (type)old;                                                             \
		__atomic_compare_exchange_n((type *)at, &old_, (type) new, false,                  \
					    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);                   \
	})

/* In one piece, as the guest's own store would be; false: somebody else wrote there. */
static bool replace_memory(void *at, u64 old, u64 new, unsigned size)
{
	switch (size) {
	case 1:
		return SWAP(u8);
	case 2:
		return SWAP(u16);
	case 4:
		return SWAP(u32);
	default:
		return SWAP(u64);
	}
}

/* What memory and flags become; *@mask: the flags concerned. */
static u64 compute(const struct store *t, u64 a, u64 b, u64 *flags, u64 *mask)
{
	u64 r = 0, bit = BIT(b & 63);

	*mask = FLAGS_ALL;
	*flags = 0;
	switch (t->action) {
	case DO_ADD:
	case DO_XADD:
		r = low(a + b, t->size);
		*flags = add_flags(a, b, r, t->size);
		return r;
	case DO_SUB:
		r = low(a - b, t->size);
		*flags = sub_flags(a, b, r, t->size);
		return r;
	case DO_INC:
		r = low(a + 1, t->size);
		*flags = add_flags(a, 1, r, t->size);
		*mask = FLAGS_ALL & ~FLAG_CF;
		return r;
	case DO_DEC:
		r = low(a - 1, t->size);
		*flags = sub_flags(a, 1, r, t->size);
		*mask = FLAGS_ALL & ~FLAG_CF;
		return r;
	case DO_NEG:
		r = low(0 - a, t->size);
		*flags = sub_flags(0, a, r, t->size);
		return r;
	case DO_OR:
	case DO_AND:
	case DO_XOR:
		r = t->action == DO_OR ? a | b : t->action == DO_AND ? a & b : a ^ b;
		*flags = result_flags(r, t->size);
		return r;
	case DO_BTS:
	case DO_BTR:
	case DO_BTC:
		*mask = FLAG_CF;
		*flags = a & bit ? FLAG_CF : 0;
		return t->action == DO_BTS ? a | bit : t->action == DO_BTR ? a & ~bit : a ^ bit;
	case DO_NOT:
		*mask = 0;
		return low(~a, t->size);
	default: /* MOV, XCHG, STOS, MOVS */
		*mask = 0;
		return b;
	}
}

static void set_flags(const struct store *t, u64 flags, u64 mask)
{
	*t->i->rflags = (*t->i->rflags & ~mask) | (flags & mask);
}

static bool run_cmpxchg(const struct store *t, u64 old)
{
	u64 acc = read_reg(t, GPR_RAX);
	u64 flags = sub_flags(acc, old, low(acc - old, t->size), t->size);
	u64 new = acc == old ? read_reg(t, t->reg) : old;

	if (!replace_memory(t->m->at, old, new, t->size))
		return false;
	if (acc != old)
		write_reg(t, GPR_RAX, old);
	set_flags(t, flags, FLAGS_ALL);
	return true;
}

static bool run_cmpxchg16b(const struct store *t)
{
	u64 *r = t->i->gpr;
	u64 a = r[GPR_RAX], d = r[GPR_RDX];
	bool equal;

	asm volatile("lock cmpxchg16b %1"
		     : "=@ccz"(equal), "+m"(*(unsigned __int128 *)t->m->at), "+a"(a), "+d"(d)
		     : "b"(r[GPR_RBX]), "c"(r[GPR_RCX])
		     : "memory");
	r[GPR_RAX] = a;
	r[GPR_RDX] = d;
	set_flags(t, equal ? FLAG_ZF : 0, FLAG_ZF);
	return true;
}

static bool run_cmpxchg_pair(const struct store *t)
{
	u64 *r = t->i->gpr;
	u64 old, want = (u32)r[GPR_RAX] | r[GPR_RDX] << 32;
	u64 new = (u32)r[GPR_RBX] | r[GPR_RCX] << 32;

	if (t->size == 16)
		return run_cmpxchg16b(t);
	old = read_memory(t->m->at, 8);
	if (!replace_memory(t->m->at, old, want == old ? new : old, 8))
		return false;
	if (want != old) {
		r[GPR_RAX] = (u32)old;
		r[GPR_RDX] = old >> 32;
	}
	set_flags(t, want == old ? FLAG_ZF : 0, FLAG_ZF);
	return true;
}

static u64 string_step(const struct store *t)
{
	return *t->i->rflags & RFLAGS_DF ? 0 - (u64)t->size : t->size;
}

static void advance(const struct store *t, unsigned n, u64 by)
{
	u64 v = t->i->gpr[n] + by;

	t->i->gpr[n] = t->i->width == 64 ? v : (u32)v;
}

/* True: the instruction is to be run again for what is left. */
static bool string_done(const struct store *t)
{
	advance(t, GPR_RDI, string_step(t));
	if (t->action == DO_MOVS)
		advance(t, GPR_RSI, string_step(t));
	if (!t->repeat)
		return false;
	advance(t, GPR_RCX, ~0ull);
	return gpr(t, GPR_RCX) != 0;
}

static bool operand(const struct store *t, u64 *b)
{
	const void *from;

	switch (t->action) {
	case DO_BTS:
	case DO_BTR:
	case DO_BTC:
		*b = t->imm;
		return true;
	case DO_STOS:
		*b = read_reg(t, GPR_RAX);
		return true;
	case DO_MOVS:
		if (t->i->width != 64 || t->override)
			return false; /* where the source's segment begins is not known */
		from = t->m->source(t->m->ctx, t->i->gpr[GPR_RSI], t->size);
		if (from)
			*b = read_memory(from, t->size);
		return from;
	default:
		*b = t->from_imm ? low(t->imm, t->size) : read_reg(t, t->reg);
		return true;
	}
}

static bool run(const struct store *t)
{
	u64 old, new, b, flags, mask;

	if (t->action == DO_CMPXCHG_PAIR)
		return run_cmpxchg_pair(t);
	old = read_memory(t->m->at, t->size);
	if (t->action == DO_CMPXCHG)
		return run_cmpxchg(t, old);
	if (!operand(t, &b))
		return false;
	new = compute(t, old, b, &flags, &mask);
	if (!replace_memory(t->m->at, old, new, t->size))
		return false;
	if (t->action == DO_XCHG || t->action == DO_XADD)
		write_reg(t, t->reg, old);
	set_flags(t, flags, mask);
	return true;
}

unsigned sh_store_run(const struct shadow_insn *i, const struct sh_memory *m)
{
	struct store t = {.i = i, .m = m, .p = i->bytes, .end = i->bytes + MIN(i->len, INSN_MAX)};
	bool again = false;
	u64 next;

	/* A trap after the instruction is not ours to raise; 16-bit addressing is not known. */
	if (i->width == 16 || (*i->rflags & RFLAGS_TF) || !sh_store_decode(&t) || !run(&t))
		return 0;
	if (t.action == DO_STOS || t.action == DO_MOVS)
		again = string_done(&t);
	next = *i->rip + (u64)(t.p - i->bytes);
	if (!again)
		*i->rip = i->width == 64 ? next : (u32)next;
	*i->rflags &= ~RFLAGS_RF;
	return t.size;
}
