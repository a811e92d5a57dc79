/* The full decoder: Zydis tells length, mnemonic, validity and the raw fields; this puts them into
 * struct emul_insn. Minimal mode of Zydis has no operands: opcode and ModRM give them.
 *
 * SPDX-License-Identifier: MIT
 */
#include <Zydis/Decoder.h>

#include "emul/emul_int.h"

/* Written once by emul_decode_init(). */
static ZydisDecoder decoders[EMUL_MODES];

void emul_decode_init(void)
{
	static const struct {
		ZydisMachineMode mode;
		ZydisStackWidth stack;
	} as[EMUL_MODES] = {
		[EMUL_REAL16] = {ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16},
		[EMUL_PROT16] = {ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16},
		[EMUL_PROT32] = {ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32},
		[EMUL_LONG64] = {ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64},
	};

	for (unsigned m = 0; m < EMUL_MODES; m++)
		ZydisDecoderInit(&decoders[m], as[m].mode, as[m].stack);
}

static u8 map_of(ZydisOpcodeMap map)
{
	switch (map) {
	case ZYDIS_OPCODE_MAP_DEFAULT:
		return MAP_ONE;
	case ZYDIS_OPCODE_MAP_0F:
		return MAP_0F;
	case ZYDIS_OPCODE_MAP_0F38:
		return MAP_0F38;
	case ZYDIS_OPCODE_MAP_0F3A:
		return MAP_0F3A;
	default:
		return MAP_OTHER;
	}
}

static void set_prefix(struct emul_insn *i, bool long64, u8 byte)
{
	if (byte == 0xf0)
		i->prefix |= PFX_LOCK;
	else
		emul_take_prefix(i, long64, byte);
}

static void set_vex(struct emul_insn *i, const ZydisDecodedInstruction *z)
{
	static const u8 pp[4] = {0, PFX_OPSIZE, PFX_REP, PFX_REPNE};

	i->prefix |= PFX_VEX | pp[z->raw.vex.pp & 3];
	if (z->raw.vex.L)
		i->prefix |= PFX_VEX_L;
	i->vvvv = ~z->raw.vex.vvvv & 0xf;
}

/* The extension bits in REX order (WRXB), whatever prefix carries them. */
static u8 rex_bits(const ZydisDecodedInstruction *z)
{
	if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		return (u8)(z->raw.vex.W << 3 | !z->raw.vex.R << 2 | !z->raw.vex.X << 1 |
			    !z->raw.vex.B);
	return (u8)(z->raw.rex.W << 3 | z->raw.rex.R << 2 | z->raw.rex.X << 1 | z->raw.rex.B);
}

static void set_modrm(struct emul_insn *i, const ZydisDecodedInstruction *z, bool long64, u8 rex)
{
	u8 modrm = (u8)(z->raw.modrm.mod << 6 | z->raw.modrm.reg << 3 | z->raw.modrm.rm);
	int sib = -1;

	i->mod = z->raw.modrm.mod;
	i->reg = (u8)(z->raw.modrm.reg | (rex & 4) << 1);
	i->rm = (u8)(z->raw.modrm.rm | (rex & 1) << 3);
	if (i->mod == 3)
		return;
	if (i->asize != 2 && z->raw.modrm.rm == 4)
		sib = z->raw.sib.scale << 6 | z->raw.sib.index << 3 | z->raw.sib.base;
	emul_set_mem(i, long64, modrm, sib, rex, z->raw.disp.value);
}

/* Not every opcode has a ModRM byte; then its low bits may name a register, or a moffs follows. */
static void set_no_modrm(struct emul_insn *i, const ZydisDecodedInstruction *z, u8 rex)
{
	i->mod = 3;
	i->rm = (u8)((i->opcode & 7) | (rex & 1) << 3);
	if (i->map == MAP_ONE && (i->opcode & 0xfc) == 0xa0) {
		i->mod = i->rm = 0;
		i->disp = (s64)((u64)z->raw.disp.value & size_mask(i->asize));
	}
}

static void set_imm(struct emul_insn *i, const ZydisDecodedInstruction *z)
{
	if (z->raw.imm[0].size)
		i->imm = sign_extend(z->raw.imm[0].value.u, z->raw.imm[0].size / 8);
	if (z->raw.imm[1].size)
		i->imm2 = z->raw.imm[1].value.u;
	/* Shifts by one have no immediate byte. */
	if (i->map == MAP_ONE && (i->opcode & 0xfe) == 0xd0)
		i->imm = 1;
}

static void convert(struct emul_run *r, const ZydisDecodedInstruction *z)
{
	struct emul_insn *i = &r->i;
	bool long64 = r->mode == EMUL_LONG64;
	u8 rex = rex_bits(z);

	*i = (struct emul_insn){.override = EMUL_NOREG, .base = EMUL_NOREG, .index = EMUL_NOREG};
	i->len = z->length;
	i->map = map_of(z->opcode_map);
	i->opcode = z->opcode;
	i->osize = z->operand_width / 8;
	i->asize = z->address_width / 8;
	for (unsigned p = 0; p < z->raw.prefix_count; p++)
		set_prefix(i, long64, z->raw.prefixes[p].value);
	if (z->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX)
		set_vex(i, z);
	else if (z->attributes & ZYDIS_ATTRIB_HAS_REX)
		i->prefix |= PFX_REX;
	if (z->attributes & ZYDIS_ATTRIB_HAS_MODRM)
		set_modrm(i, z, long64, rex);
	else
		set_no_modrm(i, z, rex);
	set_imm(i, z);
	emul_set_seg(i);
}

static int status_code(ZyanStatus st)
{
	switch (st) {
	case ZYDIS_STATUS_NO_MORE_DATA:
		return -EAGAIN;
	case ZYDIS_STATUS_INSTRUCTION_TOO_LONG:
		return -E2BIG;
	default:
		return -EINVAL;
	}
}

/* Zydis is built without AVX-512: what looks like it is not undefined, only unknown here. */
static bool is_evex(const struct emul_run *r, const ZydisDecodedInstruction *z)
{
	unsigned at = z->raw.prefix_count;

	return r->mode == EMUL_LONG64 && at < r->n && r->e->insn[at] == 0x62;
}

int emul_decode_full(struct emul_run *r)
{
	ZydisDecodedInstruction z;
	const struct emul_op *op;
	ZyanStatus st;

	st = ZydisDecoderDecodeInstruction(&decoders[r->mode], NULL, r->e->insn, r->n, &z);
	if (!ZYAN_SUCCESS(st) && is_evex(r, &z))
		return emul_unhandled(r->e, "EVEX encoding");
	if (!ZYAN_SUCCESS(st))
		return status_code(st);
	r->e->insn_len = z.length;
	op = emul_op_find(z.mnemonic);
	if (!op)
		return emul_unhandled(r->e, "instruction not emulated");
	if (z.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	    z.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
		return emul_unhandled(r->e, "encoding not emulated");
	convert(r, &z);
	r->i.op = op;
	return 0;
}
