/* Access to the guest's SSE/AVX registers while they are live in this CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_VECREGS_H
#define HV_CORE_VECREGS_H

#include "penumbra/types.h"

/* Register @reg (0..15), @len 16 or 32 bytes. 32 only where AVX is enabled in XCR0. */
void vecreg_read(unsigned reg, void *buf, unsigned len);
void vecreg_write(unsigned reg, const void *buf, unsigned len);

#endif
