/* The trace over the channel: switched by pnctl, its entries into CHAN_TRACE as they are made. See
 * ctl_int.h, trace/trace.h.
 *
 * Entries are numbered, so those that are overwritten before they are sent show as gaps.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/cpu.h"
#include "core/ctl_int.h"
#include "core/hv.h"
#include "lib/errno.h"
#include "trace/trace.h"

#define BATCH	    32u
#define CPU_BATCHES 64u /* of one CPU in one visit */

static struct {
	enum trace_what what;
	struct trace_cursor cursor[BOOT_MAX_CPUS];
} stream;

static void change_engines(void)
{
	for (unsigned i = 0; i < npartitions; i++)
		partition_request(partitions[i], REQUEST_ENGINE);
}

void ctl_trace(struct ctl *c)
{
	const struct engine_ops *engine;

	if (c->req.arg >= TRACE_WHATS) {
		ctl_end(c, -EINVAL, "trace: 0 off, 1 exits, 2 all, not %llu",
			(unsigned long long)c->req.arg);
		return;
	}
	engine = trace_engine(hv_engine(), ncpus, (enum trace_what)c->req.arg);
	if (c->req.arg && !trace_on()) {
		ctl_end(c, -ENOMEM, "no memory left for the trace's rings");
		return;
	}
	/* What was made before it was asked for is not sent. */
	if (stream.what == TRACE_WHAT_NONE)
		for (unsigned i = 0; i < ncpus; i++)
			stream.cursor[i].next = trace_made(i);
	stream.what = (enum trace_what)c->req.arg;
	hv_set_engine(engine);
	change_engines();
	partition_request(c->control, REQUEST_ENGINE | REQUEST_CHANNEL);
	ctl_ok(c);
}

/* True when this CPU's entries are all sent, as far as one visit goes. */
static bool send_batch(struct ctl *c, unsigned cpu)
{
	struct ring_end *ring = &c->ch.ring[CHAN_TRACE];
	struct trace_entry batch[BATCH];
	unsigned room, n;

	spin_lock(&c->ch.lock);
	room = ring_room(ring);
	spin_unlock(&c->ch.lock);
	n = trace_read(cpu, &stream.cursor[cpu], batch, MIN(room, BATCH));
	spin_lock(&c->ch.lock);
	for (unsigned i = 0; i < n; i++)
		ring_put(ring, &batch[i]);
	spin_unlock(&c->ch.lock);
	return n < BATCH;
}

bool ctl_trace_pump(struct ctl *c)
{
	if (stream.what == TRACE_WHAT_NONE || !c->ch.attached)
		return false;
	for (unsigned cpu = 0; cpu < ncpus; cpu++)
		for (unsigned i = 0; i < CPU_BATCHES && !send_batch(c, cpu); i++)
			;
	spin_lock(&c->ch.lock);
	channel_put_done(&c->ch, CHAN_TRACE);
	spin_unlock(&c->ch.lock);
	return true;
}
