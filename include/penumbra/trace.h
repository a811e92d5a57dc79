/* A trace entry: one exit of one vCPU, as the hypervisor's rings keep it, as the channel's trace
 * ring carries it, and as `trace` records have it in base64 (docs/serial.md). Little-endian.
 *
 * Entries of one CPU are numbered without gaps, so that whoever sees only some of them knows how
 * many are missing. An entry appears when its exit has been handled: @cycles is then known.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRA_TRACE_H
#define PENUMBRA_TRACE_H

#include "penumbra/types.h"

#define TRACE_GUESTS  8	 /* 0 the control partition, 1.. the guests */
#define TRACE_REASONS 64 /* names: "reasons" of the `trace` record with event=start */

/* What the entry before the exit delivered to the guest; recorded by trace=all only. */
enum trace_event { TRACE_EVENT_NONE, TRACE_EVENT_EXTINT, TRACE_EVENT_NMI, TRACE_EVENT_EXCEPTION };

struct trace_entry {
	u64 tsc;    /* of the CPU, at the exit */
	u64 rip;    /* the guest's, at the exit */
	u32 seq;    /* number of this entry among those of @cpu, from 0, modulo 2^32 */
	u32 cycles; /* TSC ticks from the exit to the next entry, or until the vCPU gave the CPU
		       away, modulo 2^32 */
	u32 detail; /* by reason: TRACE_IO_...; MSR number; page number (gpa >> 12) of a nested
		       fault; CPUID leaf; CR number | write << 8; exception vector; unknown: the
		       vendor's code; else 0 */
	u8 guest;   /* below TRACE_GUESTS */
	u8 cpu;	    /* physical, as numbered in the hypervisor */
	u8 reason;  /* bits 5:0 reason, 7:6 enum trace_event */
	u8 vector;  /* of the event delivered */
};
_Static_assert(sizeof(struct trace_entry) == 32, "ABI");

#define TRACE_REASON(r) ((r)&0x3f)
#define TRACE_EVENT(r)	((r) >> 6)

/* @detail of a port access */
#define TRACE_IO_PORT(d) ((d)&0xffff)
#define TRACE_IO_SIZE(d) ((d) >> 16 & 7) /* bytes */
#define TRACE_IO_IN	 (1u << 24)

#endif
