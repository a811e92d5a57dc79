/* The stores that guests make to their page tables, carried out in software.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_PAGING_SHADOW_SH_STORE_H
#define HV_PAGING_SHADOW_SH_STORE_H

#include "paging/shadow/shadow.h"

struct sh_memory {
	gva_t gva; /* where the store faulted, and its first byte */
	void *at;  /* that byte */
	/* The @size bytes at @gva that the instruction copies; NULL: it shall do so itself. */
	const void *(*source)(void *ctx, gva_t gva, unsigned size);
	void *ctx;
};

/* Carry out one store (of a repeated one, one iteration) that lies aligned at @m->gva: registers,
 * flags and RIP of @i are what they are after it. Returns the bytes written, 0: not one of those
 * known here, or not at that address; nothing was changed then. */
unsigned sh_store_run(const struct shadow_insn *i, const struct sh_memory *m);

#endif
