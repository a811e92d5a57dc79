/* Inside of the Intel VT-x engine; nothing outside this folder includes it.
 *
 * A vCPU's registers are in its VMCS, which only one physical CPU can hold and only the current one
 * of a CPU can be read. What is asked for rarely goes through a copy (struct vmx_regs): filled at
 * the first question after an exit, written back before the next entry when it was changed. So a
 * vCPU that never ran, or whose turn it is not, can be asked and set like any other.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_VMX_VMX_H
#define HV_ENGINE_VMX_VMX_H

#include "engine/engine.h"
#include "engine/vmx/vmcs.h"
#include "engine/vmx/vmx_caps.h"

/* What the next entry has to do first; see vmx_catch_up(). */
#define STALE_REGS   BIT(0) /* the copy of the registers was changed */
#define STALE_TSC    BIT(1)
#define STALE_ROOT   BIT(2)
#define STALE_PORTS  BIT(3)
#define STALE_PDPTES BIT(4)
#define STALE_FLUSH  BIT(5) /* vmx_vcpu.owed */
#define STALE_KIND   BIT(6) /* the kind of translation */
#define STALE_WATCH  BIT(7) /* what exits under it */

#define OWED_ROOT (1u << 31) /* what the CPU holds of the EPT root */

#define VMX_CONTROLS_STALE UINT32_MAX /* differs from every vcpu.controls */

/* What an entry has to agree on with the last one, besides vcpu.controls. */
#define ENTRY_SHADOW 1u /* blocking by STI or MOV SS */
#define ENTRY_IF     ((u32)RFLAGS_IF)

/* In vmx_vcpu.blocking: the entry itself changes the field. */
#define BLOCKING_UNKNOWN UINT32_MAX

/* Registers that neither an entry nor an exit switches and the hypervisor has no use for: the
 * guest's stay in the CPU until another vCPU takes it over. */
struct vmx_live {
	u64 star, lstar, cstar, sfmask, kernel_gs;
	u64 dr6, cr2;
};

struct vmx_regs {
	struct vcpu_sregs s;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 pat;
};

/* An entry of an MSR list. */
struct vmx_msr {
	u32 index, reserved;
	u64 value;
};

#define VMX_LIST_MSRS 3

struct vmx_vcpu {
	u64 host_rsp; /* as the VMCS has it; vmx_entry.S knows the place of these two */
	u64 launched;
	u64 rip, rsp, rflags; /* as the VMCS has them */
	u32 *vapic_tpr;	      /* in the virtual-APIC page */
	u32 stale;	      /* STALE_* */
	u32 controls;	      /* the vcpu.controls that the VMCS agrees with */
	u32 entry;	      /* ENTRY_* likewise */
	u32 blocking;	      /* interruptibility state in the VMCS */
	u32 pin, primary;     /* execution controls in the VMCS */
	u32 owed;	      /* to be flushed: BIT(tag), OWED_ROOT */
	struct translation tr;
	u64 guest_cr3,
		guest_efer; /* the guest's, which the CPU does not have under shadow tables */
	bool regs_valid;    /* @regs holds what the VMCS does, or newer */
	bool built;	    /* the VMCS is active on its CPU and filled in */
	/* Of the last entry that failed: VM-instruction error or 0, basic exit reason, what it was
	 * to inject. */
	u32 insn_error, failed_reason, injected;
	u32 tpr_threshold;
	u64 live_cr3, live_cr4, live_efer; /* what vcpu.live shows */
	u16 live_cs_attr;
	hpa_t vmcs_pa;
	hpa_t port_map;
	u64 eptp, tsc_offset;
	u64 pdpte[4];
	struct vmx_live live;
	struct vmx_regs regs;
	struct vmx_msr guest_msr[VMX_LIST_MSRS] __attribute__((aligned(16)));
	struct vmx_msr host_msr[VMX_LIST_MSRS] __attribute__((aligned(16)));
	unsigned msrs;	 /* entries of both */
	u64 *efer, *pat; /* the guest's values in @guest_msr, or NULL: in the VMCS */
};

static inline bool vmx_shadow(const struct vmx_vcpu *s)
{
	return s->tr.kind == TRANSLATION_SHADOW;
}

static inline struct vmx_vcpu *vmx_of(const struct vcpu *v)
{
	return v->engine_data;
}

extern struct vmx_caps vmx_caps;
extern struct vmx_config vmx_config;

/* --- vmx_vmcs.c: a physical CPU's current VMCS, and the contents that hold for its whole life - */

/* Make @v's VMCS the current one of its CPU, on which this runs. */
void vmx_load(struct vcpu *v);
/* Build @v's VMCS anew before its next entry: a failed one may have left it neither launched nor
 * clear. Its registers have to be set again. */
void vmx_discard(struct vcpu *v);
/* The vCPU whose VMCS is current on each CPU. */
extern struct vmx_vcpu *vmx_current[];
/* The permission maps that all guests share. -ENOMEM. */
int vmx_perms_init(void);
hpa_t vmx_default_ports(void);
hpa_t vmx_apic_access(void);
hpa_t vmx_msr_bitmap(bool shadow);

/* --- vmx_state.c: registers --- */
void vmx_get_code(const struct vcpu *v, struct vcpu_code *c);
void vmx_get_sregs(const struct vcpu *v, struct vcpu_sregs *r);
void vmx_set_sregs(struct vcpu *v, const struct vcpu_sregs *r);
void vmx_set_cr(struct vcpu *v, unsigned cr, u64 value);
void vmx_set_efer(struct vcpu *v, u64 value);
int vmx_get_msr(const struct vcpu *v, u32 msr, u64 *value);
int vmx_set_msr(struct vcpu *v, u32 msr, u64 value);
void vmx_vcpu_reset(struct vcpu *v);
/* Write the changed copy into the VMCS, which is current. */
void vmx_store_regs(struct vmx_vcpu *s);
/* CR3 and EFER as the guest has them; the VMCS is current. */
u64 vmx_read_cr3(const struct vmx_vcpu *s);
u64 vmx_read_efer(const struct vmx_vcpu *s);
void vmx_load_live(const struct vmx_live *l);
void vmx_save_live(struct vmx_live *l);
/* The copy, for a change that the next entry writes back. */
struct vmx_regs *vmx_regs_to_change(struct vcpu *v);

/* --- vmx_paging.c: tables and tags --- */
/* Control register bits that the guest reads from the shadow and whose change exits. */
u64 vmx_cr0_owned(const struct vmx_vcpu *s);
u64 vmx_cr4_owned(const struct vmx_vcpu *s);
/* What the CPU has where the guest has @guest. */
u64 vmx_real_cr0(const struct vmx_vcpu *s, u64 guest);
u64 vmx_real_cr4(const struct vmx_vcpu *s, u64 guest);
u64 vmx_real_efer(const struct vmx_vcpu *s, u64 guest);
/* Write the controls of the kind of translation, and the root with its tag, into the VMCS, which is
 * current. */
void vmx_store_kind(struct vmx_vcpu *s);
void vmx_store_watch(struct vmx_vcpu *s);
/* Which page faults exit hangs on the guest's registers too. */
void vmx_store_faults(const struct vmx_vcpu *s);
void vmx_store_root(const struct vcpu *v, const struct vmx_vcpu *s);
/* To be flushed before the next entry: BIT(tag), OWED_ROOT. */
void vmx_owe_flush(struct vmx_vcpu *s, u32 owed);
void vmx_flush_owed(const struct vcpu *v, struct vmx_vcpu *s);
/* In struct engine_ops. */
void vmx_set_translation(struct vcpu *v, const struct translation *t);
void vmx_get_pdptes(const struct vcpu *v, u64 pdpte[4]);
void vmx_flush(struct vcpu *v, unsigned tag);
void vmx_flush_page(struct vcpu *v, unsigned tag, gva_t gva);

/* --- vmx_lists.c: EFER and PAT, wherever this CPU switches them; the VMCS is current --- */
void vmx_write_lists(struct vmx_vcpu *s);
/* One more, after that. */
void vmx_list_msr(struct vmx_vcpu *s, u32 msr, u64 guest, u64 host);
u64 vmx_guest_efer(const struct vmx_vcpu *s);
void vmx_set_guest_efer(struct vmx_vcpu *s, u64 value);
u64 vmx_guest_pat(const struct vmx_vcpu *s);
void vmx_set_guest_pat(struct vmx_vcpu *s, u64 value);

/* --- vmx_exit.c: exit fields to struct exit --- */

/* An instruction that exits: its length is told, and no event was being delivered. */
#define VMX_PLAIN_LEN	  0x80u
#define VMX_PLAIN_REASONS 64
/* Exit reasons whose translation is only their name: enum exit_reason + 1, | VMX_PLAIN_LEN. */
extern const u8 vmx_plain_reason[VMX_PLAIN_REASONS];
void vmx_decode_exit(struct vcpu *v, u32 reason, struct exit *x);

/* --- vmx_explain.c --- */

#define INSN_ERROR_CONTROLS 7
#define INSN_ERROR_HOST	    8
/* struct engine_ops' explain. */
void vmx_explain(const struct vcpu *v, char *text, size_t size);
/* Note how the entry failed, which left @v as it was; the event is given up. */
void vmx_note_failure(struct vcpu *v, u32 insn_error, u32 reason, struct exit *x);

/* --- vmx_ept.c --- */
extern const struct nested_format ept_format;
u64 ept_pointer(hpa_t root);
void ept_init(void);
void vmx_flush_tag(u16 vpid);
void vmx_flush_root(u64 eptp);

#endif
