/* AMD SVM engine: probing, switching on, vCPU set-up and the run function. APM vol. 2 ch. 15.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/svm/svm.h"
#include "engine/svm/svm_pmu.h"
#include "engine/svm/svm_switch.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "mem/hostmap.h"
#include "penumbra/bootinfo.h"

#define unlikely(x) __builtin_expect(!!(x), 0)

#define PAUSE_COUNT	3000
#define PAUSE_THRESHOLD 128

struct engine_caps svm_caps;

/* Per physical CPU: where VMRUN keeps the host's state, and the host's VMLOAD image. */
hpa_t svm_host_vmcb[BOOT_MAX_CPUS];
static u32 next_tag = 1;
/* A virtual interrupt that stands there at an entry is delivered. */
static bool virq_delivers;

static int svm_probe(struct engine_caps *caps, char *why, size_t why_len)
{
	int rc = svm_probe_source(engine_cpu(), caps, why, why_len);

	svm_caps = *caps;
	return rc;
}

static int svm_cpu_enable(unsigned cpu)
{
	hpa_t hsave = frames_alloc(1, 1, OWNER_HYPERVISOR);
	int err;

	svm_host_vmcb[cpu] = frames_alloc(1, 1, OWNER_HYPERVISOR);
	if (!hsave || !svm_host_vmcb[cpu])
		return -ENOMEM;
	memset(hpa_va(hsave), 0, PAGE_SIZE);
	memset(hpa_va(svm_host_vmcb[cpu]), 0, PAGE_SIZE);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, hsave);
	asm volatile("vmsave %0" : : "a"(svm_host_vmcb[cpu]) : "memory");
	if (svm_iopm_pa())
		return 0;
	err = svm_try(cpu, &virq_delivers);
	return err ? err : svm_perms_init();
}

/* Intercepts that hold for the whole life of a guest. */
static void svm_set_intercepts(struct vmcb *c)
{
	c->intercept3 = SVM_INTERCEPT_INTR | SVM_INTERCEPT_NMI | SVM_INTERCEPT_INIT |
			SVM_INTERCEPT_RDPMC | SVM_INTERCEPT_CPUID | SVM_INTERCEPT_INVD |
			SVM_INTERCEPT_HLT | SVM_INTERCEPT_INVLPGA | SVM_INTERCEPT_IOIO |
			SVM_INTERCEPT_MSR | SVM_INTERCEPT_SHUTDOWN;
	c->intercept4 = SVM_INTERCEPT_VMRUN | SVM_INTERCEPT_VMMCALL | SVM_INTERCEPT_VMLOAD |
			SVM_INTERCEPT_VMSAVE | SVM_INTERCEPT_STGI | SVM_INTERCEPT_CLGI |
			SVM_INTERCEPT_SKINIT | SVM_INTERCEPT_WBINVD | SVM_INTERCEPT_MONITOR |
			SVM_INTERCEPT_MWAIT | SVM_INTERCEPT_MWAIT_ARMED | SVM_INTERCEPT_XSETBV;
	/* Machine checks belong to the host (APM vol. 2 §15.12.18). #AC and #DB can strike during
	 * their own delivery, over and over: a CPU that does not leave the guest there takes no
	 * interrupt ever again. */
	c->exceptions = BIT(VEC_MC) | BIT(VEC_AC) | BIT(VEC_DB);
	if (svm_caps.pause_filter) {
		c->intercept3 |= SVM_INTERCEPT_PAUSE;
		c->pause_count = PAUSE_COUNT;
		c->pause_threshold = PAUSE_THRESHOLD;
	}
}

/* Tags for a vCPU: a third of what is left at most, so that there is something for those to come.
 */
static void take_tags(struct vcpu *v, struct svm_vcpu *s)
{
	unsigned n = MAX(MIN(VCPU_TAGS, (svm_caps.tags - next_tag) / 3), 1u);

	for (unsigned i = 0; i < VCPU_TAGS; i++)
		v->tags[i].id = next_tag + MIN(i, n - 1);
	s->shares = n < VCPU_TAGS;
	next_tag += n;
	v->tag = VCPU_TAG_NESTED;
	s->vmcb->asid = v->tags[v->tag].id;
}

static int svm_vcpu_init(struct vcpu *v)
{
	hpa_t block = frames_alloc(1, 1, OWNER_HYPERVISOR);
	hpa_t own = frames_alloc(1, 1, OWNER_HYPERVISOR);
	struct svm_vcpu *s;

	if (!block || !own)
		return -ENOMEM;
	if (next_tag >= svm_caps.tags)
		return -ENOSPC;
	s = hpa_va(own);
	memset(s, 0, sizeof(*s));
	s->vmcb = hpa_va(block);
	s->vmcb_pa = block;
	memset(s->vmcb, 0, PAGE_SIZE);
	svm_set_intercepts(s->vmcb);
	s->vmcb->iopm_pa = svm_iopm_pa();
	s->vmcb->msrpm_pa = svm_msrpm_pa();
	s->vmcb->int_ctl = V_INTR_MASKING;
	take_tags(v, s);
	v->engine_data = s;
	v->live = (struct vcpu_live){.cr3 = &s->vmcb->cr3,
				     .cr4 = &s->vmcb->cr4,
				     .efer = &s->vmcb->efer,
				     .cs_attr = &s->vmcb->cs.attr};
	svm_vcpu_reset(v);
	return 0;
}

static void svm_vcpu_free(struct vcpu *v)
{
	frames_free(svm_of(v)->vmcb_pa, 1, OWNER_HYPERVISOR);
	frames_free(va_hpa(svm_of(v)), 1, OWNER_HYPERVISOR);
	next_tag = v->tags[0].id;
	v->engine_data = NULL;
}

static struct vcpu_event svm_extint(u32 vector)
{
	return (struct vcpu_event){.type = EVENT_EXTINT, .vector = (u8)vector};
}

/* An interrupt that the board has handed over already and that no entry has room for yet. The stale
 * @controls bring the next entry to svm_load_controls(). */
static void svm_owe(struct svm_vcpu *s, u32 vector)
{
	s->owed = SVM_OWED | (vector & 0xff);
	s->controls = SVM_CONTROLS_STALE;
}

static bool can_take(const struct vcpu *v)
{
	return (v->rflags & RFLAGS_IF) && !v->int_shadow;
}

static void svm_pay(struct vcpu *v, struct svm_vcpu *s)
{
	if (v->event.type != EVENT_NONE || !can_take(v)) {
		s->controls = SVM_CONTROLS_STALE;
		return;
	}
	v->event = svm_extint(s->owed);
	s->owed = 0;
}

/* The interrupt window: a virtual interrupt that is intercepted rather than delivered. */
static void svm_set_window(struct svm_vcpu *s, bool on)
{
	struct vmcb *c = s->vmcb;
	bool is_on = c->intercept3 & SVM_INTERCEPT_VINTR;

	if (on == is_on)
		return;
	if (on) {
		c->intercept3 |= SVM_INTERCEPT_VINTR;
		c->int_ctl |= V_IRQ | V_IGN_TPR;
	} else {
		c->intercept3 &= ~(u32)SVM_INTERCEPT_VINTR;
		c->int_ctl &= ~(u32)(V_IRQ | V_IGN_TPR);
	}
	s->clean &= ~(u32)(CLEAN_INTERCEPTS | CLEAN_TPR);
}

/* NMIs stay blocked until the guest's IRET: watch for it. */
static void svm_watch_iret(struct svm_vcpu *s, bool on)
{
	bool is_on = s->vmcb->intercept3 & SVM_INTERCEPT_IRET;

	if (on == is_on)
		return;
	s->vmcb->intercept3 ^= SVM_INTERCEPT_IRET;
	s->clean &= ~(u32)(CLEAN_INTERCEPTS);
}

/* Interrupts go in as virtual interrupts: not every CPU forgets an injected one after its delivery,
 * it may come once more, even with interrupts off. Where another interrupt waits, its window opens
 * at the next exit, which the end of this one's handler is at the latest. A CPU that does not
 * deliver virtual interrupts tells by an exit when the guest could take it. */
static void svm_inject_virq(struct vcpu *v, struct svm_vcpu *s)
{
	if (!virq_delivers) {
		svm_set_window(s, true);
		s->controls = SVM_CONTROLS_STALE;
	} else if (v->want_window) {
		svm_set_window(s, false);
		svm_watch_iret(s, true);
		s->controls = SVM_CONTROLS_STALE;
	}
	s->vmcb->int_vector = v->event.vector;
	s->vmcb->int_ctl |= V_IRQ | V_IGN_TPR;
	s->clean &= ~(u32)CLEAN_TPR;
	s->virq = true;
}

/* Not taken before the exit: it still has to be delivered. Where another event was cut short that
 * one goes first, and the interrupt is owed. */
static void svm_take_back_virq(struct vcpu *v, struct svm_vcpu *s)
{
	struct vmcb *c = s->vmcb;
	bool waits = c->int_ctl & V_IRQ;

	s->virq = false;
	svm_set_window(s, false);
	c->int_ctl &= ~(u32)(V_IRQ | V_IGN_TPR);
	s->clean &= ~(u32)CLEAN_TPR;
	/* Delivered, or cut short in its own delivery. */
	if (!waits || (v->event.type == EVENT_EXTINT && v->event.vector == (u8)c->int_vector))
		return;
	if (v->event.type == EVENT_NONE)
		v->event = svm_extint(c->int_vector);
	else
		svm_owe(s, c->int_vector);
}

/* v->event counts as delivered unless the exit hands it back. */
static void svm_inject(struct vcpu *v, struct svm_vcpu *s)
{
	struct vmcb *c = s->vmcb;
	const struct vcpu_event *e = &v->event;
	u64 type = e->type == EVENT_NMI		? SVM_EVENT_NMI
		   : e->type == EVENT_EXCEPTION ? SVM_EVENT_EXCEPTION
						: SVM_EVENT_INTR;
	u64 inj = EVENT_VALID | type << EVENT_TYPE_SHIFT | e->vector;

	s->undo = true;
	if (e->type == EVENT_EXTINT && (virq_delivers || !can_take(v))) {
		svm_inject_virq(v, s);
		return;
	}
	if (e->type == EVENT_NMI)
		inj = (inj & ~(u64)EVENT_VECTOR) | VEC_NMI;
	if (e->has_error)
		inj |= EVENT_ERROR_VALID | (u64)e->error << 32;
	c->event_inj = inj;
}

/* What differs from the last entry is rare: one comparison finds out. */
static void svm_load_controls(struct vcpu *v, struct svm_vcpu *s)
{
	struct vmcb *c = s->vmcb;
	/* Some CPUs do not survive a CR8 write while a virtual interrupt waits: take it over. */
	bool watch_tpr = v->want_tpr_exit || v->want_window;

	svm_set_window(s, v->want_window);
	svm_watch_iret(s, v->nmi_blocked);
	if ((c->int_ctl & V_TPR_MASK) != v->tpr) {
		c->int_ctl = (c->int_ctl & ~V_TPR_MASK) | v->tpr;
		s->clean &= ~(u32)(CLEAN_TPR);
	}
	if (((c->cr_write >> 8) & 1) != watch_tpr) {
		c->cr_write ^= BIT(8);
		s->clean &= ~(u32)(CLEAN_INTERCEPTS);
	}
	s->controls = v->controls;
	if (s->owed)
		svm_pay(v, s);
}

static inline void svm_load_entry(struct vcpu *v, struct svm_vcpu *s)
{
	struct vmcb *c = s->vmcb;

	c->rax = v->gpr[GPR_RAX];
	c->rsp = v->gpr[GPR_RSP];
	c->rip = v->rip;
	c->rflags = v->rflags;
	c->int_state = v->int_shadow;
	if (unlikely(s->controls != v->controls))
		svm_load_controls(v, s);
	if (unlikely(v->event.type != EVENT_NONE))
		svm_inject(v, s);
	if (unlikely(s->flush)) {
		c->tlb_control = svm_caps.flush_by_tag ? TLB_FLUSH_ASID : TLB_FLUSH_ALL;
		s->flush = false;
		s->undo = true;
	}
	if (svm_caps.clean_bits) {
		c->clean = s->clean;
		s->clean = CLEAN_ALL;
	}
}

/* What was asked of one entry only. */
static __attribute__((noinline)) void svm_undo_entry(struct vcpu *v, struct svm_vcpu *s)
{
	s->undo = false;
	s->vmcb->event_inj = 0;
	s->vmcb->tlb_control = TLB_FLUSH_NONE;
	if (s->virq)
		svm_take_back_virq(v, s);
}

/* Most exits are plain: nothing to hand back, nothing to tell but the reason. */
static inline void svm_translate_exit(struct vcpu *v, const struct svm_vcpu *s, struct exit *x)
{
	const struct vmcb *c = s->vmcb;
	u64 code = c->exit_code;

	if (unlikely(code >= SVM_PLAIN_REASONS || !svm_plain_reason[code] || svm_caps.next_rip ||
		     (c->exit_int_info & EVENT_VALID))) {
		svm_decode_exit(v, x);
		return;
	}
	x->reason = svm_plain_reason[code] - 1;
	x->insn_len = 0;
	x->code = code;
	v->event.type = EVENT_NONE;
}

static void svm_run(struct vcpu *v, struct exit *x)
{
	struct svm_vcpu *s = svm_of(v);
	struct vmcb *c = s->vmcb;

	svm_load_entry(v, s);
	v->exit_tsc = svm_switch(s, v);
	v->gpr[GPR_RAX] = c->rax;
	v->gpr[GPR_RSP] = c->rsp;
	v->rip = c->rip;
	v->rflags = c->rflags;
	v->int_shadow = c->int_state & 1;
	v->tpr = c->int_ctl & V_TPR_MASK;
	/* The guest's own change: what the next entry compares with holds no more. */
	if (unlikely(v->tpr != (u8)s->controls))
		s->controls = SVM_CONTROLS_STALE;
	svm_translate_exit(v, s, x);
	if (unlikely(s->undo))
		svm_undo_entry(v, s);
}

static void svm_set_tsc_offset(struct vcpu *v, u64 offset)
{
	svm_of(v)->vmcb->tsc_offset = offset;
	svm_of(v)->clean &= ~(u32)CLEAN_INTERCEPTS;
}

static void svm_set_port_map(struct vcpu *v, hpa_t map)
{
	struct svm_vcpu *s = svm_of(v);

	s->vmcb->iopm_pa = map;
	s->clean &= ~(u32)CLEAN_PERMS;
}

/* Some CPUs save CR2 in the VMCB but do not load it from there: it stays in the CPU. */
static void svm_load(struct vcpu *v)
{
	write_cr2(svm_of(v)->vmcb->cr2);
}

/* APM vol. 2 §15.15.2: clean bits hold for one physical CPU only; so do its cached translations. */
static void svm_moved(struct vcpu *v)
{
	svm_of(v)->clean = 0;
	for (unsigned tag = 0; tag < VCPU_TAGS; tag++)
		svm_flush_tag(v, tag);
}

/* Nested tables have the host's own 4-level format (APM vol. 2 §15.25.5); accesses count as user
 * ones. */
#define NPTE_P	   BIT(0)
#define NPTE_W	   BIT(1)
#define NPTE_U	   BIT(2)
#define NPTE_A	   BIT(5)
#define NPTE_D	   BIT(6)
#define NPTE_LARGE BIT(7)
#define NPTE_NX	   BIT(63)
#define NPTE_ADDR  0x000ffffffffff000ull

static u64 npt_leaf(hpa_t hpa, unsigned level, bool writable, bool executable)
{
	return hpa | NPTE_P | NPTE_U | NPTE_A | NPTE_D | (writable ? NPTE_W : 0) |
	       (level > 1 ? NPTE_LARGE : 0) | (executable ? 0 : NPTE_NX);
}

static u64 npt_table(hpa_t hpa)
{
	return hpa | NPTE_P | NPTE_W | NPTE_U | NPTE_A;
}

static bool npt_present(u64 entry)
{
	return entry & NPTE_P;
}

static bool npt_is_leaf(u64 entry, unsigned level)
{
	return level == 1 || (entry & NPTE_LARGE);
}

static hpa_t npt_address(u64 entry)
{
	return entry & NPTE_ADDR;
}

static u64 npt_accessed(void)
{
	return NPTE_A;
}

static const struct nested_format npt_format = {
	.levels = 4,
	.has_1g = true,
	.leaf = npt_leaf,
	.table = npt_table,
	.present = npt_present,
	.is_leaf = npt_is_leaf,
	.address = npt_address,
	.accessed = npt_accessed,
};

static const struct engine_ops svm_ops = {
	.name = "svm",
	.pmu = &svm_pmu,
	.probe = svm_probe,
	.cpu_enable = svm_cpu_enable,
	.vcpu_init = svm_vcpu_init,
	.vcpu_free = svm_vcpu_free,
	.vcpu_reset = svm_vcpu_reset,
	.run = svm_run,
	.get_code = svm_get_code,
	.get_sregs = svm_get_sregs,
	.set_sregs = svm_set_sregs,
	.set_cr = svm_set_cr,
	.set_efer = svm_set_efer,
	.get_msr = svm_get_msr,
	.set_msr = svm_set_msr,
	.set_tsc_offset = svm_set_tsc_offset,
	.set_translation = svm_set_translation,
	.nested_format = &npt_format,
	.set_port_map = svm_set_port_map,
	.flush_tag = svm_flush_tag,
	.flush_page = svm_flush_page,
	.load = svm_load,
	.moved = svm_moved,
};
ENGINE_REGISTER(svm_ops);
