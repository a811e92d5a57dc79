/* From VMCB exit fields to struct exit. APM vol. 2 §15.9-15.15 and appendix C.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/svm/svm.h"
#include "lib/str.h"

/* Exit codes whose translation is only their name. */
const u8 svm_plain_reason[SVM_PLAIN_REASONS] = {
	[SVM_EXIT_INTR] = EXIT_INTR + 1,
	[SVM_EXIT_NMI] = EXIT_NMI + 1,
	[SVM_EXIT_INIT] = EXIT_INIT + 1,
	[SVM_EXIT_VINTR] = EXIT_WINDOW + 1,
	[SVM_EXIT_RDTSC] = EXIT_RDTSC + 1,
	[SVM_EXIT_RDPMC] = EXIT_RDPMC + 1,
	[SVM_EXIT_CPUID] = EXIT_CPUID + 1,
	[SVM_EXIT_IRET] = EXIT_IRET + 1,
	[SVM_EXIT_INVD] = EXIT_CACHE + 1,
	[SVM_EXIT_PAUSE] = EXIT_PAUSE + 1,
	[SVM_EXIT_HLT] = EXIT_HLT + 1,
	[SVM_EXIT_INVLPGA] = EXIT_VIRT + 1,
	[SVM_EXIT_SHUTDOWN] = EXIT_SHUTDOWN + 1,
	[SVM_EXIT_VMRUN... SVM_EXIT_SKINIT] = EXIT_VIRT + 1,
	[SVM_EXIT_WBINVD] = EXIT_CACHE + 1,
	[SVM_EXIT_MONITOR] = EXIT_MWAIT + 1,
	[SVM_EXIT_MWAIT] = EXIT_MWAIT + 1,
	[SVM_EXIT_MWAIT_ARMED] = EXIT_MWAIT + 1,
	[SVM_EXIT_XSETBV] = EXIT_XSETBV + 1,
};

static void decode_io(const struct vmcb *c, struct exit *x)
{
	x->reason = EXIT_IO;
	x->io.port = (u16)(c->info1 >> IOIO_PORT_SHIFT);
	x->io.size = (u8)((c->info1 >> IOIO_SIZE_SHIFT) & 7);
	x->io.in = c->info1 & IOIO_IN;
	x->io.string = c->info1 & IOIO_STRING;
	x->io.rep = c->info1 & IOIO_REP;
	x->io.next_rip = c->info2;
}

static void decode_nested(const struct vmcb *c, struct exit *x)
{
	x->reason = EXIT_NESTED;
	x->nested.gpa = c->info2;
	x->nested.present = c->info1 & 1;
	x->nested.access = (u32)c->info1 & (2u | 16u);
	x->nested.table = c->info1 & NPF_TABLE;
}

/* With decode assists EXITINFO1 names the register of a MOV (bit 63 set for MOV). */
static void decode_cr(struct vcpu *v, struct exit *x)
{
	const struct vmcb *c = svm_of(v)->vmcb;

	x->reason = EXIT_CR;
	x->cr.cr = (u8)(c->exit_code & 0xf);
	/* Some CPUs have changed EFER.LMA by the time they see that the write of CR0.PG exits. */
	if (x->cr.cr == 0 || c->exit_code == SVM_EXIT_CR0_SEL)
		svm_load_modes(svm_of(v), svm_guest_cr0(svm_of(v)));
	x->cr.write = c->exit_code >= SVM_EXIT_CR_WRITE;
	x->cr.gpr = CR_GPR_UNKNOWN;
	if (svm_caps.decode && (c->info1 >> 63))
		x->cr.gpr = (u8)(c->info1 & 0xf);
	if (c->exit_code == SVM_EXIT_CR0_SEL) {
		x->cr.cr = 0;
		x->cr.write = true;
	}
}

/* With decode assists EXITINFO1 is the address. */
static void decode_invlpg(const struct vmcb *c, struct exit *x)
{
	x->reason = EXIT_INVLPG;
	x->invlpg.told = svm_caps.decode && x->insn_len;
	x->invlpg.gva = c->info1;
}

/* What @v->event tells has been taken back by now: a gate was the way where there is one. INT n
 * leaves none, but an instruction. */
static void decode_task(struct vcpu *v, const struct vmcb *c, struct exit *x)
{
	x->reason = EXIT_TASK;
	x->task.selector = (u16)c->info1;
	x->task.source = c->exit_int_info & EVENT_VALID ? TASK_GATE
			 : c->info2 & TASK_BY_IRET	? TASK_IRET
			 : c->info2 & TASK_BY_JMP	? TASK_JMP
							: TASK_CALL;
	if (v->event.type != EVENT_NONE)
		x->insn_len = 0;
}

static void decode_exception(const struct vmcb *c, struct exit *x)
{
	x->reason = EXIT_EXCEPTION;
	x->exc.vector = (u8)(c->exit_code - SVM_EXIT_EXCEPTION);
	x->exc.error = (u32)c->info1;
	x->exc.cr2 = c->info2;
}

/* An event whose delivery the exit interrupted goes back to the vCPU. Software interrupts and the
 * software exceptions INT3/INTO are dropped: RIP still stands at the instruction, which runs again.
 */
static void take_back_event(struct vcpu *v, const struct vmcb *c)
{
	u64 info = c->exit_int_info;
	unsigned type = (info >> EVENT_TYPE_SHIFT) & EVENT_TYPE_MASK;
	u8 vector = (u8)(info & EVENT_VECTOR);

	v->event.type = EVENT_NONE;
	if (!(info & EVENT_VALID))
		return;
	/* An interrupt delivered from V_IRQ is reported as an exception by some CPUs; no exception
	 * has a vector that high. */
	if (type == SVM_EVENT_EXCEPTION && vector >= 32)
		type = SVM_EVENT_INTR;
	if (type == SVM_EVENT_SOFT)
		return;
	if (type == SVM_EVENT_EXCEPTION && (vector == VEC_BP || vector == VEC_OF))
		return;
	v->event.type = type == SVM_EVENT_NMI	      ? EVENT_NMI
			: type == SVM_EVENT_EXCEPTION ? EVENT_EXCEPTION
						      : EVENT_EXTINT;
	v->event.vector = vector;
	v->event.has_error = info & EVENT_ERROR_VALID;
	v->event.error = (u32)(info >> 32);
}

void svm_decode_exit(struct vcpu *v, struct exit *x)
{
	const struct vmcb *c = svm_of(v)->vmcb;
	u64 code = c->exit_code;

	x->code = code;
	x->insn_len = 0;
	if (svm_caps.next_rip && c->next_rip > v->rip && c->next_rip - v->rip <= 15)
		x->insn_len = (u8)(c->next_rip - v->rip);
	v->event.type = EVENT_NONE;
	if (c->exit_int_info & EVENT_VALID)
		take_back_event(v, c);
	if (code < SVM_PLAIN_REASONS && svm_plain_reason[code])
		x->reason = svm_plain_reason[code] - 1;
	else if (code - SVM_EXIT_EXCEPTION < SVM_EXIT_INTR - SVM_EXIT_EXCEPTION)
		decode_exception(c, x);
	else if (code == SVM_EXIT_IOIO)
		decode_io(c, x);
	else if (code == SVM_EXIT_INVLPG)
		decode_invlpg(c, x);
	else if (code == SVM_EXIT_TASK)
		decode_task(v, c, x);
	else if (code == SVM_EXIT_MSR)
		x->reason = c->info1 ? EXIT_WRMSR : EXIT_RDMSR;
	else if (code == SVM_EXIT_NPF)
		decode_nested(c, x);
	else if (code < SVM_EXIT_DR_READ || code == SVM_EXIT_CR0_SEL)
		decode_cr(v, x);
	else if (code < SVM_EXIT_EXCEPTION)
		x->reason = EXIT_DR;
	else
		x->reason = (u32)code == SVM_EXIT_INVALID_LOW ? EXIT_INVALID : EXIT_UNKNOWN;
}
