/* Intel MultiProcessor Specification 1.4 tables. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef GUESTBIOS_MPTABLE_H
#define GUESTBIOS_MPTABLE_H

#include "penumbra/types.h"

#define MP_POINTER_LEN 16

/* Build the configuration table at `table` (guest address `gpa`, `room` bytes) and the floating
 * pointer at `pointer`. False, with no pointer, if it does not fit. */
bool mptable_build(u8 *table, u32 room, u32 gpa, u8 *pointer, u32 ncpus);

#endif
