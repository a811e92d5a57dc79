/* Would catch: a plain move that the short cut for device registers decodes otherwise than the
 * emulator (length, address, size, register, sign or zero extension), one that it takes though it
 * is something else, and common forms that it does not take.
 *
 * SRCS: hv/emul/mov64.c
 * SRCS: hv/emul/emul.c hv/emul/emul_alu.c hv/emul/emul_fast.c hv/emul/emul_flow.c
 * SRCS: hv/emul/emul_modrm.c hv/emul/emul_move.c hv/emul/emul_operand.c hv/emul/emul_string.c
 * SRCS: hv/emul/emul_table.c hv/emul/emul_vec.c hv/emul/emul_zydis.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/emul.h"
#include "emul/mov64.h"
#include "unit.h"

#define MEMORY_VALUE 0x8182838485868788ull
#define RIP	     0x401000ull
#define ROUNDS	     300000

/* What the emulator did to memory; every address can be read and written. */
struct seen {
	struct emul e;
	const u8 *code;
	unsigned loads, stores;
	gva_t gva;
	unsigned len;
	u64 value;
};

static int seen_read(struct emul *e, gva_t gva, void *buf, unsigned len, enum emul_access a,
		     struct emul_fault *f)
{
	struct seen *s = e->ctx;
	u64 value = MEMORY_VALUE;

	(void)f;
	if (a == EMUL_FETCH) {
		memcpy(buf, s->code + (gva - RIP), len);
		return 0;
	}
	memset(buf, 0, len);
	memcpy(buf, &value, len < 8 ? len : 8);
	s->loads++;
	s->gva = gva;
	s->len = len;
	return 0;
}

static int seen_write(struct emul *e, gva_t gva, const void *buf, unsigned len,
		      struct emul_fault *f)
{
	struct seen *s = e->ctx;

	(void)f;
	s->value = 0;
	memcpy(&s->value, buf, len < 8 ? len : 8);
	s->stores++;
	s->gva = gva;
	s->len = len;
	return 0;
}

static const struct emul_ops seen_ops = {.read = seen_read, .write = seen_write};

static enum emul_result step(struct seen *s, const u8 *code, const u64 *gpr)
{
	emul_init();
	memset(s, 0, sizeof(*s));
	s->code = code;
	s->e = (struct emul){.ops = &seen_ops, .ctx = s, .rip = RIP, .rflags = 2};
	s->e.cr0 = CR0_PE | CR0_PG;
	s->e.cr4 = CR4_PAE;
	s->e.efer = EFER_LME | EFER_LMA;
	s->e.seg[SEG_CS].attr = SEG_ATTR_L | SEG_ATTR_P | 0x1b;
	memcpy(s->e.gpr, gpr, sizeof(s->e.gpr));
	return emul_step(&s->e);
}

static u64 mask_of(unsigned size)
{
	return size == 8 ? ~0ull : BIT(8 * size) - 1;
}

/* Both ways to the same end. False: the short cut declined. */
static bool same(const u8 *code, const u64 *gpr)
{
	struct mov64 m;
	struct seen s;
	u64 after[GPR_COUNT];

	if (!mov64_decode(code, gpr, RIP, &m))
		return false;
	CHECK_EQ(step(&s, code, gpr), EMUL_DONE);
	CHECK_EQ(s.e.rip, RIP + m.len);
	CHECK_EQ(s.stores, m.store);
	CHECK_EQ(s.loads, !m.store);
	CHECK_EQ(s.gva, m.gva);
	CHECK_EQ(s.len, m.size);
	memcpy(after, gpr, sizeof(after));
	if (m.store)
		CHECK_EQ(m.value & mask_of(m.size), s.value);
	else
		mov64_load(&m, after, MEMORY_VALUE);
	CHECK(memcmp(after, s.e.gpr, sizeof(after)) == 0);
	return true;
}

static u64 rng(void)
{
	static u64 state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 2685821657736338717ull;
}

/* Canonical and away from the ends, so that no address wraps. */
static void random_registers(u64 *gpr)
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		gpr[i] = rng() >> 24;
}

static unsigned put_prefixes(u8 *code)
{
	static const u8 others[] = {0x67, 0x64, 0x2e, 0xf0, 0xf2, 0xf3};
	unsigned n = 0;

	if (rng() % 16 == 0)
		code[n++] = others[rng() % sizeof(others)];
	if (rng() % 4 == 0)
		code[n++] = 0x66;
	if (rng() % 2)
		code[n++] = 0x40 | (rng() & 15);
	return n;
}

TEST(random_moves_mean_the_same_to_the_emulator)
{
	static const u8 opcodes[] = {0x88, 0x89, 0x8a, 0x8b, 0xc6, 0xc7, 0xb6, 0xb7, 0x8c, 0x00};
	unsigned taken = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		u8 code[32];
		u64 gpr[GPR_COUNT];
		unsigned n = put_prefixes(code);
		u8 op = opcodes[rng() % sizeof(opcodes)];

		random_registers(gpr);
		if ((op & 0xfe) == 0xb6)
			code[n++] = 0x0f;
		code[n++] = op;
		while (n < sizeof(code))
			code[n++] = (u8)(rng() >> 32);
		taken += same(code, gpr);
	}
	CHECK(taken > ROUNDS / 4);
}

TEST(random_bytes_mean_the_same_to_the_emulator)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		u8 code[32];
		u64 gpr[GPR_COUNT];

		random_registers(gpr);
		for (unsigned n = 0; n < sizeof(code); n++)
			code[n] = (u8)(rng() >> 32);
		same(code, gpr);
	}
}

TEST(what_drivers_use_is_taken)
{
	static const u8 forms[][32] = {
		{0x89, 0x07},					  /* mov %eax,(%rdi) */
		{0x8b, 0x00},					  /* mov (%rax),%eax */
		{0x41, 0x89, 0x3c, 0x24},			  /* mov %edi,(%r12) */
		{0x89, 0xb7, 0x00, 0xb0, 0x5f, 0xff},		  /* mov %esi,-0xa05000(%rdi) */
		{0x48, 0x8b, 0x04, 0xc5, 0x00, 0x10, 0x00, 0x00}, /* mov 0x1000(,%rax,8),%rax */
		{0x89, 0x34, 0x25, 0xb0, 0xb0, 0x5f, 0xff},	  /* mov %esi,0xffffffffff5fb0b0 */
		{0x66, 0x89, 0x10},				  /* mov %dx,(%rax) */
		{0x0f, 0xb6, 0x40, 0x04},			  /* movzbl 4(%rax),%eax */
		{0x8b, 0x05, 0x10, 0x00, 0x00, 0x00},		  /* mov 0x10(%rip),%eax */
		{0xc7, 0x40, 0x10, 0x01, 0x00, 0x00, 0x80},	  /* movl $0x80000001,0x10(%rax) */
	};
	u64 gpr[GPR_COUNT];

	random_registers(gpr);
	gpr[GPR_RDI] = 0xffffffffff000000ull;
	for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		CHECK(same(forms[i], gpr));
}

TEST(other_instructions_are_left_alone)
{
	static const u8 forms[][16] = {
		{0x8b, 0xc0},		  /* mov %eax,%eax: no memory */
		{0x88, 0x20},		  /* mov %ah,(%rax) */
		{0xc7, 0x48, 0x10},	  /* C7 /1 */
		{0x64, 0x8b, 0x00},	  /* FS */
		{0x67, 0x8b, 0x00},	  /* 32-bit address */
		{0xf0, 0x89, 0x07},	  /* LOCK */
		{0x01, 0x07},		  /* add %eax,(%rdi) */
		{0x0f, 0xbe, 0x07},	  /* movsbl */
		{0x48, 0x66, 0x8b, 0x00}, /* a REX that is none */
	};
	u64 gpr[GPR_COUNT] = {0};
	struct mov64 m;

	for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		CHECK(!mov64_decode(forms[i], gpr, RIP, &m));
}
