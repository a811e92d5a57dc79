/* Bytes of the serial line to lines.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCOLLECT_LINES_H
#define PNCOLLECT_LINES_H

#include "json.h"

#define LINES_MAX 8192 /* more than a record and more than any prefixed line */

enum line_end {
	LINE_WHOLE, /* CR LF or LF */
	LINE_CUT,   /* CR CR LF: interrupted, its text comes again from the start */
	LINE_MORE,  /* a piece of a longer line */
};

struct lines {
	char buf[LINES_MAX];
	size_t len;
	void (*line)(void *ctx, struct span text, enum line_end end);
	void *ctx;
};

void lines_feed(struct lines *l, const char *data, size_t n);
/* The line is closed: what has no line end is one all the same. */
void lines_finish(struct lines *l);

#endif
