/* The border between a vCPU and the way its memory is translated (docs/architecture.md,
 * border 2). A switch of
 * mode is leave(), enter() and a new pointer; no caller tests which mode it is.
 *
 * All functions run on the vCPU's own physical CPU with the vCPU stopped.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_PAGING_H
#define HV_PAGING_PAGING_H

#include "engine/engine.h"
#include "paging/walk.h"

enum paging_result {
	PAGING_RETRY, /* translation repaired: run the instruction again */
	PAGING_MMIO,  /* no RAM there: emulate the access */
	PAGING_GUEST, /* the guest's own fault: inject it */
	PAGING_DONE,  /* the instruction was carried out; what follows one is the caller's */
};

/* What fault() found out: all of it for PAGING_MMIO, @gva and @error for PAGING_GUEST. */
struct paging_fault {
	gva_t gva;
	gpa_t gpa;
	u32 error;  /* as the CPU would push it */
	u32 access; /* PFEC_W, PFEC_I */
	bool table; /* the guest's own page walk met it */
};

struct paging_ops {
	const char *name;
	/* Take over translation for @v; the vCPU's tag is flushed. -ENOMEM leaves the old mode
	 * valid. */
	int (*enter)(struct vcpu *v);
	void (*leave)(struct vcpu *v);
	/* A translation exit (nested or page fault). */
	enum paging_result (*fault)(struct vcpu *v, const struct exit *x, struct paging_fault *f);
	/* The guest changed CR0, CR3, CR4 or EFER (@cr 0, 3, 4; 0x80 for EFER). */
	void (*cr_write)(struct vcpu *v, unsigned cr, u64 old, u64 val);
	/* Would loading CR3, or changing the mode, so that @after holds be #GP for what stands in
	 * memory? NULL: the CPU finds out. */
	bool (*cr_refused)(struct vcpu *v, const struct walk_regs *after);
	void (*invlpg)(struct vcpu *v, gva_t gva);
	/* Forget cached translations after the map below changed, or the guest was reset. */
	void (*flush)(struct vcpu *v);
	/* Compare every translation with its source; number of wrong ones, each logged. */
	unsigned (*audit)(struct vcpu *v);
};

/* From the next entry on, hear of what @bits (WATCH_BIT()) name on behalf of @who whenever @v runs
 * nested; it is counted in v->watch. The guest sees no difference. */
void paging_watch(struct vcpu *v, enum watcher who, unsigned bits);

extern const struct paging_ops paging_nested, paging_shadow;

#endif
