/* MC146818 real-time clock. See rtc.h.
 *
 * The clock is (base_sec, base_ns): second base_sec began at machine time base_ns, unless it stands
 * still (B.SET, or the divider is held), when base_sec alone counts. Interrupt flags are facts
 * about the interval since flags_ns.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/rtc.h"

#include "dev/port8.h"
#include "lib/str.h"

#define SEC_PER_DAY	   86400
#define DIVIDER_RELEASE_NS (500 * NSEC_PER_MSEC) /* first update after the divider starts */
#define YEAR_MIN	   1900u
#define YEAR_MAX	   9999u
#define ALARM_NEVER	   (-1)
#define CMOS_INDEX	   0x7fu

struct date {
	unsigned year, month, day, hour, min, sec;
};

/* --- calendar --------------------------------------------------------------------------------- */

static bool leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned month_len(unsigned year, unsigned month)
{
	static const u8 len[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return len[month - 1] + (month == 2 && leap(year));
}

/* Days from 0001-01-01 to January 1st of @year. */
static s64 days_before_year(unsigned year)
{
	unsigned y = year - 1;

	return (s64)y * 365 + y / 4 - y / 100 + y / 400;
}

static s64 to_seconds(const struct date *d)
{
	s64 days = days_before_year(d->year) - days_before_year(1970) + d->day - 1;

	for (unsigned m = 1; m < d->month; m++)
		days += month_len(d->year, m);
	return days * SEC_PER_DAY + d->hour * 3600 + d->min * 60 + d->sec;
}

/* Floored, so that dates before 1970 work. */
static s64 day_of(s64 sec)
{
	return sec >= 0 ? sec / SEC_PER_DAY : -((-sec + SEC_PER_DAY - 1) / SEC_PER_DAY);
}

static void from_seconds(s64 sec, struct date *d)
{
	s64 day = day_of(sec);
	unsigned tod = (unsigned)(sec - day * SEC_PER_DAY);
	s64 n = day + days_before_year(1970);
	unsigned year = (unsigned)(n / 366) + 1;

	while (days_before_year(year + 1) <= n)
		year++;
	n -= days_before_year(year);
	d->year = year;
	for (d->month = 1; n >= month_len(year, d->month); d->month++)
		n -= month_len(year, d->month);
	d->day = (unsigned)n + 1;
	d->hour = tod / 3600;
	d->min = tod / 60 % 60;
	d->sec = tod % 60;
}

/* 1970-01-01 was a Thursday; 0 is Sunday. */
static unsigned weekday(s64 sec)
{
	s64 dow = (day_of(sec) + 4) % 7;

	return (unsigned)(dow < 0 ? dow + 7 : dow);
}

static unsigned clamp(unsigned v, unsigned lo, unsigned hi)
{
	return v < lo ? lo : MIN(v, hi);
}

static void clamp_date(struct date *d)
{
	d->year = clamp(d->year, YEAR_MIN, YEAR_MAX);
	d->month = clamp(d->month, 1, 12);
	d->day = clamp(d->day, 1, month_len(d->year, d->month));
	d->hour = MIN(d->hour, 23u);
	d->min = MIN(d->min, 59u);
	d->sec = MIN(d->sec, 59u);
}

/* --- the running clock ------------------------------------------------------------------------ */

static bool divider_runs(const struct rtc *r)
{
	return (r->ram[RTC_A] & RTC_A_DV) == RTC_A_DV_RUN;
}

static bool updates(const struct rtc *r)
{
	return divider_runs(r) && !(r->ram[RTC_B] & RTC_B_SET);
}

static u64 since_base(const struct rtc *r, u64 now)
{
	return now > r->base_ns ? now - r->base_ns : 0;
}

static s64 second_at(const struct rtc *r, u64 now)
{
	return updates(r) ? r->base_sec + (s64)(since_base(r, now) / NSEC_PER_SEC) : r->base_sec;
}

/* Move the base up to @now, keeping the phase of the second. */
static void rebase(struct rtc *r, u64 now)
{
	u64 whole = since_base(r, now) / NSEC_PER_SEC;

	if (updates(r))
		r->base_sec += (s64)whole;
	r->base_ns += whole * NSEC_PER_SEC;
}

/* --- register format -------------------------------------------------------------------------- */

static u8 encode(const struct rtc *r, unsigned v)
{
	if (r->ram[RTC_B] & RTC_B_DM)
		return (u8)v;
	return (u8)(v / 10 % 10 << 4 | v % 10);
}

static unsigned decode(const struct rtc *r, u8 raw)
{
	if (r->ram[RTC_B] & RTC_B_DM)
		return raw;
	return (raw >> 4) * 10u + (raw & 15);
}

static u8 encode_hour(const struct rtc *r, unsigned hour)
{
	if (r->ram[RTC_B] & RTC_B_24H)
		return encode(r, hour);
	return encode(r, (hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0);
}

static unsigned decode_hour(const struct rtc *r, u8 raw)
{
	if (r->ram[RTC_B] & RTC_B_24H)
		return decode(r, raw);
	return decode(r, raw & 0x7f) % 12 + (raw & 0x80 ? 12 : 0);
}

static u8 encode_bcd(unsigned v)
{
	return (u8)(v / 10 % 10 << 4 | v % 10);
}

/* Time as registers 0-9 and the century show it; alarms are left alone. */
static void to_registers(struct rtc *r, s64 sec)
{
	struct date d;

	from_seconds(sec, &d);
	r->ram[RTC_SEC] = encode(r, d.sec);
	r->ram[RTC_MIN] = encode(r, d.min);
	r->ram[RTC_HOUR] = encode_hour(r, d.hour);
	r->ram[RTC_DOW] = (u8)((weekday(sec) + r->dow_bias) % 7 + 1);
	r->ram[RTC_DAY] = encode(r, d.day);
	r->ram[RTC_MONTH] = encode(r, d.month);
	r->ram[RTC_YEAR] = encode(r, d.year % 100);
	r->ram[RTC_CENTURY] = encode_bcd(d.year / 100);
}

static s64 from_registers(struct rtc *r)
{
	struct date d = {
		.year = (r->ram[RTC_CENTURY] >> 4) * 1000u + (r->ram[RTC_CENTURY] & 15) * 100u +
			decode(r, r->ram[RTC_YEAR]) % 100,
		.month = decode(r, r->ram[RTC_MONTH]),
		.day = decode(r, r->ram[RTC_DAY]),
		.hour = decode_hour(r, r->ram[RTC_HOUR]),
		.min = decode(r, r->ram[RTC_MIN]),
		.sec = decode(r, r->ram[RTC_SEC]),
	};
	s64 sec;

	clamp_date(&d);
	sec = to_seconds(&d);
	r->dow_bias = (u8)((r->ram[RTC_DOW] % 7u + 6 + 7 - weekday(sec)) % 7);
	return sec;
}

/* --- alarm, periodic and update events -------------------------------------------------------- */

/* An alarm byte as a number below @limit, or -1 for "any"; false: it can never match. */
static bool alarm_field(unsigned value, u8 raw, unsigned limit, int *field)
{
	*field = (raw & RTC_ALARM_ANY) == RTC_ALARM_ANY ? -1 : (int)value;
	return *field < (int)limit;
}

static bool field_matches(int field, unsigned v)
{
	return field < 0 || (unsigned)field == v;
}

/* Seconds from time of day @tod to the first alarm after it (1..86400), or ALARM_NEVER. */
static s32 alarm_distance(const struct rtc *r, unsigned tod)
{
	int hour, min, sec;

	if (!alarm_field(decode_hour(r, r->ram[RTC_HOUR_ALARM]), r->ram[RTC_HOUR_ALARM], 24,
			 &hour) ||
	    !alarm_field(decode(r, r->ram[RTC_MIN_ALARM]), r->ram[RTC_MIN_ALARM], 60, &min) ||
	    !alarm_field(decode(r, r->ram[RTC_SEC_ALARM]), r->ram[RTC_SEC_ALARM], 60, &sec))
		return ALARM_NEVER;
	for (unsigned at = tod + 1; at <= tod + SEC_PER_DAY;) {
		unsigned t = at % SEC_PER_DAY;

		if (!field_matches(hour, t / 3600))
			at += 3600 - t % 3600; /* the next hour's begin */
		else if (!field_matches(min, t / 60 % 60))
			at += 60 - t % 60;
		else if (!field_matches(sec, t % 60))
			at++;
		else
			return (s32)(at - tod);
	}
	return ALARM_NEVER;
}

static u64 alarm_ns(const struct rtc *r, u64 from)
{
	s64 sec = second_at(r, from);
	s32 dist = alarm_distance(r, (unsigned)(sec - day_of(sec) * SEC_PER_DAY));

	if (dist == ALARM_NEVER || !updates(r))
		return TIMER_OFF;
	return r->base_ns + (u64)(sec - r->base_sec + dist) * NSEC_PER_SEC;
}

static u64 update_ns(const struct rtc *r, u64 from)
{
	if (!updates(r))
		return TIMER_OFF;
	if (from < r->base_ns)
		return r->base_ns;
	return r->base_ns + (since_base(r, from) / NSEC_PER_SEC + 1) * NSEC_PER_SEC;
}

/* Period of the rate selected, in divider clocks; 0: off. Rates 1 and 2 repeat 8 and 9. */
static unsigned period_clocks(const struct rtc *r)
{
	unsigned rate = r->ram[RTC_A] & RTC_A_RS;

	if (!rate || !divider_runs(r))
		return 0;
	return 1u << ((rate <= 2 ? rate + 7 : rate) - 1);
}

/* Periods are counted from base_ns, or from a second earlier while that lies ahead. */
static u64 period_ns(const struct rtc *r, u64 from)
{
	u64 clocks = period_clocks(r);
	u64 base = r->base_ns, clk, next;

	if (!clocks)
		return TIMER_OFF;
	if (from < base)
		return base;
	from -= base;
	clk = from / NSEC_PER_SEC * RTC_HZ + from % NSEC_PER_SEC * RTC_HZ / NSEC_PER_SEC;
	next = (clk / clocks + 1) * clocks;
	return base + next / RTC_HZ * NSEC_PER_SEC +
	       (next % RTC_HZ * NSEC_PER_SEC + RTC_HZ - 1) / RTC_HZ;
}

/* Flags for what happened in (flags_ns, @now]. */
static void collect_flags(struct rtc *r, u64 now)
{
	u64 from = r->flags_ns;

	if (period_ns(r, from) <= now)
		r->flags |= RTC_C_PF;
	if (update_ns(r, from) <= now)
		r->flags |= RTC_C_UF;
	if (alarm_ns(r, from) <= now)
		r->flags |= RTC_C_AF;
	r->flags_ns = now;
}

/* Enabled flags raise IRQ 8 until register C is read; until then no timer is needed. */
static void update_irq(struct rtc *r, u64 now)
{
	u8 enabled = r->ram[RTC_B] & (RTC_B_PIE | RTC_B_AIE | RTC_B_UIE);
	bool level = r->flags & enabled;
	u64 next = TIMER_OFF;

	if (!level && (enabled & RTC_B_PIE))
		next = MIN(next, period_ns(r, now));
	if (!level && (enabled & RTC_B_UIE))
		next = MIN(next, update_ns(r, now));
	if (!level && (enabled & RTC_B_AIE))
		next = MIN(next, alarm_ns(r, now));
	if (next != TIMER_OFF || r->timer.queued)
		dev_timer_set(r->host, &r->timer, next);
	irq_line_set(&r->irq, level);
}

static void event_due(void *arg, u64 now_ns)
{
	struct rtc *r = arg;
	u64 now = dev_now(r->host);

	(void)now_ns;
	collect_flags(r, now);
	update_irq(r, now);
}

/* --- registers -------------------------------------------------------------------------------- */

static bool uip(const struct rtc *r, u64 now)
{
	return updates(r) && update_ns(r, now) - now <= RTC_UIP_NS;
}

static bool is_time(unsigned index)
{
	return index == RTC_CENTURY || (index <= RTC_YEAR && index != RTC_SEC_ALARM &&
					index != RTC_MIN_ALARM && index != RTC_HOUR_ALARM);
}

static u8 read_c(struct rtc *r, u64 now)
{
	u8 enabled = r->ram[RTC_B] & (RTC_B_PIE | RTC_B_AIE | RTC_B_UIE);
	u8 value;

	collect_flags(r, now);
	value = r->flags | (r->flags & enabled ? RTC_C_IRQF : 0);
	r->flags = 0;
	update_irq(r, now);
	return value;
}

static u8 read_reg(struct rtc *r, unsigned index)
{
	u64 now = dev_now(r->host);

	if (is_time(index) && !(r->ram[RTC_B] & RTC_B_SET))
		to_registers(r, second_at(r, now));
	switch (index) {
	case RTC_A:
		return r->ram[RTC_A] | (uip(r, now) ? RTC_A_UIP : 0);
	case RTC_C:
		return read_c(r, now);
	case RTC_D:
		return RTC_D_VRT;
	default:
		return r->ram[index];
	}
}

/* Holding the divider stops the clock; when it is let go, the next update comes half a second on.
 */
static void write_a(struct rtc *r, u64 now, u8 value)
{
	bool ran = divider_runs(r);

	rebase(r, now);
	r->ram[RTC_A] = value & ~RTC_A_UIP;
	if (!ran && divider_runs(r))
		r->base_ns = now - MIN(now, DIVIDER_RELEASE_NS);
}

/* SET freezes the registers for the program to write; on its end they are the time. */
static void write_b(struct rtc *r, u64 now, u8 value)
{
	bool was_set = r->ram[RTC_B] & RTC_B_SET;

	rebase(r, now);
	if (!was_set && (value & RTC_B_SET))
		to_registers(r, r->base_sec);
	if (value & RTC_B_SET)
		value &= ~RTC_B_UIE;
	r->ram[RTC_B] = value;
	if (was_set && !(value & RTC_B_SET))
		r->base_sec = from_registers(r);
}

static void write_time(struct rtc *r, u64 now, unsigned index, u8 value)
{
	if (r->ram[RTC_B] & RTC_B_SET) {
		r->ram[index] = value;
		return;
	}
	rebase(r, now);
	to_registers(r, r->base_sec);
	r->ram[index] = value;
	r->base_sec = from_registers(r);
}

static void write_reg(struct rtc *r, unsigned index, u8 value)
{
	u64 now = dev_now(r->host);

	if (index > RTC_D && index != RTC_CENTURY) {
		r->ram[index & CMOS_INDEX] = value;
		return;
	}
	collect_flags(r, now);
	if (index == RTC_A)
		write_a(r, now, value);
	else if (index == RTC_B)
		write_b(r, now, value);
	else if (is_time(index))
		write_time(r, now, index, value);
	else if (index < RTC_A)
		r->ram[index] = value; /* alarms */
	update_irq(r, now);
}

static u8 read8(void *dev, u16 port)
{
	struct rtc *r = dev;

	return port == RTC_PORT_DATA ? read_reg(r, r->index & CMOS_INDEX) : 0xff;
}

static void write8(void *dev, u16 port, u8 value)
{
	struct rtc *r = dev;

	if (port == RTC_PORT_DATA)
		write_reg(r, r->index & CMOS_INDEX, value);
	else
		r->index = value;
}

static u32 port_read(void *dev, u16 port, unsigned size)
{
	return port8_read(read8, dev, port, size);
}

static void port_write(void *dev, u16 port, unsigned size, u32 value)
{
	port8_write(write8, dev, port, size, value);
}

static const struct port_ops rtc_ops = {.read = port_read, .write = port_write};

/* --- board ------------------------------------------------------------------------------------ */

void rtc_set_time(struct rtc *r, unsigned year, unsigned month, unsigned day, unsigned hour,
		  unsigned min, unsigned sec)
{
	struct date d = {year, month, day, hour, min, sec};
	u64 now = dev_now(r->host);

	clamp_date(&d);
	r->base_sec = to_seconds(&d);
	r->base_ns = now;
	r->dow_bias = 0;
	r->flags_ns = now;
	to_registers(r, r->base_sec);
	update_irq(r, now);
}

void rtc_cmos_write(struct rtc *r, unsigned index, u8 value)
{
	if (index > RTC_D && index < sizeof(r->ram) && index != RTC_CENTURY)
		r->ram[index] = value;
}

void rtc_reset(struct rtc *r)
{
	u64 now = dev_now(r->host);

	if (r->ram[RTC_B] & RTC_B_SET) /* battery-backed, but no BIOS would find it so */
		write_b(r, now, r->ram[RTC_B] & ~RTC_B_SET);
	r->ram[RTC_B] &= ~(RTC_B_PIE | RTC_B_AIE | RTC_B_UIE | RTC_B_SQWE);
	r->flags = 0;
	r->flags_ns = now;
	r->index = 0;
	update_irq(r, now);
}

int rtc_init(struct rtc *r, struct bus *bus, const struct dev_host *host,
	     const struct irq_line *irq)
{
	memset(r, 0, sizeof(*r));
	r->host = host;
	r->irq = *irq;
	r->timer.fire = event_due;
	r->timer.arg = r;
	r->ram[RTC_A] = RTC_A_DV_RUN | 6; /* 1024 Hz, as a BIOS leaves it */
	r->ram[RTC_B] = RTC_B_24H;
	rtc_set_time(r, 2000, 1, 1, 0, 0, 0);
	rtc_reset(r);
	return bus_add_port(bus, RTC_PORT_INDEX, 2, &rtc_ops, r);
}
