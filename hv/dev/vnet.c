/* Virtio network device: see vnet.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/vnet.h"

#include "lib/errno.h"
#include "lib/str.h"

#define PCI_ID_NET     0x1000
#define TYPE_NET       1
#define CLASS_ETHERNET 0x020000

/* Features (§5.1.3) */
#define F_MAC	    BIT(5)
#define F_MRG_RXBUF BIT(15)
#define F_STATUS    BIT(16)

/* Configuration (§5.1.4) */
#define CFG_MAC	       0u
#define CFG_STATUS     6u
#define CFG_LEN	       8u
#define STATUS_LINK_UP 1u

/* A frame's header (§5.1.6). Without offloads only the number of buffers ever has a value. */
#define HDR_SHORT 10u /* legacy without merged buffers */
#define HDR_LONG  12u
#define HDR_NBUFS 10u

static struct vnet *of(struct virtio *v)
{
	return container_of(v, struct vnet, v);
}

static bool merges(const struct vnet *d)
{
	return virtio_has(&d->v, F_MRG_RXBUF);
}

static u32 header_len(const struct vnet *d)
{
	return merges(d) || virtio_has(&d->v, VIRTIO_F_VERSION_1) ? HDR_LONG : HDR_SHORT;
}

/* --- transmit --- */

/* False: no room, the chain stays. What cannot be a frame is dropped, as a cable would. */
static bool tx_frame(struct vnet *d, struct virtio_chain *c)
{
	u64 header = header_len(d), len = c->out_len - header;
	unsigned n = c->nout;
	int err = -EINVAL;

	if (c->out_len >= header + NET_FRAME_MIN && len <= NET_FRAME_MAX) {
		virtio_trim_front(c->seg, &n, header);
		err = net_send(d->net, c->seg, n, (u32)len);
	}
	if (err == -EAGAIN)
		return false;
	d->tx_frames += !err;
	d->tx_dropped += err != 0;
	return true;
}

static void tx_run(struct vnet *d)
{
	struct virtq *q = &d->v.q[VNET_TX];
	struct blk_seg seg[NET_MAX_SEGS];
	struct virtio_chain c = {.seg = seg, .max = NET_MAX_SEGS};
	unsigned sent = 0;

	if (!virtio_live(&d->v, VNET_TX) || d->tx_full)
		return;
	while (sent < VNET_QUEUE && virtq_peek(&d->v, q, 0, &c) > 0) {
		d->tx_full = !tx_frame(d, &c);
		if (d->tx_full)
			break;
		virtq_take(q, 1);
		virtq_fill(&d->v, q, sent++, c.head, 0);
	}
	if (sent) {
		virtq_publish(&d->v, q, sent);
		net_send_end(d->net);
	}
	if (d->tx_full)
		virtq_spare_kicks(&d->v, q);
	else
		virtq_want_kicks(&d->v, q);
	virtq_signal(&d->v, q);
}

static void on_tx_ready(void *ctx)
{
	struct vnet *d = ctx;

	d->tx_full = false;
	tx_run(d);
}

/* --- receive --- */

/* Part of the header and frame, laid end to end, into one buffer; bytes stored or -EFAULT. */
static int rx_store(struct vnet *d, const struct virtio_chain *c, const u8 *data, u32 len)
{
	const struct dev_host *h = d->v.host;
	u32 done = 0;

	for (unsigned i = c->nout; i < c->nout + c->nin && done < len; i++) {
		u32 n = MIN(c->seg[i].len, len - done);

		if (h->ops->mem_write(h->ctx, c->seg[i].gpa, data + done, n))
			return -EFAULT;
		done += n;
	}
	return (int)done;
}

/* Buffers that @len bytes take; 0: there are too few; negative: broken, or too small for any frame
 * of that length. The number stands in the first one's header, so it must be known before. */
static int rx_count(struct vnet *d, struct virtio_chain *c, u32 len)
{
	struct virtq *q = &d->v.q[VNET_RX];
	unsigned max = merges(d) ? VNET_RX_MERGE : 1;
	u64 room = 0;

	for (unsigned n = 0; n < max; n++) {
		int got = virtq_peek(&d->v, q, n, c);

		if (got <= 0)
			return got;
		room += c->in_len;
		if (room >= len)
			return (int)n + 1;
	}
	return -E2BIG;
}

/* Store header and frame in the next @n buffers and return those to the driver. */
static int rx_buffers(struct vnet *d, struct virtio_chain *c, const u8 *data, u32 len, unsigned n)
{
	struct virtq *q = &d->v.q[VNET_RX];
	u32 at = 0;

	for (unsigned i = 0; i < n; i++) {
		int put;

		/* With one buffer, the chain is the one that was counted. */
		if (n > 1 && virtq_peek(&d->v, q, i, c) <= 0)
			return -EFAULT;
		put = rx_store(d, c, data + at, len - at);
		if (put < 0) {
			virtio_break(&d->v);
			return put;
		}
		virtq_fill(&d->v, q, i, c->head, (u32)put);
		at += (u32)put;
	}
	virtq_take(q, n);
	virtq_publish(&d->v, q, n);
	return 0;
}

static bool rx_frame(struct vnet *d, const void *frame, u32 len)
{
	struct blk_seg seg[VNET_RX_SEGS];
	struct virtio_chain c = {.seg = seg, .max = VNET_RX_SEGS};
	u8 data[HDR_LONG + NET_FRAME_MAX] = {0};
	u32 header = header_len(d);
	int n = rx_count(d, &c, header + len);
	u16 nbufs = (u16)n;

	if (!n)
		return false;
	if (n > 0) {
		if (header == HDR_LONG)
			memcpy(data + HDR_NBUFS, &nbufs, sizeof(nbufs));
		memcpy(data + header, frame, len);
		n = rx_buffers(d, &c, data, header + len, (unsigned)n);
	}
	d->rx_dropped += n != 0;
	d->rx_frames += n == 0;
	return true;
}

static bool on_rx(void *ctx, const void *frame, u32 len)
{
	struct vnet *d = ctx;

	if (!virtio_live(&d->v, VNET_RX) || len < NET_FRAME_MIN || len > NET_FRAME_MAX) {
		d->rx_dropped++;
		return true;
	}
	if (rx_frame(d, frame, len))
		return true;
	/* Kicks cost the guest an exit each: only now is one of use. */
	d->rx_full = true;
	virtq_want_kicks(&d->v, &d->v.q[VNET_RX]);
	return false;
}

static void on_rx_end(void *ctx)
{
	struct vnet *d = ctx;

	if (virtio_live(&d->v, VNET_RX))
		virtq_signal(&d->v, &d->v.q[VNET_RX]);
}

static void rx_run(struct vnet *d)
{
	virtq_spare_kicks(&d->v, &d->v.q[VNET_RX]);
	if (!d->rx_full)
		return;
	d->rx_full = false;
	d->net->ops->rx_ready(d->net);
}

/* --- link and life --- */

static void set_link(struct vnet *d)
{
	d->v.config[CFG_STATUS] = d->net->link_up ? STATUS_LINK_UP : 0;
}

static void on_link(void *ctx)
{
	struct vnet *d = ctx;

	set_link(d);
	virtio_config_changed(&d->v);
}

static void on_kick(struct virtio *v, unsigned n)
{
	if (n == VNET_TX)
		tx_run(of(v));
	else
		rx_run(of(v));
}

static void on_reset(struct virtio *v)
{
	struct vnet *d = of(v);

	d->tx_full = d->rx_full = false;
	d->net->ops->reset(d->net);
	set_link(d);
}

static const struct virtio_ops vnet_ops = {
	.kick = on_kick,
	.reset = on_reset,
};

static const struct net_nic_ops nic_ops = {
	.rx = on_rx,
	.rx_end = on_rx_end,
	.tx_ready = on_tx_ready,
	.link = on_link,
};

void vnet_reset(struct vnet *d)
{
	virtio_reset(&d->v);
}

int vnet_init(struct vnet *d, const struct dev_host *host, struct pci_bus *b, unsigned slot,
	      struct net *net)
{
	static const struct virtio_params params = {
		.pci_id = PCI_ID_NET,
		.type = TYPE_NET,
		.class_code = CLASS_ETHERNET,
		.features = F_MAC | F_MRG_RXBUF | F_STATUS,
		.nqueues = 2,
		.queue_max = VNET_QUEUE,
		.config_len = CFG_LEN,
	};
	int err;

	memset(d, 0, sizeof(*d));
	d->net = net;
	err = virtio_init(&d->v, host, b, slot, &params, &vnet_ops);
	memcpy(d->v.config + CFG_MAC, net->mac, NET_MAC_LEN);
	set_link(d);
	net_attach(net, &nic_ops, d);
	return err;
}
