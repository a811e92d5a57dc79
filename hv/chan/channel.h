/* The control channel's PCI function (include/penumbra/channel.h, docs/channel.md): registers, the
 * area, interrupt, doorbells. What goes over the rings is its users' business.
 *
 * Locking: register accesses, channel_poll() and the users' callbacks happen on the control
 * partition's CPU. Rings, slots and ISR are under @lock, which any CPU may take (interrupts off, as
 * everywhere); the area's data is touched outside it between channel_pin() and channel_unpin().
 * Under @lock nothing is logged.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CHAN_CHANNEL_H
#define HV_CHAN_CHANNEL_H

#include "dev/pci.h"
#include "lib/spinlock.h"
#include "penumbra/ring.h"

struct channel_ops {
	/* Pointer to host-physical [hpa, hpa + len), or NULL unless all of it is RAM of the control
	 * partition. */
	void *(*memory)(void *ctx, hpa_t hpa, u64 len);
	/* From any CPU, also under @lock: have channel_update_intx() called soon on the control
	 * partition's CPU. */
	void (*intx)(void *ctx);
	/* From any CPU, under @lock: more was put in, for the interrupt that waits already.
	 * Optional. */
	void (*more)(void *ctx);
	/* CHAN_CMD_READY was given, for the first time since reset. */
	void (*ready)(void *ctx);
	/* The daemon did what the ABI forbids, or came or went: a line for the log. */
	void (*say)(void *ctx, bool error, const char *text);
};

/* Someone who puts things into the rings. The callbacks come without the lock. */
struct chan_user {
	void (*attached)(struct chan_user *u);
	/* The area is gone, nobody touches it any more. */
	void (*detached)(struct chan_user *u);
	/* There may be something new in those of @rings that are this user's. */
	void (*bell)(struct chan_user *u, u32 rings);
	struct chan_user *next;
};

struct channel {
	struct pci_dev pci;
	const struct channel_ops *ops;
	void *ctx;
	struct chan_user *users;

	struct spinlock lock;
	bool attached;
	bool ready;
	u32 isr, enable;
	u32 pins;	/* CPUs that touch the area outside the lock */
	u32 rung;	/* rings to be looked at by channel_poll() */
	u32 dead_said;	/* rings whose death has been told */
	u32 violations; /* entries that made no sense, since ATTACH */
	struct ring_end ring[CHAN_RINGS];

	/* Written on the control partition's CPU while not attached. */
	u8 *page[CHAN_MAX_PAGES];
	hpa_t page_hpa[CHAN_MAX_PAGES];
	u32 npages;
	u32 pool_offset, pool_slots;
	u64 arg;
	u32 error;
	u64 attaches;
};

void channel_init(struct channel *ch, const struct channel_ops *ops, void *ctx);
/* Before the first register access. */
void channel_add_user(struct channel *ch, struct chan_user *u);
/* Power-on state; as if the daemon had died and the control partition with it. */
void channel_reset(struct channel *ch);
/* On the control partition's CPU, after ops->intx(): the interrupt's level. */
void channel_update_intx(struct channel *ch);
/* On the control partition's CPU, now and then (a lost doorbell costs time, never progress):
 * interrupt level, doorbells. */
void channel_poll(struct channel *ch);

/* Pointer to [offset, offset + len) of the area, which must lie in one page; NULL otherwise. Under
 * the lock, or pinned. */
void *channel_at(const struct channel *ch, u32 offset, u32 len);
static inline void *channel_slot(const struct channel *ch, u32 slot)
{
	return channel_at(ch, ch->pool_offset + slot * CHAN_SLOT_SIZE, CHAN_SLOT_SIZE);
}
/* Under the lock, @ch attached: the area stays until channel_unpin(), which does not want the lock.
 * For bounded copies only: DETACH waits. */
static inline void channel_pin(struct channel *ch)
{
	__atomic_add_fetch(&ch->pins, 1, __ATOMIC_ACQUIRE);
}
static inline void channel_unpin(struct channel *ch)
{
	__atomic_sub_fetch(&ch->pins, 1, __ATOMIC_RELEASE);
}
/* Under the lock: entries were put into @ring; ring the daemon if it sleeps. */
void channel_put_done(struct channel *ch, enum chan_ring_id ring);
/* Under the lock: entries were taken from @ring; tell the daemon if it waits for room. */
void channel_get_done(struct channel *ch, enum chan_ring_id ring);
/* Under the lock: an entry from the daemon made no sense and is ignored. */
static inline void channel_violation(struct channel *ch)
{
	ch->violations++;
}

#endif
