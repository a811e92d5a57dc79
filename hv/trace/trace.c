/* The trace; see trace.h.
 *
 * An exit's entry is written where it will stand when the exit comes in, and counts (@head moves
 * on) when the next entry into any guest of this CPU begins: the cycles of its handling are then
 * what the run loop has charged to its reason meanwhile, so that they add up to what `stats` says.
 *
 * SPDX-License-Identifier: MIT
 */
#include "trace/trace.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "mem/hostmap.h"
#include "penumbra/bootinfo.h"

#define SLOT(n)	  ((n) % TRACE_ENTRIES)
#define barrier() asm volatile("" ::: "memory")

struct trace_ring {
	u64 head;		/* entries made; the slot of this one is being written */
	const u64 *open_cycles; /* the counter its exit's handling is charged to, or NULL */
	u64 open_from;		/* the value of that at the exit */
	u32 *open_slot;		/* where the difference goes */
	u64 count[TRACE_GUESTS][TRACE_REASONS];
	struct trace_entry entry[TRACE_ENTRIES];
};

static const struct engine_ops *real;
static void (*real_run)(struct vcpu *v, struct exit *x);
static struct engine_ops traced[TRACE_WHATS];
static struct trace_ring *ring[BOOT_MAX_CPUS];

/* --- writing: at most 60 instructions an exit (docs/performance.md) --------------------------- */

/* What the exit before the present entry cost is known now. */
static inline void finish_open(struct trace_ring *r)
{
	const u64 *cycles = r->open_cycles;

	if (!cycles)
		return;
	*r->open_slot = (u32)(*cycles - r->open_from);
	barrier();
	r->head++;
	barrier();
}

/* The operands of a port access begin in memory as the entry has them. */
static inline u32 io_detail(const struct exit *x)
{
	u32 d;

	__builtin_memcpy(&d, &x->io, sizeof(d));
	return d;
}
_Static_assert(offsetof(struct exit, io.size) - offsetof(struct exit, io) == 2, "TRACE_IO_SIZE");
_Static_assert(offsetof(struct exit, io.in) - offsetof(struct exit, io) == 3, "TRACE_IO_IN");

static inline u32 detail(const struct vcpu *v, const struct exit *x, enum exit_reason reason)
{
	switch (reason) {
	case EXIT_IO:
		return io_detail(x);
	case EXIT_NESTED:
		return (u32)(x->nested.gpa >> PAGE_SHIFT);
	case EXIT_RDMSR:
	case EXIT_WRMSR:
		return (u32)v->gpr[GPR_RCX];
	case EXIT_CPUID:
		return (u32)v->gpr[GPR_RAX];
	case EXIT_CR:
		return x->cr.cr | (u32)x->cr.write << 8;
	case EXIT_EXCEPTION:
		return x->exc.vector;
	case EXIT_UNKNOWN:
		return (u32)x->code;
	default:
		return 0;
	}
}

static inline __attribute__((always_inline)) void traced_run(struct vcpu *v, struct exit *x,
							     bool events)
{
	struct trace_ring *r = ring[v->cpu];
	enum exit_reason reason;
	struct trace_entry *e;
	u16 event = 0;
	u8 guest;

	finish_open(r);
	if (events)
		event = (u16)(v->event.type << 6 | v->event.vector << 8);
	real_run(v, x);
	reason = x->reason;
	guest = v->guest;
	e = &r->entry[SLOT(r->head)];
	e->tsc = v->exit_tsc;
	e->rip = v->rip;
	e->seq = (u32)r->head;
	e->guest = guest;
	e->reason = (u8)(reason | event);
	e->vector = (u8)(event >> 8);
	e->detail = detail(v, x, reason);
	r->count[guest][reason]++;
	r->open_slot = &e->cycles;
	r->open_cycles = &v->exit_cycles[reason];
	r->open_from = v->exit_cycles[reason];
}

static void traced_exits(struct vcpu *v, struct exit *x)
{
	traced_run(v, x, false);
}

static void traced_all(struct vcpu *v, struct exit *x)
{
	traced_run(v, x, true);
}

void trace_settle(unsigned cpu)
{
	if (!ring[cpu])
		return;
	finish_open(ring[cpu]);
	ring[cpu]->open_cycles = NULL;
}

/* --- on and off ------------------------------------------------------------------------------- */

static struct trace_ring *new_ring(unsigned cpu)
{
	u64 pages = ALIGN_UP(sizeof(struct trace_ring), PAGE_SIZE) / PAGE_SIZE;
	hpa_t hpa = frames_alloc(pages, 1, OWNER_HYPERVISOR);
	struct trace_ring *r = hpa ? hpa_va(hpa) : NULL;

	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	for (unsigned i = 0; i < TRACE_ENTRIES; i++)
		r->entry[i].cpu = (u8)cpu;
	return r;
}

static bool is_traced(const struct engine_ops *engine)
{
	return engine >= traced && engine < traced + ARRAY_SIZE(traced);
}

const struct engine_ops *trace_engine(const struct engine_ops *engine, unsigned cpus,
				      enum trace_what what)
{
	if (!is_traced(engine)) {
		real = engine;
		real_run = engine->run;
	}
	if (what == TRACE_WHAT_NONE)
		return real;
	for (unsigned i = 0; i < cpus; i++) {
		if (!ring[i])
			ring[i] = new_ring(i);
		if (!ring[i])
			return real;
	}
	traced[what] = *real;
	traced[what].run = what == TRACE_WHAT_ALL ? traced_all : traced_exits;
	return &traced[what];
}

bool trace_on(void)
{
	return ring[0] != NULL;
}

/* --- reading ---------------------------------------------------------------------------------- */

u64 trace_made(unsigned cpu)
{
	return cpu < BOOT_MAX_CPUS && ring[cpu]
		       ? __atomic_load_n(&ring[cpu]->head, __ATOMIC_ACQUIRE)
		       : 0;
}

/* The oldest entry that is whole while @head is being written. */
static u64 oldest(u64 head)
{
	return head < TRACE_ENTRIES ? 0 : head - TRACE_ENTRIES + 1;
}

unsigned trace_read(unsigned cpu, struct trace_cursor *c, struct trace_entry *buf, unsigned max)
{
	u64 head = trace_made(cpu), first = MAX(c->next, oldest(head)), whole;
	unsigned n;

	if (first >= head)
		return 0;
	n = (unsigned)MIN((u64)max, head - first);
	for (unsigned i = 0; i < n; i++)
		buf[i] = ring[cpu]->entry[SLOT(first + i)];
	/* What was overwritten while it was copied counts as lost. */
	whole = MAX(first, MIN(oldest(trace_made(cpu)), first + n));
	c->lost += whole - c->next;
	c->next = first + n;
	n -= (unsigned)(whole - first);
	memmove(buf, buf + (whole - first), n * sizeof(*buf));
	return n;
}

u64 trace_count(unsigned guest, unsigned reason)
{
	u64 sum = 0;

	for (unsigned cpu = 0; cpu < BOOT_MAX_CPUS; cpu++)
		if (ring[cpu] && guest < TRACE_GUESTS && reason < TRACE_REASONS)
			sum += ring[cpu]->count[guest][reason];
	return sum;
}

static void show(const struct trace_entry *e, bool handled, trace_line_fn *line)
{
	static const char *const delivered[] = {"", " after interrupt", " after NMI",
						" after exception"};
	unsigned reason = TRACE_REASON(e->reason), event = TRACE_EVENT(e->reason);
	char text[48] = "";

	if (event)
		snprintf(text, sizeof(text), "%s %u", delivered[event], e->vector);
	line("trace: cpu %u #%u tsc %llu guest %u %s 0x%x rip 0x%llx cycles %u%s%s", e->cpu, e->seq,
	     (unsigned long long)e->tsc, e->guest,
	     reason < EXIT_REASONS ? exit_reason_name[reason] : "?", e->detail,
	     (unsigned long long)e->rip, handled ? e->cycles : 0, text, handled ? "" : " (now)");
}

void trace_dump(trace_line_fn *line)
{
	unsigned rings = 0, n;

	for (unsigned cpu = 0; cpu < BOOT_MAX_CPUS; cpu++)
		rings += ring[cpu] != NULL;
	n = rings ? MIN(TRACE_SHOWN_CPU, MAX(TRACE_SHOWN / rings, 1u)) : 0;
	for (unsigned cpu = 0; cpu < BOOT_MAX_CPUS && rings; cpu++) {
		const struct trace_ring *r = ring[cpu];
		u64 end = trace_made(cpu);

		for (u64 i = end - MIN(end, (u64)n); i < end; i++)
			show(&r->entry[SLOT(i)], true, line);
		/* The slot at the head is filled in when its number is: the exit being handled. */
		if (r && r->open_cycles && r->entry[SLOT(end)].seq == (u32)end)
			show(&r->entry[SLOT(end)], false, line);
	}
}
