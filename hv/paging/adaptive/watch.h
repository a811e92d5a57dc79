/* Counting by windows what a guest does without us: page faults, CR3 loads and INVLPGs of one that
 * runs nested cost an exit each while they are heard of, so that is only part of the time. Pure.
 *
 * Time is cut into slots. At a random moment of each, the same for all kinds, their windows open;
 * each kind's is so long that what is heard of stays below a rate that may be afforded. That moment
 * is all that needs a clock of its own (a timer interrupt may cost more than any exit): a window is
 * over after its length whoever finds that out, the first event behind its end or anybody who
 * looks, and nothing behind its end is counted. So every moment is as likely to be in a window as
 * any other, whatever the guest does and when. A kind of which little comes is heard of throughout,
 * and its count is exact; a window in which far more comes than was expected is ended, and the next
 * one cut to what was learnt.
 *
 *   n events heard of in a window that is the f-th part of its slot: about n f happened in that,
 *   with a standard deviation of (n f (f - 1))^1/2
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
	bool on;
	bool open;   /* events are heard of */
	bool begun;  /* there was a window that is not told yet */
	bool stormy; /* it is cut short */
	u64 afford;  /* events heard of per second, on average */
	u64 rate;    /* events per second that the next window expects */

	u64 window_ns;		/* its length */
	u64 end_ns;		/* WATCH_NEVER: open until it is told */
	struct watch_time seen; /* up to here @covered and @n are told */
	struct watch_time covered;
	u64 n;	      /* heard of in this window */
	u64 from_ran; /* the end of the one before */

	/* Windows since the last take. */
	u64 told_ran; /* how long they stand for */
	u64 told;     /* events estimated */
	u64 variance; /* of that */
	u64 missed;   /* events more, had each empty window had one */
	bool exact;   /* nothing was missed */
	u64 take_ran; /* the last take */
	struct policy_measure taken_most;
};

struct watch {
	u64 slot_ns;
	u64 slot_begin_ns;
	u64 next_ns; /* windows open */
	u64 random;
	struct watch_stream stream[WATCH_KINDS];
};

/* When watch_step() is wanted. */
struct watch_when {
	u64 open_ns;  /* then */
	u64 close_ns; /* some time after that, if anybody is about anyway */
};

/* @seed: any. Nothing is open. @slot_ns: at least a microsecond; a tick, or a whole part of it. */
void watch_init(struct watch *w, u64 slot_ns, u64 seed);
/* At most @per_second events of @kind are to be heard of on average; at least 1. */
void watch_afford(struct watch *w, enum watch_kind kind, u64 per_second);
/* Events per second that cost @ppm of a CPU with @khz at @cycles each. */
u64 watch_affordable(u64 ppm, u64 khz, u64 cycles);

/* The guest runs nested from @now on. */
void watch_begin(struct watch *w, struct watch_time now);
/* It does not any more. What was counted can still be taken. */
void watch_end(struct watch *w, struct watch_time now);
/* An event of @kind exited. True: watch_step() is wanted before the guest runs on. */
bool watch_heard(struct watch *w, enum watch_kind kind, struct watch_time now);
/* Any time: returns the WATCH_BIT()s to have open from @now on, and in *@when when to ask again. */
unsigned watch_step(struct watch *w, struct watch_time now, struct watch_when *when);

/* How many there were since the last take, or since the beginning: for the sample. Confidence is
 * 100 where nothing was missed, else 100 less the standard deviation in percent (at least 1); 0
 * where nothing can be said. watch_step() is wanted after that. */
struct policy_measure watch_take(struct watch *w, enum watch_kind kind, struct watch_time now);
/* About the most that there can have been until the last take: each empty window counts as if it
 * had had an event. All that is known for a while when a storm is over, for windows grow by and by.
 */
struct policy_measure watch_most(const struct watch *w, enum watch_kind kind);
/* A tick ends, all kinds were taken: slots are cut from @now on. */
void watch_tick(struct watch *w, u64 now_ns);

#endif
