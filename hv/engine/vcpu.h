/* A virtual CPU as the engines and everything above them see it.
 *
 * General registers, RIP and RFLAGS are plain members, valid whenever the vCPU is not running.
 * The rest of the architectural state stays where the engine keeps it and is reached through
 * engine_ops. Only the physical CPU that the vCPU is pinned to touches any of it, except @kick.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_VCPU_H
#define HV_ENGINE_VCPU_H

#include "lib/x86.h"
#include "penumbra/types.h"

struct engine_ops;
struct paging_ops;
struct partition;
struct nested_map;
struct shadow_paging;
struct mixed;
struct vcpu;

enum event_type { EVENT_NONE, EVENT_EXTINT, EVENT_NMI, EVENT_EXCEPTION };

/* Something to deliver to the guest at the next entry. */
struct vcpu_event {
	u8 type; /* enum event_type */
	u8 vector;
	bool has_error;
	u32 error;
};

enum vcpu_state {
	VCPU_STOPPED, /* not to be scheduled: before start, after the end, paused */
	VCPU_RUNNABLE,
	VCPU_HALTED, /* HLT: until an interrupt is deliverable */
};

/* A TLB tag and the mapping generation it was last flushed for (see paging/ledger.h). */
struct tlb_tag {
	u32 id;
	u64 flushed_gen;
};

/* A vCPU's tags: nested paging's, then those of shadow roots. Where the CPU has too few, several
 * have the same id and the engine flushes it when another one runs. */
#define VCPU_TAG_NESTED 0u
#define VCPU_TAG_SHADOW 1u
#define VCPU_TAGS	6u

/* Where the engine keeps what finding the guest's instruction needs: read only. Of CR4 the bits
 * that CPUID shows are valid whenever the vCPU does not run; the rest after an exit that named no
 * instruction length, and EXIT_CR. */
struct vcpu_live {
	const u64 *cr3, *cr4, *efer;
	const u16 *cs_attr;
};

/* What a guest does with its page tables without anybody's help while it runs nested, and what is
 * heard of on request (paging_watch()). */
enum watch_kind { WATCH_FAULT, WATCH_CR3, WATCH_INVLPG, WATCH_KINDS };
#define WATCH_BIT(kind) (1u << (kind))
#define WATCH_ALL	(WATCH_BIT(WATCH_KINDS) - 1)
/* On whose behalf; each asks for itself. */
enum watcher { WATCHER_OPTION, WATCHER_COUNTS, WATCHER_SPACES, WATCHERS };

struct vcpu_watch {
	u8 want[WATCHERS]; /* WATCH_BIT() */
	u8 bits;	   /* in force: what any of them wants, 0 where the guest runs not nested */
	u64 count[WATCH_KINDS];				     /* heard of since the vCPU was made */
	void (*heard)(struct vcpu *v, enum watch_kind kind); /* of each; or NULL */
};

struct vcpu {
	u64 gpr[GPR_COUNT];
	u64 rip, rflags;
	bool int_shadow; /* STI or MOV SS just ran: no interrupt before the next instruction */
	struct vcpu_live live;
	struct vcpu_event event;
	/* What the engine is asked to watch for; one word, so that a change is seen at a glance. */
	union {
		struct {
			u8 tpr;		    /* task priority as CR8 shows it (0..15), in and out */
			bool want_tpr_exit; /* exit when CR8 is written */
			bool want_window;   /* exit as soon as the guest can take an interrupt */
			bool nmi_blocked;   /* an NMI was delivered, its IRET not seen yet */
		};
		u32 controls; /* @tpr in its low byte */
	};

	const struct engine_ops *engine;
	void *engine_data;
	/* What the CPU does by itself where the guest has its local APIC's page, as far as its
	 * kind can; vcpu_init() sets the first two. Each access is an exit where they are 0. */
	hpa_t apic_access; /* a page to map there, which nobody ever gets to see; 0: none */
	u32 *apic_page;	   /* the registers that the CPU reads and writes then; NULL: only TPR */
	gpa_t apic_at;	   /* where that is */
	const struct paging_ops *paging;
	struct nested_map *nested;
	struct shadow_paging *shadow; /* NULL: not made */
	struct mixed *mixed;	      /* NULL: not made */
	struct vcpu_watch watch;
	const u64 *pdptes; /* of PAE paging, where they are not those in memory; else NULL */
	struct tlb_tag tags[VCPU_TAGS];
	unsigned tag; /* the one that runs */

	struct partition *part;
	unsigned id;
	unsigned cpu; /* physical CPU it is pinned to */
	u8 guest;     /* its partition's number: 0 the control partition, 1.. */

	/* Scheduling (hv/core/sched.c) */
	enum vcpu_state state;
	struct vcpu *next; /* run queue ring of its CPU */
	u64 slice_end_ns;
	volatile u32 kick; /* another CPU, or an interrupt handler, wants it to look up */

	/* State that is live in the CPU only while this vCPU owns it (hv/core/fpu.c) */
	void *fpu;
	u64 xcr0;
	u64 dr[4];
	u64 tsc_aux;
	bool loaded;

	u64 run_cycles; /* TSC ticks spent in vcpu_run() up to its last end: guest and exits */
	u64 run_since;	/* TSC where vcpu_run() began, 0: not in it */
	u64 exit_tsc;	/* when the last exit came in */
	/* By reason: what vcpu_run() has charged for handling exits (for the trace). */
	const u64 *exit_cycles;
};

#endif
