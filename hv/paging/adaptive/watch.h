/* Counting by windows what a guest does without us: page faults, CR3 loads and INVLPGs of one that
 * runs nested cost an exit each while they are heard of, so that is only part of the time. Pure.
 *
 * Time is cut into slots. In each the window is open for a share of it, the duty, so chosen that
 * what is heard of stays below a rate that may be afforded; all of it when the guest does little,
 * and the count is exact then. The window begins at a random place of the slot and goes round its
 * end, so that every moment is as likely to be in it as any other: no period in the guest's doings
 * can hide from it or stand out. Windows open and close by the clock; one in which far more comes
 * than was expected ends its slot, and the next one is cut to what was learnt.
 *
 *   n events heard of in a slot in which the guest ran e cycles, o of them with the window open:
 *   about n e / o happened, with a standard deviation of n^1/2 e / o (1 - o/e)^1/2
 *
 * Windows are cut by the host's clock, what they tell is counted in cycles of the guest's: it does
 * nothing while it is halted or the hypervisor works. No locks: one guest's, on its CPU.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_ADAPTIVE_WATCH_H
#define HV_PAGING_ADAPTIVE_WATCH_H

#include "engine/vcpu.h"
#include "paging/adaptive/sample.h"

#define WATCH_NEVER UINT64_MAX

struct watch_time {
	u64 ns;	 /* of the host's clock */
	u64 ran; /* cycles in guest mode */
};

/* One kind of event. */
struct watch_stream {
	bool on, open;
	u64 slot_ns;
	u64 afford; /* events heard of per second, on average */
	u64 rate;   /* events per second that the next duty expects */
	u64 random;

	struct watch_time begin; /* of this slot */
	struct watch_time seen;	 /* up to here @covered and @count are told */
	u64 offset_ns;		 /* of the window in the slot */
	u64 window_ns;		 /* its length; the slot's: open throughout */
	struct watch_time covered;
	u64 count; /* the vCPU's, at @seen */
	u64 n;	   /* heard of in this slot */

	/* Whole slots since the last take. */
	u64 told_ran; /* how long, as far as anything is known of them */
	u64 told;     /* events estimated */
	u64 variance; /* of that */
	bool exact;   /* nothing was missed */
	u64 from_ran; /* the last take */
};

struct watch {
	struct watch_stream stream[WATCH_KINDS];
};

/* @seed: any. Nothing is open. @slot_ns: at least a microsecond, a sixteenth of a tick is good. */
void watch_init(struct watch *w, u64 slot_ns, u64 seed);
/* At most @per_second events of @kind are to be heard of on average; at least 1. */
void watch_afford(struct watch *w, enum watch_kind kind, u64 per_second);
/* Events per second that cost @ppm of a CPU with @khz at @cycles each. */
u64 watch_affordable(u64 ppm, u64 khz, u64 cycles);

/* The guest runs nested from @now on; @count is vcpu_watch's. */
void watch_begin(struct watch *w, struct watch_time now, const u64 count[WATCH_KINDS]);
/* It does not any more. What was counted can still be taken. */
void watch_end(struct watch *w, struct watch_time now, const u64 count[WATCH_KINDS]);
/* To be called at the time that the last call said, or any time before: returns the WATCH_BIT()s to
 * have open from @now on, and in *@next when to ask again. */
unsigned watch_step(struct watch *w, struct watch_time now, const u64 count[WATCH_KINDS],
		    u64 *next);
/* The count at which watch_step() is wanted at once. */
u64 watch_limit(const struct watch *w, enum watch_kind kind);

/* How many there were since the last take, or since the beginning: for the sample. Confidence is
 * 100 where nothing was missed, else 100 less the standard deviation in percent (at least 1); 0
 * where nothing can be said. */
struct policy_measure watch_take(struct watch *w, enum watch_kind kind, struct watch_time now,
				 const u64 count[WATCH_KINDS]);

#endif
