/* Finding the guest's current instruction: a fresh walk of its page tables at every exit, because
 * nothing fetched earlier may be trusted once the guest has run.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/partition.h"
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "lib/str.h"
#include "paging/look.h"

#define likely(x) __builtin_expect(!!(x), 1)
/* An exit whose instruction cannot be found is run again; a guest that cannot get past it is
 * stopped. */
#define LOST_INSN_LIMIT 1000u

static void *walk_ram(void *ctx, gpa_t gpa)
{
	return p2m_ptr(ctx, gpa);
}

const struct walk_mem *vcpu_walk_mem(const struct vcpu *v, struct walk_mem *m)
{
	m->ram = walk_ram;
	m->ctx = &v->part->p2m;
	return m;
}

static void walk_regs_from_code(const struct vcpu *v, const struct vcpu_code *c,
				struct walk_regs *r)
{
	const struct partition *p = v->part;

	r->cr0 = c->cr0;
	r->cr3 = c->cr3;
	r->cr4 = c->cr4;
	r->efer = c->efer;
	r->rflags = v->rflags;
	r->pkru = c->cr4 & CR4_PKE ? rdpkru() : 0;
	r->cpl = c->cpl;
	r->maxphyaddr = p->phys_bits;
	r->has_1g = p->cpuid.has_1g;
	r->pml4_g_rsvd = p->cpuid.amd;
	r->pdpte = v->pdptes;
}

void vcpu_walk_regs(const struct vcpu *v, struct walk_regs *r)
{
	struct vcpu_code c;

	v->engine->get_code(v, &c);
	walk_regs_from_code(v, &c, r);
}

static gva_t code_address(const struct vcpu *v, const struct vcpu_code *c)
{
	if ((c->efer & EFER_LMA) && (c->cs_attr & SEG_ATTR_L))
		return v->rip;
	return (u32)(c->cs_base + (u32)v->rip);
}

/* Pointer to the code byte at @gva and how many bytes of its page follow (at least 1). */
static const u8 *code_page(const struct vcpu *v, const struct walk_regs *r, gva_t gva, unsigned *n)
{
	u32 access = PFEC_I | WALK_NO_AD | (r->cpl == 3 ? PFEC_U : 0);
	struct walk_result res;
	struct walk_mem m;

	*n = (unsigned)(PAGE_SIZE - (gva & (PAGE_SIZE - 1)));
	if (!(r->cr0 & CR0_PG))
		return p2m_ptr_read(&v->part->p2m, gva);
	if (walk_gva(vcpu_walk_mem(v, &m), r, gva, access, &res) != 0)
		return NULL;
	return p2m_ptr_read(&v->part->p2m, res.gpa);
}

static const void *look_ram(const void *ctx, gpa_t gpa)
{
	return p2m_peek(ctx, gpa);
}

/* The common case, on the way of every exit that has to know a length: 64-bit code, whole in one
 * page of memory. NULL: take the general way. */
static inline __attribute__((always_inline)) const u8 *fetch_long(const struct vcpu *v)
{
	const struct p2m *m = &v->part->p2m;
	gpa_t gpa;

	if ((v->rip & (PAGE_SIZE - 1)) > PAGE_SIZE - INSN_MAX || !(*v->live.efer & EFER_LMA) ||
	    !(*v->live.cs_attr & SEG_ATTR_L) || !look_long(*v->live.cr3, v->rip, look_ram, m, &gpa))
		return NULL;
	return p2m_peek(m, gpa);
}

const u8 *vcpu_insn_bytes(const struct vcpu *v)
{
	return fetch_long(v);
}

/* Bytes at RIP without copying where one page holds them all, else gathered in @buf. */
static const u8 *fetch_any(const struct vcpu *v, const struct vcpu_code *c, u8 *buf, unsigned *n)
{
	struct walk_regs r;
	gva_t gva = code_address(v, c);
	const u8 *first, *second;
	unsigned have, more;

	walk_regs_from_code(v, c, &r);
	first = code_page(v, &r, gva, &have);
	if (!first) {
		*n = 0;
		return buf;
	}
	if (have >= INSN_MAX) {
		*n = INSN_MAX;
		return first;
	}
	memcpy(buf, first, have);
	second = code_page(v, &r, gva + have, &more);
	if (second)
		memcpy(buf + have, second, INSN_MAX - have);
	*n = second ? INSN_MAX : have;
	return buf;
}

unsigned vcpu_fetch(const struct vcpu *v, u8 *buf)
{
	struct vcpu_code c;
	unsigned n;
	const u8 *bytes;

	v->engine->get_code(v, &c);
	bytes = fetch_any(v, &c, buf, &n);
	if (bytes != buf)
		memcpy(buf, bytes, n);
	return n;
}

const u8 *vcpu_insn(const struct vcpu *v, u8 *buf, unsigned *n, enum code_mode *mode)
{
	const u8 *bytes = fetch_long(v);
	struct vcpu_code c;

	*mode = CODE_64;
	*n = INSN_MAX;
	if (likely(bytes))
		return bytes;
	v->engine->get_code(v, &c);
	*mode = vcpu_code_mode(&c);
	return fetch_any(v, &c, buf, n);
}

/* LOCK before an instruction that does not take it is #UD; not every CPU sees that before it exits.
 */
static bool has_lock(const u8 *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		switch (bytes[i]) {
		case 0xf0:
			return true;
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
		case 0x64 ... 0x67:
		case 0xf2:
		case 0xf3:
			break;
		default:
			return false;
		}
	}
	return false;
}

void vcpu_insn_lost(struct vcpu *v, const struct exit *x)
{
	if (++v->part->lost_insns > LOST_INSN_LIMIT)
		partition_end(v->part, STATUS_FAIL, "crash",
			      "no instruction of exit 0x%llx at rip 0x%llx",
			      (unsigned long long)x->code, (unsigned long long)v->rip);
}

/* What stands at RIP is not what exited. */
static void insn_lost(struct vcpu *v, const struct exit *x, const u8 *bytes, unsigned n)
{
	if (has_lock(bytes, n))
		vcpu_inject(v, VEC_UD, false, 0);
	else
		vcpu_insn_lost(v, x);
}

/* Everything but the plain case: prefixes (@bytes are there), other modes, page borders, what is
 * not there any more. */
static __attribute__((noinline)) unsigned insn_len_slow(struct vcpu *v, const struct exit *x,
							enum exitop op, const u8 *bytes)
{
	struct vcpu_code c;
	u8 buf[INSN_MAX];
	unsigned n, len;

	if (bytes) {
		len = exitop_len(bytes, INSN_MAX, CODE_64, op);
		if (len)
			return len;
	}
	v->engine->get_code(v, &c);
	bytes = fetch_any(v, &c, buf, &n);
	len = exitop_len(bytes, n, vcpu_code_mode(&c), op);
	if (!len)
		insn_lost(v, x, bytes, n);
	return len;
}

unsigned vcpu_decode_len(struct vcpu *v, const struct exit *x, enum exitop op)
{
	const u8 *bytes = fetch_long(v);
	unsigned len = likely(bytes) ? exitop_plain_len(bytes, op) : 0;

	return likely(len) ? len : insn_len_slow(v, x, op, bytes);
}
