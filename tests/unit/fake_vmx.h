/* A CPU with VT-x for the engine's own sources: control and debug registers, MSRs and the fields of
 * one VMCS are memory, invalidations are written down, an entry comes back at once. Include it
 * before the engine's sources: it stands in for lib/cpuops.h and engine/vmx/vmx_ops.h.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_FAKE_VMX_H
#define TESTS_UNIT_FAKE_VMX_H

#define HV_LIB_CPUOPS_H
#define HV_ENGINE_VMX_VMX_OPS_H

#include "lib/errno.h"
#include "lib/x86.h"
#include "unit.h"

#define FAKE_FIELDS 0x8000u

static struct fake_cpu {
	u64 field[FAKE_FIELDS];
	u64 cr0, cr2, cr3, cr4, dr6;
	u64 msr[0x400], efer, star[5], gs_base;
	struct {
		char what; /* 'V' INVVPID, 'E' INVEPT */
		u64 type, first, second;
	} flush[64];
	unsigned flushes, entries, writes;
	u64 gdt[8];
	hpa_t current;
} fake;

struct cpuid {
	u32 eax, ebx, ecx, edx;
};
struct desc_ptr {
	u16 limit;
	u64 base;
} __attribute__((packed));

#define FAKE_REG(name)                                                                             \
	static inline u64 read_##name(void)                                                        \
	{                                                                                          \
		return fake.name;                                                                  \
	}                                                                                          \
	static inline void write_##name(u64 v)                                                     \
	{                                                                                          \
		fake.name = v;                                                                     \
	}
FAKE_REG(cr0)
FAKE_REG(cr2)
FAKE_REG(cr4)
FAKE_REG(dr6)
static inline u64 read_cr3(void)
{
	return fake.cr3;
}

static inline u64 *fake_msr(u32 msr)
{
	if (msr == MSR_EFER)
		return &fake.efer;
	if (msr >= MSR_STAR && msr <= MSR_SFMASK)
		return &fake.star[msr - MSR_STAR];
	if (msr == MSR_GS_BASE || msr == MSR_KERNEL_GS_BASE)
		return &fake.gs_base;
	return msr < ARRAY_SIZE(fake.msr) ? &fake.msr[msr] : NULL;
}
static inline int rdmsr_safe(u32 msr, u64 *value)
{
	*value = fake_msr(msr) ? *fake_msr(msr) : 0;
	return fake_msr(msr) ? 0 : -EFAULT;
}
static inline int wrmsr_safe(u32 msr, u64 value)
{
	if (!fake_msr(msr))
		return -EFAULT;
	*fake_msr(msr) = value;
	return 0;
}
static inline u64 rdmsr(u32 msr)
{
	u64 value;

	CHECK_EQ(rdmsr_safe(msr, &value), 0);
	return value;
}
static inline void wrmsr(u32 msr, u64 value)
{
	CHECK_EQ(wrmsr_safe(msr, value), 0);
}
static inline void sgdt(struct desc_ptr *p)
{
	*p = (struct desc_ptr){.limit = sizeof(fake.gdt) - 1, .base = (u64)fake.gdt};
}
static inline void sidt(struct desc_ptr *p)
{
	*p = (struct desc_ptr){.limit = 0xfff, .base = 0xffff800000001000};
}
static inline u16 str_sel(void)
{
	return 0x18;
}

static inline int vmxon(hpa_t region)
{
	(void)region;
	return 0;
}
static inline int vmclear(hpa_t vmcs)
{
	(void)vmcs;
	return 0;
}
static inline int vmptrld(hpa_t vmcs)
{
	fake.current = vmcs;
	return 0;
}
static inline u64 vmread(u64 field)
{
	CHECK(field < FAKE_FIELDS);
	return fake.field[field];
}
static inline u64 vmread_safe(u64 field)
{
	return vmread(field);
}
static inline void vmwrite(u64 field, u64 value)
{
	CHECK(field < FAKE_FIELDS);
	fake.field[field] = value;
	fake.writes++;
}

static inline void fake_flush(char what, u64 type, u64 first, u64 second)
{
	CHECK(fake.flushes < ARRAY_SIZE(fake.flush));
	fake.flush[fake.flushes].what = what;
	fake.flush[fake.flushes].type = type;
	fake.flush[fake.flushes].first = first;
	fake.flush[fake.flushes++].second = second;
}
static inline void invept(u64 type, u64 eptp)
{
	fake_flush('E', type, eptp, 0);
}
static inline void invvpid(u64 type, u16 vpid)
{
	fake_flush('V', type, vpid, 0);
}
static inline void invvpid_page(u16 vpid, gva_t gva)
{
	fake_flush('V', 0, vpid, gva);
}

/* In place of vmx_entry.S: no exit changes anything but what a test has put into the fields. */
asm(".pushsection .text\n"
    ".globl vmx_enter, vmx_exit_point\n"
    "vmx_enter: vmx_exit_point:\n"
    "	xor %eax, %eax\n"
    "	xor %ebx, %ebx\n"
    "	ret\n"
    ".popsection\n");

#endif
