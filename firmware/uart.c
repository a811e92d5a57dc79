/* Register-level driver of one UART.
 *
 * SPDX-License-Identifier: MIT
 */
#include "firmware/uart.h"
#include "lib/cpuops.h"

#define UART_DATA 0 /* RBR, THR; divisor low with DLAB */
#define UART_IER  1 /* divisor high with DLAB */
#define UART_FCR  2 /* write */
#define UART_IIR  2 /* read */
#define UART_LCR  3
#define UART_MCR  4
#define UART_LSR  5
#define UART_MSR  6

#define IER_RX		 0x01
#define IER_TX		 0x02
#define FCR_ENABLE_CLEAR 0x07
#define IIR_FIFO	 0xc0
#define LCR_STOP2	 0x04
#define LCR_PARITY	 0x08
#define LCR_EVEN	 0x10
#define LCR_DLAB	 0x80
#define MCR_DTR_RTS_OUT2 0x0b
#define MCR_LOOP_TEST	 0x1a /* loopback, RTS, OUT2 … */
#define MSR_LOOP_SEEN	 0x90 /* … which loop back as CTS and DCD */
#define LSR_RX		 0x01
#define LSR_PARITY	 0x04
#define LSR_FRAMING	 0x08
#define LSR_BREAK	 0x10
#define LSR_THRE	 0x20
#define LSR_TEMT	 0x40

#define UART_CLOCK_BAUD 115200u
#define FIFO_BYTES	16
/* A read of the status takes about 1 us on hardware. A full FIFO at 300 baud needs half a second; a
 * line that an emulator's or a server's console redirection carries stands still for as long as its
 * reader does. */
#define TX_WAIT_READS 20000000u

static u8 reg_read(const struct host_uart *u, unsigned r)
{
	return u->port ? inb((u16)(u->port + r)) : u->mmio[r * u->stride];
}

static void reg_write(const struct host_uart *u, unsigned r, u8 v)
{
	if (u->port)
		outb((u16)(u->port + r), v);
	else
		u->mmio[r * u->stride] = v;
}

static bool uart_probe(const struct host_uart *u)
{
	u8 saved = reg_read(u, UART_MCR), seen;

	if (reg_read(u, UART_LSR) == 0xff)
		return false;
	reg_write(u, UART_MCR, MCR_LOOP_TEST);
	seen = reg_read(u, UART_MSR) & 0xf0;
	reg_write(u, UART_MCR, saved);
	return seen == MSR_LOOP_SEEN;
}

static u8 lcr_of(const struct console_param *p)
{
	u8 lcr = (u8)((p->bits - 5) & 3);

	if (p->stop == 2)
		lcr |= LCR_STOP2;
	if (p->parity == 'e')
		lcr |= LCR_PARITY | LCR_EVEN;
	else if (p->parity == 'o')
		lcr |= LCR_PARITY;
	return lcr;
}

static void uart_set_divisor(const struct host_uart *u, u8 lcr, u32 baud)
{
	u32 div = (UART_CLOCK_BAUD + baud / 2) / baud;

	div = MAX(div, 1u);
	reg_write(u, UART_LCR, lcr | LCR_DLAB);
	reg_write(u, UART_DATA, (u8)div);
	reg_write(u, UART_IER, (u8)(div >> 8));
}

bool uart_setup(struct host_uart *u, const struct console_param *p)
{
	u8 lcr = lcr_of(p);

	u->present = uart_probe(u);
	if (!u->present)
		return false;
	if (p->baud)
		uart_set_divisor(u, lcr, p->baud);
	reg_write(u, UART_LCR, lcr);
	reg_write(u, UART_IER, 0);
	reg_write(u, UART_FCR, FCR_ENABLE_CLEAR);
	reg_write(u, UART_MCR, MCR_DTR_RTS_OUT2);
	u->fifo = (reg_read(u, UART_IIR) & IIR_FIFO) == IIR_FIFO ? FIFO_BYTES : 1;
	return true;
}

bool uart_tx_ready(const struct host_uart *u)
{
	return reg_read(u, UART_LSR) & LSR_THRE;
}

void uart_tx(const struct host_uart *u, const char *buf, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		reg_write(u, UART_DATA, (u8)buf[i]);
}

/* Wait until @bits of the line status are set. A transmitter that did not get there once is asked
 * without waiting from then on, so that a dead one costs its time once and not per byte. */
static bool uart_wait(struct host_uart *u, u8 bits)
{
	unsigned reads = u->stuck ? 1 : TX_WAIT_READS;

	for (u->stuck = true; reads && u->stuck; reads--) {
		u->stuck = !(reg_read(u, UART_LSR) & bits);
		if (u->stuck)
			cpu_pause();
	}
	return !u->stuck;
}

void uart_write(struct host_uart *u, const char *buf, size_t len)
{
	while (len) {
		unsigned n = (unsigned)MIN(len, (size_t)u->fifo);

		/* Bytes put into a full FIFO would push out those before them. */
		if (uart_wait(u, LSR_THRE))
			uart_tx(u, buf, n);
		buf += n;
		len -= n;
	}
}

void uart_flush(struct host_uart *u)
{
	uart_wait(u, LSR_TEMT);
}

/* A byte that came in damaged is noise (another speed, a loose plug), no key. A break comes as a
 * NUL, which its reader ignores. */
static bool damaged(u8 lsr)
{
	return (lsr & (LSR_PARITY | LSR_FRAMING)) && !(lsr & LSR_BREAK);
}

int uart_getc(const struct host_uart *u)
{
	for (unsigned i = 0; i < FIFO_BYTES; i++) {
		u8 lsr = reg_read(u, UART_LSR), byte;

		if (!(lsr & LSR_RX) || lsr == 0xff)
			return -1;
		byte = reg_read(u, UART_DATA);
		if (!damaged(lsr))
			return byte;
	}
	return -1;
}

void uart_irq_enable(const struct host_uart *u, bool rx, bool tx)
{
	reg_write(u, UART_IER, (u8)((rx ? IER_RX : 0) | (tx ? IER_TX : 0)));
}
