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
	bool stuck; /* the transmitter did not become empty in time; nobody waits for it again */
};

/* Test for a UART by its loopback, then set rate, format and FIFO as @p says. False: none. */
bool uart_setup(struct host_uart *u, const struct console_param *p);
/* The transmitter (and its FIFO) is empty. */
bool uart_tx_ready(const struct host_uart *u);
/* Put up to u->fifo bytes into an empty transmitter. */
void uart_tx(const struct host_uart *u, const char *buf, unsigned n);
/* Put out @len bytes, waiting (some seconds at most) for an empty transmitter before each FIFO's
 * worth. What a stuck transmitter does not take is lost. */
void uart_write(struct host_uart *u, const char *buf, size_t len);
/* Wait (some seconds at most) until the last bit is on the line: a machine that loses power takes
 * the FIFO with it. */
void uart_flush(struct host_uart *u);
/* A received byte, or -1. */
int uart_getc(const struct host_uart *u);
void uart_irq_enable(const struct host_uart *u, bool rx, bool tx);

#endif
