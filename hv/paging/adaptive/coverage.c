/* Touched pages and TLB misses: see coverage.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/adaptive/coverage.h"

#include "paging/adaptive/fixed.h"

const u32 coverage_look_ns[COVERAGE_LOOKS] = {100000, 1000000, 10000000};

/* --- totals from samples ---------------------------------------------------------------------- */

/* Square of the standard deviation of the total, each sampled piece's variance being @spread. */
static u64 total_variance(u64 spread, u64 n, u64 of)
{
	return mul_div(sat_mul(of, of - n), spread, n);
}

struct policy_measure sampled_total(u64 sum, u64 squares, u64 n, u64 of)
{
	struct policy_measure m = {.confidence = 0};
	u64 spread, sigma;

	if (!n || n > of)
		return m;
	m.value = mul_div(sum, of, n);
	m.confidence = 100;
	if (n == of)
		return m;
	/* None seen is none so far as was looked. */
	m.confidence = sum ? 1 : (u8)(100 * n / of);
	if (!sum || n == 1)
		return m;
	spread = sat_sub(squares, mul_div(sum, sum, n)) / (n - 1);
	sigma = isqrt(total_variance(spread, n, of));
	m.confidence = (u8)(100 - MIN(mul_div(sigma, 100, m.value), 99));
	return m;
}

/* --- misses ----------------------------------------------------------------------------------- */

struct policy_measure coverage_pages(const struct coverage_look *l)
{
	return sampled_total(l->touched, l->squares, l->regions, l->of);
}

#define OLD_PARTS 3u /* of what is known, of 4: the rest goes at each look */
#define PARTS	  4u

/* What was seen of @sum->of regions, as if it were @of with the same in all. */
static void rescale(struct coverage_look *sum, u32 of)
{
	if (!sum->of || sum->of == of)
		return;
	sum->touched = mul_div(sum->touched, sum->of, of);
	sum->squares = mul_div(mul_div(sum->squares, sum->of, of), sum->of, of);
	sum->of = of;
}

/* Leave @n of the regions that @sum is about. */
static void thin(struct coverage_look *sum, u64 n)
{
	sum->touched = mul_div(sum->touched, n, MAX(sum->regions, 1u));
	sum->squares = mul_div(sum->squares, n, MAX(sum->regions, 1u));
	sum->regions = (u32)n;
}

/* Regions are as many draws from all, the time is the mean of those that were drawn. */
void coverage_pool(struct coverage_look *sum, const struct coverage_look *l)
{
	u64 n;

	if (!l->regions)
		return;
	rescale(sum, l->of);
	thin(sum, (u64)sum->regions * OLD_PARTS / PARTS);
	n = (u64)sum->regions + l->regions;
	sum->ran = mul_div(sum->ran, sum->regions, n) + mul_div(l->ran, l->regions, n);
	sum->touched += l->touched;
	sum->squares += l->squares;
	sum->regions = (u32)n;
	sum->of = l->of;
	/* Drawn again and again, they may be more than there are. */
	if (n > l->of)
		thin(sum, l->of);
}

struct policy_measure coverage_misses(const struct coverage_look look[COVERAGE_LOOKS], u64 unhalted,
				      u64 reach, u64 small_ppm)
{
	struct policy_measure best = {.confidence = 0};

	for (unsigned i = 0; i < COVERAGE_LOOKS; i++) {
		struct policy_measure d = coverage_pages(&look[i]);
		u64 misses;

		if (!d.confidence || !look[i].ran)
			continue;
		misses = sat_sub(mul_ppm(d.value, MIN(small_ppm, (u64)MILLION)), reach);
		misses = MIN(mul_div(misses, unhalted, look[i].ran), unhalted);
		if (misses < best.value || (best.confidence && misses == best.value))
			continue;
		best = (struct policy_measure){.value = misses, .confidence = d.confidence};
	}
	return best;
}

/* --- reach of the TLB ------------------------------------------------------------------------- */

#define LEAF_MAX	 0u
#define LEAF_DESCRIPTORS 2u
#define LEAF_TLB	 0x18u
#define LEAF_EXT_MAX	 0x80000000u
#define LEAF_L2_TLB	 0x80000006u
#define TLB_SUBLEAVES	 16u
#define TLB_4K		 1u /* in EBX of leaf 18h */

enum { EAX, EBX, ECX, EDX };

/* AMD APM vol. 3 appendix E: EBX[27:16], of pages of 4 KiB for data. */
static u64 reach_by_l2_leaf(void (*cpuid)(u32, u32, u32 *))
{
	u32 r[4];

	cpuid(LEAF_EXT_MAX, 0, r);
	if (r[EAX] < LEAF_L2_TLB || r[EAX] >> 16 != LEAF_EXT_MAX >> 16)
		return 0;
	cpuid(LEAF_L2_TLB, 0, r);
	/* Associativity 0: there is none. */
	return r[EBX] >> 28 ? (r[EBX] >> 16) & 0xfff : 0;
}

/* SDM vol. 2, CPUID leaf 18h: EDX[4:0] 1 data, 3 unified; EBX[31:16] ways, ECX sets. */
static u64 reach_by_tlb_leaf(void (*cpuid)(u32, u32, u32 *))
{
	u32 r[4], last;
	u64 best = 0;

	cpuid(LEAF_MAX, 0, r);
	if (r[EAX] < LEAF_TLB)
		return 0;
	cpuid(LEAF_TLB, 0, r);
	last = MIN(r[EAX], TLB_SUBLEAVES);
	for (u32 sub = 0; sub <= last; sub++) {
		u32 type;

		cpuid(LEAF_TLB, sub, r);
		type = r[EDX] & 31;
		if ((r[EBX] & TLB_4K) && (type == 1 || type == 3))
			best = MAX(best, (u64)(r[EBX] >> 16) * r[ECX]);
	}
	return best;
}

/* SDM vol. 2, table of CPUID leaf 2: those whose TLB holds translations of 4 KiB pages for data. */
static u64 entries_of_descriptor(u8 d)
{
	static const struct {
		u8 descriptor;
		u16 entries;
	} known[] = {{0x03, 64},  {0x5b, 64}, {0x5c, 128}, {0x5d, 256},	 {0xa0, 32},   {0xb3, 128},
		     {0xb4, 256}, {0xba, 64}, {0xc0, 8},   {0xc1, 1024}, {0xc3, 1536}, {0xca, 512}};

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].descriptor == d)
			return known[i].entries;
	return 0;
}

static u64 reach_by_descriptors(void (*cpuid)(u32, u32, u32 *))
{
	u64 best = 0;
	u32 r[4];

	cpuid(LEAF_MAX, 0, r);
	if (r[EAX] < LEAF_DESCRIPTORS)
		return 0;
	cpuid(LEAF_DESCRIPTORS, 0, r);
	r[EAX] &= ~0xffu; /* not a descriptor */
	for (unsigned i = 0; i < 4; i++)
		for (unsigned byte = 0; byte < 4 && !(r[i] >> 31); byte++)
			best = MAX(best, entries_of_descriptor((u8)(r[i] >> (8 * byte))));
	return best;
}

u64 coverage_tlb_reach(void (*cpuid)(u32 leaf, u32 subleaf, u32 out[4]))
{
	u64 reach = reach_by_l2_leaf(cpuid);

	if (!reach)
		reach = reach_by_tlb_leaf(cpuid);
	return reach ? reach : reach_by_descriptors(cpuid);
}
