/* Intel VT-x engine: probing, switching on, vCPU set-up and the run function. SDM vol. 3 ch. 24-28.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/vmx/vmx.h"
#include "engine/vmx/vmx_ops.h"
#include "engine/vmx/vmx_pmu.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "mem/hostmap.h"
#include "penumbra/bootinfo.h"

#define unlikely(x) __builtin_expect(!!(x), 0)

#define VAPIC_TPR 0x80 /* in the virtual-APIC page */

struct vmx_caps vmx_caps;
struct vmx_config vmx_config;
static u32 next_tag = 1;

_Static_assert(offsetof(struct vmx_vcpu, host_rsp) == 0, "vmx_entry.S");
_Static_assert(offsetof(struct vmx_vcpu, launched) == 8, "vmx_entry.S");

/* --- set-up ----------------------------------------------------------------------------------- */

static int vmx_probe(struct engine_caps *caps, char *why, size_t why_len)
{
	int err = vmx_probe_source(engine_cpu(), &vmx_caps, &vmx_config, why, why_len);

	if (!err)
		vmx_engine_caps(&vmx_config, caps);
	return err;
}

/* SDM vol. 3 §24.7, §24.8: MSR 3Ah allows VMXON, and CR0 and CR4 keep some bits set. */
static int vmx_cpu_enable(unsigned cpu)
{
	hpa_t region = frames_alloc_below(1, 1, 4 * GIB, OWNER_HYPERVISOR);
	u32 revision = vmx_caps.revision;

	(void)cpu;
	if (!region)
		return -ENOMEM;
	memset(hpa_va(region), 0, PAGE_SIZE);
	memcpy(hpa_va(region), &revision, sizeof(revision));
	if (vmx_config.lock &&
	    wrmsr_safe(MSR_FEATURE_CONTROL, FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX) != 0)
		return -EIO;
	write_cr0((read_cr0() | vmx_caps.cr0_must) & vmx_caps.cr0_may);
	write_cr4((read_cr4() | vmx_caps.cr4_must | CR4_VMXE) & vmx_caps.cr4_may);
	if (vmxon(region))
		return -EIO;
	/* Nothing of an earlier user of these tags. */
	if (vmx_config.vpid)
		invvpid(INVVPID_ALL, 0);
	invept(INVEPT_ALL, 0);
	if (vmx_default_ports())
		return 0;
	ept_init();
	return vmx_perms_init();
}

static int vmx_vcpu_init(struct vcpu *v)
{
	hpa_t vmcs = frames_alloc(1, 1, OWNER_HYPERVISOR);
	hpa_t own = frames_alloc(1, 1, OWNER_HYPERVISOR);
	hpa_t vapic = frames_alloc(1, 1, OWNER_HYPERVISOR);
	struct vmx_vcpu *s;
	u32 revision = vmx_caps.revision;

	_Static_assert(sizeof(*s) <= PAGE_SIZE, "one page holds a vCPU's data");
	if (!vmcs || !own || !vapic)
		return -ENOMEM;
	if (vmx_config.vpid && next_tag + VCPU_TAGS > vmx_config.tags)
		return -ENOSPC;
	memset(hpa_va(vmcs), 0, PAGE_SIZE);
	memcpy(hpa_va(vmcs), &revision, sizeof(revision));
	memset(hpa_va(vapic), 0, PAGE_SIZE);
	s = hpa_va(own);
	memset(s, 0, sizeof(*s));
	s->vmcs_pa = vmcs;
	s->vapic_tpr = (u32 *)((u8 *)hpa_va(vapic) + VAPIC_TPR);
	s->port_map = vmx_default_ports();
	v->apic_access = vmx_config.apic_access ? vmx_apic_access() : 0;
	v->apic_page = vmx_config.apic_registers ? hpa_va(vapic) : NULL;
	for (unsigned i = 0; i < VCPU_TAGS; i++)
		v->tags[i].id = next_tag++;
	v->tag = VCPU_TAG_NESTED;
	v->engine_data = s;
	v->live = (struct vcpu_live){.cr3 = &s->live_cr3,
				     .cr4 = &s->live_cr4,
				     .efer = &s->live_efer,
				     .cs_attr = &s->live_cs_attr};
	vmx_vcpu_reset(v);
	return 0;
}

static void vmx_vcpu_free(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_of(v);

	vmx_discard(v);
	vmclear(s->vmcs_pa);
	frames_free(s->vmcs_pa, 1, OWNER_HYPERVISOR);
	frames_free(va_hpa(s->vapic_tpr) & ~(hpa_t)(PAGE_SIZE - 1), 1, OWNER_HYPERVISOR);
	frames_free(va_hpa(s), 1, OWNER_HYPERVISOR);
	next_tag = v->tags[0].id;
	v->engine_data = NULL;
}

/* --- the way in ------------------------------------------------------------------------------- */

/* Exceptions that push an error code, outside real mode. */
static bool takes_error(u8 vector)
{
	return vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC;
}

/* v->event counts as delivered unless the exit hands it back; the CPU clears the field. */
static void vmx_inject(struct vmx_vcpu *s, const struct vcpu_event *e)
{
	u32 type = e->type == EVENT_NMI		? INTR_NMI
		   : e->type == EVENT_EXCEPTION ? INTR_EXCEPTION
						: INTR_EXTERNAL;
	u32 info = (u32)INTR_VALID | type << INTR_TYPE_SHIFT |
		   (e->type == EVENT_NMI ? VEC_NMI : e->vector);

	if (e->type == EVENT_EXCEPTION && takes_error(e->vector) &&
	    (vmread(VMCS_GUEST_CR0) & CR0_PE)) {
		info |= INTR_ERROR_VALID;
		vmwrite(VMCS_ENTRY_INTR_ERROR, e->has_error ? e->error : 0);
	}
	vmwrite(VMCS_ENTRY_INTR_INFO, info);
	/* An NMI is injected into a guest that has none blocked; its delivery blocks the next. */
	if (e->type == EVENT_NMI) {
		vmwrite(VMCS_GUEST_BLOCKING, s->blocking & ~(u32)BLOCKED_NMI);
		s->blocking = BLOCKING_UNKNOWN;
	}
}

static void set_primary(struct vmx_vcpu *s, u32 bit, bool on)
{
	u32 primary = on ? s->primary | bit : s->primary & ~bit;

	if (primary == s->primary)
		return;
	s->primary = primary;
	vmwrite(VMCS_PRIMARY_CONTROLS, primary);
}

/* Blocking as the next entry has it; a trap of single stepping waits with it. */
static void store_blocking(const struct vcpu *v, struct vmx_vcpu *s)
{
	u32 blocking = v->nmi_blocked ? (u32)BLOCKED_NMI : 0;

	if (v->int_shadow && (s->blocking & (BLOCKED_STI | BLOCKED_MOV_SS)))
		blocking |= s->blocking & (BLOCKED_STI | BLOCKED_MOV_SS);
	else if (v->int_shadow)
		blocking |= v->rflags & RFLAGS_IF ? BLOCKED_STI : BLOCKED_MOV_SS;
	if (blocking == s->blocking)
		return;
	if ((blocking ^ s->blocking) & (BLOCKED_STI | BLOCKED_MOV_SS))
		vmwrite(VMCS_GUEST_PENDING_DEBUG,
			v->int_shadow && (v->rflags & RFLAGS_TF) ? PENDING_DEBUG_BS : 0);
	s->blocking = blocking;
	vmwrite(VMCS_GUEST_BLOCKING, blocking);
}

/* CR8 exits when it is lowered below the threshold. */
static void store_tpr(const struct vcpu *v, struct vmx_vcpu *s)
{
	u32 threshold = v->want_tpr_exit ? v->tpr : 0;

	/* The guest's own write of TPR may have lower bits too. */
	if (*s->vapic_tpr >> 4 != v->tpr)
		*s->vapic_tpr = (u32)v->tpr << 4;
	if (threshold == s->tpr_threshold)
		return;
	s->tpr_threshold = threshold;
	vmwrite(VMCS_TPR_THRESHOLD, threshold);
}

/* Slices are ended by the host's timer interrupt. Not every CPU leaves a guest for it that was
 * entered with interrupts off: such an entry gets a time limit too, where there are timers. */
static void limit_entry(struct vmx_vcpu *s, bool on)
{
	u32 pin = on ? s->pin | (u32)PIN_CTL_TIMER : s->pin & ~(u32)PIN_CTL_TIMER;

	if (!vmx_config.preemption_timer || pin == s->pin)
		return;
	s->pin = pin;
	vmwrite(VMCS_PIN_CONTROLS, pin);
}

static inline u32 entry_state(const struct vcpu *v)
{
	_Static_assert(ENTRY_SHADOW == true, "v->int_shadow as it is");
	return ((u32)v->rflags & ENTRY_IF) | v->int_shadow;
}

/* What differs from the last entry is rare: a few comparisons find out. */
static __attribute__((noinline)) void vmx_load_controls(struct vcpu *v, struct vmx_vcpu *s)
{
	set_primary(s, PRI_CTL_INTR_WINDOW, v->want_window);
	/* An exit tells that the guest's IRET has unblocked NMIs. */
	set_primary(s, PRI_CTL_NMI_WINDOW, v->nmi_blocked);
	store_blocking(v, s);
	store_tpr(v, s);
	s->entry = entry_state(v);
	limit_entry(s, !(s->entry & ENTRY_IF));
	s->controls = v->controls;
}

/* What was asked for since the last entry. */
static __attribute__((noinline)) void vmx_catch_up(const struct vcpu *v, struct vmx_vcpu *s)
{
	if (s->stale & STALE_KIND)
		vmx_store_kind(s);
	if (s->stale & STALE_WATCH)
		vmx_store_watch(s);
	if (s->stale & STALE_REGS)
		vmx_store_regs(s);
	if (s->stale & STALE_TSC)
		vmwrite(VMCS_TSC_OFFSET, s->tsc_offset);
	if (s->stale & STALE_ROOT)
		vmx_store_root(v, s);
	if (s->stale & STALE_PORTS) {
		vmwrite(VMCS_IO_BITMAP_A, s->port_map);
		vmwrite(VMCS_IO_BITMAP_B, s->port_map + PAGE_SIZE);
	}
	for (unsigned i = 0; (s->stale & STALE_PDPTES) && i < 4; i++)
		vmwrite(VMCS_GUEST_PDPTE0 + 2 * i, s->pdpte[i]);
	if (s->stale & STALE_FLUSH)
		vmx_flush_owed(v, s);
	s->stale = 0;
}

static inline void vmx_load_entry(struct vcpu *v, struct vmx_vcpu *s)
{
	if (unlikely(vmx_current[v->cpu] != s))
		vmx_load(v);
	if (v->rip != s->rip)
		vmwrite(VMCS_GUEST_RIP, v->rip);
	if (unlikely(v->gpr[GPR_RSP] != s->rsp))
		vmwrite(VMCS_GUEST_RSP, v->gpr[GPR_RSP]);
	if (unlikely(v->rflags != s->rflags))
		vmwrite(VMCS_GUEST_RFLAGS, v->rflags);
	if (unlikely(s->stale))
		vmx_catch_up(v, s);
	if (unlikely(s->controls != v->controls || s->entry != entry_state(v)))
		vmx_load_controls(v, s);
	if (unlikely(v->event.type != EVENT_NONE))
		vmx_inject(s, &v->event);
}

/* The switch itself uses every general register; naming them all here saves each only once. */
static inline u64 vmx_switch(struct vmx_vcpu *s, struct vcpu *v, u64 *refused)
{
	u64 *gpr = v->gpr;
	u64 tsc;

	asm volatile("call vmx_enter"
		     : "=a"(tsc), "=b"(*refused), "+D"(gpr), "+S"(s)
		     :
		     : "rcx", "rdx", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
		       "cc", "memory");
	return tsc;
}

/* --- the way out ------------------------------------------------------------------------------ */

/* What blocks interrupts has changed since the entry. */
static __attribute__((noinline)) void vmx_read_blocking(struct vcpu *v, struct vmx_vcpu *s,
							u32 blocking)
{
	s->blocking = blocking;
	v->int_shadow = blocking & (BLOCKED_STI | BLOCKED_MOV_SS);
	v->nmi_blocked = blocking & BLOCKED_NMI;
	s->entry = (s->entry & ~ENTRY_SHADOW) | v->int_shadow;
}

static inline void vmx_read_state(struct vcpu *v, struct vmx_vcpu *s)
{
	u32 blocking = (u32)vmread(VMCS_GUEST_BLOCKING);

	v->rip = s->rip = vmread(VMCS_GUEST_RIP);
	v->gpr[GPR_RSP] = s->rsp = vmread(VMCS_GUEST_RSP);
	v->rflags = s->rflags = vmread(VMCS_GUEST_RFLAGS);
	v->tpr = (u8)(*s->vapic_tpr >> 4);
	/* The guest's own change: what the next entry compares with holds no more. */
	if (unlikely(v->tpr != (u8)s->controls))
		s->controls = VMX_CONTROLS_STALE;
	s->regs_valid = false;
	s->launched = 1;
	if (unlikely(blocking != s->blocking))
		vmx_read_blocking(v, s, blocking);
}

/* Most exits are plain: nothing to hand back, nothing to tell but the reason. */
static inline void vmx_translate_exit(struct vcpu *v, struct exit *x)
{
	u32 reason = (u32)vmread(VMCS_EXIT_REASON);

	if (unlikely(reason >= VMX_PLAIN_REASONS || !(vmx_plain_reason[reason] & VMX_PLAIN_LEN))) {
		vmx_decode_exit(v, reason, x);
		return;
	}
	x->reason = (vmx_plain_reason[reason] & ~VMX_PLAIN_LEN) - 1;
	x->insn_len = (u8)vmread(VMCS_EXIT_INSN_LEN);
	x->code = reason;
	v->event.type = EVENT_NONE;
}

/* What lives across the switch lives in memory; a new name for it, good on one side only, gets a
 * register. */
#define RENAMED(p)                                                                                 \
	({                                                                                         \
		__typeof__(p) p_ = (p);                                                            \
		asm("" : "+r"(p_));                                                                \
		p_;                                                                                \
	})

static void vmx_run(struct vcpu *v, struct exit *x)
{
	struct vcpu *in = RENAMED(v), *out;
	struct vmx_vcpu *s = vmx_of(in);
	u64 refused, tsc;

	vmx_load_entry(in, s);
	tsc = vmx_switch(s, in, &refused);
	out = RENAMED(v);
	s = vmx_of(out);
	out->exit_tsc = tsc;
	if (unlikely(refused)) {
		vmx_note_failure(out, (u32)vmread(VMCS_INSN_ERROR), 0, x);
		return;
	}
	vmx_read_state(out, s);
	vmx_translate_exit(out, x);
}

/* --- what may be asked at any time ------------------------------------------------------------ */

static void vmx_set_tsc_offset(struct vcpu *v, u64 offset)
{
	vmx_of(v)->tsc_offset = offset;
	vmx_of(v)->stale |= STALE_TSC;
}

static void vmx_set_port_map(struct vcpu *v, hpa_t map)
{
	vmx_of(v)->port_map = map;
	vmx_of(v)->stale |= STALE_PORTS;
}

static void vmx_set_pdptes(struct vcpu *v, const u64 pdpte[4])
{
	memcpy(vmx_of(v)->pdpte, pdpte, sizeof(vmx_of(v)->pdpte));
	vmx_of(v)->stale |= STALE_PDPTES;
}

/* A vCPU stays on its CPU once it ran there; what that CPU may have cached of an earlier life under
 * the same tables goes. */
static void vmx_moved(struct vcpu *v)
{
	vmx_owe_flush(vmx_of(v), OWED_ROOT | (u32)(BIT(VCPU_TAGS) - 1));
}

static const struct engine_ops vmx_ops = {
	.name = "vmx",
	.pmu = &vmx_pmu,
	.probe = vmx_probe,
	.cpu_enable = vmx_cpu_enable,
	.vcpu_init = vmx_vcpu_init,
	.vcpu_free = vmx_vcpu_free,
	.vcpu_reset = vmx_vcpu_reset,
	.run = vmx_run,
	.get_code = vmx_get_code,
	.get_sregs = vmx_get_sregs,
	.set_sregs = vmx_set_sregs,
	.set_cr = vmx_set_cr,
	.set_efer = vmx_set_efer,
	.get_msr = vmx_get_msr,
	.set_msr = vmx_set_msr,
	.set_tsc_offset = vmx_set_tsc_offset,
	.set_translation = vmx_set_translation,
	.nested_format = &ept_format,
	.set_port_map = vmx_set_port_map,
	.set_pdptes = vmx_set_pdptes,
	.get_pdptes = vmx_get_pdptes,
	.explain = vmx_explain,
	.flush_tag = vmx_flush,
	.flush_page = vmx_flush_page,
	.moved = vmx_moved,
};
ENGINE_REGISTER(vmx_ops);
