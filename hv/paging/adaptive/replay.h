/* A recorded trace (docs/adaptive.md) as a source of samples, in the hypervisor. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_REPLAY_H
#define HV_PAGING_ADAPTIVE_REPLAY_H

#include "paging/adaptive/params.h"
#include "paging/adaptive/sample.h"

/* The first line of a trace, up to the number. */
#define TRACE_HEADER   "pntrace 1 khz="
#define TRACE_PARAM    "param "
#define TRACE_LINE_MAX 1024

/* A place in a text of @end - @at bytes that stays where it is. */
struct replay {
	const char *at, *end;
	unsigned line; /* of the last one taken */
};

/* Read the head: the rate of the clock and the parameters that differed from their defaults, into
 * @p, which is then as it was when the trace was made but for what is not in it. -EINVAL with the
 * reason in @why. */
int replay_begin(struct replay *r, const char *text, u64 len, struct policy_params *p, char *why,
		 size_t size);
/* The next sample. 0; -ENOENT at the end; -EINVAL with the reason in @why: the trace ends here. */
int replay_next(struct replay *r, struct policy_sample *x, char *why, size_t size);

#endif
