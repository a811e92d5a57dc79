/* Accessed bits of a random part of a guest's nested tables (docs/adaptive.md): leaves of 2 MiB are
 * split for a while so that pages of 4 KiB can be told apart, and joined again. The guest sees no
 * difference; its TLB holds smaller entries for them meanwhile.
 *
 * On the vCPU's own CPU with the vCPU stopped; the caller flushes the tag before it runs again
 * wherever a function says so.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_NESTED_NESTED_SAMPLE_H
#define HV_PAGING_NESTED_NESTED_SAMPLE_H

#include "paging/nested/nested_map.h"

#define NESTED_SAMPLE_MAX 32

struct nested_sample {
	unsigned n, splits;
	struct {
		gpa_t gpa;
		u64 *leaf; /* 512 */
	} region[NESTED_SAMPLE_MAX];
	/* Entries that were leaves, in the order in which they were split. */
	struct {
		u64 *entry, was;
		unsigned level;
	} split[2 * NESTED_SAMPLE_MAX];
};

/* Could accessed bits be read at all? */
bool nested_sample_possible(const struct nested_map *n);
/* Regions of 2 MiB there are to choose from. */
u64 nested_sample_regions(const struct nested_map *n);
/* Choose up to @want of them by @random (stepped), split them and clear their accessed bits.
 * Returns how many; fewer where memory is short. Flush. */
unsigned nested_sample_begin(struct nested_map *n, struct nested_sample *s, unsigned want,
			     u64 *random);
/* Pages with the bit set in each region; and the sum of the squares. */
u64 nested_sample_count(const struct nested_map *n, const struct nested_sample *s, u64 *squares);
/* Join what was split and give its tables back. Flush, before anything else uses memory. */
void nested_sample_end(struct nested_map *n, struct nested_sample *s);

#endif
