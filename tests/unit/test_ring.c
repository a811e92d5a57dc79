/* Ring ends: would catch entries lost or repeated across the indices' wrap-around, a ring that
 * takes one too many, a foreign index believed beyond its bounds, a place that leaves the area or a
 * page, a bell not asked for before sleep.
 *
 * SRCS:
 *
 * SPDX-License-Identifier: MIT
 */
#include "penumbra/ring.h"

#include "unit.h"

#define ENTRIES 8u

struct rig {
	struct {
		struct chan_ring ring;
		u64 entry[ENTRIES];
	} m;
	struct ring_end prod, cons;
};

static void rig_init(struct rig *r, u32 start)
{
	memset(r, 0, sizeof(*r));
	ring_open(&r->prod, &r->m.ring, 8, ENTRIES);
	ring_open(&r->cons, &r->m.ring, 8, ENTRIES);
	r->m.ring.head = r->m.ring.tail = r->prod.own = r->cons.own = start;
}

TEST(order_is_kept_across_the_wrap_of_the_indices)
{
	struct rig r;
	u64 in = 0, out = 0, got;
	unsigned seed = 1;

	rig_init(&r, 0xfffffff0u);
	for (unsigned i = 0; i < 10000; i++) {
		seed = seed * 1103515245u + 12345u;
		if (seed >> 16 & 1) {
			if (ring_put(&r.prod, &in))
				in++;
			else
				CHECK_EQ(in - out, ENTRIES);
		} else if (ring_get(&r.cons, &got)) {
			CHECK_EQ(got, out);
			out++;
		} else {
			CHECK_EQ(in, out);
		}
	}
	CHECK(out > 1000);
	CHECK(!r.prod.dead && !r.cons.dead);
}

TEST(full_is_full_and_empty_is_empty)
{
	struct rig r;
	u64 v = 7;

	rig_init(&r, 5);
	CHECK(ring_drained(&r.prod));
	for (unsigned i = 0; i < ENTRIES; i++)
		CHECK(ring_put(&r.prod, &v));
	CHECK(!ring_put(&r.prod, &v));
	CHECK(!ring_reserve(&r.prod));
	CHECK_EQ(ring_count(&r.cons), ENTRIES);
	for (unsigned i = 0; i < ENTRIES; i++)
		CHECK(ring_get(&r.cons, &v));
	CHECK(!ring_get(&r.cons, &v));
	CHECK_EQ(ring_room(&r.prod), ENTRIES);
}

TEST(a_wrong_index_kills_the_ring)
{
	struct rig r;
	u64 v = 0;

	rig_init(&r, 0);
	r.m.ring.head = ENTRIES + 1;
	CHECK(!ring_get(&r.cons, &v));
	CHECK(r.cons.dead);
	r.m.ring.head = 1; /* too late */
	CHECK(!ring_get(&r.cons, &v));
	rig_init(&r, 100);
	r.m.ring.head = 99; /* backwards */
	CHECK(!ring_get(&r.cons, &v) && r.cons.dead);
	rig_init(&r, 100);
	r.m.ring.tail = 101; /* took what was never put */
	CHECK(!ring_put(&r.prod, &v) && r.prod.dead);
	CHECK(!ring_bell_wanted(&r.prod));
	CHECK_EQ(ring_room(&r.prod), 0);
}

TEST(a_producer_index_on_the_other_side_changes_nothing)
{
	struct rig r;
	u64 v = 3, got = 0;

	rig_init(&r, 0);
	CHECK(ring_put(&r.prod, &v));
	r.m.ring.head = 0; /* the consumer scribbles over what it only may read */
	v = 4;
	CHECK(ring_put(&r.prod, &v));
	CHECK_EQ(r.m.ring.head, 2);
	CHECK(ring_get(&r.cons, &got));
	CHECK_EQ(got, 3);
}

TEST(bells_and_room_are_asked_for_before_sleep)
{
	struct rig r;
	u64 v = 1;

	rig_init(&r, 0);
	CHECK(!ring_bell_wanted(&r.prod));
	CHECK(!ring_ask_bell(&r.cons, true));
	CHECK(ring_put(&r.prod, &v));
	CHECK(ring_bell_wanted(&r.prod));
	CHECK(ring_ask_bell(&r.cons, true)); /* there is one already */
	ring_ask_bell(&r.cons, false);
	CHECK(!ring_bell_wanted(&r.prod));
	while (ring_put(&r.prod, &v))
		;
	CHECK(!ring_ask_room(&r.prod, true));
	CHECK(ring_get(&r.cons, &v));
	CHECK(ring_room_wanted(&r.cons));
	CHECK(ring_ask_room(&r.prod, false));
	CHECK(!ring_room_wanted(&r.cons));
}

TEST(a_ring_that_is_not_open_is_full_and_empty)
{
	struct ring_end e = {0};
	u64 v;

	CHECK(!ring_put(&e, &v) && !ring_get(&e, &v) && !ring_ask_bell(&e, true) &&
	      !ring_ask_room(&e, true) && !ring_bell_wanted(&e) && !ring_room_wanted(&e));
}

static bool place(u32 offset, u32 size, u32 entries)
{
	struct chan_ring_place p = {.offset = offset, .entry_size = size, .entries = entries};

	return ring_place_ok(&p, 64, 2);
}

TEST(places_lie_in_one_page_of_the_area)
{
	u32 bytes = (u32)ring_bytes(64, 16);

	CHECK(place(0, 64, 16));
	CHECK(place(CHAN_PAGE_SIZE - bytes, 64, 16));
	CHECK(!place(CHAN_PAGE_SIZE - bytes + 64, 64, 16));
	CHECK(place(2 * CHAN_PAGE_SIZE - bytes, 64, 16));
	CHECK(!place(2 * CHAN_PAGE_SIZE - bytes + 64, 64, 16));
	CHECK(!place(2 * CHAN_PAGE_SIZE, 64, 16));
	CHECK(!place(0xffffffc0u, 64, 16));
	CHECK(!place(32, 64, 16));
	CHECK(!place(0, 32, 16));
	CHECK(!place(0, 64, 2));
	CHECK(!place(0, 64, 24));
	CHECK(!place(0, 64, 32768));
	CHECK(!place(0, 64, 0));
}
