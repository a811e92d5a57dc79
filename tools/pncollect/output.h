/* The files of a collection: DIR/serial.raw, NAME.log, results.jsonl, trace.jsonl. From the second
 * session on names have its number in them: NAME.2.log, results.2.jsonl.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCOLLECT_OUTPUT_H
#define PNCOLLECT_OUTPUT_H

#include <stdio.h>

#include "json.h"

#define OUTPUT_LOGS 40

struct output_log {
	char name[24];
	FILE *f;
};

struct output {
	const char *dir; /* NULL: nothing is written */
	unsigned session;
	FILE *raw, *results, *bulk;
	struct output_log log[OUTPUT_LOGS];
	unsigned nlogs;
	int error; /* the first error number; it has been told */
};

/* Make the directory and start the files; an earlier collection there is only overwritten when
 * @force. Returns 0 or a negative error number after a message. */
int output_open(struct output *o, const char *dir, bool force, bool raw);
void output_raw(struct output *o, const char *data, size_t n);
void output_text(struct output *o, const char *name, struct span text);
void output_record(struct output *o, struct span line);
/* Records without a number. */
void output_bulk(struct output *o, struct span line);
void output_session(struct output *o, unsigned session);
/* What was written so far reaches the files. */
void output_flush(struct output *o);
void output_close(struct output *o);

#endif
