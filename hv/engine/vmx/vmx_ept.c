/* Extended page tables: how nested tables are encoded, and forgetting what the CPU cached of them.
 * SDM vol. 3 §29.3, §29.4.
 *
 * Accessed and dirty flags stand set from the start: nobody looks at them yet, and a CPU that
 * keeps them need not write the tables then.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/vmx/memtype.h"
#include "engine/vmx/vmx.h"
#include "engine/vmx/vmx_ops.h"
#include "lib/cpuops.h"

#define LEVELS		 4u
#define LEAF_SIZE(level) (1ull << (PAGE_SHIFT + 9 * ((level)-1)))

static struct mtrrs mtrrs;

static u64 read_msr(void *ctx, u32 msr)
{
	u64 value;

	(void)ctx;
	return rdmsr_safe(msr, &value) ? 0 : value;
}

void ept_init(void)
{
	mtrrs_read(&mtrrs, read_msr, NULL, vmx_caps.phys_bits);
}

static u64 ept_leaf(hpa_t hpa, unsigned level, bool writable, bool executable)
{
	u64 type = mtrrs_type(&mtrrs, hpa, LEAF_SIZE(level));

	return hpa | EPTE_R | EPTE_A | EPTE_D | (writable ? EPTE_W : 0) |
	       (executable ? EPTE_X : 0) | (level > 1 ? EPTE_LARGE : 0) | EPTE_TYPE(type);
}

static u64 ept_table(hpa_t hpa)
{
	return hpa | EPTE_R | EPTE_W | EPTE_X | EPTE_A;
}

static bool ept_present(u64 entry)
{
	return entry & (EPTE_R | EPTE_W | EPTE_X);
}

static bool ept_is_leaf(u64 entry, unsigned level)
{
	return level == 1 || (entry & EPTE_LARGE);
}

static hpa_t ept_address(u64 entry)
{
	return entry & EPTE_ADDR;
}

static u64 ept_accessed(void)
{
	return vmx_config.ept_ad ? EPTE_A : 0;
}

const struct nested_format ept_format = {
	.levels = LEVELS,
	.has_1g = true,
	.leaf = ept_leaf,
	.table = ept_table,
	.present = ept_present,
	.is_leaf = ept_is_leaf,
	.address = ept_address,
	.accessed = ept_accessed,
};

u64 ept_pointer(hpa_t root)
{
	return root | vmx_config.ept_type | EPTP_WALK_4 | (vmx_config.ept_ad ? EPTP_AD : 0);
}

void vmx_flush_tag(u16 vpid)
{
	if (vmx_config.vpid)
		invvpid(vmx_config.invvpid, vpid);
}

void vmx_flush_root(u64 eptp)
{
	invept(vmx_config.invept, eptp);
}
