/* Long copies by vector registers: catches a byte copied wrong, left out or written beyond the end,
 * at any alignment, and a vector register of the guest's that is another one afterwards.
 *
 * SRCS: hv/lib/bulk_avx.S
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "lib/bulk.h"

#define STEPS 5u
#define ROOM  (STEPS * BULK_STEP + 256)

static void fill(u8 *p, size_t n, u32 seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (u8)((seed + i) * 2654435761u >> 13);
}

static bool copies(size_t to, size_t from, size_t n)
{
	static u8 src[ROOM], dst[ROOM], was[ROOM];

	fill(src, ROOM, 1);
	fill(dst, ROOM, 99);
	memcpy(was, dst, ROOM);
	bulk_copy_avx(dst + to, src + from, n);
	return !memcmp(dst + to, src + from, n) && !memcmp(dst, was, to) &&
	       !memcmp(dst + to + n, was + to + n, ROOM - to - n);
}

TEST(copies_everything_and_nothing_else)
{
	if (!__builtin_cpu_supports("avx"))
		SKIP("the CPU has no AVX");
	for (unsigned n = 1; n <= STEPS; n++)
		for (unsigned at = 0; at < 64; at += 7) {
			CHECK(copies(64, 64, n * BULK_STEP));
			CHECK(copies(at, 64, n * BULK_STEP));
			CHECK(copies(64, at, n * BULK_STEP));
		}
}

struct vectors {
	u8 ymm[16][32];
};

#define EACH(m)                                                                                    \
	m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7) m(8) m(9) m(10) m(11) m(12) m(13) m(14) m(15)
#define LOAD(n)	 "vmovdqu " #n "*32(%[in]), %%ymm" #n "\n\t"
#define STORE(n) "vmovdqu %%ymm" #n ", " #n "*32(%[out])\n\t"
#define NAME(n)	 "xmm" #n,

/* A copy between a load and a store of all vector registers. */
__attribute__((target("avx"))) static void copy_among(const struct vectors *in, struct vectors *out,
						      void *dst, const void *src, size_t n)
{
	asm volatile(EACH(LOAD) "call bulk_copy_avx\n\t" EACH(STORE) "vzeroupper"
		     : "+D"(dst), "+S"(src), "+d"(n)
		     : [in] "b"(in), [out] "r"(out)
		     : EACH(NAME) "rax", "rcx", "r8", "r9", "r10", "r11", "cc", "memory");
}

TEST(vector_registers_stay)
{
	static u8 src[BULK_STEP], dst[BULK_STEP];
	struct vectors in, out = {{{0}}};

	if (!__builtin_cpu_supports("avx"))
		SKIP("the CPU has no AVX");
	fill(in.ymm[0], sizeof(in), 5);
	copy_among(&in, &out, dst, src, sizeof(dst));
	CHECK(!memcmp(&in, &out, sizeof(in)));
}
