/* RTL8139: the receiver. Filters, the ring in guest memory, and what holds frames back.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/rtl8139_int.h"
#include "lib/str.h"

#define RX_ROK	     0x0001u
#define RX_BROADCAST 0x2000u
#define RX_PHYSICAL  0x4000u
#define RX_MULTICAST 0x8000u
#define RX_HEADER    4u
#define RX_FCS	     4u
#define RX_MIN	     60u
/* How long frames lie unread before they are told of again: two full-sized ones' time on the wire
 * after their interrupt was let through, longer for who acknowledges it and reads at leisure. */
#define RX_AGAIN_ENABLED_NS (250 * NSEC_PER_USEC)
#define RX_AGAIN_ACKED_NS   (10 * NSEC_PER_MSEC)

/* Position in the hash table: the top bits of the address's CRC (data sheet ch. 5.11). */
static unsigned hash(const u8 mac[NET_MAC_LEN])
{
	u32 crc = UINT32_MAX;

	for (unsigned i = 0; i < NET_MAC_LEN * 8; i++) {
		bool bit = (crc >> 31) ^ (mac[i / 8] >> i % 8 & 1);

		crc = crc << 1 ^ (bit ? 0x04c11db7u : 0);
	}
	return crc >> 26;
}

/* Status bits of a frame to @mac that the filter lets through; 0: it does not. */
static u16 filter(const struct rtl8139 *d, const u8 *mac)
{
	static const u8 broadcast[NET_MAC_LEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	u32 rcr = rtl_get32(d, RCR);
	unsigned bit;

	if (!memcmp(mac, broadcast, NET_MAC_LEN))
		return rcr & (RCR_AB | RCR_AAP) ? RX_ROK | RX_BROADCAST : 0;
	if (mac[0] & 1) {
		bit = hash(mac);
		if (rcr & RCR_AAP || (rcr & RCR_AM && d->reg[MAR0 + bit / 8] >> bit % 8 & 1))
			return RX_ROK | RX_MULTICAST;
		return 0;
	}
	if (!memcmp(mac, &d->reg[IDR0], NET_MAC_LEN))
		return rcr & (RCR_APM | RCR_AAP) ? RX_ROK | RX_PHYSICAL : 0;
	return rcr & RCR_AAP ? RX_ROK : 0;
}

static u32 ring_size(const struct rtl8139 *d)
{
	return 8192u << ((rtl_get32(d, RCR) & RCR_RBLEN) >> 11);
}

static u32 ring_at(const struct rtl8139 *d)
{
	return rtl_get16(d, CBR) & (ring_size(d) - 1);
}

u32 rtl8139_ring_used(const struct rtl8139 *d)
{
	return (ring_at(d) - rtl_get16(d, CAPR) - CAPR_LAG) & (ring_size(d) - 1);
}

/* A frame that reaches the ring's end goes on at its start, or past its end if WRAP says so and the
 * ring is not the largest. What lies outside RAM is lost. */
static void ring_write(struct rtl8139 *d, const u8 *data, u32 len)
{
	const struct dev_host *h = d->host;
	u32 size = ring_size(d), at = ring_at(d), first = MIN(len, size - at);
	gpa_t base = rtl_get32(d, RBSTART);

	if (rtl_get32(d, RCR) & RCR_WRAP && size < 65536)
		first = len;
	(void)h->ops->mem_write(h->ctx, base + at, data, first);
	if (first < len)
		(void)h->ops->mem_write(h->ctx, base, data + first, len - first);
}

/* False: no room in the ring. */
static bool store(struct rtl8139 *d, const u8 *frame, u32 len, u16 status)
{
	u8 data[RX_HEADER + NET_FRAME_MAX + RX_FCS + 3] = {0};
	u32 whole = MAX(len, RX_MIN) + RX_FCS, total = ALIGN_UP(RX_HEADER + whole, 4u);

	/* Equal positions mean an empty ring, so it is never filled up. */
	if (total >= ring_size(d) - rtl8139_ring_used(d))
		return false;
	data[0] = (u8)status;
	data[1] = (u8)(status >> 8);
	data[2] = (u8)whole;
	data[3] = (u8)(whole >> 8);
	memcpy(data + RX_HEADER, frame, len);
	ring_write(d, data, total);
	rtl_put16(d, CBR, (u16)((ring_at(d) + total) & (ring_size(d) - 1)));
	d->rx_frames++;
	rtl8139_raise(d, ISR_ROK);
	return true;
}

bool rtl8139_receive(struct rtl8139 *d, const void *frame, u32 len)
{
	u8 mac[NET_MAC_LEN];
	u16 status;

	if (!(d->reg[CR] & CR_RE) || len < NET_FRAME_MIN || len > NET_FRAME_MAX)
		return true;
	memcpy(mac, frame, sizeof(mac));
	status = filter(d, mac);
	if (status)
		return store(d, frame, len, status);
	d->rx_filtered++;
	return true;
}

bool rtl8139_on_rx(void *ctx, const void *frame, u32 len)
{
	struct rtl8139 *d = ctx;

	/* What the chip sends to itself is not mixed with what others send. */
	if ((rtl_get32(d, TCR) & TCR_LOOPBACK) == TCR_LOOPBACK)
		return true;
	d->rx_full = !rtl8139_receive(d, frame, len);
	return !d->rx_full;
}

/* A driver may acknowledge ROK and leave frames in the ring: Linux's does when its budget is used
 * up, and trusts the next frame to tell it. On a busy wire that one comes at once; here it can be
 * held back for the very room that those frames take, and then nobody would ever move. So what was
 * acknowledged and still lies there is told of again. Later, not at once: who reads in a thread
 * must get there. */
static void rx_tell_again(struct rtl8139 *d, u64 ns)
{
	u64 at = dev_now(d->host) + ns;

	if (!(d->reg[CR] & CR_RE) || !rtl8139_ring_used(d) || rtl_get16(d, ISR) & ISR_ROK)
		return;
	if (!d->rx_again.queued || at < d->rx_again.deadline_ns)
		dev_timer_set(d->host, &d->rx_again, at);
}

void rtl8139_rx_acknowledged(struct rtl8139 *d)
{
	rx_tell_again(d, RX_AGAIN_ACKED_NS);
}

void rtl8139_rx_enabled(struct rtl8139 *d)
{
	if (rtl_get16(d, IMR) & ISR_ROK)
		rx_tell_again(d, RX_AGAIN_ENABLED_NS);
}

void rtl8139_rx_again_fire(void *arg, u64 now_ns)
{
	struct rtl8139 *d = arg;

	(void)now_ns;
	if ((d->reg[CR] & CR_RE) && rtl8139_ring_used(d))
		rtl8139_raise(d, ISR_ROK);
}

void rtl8139_rx_resume(struct rtl8139 *d)
{
	if (!d->rx_full)
		return;
	d->rx_full = false;
	d->net->ops->rx_ready(d->net);
}
