/* Local APIC of one vCPU: xAPIC register page, x2APIC MSRs, timer and interrupt priorities.
 * SDM vol. 3 ch. 11, APM vol. 2 ch. 16.
 *
 * The owner asks lapic_pending() before each entry (a field read), injects that vector and calls
 * lapic_ack(). Messages between APICs go through lapic_route(). One vCPU's APIC may be touched only
 * as dev.h says; everything here is O(1) or bounded by 256 vectors.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_LAPIC_H
#define HV_DEV_LAPIC_H

#include "dev/apic_msg.h"
#include "dev/dev.h"

#define LAPIC_MMIO_SIZE 0x1000u

/* IA32_APIC_BASE (MSR 1Bh) */
#define LAPIC_BASE_BSP	  BIT(8)
#define LAPIC_BASE_X2APIC BIT(10)
#define LAPIC_BASE_ENABLE BIT(11)

/* The APIC bus runs at 1 GHz: one count per nanosecond, undivided. A periodic timer never fires
 * more often: bounds what a hostile guest costs. */
#define LAPIC_MIN_PERIOD_NS 20000u

enum lapic_lvt {
	LAPIC_LVT_TIMER,
	LAPIC_LVT_THERMAL,
	LAPIC_LVT_PERF,
	LAPIC_LVT_LINT0,
	LAPIC_LVT_LINT1,
	LAPIC_LVT_ERROR,
	LAPIC_LVT_COUNT
};

struct lapic;
struct lapic_ops {
	/* Something changed for the better: an interrupt may have become deliverable (wake or kick
	 * the vCPU so that it asks lapic_pending()). May be called while the vCPU is stopped. */
	void (*notify)(void *ctx);
	/* The guest wrote the ICR: hand @msg to lapic_route() with every APIC of the machine. */
	void (*send)(void *ctx, struct lapic *from, const struct apic_msg *msg);
	/* End of a level-triggered interrupt: tell every IOAPIC. */
	void (*eoi)(void *ctx, u8 vector);
	/* Messages to the CPU core. @startup_gpa is the real-mode start address (vector << 12). */
	void (*nmi)(void *ctx);
	void (*init)(void *ctx);
	void (*startup)(void *ctx, gpa_t startup_gpa);
	/* The register page moved, appeared or went away. @mapped false: xAPIC page not decoded.
	 * Also called by lapic_init() and lapic_reset(). */
	void (*base_changed)(void *ctx, gpa_t base, bool mapped);
	/* May be NULL. The APIC takes messages that it refused before: it was enabled by software,
	 * or its ID or logical destination changed. Changes of APIC_BASE have base_changed. */
	void (*accepts)(void *ctx);
};

struct lapic_config {
	u32 id; /* initial APIC ID, < 255 */
	bool bsp;
	bool x2apic;	   /* x2APIC mode offered in CPUID */
	bool tsc_deadline; /* TSC-deadline mode offered in CPUID */
	u8 phys_bits;	   /* guest MAXPHYADDR, for reserved bits of APIC_BASE */
};

struct lapic {
	/* Highest vector that the CPU would take now with interrupts enabled, or -1. */
	s16 deliverable;
	s16 irr_max, isr_max; /* cached, -1: none */
	u8 tpr, ppr;
	bool soft_enabled; /* SVR bit 8 and APIC_BASE enable */
	u32 irr[8], isr[8], tmr[8];

	u64 base; /* IA32_APIC_BASE */
	u32 id;	  /* xAPIC ID register >> 24, or x2APIC ID */
	u32 ldr, dfr, svr;
	u32 esr, esr_pending;
	u64 icr;
	u32 lvt[LAPIC_LVT_COUNT];
	bool lint_level[2];

	u32 *page; /* see lapic_share() */
	u32 timer_init;
	u32 timer_div; /* register value */
	u64 timer_end; /* machine ns when the count reaches 0; TIMER_OFF: stopped */
	u64 tsc_deadline;
	struct timer timer;

	const struct dev_host *host;
	const struct lapic_ops *ops;
	void *ctx;
	struct lapic_config cfg;
};

/* For a CPU that answers reads of the register page by itself and puts what is written there: from
 * now on @page (LAPIC_MMIO_SIZE bytes, the registers at their offsets) shows what they read as. Not
 * those that nobody stores (PPR, current count), which the CPU has to leave to the MMIO handlers,
 * nor TPR, which is the CPU's. NULL: no more. Of the writes ICR's high half is the CPU's alone;
 * each other one is followed by lapic_wrote(). */
void lapic_share(struct lapic *l, u32 *page);
/* The CPU has put a guest's write to the register at @offset into the page: it takes effect. */
void lapic_wrote(struct lapic *l, unsigned offset);

/* MMIO handlers; dev is the struct lapic, offsets relative to the page. */
extern const struct mmio_ops lapic_mmio_ops;

/* In power-up state. Its owner puts lapic_mmio_ops where ops->base_changed says. */
void lapic_init(struct lapic *l, const struct dev_host *host, const struct lapic_config *cfg,
		const struct lapic_ops *ops, void *ctx);
/* Power-up state. The BSP's LINT0 starts as unmasked ExtINT (virtual wire mode, MP spec §3.6.2.2).
 */
void lapic_reset(struct lapic *l);
/* INIT: as reset, but ID and APIC_BASE stay. */
void lapic_reset_init(struct lapic *l);

static inline bool lapic_enabled(const struct lapic *l)
{
	return l->base & LAPIC_BASE_ENABLE;
}
static inline bool lapic_x2apic(const struct lapic *l)
{
	return l->base & LAPIC_BASE_X2APIC;
}
/* Highest vector the CPU would accept now (PPR honoured), or -1. RFLAGS.IF is the caller's. */
static inline int lapic_pending(const struct lapic *l)
{
	return l->deliverable;
}

/* Accept @vector (16..255; lower ones are a receive error). @level: sets its TMR bit. */
void lapic_set_irr(struct lapic *l, u8 vector, bool level);
/* The CPU took @vector, which lapic_pending() returned: IRR to ISR. */
void lapic_ack(struct lapic *l, u8 vector);
/* Write to the EOI register. */
void lapic_eoi_fast(struct lapic *l);
/* The task priority: TPR as a whole, or its bits 7:4 as CR8 (0..15) has them. */
static inline u8 lapic_cr8(const struct lapic *l)
{
	return l->tpr >> 4;
}
void lapic_set_cr8(struct lapic *l, u8 cr8);
void lapic_set_tpr(struct lapic *l, u8 tpr);

/* Input pin LINT0 or LINT1 changes. ExtINT is not latched here: see lapic_accepts_extint(). */
void lapic_lint(struct lapic *l, unsigned pin, bool level);
/* True when the CPU takes interrupts of the 8259 through this APIC (LINT0 in ExtINT mode and
 * unmasked, or the APIC globally disabled). */
bool lapic_accepts_extint(const struct lapic *l);

/* MSR 800h..8FFh in x2APIC mode. 0, or -EINVAL: the access must #GP. */
int lapic_msr_read(struct lapic *l, u32 msr, u64 *value);
int lapic_msr_write(struct lapic *l, u32 msr, u64 value);
/* IA32_APIC_BASE. -EINVAL: #GP (reserved bits, illegal mode transition). Reading is l->base. */
int lapic_base_write(struct lapic *l, u64 value);
/* IA32_TSC_DEADLINE (MSR 6E0h): 0 when disarmed or not in that mode. Writing outside TSC-deadline
 * mode is ignored. */
static inline u64 lapic_tsc_deadline(const struct lapic *l)
{
	return l->tsc_deadline;
}
void lapic_set_tsc_deadline(struct lapic *l, u64 tsc);
/* The guest's TSC was changed or rescaled: re-arm what depends on it. */
void lapic_tsc_changed(struct lapic *l);

/* Deliver @msg to the right ones of @n APICs. @from is the sender of an IPI, else NULL. Returns how
 * many accepted it. */
unsigned lapic_route(struct lapic *const *all, unsigned n, const struct lapic *from,
		     const struct apic_msg *msg);

#endif
