/* The nested page tables of one guest, shared by its vCPUs.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_NESTED_NESTED_MAP_H
#define HV_PAGING_NESTED_NESTED_MAP_H

#include "engine/engine.h"
#include "mem/p2m.h"

#define NESTED_DEVICE_TABLES 64 /* pages of tables that leaves to devices may take */

struct nested_map {
	const struct nested_format *fmt;
	bool use_1g;
	struct p2m *p2m;
	hpa_t root;
	u64 tables;	   /* pages in use */
	u64 device_tables; /* of them made for devices while the guest ran */
	u64 leaves[4];	   /* by level: [1] 4K, [2] 2M, [3] 1G */
	gpa_t placed_gpa;  /* see nested_map_place() */
	hpa_t placed_hpa;
	/* nested_guard.h */
	u64 *guard; /* a bit per page not to be written for now; NULL: none */
	u64 guard_bits, guards_made;
};

/* Bit that the CPU sets in a leaf that it uses; 0: it sets none. */
static inline u64 nested_accessed(const struct nested_map *n)
{
	return n->fmt->accessed ? n->fmt->accessed() : 0;
}

/* Build complete tables for @p2m: largest leaves that the memory's alignment allows. -ENOMEM leaves
 * @n fit for nested_map_free(). */
int nested_map_init(struct nested_map *n, const struct nested_format *fmt, bool use_1g,
		    struct p2m *p2m);
/* Give the tables back; nothing may run on them any more. An @n of zeros is fine. */
void nested_map_free(struct nested_map *n);
/* Rewrite the leaves of the low pages [@base, @base + @len), below 2 MiB, from the p2m. A leaf that
 * goes, moves or loses a right counts a generation; the caller then flushes every tag. */
void nested_map_update_low(struct nested_map *n, gpa_t base, u64 len);
/* Let the guest reach the real device at @gpa, for which p2m_lookup() says P2M_DEVICE: the largest
 * leaf within which all is devices. -ENOMEM: too many tables for that already. */
int nested_map_device(struct nested_map *n, gpa_t gpa);
/* Take every leaf to a device away again; those still allowed come back on demand. Counts a
 * generation; the caller then flushes every tag. */
void nested_map_drop_devices(struct nested_map *n);
/* Map the one page @hpa, which is no memory of the guest's, at @gpa, or with 0 nothing any more.
 * Not where the p2m has something, nor where it would take many tables (-EINVAL), or without memory
 * for them (-ENOMEM): nothing is mapped then. Taking it away counts a generation; the caller
 * flushes every tag. */
int nested_map_place(struct nested_map *n, gpa_t gpa, hpa_t hpa);
/* Leaves that differ from what the p2m asks for, anywhere within them, and memory of the p2m that
 * no leaf maps. */
unsigned nested_map_audit(const struct nested_map *n);

#endif
