/* Random page-table programs: operations of a fixed size whose every value means something, so that
 * a stream stays a program whatever is taken out of it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_SHADOW_OPS_H
#define TESTS_UNIT_SHADOW_OPS_H

#include <stdio.h>

#include "shadow/rig.h"

enum op_code {
	OP_ACCESS,     /* @how: kind; @va */
	OP_ACCESS_MAP, /* of @frame through the direct map */
	OP_ENTRY,      /* store an entry to table @frame, through the direct map */
	OP_ENTRY_VA,   /* to wherever @va leads */
	OP_POKE,       /* a store of any size and place in @frame */
	OP_CLEAR,      /* of an entry */
	OP_FILL,       /* several entries by REP STOS */
	OP_ENTRY_AD,   /* accessed, dirty or W bits taken away in place */
	OP_DEVICE,     /* a device writes an entry */
	OP_DEVICE_PAGE,
	OP_INVLPG,
	OP_INVLPG_MAP,
	OP_CR3,
	OP_CR3_SAME,
	OP_FLUSH, /* CR4.PGE off and on */
	OP_CONTROL,
	OP_PKRU,
	OP_AC,
	OP_UNPAGED,
	OP_MODE,
	OP_SWITCH, /* leave the shadow, or enter it */
	OP_KIND,   /* of a page of low memory */
	OP_MANY,   /* an instruction that needs many pages */
	OP_PREFETCH,
	OP_BUILD,
	OP_AUDIT,
	OP_CODES
};

struct op {
	u8 code, how, frame, index, target, va;
	u16 flags;
	u32 luck, extra;
};

/* Bits of op.flags for the entry stored. */
enum {
	OPF_P = 1,
	OPF_W = 2,
	OPF_U = 4,
	OPF_A = 8,
	OPF_D = 0x10,
	OPF_PS = 0x20,
	OPF_G = 0x40,
	OPF_NX = 0x80,
	OPF_KEY = 0xf00,
	OPF_PAT = 0x1000,
	OPF_RSVD = 0x2000,
	OPF_RAW = 0x4000, /* any bits at all */
	OPF_USER = 0x8000 /* the store is made by user code */
};

struct stream {
	struct rig_setup setup;
	unsigned count;
	struct op *op;
};

void op_run(struct rig *r, const struct op *o);
/* Run a stream; the number of operations carried out before it failed, or @s->count. */
unsigned stream_run(struct rig *r, const struct stream *s);

/* The stream of that number: setup and operations. @mode and @policy are given. */
void stream_generate(struct stream *s, u64 seed, enum ref_mode mode, enum shadow_policy policy,
		     unsigned count);

/* As lines of text that stream_read() takes: one for the setup, one for each operation. */
void stream_print(FILE *f, const struct stream *s);
bool stream_read(FILE *f, struct stream *s);

#endif
