/* A control partition without a machine: memory of two pages, the channel's function on a PCI bus
 * of its own, and the daemon's ends of the rings.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef TESTS_UNIT_FAKE_DAEMON_H
#define TESTS_UNIT_FAKE_DAEMON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chan/channel.h"
#include "penumbra/trace.h"

#define FAKE_BASE 0x40000000ull /* host-physical */
#ifndef FAKE_PAGES
#define FAKE_PAGES 4u
#endif
#define FAKE_BAR     0xe0000000u
#define FAKE_ENTRIES 16u
#define FAKE_POOL    CHAN_PAGE_SIZE /* the second page */
#define FAKE_RINGS   0x40000u	    /* they end before this */

struct fake_daemon {
	u8 *mem;
	struct bus bus;
	struct pci_bus pci;
	struct channel ch;
	struct ring_end ring[CHAN_RINGS];
	u32 slots;   /* of the pool, for the next attach */
	u32 entries; /* of each ring */
	bool intx;
	unsigned wakes, readies, errors;
	char said[160];
};

static const u32 fake_entry_size[CHAN_RINGS] = {64, 256, 256, 256, 64, 32, 2048, 2048, 32};

static inline void *fake_memory(void *ctx, hpa_t hpa, u64 len)
{
	struct fake_daemon *d = ctx;
	u64 size = FAKE_PAGES * (u64)CHAN_PAGE_SIZE;

	if (hpa < FAKE_BASE || hpa - FAKE_BASE > size || len > size - (hpa - FAKE_BASE))
		return NULL;
	return d->mem + (hpa - FAKE_BASE);
}

static inline void fake_wake(void *ctx)
{
	((struct fake_daemon *)ctx)->wakes++;
}

static inline void fake_ready(void *ctx)
{
	((struct fake_daemon *)ctx)->readies++;
}

static inline void fake_say(void *ctx, bool error, const char *text)
{
	struct fake_daemon *d = ctx;

	d->errors += error;
	if (error)
		snprintf(d->said, sizeof(d->said), "%s", text);
}

static const struct channel_ops fake_channel_ops = {
	.memory = fake_memory,
	.intx = fake_wake,
	.ready = fake_ready,
	.say = fake_say,
};

static inline void fake_pirq(void *ctx, unsigned pirq, bool level)
{
	(void)pirq;
	((struct fake_daemon *)ctx)->intx = level;
}

static inline u32 fake_get(struct fake_daemon *d, u32 reg)
{
	const struct mmio_range *r = bus_find_mmio(&d->bus, FAKE_BAR + reg);

	return r ? (u32)r->ops->read(r->dev, FAKE_BAR + reg - r->base, 4) : UINT32_MAX;
}

static inline void fake_set(struct fake_daemon *d, u32 reg, u32 v)
{
	const struct mmio_range *r = bus_find_mmio(&d->bus, FAKE_BAR + reg);

	if (r)
		r->ops->write(r->dev, FAKE_BAR + reg - r->base, 4, v);
}

static inline u32 fake_cmd(struct fake_daemon *d, u32 cmd, u64 arg)
{
	fake_set(d, CHAN_REG_ARG_LO, (u32)arg);
	fake_set(d, CHAN_REG_ARG_HI, (u32)(arg >> 32));
	fake_set(d, CHAN_REG_CMD, cmd);
	return fake_get(d, CHAN_REG_ERROR);
}

/* Users are added between this and fake_plug(). @d->mem: NULL, or to be used again. */
static inline void fake_daemon_init(struct fake_daemon *d)
{
	u8 *mem = d->mem;

	memset(d, 0, sizeof(*d));
	d->mem = mem ? mem : calloc(FAKE_PAGES, CHAN_PAGE_SIZE);
	d->slots = 16;
	d->entries = FAKE_ENTRIES;
	pci_bus_init(&d->pci, &d->bus);
	d->pci.pirq = fake_pirq;
	d->pci.pirq_ctx = d;
	channel_init(&d->ch, &fake_channel_ops, d);
}

static inline void fake_daemon_end(struct fake_daemon *d)
{
	free(d->mem);
}

static inline void fake_plug(struct fake_daemon *d)
{
	pci_bus_add(&d->pci, 3, 0, &d->ch.pci);
	pci_cfg_write(&d->ch.pci, PCI_BAR0, 4, FAKE_BAR);
	pci_cfg_write(&d->ch.pci, PCI_COMMAND, 2, PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
}

/* Lay out a good area in the first two pages. */
static inline struct chan_area *fake_layout(struct fake_daemon *d)
{
	struct chan_area *a = (void *)d->mem;
	u32 at = 4096;

	memset(d->mem, 0, FAKE_RINGS);
	*a = (struct chan_area){
		.magic = CHAN_AREA_MAGIC,
		.abi = CHAN_ABI,
		.npages = 2,
		.nrings = CHAN_RINGS,
		.pool_offset = FAKE_POOL,
		.pool_slots = d->slots,
	};
	for (unsigned i = 0; i < CHAN_RINGS; i++) {
		a->ring[i] = (struct chan_ring_place){
			.offset = at,
			.entry_size = fake_entry_size[i],
			.entries = d->entries,
		};
		ring_open(&d->ring[i], (void *)(d->mem + at), fake_entry_size[i], d->entries);
		d->ring[i].ring->wants_bell = 1; /* a daemon that sleeps */
		at += (u32)ALIGN_UP(ring_bytes(fake_entry_size[i], d->entries), 64);
	}
	return a;
}

static inline u32 fake_give_pages(struct fake_daemon *d)
{
	u32 err = fake_cmd(d, CHAN_CMD_PAGE, FAKE_BASE);

	return err ? err : fake_cmd(d, CHAN_CMD_PAGE, FAKE_BASE + CHAN_PAGE_SIZE);
}

/* What a daemon does when it starts. */
static inline u32 fake_attach(struct fake_daemon *d)
{
	u32 err;

	fake_cmd(d, CHAN_CMD_DETACH, 0);
	fake_layout(d);
	err = fake_give_pages(d);
	if (!err)
		err = fake_cmd(d, CHAN_CMD_ATTACH, 0);
	fake_set(d, CHAN_REG_ENABLE, UINT32_MAX);
	return err;
}

static inline void fake_bell(struct fake_daemon *d, enum chan_ring_id ring)
{
	fake_set(d, CHAN_REG_BELL, (u32)BIT(ring));
}

static inline u8 *fake_slot(struct fake_daemon *d, u32 slot)
{
	return d->mem + FAKE_POOL + slot * CHAN_SLOT_SIZE;
}

#endif
