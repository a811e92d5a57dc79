/* The instructions of VT-x. SDM vol. 3 ch. 31. All but VMXON need VMX operation. Those that return
 * an int: 0, or -EIO where the CPU refuses (VMfailInvalid or VMfailValid).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_VMX_VMX_OPS_H
#define HV_ENGINE_VMX_VMX_OPS_H

#include "lib/errno.h"
#include "penumbra/types.h"

static inline int vmxon(hpa_t region)
{
	bool failed;

	asm volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region) : "memory");
	return failed ? -EIO : 0;
}

static inline int vmclear(hpa_t vmcs)
{
	bool failed;

	asm volatile("vmclear %1" : "=@ccbe"(failed) : "m"(vmcs) : "memory");
	return failed ? -EIO : 0;
}

static inline int vmptrld(hpa_t vmcs)
{
	bool failed;

	asm volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(vmcs) : "memory");
	return failed ? -EIO : 0;
}

/* Of a field that this CPU has; the value is undefined else. */
static inline u64 vmread(u64 field)
{
	u64 value;

	asm volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
	return value;
}

/* 0 of a field that this CPU does not have. */
static inline u64 vmread_safe(u64 field)
{
	u64 value;
	bool failed;

	asm volatile("vmread %2, %0" : "=r"(value), "=@ccbe"(failed) : "r"(field));
	return failed ? 0 : value;
}

static inline void vmwrite(u64 field, u64 value)
{
	asm volatile("vmwrite %1, %0" : : "r"(field), "r"(value) : "cc", "memory");
}

struct vmx_invalidation {
	u64 first, second;
};

static inline void invept(u64 type, u64 eptp)
{
	struct vmx_invalidation d = {.first = eptp};

	asm volatile("invept %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

static inline void invvpid(u64 type, u16 vpid)
{
	struct vmx_invalidation d = {.first = vpid};

	asm volatile("invvpid %0, %1" : : "m"(d), "r"(type) : "cc", "memory");
}

/* What is no address has no translations either: the CPU refuses it. */
static inline void invvpid_page(u16 vpid, gva_t gva)
{
	struct vmx_invalidation d = {.first = vpid, .second = gva};

	asm volatile("invvpid %0, %1" : : "m"(d), "r"(0ull) : "cc", "memory");
}

#endif
