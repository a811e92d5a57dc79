/* The host's 8250/16450/16550 serial port, polled or by interrupt (NS16550A data sheet).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_UART_H
#define FIRMWARE_UART_H

#include "core/cmdline.h"
#include "penumbra/types.h"

struct host_uart {
	u16 port;	   /* I/O port of register 0, or 0: memory-mapped */
	volatile u8 *mmio; /* register 0 */
	unsigned stride;   /* bytes between registers, memory-mapped only */
	unsigned fifo;	   /* bytes the transmitter takes when empty: 1 or 16 */
	bool present;
};

/* Test for a UART by its loopback, then set rate, format and FIFO as @p says. False: none. */
bool uart_setup(struct host_uart *u, const struct console_param *p);
/* The transmitter (and its FIFO) is empty. */
bool uart_tx_ready(const struct host_uart *u);
/* Put up to u->fifo bytes into an empty transmitter. */
void uart_tx(const struct host_uart *u, const char *buf, unsigned n);
/* Wait (bounded) for an empty transmitter, FIFO-wise until @len bytes are out. */
void uart_write(const struct host_uart *u, const char *buf, size_t len);
/* Wait (bounded) until the last bit is on the line: a machine that loses power takes the FIFO with
 * it. */
void uart_flush(const struct host_uart *u);
/* A received byte, or -1. */
int uart_getc(const struct host_uart *u);
void uart_irq_enable(const struct host_uart *u, bool rx, bool tx);

#endif
