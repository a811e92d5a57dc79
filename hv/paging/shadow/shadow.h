/* Shadow paging: tables that the CPU walks in place of the guest's, kept true to them.
 *
 * This is the part without a CPU: it owns the shadow tables and decides what each event of the
 * guest's paging means. Everything it does to a CPU goes through struct shadow_cpu_ops, everything
 * it reads of the guest comes as a struct walk_regs, so that it runs on the host too. One struct
 * shadow serves one guest with one vCPU; all functions are called on that vCPU's CPU while it is
 * stopped. None takes a lock, none panics over what a guest has in its tables.
 *
 * Guest-physical memory is what p2m_lookup() says: RAM, ROM (read-only), devices (never mapped). A
 * page table outside of RAM and ROM reads as all ones, like a bus on which nobody answers; accessed
 * and dirty bits that fall on ROM are lost.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_SHADOW_SHADOW_H
#define HV_PAGING_SHADOW_SHADOW_H

#include "mem/p2m.h"
#include "paging/walk.h"

/* Tags under which the CPU caches translations: the first ones belong to one root each, the last
 * to whichever other root runs and is flushed when another one does. */
#define SHADOW_TAGS	  5u
#define SHADOW_TAG_SHARED (SHADOW_TAGS - 1)

enum shadow_format {
	SHADOW_PAE,  /* a root of four entries, below 4 GiB: for guests not in long mode */
	SHADOW_LONG, /* four levels */
};

/* What the CPU is to walk from the next entry on. */
struct shadow_root {
	hpa_t table;
	enum shadow_format format;
	unsigned tag;
};

struct shadow_cpu_ops {
	void (*load)(void *ctx, const struct shadow_root *root);
	/* Forget before the next entry: all of @tag's translations, or those of @gva. */
	void (*flush)(void *ctx, unsigned tag);
	void (*flush_page)(void *ctx, unsigned tag, gva_t gva);
};

enum shadow_policy {
	SHADOW_AUTO, /* tables synced, out of sync or unshadowed by what the guest does */
	SHADOW_VTLB, /* drop everything at each flush of the guest's: the reference */
};

struct shadow_config {
	enum shadow_policy policy;
	/* Tables at most, at least SHADOW_MIN_PAGES. Each takes a host frame and a second one for
	 * the copy of what it was made from. */
	unsigned pool_pages;
	bool has_1g;   /* the CPU takes 1 GiB leaves */
	u8 maxphyaddr; /* the CPU's, in bits */
	/* The CPU leaves the guest alone with faults on entries that are 0; entries that the core
	 * must hear of have reserved bits set. Otherwise every fault exits. */
	bool filters_faults;
	const struct shadow_cpu_ops *cpu;
	void *cpu_ctx;
	u64 (*now)(void); /* a cycle counter for the histograms */
};
#define SHADOW_MIN_PAGES 256u

enum shadow_result {
	SHADOW_RETRY, /* run the instruction again */
	SHADOW_GUEST, /* the guest's own fault: @error as the CPU would push it */
	SHADOW_MMIO,  /* @gpa is no RAM (or ROM that is written to): emulate the access */
	SHADOW_STORE, /* @gpa is in a table that is kept in step: shadow_store() */
};

struct shadow_outcome {
	enum shadow_result result;
	gpa_t gpa;
	u32 error;
};

struct shadow; /* shadow_int.h */

/* Tables for the guest memory @m. -ENOMEM. shadow_destroy() gives everything back. */
int shadow_create(struct shadow **s, const struct shadow_config *c, struct p2m *m);
void shadow_destroy(struct shadow *s);

/* Translation by shadow begins with the guest in state @g (paging on or off: off means that every
 * linear address is physical). Tables kept from before are compared with the guest's first. Loads
 * a root. -ENOMEM: nothing was loaded. */
int shadow_enter(struct shadow *s, const struct walk_regs *g);
/* It ends; tables are kept for the next shadow_enter(), but nothing is write-protected for them any
 * more. Accessed and dirty bits are in the guest's tables. */
void shadow_leave(struct shadow *s);

/* --- some address spaces on these tables, others not (sh_freeze.c) --- */

/* From now on @guard is told of each frame that holds a table in step, and when it does not any
 * more: with it somebody else sees to it that nobody writes there unheard of while another address
 * space runs without these tables. Frames in step already are told of now; NULL ends it. May be
 * called in any state but that a guest is running on the tables with another guard. */
void shadow_set_guard(struct shadow *s, void (*guard)(void *ctx, gpa_t gpa, bool on), void *ctx);
/* The guest loads a CR3 whose address space does not run on these tables; they stay as they are. */
void shadow_freeze(struct shadow *s);
/* It loads one that does, and is in state @g after it. Without a guard since shadow_freeze(), or in
 * another mode than before: as shadow_enter(). */
void shadow_thaw(struct shadow *s, const struct walk_regs *g);
/* While frozen, the guest is about to write the frame at @gpa, which is guarded; it may, after
 * this. @walk: its CPU does so on its own, as it walks that table. */
void shadow_foreign_write(struct shadow *s, gpa_t gpa, bool walk);
/* The address space of CR3 @cr3, not the one that is running, is not coming back to these tables.
 * Its own go. */
void shadow_forget(struct shadow *s, u64 cr3);
/* Tables that other address spaces walk, too: these are compared at each load. */
unsigned shadow_shared(const struct shadow *s);

/* The CPU faulted at @gva; @error is its error code: a mixture of the guest's doing and ours. */
struct shadow_outcome shadow_fault(struct shadow *s, const struct walk_regs *g, gva_t gva,
				   u32 error);

/* What a store needs of the vCPU. @bytes are the instruction's, fetched by the caller. */
struct shadow_insn {
	u64 *gpr, *rip, *rflags;
	const u8 *bytes;
	unsigned len;	/* of @bytes */
	unsigned width; /* 16, 32 or 64: the code segment's */
};
/* After SHADOW_STORE: carry out the instruction's write to @gpa and pass it on to the shadow. True:
 * done, @i's registers advanced. False: the table is not kept in step any more, run it again. */
bool shadow_store(struct shadow *s, const struct walk_regs *g, const struct shadow_insn *i,
		  gva_t gva, gpa_t gpa);

/* The guest loaded CR3, changed CR0, CR4 or EFER; @g is the state after it. Loads a root. */
void shadow_load_cr3(struct shadow *s, const struct walk_regs *g);
void shadow_mode_changed(struct shadow *s, const struct walk_regs *g);
void shadow_invlpg(struct shadow *s, const struct walk_regs *g, gva_t gva);

/* PAE's four top entries are sampled when the architecture says so: at shadow_enter(),
 * shadow_load_cr3() and those mode changes that load them, from g->pdpte if it is not NULL, else
 * from memory. shadow_pdpte() are those in force (for other walks of the guest's), NULL when the
 * guest is in another mode. shadow_pdpte_bad(): loading CR3 or changing the mode so that @g holds
 * is to end in #GP instead, as an entry has reserved bits; ask before. */
const u64 *shadow_pdpte(const struct shadow *s);
bool shadow_pdpte_bad(const struct shadow *s, const struct walk_regs *g);

/* Somebody other than the guest's CPU (a device, the emulator) wrote @len bytes of RAM at @gpa. */
void shadow_written(struct shadow *s, gpa_t gpa, u64 len);
/* Kinds of pages in [@gpa, @gpa + @len) changed (ROM shadowing, video memory). */
void shadow_p2m_changed(struct shadow *s, gpa_t gpa, u64 len);

/* Compare everything with its source (docs/paging.md); the number of violations, each told to
 * @say. */
unsigned shadow_audit(struct shadow *s, const struct walk_regs *g,
		      void (*say)(void *ctx, const char *text), void *ctx);

/* Pages used through some of the last-level tables, chosen at random. */
#define SHADOW_TOUCHED_MAX 64u
struct shadow_touched {
	unsigned n, of; /* tables chosen, tables there were */
	struct {
		u32 number;
		u64 key;
	} table[SHADOW_TOUCHED_MAX];
};
/* Choose up to @want by *@random, which is stepped, and clear their accessed bits; the caller
 * flushes every tag. Returns @t->n. On the vCPU's own CPU, with the vCPU stopped. */
unsigned shadow_touched_begin(struct shadow *s, struct shadow_touched *t, unsigned want,
			      u64 *random);
/* How many pages have been used through them since, and the sum of each one's number squared. */
u64 shadow_touched_count(const struct shadow *s, const struct shadow_touched *t, u64 *squares);

/* Paths that are counted and timed. */
enum shadow_path {
	SHADOW_PATH_GUEST, /* fault given to the guest */
	SHADOW_PATH_FILL,  /* entry made */
	SHADOW_PATH_MMIO,
	SHADOW_PATH_STORE,    /* write to a table carried out */
	SHADOW_PATH_RESYNC,   /* table out of sync compared */
	SHADOW_PATH_UNSHADOW, /* table dropped because it was written */
	SHADOW_PATH_ROOT,     /* CR3 */
	SHADOW_PATH_INVLPG,
	SHADOW_PATH_EVICT,
	SHADOW_PATHS
};
extern const char *const shadow_path_name[SHADOW_PATHS];

/* Cycles of one path. Mean and deviation by shadow_path_mean(), shadow_path_deviation(). */
struct shadow_timing {
	u64 count, sum, min, max;
	u64 square_hi, square_lo; /* sum of squares, 128 bits */
};
u64 shadow_path_mean(const struct shadow_timing *t);
u64 shadow_path_deviation(const struct shadow_timing *t);

struct shadow_stats {
	struct shadow_timing path[SHADOW_PATHS];
	u64 synced, out_of_sync, tables; /* alive now */
	u64 pool_used, pool_pages;
	u64 prefetched, large_leaves, went_out_of_sync, root_hits, root_misses;
};
void shadow_get_stats(const struct shadow *s, struct shadow_stats *st);
/* Two of them, for whoever asks often: faults given to the guest, and tables alive. */
u64 shadow_faults_given(const struct shadow *s);
u64 shadow_tables_used(const struct shadow *s);

#endif
