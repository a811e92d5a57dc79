/* A recorded trace of samples: text, one line a tick (docs/adaptive.md).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TOOLS_PNPOLICY_PTRACE_H
#define TOOLS_PNPOLICY_PTRACE_H

#include "paging/adaptive/sample.h"

#define PTRACE_LINE_MAX	 1024
#define PTRACE_PARAM_MAX 64

struct ptrace_tick {
	struct policy_sample sample;
	unsigned line; /* in its file */
};

struct ptrace {
	u64 khz; /* host's cycles per millisecond */
	/* "KEY=VALUE" of parameters that were not at their defaults */
	char *param[PTRACE_PARAM_MAX];
	unsigned params;
	struct ptrace_tick *tick;
	size_t n, room;
};

/* @text (terminated) is one whole trace; each error is one line "NAME:LINE: what" on stderr.
 * Returns the number of errors; lines in error are left out. */
unsigned ptrace_parse(struct ptrace *t, const char *name, char *text);
void ptrace_free(struct ptrace *t);

#endif
