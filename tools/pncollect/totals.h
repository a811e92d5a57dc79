/* Totals of trace entries: by guest and reason, by I/O port, and how they compare with what the
 * hypervisor counted itself.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCOLLECT_TOTALS_H
#define PNCOLLECT_TOTALS_H

#include "json.h"
#include "penumbra/trace.h"

#define TOTALS_NAME    20
#define TOTALS_PORTS   1024
#define TOTALS_BUCKETS 4 /* below 50 thousand cycles, 500 thousand, 5 million, and above */

struct totals_cost {
	u64 n, cycles;
};

struct totals_port {
	bool used;
	u8 guest;
	u16 port;
	struct totals_cost way[2]; /* out, in */
	u64 bucket[2][TOTALS_BUCKETS];
};

struct totals_guest {
	char name[TOTALS_NAME];
	struct totals_cost reason[TRACE_REASONS]; /* of the entries */
	u64 counts[TRACE_REASONS];		  /* of the last trace event=counts ... */
	u64 stats[TRACE_REASONS];		  /* ... and of the stats record before it */
	u64 stats_seen[TRACE_REASONS];		  /* of the last stats record */
	bool has_counts;
	u64 first_tsc, last_tsc;
};

struct totals {
	char reason[TRACE_REASONS][TOTALS_NAME];
	struct totals_guest guest[TRACE_GUESTS];
	struct totals_port port[TOTALS_PORTS];
	u64 tsc_khz;
	u64 entries, missing; /* missing: numbers between those that came */
	bool from_start;      /* every CPU's first entry is here */
};

/* Names as the `trace` record event=start has them. */
void totals_names(struct totals *t, struct span reasons, struct span guests);
void totals_entry(struct totals *t, const struct trace_entry *e);
/* "exits" of a stats record (values [count, cycles]) or of trace event=counts (counts). */
void totals_stats(struct totals *t, const char *guest, struct span exits);
void totals_counts(struct totals *t, const char *guest, struct span exits);
/* Print the tables. False when the hypervisor's counts contradict each other or the entries. */
bool totals_print(const struct totals *t);

#endif
