/* Do two decoders of the emulator see the same instruction?
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_EMUL_COMPARE_H
#define TESTS_UNIT_EMUL_COMPARE_H

#include "emul/emul_int.h"

static inline bool same_insn(const struct emul_insn *a, const struct emul_insn *b)
{
	return a->op == b->op && a->len == b->len && a->map == b->map && a->opcode == b->opcode &&
	       a->osize == b->osize && a->asize == b->asize && a->prefix == b->prefix &&
	       a->mod == b->mod && a->reg == b->reg && a->rm == b->rm && a->vvvv == b->vvvv &&
	       a->seg == b->seg && a->override == b->override && a->base == b->base &&
	       a->index == b->index && a->scale == b->scale && a->rip_rel == b->rip_rel &&
	       a->disp == b->disp && a->imm == b->imm && a->imm2 == b->imm2;
}

#endif
