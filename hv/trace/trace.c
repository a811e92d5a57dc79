/* The trace; see trace.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "trace/trace.h"
#include "lib/cpuops.h"
#include "lib/str.h"
#include "mem/frames.h"
#include "mem/hostmap.h"
#include "penumbra/bootinfo.h"

struct trace_ring {
	u64 next; /* events ever written */
	struct trace_event event[TRACE_EVENTS];
};

static const struct engine_ops *real;
static struct engine_ops traced;
static struct trace_ring *ring[BOOT_MAX_CPUS];
static bool with_injections;

static struct trace_ring *new_ring(void)
{
	u64 pages = ALIGN_UP(sizeof(struct trace_ring), PAGE_SIZE) / PAGE_SIZE;
	hpa_t hpa = frames_alloc(pages, 1, OWNER_HYPERVISOR);

	if (!hpa)
		return NULL;
	return memset(hpa_va(hpa), 0, pages * PAGE_SIZE);
}

static void traced_run(struct vcpu *v, struct exit *x)
{
	struct trace_ring *r = ring[v->cpu];
	struct trace_event *e = &r->event[r->next % TRACE_EVENTS];

	e->event = with_injections ? v->event.type : EVENT_NONE;
	e->vector = v->event.vector;
	real->run(v, x);
	e->tsc = v->exit_tsc;
	e->rip = v->rip;
	e->code = x->code;
	e->reason = (u16)x->reason;
	e->vcpu = v->tag.id;
	r->next++;
}

const struct engine_ops *trace_start(const struct engine_ops *engine, unsigned cpus,
				     bool injections)
{
	for (unsigned i = 0; i < cpus; i++) {
		ring[i] = new_ring();
		if (!ring[i])
			return engine;
	}
	real = engine;
	traced = *engine;
	traced.run = traced_run;
	with_injections = injections;
	return &traced;
}

static void show(unsigned cpu, const struct trace_event *e, trace_line_fn *line)
{
	static const char *const delivered[] = {[EVENT_NONE] = "",
						[EVENT_EXTINT] = "interrupt",
						[EVENT_NMI] = "NMI",
						[EVENT_EXCEPTION] = "exception"};
	char event[24] = "";

	if (e->event != EVENT_NONE && e->event < ARRAY_SIZE(delivered))
		snprintf(event, sizeof(event), " after %s %u", delivered[e->event], e->vector);
	line("trace: cpu %u tsc %llu vcpu %u %s (0x%llx) rip 0x%llx%s", cpu,
	     (unsigned long long)e->tsc, e->vcpu,
	     e->reason < EXIT_REASONS ? exit_reason_name[e->reason] : "?",
	     (unsigned long long)e->code, (unsigned long long)e->rip, event);
}

void trace_dump(trace_line_fn *line)
{
	for (unsigned cpu = 0; cpu < BOOT_MAX_CPUS; cpu++) {
		const struct trace_ring *r = ring[cpu];
		u64 end = r ? r->next : 0;

		for (u64 i = end - MIN(end, TRACE_SHOWN); i < end; i++)
			show(cpu, &r->event[i % TRACE_EVENTS], line);
	}
}
