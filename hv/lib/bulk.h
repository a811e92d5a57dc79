/* Long copies, of disks' data mostly: by vector registers where that is faster on this machine.
 *
 * What a CPU does best differs: REP MOVS is as fast as any loop where it has its own way through
 * the caches, and slow where it is a loop of 8-byte moves inside. So both are timed at boot.
 *
 * The vector registers are a vCPU's, live while the hypervisor runs: the few that a copy takes are
 * put back after it. Usable in any context, also in one that has interrupted another copy.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_LIB_BULK_H
#define HV_LIB_BULK_H

#include "lib/str.h"
#include "penumbra/types.h"

#define BULK_STEP 1024u /* bytes of one turn of bulk_copy_avx()'s loop */
#define BULK_MIN  2048u /* with less to copy, what saves the registers costs too much */

/* Copy @n bytes, a multiple of BULK_STEP and not 0, @dst and @src of any alignment and not
 * overlapping, through YMM0 to YMM3, which are as before afterwards. Only where XCR0 has AVX on and
 * AVX-512 off, whose upper halves a move to a YMM register clears. */
void bulk_copy_avx(void *dst, const void *src, size_t n);

#ifdef PN_HOST
static inline void bulk_copy(void *dst, const void *src, size_t n)
{
	memcpy(dst, src, n);
}
#else
void bulk_copy_long(void *dst, const void *src, size_t n);

/* memcpy() for what may be long. */
static inline void bulk_copy(void *dst, const void *src, size_t n)
{
	if (n < BULK_MIN)
		memcpy(dst, src, n);
	else
		bulk_copy_long(dst, src, n);
}

/* Time both ways between @a and @b, @n bytes each (a multiple of BULK_STEP), which are overwritten,
 * and keep the faster for all CPUs. On the boot CPU before any vCPU's state is loaded. */
void bulk_choose(void *a, void *b, size_t n);
#endif

#endif
