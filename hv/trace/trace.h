/* The trace: what the vCPUs did last, in a ring per physical CPU, for panics and the hypervisor's
 * keys.
 *
 * Off, it costs nothing: a traced run is an engine table of its own that wraps the real one's
 * run(). Each ring is written by its CPU alone; whoever prints another CPU's ring may see its
 * newest event torn.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_TRACE_TRACE_H
#define HV_TRACE_TRACE_H

#include "engine/engine.h"

#define TRACE_EVENTS 256 /* kept per CPU, a power of two */
#define TRACE_SHOWN  32	 /* the latest, in a panic or on a key */

struct trace_event {
	u64 tsc;
	u64 rip;
	u64 code;   /* the vendor's exit code */
	u16 reason; /* enum exit_reason */
	u8 event;   /* enum event_type delivered by the entry; with injections on */
	u8 vector;
	u32 vcpu; /* TLB tag: unique per vCPU */
};

/* Start tracing exits on @cpus CPUs, with @injections also the events that entries deliver. Returns
 * the engine table to use instead of @engine, or @engine itself when there is no memory for the
 * rings. Boot CPU, before any vCPU exists. */
const struct engine_ops *trace_start(const struct engine_ops *engine, unsigned cpus,
				     bool injections);
/* Call @line for each of the latest TRACE_SHOWN events of every CPU, oldest first. Any CPU. */
typedef void trace_line_fn(const char *fmt, ...);
void trace_dump(trace_line_fn *line);

#endif
