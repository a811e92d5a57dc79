/* Decoder for exiting instructions: prefixes, then one table lookup, then at most a ModRM byte.
 *
 * The hardware has already accepted what it exits on, so this is lenient where manuals only call a
 * prefix reserved (66/F2/F3 before most of the 0F 01 group) and strict where another
 * instruction hides behind the same bytes. Follows AMD APM vol. 3 ch. 1 and appendix A.
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/exitop.h"

#include "lib/x86.h"

#define NO_REG 0xff

static const u8 op_one_byte[256] = {
	[0x6c] = EXITOP_INS,	  [0x6d] = EXITOP_INS,	   [0x6e] = EXITOP_OUTS,
	[0x6f] = EXITOP_OUTS,	  [0x90] = EXITOP_PAUSE,   [0x9c] = EXITOP_PUSHF,
	[0x9d] = EXITOP_POPF,	  [0xcc] = EXITOP_INT3,	   [0xcd] = EXITOP_INTN,
	[0xce] = EXITOP_INTO,	  [0xcf] = EXITOP_IRET,	   [0xe4] = EXITOP_IN,
	[0xe5] = EXITOP_IN,	  [0xe6] = EXITOP_OUT,	   [0xe7] = EXITOP_OUT,
	[0xec] = EXITOP_IN,	  [0xed] = EXITOP_IN,	   [0xee] = EXITOP_OUT,
	[0xef] = EXITOP_OUT,	  [0xf1] = EXITOP_INT1,	   [0xf4] = EXITOP_HLT,
	[0x9a] = EXITOP_FAR_CALL, [0xea] = EXITOP_FAR_JMP,
};

/* FF with a memory operand: by ModRM.reg. */
static const u8 op_ff_mem[8] = {[3] = EXITOP_FAR_CALL, [5] = EXITOP_FAR_JMP};

static const u8 op_two_byte[256] = {
	[0x06] = EXITOP_CLTS,	     [0x08] = EXITOP_INVD,	  [0x09] = EXITOP_WBINVD,
	[0x20] = EXITOP_MOV_FROM_CR, [0x21] = EXITOP_MOV_FROM_DR, [0x22] = EXITOP_MOV_TO_CR,
	[0x23] = EXITOP_MOV_TO_DR,   [0x30] = EXITOP_WRMSR,	  [0x31] = EXITOP_RDTSC,
	[0x32] = EXITOP_RDMSR,	     [0x33] = EXITOP_RDPMC,	  [0xa2] = EXITOP_CPUID,
	[0xaa] = EXITOP_RSM,
};

/* 0F 01 with a register-form ModRM: the byte minus 0xc0. */
static const u8 op_0f01_reg[64] = {
	[0x01] = EXITOP_VMCALL, [0x08] = EXITOP_MONITOR, [0x09] = EXITOP_MWAIT,
	[0x11] = EXITOP_XSETBV, [0x18] = EXITOP_VMRUN,	 [0x19] = EXITOP_VMMCALL,
	[0x1a] = EXITOP_VMLOAD, [0x1b] = EXITOP_VMSAVE,	 [0x1c] = EXITOP_STGI,
	[0x1d] = EXITOP_CLGI,	[0x1e] = EXITOP_SKINIT,	 [0x1f] = EXITOP_INVLPGA,
	[0x20] = EXITOP_SMSW,	[0x21] = EXITOP_SMSW,	 [0x22] = EXITOP_SMSW,
	[0x23] = EXITOP_SMSW,	[0x24] = EXITOP_SMSW,	 [0x25] = EXITOP_SMSW,
	[0x26] = EXITOP_SMSW,	[0x27] = EXITOP_SMSW,	 [0x30] = EXITOP_LMSW,
	[0x31] = EXITOP_LMSW,	[0x32] = EXITOP_LMSW,	 [0x33] = EXITOP_LMSW,
	[0x34] = EXITOP_LMSW,	[0x35] = EXITOP_LMSW,	 [0x36] = EXITOP_LMSW,
	[0x37] = EXITOP_LMSW,	[0x39] = EXITOP_RDTSCP,
};

/* 0F 01 with a memory operand: by ModRM.reg. */
static const u8 op_0f01_mem[8] = {[4] = EXITOP_SMSW, [6] = EXITOP_LMSW, [7] = EXITOP_INVLPG};

/* The bytes being read, and the prefixes met. */
struct scan {
	const u8 *bytes;
	unsigned n, pos;
	enum code_mode mode;
	bool op_prefix, addr_prefix, lock;
	u8 rep; /* 0, 0xf2 or 0xf3 */
	u8 seg; /* enum emul_seg or NO_REG */
	u8 rex;
	bool truncated;
};

static u8 next_byte(struct scan *s)
{
	if (s->pos >= s->n) {
		s->truncated = true;
		return 0;
	}
	return s->bytes[s->pos++];
}

static s64 next_signed(struct scan *s, unsigned bytes)
{
	u32 v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (u32)next_byte(s) << (8 * i);
	if (bytes == 1)
		return (s8)v;
	return bytes == 2 ? (s16)v : (s32)v;
}

/* A segment override; in 64-bit mode only FS and GS exist. */
static void note_segment(struct scan *s, enum emul_seg seg)
{
	if (s->mode != CODE_64 || seg == SEG_FS || seg == SEG_GS)
		s->seg = seg;
}

/* Take @b as a legacy prefix; false: it is none. */
static bool legacy_prefix(struct scan *s, u8 b)
{
	switch (b) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		note_segment(s, (b >> 3) & 3);
		return true;
	case 0x64:
	case 0x65:
		note_segment(s, b == 0x64 ? SEG_FS : SEG_GS);
		return true;
	case 0x66:
		s->op_prefix = true;
		return true;
	case 0x67:
		s->addr_prefix = true;
		return true;
	case 0xf0:
		s->lock = true;
		return true;
	case 0xf2:
	case 0xf3:
		s->rep = b;
		return true;
	default:
		return false;
	}
}

/* Skip prefixes; returns the first opcode byte. A REX counts only right before the opcode. */
static u8 skip_prefixes(struct scan *s)
{
	for (;;) {
		u8 b = next_byte(s);

		if (s->truncated)
			return 0;
		if (s->mode == CODE_64 && (b & 0xf0) == 0x40)
			s->rex = b;
		else if (legacy_prefix(s, b))
			s->rex = 0;
		else
			return b;
	}
}

static u8 operand_size(const struct scan *s)
{
	if (s->rex & REX_W)
		return 8;
	return (s->mode == CODE_16) != s->op_prefix ? 2 : 4;
}

static u8 address_size(const struct scan *s)
{
	if (s->mode == CODE_64)
		return s->addr_prefix ? 4 : 8;
	return (s->mode == CODE_16) != s->addr_prefix ? 2 : 4;
}

/* 16-bit addressing: APM vol. 3 table A-32. */
static void memory_operand16(struct scan *s, struct exitop_insn *out, u8 modrm)
{
	static const u8 base[8] = {GPR_RBX, GPR_RBX, GPR_RBP, GPR_RBP,
				   GPR_RSI, GPR_RDI, GPR_RBP, GPR_RBX};
	static const u8 index[4] = {GPR_RSI, GPR_RDI, GPR_RSI, GPR_RDI};
	u8 mod = modrm >> 6, rm = modrm & 7;

	if (mod == 0 && rm == 6) {
		out->disp = next_signed(s, 2);
		return;
	}
	out->base = base[rm];
	if (rm < 4)
		out->index = index[rm];
	if (mod)
		out->disp = next_signed(s, mod);
}

static void memory_operand(struct scan *s, struct exitop_insn *out, u8 modrm)
{
	u8 mod = modrm >> 6, rm = modrm & 7, base = rm;

	if (rm == 4) {
		u8 sib = next_byte(s);
		u8 index = (sib >> 3 & 7) | (s->rex & REX_X ? 8 : 0);

		if (index != GPR_RSP) {
			out->index = index;
			out->scale = 1 << (sib >> 6);
		}
		base = sib & 7;
	}
	if (mod == 0 && base == 5) {
		out->rip_rel = rm == 5 && s->mode == CODE_64;
		out->disp = next_signed(s, 4);
		return;
	}
	out->base = base | (s->rex & REX_B ? 8 : 0);
	if (mod)
		out->disp = next_signed(s, mod == 1 ? 1 : 4);
}

static void any_memory_operand(struct scan *s, struct exitop_insn *out, u8 modrm)
{
	out->mem = true;
	if (out->addr_size == 2)
		memory_operand16(s, out, modrm);
	else
		memory_operand(s, out, modrm);
}

static enum exitop decode_0f01(struct scan *s, struct exitop_insn *out)
{
	u8 modrm = next_byte(s);
	enum exitop op;

	if (modrm >= 0xc0) {
		op = op_0f01_reg[modrm - 0xc0];
		out->gpr = (modrm & 7) | (s->rex & REX_B ? 8 : 0);
		return op;
	}
	op = op_0f01_mem[modrm >> 3 & 7];
	if (op == EXITOP_NONE)
		return op;
	if (op != EXITOP_INVLPG)
		out->op_size = 2;
	any_memory_operand(s, out, modrm);
	return op;
}

/* MOV CR/DR take the register form whatever ModRM.mod says. */
static enum exitop decode_mov_special(struct scan *s, struct exitop_insn *out, enum exitop op)
{
	bool debug = op == EXITOP_MOV_FROM_DR || op == EXITOP_MOV_TO_DR;
	u8 modrm = next_byte(s);

	out->reg = (modrm >> 3 & 7) | (s->rex & REX_R ? 8 : 0);
	out->gpr = (modrm & 7) | (s->rex & REX_B ? 8 : 0);
	out->op_size = s->mode == CODE_64 ? 8 : 4;
	if (s->lock) {
		/* AMD's way to CR8 without REX (AltMovCr8). */
		if (debug || out->reg != 0)
			return EXITOP_NONE;
		out->reg = 8;
		s->lock = false;
	}
	if (debug)
		return out->reg < 8 ? op : EXITOP_NONE;
	return 0x11d >> out->reg & 1 ? op : EXITOP_NONE;
}

static enum exitop decode_two_byte(struct scan *s, struct exitop_insn *out)
{
	u8 opcode = next_byte(s);
	enum exitop op = op_two_byte[opcode];

	if (opcode == 0x01)
		return decode_0f01(s, out);
	if (opcode >= 0x20 && opcode <= 0x23)
		return decode_mov_special(s, out, op);
	return op;
}

static void port_operand(struct scan *s, struct exitop_insn *out, u8 opcode)
{
	if (!(opcode & 1))
		out->op_size = 1;
	else if (out->op_size == 8)
		out->op_size = 4;
	if ((opcode & 0xfc) == 0xe4)
		out->imm = next_byte(s);
}

/* The far forms of CALL and JMP through memory; the others of this opcode are no exits'. */
static enum exitop decode_ff(struct scan *s, struct exitop_insn *out)
{
	u8 modrm = next_byte(s);
	enum exitop op = modrm < 0xc0 ? op_ff_mem[modrm >> 3 & 7] : EXITOP_NONE;

	if (op != EXITOP_NONE)
		any_memory_operand(s, out, modrm);
	return op;
}

/* The pointer is in the instruction; 64-bit code has no such. */
static enum exitop decode_far_pointer(struct scan *s, const struct exitop_insn *out, enum exitop op)
{
	if (s->mode == CODE_64)
		return EXITOP_NONE;
	for (unsigned i = 0; i < out->op_size + 2u; i++)
		next_byte(s);
	return op;
}

static enum exitop decode_one_byte(struct scan *s, struct exitop_insn *out, u8 opcode)
{
	enum exitop op = op_one_byte[opcode];

	if (opcode == 0xff)
		return decode_ff(s, out);
	switch (op) {
	case EXITOP_PAUSE: /* else NOP; with REX.B CPUs differ, but one that exits took it for PAUSE
			    */
		return s->rep == 0xf3 ? op : EXITOP_NONE;
	case EXITOP_INTN:
		out->imm = next_byte(s);
		return op;
	case EXITOP_INTO:
		return s->mode == CODE_64 ? EXITOP_NONE : op;
	case EXITOP_FAR_CALL:
	case EXITOP_FAR_JMP:
		return decode_far_pointer(s, out, op);
	case EXITOP_PUSHF:
	case EXITOP_POPF:
		if (s->mode == CODE_64 && out->op_size == 4)
			out->op_size = 8;
		return op;
	case EXITOP_INS:
	case EXITOP_OUTS:
		out->rep = s->rep != 0;
		port_operand(s, out, opcode);
		return op;
	case EXITOP_IN:
	case EXITOP_OUT:
		port_operand(s, out, opcode);
		return op;
	default:
		return op;
	}
}

enum exitop exitop_decode(const u8 *bytes, unsigned n, enum code_mode mode, struct exitop_insn *out)
{
	struct scan s = {.bytes = bytes, .n = MIN(n, INSN_MAX), .mode = mode, .seg = NO_REG};
	enum exitop op;
	u8 opcode = skip_prefixes(&s);

	*out = (struct exitop_insn){.base = NO_REG,
				    .index = NO_REG,
				    .scale = 1,
				    .seg = s.seg,
				    .addr_size = address_size(&s),
				    .op_size = operand_size(&s)};
	op = opcode == 0x0f ? decode_two_byte(&s, out) : decode_one_byte(&s, out, opcode);
	if (s.truncated || s.lock)
		op = EXITOP_NONE;
	out->op = op;
	out->len = op == EXITOP_NONE ? 0 : s.pos;
	return op;
}

/* Encodings that practically every exit has: no prefix, no operand. */
static const struct plain_op {
	u8 len;
	u8 byte[3];
} plain_op[EXITOP_RSM + 1] = {
	[EXITOP_CPUID] = {2, {0x0f, 0xa2}},	    [EXITOP_HLT] = {1, {0xf4}},
	[EXITOP_RDMSR] = {2, {0x0f, 0x32}},	    [EXITOP_WRMSR] = {2, {0x0f, 0x30}},
	[EXITOP_RDTSC] = {2, {0x0f, 0x31}},	    [EXITOP_RDTSCP] = {3, {0x0f, 0x01, 0xf9}},
	[EXITOP_RDPMC] = {2, {0x0f, 0x33}},	    [EXITOP_INVD] = {2, {0x0f, 0x08}},
	[EXITOP_WBINVD] = {2, {0x0f, 0x09}},	    [EXITOP_CLTS] = {2, {0x0f, 0x06}},
	[EXITOP_PAUSE] = {2, {0xf3, 0x90}},	    [EXITOP_MONITOR] = {3, {0x0f, 0x01, 0xc8}},
	[EXITOP_MWAIT] = {3, {0x0f, 0x01, 0xc9}},   [EXITOP_XSETBV] = {3, {0x0f, 0x01, 0xd1}},
	[EXITOP_VMMCALL] = {3, {0x0f, 0x01, 0xd9}}, [EXITOP_VMCALL] = {3, {0x0f, 0x01, 0xc1}},
};

const u16 exitop_two_bytes[EXITOP_RSM + 1] = {
	[EXITOP_CPUID] = 0xa20f,  [EXITOP_RDMSR] = 0x320f, [EXITOP_WRMSR] = 0x300f,
	[EXITOP_RDTSC] = 0x310f,  [EXITOP_RDPMC] = 0x330f, [EXITOP_INVD] = 0x080f,
	[EXITOP_WBINVD] = 0x090f, [EXITOP_CLTS] = 0x060f,
};

static bool is_plain(const struct plain_op *p, const u8 *bytes, unsigned n)
{
	if (!p->len || n < p->len || bytes[0] != p->byte[0])
		return false;
	return p->len == 1 || (bytes[1] == p->byte[1] && (p->len == 2 || bytes[2] == p->byte[2]));
}

/* Apart, so that the plain case needs no stack frame. */
static __attribute__((noinline)) unsigned decoded_len(const u8 *bytes, unsigned n,
						      enum code_mode mode, enum exitop want)
{
	struct exitop_insn insn;

	return exitop_decode(bytes, n, mode, &insn) == want ? insn.len : 0;
}

unsigned exitop_len(const u8 *bytes, unsigned n, enum code_mode mode, enum exitop want)
{
	if ((unsigned)want >= ARRAY_SIZE(plain_op) || want == EXITOP_NONE)
		return 0;
	if (is_plain(&plain_op[want], bytes, n))
		return plain_op[want].len;
	return decoded_len(bytes, n, mode, want);
}
