/* The store decoder against the CPU that runs this test: each instruction is executed both ways
 * from the same registers, flags and memory. Would catch: a wrong operand, size, sign extension,
 * flag or instruction length; a byte register taken for another; an access elsewhere taken for the
 * one that faulted; a repeated store that loses count; anything changed by a refusal.
 *
 * SRCS: hv/paging/shadow/sh_store.c hv/paging/shadow/sh_store_run.c
 *
 * SPDX-License-Identifier: MIT
 */
#include <sys/mman.h>

#include "lib/x86.h"
#include "paging/shadow/sh_store.h"
#include "unit.h"

#define RUNS	  40000u
#define ALL_FLAGS 0x8d5ull
#define CF_ONLY	  0x1ull
#define NO_AF	  (ALL_FLAGS & ~0x10ull)

struct state {
	u64 gpr[16]; /* RSP is left alone */
	u64 flags;
	u64 call;
};

void store_native(struct state *st);
/* Load the registers, CALL, store them. */
asm(".globl store_native\n"
    "store_native:\n"
    "	push %rbx\n push %rbp\n push %r12\n push %r13\n push %r14\n push %r15\n push %rdi\n"
    "	mov %rdi, %rax\n"
    "	push 0x88(%rax)\n push 0x80(%rax)\n popf\n"
    "	mov 8(%rax), %rcx\n mov 16(%rax), %rdx\n mov 24(%rax), %rbx\n mov 40(%rax), %rbp\n"
    "	mov 48(%rax), %rsi\n mov 56(%rax), %rdi\n mov 64(%rax), %r8\n mov 72(%rax), %r9\n"
    "	mov 80(%rax), %r10\n mov 88(%rax), %r11\n mov 96(%rax), %r12\n mov 104(%rax), %r13\n"
    "	mov 112(%rax), %r14\n mov 120(%rax), %r15\n mov (%rax), %rax\n"
    "	call *(%rsp)\n"
    "	xchg %rax, 8(%rsp)\n" /* @st back */
    "	mov %rcx, 8(%rax)\n mov %rdx, 16(%rax)\n mov %rbx, 24(%rax)\n mov %rbp, 40(%rax)\n"
    "	mov %rsi, 48(%rax)\n mov %rdi, 56(%rax)\n mov %r8, 64(%rax)\n mov %r9, 72(%rax)\n"
    "	mov %r10, 80(%rax)\n mov %r11, 88(%rax)\n mov %r12, 96(%rax)\n mov %r13, 104(%rax)\n"
    "	mov %r14, 112(%rax)\n mov %r15, 120(%rax)\n"
    "	mov 8(%rsp), %rcx\n mov %rcx, (%rax)\n"
    "	pushf\n popq 0x80(%rax)\n cld\n"
    "	pop %rcx\n pop %rcx\n pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbp\n pop %rbx\n"
    "	ret\n"
    ".section .note.GNU-stack,\"\",@progbits\n.text\n");

static u64 rng = 88172645463325252ull;
static u64 random_u64(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng * 0x2545f4914f6cdd1dull;
}

static u64 rnd(unsigned n)
{
	return (random_u64() >> 20) % n;
}

/* --- instructions ------------------------------------------------------------------------------
 */

enum { BYTE_FORM = 1, LOCKABLE = 2, ONE_BYTE = 4, BIT_REG = 8, PAIR = 16, NO_16 = 32 };

static const struct op {
	u8 map, code; /* map 1: after 0f */
	s8 ext;	      /* modrm.reg, -1: any */
	u8 imm;	      /* bytes of immediate: 0, 1, or 9: the operand's size */
	unsigned how;
	u64 flags;
} ops[] = {
	{0, 0x89, -1, 0, BYTE_FORM, ALL_FLAGS},
	{0, 0xc7, 0, 9, BYTE_FORM, ALL_FLAGS},
	{0, 0x87, -1, 0, BYTE_FORM | LOCKABLE, ALL_FLAGS},
	{0, 0x01, -1, 0, BYTE_FORM | LOCKABLE, ALL_FLAGS},
	{0, 0x09, -1, 0, BYTE_FORM | LOCKABLE, NO_AF},
	{0, 0x21, -1, 0, BYTE_FORM | LOCKABLE, NO_AF},
	{0, 0x29, -1, 0, BYTE_FORM | LOCKABLE, ALL_FLAGS},
	{0, 0x31, -1, 0, BYTE_FORM | LOCKABLE, NO_AF},
	{0, 0x81, 0, 9, BYTE_FORM | LOCKABLE, ALL_FLAGS},
	{0, 0x81, 1, 9, BYTE_FORM | LOCKABLE, NO_AF},
	{0, 0x81, 4, 9, BYTE_FORM | LOCKABLE, NO_AF},
	{0, 0x81, 5, 9, BYTE_FORM | LOCKABLE, ALL_FLAGS},
	{0, 0x81, 6, 9, BYTE_FORM | LOCKABLE, NO_AF},
	{0, 0x83, 0, 1, LOCKABLE, ALL_FLAGS},
	{0, 0x83, 1, 1, LOCKABLE, NO_AF},
	{0, 0x83, 4, 1, LOCKABLE, NO_AF},
	{0, 0x83, 5, 1, LOCKABLE, ALL_FLAGS},
	{0, 0x83, 6, 1, LOCKABLE, NO_AF},
	{0, 0xf7, 2, 0, BYTE_FORM | LOCKABLE, ALL_FLAGS},
	{0, 0xf7, 3, 0, BYTE_FORM | LOCKABLE, ALL_FLAGS},
	{0, 0xff, 0, 0, BYTE_FORM | LOCKABLE, ALL_FLAGS},
	{0, 0xff, 1, 0, BYTE_FORM | LOCKABLE, ALL_FLAGS},
	{1, 0xb1, -1, 0, BYTE_FORM | LOCKABLE, ALL_FLAGS},
	{1, 0xc1, -1, 0, BYTE_FORM | LOCKABLE, ALL_FLAGS},
	{1, 0xc7, 1, 0, LOCKABLE | PAIR, ALL_FLAGS},
	{1, 0xc3, -1, 0, NO_16, ALL_FLAGS},
	{1, 0xab, -1, 0, LOCKABLE | BIT_REG, CF_ONLY},
	{1, 0xb3, -1, 0, LOCKABLE | BIT_REG, CF_ONLY},
	{1, 0xbb, -1, 0, LOCKABLE | BIT_REG, CF_ONLY},
	{1, 0xba, 5, 1, LOCKABLE, CF_ONLY},
	{1, 0xba, 6, 1, LOCKABLE, CF_ONLY},
	{1, 0xba, 7, 1, LOCKABLE, CF_ONLY},
	{0, 0xab, -1, 0, BYTE_FORM | ONE_BYTE, ALL_FLAGS},
	{0, 0xa5, -1, 0, BYTE_FORM | ONE_BYTE, ALL_FLAGS},
};

static struct {
	u8 *code;
	u8 bytes[16];
	unsigned len, size;
	u8 memory[64] __attribute__((aligned(16)));
	u8 source[64] __attribute__((aligned(16)));
	struct state st;
	const struct op *op;
	u8 *target;
} t;

static void emit(u8 byte)
{
	t.bytes[t.len++] = byte;
}

/* An address form whose registers make it point to the target. */
static void emit_address(unsigned reg)
{
	u64 at = (u64)(uintptr_t)t.target;

	switch (rnd(4)) {
	case 0: /* [rdi] */
		emit((u8)(reg << 3 | 7));
		t.st.gpr[GPR_RDI] = at;
		break;
	case 1: /* [rdi - 16] */
		emit((u8)(0x40 | reg << 3 | 7));
		emit(0xf0);
		t.st.gpr[GPR_RDI] = at + 16;
		break;
	case 2: /* [rdi + rsi * 8 + disp32] */
		emit((u8)(0x80 | reg << 3 | 4));
		emit(3 << 6 | GPR_RSI << 3 | GPR_RDI);
		memcpy(t.bytes + t.len, &(s32){-0x1000}, 4);
		t.len += 4;
		t.st.gpr[GPR_RSI] = rnd(100);
		t.st.gpr[GPR_RDI] = at + 0x1000 - t.st.gpr[GPR_RSI] * 8;
		break;
	default: /* [rsi * 4 + disp32] */
		emit((u8)(reg << 3 | 4));
		emit(2 << 6 | GPR_RSI << 3 | 5);
		memcpy(t.bytes + t.len, &(s32){0x100}, 4);
		t.len += 4;
		at -= 0x100;
		t.st.gpr[GPR_RSI] = at >> 2;
	}
}

static void make_state(void)
{
	for (unsigned i = 0; i < 16; i++)
		t.st.gpr[i] = rnd(3) ? random_u64() : rnd(3) - 1;
	t.st.flags = (random_u64() & ALL_FLAGS) | 0x202;
	for (unsigned i = 0; i < sizeof(t.memory); i++)
		t.memory[i] = rnd(3) ? (u8)rnd(256) : rnd(2) ? 0xff : 0;
	for (unsigned i = 0; i < sizeof(t.source); i++)
		t.source[i] = (u8)rnd(256);
}

static unsigned make_size(const struct op *op)
{
	static const u8 sizes[] = {1, 2, 4, 8};
	unsigned size;

	do
		size = sizes[rnd(4)];
	while ((size == 1 && !(op->how & BYTE_FORM)) || (size == 2 && (op->how & (NO_16 | PAIR))));
	return size;
}

static void make_instruction(void)
{
	const struct op *op = &ops[rnd(ARRAY_SIZE(ops))];
	/* Any register but those of the address and RSP. */
	unsigned reg = op->ext >= 0 ? (unsigned)op->ext : rnd(4), rex = rnd(3) ? 0 : 0x40;

	t.op = op;
	t.len = 0;
	t.size = make_size(op);
	t.target = t.memory + 16 * rnd(3);
	if (t.size == 1 && op->ext < 0 && !rex)
		reg = rnd(8); /* AH to BH too */
	if (t.size == 2)
		emit(0x66);
	if (!(op->how & LOCKABLE) ? 0 : rnd(2))
		emit(0xf0);
	rex |= t.size == 8 ? 0x48 : 0;
	rex |= reg < 4 && !(op->how & ONE_BYTE) && op->ext < 0 && !rnd(3) ? 0x44 : 0;
	if (rex)
		emit((u8)rex);
	if (op->map)
		emit(0x0f);
	emit(t.size == 1 ? op->code & 0xfe : op->code);
	if (op->how & ONE_BYTE) {
		t.st.gpr[GPR_RDI] = (u64)(uintptr_t)t.target;
		t.st.gpr[GPR_RSI] = (u64)(uintptr_t)(t.source + 16);
		t.st.flags |= rnd(2) ? RFLAGS_DF : 0;
	} else {
		emit_address(reg);
	}
	/* A comparison that holds, half the time. */
	if (rnd(2)) {
		memcpy(&t.st.gpr[GPR_RAX], t.target, 8);
		if (op->how & PAIR)
			memcpy(&t.st.gpr[GPR_RDX], t.target + (t.size == 8 ? 8 : 4), 8);
	}
	if (op->how & BIT_REG)
		t.st.gpr[reg | (rex & 4) << 1] = rnd(t.size * 8);
	for (unsigned i = op->imm == 9 ? MIN(t.size, 4u) : op->imm; i; i--)
		emit((u8)random_u64());
	if (op->how & PAIR)
		t.size = t.size == 8 ? 16 : 8;
}

static const void *source_at(void *ctx, gva_t gva, unsigned size)
{
	(void)ctx;
	CHECK_EQ(gva, (u64)(uintptr_t)(t.source + 16));
	CHECK(size <= 8);
	return t.source + 16;
}

static void dump(void)
{
	printf("# bytes:");
	for (unsigned i = 0; i < t.len; i++)
		printf(" %02x", t.bytes[i]);
	printf("\n");
}

static unsigned run_ours(u64 *rip, u64 *flags, u64 *gpr, unsigned width)
{
	struct shadow_insn i = {.gpr = gpr,
				.rip = rip,
				.rflags = flags,
				.bytes = t.bytes,
				.len = t.len,
				.width = width};
	struct sh_memory m = {.gva = (u64)(uintptr_t)t.target, .at = t.target, .source = source_at};

	return sh_store_run(&i, &m);
}

TEST(every_store_does_what_the_cpu_does)
{
	t.code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (t.code == MAP_FAILED)
		SKIP("no memory to execute from");
	for (unsigned n = 0; n < RUNS && !unit_failures; n++) {
		u8 before[64], after[64];
		u64 gpr[16], rip = 0x401000, flags;

		make_state();
		make_instruction();
		memcpy(before, t.memory, sizeof(before));
		memcpy(gpr, t.st.gpr, sizeof(gpr));
		flags = t.st.flags;
		memcpy(t.code, t.bytes, t.len);
		t.code[t.len] = 0xc3;
		t.st.call = (u64)(uintptr_t)t.code;
		store_native(&t.st);
		memcpy(after, t.memory, sizeof(after));
		memcpy(t.memory, before, sizeof(before));
		CHECK_EQ(run_ours(&rip, &flags, gpr, 64), t.size);
		CHECK_EQ(rip, 0x401000 + t.len);
		CHECK_EQ((flags ^ t.st.flags) & t.op->flags, 0);
		CHECK(!memcmp(after, t.memory, sizeof(after)));
		gpr[GPR_RSP] = t.st.gpr[GPR_RSP];
		for (unsigned i = 0; i < 16; i++)
			CHECK_EQ(gpr[i], t.st.gpr[i]);
		if (unit_failures)
			dump();
	}
}

static void set_bytes(const char *bytes, unsigned len)
{
	memcpy(t.bytes, bytes, len);
	t.len = len;
	t.target = t.memory;
}

TEST(repeated_stores_take_one_step_at_a_time)
{
	u64 gpr[16] = {0}, rip = 0x1000, flags = 2;

	set_bytes("\xf3\x48\xab", 3); /* rep stosq */
	gpr[GPR_RDI] = (u64)(uintptr_t)t.target;
	gpr[GPR_RCX] = 2;
	gpr[GPR_RAX] = 0x1122334455667788;
	CHECK_EQ(run_ours(&rip, &flags, gpr, 64), 8);
	CHECK_EQ(rip, 0x1000);
	CHECK_EQ(gpr[GPR_RCX], 1);
	CHECK_EQ(gpr[GPR_RDI], (u64)(uintptr_t)t.target + 8);
	t.target += 8;
	CHECK_EQ(run_ours(&rip, &flags, gpr, 64), 8);
	CHECK_EQ(rip, 0x1003);
	CHECK_EQ(gpr[GPR_RCX], 0);
	CHECK(!memcmp(t.memory, t.memory + 8, 8));
}

/* What must be left alone, with everything as it was. */
TEST(what_it_does_not_know_it_leaves_alone)
{
	static const struct {
		const char *bytes;
		unsigned len, width;
		u64 off, flags;
	} cases[] = {
		{"\x48\x89\x07", 3, 64, 8, 2},		   /* another address than faulted */
		{"\x48\x89\x07", 3, 64, 4, 2},		   /* and one that is not aligned */
		{"\x48\x89\x07", 3, 64, 0, 2 | RFLAGS_TF}, /* a single step */
		{"\x48\x89", 2, 64, 0, 2},		   /* bytes missing */
		{"\x48\x8b\x07", 3, 64, 0, 2},		   /* a load */
		{"\x48\x39\x07", 3, 64, 0, 2},		   /* CMP does not write */
		{"\xf0\x48\x89\x07", 4, 64, 0, 2},	   /* LOCK MOV is none */
		{"\x67\x48\x89\x07", 4, 64, 0, 2},	   /* 32-bit address */
		{"\x89\x07", 2, 16, 0, 2},
		{"\x66\x0f\x7f\x07", 4, 64, 0, 2},     /* MOVDQA */
		{"\xff\x37", 2, 64, 0, 2},	       /* PUSH */
		{"\x48\x89\xf8", 3, 64, 0, 2},	       /* a register */
		{"\x48\x0f\xab\x07", 4, 64, 0, 2},     /* BTS of a bit far away */
		{"\xf3\x48\x89\x07", 4, 64, 0, 2},     /* REP MOV */
		{"\x48\x0f\xba\x27\x01", 5, 64, 0, 2}, /* BT does not write */
		{"\x65\x48\xa5", 3, 64, 0, 2},	       /* MOVS from GS */
	};

	for (unsigned n = 0; n < ARRAY_SIZE(cases); n++) {
		u64 gpr[16] = {[GPR_RAX] = 0x12345678}, was[16], rip = 7, flags = cases[n].flags;
		u8 before[64];

		set_bytes(cases[n].bytes, cases[n].len);
		memset(t.memory, 0x5a, sizeof(t.memory));
		memcpy(before, t.memory, sizeof(before));
		t.target = t.memory + (cases[n].off == 4 ? 4 : 0);
		gpr[GPR_RDI] = (u64)(uintptr_t)t.memory + cases[n].off;
		memcpy(was, gpr, sizeof(was));
		CHECK_EQ(run_ours(&rip, &flags, gpr, cases[n].width), 0);
		CHECK_EQ(rip, 7);
		CHECK_EQ(flags, cases[n].flags);
		CHECK(!memcmp(was, gpr, sizeof(was)));
		CHECK(!memcmp(before, t.memory, sizeof(before)));
		if (unit_failures)
			dump();
	}
}
