/* A machine without a CPU for chip tests: clock that moves only when told, timer queue, memory,
 * and a log of machine events. Link hv/lib/timerq.c. With @tick the clock moves at each reading, as
 * a real one does.
 *
 * The guest's TSC runs at 2.5 ticks per ns, so that a confusion of the clocks shows.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_FAKE_HOST_H
#define TESTS_UNIT_FAKE_HOST_H

#include <string.h>

#include "dev/dev.h"
#include "lib/errno.h"

struct fake_host {
	struct dev_host host;
	struct timerq q;
	u64 now, tick;
	u8 *mem; /* guest-physical [0, mem_size) is RAM */
	u64 mem_size;
	unsigned events;
	enum machine_event last_event;
	u32 last_value;
};

static inline u64 fake_now(void *ctx)
{
	struct fake_host *f = ctx;

	f->now += f->tick;
	return f->now;
}
static inline u64 fake_tsc(void *ctx)
{
	u64 now = ((struct fake_host *)ctx)->now;

	return now * 2 + now / 2;
}
static inline u64 fake_tsc_to_ns(void *ctx, u64 tsc)
{
	(void)ctx;
	return tsc / 5 * 2 + tsc % 5 * 2 / 5;
}
static inline void fake_timer_set(void *ctx, struct timer *t, u64 deadline_ns)
{
	timerq_set(&((struct fake_host *)ctx)->q, t, deadline_ns);
}
static inline bool fake_in_ram(const struct fake_host *f, gpa_t gpa, size_t len)
{
	return gpa <= f->mem_size && len <= f->mem_size - gpa;
}
static inline int fake_mem_read(void *ctx, gpa_t gpa, void *buf, size_t len)
{
	struct fake_host *f = ctx;

	if (!fake_in_ram(f, gpa, len))
		return -EFAULT;
	memcpy(buf, f->mem + gpa, len);
	return 0;
}
static inline int fake_mem_write(void *ctx, gpa_t gpa, const void *buf, size_t len)
{
	struct fake_host *f = ctx;

	if (!fake_in_ram(f, gpa, len))
		return -EFAULT;
	memcpy(f->mem + gpa, buf, len);
	return 0;
}
static inline void fake_event(void *ctx, enum machine_event ev, u32 value)
{
	struct fake_host *f = ctx;

	f->events++;
	f->last_event = ev;
	f->last_value = value;
}

static const struct dev_host_ops fake_host_ops = {
	.now_ns = fake_now,
	.guest_tsc = fake_tsc,
	.tsc_to_ns = fake_tsc_to_ns,
	.timer_set = fake_timer_set,
	.mem_read = fake_mem_read,
	.mem_write = fake_mem_write,
	.machine_event = fake_event,
};

static inline void fake_host_init(struct fake_host *f, void *mem, u64 mem_size)
{
	memset(f, 0, sizeof(*f));
	f->host.ops = &fake_host_ops;
	f->host.ctx = f;
	f->now = 1000;
	f->mem = mem;
	f->mem_size = mem_size;
}

/* Fire what is due now, without moving the clock. */
static inline unsigned fake_run(struct fake_host *f)
{
	return timerq_run(&f->q, f->now);
}

/* Let @ns pass; every timer fires at its own time. */
static inline void fake_advance(struct fake_host *f, u64 ns)
{
	u64 end = f->now + ns;

	while (timerq_next(&f->q) <= end) {
		f->now = timerq_next(&f->q) > f->now ? timerq_next(&f->q) : f->now;
		timerq_run(&f->q, f->now);
	}
	f->now = end;
}

#endif
