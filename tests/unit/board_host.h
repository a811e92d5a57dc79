/* What port-driven chips and the whole board need beside fake_host.h: a bus, time that counts the
 * timers it fires, pins that count their edges, and a random generator that repeats.
 *
 * Link hv/dev/bus.c and hv/lib/timerq.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_BOARD_HOST_H
#define TESTS_BOARD_HOST_H

#include "fake_host.h"

struct board_host {
	struct fake_host f;
	struct bus bus;
	u64 fired; /* timers */
};

struct pin {
	bool level;
	unsigned rises, sets;
};

static inline void board_host_init(struct board_host *b, void *mem, u64 mem_size)
{
	memset(b, 0, sizeof(*b));
	fake_host_init(&b->f, mem, mem_size);
	b->f.now = NSEC_PER_SEC;
}

/* Let time pass up to @until, firing each timer at its deadline. */
static inline void board_run_until(struct board_host *b, u64 until)
{
	while (timerq_next(&b->f.q) <= until) {
		b->f.now = MAX(b->f.now, timerq_next(&b->f.q));
		b->fired += timerq_run(&b->f.q, b->f.now);
	}
	b->f.now = MAX(b->f.now, until);
}

static inline void board_run(struct board_host *b, u64 ns)
{
	board_run_until(b, b->f.now + ns);
}

static inline void pin_set(void *ctx, unsigned line, bool level)
{
	struct pin *p = ctx;

	(void)line;
	p->sets++;
	p->rises += level && !p->level;
	p->level = level;
}

static inline struct irq_line pin_line(struct pin *p)
{
	return (struct irq_line){.set = pin_set, .ctx = p};
}

static inline u8 in8(struct board_host *b, u16 port)
{
	return (u8)bus_port_read(&b->bus, port, 1);
}

static inline void out8(struct board_host *b, u16 port, u8 value)
{
	bus_port_write(&b->bus, port, 1, value);
}

static inline u32 board_random(u64 *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(*state >> 33);
}

#endif
