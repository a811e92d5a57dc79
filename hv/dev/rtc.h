/* MC146818 real-time clock with 128 bytes of CMOS RAM (ports 70h/71h).
 *
 * Time is a function of the machine's clock. Flags are worked out when register C is read; a timer
 * runs only for interrupts that the guest has enabled.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_RTC_H
#define HV_DEV_RTC_H

#include "dev/dev.h"

#define RTC_PORT_INDEX 0x70 /* bit 7: NMI masked */
#define RTC_PORT_DATA  0x71
#define RTC_NMI_MASK   0x80u

enum rtc_reg {
	RTC_SEC = 0x00,
	RTC_SEC_ALARM = 0x01,
	RTC_MIN = 0x02,
	RTC_MIN_ALARM = 0x03,
	RTC_HOUR = 0x04, /* bit 7: PM in 12-hour mode */
	RTC_HOUR_ALARM = 0x05,
	RTC_DOW = 0x06, /* 1 = Sunday */
	RTC_DAY = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	RTC_CENTURY = 0x32, /* as the FADT says */
};

#define RTC_A_UIP     0x80u
#define RTC_A_DV      0x70u
#define RTC_A_DV_RUN  0x20u
#define RTC_A_RS      0x0fu
#define RTC_B_SET     0x80u
#define RTC_B_PIE     0x40u
#define RTC_B_AIE     0x20u
#define RTC_B_UIE     0x10u
#define RTC_B_SQWE    0x08u
#define RTC_B_DM      0x04u /* binary, else BCD */
#define RTC_B_24H     0x02u
#define RTC_C_IRQF    0x80u
#define RTC_C_PF      0x40u
#define RTC_C_AF      0x20u
#define RTC_C_UF      0x10u
#define RTC_D_VRT     0x80u
#define RTC_ALARM_ANY 0xc0u /* an alarm byte with both bits set matches everything */

#define RTC_HZ 32768u
/* UIP rises 244 us before an update cycle of 1984 us; the cycle's end is the new second. */
#define RTC_UIP_NS (2228 * NSEC_PER_USEC)

/* CMOS layout that a PC BIOS and old systems expect. */
#define CMOS_DIAG      0x0e
#define CMOS_SHUTDOWN  0x0f
#define CMOS_FLOPPY    0x10
#define CMOS_EQUIPMENT 0x14
#define CMOS_BASE_KB   0x15 /* word: base memory, KiB */
#define CMOS_EXT_KB    0x17 /* word: extended memory, KiB, at most 63 MiB */
#define CMOS_EXT2_KB   0x30 /* the same as found by POST */
#define CMOS_EXT16_64K 0x34 /* word: memory from 16 MiB, 64-KiB units */
#define CMOS_HIGH_64K  0x5b /* 3 bytes: memory from 4 GiB, 64-KiB units */

struct rtc {
	u8 ram[128]; /* [RTC_SEC..RTC_YEAR] are valid only while B.SET; alarms always */
	u8 index;
	s64 base_sec; /* seconds since 1970 (the guest's own calendar, no zone) at base_ns */
	u64 base_ns;  /* machine time of a second's begin; the divider's phase */
	u8 dow_bias;  /* day of week written by the guest, relative to the calendar's */
	u8 flags;     /* register C without IRQF, as far as worked out */
	u64 flags_ns; /* up to here */
	const struct dev_host *host;
	struct irq_line irq;
	struct timer timer;
};

/* 0, or what bus_add_port() says. @irq: IRQ 8. */
int rtc_init(struct rtc *r, struct bus *bus, const struct dev_host *host,
	     const struct irq_line *irq);
/* The reset pin: interrupts off. Time and CMOS RAM live on. */
void rtc_reset(struct rtc *r);
/* Set the clock to a Gregorian date; out-of-range fields are clamped. */
void rtc_set_time(struct rtc *r, unsigned year, unsigned month, unsigned day, unsigned hour,
		  unsigned min, unsigned sec);
/* The board's own access to CMOS RAM (index 0x0e and up). */
void rtc_cmos_write(struct rtc *r, unsigned index, u8 value);
static inline bool rtc_nmi_masked(const struct rtc *r)
{
	return r->index & RTC_NMI_MASK;
}

#endif
