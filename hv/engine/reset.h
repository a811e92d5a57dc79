/* The state a processor starts in, whoever keeps it. AMD APM vol. 2 table 14-1, Intel SDM vol. 3
 * table 10-1.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_RESET_H
#define HV_ENGINE_RESET_H

#include "engine/engine.h"

/* Everything that struct vcpu does not hold; CS:IP at the reset vector. */
void vcpu_sregs_reset(struct vcpu_sregs *r);
/* The members of @v: registers, and nothing to deliver or to watch for. */
void vcpu_regs_reset(struct vcpu *v);

#endif
