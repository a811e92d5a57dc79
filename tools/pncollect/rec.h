/* One record of the serial line, checked (docs/serial.md).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCOLLECT_REC_H
#define PNCOLLECT_REC_H

#include "json.h"

#define REC_MAX	     4096 /* bytes, without the line end */
#define REC_TYPE_MAX 16

struct rec {
	struct span line;
	u64 seq; /* 0: bulk data with a numbering of its own, never repeated */
	u64 t_us;
	u32 crc;
	char type[REC_TYPE_MAX];
};

/* Does the line claim to be a record? Only the hypervisor writes lines that start so. */
bool rec_claims(struct span line);
/* Does the line hold a piece of what only records have? Then one was damaged, or somebody prints
 * records of his own. */
bool rec_traces(struct span line);
/* NULL and @r filled when @line is a valid record, else what is wrong with it. @r points into
 * @line. */
const char *rec_parse(struct span line, struct rec *r);
/* A top-level string member; empty when there is none. */
bool rec_text(const struct rec *r, const char *key, char *buf, size_t size);
bool rec_u64(const struct rec *r, const char *key, u64 *n);

#endif
