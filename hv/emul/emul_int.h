/* What the emulator's parts share: the decoded instruction, operands, and one step's working state.
 *
 * Conventions. A handler returns 0 when the instruction is complete, or a negative code:
 *   -EFAULT  e->fault is to be injected     -EAGAIN  stopped on a boundary, run it again
 *   -EIO     memory op failed               -ENOSYS  not executed here, e->why says
 * Every handler does what can fail first (loads, then the one store) and changes registers and
 * flags only after that, so a fault leaves the guest as it was.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_EMUL_EMUL_INT_H
#define HV_EMUL_EMUL_INT_H

#include "emul/emul.h"
#include "lib/errno.h"
#include "lib/str.h"

#define EFL_CF	   0x001ull
#define EFL_PF	   0x004ull
#define EFL_AF	   0x010ull
#define EFL_ZF	   0x040ull
#define EFL_SF	   0x080ull
#define EFL_DF	   0x400ull
#define EFL_OF	   0x800ull
#define EFL_STATUS (EFL_CF | EFL_PF | EFL_AF | EFL_ZF | EFL_SF | EFL_OF)

#define EMUL_NOREG 0xffu

/* Code size at RIP and what the decoder must assume. */
enum emul_mode { EMUL_REAL16, EMUL_PROT16, EMUL_PROT32, EMUL_LONG64, EMUL_MODES };

/* emul_insn.prefix */
#define PFX_LOCK   0x01u
#define PFX_REPNE  0x02u /* F2 came last of F2/F3 */
#define PFX_REP	   0x04u /* F3 came last of F2/F3 */
#define PFX_OPSIZE 0x08u
#define PFX_REX	   0x10u
#define PFX_VEX	   0x20u
#define PFX_VEX_L  0x40u

enum emul_map { MAP_ONE, MAP_0F, MAP_0F38, MAP_0F3A, MAP_OTHER };

enum opnd_kind { OPND_NONE, OPND_REG, OPND_MEM, OPND_IMM };
struct opnd {
	u8 kind;
	u8 reg;
	u8 size; /* bytes */
};

/* Operands of an arithmetic function, and what it leaves. */
struct alu {
	u64 dst, src, src2;
	unsigned size; /* bytes */
	u64 flags;     /* RFLAGS in and out */
	u64 old;       /* destination before, for XADD and friends */
};
typedef u64 (*alu_fn)(struct alu *a);

struct emul_run;
struct emul_op {
	int (*run)(struct emul_run *r);
	alu_fn alu; /* for the generic handlers */
	u8 arg;	    /* variant within the handler */
};

/* One decoded instruction, the same from either decoder. */
struct emul_insn {
	const struct emul_op *op;
	u8 len;
	u8 map; /* enum emul_map */
	u8 opcode;
	u8 osize; /* effective operand size, bytes; 1 for byte forms */
	u8 asize; /* effective address size, bytes */
	u8 prefix;
	u8 mod, reg, rm; /* ModRM with the extension bits added; mod 3 when there is no ModRM */
	u8 vvvv;	 /* VEX second source; 0 when unused */
	u8 seg;		 /* of the memory operand, override applied */
	u8 override;	 /* enum emul_seg or EMUL_NOREG: also applies to string sources */
	u8 base, index, scale;
	bool rip_rel;
	s64 disp; /* or the moffs */
	u64 imm;  /* sign-extended from its encoded size */
	u64 imm2; /* ENTER's level */
};

struct emul_run {
	struct emul *e;
	enum emul_mode mode;
	u8 n;	     /* bytes fetched so far */
	u8 asize_ss; /* stack width, bytes */
	struct emul_insn i;
	struct opnd dst, src;
	u64 next_rip;
	gva_t warm_src, warm_dst; /* string operations: pages that the last items went through */
};

/* --- emul.c ------------------------------------------------------------------------------- */
/* Note a fault for the caller; always -EFAULT. An error code goes with the vectors that have one,
 * outside real mode. */
int emul_raise(struct emul *e, u8 vector, u32 error);
int emul_unhandled(struct emul *e, const char *why);

/* --- decoders ----------------------------------------------------------------------------- */
/* Both fill @r->i from the @r->n bytes at @r->e->insn. The fast one knows plain MOV, MOVZX and
 * MOVSX and returns false for everything else, also when bytes are missing. The full one returns 0,
 * -EAGAIN when bytes are missing, -E2BIG beyond 15 bytes, -EINVAL for an undefined encoding, or
 * -ENOSYS. */
bool emul_decode_fast(struct emul_run *r);
int emul_decode_full(struct emul_run *r);
void emul_decode_init(void);
/* The memory operand from ModRM/SIB fields. @sib < 0: none. @rex: the REX byte's low bits (WRXB).
 */
void emul_set_mem(struct emul_insn *i, bool long64, u8 modrm, int sib, u8 rex, s64 disp);
/* Take @byte as a legacy prefix, but for LOCK and the address size. False: it is none of these. */
static inline bool emul_take_prefix(struct emul_insn *i, bool long64, u8 byte)
{
	switch (byte) {
	case 0x66:
		i->prefix |= PFX_OPSIZE;
		return true;
	case 0x64:
	case 0x65:
		i->override = byte - 0x64 + SEG_FS;
		return true;
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		/* Long mode ignores these, and they do not undo an FS or GS. */
		if (!long64)
			i->override = (byte >> 3) & 3;
		return true;
	case 0xf2:
	case 0xf3:
		i->prefix &= (u8) ~(PFX_REP | PFX_REPNE);
		i->prefix |= byte == 0xf3 ? PFX_REP : PFX_REPNE;
		return true;
	default:
		return false;
	}
}
/* Segment of the memory operand; called once base and override are known. */
static inline void emul_set_seg(struct emul_insn *i)
{
	i->seg = i->base == GPR_RSP || i->base == GPR_RBP ? SEG_SS : SEG_DS;
	if (i->override != EMUL_NOREG)
		i->seg = i->override;
}
/* What executes a Zydis mnemonic; NULL: nothing here does. */
const struct emul_op *emul_op_find(unsigned mnemonic);
extern const struct emul_op *const emul_op_mov, *const emul_op_movzx, *const emul_op_movsx;

/* --- emul_operand.c ------------------------------------------------------------------------- */
/* @size: bytes. */
static inline u64 size_mask(unsigned size)
{
	return size >= 8 ? ~0ull : BIT(8 * size) - 1;
}
static inline u64 sign_extend(u64 v, unsigned size)
{
	unsigned shift = 64 - 8 * size;

	return (u64)((s64)(v << shift) >> shift);
}

/* Register @reg as an operand of @size bytes: of one byte AH to BH count where there is no REX; of
 * four a write clears the upper half. */
u64 emul_reg_read(const struct emul_run *r, unsigned reg, unsigned size);
void emul_reg_write(struct emul_run *r, unsigned reg, unsigned size, u64 val);
/* rSI, rDI, rCX, rSP at a given width: narrower than 64 bits they keep (16) or clear (32) the rest.
 */
static inline u64 emul_wide_read(const struct emul *e, unsigned reg, unsigned width)
{
	return e->gpr[reg] & size_mask(width);
}
void emul_wide_write(struct emul *e, unsigned reg, unsigned width, u64 val);

/* Segment-check @len bytes at @seg:@off and give their linear address.
 * APM vol. 2 ch. 4.12 and 2.2.4, SDM vol. 3 ch. 5.3-5.5: #GP(0), #SS(0) for the stack segment. */
int emul_linear_checked(struct emul_run *r, unsigned seg, u64 off, unsigned len, bool write,
			gva_t *gva);
static inline int emul_linear(struct emul_run *r, unsigned seg, u64 off, unsigned len, bool write,
			      gva_t *gva)
{
	u64 first = off, last;

	/* The usual case, decided here: both ends in one 47-bit half of a flat address space. */
	if (r->mode == EMUL_LONG64 && seg < SEG_FS) {
		last = first + len - 1;
		if (!((first | last) >> 47) || (first & last) >> 47 == 0x1ffff) {
			*gva = first;
			return 0;
		}
	}
	return emul_linear_checked(r, seg, off, len, write, gva);
}
/* Offset of the memory operand, truncated to the address size. */
u64 emul_ea(const struct emul_run *r);
int emul_mem_linear(struct emul_run *r, unsigned len, bool write, gva_t *gva);
/* One access of @len bytes at a checked linear address. */
static inline int emul_load(struct emul_run *r, gva_t gva, void *buf, unsigned len,
			    enum emul_access a)
{
	return r->e->ops->read(r->e, gva, buf, len, a, &r->e->fault);
}
static inline int emul_store(struct emul_run *r, gva_t gva, const void *buf, unsigned len)
{
	return r->e->ops->write(r->e, gva, buf, len, &r->e->fault);
}
/* The same at seg:off. */
int emul_load_seg(struct emul_run *r, unsigned seg, u64 off, void *buf, unsigned len);
int emul_store_seg(struct emul_run *r, unsigned seg, u64 off, const void *buf, unsigned len);

/* Resolve @r->dst and @r->src from the opcode. */
void emul_set_operands(struct emul_run *r);
int opnd_read(struct emul_run *r, const struct opnd *o, u64 *val);
int opnd_write(struct emul_run *r, const struct opnd *o, u64 val);
/* dst = fn(a); @a->src prepared by the caller. Memory with LOCK (or XCHG) goes through
 * compare-and-swap, -EAGAIN when that keeps losing. Commits flags after the destination. */
int opnd_modify(struct emul_run *r, struct alu *a, alu_fn fn);
static inline bool emul_locked(const struct emul_run *r)
{
	return r->i.prefix & PFX_LOCK;
}
static inline void emul_set_flags(struct emul *e, u64 flags)
{
	e->rflags = (e->rflags & ~EFL_STATUS) | (flags & EFL_STATUS);
}

/* --- handlers: emul_move.c ------------------------------------------------------------------ */
int emul_mov(struct emul_run *r);
int emul_movzx(struct emul_run *r);
int emul_movsx(struct emul_run *r);
int emul_movbe(struct emul_run *r);
int emul_lea(struct emul_run *r);
int emul_xchg(struct emul_run *r);
int emul_bswap(struct emul_run *r);
int emul_setcc(struct emul_run *r);
int emul_cmovcc(struct emul_run *r);
int emul_convert(struct emul_run *r); /* CBW CWDE CDQE, and CWD CDQ CQO with arg 1 */
int emul_xlat(struct emul_run *r);
int emul_lahf(struct emul_run *r);
int emul_sahf(struct emul_run *r);
int emul_flag(struct emul_run *r); /* CLC STC CMC CLD STD by opcode */
int emul_nop(struct emul_run *r);
int emul_undefined(struct emul_run *r); /* UD0 UD1 UD2, and what CPUID hides */
int emul_cacheline(struct emul_run *r); /* CLFLUSH and kin: address check only */
int emul_lfar(struct emul_run *r);	/* LDS LES LSS LFS LGS, real mode; arg = segment */
bool emul_condition(u64 rflags, unsigned cc);
/* Load a selector. Only where no descriptor is read: real and virtual-8086 mode. */
int emul_load_sreg(struct emul_run *r, unsigned seg, u16 sel);
int emul_can_load_sreg(struct emul_run *r, unsigned seg);

/* --- handlers and functions: emul_alu.c ----------------------------------------------------- */
int emul_alu(struct emul_run *r);      /* dst = alu(dst, src) */
int emul_alu_test(struct emul_run *r); /* flags only */
int emul_xadd(struct emul_run *r);
int emul_cmpxchg(struct emul_run *r);
int emul_cmpxchg_wide(struct emul_run *r); /* CMPXCHG8B, CMPXCHG16B */
int emul_shxd(struct emul_run *r);	   /* SHLD, SHRD */
int emul_bit(struct emul_run *r);	   /* BT BTS BTR BTC */
int emul_scan(struct emul_run *r);	   /* BSF BSR TZCNT LZCNT POPCNT */
int emul_imul(struct emul_run *r);	   /* two and three operands; one goes to emul_muldiv */
int emul_muldiv(struct emul_run *r);
u64 alu_add(struct alu *a);
u64 alu_adc(struct alu *a);
u64 alu_sub(struct alu *a);
u64 alu_sbb(struct alu *a);
u64 alu_and(struct alu *a);
u64 alu_or(struct alu *a);
u64 alu_xor(struct alu *a);
u64 alu_not(struct alu *a);
u64 alu_neg(struct alu *a);
u64 alu_inc(struct alu *a);
u64 alu_dec(struct alu *a);
u64 alu_rol(struct alu *a);
u64 alu_ror(struct alu *a);
u64 alu_rcl(struct alu *a);
u64 alu_rcr(struct alu *a);
u64 alu_shl(struct alu *a);
u64 alu_shr(struct alu *a);
u64 alu_sar(struct alu *a);
u64 alu_shld(struct alu *a);
u64 alu_shrd(struct alu *a);
u64 alu_bt(struct alu *a);
u64 alu_bts(struct alu *a);
u64 alu_btr(struct alu *a);
u64 alu_btc(struct alu *a);
u64 alu_tzcnt(struct alu *a);
u64 alu_lzcnt(struct alu *a);
u64 alu_popcnt(struct alu *a);
u64 alu_bsf(struct alu *a);
u64 alu_bsr(struct alu *a);

/* --- emul_flow.c ---------------------------------------------------------------------------- */
int emul_push(struct emul_run *r);
int emul_pop(struct emul_run *r);
int emul_call(struct emul_run *r);
int emul_jmp(struct emul_run *r);
int emul_jcc(struct emul_run *r);
int emul_loop(struct emul_run *r); /* arg: 0 LOOPNE, 1 LOOPE, 2 LOOP */
int emul_jcxz(struct emul_run *r);
int emul_ret(struct emul_run *r);
int emul_leave(struct emul_run *r);
int emul_enter(struct emul_run *r);

/* --- emul_string.c -------------------------------------------------------------------------- */
int emul_movs(struct emul_run *r);
int emul_stos(struct emul_run *r);
int emul_lods(struct emul_run *r);
int emul_scas(struct emul_run *r);
int emul_cmps(struct emul_run *r);
int emul_ins(struct emul_run *r);
int emul_outs(struct emul_run *r);
int emul_in(struct emul_run *r);
int emul_out(struct emul_run *r);

/* --- emul_vec.c ----------------------------------------------------------------------------- */
/* emul_op.arg of emul_vec_move: bytes moved (0: whole vector) and how. */
#define VEC_SIZE    0x1fu
#define VEC_ALIGNED 0x20u
#define VEC_HIGH    0x40u /* bytes 8..15 */
#define VEC_MERGE   0x80u /* a load keeps the rest of the register */
int emul_vec_move(struct emul_run *r);
int emul_movs_or_movsd(struct emul_run *r); /* one Zydis mnemonic, two instructions */
int emul_cmpsd(struct emul_run *r);

#endif
