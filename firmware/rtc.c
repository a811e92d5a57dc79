/* Reading the MC146818: twice, until two readings agree outside an update.
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/rtc.h"
#include "lib/cpuops.h"
#include "lib/str.h"

#define CMOS_INDEX   0x70
#define CMOS_DATA    0x71
#define RTC_A_UIP    0x80
#define RTC_B_24H    0x02
#define RTC_B_BINARY 0x04
#define HOUR_PM	     0x80
#define READ_TRIES   100000

struct rtc_fields {
	u8 sec, min, hour, day, month, year, century;
};

static u8 cmos_read(u8 reg)
{
	outb(CMOS_INDEX, reg);
	return inb(CMOS_DATA);
}

static struct rtc_fields read_fields(void)
{
	return (struct rtc_fields){.sec = cmos_read(0),
				   .min = cmos_read(2),
				   .hour = cmos_read(4),
				   .day = cmos_read(7),
				   .month = cmos_read(8),
				   .year = cmos_read(9),
				   .century = cmos_read(0x32)};
}

static u8 from_bcd(u8 v)
{
	return (u8)((v >> 4) * 10 + (v & 15));
}

static void normalise(struct rtc_fields *f, u8 status_b)
{
	bool pm = f->hour & HOUR_PM;

	f->hour &= (u8)~HOUR_PM;
	if (!(status_b & RTC_B_BINARY)) {
		u8 *field = &f->sec;

		for (unsigned i = 0; i < sizeof(*f); i++)
			field[i] = from_bcd(field[i]);
	}
	if (!(status_b & RTC_B_24H))
		f->hour = (u8)(f->hour % 12 + (pm ? 12 : 0));
	if (f->century < 19 || f->century > 21)
		f->century = 20;
}

/* Days from 1970-01-01 to the given civil date: years counted from March, so that the leap day is
 * last. */
static u64 days_from_civil(u64 year, u64 month, u64 day)
{
	u64 y = month <= 2 ? year - 1 : year;
	u64 m = (month + 9) % 12;
	u64 era_days = y * 365 + y / 4 - y / 100 + y / 400;

	return era_days + (m * 153 + 2) / 5 + day - 1 - 719468;
}

u64 firmware_rtc_seconds(void)
{
	struct rtc_fields a, b;
	u64 days;

	for (unsigned i = 0; i < READ_TRIES && (cmos_read(0xa) & RTC_A_UIP); i++)
		cpu_pause();
	a = read_fields();
	b = read_fields();
	if (memcmp(&a, &b, sizeof(a)) != 0)
		b = read_fields();
	normalise(&b, cmos_read(0xb));
	if (b.month < 1 || b.month > 12 || b.day < 1 || b.day > 31)
		return 0;
	days = days_from_civil(b.century * 100ull + b.year, b.month, b.day);
	return days * 86400 + b.hour * 3600ull + b.min * 60ull + b.sec;
}
