/* What CPUs differ in and no CPUID bit tells, tried at boot with a guest of one instruction.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/svm/svm.h"
#include "engine/svm/svm_switch.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "mem/hostmap.h"

#define INSN_HLT   0xf4
#define TRIES	   4 /* an interrupt of the host's may end one before it began */
#define TRY_VECTOR 0x20
#define DATA_ATTR  0x93
#define CODE_ATTR  0x9b
#define DR6_RESET  0xffff0ff0ull
#define DR7_RESET  0x400ull

/* Real mode without paging: HLT at address 0 of the code segment, an empty interrupt table. */
static void fill(struct vmcb *c, hpa_t code)
{
	struct vmcb_seg data = {.attr = DATA_ATTR, .limit = 0xffff, .base = code};

	memset(c, 0, PAGE_SIZE);
	c->intercept3 =
		SVM_INTERCEPT_INTR | SVM_INTERCEPT_NMI | SVM_INTERCEPT_HLT | SVM_INTERCEPT_SHUTDOWN;
	c->intercept4 = SVM_INTERCEPT_VMRUN;
	c->exceptions = UINT32_MAX;
	c->asid = 1;
	c->tlb_control = TLB_FLUSH_ALL;
	c->es = c->ss = c->ds = c->fs = c->gs = data;
	c->cs = (struct vmcb_seg){.attr = CODE_ATTR, .limit = 0xffff, .base = code};
	c->efer = EFER_SVME;
	c->cr0 = CR0_ET;
	c->dr6 = DR6_RESET;
	c->dr7 = DR7_RESET;
	c->rflags = RFLAGS_FIXED | RFLAGS_IF;
	c->rsp = PAGE_SIZE;
}

/* A virtual interrupt is taken before the guest's first instruction (APM vol. 2 §15.21.4): here its
 * way through the empty table exits as a fault. */
static bool takes_virq(struct svm_vcpu *s, unsigned cpu, hpa_t code)
{
	struct vcpu v = {.cpu = cpu};

	for (unsigned i = 0; i < TRIES; i++) {
		fill(s->vmcb, code);
		s->vmcb->int_ctl = V_INTR_MASKING | V_IRQ | V_IGN_TPR;
		s->vmcb->int_vector = TRY_VECTOR;
		svm_switch(s, &v);
		if (s->vmcb->exit_code != SVM_EXIT_INTR && s->vmcb->exit_code != SVM_EXIT_NMI)
			break;
	}
	return s->vmcb->exit_code != SVM_EXIT_HLT;
}

int svm_try(unsigned cpu, bool *virq)
{
	hpa_t code = frames_alloc_below(2, 1, 4 * GIB, OWNER_HYPERVISOR);
	struct svm_vcpu s = {.vmcb_pa = code + PAGE_SIZE};

	if (!code)
		return -ENOMEM;
	s.vmcb = hpa_va(s.vmcb_pa);
	memset(hpa_va(code), INSN_HLT, PAGE_SIZE);
	*virq = takes_virq(&s, cpu, code);
	frames_free(code, 2, OWNER_HYPERVISOR);
	return 0;
}
