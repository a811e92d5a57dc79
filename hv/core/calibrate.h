/* What paging costs on this machine, measured once at boot by a guest of the hypervisor's own.
 *
 * It runs on the boot CPU before there are other guests, for less than a second. Costs are cycles
 * of the TSC, since that is the clock here. Where one could not be measured (no such paging mode,
 * no time, a difference that is lost in noise or that the machine does not have, as in an emulator
 * that counts instructions) it is 0, which means "not known".
 *
 * What stands behind the numbers and what they leave out: docs/adaptive.md.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_CALIBRATE_H
#define HV_CORE_CALIBRATE_H

#include "engine/engine.h"
#include "paging/adaptive/params.h"
#include "paging/adaptive/sample.h"

#define CALIBRATION_SETS 5

/* Random loads over @pages pages of 4 KiB: thousandths of a cycle per load beyond what the same
 * loads cost over large pages. Where nearly all of them miss the TLB this is the cost of a miss. */
struct calibration_walk {
	u64 pages;
	u64 cost[POLICY_MODES];
	bool known[POLICY_MODES];
};

struct calibration {
	bool done; /* false: it was not asked for, or failed; all else is 0 */
	u64 us;	   /* how long it took */
	/* Cycles of an exit and an entry that fall between the clocks of both: what the CPU takes
	 * for them, and run() until it enters. */
	u64 world_switch;
	/* Cycles from the exit to the next instruction of the guest, with nothing done between: */
	u64 cpuid;
	u64 fault;     /* page fault, by shadow tables */
	u64 cr3;       /* MOV to CR3, likewise */
	u64 invlpg;    /* likewise */
	bool filtered; /* the guest's own page faults do not exit there */
	u64 fill;      /* a fault that makes one entry of a shadow table: all of it */
	struct calibration_walk walk[CALIBRATION_SETS]; /* rising by pages */
	u64 rho; /* walk cycles in shadow over nested, thousandths */
};

/* The result; all 0 before and without calibrate(). Any CPU. */
const struct calibration *hv_calibration(void);

/* Thousandths of a cycle for a random load in a set of @pages pages of 4 KiB, between the sets that
 * were measured by their logarithm, beyond them the nearest. 0: not known. Pure. */
u64 calibration_walk(const struct calibration *c, enum policy_mode mode, u64 pages);

/* Costs that were measured, put where the user set none (@user_set says by name which). Pure. */
void calibration_priors(const struct calibration *c, struct policy_params *p,
			bool (*user_set)(const char *name));

/* Measure, with @engine as it is without traces and audits, and send the record. The engine is on;
 * no vCPU exists. Boot CPU. Whatever goes wrong costs the result, nothing else. */
void calibrate(const struct engine_ops *engine, const struct engine_caps *caps, u64 tsc_khz);

#endif
