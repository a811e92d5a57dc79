/* Running a vCPU: the loop of entries and exits, and what exit handlers use.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_VCPU_RUN_H
#define HV_CORE_VCPU_RUN_H

#include "emul/emul.h"
#include "emul/exitop.h"
#include "engine/engine.h"
#include "paging/paging.h"
#include "paging/walk.h"

/* Run @v until it halts, ends, is paused, or another vCPU's turn comes. Interrupts off. */
void vcpu_run(struct vcpu *v);
/* TSC ticks that @v has had its CPU: its guest's and those of its exits, up to the last one. */
u64 vcpu_cycles(const struct vcpu *v);
/* TSC ticks that @v's guest has run: time in the run loop that no exit is charged with. */
u64 vcpu_guest_cycles(const struct vcpu *v);
/* True when a halted @v has something to wake up for. */
bool vcpu_wakes(const struct vcpu *v);
/* Move the state that only one vCPU at a time can have in the CPU. */
void vcpu_load(struct vcpu *v);
void vcpu_unload(struct vcpu *v);
/* Allocate the save area. -ENOMEM. */
int vcpu_fpu_init(struct vcpu *v);
/* x87, SSE and XCR0 as after RESET. Loaded at once when @v owns the CPU. */
void vcpu_fpu_reset(struct vcpu *v);

/* One handler per exit reason (exits.c). */
extern void (*const vcpu_exit_handler[EXIT_REASONS])(struct vcpu *v, struct exit *x);
/* The rare ends of vcpu_advance(): RIP crossed the 4 GiB line, TF is set. */
void vcpu_wrap_rip(struct vcpu *v);
void vcpu_single_step(struct vcpu *v);
/* The current instruction is done: @len bytes. */
static inline void vcpu_advance(struct vcpu *v, unsigned len)
{
	u64 old = v->rip;

	v->rip += len;
	v->int_shadow = false;
	v->rflags &= ~RFLAGS_RF;
	if (__builtin_expect((old ^ v->rip) >> 32, 0))
		vcpu_wrap_rip(v);
	if (__builtin_expect(v->rflags & RFLAGS_TF, 0))
		vcpu_single_step(v);
}
/* Queue an exception for the next entry. A fault while another event waits becomes #DF or a triple
 * fault as APM vol. 2 §8.2.9 has it. */
void vcpu_inject(struct vcpu *v, u8 vector, bool has_error, u32 error);
void vcpu_inject_pf(struct vcpu *v, u32 error, u64 cr2);
/* What software that ran in the CPU's place has found. */
void vcpu_inject_fault(struct vcpu *v, const struct emul_fault *f);

/* Guest control registers with the architecture's checks. -EINVAL: #GP. */
int vcpu_write_cr0(struct vcpu *v, u64 value);
int vcpu_write_cr3(struct vcpu *v, u64 value);
int vcpu_write_cr4(struct vcpu *v, u64 value);
int vcpu_write_efer(struct vcpu *v, u64 value);

/* The guest's paging state now, for walk_gva(). */
void vcpu_walk_regs(const struct vcpu *v, struct walk_regs *r);
extern const struct walk_mem *vcpu_walk_mem(const struct vcpu *v, struct walk_mem *m);
static inline enum code_mode vcpu_code_mode(const struct vcpu_code *c)
{
	if ((c->efer & EFER_LMA) && (c->cs_attr & SEG_ATTR_L))
		return CODE_64;
	return (c->cr0 & CR0_PE) && (c->cs_attr & SEG_ATTR_DB) ? CODE_32 : CODE_16;
}
/* Up to 15 bytes at RIP; returns how many could be read. */
unsigned vcpu_fetch(const struct vcpu *v, u8 *buf);
/* Pointer to the 15 bytes at RIP in the plain case, NULL in any other: 64-bit code, all in one page
 * of memory. Good until the guest runs. */
const u8 *vcpu_insn_bytes(const struct vcpu *v);
/* Those bytes in any case: how many there are, in @buf (15 bytes) or where they stand. Good until
 * the guest runs. */
const u8 *vcpu_insn(const struct vcpu *v, u8 *buf, unsigned *n, enum code_mode *mode);
/* Length of the current instruction, which must be @op, decoded from the guest's own bytes. 0: it
 * is not (any more): run it again. */
unsigned vcpu_decode_len(struct vcpu *v, const struct exit *x, enum exitop op);
/* The same, from the CPU where it says. */
static inline unsigned vcpu_insn_len(struct vcpu *v, const struct exit *x, enum exitop op)
{
	return x->insn_len ? x->insn_len : vcpu_decode_len(v, x, op);
}

/* The instruction of @x is gone: run whatever is there now, but not for ever. */
void vcpu_insn_lost(struct vcpu *v, const struct exit *x);

/* EXIT_TASK (task_exit.c). */
void vcpu_exit_task(struct vcpu *v, struct exit *x);

/* Execute the current instruction in software (emulate.c). */
void vcpu_emulate(struct vcpu *v);
/* The same for one whose access to a device's memory exited as @f tells. */
void vcpu_emulate_mmio(struct vcpu *v, const struct paging_fault *f);
/* The same where the CPU could do it as well: false when the emulator does not know the
 * instruction. */
bool vcpu_try_emulate(struct vcpu *v);

#endif
