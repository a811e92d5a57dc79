/* Who maps a guest frame writable, and who links a shadow table.
 *
 * Most frames are mapped once and most tables linked once: their chain is one reference in the
 * head itself. Only writable leaves are kept, as only those ever have to be found: when a frame
 * becomes a table that is kept in step.
 *
 * SPDX-License-Identifier: MIT
 */
#include "paging/shadow/shadow_int.h"

static u32 node_take(struct shadow *s, u32 ref, u32 next)
{
	u32 n = s->node_free;

	s->node_free = s->node[n].next;
	s->nodes_left--;
	s->node[n] = (struct sh_node){.ref = ref, .next = next};
	return n;
}

static void node_give(struct shadow *s, u32 n)
{
	s->node[n].next = s->node_free;
	s->node_free = n;
	s->nodes_left++;
}

static void head_set(u32 *head, u32 value)
{
	*head = (*head & (u32)(SH_FRAME_SYNC | SH_FRAME_HELD)) | value;
}

bool sh_chain_extend(struct shadow *s, u32 *head, u32 ref)
{
	u32 first = *head & SH_CHAIN_MASK;

	if (s->nodes_left < 2)
		return false;
	if (!(*head & SH_CHAIN_LIST))
		first = node_take(s, first, 0);
	head_set(head, (u32)SH_CHAIN_LIST | node_take(s, ref, first));
	return true;
}

void sh_chain_remove(struct shadow *s, u32 *head, u32 ref)
{
	u32 n = *head & SH_CHAIN_MASK, prev = 0, next;

	if (!(*head & SH_CHAIN_LIST)) {
		if (n == ref)
			head_set(head, 0);
		return;
	}
	while (n && s->node[n].ref != ref) {
		prev = n;
		n = s->node[n].next;
	}
	if (!n)
		return;
	next = s->node[n].next;
	if (prev)
		s->node[prev].next = next;
	else
		head_set(head, (u32)SH_CHAIN_LIST | next);
	node_give(s, n);
	/* A list of one becomes a plain reference again. */
	n = *head & SH_CHAIN_MASK;
	if (!s->node[n].next) {
		head_set(head, s->node[n].ref);
		node_give(s, n);
	}
}

u32 sh_chain_first(const struct shadow *s, u32 head)
{
	u32 v = head & SH_CHAIN_MASK;

	return head & SH_CHAIN_LIST ? s->node[v].ref : v;
}

/* Each turn takes one reference out: a leaf that is not writable is in no chain. */
static void protect_chain(struct shadow *s, u32 *head)
{
	u32 ref;

	while ((ref = sh_chain_first(s, *head))) {
		struct sh_page *p = &s->page[ref >> 9];
		unsigned idx = ref & (SH_ENTRIES - 1);
		u64 e = p->spt[idx];

		sh_lost(s, p, true);
		sh_put(s, p, idx, p->level == 1 ? e & ~(PTE_W | PTE_D) : s->trap);
	}
}

void sh_write_protect(struct shadow *s, gpa_t gpa)
{
	u32 *head = sh_frame(s, gpa);

	if (!head)
		return;
	protect_chain(s, head);
	protect_chain(s, &s->chunk_map[gpa >> P2M_CHUNK_SHIFT]);
	protect_chain(s, &s->gib_map[gpa / GIB]);
	/* A leaf that is gone may still be in the CPU, until a flush that the guest owes. */
	if (s->stale & BIT(s->tag))
		s->flush_now = true;
}

bool sh_large_ok(const struct shadow *s, gpa_t gpa, unsigned level, bool writable)
{
	u64 chunk = gpa >> P2M_CHUNK_SHIFT;

	if (chunk == 0 || chunk >= s->m->nchunks || !s->m->chunk[chunk])
		return false;
	if (level == 2)
		return !(s->m->chunk[chunk] & (P2M_CHUNK - 1)) &&
		       !(writable && s->chunk_sync[chunk]);
	return level == 3 && s->c.has_1g && s->gib_whole[gpa / GIB] &&
	       !(writable && s->gib_sync[gpa / GIB]);
}
