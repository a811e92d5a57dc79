/* Random page-table programs of a guest some of whose address spaces run on shadow tables and some
 * do not, and each now and then otherwise than before (sh_freeze.c); what the reference and the
 * oracle of the other random tests say holds for both. Would catch: a table that changed while the
 * shadow was frozen and is used as it was; a frame that is not guarded, or for ever; a CPU's own
 * accessed and dirty bits taken for nothing; what is forgotten and used nevertheless.
 *
 * And is that test able to fail? Two bugs made on purpose have to be found by what the guest sees.
 *
 * SRCS: hv/mem/p2m.c hv/paging/shadow/sh_*.c tests/unit/shadow/?*.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"
#include "shadow/campaign.h"
#include "unit.h"

#define OPS_BUG 400000u /* in which a bug has to be found */

enum sh_bug shadow_bug;

static u64 number(const char *name, u64 otherwise)
{
	const char *v = getenv(name);

	return v ? strtoull(v, NULL, 0) : otherwise;
}

static void run(const char *what, u64 seed, enum ref_mode mode, enum rig_mixed mixed,
		enum shadow_policy policy)
{
	struct campaign c = {.seed = number("SHADOW_SEED", seed),
			     .ops = number("SHADOW_OPS", policy == SHADOW_VTLB ? 40000 : 200000),
			     .mode = mode,
			     .policy = policy,
			     .mixed = (u8)mixed};
	struct verdict t;

	if (getenv("SHADOW_REPLAY"))
		return;
	CHECK(campaign_run(&c, &t));
	printf("# %s: %llu operations, %llu hits (%llu stale), %llu thaws, %llu guards, %llu "
	       "foreign writes (%llu by walks), %llu audits\n",
	       what, (unsigned long long)t.n.ops, (unsigned long long)t.n.hits,
	       (unsigned long long)t.stale, (unsigned long long)t.n.thaws,
	       (unsigned long long)t.n.guarded, (unsigned long long)t.n.foreign,
	       (unsigned long long)t.n.walked, (unsigned long long)t.n.audits);
	/* A run in which nothing of it happened says nothing. */
	CHECK(t.n.thaws > 100);
	CHECK(policy == SHADOW_VTLB || t.n.foreign > 100);
}

TEST(two_levels)
{
	run("two levels", 11000, REF_32, MIXED_WALKS, SHADOW_AUTO);
	run("two levels", 12000, REF_32, MIXED_MARKS, SHADOW_AUTO);
}

TEST(pae)
{
	run("PAE", 13000, REF_PAE, MIXED_WALKS, SHADOW_AUTO);
	run("PAE", 14000, REF_PAE, MIXED_MARKS, SHADOW_AUTO);
}

TEST(four_levels)
{
	run("four levels", 15000, REF_LONG, MIXED_WALKS, SHADOW_AUTO);
	run("four levels", 16000, REF_LONG, MIXED_MARKS, SHADOW_AUTO);
}

TEST(vtlb)
{
	run("four levels, vtlb", 17000, REF_LONG, MIXED_WALKS, SHADOW_VTLB);
}

TEST(replay)
{
	if (getenv("SHADOW_REPLAY"))
		CHECK(campaign_replay(getenv("SHADOW_REPLAY")));
}

/* How many of the modes find it. */
static unsigned finders(enum sh_bug bug, u64 ops)
{
	unsigned found;

	shadow_bug = bug;
	found = campaign_finders(
		(struct campaign){.seed = 21000, .ops = ops, .mixed = MIXED_WALKS});
	shadow_bug = SH_BUG_NONE;
	return found;
}

TEST(a_write_that_nobody_takes_note_of_is_found)
{
	CHECK_EQ(finders(SH_BUG_GUARD, OPS_BUG), 3);
}

TEST(a_frame_that_is_not_guarded_is_found)
{
	CHECK_EQ(finders(SH_BUG_OPEN, OPS_BUG), 3);
}
