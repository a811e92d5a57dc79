/* 64-bit scaling with a 128-bit intermediate result, without the compiler's run-time library.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_LIB_MULDIV_H
#define HV_LIB_MULDIV_H

#include "penumbra/types.h"

/* a * b / c, rounded down; UINT64_MAX when that does not fit or @c is 0. */
static inline u64 mul_div(u64 a, u64 b, u64 c)
{
	u64 lo, hi;

	__asm__("mulq %3" : "=a"(lo), "=d"(hi) : "0"(a), "rm"(b) : "cc");
	if (hi >= c)
		return UINT64_MAX;
	__asm__("divq %4" : "=a"(lo), "=d"(hi) : "0"(lo), "1"(hi), "rm"(c) : "cc");
	return lo;
}

/* a * mult >> 32: fixed-point scaling, the low 64 bits of it. */
static inline u64 mul_shift32(u64 a, u64 mult)
{
	return (u64)((unsigned __int128)a * mult >> 32);
}

#endif
