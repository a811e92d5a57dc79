/* The exit decoder against Zydis on arbitrary bytes: same instruction, same length, same operands,
 * and the invariants of its interface (truncation, fast length, 15 bytes).
 *
 * The two may differ only where ours is meant to: LOCK and nonexistent registers (Zydis' minimal
 * mode lets them pass), and reserved 66/F2/F3 before 0F 01 forms (ours lets them pass, since the
 * CPU did).
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/emul/exitop.c
 * LIBS: zydis
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "emul/exitop.h"
#include "lib/x86.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static const struct {
	ZydisMnemonic mnemonic;
	enum exitop op;
} names[] = {
	{ZYDIS_MNEMONIC_CPUID, EXITOP_CPUID},	  {ZYDIS_MNEMONIC_HLT, EXITOP_HLT},
	{ZYDIS_MNEMONIC_RDMSR, EXITOP_RDMSR},	  {ZYDIS_MNEMONIC_WRMSR, EXITOP_WRMSR},
	{ZYDIS_MNEMONIC_RDTSC, EXITOP_RDTSC},	  {ZYDIS_MNEMONIC_RDTSCP, EXITOP_RDTSCP},
	{ZYDIS_MNEMONIC_RDPMC, EXITOP_RDPMC},	  {ZYDIS_MNEMONIC_INVD, EXITOP_INVD},
	{ZYDIS_MNEMONIC_WBINVD, EXITOP_WBINVD},	  {ZYDIS_MNEMONIC_INVLPG, EXITOP_INVLPG},
	{ZYDIS_MNEMONIC_INVLPGA, EXITOP_INVLPGA}, {ZYDIS_MNEMONIC_CLTS, EXITOP_CLTS},
	{ZYDIS_MNEMONIC_LMSW, EXITOP_LMSW},	  {ZYDIS_MNEMONIC_SMSW, EXITOP_SMSW},
	{ZYDIS_MNEMONIC_PAUSE, EXITOP_PAUSE},	  {ZYDIS_MNEMONIC_MONITOR, EXITOP_MONITOR},
	{ZYDIS_MNEMONIC_MWAIT, EXITOP_MWAIT},	  {ZYDIS_MNEMONIC_XSETBV, EXITOP_XSETBV},
	{ZYDIS_MNEMONIC_VMRUN, EXITOP_VMRUN},	  {ZYDIS_MNEMONIC_VMMCALL, EXITOP_VMMCALL},
	{ZYDIS_MNEMONIC_VMCALL, EXITOP_VMCALL},	  {ZYDIS_MNEMONIC_VMLOAD, EXITOP_VMLOAD},
	{ZYDIS_MNEMONIC_VMSAVE, EXITOP_VMSAVE},	  {ZYDIS_MNEMONIC_STGI, EXITOP_STGI},
	{ZYDIS_MNEMONIC_CLGI, EXITOP_CLGI},	  {ZYDIS_MNEMONIC_SKINIT, EXITOP_SKINIT},
	{ZYDIS_MNEMONIC_IN, EXITOP_IN},		  {ZYDIS_MNEMONIC_OUT, EXITOP_OUT},
	{ZYDIS_MNEMONIC_INSB, EXITOP_INS},	  {ZYDIS_MNEMONIC_INSW, EXITOP_INS},
	{ZYDIS_MNEMONIC_INSD, EXITOP_INS},	  {ZYDIS_MNEMONIC_OUTSB, EXITOP_OUTS},
	{ZYDIS_MNEMONIC_OUTSW, EXITOP_OUTS},	  {ZYDIS_MNEMONIC_OUTSD, EXITOP_OUTS},
	{ZYDIS_MNEMONIC_INT3, EXITOP_INT3},	  {ZYDIS_MNEMONIC_INT, EXITOP_INTN},
	{ZYDIS_MNEMONIC_INTO, EXITOP_INTO},	  {ZYDIS_MNEMONIC_INT1, EXITOP_INT1},
	{ZYDIS_MNEMONIC_IRET, EXITOP_IRET},	  {ZYDIS_MNEMONIC_IRETD, EXITOP_IRET},
	{ZYDIS_MNEMONIC_IRETQ, EXITOP_IRET},	  {ZYDIS_MNEMONIC_PUSHF, EXITOP_PUSHF},
	{ZYDIS_MNEMONIC_PUSHFD, EXITOP_PUSHF},	  {ZYDIS_MNEMONIC_PUSHFQ, EXITOP_PUSHF},
	{ZYDIS_MNEMONIC_POPF, EXITOP_POPF},	  {ZYDIS_MNEMONIC_POPFD, EXITOP_POPF},
	{ZYDIS_MNEMONIC_POPFQ, EXITOP_POPF},	  {ZYDIS_MNEMONIC_RSM, EXITOP_RSM},
};

static __attribute__((noreturn)) void differ(const char *what, const u8 *b, enum code_mode mode)
{
	fprintf(stderr, "%s, mode %d:", what, mode);
	for (unsigned i = 0; i < 15; i++)
		fprintf(stderr, " %02x", b[i]);
	fprintf(stderr, "\n");
	abort();
}

/* Near and far have one mnemonic. */
static enum exitop zydis_branch(const ZydisDecodedInstruction *z)
{
	bool call = z->mnemonic == ZYDIS_MNEMONIC_CALL;
	bool far_pointer = z->opcode == (call ? 0x9a : 0xea);
	bool far_memory = z->opcode == 0xff && z->raw.modrm.reg == (call ? 3 : 5);

	if (!far_pointer && !far_memory)
		return EXITOP_NONE;
	return call ? EXITOP_FAR_CALL : EXITOP_FAR_JMP;
}

static enum exitop zydis_op(const ZydisDecodedInstruction *z)
{
	static const enum exitop mov[] = {EXITOP_MOV_FROM_CR, EXITOP_MOV_FROM_DR, EXITOP_MOV_TO_CR,
					  EXITOP_MOV_TO_DR};

	if (z->mnemonic == ZYDIS_MNEMONIC_MOV)
		return z->opcode_map == ZYDIS_OPCODE_MAP_0F && z->opcode - 0x20u < 4
			       ? mov[z->opcode - 0x20]
			       : EXITOP_NONE;
	if (z->mnemonic == ZYDIS_MNEMONIC_CALL || z->mnemonic == ZYDIS_MNEMONIC_JMP)
		return zydis_branch(z);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].mnemonic == z->mnemonic)
			return names[i].op;
	return EXITOP_NONE;
}

static bool zydis_decode(const u8 *b, unsigned n, enum code_mode mode, ZydisDecodedInstruction *z)
{
	static const ZydisMachineMode machine[] = {ZYDIS_MACHINE_MODE_LEGACY_16,
						   ZYDIS_MACHINE_MODE_LEGACY_32,
						   ZYDIS_MACHINE_MODE_LONG_64};
	static const ZydisStackWidth stack[] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
						ZYDIS_STACK_WIDTH_64};
	ZydisDecoder d;

	ZydisDecoderInit(&d, machine[mode], stack[mode]);
	ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_WBNOINVD, 0);
	return ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&d, NULL, b, n, z));
}

static bool has_prefix(const ZydisDecodedInstruction *z, u8 value)
{
	for (unsigned i = 0; i < z->raw.prefix_count; i++)
		if (z->raw.prefixes[i].value == value)
			return true;
	return false;
}

/* The reasons for which ours refuses what Zydis' minimal mode takes. */
static bool refusal_is_meant(const ZydisDecodedInstruction *z, enum exitop op)
{
	unsigned reg = z->raw.modrm.reg | z->raw.rex.R << 3;

	if (has_prefix(z, 0xf0))
		return true;
	if (op == EXITOP_MOV_FROM_DR || op == EXITOP_MOV_TO_DR)
		return reg > 7;
	if (op == EXITOP_MOV_FROM_CR || op == EXITOP_MOV_TO_CR)
		return reg != 0 && reg != 2 && reg != 3 && reg != 4 && reg != 8;
	return false;
}

/* Does Zydis agree once 66, F2, F3 (and the LOCK that makes CR8) are taken from the prefixes? */
static bool same_without_reserved_prefixes(const u8 *b, const struct exitop_insn *x,
					   enum code_mode mode)
{
	u8 cut[15];
	unsigned n = 0, i = 0, removed = 0;
	ZydisDecodedInstruction z;

	for (; b[i] != 0x0f; i++)
		if (b[i] == 0x66 || b[i] == 0xf2 || b[i] == 0xf3 || (b[i] == 0xf0 && x->reg == 8))
			removed++;
		else
			cut[n++] = b[i];
	for (; i < x->len; i++)
		cut[n++] = b[i];
	return removed && zydis_decode(cut, n, mode, &z) && zydis_op(&z) == x->op &&
	       z.length + removed == x->len;
}

static unsigned wide_reg(u8 reg, bool extended)
{
	return reg | (extended ? 8u : 0);
}

static bool same_memory_operand(const struct exitop_insn *x, const ZydisDecodedInstruction *z)
{
	bool sib = z->raw.modrm.rm == 4 && z->address_width != 16;
	unsigned base = sib ? z->raw.sib.base : z->raw.modrm.rm;
	bool no_base = z->raw.modrm.mod == 0 && base == 5;

	if (x->disp != z->raw.disp.value)
		return false;
	if (z->address_width == 16)
		return true;
	if (x->base != (no_base ? 0xff : wide_reg(base, z->raw.rex.B)))
		return false;
	if (!sib)
		return x->index == 0xff &&
		       x->rip_rel == (no_base && z->machine_mode == ZYDIS_MACHINE_MODE_LONG_64);
	if (z->raw.sib.index == 4 && !z->raw.rex.X)
		return x->index == 0xff && !x->rip_rel;
	return x->index == wide_reg(z->raw.sib.index, z->raw.rex.X) &&
	       x->scale == 1u << z->raw.sib.scale && !x->rip_rel;
}

static void compare_operands(const u8 *b, enum code_mode mode, const struct exitop_insn *x,
			     const ZydisDecodedInstruction *z)
{
	unsigned reg = wide_reg(z->raw.modrm.reg, z->raw.rex.R);

	if (x->addr_size * 8 != z->address_width)
		differ("address size", b, mode);
	switch (x->op) {
	case EXITOP_MOV_FROM_CR:
	case EXITOP_MOV_TO_CR:
	case EXITOP_MOV_FROM_DR:
	case EXITOP_MOV_TO_DR:
		if (x->reg != (has_prefix(z, 0xf0) ? 8 : reg) ||
		    x->gpr != wide_reg(z->raw.modrm.rm, z->raw.rex.B))
			differ("register", b, mode);
		break;
	case EXITOP_FAR_CALL:
	case EXITOP_FAR_JMP:
		if (x->mem != (z->opcode == 0xff))
			differ("operand kind", b, mode);
		if (x->mem && !same_memory_operand(x, z))
			differ("memory operand", b, mode);
		break;
	case EXITOP_INVLPG:
	case EXITOP_LMSW:
	case EXITOP_SMSW:
		if (x->mem != (z->raw.modrm.mod != 3))
			differ("operand kind", b, mode);
		if (x->mem && !same_memory_operand(x, z))
			differ("memory operand", b, mode);
		if (!x->mem && x->gpr != wide_reg(z->raw.modrm.rm, z->raw.rex.B))
			differ("register", b, mode);
		break;
	case EXITOP_IN:
	case EXITOP_OUT:
	case EXITOP_INTN:
		if (x->imm != (u8)z->raw.imm[0].value.u)
			differ("immediate", b, mode);
		break;
	default:
		break;
	}
}

static void check_invariants(const u8 *b, enum code_mode mode, const struct exitop_insn *x)
{
	struct exitop_insn y;

	if (x->op == EXITOP_NONE) {
		if (x->len)
			differ("length of nothing", b, mode);
		return;
	}
	if (!x->len || x->len > 15)
		differ("length out of range", b, mode);
	if (exitop_decode(b, x->len - 1u, mode, &y) != EXITOP_NONE)
		differ("accepted truncated", b, mode);
	if (exitop_decode(b, x->len, mode, &y) != x->op || memcmp(&y, x, sizeof(y)) != 0)
		differ("depends on bytes behind", b, mode);
	if (exitop_len(b, 15, mode, x->op) != x->len || exitop_len(b, 15, mode, x->op + 1u))
		differ("fast length", b, mode);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 b[15] = {0};
	enum code_mode mode;
	struct exitop_insn x;
	ZydisDecodedInstruction z;
	bool known;

	if (size < 2)
		return 0;
	mode = data[0] % 3;
	memcpy(b, data + 1, MIN(size - 1, sizeof(b)));
	memset(&x, 0, sizeof(x));
	exitop_decode(b, 15, mode, &x);
	check_invariants(b, mode, &x);
	known = zydis_decode(b, 15, mode, &z) && zydis_op(&z) != EXITOP_NONE;
	if (x.op == EXITOP_NONE) {
		if (known && !refusal_is_meant(&z, zydis_op(&z)))
			differ("refused", b, mode);
		return 0;
	}
	if (!known) {
		if (!same_without_reserved_prefixes(b, &x, mode))
			differ("accepted", b, mode);
		return 0;
	}
	if (zydis_op(&z) != x.op || z.length != x.len)
		differ("instruction or length", b, mode);
	compare_operands(b, mode, &x, &z);
	return 0;
}
