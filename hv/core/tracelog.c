/* The trace on the serial line; see tracelog.h.
 *
 * An export is paced by the line: the next record is made when the ring is nearly empty, so that
 * guests and results never wait behind more than one. Entries overwritten meanwhile are counted.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/tracelog.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/hv.h"
#include "core/log.h"
#include "core/timer.h"
#include "lib/str.h"
#include "trace/trace.h"

#define BATCH	   64	/* entries a record: 2048 bytes, 2732 in base64 */
#define LINE_QUIET 1024 /* bytes waiting, below which the line has room for us */
#define EXPORT_NS  (2 * NSEC_PER_MSEC)

/* One CPU's part of an export: entries from @from up to, not including, @end. */
struct part {
	struct trace_cursor cursor;
	u64 from, end, sent;
};

static struct {
	bool active;
	unsigned cpu;
	struct part part[BOOT_MAX_CPUS];
	struct timer timer;
	struct trace_entry batch[BATCH];
} export;

void tracelog_begin(void)
{
	struct record r;

	if (!trace_on())
		return;
	record_begin(&r, "trace");
	record_str(&r, "event", "start");
	record_str(&r, "what", hv_cmdline()->trace == TRACE_ALL ? "all" : "exits");
	record_u64(&r, "entries", TRACE_ENTRIES);
	record_u64(&r, "cpus", ncpus);
	record_u64(&r, "tsc_khz", clock_tsc_hz() / 1000);
	record_array(&r, "reasons");
	for (unsigned i = 0; i < EXIT_REASONS; i++)
		record_str(&r, NULL, exit_reason_name[i]);
	record_close(&r);
	record_array(&r, "guests");
	record_str(&r, NULL, "control");
	for (unsigned i = 0; i < npartitions; i++)
		record_str(&r, NULL, partitions[i]->cfg.name);
	record_close(&r);
	record_send(&r, false);
}

void tracelog_counts(const struct partition *p)
{
	struct record r;

	if (!trace_on())
		return;
	record_begin(&r, "trace");
	record_str(&r, "event", "counts");
	record_str(&r, "guest", p->cfg.name);
	record_object(&r, "exits");
	for (unsigned i = 0; i < EXIT_REASONS; i++) {
		u64 n = trace_count(p->index, i);

		if (n)
			record_u64(&r, exit_reason_name[i], n);
	}
	record_close(&r);
	record_send(&r, false);
}

/* --- text ------------------------------------------------------------------------------------- */

static void show_line(const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	hv_log(LOG_WARN, "%s", text);
}

static bool has_trace(void)
{
	if (!trace_on())
		hv_log(LOG_WARN, "trace=exits or trace=all on the command line makes a trace");
	return trace_on();
}

void tracelog_show(void)
{
	if (has_trace())
		trace_dump(show_line);
}

/* --- export ----------------------------------------------------------------------------------- */

/* The entries that come next, at most a batch; 0 when this CPU's part is done. */
static unsigned next_batch(struct part *p, u64 *from)
{
	unsigned max = (unsigned)MIN((u64)BATCH, p->end - p->cursor.next), n;

	if (p->cursor.next >= p->end)
		return 0;
	n = trace_read(export.cpu, &p->cursor, export.batch, max);
	*from = p->cursor.next - n;
	/* After a loss it may have read on past the end: those entries were not asked for. */
	return *from < p->end ? (unsigned)MIN((u64)n, p->end - *from) : 0;
}

static void send_batch(u64 from, unsigned n)
{
	struct record r;

	record_begin(&r, "trace");
	record_str(&r, "event", "data");
	record_u64(&r, "cpu", export.cpu);
	record_u64(&r, "from", from);
	record_u64(&r, "n", n);
	record_base64(&r, "data", export.batch, n * sizeof(export.batch[0]));
	if (record_send_unkept(&r))
		export.part[export.cpu].sent += n;
	else
		export.part[export.cpu].cursor.next = from; /* the same again */
}

/* What was asked for and what of it was overwritten before it could be sent. */
static void end_export(void)
{
	struct record r;

	record_begin(&r, "trace");
	record_str(&r, "event", "end");
	record_array(&r, "cpus");
	for (unsigned cpu = 0; cpu < ncpus; cpu++) {
		const struct part *p = &export.part[cpu];

		record_object(&r, NULL);
		record_u64(&r, "cpu", cpu);
		record_u64(&r, "from", p->from);
		record_u64(&r, "to", p->end);
		record_u64(&r, "lost", p->end - p->from - p->sent);
		record_close(&r);
	}
	record_close(&r);
	record_send(&r, false);
	export.active = false;
}

static void export_some(void *arg, u64 now_ns)
{
	unsigned n = 0;
	u64 from = 0;

	(void)arg;
	if (log_waiting() < LINE_QUIET) {
		while (export.cpu < ncpus && !(n = next_batch(&export.part[export.cpu], &from)))
			export.cpu++;
		if (n)
			send_batch(from, n);
		else
			end_export();
	}
	if (export.active)
		timer_set(&export.timer, now_ns + EXPORT_NS);
}

void tracelog_export(void)
{
	if (!has_trace())
		return;
	if (export.active) {
		hv_log(LOG_WARN, "trace: an export is on its way");
		return;
	}
	for (unsigned cpu = 0; cpu < ncpus; cpu++) {
		u64 end = trace_made(cpu), from = end - MIN(end, (u64)TRACE_ENTRIES - 1);

		export.part[cpu] =
			(struct part){.cursor = {.next = from}, .from = from, .end = end};
	}
	export.active = true;
	export.cpu = 0;
	export.timer.fire = export_some;
	export_some(NULL, clock_ns());
}
