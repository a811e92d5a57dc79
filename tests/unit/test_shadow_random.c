/* Random page-table programs under shadow paging, against a reference walk that knows which
 * translations a TLB may still hold. Would catch: any access that reaches memory it must not, or
 * with rights it must not have; a #PF too many, too few or with another error code; a missed
 * flush of anything; accessed and dirty bits missed or made up; a store carried out wrongly; a
 * switch that loses something; an operation that makes no progress in a small pool; any violation
 * of the tables' own invariants (the audit).
 *
 * SHADOW_SEED and SHADOW_OPS change what is run, SHADOW_REPLAY names a file with a stream as a
 * failure prints it: then only that is run.
 *
 * SRCS: hv/mem/p2m.c hv/paging/shadow/sh_*.c tests/unit/shadow/?*.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "shadow/campaign.h"
#include "unit.h"

static u64 number(const char *name, u64 otherwise)
{
	const char *v = getenv(name);

	return v ? strtoull(v, NULL, 0) : otherwise;
}

static void run(const char *what, u64 seed, u64 ops, enum ref_mode mode, enum shadow_policy policy)
{
	struct campaign c = {.seed = number("SHADOW_SEED", seed),
			     .ops = number("SHADOW_OPS", ops),
			     .mode = mode,
			     .policy = policy};
	struct verdict t;

	if (getenv("SHADOW_REPLAY"))
		return;
	CHECK(campaign_run(&c, &t));
	printf("# %s: %llu operations, %llu hits (%llu stale, %llu unsure), %llu + %llu faults, "
	       "%llu devices, %llu stores and %llu refused, %llu retries, %llu + %llu flushes, "
	       "%llu audits, %llu switches\n",
	       what, (unsigned long long)t.n.ops, (unsigned long long)t.n.hits,
	       (unsigned long long)t.stale, (unsigned long long)t.unsure,
	       (unsigned long long)t.n.faults, (unsigned long long)t.n.direct_faults,
	       (unsigned long long)t.n.devices, (unsigned long long)t.n.stores,
	       (unsigned long long)t.n.stores_refused, (unsigned long long)t.n.retries,
	       (unsigned long long)t.flushes, (unsigned long long)t.page_flushes,
	       (unsigned long long)t.n.audits, (unsigned long long)t.n.switches);
}

TEST(two_levels)
{
	run("two levels", 1000, 1000000, REF_32, SHADOW_AUTO);
}

TEST(pae)
{
	run("PAE", 2000, 1000000, REF_PAE, SHADOW_AUTO);
}

TEST(four_levels)
{
	run("four levels", 3000, 1000000, REF_LONG, SHADOW_AUTO);
}

TEST(two_levels_vtlb)
{
	run("two levels, vtlb", 4000, 100000, REF_32, SHADOW_VTLB);
}

TEST(pae_vtlb)
{
	run("PAE, vtlb", 5000, 100000, REF_PAE, SHADOW_VTLB);
}

TEST(four_levels_vtlb)
{
	run("four levels, vtlb", 6000, 100000, REF_LONG, SHADOW_VTLB);
}

/* What is printed is what is read. */
TEST(replay)
{
	static struct op made[200], read[200];
	struct stream a = {.op = made}, b = {.op = read, .count = ARRAY_SIZE(read)};
	FILE *f = tmpfile();

	if (getenv("SHADOW_REPLAY"))
		CHECK(campaign_replay(getenv("SHADOW_REPLAY")));
	CHECK(f != NULL);
	if (!f)
		return;
	stream_generate(&a, 1, REF_PAE, SHADOW_VTLB, ARRAY_SIZE(made));
	stream_print(f, &a);
	rewind(f);
	CHECK(stream_read(f, &b));
	CHECK_EQ(b.count, a.count);
	CHECK(!memcmp(made, read, sizeof(made)));
	CHECK_EQ(b.setup.mode, a.setup.mode);
	CHECK_EQ(b.setup.policy, a.setup.policy);
	CHECK_EQ(b.setup.filters_faults, a.setup.filters_faults);
	CHECK_EQ(b.setup.wide, a.setup.wide);
	CHECK_EQ(b.setup.pdptes_told, a.setup.pdptes_told);
	CHECK_EQ(b.setup.has_1g, a.setup.has_1g);
	CHECK_EQ(b.setup.maxphyaddr, a.setup.maxphyaddr);
	CHECK_EQ(b.setup.forget, a.setup.forget);
	CHECK_EQ(b.setup.audit_every, a.setup.audit_every);
	CHECK_EQ(b.setup.pool_pages, a.setup.pool_pages);
	fclose(f);
}
