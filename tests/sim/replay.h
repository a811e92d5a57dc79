/* Runs a recorded program (trace/touch.h) through the model of TLB and walks (mmu.h), in several
 * machines and modes at once, with what a kernel and a hypervisor do between its accesses, and
 * makes phases of the simulated world (world.h) of it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SIM_REPLAY_H
#define TESTS_SIM_REPLAY_H

#include "mmu.h"
#include "world.h"

#define REPLAY_WINDOWS 12
#define REPLAY_LANES   8

/* A machine with a hypervisor, and how the guest uses it. */
struct replay_lane {
	const struct mmu_machine *machine;
	enum mmu_mode mode;
	bool tags;	      /* exits leave the TLB alone */
	bool large;	      /* the guest has pages of 2 MiB where it uses them well */
	unsigned fault_exits; /* of a page fault in shadow */
};

/* What happened in a part of the trace, whoever ran it. */
struct replay_events {
	u64 instructions, faults, fills, switches, invlpgs;
	u64 drops, dropped; /* ranges and pages */
	u64 forks, forked;
	u64 ends;
};

struct replay_walks {
	u64 misses, references, walk_cycles, stall_cycles;
};

struct replay_window {
	struct replay_events events;
	double large_faults; /* with pages of 2 MiB */
	struct replay_walks lane[REPLAY_LANES];
};

struct replay {
	const char *why; /* it could not be read */
	u64 pages;	 /* in use at most */
	unsigned n;
	struct replay_window window[REPLAY_WINDOWS]; /* the first two warm the caches up */
};
#define REPLAY_WARM 2

/* @out is for the caller to look at only if @out->why is NULL. */
void replay_file(struct replay *out, const char *path, const struct replay_lane *lanes, unsigned n);

/* How much of a latency the processor waits for; nothing in a trace tells. */
struct replay_overlap {
	double data, walk;
};
/* Cycles of the guest's own work in @w, kernel included, by the lane @l. */
double replay_base(const struct replay_window *w, unsigned l, const struct replay_overlap *o);
/* What the simulated world makes of @w: its modes cost what lanes @shadow and @nested do. */
struct sim_phase replay_phase(const struct replay *r, const struct replay_window *w,
			      unsigned shadow, unsigned nested, const struct replay_overlap *o,
			      const struct sim_costs *c);

#endif
