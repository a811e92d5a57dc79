/* The state a processor starts in.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine/reset.h"
#include "lib/str.h"

#define SEG_ATTR_CODE16	  0x009bu
#define SEG_ATTR_DATA16	  0x0093u
#define SEG_ATTR_LDT	  0x0082u
#define SEG_ATTR_TSS_BUSY 0x008bu
#define DR6_RESET	  0xffff0ff0ull
#define DR7_RESET	  0x400ull
#define CR0_RESET	  (CR0_CD | CR0_NW | CR0_ET)

void vcpu_sregs_reset(struct vcpu_sregs *r)
{
	memset(r, 0, sizeof(*r));
	for (unsigned i = 0; i < SEG_COUNT; i++)
		r->seg[i] = (struct segment){.attr = SEG_ATTR_DATA16, .limit = 0xffff};
	r->seg[SEG_CS] = (struct segment){
		.sel = 0xf000, .attr = SEG_ATTR_CODE16, .limit = 0xffff, .base = 0xffff0000};
	r->seg[SEG_LDTR].attr = SEG_ATTR_LDT;
	r->seg[SEG_TR].attr = SEG_ATTR_TSS_BUSY;
	r->gdt.limit = 0xffff;
	r->idt.limit = 0xffff;
	r->cr0 = CR0_RESET;
	r->dr6 = DR6_RESET;
	r->dr7 = DR7_RESET;
}

void vcpu_regs_reset(struct vcpu *v)
{
	memset(v->gpr, 0, sizeof(v->gpr));
	v->rip = 0xfff0;
	v->rflags = RFLAGS_FIXED;
	v->int_shadow = false;
	v->nmi_blocked = false;
	v->event.type = EVENT_NONE;
	v->want_window = false;
}
