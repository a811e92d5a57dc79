/* Looks at the accessed bits of what one address space uses, while it alone runs: regions of the
 * nested tables or leaves of its shadow tables are cleared, and counted some times until the space
 * goes. One at a time, each tick for the space that has run longest without.
 *
 * Nested regions are split meanwhile and joined afterwards, so a look ends before a frame is
 * guarded, before the halves change, and before this is no longer the vCPU's mode.
 *
 * All functions run on the vCPU's own CPU with the vCPU stopped.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_MIXED_MIXED_LOOKS_H
#define HV_PAGING_MIXED_MIXED_LOOKS_H

#include "paging/adaptive/space_misses.h"
#include "paging/nested/nested_sample.h"
#include "paging/shadow/shadow.h"

struct vcpu;
struct mixed_space;

struct mixed_look_setup {
	/* Call mixed_look_due() in @ns; 0: not any more. NULL: there are no looks. */
	void (*timer)(void *ctx, u64 ns);
	/* Of what the address space that runs touches, how much it maps by small pages, in ppm. */
	u64 (*small_ppm)(void *ctx);
	u64 reach;    /* entries of the TLB for pages of 4 KiB */
	u64 khz;      /* of the TSC */
	hpa_t memory; /* NESTED_SAMPLE_PAGES, kept by the caller; 0: nested spaces have no looks */
};

struct mixed_looks {
	struct mixed_look_setup setup;
	struct mixed_space *at;	  /* whose look goes on; NULL: none */
	struct mixed_space *next; /* who gets one when it is loaded; NULL */
	bool shadow;
	struct nested_sample sample;
	struct shadow_touched touched;
	u64 since; /* the vCPU's cycles when bits were cleared */
	unsigned done;
	u64 loads; /* of CR3, at the last tick */
	u64 small_ppm;
	u64 random;
	u64 spent;		     /* cycles that the present look has cost, */
	u64 may;		     /* the vCPU's cycles before which there is no next one */
	u64 rounds, dropped, cycles; /* all so far; too short to say anything; what they cost */
};

/* A tick: who is next? */
void mixed_look_tick(struct vcpu *v);
/* The current space is about to run: begin if it is its turn. */
void mixed_look_begin(struct vcpu *v);
/* The timer has come. */
void mixed_look_due(struct vcpu *v);
/* What has been seen counts, if it is enough, and all is as it was. Without a look: nothing. */
void mixed_look_end(struct vcpu *v);

#endif
