/* A CPU's memory management unit for tests: it walks the tables it is given, in host memory, and
 * keeps translations and pointers to tables under their tag as long as it may: until told to forget
 * them, or until an access through them faults, or when a random draw says so. Entries that it
 * fetches ahead are kept like others.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_SHADOW_FAKEMMU_H
#define TESTS_UNIT_SHADOW_FAKEMMU_H

#include "paging/shadow/shadow.h"
#include "shadow/refwalk.h"

#define MMU_PAGES  1024u /* kept translations of a size, by tag */
#define MMU_TABLES 128u	 /* kept pointers to tables of a level, by tag */

struct mmu_page {
	u64 page, epoch; /* number; valid while the tag's epoch is this one */
	struct ref_leaf leaf;
};

struct mmu_table {
	u64 prefix, epoch;
	hpa_t table;
	struct ref_rights rights;
};

struct fakemmu {
	struct shadow_root root;
	bool loaded;
	u8 maxphyaddr;
	bool has_1g;
	unsigned forget;    /* one in so many hits is forgotten; 0: none */
	const char *broken; /* what no CPU would take: a failure of whoever made the tables */
	u64 epoch[SHADOW_TAGS];
	u64 loads, flushes, page_flushes, hits, walks;
	struct mmu_page page[SHADOW_TAGS][3][MMU_PAGES];    /* 4 KiB, 2 MiB, 1 GiB */
	struct mmu_table table[SHADOW_TAGS][3][MMU_TABLES]; /* of PTEs, PDEs, PDPTEs */
};

extern const struct shadow_cpu_ops fakemmu_ops; /* its context is the struct fakemmu */

void fakemmu_init(struct fakemmu *m, u8 maxphyaddr, bool has_1g, unsigned forget);

/* The access of the guest with registers @g. True: *@hpa. False: it faults with *@error.
 * @luck decides what is forgotten. */
bool fakemmu_access(struct fakemmu *m, const struct walk_regs *g, gva_t gva,
		    const struct ref_access *a, u32 luck, hpa_t *hpa, u32 *error);
/* Fetch the translation ahead of use, if there is one. */
void fakemmu_prefetch(struct fakemmu *m, const struct walk_regs *g, gva_t gva);

#endif
