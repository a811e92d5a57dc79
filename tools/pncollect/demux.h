/* Lines that are no records, each to the log of the partition that printed it.
 *
 * A noisy line damages prefixes too, and "alphb| text" must not make a partition: a name counts
 * once a record has told it, or when its lines are too many for damage. Until then they are held.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCOLLECT_DEMUX_H
#define PNCOLLECT_DEMUX_H

#include "lines.h"

#define DEMUX_NAME_MAX 24
#define DEMUX_SOURCES  32
#define DEMUX_HELD_MAX 4096	 /* bytes of lines that wait for their name to count */
#define DEMUX_CUT_MAX  1024	 /* of an interrupted line; a longer one is not compared */
#define DEMUX_OTHERS   "console" /* what has no prefix and no focus, or a doubtful name */

struct demux_source {
	char name[DEMUX_NAME_MAX];
	bool known;
	u64 lines;
	char cut[DEMUX_CUT_MAX]; /* an interrupted line that may come again */
	size_t cut_len;
	bool has_cut;
	char held[DEMUX_HELD_MAX]; /* lines, LF behind each, while the name is not known */
	size_t held_len;
};

struct demux {
	struct demux_source src[DEMUX_SOURCES];
	unsigned n;
	char focus[DEMUX_NAME_MAX]; /* whose lines have no prefix; empty: nobody's */
	bool in_piece;		    /* the line before was a LINE_MORE */
	unsigned piece_src;
	u64 lines, doubtful;
	/* Text for the log of @name: whole lines with their LF, or a piece of a long one. */
	void (*text)(void *ctx, const char *name, struct span text);
	void *ctx;
};

void demux_init(struct demux *d, void (*text)(void *ctx, const char *name, struct span text),
		void *ctx);
void demux_line(struct demux *d, struct span line, enum line_end end);
/* A record names a partition: its lines count from now on. */
void demux_know(struct demux *d, const char *name);
/* Write out what is held back: at the end, or before the files change. */
void demux_flush(struct demux *d);

#endif
