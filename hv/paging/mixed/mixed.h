/* Each address space of a guest in a paging mode of its own: some nested, some on shadow tables, at
 * the same time. For guests with one vCPU, on CPUs that have nested paging. docs/paging.md has the
 * protocol.
 *
 * An address space is known by its CR3 without flags. A new one runs nested; what it runs in next
 * is decided outside, at ticks or at each load of CR3, and holds from its next load on.
 *
 * All functions run on the vCPU's own CPU with the vCPU stopped; none takes a lock.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_MIXED_MIXED_H
#define HV_PAGING_MIXED_MIXED_H

#include "paging/adaptive/spaces.h"
#include "paging/mixed/mixed_looks.h"
#include "paging/paging.h"

/* Tables that nested address spaces walk too, above which this mode costs more than it
 * can gain: each is compared whenever the shadow is entered. */
#define MIXED_SHARED_MAX 64u

struct mixed_space;

/* Of the whole guest, so far. Page faults: those by shadow tables. @leaves: as they are now. */
struct mixed_totals {
	struct policy_measure faults, walk_cycles, shadow_cycles, leaves;
};

struct mixed_setup {
	/* Differences of these are charged to the address space that ran. NULL: nobody measures. */
	void (*totals)(void *ctx, struct mixed_totals *t);
	/* Not the policy but this decides, at each load of CR3: @root's mode. For tests. NULL. */
	enum policy_mode (*choose)(void *ctx, u64 root, u64 loads);
	/* The policy has answered what @a did, @x: @a's mode is what it wants. NULL. */
	void (*judged)(void *ctx, const struct mixed_space *a, const struct policy_sample *x,
		       bool changed);
	/* Thousandths of a cycle for a TLB miss of a space that touches @pages pages. */
	u64 (*price)(void *ctx, enum policy_mode mode, u64 pages);
	u64 fault_cycles; /* what it takes to hear of a page fault; 0: not known */
	struct mixed_look_setup looks;
	void *ctx;
};

struct mixed_space {
	u64 root;
	u64 last; /* when it was loaded, in loads */
	bool used;
	bool held;		  /* has tables in the shadow's pool */
	bool fresh;		  /* another address space than the policy knows under this root */
	enum policy_mode mode;	  /* from the next load on */
	struct policy_sample sum; /* since mixed_tick() */
	u64 ran;		  /* cycles in all, */
	u64 unlooked;		  /* and since it was last looked at */
	u64 lately;		  /* of the last ticks, older ones less */
	struct space_misses misses;
	u64 small_ppm; /* of what it touches, how much it maps by small pages; for so many looks */
	u32 small_looks;
	/* Page faults of a nested one are heard of in some of its runs only: how many in all of
	 * those, how many cycles they were; how many in this run, and from which of its cycles on
	 * the next may be. */
	u64 heard, watched;
	u64 heard_now, hear_from;
	u64 fault_rate; /* as last heard, per 2^32 cycles, */
	bool faults_known;
	/* Up to two entries of the user's half, by which one knows whether the frame has become
	 * another address space's. */
	u64 mark[2];
	u16 mark_at[2];
};

struct mixed_stats {
	u64 loads; /* of CR3 */
	u64 to_shadow, to_nested;
	u64 guards, writes, walks; /* frames guarded; faults on them by instructions, by walks */
	u64 reused, forgotten;
	u64 promoted, demoted; /* by the policy */
	u64 load_cycles; /* of the hypervisor's, at loads of CR3 that end nested, but for those
			  * that took far more than usual: an SMI, the host of an emulator */
	u64 heard;	 /* page faults of nested spaces */
};

struct mixed {
	struct mixed_setup setup;
	bool on;	    /* this is the vCPU's mode */
	bool shadow;	    /* which half runs */
	bool whole;	    /* a frame could not be guarded: compare all at the next entry */
	bool too_shared;    /* MIXED_SHARED_MAX */
	u64 usual_load;	    /* cycles of a load of CR3, lately */
	u64 guards_flushed; /* nested_map.guards_made at the last flush */
	u64 cycles;	    /* of the vCPU, where the last space was charged, */
	u64 faults;	    /* and how many it had heard of nested */
	struct mixed_totals totals;
	struct policy_sample nobodys; /* before there was a current one */
	struct mixed_space space[SPACES_MAX], *current;
	struct mixed_looks looks;
	struct mixed_stats stats;
};

/* paging_mixed may be entered by @v from now on: @m is its state. @v->shadow is made and
 * @v->nested built. */
void mixed_init(struct vcpu *v, struct mixed *m, const struct mixed_setup *setup);
/* What the address spaces did since the last call goes to the policy (spaces.h), and its answers
 * hold from the next loads of CR3 on. */
void mixed_tick(struct vcpu *v, struct spaces *s, const struct policy_params *p,
		struct cost_model *cost);
/* Does this mode make no sense for what the guest does (besides what spaces_open() says)? */
static inline bool mixed_hopeless(const struct mixed *m)
{
	return m->too_shared;
}
/* All the spaces that lately had one part of @busy of the guest's time are on the shadow. */
bool mixed_all_shadow(const struct mixed *m, unsigned busy);
/* All address spaces nested again. */
void mixed_reset_spaces(struct vcpu *v);

extern const struct paging_ops paging_mixed;

#endif
