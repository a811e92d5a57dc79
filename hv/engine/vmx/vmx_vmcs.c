/* What a VMCS holds for its whole life, and which VMCS is current on a CPU. SDM vol. 3 §25.11.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/vmx/vmx.h"
#include "engine/vmx/vmx_ops.h"
#include "engine/vmx/vmx_pmu.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/panic.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "mem/hostmap.h"
#include "penumbra/bootinfo.h"
#include "penumbra/platform.h"

/* A guest that another one waits for and that spins is left after so many cycles of its time-stamp
 * counter, see PIN_CTL_TIMER in vmx.c. */
#define TIMER_CYCLES (1u << 20)

/* The spin of a lock that is not given back: PAUSE in a distance of at most GAP cycles for WINDOW
 * cycles. */
#define PLE_GAP	   128
#define PLE_WINDOW 4096

#define MSR_BITMAP_READ	 0x000u
#define MSR_BITMAP_WRITE 0x800u
#define MSR_BITMAP_HIGH	 0x400u

struct vmx_vcpu *vmx_current[BOOT_MAX_CPUS];
static hpa_t msr_bitmap, shadow_msr_bitmap, default_ports, apic_access;

extern const char vmx_exit_point[];

/* MSRs that an entry switches, or that stay the guest's (struct vmx_live): it reads and writes
 * them itself. Of EFER only reads are free: its bits change the mode. */
static const struct {
	u32 msr;
	bool write;
} passed_msrs[] = {
	{MSR_SYSENTER_CS, true}, {MSR_SYSENTER_ESP, true},   {MSR_SYSENTER_EIP, true},
	{MSR_EFER, false},	 {MSR_STAR, true},	     {MSR_LSTAR, true},
	{MSR_CSTAR, true},	 {MSR_SFMASK, true},	     {MSR_FS_BASE, true},
	{MSR_GS_BASE, true},	 {MSR_KERNEL_GS_BASE, true},
};

static void clear_bit(u8 *map, u32 bit)
{
	map[bit / 8] &= (u8) ~(1u << (bit % 8));
}

static void pass_msr(u8 *map, u32 msr, bool write)
{
	u32 bit = msr & 0x1fff;

	map += msr >> 16 ? MSR_BITMAP_HIGH : 0;
	clear_bit(map + MSR_BITMAP_READ, bit);
	if (write)
		clear_bit(map + MSR_BITMAP_WRITE, bit);
}

static void keep_msr(u8 *map, u32 msr)
{
	u32 bit = msr & 0x1fff;

	map += msr >> 16 ? MSR_BITMAP_HIGH : 0;
	map[MSR_BITMAP_READ + bit / 8] |= (u8)(1u << (bit % 8));
}

int vmx_perms_init(void)
{
	msr_bitmap = frames_alloc(1, 1, OWNER_HYPERVISOR);
	shadow_msr_bitmap = frames_alloc(1, 1, OWNER_HYPERVISOR);
	default_ports = frames_alloc(PORT_MAP_PAGES, 1, OWNER_HYPERVISOR);
	apic_access = frames_alloc(1, 1, OWNER_HYPERVISOR);
	if (!msr_bitmap || !shadow_msr_bitmap || !default_ports || !apic_access)
		return -ENOMEM;
	memset(hpa_va(apic_access), 0, PAGE_SIZE);
	memset(hpa_va(default_ports), 0xff, PORT_MAP_PAGES * PAGE_SIZE);
	clear_bit(hpa_va(default_ports), PC_PORT_POST);
	memset(hpa_va(msr_bitmap), 0xff, PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(passed_msrs); i++)
		pass_msr(hpa_va(msr_bitmap), passed_msrs[i].msr, passed_msrs[i].write);
	/* The CPU's EFER is not the guest's there. */
	memcpy(hpa_va(shadow_msr_bitmap), hpa_va(msr_bitmap), PAGE_SIZE);
	keep_msr(hpa_va(shadow_msr_bitmap), MSR_EFER);
	return 0;
}

hpa_t vmx_msr_bitmap(bool shadow)
{
	return shadow ? shadow_msr_bitmap : msr_bitmap;
}

hpa_t vmx_default_ports(void)
{
	return default_ports;
}

hpa_t vmx_apic_access(void)
{
	return apic_access;
}

/* Base of the task-state segment that the GDT's descriptor at @sel names. */
static u64 tss_base(const struct desc_ptr *gdt, u16 sel)
{
	const u64 *d = (const u64 *)(gdt->base + (sel & ~SEL_RPL_TI));

	return (d[0] >> 16 & 0xffffff) | (d[0] >> 56 & 0xff) << 24 | d[1] << 32;
}

/* What an exit loads: this CPU's state now. */
static void write_host(void)
{
	struct desc_ptr gdt, idt;
	u16 cs, ss, tr = str_sel();

	sgdt(&gdt);
	sidt(&idt);
	asm("mov %%cs, %0" : "=r"(cs));
	asm("mov %%ss, %0" : "=r"(ss));
	vmwrite(VMCS_HOST_CS_SEL, cs);
	vmwrite(VMCS_HOST_SS_SEL, ss);
	vmwrite(VMCS_HOST_DS_SEL, ss);
	vmwrite(VMCS_HOST_ES_SEL, ss);
	vmwrite(VMCS_HOST_FS_SEL, 0);
	vmwrite(VMCS_HOST_GS_SEL, 0);
	vmwrite(VMCS_HOST_TR_SEL, tr);
	vmwrite(VMCS_HOST_FS_BASE, 0);
	vmwrite(VMCS_HOST_GS_BASE, rdmsr(MSR_GS_BASE));
	vmwrite(VMCS_HOST_TR_BASE, tss_base(&gdt, tr));
	vmwrite(VMCS_HOST_GDTR_BASE, gdt.base);
	vmwrite(VMCS_HOST_IDTR_BASE, idt.base);
	vmwrite(VMCS_HOST_CR0, read_cr0());
	vmwrite(VMCS_HOST_CR3, read_cr3());
	vmwrite(VMCS_HOST_CR4, read_cr4());
	vmwrite(VMCS_HOST_SYSENTER_CS, 0);
	vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
	vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
	if (!vmx_config.efer_list)
		vmwrite(VMCS_HOST_EFER, rdmsr(MSR_EFER));
	if (!vmx_config.pat_list)
		vmwrite(VMCS_HOST_PAT, rdmsr(MSR_PAT));
	vmwrite(VMCS_HOST_RIP, (u64)vmx_exit_point);
}

static void write_controls(struct vmx_vcpu *s)
{
	s->pin = vmx_config.controls.pin;
	s->primary = vmx_config.controls.primary;
	vmwrite(VMCS_PIN_CONTROLS, s->pin);
	vmwrite(VMCS_EXIT_CONTROLS, vmx_config.controls.exit);
	vmwrite(VMCS_ENTRY_CONTROLS, vmx_config.controls.entry);
	vmwrite(VMCS_CR3_TARGET_COUNT, 0);
	vmx_write_lists(s);
	vmwrite(VMCS_ENTRY_INTR_INFO, 0);
	vmwrite(VMCS_VAPIC_PAGE, va_hpa(s->vapic_tpr) & ~(u64)(PAGE_SIZE - 1));
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	if (vmx_config.apic_access)
		vmwrite(VMCS_APIC_ACCESS_PAGE, apic_access);
	if (vmx_config.controls.secondary & SEC_CTL_PAUSE_LOOP) {
		vmwrite(VMCS_PLE_GAP, PLE_GAP);
		vmwrite(VMCS_PLE_WINDOW, PLE_WINDOW);
	}
	if (vmx_config.preemption_timer)
		vmwrite(VMCS_PREEMPTION_TIMER, TIMER_CYCLES >> vmx_caps.timer_shift);
}

/* Guest state that has no place in struct vmx_regs. */
static void write_guest(struct vmx_vcpu *s)
{
	vmwrite(VMCS_LINK_POINTER, UINT64_MAX);
	vmwrite(VMCS_GUEST_DEBUGCTL, 0);
	vmwrite(VMCS_GUEST_ACTIVITY, 0);
	vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
	vmwrite(VMCS_GUEST_BLOCKING, 0);
	vmwrite(VMCS_GUEST_RIP, 0);
	vmwrite(VMCS_GUEST_RSP, 0);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED);
	s->rip = s->rsp = 0;
	s->rflags = RFLAGS_FIXED;
	s->blocking = s->entry = 0;
	s->controls = VMX_CONTROLS_STALE;
	s->stale = STALE_KIND | STALE_REGS | STALE_TSC | STALE_ROOT | STALE_PORTS | STALE_PDPTES;
	vmx_owe_flush(s, OWED_ROOT | (u32)(BIT(VCPU_TAGS) - 1));
}

/* The first time on its CPU. */
static void build(const struct vcpu *v, struct vmx_vcpu *s)
{
	if (vmclear(s->vmcs_pa) || vmptrld(s->vmcs_pa))
		panic("CPU %u refuses the VMCS at 0x%llx", v->cpu, (unsigned long long)s->vmcs_pa);
	write_controls(s);
	write_host();
	vmx_pmu_write(v, s);
	write_guest(s);
	s->host_rsp = s->launched = 0;
	s->built = true;
}

void vmx_load(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_of(v), *before = vmx_current[v->cpu];

	if (before == s)
		return;
	if (before)
		vmx_save_live(&before->live);
	vmx_load_live(&s->live);
	vmx_current[v->cpu] = s;
	if (!s->built)
		build(v, s);
	else if (vmptrld(s->vmcs_pa))
		panic("CPU %u refuses the VMCS at 0x%llx", v->cpu, (unsigned long long)s->vmcs_pa);
}

void vmx_discard(struct vcpu *v)
{
	struct vmx_vcpu *s = vmx_of(v);

	s->insn_error = s->failed_reason = 0;
	s->built = false;
	if (vmx_current[v->cpu] != s)
		return;
	vmx_save_live(&s->live);
	vmx_current[v->cpu] = NULL;
}
