/* What a partition's chips get from the hypervisor: time, timers, its memory (dev/dev.h).
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/clock.h"
#include "core/partition.h"
#include "core/timer.h"
#include "lib/cpuops.h"

static u64 host_now(void *ctx)
{
	(void)ctx;
	return clock_ns();
}

static u64 host_guest_tsc(void *ctx)
{
	const struct partition *p = ctx;

	return rdtsc() + p->tsc_offset;
}

static u64 host_tsc_to_ns(void *ctx, u64 tsc)
{
	const struct partition *p = ctx;

	return clock_tsc_to_ns(tsc - p->tsc_offset);
}

static void host_timer_set(void *ctx, struct timer *t, u64 deadline_ns)
{
	(void)ctx;
	timer_set(t, deadline_ns);
}

static int host_mem_read(void *ctx, gpa_t gpa, void *buf, size_t len)
{
	const struct partition *p = ctx;

	return p2m_read(&p->p2m, gpa, buf, len);
}

static int host_mem_write(void *ctx, gpa_t gpa, const void *buf, size_t len)
{
	struct partition *p = ctx;

	return p2m_write(&p->p2m, gpa, buf, len);
}

static void host_machine_event(void *ctx, enum machine_event ev, u32 value)
{
	struct partition *p = ctx;

	p->ops->machine_event(p, ev, value);
}

static const struct dev_host_ops host_ops = {
	.now_ns = host_now,
	.guest_tsc = host_guest_tsc,
	.tsc_to_ns = host_tsc_to_ns,
	.timer_set = host_timer_set,
	.mem_read = host_mem_read,
	.mem_write = host_mem_write,
	.machine_event = host_machine_event,
};

void partition_host_init(struct partition *p)
{
	p->host = (struct dev_host){.ops = &host_ops, .ctx = p};
}
