/* Building the control partition: its share of memory, the kernel and its ramdisk in it, ACPI
 * tables that show one CPU, the vCPU at the kernel's 64-bit entry.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/control_build.h"
#include "core/cpu.h"
#include "core/ctl.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/partition_paging.h"
#include "core/report.h"
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "lib/errno.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "paging/paging.h"

#define NAME	      "control"
#define MEMORY_LARGE  (256 * MIB)
#define MEMORY_SMALL  (128 * MIB)
#define SMALL_MACHINE (GIB - 64 * MIB) /* what firmware leaves of 1 GiB counts as 1 GiB */
#define ACPI_BYTES    (256 * KIB)
/* Nothing of its own needs memory to be zeroed before the kernel uses it, or pressure to be
 * accounted for; both cost each request of a guest's disk. */
#define CMDLINE                                                                                    \
	"console=ttyS0,115200 tsc=reliable tsc_early_khz=%u no_timer_check panic=1 quiet "         \
	"init_on_alloc=0 psi=0"

#define SEG_CODE64 0xa9bu /* present, accessed, L, G */
#define SEG_DATA   0xc93u

#define MSR_TOP_MEM   0xc001001au
#define MSR_TOP_MEM2  0xc001001du
#define MTRR_COUNT(c) ((c)&0xff)

struct build {
	struct partition *p;
	const struct boot_module *kernel, *rootfs;
	struct linux_image image;
	struct linux_layout at;
	hpa_t base;
	u64 len;
};

static int fail(const char *where, const char *why, int err)
{
	report_error(NAME, where, "the control partition is not started: %s", why);
	return err;
}

/* --- memory ----------------------------------------------------------------------------------- */

static u64 memory_size(const struct config *c)
{
	u64 want = c->control_memory;

	if (!want)
		want = frames_total() < SMALL_MACHINE ? MEMORY_SMALL : MEMORY_LARGE;
	return ALIGN_UP(want, P2M_CHUNK);
}

/* In one piece, because the kernel and its DMA see these very addresses; below 4 GiB for devices
 * that cannot reach further. Conventional memory comes with it: the kernel wants a page there. */
static int take_memory(struct build *b, const struct config *c)
{
	b->len = memory_size(c);
	b->base = frames_alloc_below(b->len / PAGE_SIZE, P2M_CHUNK / PAGE_SIZE, 4 * GIB,
				     OWNER_CONTROL);
	if (!b->base) {
		report_error(NAME, "memory",
			     "the control partition is not started: no %llu MiB in one piece below "
			     "4 GiB are free",
			     (unsigned long long)(b->len / MIB));
		return -ENOMEM;
	}
	frames_claim(0, LINUX_LOW_END, OWNER_LOW, OWNER_CONTROL);
	return 0;
}

static void give_back(struct build *b)
{
	if (b->p) {
		partition_free_paging(b->p);
		p2m_free(&b->p->p2m);
	}
	if (b->base)
		frames_claim(b->base, b->len, OWNER_CONTROL, OWNER_FREE);
	frames_claim(0, LINUX_LOW_END, OWNER_CONTROL, OWNER_LOW);
}

static int build_maps(struct build *b)
{
	struct partition *p = b->p;
	int err = p2m_init_identity(&p->p2m, b->base, b->len, OWNER_CONTROL);

	if (err)
		return err;
	p->p2m.device = control_may_reach;
	p->p2m.device_ctx = p;
	return partition_build_nested(p);
}

/* --- kernel ----------------------------------------------------------------------------------- */

static int check_images(struct build *b)
{
	const char *why;
	int err = linux_image_check(&b->image, hpa_va(b->kernel->base), b->kernel->len, &why);

	if (!err)
		err = linux_layout(&b->at, &b->image, b->base, b->len, b->rootfs->len, ACPI_BYTES,
				   &why);
	return err ? fail(b->kernel->name, why, err) : 0;
}

static int load_kernel(struct build *b)
{
	const u8 *file = hpa_va(b->kernel->base);
	const struct linux_layout *l = &b->at;
	void *params = hpa_va(l->params);

	memcpy(hpa_va(l->kernel), file + b->image.payload, b->image.payload_len);
	memcpy(hpa_va(l->initrd), hpa_va(b->rootfs->base), b->rootfs->len);
	memset(hpa_va(l->acpi), 0, l->acpi_len);
	linux_params(params, file, l, control_acpi_tables(b->p, l->acpi, l->acpi_len));
	snprintf(hpa_va(l->cmdline), PAGE_SIZE, CMDLINE, hv_boot_info()->tsc_khz);
	linux_gdt(hpa_va(l->gdt));
	linux_tables(hpa_va(l->tables), l->tables);
	if (linux_memory_map(params, hv_boot_info(), b->base, b->len, l) != 0)
		return fail("memory", "the machine's memory map has too many pieces", -ENOSPC);
	return 0;
}

/* --- vCPU ------------------------------------------------------------------------------------- */

/* Without it there are no back ends, but the partition is of use all the same. */
static void add_channel(struct partition *p)
{
	int err = ctl_init(p);

	if (!err)
		err = control_channel_add(p, &ctl_channel()->pci);
	if (err)
		report_error(NAME, "channel", "no place for the channel's PCI function (%d)", err);
}

static void set_entry_state(struct build *b)
{
	struct vcpu *v = &b->p->vcpu;
	struct segment data = {.sel = LINUX_BOOT_DS, .attr = SEG_DATA, .limit = UINT32_MAX};
	struct vcpu_sregs r;

	v->engine->vcpu_reset(v);
	v->engine->get_sregs(v, &r);
	r.seg[SEG_ES] = r.seg[SEG_SS] = r.seg[SEG_DS] = data;
	r.seg[SEG_FS] = r.seg[SEG_GS] = data;
	r.seg[SEG_CS] =
		(struct segment){.sel = LINUX_BOOT_CS, .attr = SEG_CODE64, .limit = UINT32_MAX};
	r.gdt = (struct segment){.base = b->at.gdt, .limit = LINUX_BOOT_DS + 7};
	r.cr0 = CR0_PE | CR0_PG | CR0_ET | CR0_NE;
	r.cr3 = b->at.tables;
	r.cr4 = CR4_PAE;
	r.efer = EFER_LME | EFER_LMA;
	v->engine->set_sregs(v, &r);
	v->gpr[GPR_RSI] = b->at.params;
	v->rip = b->at.kernel + LINUX_ENTRY_OFFSET;
}

/* Its addresses are the machine's, so the machine's memory types hold. */
static void copy_host_msrs(struct guest_msrs *m)
{
	u64 cap = 0;

	if (rdmsr_safe(MSR_TOP_MEM, &m->top_mem) != 0 ||
	    rdmsr_safe(MSR_TOP_MEM2, &m->top_mem2) != 0)
		m->top_mem = m->top_mem2 = 0;
	if (rdmsr_safe(MSR_MTRR_CAP, &cap) != 0 || rdmsr_safe(MSR_MTRR_DEF, &m->mtrr_def_type) != 0)
		return;
	for (unsigned i = 0; i < 2 * MIN(MTRR_COUNT(cap), (u64)MSR_MTRR_VAR_COUNT); i++)
		if (rdmsr_safe(MSR_MTRR_VAR + i, &m->mtrr_var[i]) != 0)
			m->mtrr_var[i] = 0;
	for (unsigned i = 0; i < MSR_MTRR_FIXED_COUNT; i++)
		if (rdmsr_safe(msr_mtrr_fixed(i), &m->mtrr_fixed[i]) != 0)
			m->mtrr_fixed[i] = 0;
}

static int set_port_map(struct build *b)
{
	struct vcpu *v = &b->p->vcpu;
	hpa_t map = frames_alloc(PORT_MAP_PAGES, 1, OWNER_HYPERVISOR);

	if (!map)
		return -ENOMEM;
	control_board_port_map(&b->p->ctl, hpa_va(map));
	v->engine->set_port_map(v, map);
	return 0;
}

/* Its TSC is the machine's own. */
static int prepare_vcpu(struct build *b)
{
	struct partition *p = b->p;
	struct vcpu *v = &p->vcpu;

	p->tsc_khz = hv_boot_info()->tsc_khz;
	partition_msr_init(p);
	copy_host_msrs(&p->msrs);
	p->cpuid_dynamic =
		(struct cpuid_dynamic){.cr4 = v->live.cr4, .xcr0 = 1, .apic_id = cpus[0].apic_id};
	set_entry_state(b);
	vcpu_fpu_reset(v);
	v->engine->set_tsc_offset(v, 0);
	return set_port_map(b);
}

static void configure(struct partition *p, const struct build *b)
{
	str_copy(p->cfg.name, NAME, sizeof(p->cfg.name));
	p->cfg.memory = b->len;
	p->cfg.cpus = 1;
	p->cfg.paging = PAGING_NESTED;
	p->cfg.serial_mux = true;
	partition_host_init(p);
	p->src_serial = p->src_vga = log_add_source(NAME);
	log_set_partition(p->index, p->src_serial);
}

static int build(struct build *b, const struct config *c, const struct partition_ops *ops)
{
	int err = take_memory(b, c);

	if (!err)
		err = check_images(b);
	if (err)
		return err;
	b->p = partition_new(ops, 0);
	if (!b->p)
		return fail("memory", "no memory left for its control data", -ENOMEM);
	configure(b->p, b);
	partition_build_cpuid(b->p);
	err = build_maps(b);
	if (!err)
		err = partition_build_vcpu(b->p);
	if (!err)
		err = control_board_init(b->p);
	if (!err)
		partition_serve_apic(b->p);
	if (!err)
		err = prepare_vcpu(b);
	if (!err)
		add_channel(b->p);
	else
		return fail("board", "no room for its tables or devices", err);
	return load_kernel(b);
}

struct partition *control_build(const struct config *c, const struct boot_module *kernel,
				const struct boot_module *rootfs, const struct partition_ops *ops)
{
	struct build b = {.kernel = kernel, .rootfs = rootfs};

	/* Its devices are reached through leaves of their own, which shadow tables do not have. */
	if (!hv_engine_caps()->nested) {
		fail("paging", "the CPU has no nested paging; control=off is right here", -ENODEV);
		return NULL;
	}
	if (build(&b, c, ops) == 0)
		return b.p;
	give_back(&b);
	return NULL;
}
