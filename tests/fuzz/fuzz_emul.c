/* The emulator on arbitrary instructions in arbitrary state: no crash, every memory access within
 * its contract (length, no wrap, canonical), bounded work, nothing changed by a fault, and the
 * direct decoder never disagrees with the full one.
 *
 * Guest memory is a function of the address, with unmapped and read-only pages strewn in, so that
 * any address does something.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/emul/emul.c hv/emul/emul_alu.c hv/emul/emul_fast.c hv/emul/emul_flow.c
 * SRCS: hv/emul/emul_modrm.c hv/emul/emul_move.c hv/emul/emul_operand.c hv/emul/emul_string.c
 * SRCS: hv/emul/emul_table.c hv/emul/emul_vec.c hv/emul/emul_zydis.c
 * LIBS: zydis
 */
#include "../unit/emul_compare.h"
#include "fuzz.h"

#define OPS_MAX (3u * EMUL_REP_MAX + 100)

struct guest {
	struct emul e;
	bool long64;
	u8 code[32];
	gva_t code_at;
	unsigned ops;
	u8 sum; /* of what was stored */
};

static u64 mix(u64 v)
{
	v *= 0x9e3779b97f4a7c15;
	return v ^ v >> 29;
}

/* A quarter of all pages is not there, another is read-only. */
static int page_check(gva_t gva, bool write, struct emul_fault *f)
{
	unsigned kind = mix(gva >> PAGE_SHIFT) >> 13 & 3;

	if (kind > 1 || (kind == 1 && !write))
		return 0;
	*f = (struct emul_fault){
		.vector = VEC_PF, .has_error = true, .error = write * 2u, .cr2 = gva};
	return -EFAULT;
}

static int check(struct emul *e, gva_t gva, unsigned len, bool write, struct emul_fault *f)
{
	struct guest *g = e->ctx;
	gva_t last = gva + len - 1;
	int rc;

	MUST(len >= 1 && len <= 64);
	MUST(last >= gva);
	if (g->long64)
		MUST(gva >> 47 == 0 || gva >> 47 == 0x1ffff);
	else
		MUST(last <= 0xffffffff);
	MUST(++g->ops < OPS_MAX);
	rc = page_check(gva, write, f);
	return rc ? rc : page_check(last, write, f);
}

static int fuzz_read(struct emul *e, gva_t gva, void *buf, unsigned len, enum emul_access a,
		     struct emul_fault *f)
{
	struct guest *g = e->ctx;
	int rc;

	if (a == EMUL_FETCH) {
		MUST(gva - g->code_at < 15 && len <= 15);
		memcpy(buf, g->code + (gva - g->code_at), len);
		return 0;
	}
	rc = check(e, gva, len, a == EMUL_RMW_READ, f);
	for (unsigned i = 0; !rc && i < len; i++)
		((u8 *)buf)[i] = (u8)mix(gva + i);
	return rc;
}

static int fuzz_write(struct emul *e, gva_t gva, const void *buf, unsigned len,
		      struct emul_fault *f)
{
	struct guest *g = e->ctx;
	int rc = check(e, gva, len, true, f);

	for (unsigned i = 0; i < len; i++) /* the sanitizer sees @buf's bounds */
		g->sum ^= ((const u8 *)buf)[i];
	return rc;
}

static int fuzz_cmpxchg(struct emul *e, gva_t gva, void *old, const void *new_val, unsigned len,
			struct emul_fault *f)
{
	int rc = check(e, gva, len, true, f);

	MUST(len == 1 || len == 2 || len == 4 || len == 8 || len == 16);
	if (rc)
		return rc;
	if (mix(gva ^ e->rflags) & 0x400) {
		((u8 *)old)[0]++;
		return 1;
	}
	return fuzz_write(e, gva, new_val, len, f);
}

static u32 fuzz_io_read(struct emul *e, u16 port, unsigned size)
{
	(void)e;
	MUST(size == 1 || size == 2 || size == 4);
	return (u32)mix(port);
}

static void fuzz_io_write(struct emul *e, u16 port, unsigned size, u32 value)
{
	(void)e;
	(void)port;
	(void)value;
	MUST(size == 1 || size == 2 || size == 4);
}

static unsigned fuzz_io_read_rep(struct emul *e, u16 port, unsigned size, void *buf, unsigned count)
{
	(void)e;
	MUST(count * size <= 512);
	if (port & 1)
		return 0;
	memset(buf, port, (size_t)count * size);
	return port & 2 ? count : 1;
}

static unsigned fuzz_io_write_rep(struct emul *e, u16 port, unsigned size, const void *buf,
				  unsigned count)
{
	(void)e;
	(void)buf;
	MUST(count * size <= 512);
	return port & 1 ? 0 : port & 2 ? count : 1;
}

static void fuzz_vec_read(struct emul *e, unsigned reg, void *buf, unsigned len)
{
	(void)e;
	MUST(reg < 16 && (len == 16 || len == 32));
	memset(buf, (int)reg, len);
}

static void fuzz_vec_write(struct emul *e, unsigned reg, const void *buf, unsigned len)
{
	(void)e;
	(void)buf;
	MUST(reg < 16 && (len == 16 || len == 32));
}

static const struct emul_ops ops = {
	.read = fuzz_read,
	.write = fuzz_write,
	.cmpxchg = fuzz_cmpxchg,
	.io_read = fuzz_io_read,
	.io_write = fuzz_io_write,
	.io_read_rep = fuzz_io_read_rep,
	.io_write_rep = fuzz_io_write_rep,
	.vec_read = fuzz_vec_read,
	.vec_write = fuzz_vec_write,
};

/* Registers around the values where addresses change their nature. */
static u64 take_value(struct program *p)
{
	static const u64 edge[8] = {
		0, 0x1000, 0x10000, 0x7fffffff, 0x100000000, 0x800000000000, 0xffff800000000000, 0};
	u8 how = take(p);
	u64 v = edge[how & 7];

	if (how & 0x80)
		v = ~v;
	return v + (u64)(s64)(s8)take(p);
}

static void take_segments(struct emul *e, struct program *p)
{
	for (unsigned s = 0; s < 6; s++) {
		u8 how = take(p);

		e->seg[s].attr = (u16)(0x93 | (how & 0xf) | (how & 0x10 ? SEG_ATTR_DB : 0));
		e->seg[s].base = how & 0x20 ? take_value(p) & 0xffffffff : 0;
		e->seg[s].limit = how & 0x40 ? (u32)take_value(p) : 0xffffffff;
		if (how & 0x80)
			e->seg[s].attr = 0;
	}
	e->seg[SEG_FS].base = take_value(p);
}

static void take_state(struct guest *g, struct program *p)
{
	struct emul *e = &g->e;
	u8 mode = take(p);

	e->ops = &ops;
	e->ctx = g;
	e->rflags = (take(p) | (u64)take(p) << 8 | RFLAGS_FIXED) & ~(u64)RFLAGS_TF;
	e->cr0 = mode & 3 ? CR0_PE : 0;
	e->cr4 = mode & 0x20 ? 0 : CR4_OSFXSR | CR4_OSXSAVE;
	take_segments(e, p);
	e->seg[SEG_CS].attr = mode & 4 ? 0xc9b : 0x9b;
	e->seg[SEG_CS].limit = 0xffffffff;
	if ((mode & 3) == 3) {
		e->efer = EFER_LMA | EFER_LME;
		e->seg[SEG_CS].attr = 0xa9b;
		g->long64 = true;
	}
	for (unsigned i = 0; i < GPR_COUNT; i++)
		e->gpr[i] = take_value(p);
	e->rip = mode & 0x40 ? 0x1ff8 : 0x1234; /* over a page border, or within one */
	e->seg[SEG_CS].base &= 0x7fffffff;
	g->code_at = e->rip + (g->long64 ? 0 : e->seg[SEG_CS].base);
	for (unsigned i = 0; i < 15; i++)
		g->code[i] = take(p);
}

static void check_decoders(const u8 *code)
{
	struct emul e;
	struct emul_run fast = {.e = &e}, full = {.e = &e};

	memcpy(e.insn, code, 15);
	for (unsigned mode = 0; mode < EMUL_MODES; mode++) {
		for (unsigned n = 1; n <= 15; n++) {
			fast.mode = full.mode = mode;
			fast.n = full.n = (u8)n;
			if (!emul_decode_fast(&fast))
				continue;
			MUST(emul_decode_full(&full) == 0);
			MUST(fast.i.len <= n && same_insn(&fast.i, &full.i));
		}
	}
}

static void check_unchanged(const struct emul *a, const struct emul *b)
{
	MUST(a->rip == b->rip && a->rflags == b->rflags);
	MUST(memcmp(a->gpr, b->gpr, sizeof(a->gpr)) == 0);
	MUST(memcmp(a->seg, b->seg, sizeof(a->seg)) == 0);
}

static bool is_rep(const struct emul *e)
{
	for (unsigned i = 0; i < 15; i++)
		if (e->insn[i] == 0xf2 || e->insn[i] == 0xf3)
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct program p = {data, data + size};
	struct guest g = {0};
	struct emul before;
	enum emul_result res;

	emul_init();
	take_state(&g, &p);
	check_decoders(g.code);
	before = g.e;
	res = emul_step(&g.e);
	MUST(g.e.insn_len <= 15);
	if (res == EMUL_DONE)
		MUST(g.e.insn_len > 0);
	else
		MUST(g.e.rip == before.rip);
	if (res == EMUL_UNHANDLED)
		MUST(g.e.why != NULL);
	if (res == EMUL_FAULT)
		MUST(g.e.fault.vector < 32);
	if ((res == EMUL_FAULT || res == EMUL_UNHANDLED) && !is_rep(&g.e))
		check_unchanged(&before, &g.e);
	return 0;
}
