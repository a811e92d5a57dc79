/* A reference page walk for tests: what the manuals say a guest access means, in pieces that an
 * oracle can put together differently (entries of different times). Intel SDM vol. 3 ch. 4, AMD APM
 * vol. 2 ch. 5. Shares nothing with the hypervisor's walkers but struct walk_regs.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_SHADOW_REFWALK_H
#define TESTS_UNIT_SHADOW_REFWALK_H

#include "paging/walk.h" /* struct walk_regs only */

enum ref_mode { REF_UNPAGED, REF_32, REF_PAE, REF_LONG };

struct ref_access {
	bool write, fetch;
	bool user;     /* made at CPL 3, not implicitly supervisor */
	bool implicit; /* of a system structure: supervisor at any CPL */
	bool inner;    /* with it: made at CPL 0 (says nothing to the walk) */
};

enum ref_kind { REF_ABSENT, REF_RESERVED, REF_TABLE, REF_LEAF };

/* Where a walk stands: level 4 PML4E, 3 PDPTE, 2 PDE, 1 PTE. */
struct ref_at {
	unsigned level;
	gpa_t entry;	/* of which address */
	unsigned bytes; /* 4 or 8 */
};

/* The AND of permissions so far. */
struct ref_rights {
	bool user, write, exec;
};

/* A translation as a TLB would keep it. */
struct ref_leaf {
	struct ref_rights rights;
	gpa_t base;
	u64 size;
	bool dirty, global;
	unsigned key;
};

enum ref_result {
	REF_OK,
	REF_FAULT,
	REF_NO_TABLE, /* a table lies where nothing can be read */
};

struct ref_walk {
	enum ref_result result;
	gpa_t gpa;
	u32 error; /* of REF_FAULT, as pushed */
	struct ref_leaf leaf;
	struct ref_at step[4];
	u64 value[4]; /* as read */
	u64 mark[4];  /* accessed and dirty bits that a successful walk sets in it */
	unsigned steps;
};

/* Read @bytes (4 or 8) of an entry; false: no memory there. */
typedef bool ref_read(void *ctx, gpa_t at, unsigned bytes, u64 *value);

enum ref_mode ref_mode_of(const struct walk_regs *r);
/* The first table of @gva's walk. False: PAE's PDPTE (of @r->pdpte, which must be set) ends it,
 * with
 * *@kind ABSENT or RESERVED. */
bool ref_first(const struct walk_regs *r, gva_t gva, struct ref_at *at, enum ref_kind *kind);
/* What the entry @value at @at is. TABLE: *@at moves on; LEAF: *@leaf; both update *@rights. */
enum ref_kind ref_entry(const struct walk_regs *r, gva_t gva, u64 value, struct ref_at *at,
			struct ref_rights *rights, struct ref_leaf *leaf);
/* May the access be made through @leaf? Else *@error. */
bool ref_allows(const struct walk_regs *r, const struct ref_access *a, const struct ref_leaf *leaf,
		u32 *error);
/* The bits of an error code that describe the access. */
u32 ref_error(const struct walk_regs *r, const struct ref_access *a);
/* The whole walk on memory as it is; changes nothing. */
void ref_translate(const struct walk_regs *r, ref_read *read, void *ctx, gva_t gva,
		   const struct ref_access *a, struct ref_walk *w);

/* May these four be loaded as PAE's PDPTEs (else #GP)? */
bool ref_pdptes_ok(const struct walk_regs *r, const u64 pdpte[4]);

#endif
