/* One end of a ring of the control channel (channel.h): the same code for the hypervisor and the
 * daemon, freestanding.
 *
 * An end keeps its own index and believes the other's only after a look: an index that cannot be
 * right kills the ring, which from then on is full for its producer and empty for its consumer,
 * until ring_open(). Entries are handed over by copy, so what was checked cannot change afterwards.
 *
 * Not locked: one thread (or a lock) for each end.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PENUMBRA_RING_H
#define PENUMBRA_RING_H

#include "penumbra/channel.h"

struct ring_end {
	struct chan_ring *ring; /* NULL: not open; as full, as empty */
	u8 *entry;
	u32 entry_size;
	u32 entries; /* power of two */
	u32 own;     /* this end's index: head of a producer, tail of a consumer */
	bool dead;   /* the other side broke the rules */
};

/* Bytes that a ring takes in the area. */
static inline u64 ring_bytes(u32 entry_size, u32 entries)
{
	return sizeof(struct chan_ring) + (u64)entry_size * entries;
}

/* Is @p a place for a ring with entries of @entry_size in an area of @npages pages? */
static inline bool ring_place_ok(const struct chan_ring_place *p, u32 entry_size, u32 npages)
{
	u64 end;

	if (p->entry_size != entry_size || p->offset % 64)
		return false;
	if (p->entries < CHAN_RING_MIN || p->entries > CHAN_RING_MAX ||
	    (p->entries & (p->entries - 1)))
		return false;
	end = p->offset + ring_bytes(entry_size, p->entries);
	if (end > (u64)npages * CHAN_PAGE_SIZE)
		return false;
	return p->offset / CHAN_PAGE_SIZE == (end - 1) / CHAN_PAGE_SIZE;
}

/* Both ends begin at index 0: whoever lays out the area zeroes it before the other opens. */
static inline void ring_open(struct ring_end *e, struct chan_ring *ring, u32 entry_size,
			     u32 entries)
{
	e->ring = ring;
	e->entry = (u8 *)(ring + 1);
	e->entry_size = entry_size;
	e->entries = entries;
	e->own = 0;
	e->dead = false;
}

static inline void ring_shut(struct ring_end *e)
{
	e->ring = (struct chan_ring *)0;
}

static inline bool ring_usable(const struct ring_end *e)
{
	return e->ring && !e->dead;
}

static inline u8 *ring_at_own(const struct ring_end *e)
{
	return e->entry + (u64)(e->own & (e->entries - 1)) * e->entry_size;
}

/* --- producer --- */

/* Entries that can be put now. */
static inline u32 ring_room(struct ring_end *e)
{
	u32 used;

	if (!ring_usable(e))
		return 0;
	used = e->own - __atomic_load_n(&e->ring->tail, __ATOMIC_ACQUIRE);
	if (used > e->entries) {
		e->dead = true;
		return 0;
	}
	return e->entries - used;
}

/* Has the consumer taken everything? */
static inline bool ring_drained(struct ring_end *e)
{
	return ring_room(e) == e->entries;
}

/* The next entry, to be filled in place and given over by ring_publish(); NULL: no room. What is
 * written there must not be read back. */
static inline void *ring_reserve(struct ring_end *e)
{
	return ring_room(e) ? ring_at_own(e) : (void *)0;
}

static inline void ring_publish(struct ring_end *e)
{
	e->own++;
	__atomic_store_n(&e->ring->head, e->own, __ATOMIC_RELEASE);
}

/* Copy one entry in. False: no room. */
static inline bool ring_put(struct ring_end *e, const void *entry)
{
	void *to = ring_reserve(e);

	if (!to)
		return false;
	__builtin_memcpy(to, entry, e->entry_size);
	ring_publish(e);
	return true;
}

/* After ring_publish() or ring_put(), once for a batch: must the consumer be told? */
static inline bool ring_bell_wanted(const struct ring_end *e)
{
	if (!ring_usable(e))
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&e->ring->wants_bell, __ATOMIC_RELAXED) != 0;
}

/* Ask to be told of room, or (@on false) no longer. True: there is room already. */
static inline bool ring_ask_room(struct ring_end *e, bool on)
{
	if (!ring_usable(e))
		return false;
	__atomic_store_n(&e->ring->wants_room, on, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return ring_room(e) != 0;
}

/* --- consumer --- */

/* Entries that can be got now. */
static inline u32 ring_count(struct ring_end *e)
{
	u32 n;

	if (!ring_usable(e))
		return 0;
	n = __atomic_load_n(&e->ring->head, __ATOMIC_ACQUIRE) - e->own;
	if (n > e->entries) {
		e->dead = true;
		return 0;
	}
	return n;
}

/* Copy the first @len bytes of the next entry out without taking it. False: there is none. */
static inline bool ring_peek(struct ring_end *e, void *entry, u32 len)
{
	if (!ring_count(e))
		return false;
	__builtin_memcpy(entry, ring_at_own(e), len < e->entry_size ? len : e->entry_size);
	/* The copy is what counts: no second look at the source. */
	asm volatile("" : : : "memory");
	return true;
}

/* Give the place of the next entry back. Only after ring_count() or ring_peek() said there is one.
 */
static inline void ring_skip(struct ring_end *e)
{
	e->own++;
	__atomic_store_n(&e->ring->tail, e->own, __ATOMIC_RELEASE);
}

/* Copy one entry out and give its place back. False: there is none. */
static inline bool ring_get(struct ring_end *e, void *entry)
{
	if (!ring_peek(e, entry, e->entry_size))
		return false;
	ring_skip(e);
	return true;
}

/* After getting entries, once for a batch: does the producer wait for room? */
static inline bool ring_room_wanted(const struct ring_end *e)
{
	if (!ring_usable(e))
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&e->ring->wants_room, __ATOMIC_RELAXED) != 0;
}

/* Ask to be told of entries (before going to sleep), or (@on false) no longer. True: there is one
 * already, do not sleep. */
static inline bool ring_ask_bell(struct ring_end *e, bool on)
{
	if (!ring_usable(e))
		return false;
	__atomic_store_n(&e->ring->wants_bell, on, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return ring_count(e) != 0;
}

#endif
