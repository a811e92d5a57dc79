/* The trace: what the vCPUs did last, in a ring per physical CPU (entries: penumbra/trace.h), and
 * counts by guest and reason of everything that ever went through the rings.
 *
 * Off, it costs nothing: a traced run is an engine table of its own that wraps the real one's
 * run(). Each ring is written by its CPU alone and read by anybody: a reader takes entries by
 * number and is told how many were overwritten before it came to them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_TRACE_TRACE_H
#define HV_TRACE_TRACE_H

#include "engine/engine.h"
#include "penumbra/trace.h"

#define TRACE_ENTRIES 8192 /* kept per CPU, a power of two */

_Static_assert(EXIT_REASONS <= TRACE_REASONS, "a reason must fit its field");

enum trace_what { TRACE_WHAT_NONE, TRACE_WHAT_EXITS, TRACE_WHAT_ALL, TRACE_WHATS };

/* The engine table with which @what is traced on @cpus CPUs: exits, or also the events that entries
 * deliver. @engine may be a table that this returned before. Returns the untraced table for
 * TRACE_WHAT_NONE, and when there is no memory for the rings (about 270 KiB a CPU). Boot CPU; a
 * vCPU that exists already gets the table (v->engine) on its own CPU, after trace_settle(). */
const struct engine_ops *trace_engine(const struct engine_ops *engine, unsigned cpus,
				      enum trace_what what);
/* True when rings exist. */
bool trace_on(void);
/* On CPU @cpu itself, when none of its vCPUs runs: the last exit of the one that ran becomes an
 * entry like any other, instead of waiting for the next. */
void trace_settle(unsigned cpu);

/* A reader's place in one CPU's ring. All zero: at the first entry ever. */
struct trace_cursor {
	u64 next; /* number of the entry wanted next */
	u64 lost; /* entries overwritten before this reader came to them */
};
/* Copy up to @max entries of @cpu from @c on into @buf, in order; returns how many, 0 when there
 * are none yet or @cpu has no ring. Any CPU; readers do not disturb each other. */
unsigned trace_read(unsigned cpu, struct trace_cursor *c, struct trace_entry *buf, unsigned max);
/* Number of entries that @cpu has ever made: the end of what trace_read() gives now. */
u64 trace_made(unsigned cpu);

/* Exits of @guest for @reason (enum exit_reason) since tracing began, overwritten ones included:
 * what `stats` counts too, if it was on from the start. Any CPU. */
u64 trace_count(unsigned guest, unsigned reason);

#define TRACE_SHOWN	128
#define TRACE_SHOWN_CPU 32
typedef void trace_line_fn(const char *fmt, ...);
/* Call @line for the latest entries of every CPU, oldest first: TRACE_SHOWN in all, TRACE_SHOWN_CPU
 * of one at most. Any CPU, also in a panic. */
void trace_dump(trace_line_fn *line);

#endif
