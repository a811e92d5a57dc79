/* A CPU's timer hardware and what it is told: against a model of the hardware whose interrupts are
 * heard late, or after it was told something else, catches a deadline that nothing will bring, an
 * interrupt that comes again and again, and a tick that tells the hardware more than once.
 *
 * SRCS: hv/core/hwtimer.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/hwtimer.h"
#include "unit.h"

#define NTIMERS 4
#define TICK_NS (4 * NSEC_PER_MSEC)

static struct {
	bool repeats, runs, heard;
	u64 period, fires; /* next */
	unsigned told;
	bool pending;
} hw;
static struct hwtimer h;
static struct timerq queue;
static struct timer timers[NTIMERS];
static u64 now, seed = 1;
static bool attention;
static unsigned interrupts;

static u64 dice(u64 n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % n;
}

static void obey(enum hwtimer_order order)
{
	if (order == HWTIMER_KEEP)
		return;
	hw.told++;
	hw.runs = order == HWTIMER_ARM;
	hw.period = h.period_ns;
	hw.fires = now + h.period_ns;
}

static void go_to(u64 ns)
{
	now = ns;
	while (hw.runs && hw.fires <= now) {
		hw.pending = true;
		hw.fires += hw.period;
		hw.runs = hw.repeats;
	}
}

static void hear(void)
{
	if (!hw.pending)
		return;
	hw.pending = false;
	interrupts++;
	attention = true;
	obey(hwtimer_expired(&h, now, hw.repeats));
}

static void set(struct timer *t, u64 deadline)
{
	timerq_set(&queue, t, deadline);
	attention |= hwtimer_wants(&h, timerq_next(&queue));
}

static void service(void)
{
	attention = false;
	timerq_run(&queue, now);
	obey(hwtimer_plan(&h, timerq_next(&queue), now));
}

static void fire(void *arg, u64 ns)
{
	(void)arg, (void)ns;
}

static void start(bool repeats)
{
	memset(&hw, 0, sizeof(hw));
	memset(&queue, 0, sizeof(queue));
	memset(timers, 0, sizeof(timers));
	for (unsigned i = 0; i < NTIMERS; i++)
		timers[i].fire = fire;
	hw.repeats = repeats;
	now = NSEC_PER_SEC;
	attention = false;
	interrupts = 0;
	hwtimer_init(&h);
}

/* Nothing is to be done: so what is first in the queue has to be in the hardware. */
static bool will_come(void)
{
	u64 next = timerq_next(&queue);

	return next == TIMER_OFF || (hw.runs && hw.fires <= MAX(next, now + 1));
}

static void step(void)
{
	static const u64 far[] = {1, 2000, 400000, NSEC_PER_MSEC, TICK_NS, 20 * NSEC_PER_MSEC};
	u64 away = 1 + dice(far[dice(6)]);

	switch (dice(6)) {
	case 0:
		set(&timers[dice(NTIMERS)], dice(4) ? now + away : TIMER_OFF);
		break;
	case 1:
		set(&timers[dice(NTIMERS)], now - dice(1000));
		break;
	case 2:
		attention = true; /* for somebody else's sake */
		break;
	case 3:
		hear();
		break;
	case 4:
		obey(hwtimer_settle(&h, timerq_next(&queue), now));
		break;
	default:
		go_to(now + away);
	}
}

static void random_steps(bool repeats)
{
	unsigned lost = 0;

	start(repeats);
	for (unsigned i = 0; i < 300000; i++) {
		step();
		if (dice(2))
			continue;
		hear();
		while (attention)
			service();
		lost += !will_come();
	}
	CHECK_EQ(lost, 0);
}

TEST(what_is_first_in_the_queue_comes)
{
	random_steps(true);
	random_steps(false);
}

/* A guest that sets its next deadline 100 us after the last, between other timers. */
static void tick(void)
{
	go_to(timers[0].deadline_ns);
	hear();
	service();
	go_to(now + 100000);
	set(&timers[0], now - 100000 + TICK_NS);
	set(&timers[1], now + 5 * TICK_NS);
	if (attention)
		service();
}

TEST(a_tick_tells_the_hardware_once)
{
	start(true);
	set(&timers[0], now + TICK_NS);
	service();
	hw.told = 0;
	for (unsigned i = 0; i < 100; i++)
		tick();
	CHECK_EQ(hw.told, 100);
	CHECK_EQ(interrupts, 100);
}

/* The guest asks for nothing any more: one repetition, then quiet. */
TEST(coasting_ends)
{
	start(true);
	set(&timers[0], now + TICK_NS);
	service();
	for (unsigned i = 0; i < 10; i++) {
		go_to(now + TICK_NS);
		hear();
		service();
	}
	CHECK_EQ(interrupts, 2);
	CHECK(!hw.runs);
}

TEST(a_cpu_that_sleeps_is_not_woken_for_nothing)
{
	start(true);
	set(&timers[0], now + TICK_NS);
	set(&timers[1], now + 100 * TICK_NS);
	service();
	go_to(now + TICK_NS);
	hear();
	service();
	CHECK(h.coasts);
	obey(hwtimer_settle(&h, timerq_next(&queue), now));
	CHECK_EQ(hw.fires, timers[1].deadline_ns);
}
