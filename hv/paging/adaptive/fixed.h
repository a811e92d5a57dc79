/* Fixed-point arithmetic of the policies: no overflow, no division by zero, the same bits on every
 * machine. Q16: 65536 is one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_FIXED_H
#define HV_PAGING_ADAPTIVE_FIXED_H

#include "lib/muldiv.h"

#define Q16_ONE 65536u
#define MILLION 1000000u

static inline u64 sat_add(u64 a, u64 b)
{
	u64 sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static inline u64 sat_sub(u64 a, u64 b)
{
	return a > b ? a - b : 0;
}

static inline u64 sat_mul(u64 a, u64 b)
{
	u64 product;

	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static inline u64 mul_q16(u64 v, u64 q)
{
	return mul_div(v, q, Q16_ONE);
}

static inline u64 div_q16(u64 v, u64 q)
{
	return mul_div(v, Q16_ONE, q);
}

static inline u64 mul_ppm(u64 v, u64 ppm)
{
	return mul_div(v, ppm, MILLION);
}

/* a / b in Q16, at least @min and at most @max. */
static inline u32 ratio_q16(u64 a, u64 b, u32 min, u32 max)
{
	u64 q = mul_div(a, Q16_ONE, b);

	return (u32)MIN(MAX(q, (u64)min), (u64)max);
}

/* Binary logarithm in Q16 of @v, which is taken as 1 when 0; within 0.01, never falling. Between
 * powers of two it is a parabola. */
static inline u32 log2_q16(u64 v)
{
	unsigned msb = 63 - (unsigned)__builtin_clzll(v | 1);
	u64 part = ((v | !v) << (63 - msb) << 1) >> 48;

	return msb * Q16_ONE + (u32)(part + (part * (Q16_ONE - part) >> 16) * 22500 / Q16_ONE);
}

/* Square root, rounded down. */
static inline u32 isqrt(u64 v)
{
	u64 root = 0;

	for (u64 bit = BIT(31); bit; bit >>= 1)
		if ((root | bit) * (root | bit) <= v)
			root |= bit;
	return (u32)root;
}

#endif
