/* A small decoder for stores; see sh_store.h.
 *
 * It knows what compilers and kernels use on page tables: MOV, MOVNTI, XCHG, CMPXCHG (8B, 16B too),
 * XADD, ADD/OR/AND/SUB/XOR, INC/DEC/NOT/NEG, BTS/BTR/BTC, STOS and MOVS. What it does not know, it
 * leaves alone. The operand's address is computed and compared with the one that faulted, so that
 * segment bases other than 0 and operands that begin on another page are left alone as well.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/sh_store.h"
#include "lib/str.h"
#include "lib/x86.h"

#define FLAG_CF	   BIT(0)
#define FLAG_PF	   BIT(2)
#define FLAG_AF	   BIT(4)
#define FLAG_ZF	   BIT(6)
#define FLAG_SF	   BIT(7)
#define FLAG_OF	   BIT(11)
#define FLAGS_ALL  (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)
#define NO_INDEX   4u
#define SEG_PREFIX 0x26u /* ES; CS, SS and DS are 0x2e, 0x36 and 0x3e */

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

/* --- operands ----------------------------------------------------------------------------------
 */

static u64 low(u64 v, unsigned size)
{
	return size == 8 ? v : v & (BIT(size * 8) - 1);
}

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

static u64 gpr(const struct store *t, unsigned n)
{
	return t->i->width == 64 ? t->i->gpr[n] : (u32)t->i->gpr[n];
}

/* Without REX, byte registers 4 to 7 are the second bytes of the first four. */
static bool second_byte(const struct store *t, unsigned n)
{
	return t->size == 1 && !t->rex && n >= 4 && n < 8;
}

static u64 read_reg(const struct store *t, unsigned n)
{
	return low(second_byte(t, n) ? t->i->gpr[n - 4] >> 8 : t->i->gpr[n], t->size);
}

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

static bool decode(struct store *t)
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
	if (i->width == 16 || (*i->rflags & RFLAGS_TF) || !decode(&t) || !run(&t))
		return 0;
	if (t.action == DO_STOS || t.action == DO_MOVS)
		again = string_done(&t);
	next = *i->rip + (u64)(t.p - i->bytes);
	if (!again)
		*i->rip = i->width == 64 ? next : (u32)next;
	*i->rflags &= ~RFLAGS_RF;
	return t.size;
}
