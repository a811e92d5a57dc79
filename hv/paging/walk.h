/* Architectural guest page walk in software: gva -> gpa with permissions, accessed/dirty updates
 * and the error code a CPU would push. 32-bit (4K/4M, PSE-36), PAE, and 4-level long mode. Follows
 * AMD APM vol. 2 ch. 5 and Intel SDM vol. 3 ch. 4.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_WALK_H
#define HV_PAGING_WALK_H

#include "penumbra/types.h"

/* #PF error code bits, also used to describe the access asked for. */
#define PFEC_P	  0x01u
#define PFEC_W	  0x02u
#define PFEC_U	  0x04u
#define PFEC_RSVD 0x08u
#define PFEC_I	  0x10u
#define PFEC_PK	  0x20u

/* The guest's paging state, sampled at the exit. */
struct walk_regs {
	u64 cr0, cr3, cr4, efer, rflags;
	u32 pkru;
	u8 cpl;
	u8 maxphyaddr;	  /* guest's, in bits */
	bool has_1g;	  /* guest's CPUID shows 1 GiB pages */
	bool pml4_g_rsvd; /* bit 8 of a PML4E must be zero (AMD; Intel ignores it) */
	const u64 *pdpte; /* PAE: the four loaded PDPTEs; NULL: read from memory at cr3 */
};

struct walk_mem {
	/* Hypervisor pointer to the RAM at @gpa (valid to the end of its 4 KiB page), or NULL. */
	void *(*ram)(void *ctx, gpa_t gpa);
	void *ctx;
};

struct walk_result {
	gpa_t gpa;
	u64 page_size; /* of the guest leaf: 4K, 2M, 4M, 1G; 4K when paging is off */
	bool writable, user, nx, dirty, global;
	/* On failure: */
	u32 error_code; /* as pushed */
	gpa_t bad_gpa;	/* where a page-table entry lies outside RAM (-EIO) */
};

/* Walk flags beside the PFEC_W/U/I access bits. */
#define WALK_IMPLICIT 0x1000u /* supervisor access at any CPL (tables): SMAP ignores AC */
#define WALK_NO_AD    0x2000u /* do not set accessed/dirty bits (hypervisor's own look) */

/* Translate @gva for an access of PFEC_W/PFEC_U/PFEC_I kind. PFEC_U in @access means CPL 3.
 * 0: @res->gpa. -EFAULT: the guest takes #PF with @res->error_code. -EIO: a table is not in RAM, or
 * another writer of it won every race for an accessed/dirty update.
 * No lock: A/D bits are set by locked compare-and-swap, as other CPUs of the guest do. @gva must be
 * canonical in long mode and is cut to 32 bits otherwise. */
int walk_gva(const struct walk_mem *m, const struct walk_regs *r, gva_t gva, u32 access,
	     struct walk_result *res);

#endif
