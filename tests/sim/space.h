/* Which pages a replayed guest has, in which address space, and in which frames.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_SIM_SPACE_H
#define TESTS_SIM_SPACE_H

#include "mmu.h"

struct spaces_page {
	u64 key; /* gva with the space's bits, in pages */
	u32 frame, next;
};

struct guest_memory {
	struct spaces_page *page;
	u32 *bucket;
	u32 pages, made, unused; /* in use, ever, and a list of those given back */
	u32 process[MMU_SPACES];
	u64 ran[MMU_SPACES], clock;
	u32 used; /* bits: spaces */
};

/* Ends the program without memory. */
void memory_start(struct guest_memory *g);
void memory_end(struct guest_memory *g);
/* The space of @process; one that is new takes the place of the one that ran longest ago if all are
 * taken, which is then gone. *@fresh: new. */
unsigned memory_space(struct guest_memory *g, u32 process, bool *fresh);
/* Frame of page @key; *@fresh: it has just got one. 0 when there are too many. */
u32 memory_frame(struct guest_memory *g, u64 key, bool *fresh);
/* Pages [@key, @key + @n) give their frames back; how many there were. */
u64 memory_drop(struct guest_memory *g, u64 key, u64 n);
/* Nothing of @space is left; how many pages there were. */
u64 memory_forget(struct guest_memory *g, unsigned space);

#endif
