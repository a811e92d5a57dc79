/* RTL8139: registers, interrupt, timer, resets. See rtl8139.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/rtl8139_int.h"

#include "lib/errno.h"
#include "lib/muldiv.h"
#include "lib/str.h"

#define EECR_MODE    0xc0u
#define EECR_PROGRAM 0x80u
#define EECR_CONFIG  0xc0u
#define EECR_DO	     0x01u

#define MSR_LINK_FAILED 0x04u
#define BMCR_SELF_CLEAR 0x82u	/* high byte: reset, restart auto-negotiation */
#define CSCR_CHANGED	0x0800u /* the link, since the last look */
#define BMSR_LINK	0x0024u /* up, auto-negotiation complete */

#define TIMER_HZ 33000000u

/* --- interrupt --- */

void rtl8139_irq_update(struct rtl8139 *d)
{
	pci_set_intx(&d->pci, rtl_get16(d, ISR) & rtl_get16(d, IMR));
}

void rtl8139_raise(struct rtl8139 *d, u16 cause)
{
	rtl_put16(d, ISR, rtl_get16(d, ISR) | cause);
	rtl8139_irq_update(d);
}

/* --- timer --- */

static u32 timer_ticks(const struct rtl8139 *d)
{
	return (u32)mul_div(dev_now(d->host) - d->timer_zero, TIMER_HZ, NSEC_PER_SEC);
}

static void timer_arm(struct rtl8139 *d)
{
	u32 at = rtl_get32(d, TIMERINT), ahead = at - timer_ticks(d);
	u64 ns = mul_div(ahead ? ahead : BIT(32), NSEC_PER_SEC, TIMER_HZ);

	dev_timer_set(d->host, &d->timer, at ? dev_now(d->host) + ns + 1 : TIMER_OFF);
}

static void timer_fire(void *arg, u64 now_ns)
{
	struct rtl8139 *d = arg;

	(void)now_ns;
	rtl8139_raise(d, ISR_TIMEOUT);
	timer_arm(d);
}

/* --- resets --- */

/* RST: transmitter, receiver and interrupts; address and filters stay (data sheet ch. 6.5). */
static void soft_reset(struct rtl8139 *d)
{
	for (unsigned n = 0; n < RTL8139_TX; n++) {
		rtl_put32(d, TSD0 + 4 * n, TSD_OWN);
		rtl_put32(d, TSAD0 + 4 * n, 0);
	}
	rtl_put32(d, RBSTART, 0);
	d->reg[CR] = 0;
	rtl_put16(d, CAPR, (u16)-CAPR_LAG);
	rtl_put16(d, CBR, 0);
	rtl_put16(d, IMR, 0);
	rtl_put16(d, ISR, 0);
	rtl_put32(d, TCR, TCR_VERSION);
	rtl_put32(d, RCR, 0);
	rtl_put32(d, MPC, 0);
	rtl_put32(d, TIMERINT, 0);
	d->tx_next = d->tx_pending = 0;
	d->tx_full = d->rx_full = false;
	d->net->ops->reset(d->net);
	dev_timer_set(d->host, &d->rx_again, TIMER_OFF);
	timer_arm(d);
	rtl8139_irq_update(d);
}

static void phy_reset(struct rtl8139 *d)
{
	rtl_put16(d, BMCR, 0x3100); /* 100 Mbit/s, auto-negotiation, full duplex */
	rtl_put16(d, ANAR, 0x01e1);
}

static void power_on(struct rtl8139 *d)
{
	memset(d->reg, 0, sizeof(d->reg));
	memcpy(&d->reg[IDR0], d->net->mac, NET_MAC_LEN);
	d->reg[CONFIG1] = 0x0c; /* I/O and memory mapped */
	rtl_put16(d, ANER, 0x0001);
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
	rtl_put16(d, BMSR, 0x7809 | (up ? BMSR_LINK : 0));
	rtl_put16(d, ANLPAR, up ? 0x45e1 : 0);
}

static u32 regs_read(struct rtl8139 *d, unsigned off, unsigned size)
{
	u32 v = 0;

	if (touches(off, size, CR, 1))
		d->reg[CR] = (u8)((d->reg[CR] & ~CR_BUFE) | (rtl8139_ring_used(d) ? 0 : CR_BUFE));
	if (touches(off, size, TCTR, 4))
		rtl_put32(d, TCTR, timer_ticks(d));
	if (touches(off, size, TSAD, 2))
		rtl_put16(d, TSAD, rtl8139_tx_summary(d));
	if (touches(off, size, MSR, 1) || touches(off, size, BMSR, 6))
		update_link(d);
	for (unsigned i = 0; i < size && off + i < RTL8139_REGS; i++)
		v |= (u32)d->reg[off + i] << i * 8;
	if (touches(off, size, CSCR + 1, 1))
		rtl_put16(d, CSCR, 0);
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
		rtl_put16(d, CBR, 0);
		rtl_put16(d, CAPR, (u16)-CAPR_LAG);
	}
	if (was & ~now & CR_TE) {
		d->tx_next = d->tx_pending = 0;
	}
	rtl8139_rx_resume(d);
	rtl8139_tx_run(d);
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
			rtl8139_tsd_written(d, n);
	if (touches(off, size, CR, 1))
		cr_written(d, cr);
	if (touches(off, size, CAPR, 2) || touches(off, size, RCR, 4))
		rtl8139_rx_resume(d);
	if (touches(off, size, ISR, 1))
		rtl8139_rx_acknowledged(d);
	if (touches(off, size, IMR, 1))
		rtl8139_rx_enabled(d);
	if (touches(off, size, IMR, 4))
		rtl8139_irq_update(d);
	if (touches(off, size, MPC, 4))
		rtl_put32(d, MPC, 0);
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
	rtl_put16(ctx, CSCR, CSCR_CHANGED);
	rtl8139_raise(ctx, ISR_LINK);
}

static void on_rx_end(void *ctx)
{
	(void)ctx; /* the interrupt is a level: a batch raises it once */
}

static const struct net_nic_ops nic_ops = {
	.rx = rtl8139_on_rx,
	.rx_end = on_rx_end,
	.tx_ready = rtl8139_on_tx_ready,
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
	d->rx_again.fire = rtl8139_rx_again_fire;
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
