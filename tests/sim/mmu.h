/* Second level of the simulator: where the costs of walks come from. A two-level TLB, page-walk
 * caches, a cache of nested translations, and the data caches that page-table entries share with
 * the data.
 *
 * Guest pages are 4 KiB or 2 MiB; a shadow table is walked as the guest's own would be; nested
 * tables have leaves of 4 KiB, 2 MiB or 1 GiB. One guest has the machine alone; its address spaces
 * are told apart by bits 47 up of linear addresses.
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
	struct mmu_size dtlb, itlb, stlb;
	struct mmu_size dtlb_2m;
	bool stlb_2m;		       /* the second level holds pages of 2 MiB too */
	struct mmu_size walk_cache[3]; /* tables of level 1, 2, 3 by guest address */
	struct mmu_size nested_tlb;    /* guest frame to host frame, at most 2 MiB an entry */
	struct mmu_size nested_walk;   /* nested tables of the last level */
	struct mmu_size cache[3], l1i; /* L1, L2, L3; lines of 64 bytes */
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
	struct mmu_array dtlb, itlb, stlb, dtlb_2m, walk_cache[3], nested_tlb, nested_walk,
		cache[3], l1i;
	u64 host_line; /* of the hypervisor, touched last */
	/* since mmu_start() or mmu_forget_counts() */
	u64 accesses, misses, references, walk_cycles, data_cycles;
};

#define MMU_SPACES 32 /* address spaces: bits 51:47 */

struct mmu_touch {
	u64 gva, gpa; /* @gpa below 2^43 */
	bool fetch;
	bool large; /* the guest's page has 2 MiB */
};

/* Guest-physical address of the guest's @n-th frame: in blocks of 64 KiB that lie anywhere in 4
 * GiB, as after some uptime. */
u64 mmu_place(u64 n);
/* All caches empty. Ends the program without memory. */
void mmu_start(struct mmu *m, const struct mmu_machine *machine, enum mmu_mode mode);
void mmu_end(struct mmu *m);
void mmu_forget_counts(struct mmu *m);
/* One data access to linear address @gva, below 2^47, somewhere in guest memory. */
void mmu_access(struct mmu *m, u64 gva);
void mmu_touch(struct mmu *m, const struct mmu_touch *t);
/* The guest's kernel uses @n lines from @gpa on: only caches take notice. */
void mmu_lines(struct mmu *m, u64 gpa, unsigned n);
/* So does the hypervisor, @n lines of the 64 KiB that it uses in turn. */
void mmu_pollute(struct mmu *m, unsigned n);
/* All translations by linear address are gone (those by guest-physical address stay). */
void mmu_flush(struct mmu *m);
/* Those of one page, and what walks remember (INVLPG). */
void mmu_flush_page(struct mmu *m, u64 gva);

#endif
