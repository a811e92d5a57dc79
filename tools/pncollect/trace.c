/* pncollect trace; see trace.h. Records are docs/serial.md's type `trace`, entries
 * include/penumbra/trace.h's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lines.h"
#include "rec.h"
#include "totals.h"

#define CPUS  256 /* what an entry's field can name */
#define BATCH 128 /* entries that fit into a record, and more */

static struct {
	struct totals totals;
	u64 next[CPUS]; /* number of the entry that comes next; entries exported twice count once */
	bool begun[CPUS];
	bool named, bad;
} trace;

/* --- base64 ----------------------------------------------------------------------------------- */

static int digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *hit = c ? strchr(digits, c) : NULL;

	return hit ? (int)(hit - digits) : -1;
}

/* Bytes of the string @text, at most @size; -EINVAL when it is no base64. */
static int decode(struct span text, u8 *out, size_t size)
{
	u32 bits = 0;
	size_t n = 0;

	if (text.len < 2 || *text.p != '"' || (text.len - 2) % 4)
		return -EINVAL;
	for (size_t i = 1; i < text.len - 1 && text.p[i] != '='; i++) {
		int d = digit(text.p[i]);

		if (d < 0)
			return -EINVAL;
		bits = bits << 6 | (u32)d;
		if ((i - 1) % 4) {
			if (n == size)
				return -EINVAL;
			out[n++] = (u8)(bits >> (6 - 2 * ((i - 1) % 4)));
		}
	}
	return (int)n;
}

static u64 little(const u8 *p, unsigned bytes)
{
	u64 n = 0;

	while (bytes--)
		n = n << 8 | p[bytes];
	return n;
}

static struct trace_entry entry_at(const u8 *p)
{
	return (struct trace_entry){
		.tsc = little(p + offsetof(struct trace_entry, tsc), 8),
		.rip = little(p + offsetof(struct trace_entry, rip), 8),
		.seq = (u32)little(p + offsetof(struct trace_entry, seq), 4),
		.cycles = (u32)little(p + offsetof(struct trace_entry, cycles), 4),
		.detail = (u32)little(p + offsetof(struct trace_entry, detail), 4),
		.guest = p[offsetof(struct trace_entry, guest)],
		.cpu = p[offsetof(struct trace_entry, cpu)],
		.reason = p[offsetof(struct trace_entry, reason)],
		.vector = p[offsetof(struct trace_entry, vector)],
	};
}

/* --- entries ---------------------------------------------------------------------------------- */

static void print_entry(const struct trace_entry *e)
{
	static const char *const event[] = {"", " intr", " nmi", " exception"};
	const struct totals *t = &trace.totals;
	const char *reason = t->reason[TRACE_REASON(e->reason)];

	printf("%" PRIu64 " cpu%u #%" PRIu32 " %s %s %" PRIu32 " rip=0x%" PRIx64, e->tsc, e->cpu,
	       e->seq, t->guest[e->guest].name, reason, e->cycles, e->rip);
	if (!strcmp(reason, "io"))
		printf(" %s port=0x%x size=%u", e->detail & TRACE_IO_IN ? "in" : "out",
		       TRACE_IO_PORT(e->detail), TRACE_IO_SIZE(e->detail));
	else if (!strcmp(reason, "nested"))
		printf(" gpa=0x%" PRIx64 "000", (u64)e->detail);
	else if (e->detail)
		printf(" detail=0x%" PRIx32, e->detail);
	if (TRACE_EVENT(e->reason))
		printf("%s=0x%x", event[TRACE_EVENT(e->reason)], e->vector);
	printf("\n");
}

/* Entry @number of @cpu: false when it was here before. */
static bool next_number(unsigned cpu, u64 number)
{
	if (trace.begun[cpu] && number < trace.next[cpu])
		return false;
	if (trace.begun[cpu])
		trace.totals.missing += number - trace.next[cpu];
	else if (number)
		trace.totals.from_start = false;
	trace.begun[cpu] = true;
	trace.next[cpu] = number + 1;
	return true;
}

static void take_data(const struct rec *r)
{
	static u8 bytes[BATCH * sizeof(struct trace_entry)];
	struct span data;
	u64 cpu, from, n;
	int len = -EINVAL;

	if (rec_u64(r, "cpu", &cpu) && rec_u64(r, "from", &from) && rec_u64(r, "n", &n) &&
	    json_member(r->line, "data", &data))
		len = decode(data, bytes, sizeof(bytes));
	if (len < 0 || cpu >= CPUS || n > BATCH || (u64)len != n * sizeof(struct trace_entry) ||
	    from > UINT64_MAX - BATCH) {
		trace.bad = true;
		return;
	}
	for (u64 i = 0; i < n; i++) {
		struct trace_entry e = entry_at(bytes + i * sizeof(e));

		if (e.guest >= TRACE_GUESTS || e.cpu != cpu) {
			trace.bad = true;
		} else if (next_number((unsigned)cpu, from + i)) {
			print_entry(&e);
			totals_entry(&trace.totals, &e);
		}
	}
}

/* --- records ---------------------------------------------------------------------------------- */

static void take_start(const struct rec *r)
{
	struct span reasons, guests;

	if (!json_member(r->line, "reasons", &reasons) || !json_member(r->line, "guests", &guests))
		return;
	if (trace.named) /* the hypervisor started again, or the record came twice */
		return;
	trace.named = true;
	totals_names(&trace.totals, reasons, guests);
	rec_u64(r, "tsc_khz", &trace.totals.tsc_khz);
}

static void take_exits(const struct rec *r,
		       void (*take)(struct totals *t, const char *guest, struct span exits))
{
	char guest[TOTALS_NAME];
	struct span exits;

	if (rec_text(r, "guest", guest, sizeof(guest)) && json_member(r->line, "exits", &exits))
		take(&trace.totals, guest, exits);
}

static void take_line(void *ctx, struct span line, enum line_end end)
{
	char event[16];
	struct rec r;

	(void)ctx;
	if (end != LINE_WHOLE || rec_parse(line, &r))
		return;
	if (!strcmp(r.type, "stats"))
		take_exits(&r, totals_stats);
	if (strcmp(r.type, "trace") || !rec_text(&r, "event", event, sizeof(event)))
		return;
	if (!strcmp(event, "start"))
		take_start(&r);
	else if (!strcmp(event, "counts"))
		take_exits(&r, totals_counts);
	else if (!strcmp(event, "data"))
		take_data(&r);
}

int trace_command(const char *path)
{
	static struct lines lines = {.line = take_line};
	FILE *f = strcmp(path, "-") ? fopen(path, "rb") : stdin;
	char buf[16384];
	size_t n;
	bool fine;

	if (!f) {
		fprintf(stderr, "pncollect: %s: %s\n", path, strerror(errno));
		return -errno;
	}
	trace.totals.from_start = true;
	while ((n = fread(buf, 1, sizeof(buf), f)))
		lines_feed(&lines, buf, n);
	lines_finish(&lines);
	if (f != stdin)
		fclose(f);
	if (!trace.named) {
		fprintf(stderr,
			"pncollect: %s: no trace record event=start; was trace=exits on "
			"the command line?\n",
			path);
		return -ENOENT;
	}
	fine = totals_print(&trace.totals);
	if (trace.bad)
		fprintf(stderr, "pncollect: %s: trace data that is none was left out\n", path);
	return fine && !trace.bad ? 0 : -EBADMSG;
}
