/* The channel's PCI function: would catch an area accepted with foreign pages, wrong places or
 * without bus mastering; an interrupt that is lost, sticks or ignores ENABLE; a dead daemon (bus
 * mastering taken away) whose area is still used; a broken ring that goes unsaid.
 *
 * SRCS: hv/chan/channel.c hv/dev/pci.c hv/dev/bus.c
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>

#include "unit.h"

#include "fake_daemon.h"

struct watcher {
	struct chan_user user;
	unsigned attached, detached, bells;
	u32 rings;
};

static void on_attached(struct chan_user *u)
{
	container_of(u, struct watcher, user)->attached++;
}

static void on_detached(struct chan_user *u)
{
	container_of(u, struct watcher, user)->detached++;
}

static void on_bell(struct chan_user *u, u32 rings)
{
	struct watcher *w = container_of(u, struct watcher, user);

	w->bells++;
	w->rings = rings;
}

static void start(struct fake_daemon *d, struct watcher *w)
{
	*w = (struct watcher){
		.user = {.attached = on_attached, .detached = on_detached, .bell = on_bell}};
	d->mem = NULL;
	fake_daemon_init(d);
	channel_add_user(&d->ch, &w->user);
	fake_plug(d);
}

TEST(the_function_says_what_it_is)
{
	struct fake_daemon d;
	struct watcher w;

	start(&d, &w);
	CHECK_EQ(pci_cfg_read(&d.ch.pci, 0, 4), 0x00015042);
	CHECK_EQ(pci_cfg_read(&d.ch.pci, PCI_INTERRUPT_PIN, 1), 1);
	CHECK_EQ(fake_get(&d, CHAN_REG_MAGIC), CHAN_MAGIC);
	CHECK_EQ(fake_get(&d, CHAN_REG_ABI), CHAN_ABI);
	CHECK_EQ(fake_get(&d, CHAN_REG_STATE), 0);
	CHECK_EQ(fake_cmd(&d, 99, 0), EINVAL);
	CHECK_EQ(fake_cmd(&d, CHAN_CMD_READY, 0), 0);
	CHECK_EQ(fake_cmd(&d, CHAN_CMD_READY, 0), 0);
	CHECK_EQ(d.readies, 1);
	CHECK_EQ(fake_get(&d, CHAN_REG_STATE), CHAN_STATE_READY);
	fake_daemon_end(&d);
}

TEST(pages_must_be_the_control_partitions_own)
{
	struct fake_daemon d;
	struct watcher w;

	start(&d, &w);
	CHECK_EQ(fake_cmd(&d, CHAN_CMD_PAGE, 0), EFAULT);
	CHECK_EQ(fake_cmd(&d, CHAN_CMD_PAGE, FAKE_BASE + FAKE_PAGES * (u64)CHAN_PAGE_SIZE), EFAULT);
	CHECK_EQ(fake_cmd(&d, CHAN_CMD_PAGE, ~0ull & ~(CHAN_PAGE_SIZE - 1ull)), EFAULT);
	CHECK_EQ(fake_cmd(&d, CHAN_CMD_PAGE, FAKE_BASE + 4096), EINVAL);
	CHECK_EQ(fake_cmd(&d, CHAN_CMD_PAGE, FAKE_BASE), 0);
	CHECK_EQ(fake_cmd(&d, CHAN_CMD_PAGE, FAKE_BASE), EEXIST);
	fake_daemon_end(&d);
}

TEST(attach_checks_the_area)
{
	struct fake_daemon d;
	struct watcher w;
	struct chan_area *a;

#define TRY(change, want)                                                                          \
	do {                                                                                       \
		a = fake_layout(&d);                                                               \
		change;                                                                            \
		CHECK_EQ(fake_give_pages(&d), 0);                                                  \
		CHECK_EQ(fake_cmd(&d, CHAN_CMD_ATTACH, 0), want);                                  \
		CHECK_EQ(fake_get(&d, CHAN_REG_STATE), 0);                                         \
		CHECK_EQ(d.ch.npages, 0);                                                          \
	} while (0)

	start(&d, &w);
	CHECK_EQ(fake_cmd(&d, CHAN_CMD_ATTACH, 0), ENOTCONN);
	TRY(a->magic++, EPROTO);
	TRY(a->abi++, EPROTO);
	TRY(a->nrings--, EPROTO);
	TRY(a->npages = 1, EINVAL);
	TRY(a->ring[CHAN_BLK_DONE].offset = 2 * CHAN_PAGE_SIZE, EINVAL);
	TRY(a->ring[CHAN_NET_IN].entry_size = 64, EINVAL);
	TRY(a->ring[CHAN_TRACE].entries = 3, EINVAL);
	TRY(a->pool_slots = 0, EINVAL);
	TRY(a->pool_slots = 17, EINVAL);
	TRY(a->pool_slots = 0xffffffffu, EINVAL);
	TRY(a->pool_offset = 100, EINVAL);
	TRY(a->pool_offset = CHAN_PAGE_SIZE - 4096, EINVAL);
	TRY(a->pool_offset = 0xfffff000u, EINVAL);
	TRY(pci_cfg_write(&d.ch.pci, PCI_COMMAND, 2, PCI_COMMAND_MEM), EPERM);
	CHECK_EQ(w.attached, 0);
	pci_cfg_write(&d.ch.pci, PCI_COMMAND, 2, PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
	CHECK_EQ(fake_attach(&d), 0);
	CHECK_EQ(w.attached, 1);
	CHECK_EQ(w.bells, 1); /* what it put in before is looked at */
	CHECK_EQ(fake_cmd(&d, CHAN_CMD_PAGE, FAKE_BASE), EBUSY);
	CHECK_EQ(fake_cmd(&d, CHAN_CMD_ATTACH, 0), EBUSY);
	CHECK_EQ(fake_get(&d, CHAN_REG_STATE), CHAN_STATE_ATTACHED);
	CHECK_EQ(d.ring[CHAN_CTL_REQ].ring->wants_bell, 1);
	fake_daemon_end(&d);
}

static void put(struct fake_daemon *d, enum chan_ring_id ring)
{
	static const u8 entry[2048];

	spin_lock(&d->ch.lock);
	CHECK(ring_put(&d->ch.ring[ring], entry));
	channel_put_done(&d->ch, ring);
	spin_unlock(&d->ch.lock);
}

TEST(the_interrupt_follows_isr_and_enable)
{
	struct fake_daemon d;
	struct watcher w;

	start(&d, &w);
	fake_attach(&d);
	put(&d, CHAN_CON_OUT);
	CHECK_EQ(d.wakes, 1);
	CHECK(!d.intx); /* the level changes on the control partition's CPU */
	channel_poll(&d.ch);
	CHECK(d.intx);
	CHECK(pci_cfg_read(&d.ch.pci, PCI_STATUS, 2) & PCI_STATUS_INTX);
	put(&d, CHAN_NET_OUT);
	CHECK_EQ(d.wakes, 1); /* it is asserted already */
	CHECK_EQ(fake_get(&d, CHAN_REG_ISR), BIT(CHAN_CON_OUT) | BIT(CHAN_NET_OUT));
	pci_cfg_write(&d.ch.pci, PCI_COMMAND, 2,
		      PCI_COMMAND_MEM | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	CHECK(!d.intx);
	CHECK(pci_cfg_read(&d.ch.pci, PCI_STATUS, 2) & PCI_STATUS_INTX);
	pci_cfg_write(&d.ch.pci, PCI_COMMAND, 2, PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
	CHECK(d.intx);
	fake_set(&d, CHAN_REG_ISR, (u32)BIT(CHAN_CON_OUT));
	CHECK(d.intx);
	fake_set(&d, CHAN_REG_ENABLE, (u32)BIT(CHAN_CON_OUT));
	CHECK(!d.intx);
	fake_set(&d, CHAN_REG_ENABLE, UINT32_MAX);
	CHECK(d.intx);
	fake_set(&d, CHAN_REG_ISR, UINT32_MAX);
	CHECK(!d.intx);
	d.ring[CHAN_CON_OUT].ring->wants_bell = 0; /* a daemon that is awake is left alone */
	put(&d, CHAN_CON_OUT);
	CHECK_EQ(fake_get(&d, CHAN_REG_ISR), 0);
	fake_daemon_end(&d);
}

TEST(losing_bus_mastering_detaches)
{
	struct fake_daemon d;
	struct watcher w;

	start(&d, &w);
	fake_attach(&d);
	put(&d, CHAN_CON_OUT);
	channel_poll(&d.ch);
	pci_cfg_write(&d.ch.pci, PCI_COMMAND, 2, PCI_COMMAND_MEM);
	CHECK_EQ(w.detached, 1);
	CHECK(!d.intx);
	CHECK_EQ(fake_get(&d, CHAN_REG_STATE), 0);
	CHECK(!channel_at(&d.ch, 0, 1));
	CHECK(!ring_room(&d.ch.ring[CHAN_CON_OUT]));
	w.bells = 0;
	fake_bell(&d, CHAN_CTL_REQ);
	channel_poll(&d.ch);
	CHECK_EQ(w.bells, 0);
	fake_cmd(&d, CHAN_CMD_DETACH, 0);
	CHECK_EQ(w.detached, 1);
	pci_cfg_write(&d.ch.pci, PCI_COMMAND, 2, PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
	CHECK_EQ(fake_attach(&d), 0);
	CHECK_EQ(w.attached, 2);
	put(&d, CHAN_CON_OUT);
	fake_daemon_end(&d);
}

TEST(doorbells_reach_users_and_broken_rings_are_told_once)
{
	struct fake_daemon d;
	struct watcher w;
	u8 entry[64];

	start(&d, &w);
	fake_attach(&d);
	w.bells = 0;
	fake_bell(&d, CHAN_CON_IN);
	CHECK_EQ(w.bells, 1);
	CHECK_EQ(w.rings, BIT(CHAN_CON_IN));
	fake_set(&d, CHAN_REG_BELL, 0xffff0000u);
	CHECK_EQ(w.bells, 1);
	d.ring[CHAN_CTL_REQ].ring->head = 1000;
	CHECK(!ring_get(&d.ch.ring[CHAN_CTL_REQ], entry));
	fake_bell(&d, CHAN_CTL_REQ);
	fake_bell(&d, CHAN_CTL_REQ);
	CHECK_EQ(d.errors, 1);
	CHECK(strstr(d.said, "control requests") != NULL);
	fake_daemon_end(&d);
}

TEST(only_aligned_dwords_are_registers)
{
	struct fake_daemon d;
	struct watcher w;
	const struct mmio_range *r;

	start(&d, &w);
	r = bus_find_mmio(&d.bus, FAKE_BAR);
	CHECK(r != NULL);
	CHECK_EQ(r->ops->read(r->dev, 0, 8), -1);
	CHECK_EQ(r->ops->read(r->dev, 2, 4), -1);
	r->ops->write(r->dev, CHAN_REG_CMD, 1, CHAN_CMD_READY);
	CHECK_EQ(d.readies, 0);
	CHECK_EQ(r->ops->read(r->dev, 0xffc, 4), 0);
	fake_daemon_end(&d);
}
