/* MC146818. Would catch: wrong calendar (leap years, centuries, month ends, weekday) against the C
 * library's, wrong formats, updates during SET, alarms missed or invented against a second-by-
 * second model, interrupts at the wrong time or without need, timers armed for nothing.
 *
 * SRCS: hv/dev/rtc.c hv/dev/bus.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/rtc.h"

#include <time.h>

#include "board_host.h"
#include "unit.h"

static struct board_host b;
static struct rtc rtc;
static struct pin irq;

static u8 get(u8 reg)
{
	out8(&b, 0x70, reg);
	return in8(&b, 0x71);
}

static void put(u8 reg, u8 value)
{
	out8(&b, 0x70, reg);
	out8(&b, 0x71, value);
}

static void setup(void)
{
	struct irq_line line = pin_line(&irq);

	board_host_init(&b, NULL, 0);
	memset(&irq, 0, sizeof(irq));
	CHECK_EQ(rtc_init(&rtc, &b.bus, &b.f.host, &line), 0);
}

static unsigned from_bcd(u8 v)
{
	return (v >> 4) * 10u + (v & 15);
}

static time_t read_clock(void)
{
	struct tm t = {
		.tm_sec = (int)from_bcd(get(RTC_SEC)),
		.tm_min = (int)from_bcd(get(RTC_MIN)),
		.tm_hour = (int)from_bcd(get(RTC_HOUR)),
		.tm_mday = (int)from_bcd(get(RTC_DAY)),
		.tm_mon = (int)from_bcd(get(RTC_MONTH)) - 1,
		.tm_year = (int)(from_bcd(get(RTC_CENTURY)) * 100 + from_bcd(get(RTC_YEAR))) - 1900,
	};

	return timegm(&t);
}

TEST(dates_agree_with_the_c_library)
{
	setup();
	for (time_t t = -2000000000; t < 8000000000; t += 86400 * 3 + 4711) {
		struct tm *g = gmtime(&t);

		rtc_set_time(&rtc, (unsigned)g->tm_year + 1900, (unsigned)g->tm_mon + 1,
			     (unsigned)g->tm_mday, (unsigned)g->tm_hour, (unsigned)g->tm_min,
			     (unsigned)g->tm_sec);
		CHECK_EQ(read_clock(), t);
		CHECK_EQ(get(RTC_DOW), g->tm_wday + 1);
		if (unit_failures)
			return;
	}
}

TEST(the_clock_runs_over_every_border)
{
	static const time_t from[] = {951782399 /* 2000-02-28 23:59:59 */,
				      4107542399 /* 2100-02-28 */, 1709164799 /* 2024-02-28 */,
				      1893455999 /* 2029-12-31 */, 4102444799 /* 2099-12-31 */};

	for (unsigned i = 0; i < ARRAY_SIZE(from); i++) {
		struct tm *g = gmtime(&from[i]);

		setup();
		rtc_set_time(&rtc, (unsigned)g->tm_year + 1900, (unsigned)g->tm_mon + 1,
			     (unsigned)g->tm_mday, (unsigned)g->tm_hour, (unsigned)g->tm_min,
			     (unsigned)g->tm_sec);
		board_run(&b, 999 * NSEC_PER_MSEC);
		CHECK_EQ(read_clock(), from[i]);
		board_run(&b, NSEC_PER_MSEC);
		CHECK_EQ(read_clock(), from[i] + 1);
		board_run(&b, 86400 * NSEC_PER_SEC);
		CHECK_EQ(read_clock(), from[i] + 86401);
	}
}

TEST(hours_read_in_all_four_formats)
{
	setup();
	for (unsigned hour = 0; hour < 24; hour++) {
		unsigned twelve = hour % 12 ? hour % 12 : 12;

		put(RTC_B, RTC_B_24H);
		rtc_set_time(&rtc, 2024, 1, 1, hour, 0, 0);
		CHECK_EQ(from_bcd(get(RTC_HOUR)), hour);
		put(RTC_B, RTC_B_24H | RTC_B_DM);
		CHECK_EQ(get(RTC_HOUR), hour);
		put(RTC_B, RTC_B_DM);
		CHECK_EQ(get(RTC_HOUR), twelve | (hour >= 12 ? 0x80 : 0));
		put(RTC_B, 0);
		CHECK_EQ(from_bcd(get(RTC_HOUR) & 0x7f), twelve);
		CHECK_EQ(get(RTC_HOUR) >> 7, hour >= 12);
		/* and back */
		put(RTC_HOUR, get(RTC_HOUR));
		put(RTC_B, RTC_B_24H);
		CHECK_EQ(from_bcd(get(RTC_HOUR)), hour);
	}
}

TEST(set_freezes_the_registers_until_they_are_the_time)
{
	setup();
	put(RTC_B, RTC_B_24H | RTC_B_SET | RTC_B_UIE);
	CHECK_EQ(get(RTC_B) & RTC_B_UIE, 0); /* SET clears it */
	put(RTC_CENTURY, 0x20);
	put(RTC_YEAR, 0x24);
	put(RTC_MONTH, 0x02);
	put(RTC_DAY, 0x29);
	put(RTC_DOW, 5);
	put(RTC_HOUR, 0x23);
	put(RTC_MIN, 0x59);
	put(RTC_SEC, 0x58);
	board_run(&b, 10 * NSEC_PER_SEC);
	CHECK_EQ(get(RTC_SEC), 0x58);
	CHECK_EQ(get(RTC_A) & RTC_A_UIP, 0);
	put(RTC_B, RTC_B_24H);
	board_run(&b, 3 * NSEC_PER_SEC);
	CHECK_EQ(get(RTC_DAY), 0x01);
	CHECK_EQ(get(RTC_MONTH), 0x03);
	CHECK_EQ(get(RTC_DOW), 6);
	CHECK_EQ(get(RTC_SEC), 0x01);
}

TEST(nonsense_in_the_registers_is_survived)
{
	u64 seed = 3;

	setup();
	for (unsigned i = 0; i < 20000; i++) {
		u32 r = board_random(&seed);

		put((u8)(r % 0x80), (u8)(r >> 8));
		if (r >> 16 & 1)
			board_run(&b, r % 3000 * NSEC_PER_MSEC);
		get((u8)(r >> 24 & 0x7f));
	}
}

TEST(the_divider_reset_starts_half_a_second_before_an_update)
{
	setup();
	put(RTC_A, 0x76);
	rtc_set_time(&rtc, 2024, 5, 6, 7, 8, 9);
	board_run(&b, 5 * NSEC_PER_SEC);
	CHECK_EQ(get(RTC_SEC), 0x09);
	put(RTC_A, 0x26);
	board_run(&b, 499 * NSEC_PER_MSEC);
	CHECK_EQ(get(RTC_SEC), 0x09);
	board_run(&b, 2 * NSEC_PER_MSEC);
	CHECK_EQ(get(RTC_SEC), 0x10);
}

TEST(uip_shows_before_each_update)
{
	unsigned up = 0;

	setup();
	for (unsigned i = 0; i < 100000; i++) {
		board_run(&b, 10 * NSEC_PER_USEC);
		up += !!(get(RTC_A) & RTC_A_UIP);
	}
	CHECK(up >= 220 && up <= 226); /* 2228 us of each second */
}

TEST(periodic_interrupts_have_the_selected_rate)
{
	for (unsigned rate = 1; rate <= 15; rate++) {
		unsigned hz = rate <= 2 ? 256u >> (rate - 1) : 32768u >> (rate - 1), n = 0;
		u64 end;

		setup();
		put(RTC_A, (u8)(0x20 | rate));
		put(RTC_B, RTC_B_24H | RTC_B_PIE);
		end = b.f.now + 4 * NSEC_PER_SEC;
		while (timerq_next(&b.f.q) <= end) {
			board_run_until(&b, timerq_next(&b.f.q));
			CHECK(irq.level);
			CHECK_EQ(get(RTC_C) & ~(RTC_C_UF | RTC_C_AF), RTC_C_IRQF | RTC_C_PF);
			n++;
		}
		CHECK_EQ(n, 4 * hz);
		if (unit_failures)
			return;
	}
}

TEST(an_unread_interrupt_costs_no_timers)
{
	setup();
	put(RTC_MIN_ALARM, 0x30);
	put(RTC_A, 0x26);
	put(RTC_B, RTC_B_24H | RTC_B_PIE | RTC_B_UIE);
	board_run(&b, 60 * NSEC_PER_SEC);
	CHECK_EQ(b.fired, 1);
	CHECK_EQ(irq.rises, 1);
	CHECK_EQ(get(RTC_C), RTC_C_IRQF | RTC_C_PF | RTC_C_UF);
	CHECK(!irq.level);
}

TEST(flags_show_without_any_interrupt_enabled)
{
	setup();
	get(RTC_C);
	CHECK_EQ(get(RTC_C), 0);
	board_run(&b, 2 * NSEC_PER_MSEC);
	CHECK_EQ(get(RTC_C), RTC_C_PF);
	board_run(&b, 1000 * NSEC_PER_MSEC);
	CHECK_EQ(get(RTC_C) & RTC_C_UF, RTC_C_UF);
	CHECK_EQ(b.fired, 0);
}

static bool alarm_hit(u8 raw, unsigned value)
{
	return raw >= 0xc0 || from_bcd(raw) == value;
}

/* Model: look at every second. */
TEST(alarms_come_exactly_when_they_match)
{
	u64 seed = 11;

	for (unsigned round = 0; round < 40 && !unit_failures; round++) {
		u8 field[3]; /* sec, min, hour */
		unsigned want = 0;
		static const u8 any[3] = {0xc0, 0xff, 0xe5};

		setup();
		rtc_set_time(&rtc, 2024, 2, 28, 22, 30, 15);
		for (unsigned i = 0; i < 3; i++) {
			unsigned v = board_random(&seed) % (i == 2 ? 24 : 60);

			field[i] = (u8)(v / 10 << 4 | v % 10);
			if (board_random(&seed) % 2)
				field[i] = any[i];
			put((u8)(RTC_SEC_ALARM + 2 * i), field[i]);
		}
		get(RTC_C);
		put(RTC_B, RTC_B_24H | RTC_B_AIE);
		for (unsigned s = 1; s <= 2 * 86400; s++) {
			unsigned tod = (22 * 3600 + 30 * 60 + 15 + s) % 86400;
			bool hit = alarm_hit(field[0], tod % 60) &&
				   alarm_hit(field[1], tod / 60 % 60) &&
				   alarm_hit(field[2], tod / 3600);

			board_run(&b, NSEC_PER_SEC);
			want += hit;
			CHECK_EQ(irq.level, hit);
			if (hit)
				CHECK_EQ(get(RTC_C) & (RTC_C_AF | RTC_C_IRQF),
					 RTC_C_AF | RTC_C_IRQF);
			if (unit_failures)
				return;
		}
		CHECK_EQ(irq.rises, want);
		CHECK_EQ(b.fired, want);
	}
}

TEST(an_impossible_alarm_never_comes)
{
	setup();
	put(RTC_MIN_ALARM, 0x77);
	put(RTC_B, RTC_B_24H | RTC_B_AIE);
	board_run(&b, 3 * 86400 * NSEC_PER_SEC);
	CHECK_EQ(b.fired, 0);
	CHECK_EQ(get(RTC_C) & RTC_C_AF, 0);
}

TEST(reset_stops_interrupts_and_keeps_memory)
{
	setup();
	put(0x40, 0x5a);
	put(RTC_B, RTC_B_24H | RTC_B_PIE | RTC_B_AIE | RTC_B_UIE);
	rtc_set_time(&rtc, 2030, 1, 2, 3, 4, 5);
	rtc_reset(&rtc);
	CHECK_EQ(timerq_next(&b.f.q), TIMER_OFF);
	CHECK(!irq.level);
	CHECK_EQ(get(0x40), 0x5a);
	CHECK_EQ(get(RTC_YEAR), 0x30);
	CHECK_EQ(get(RTC_D), RTC_D_VRT);
}

TEST(the_index_port_masks_nmi)
{
	setup();
	out8(&b, 0x70, 0x8f);
	CHECK(rtc_nmi_masked(&rtc));
	out8(&b, 0x70, 0x0f);
	CHECK(!rtc_nmi_masked(&rtc));
}

TEST(the_board_reaches_memory_but_not_the_clock)
{
	setup();
	rtc_cmos_write(&rtc, 0x0e, 0x11);
	rtc_cmos_write(&rtc, 0x7f, 0x22);
	rtc_cmos_write(&rtc, RTC_CENTURY, 0x99);
	rtc_cmos_write(&rtc, RTC_B, 0x99);
	rtc_cmos_write(&rtc, 0x80, 0x99);
	CHECK_EQ(get(0x0e), 0x11);
	CHECK_EQ(get(0x7f), 0x22);
	CHECK_EQ(get(RTC_CENTURY), 0x20);
	CHECK_EQ(get(RTC_B), RTC_B_24H);
}
