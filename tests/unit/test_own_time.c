/* A partition's own time: catches timers that fire while another one has the CPU, time that goes on
 * for who does not run, or stands still for who has the CPU to itself, and a new guest in an old
 * one's place whose time never begins.
 *
 * SRCS: hv/core/own_time.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/clock.h"
#include "core/own_time.h"
#include "core/partition.h"
#include "core/timer.h"
#include "unit.h"

static u64 now;
static struct timerq cpu_timers;
static unsigned fired;
static u64 fired_at;

u64 clock_ns(void)
{
	return now;
}

void timer_set(struct timer *t, u64 deadline_ns)
{
	timerq_set(&cpu_timers, t, deadline_ns);
}

static void go_to(u64 ns)
{
	now = ns;
	while (timerq_run(&cpu_timers, now))
		;
}

static void fire(void *arg, u64 now_ns)
{
	(void)arg;
	fired++;
	fired_at = now_ns;
}

static struct partition a, b;
static struct timer timer = {.fire = fire};

static void start(void)
{
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	cpu_timers.head = NULL;
	timer = (struct timer){.fire = fire};
	fired = 0;
	now = 1000;
	own_time_go_on(&a);
}

static void change(struct partition *from, struct partition *to)
{
	own_time_stop(from);
	own_time_go_on(to);
}

TEST(alone_it_is_the_machine_s)
{
	start();
	CHECK_EQ(own_time_ns(&a), 0);
	go_to(1500);
	own_time_go_on(&a); /* it was scheduled again, and nobody in between */
	CHECK_EQ(own_time_ns(&a), 500);
	own_timer_set(&a, &timer, 700);
	go_to(1699);
	CHECK_EQ(fired, 0);
	go_to(1700);
	CHECK_EQ(fired, 1);
	CHECK_EQ(fired_at, 700);
}

TEST(it_stands_still_while_another_one_runs)
{
	start();
	go_to(1100);
	own_timer_set(&a, &timer, 150);
	change(&a, &b);
	go_to(9100);
	CHECK_EQ(own_time_ns(&a), 100);
	CHECK_EQ(own_time_ns(&b), 8000);
	CHECK_EQ(fired, 0);
	change(&b, &a);
	go_to(9149);
	CHECK_EQ(fired, 0);
	go_to(9151);
	CHECK_EQ(fired, 1);
	CHECK_EQ(fired_at, 151);
}

TEST(what_is_set_while_away_waits)
{
	start();
	change(&a, &b);
	own_timer_set(&a, &timer, 0);
	go_to(5000);
	CHECK_EQ(fired, 0);
	change(&b, &a);
	go_to(5000);
	CHECK_EQ(fired, 1);
	own_timer_set(&a, &timer, 100);
	own_timer_set(&a, &timer, TIMER_OFF);
	go_to(9000);
	CHECK_EQ(fired, 1);
}

TEST(a_new_guest_in_an_old_one_s_place)
{
	start();
	go_to(7000);
	memset(&a.own, 0, sizeof(a.own));
	go_to(7500);
	own_time_go_on(&a);
	go_to(7600);
	CHECK_EQ(own_time_ns(&a), 100);
}

TEST(ticks_of_the_tsc_go_with_it)
{
	u64 first, later;

	start();
	first = own_time_tsc(&a);
	later = own_time_tsc(&a);
	CHECK(later > first);
	own_time_stop(&a);
	first = own_time_tsc(&a);
	CHECK_EQ(own_time_tsc(&a), first);
	own_time_go_on(&a);
	CHECK(own_time_tsc(&a) - first < 1000000000ull);
}
