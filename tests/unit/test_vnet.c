/* Virtio-net. Would catch: a header of the wrong length for a generation of driver, frames cut or
 * joined wrongly over buffers, a wrong count of merged buffers, a frame lost or sent twice when
 * either side has no room, a missed wake-up after that, link changes not told, work after a reset.
 *
 * SRCS: hv/dev/vnet.c hv/dev/virtio_ring.c hv/dev/virtio_pci.c hv/dev/virtio_caps.c hv/dev/msix.c
 * SRCS: hv/dev/pci.c hv/dev/bus.c hv/lib/timerq.c
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/vnet.h"

#include "fake_net.h"
#include "virtio_rig.h"

#define F_MRG	 BIT(15)
#define F_STATUS BIT(16)
#define TXBUF	 0x80000u
#define RXBUF	 0x100000u

struct machine {
	struct rig r;
	struct vnet d;
	struct fake_net net;
};

static struct machine *machine_new(void)
{
	struct machine *m = calloc(1, sizeof(*m));

	rig_init(&m->r);
	fake_net_init(&m->net, &m->r.f.host);
	CHECK_EQ(vnet_init(&m->d, &m->r.f.host, &m->r.pci, RIG_SLOT, &m->net.net), 0);
	rig_place(&m->r, &m->d.v);
	return m;
}

static u16 rx_buffer(struct machine *m, gpa_t at, u32 len)
{
	struct buf b = {at, len, true};

	memset(m->r.mem + at, 0xee, len);
	return chain(&m->r, &m->r.q[0], &b, 1);
}

static u16 tx_frame(struct machine *m, u32 header, u32 len, u8 fill)
{
	struct buf b[2] = {{TXBUF, header, false}, {TXBUF + 0x1000, len, false}};

	memset(m->r.mem + TXBUF, 0, header);
	memset(m->r.mem + TXBUF + 0x1000, fill, len);
	return chain(&m->r, &m->r.q[1], b, 2);
}

TEST(function_and_configuration)
{
	struct machine *m = machine_new();

	CHECK_EQ(pci_cfg_read(&m->d.v.pci, 0, 4), 0x10001af4);
	CHECK_EQ(pci_cfg_read(&m->d.v.pci, PCI_SUBSYSTEM_ID, 2), 1);
	CHECK_EQ(pci_cfg_read(&m->d.v.pci, PCI_CLASS_DEVICE, 2), 0x0200);
	for (unsigned i = 0; i < 6; i++) {
		CHECK_EQ(io_in(&m->r, 20 + i, 1), m->net.net.mac[i]);
		CHECK_EQ(mmio_in(&m->r, RIG_REGS + VIRTIO_MEM_DEVICE + i, 1), m->net.net.mac[i]);
	}
	CHECK_EQ(io_in(&m->r, 26, 2), 1); /* link up */
	free(m);
}

static void transmit(bool modern, u64 features, u32 header)
{
	struct machine *m = machine_new();
	struct buf one = {TXBUF, header + 60, false};

	if (modern)
		modern_start(&m->r, features, 2, 16);
	else
		legacy_start(&m->r, (u32)features, 2);
	for (unsigned i = 0; i < 40; i++) {
		int head = tx_frame(m, header, 60 + i, (u8)i);

		kick(&m->r, 1);
		CHECK_EQ(m->net.sent, i + 1);
		CHECK_EQ(m->net.last_len, 60 + i);
		CHECK(m->net.last[0] == i && m->net.last[59 + i] == i);
		CHECK_EQ(used_take(&m->r, &m->r.q[1], NULL), head);
	}
	CHECK_EQ(m->net.ends, 40);
	/* header and frame in one buffer */
	memset(m->r.mem + TXBUF + header, 0x99, 60);
	chain(&m->r, &m->r.q[1], &one, 1);
	kick(&m->r, 1);
	CHECK_EQ(m->net.sent, 41);
	CHECK(m->net.last_len == 60 && m->net.last[0] == 0x99 && m->net.last[59] == 0x99);
	free(m);
}

TEST(transmit_modern)
{
	transmit(true, 0, 12);
}
TEST(transmit_modern_events)
{
	transmit(true, F_EVENT_IDX | F_INDIRECT | F_MRG, 12);
}
TEST(transmit_legacy)
{
	transmit(false, 0, 10);
}
TEST(transmit_legacy_merging)
{
	transmit(false, F_MRG, 12);
}

TEST(what_is_no_frame_is_dropped)
{
	struct machine *m = machine_new();
	static const u32 bad[] = {0, 1, 13, 1519, 9000, 65535};

	modern_start(&m->r, F_INDIRECT, 2, 16);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		tx_frame(m, 12, bad[i], 1);
		kick(&m->r, 1);
		CHECK(used_take(&m->r, &m->r.q[1], NULL) >= 0);
	}
	tx_frame(m, 5, 0, 1); /* half a header */
	kick(&m->r, 1);
	CHECK_EQ(m->net.sent, 0);
	tx_frame(m, 12, 1518, 1);
	kick(&m->r, 1);
	CHECK_EQ(m->net.sent, 1);
	free(m);
}

TEST(no_room_to_send)
{
	struct machine *m = machine_new();
	struct drv *q = &m->r.q[1];

	modern_start(&m->r, F_EVENT_IDX, 2, 16);
	m->net.room = 2;
	for (unsigned i = 0; i < 5; i++)
		tx_frame(m, 12, 60 + i, (u8)i);
	kick(&m->r, 1);
	CHECK_EQ(m->net.sent, 2);
	CHECK_EQ(used_new(&m->r, q), 2);
	tx_frame(m, 12, 65, 5);
	CHECK(!wants_kick(&m->r, q, 5));
	kick(&m->r, 1); /* comes all the same */
	CHECK_EQ(m->net.sent, 2);
	m->net.room = 1;
	m->net.net.nic->tx_ready(m->net.net.nic_ctx);
	CHECK_EQ(m->net.sent, 3);
	CHECK_EQ(m->net.last_len, 62);
	m->net.room = 99;
	m->net.net.nic->tx_ready(m->net.net.nic_ctx);
	CHECK_EQ(m->net.sent, 6);
	CHECK_EQ(m->net.last_len, 65);
	tx_frame(m, 12, 66, 6);
	CHECK(wants_kick(&m->r, q, 6));
	free(m);
}

/* One frame into one buffer, by header length. */
static void receive(bool modern, u64 features, u32 header)
{
	struct machine *m = machine_new();
	struct drv *q = &m->r.q[0];
	u32 len;

	if (modern)
		modern_start(&m->r, features, 2, 16);
	else
		legacy_start(&m->r, (u32)features, 2);
	for (unsigned i = 0; i < 40; i++) {
		int head = rx_buffer(m, RXBUF, 2048);

		CHECK(fake_net_deliver(&m->net, m->net.net.mac, 60 + i * 30, (u8)i));
		CHECK_EQ(used_take(&m->r, q, &len), head);
		CHECK_EQ(len, header + 60 + i * 30);
		CHECK(!memcmp(m->r.mem + RXBUF + header, m->net.net.mac, 6));
		CHECK_EQ(m->r.mem[RXBUF + header + 59 + i * 30], i);
		CHECK_EQ(m->r.mem[RXBUF + header + 60 + i * 30], 0xee);
		if (header == 12)
			CHECK_EQ(get16(&m->r, RXBUF + 10), 1);
		used_event(&m->r, q, (u16)(i + 1));
		CHECK(m->r.line);
		isr(&m->r);
	}
	free(m);
}

TEST(receive_modern)
{
	receive(true, 0, 12);
}
TEST(receive_modern_merging)
{
	receive(true, F_MRG | F_EVENT_IDX, 12);
}
TEST(receive_legacy)
{
	receive(false, 0, 10);
}

TEST(receive_into_header_and_data_buffers)
{
	struct machine *m = machine_new();
	struct buf b[2] = {{RXBUF, 10, true}, {RXBUF + 0x1000, 1518, true}};

	legacy_start(&m->r, 0, 2);
	chain(&m->r, &m->r.q[0], b, 2);
	CHECK(fake_net_deliver(&m->net, m->net.net.mac, 1518, 7));
	CHECK(!memcmp(m->r.mem + RXBUF + 0x1000, m->net.net.mac, 6));
	CHECK_EQ(m->r.mem[RXBUF + 0x1000 + 1517], 7);
	CHECK_EQ(used_new(&m->r, &m->r.q[0]), 1);
	free(m);
}

TEST(merged_buffers)
{
	struct machine *m = machine_new();
	struct drv *q = &m->r.q[0];
	u32 len, sum = 0;

	modern_start(&m->r, F_MRG, 2, 16);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 4; i++)
			rx_buffer(m, RXBUF + 0x1000 * i, 400);
		CHECK(fake_net_deliver(&m->net, m->net.net.mac, 1500, 9));
		CHECK_EQ(used_new(&m->r, q), 4);
		CHECK_EQ(get16(&m->r, RXBUF + 10), 4);
		for (unsigned i = 0; i < 4; i++) {
			CHECK(used_take(&m->r, q, &len) >= 0);
			CHECK_EQ(len, i < 3 ? 400 : 312);
			sum += len;
		}
		CHECK_EQ(m->r.mem[RXBUF + 0x3000 + 311], 9);
		CHECK_EQ(m->r.mem[RXBUF + 0x3000 + 312], 0xee);
	}
	CHECK_EQ(sum, 20 * 1512);
	free(m);
}

TEST(no_buffer_to_receive)
{
	struct machine *m = machine_new();
	struct drv *q = &m->r.q[0];

	modern_start(&m->r, F_MRG | F_EVENT_IDX, 2, 16);
	rx_buffer(m, RXBUF, 400);
	rx_buffer(m, RXBUF + 0x1000, 400);
	kick(&m->r, 0);
	CHECK_EQ(m->net.ready, 0);
	CHECK(!fake_net_deliver(&m->net, m->net.net.mac, 1500, 1)); /* two of four buffers */
	CHECK_EQ(used_new(&m->r, q), 0);
	rx_buffer(m, RXBUF + 0x2000, 400);
	CHECK(wants_kick(&m->r, q, 2));
	rx_buffer(m, RXBUF + 0x3000, 400);
	kick(&m->r, 0);
	CHECK_EQ(m->net.ready, 1);
	CHECK(fake_net_deliver(&m->net, m->net.net.mac, 1500, 1));
	CHECK_EQ(used_new(&m->r, q), 4);
	/* without merging a buffer that is too small loses the frame, not the queue */
	modern_start(&m->r, 0, 2, 16);
	rx_buffer(m, RXBUF, 100);
	CHECK(fake_net_deliver(&m->net, m->net.net.mac, 1500, 1));
	CHECK_EQ(used_new(&m->r, &m->r.q[0]), 0);
	CHECK(fake_net_deliver(&m->net, m->net.net.mac, 60, 1));
	CHECK_EQ(used_new(&m->r, &m->r.q[0]), 1);
	free(m);
}

TEST(not_ready_means_dropped)
{
	struct machine *m = machine_new();

	CHECK(fake_net_deliver(&m->net, m->net.net.mac, 60, 1));
	modern_start(&m->r, 0, 2, 16);
	CHECK(fake_net_deliver(&m->net, m->net.net.mac, 13, 1));
	CHECK(fake_net_deliver(&m->net, m->net.net.mac, 1519, 1));
	CHECK(!fake_net_deliver(&m->net, m->net.net.mac, 60, 1));
	vnet_reset(&m->d);
	CHECK(fake_net_deliver(&m->net, m->net.net.mac, 60, 1));
	CHECK(m->net.resets >= 1);
	CHECK_EQ(m->d.rx_frames, 0);
	free(m);
}

TEST(link_changes)
{
	struct machine *m = machine_new();
	u8 generation;

	modern_start(&m->r, F_STATUS, 2, 16);
	generation = (u8)common_in(&m->r, 21, 1);
	m->net.net.link_up = false;
	m->net.net.nic->link(m->net.net.nic_ctx);
	CHECK_EQ(isr(&m->r), 2);
	CHECK_EQ(mmio_in(&m->r, RIG_REGS + VIRTIO_MEM_DEVICE + 6, 2), 0);
	CHECK(generation != common_in(&m->r, 21, 1));
	free(m);
}

TEST(hostile_receive_ring)
{
	struct machine *m = machine_new();

	modern_start(&m->r, F_MRG, 2, 16);
	desc_put(&m->r, m->r.q[0].desc, 0, RXBUF, 100, D_WRITE | D_NEXT, 0);
	avail_put(&m->r, &m->r.q[0], 0);
	CHECK(fake_net_deliver(&m->net, m->net.net.mac, 60, 1) || m->d.v.broken);
	CHECK(rig_status(&m->r) & 0x40);
	modern_start(&m->r, F_MRG, 2, 16);
	rx_buffer(m, RXBUF, 2048);
	put16(&m->r, m->r.q[0].desc + 4, 0x100); /* address bits 47:32 */
	CHECK(fake_net_deliver(&m->net, m->net.net.mac, 60, 1));
	CHECK(rig_status(&m->r) & 0x40);
	CHECK(fake_net_deliver(&m->net, m->net.net.mac, 60, 1)); /* not owed anything */
	free(m);
}
