/* RTL8139: the transmitter. Four buffers in turn.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/rtl8139_int.h"

static int loop_back(struct rtl8139 *d, const struct blk_seg *seg)
{
	u8 frame[NET_FRAME_MAX];
	int err = net_gather(d->host, seg, 1, frame);

	if (!err)
		(void)rtl8139_receive(d, frame, seg->len);
	return err;
}

/* Send buffer @n. -EAGAIN: no room. */
static int send(struct rtl8139 *d, unsigned n)
{
	struct blk_seg seg = {
		.gpa = rtl_get32(d, TSAD0 + 4 * n),
		.len = rtl_get32(d, TSD0 + 4 * n) & TSD_SIZE,
	};

	/* What is no frame is lost on the cable. */
	if (seg.len < NET_FRAME_MIN || seg.len > NET_FRAME_MAX)
		return 0;
	if ((rtl_get32(d, TCR) & TCR_LOOPBACK) == TCR_LOOPBACK)
		return loop_back(d, &seg);
	return net_send(d->net, &seg, 1, seg.len);
}

static void sent(struct rtl8139 *d, unsigned n, int err)
{
	u32 tsd = rtl_get32(d, TSD0 + 4 * n) | TSD_OWN;

	rtl_put32(d, TSD0 + 4 * n, tsd | (err ? TSD_TABT : TSD_TOK));
	d->tx_frames += !err;
	rtl8139_raise(d, err ? ISR_TER : ISR_TOK);
}

/* The chip takes its buffers in turn; each is sent at most once here. */
void rtl8139_tx_run(struct rtl8139 *d)
{
	bool any = false;

	while (!d->tx_full && (d->reg[CR] & CR_TE) && d->tx_pending >> d->tx_next & 1) {
		unsigned n = d->tx_next;
		int err = send(d, n);

		d->tx_full = err == -EAGAIN;
		if (d->tx_full)
			break;
		d->tx_pending &= (u8) ~(1u << n);
		d->tx_next = (u8)((n + 1) % RTL8139_TX);
		sent(d, n, err);
		any = true;
	}
	if (any)
		net_send_end(d->net);
}

void rtl8139_on_tx_ready(void *ctx)
{
	struct rtl8139 *d = ctx;

	d->tx_full = false;
	rtl8139_tx_run(d);
}

/* Clearing OWN hands the buffer to the chip. */
void rtl8139_tsd_written(struct rtl8139 *d, unsigned n)
{
	if (rtl_get32(d, TSD0 + 4 * n) & TSD_OWN)
		return;
	rtl_put32(d, TSD0 + 4 * n, rtl_get32(d, TSD0 + 4 * n) & 0x003fffff & ~TSD_TOK);
	d->tx_pending |= (u8)(1u << n);
	rtl8139_tx_run(d);
}

/* TSAD: per buffer OWN, ABORT, UNDERRUN, OK in four nibbles (data sheet ch. 6.18). */
u16 rtl8139_tx_summary(const struct rtl8139 *d)
{
	u16 v = 0;

	for (unsigned n = 0; n < RTL8139_TX; n++) {
		u32 tsd = rtl_get32(d, TSD0 + 4 * n);

		v |= (u16)(!!(tsd & TSD_OWN) << n | !!(tsd & TSD_TABT) << (4 + n) |
			   !!(tsd & TSD_TOK) << (12 + n));
	}
	return v;
}
