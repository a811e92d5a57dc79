/* A guest that runs on shadow tables in a machine of the tests', one operation after the other,
 * with everything checked that is to be seen from outside: outcomes against the oracle, accessed
 * and dirty bits, stores that the shadow carries out, memory that nobody should have written.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_SHADOW_RIG_H
#define TESTS_UNIT_SHADOW_RIG_H

#include "paging/shadow/shadow.h"
#include "shadow/fakemmu.h"
#include "shadow/oracle.h"
#include "shadow/stores.h"
#include "shadow/world.h"

#define RIG_BLIND 0xffffu /* audit_every: never */

/* What holds for a whole run. */
struct rig_setup {
	enum ref_mode mode;
	enum shadow_policy policy;
	bool filters_faults;
	bool wide;	  /* many addresses and tables: more than the pool holds */
	bool pdptes_told; /* the hypervisor gives PAE's top entries; else the shadow reads them */
	bool has_1g;
	u8 maxphyaddr;
	u8 forget;	 /* the CPU forgets one in so many translations at random; 0: none */
	u16 audit_every; /* operations; 0: at the end */
	u16 pool_pages;
	u8 mixed; /* enum rig_mixed */
};

/* Some address spaces run without the shadow (shadow_freeze()), by an even or odd CR3 and time. */
enum rig_mixed {
	MIXED_OFF,
	MIXED_MARKS, /* a CPU's walk writes where it sets accessed or dirty bits */
	MIXED_WALKS, /* wherever it goes */
};

struct rig_counts {
	u64 ops, hits, faults, direct_faults, devices, stores, stores_refused, natives, retries;
	u64 audits, switches, refused, emulated;
	u64 thaws, guarded, foreign, walked;
};

struct rig {
	struct rig_setup setup;
	struct shadow *s;
	struct fakemmu mmu;
	struct oracle oracle;
	struct walk_regs g;
	u64 pdpte[4];
	bool nested; /* the shadow has been left, or is frozen: */
	bool frozen;
	u64 loads;
	bool failed;
	int kind; /* of failure */
	char message[512];
	struct rig_counts n;
};

/* What became of an access. */
enum rig_end {
	RIG_DONE,
	RIG_FAULTED, /* the guest has its #PF */
	RIG_DEVICE,  /* no RAM there */
	RIG_EMULATE, /* RAM, but no entry could have the rights: to be written in software */
	RIG_RESTART, /* tables have changed: look again */
	RIG_STORE,   /* shadow_store() is asked for, at rig_fault()'s *gpa */
	RIG_BROKEN,
};

/* A fresh machine with the guest's registers as after a load of mode @setup->mode, its tables
 * built (rig_build()). False: rig.failed. */
bool rig_begin(struct rig *r, const struct rig_setup *setup);
/* Gives the shadow back and looks for leaks. */
void rig_end(struct rig *r);

/* The first finding counts. Its place in the source is its kind. */
#define rig_fail(r, ...) rig_fail_at(r, __LINE__, __VA_ARGS__)
__attribute__((format(printf, 3, 4))) void rig_fail_at(struct rig *r, int line, const char *format,
						       ...);

/* --- addresses --- */

/* Addresses in use differ in few bits: their entries of a table, two to five bits of @choice. */
unsigned rig_index(const struct rig *r, unsigned level, unsigned choice);
/* The same bits for each level, the first level's lowest. */
gva_t rig_gva(const struct rig *r, unsigned choice);
/* Where the guest's direct map has frame @n. */
gva_t rig_map_gva(const struct rig *r, unsigned n);
unsigned rig_entry_bytes(const struct rig *r);

/* --- what a guest does --- */

/* One access of at most 8 bytes within a page, or several at once: all of them must be there
 * without an exit in between. */
enum rig_end rig_touch(struct rig *r, const gva_t *gva, unsigned n, const struct ref_access *a,
		       u32 luck);
/* An instruction that stores, from a supervisor or a user. */
enum rig_end rig_store(struct rig *r, gva_t gva, const struct ref_access *a, enum store_kind kind,
		       unsigned form, unsigned size, const u64 want[2], unsigned repeat, u32 luck);
void rig_invlpg(struct rig *r, gva_t gva);
/* False: the CPU refuses the value (#GP). */
bool rig_load_cr3(struct rig *r, u64 cr3);
bool rig_set_control(struct rig *r, u64 cr0, u64 cr4, u64 efer);
/* Through unpaged code into another mode, with new tables. */
void rig_change_mode(struct rig *r, enum ref_mode mode);
/* Write the tables that every run starts from, as a device. */
void rig_build(struct rig *r);

/* --- what others do --- */

/* Frozen, the guest or its walk is about to write at @gpa. */
void rig_foreign_write(struct rig *r, gpa_t gpa, bool walk);
bool rig_guarded(gpa_t gpa);

void rig_device_write(struct rig *r, gpa_t gpa, const void *bytes, unsigned len);
void rig_set_kind(struct rig *r, unsigned frame, enum p2m_kind kind);
void rig_leave(struct rig *r);
void rig_enter(struct rig *r);
void rig_audit(struct rig *r);

#endif
