/* RTL8139: see rtl8139.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/rtl8139.h"

#include "lib/errno.h"
#include "lib/muldiv.h"
#include "lib/str.h"

/* Registers */
#define IDR0	 0x00u
#define MAR0	 0x08u
#define TSD0	 0x10u /* transmit status, 4 of 4 bytes */
#define TSAD0	 0x20u /* transmit address, 4 of 4 bytes */
#define RBSTART	 0x30u
#define CR	 0x37u
#define CAPR	 0x38u
#define CBR	 0x3au
#define IMR	 0x3cu
#define ISR	 0x3eu
#define TCR	 0x40u
#define RCR	 0x44u
#define TCTR	 0x48u
#define MPC	 0x4cu
#define EECR	 0x50u /* 9346CR */
#define CONFIG1	 0x52u
#define TIMERINT 0x54u
#define MSR	 0x58u
#define CONFIG3	 0x59u
#define CONFIG4	 0x5au
#define MULINT	 0x5cu
#define RERID	 0x5eu
#define TSAD	 0x60u /* transmit status of all */
#define BMCR	 0x62u
#define BMSR	 0x64u
#define ANAR	 0x66u
#define ANLPAR	 0x68u
#define ANER	 0x6au
#define CSCR	 0x74u

#define TSD_SIZE 0x1fffu
#define TSD_OWN	 0x2000u /* the chip is done with the buffer */
#define TSD_TOK	 0x8000u
#define TSD_TABT 0x40000000u

#define CR_BUFE 0x01u
#define CR_TE	0x04u
#define CR_RE	0x08u
#define CR_RST	0x10u

#define ISR_ROK	    0x0001u
#define ISR_TOK	    0x0004u
#define ISR_TER	    0x0008u
#define ISR_LINK    0x0020u
#define ISR_TIMEOUT 0x4000u

#define TCR_VERSION  0x74000000u /* 8139C */
#define TCR_LOOPBACK 0x00060000u

#define RCR_AAP	  0x01u
#define RCR_APM	  0x02u
#define RCR_AM	  0x04u
#define RCR_AB	  0x08u
#define RCR_WRAP  0x80u
#define RCR_RBLEN 0x1800u

#define RX_ROK	     0x0001u
#define RX_BROADCAST 0x2000u
#define RX_PHYSICAL  0x4000u
#define RX_MULTICAST 0x8000u
#define RX_HEADER    4u
#define RX_FCS	     4u
#define RX_MIN	     60u
/* CAPR runs this far behind the driver's real position. */
#define CAPR_LAG 16u
/* Two full-sized frames' time on the wire. */
#define RX_AGAIN_NS (250 * NSEC_PER_USEC)

#define EECR_MODE    0xc0u
#define EECR_PROGRAM 0x80u
#define EECR_CONFIG  0xc0u
#define EECR_DO	     0x01u

#define MSR_LINK_FAILED 0x04u
#define BMCR_SELF_CLEAR 0x82u	/* high byte: reset, restart auto-negotiation */
#define CSCR_CHANGED	0x0800u /* the link, since the last look */
#define BMSR_LINK	0x0024u /* up, auto-negotiation complete */

#define TIMER_HZ 33000000u

static u16 get16(const struct rtl8139 *d, unsigned off)
{
	return (u16)(d->reg[off] | d->reg[off + 1] << 8);
}
static u32 get32(const struct rtl8139 *d, unsigned off)
{
	return get16(d, off) | (u32)get16(d, off + 2) << 16;
}
static void put16(struct rtl8139 *d, unsigned off, u16 v)
{
	d->reg[off] = (u8)v;
	d->reg[off + 1] = (u8)(v >> 8);
}
static void put32(struct rtl8139 *d, unsigned off, u32 v)
{
	put16(d, off, (u16)v);
	put16(d, off + 2, (u16)(v >> 16));
}

/* --- interrupt --- */

static void irq_update(struct rtl8139 *d)
{
	pci_set_intx(&d->pci, get16(d, ISR) & get16(d, IMR));
}

static void raise(struct rtl8139 *d, u16 cause)
{
	put16(d, ISR, get16(d, ISR) | cause);
	irq_update(d);
}

/* --- receive --- */

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
	u32 rcr = get32(d, RCR);
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
	return 8192u << ((get32(d, RCR) & RCR_RBLEN) >> 11);
}

static u32 ring_at(const struct rtl8139 *d)
{
	return get16(d, CBR) & (ring_size(d) - 1);
}

/* Bytes that the driver has not taken yet. */
static u32 ring_used(const struct rtl8139 *d)
{
	return (ring_at(d) - get16(d, CAPR) - CAPR_LAG) & (ring_size(d) - 1);
}

/* A frame that reaches the ring's end goes on at its start, or past its end if WRAP says so and the
 * ring is not the largest. What lies outside RAM is lost. */
static void ring_write(struct rtl8139 *d, const u8 *data, u32 len)
{
	const struct dev_host *h = d->host;
	u32 size = ring_size(d), at = ring_at(d), first = MIN(len, size - at);
	gpa_t base = get32(d, RBSTART);

	if (get32(d, RCR) & RCR_WRAP && size < 65536)
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
	if (total >= ring_size(d) - ring_used(d))
		return false;
	data[0] = (u8)status;
	data[1] = (u8)(status >> 8);
	data[2] = (u8)whole;
	data[3] = (u8)(whole >> 8);
	memcpy(data + RX_HEADER, frame, len);
	ring_write(d, data, total);
	put16(d, CBR, (u16)((ring_at(d) + total) & (ring_size(d) - 1)));
	d->rx_frames++;
	raise(d, ISR_ROK);
	return true;
}

static bool receive(struct rtl8139 *d, const void *frame, u32 len)
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

static bool on_rx(void *ctx, const void *frame, u32 len)
{
	struct rtl8139 *d = ctx;

	/* What the chip sends to itself is not mixed with what others send. */
	if ((get32(d, TCR) & TCR_LOOPBACK) == TCR_LOOPBACK)
		return true;
	d->rx_full = !receive(d, frame, len);
	return !d->rx_full;
}

static void on_rx_end(void *ctx)
{
	(void)ctx; /* the interrupt is a level: a batch raises it once */
}

/* A driver may acknowledge ROK and leave frames in the ring: Linux's does when its budget is used
 * up, and trusts the next frame to tell it. On a busy wire that one comes at once; here it can be
 * held back for the very room that those frames take, and then nobody would ever move. So what was
 * acknowledged and still lies there is told of again, not sooner than the wire would. */
static void rx_acknowledged(struct rtl8139 *d)
{
	bool unread = (d->reg[CR] & CR_RE) && ring_used(d);

	if (unread && !(get16(d, ISR) & ISR_ROK) && !d->rx_again.queued)
		dev_timer_set(d->host, &d->rx_again, dev_now(d->host) + RX_AGAIN_NS);
}

static void rx_again_fire(void *arg, u64 now_ns)
{
	struct rtl8139 *d = arg;

	(void)now_ns;
	if ((d->reg[CR] & CR_RE) && ring_used(d))
		raise(d, ISR_ROK);
}

/* The driver made room, or will not need it any more. */
static void rx_resume(struct rtl8139 *d)
{
	if (!d->rx_full)
		return;
	d->rx_full = false;
	d->net->ops->rx_ready(d->net);
}

/* --- transmit --- */

static int loop_back(struct rtl8139 *d, const struct blk_seg *seg)
{
	u8 frame[NET_FRAME_MAX];
	int err = net_gather(d->host, seg, 1, frame);

	if (!err)
		(void)receive(d, frame, seg->len);
	return err;
}

/* Send buffer @n. -EAGAIN: no room. */
static int send(struct rtl8139 *d, unsigned n)
{
	struct blk_seg seg = {
		.gpa = get32(d, TSAD0 + 4 * n),
		.len = get32(d, TSD0 + 4 * n) & TSD_SIZE,
	};

	/* What is no frame is lost on the cable. */
	if (seg.len < NET_FRAME_MIN || seg.len > NET_FRAME_MAX)
		return 0;
	if ((get32(d, TCR) & TCR_LOOPBACK) == TCR_LOOPBACK)
		return loop_back(d, &seg);
	return net_send(d->net, &seg, 1, seg.len);
}

static void sent(struct rtl8139 *d, unsigned n, int err)
{
	u32 tsd = get32(d, TSD0 + 4 * n) | TSD_OWN;

	put32(d, TSD0 + 4 * n, tsd | (err ? TSD_TABT : TSD_TOK));
	d->tx_frames += !err;
	raise(d, err ? ISR_TER : ISR_TOK);
}

/* The chip takes its buffers in turn; each is sent at most once here. */
static void tx_run(struct rtl8139 *d)
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

static void on_tx_ready(void *ctx)
{
	struct rtl8139 *d = ctx;

	d->tx_full = false;
	tx_run(d);
}

/* Clearing OWN hands the buffer to the chip. */
static void tsd_written(struct rtl8139 *d, unsigned n)
{
	if (get32(d, TSD0 + 4 * n) & TSD_OWN)
		return;
	put32(d, TSD0 + 4 * n, get32(d, TSD0 + 4 * n) & 0x003fffff & ~TSD_TOK);
	d->tx_pending |= (u8)(1u << n);
	tx_run(d);
}

/* TSAD: per buffer OWN, ABORT, UNDERRUN, OK in four nibbles (data sheet ch. 6.18). */
static u16 tx_summary(const struct rtl8139 *d)
{
	u16 v = 0;

	for (unsigned n = 0; n < RTL8139_TX; n++) {
		u32 tsd = get32(d, TSD0 + 4 * n);

		v |= (u16)(!!(tsd & TSD_OWN) << n | !!(tsd & TSD_TABT) << (4 + n) |
			   !!(tsd & TSD_TOK) << (12 + n));
	}
	return v;
}

/* --- timer --- */

static u32 timer_ticks(const struct rtl8139 *d)
{
	return (u32)mul_div(dev_now(d->host) - d->timer_zero, TIMER_HZ, NSEC_PER_SEC);
}

static void timer_arm(struct rtl8139 *d)
{
	u32 at = get32(d, TIMERINT), ahead = at - timer_ticks(d);
	u64 ns = mul_div(ahead ? ahead : BIT(32), NSEC_PER_SEC, TIMER_HZ);

	dev_timer_set(d->host, &d->timer, at ? dev_now(d->host) + ns + 1 : TIMER_OFF);
}

static void timer_fire(void *arg, u64 now_ns)
{
	struct rtl8139 *d = arg;

	(void)now_ns;
	raise(d, ISR_TIMEOUT);
	timer_arm(d);
}

/* --- resets --- */

/* RST: transmitter, receiver and interrupts; address and filters stay (data sheet ch. 6.5). */
static void soft_reset(struct rtl8139 *d)
{
	for (unsigned n = 0; n < RTL8139_TX; n++) {
		put32(d, TSD0 + 4 * n, TSD_OWN);
		put32(d, TSAD0 + 4 * n, 0);
	}
	put32(d, RBSTART, 0);
	d->reg[CR] = 0;
	put16(d, CAPR, (u16)-CAPR_LAG);
	put16(d, CBR, 0);
	put16(d, IMR, 0);
	put16(d, ISR, 0);
	put32(d, TCR, TCR_VERSION);
	put32(d, RCR, 0);
	put32(d, MPC, 0);
	put32(d, TIMERINT, 0);
	d->tx_next = d->tx_pending = 0;
	d->tx_full = d->rx_full = false;
	d->net->ops->reset(d->net);
	dev_timer_set(d->host, &d->rx_again, TIMER_OFF);
	timer_arm(d);
	irq_update(d);
}

static void phy_reset(struct rtl8139 *d)
{
	put16(d, BMCR, 0x3100); /* 100 Mbit/s, auto-negotiation, full duplex */
	put16(d, ANAR, 0x01e1);
}

static void power_on(struct rtl8139 *d)
{
	memset(d->reg, 0, sizeof(d->reg));
	memcpy(&d->reg[IDR0], d->net->mac, NET_MAC_LEN);
	d->reg[CONFIG1] = 0x0c; /* I/O and memory mapped */
	put16(d, ANER, 0x0001);
	d->timer_zero = dev_now(d->host);
	phy_reset(d);
	soft_reset(d);
}

/* --- registers --- */

static bool touches(unsigned off, unsigned size, unsigned first, unsigned len)
{
	return off < first + len && off + size > first;
}

static void update_link(struct rtl8139 *d)
{
	bool up = d->net->link_up;

	d->reg[MSR] = (u8)((d->reg[MSR] & 0xc0) | (up ? 0 : MSR_LINK_FAILED) | 0x10);
	put16(d, BMSR, 0x7809 | (up ? BMSR_LINK : 0));
	put16(d, ANLPAR, up ? 0x45e1 : 0);
}

static u32 regs_read(struct rtl8139 *d, unsigned off, unsigned size)
{
	u32 v = 0;

	if (touches(off, size, CR, 1))
		d->reg[CR] = (u8)((d->reg[CR] & ~CR_BUFE) | (ring_used(d) ? 0 : CR_BUFE));
	if (touches(off, size, TCTR, 4))
		put32(d, TCTR, timer_ticks(d));
	if (touches(off, size, TSAD, 2))
		put16(d, TSAD, tx_summary(d));
	if (touches(off, size, MSR, 1) || touches(off, size, BMSR, 6))
		update_link(d);
	for (unsigned i = 0; i < size && off + i < RTL8139_REGS; i++)
		v |= (u32)d->reg[off + i] << i * 8;
	if (touches(off, size, CSCR + 1, 1))
		put16(d, CSCR, 0);
	return v;
}

static void cr_written(struct rtl8139 *d, u8 was)
{
	u8 now = d->reg[CR];

	if (now & CR_RST) {
		soft_reset(d);
		return;
	}
	if (~was & now & CR_RE) {
		put16(d, CBR, 0);
		put16(d, CAPR, (u16)-CAPR_LAG);
	}
	if (was & ~now & CR_TE) {
		d->tx_next = d->tx_pending = 0;
	}
	rx_resume(d);
	tx_run(d);
}

static void eeprom_written(struct rtl8139 *d)
{
	u8 *r = &d->reg[EECR];

	*r &= (u8)~EECR_DO;
	if ((*r & EECR_MODE) == EECR_PROGRAM && rtl8139_eeprom_drive(&d->eeprom, *r & 0x0e))
		*r |= EECR_DO;
}

static void bmcr_written(struct rtl8139 *d)
{
	if (d->reg[BMCR + 1] & 0x80)
		phy_reset(d);
	d->reg[BMCR + 1] &= (u8)~BMCR_SELF_CLEAR;
}

static void timer_written(struct rtl8139 *d, unsigned off, unsigned size)
{
	if (touches(off, size, TCTR, 4))
		d->timer_zero = dev_now(d->host);
	timer_arm(d);
}

/* Registers have their new values; @cr is the command register's old one. */
static void written(struct rtl8139 *d, unsigned off, unsigned size, u8 cr)
{
	for (unsigned n = 0; n < RTL8139_TX; n++)
		if (touches(off, size, TSD0 + 4 * n + 1, 1))
			tsd_written(d, n);
	if (touches(off, size, CR, 1))
		cr_written(d, cr);
	if (touches(off, size, CAPR, 2) || touches(off, size, RCR, 4))
		rx_resume(d);
	if (touches(off, size, ISR, 1))
		rx_acknowledged(d);
	if (touches(off, size, IMR, 4))
		irq_update(d);
	if (touches(off, size, MPC, 4))
		put32(d, MPC, 0);
	if (touches(off, size, TCTR, 4) || touches(off, size, TIMERINT, 4))
		timer_written(d, off, size);
	if (touches(off, size, EECR, 1))
		eeprom_written(d);
	if (touches(off, size, BMCR, 2))
		bmcr_written(d);
}

/* The configuration registers are locked unless 9346CR says otherwise. */
static u8 writable(const struct rtl8139 *d, unsigned off)
{
	bool config = off == CONFIG1 || off == CONFIG3 || off == CONFIG4 || off == MSR;

	if (config && (d->reg[EECR] & EECR_MODE) != EECR_CONFIG)
		return 0;
	return d->wmask[off];
}

static void regs_write(struct rtl8139 *d, unsigned off, unsigned size, u32 value)
{
	u8 cr = d->reg[CR];

	for (unsigned i = 0; i < size && off + i < RTL8139_REGS; i++) {
		u8 v = (u8)(value >> i * 8), m = writable(d, off + i);
		u8 *r = &d->reg[off + i];

		if (touches(off + i, 1, ISR, 2))
			*r &= (u8)~v;
		else
			*r = (u8)((*r & ~m) | (v & m));
	}
	written(d, off, size, cr);
}

static u32 port_read(void *dev, u16 port, unsigned size)
{
	return regs_read(dev, port & (RTL8139_REGS - 1), size);
}

static void port_write(void *dev, u16 port, unsigned size, u32 value)
{
	regs_write(dev, port & (RTL8139_REGS - 1), size, value);
}

static const struct port_ops rtl_port_ops = {
	.read = port_read,
	.write = port_write,
};

static u64 mmio_read(void *dev, u64 off, unsigned size)
{
	u64 v = regs_read(dev, (unsigned)off, MIN(size, 4u));

	return size < 8 ? v : v | (u64)regs_read(dev, (unsigned)off + 4, 4) << 32;
}

static void mmio_write(void *dev, u64 off, unsigned size, u64 value)
{
	regs_write(dev, (unsigned)off, MIN(size, 4u), (u32)value);
	if (size == 8)
		regs_write(dev, (unsigned)off + 4, 4, (u32)(value >> 32));
}

static const struct mmio_ops rtl_mmio_ops = {
	.read = mmio_read,
	.write = mmio_write,
};

/* --- construction --- */

/* Which bits of which registers software may write; the rest are status or reserved. */
static const struct {
	u8 off, len;
	u8 mask[4];
} writable_bits[] = {
	{IDR0, 4, {0xff, 0xff, 0xff, 0xff}},
	{IDR0 + 4, 2, {0xff, 0xff}},
	{MAR0, 4, {0xff, 0xff, 0xff, 0xff}},
	{MAR0 + 4, 4, {0xff, 0xff, 0xff, 0xff}},
	{TSD0, 3, {0xff, 0x3f, 0x3f}},
	{TSD0 + 4, 3, {0xff, 0x3f, 0x3f}},
	{TSD0 + 8, 3, {0xff, 0x3f, 0x3f}},
	{TSD0 + 12, 3, {0xff, 0x3f, 0x3f}},
	{TSAD0, 4, {0xff, 0xff, 0xff, 0xff}},
	{TSAD0 + 4, 4, {0xff, 0xff, 0xff, 0xff}},
	{TSAD0 + 8, 4, {0xff, 0xff, 0xff, 0xff}},
	{TSAD0 + 12, 4, {0xff, 0xff, 0xff, 0xff}},
	{RBSTART, 4, {0xff, 0xff, 0xff, 0xff}},
	{CR, 1, {CR_TE | CR_RE | CR_RST}},
	{CAPR, 2, {0xff, 0xff}},
	{IMR, 2, {0x7f, 0xe0}},
	{TCR, 4, {0xf0, 0x07, 0x07, 0x03}},
	{RCR, 4, {0xbf, 0xff, 0x03, 0x0f}},
	{EECR, 1, {0xce}},
	{CONFIG1, 1, {0xff}},
	{TIMERINT, 4, {0xff, 0xff, 0xff, 0xff}},
	{MSR, 1, {0xc0}},
	{CONFIG3, 1, {0x40}},
	{CONFIG4, 1, {0xff}},
	{MULINT, 2, {0xff, 0x0f}},
	{BMCR, 2, {0x00, 0xb3}},
	{ANAR, 2, {0xff, 0x2f}},
};

/* ISR says it, but drivers believe only CSCR: the ISR bit also means an underrun. */
static void on_link(void *ctx)
{
	put16(ctx, CSCR, CSCR_CHANGED);
	raise(ctx, ISR_LINK);
}

static const struct net_nic_ops nic_ops = {
	.rx = on_rx,
	.rx_end = on_rx_end,
	.tx_ready = on_tx_ready,
	.link = on_link,
};

void rtl8139_reset(struct rtl8139 *d)
{
	pci_dev_reset(&d->pci);
	rtl8139_eeprom_init(&d->eeprom, d->net->mac);
	power_on(d);
}

int rtl8139_init(struct rtl8139 *d, const struct dev_host *host, struct pci_bus *b, unsigned slot,
		 struct net *net)
{
	memset(d, 0, sizeof(*d));
	d->host = host;
	d->net = net;
	d->timer.fire = timer_fire;
	d->timer.arg = d;
	d->rx_again.fire = rx_again_fire;
	d->rx_again.arg = d;
	for (unsigned i = 0; i < ARRAY_SIZE(writable_bits); i++)
		memcpy(&d->wmask[writable_bits[i].off], writable_bits[i].mask,
		       writable_bits[i].len);
	pci_dev_init(&d->pci, 0x10ec, 0x8139, 0x020000, 0x10);
	pci_set16(&d->pci, PCI_SUBSYSTEM_VENDOR, 0x10ec);
	pci_set16(&d->pci, PCI_SUBSYSTEM_ID, 0x8139);
	pci_set16(&d->pci, PCI_STATUS, 0x0280);
	d->pci.intx_pin = 1;
	pci_bar_io(&d->pci, 0, RTL8139_REGS, &rtl_port_ops, d);
	pci_bar_mem(&d->pci, 1, RTL8139_REGS, &rtl_mmio_ops, d);
	net_attach(net, &nic_ops, d);
	rtl8139_reset(d);
	return b ? pci_bus_add(b, slot, 0, &d->pci) : 0;
}
