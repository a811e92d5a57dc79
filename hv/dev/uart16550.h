/* 16550A serial port.
 *
 * Transmission takes no time unless the line's owner has no room (tx_room): then bytes stay in the
 * FIFO with THRE clear until uart_tx_kick(). Reception is a 16-byte FIFO with trigger levels and
 * the four-character time-out. OUT2 gates the interrupt, as PC cards wire it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_UART16550_H
#define HV_DEV_UART16550_H

#include "dev/dev.h"

/* Register offsets */
#define UART_RBR   0 /* read; THR write; DLL with DLAB */
#define UART_IER   1 /* DLM with DLAB */
#define UART_IIR   2 /* read; FCR write */
#define UART_LCR   3
#define UART_MCR   4
#define UART_LSR   5
#define UART_MSR   6
#define UART_SCR   7
#define UART_PORTS 8

#define UART_IER_RX	  0x01u
#define UART_IER_THRE	  0x02u
#define UART_IER_LINE	  0x04u
#define UART_IER_MODEM	  0x08u
#define UART_IIR_NONE	  0x01u
#define UART_IIR_MODEM	  0x00u
#define UART_IIR_THRE	  0x02u
#define UART_IIR_RX	  0x04u
#define UART_IIR_LINE	  0x06u
#define UART_IIR_TIMEOUT  0x0cu
#define UART_IIR_FIFO	  0xc0u
#define UART_FCR_ENABLE	  0x01u
#define UART_FCR_CLEAR_RX 0x02u
#define UART_FCR_CLEAR_TX 0x04u
#define UART_LCR_DLAB	  0x80u
#define UART_LCR_BREAK	  0x40u
#define UART_MCR_DTR	  0x01u
#define UART_MCR_RTS	  0x02u
#define UART_MCR_OUT1	  0x04u
#define UART_MCR_OUT2	  0x08u
#define UART_MCR_LOOP	  0x10u
#define UART_LSR_DR	  0x01u
#define UART_LSR_OE	  0x02u
#define UART_LSR_PE	  0x04u
#define UART_LSR_FE	  0x08u
#define UART_LSR_BI	  0x10u
#define UART_LSR_THRE	  0x20u
#define UART_LSR_TEMT	  0x40u
#define UART_LSR_FIFO_ERR 0x80u
#define UART_MSR_DELTA	  0x0fu /* DCTS, DDSR, TERI, DDCD */
#define UART_MSR_CTS	  0x10u
#define UART_MSR_DSR	  0x20u
#define UART_MSR_RI	  0x40u
#define UART_MSR_DCD	  0x80u

#define UART_FIFO_SIZE 16
#define UART_CLOCK     1843200u

/* The other end of the line. */
struct uart_line_ops {
	void (*tx)(void *ctx, const u8 *buf, unsigned n);
	/* May be NULL: always. Room means at least UART_FIFO_SIZE bytes. */
	bool (*tx_room)(void *ctx);
};

struct uart {
	u8 ier, fcr, lcr, mcr, lsr, msr, scr;
	u16 divisor;
	u8 rx[UART_FIFO_SIZE];
	bool rx_break[UART_FIFO_SIZE]; /* that byte came with a break */
	unsigned rx_head, rx_count;
	u8 tx[UART_FIFO_SIZE];
	unsigned tx_count; /* held back by the line */
	bool thre_irq;	   /* transmitter-empty interrupt pending */
	bool rx_timeout;
	bool receiver_used;
	bool irq_level;
	u16 base;
	const struct dev_host *host;
	struct irq_line irq;
	const struct uart_line_ops *line;
	void *line_ctx;
	struct timer timeout;
	u64 tx_bytes, rx_bytes;
};

/* Eight ports from @base. @line may be NULL: nothing is connected. */
int uart_init(struct uart *u, struct bus *bus, const struct dev_host *host, u16 base,
	      const struct irq_line *irq, const struct uart_line_ops *line, void *line_ctx);
void uart_reset(struct uart *u);
/* A byte arrives. False: the FIFO is full (or looped back); offer it again later. */
bool uart_rx(struct uart *u, u8 byte);
/* The line has room again. */
void uart_tx_kick(struct uart *u);
/* True while bytes wait for uart_tx_kick(). */
static inline bool uart_tx_held(const struct uart *u)
{
	return u->tx_count != 0;
}
/* The guest has enabled the receiver's interrupt or read a byte since reset. */
static inline bool uart_receiver_used(const struct uart *u)
{
	return u->receiver_used;
}

#endif
