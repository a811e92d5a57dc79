/* The emulator's view of a vCPU: linear memory through the guest's page tables, RAM or devices
 * behind it, ports, vector registers live in the CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/partition.h"
#include "core/vcpu_run.h"
#include "core/vecregs.h"
#include "emul/emul.h"
#include "emul/mov64.h"
#include "lib/errno.h"
#include "lib/str.h"

#define MAX_PIECES 2 /* an access of up to 64 bytes touches at most two pages */

struct emul_ctx {
	struct vcpu *v;
	struct walk_regs walk;
	struct walk_mem mem;
};

struct piece {
	gpa_t gpa;
	unsigned len;
};

static struct emul_ctx *ctx_of(struct emul *e)
{
	return e->ctx;
}

static int translate(struct emul_ctx *c, gva_t gva, u32 access, gpa_t *gpa, struct emul_fault *f)
{
	struct walk_result res;

	if (!(c->walk.cr0 & CR0_PG)) {
		*gpa = (u32)gva;
		return 0;
	}
	if (c->walk.cpl == 3)
		access |= PFEC_U;
	if (walk_gva(&c->mem, &c->walk, gva, access, &res) != 0) {
		*f = (struct emul_fault){
			.vector = VEC_PF, .has_error = true, .error = res.error_code, .cr2 = gva};
		return -EFAULT;
	}
	*gpa = res.gpa;
	return 0;
}

/* Every page is translated, with its permission check, before a byte moves. Returns the pieces or
 * an error. */
static int split(struct emul_ctx *c, gva_t gva, unsigned len, u32 access, struct piece *piece,
		 struct emul_fault *f)
{
	int n = 0;

	while (len) {
		unsigned here = MIN(len, (unsigned)(PAGE_SIZE - (gva & (PAGE_SIZE - 1))));
		int err = translate(c, gva, access, &piece[n].gpa, f);

		if (err)
			return err;
		piece[n++].len = here;
		gva += here;
		len -= here;
	}
	return n;
}

/* Device accesses are made in naturally aligned units of at most 8 bytes, as a CPU's bus would;
 * those of a string instruction in its items. */
static unsigned mmio_unit(gpa_t gpa, unsigned len, unsigned item)
{
	for (unsigned size = item ? item : 8; size > 1; size /= 2)
		if (size <= len && !(gpa & (size - 1)))
			return size;
	return 1;
}

static void mmio_read(struct partition *p, gpa_t gpa, u8 *buf, unsigned len, unsigned item)
{
	while (len) {
		unsigned size = mmio_unit(gpa, len, item);
		const struct mmio_range *r = bus_find_mmio(&p->board.bus, gpa);
		u64 value = r ? r->ops->read(r->dev, gpa - r->base, size) : ~0ull;

		p->board.bus.unclaimed_mmio_reads += !r;
		memcpy(buf, &value, size);
		buf += size;
		gpa += size;
		len -= size;
	}
}

static void mmio_write(struct partition *p, gpa_t gpa, const u8 *buf, unsigned len, unsigned item)
{
	while (len) {
		unsigned size = mmio_unit(gpa, len, item);
		const struct mmio_range *r = bus_find_mmio(&p->board.bus, gpa);
		u64 value = 0;

		memcpy(&value, buf, size);
		if (r)
			r->ops->write(r->dev, gpa - r->base, size, value);
		p->board.bus.unclaimed_mmio_writes += !r;
		buf += size;
		gpa += size;
		len -= size;
	}
}

static void phys_read_any(struct partition *p, gpa_t gpa, u8 *buf, unsigned len, unsigned item)
{
	const void *ram = p2m_ptr_read(&p->p2m, gpa);

	if (ram)
		memcpy(buf, ram, len);
	else
		mmio_read(p, gpa, buf, len, item);
}

/* Writes to ROM are dropped, as the board does. */
static void phys_write_any(struct partition *p, gpa_t gpa, const u8 *buf, unsigned len,
			   unsigned item)
{
	void *ram = p2m_ptr(&p->p2m, gpa);

	if (ram)
		memcpy(ram, buf, len);
	else if (!p2m_ptr_read(&p->p2m, gpa))
		mmio_write(p, gpa, buf, len, item);
}

static int op_read(struct emul *e, gva_t gva, void *buf, unsigned len, enum emul_access a,
		   struct emul_fault *f)
{
	struct emul_ctx *c = ctx_of(e);
	u32 access = a == EMUL_FETCH ? PFEC_I : a == EMUL_RMW_READ ? PFEC_W : 0;
	struct piece piece[MAX_PIECES];
	int n = split(c, gva, len, access, piece, f);

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		phys_read_any(c->v->part, piece[i].gpa, buf, piece[i].len, e->item);
		buf = (u8 *)buf + piece[i].len;
	}
	return 0;
}

static int op_write(struct emul *e, gva_t gva, const void *buf, unsigned len, struct emul_fault *f)
{
	struct emul_ctx *c = ctx_of(e);
	struct piece piece[MAX_PIECES];
	int n = split(c, gva, len, PFEC_W, piece, f);

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		phys_write_any(c->v->part, piece[i].gpa, buf, piece[i].len, e->item);
		buf = (const u8 *)buf + piece[i].len;
	}
	return 0;
}

static bool is_ram(struct emul_ctx *c, gva_t gva, struct emul_fault *f)
{
	gpa_t gpa;

	return translate(c, gva, PFEC_W, &gpa, f) == 0 && p2m_ptr(&c->v->part->p2m, gpa);
}

/* A machine has one vCPU and no device runs beside it, so compare and write are atomic for all who
 * can look. A device register was read already and must not be read again: just write. */
static int op_cmpxchg(struct emul *e, gva_t gva, void *old, const void *new_val, unsigned len,
		      struct emul_fault *f)
{
	u8 now[16];
	int err;

	if (!is_ram(ctx_of(e), gva, f))
		return op_write(e, gva, new_val, len, f);
	err = op_read(e, gva, now, len, EMUL_RMW_READ, f);
	if (err)
		return err;
	if (memcmp(now, old, len) != 0) {
		memcpy(old, now, len);
		return 1;
	}
	return op_write(e, gva, new_val, len, f);
}

static u32 op_io_read(struct emul *e, u16 port, unsigned size)
{
	return bus_port_read(&ctx_of(e)->v->part->board.bus, port, size);
}

static void op_io_write(struct emul *e, u16 port, unsigned size, u32 value)
{
	bus_port_write(&ctx_of(e)->v->part->board.bus, port, size, value);
}

static unsigned op_io_read_rep(struct emul *e, u16 port, unsigned size, void *buf, unsigned count)
{
	const struct port_range *r = bus_find_port(&ctx_of(e)->v->part->board.bus, port);

	return r && r->ops->read_rep ? r->ops->read_rep(r->dev, port, size, buf, count) : 0;
}

static unsigned op_io_write_rep(struct emul *e, u16 port, unsigned size, const void *buf,
				unsigned count)
{
	const struct port_range *r = bus_find_port(&ctx_of(e)->v->part->board.bus, port);

	return r && r->ops->write_rep ? r->ops->write_rep(r->dev, port, size, buf, count) : 0;
}

static void op_vec_read(struct emul *e, unsigned reg, void *buf, unsigned len)
{
	(void)e;
	vecreg_read(reg, buf, len);
}

static void op_vec_write(struct emul *e, unsigned reg, const void *buf, unsigned len)
{
	(void)e;
	vecreg_write(reg, buf, len);
}

static const struct emul_ops vcpu_emul_ops = {
	.read = op_read,
	.write = op_write,
	.cmpxchg = op_cmpxchg,
	.io_read = op_io_read,
	.io_write = op_io_write,
	.io_read_rep = op_io_read_rep,
	.io_write_rep = op_io_write_rep,
	.vec_read = op_vec_read,
	.vec_write = op_vec_write,
};

static void load_state(struct emul *e, struct emul_ctx *c, struct vcpu *v, struct vcpu_sregs *r)
{
	v->engine->get_sregs(v, r);
	c->v = v;
	vcpu_walk_mem(v, &c->mem);
	vcpu_walk_regs(v, &c->walk);
	memset(e, 0, sizeof(*e));
	e->ops = &vcpu_emul_ops;
	e->ctx = c;
	memcpy(e->gpr, v->gpr, sizeof(e->gpr));
	e->rip = v->rip;
	e->rflags = v->rflags;
	memcpy(e->seg, r->seg, sizeof(e->seg));
	e->cr0 = r->cr0;
	e->cr4 = r->cr4;
	e->efer = r->efer;
	e->cpl = r->cpl;
}

static void store_state(const struct emul *e, struct vcpu *v, struct vcpu_sregs *r)
{
	memcpy(v->gpr, e->gpr, sizeof(v->gpr));
	v->rip = e->rip;
	v->rflags = e->rflags;
	if (memcmp(r->seg, e->seg, sizeof(e->seg)) != 0) {
		memcpy(r->seg, e->seg, sizeof(e->seg));
		v->engine->set_sregs(v, r);
	}
}

static void inject_fault(struct vcpu *v, const struct emul_fault *f)
{
	if (f->vector == VEC_PF)
		vcpu_inject_pf(v, f->error, f->cr2);
	else
		vcpu_inject(v, f->vector, f->has_error, f->error);
}

static void report_unhandled(struct vcpu *v, const struct emul *e)
{
	char hex[3 * sizeof(e->insn) + 1] = "";

	for (unsigned i = 0; i < e->insn_len && i < sizeof(e->insn); i++)
		snprintf(hex + 3 * i, 4, "%02x ", e->insn[i]);
	partition_end(v->part, STATUS_FAIL, "crash", "cannot emulate %sat rip 0x%llx: %s", hex,
		      (unsigned long long)e->rip, e->why ? e->why : "unknown");
}

/* False, nothing changed: not an instruction the emulator executes. */
static bool emulate(struct vcpu *v, bool may_refuse)
{
	struct vcpu_sregs r;
	struct emul_ctx c;
	struct emul e;

	load_state(&e, &c, v, &r);
	v->part->emulated++;
	switch (emul_step(&e)) {
	case EMUL_DONE:
		store_state(&e, v, &r);
		vcpu_advance(v, 0);
		return true;
	case EMUL_AGAIN:
		store_state(&e, v, &r);
		return true;
	case EMUL_FAULT:
		store_state(&e, v, &r);
		inject_fault(v, &e.fault);
		return true;
	default:
		break;
	}
	if (may_refuse)
		return false;
	/* User code must not be able to stop its own system. */
	if (e.cpl == 3)
		vcpu_inject(v, VEC_UD, false, 0);
	else
		report_unhandled(v, &e);
	return true;
}

void vcpu_emulate(struct vcpu *v)
{
	emulate(v, false);
}

bool vcpu_try_emulate(struct vcpu *v)
{
	return emulate(v, true);
}

/* A plain move of one aligned unit between a register and a device: no need to translate, because
 * the CPU has done so, rights included, and says where it ended. The offset in the page shows that
 * it tells of this operand. False, nothing changed: anything else. */
static bool move_mmio(struct vcpu *v, const struct exit *x)
{
	const u8 *bytes = vcpu_insn_bytes(v);
	gpa_t gpa = x->nested.gpa;
	const struct mmio_range *r;
	struct mov64 m;

	if (!bytes || !mov64_decode(bytes, v->gpr, v->rip, &m) || (gpa & (m.size - 1u)) ||
	    ((gpa ^ m.gva) & (PAGE_SIZE - 1)) || m.store != !!(x->nested.access & PFEC_W))
		return false;
	r = bus_find_mmio(&v->part->board.bus, gpa);
	if (!r)
		return false;
	vcpu_advance(v, m.len);
	if (m.store)
		r->ops->write(r->dev, gpa - r->base, m.size,
			      m.value & (~0ull >> (64 - 8 * m.size)));
	else
		mov64_load(&m, v->gpr, r->ops->read(r->dev, gpa - r->base, m.size));
	v->part->emulated++;
	return true;
}

void vcpu_emulate_mmio(struct vcpu *v, const struct exit *x)
{
	if (!move_mmio(v, x))
		emulate(v, false);
}
