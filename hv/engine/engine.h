/* The border between the hypervisor and the CPU's virtualisation extension.
 *
 * One static const table per vendor; the rest of the hypervisor never learns which it is. Exits
 * come back in one vendor-neutral form. All functions run on the vCPU's own physical CPU with
 * interrupts off unless said otherwise; none takes a lock.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_ENGINE_ENGINE_H
#define HV_ENGINE_ENGINE_H

#include "engine/vcpu.h"
#include "penumbra/types.h"

enum exit_reason {
	EXIT_NONE,   /* no exit yet */
	EXIT_INTR,   /* a physical interrupt is pending: nothing to do for the guest */
	EXIT_NMI,    /* a physical NMI was taken */
	EXIT_WINDOW, /* the guest can take an interrupt now */
	EXIT_CPUID,
	EXIT_HLT,
	EXIT_PAUSE,
	EXIT_IO,
	EXIT_RDMSR,
	EXIT_WRMSR,
	EXIT_CR,
	EXIT_DR,
	EXIT_NESTED, /* no nested translation for x.nested.gpa */
	EXIT_EXCEPTION,
	EXIT_RDTSC,
	EXIT_RDPMC,
	EXIT_INVLPG,
	EXIT_CACHE, /* INVD, WBINVD */
	EXIT_XSETBV,
	EXIT_VIRT,     /* an instruction of a virtualisation extension */
	EXIT_MWAIT,    /* MONITOR, MWAIT */
	EXIT_IRET,     /* the guest is about to leave its NMI handler */
	EXIT_TASK,     /* a hardware task switch that the CPU leaves to software */
	EXIT_SHUTDOWN, /* triple fault */
	EXIT_INIT,
	EXIT_INVALID, /* the CPU refused the guest state */
	EXIT_APIC,    /* a register in v->apic_page has been written */
	EXIT_UNKNOWN,
	EXIT_REASONS
};
extern const char *const exit_reason_name[EXIT_REASONS];

#define CR_GPR_UNKNOWN 0xff

enum task_source { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };

struct exit {
	enum exit_reason reason;
	u8 insn_len; /* 0: the CPU did not say; decode the guest's bytes */
	u64 code;    /* vendor's own exit code, for dumps only */
	union {
		struct {
			u16 port;
			u8 size;
			bool in, string, rep;
			u64 next_rip; /* 0: use insn_len */
		} io;
		struct {
			gpa_t gpa;
			u32 access;   /* PFEC_W / PFEC_I bits of the refused access */
			bool present; /* a translation exists but forbids the access */
			bool table;   /* the guest's own page walk met it */
		} nested;
		struct {
			u8 cr;
			bool write;
			u8 gpr; /* CR_GPR_UNKNOWN: decode */
		} cr;
		struct {
			u8 vector;
			u32 error;
			u64 cr2;
		} exc;
		struct {
			bool told; /* insn_len and */
			gva_t gva; /* what the instruction is for are known; else decode */
		} invlpg;
		struct {
			u16 offset; /* in the page */
		} apic;
		/* insn_len is 0 where no instruction asked for it; what did is in v->event then. */
		struct {
			u16 selector; /* of the new TSS */
			enum task_source source;
		} task;
	};
};

/* Everything architectural that is not in struct vcpu. */
struct vcpu_sregs {
	struct segment seg[SEG_COUNT];
	struct segment gdt, idt; /* base and limit only */
	u64 cr0, cr2, cr3, cr4, efer;
	u64 dr6, dr7;
	u8 cpl;
};

/* What is needed to find the guest's current instruction; the cheap subset of vcpu_sregs. */
struct vcpu_code {
	u64 cr0, cr3, cr4, efer;
	u64 cs_base;
	u16 cs_attr;
	u8 cpl;
};

#define PORT_MAP_PAGES 3

/* How the CPU gets from the guest's linear addresses to the machine's memory. */
enum translation_kind {
	/* The CPU walks the guest's tables, and @root's for each address found there. CR0, CR3 and
	 * CR4 are the guest's own in the CPU; exits are EXIT_NESTED, and what @watch names. */
	TRANSLATION_NESTED,
	/* The CPU walks @root's tables in place of the guest's, always with paging on, CR0.WP,
	 * CR4.PAE and EFER.NXE. The guest reads its own CR0, CR3, CR4 and EFER nevertheless, and so
	 * do get_code(), get_sregs(), vcpu.live.cr3 and crash records; set_cr(), set_sregs() and
	 * set_efer() take the guest's values and leave what the CPU walks as it is until the next
	 * set_translation(). Bits of CR4 that mean the guest's accesses to pages (PGE, SMEP, SMAP,
	 * PKE) are the CPU's too.
	 * Exits besides those of nested paging:
	 * EXIT_EXCEPTION with vector 14: every page fault, error code and address as the CPU has
	 *	them. One that struck during the delivery of an event leaves that in v->event.
	 * EXIT_CR: MOV to and from CR3; writes of CR0 other than TS and MP; every write of CR4;
	 *	reads of CR0 and CR4 where the CPU's value differs from the guest's.
	 * EXIT_INVLPG: its operand is decoded from the guest's bytes.
	 * EXIT_TASK: a task switch loads CR3, so software makes it. */
	TRANSLATION_SHADOW,
};

struct translation {
	enum translation_kind kind;
	hpa_t root;
	unsigned tag; /* index in v->tags of what the CPU may cache under it */
	/* NESTED: EXIT_CR before the guest changes CR0.PG or CR0.WP, or more of CR0. */
	bool watch_cr0;
	/* NESTED: WATCH_BIT()s of what exits too: page faults, as under TRANSLATION_SHADOW; EXIT_CR
	 * for MOV to CR3, with EXIT_TASK where a task switch would load it unheard; EXIT_INVLPG.
	 * The CPU has done nothing yet. */
	u8 watch;
	/* SHADOW: @root is a four-level table, and the CPU is in long mode; else the four entries
	 * of PAE paging, below 4 GiB and aligned to 32 bytes. The entries are read at each
	 * set_translation(), where the CPU keeps them. */
	bool long_mode;
	/* SHADOW: the guest has paging off; @root maps linear addresses as they are. CR0.PE is as
	 * the guest has it (paged real mode); SMEP and SMAP are off. Only where engine_caps say
	 * shadow_unpaged. */
	bool unpaged;
	/* SHADOW, where engine_caps say so: a page fault that finds no entry (bit 0 of its error
	 * code 0) is the guest's, without an exit. It exits nevertheless while the guest would see
	 * another error code than the CPU's, which has NX on. */
	bool filter_faults;
};

/* How this engine's nested page tables are encoded. Levels: 1 = 4K leaf ... 4 = root. */
struct nested_format {
	unsigned levels;
	bool has_1g;
	u64 (*leaf)(hpa_t hpa, unsigned level, bool writable, bool executable);
	u64 (*table)(hpa_t hpa);
	bool (*present)(u64 entry);
	bool (*is_leaf)(u64 entry, unsigned level);
	hpa_t (*address)(u64 entry);
	/* Bit that the CPU sets in a leaf before it caches it, set in new ones; 0 where this CPU
	 * sets none. Constant once the engine is on. */
	u64 (*accessed)(void);
};

struct engine_caps {
	bool nested;	     /* nested paging */
	bool shadow;	     /* TRANSLATION_SHADOW */
	bool shadow_1g;	     /* 1 GiB leaves in shadow tables */
	bool shadow_unpaged; /* the same for a guest that has paging off */
	bool filters_faults; /* translation.filter_faults; entries can have reserved address bits */
	bool nested_1g;
	bool flush_by_tag; /* one tag can be flushed alone */
	bool next_rip;	   /* exits tell the instruction length */
	bool decode;	   /* exits tell operands and bytes */
	bool clean_bits;
	bool pause_filter;
	u8 phys_bits; /* of a physical address in the CPU's tables */
	u32 tags;     /* TLB tags per CPU, tag 0 is the host's */
};

struct pmu_ops;

struct engine_ops {
	const char *name;
	const struct pmu_ops *pmu; /* its performance counters (pmu.h); NULL: none */
	/* Can this machine run it? 0, -ENODEV with @why: not this vendor or switched off. BSP. */
	int (*probe)(struct engine_caps *caps, char *why, size_t why_len);
	/* Switch the extension on for this physical CPU. */
	int (*cpu_enable)(unsigned cpu);
	/* Allocate and fill a vCPU's control structures. -ENOMEM. */
	int (*vcpu_init)(struct vcpu *v);
	/* Give back what vcpu_init() took, of the vCPU that it was called for last and that will
	 * not run again. Whoever gets the same tags calls moved() before the first entry. On the
	 * CPU where it ran. */
	void (*vcpu_free)(struct vcpu *v);
	/* Put the vCPU into the architectural RESET state (CS:IP at the reset vector). */
	void (*vcpu_reset)(struct vcpu *v);
	/* Enter the guest until the next exit. v->event is consumed when it was delivered; an event
	 * whose delivery was cut short by the exit is back in v->event. v->exit_tsc is the
	 * host's TSC at the exit. */
	void (*run)(struct vcpu *v, struct exit *x);
	void (*get_code)(const struct vcpu *v, struct vcpu_code *c);
	void (*get_sregs)(const struct vcpu *v, struct vcpu_sregs *s);
	void (*set_sregs)(struct vcpu *v, const struct vcpu_sregs *s);
	/* Set one control register or EFER to an already checked guest value. */
	void (*set_cr)(struct vcpu *v, unsigned cr, u64 value);
	void (*set_efer)(struct vcpu *v, u64 value);
	/* MSRs that the extension switches with the guest. -ENOENT: not one of them. */
	int (*get_msr)(const struct vcpu *v, u32 msr, u64 *value);
	int (*set_msr)(struct vcpu *v, u32 msr, u64 value);
	void (*set_tsc_offset)(struct vcpu *v, u64 offset);
	/* Translate by @t from the next entry on. Of another kind than before: the guest's control
	 * registers stay what they are to the guest. What the CPU holds under @t->tag stays valid:
	 * flush_tag() if it must not. */
	void (*set_translation)(struct vcpu *v, const struct translation *t);
	const struct nested_format *nested_format;
	/* Which port accesses exit: @map is three contiguous pages with a bit per port, 1 exits,
	 * the third page all ones (ports beyond FFFFh). Without this call all but harmless ones do.
	 */
	void (*set_port_map)(struct vcpu *v, hpa_t map);
	/* The four page-directory pointers that the guest has loaded, for when it runs on nested
	 * tables. NULL where the CPU reads them itself. */
	void (*set_pdptes)(struct vcpu *v, const u64 pdpte[4]);
	/* Those in force while the guest runs on nested tables. NULL likewise. */
	void (*get_pdptes)(const struct vcpu *v, u64 pdpte[4]);
	/* After EXIT_INVALID: what of the guest's state the CPU refuses, in words. NULL where
	 * nobody can say. */
	void (*explain)(const struct vcpu *v, char *text, size_t size);
	/* Forget what the CPU holds under v->tags[@tag] before that one runs again: all of it, or
	 * the translations of @gva, global or not (APM vol. 2 §15.16; SDM vol. 3 §28.4). More may
	 * be forgotten. */
	void (*flush_tag)(struct vcpu *v, unsigned tag);
	void (*flush_page)(struct vcpu *v, unsigned tag, gva_t gva);
	/* The physical CPU takes on what it keeps for @v between entries. NULL: each entry does. */
	void (*load)(struct vcpu *v);
	/* The vCPU's state may have been touched by another physical CPU's cache of it. */
	void (*moved)(struct vcpu *v);
};

/* Tables register themselves in a link-time array, so that no common file names a vendor. */
#define ENGINE_REGISTER(ops)                                                                       \
	static const struct engine_ops *const engine_entry                                         \
		__attribute__((used, section("engines"))) = &(ops)

/* Pick the first engine that this machine can run; @choice restricts by name ("auto": any).
 * NULL with @why (every refusal, joined) when there is none. */
const struct engine_ops *engine_select(const char *choice, struct engine_caps *caps, char *why,
				       size_t why_len);

#endif
