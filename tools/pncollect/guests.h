/* What became of the guests: the awaited results, the exit status, the status line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PNCOLLECT_GUESTS_H
#define PNCOLLECT_GUESTS_H

#include "rec.h"

#define GUESTS_MAX 16

struct guest {
	char name[20];
	char state[12]; /* last event, or the result's status */
	bool has_result, passed;
	char paging[12];
};

struct guests {
	struct guest g[GUESTS_MAX];
	unsigned n;
	unsigned results;
};

void guests_record(struct guests *g, const struct rec *r);
/* The hypervisor started again: what was is void. */
void guests_reset(struct guests *g);
bool guests_have(const struct guests *g, const char *wanted);
/* Of the results that came, is one other than pass? */
bool guests_failed(const struct guests *g);
/* "alpha pass, beta running" */
void guests_text(const struct guests *g, char *buf, size_t size);

#endif
