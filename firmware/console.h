/* Where the hypervisor's text goes: a UART, the screen, and always a ring in memory.
 *
 * console_write() is synchronous: boot and panic. The console_tx…() and console_rx() pieces never
 * wait: the runtime writer (core/log.c) feeds them from its own ring. Not locked: one CPU writes at
 * a time.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef FIRMWARE_CONSOLE_H
#define FIRMWARE_CONSOLE_H

#include "core/cmdline.h"
#include "penumbra/bootinfo.h"

/* Readable from a debugger, or found by its magic in a memory dump: `x/s memconsole.buf`. The
 * oldest byte is at @total % @size once @total exceeds @size. */
#define MEMCONSOLE_SIZE (32 * 1024)
struct memconsole {
	char magic[16];
	u32 size;
	u32 reserved;
	u64 total; /* bytes ever written */
	char buf[MEMCONSOLE_SIZE];
};
extern struct memconsole memconsole;

/* Set up what @p asks for as far as it needs no mapping: an ISA UART (found by its loopback), the
 * screen through the one-to-one map of the first 4 GiB. */
void console_init(const struct boot_info *bi, const struct console_param *p);
/* After hostmap_init(): map the screen, find and map a PCI UART, and repeat there what was said. */
void console_map(void);
/* Write @len bytes and wait until they are in the device; '\n' becomes CR LF. */
void console_write(const char *buf, size_t len);
/* The same without translation. */
void console_write_raw(const char *buf, size_t len);
/* Wait until all of it has left the device. */
void console_flush(void);
/* Bytes the device takes now without waiting; 0 while its FIFO is not empty. Without a UART, what
 * the memory ring takes: output never stalls. */
unsigned console_tx_room(void);
/* Hand over @n <= console_tx_room() bytes. */
void console_tx(const char *buf, unsigned n);
/* A received byte, or -1. */
int console_rx(void);
/* GSI of the UART's ISA interrupt, or -1. */
int console_gsi(void);
/* Route that interrupt to @vector on the CPU with @apic_id and enable it for received bytes.
 * 0, or -ENODEV. */
int console_route_irq(unsigned vector, u32 apic_id);
/* Where its registers are: first of eight I/O ports, or 0; physical address, or 0; and as which PCI
 * function it was found, or PCICFG_NONE (pcicfg.h). */
u16 console_port(void);
hpa_t console_mmio(void);
u32 console_pci(void);
/* Short name of the chosen device for the `boot` record: "com 0x3f8", "pci 00:03.0", "vga", "none".
 */
const char *console_name(void);
/* The display is about to get another owner: the screen shows @rest (output still on its way to the
 * UART), says where output goes on, and follows no more. Does nothing without a UART. */
void console_screen_stop(const char *rest, size_t len);
/* From a panic: screen back on, UART as it was set up. */
void console_panic(void);

#endif
