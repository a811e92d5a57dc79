/* One emulation step: fetch, decode, execute, commit.
 *
 * Fetching asks only for bytes that lie in the first page, and goes on to the next page only when
 * the decoder says that the instruction reaches there, as a CPU would.
 *
 * SPDX-License-Identifier: MIT
 */
#include "emul/emul_int.h"

int emul_raise(struct emul *e, u8 vector, u32 error)
{
	static const u32 with_error = 1u << VEC_DF | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS |
				      1u << VEC_GP | 1u << VEC_PF | 1u << VEC_AC;

	e->fault = (struct emul_fault){.vector = vector};
	e->fault.has_error = (e->cr0 & CR0_PE) && (with_error >> vector & 1);
	if (e->fault.has_error)
		e->fault.error = error;
	return -EFAULT;
}

int emul_unhandled(struct emul *e, const char *why)
{
	e->why = why;
	return -ENOSYS;
}

int emul_init(void)
{
	emul_decode_init();
	return 0;
}

static enum emul_mode mode_of(const struct emul *e)
{
	u16 cs = e->seg[SEG_CS].attr;

	if ((e->efer & EFER_LMA) && (cs & SEG_ATTR_L))
		return EMUL_LONG64;
	if (cs & SEG_ATTR_DB)
		return EMUL_PROT32;
	if (!(e->cr0 & CR0_PE) || (e->rflags & RFLAGS_VM))
		return EMUL_REAL16;
	return EMUL_PROT16;
}

/* Linear address of the next byte to fetch, and how many the code segment has from there. */
static int fetch_address(struct emul_run *r, gva_t *gva, u64 *left)
{
	const struct segment *cs = &r->e->seg[SEG_CS];
	u64 ip = r->e->rip + r->n;

	*left = INSN_MAX;
	if (r->mode == EMUL_LONG64)
		return emul_linear(r, SEG_CS, ip, 1, false, gva);
	ip = (r->e->rip & 0xffffffff) + r->n;
	if (ip > cs->limit)
		return emul_raise(r->e, VEC_GP, 0);
	*left = cs->limit - ip + 1;
	*gva = (cs->base + ip) & 0xffffffff;
	return 0;
}

/* Fetch more of the window, but not beyond the page that the next byte is in. */
static int fetch(struct emul_run *r)
{
	unsigned want = INSN_MAX - r->n;
	gva_t gva;
	u64 left;
	int rc = fetch_address(r, &gva, &left);

	if (rc)
		return rc;
	want = MIN(want, (unsigned)(PAGE_SIZE - (gva & (PAGE_SIZE - 1))));
	want = (unsigned)MIN((u64)want, left);
	rc = emul_load(r, gva, r->e->insn + r->n, want, EMUL_FETCH);
	if (rc)
		return rc;
	r->n += (u8)want;
	return 0;
}

static int decode(struct emul_run *r)
{
	if (emul_decode_fast(r))
		return 0;
	return emul_decode_full(r);
}

static int fetch_and_decode(struct emul_run *r)
{
	int rc = -EAGAIN;

	while (rc == -EAGAIN) {
		if (r->n == INSN_MAX) /* the window is full, yet the decoder wants more */
			return emul_raise(r->e, VEC_GP, 0);
		rc = fetch(r);
		if (rc)
			return rc;
		rc = decode(r);
	}
	if (rc == -E2BIG)
		return emul_raise(r->e, VEC_GP, 0);
	if (rc == -EINVAL)
		return emul_raise(r->e, VEC_UD, 0);
	return rc;
}

static enum emul_result outcome(struct emul *e, int rc)
{
	switch (rc) {
	case -EFAULT:
		return EMUL_FAULT;
	case -EAGAIN:
		return EMUL_AGAIN;
	case -EIO:
		e->why = "memory access failed";
		return EMUL_UNHANDLED;
	default:
		return EMUL_UNHANDLED;
	}
}

static unsigned stack_width(const struct emul_run *r)
{
	if (r->mode == EMUL_LONG64)
		return 8;
	return r->e->seg[SEG_SS].attr & SEG_ATTR_DB ? 4 : 2;
}

enum emul_result emul_step(struct emul *e)
{
	struct emul_run r;
	int rc;

	r.e = e;
	r.mode = mode_of(e);
	r.n = 0;
	e->why = NULL;
	e->insn_len = 0;
	e->item = 0;
	rc = fetch_and_decode(&r);
	if (rc)
		return outcome(e, rc);
	e->insn_len = r.i.len;
	r.asize_ss = (u8)stack_width(&r);
	r.next_rip = e->rip + r.i.len;
	if (r.mode != EMUL_LONG64)
		r.next_rip &= 0xffffffff;
	rc = r.i.op->run(&r);
	if (rc)
		return outcome(e, rc);
	e->rip = r.next_rip;
	e->rflags &= ~RFLAGS_RF;
	return EMUL_DONE;
}
