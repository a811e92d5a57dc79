/* A world for one chip or a whole board under test: a clock that only moves when told, a timer
 * queue, a little guest memory, and pins that count their edges.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_BOARD_HOST_H
#define TESTS_BOARD_HOST_H

#include <errno.h>
#include <string.h>

#include "dev/dev.h"

#define BOARD_MEM_SIZE (4u << 20)

struct board_host {
	struct dev_host host;
	struct bus bus;
	struct timerq q;
	u64 now;
	u64 fired; /* timers */
	u8 *mem;
	unsigned events;
	enum machine_event event; /* the last one */
	u32 event_value;
};

struct pin {
	bool level;
	unsigned rises, sets;
};

static inline u64 board_now(void *ctx)
{
	return ((struct board_host *)ctx)->now;
}

static inline u64 board_tsc(void *ctx)
{
	return board_now(ctx) * 2;
}

static inline u64 board_tsc_to_ns(void *ctx, u64 tsc)
{
	(void)ctx;
	return tsc / 2;
}

static inline void board_timer_set(void *ctx, struct timer *t, u64 deadline_ns)
{
	timerq_set(&((struct board_host *)ctx)->q, t, deadline_ns);
}

static inline int board_mem_read(void *ctx, gpa_t gpa, void *buf, size_t len)
{
	struct board_host *b = ctx;

	if (!b->mem || gpa > BOARD_MEM_SIZE || len > BOARD_MEM_SIZE - gpa)
		return -EFAULT;
	memcpy(buf, b->mem + gpa, len);
	return 0;
}

static inline int board_mem_write(void *ctx, gpa_t gpa, const void *buf, size_t len)
{
	struct board_host *b = ctx;

	if (!b->mem || gpa > BOARD_MEM_SIZE || len > BOARD_MEM_SIZE - gpa)
		return -EFAULT;
	memcpy(b->mem + gpa, buf, len);
	return 0;
}

static inline void board_event(void *ctx, enum machine_event ev, u32 value)
{
	struct board_host *b = ctx;

	b->events++;
	b->event = ev;
	b->event_value = value;
}

static inline void board_host_init(struct board_host *b)
{
	static const struct dev_host_ops ops = {
		.now_ns = board_now,
		.guest_tsc = board_tsc,
		.tsc_to_ns = board_tsc_to_ns,
		.timer_set = board_timer_set,
		.mem_read = board_mem_read,
		.mem_write = board_mem_write,
		.machine_event = board_event,
	};

	memset(b, 0, sizeof(*b));
	b->host.ops = &ops;
	b->host.ctx = b;
	b->now = NSEC_PER_SEC;
}

/* Let time pass up to @until, firing each timer at its deadline. */
static inline void board_run_until(struct board_host *b, u64 until)
{
	while (timerq_next(&b->q) <= until) {
		if (timerq_next(&b->q) > b->now)
			b->now = timerq_next(&b->q);
		b->fired += timerq_run(&b->q, b->now);
	}
	if (until > b->now)
		b->now = until;
}

static inline void board_run(struct board_host *b, u64 ns)
{
	board_run_until(b, b->now + ns);
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

/* A small generator with a fixed seed: failures repeat. */
static inline u32 board_random(u64 *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(*state >> 33);
}

#endif
