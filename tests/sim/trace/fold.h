/* Folds a stream of memory accesses into records (touch.h), in constant memory.
 *
 * What hits in a small direct-mapped cache would hit in every larger cache with least-recently-used
 * replacement whose number of sets is a multiple of its own, and would leave it as it was: such
 * accesses are left out. Two filters stand here, 16 sets of pages and 64 sets of lines, each for
 * fetches and for data; an access is a record when it misses either. So misses of a TLB with a
 * multiple of 16 sets, and of caches with a multiple of 64, are those of the whole stream. A fault
 * empties the filters, since whoever handles it may flush.
 *
 * No library below it: it runs in a tool that has none.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SIM_TRACE_FOLD_H
#define TESTS_SIM_TRACE_FOLD_H

#include "touch.h"

#define FOLD_PAGES   16
#define FOLD_LINES   64
#define FOLD_REGIONS 131072 /* of 1 GiB, in 47 bits */

struct fold_filter {
	u64 page[FOLD_PAGES], line[FOLD_LINES];
};

struct fold {
	/* The caller's, before fold_start(). */
	void (*write)(void *ctx, const void *bytes, size_t size);
	void *(*zeroed)(void *ctx, size_t size); /* never NULL */
	void *ctx;

	bool quiet; /* pages are remembered, nothing is recorded */
	u32 process;
	struct fold_filter fetch, data;
	u64 instructions; /* since the last record */
	u64 last_fetch, last_data, last_page;
	u64 recorded;		   /* instructions in all */
	u64 present;		   /* pages */
	u64 *region[FOLD_REGIONS]; /* two bits a page: present, written */
	struct {
		struct touch_header header;
		u8 payload[TOUCH_CHUNK];
	} chunk;
};

void fold_start(struct fold *f, u32 process);
/* One instruction at linear address @at. */
void fold_fetch(struct fold *f, u64 at, u64 size);
/* A data access; @size at most 4096. Addresses from 2^47 up are not recorded. */
void fold_data(struct fold *f, u64 at, u64 size, bool write);
/* [@at, @at + @size) is unmapped. */
void fold_drop(struct fold *f, u64 at, u64 size);
/* fork(): in the parent and in the child, which is another process. */
void fold_protect(struct fold *f);
void fold_end(struct fold *f);
/* What is recorded yet is written as a chunk. */
void fold_flush(struct fold *f);
/* Start recording. */
void fold_aloud(struct fold *f);

#endif
