/* How fast a guest changes its last-level page tables, without watching it do so: some of them are
 * copied, and compared a tick later. Pure but for reading the guest's memory.
 *
 * Which ones: a random choice of all that the tables of one address space link. An entry that
 * changed twice counts once, accessed and dirty bits count not, and neither does a table that is
 * not linked there any more: it may hold anything.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_TABLES_H
#define HV_PAGING_ADAPTIVE_TABLES_H

#include "paging/adaptive/sample.h"
#include "paging/walk.h"

#define TABLES_SAMPLE 16
#define TABLES_VISITS 96 /* tables of links read for the choice, at most */

struct tables_copy {
	gpa_t table, link; /* it, and the entry that links it; 0: none */
	u64 linked;	   /* that entry, without accessed bit */
	u64 entry[512];	   /* as bytes: all of a table of any format */
};

struct tables {
	u64 random;
	u64 tables; /* last-level tables that the choice was made from */
	bool all;   /* and they were all there are */
	unsigned n; /* copies */
	u8 entry_size;
	struct tables_copy copy[TABLES_SAMPLE];
};

struct tables_seen {
	struct policy_measure writes; /* entries changed since the look before, in all tables */
	struct policy_measure leaves; /* entries present in last-level tables */
	/* Memory touched since the guest itself cleared accessed bits (in ppm): of it what is
	 * mapped by pages of 4 KiB. 1000000 where nothing larger is found. */
	u64 small_ppm;
};

void tables_init(struct tables *t, u64 seed);
/* Compare, then choose and copy anew from the tables of @r (paging on; else nothing is known).
 * About 20 us, bounded by TABLES_VISITS whatever the guest's tables are. */
void tables_look(struct tables *t, const struct walk_mem *m, const struct walk_regs *r,
		 struct tables_seen *out);

#endif
