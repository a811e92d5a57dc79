/* Memory types of physical addresses as the MTRRs have them. SDM vol. 3 §12.11. EPT leaves carry
 * the type themselves: the CPU does not ask the MTRRs about a guest's accesses.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_VMX_MEMTYPE_H
#define HV_ENGINE_VMX_MEMTYPE_H

#include "penumbra/types.h"

#define MTRR_VAR_MAX   32
#define MTRR_FIXED_LEN 88 /* ranges below 1 MiB: 8 of 64K, 16 of 16K, 64 of 4K */

enum memtype { MEMTYPE_UC = 0, MEMTYPE_WC = 1, MEMTYPE_WT = 4, MEMTYPE_WP = 5, MEMTYPE_WB = 6 };

struct mtrrs {
	bool enabled, fixed_enabled;
	u8 def;
	u8 fixed[MTRR_FIXED_LEN];
	unsigned nvar;
	struct {
		hpa_t base, last;
		u8 type;
	} var[MTRR_VAR_MAX];
};

/* Fill in @m from MSR contents: @read gives one; @phys_bits is MAXPHYADDR. */
void mtrrs_read(struct mtrrs *m, u64 (*read)(void *ctx, u32 msr), void *ctx, unsigned phys_bits);
/* The type of all of [@base, @base + @len), page aligned; UC where it is not one type. */
enum memtype mtrrs_type(const struct mtrrs *m, hpa_t base, u64 len);

#endif
