/* Guest memory by linear address: through the guest's page tables to RAM or to the devices behind
 * it. What a CPU does for an instruction, done for the parts that the hypervisor executes in
 * software.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_LINEAR_H
#define HV_CORE_LINEAR_H

#include "emul/emul.h"
#include "paging/walk.h"

struct vcpu;

/* The guest's paging state when it was filled. The owner may change @walk: its CPL, its CR3. */
struct linear {
	struct vcpu *v;
	struct walk_regs walk;
	struct walk_mem mem;
};

void linear_init(struct linear *l, struct vcpu *v);
/* Move @len (at most 4096) bytes at @gva. @access: PFEC_W (also for a read: it will be written) and
 * PFEC_I as the access is; WALK_IMPLICIT for one that the CPU makes on its own. A device sees items
 * of @item bytes, 0: naturally aligned ones. 0, or -EFAULT with @f, nothing moved: every page is
 * checked first. Runs on @v's CPU. */
int linear_read(struct linear *l, gva_t gva, void *buf, unsigned len, u32 access, unsigned item,
		struct emul_fault *f);
int linear_write(struct linear *l, gva_t gva, const void *buf, unsigned len, u32 access,
		 unsigned item, struct emul_fault *f);
/* Does a write at @gva go to RAM? */
bool linear_is_ram(struct linear *l, gva_t gva, struct emul_fault *f);

#endif
