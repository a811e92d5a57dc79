/* From VMCS exit fields to struct exit. SDM vol. 3 §28.2, appendix C.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/vmx/vmx.h"
#include "engine/vmx/vmx_ops.h"
#include "lib/cpuops.h"

#define DR7_GD BIT(13)

/* exit.nested.access is in the form of a page fault's error code. */
#define ACCESS_WRITE 2u
#define ACCESS_FETCH 16u

#define PLAIN(reason) ((reason) + 1)
#define INSN(reason)  (PLAIN(reason) | VMX_PLAIN_LEN)

/* A lowered CR8 is nothing but the end of a wait; a preemption timer that ran out has the host look
 * for its interrupts. */
const u8 vmx_plain_reason[VMX_PLAIN_REASONS] = {
	[VMX_EXIT_EXTINT] = PLAIN(EXIT_INTR),
	[VMX_EXIT_TRIPLE_FAULT] = PLAIN(EXIT_SHUTDOWN),
	[VMX_EXIT_INIT] = PLAIN(EXIT_INIT),
	[VMX_EXIT_INTR_WINDOW] = PLAIN(EXIT_WINDOW),
	[VMX_EXIT_NMI_WINDOW] = PLAIN(EXIT_IRET),
	[VMX_EXIT_CPUID] = INSN(EXIT_CPUID),
	[VMX_EXIT_GETSEC] = INSN(EXIT_VIRT),
	[VMX_EXIT_HLT] = INSN(EXIT_HLT),
	[VMX_EXIT_INVD] = INSN(EXIT_CACHE),
	[VMX_EXIT_RDPMC] = INSN(EXIT_RDPMC),
	[VMX_EXIT_RDTSC] = INSN(EXIT_RDTSC),
	[VMX_EXIT_VMCALL... VMX_EXIT_VMXON] = INSN(EXIT_VIRT),
	[VMX_EXIT_DR] = INSN(EXIT_DR),
	[VMX_EXIT_RDMSR] = INSN(EXIT_RDMSR),
	[VMX_EXIT_WRMSR] = INSN(EXIT_WRMSR),
	[VMX_EXIT_MWAIT] = INSN(EXIT_MWAIT),
	[VMX_EXIT_MONITOR] = INSN(EXIT_MWAIT),
	[VMX_EXIT_PAUSE] = INSN(EXIT_PAUSE),
	[VMX_EXIT_TPR_BELOW] = PLAIN(EXIT_WINDOW),
	[VMX_EXIT_INVEPT] = INSN(EXIT_VIRT),
	[VMX_EXIT_RDTSCP] = INSN(EXIT_RDTSC),
	[VMX_EXIT_TIMER] = PLAIN(EXIT_INTR),
	[VMX_EXIT_INVVPID] = INSN(EXIT_VIRT),
	[VMX_EXIT_WBINVD] = INSN(EXIT_CACHE),
	[VMX_EXIT_XSETBV] = INSN(EXIT_XSETBV),
	[VMX_EXIT_INVPCID] = INSN(EXIT_VIRT),
	[VMX_EXIT_VMFUNC] = INSN(EXIT_VIRT),
};

static void decode_io(struct exit *x, u64 qual)
{
	x->reason = EXIT_IO;
	x->insn_len = (u8)vmread(VMCS_EXIT_INSN_LEN);
	x->io.port = (u16)(qual >> IO_QUAL_PORT_SHIFT);
	x->io.size = (u8)((qual & IO_QUAL_SIZE) + 1);
	x->io.in = qual & IO_QUAL_IN;
	x->io.string = qual & IO_QUAL_STRING;
	x->io.rep = qual & IO_QUAL_REP;
	x->io.next_rip = 0;
}

/* Bring up to date what vcpu.live shows: whoever has to look at the instruction starts there. */
static void show_code(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_of(v);

	s->live_cr3 = vmx_read_cr3(s);
	s->live_efer = vmx_read_efer(s);
	s->live_cs_attr = vmx_attr_of_rights((u32)vmread(VMCS_GUEST_CS_RIGHTS));
}

/* The access was made by an IRET that had unblocked NMIs already: it will run again. */
static void block_nmi_again(struct vcpu *v, u32 vectoring)
{
	if (!(vectoring & INTR_VALID))
		v->nmi_blocked = true;
}

static void decode_nested(struct vcpu *v, struct exit *x, u64 qual, u32 vectoring)
{
	if (qual & EPT_QUAL_NMI_UNBLOCKED)
		block_nmi_again(v, vectoring);
	show_code(v);
	x->reason = EXIT_NESTED;
	x->nested.gpa = vmread(VMCS_GUEST_PHYSICAL);
	x->nested.present = qual & EPT_QUAL_ALLOWED;
	x->nested.access = qual & EPT_QUAL_WRITE ? ACCESS_WRITE : 0;
	if (qual & EPT_QUAL_FETCH)
		x->nested.access |= ACCESS_FETCH;
	x->nested.table = (qual & EPT_QUAL_LINEAR) && !(qual & EPT_QUAL_FINAL);
}

/* The same exit as where the page is not mapped at all, except that the CPU says less of it. */
static void decode_apic_access(struct vcpu *v, struct exit *x, u64 qual)
{
	unsigned type = (qual >> APIC_QUAL_TYPE_SHIFT) & APIC_QUAL_TYPE_MASK;

	show_code(v);
	x->reason = EXIT_NESTED;
	x->nested.gpa = v->apic_at + (qual & APIC_QUAL_OFFSET);
	x->nested.present = false;
	x->nested.access = type == APIC_LINEAR_WRITE   ? ACCESS_WRITE
			   : type == APIC_LINEAR_FETCH ? ACCESS_FETCH
						       : 0;
	x->nested.table = type == APIC_PHYSICAL || type == APIC_PHYSICAL_EVENT;
}

static void decode_apic_write(struct exit *x, u64 qual)
{
	x->reason = EXIT_APIC;
	x->apic.offset = qual & APIC_QUAL_OFFSET;
}

static void decode_cr(struct vcpu *v, struct exit *x, u64 qual)
{
	unsigned type = (qual >> CR_QUAL_TYPE_SHIFT) & CR_QUAL_TYPE_MASK;

	show_code(v);
	x->reason = EXIT_CR;
	x->insn_len = (u8)vmread(VMCS_EXIT_INSN_LEN);
	x->cr.cr = (u8)(qual & CR_QUAL_NUMBER);
	x->cr.write = type != CR_MOV_FROM;
	x->cr.gpr = CR_GPR_UNKNOWN;
	if (type <= CR_MOV_FROM)
		x->cr.gpr = (u8)((qual >> CR_QUAL_GPR_SHIFT) & CR_QUAL_GPR_MASK);
}

static void decode_invlpg(struct exit *x, u64 qual)
{
	x->reason = EXIT_INVLPG;
	x->insn_len = (u8)vmread(VMCS_EXIT_INSN_LEN);
	x->invlpg.told = true;
	x->invlpg.gva = qual;
}

/* SDM vol. 3 §28.2.5: the instruction's length is told where an instruction asked for the switch.
 */
static void decode_task(struct exit *x, u64 qual, u32 vectoring)
{
	unsigned type = (vectoring >> INTR_TYPE_SHIFT) & INTR_TYPE_MASK;
	bool soft = (vectoring & INTR_VALID) && type >= INTR_SOFT && type <= INTR_SOFT_EXCEPTION;

	x->reason = EXIT_TASK;
	x->task.selector = qual & TASK_QUAL_SELECTOR;
	x->task.source = (qual >> TASK_QUAL_SOURCE_SHIFT) & TASK_QUAL_SOURCE_MASK;
	if (soft || x->task.source != TASK_GATE)
		x->insn_len = (u8)vmread(VMCS_EXIT_INSN_LEN);
}

/* An intercepted #DB leaves DR6 and DR7.GD to whoever delivers it. */
static void settle_debug(struct vcpu *v, u64 qual)
{
	struct vcpu_sregs r;

	vmx_get_sregs(v, &r);
	r.dr6 = (r.dr6 & ~DB_QUAL_DR6) | (qual & DB_QUAL_DR6);
	if (qual & DB_QUAL_BD)
		r.dr7 &= ~DR7_GD;
	vmx_set_sregs(v, &r);
}

static void decode_exception(struct vcpu *v, struct exit *x, u64 qual, u32 vectoring)
{
	u32 info = (u32)vmread(VMCS_EXIT_INTR_INFO);

	if (((info >> INTR_TYPE_SHIFT) & INTR_TYPE_MASK) == INTR_NMI) {
		/* The exit took the NMI; the host's handler, by its IRET, lets the next one in. */
		asm volatile("int $2" : : : "memory");
		x->reason = EXIT_NMI;
		return;
	}
	x->reason = EXIT_EXCEPTION;
	x->exc.vector = (u8)(info & INTR_VECTOR);
	x->exc.error = info & INTR_ERROR_VALID ? (u32)vmread(VMCS_EXIT_INTR_ERROR) : 0;
	x->exc.cr2 = qual;
	if ((info & INTR_NMI_UNBLOCKED) && x->exc.vector != VEC_DF)
		block_nmi_again(v, vectoring);
	if (x->exc.vector == VEC_DB)
		settle_debug(v, qual);
	if (x->exc.vector == VEC_PF)
		show_code(v);
}

/* An event whose delivery the exit interrupted goes back to the vCPU. Software interrupts and
 * exceptions are dropped: RIP still stands at the instruction, which runs again. */
static void take_back_event(struct vcpu *v, u32 info)
{
	unsigned type = (info >> INTR_TYPE_SHIFT) & INTR_TYPE_MASK;

	v->event.vector = (u8)(info & INTR_VECTOR);
	v->event.has_error = info & INTR_ERROR_VALID;
	v->event.error = v->event.has_error ? (u32)vmread(VMCS_IDT_VECTORING_ERROR) : 0;
	v->event.type = type == INTR_EXTERNAL	 ? EVENT_EXTINT
			: type == INTR_NMI	 ? EVENT_NMI
			: type == INTR_EXCEPTION ? EVENT_EXCEPTION
						 : EVENT_NONE;
}

/* Nothing of the guest ran, and what was to be injected still stands in the VMCS. */
void vmx_note_failure(struct vcpu *v, u32 insn_error, u32 reason, struct exit *x)
{
	struct vmx_vcpu *s = vmx_of(v);

	s->insn_error = insn_error;
	s->failed_reason = reason;
	s->injected = (u32)vmread(VMCS_ENTRY_INTR_INFO);
	vmwrite(VMCS_ENTRY_INTR_INFO, 0);
	v->event.type = EVENT_NONE;
	x->reason = EXIT_INVALID;
	x->insn_len = 0;
	x->code = insn_error ? (u64)insn_error << 32 : EXIT_REASON_FAILED | reason;
}

void vmx_decode_exit(struct vcpu *v, u32 reason, struct exit *x)
{
	u64 qual = vmread(VMCS_EXIT_QUALIFICATION);
	u32 vectoring = (u32)vmread(VMCS_IDT_VECTORING);

	x->code = reason;
	x->insn_len = 0;
	if (reason & EXIT_REASON_FAILED) {
		vmx_note_failure(v, 0, reason & EXIT_REASON_BASIC, x);
		return;
	}
	v->event.type = EVENT_NONE;
	if (vectoring & INTR_VALID)
		take_back_event(v, vectoring);
	switch (reason) {
	case VMX_EXIT_EXCEPTION_NMI:
		decode_exception(v, x, qual, vectoring);
		return;
	case VMX_EXIT_TASK_SWITCH:
		decode_task(x, qual, vectoring);
		return;
	case VMX_EXIT_INVLPG:
		decode_invlpg(x, qual);
		return;
	case VMX_EXIT_CR:
		decode_cr(v, x, qual);
		return;
	case VMX_EXIT_IO:
		decode_io(x, qual);
		return;
	case VMX_EXIT_APIC_ACCESS:
		decode_apic_access(v, x, qual);
		return;
	case VMX_EXIT_EPT_VIOLATION:
		decode_nested(v, x, qual, vectoring);
		return;
	case VMX_EXIT_APIC_WRITE:
		decode_apic_write(x, qual);
		return;
	}
	x->reason = EXIT_UNKNOWN;
	if (reason < VMX_PLAIN_REASONS && vmx_plain_reason[reason])
		x->reason = vmx_plain_reason[reason] - 1;
}
