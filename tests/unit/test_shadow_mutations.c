/* Is the random test of shadow paging able to fail? The core is built with bugs that can be
 * switched on (SH_BUG() in shadow_int.h); each has to be found by the same streams that pass
 * without it, with audits off: by what the guest sees. Would catch: a generator that does not reach
 * what matters any more, an oracle that has become too lenient.
 *
 * SRCS: hv/mem/p2m.c hv/paging/shadow/sh_*.c tests/unit/shadow/?*.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"
#include "shadow/campaign.h"
#include "unit.h"

#define OPS 400000u /* in which a bug has to be found, of each mode */

enum sh_bug shadow_bug;

/* How many of the modes find it. */
static unsigned finders(enum sh_bug bug, u64 ops)
{
	unsigned found;

	shadow_bug = bug;
	found = campaign_finders((struct campaign){.seed = 1000, .ops = ops});
	shadow_bug = SH_BUG_NONE;
	return found;
}

TEST(nothing_is_found_without_a_bug)
{
	CHECK_EQ(finders(SH_BUG_NONE, 40000), 0);
}

TEST(a_missed_resync_is_found)
{
	CHECK_EQ(finders(SH_BUG_RESYNC, OPS), 3);
}

TEST(a_missed_dirty_bit_is_found)
{
	CHECK_EQ(finders(SH_BUG_DIRTY, OPS), 3);
}

TEST(a_stale_large_leaf_is_found)
{
	CHECK_EQ(finders(SH_BUG_LARGE, OPS), 3);
}

TEST(a_missed_flush_is_found)
{
	CHECK_EQ(finders(SH_BUG_FLUSH, OPS), 3);
}

TEST(an_absent_entry_that_is_not_is_found)
{
	CHECK_EQ(finders(SH_BUG_ABSENT, OPS), 3);
}

TEST(a_table_left_writable_is_found)
{
	CHECK_EQ(finders(SH_BUG_PROTECT, OPS), 3);
}
