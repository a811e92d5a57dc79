/* 16550A serial port. See uart16550.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "dev/uart16550.h"

#include "dev/port8.h"
#include "lib/str.h"

static bool fifo_on(const struct uart *u)
{
	return u->fcr & UART_FCR_ENABLE;
}

static unsigned fifo_depth(const struct uart *u)
{
	return fifo_on(u) ? UART_FIFO_SIZE : 1;
}

static unsigned rx_trigger(const struct uart *u)
{
	static const u8 level[4] = {1, 4, 8, 14};

	return fifo_on(u) ? level[u->fcr >> 6] : 1;
}

/* --- interrupts ------------------------------------------------------------------------------- */

/* The pending interrupt of highest priority, as IIR codes it. */
static u8 pending(const struct uart *u)
{
	if ((u->ier & UART_IER_LINE) &&
	    (u->lsr & (UART_LSR_OE | UART_LSR_PE | UART_LSR_FE | UART_LSR_BI)))
		return UART_IIR_LINE;
	if ((u->ier & UART_IER_RX) && u->rx_count >= rx_trigger(u))
		return UART_IIR_RX;
	if ((u->ier & UART_IER_RX) && u->rx_timeout)
		return UART_IIR_TIMEOUT;
	if ((u->ier & UART_IER_THRE) && u->thre_irq)
		return UART_IIR_THRE;
	if ((u->ier & UART_IER_MODEM) && (u->msr & UART_MSR_DELTA))
		return UART_IIR_MODEM;
	return UART_IIR_NONE;
}

static void update_irq(struct uart *u)
{
	bool level = (u->mcr & UART_MCR_OUT2) && pending(u) != UART_IIR_NONE;

	if (level == u->irq_level)
		return;
	u->irq_level = level;
	irq_line_set(&u->irq, level);
}

/* --- receiver --------------------------------------------------------------------------------- */

/* Four characters of ten bits at the programmed rate. */
static u64 timeout_ns(const struct uart *u)
{
	u64 divisor = u->divisor ? u->divisor : 1;

	return 4 * 10 * 16 * divisor * NSEC_PER_SEC / UART_CLOCK;
}

/* The character time-out runs while bytes below the trigger level wait for an interrupt. */
static void watch_rx(struct uart *u)
{
	bool wanted = fifo_on(u) && u->rx_count && u->rx_count < rx_trigger(u) &&
		      (u->ier & UART_IER_RX) && !u->rx_timeout;

	if (wanted)
		dev_timer_set(u->host, &u->timeout, dev_now(u->host) + timeout_ns(u));
	else if (u->timeout.queued)
		dev_timer_set(u->host, &u->timeout, TIMER_OFF);
}

static void rx_timed_out(void *arg, u64 now_ns)
{
	struct uart *u = arg;

	(void)now_ns;
	u->rx_timeout = u->rx_count != 0;
	update_irq(u);
}

/* LSR speaks of the byte at the FIFO's head. */
static void head_to_lsr(struct uart *u)
{
	if (u->rx_count) {
		u->lsr |= UART_LSR_DR;
		if (u->rx_break[u->rx_head])
			u->lsr |= UART_LSR_BI | UART_LSR_FE;
	} else {
		u->lsr &= ~UART_LSR_DR;
	}
}

static void rx_push(struct uart *u, u8 byte, bool brk)
{
	unsigned at;

	if (u->rx_count >= fifo_depth(u)) {
		u->lsr |= UART_LSR_OE;
		if (!fifo_on(u))
			u->rx[u->rx_head] = byte; /* the holding register is overwritten */
		return;
	}
	at = (u->rx_head + u->rx_count++) % UART_FIFO_SIZE;
	u->rx[at] = byte;
	u->rx_break[at] = brk;
	u->rx_bytes++;
	head_to_lsr(u);
	watch_rx(u);
}

static void rx_clear(struct uart *u)
{
	u->rx_count = 0;
	u->rx_timeout = false;
	u->lsr &= ~(UART_LSR_DR | UART_LSR_OE | UART_LSR_PE | UART_LSR_FE | UART_LSR_BI);
	watch_rx(u);
}

static u8 rx_pop(struct uart *u)
{
	u8 byte = u->rx[u->rx_head];

	u->receiver_used = true;
	if (!u->rx_count)
		return byte;
	u->rx_head = (u->rx_head + 1) % UART_FIFO_SIZE;
	u->rx_count--;
	u->rx_timeout = false;
	head_to_lsr(u);
	watch_rx(u);
	update_irq(u);
	return byte;
}

bool uart_rx(struct uart *u, u8 byte)
{
	if (u->rx_count >= fifo_depth(u) || (u->mcr & UART_MCR_LOOP))
		return false;
	rx_push(u, byte, false);
	update_irq(u);
	return true;
}

/* --- transmitter ------------------------------------------------------------------------------ */

static bool line_has_room(const struct uart *u)
{
	return !u->line || !u->line->tx_room || u->line->tx_room(u->line_ctx);
}

static void line_send(struct uart *u, const u8 *buf, unsigned n)
{
	u->tx_bytes += n;
	if (u->line && u->line->tx)
		u->line->tx(u->line_ctx, buf, n);
}

/* A byte goes into the transmitter, which takes back its interrupt. An edge-triggered input needs
 * to see the pin drop, however short the transmitter is busy. */
static void tx_filled(struct uart *u)
{
	u->thre_irq = false;
	update_irq(u);
}

/* Everything written has left. */
static void tx_emptied(struct uart *u)
{
	u->lsr |= UART_LSR_THRE | UART_LSR_TEMT;
	u->thre_irq = true;
	update_irq(u);
}

/* Hold a byte back; the FIFO's excess is lost, as on the chip. */
static void tx_hold(struct uart *u, u8 byte)
{
	if (u->tx_count < fifo_depth(u))
		u->tx[u->tx_count++] = byte;
	u->lsr &= ~(UART_LSR_THRE | UART_LSR_TEMT);
}

static void tx_write(struct uart *u, u8 byte)
{
	tx_filled(u);
	if (u->mcr & UART_MCR_LOOP) {
		rx_push(u, byte, false);
	} else if (u->tx_count || !line_has_room(u)) {
		tx_hold(u, byte);
		return;
	} else {
		line_send(u, &byte, 1);
	}
	tx_emptied(u);
}

void uart_tx_kick(struct uart *u)
{
	if (!u->tx_count || !line_has_room(u))
		return;
	line_send(u, u->tx, u->tx_count);
	u->tx_count = 0;
	tx_emptied(u);
}

/* --- registers -------------------------------------------------------------------------------- */

/* Modem inputs: a null-modem peer that is always there, or in loop-back the own outputs. */
static u8 modem_inputs(const struct uart *u)
{
	u8 in = 0;

	if (!(u->mcr & UART_MCR_LOOP))
		return UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD;
	if (u->mcr & UART_MCR_RTS)
		in |= UART_MSR_CTS;
	if (u->mcr & UART_MCR_DTR)
		in |= UART_MSR_DSR;
	if (u->mcr & UART_MCR_OUT1)
		in |= UART_MSR_RI;
	if (u->mcr & UART_MCR_OUT2)
		in |= UART_MSR_DCD;
	return in;
}

/* Deltas for CTS, DSR and DCD at any change, for RI at its end. */
static void update_modem(struct uart *u)
{
	u8 old = u->msr & 0xf0, in = modem_inputs(u);
	u8 changed = old ^ in;

	changed &= ~(UART_MSR_RI & in);
	u->msr = in | (u->msr & UART_MSR_DELTA) | changed >> 4;
}

static void write_ier(struct uart *u, u8 value)
{
	u8 risen = value & ~u->ier;

	u->ier = value & 0x0f;
	if (value & UART_IER_RX)
		u->receiver_used = true;
	if ((risen & UART_IER_THRE) && (u->lsr & UART_LSR_THRE))
		u->thre_irq = true;
	watch_rx(u);
	update_irq(u);
}

/* Switching the FIFOs on or off empties both. Bits 7:6 and 3 count only with the enable bit. */
static void write_fcr(struct uart *u, u8 value)
{
	bool toggled = (value ^ u->fcr) & UART_FCR_ENABLE;

	u->fcr = value & UART_FCR_ENABLE ? value & 0xc9 : 0;
	if (toggled || (value & (UART_FCR_ENABLE | UART_FCR_CLEAR_RX)) ==
			       (UART_FCR_ENABLE | UART_FCR_CLEAR_RX))
		rx_clear(u);
	if (toggled || (value & (UART_FCR_ENABLE | UART_FCR_CLEAR_TX)) ==
			       (UART_FCR_ENABLE | UART_FCR_CLEAR_TX)) {
		bool held = u->tx_count != 0;

		u->tx_count = 0;
		u->lsr |= UART_LSR_THRE | UART_LSR_TEMT;
		u->thre_irq |= held;
	}
	watch_rx(u);
	update_irq(u);
}

/* A break starts where SOUT goes low; looped back, the receiver sees it as a NUL with BI. */
static void write_lcr(struct uart *u, u8 value)
{
	bool begins = (value & ~u->lcr) & UART_LCR_BREAK;

	u->lcr = value;
	if (begins && (u->mcr & UART_MCR_LOOP))
		rx_push(u, 0, true);
	update_irq(u);
}

static void write_mcr(struct uart *u, u8 value)
{
	u->mcr = value & 0x1f;
	update_modem(u);
	update_irq(u);
}

static void write8(void *dev, u16 port, u8 value)
{
	struct uart *u = dev;
	bool dlab = u->lcr & UART_LCR_DLAB;

	switch (port - u->base) {
	case UART_RBR:
		if (dlab)
			u->divisor = (u->divisor & 0xff00) | value;
		else
			tx_write(u, value);
		break;
	case UART_IER:
		if (dlab)
			u->divisor = (u16)((u->divisor & 0xff) | value << 8);
		else
			write_ier(u, value);
		break;
	case UART_IIR:
		write_fcr(u, value);
		break;
	case UART_LCR:
		write_lcr(u, value);
		break;
	case UART_MCR:
		write_mcr(u, value);
		break;
	case UART_SCR:
		u->scr = value;
		break;
	}
}

/* Reading IIR takes back the THRE interrupt if that is what it shows. */
static u8 read_iir(struct uart *u)
{
	u8 iir = pending(u);

	if (iir == UART_IIR_THRE) {
		u->thre_irq = false;
		update_irq(u);
	}
	return iir | (fifo_on(u) ? UART_IIR_FIFO : 0);
}

/* Is a byte with an error anywhere in the FIFO? */
static bool fifo_error(const struct uart *u)
{
	for (unsigned i = 0; fifo_on(u) && i < u->rx_count; i++) {
		if (u->rx_break[(u->rx_head + i) % UART_FIFO_SIZE])
			return true;
	}
	return false;
}

static u8 read_lsr(struct uart *u)
{
	u8 lsr = u->lsr | (fifo_error(u) ? UART_LSR_FIFO_ERR : 0);

	u->lsr &= ~(UART_LSR_OE | UART_LSR_PE | UART_LSR_FE | UART_LSR_BI);
	if (u->rx_count)
		u->rx_break[u->rx_head] = false;
	update_irq(u);
	return lsr;
}

static u8 read_msr(struct uart *u)
{
	u8 msr = u->msr;

	u->msr &= ~UART_MSR_DELTA;
	update_irq(u);
	return msr;
}

static u8 read8(void *dev, u16 port)
{
	struct uart *u = dev;
	bool dlab = u->lcr & UART_LCR_DLAB;

	switch (port - u->base) {
	case UART_RBR:
		return dlab ? (u8)u->divisor : rx_pop(u);
	case UART_IER:
		return dlab ? (u8)(u->divisor >> 8) : u->ier;
	case UART_IIR:
		return read_iir(u);
	case UART_LCR:
		return u->lcr;
	case UART_MCR:
		return u->mcr;
	case UART_LSR:
		return read_lsr(u);
	case UART_MSR:
		return read_msr(u);
	default:
		return u->scr;
	}
}

static u32 port_read(void *dev, u16 port, unsigned size)
{
	return port8_read(read8, dev, port, size);
}

static void port_write(void *dev, u16 port, unsigned size, u32 value)
{
	port8_write(write8, dev, port, size, value);
}

/* REP OUTSB to THR: hand over FIFO-sized pieces while the line has room. */
static unsigned port_write_rep(void *dev, u16 port, unsigned size, const void *buf, unsigned count)
{
	struct uart *u = dev;
	const u8 *bytes = buf;
	unsigned sent = 0;

	if (size != 1 || port != u->base || (u->lcr & UART_LCR_DLAB) || (u->mcr & UART_MCR_LOOP))
		return 0;
	while (sent < count && !u->tx_count && line_has_room(u)) {
		unsigned n = MIN(count - sent, UART_FIFO_SIZE);

		tx_filled(u);
		line_send(u, bytes + sent, n);
		sent += n;
	}
	if (sent)
		tx_emptied(u);
	return sent;
}

static const struct port_ops uart_ops = {
	.read = port_read,
	.write = port_write,
	.write_rep = port_write_rep,
};

void uart_reset(struct uart *u)
{
	u->ier = u->fcr = u->lcr = u->mcr = u->scr = 0;
	u->lsr = UART_LSR_THRE | UART_LSR_TEMT;
	u->msr = modem_inputs(u);
	u->divisor = 1; /* undefined in the data sheet; 115200 */
	u->rx_head = u->rx_count = u->tx_count = 0;
	memset(u->rx_break, 0, sizeof(u->rx_break));
	u->thre_irq = u->rx_timeout = u->receiver_used = u->irq_level = false;
	dev_timer_set(u->host, &u->timeout, TIMER_OFF);
	irq_line_set(&u->irq, false);
}

int uart_init(struct uart *u, struct bus *bus, const struct dev_host *host, u16 base,
	      const struct irq_line *irq, const struct uart_line_ops *line, void *line_ctx)
{
	memset(u, 0, sizeof(*u));
	u->base = base;
	u->host = host;
	u->irq = *irq;
	u->line = line;
	u->line_ctx = line_ctx;
	u->timeout.fire = rx_timed_out;
	u->timeout.arg = u;
	uart_reset(u);
	return bus_add_port(bus, base, UART_PORTS, &uart_ops, u);
}
