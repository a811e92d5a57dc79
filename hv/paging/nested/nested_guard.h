/* Pages of a nested map that the guest may not write for now, although they are RAM: each is mapped
 * on its own, what was a large leaf before is split for it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_NESTED_NESTED_GUARD_H
#define HV_PAGING_NESTED_NESTED_GUARD_H

#include "paging/nested/nested_map.h"

/* Make @n ready for it: a bit per page of the guest's. -ENOMEM. */
int nested_guard_init(struct nested_map *n);
/* Allow all again, put large leaves back together. The caller flushes what may have cached the
 * tables before anybody runs on them. One that was never made ready is fine. */
void nested_guard_free(struct nested_map *n);

/* Writes to the page at @gpa are faults from now on, once the caller has flushed the tag (each call
 * that changes something counts in n->guards_made). 0 where it is no RAM: nobody can write it.
 * -ENOMEM: the leaf cannot be split. */
int nested_guard(struct nested_map *n, gpa_t gpa);
/* They are not any more. A CPU that has cached it otherwise may fault once more. */
void nested_unguard(struct nested_map *n, gpa_t gpa);

static inline bool nested_guarded(const struct nested_map *n, gpa_t gpa)
{
	u64 page = gpa >> PAGE_SHIFT;

	return n->guard && page < n->guard_bits && (n->guard[page / 64] >> (page % 64) & 1);
}

#endif
