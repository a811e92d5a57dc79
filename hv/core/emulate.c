/* The emulator's view of a vCPU: linear memory, ports, vector registers live in the CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/linear.h"
#include "core/partition.h"
#include "core/vcpu_run.h"
#include "core/vecregs.h"
#include "emul/emul.h"
#include "emul/mov64.h"
#include "lib/errno.h"
#include "lib/str.h"

static struct linear *linear_of(struct emul *e)
{
	return e->ctx;
}

static struct bus *bus_of(struct emul *e)
{
	return &linear_of(e)->v->part->board.bus;
}

static int op_read(struct emul *e, gva_t gva, void *buf, unsigned len, enum emul_access a,
		   struct emul_fault *f)
{
	u32 access = a == EMUL_FETCH ? PFEC_I : a == EMUL_RMW_READ ? PFEC_W : 0;

	return linear_read(linear_of(e), gva, buf, len, access, e->item, f);
}

static int op_write(struct emul *e, gva_t gva, const void *buf, unsigned len, struct emul_fault *f)
{
	return linear_write(linear_of(e), gva, buf, len, 0, e->item, f);
}

/* A machine has one vCPU and no device runs beside it, so compare and write are atomic for all who
 * can look. A device register was read already and must not be read again: just write. */
static int op_cmpxchg(struct emul *e, gva_t gva, void *old, const void *new_val, unsigned len,
		      struct emul_fault *f)
{
	u8 now[16];
	int err;

	if (!linear_is_ram(linear_of(e), gva, f))
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
	return bus_port_read(bus_of(e), port, size);
}

static void op_io_write(struct emul *e, u16 port, unsigned size, u32 value)
{
	bus_port_write(bus_of(e), port, size, value);
}

static unsigned op_io_read_rep(struct emul *e, u16 port, unsigned size, void *buf, unsigned count)
{
	const struct port_range *r = bus_find_port(bus_of(e), port);

	return r && r->ops->read_rep ? r->ops->read_rep(r->dev, port, size, buf, count) : 0;
}

static unsigned op_io_write_rep(struct emul *e, u16 port, unsigned size, const void *buf,
				unsigned count)
{
	const struct port_range *r = bus_find_port(bus_of(e), port);

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

static void load_state(struct emul *e, struct linear *l, struct vcpu *v, struct vcpu_sregs *r)
{
	v->engine->get_sregs(v, r);
	linear_init(l, v);
	memset(e, 0, sizeof(*e));
	e->ops = &vcpu_emul_ops;
	e->ctx = l;
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
	struct linear l;
	struct emul e;

	load_state(&e, &l, v, &r);
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
		vcpu_inject_fault(v, &e.fault);
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
static bool move_mmio(struct vcpu *v, const struct paging_fault *f)
{
	const u8 *bytes = vcpu_insn_bytes(v);
	gpa_t gpa = f->gpa;
	const struct mmio_range *r;
	struct mov64 m;

	if (!bytes || !mov64_decode(bytes, v->gpr, v->rip, &m) || (gpa & (m.size - 1u)) ||
	    ((gpa ^ m.gva) & (PAGE_SIZE - 1)) || m.store != !!(f->access & PFEC_W))
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

void vcpu_emulate_mmio(struct vcpu *v, const struct paging_fault *f)
{
	if (!move_mmio(v, f))
		emulate(v, false);
}
