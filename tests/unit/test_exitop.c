/* Decoder of exiting instructions. Would catch: a wrong length under any prefix, in any code size,
 * an instruction accepted beyond its bytes or beyond 15 of them, LOCK accepted where it faults, a
 * wrong operand (register, CR8 by LOCK, memory operand, port, sizes, segment), neighbours in the
 * opcode map taken for one of ours, and a fast length that differs from the full decode.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/emul/exitop.c
 */
#include "emul/exitop.h"
#include "lib/x86.h"
#include "unit.h"

#define M16 1u
#define M32 2u
#define M64 4u
#define ALL (M16 | M32 | M64)

struct form {
	enum exitop op;
	u8 len;
	u8 byte[8];
	unsigned modes;
};

/* One line per encoding; prefixes are put in front by the tests. */
static const struct form forms[] = {
	{EXITOP_CPUID, 2, {0x0f, 0xa2}, ALL},
	{EXITOP_HLT, 1, {0xf4}, ALL},
	{EXITOP_RDMSR, 2, {0x0f, 0x32}, ALL},
	{EXITOP_WRMSR, 2, {0x0f, 0x30}, ALL},
	{EXITOP_RDTSC, 2, {0x0f, 0x31}, ALL},
	{EXITOP_RDTSCP, 3, {0x0f, 0x01, 0xf9}, ALL},
	{EXITOP_RDPMC, 2, {0x0f, 0x33}, ALL},
	{EXITOP_INVD, 2, {0x0f, 0x08}, ALL},
	{EXITOP_WBINVD, 2, {0x0f, 0x09}, ALL},
	{EXITOP_INVLPG, 3, {0x0f, 0x01, 0x3f}, ALL},
	{EXITOP_INVLPG, 4, {0x0f, 0x01, 0x7f, 0x10}, ALL},
	{EXITOP_INVLPGA, 3, {0x0f, 0x01, 0xdf}, ALL},
	{EXITOP_MOV_FROM_CR, 3, {0x0f, 0x20, 0xc0}, ALL},
	{EXITOP_MOV_FROM_CR, 3, {0x0f, 0x20, 0x15}, ALL},
	{EXITOP_MOV_TO_CR, 3, {0x0f, 0x22, 0xd8}, ALL},
	{EXITOP_MOV_FROM_DR, 3, {0x0f, 0x21, 0xf8}, ALL},
	{EXITOP_MOV_TO_DR, 3, {0x0f, 0x23, 0xc7}, ALL},
	{EXITOP_CLTS, 2, {0x0f, 0x06}, ALL},
	{EXITOP_PAUSE, 2, {0xf3, 0x90}, ALL},
	{EXITOP_LMSW, 3, {0x0f, 0x01, 0xf0}, ALL},
	{EXITOP_LMSW, 3, {0x0f, 0x01, 0x37}, ALL},
	{EXITOP_SMSW, 3, {0x0f, 0x01, 0xe3}, ALL},
	{EXITOP_SMSW, 3, {0x0f, 0x01, 0x21}, ALL},
	{EXITOP_MONITOR, 3, {0x0f, 0x01, 0xc8}, ALL},
	{EXITOP_MWAIT, 3, {0x0f, 0x01, 0xc9}, ALL},
	{EXITOP_XSETBV, 3, {0x0f, 0x01, 0xd1}, ALL},
	{EXITOP_VMRUN, 3, {0x0f, 0x01, 0xd8}, ALL},
	{EXITOP_VMMCALL, 3, {0x0f, 0x01, 0xd9}, ALL},
	{EXITOP_VMCALL, 3, {0x0f, 0x01, 0xc1}, ALL},
	{EXITOP_VMLOAD, 3, {0x0f, 0x01, 0xda}, ALL},
	{EXITOP_VMSAVE, 3, {0x0f, 0x01, 0xdb}, ALL},
	{EXITOP_STGI, 3, {0x0f, 0x01, 0xdc}, ALL},
	{EXITOP_CLGI, 3, {0x0f, 0x01, 0xdd}, ALL},
	{EXITOP_SKINIT, 3, {0x0f, 0x01, 0xde}, ALL},
	{EXITOP_IN, 2, {0xe4, 0x60}, ALL},
	{EXITOP_IN, 2, {0xe5, 0x60}, ALL},
	{EXITOP_IN, 1, {0xec}, ALL},
	{EXITOP_IN, 1, {0xed}, ALL},
	{EXITOP_OUT, 2, {0xe6, 0x80}, ALL},
	{EXITOP_OUT, 2, {0xe7, 0x80}, ALL},
	{EXITOP_OUT, 1, {0xee}, ALL},
	{EXITOP_OUT, 1, {0xef}, ALL},
	{EXITOP_INS, 1, {0x6c}, ALL},
	{EXITOP_INS, 1, {0x6d}, ALL},
	{EXITOP_OUTS, 1, {0x6e}, ALL},
	{EXITOP_OUTS, 1, {0x6f}, ALL},
	{EXITOP_INT3, 1, {0xcc}, ALL},
	{EXITOP_INTN, 2, {0xcd, 0x10}, ALL},
	{EXITOP_INTO, 1, {0xce}, M16 | M32},
	{EXITOP_INT1, 1, {0xf1}, ALL},
	{EXITOP_IRET, 1, {0xcf}, ALL},
	{EXITOP_FAR_CALL, 2, {0xff, 0x1f}, ALL},
	{EXITOP_FAR_JMP, 3, {0xff, 0x6f, 0x10}, ALL},
	{EXITOP_PUSHF, 1, {0x9c}, ALL},
	{EXITOP_POPF, 1, {0x9d}, ALL},
	{EXITOP_RSM, 2, {0x0f, 0xaa}, ALL},
};

static const enum code_mode modes[] = {CODE_16, CODE_32, CODE_64};

/* Prefix strings that no form may mind. */
static const char *const prefixes[] = {
	"",	    "\x66",	"\x67",	    "\x2e",	"\x3e",	    "\x26",
	"\x36",	    "\x64",	"\x65",	    "\xf2",	"\xf3",	    "\x66\x67",
	"\xf3\x66", "\x66\xf2", "\x67\x2e", "\x64\x66", "\x66\x66", "\xf2\xf3\x66"};

static unsigned put(u8 *buf, const char *prefix, const struct form *f)
{
	unsigned n = strlen(prefix);

	memset(buf, 0x90, 32);
	memcpy(buf, prefix, n);
	memcpy(buf + n, f->byte, f->len);
	return n + f->len;
}

static bool has_byte(const char *prefix, int b)
{
	return strchr(prefix, (char)b) != NULL;
}

/* A 16-bit address form needs other ModRM bytes after 67: skip those pairs here. */
static bool operand_depends_on_prefix(const struct form *f, const char *prefix)
{
	return f->len == 3 && f->byte[1] == 0x01 && f->byte[2] < 0xc0 && has_byte(prefix, 0x67);
}

static void check_form(const struct form *f, const char *prefix, enum code_mode mode)
{
	struct exitop_insn insn;
	u8 buf[32];
	unsigned len = put(buf, prefix, f);
	bool legal = f->modes & (1u << mode);
	enum exitop want = legal ? f->op : EXITOP_NONE;

	if (operand_depends_on_prefix(f, prefix))
		return;
	if (exitop_decode(buf, 15, mode, &insn) != want || insn.len != (legal ? len : 0)) {
		printf("# form %02x %02x %02x, mode %d, %zu prefixes: op %d len %d\n", f->byte[0],
		       f->byte[1], f->byte[2], mode, strlen(prefix), insn.op, insn.len);
		CHECK(!"decoded as expected");
	}
	CHECK_EQ(exitop_len(buf, 15, mode, f->op), legal ? len : 0);
	CHECK_EQ(exitop_len(buf, 15, mode, f->op == EXITOP_HLT ? EXITOP_CPUID : EXITOP_HLT), 0);
	for (unsigned n = 0; n < len; n++) {
		CHECK_EQ(exitop_decode(buf, n, mode, &insn), EXITOP_NONE);
		CHECK_EQ(exitop_len(buf, n, mode, f->op), 0);
	}
}

TEST(every_form_has_its_length_under_every_prefix_and_mode)
{
	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++)
		for (unsigned p = 0; p < ARRAY_SIZE(prefixes); p++)
			for (unsigned m = 0; m < 3; m++)
				check_form(&forms[i], prefixes[p], modes[m]);
}

TEST(rex_counts_only_in_64_bit_code)
{
	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		struct exitop_insn insn;
		u8 buf[32];
		unsigned len = put(buf, "\x48", &forms[i]);

		CHECK_EQ(exitop_decode(buf, 15, CODE_32, &insn), EXITOP_NONE);
		CHECK_EQ(exitop_decode(buf, 15, CODE_16, &insn), EXITOP_NONE);
		if (!(forms[i].modes & M64))
			continue;
		CHECK_EQ(exitop_decode(buf, 15, CODE_64, &insn), forms[i].op);
		CHECK_EQ(insn.len, len);
	}
}

TEST(lock_faults_on_all_but_mov_cr0)
{
	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		const struct form *f = &forms[i];
		bool cr0 = f->len == 3 && f->byte[1] == 0x20 && (f->byte[2] & 0x38) == 0;
		struct exitop_insn insn;
		u8 buf[32];

		put(buf, "\xf0", f);
		for (unsigned m = 0; m < 3; m++) {
			CHECK_EQ(exitop_decode(buf, 15, modes[m], &insn),
				 cr0 ? f->op : EXITOP_NONE);
			if (cr0)
				CHECK_EQ(insn.reg, 8);
		}
	}
}

TEST(fifteen_bytes_are_the_limit)
{
	struct exitop_insn insn;
	u8 buf[32];

	memset(buf, 0x66, sizeof(buf));
	memcpy(buf + 13, "\x0f\xa2", 2);
	CHECK_EQ(exitop_decode(buf, 15, CODE_64, &insn), EXITOP_CPUID);
	CHECK_EQ(insn.len, 15);
	CHECK_EQ(exitop_len(buf, 15, CODE_64, EXITOP_CPUID), 15);
	memset(buf, 0x66, sizeof(buf));
	memcpy(buf + 14, "\x0f\xa2", 2);
	CHECK_EQ(exitop_decode(buf, 15, CODE_64, &insn), EXITOP_NONE);
	CHECK_EQ(exitop_decode(buf, 32, CODE_64, &insn), EXITOP_NONE);
	memset(buf, 0x66, sizeof(buf));
	CHECK_EQ(exitop_decode(buf, 15, CODE_32, &insn), EXITOP_NONE);
}

static struct exitop_insn decoded(enum code_mode mode, const char *bytes, unsigned len)
{
	struct exitop_insn insn;
	u8 buf[16] = {0};

	memcpy(buf, bytes, len);
	exitop_decode(buf, 15, mode, &insn);
	if (insn.len != len) {
		printf("# %02x %02x %02x %02x: length %u\n", buf[0], buf[1], buf[2], buf[3],
		       insn.len);
		CHECK_EQ(insn.len, len);
	}
	return insn;
}
#define DECODED(mode, text) decoded(mode, text, sizeof(text) - 1)

TEST(neighbours_are_not_ours)
{
	static const char *const other[] = {
		"\x90",		"\x0f\x0b",	"\x0f\x05",	"\x0f\x01\xd0",	    "\x0f\x01\xca",
		"\x0f\x01\xfa", "\x0f\x01\xf8", "\x0f\x01\xd5", "\x0f\x01\x10",	    "\x0f\x01\x28",
		"\x0f\x20\xc8", "\x0f\x22\xe8", "\x0f\x34",	"\x0f\xa3\xc0",	    "\xc3",
		"\xf2\x90",	"\x0f\x24\xc0", "\x0f\x18\xc0", "\xf3\x0f\x01\xea", "\xff\xd8",
		"\xff\x10",	"\xff\x20",	"\xff\x30"};

	for (unsigned i = 0; i < ARRAY_SIZE(other); i++)
		for (unsigned m = 0; m < 3; m++) {
			struct exitop_insn insn;
			u8 buf[16] = {0};

			memcpy(buf, other[i], strlen(other[i]));
			CHECK_EQ(exitop_decode(buf, 15, modes[m], &insn), EXITOP_NONE);
			CHECK_EQ(insn.len, 0);
		}
	struct exitop_insn insn;

	CHECK_EQ(exitop_decode((const u8 *)"\x44\x0f\x21\xc0", 4, CODE_64, &insn), EXITOP_NONE);
}

TEST(control_and_debug_registers)
{
	struct exitop_insn i = DECODED(CODE_64, "\x0f\x22\xdf");

	CHECK(i.op == EXITOP_MOV_TO_CR && i.reg == 3 && i.gpr == GPR_RDI && i.op_size == 8);
	i = DECODED(CODE_64, "\x45\x0f\x22\xc7");
	CHECK(i.reg == 8 && i.gpr == GPR_R15);
	i = DECODED(CODE_32, "\xf0\x0f\x20\xc2");
	CHECK(i.op == EXITOP_MOV_FROM_CR && i.reg == 8 && i.gpr == GPR_RDX && i.op_size == 4);
	i = DECODED(CODE_64, "\x66\x0f\x23\xf9");
	CHECK(i.op == EXITOP_MOV_TO_DR && i.reg == 7 && i.gpr == GPR_RCX && i.op_size == 8);
	/* A REX that another prefix follows is void. */
	i = DECODED(CODE_64, "\x44\x66\x0f\x22\xc0");
	CHECK_EQ(i.reg, 0);
	i = DECODED(CODE_16, "\x0f\x01\xf3");
	CHECK(i.op == EXITOP_LMSW && !i.mem && i.gpr == GPR_RBX);
	i = DECODED(CODE_64, "\x49\x0f\x01\xe0");
	CHECK(i.op == EXITOP_SMSW && !i.mem && i.gpr == GPR_R8 && i.op_size == 8);
}

TEST(memory_operands_64)
{
	struct exitop_insn i = DECODED(CODE_64, "\x0f\x01\x38");

	CHECK(i.op == EXITOP_INVLPG && i.mem && i.base == GPR_RAX && i.index == 0xff &&
	      i.disp == 0 && i.addr_size == 8 && i.seg == 0xff && !i.rip_rel);
	i = DECODED(CODE_64, "\x65\x43\x0f\x01\xbc\x8d\x80\xff\xff\xff");
	CHECK(i.base == GPR_R13 && i.index == GPR_R9 && i.scale == 4 && i.disp == -128 &&
	      i.seg == SEG_GS);
	i = DECODED(CODE_64, "\x0f\x01\x3d\xfc\xff\xff\xff");
	CHECK(i.rip_rel && i.base == 0xff && i.index == 0xff && i.disp == -4);
	i = DECODED(CODE_64, "\x67\x0f\x01\x3d\x04\x00\x00\x80");
	CHECK(i.rip_rel && i.addr_size == 4 && i.disp == (s32)0x80000004);
	/* SIB without base and index: absolute, not RIP-relative. */
	i = DECODED(CODE_64, "\x0f\x01\x3c\x25\x00\x10\x00\x00");
	CHECK(!i.rip_rel && i.base == 0xff && i.index == 0xff && i.disp == 0x1000);
	/* REX.X makes "no index" R12; base 5 with REX.B and mod 0 is still disp32. */
	i = DECODED(CODE_64, "\x43\x0f\x01\x3c\x25\x00\x10\x00\x00");
	CHECK(i.base == 0xff && i.index == GPR_R12 && i.disp == 0x1000);
	i = DECODED(CODE_64, "\x0f\x01\x7c\x24\x08");
	CHECK(i.base == GPR_RSP && i.index == 0xff && i.disp == 8);
	i = DECODED(CODE_64, "\x2e\x64\x3e\x0f\x01\x3f");
	CHECK_EQ(i.seg, SEG_FS);
}

TEST(memory_operands_16_and_32)
{
	struct exitop_insn i = DECODED(CODE_16, "\x0f\x01\x30");

	CHECK(i.op == EXITOP_LMSW && i.mem && i.base == GPR_RBX && i.index == GPR_RSI &&
	      i.addr_size == 2 && i.op_size == 2);
	i = DECODED(CODE_16, "\x0f\x01\x36\x34\x92");
	CHECK(i.base == 0xff && i.disp == (s16)0x9234);
	i = DECODED(CODE_16, "\x26\x0f\x01\x66\xfe");
	CHECK(i.op == EXITOP_SMSW && i.base == GPR_RBP && i.index == 0xff && i.disp == -2 &&
	      i.seg == SEG_ES);
	i = DECODED(CODE_16, "\x67\x0f\x01\x3d\x78\x56\x34\x12");
	CHECK(i.op == EXITOP_INVLPG && i.addr_size == 4 && !i.rip_rel && i.base == 0xff &&
	      i.disp == 0x12345678);
	i = DECODED(CODE_32, "\x67\x0f\x01\xb9\x00\x01");
	CHECK(i.addr_size == 2 && i.base == GPR_RBX && i.index == GPR_RDI && i.disp == 0x100);
	i = DECODED(CODE_32, "\x36\x0f\x01\x3c\xca");
	CHECK(i.base == GPR_RDX && i.index == GPR_RCX && i.scale == 8 && i.seg == SEG_SS);
}

TEST(ports_and_sizes)
{
	struct exitop_insn i = DECODED(CODE_32, "\xe5\x71");

	CHECK(i.op == EXITOP_IN && i.imm == 0x71 && i.op_size == 4);
	i = DECODED(CODE_16, "\x66\xef");
	CHECK(i.op == EXITOP_OUT && i.op_size == 4 && !i.rep);
	i = DECODED(CODE_64, "\xf3\x48\x6d");
	CHECK(i.op == EXITOP_INS && i.op_size == 4 && i.rep && i.addr_size == 8);
	i = DECODED(CODE_64, "\xf2\x66\x67\x65\x6f");
	CHECK(i.op == EXITOP_OUTS && i.op_size == 2 && i.rep && i.addr_size == 4 &&
	      i.seg == SEG_GS);
	i = DECODED(CODE_16, "\x6e");
	CHECK(i.op_size == 1 && !i.rep && i.addr_size == 2);
	i = DECODED(CODE_16, "\xcd\x13");
	CHECK(i.op == EXITOP_INTN && i.imm == 0x13);
	CHECK_EQ(DECODED(CODE_64, "\x9c").op_size, 8);
	CHECK_EQ(DECODED(CODE_64, "\x66\x9d").op_size, 2);
	CHECK_EQ(DECODED(CODE_64, "\xcf").op_size, 4);
	CHECK_EQ(DECODED(CODE_64, "\x48\xcf").op_size, 8);
}

TEST(far_pointers)
{
	struct exitop_insn i = DECODED(CODE_32, "\x9a\x00\x00\x00\x00\x20\x00");

	CHECK_EQ(i.op, EXITOP_FAR_CALL);
	CHECK_EQ(DECODED(CODE_16, "\xea\x00\x00\x20\x00").op, EXITOP_FAR_JMP);
	CHECK_EQ(DECODED(CODE_32, "\x66\xea\x00\x00\x20\x00").op, EXITOP_FAR_JMP);
	CHECK_EQ(exitop_decode((const u8 *)"\x9a\0\0\0\0\x20\0", 7, CODE_64, &i), EXITOP_NONE);
	CHECK_EQ(exitop_decode((const u8 *)"\x9a\0\0\0\0\x20\0", 6, CODE_32, &i), EXITOP_NONE);
	i = DECODED(CODE_32, "\xff\x1d\x00\x10\x00\x00");
	CHECK(i.op == EXITOP_FAR_CALL && i.mem && i.base == 0xff && i.disp == 0x1000);
	i = DECODED(CODE_16, "\xff\x2e\x00\x10");
	CHECK(i.op == EXITOP_FAR_JMP && i.mem && i.disp == 0x1000);
}
