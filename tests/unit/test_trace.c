/* The trace's rings: catches an entry without its exit's cycles, a number given twice or left out,
 * a reader that gets an overwritten entry or is not told of it, and counts that miss overwritten
 * ones.
 *
 * SRCS: hv/trace/trace.c hv/lib/str.c hv/lib/fmt.c
 * SPDX-License-Identifier: MIT
 */
#include "fake_frames.h"

#include <stdarg.h>

#include "penumbra/bootinfo.h"
#include "trace/trace.h"

const char *const exit_reason_name[EXIT_REASONS] = {
	[EXIT_CPUID] = "cpuid", [EXIT_IO] = "io", [EXIT_NESTED] = "nested"};

static u64 charged[2][EXIT_REASONS]; /* by guest, as the run loop does */
static struct vcpu vcpu[2];
static struct exit next_exit;
static u64 tsc, runs;

static void run(struct vcpu *v, struct exit *x)
{
	*x = next_exit;
	tsc += 1000;
	v->exit_tsc = tsc;
	v->rip = 0x1000 + runs++;
}

static const struct engine_ops plain = {.name = "plain", .run = run};
static const struct engine_ops *traced;

/* One exit of vCPU @i, whose handling takes @cycles. */
static void one(unsigned i, enum exit_reason reason, u64 cycles)
{
	struct exit x = {.reason = EXIT_NONE};

	next_exit.reason = reason;
	traced->run(&vcpu[i], &x);
	charged[i][reason] += cycles;
}

static void start(enum trace_what what)
{
	static bool begun;

	if (!begun)
		fake_frames_init(0, 0);
	begun = true;
	traced = trace_engine(traced ? traced : &plain, 2, what);
	CHECK(traced != &plain && trace_on());
	trace_settle(0);
	trace_settle(1);
	for (unsigned i = 0; i < 2; i++) {
		vcpu[i].guest = (u8)(i + 1);
		vcpu[i].exit_cycles = charged[i];
	}
	next_exit = (struct exit){.reason = EXIT_NONE};
}

/* From what has been made up to now on. */
static struct trace_cursor at_end(unsigned cpu)
{
	return (struct trace_cursor){.next = trace_made(cpu)};
}

TEST(off_is_the_engine_itself)
{
	CHECK(trace_engine(&plain, 2, TRACE_WHAT_NONE) == &plain);
	CHECK(!trace_on());
	start(TRACE_WHAT_EXITS);
	CHECK(trace_engine(traced, 2, TRACE_WHAT_NONE) == &plain);
	CHECK_EQ(trace_made(0), 0);
	CHECK_EQ(trace_made(BOOT_MAX_CPUS), 0);
}

TEST(an_entry_appears_with_its_cycles)
{
	struct trace_cursor c;
	struct trace_entry e[4];

	start(TRACE_WHAT_EXITS);
	c = at_end(0);
	next_exit.io.port = 0x3f8;
	next_exit.io.size = 1;
	next_exit.io.in = true;
	one(0, EXIT_IO, 77);
	CHECK_EQ(trace_read(0, &c, e, 4), 0); /* not before its handling has ended */
	next_exit.nested.gpa = 0xfee00123;
	one(0, EXIT_NESTED, 88);
	CHECK_EQ(trace_read(0, &c, e, 4), 1);
	CHECK_EQ(e[0].cycles, 77);
	CHECK_EQ(e[0].guest, 1);
	CHECK_EQ(e[0].cpu, 0);
	CHECK_EQ(e[0].reason, EXIT_IO);
	CHECK_EQ(e[0].tsc, tsc - 1000);
	CHECK_EQ(e[0].rip, 0x1000 + runs - 2);
	CHECK_EQ(e[0].detail, 0x3f8 | 1 << 16 | TRACE_IO_IN);
	trace_settle(0); /* nobody runs any more */
	CHECK_EQ(trace_read(0, &c, e, 4), 1);
	CHECK_EQ(e[0].cycles, 88);
	CHECK_EQ(e[0].detail, 0xfee00);
	CHECK_EQ(c.lost, 0);
	trace_settle(0);
	CHECK_EQ(trace_read(0, &c, e, 4), 0);
}

TEST(guests_that_share_a_cpu_are_charged_each)
{
	struct trace_cursor c;
	struct trace_entry e[4];

	start(TRACE_WHAT_EXITS);
	c = at_end(0);
	one(0, EXIT_CPUID, 10);
	one(1, EXIT_CPUID, 20); /* another guest's entry ends the first one's exit */
	one(0, EXIT_CPUID, 30);
	trace_settle(0);
	CHECK_EQ(trace_read(0, &c, e, 4), 3);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(e[i].cycles, 10 * (i + 1));
		CHECK_EQ(e[i].guest, 1 + i % 2);
		CHECK_EQ(e[i].seq, (u32)(c.next - 3 + i));
	}
}

TEST(what_was_overwritten_is_told_and_counted)
{
	struct trace_cursor c, late;
	struct trace_entry e[64];
	u64 before, seen = 0;
	unsigned n;

	start(TRACE_WHAT_EXITS);
	c = late = at_end(1);
	vcpu[1].cpu = 1;
	before = trace_count(2, EXIT_CPUID);
	for (unsigned i = 0; i < 3 * TRACE_ENTRIES; i++) {
		one(1, EXIT_CPUID, i);
		if (i % 50 == 0) /* one reader keeps up */
			while ((n = trace_read(1, &c, e, 64)))
				seen += n;
	}
	trace_settle(1);
	while ((n = trace_read(1, &c, e, 64)))
		seen += n;
	CHECK_EQ(seen, 3 * TRACE_ENTRIES);
	CHECK_EQ(c.lost, 0);
	CHECK_EQ(trace_count(2, EXIT_CPUID) - before, 3 * TRACE_ENTRIES);
	seen = 0;
	while ((n = trace_read(1, &late, e, 64))) /* the other comes too late */
		for (unsigned i = 0; i < n; i++, seen++)
			CHECK_EQ(e[i].seq, (u32)(late.next - n + i));
	CHECK_EQ(seen, TRACE_ENTRIES - 1);
	CHECK_EQ(late.lost, 2 * TRACE_ENTRIES + 1);
	CHECK_EQ(e[(seen - 1) % 64].cycles, 3 * TRACE_ENTRIES - 1);
	CHECK_EQ(trace_count(TRACE_GUESTS, 0), 0);
	CHECK_EQ(trace_count(0, TRACE_REASONS), 0);
	vcpu[1].cpu = 0;
}

TEST(deliveries_are_recorded_by_trace_all_only)
{
	struct trace_cursor c;
	struct trace_entry e[2];

	start(TRACE_WHAT_EXITS);
	c = at_end(0);
	vcpu[0].event = (struct vcpu_event){.type = EVENT_NMI, .vector = 2};
	one(0, EXIT_CPUID, 1);
	start(TRACE_WHAT_ALL);
	one(0, EXIT_CPUID, 1);
	trace_settle(0);
	CHECK_EQ(trace_read(0, &c, e, 2), 2);
	CHECK_EQ(TRACE_EVENT(e[0].reason), TRACE_EVENT_NONE);
	CHECK_EQ(e[0].vector, 0);
	CHECK_EQ(TRACE_EVENT(e[1].reason), TRACE_EVENT_NMI);
	CHECK_EQ(TRACE_REASON(e[1].reason), EXIT_CPUID);
	CHECK_EQ(e[1].vector, 2);
	vcpu[0].event.type = EVENT_NONE;
}

static char shown[64][200];
static unsigned nshown;

static void line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (nshown < 64)
		vsnprintf(shown[nshown++], sizeof(shown[0]), fmt, ap);
	va_end(ap);
}

TEST(a_panic_sees_the_exit_being_handled)
{
	start(TRACE_WHAT_EXITS);
	one(0, EXIT_CPUID, 5);
	one(0, EXIT_IO, 0);
	nshown = 0;
	trace_dump(line);
	CHECK(nshown > 2 && nshown <= 64);
	for (unsigned i = 0; i < nshown; i++)
		if (strstr(shown[i], "(now)")) {
			CHECK(strstr(shown[i], " io "));
			CHECK(strstr(shown[i - 1], " cpuid ") && strstr(shown[i - 1], "cycles 5"));
			return;
		}
	CHECK(!"no line says (now)");
}
