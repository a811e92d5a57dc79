/* Timer queue. Would catch: wrong order, a timer lost or fired twice when timers re-arm or cancel
 * each other while firing, and a broken list after removal at its ends.
 *
 * SRCS: hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/timerq.h"
#include "unit.h"

#define N 16

struct probe {
	struct timer t;
	unsigned fired;
	u64 at;
	struct timerq *q;
	struct probe *victim; /* cancelled from fire */
	u64 rearm;	      /* added to now and set from fire; 0: not */
};

static struct probe *order[64];
static unsigned norder;

static void fire(void *arg, u64 now_ns)
{
	struct probe *p = arg;

	p->fired++;
	p->at = now_ns;
	order[norder++ % 64] = p;
	if (p->victim)
		timerq_set(p->q, &p->victim->t, TIMER_OFF);
	if (p->rearm)
		timerq_set(p->q, &p->t, now_ns + p->rearm - 1);
}

static void setup(struct timerq *q, struct probe *p, unsigned n)
{
	memset(q, 0, sizeof(*q));
	memset(p, 0, n * sizeof(*p));
	norder = 0;
	for (unsigned i = 0; i < n; i++) {
		p[i].t.fire = fire;
		p[i].t.arg = &p[i];
		p[i].q = q;
	}
}

TEST(fires_in_order_of_deadline)
{
	struct timerq q;
	struct probe p[3];

	setup(&q, p, 3);
	timerq_set(&q, &p[0].t, 30);
	timerq_set(&q, &p[1].t, 10);
	timerq_set(&q, &p[2].t, 20);
	CHECK_EQ(timerq_next(&q), 10);
	CHECK_EQ(timerq_run(&q, 9), 0);
	CHECK_EQ(timerq_run(&q, 25), 2);
	CHECK(order[0] == &p[1] && order[1] == &p[2]);
	CHECK_EQ(timerq_next(&q), 30);
	CHECK_EQ(timerq_run(&q, 30), 1);
	CHECK_EQ(timerq_next(&q), TIMER_OFF);
}

TEST(equal_deadlines_fire_first_set_first)
{
	struct timerq q;
	struct probe p[3];

	setup(&q, p, 3);
	for (unsigned i = 0; i < 3; i++)
		timerq_set(&q, &p[i].t, 5);
	timerq_run(&q, 5);
	CHECK(order[0] == &p[0] && order[1] == &p[1] && order[2] == &p[2]);
}

TEST(rearming_in_the_past_fires_once_per_run)
{
	struct timerq q;
	struct probe p[2];

	setup(&q, p, 2);
	p[0].rearm = 1; /* due again at once */
	timerq_set(&q, &p[0].t, 5);
	timerq_set(&q, &p[1].t, 6);
	CHECK_EQ(timerq_run(&q, 10), 2);
	CHECK_EQ(p[0].fired, 1);
	CHECK_EQ(timerq_next(&q), 10);
	CHECK_EQ(timerq_run(&q, 10), 1);
}

TEST(a_timer_cancelled_while_due_does_not_fire)
{
	struct timerq q;
	struct probe p[3];

	setup(&q, p, 3);
	p[0].victim = &p[1];
	for (unsigned i = 0; i < 3; i++)
		timerq_set(&q, &p[i].t, i);
	CHECK_EQ(timerq_run(&q, 10), 2);
	CHECK_EQ(p[1].fired, 0);
	CHECK(!p[1].t.queued);
	CHECK_EQ(p[2].fired, 1);
}

/* Reference: an array of deadlines searched for its minimum. */
TEST(random_operations_match_a_table)
{
	struct timerq q;
	struct probe p[N];
	u64 want[N], now = 0;
	unsigned fired[N] = {0};

	setup(&q, p, N);
	srand(1);
	for (unsigned i = 0; i < N; i++)
		want[i] = TIMER_OFF;
	for (unsigned step = 0; step < 20000; step++) {
		unsigned i = (unsigned)rand() % N;
		u64 min = TIMER_OFF;

		if (rand() % 3) {
			want[i] = rand() % 4 ? now + (unsigned)rand() % 100 : TIMER_OFF;
			timerq_set(&q, &p[i].t, want[i]);
		} else {
			now += (unsigned)rand() % 30;
			timerq_run(&q, now);
			for (i = 0; i < N; i++) {
				if (want[i] <= now) {
					fired[i]++;
					want[i] = TIMER_OFF;
				}
			}
		}
		for (i = 0; i < N; i++) {
			min = MIN(min, want[i]);
			CHECK_EQ(p[i].fired, fired[i]);
			CHECK_EQ(p[i].t.queued, want[i] != TIMER_OFF);
		}
		CHECK_EQ(timerq_next(&q), min);
		if (unit_failures)
			return;
	}
}

/* Would catch: an interrupt of its own for a timer that can wait, and one that waits beyond its
 * slack. */
TEST(slack_waits_for_another_timer)
{
	struct timerq q;
	struct probe p[3];

	setup(&q, p, 3);
	p[0].t.slack_ns = 100;
	timerq_set(&q, &p[0].t, 10);
	CHECK_EQ(timerq_next(&q), 110);
	timerq_set(&q, &p[1].t, 50);
	CHECK_EQ(timerq_next(&q), 50);
	timerq_set(&q, &p[2].t, 200);
	CHECK_EQ(timerq_next(&q), 50);
	CHECK_EQ(timerq_run(&q, 9), 0);
	CHECK_EQ(timerq_run(&q, 50), 2);
	CHECK(order[0] == &p[0] && order[1] == &p[1]);
	p[2].t.slack_ns = TIMER_OFF;
	timerq_set(&q, &p[2].t, 60);
	CHECK_EQ(timerq_next(&q), TIMER_OFF);
	CHECK_EQ(timerq_run(&q, 60), 1);
}
