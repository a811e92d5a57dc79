/* The way into a guest and back; inline because its callers are on the way of every exit.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_SVM_SVM_SWITCH_H
#define HV_ENGINE_SVM_SVM_SWITCH_H

#include "engine/svm/svm.h"

/* Run @s's VMCB with @v's registers until the next exit; the host's TSC then. Interrupts off.
 *
 * The switch itself uses every general register; naming them all here saves each only once. */
static inline u64 svm_switch(const struct svm_vcpu *s, struct vcpu *v)
{
	u64 guest = s->vmcb_pa, host = svm_host_vmcb[v->cpu];
	u64 *gpr = v->gpr;
	u64 tsc;

	asm volatile("call svm_enter"
		     : "=a"(tsc), "+D"(guest), "+S"(gpr), "+d"(host)
		     :
		     : "rbx", "rcx", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
		       "cc", "memory");
	return tsc;
}

#endif
