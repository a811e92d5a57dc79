/* Second level of the simulator: where the costs of walks come from. A two-level TLB, page-walk
 * caches, a cache of nested translations, and the data caches that page-table entries share with
 * the data.
 *
 * Guest pages are 4 KiB; a shadow table is walked as the guest's own would be; nested tables have
 * leaves of 4 KiB, 2 MiB or 1 GiB. Addresses are of one guest that has the machine alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SIM_MMU_H
#define TESTS_SIM_MMU_H

#include "penumbra/types.h"

struct mmu_size {
	unsigned sets, ways; /* sets: a power of two */
};

struct mmu_machine {
	const char *name;
	struct mmu_size dtlb, stlb;
	struct mmu_size walk_cache[3]; /* tables of level 1, 2, 3 by guest address */
	struct mmu_size nested_tlb;    /* guest frame to host frame, at most 2 MiB an entry */
	struct mmu_size nested_walk;   /* nested tables of the last level */
	struct mmu_size cache[3];      /* L1, L2, L3; lines of 64 bytes */
	unsigned latency[4];	       /* cycles: L1, L2, L3, memory */
};

/* The machine of DSP's measurements (i7-860), and a server of about 2020. */
extern const struct mmu_machine mmu_lynnfield, mmu_icelake;

enum mmu_mode { MMU_SHADOW, MMU_NESTED_4K, MMU_NESTED_2M, MMU_NESTED_1G, MMU_MODES };
extern const char *const mmu_mode_name[MMU_MODES];

struct mmu_array {
	struct mmu_size size;
	u64 *tag;
};

struct mmu {
	const struct mmu_machine *machine;
	enum mmu_mode mode;
	struct mmu_array dtlb, stlb, walk_cache[3], nested_tlb, nested_walk, cache[3];
	/* since mmu_start() or mmu_forget_counts() */
	u64 accesses, misses, references, walk_cycles, data_cycles;
};

/* All caches empty. Ends the program without memory. */
void mmu_start(struct mmu *m, const struct mmu_machine *machine, enum mmu_mode mode);
void mmu_end(struct mmu *m);
void mmu_forget_counts(struct mmu *m);
/* One data access to linear address @gva, below 2^47. */
void mmu_access(struct mmu *m, u64 gva);

#endif
