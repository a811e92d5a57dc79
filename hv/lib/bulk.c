/* Which way long copies go. See bulk.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/bulk.h"

#include "lib/cpuops.h"
#include "lib/x86.h"

#define CPUID_D_1_EAX_XGETBV1 BIT(2)

/* State components (SDM vol. 1 §13.1) */
#define XCR0_UP_TO_AVX 0x07ull
#define XSTATE_AVX     0x04ull
#define XCR0_AVX512    0xe0ull

#define TRIES 4u /* the first warms up caches, TLB and vector unit */

static bool has_avx;
static bool has_xinuse; /* XGETBV tells what is in its initial state */
static bool wide_pays;

/* XCR0 is that of the vCPU whose state is loaded. */
static bool avx_is_on(void)
{
	return has_avx && (xgetbv(0) & (XCR0_UP_TO_AVX | XCR0_AVX512)) == XCR0_UP_TO_AVX;
}

/* If all upper halves were in their initial state the CPU shall know that they are again: else the
 * guest's SSE code is slow on some, and its XSAVE writes more. */
static void copy_avx(void *dst, const void *src, size_t n)
{
	bool clean = has_xinuse && !(xgetbv(1) & XSTATE_AVX);

	bulk_copy_avx(dst, src, n);
	if (clean)
		asm volatile("vzeroupper");
}

void bulk_copy_long(void *dst, const void *src, size_t n)
{
	size_t wide = wide_pays && avx_is_on() ? n - n % BULK_STEP : 0;

	if (wide)
		copy_avx(dst, src, wide);
	memcpy((u8 *)dst + wide, (const u8 *)src + wide, n - wide);
}

/* Cycles of the fastest of a few copies. */
static u64 cost(void (*copy)(void *, const void *, size_t), void *a, void *b, size_t n)
{
	u64 best = ~0ull;

	for (unsigned i = 0; i < TRIES; i++) {
		u64 begin = rdtsc();

		copy(a, b, n);
		best = MIN(best, rdtsc() - begin);
	}
	return best;
}

static void copy_rep(void *dst, const void *src, size_t n)
{
	memcpy(dst, src, n);
}

/* A near tie goes to REP, which borrows nothing. */
void bulk_choose(void *a, void *b, size_t n)
{
	u32 ecx = cpuid(1, 0).ecx;
	u64 xcr0, rep;

	if (!(ecx & CPUID_1_ECX_AVX) || !(ecx & CPUID_1_ECX_OSXSAVE))
		return;
	has_avx = true;
	has_xinuse = cpuid(0xd, 1).eax & CPUID_D_1_EAX_XGETBV1;
	xcr0 = xgetbv(0);
	xsetbv(0, XCR0_UP_TO_AVX);
	rep = cost(copy_rep, a, b, n);
	wide_pays = cost(copy_avx, a, b, n) < rep - rep / 8;
	xsetbv(0, xcr0);
}
