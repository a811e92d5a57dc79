/* State that a vCPU keeps live in the physical CPU while it owns it: x87/SSE/AVX, XCR0, debug
 * address registers, TSC_AUX. The hypervisor itself uses none of it, so nothing is switched on
 * exits, only when another vCPU takes the CPU over.
 *
 * XCR0 is read back on the way out: not every CPU lets XSETBV be intercepted.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/vcpu_run.h"
#include "lib/cpuops.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "mem/hostmap.h"

#define CPUID_80000001_EDX_RDTSCP BIT(27)
#define XCR0_X87		  1ull
#define FXSAVE_SIZE		  512
#define FCW_RESET		  0x0040
#define FCW_OFFSET		  0
#define FTW_OFFSET		  4
#define MXCSR_OFFSET		  24
#define MXCSR_RESET		  0x1f80u
#define XSTATE_BV_OFFSET	  512

static bool has_xsave(void)
{
	return cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE;
}

static bool has_rdtscp(void)
{
	return cpuid(0x80000001u, 0).edx & CPUID_80000001_EDX_RDTSCP;
}

static u64 all_features(void)
{
	struct cpuid c = cpuid(0xd, 0);

	return (u64)c.edx << 32 | c.eax;
}

static u32 save_area_size(void)
{
	return has_xsave() ? cpuid(0xd, 0).ecx : FXSAVE_SIZE;
}

int vcpu_fpu_init(struct vcpu *v)
{
	hpa_t area = frames_alloc(ALIGN_UP(save_area_size(), PAGE_SIZE) / PAGE_SIZE, 1,
				  OWNER_HYPERVISOR);

	if (!area)
		return -ENOMEM;
	v->fpu = hpa_va(area);
	vcpu_fpu_reset(v);
	return 0;
}

static void fpu_restore(struct vcpu *v)
{
	if (!has_xsave()) {
		asm volatile("fxrstor64 (%0)" : : "r"(v->fpu) : "memory");
		return;
	}
	xsetbv(0, all_features());
	asm volatile("xrstor64 (%0)" : : "r"(v->fpu), "a"(~0u), "d"(~0u) : "memory");
	xsetbv(0, v->xcr0);
}

static void fpu_save(struct vcpu *v)
{
	if (!has_xsave()) {
		asm volatile("fxsave64 (%0)" : : "r"(v->fpu) : "memory");
		return;
	}
	v->xcr0 = xgetbv(0);
	xsetbv(0, all_features());
	asm volatile("xsave64 (%0)" : : "r"(v->fpu), "a"(~0u), "d"(~0u) : "memory");
}

/* x87 as FINIT-less RESET leaves it, SSE cleared; APM vol. 2 table 14-1. An XSAVE header of x87|SSE
 * loads both from the legacy area and everything else in its initial state. */
void vcpu_fpu_reset(struct vcpu *v)
{
	u8 *area = v->fpu;
	u16 fcw = FCW_RESET;
	u32 mxcsr = MXCSR_RESET;
	u64 bv = 3;

	memset(area, 0, save_area_size());
	memcpy(area + FCW_OFFSET, &fcw, sizeof(fcw));
	area[FTW_OFFSET] = 0xff;
	memcpy(area + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
	if (has_xsave())
		memcpy(area + XSTATE_BV_OFFSET, &bv, sizeof(bv));
	v->xcr0 = XCR0_X87;
	memset(v->dr, 0, sizeof(v->dr));
	v->tsc_aux = 0;
	if (v->loaded)
		vcpu_load(v);
}

void vcpu_load(struct vcpu *v)
{
	fpu_restore(v);
	write_dr0(v->dr[0]);
	write_dr1(v->dr[1]);
	write_dr2(v->dr[2]);
	write_dr3(v->dr[3]);
	if (has_rdtscp())
		wrmsr(MSR_TSC_AUX, v->tsc_aux);
	if (v->engine->load)
		v->engine->load(v);
	v->loaded = true;
}

void vcpu_unload(struct vcpu *v)
{
	fpu_save(v);
	v->dr[0] = read_dr0();
	v->dr[1] = read_dr1();
	v->dr[2] = read_dr2();
	v->dr[3] = read_dr3();
	v->loaded = false;
}
