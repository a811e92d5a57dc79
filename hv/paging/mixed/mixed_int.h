/* The inside of the mode of address spaces: what its files share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_MIXED_MIXED_INT_H
#define HV_PAGING_MIXED_MIXED_INT_H

#include "paging/mixed/mixed.h"

/* What @v did since the last call is @m->current's, which ran in the half that runs. */
void mixed_charge(struct vcpu *v);
/* Cycles in which @v ran, the hypervisor's for it among them. */
u64 mixed_run_cycles(const struct vcpu *v);
/* @a stops being heard of for now; NULL: nobody was. */
void mixed_rest(const struct mixed *m, struct mixed_space *a);
/* @root is loaded: the space that it is, perhaps a new one, which is current from now on. */
struct mixed_space *mixed_arrive(struct vcpu *v, u64 root);
/* The guest's CR3 @cr3 without what is not the address of its top table. */
u64 mixed_root(const struct vcpu_code *c, u64 cr3);
/* Run the current space in the mode that it is to have. @loads: as CR3 is being loaded. */
void mixed_follow(struct vcpu *v, bool loads);

#endif
