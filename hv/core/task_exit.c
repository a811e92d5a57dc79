/* Task switches that a CPU leaves to software: emul/task.c on a vCPU.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/linear.h"
#include "core/partition.h"
#include "core/vcpu_run.h"
#include "emul/exitop.h"
#include "emul/task.h"
#include "lib/str.h"

#define DR6_BT BIT(15)

static int op_read(struct task *t, gva_t gva, void *buf, unsigned len, bool will_write,
		   struct emul_fault *f)
{
	return linear_read(t->ctx, gva, buf, len, WALK_IMPLICIT | (will_write ? PFEC_W : 0), 0, f);
}

static int op_write(struct task *t, gva_t gva, const void *buf, unsigned len, bool user,
		    struct emul_fault *f)
{
	struct linear *l = t->ctx;

	l->walk.cpl = t->s.cpl;
	return linear_write(l, gva, buf, len, user ? 0 : WALK_IMPLICIT, 0, f);
}

static int op_set_cr3(struct task *t, u64 cr3)
{
	struct linear *l = t->ctx;

	l->walk.cr3 = cr3;
	return vcpu_write_cr3(l->v, cr3);
}

static const struct task_ops vcpu_task_ops = {
	.read = op_read, .write = op_write, .set_cr3 = op_set_cr3};

static void store(struct vcpu *v, struct task *t)
{
	if (t->trap)
		t->s.dr6 |= DR6_BT;
	memcpy(v->gpr, t->gpr, sizeof(v->gpr));
	v->rip = t->rip;
	v->rflags = t->rflags;
	v->int_shadow = false;
	v->engine->set_sregs(v, &t->s);
}

/* The event that led through a gate is delivered with the switch. */
static void settle_event(struct vcpu *v, enum task_source source)
{
	if (v->event.type == EVENT_NMI)
		v->nmi_blocked = true;
	else if (source == TASK_IRET)
		v->nmi_blocked = false;
	v->event.type = EVENT_NONE;
}

/* Bytes of the instruction that asked for the switch, where the CPU does not tell; 0: it is not
 * there any more. */
static unsigned insn_len(struct vcpu *v, const struct exit *x)
{
	struct exitop_insn insn;
	enum code_mode mode;
	u8 buf[INSN_MAX];
	unsigned n;
	const u8 *bytes = vcpu_insn(v, buf, &n, &mode);

	switch (exitop_decode(bytes, n, mode, &insn)) {
	case EXITOP_FAR_CALL:
	case EXITOP_FAR_JMP:
	case EXITOP_IRET:
	case EXITOP_INTN:
	case EXITOP_INT3:
	case EXITOP_INTO:
		return insn.len;
	default:
		vcpu_insn_lost(v, x);
		return 0;
	}
}

void vcpu_exit_task(struct vcpu *v, struct exit *x)
{
	const struct vcpu_event *e = &v->event;
	struct task_cause cause = {.source = x->task.source,
				   .external = e->type != EVENT_NONE,
				   .has_error = e->type == EVENT_EXCEPTION && e->has_error,
				   .error = e->error};
	struct linear l;
	struct task t = {.ops = &vcpu_task_ops, .ctx = &l, .rflags = v->rflags};
	unsigned len = x->insn_len;
	int err;

	if (!len && !cause.external) {
		len = insn_len(v, x);
		if (!len)
			return;
	}
	t.rip = v->rip + len;

	linear_init(&l, v);
	v->engine->get_sregs(v, &t.s);
	memcpy(t.gpr, v->gpr, sizeof(t.gpr));
	err = task_switch(&t, x->task.selector, &cause);
	if (t.switched) {
		settle_event(v, x->task.source);
		store(v, &t);
	}
	if (err)
		vcpu_inject_fault(v, &t.fault);
	else if (t.trap)
		vcpu_inject(v, VEC_DB, false, 0);
}
