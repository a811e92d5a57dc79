/* 8254 interval timer and the part of system port 61h that belongs to it.
 *
 * Counters are functions of time: nothing runs between accesses. Only channel 0's rising edges arm
 * a timer, because only they reach an interrupt controller. All six modes, BCD, counter latch and
 * read-back follow the 8254 data sheet clock for clock: a count written between clocks t and t+1 is
 * loaded by clock t+1.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_PIT8254_H
#define HV_DEV_PIT8254_H

#include "dev/dev.h"

#define PIT_HZ		  1193182u
#define PIT_PORT_COUNTER0 0x40
#define PIT_PORT_CONTROL  0x43
#define PIT_PORT_SYSTEM_B 0x61

/* Control word */
#define PIT_CW_BCD	       0x01u
#define PIT_CW_MODE_SHIFT      1
#define PIT_CW_RW_SHIFT	       4 /* 0 latch, 1 LSB, 2 MSB, 3 LSB then MSB */
#define PIT_CW_SELECT_SHIFT    6 /* 0-2 counter, 3 read-back */
#define PIT_READBACK_NO_STATUS 0x10u
#define PIT_READBACK_NO_COUNT  0x20u
/* Status byte */
#define PIT_STATUS_OUT	0x80u
#define PIT_STATUS_NULL 0x40u

/* Port 61h */
#define PORT61_GATE2	      0x01u
#define PORT61_SPEAKER	      0x02u
#define PORT61_PARITY_OFF     0x04u
#define PORT61_IOCHK_OFF      0x08u
#define PORT61_REFRESH	      0x10u /* toggles with every DRAM refresh, about 15 us */
#define PORT61_OUT2	      0x20u
#define PORT61_REFRESH_CLOCKS 18

/* Edges of channel 0 that could not be delivered because the one before was still waiting. */
#define PIT_BACKLOG_MAX 1024
/* No more than one edge per this time is delivered: what a guest can ask for is a 0.6 MHz storm. */
#define PIT_MIN_EDGE_NS (50 * NSEC_PER_USEC)

/* What became of channel 0's last edge, as the interrupt controllers tell. */
enum pit_tick { PIT_TICK_TAKEN, PIT_TICK_WAITING, PIT_TICK_MASKED };

struct pit_channel {
	u8 mode;      /* 0-5 */
	u8 mode_bits; /* as written, for the status byte */
	u8 rw;
	bool bcd;
	bool gate;
	bool armed;  /* counting element has, or from @start on will have, a count */
	bool fresh;  /* the count loaded at @start was not loaded before */
	bool halted; /* mode 0: between the two bytes of a new count */
	u32 n;	     /* count loaded at @start, 1..65536 */
	u32 next_n;  /* count register: loaded at the next trigger or period; 0: none written */
	bool next_pending;	  /* @next_n was written and not yet loaded */
	u64 next_written;	  /* clock of that write */
	u64 start;		  /* clock that loads @n */
	u64 stop;		  /* clock when the gate fell; counting modes 0, 2-4 stand still */
	bool phase;		  /* mode 3: OUT during the half period that begins at @start */
	u16 hold;		  /* count shown before @start or while not armed */
	bool hold_out;		  /* OUT likewise */
	bool write_msb, read_msb; /* byte pointers of rw 3 */
	u8 write_lsb;
	bool count_latched, status_latched;
	u16 latch;
	u8 status;
};

struct pit {
	struct pit_channel ch[3];
	u8 port61; /* writable bits 3:0 */
	const struct dev_host *host;
	struct irq_line irq0;
	enum pit_tick (*tick_state)(void *ctx); /* may be NULL: always taken */
	void *tick_ctx;
	struct timer timer;
	u64 edges_until; /* clock up to which channel 0's edges are accounted for */
	unsigned backlog;
	u64 last_edge_ns;
	u64 counter_reads, port61_reads; /* polled calibration reads */
	u64 lost_ticks;			 /* beyond the backlog */
};

/* @irq0 is driven by channel 0. @tick_state tells whether its last edge is still waiting, so that
 * ticks are kept instead of merged; NULL when nobody knows. */
int pit_init(struct pit *p, struct bus *bus, const struct dev_host *host,
	     const struct irq_line *irq0, enum pit_tick (*tick_state)(void *ctx), void *tick_ctx);
void pit_reset(struct pit *p);

/* Pure: the 8254's clock at @ns, and the first nanosecond at which clock @clk has passed. */
u64 pit_clock(u64 ns);
u64 pit_clock_ns(u64 clk);

#endif
