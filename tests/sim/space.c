/* Pages of a replayed guest: see space.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "space.h"

#include <stdio.h>
#include <stdlib.h>

#define BUCKETS	  BIT(20)
#define PAGES_MAX BIT(21) /* 8 GiB of guest memory */
#define SPACE_AT  (47 - PAGE_SHIFT)

void memory_start(struct guest_memory *g)
{
	*g = (struct guest_memory){.made = 1};
	g->page = calloc(PAGES_MAX, sizeof(*g->page));
	g->bucket = calloc(BUCKETS, sizeof(*g->bucket));
	if (g->page && g->bucket)
		return;
	fputs("sim: out of memory\n", stderr);
	exit(2);
}

void memory_end(struct guest_memory *g)
{
	free(g->page);
	free(g->bucket);
}

static u32 *bucket_of(struct guest_memory *g, u64 key)
{
	return &g->bucket[(key * 0x9e3779b97f4a7c15ull >> 32) % BUCKETS];
}

static u32 *find(struct guest_memory *g, u64 key)
{
	u32 *at = bucket_of(g, key);

	while (*at && g->page[*at].key != key)
		at = &g->page[*at].next;
	return at;
}

/* The frame's number is its place in the array: frames given back are used again first. */
static u32 new_page(struct guest_memory *g)
{
	u32 i = g->unused;

	if (i)
		g->unused = g->page[i].next;
	else if (g->made < PAGES_MAX)
		i = g->made++;
	return i;
}

u32 memory_frame(struct guest_memory *g, u64 key, bool *fresh)
{
	u32 *at = find(g, key), i = *at;

	*fresh = !i;
	if (i)
		return i;
	i = new_page(g);
	if (!i)
		return 0;
	g->page[i] = (struct spaces_page){.key = key, .frame = i};
	*at = i;
	g->pages++;
	return i;
}

static bool drop_one(struct guest_memory *g, u64 key)
{
	u32 *at = find(g, key), i = *at;

	if (!i)
		return false;
	*at = g->page[i].next;
	g->page[i] = (struct spaces_page){.next = g->unused};
	g->unused = i;
	g->pages--;
	return true;
}

/* A range may be far longer than there are pages. */
u64 memory_drop(struct guest_memory *g, u64 key, u64 n)
{
	u64 dropped = 0;

	if (n <= g->made)
		for (u64 i = 0; i < n; i++)
			dropped += drop_one(g, key + i);
	else
		for (u32 i = 1; i < g->made; i++)
			if (g->page[i].frame && g->page[i].key - key < n)
				dropped += drop_one(g, g->page[i].key);
	return dropped;
}

u64 memory_forget(struct guest_memory *g, unsigned space)
{
	g->used &= ~(u32)BIT(space);
	return memory_drop(g, (u64)space << SPACE_AT, BIT(SPACE_AT));
}

unsigned memory_space(struct guest_memory *g, u32 process, bool *fresh)
{
	unsigned oldest = 0;

	g->clock++;
	*fresh = false;
	for (unsigned i = 0; i < MMU_SPACES; i++) {
		if (!(g->used & BIT(i))) {
			oldest = i;
			g->ran[i] = 0;
		} else if (g->process[i] == process) {
			g->ran[i] = g->clock;
			return i;
		} else if (g->ran[i] < g->ran[oldest]) {
			oldest = i;
		}
	}
	*fresh = true;
	memory_forget(g, oldest);
	g->used |= (u32)BIT(oldest);
	g->process[oldest] = process;
	g->ran[oldest] = g->clock;
	return oldest;
}
