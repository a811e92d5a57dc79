/* Looks at accessed bits of the tables that translate for a guest, its nested ones or its shadow
 * tables: how many pages it touches in a while (coverage.h). A round is three looks, 0.1, 1 and 10
 * ms after some bits were cleared; rounds are as frequent as their cost allows, and begin at ticks.
 *
 * All on the partition's own CPU, with its vCPU stopped.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_ESTIMATE_LOOK_H
#define HV_CORE_ESTIMATE_LOOK_H

#include "lib/timerq.h"
#include "paging/adaptive/allowance.h"
#include "paging/adaptive/coverage.h"
#include "paging/nested/nested_sample.h"
#include "paging/shadow/shadow.h"

struct partition;

enum looks_state {
	LOOKS_REST,
	LOOKS_MARKED, /* what the guest uses at all is being found out */
	LOOKS_ROUND,
};

struct looks {
	struct timer timer; /* the next look */
	enum looks_state state;
	bool in_shadow; /* the bits looked at are in shadow tables */
	struct shadow_touched touched;
	struct nested_sample sample;
	struct coverage_look pooled[COVERAGE_LOOKS]; /* of the last rounds, newer ones more */
	unsigned looked;			     /* of this round */
	bool fresh;				     /* there was one since looks_fresh() */
	u64 cleared_ns;				     /* when bits were cleared, and */
	u64 cleared_guest;			     /* the guest's cycles then */
	u64 random;
	u64 flush; /* what a round's flushes cost the guest, cycles */
	struct allowance allowance;
	u64 round;	 /* cycles of this round */
	unsigned hurry;	 /* rounds that need not wait until they are paid for */
	unsigned spared; /* ticks without one because it would decide nothing */
	/* since looks_start() */
	u64 cycles, rounds, pages;
};

/* Ready for rounds that take @ppm of the time (0: one each tick). @reach: entries of the CPU's TLB.
 */
void looks_start(struct partition *p, u64 ppm, u64 reach);
/* Memory for nested_sample's tables, for whoever looks; 0: none. */
hpa_t looks_memory(struct partition *p);
/* No more; its memory is given back by looks_free(). */
void looks_stop(struct partition *p);
void looks_free(struct partition *p);
/* Before the mode changes: nested tables are as they were, then. */
void looks_mode_ends(struct partition *p);
/* The guest does something else now: the next rounds come soon. */
void looks_hurry(struct partition *p);
/* It runs in another mode, and so too. */
void looks_mode(struct partition *p);
/* A tick ends: a round begins if it may. @spare: what it tells decides nothing now, so few will do.
 */
void looks_tick(struct partition *p, bool spare);
/* Was a round finished since this was asked last? */
bool looks_fresh(struct partition *p);

#endif
