/* The MSRs of a guest that live in its vCPU, its TSC and its local APIC.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/partition.h"
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "lib/errno.h"

static int cpu_get(void *ctx, u32 msr, u64 *value)
{
	const struct partition *p = ctx;

	if (msr == MSR_TSC_AUX) {
		*value = p->vcpu.tsc_aux;
		return 0;
	}
	return p->vcpu.engine->get_msr(&p->vcpu, msr, value);
}

/* TSC_AUX is live in the CPU while the vCPU owns it. */
static int cpu_set(void *ctx, u32 msr, u64 value)
{
	struct partition *p = ctx;
	struct vcpu *v = &p->vcpu;

	if (msr == MSR_EFER)
		return vcpu_write_efer(v, value);
	if (msr != MSR_TSC_AUX)
		return v->engine->set_msr(v, msr, value);
	v->tsc_aux = value;
	return v->loaded ? wrmsr_safe(MSR_TSC_AUX, value) : 0;
}

static u64 tsc(void *ctx)
{
	const struct partition *p = ctx;

	return rdtsc() + p->tsc_offset;
}

static void tsc_shift(void *ctx, u64 delta)
{
	struct partition *p = ctx;

	p->tsc_offset += delta;
	p->vcpu.engine->set_tsc_offset(&p->vcpu, p->tsc_offset);
	lapic_tsc_changed(&p->board.lapic);
}

static u64 apic_base(void *ctx)
{
	const struct partition *p = ctx;

	return p->board.lapic.base;
}

static int set_apic_base(void *ctx, u64 value)
{
	struct partition *p = ctx;

	return lapic_base_write(&p->board.lapic, value);
}

static int x2apic_read(void *ctx, u32 msr, u64 *value)
{
	struct partition *p = ctx;

	return lapic_msr_read(&p->board.lapic, msr, value);
}

static int x2apic_write(void *ctx, u32 msr, u64 value)
{
	struct partition *p = ctx;

	return lapic_msr_write(&p->board.lapic, msr, value);
}

static u64 tsc_deadline(void *ctx)
{
	const struct partition *p = ctx;

	return lapic_tsc_deadline(&p->board.lapic);
}

static void set_tsc_deadline(void *ctx, u64 value)
{
	struct partition *p = ctx;

	lapic_set_tsc_deadline(&p->board.lapic, value);
}

static const struct msr_ops ops = {
	.cpu_get = cpu_get,
	.cpu_set = cpu_set,
	.tsc = tsc,
	.tsc_shift = tsc_shift,
	.apic_base = apic_base,
	.set_apic_base = set_apic_base,
	.x2apic_read = x2apic_read,
	.x2apic_write = x2apic_write,
	.tsc_deadline = tsc_deadline,
	.set_tsc_deadline = set_tsc_deadline,
};

void partition_msr_init(struct partition *p)
{
	struct guest_msrs_config cfg = {
		.cpuid = &p->cpuid,
		.tsc_khz = p->tsc_khz,
		.low_ram_end = p->p2m.low_bytes,
		.high_ram_end = p->p2m.high_bytes ? PC_HIGH_RAM_BASE + p->p2m.high_bytes : 0,
	};

	if (rdmsr_safe(0x8b, &cfg.microcode) != 0)
		cfg.microcode = 0;
	guest_msrs_init(&p->msrs, &cfg, &ops, p);
}
