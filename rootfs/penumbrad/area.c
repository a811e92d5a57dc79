/* Layout of the area and the bells.
 *
 * SPDX-License-Identifier: MIT
 */
#include "area.h"

#include <errno.h>
#include <string.h>

#include "../lib/say.h"
#include "penumbra/trace.h"

/* All rings and the text lie in page 0, the pool is in the others. */
static const struct ring_size {
	u32 entry_size, entries;
} ring_sizes[CHAN_RINGS] = {
	[CHAN_CTL_REQ] = {sizeof(struct chan_ctl_req), 64},
	[CHAN_CTL_REPLY] = {sizeof(struct chan_ctl_reply), 256},
	[CHAN_CON_OUT] = {sizeof(struct chan_con), 512},
	[CHAN_CON_IN] = {sizeof(struct chan_con), 128},
	[CHAN_BLK_REQ] = {sizeof(struct chan_blk_req), CHAN_POOL_MAX},
	[CHAN_BLK_DONE] = {sizeof(struct chan_blk_done), 2 * CHAN_POOL_MAX},
	[CHAN_NET_OUT] = {sizeof(struct chan_net), 256},
	[CHAN_NET_IN] = {sizeof(struct chan_net), 256},
	[CHAN_TRACE] = {sizeof(struct trace_entry), 8192},
};

static u32 place_rings(struct area *a, struct chan_area *head)
{
	u32 offset = ALIGN_UP((u32)sizeof(*head), 64u);

	for (unsigned i = 0; i < CHAN_RINGS; i++) {
		const struct ring_size *s = &ring_sizes[i];
		struct chan_ring *ring = (void *)(a->transport->area + offset);

		head->ring[i] = (struct chan_ring_place){
			.offset = offset, .entry_size = s->entry_size, .entries = s->entries};
		memset(ring, 0, sizeof(*ring));
		ring_open(&a->ring[i], ring, s->entry_size, s->entries);
		offset = ALIGN_UP(offset + (u32)ring_bytes(s->entry_size, s->entries), 64u);
	}
	return offset;
}

static void lay_out(struct area *a)
{
	struct transport *t = a->transport;
	struct chan_area *head = (void *)t->area;
	u32 slots = (t->npages - 1) * (CHAN_PAGE_SIZE / CHAN_SLOT_SIZE);

	memset(head, 0, sizeof(*head));
	head->magic = CHAN_AREA_MAGIC;
	head->abi = CHAN_ABI;
	head->npages = t->npages;
	head->nrings = CHAN_RINGS;
	a->text_offset = ALIGN_UP(place_rings(a, head), (u32)PAGE_SIZE);
	a->text = t->area + a->text_offset;
	head->pool_offset = CHAN_PAGE_SIZE;
	head->pool_slots = MIN(slots, CHAN_POOL_MAX);
	a->pool = t->area + head->pool_offset;
	a->pool_slots = head->pool_slots;
}

int transport_command(struct transport *t, enum chan_cmd cmd, u64 arg)
{
	t->ops->reg_write(t, CHAN_REG_ARG_LO, (u32)arg);
	t->ops->reg_write(t, CHAN_REG_ARG_HI, (u32)(arg >> 32));
	t->ops->reg_write(t, CHAN_REG_CMD, cmd);
	return -(int)t->ops->reg_read(t, CHAN_REG_ERROR);
}

int area_attach(struct area *a, struct transport *t)
{
	int rc = 0;

	*a = (struct area){.transport = t};
	lay_out(a);
	for (unsigned i = 0; i < t->npages && !rc; i++) {
		u64 address = t->ops->page_address(t, i);

		rc = address ? transport_command(t, CHAN_CMD_PAGE, address) : -EFAULT;
	}
	if (!rc)
		rc = transport_command(t, CHAN_CMD_ATTACH, 0);
	if (rc)
		say("the hypervisor does not take the channel's area: %s", strerror(-rc));
	return rc;
}

void area_detach(struct area *a)
{
	transport_command(a->transport, CHAN_CMD_DETACH, 0);
	for (unsigned i = 0; i < CHAN_RINGS; i++)
		ring_shut(&a->ring[i]);
}

void *area_slot(const struct area *a, u32 slot)
{
	return slot < a->pool_slots ? a->pool + (size_t)slot * CHAN_SLOT_SIZE : NULL;
}

bool area_put(struct area *a, enum chan_ring_id id, const void *entry)
{
	if (!ring_put(&a->ring[id], entry))
		return false;
	area_touched(a, id);
	return true;
}

void area_touched(struct area *a, enum chan_ring_id id)
{
	a->bells |= 1u << id;
}

/* Rung once a turn, not once an entry: each bell is an exit. */
void area_ring_bells(struct area *a)
{
	u32 ring = 0;

	for (unsigned i = 0; i < CHAN_RINGS; i++) {
		const struct ring_end *e = &a->ring[i];

		if (!(a->bells & 1u << i))
			continue;
		if (AREA_CONSUMED & 1u << i ? ring_room_wanted(e) : ring_bell_wanted(e))
			ring |= 1u << i;
	}
	a->bells = 0;
	if (ring)
		a->transport->ops->reg_write(a->transport, CHAN_REG_BELL, ring);
}

enum chan_ring_id area_dead_ring(const struct area *a)
{
	unsigned i = 0;

	while (i < CHAN_RINGS && !a->ring[i].dead)
		i++;
	return (enum chan_ring_id)i;
}
