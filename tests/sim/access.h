/* Access patterns of the bench loads, as streams of addresses, and what they cost on a machine.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SIM_ACCESS_H
#define TESTS_SIM_ACCESS_H

#include "mmu.h"
#include "world.h"

struct access {
	const char *name;
	u64 (*next)(struct sim_random *r, u64 i, u64 bytes); /* the i-th offset below @bytes */
	double gap;	  /* cycles of work between two accesses */
	double data_seen; /* part of the data's latency that the processor waits for */
	double walk_seen; /* and of a walk's */
};

enum { ACCESS_CHASE, ACCESS_GUPS, ACCESS_STENCIL, ACCESS_STREAM, ACCESS_MCF, ACCESSES };
extern const struct access access_pattern[ACCESSES];

/* Per access, in cycles, after the caches are warm. */
struct access_cost {
	double misses;	   /* of the TLB, per access */
	double references; /* per walk */
	double walk;	   /* cycles per walk that are waited for */
	double base;	   /* cycles per access without walks */
};

struct access_cost access_measure(const struct access *a, u64 bytes,
				  const struct mmu_machine *machine, enum mmu_mode mode);
/* The phase that the simulated world makes of it, with @pf page faults a second. */
struct sim_phase access_phase(const struct access *a, u64 bytes, const struct mmu_machine *machine,
			      enum mmu_mode nested, double pf);

#endif
