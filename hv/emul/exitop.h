/* Small direct decoder for the instructions that exit without telling their length (no nRIP) or
 * their operands (no decode assists). Handles every legal prefix combination; no tables of Zydis.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_EMUL_EXITOP_H
#define HV_EMUL_EXITOP_H

#include "penumbra/types.h"

enum exitop {
	EXITOP_NONE, /* not one of these, or truncated, or longer than 15 bytes */
	EXITOP_CPUID,
	EXITOP_HLT,
	EXITOP_RDMSR,
	EXITOP_WRMSR,
	EXITOP_RDTSC,
	EXITOP_RDTSCP,
	EXITOP_RDPMC,
	EXITOP_INVD,
	EXITOP_WBINVD,
	EXITOP_INVLPG,
	EXITOP_INVLPGA,
	EXITOP_MOV_FROM_CR,
	EXITOP_MOV_TO_CR,
	EXITOP_MOV_FROM_DR,
	EXITOP_MOV_TO_DR,
	EXITOP_CLTS,
	EXITOP_LMSW,
	EXITOP_SMSW,
	EXITOP_PAUSE,
	EXITOP_MONITOR,
	EXITOP_MWAIT,
	EXITOP_XSETBV,
	EXITOP_VMRUN,
	EXITOP_VMMCALL,
	EXITOP_VMCALL,
	EXITOP_VMLOAD,
	EXITOP_VMSAVE,
	EXITOP_STGI,
	EXITOP_CLGI,
	EXITOP_SKINIT,
	EXITOP_IN,
	EXITOP_OUT,
	EXITOP_INS,
	EXITOP_OUTS,
	EXITOP_INT3,
	EXITOP_INTN,
	EXITOP_INTO,
	EXITOP_INT1,
	EXITOP_IRET,
	EXITOP_FAR_CALL,
	EXITOP_FAR_JMP,
	EXITOP_PUSHF,
	EXITOP_POPF,
	EXITOP_RSM,
};

struct exitop_insn {
	enum exitop op;
	u8 len;
	u8 reg;	  /* CR/DR number, REX.R applied (and LOCK MOV CR0 = CR8 on AMD) */
	u8 gpr;	  /* the general register operand of MOV CR/DR, LMSW/SMSW register form */
	bool mem; /* LMSW/SMSW/INVLPG, far CALL/JMP: memory operand, address as below */
	/* Memory operand as components: base/index gpr numbers or 0xff, scale, displacement,
	 * segment override (enum emul_seg or 0xff), address size in bytes, rip-relative. */
	u8 base, index, scale, seg, addr_size;
	bool rip_rel;
	s64 disp;
	u8 imm; /* INT n, IN/OUT port */
	u8 op_size;
	bool rep;
};

/* Code size at the exit: CS.L, CS.D. */
enum code_mode { CODE_16, CODE_32, CODE_64 };

/* Decode @n (<= 15) bytes. Returns out->op; EXITOP_NONE when it is none of the above. Bounded,
 * allocation-free, safe on any bytes. */
enum exitop exitop_decode(const u8 *bytes, unsigned n, enum code_mode mode,
			  struct exitop_insn *out);

/* Instructions of two bytes without prefixes, little-endian; 0 for all others. */
extern const u16 exitop_two_bytes[EXITOP_RSM + 1];

/* 2 when the two-byte form of @want stands at @bytes (2 readable bytes), else 0: ask exitop_len().
 */
static inline unsigned exitop_plain_len(const u8 *bytes, enum exitop want)
{
	u16 have = (u16)(bytes[0] | bytes[1] << 8);

	return have && have == exitop_two_bytes[want] ? 2 : 0;
}

/* Only the length, for the hottest path: the length of the instruction at @bytes if it is @want,
 * else 0. */
unsigned exitop_len(const u8 *bytes, unsigned n, enum code_mode mode, enum exitop want);

#endif
