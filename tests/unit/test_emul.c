/* The emulator where the host CPU cannot be asked: every mode but 64-bit user mode, segmentation,
 * fetches at page borders, faults with their error codes, locked and port accesses, and how often
 * memory is touched. Catches a wrong vector or error code, state changed by a faulting instruction,
 * an address that fails to wrap, a device register read or written twice.
 *
 * SRCS: hv/emul/emul.c hv/emul/emul_alu.c hv/emul/emul_fast.c hv/emul/emul_flow.c
 * SRCS: hv/emul/emul_modrm.c hv/emul/emul_move.c hv/emul/emul_operand.c hv/emul/emul_string.c
 * SRCS: hv/emul/emul_table.c hv/emul/emul_vec.c hv/emul/emul_zydis.c
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include "emul_harness.h"

#define DATA_LEN 0x20000u

static u8 *data, *code;
static struct world w;

/* A machine in @mode whose data segments lie at data[0] and whose code segment lies at code[0]; in
 * long mode rbx points to data. */
static void start(enum world_mode mode)
{
	if (!data) {
		data = low_pages(DATA_LEN, PROT_READ | PROT_WRITE);
		code = low_pages(2 * PAGE_SIZE, PROT_READ | PROT_WRITE);
	}
	world_init(&w, mode);
	world_add(&w, data, DATA_LEN, false);
	world_add(&w, code, 2 * PAGE_SIZE, false);
	memset(data, 0, DATA_LEN);
	memset(code, 0x90, 2 * PAGE_SIZE);
	if (mode == W_LONG) {
		w.e.rip = (u64)code;
		w.e.gpr[GPR_RBX] = (u64)data;
		w.e.gpr[GPR_RSP] = (u64)data + 0x1000;
		return;
	}
	for (unsigned s = 0; s < 6; s++)
		w.e.seg[s].base = (u64)data;
	w.e.seg[SEG_CS].base = (u64)code;
	w.e.gpr[GPR_RSP] = 0x1000;
}

/* Hex text ("66 89 07") to bytes at the instruction pointer. */
static void put_code(const char *hex)
{
	u64 at = w.e.seg[SEG_CS].base * (w.e.rip < (u64)code) + w.e.rip;
	unsigned byte;
	int used;

	while (sscanf(hex, "%2x%n", &byte, &used) == 1) {
		*(u8 *)at++ = (u8)byte;
		hex += used;
	}
}

/* One step of @hex. A fault must leave the guest as it was. */
static enum emul_result run(const char *hex)
{
	struct emul before;
	enum emul_result res;

	put_code(hex);
	before = w.e;
	res = emul_step(&w.e);
	if (res == EMUL_FAULT || res == EMUL_UNHANDLED) {
		CHECK(memcmp(before.gpr, w.e.gpr, sizeof(before.gpr)) == 0);
		CHECK(memcmp(before.seg, w.e.seg, sizeof(before.seg)) == 0);
		CHECK_EQ(w.e.rip, before.rip);
		CHECK_EQ(w.e.rflags, before.rflags);
	}
	if (res == EMUL_UNHANDLED)
		CHECK(w.e.why != NULL);
	return res;
}

static void expect_fault(const char *hex, unsigned vector)
{
	static const u32 with_error = 1u << 12 | 1u << 13 | 1u << 14;
	enum emul_result res = run(hex);

	if (res != EMUL_FAULT || w.e.fault.vector != vector)
		printf("# %s: result %d vector %u, expected fault %u\n", hex, res, w.e.fault.vector,
		       vector);
	CHECK_EQ(res, EMUL_FAULT);
	CHECK_EQ(w.e.fault.vector, vector);
	CHECK_EQ(w.e.fault.has_error, (w.e.cr0 & CR0_PE) && (with_error >> vector & 1));
	CHECK_EQ(w.e.fault.error, 0); /* or a page fault for a supervisor read */
}

static void expect_done(const char *hex)
{
	enum emul_result res = run(hex);

	if (res != EMUL_DONE)
		printf("# %s: result %d vector %u why %s\n", hex, res, w.e.fault.vector,
		       w.e.why ? w.e.why : "-");
	CHECK_EQ(res, EMUL_DONE);
}

static void expect_unhandled(const char *hex)
{
	CHECK_EQ(run(hex), EMUL_UNHANDLED);
}

static u64 at(u64 off, unsigned size)
{
	u64 v = 0;

	memcpy(&v, data + off, size);
	return v;
}

/* --- segmentation ----------------------------------------------------------------------------- */

TEST(limit_is_inclusive_and_names_the_segment)
{
	start(W_PROT32);
	w.e.seg[SEG_DS].limit = 0x103;
	w.e.seg[SEG_SS].limit = 0x103;
	expect_done("a1 00 01 00 00");
	start(W_PROT32);
	w.e.seg[SEG_DS].limit = 0x103;
	w.e.seg[SEG_SS].limit = 0x103;
	expect_fault("a1 01 01 00 00", 13);
	expect_fault("8b 85 01 01 00 00", 12);	  /* mov eax, [ebp+101] */
	expect_fault("8b 84 24 01 01 00 00", 12); /* mov eax, [esp+101] */
	expect_fault("3e 8b 85 01 01 00 00", 13); /* with DS override */
	expect_fault("36 a1 01 01 00 00", 12);
	expect_fault("a1 ff ff ff ff", 13); /* wraps: beyond any limit */
	CHECK_EQ(w.reads, 0);
}

TEST(real_mode_faults_push_no_error_code)
{
	start(W_REAL);
	expect_fault("a1 ff ff", 13);
	expect_fault("36 a1 ff ff", 12);
}

TEST(expand_down_segments_are_valid_above_their_limit)
{
	start(W_PROT32);
	w.e.seg[SEG_DS].attr = 0x097 | SEG_ATTR_DB;
	w.e.seg[SEG_DS].limit = 0xfff;
	expect_fault("a1 ff 0f 00 00", 13);
	expect_done("a1 00 10 00 00");
	w.e.rip = 0;
	w.e.seg[SEG_DS].attr = 0x097; /* 16-bit: ends at 0xffff */
	expect_done("a1 fc ff 00 00");
	w.e.rip = 0;
	expect_fault("a1 fd ff 00 00", 13);
}

TEST(segment_types_are_enforced)
{
	start(W_PROT32);
	w.e.seg[SEG_DS].attr = 0xc91; /* read-only data */
	expect_fault("a3 00 00 00 00", 13);
	expect_fault("01 05 00 00 00 00", 13);
	expect_done("a1 00 00 00 00");
	w.e.rip = 0;
	w.e.seg[SEG_DS].attr = 0; /* null */
	expect_fault("a1 00 00 00 00", 13);
	w.e.seg[SEG_SS].attr = SEG_ATTR_DB;
	expect_fault("50", 12);
	expect_fault("2e a3 00 00 00 00", 13); /* write through CS */
	expect_done("2e a1 00 00 00 00");
	w.e.rip = 0;
	w.e.seg[SEG_CS].attr = 0xc99; /* execute-only */
	expect_fault("2e a1 00 00 00 00", 13);
	expect_done("90");
}

TEST(real_mode_writes_through_cs)
{
	start(W_REAL);
	w.e.gpr[GPR_RAX] = 0x1234;
	expect_done("2e a3 80 00");
	CHECK_EQ(code[0x80], 0x34);
}

TEST(long_mode_checks_canonical_addresses_only)
{
	start(W_LONG);
	w.e.seg[SEG_DS].limit = 0;
	w.e.seg[SEG_DS].base = 0x1000;
	w.e.seg[SEG_DS].attr = 0;
	expect_done("8b 03");
	w.e.rip = (u64)code;
	w.e.gpr[GPR_RBX] = 0x800000000000;
	w.e.gpr[GPR_RBP] = 0x7ffffffffffd;
	expect_fault("8b 03", 13);
	expect_fault("8b 45 00", 12);
	expect_fault("3e 8b 45 00", 12); /* DS override is ignored */
	expect_fault("64 8b 45 00", 13);
	expect_fault("49 8b 85 00 00 00 80", 14);
	w.e.seg[SEG_FS].base = 0x7ffffffff000;
	w.e.gpr[GPR_RBX] = 0xffd;
	expect_fault("64 8b 03", 13);
	w.e.cr4 |= CR4_LA57;
	expect_fault("64 8b 03", 14);
}

TEST(fs_and_gs_bases_add_in_long_mode)
{
	start(W_LONG);
	memcpy(data + 0x40, "\x11\x22\x33\x44", 4);
	w.e.seg[SEG_GS].base = (u64)data;
	expect_done("65 8b 04 25 40 00 00 00");
	CHECK_EQ(w.e.gpr[GPR_RAX], 0x44332211);
	expect_done("2e 65 3e 8b 0c 25 40 00 00 00"); /* others before and after change nothing */
	CHECK_EQ(w.e.gpr[GPR_RCX], 0x44332211);
}

/* --- 16-bit addressing ------------------------------------------------------------------------ */

TEST(all_16_bit_addressing_forms)
{
	static const u16 bx = 0x1100, bp = 0x2200, si = 0x0033, di = 0x0044;
	const u16 sum[8] = {bx + si, bx + di, bp + si, bp + di, si, di, bp, bx};
	char hex[40];

	for (unsigned modrm = 0; modrm < 0xc0; modrm++) {
		unsigned mod = modrm >> 6, rm = modrm & 7, reg = modrm >> 3 & 7;
		bool direct = mod == 0 && rm == 6, ss = rm == 2 || rm == 3 || (rm == 6 && mod);
		u16 ea = direct ? 0x5678 : sum[rm];

		if (reg)
			continue;
		start(W_REAL);
		w.e.gpr[GPR_RBX] = 0xdead0000u | bx;
		w.e.gpr[GPR_RBP] = 0xdead0000u | bp;
		w.e.gpr[GPR_RSI] = 0xdead0000u | si;
		w.e.gpr[GPR_RDI] = 0xdead0000u | di;
		w.e.seg[SEG_SS].base += 0x10000;
		if (mod == 1)
			ea -= 0x10;
		if (mod == 2)
			ea += 0x5678;
		snprintf(hex, sizeof(hex), "8b %02x %s", modrm, mod == 1 ? "f0" : "78 56");
		data[ea + (ss ? 0x10000 : 0)] = 0x99;
		expect_done(hex);
		CHECK_EQ(w.e.gpr[GPR_RAX], 0x99);
		CHECK_EQ(w.e.rip, 2 + (mod == 1 ? 1 : mod == 2 || direct ? 2 : 0));
	}
}

TEST(addresses_wrap_at_64k_with_16_bit_addressing)
{
	start(W_REAL);
	data[0x0010] = 0x77;
	w.e.gpr[GPR_RBX] = 0xfff0;
	w.e.gpr[GPR_RSI] = 0x20;
	expect_done("8a 00");
	CHECK_EQ(w.e.gpr[GPR_RAX], 0x77);
	w.e.gpr[GPR_RBX] = 0xffff;
	w.e.gpr[GPR_RSI] = 0;
	expect_done("8a 00");
	expect_fault("8b 00", 13); /* a word at 0xffff does not wrap */
}

TEST(string_index_wraps_and_keeps_its_upper_half)
{
	start(W_REAL);
	data[0xffff] = 0x5a;
	w.e.gpr[GPR_RSI] = 0xabcdffff;
	expect_done("ac");
	CHECK_EQ(w.e.gpr[GPR_RAX], 0x5a);
	CHECK_EQ(w.e.gpr[GPR_RSI], 0xabcd0000);
	w.e.gpr[GPR_RDI] = 0xfff8;
	w.e.gpr[GPR_RCX] = 0x10;
	w.e.gpr[GPR_RAX] = 0xee;
	expect_done("f3 aa");
	CHECK_EQ(w.e.gpr[GPR_RDI], 0x0008);
	CHECK_EQ(at(0xfff8, 8), 0xeeeeeeeeeeeeeeee);
	CHECK_EQ(at(0, 8), 0xeeeeeeeeeeeeeeee);
	CHECK_EQ(at(8, 1), 0);
}

TEST(size_prefixes_toggle_the_default)
{
	start(W_REAL);
	w.e.gpr[GPR_RBX] = 0x1f000;
	w.e.seg[SEG_DS].limit = 0xffffffff; /* big real mode */
	memcpy(data + 0x1f004, "\x01\x02\x03\x04", 4);
	expect_done("67 66 8b 43 04"); /* mov eax, [ebx+4] */
	CHECK_EQ(w.e.gpr[GPR_RAX], 0x04030201);
	start(W_PROT32);
	w.e.gpr[GPR_RBX] = 0x10020;
	memcpy(data + 0x24, "\x0a\x0b", 2);
	w.e.gpr[GPR_RAX] = 0xffff0000;
	expect_done("67 66 8b 47 04"); /* mov ax, [bx+4] */
	CHECK_EQ(w.e.gpr[GPR_RAX], 0xffff0b0a);
}

/* --- fetch ------------------------------------------------------------------------------------ */

TEST(fetch_stops_at_a_page_the_instruction_does_not_reach)
{
	start(W_LONG);
	w.range[1].len = PAGE_SIZE;
	w.e.rip = (u64)code + PAGE_SIZE - 2;
	expect_done("8b 03");
	CHECK_EQ(w.fetches, 1);
	w.e.rip = (u64)code + PAGE_SIZE - 1;
	expect_done("90");
}

TEST(fetch_faults_on_the_page_the_instruction_needs)
{
	static const char *const cut[] = {"8b 83",	 "66",	  "48", "0f",
					  "c7 03 01 02", "f0 81", "c5", "f3 0f 6f"};

	for (unsigned i = 0; i < ARRAY_SIZE(cut); i++) {
		start(W_LONG);
		w.range[1].len = PAGE_SIZE;
		w.e.rip = (u64)code + PAGE_SIZE - (strlen(cut[i]) + 1) / 3;
		CHECK_EQ(run(cut[i]), EMUL_FAULT);
		CHECK_EQ(w.e.fault.vector, 14);
		CHECK_EQ(w.e.fault.error, 16);
		CHECK_EQ(w.e.fault.cr2, (u64)code + PAGE_SIZE);
	}
}

TEST(instructions_run_across_a_page)
{
	for (unsigned before = 1; before < 7; before++) {
		start(W_LONG);
		w.e.rip = (u64)code + PAGE_SIZE - before;
		w.e.gpr[GPR_RBX] -= 0x100;
		expect_done("c7 83 00 01 00 00 44 33 22 11");
		CHECK_EQ(at(0, 4), 0x11223344);
		CHECK_EQ(w.e.rip, (u64)code + PAGE_SIZE - before + 10);
		CHECK_EQ(w.fetches, 2);
	}
}

TEST(fifteen_bytes_are_the_longest_instruction)
{
	start(W_LONG);
	expect_done("66 66 66 66 66 66 66 66 66 66 66 66 66 8b 03");
	CHECK_EQ(w.e.insn_len, 15);
	start(W_LONG);
	expect_fault("66 66 66 66 66 66 66 66 66 66 66 66 66 66 8b 03", 13);
	expect_fault("f3 66 66 66 66 66 66 66 66 66 66 66 66 81 03 01 00", 13);
}

TEST(code_segment_limit_cuts_the_fetch)
{
	start(W_PROT32);
	w.e.seg[SEG_CS].limit = 4;
	w.e.rip = 1;
	expect_fault("a1 00 00 00 00 90", 13);
	w.e.seg[SEG_CS].limit = 6;
	w.e.rip = 2;
	expect_done("a1 00 00 00 00");
	CHECK_EQ(w.e.rip, 7);
	expect_fault("90", 13);
	start(W_LONG);
	w.e.rip = 0x800000000000;
	CHECK_EQ(emul_step(&w.e), EMUL_FAULT);
	CHECK_EQ(w.e.fault.vector, 13);
}

/* --- undefined encodings ---------------------------------------------------------------------- */

TEST(lock_is_undefined_but_for_read_modify_write_of_memory)
{
	static const char *const bad[] = {
		"f0 89 03",
		"f0 8b 03",
		"f0 01 c0",
		"f0 39 03",
		"f0 03 03",
		"f0 85 03",
		"f0 90",
		"f0 8d 03",
		"f0 0f a3 03",
		"f0 0f ba 23 01",
		"f0 0f af 03",
		"f0 d1 23",
		"f0 a4",
		"f0 ff 33",
		"f0 87 c1",
		"f0 0f c3 03",
		"f0 c6 03 00",
		"f0 0f b6 03",
		"f0 a2 00 00 00 00 00 00 00 00",
		"f0 0f 10 03",
		"f0 e4 00",
		"f0 f6 23",
		"f0 0f b0 c1",
	};
	static const char *const good[] = {
		"f0 01 03",    "f0 83 0b 01", "f0 11 03",    "f0 19 03",    "f0 21 03",
		"f0 29 03",    "f0 31 03",    "f0 ff 03",    "f0 fe 0b",    "f0 f7 13",
		"f0 f7 1b",    "f0 0f ab 03", "f0 0f b3 03", "f0 0f bb 03", "f0 0f ba 2b 05",
		"f0 0f b1 0b", "f0 0f c1 0b", "f0 87 0b",    "f0 0f c7 0b", "f0 48 0f c7 0b",
		"87 0b",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		start(W_LONG);
		expect_fault(bad[i], 6);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		start(W_LONG);
		expect_done(good[i]);
		CHECK_EQ(w.writes, 0);
		CHECK_EQ(w.reads, 1);
		CHECK_EQ(w.swaps, 1);
	}
}

/* At device memory some of them arrive as an access to it. */
TEST(instructions_hidden_by_cpuid_are_undefined)
{
	static const char *const hidden[] = {
		"0f 01 c8",	  "0f 01 c9",	    "0f 01 fa",
		"0f 01 fb",	  /* MONITOR MWAIT, their X */
		"f3 0f ae f3",	  /* UMONITOR */
		"66 0f 38 82 03", /* INVPCID */
		"0f c7 2b",	  "48 0f c7 2b",    "0f c7 1b",
		"48 0f c7 1b",					   /* XSAVES XRSTORS */
		"f2 0f 38 f8 03", "f3 0f 38 f8 03",		   /* ENQCMD ENQCMDS */
		"f3 0f ae 23",					   /* PTWRITE */
		"f3 0f 01 2b",	  "f3 0f ae 33",    "0f 38 f6 03", /* shadow stacks */
		"66 0f 38 f5 03",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(hidden); i++) {
		start(W_LONG);
		expect_fault(hidden[i], 6);
		CHECK_EQ(w.reads + w.writes, 0);
	}
}

TEST(modes_forbid_what_they_forbid)
{
	static const struct {
		enum world_mode mode;
		const char *hex;
	} bad[] = {
		{W_LONG, "06"},
		{W_LONG, "1e"},
		{W_LONG, "27"},
		{W_LONG, "60"},
		{W_LONG, "82 03 01"},
		{W_LONG, "c4 03"},
		{W_LONG, "9a 00 00 00 00 00 00"},
		{W_LONG, "8e 0b"},
		{W_LONG, "8c 33"},
		{W_LONG, "0f 0b"},
		{W_LONG, "0f ff c0"},
		{W_LONG, "8d c0"},
		{W_LONG, "c6 0b 00"},
		{W_LONG, "0f c7 c9"},
		{W_LONG, "66 0f e7 c1"},
		{W_LONG, "66 c5 fa 6f 03"},
		{W_LONG, "c5 c2 6f 03"},
		{W_REAL, "8e 0f"},
		{W_REAL, "c5 fa 6f c1"},
		{W_PROT32, "8e 0b"},
		{W_PROT32, "8e 3b"},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		start(bad[i].mode);
		expect_fault(bad[i].hex, 6);
	}
}

TEST(what_is_not_emulated_says_so)
{
	static const char *const no[] = {
		"0f 22 c0", "d9 03", "0f 6f 03", "0f 58 03",	"8e 03",       "ff 1b",
		"cb",	    "f4",    "0f a2",	 "66 e9 00 00", "c5 f1 16 03", "62 f1 fe 48 6f 03"};

	for (unsigned i = 0; i < ARRAY_SIZE(no); i++) {
		start(W_LONG);
		expect_unhandled(no[i]);
		CHECK_EQ(w.reads + w.writes, 0);
	}
}

/* --- arithmetic faults ------------------------------------------------------------------------ */

TEST(division_faults_exactly_when_the_quotient_does_not_fit)
{
	static const struct {
		const char *hex;
		u64 dx, ax, by;
		bool fits;
		u64 quot, rest;
	} cases[] = {
		{"f6 33", 0, 0x00ff, 1, true, 0xff, 0},
		{"f6 33", 0, 0x0100, 1, false, 0, 0},
		{"f6 3b", 0, 0x007f, 1, true, 0x7f, 0},
		{"f6 3b", 0, 0x0080, 1, false, 0, 0},
		{"f6 3b", 0, 0xff80, 1, true, 0x80, 0},
		{"f6 3b", 0, 0xff7f, 1, false, 0, 0},
		{"f7 33", 1, 0, 1, false, 0, 0},
		{"f7 33", 0, 0xffffffff, 0x10, true, 0x0fffffff, 0xf},
		{"f7 33", 0, 1, 0, false, 0, 0},
		{"f7 3b", 0xffffffff, 0x80000000, 1, true, 0x80000000, 0},
		{"f7 3b", 0xffffffff, 0x80000000, 0xffffffff, false, 0, 0},
		{"f7 3b", 0xffffffff, 0xfffffff9, 2, true, 0xfffffffd, 0xffffffff},
		{"48 f7 33", 4, 0, 5, true, 0xcccccccccccccccc, 4},
		{"48 f7 33", 5, 0, 5, false, 0, 0},
		{"48 f7 3b", ~0ull, 1ull << 63, 1, true, 1ull << 63, 0},
		{"48 f7 3b", ~0ull, 1ull << 63, ~0ull, false, 0, 0},
		{"48 f7 3b", 1ull << 63, 0, ~0ull, false, 0, 0},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		start(W_LONG);
		memcpy(data, &cases[i].by, 8);
		w.e.gpr[GPR_RAX] = cases[i].ax;
		w.e.gpr[GPR_RDX] = cases[i].dx;
		if (!cases[i].fits) {
			expect_fault(cases[i].hex, 0);
			continue;
		}
		expect_done(cases[i].hex);
		if (cases[i].hex[1] == '6') {
			CHECK_EQ(w.e.gpr[GPR_RAX], cases[i].quot | cases[i].rest << 8);
			continue;
		}
		CHECK_EQ(w.e.gpr[GPR_RAX], cases[i].quot);
		CHECK_EQ(w.e.gpr[GPR_RDX], cases[i].rest);
	}
}

TEST(vector_moves_fault_as_the_control_bits_say)
{
	start(W_LONG);
	w.e.cr0 |= CR0_TS;
	expect_fault("0f 10 03", 7);
	expect_fault("c5 fa 6f 03", 7);
	w.e.cr0 |= CR0_EM;
	expect_fault("0f 10 03", 6);
	start(W_LONG);
	w.e.cr4 = 0;
	expect_fault("f3 0f 6f 03", 6);
	expect_fault("c5 fa 6f 03", 6);
	start(W_LONG);
	w.e.gpr[GPR_RBX] += 8;
	expect_fault("0f 29 03", 13);
	expect_fault("66 0f 6f 03", 13);
	expect_fault("66 0f e7 03", 13);
	w.e.gpr[GPR_RBX] += 8;
	expect_fault("c5 fd 7f 03", 13); /* 16 is not enough for 32 bytes */
	expect_done("c5 f9 7f 03");
	CHECK_EQ(w.writes, 1);
	CHECK_EQ(w.longest, 16);
	start(W_REAL);
	w.e.gpr[GPR_RBX] = 0x10;
	expect_done("0f 29 07"); /* SSE works in real mode */
}

TEST(cmpxchg16b_needs_alignment)
{
	start(W_LONG);
	w.e.gpr[GPR_RBX] += 8;
	expect_fault("48 0f c7 0b", 13);
	expect_done("0f c7 0b");
}

/* --- memory traffic --------------------------------------------------------------------------- */

TEST(each_operand_is_touched_once)
{
	static const struct {
		const char *hex;
		unsigned reads, writes;
	} cases[] = {
		{"89 03", 0, 1},    {"8b 03", 1, 0},	   {"c7 03 00 00 00 00", 0, 1},
		{"01 03", 1, 1},    {"03 03", 1, 0},	   {"39 03", 1, 0},
		{"f6 03 01", 1, 0}, {"ff 03", 1, 1},	   {"0f b6 03", 1, 0},
		{"0f 94 03", 0, 1}, {"0f 44 03", 1, 0},	   {"0f a3 03", 1, 0},
		{"0f ab 03", 1, 1}, {"ff 33", 1, 1},	   {"8f 03", 1, 1},
		{"0f 11 03", 0, 1}, {"c5 fe 7f 03", 0, 1}, {"0f b1 0b", 1, 1},
		{"0f c7 0b", 1, 1}, {"8d 03", 0, 0},	   {"0f 18 03", 0, 0},
		{"0f ae 3b", 0, 0}, {"8c 1b", 0, 1},	   {"0f 13 03", 0, 1},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		start(W_LONG);
		expect_done(cases[i].hex);
		CHECK_EQ(w.reads, cases[i].reads);
		CHECK_EQ(w.writes, cases[i].writes);
		CHECK_EQ(w.swaps, 0);
	}
}

TEST(a_fault_writes_nothing)
{
	start(W_LONG);
	w.e.gpr[GPR_RBX] = (u64)data + DATA_LEN - 2;
	CHECK_EQ(run("01 03"), EMUL_FAULT);
	CHECK_EQ(w.e.fault.vector, 14);
	CHECK_EQ(w.e.fault.error, 2);
	CHECK_EQ(run("8b 03"), EMUL_FAULT);
	CHECK_EQ(w.e.fault.error, 0);
	CHECK_EQ(run("89 03"), EMUL_FAULT);
	w.range[0].read_only = true;
	w.e.gpr[GPR_RBX] = (u64)data;
	CHECK_EQ(run("f0 01 03"), EMUL_FAULT);
	CHECK_EQ(w.e.fault.error, 3);
	CHECK_EQ(run("48 87 03"), EMUL_FAULT);
	CHECK_EQ(run("50"), EMUL_FAULT);
	CHECK_EQ(run("e8 00 00 00 00"), EMUL_FAULT);
	CHECK_EQ(run("c8 10 00 02"), EMUL_FAULT);
	CHECK_EQ(run("0f c7 0b"), EMUL_FAULT);
	CHECK_EQ(run("a4"), EMUL_FAULT);
	CHECK_EQ(w.writes, 0);
}

TEST(a_locked_operation_retries_and_gives_up_politely)
{
	start(W_LONG);
	w.fail_swaps = 3; /* another CPU adds one each time */
	w.e.gpr[GPR_RAX] = 0x10;
	expect_done("f0 0f c1 03");
	CHECK_EQ(w.swaps, 4);
	CHECK_EQ(at(0, 4), 0x13);
	CHECK_EQ(w.e.gpr[GPR_RAX], 3);
	start(W_LONG);
	w.fail_swaps = 1000000;
	w.e.gpr[GPR_RAX] = 0x10;
	CHECK_EQ(run("f0 01 03"), EMUL_AGAIN);
	CHECK_EQ(w.e.rip, (u64)code);
	CHECK(w.swaps < 1000);
}

TEST(a_locked_operation_across_pages_still_works)
{
	start(W_LONG);
	w.e.gpr[GPR_RBX] += PAGE_SIZE - 2;
	w.e.gpr[GPR_RAX] = 0x01020304;
	expect_done("f0 01 03");
	CHECK_EQ(at(PAGE_SIZE - 2, 4), 0x01020304);
}

/* --- strings and ports ------------------------------------------------------------------------ */

TEST(rep_stops_at_the_cap_and_goes_on)
{
	start(W_LONG);
	w.e.gpr[GPR_RDI] = (u64)data;
	w.e.gpr[GPR_RCX] = EMUL_REP_MAX + 100;
	w.e.gpr[GPR_RAX] = 0xa5;
	CHECK_EQ(run("f3 aa"), EMUL_AGAIN);
	CHECK_EQ(w.e.gpr[GPR_RCX], 100);
	CHECK_EQ(w.e.gpr[GPR_RDI], (u64)data + EMUL_REP_MAX);
	CHECK_EQ(w.e.rip, (u64)code);
	expect_done("f3 aa");
	CHECK_EQ(w.e.gpr[GPR_RCX], 0);
	CHECK_EQ(data[EMUL_REP_MAX + 99], 0xa5);
	CHECK_EQ(data[EMUL_REP_MAX + 100], 0);
	CHECK(w.writes < 100); /* runs, not items */
}

TEST(rep_faults_on_an_iteration_boundary)
{
	start(W_LONG);
	w.range[0].len = PAGE_SIZE;
	w.e.gpr[GPR_RDI] = (u64)data + PAGE_SIZE - 10;
	w.e.gpr[GPR_RCX] = 100;
	put_code("f3 ab");
	CHECK_EQ(emul_step(&w.e), EMUL_FAULT);
	CHECK_EQ(w.e.fault.vector, 14);
	CHECK_EQ(w.e.fault.cr2, (u64)data + PAGE_SIZE);
	CHECK_EQ(w.e.gpr[GPR_RCX], 98);
	CHECK_EQ(w.e.gpr[GPR_RDI], (u64)data + PAGE_SIZE - 2);
	CHECK_EQ(w.e.rip, (u64)code);
}

TEST(ports_get_their_number_and_size)
{
	static const struct {
		const char *hex;
		unsigned port, size;
		bool out;
	} cases[] = {
		{"e4 60", 0x60, 1, false},    {"e5 60", 0x60, 4, false},
		{"66 e5 f0", 0xf0, 2, false}, {"ec", 0x3f8, 1, false},
		{"66 ed", 0x3f8, 2, false},   {"ed", 0x3f8, 4, false},
		{"48 ed", 0x3f8, 4, false},   {"e6 80", 0x80, 1, true},
		{"e7 80", 0x80, 4, true},     {"66 ef", 0x3f8, 2, true},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		start(W_LONG);
		w.e.gpr[GPR_RDX] = 0xffff03f8;
		w.e.gpr[GPR_RAX] = 0x1122334455667788;
		w.port_value = 0xcafebabe;
		expect_done(cases[i].hex);
		CHECK_EQ(w.port, cases[i].port);
		CHECK_EQ(w.port_size, cases[i].size);
		if (cases[i].out) {
			CHECK_EQ(w.port_value, 0x55667788 & (u32)(BIT(8 * cases[i].size) - 1));
			continue;
		}
		CHECK_EQ(w.e.gpr[GPR_RAX], cases[i].size == 1	? 0x11223344556677be
					   : cases[i].size == 2 ? 0x112233445566babe
								: 0xcafebabe);
	}
}

TEST(ins_does_not_read_the_port_when_memory_faults)
{
	start(W_LONG);
	w.e.gpr[GPR_RDI] = (u64)data + DATA_LEN;
	w.e.gpr[GPR_RCX] = 4;
	CHECK_EQ(run("f3 66 6d"), EMUL_FAULT);
	CHECK_EQ(w.e.fault.error, 2);
	CHECK_EQ(w.port_reads, 0);
}

TEST(rep_ins_takes_a_sector_at_once)
{
	start(W_LONG);
	w.bulk = true;
	w.port_value = 0x100;
	w.e.gpr[GPR_RDI] = (u64)data + 0x200;
	w.e.gpr[GPR_RCX] = 256;
	w.e.gpr[GPR_RDX] = 0x1f0;
	expect_done("f3 66 6d");
	CHECK_EQ(w.port_reads, 1);
	CHECK_EQ(w.e.gpr[GPR_RDI], (u64)data + 0x400);
	for (unsigned i = 0; i < 256; i++)
		CHECK_EQ(at(0x200 + 2 * i, 2), 0x100 + i);
	CHECK_EQ(at(0x400, 2), 0);
}

TEST(rep_ins_single_items_when_going_down_or_without_bulk)
{
	start(W_LONG);
	w.bulk = true;
	w.e.rflags |= DF;
	w.port_value = 1;
	w.e.gpr[GPR_RDI] = (u64)data + 0x200;
	w.e.gpr[GPR_RCX] = 4;
	expect_done("f3 6c");
	CHECK_EQ(w.port_reads, 4);
	CHECK_EQ(at(0x1fd, 4), 0x01020304);
	start(W_LONG);
	w.port_value = 1;
	w.e.gpr[GPR_RDI] = (u64)data + 0xffe; /* over a page border */
	w.e.gpr[GPR_RCX] = 3;
	expect_done("f3 6d");
	CHECK_EQ(w.port_reads, 3);
	CHECK_EQ(at(0xffe, 4), 1);
	CHECK_EQ(at(0x1006, 4), 3);
}

TEST(rep_outs_sends_every_byte_in_order)
{
	u32 one, other;

	for (unsigned bulk = 0; bulk < 2; bulk++) {
		start(W_PROT32);
		for (unsigned i = 0; i < 3000; i++)
			data[i] = (u8)(i * 7);
		w.bulk = bulk;
		w.e.gpr[GPR_RSI] = 3;
		w.e.gpr[GPR_RCX] = 2000;
		expect_done("f3 6e");
		CHECK_EQ(w.e.gpr[GPR_RSI], 2003);
		CHECK_EQ(w.e.gpr[GPR_RCX], 0);
		if (bulk) {
			one = 0;
			for (unsigned i = 3; i < 2003; i++)
				one = one * 31 + data[i];
			other = w.port_value;
			CHECK_EQ(other, one);
			CHECK(w.port_writes < 10);
		} else {
			CHECK_EQ(w.port_value, data[2002]);
			CHECK_EQ(w.port_writes, 2000);
		}
	}
}

TEST(outs_honours_a_segment_override_and_ins_does_not)
{
	start(W_PROT32);
	data[0x10] = 0x42;
	w.e.seg[SEG_DS].limit = 0;
	w.e.gpr[GPR_RSI] = w.e.gpr[GPR_RDI] = 0x10;
	expect_done("26 6e");
	CHECK_EQ(w.port_value, 0x42);
	w.e.seg[SEG_ES].limit = 0;
	expect_fault("2e 6c", 13);
}

/* --- segment registers and the stack ---------------------------------------------------------- */

TEST(segment_loads_in_real_mode)
{
	start(W_REAL);
	w.e.gpr[GPR_RAX] = 0x1234;
	expect_done("8e c0");
	CHECK_EQ(w.e.seg[SEG_ES].sel, 0x1234);
	CHECK_EQ(w.e.seg[SEG_ES].base, 0x12340);
	memcpy(data + 0x20, "\x11\x22\x33\x44", 4);
	expect_done("c4 1e 20 00"); /* les bx, [20] */
	CHECK_EQ(w.e.gpr[GPR_RBX], 0x2211);
	CHECK_EQ(w.e.seg[SEG_ES].base, 0x44330);
	memcpy(data + 0x1000, "\x78\x56", 2);
	expect_done("07"); /* pop es */
	CHECK_EQ(w.e.seg[SEG_ES].sel, 0x5678);
	CHECK_EQ(w.e.gpr[GPR_RSP], 0x1002);
	expect_done("06");
	CHECK_EQ(at(0x1000, 2), 0x5678);
	start(W_PROT32);
	expect_unhandled("8e c0");
	expect_unhandled("c4 1d 20 00 00 00");
}

TEST(selectors_are_stored_as_words)
{
	start(W_PROT32);
	memset(data, 0xff, 8);
	w.e.seg[SEG_DS].sel = 0x23;
	expect_done("8c 1d 00 00 00 00");
	CHECK_EQ(at(0, 4), 0xffff0023);
	w.e.gpr[GPR_RAX] = 0xffffffff;
	expect_done("8c d8");
	CHECK_EQ(w.e.gpr[GPR_RAX], 0x23);
	w.e.gpr[GPR_RAX] = 0xffffffff;
	expect_done("66 8c d8");
	CHECK_EQ(w.e.gpr[GPR_RAX], 0xffff0023);
}

TEST(sixteen_bit_stack_wraps_and_keeps_the_upper_half)
{
	start(W_PROT16);
	w.e.gpr[GPR_RSP] = 0xabcd0002;
	w.e.gpr[GPR_RAX] = 0x11112222;
	expect_fault("66 50", 12); /* push eax would straddle the top */
	w.e.gpr[GPR_RSP] = 0xabcd0000;
	w.e.gpr[GPR_RAX] = 0x2222;
	expect_done("50");
	CHECK_EQ(w.e.gpr[GPR_RSP], 0xabcdfffe);
	CHECK_EQ(at(0xfffe, 2), 0x2222);
	expect_done("5b");
	CHECK_EQ(w.e.gpr[GPR_RBX], 0x2222);
	CHECK_EQ(w.e.gpr[GPR_RSP], 0xabcd0000);
}

TEST(short_forms_of_legacy_modes)
{
	start(W_PROT32);
	w.e.gpr[GPR_RCX] = 0x7fffffff;
	expect_done("41"); /* inc ecx */
	CHECK_EQ(w.e.gpr[GPR_RCX], 0x80000000);
	CHECK(w.e.rflags & OF);
	expect_done("4a"); /* dec edx */
	CHECK_EQ(w.e.gpr[GPR_RDX], 0xffffffff);
	expect_done("82 05 00 00 00 00 05"); /* add byte [0], 5 */
	CHECK_EQ(at(0, 1), 5);
	w.e.gpr[GPR_RSP] = 0x1000;
	expect_done("1e");
	CHECK_EQ(w.e.gpr[GPR_RSP], 0xffc);
	CHECK_EQ(at(0xffc, 2), 0x10);
	expect_done("ff 35 00 00 00 00"); /* push dword [0] */
	CHECK_EQ(at(0xff8, 4), 5);
}

TEST(near_targets_are_checked_and_truncated)
{
	start(W_PROT16);
	w.e.rip = 0x10;
	expect_done("e9 ec ff"); /* 13 - 14 */
	CHECK_EQ(w.e.rip, 0xffff);
	start(W_PROT32);
	w.e.seg[SEG_CS].limit = 0xfff;
	expect_fault("e9 00 10 00 00", 13);
	expect_fault("e8 00 10 00 00", 13);
	memset(data + 0x1000, 0xff, 4);
	expect_fault("c3", 13);
	expect_done("66 e9 00 02");
	CHECK_EQ(w.e.rip, 0x204);
	start(W_LONG);
	w.e.gpr[GPR_RAX] = 0x800000000000;
	expect_fault("ff e0", 13);
	memcpy(data + 0x1000, "\0\0\0\0\0\x80\0\0", 8);
	expect_fault("c3", 13);
	expect_fault("ff 24 24", 13);
}

TEST(resume_flag_clears_and_others_stay)
{
	start(W_LONG);
	w.e.rflags = 0x10246 | 0x40000 | 0x3000;
	expect_done("01 03");
	CHECK_EQ(w.e.rflags & ~(u64)FLAGS_STATUS, 0x43202);
}

TEST(instruction_pointer_wraps_at_4g_outside_long_mode)
{
	start(W_PROT32);
	w.e.seg[SEG_CS].base = (u64)code + 0x10;
	w.e.rip = 0xfffffff8;
	memcpy(code + 8, "\x90", 1);
	CHECK_EQ(emul_step(&w.e), EMUL_DONE);
	CHECK_EQ(w.e.rip, 0xfffffff9);
}

TEST(the_op_sees_the_item_size_of_strings_only)
{
	start(W_LONG);
	w.e.gpr[GPR_RDI] = (u64)data;
	w.e.gpr[GPR_RCX] = 32;
	expect_done("f3 ab");
	CHECK_EQ(w.last_item, 4);
	CHECK_EQ(w.longest, 64);
	expect_done("89 03");
	CHECK_EQ(w.last_item, 0);
}

/* --- the two decoders ------------------------------------------------------------------------- */

#include "emul_compare.h"

TEST(fast_decoder_agrees_with_the_full_one)
{
	static const u8 ops[] = {0x88, 0x89, 0x8a, 0x8b, 0xc6, 0xc7, 0xa0,
				 0xa1, 0xa2, 0xa3, 0xb6, 0xb7, 0xbe, 0xbf};
	static const u8 prefixes[] = {0x66, 0x67, 0x2e, 0x36, 0x3e, 0x26, 0x64,
				      0x65, 0xf2, 0xf3, 0xf0, 0x48, 0x41, 0x46};
	struct emul_run fast, full;
	struct emul e;
	unsigned taken = 0;

	emul_init();
	for (unsigned n = 0; n < 300000; n++) {
		unsigned at_byte = 0, op = rng_below(ARRAY_SIZE(ops));

		for (unsigned i = 0; i < 15; i++)
			e.insn[i] = (u8)rng();
		while (rng_below(2) && at_byte < 6)
			e.insn[at_byte++] = prefixes[rng_below(ARRAY_SIZE(prefixes))];
		if (ops[op] == 0xb6 || ops[op] == 0xb7 || ops[op] >= 0xbe)
			if (ops[op] < 0xc0)
				e.insn[at_byte++] = 0x0f;
		e.insn[at_byte++] = ops[op];
		if (rng_below(2))
			e.insn[at_byte] &= 0xc7;
		fast.e = full.e = &e;
		fast.mode = full.mode = rng_below(EMUL_MODES);
		fast.n = full.n = (u8)(rng_below(8) ? 15 : 1 + rng_below(15));
		if (!emul_decode_fast(&fast))
			continue;
		taken++;
		if (emul_decode_full(&full) != 0 || !same_insn(&fast.i, &full.i)) {
			printf("# mode %d:", fast.mode);
			for (unsigned i = 0; i < fast.n; i++)
				printf(" %02x", e.insn[i]);
			printf("\n");
			CHECK(!"the decoders agree");
			return;
		}
	}
	CHECK(taken > 150000);
}
