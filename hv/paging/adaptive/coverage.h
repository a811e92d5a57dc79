/* How much memory a guest touches in a time, and what that says about its TLB misses. Pure.
 *
 * Where D pages were touched within a time and the TLB holds R, at least D - R misses happened in
 * it, whatever the order of the accesses. Accessed bits in tables of ours tell D: they are cleared,
 * the TLB is emptied of them, and after some time those set are counted. It is a lower bound; a
 * guest that runs nested is left there for lack of evidence rather than moved on a guess.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_COVERAGE_H
#define HV_PAGING_ADAPTIVE_COVERAGE_H

#include "paging/adaptive/sample.h"

#define COVERAGE_LOOKS 3
/* After how many ns of the guest's own time one looks. */
extern const u32 coverage_look_ns[COVERAGE_LOOKS];

/* One look at @regions of @of regions, chosen at random, whose bits were cleared @ran cycles of the
 * guest's ago. */
struct coverage_look {
	u64 ran;	 /* cycles in guest mode */
	u64 touched;	 /* pages of 4 KiB, in all regions looked at */
	u64 squares;	 /* sum of the squares of each region's number */
	u32 regions, of; /* 0 looked at: no look */
};

/* Take @l into @sum, where looks before it count less and less; one without regions is none. */
void coverage_pool(struct coverage_look *sum, const struct coverage_look *l);

/* The total over @of pieces from @n of them chosen at random, which had @sum with @squares the sum
 * of the squares. Confidence as for coverage_pages(). */
struct policy_measure sampled_total(u64 sum, u64 squares, u64 n, u64 of);

/* Pages touched in all regions, by those looked at. Confidence: 100 less the standard deviation of
 * that in percent, at least 1; 0 without a look. */
struct policy_measure coverage_pages(const struct coverage_look *l);

/* TLB misses, at least, in @unhalted cycles of the guest's: the most that any look tells, with the
 * confidence of that look. @reach: entries of the CPU's last-level TLB for pages of 4 KiB.
 * @small_ppm: how much of what is touched the guest itself maps by pages of 4 KiB; the rest needs
 * fewer entries, and is left out. */
struct policy_measure coverage_misses(const struct coverage_look look[COVERAGE_LOOKS], u64 unhalted,
				      u64 reach, u64 small_ppm);

/* Entries for pages of 4 KiB of this CPU's last-level data TLB, from CPUID; 0: it does not say.
 * @cpuid: like the instruction; eax, ebx, ecx, edx in @out. */
u64 coverage_tlb_reach(void (*cpuid)(u32 leaf, u32 subleaf, u32 out[4]));

#endif
