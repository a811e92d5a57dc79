/* Reads traces of touch.h back. Nothing in a file is trusted.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SIM_TRACE_READ_H
#define TESTS_SIM_TRACE_READ_H

#include "touch.h"

#include <stdio.h>

struct touch_event {
	enum touch_kind kind;
	u32 process;
	u64 instructions; /* since the event before */
	u64 at;		  /* linear address of FETCH to DROP, below 2^47 */
	u64 pages;	  /* of DROP and PROTECT */
};

struct touch_reader {
	FILE *file;
	const char *why; /* the file is not a trace: what is wrong */
	struct touch_header header;
	u32 next; /* in payload */
	u64 last_fetch, last_data, last_page;
	u8 payload[TOUCH_CHUNK];
};

void touch_open(struct touch_reader *r, FILE *file);
/* The next event; false at the end, or with @r->why set. */
bool touch_next(struct touch_reader *r, struct touch_event *e);

#endif
