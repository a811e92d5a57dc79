/* Accessed bits of a random part of a guest's nested tables (docs/adaptive.md): leaves of 2 MiB are
 * split for a while so that pages of 4 KiB can be told apart, and joined again. The guest sees no
 * difference; its TLB holds smaller entries for them meanwhile.
 *
 * Only what the guest uses at all is worth it: the large leaves have accessed bits too, and those
 * without one since they were marked are left alone.
 *
 * On the vCPU's own CPU with the vCPU stopped; the caller flushes the tag before it runs again
 * wherever a function says so.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_NESTED_NESTED_SAMPLE_H
#define HV_PAGING_NESTED_NESTED_SAMPLE_H

#include "paging/nested/nested_map.h"

#define NESTED_SAMPLE_MAX   24
#define NESTED_SAMPLE_PAGES 32 /* of memory for tables; leaves of 1 GiB need one more each */

struct nested_sample {
	hpa_t memory; /* NESTED_SAMPLE_PAGES, kept by the caller; 0: none, nothing is split */
	bool marked;  /* accessed bits of large leaves were cleared, and say what is used since */
	unsigned n, splits;
	u64 of; /* regions of 2 MiB that those looked at were chosen from: all in use */
	struct {
		gpa_t gpa;
		u64 *leaf; /* 512 */
	} region[NESTED_SAMPLE_MAX];
	/* Entries that were leaves, in the order in which they were split. */
	struct {
		u64 *entry, was;
		unsigned level;
	} split[NESTED_SAMPLE_PAGES];
};

/* Could accessed bits be read at all? */
bool nested_sample_possible(const struct nested_map *n);
/* From here on regions in use are those that the guest uses from here on. Flush. */
void nested_sample_mark(struct nested_map *n, struct nested_sample *s);
/* Choose up to @want of the regions in use (of all, if nothing was marked) by @random (stepped),
 * split them and clear their accessed bits. Returns how many; fewer where memory is short. Flush.
 */
unsigned nested_sample_begin(struct nested_map *n, struct nested_sample *s, unsigned want,
			     u64 *random);
/* Pages with the bit set in each region; and the sum of the squares. */
u64 nested_sample_count(const struct nested_map *n, const struct nested_sample *s, u64 *squares);
/* Join what was split. Flush, before anything else uses the memory. */
void nested_sample_end(struct nested_map *n, struct nested_sample *s);

#endif
