/* Runs of random streams, each in a process of its own so that a crash is a finding like others,
 * and the search for a smallest stream that still fails.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_SHADOW_CAMPAIGN_H
#define TESTS_UNIT_SHADOW_CAMPAIGN_H

#include "shadow/ops.h"

#define CAMPAIGN_STREAM	 20000u /* operations */
#define CAMPAIGN_SECONDS 60	/* that a stream may take before it counts as hanging */

struct verdict {
	bool failed;
	int kind;     /* rig.kind; 0: a crash */
	unsigned ran; /* operations */
	char message[512];
	struct rig_counts n;
	u64 stale, unsure, flushes, page_flushes, walks; /* of oracle and CPU */
	struct shadow_stats stats;
};

/* Run @s in a child. */
void campaign_try(const struct stream *s, struct verdict *v);
/* Take out of @s and simplify what is not needed for it to fail; at most @seconds. */
void campaign_shrink(struct stream *s, struct verdict *v, unsigned seconds);
struct campaign {
	u64 seed, ops;
	enum ref_mode mode;
	enum shadow_policy policy;
	bool expected; /* to fail: neither shrunk nor printed */
	bool blind;    /* without audits */
	u8 mixed;      /* enum rig_mixed */
};
/* Streams number @seed, @seed + 1, ... until @ops operations are done or one fails: that one is
 * shrunk, printed and false returned. *@total has the sums, and the message of a failure. */
bool campaign_run(const struct campaign *c, struct verdict *total);
/* @c in each of the guest's modes, from its seed, 1000 and 2000 more on, with audits off: in how
 * many is something found? */
unsigned campaign_finders(struct campaign c);
/* Run the stream in the file @path (as printed); its verdict is printed. */
bool campaign_replay(const char *path);

#endif
