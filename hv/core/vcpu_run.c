/* The loop of entries and exits. Everything on the way from an exit to the next entry is counted in
 * instructions (docs/testing.md): keep rare work behind one test.
 *
 * SPDX-License-Identifier: MIT
 */
#include "core/vcpu_run.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/log.h"
#include "core/partition.h"
#include "core/sched.h"
#include "lib/cpuops.h"
#include "lib/panic.h"
#include "paging/ledger.h"
#include "paging/paging.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

bool vcpu_wakes(const struct vcpu *v)
{
	const struct board *b = &v->part->board;

	if (v->event.type != EVENT_NONE || (board_nmi_pending(b) && !v->nmi_blocked))
		return true;
	return (v->rflags & RFLAGS_IF) && board_intr_pending(b);
}

/* An instruction in the shadow of STI or MOV SS is finished in software before an interrupt is
 * asked for: not every CPU carries the shadow over an entry. HLT there is the idle loop of every OS
 * and must see the interrupt after it, not before. */
static void finish_shadow(struct vcpu *v)
{
	struct exitop_insn insn;
	struct vcpu_code code;
	u8 bytes[15];
	unsigned n = vcpu_fetch(v, bytes);

	v->engine->get_code(v, &code);
	if (n && exitop_decode(bytes, n, vcpu_code_mode(&code), &insn) == EXITOP_HLT) {
		vcpu_advance(v, insn.len);
		return;
	}
	if (vcpu_try_emulate(v))
		v->int_shadow = false;
}

/* Choose what the next entry delivers. An event taken back from a cut-short delivery goes first. */
static void deliver_events(struct vcpu *v)
{
	struct board *b = &v->part->board;
	int vector;

	if (unlikely(v->int_shadow) && v->event.type == EVENT_NONE && vcpu_wakes(v))
		finish_shadow(v);
	if (v->event.type != EVENT_NONE) {
		v->want_window = board_intr_pending(b);
		return;
	}
	if (board_nmi_pending(b) && !v->nmi_blocked) {
		board_nmi_ack(b);
		v->event = (struct vcpu_event){.type = EVENT_NMI, .vector = VEC_NMI};
		v->nmi_blocked = true;
		v->want_window = board_intr_pending(b);
		return;
	}
	if (!board_intr_pending(b)) {
		v->want_window = false;
		return;
	}
	v->want_window = true;
	if (!(v->rflags & RFLAGS_IF) || v->int_shadow)
		return;
	vector = board_intr_ack(b);
	if (vector >= 0)
		v->event = (struct vcpu_event){.type = EVENT_EXTINT, .vector = (u8)vector};
	v->want_window = board_intr_pending(b);
}

/* CR8 and the local APIC's task priority are one register. Ask for an exit on lowering only while
 * an interrupt waits behind it. */
static void sync_tpr_in(struct vcpu *v)
{
	const struct lapic *l = &v->part->board.lapic;

	if (likely(!(l->tpr | v->tpr)))
		return;
	v->tpr = l->tpr >> 4;
	v->want_tpr_exit = l->tpr && l->irr_max >= 0 && l->deliverable < 0;
}

static void sync_tpr_out(struct vcpu *v)
{
	struct lapic *l = &v->part->board.lapic;

	if (unlikely(l->tpr | v->tpr) && v->tpr != l->tpr >> 4)
		lapic_set_cr8(l, v->tpr);
}

#if PN_DEBUG
/* Neither a CPU nor the hypervisor sets them. An emulator that does has other flags of its guest
 * wrong too, DF for one (docs/testing.md): what that guest then does is not ours. Said once. */
static void tell_of_rflags(const struct vcpu *v)
{
	static bool told;

	if (told || !(v->rflags & RFLAGS_RSVD))
		return;
	told = true;
	hv_log(LOG_WARN, "%s: the CPU has set reserved bits: RFLAGS 0x%llx, RIP 0x%llx",
	       v->part->cfg.name, (unsigned long long)v->rflags, (unsigned long long)v->rip);
}
#endif

/* Run the guest up to its next exit, and charge the way to here to the exit before. */
static inline void enter(struct vcpu *v, struct exit *x)
{
	struct partition *p = v->part;
	enum exit_reason before = x->reason;

#if PN_DEBUG
	ASSERT(ledger_clean(v, p->p2m.gen));
#endif
	sync_tpr_in(v);
	p->exits.cycles[before] += rdtsc() - v->exit_tsc;
	v->engine->run(v, x);
#if PN_DEBUG
	tell_of_rflags(v);
#endif
	p->exits.count[x->reason]++;
	sync_tpr_out(v);
}

/* Rare work stands behind one flag, and so does every change of v->state. */
static inline bool must_stop(struct vcpu *v, struct cpu *c)
{
	if (likely(!c->attention))
		return false;
	cpu_service();
	return sched_must_yield(v);
}

/* Has anything changed that deliver_events() must look at? An interrupt that waits for the window
 * it asked for has not. */
static inline bool events_to_deliver(const struct vcpu *v)
{
	const struct board *b = &v->part->board;

	if (unlikely(v->event.type != EVENT_NONE || board_nmi_pending(b)))
		return true;
	if (v->want_window)
		return v->rflags & RFLAGS_IF;
	return unlikely(lapic_pending(&b->lapic) >= 0 || pic_pending(&b->pic));
}

u64 vcpu_cycles(const struct vcpu *v)
{
	return v->run_cycles + (v->run_since ? v->exit_tsc - v->run_since : 0);
}

u64 vcpu_guest_cycles(const struct vcpu *v)
{
	u64 cycles = vcpu_cycles(v);

	for (unsigned i = 0; i < EXIT_REASONS; i++)
		cycles -= v->part->exits.cycles[i];
	return cycles;
}

void vcpu_run(struct vcpu *v)
{
	struct cpu *c = this_cpu();
	u64 start = rdtsc();
	/* What came before the first entry is nobody's exit. */
	struct exit x = {.reason = EXIT_NONE};

	v->exit_tsc = v->run_since = start;
	pmu_meter_begin(&v->part->pmu, v->cpu, start);
	while (!must_stop(v, c)) {
		if (events_to_deliver(v))
			deliver_events(v);
		enter(v, &x);
		/* Not every CPU lets an interrupt end a guest that keeps them off: take it at one
		 * of its next exits, whatever that is for. */
		if (unlikely(!(v->rflags & RFLAGS_IF)) && !(v->part->exits.count[x.reason] & 7))
			irq_let_in();
		vcpu_exit_handler[x.reason](v, &x);
	}
	v->part->exits.cycles[x.reason] += rdtsc() - v->exit_tsc;
	pmu_meter_end(&v->part->pmu, v->cpu, rdtsc());
	v->run_cycles += rdtsc() - start;
	v->run_since = 0;
}
