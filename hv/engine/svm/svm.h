/* Inside of the AMD SVM engine; nothing outside this folder includes it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_SVM_SVM_H
#define HV_ENGINE_SVM_SVM_H

#include "engine/engine.h"
#include "engine/svm/svm_caps.h"
#include "engine/svm/vmcb.h"

#define MSR_VM_HSAVE_PA 0xc0010117u
#define EFER_SVME	BIT(12)

#define SVM_OWED	   0x100u
#define SVM_CONTROLS_STALE UINT32_MAX /* differs from every vcpu.controls */

struct svm_vcpu {
	struct vmcb *vmcb;
	hpa_t vmcb_pa;
	u64 efer;      /* as the guest sees it, without LMA */
	u64 cr0_owned; /* bits of the VMCB's CR0 that are not the guest's, */
	u64 cr0_view;  /* and what it believes of them */
	u64 cr3, cr4;  /* as the guest sees them, while the CPU walks shadow tables */
	struct translation tr;
	bool flush;	 /* flush the tag at the next entry */
	bool shares;	 /* a tag of this vCPU has the same id as another */
	u32 flush_later; /* tags to be flushed when they run again */
	bool undo;	 /* this entry asked for something that the next must not repeat */
	bool virq;	 /* this entry delivers v->event as a virtual interrupt */
	u32 owed;     /* SVM_OWED | vector: an interrupt that waits for an entry with room for it */
	u32 controls; /* what svm_load_controls() last put into the VMCB */
	u32 clean;    /* VMCB clean bits of the next entry: what was changed since the last is 0 */
};

static inline struct svm_vcpu *svm_of(const struct vcpu *v)
{
	return v->engine_data;
}

extern struct engine_caps svm_caps;
/* Per physical CPU: the host's VMLOAD image. */
extern hpa_t svm_host_vmcb[];

/* Try on this CPU whether it takes a virtual interrupt at entry (@virq). SVM is on. -ENOMEM. */
int svm_try(unsigned cpu, bool *virq);

/* Permission maps shared by all vCPUs (svm_perms.c). */
int svm_perms_init(void);
hpa_t svm_iopm_pa(void);
hpa_t svm_msrpm_pa(void);

/* Recompute the VMCB's CR0, CR4, EFER and the intercepts of control registers from the guest's view
 * (svm_state.c). */
void svm_load_modes(struct svm_vcpu *s, u64 guest_cr0);
u64 svm_guest_cr0(const struct svm_vcpu *s);
void svm_set_translation(struct vcpu *v, const struct translation *t);
void svm_flush_tag(struct vcpu *v, unsigned tag);
void svm_flush_page(struct vcpu *v, unsigned tag, gva_t gva);
void svm_get_code(const struct vcpu *v, struct vcpu_code *c);
void svm_get_sregs(const struct vcpu *v, struct vcpu_sregs *r);
void svm_set_sregs(struct vcpu *v, const struct vcpu_sregs *r);
void svm_set_cr(struct vcpu *v, unsigned cr, u64 value);
void svm_set_efer(struct vcpu *v, u64 value);
int svm_get_msr(const struct vcpu *v, u32 msr, u64 *value);
int svm_set_msr(struct vcpu *v, u32 msr, u64 value);
void svm_vcpu_reset(struct vcpu *v);

/* Exit codes whose translation is only their name: enum exit_reason + 1, else 0. */
#define SVM_PLAIN_REASONS 0x90
extern const u8 svm_plain_reason[SVM_PLAIN_REASONS];
/* Translate the VMCB's exit fields (svm_exit.c). */
void svm_decode_exit(struct vcpu *v, struct exit *x);

#endif
