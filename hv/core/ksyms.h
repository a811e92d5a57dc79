/* Names of functions, for back-traces. The table is made from the first link by firmware.mk.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_KSYMS_H
#define HV_CORE_KSYMS_H

#include "penumbra/types.h"

/* The function that contains code address @addr and the distance from its start; NULL when @addr
 * is not in the hypervisor's code. */
const char *ksym_lookup(u64 addr, u64 *offset);

#endif
