/* The control channel's PCI function. See channel.h.
 *
 * Every value read here may have been chosen to do harm: an address must be the control partition's
 * own memory, a place must lie inside the area, and the area's description is copied before it is
 * checked.
 *
 * SPDX-License-Identifier: MIT
 */
#include "chan/channel.h"
#include "lib/str.h"
#include "penumbra/trace.h"

#define CLASS_UNASSIGNED 0xff0000u

/* Linux's, whatever the host of a test has. */
#define ERR_PERM    1
#define ERR_2BIG    7
#define ERR_FAULT   14
#define ERR_BUSY    16
#define ERR_EXIST   17
#define ERR_INVAL   22
#define ERR_PROTO   71
#define ERR_NOTCONN 107

static const u32 entry_size[CHAN_RINGS] = {
	[CHAN_CTL_REQ] = sizeof(struct chan_ctl_req),
	[CHAN_CTL_REPLY] = sizeof(struct chan_ctl_reply),
	[CHAN_CON_OUT] = sizeof(struct chan_con),
	[CHAN_CON_IN] = sizeof(struct chan_con),
	[CHAN_BLK_REQ] = sizeof(struct chan_blk_req),
	[CHAN_BLK_DONE] = sizeof(struct chan_blk_done),
	[CHAN_NET_OUT] = sizeof(struct chan_net),
	[CHAN_NET_IN] = sizeof(struct chan_net),
	[CHAN_TRACE] = sizeof(struct trace_entry),
};

#define CONSUMED  (BIT(CHAN_CTL_REQ) | BIT(CHAN_CON_IN) | BIT(CHAN_BLK_DONE) | BIT(CHAN_NET_IN))
#define ALL_RINGS ((u32)BIT(CHAN_RINGS) - 1)

static const char *const ring_name[CHAN_RINGS] = {
	[CHAN_CTL_REQ] = "control requests",
	[CHAN_CTL_REPLY] = "control replies",
	[CHAN_CON_OUT] = "console output",
	[CHAN_CON_IN] = "console input",
	[CHAN_BLK_REQ] = "block requests",
	[CHAN_BLK_DONE] = "block answers",
	[CHAN_NET_OUT] = "network output",
	[CHAN_NET_IN] = "network input",
	[CHAN_TRACE] = "trace",
};

/* --- interrupt --- */

static bool bus_master(const struct channel *ch)
{
	return pci_get16(&ch->pci, PCI_COMMAND) & PCI_COMMAND_MASTER;
}

void channel_update_intx(struct channel *ch)
{
	bool level;

	spin_lock(&ch->lock);
	level = ch->isr & ch->enable;
	spin_unlock(&ch->lock);
	pci_set_intx(&ch->pci, level);
}

/* Under the lock. */
static void raise(struct channel *ch, enum chan_ring_id ring)
{
	bool was = ch->isr & ch->enable;

	ch->isr |= (u32)BIT(ring);
	if (!was && (ch->isr & ch->enable))
		ch->ops->intx(ch->ctx);
	else if (was && ch->ops->more)
		ch->ops->more(ch->ctx);
}

void channel_put_done(struct channel *ch, enum chan_ring_id ring)
{
	if (ring_bell_wanted(&ch->ring[ring]))
		raise(ch, ring);
}

void channel_get_done(struct channel *ch, enum chan_ring_id ring)
{
	if (ring_room_wanted(&ch->ring[ring]))
		raise(ch, ring);
}

/* --- the area --- */

void *channel_at(const struct channel *ch, u32 offset, u32 len)
{
	u32 page = offset / CHAN_PAGE_SIZE, at = offset % CHAN_PAGE_SIZE;

	if (page >= ch->npages || len > CHAN_PAGE_SIZE - at)
		return NULL;
	return ch->page[page] + at;
}

static bool pool_ok(const struct channel *ch, const struct chan_area *a)
{
	if (a->pool_offset % PAGE_SIZE || !a->pool_slots || a->pool_slots > CHAN_POOL_MAX)
		return false;
	if (a->pool_offset >= ch->npages * CHAN_PAGE_SIZE)
		return false;
	for (u32 i = 0; i < a->pool_slots; i++)
		if (!channel_at(ch, a->pool_offset + i * CHAN_SLOT_SIZE, CHAN_SLOT_SIZE))
			return false;
	return true;
}

/* What is wrong with the area, or 0. */
static int area_error(const struct channel *ch, const struct chan_area *a)
{
	if (a->magic != CHAN_AREA_MAGIC || a->abi != CHAN_ABI || a->nrings != CHAN_RINGS)
		return ERR_PROTO;
	if (a->npages != ch->npages)
		return ERR_INVAL;
	for (unsigned i = 0; i < CHAN_RINGS; i++)
		if (!ring_place_ok(&a->ring[i], entry_size[i], ch->npages))
			return ERR_INVAL;
	return pool_ok(ch, a) ? 0 : ERR_INVAL;
}

static void open_rings(struct channel *ch, const struct chan_area *a)
{
	for (unsigned i = 0; i < CHAN_RINGS; i++) {
		const struct chan_ring_place *p = &a->ring[i];

		ring_open(&ch->ring[i], channel_at(ch, p->offset, sizeof(struct chan_ring)),
			  p->entry_size, p->entries);
		/* The hypervisor looks only when it is rung. */
		if (BIT(i) & CONSUMED)
			ring_ask_bell(&ch->ring[i], true);
	}
}

/* --- commands --- */

static int cmd_page(struct channel *ch)
{
	void *va;

	if (ch->attached)
		return ERR_BUSY;
	if (ch->npages == CHAN_MAX_PAGES)
		return ERR_2BIG;
	if (ch->arg % CHAN_PAGE_SIZE)
		return ERR_INVAL;
	for (u32 i = 0; i < ch->npages; i++)
		if (ch->page_hpa[i] == ch->arg)
			return ERR_EXIST;
	va = ch->ops->memory(ch->ctx, ch->arg, CHAN_PAGE_SIZE);
	if (!va)
		return ERR_FAULT;
	ch->page[ch->npages] = va;
	ch->page_hpa[ch->npages++] = ch->arg;
	return 0;
}

static int attach(struct channel *ch)
{
	struct chan_area a;
	int err;

	if (ch->attached)
		return ERR_BUSY;
	if (!bus_master(ch))
		return ERR_PERM;
	if (!ch->npages)
		return ERR_NOTCONN;
	memcpy(&a, ch->page[0], sizeof(a));
	asm volatile("" : : : "memory");
	err = area_error(ch, &a);
	if (err)
		return err;
	spin_lock(&ch->lock);
	open_rings(ch, &a);
	ch->pool_offset = a.pool_offset;
	ch->pool_slots = a.pool_slots;
	ch->isr = ch->rung = ch->dead_said = ch->violations = 0;
	ch->attached = true;
	ch->attaches++;
	spin_unlock(&ch->lock);
	return 0;
}

static int cmd_attach(struct channel *ch)
{
	int err = attach(ch);

	if (err && !ch->attached)
		ch->npages = 0;
	if (err)
		return err;
	ch->ops->say(ch->ctx, false, "the control partition's daemon is attached");
	for (struct chan_user *u = ch->users; u; u = u->next)
		u->attached(u);
	/* It may have put something in before. */
	for (struct chan_user *u = ch->users; u; u = u->next)
		u->bell(u, ALL_RINGS);
	return 0;
}

static void detach(struct channel *ch)
{
	bool was;

	spin_lock(&ch->lock);
	was = ch->attached;
	ch->attached = false;
	ch->isr = ch->rung = 0;
	for (unsigned i = 0; i < CHAN_RINGS; i++)
		ring_shut(&ch->ring[i]);
	spin_unlock(&ch->lock);
	/* A CPU that copies has interrupts off and a slot's worth left at most. */
	while (__atomic_load_n(&ch->pins, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
	ch->npages = 0;
	channel_update_intx(ch);
	if (!was)
		return;
	ch->ops->say(ch->ctx, false, "the control partition's daemon is detached");
	for (struct chan_user *u = ch->users; u; u = u->next)
		u->detached(u);
}

static int cmd_ready(struct channel *ch)
{
	if (!ch->ready) {
		ch->ready = true;
		ch->ops->ready(ch->ctx);
	}
	return 0;
}

static int command(struct channel *ch, u32 cmd)
{
	switch (cmd) {
	case CHAN_CMD_DETACH:
		detach(ch);
		return 0;
	case CHAN_CMD_PAGE:
		return cmd_page(ch);
	case CHAN_CMD_ATTACH:
		return cmd_attach(ch);
	case CHAN_CMD_READY:
		return cmd_ready(ch);
	default:
		return ERR_INVAL;
	}
}

/* --- doorbells --- */

/* Tell once of each ring that the daemon broke, and of entries that made no sense. */
static void tell_dead(struct channel *ch)
{
	char text[96];

	for (unsigned i = 0; i < CHAN_RINGS; i++) {
		if (!ch->ring[i].dead || ch->dead_said & BIT(i))
			continue;
		ch->dead_said |= (u32)BIT(i);
		snprintf(text, sizeof(text),
			 "the daemon broke the ring of %s: it is dead until the next attach",
			 ring_name[i]);
		ch->ops->say(ch->ctx, true, text);
	}
	if (ch->violations && !(ch->dead_said & BIT(31))) {
		ch->dead_said |= (u32)BIT(31);
		ch->ops->say(ch->ctx, true, "the daemon sent an entry that makes no sense");
	}
}

static void ring_users(struct channel *ch, u32 rings)
{
	rings &= ALL_RINGS;
	for (struct chan_user *u = ch->users; u && rings && ch->attached; u = u->next)
		u->bell(u, rings);
	tell_dead(ch);
}

void channel_poll(struct channel *ch)
{
	if (ch->attached)
		ring_users(ch, ALL_RINGS);
	channel_update_intx(ch);
}

/* --- registers --- */

static u32 reg_read(const struct channel *ch, u32 reg)
{
	switch (reg) {
	case CHAN_REG_MAGIC:
		return CHAN_MAGIC;
	case CHAN_REG_ABI:
		return CHAN_ABI;
	case CHAN_REG_STATE:
		return (ch->attached ? CHAN_STATE_ATTACHED : 0) |
		       (ch->ready ? CHAN_STATE_READY : 0);
	case CHAN_REG_ARG_LO:
		return (u32)ch->arg;
	case CHAN_REG_ARG_HI:
		return (u32)(ch->arg >> 32);
	case CHAN_REG_ERROR:
		return ch->error;
	case CHAN_REG_ISR:
		return ch->isr;
	case CHAN_REG_ENABLE:
		return ch->enable;
	default:
		return 0;
	}
}

static void set_irq_bits(struct channel *ch, u32 clear, u32 enable)
{
	spin_lock(&ch->lock);
	ch->isr &= ~clear;
	ch->enable = enable & ALL_RINGS;
	spin_unlock(&ch->lock);
	channel_update_intx(ch);
}

static void reg_write(struct channel *ch, u32 reg, u32 v)
{
	switch (reg) {
	case CHAN_REG_ARG_LO:
		ch->arg = (ch->arg & ~0xffffffffull) | v;
		break;
	case CHAN_REG_ARG_HI:
		ch->arg = (u64)v << 32 | (u32)ch->arg;
		break;
	case CHAN_REG_CMD:
		ch->error = (u32)command(ch, v);
		break;
	case CHAN_REG_BELL:
		ring_users(ch, v);
		break;
	case CHAN_REG_ISR:
		set_irq_bits(ch, v, ch->enable);
		break;
	case CHAN_REG_ENABLE:
		set_irq_bits(ch, 0, v);
		break;
	}
}

static u64 mmio_read(void *dev, u64 off, unsigned size)
{
	if (off % 4 || size != 4)
		return UINT64_MAX;
	return reg_read(dev, (u32)off);
}

static void mmio_write(void *dev, u64 off, unsigned size, u64 value)
{
	if (off % 4 || size != 4)
		return;
	reg_write(dev, (u32)off, (u32)value);
}

static const struct mmio_ops mmio_ops = {.read = mmio_read, .write = mmio_write};

/* --- the function --- */

static void cfg_written(struct pci_dev *d, unsigned off, unsigned len)
{
	struct channel *ch = d->owner;

	if (off >= PCI_STATUS || off + len <= PCI_COMMAND)
		return;
	if (!bus_master(ch))
		detach(ch);
}

void channel_add_user(struct channel *ch, struct chan_user *u)
{
	u->next = ch->users;
	ch->users = u;
}

void channel_reset(struct channel *ch)
{
	detach(ch);
	ch->ready = false;
	ch->arg = 0;
	ch->error = 0;
	set_irq_bits(ch, ALL_RINGS, 0);
	pci_dev_reset(&ch->pci);
}

void channel_init(struct channel *ch, const struct channel_ops *ops, void *ctx)
{
	memset(ch, 0, sizeof(*ch));
	ch->ops = ops;
	ch->ctx = ctx;
	pci_dev_init(&ch->pci, CHAN_PCI_VENDOR, CHAN_PCI_DEVICE, CLASS_UNASSIGNED, CHAN_ABI);
	ch->pci.owner = ch;
	ch->pci.written = cfg_written;
	ch->pci.intx_pin = 1;
	ch->pci.cfg[PCI_INTERRUPT_PIN] = 1;
	pci_bar_mem(&ch->pci, 0, CHAN_BAR_SIZE, &mmio_ops, ch);
}
