/* 8042 keyboard controller with an MF2 keyboard on it and no mouse.
 *
 * The keyboard speaks scan code set 2 (or 1 or 3 when told); the controller translates to set 1
 * unless told not to. Bytes from the serial line are typed on this keyboard: i8042_type_ascii().
 * A byte that the guest has read is followed by the next only after a while, as on a real wire:
 * interrupt handlers that read port 60h twice rely on it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_I8042_H
#define HV_DEV_I8042_H

#include "dev/dev.h"

#define I8042_DATA 0x60
#define I8042_CMD  0x64

/* Status */
#define I8042_STS_OBF	   0x01u
#define I8042_STS_IBF	   0x02u
#define I8042_STS_SYS	   0x04u
#define I8042_STS_CMD	   0x08u /* last write went to 64h */
#define I8042_STS_UNLOCKED 0x10u
#define I8042_STS_AUX	   0x20u
/* Command byte */
#define I8042_CB_INT	 0x01u
#define I8042_CB_AUX_INT 0x02u
#define I8042_CB_SYS	 0x04u
#define I8042_CB_KBD_OFF 0x10u
#define I8042_CB_AUX_OFF 0x20u
#define I8042_CB_XLATE	 0x40u
/* Output port */
#define I8042_OUT_RESET 0x01u /* low: CPU reset */
#define I8042_OUT_A20	0x02u

#define I8042_QUEUE   64
#define I8042_BYTE_NS (500 * NSEC_PER_USEC) /* a byte on the keyboard's wire */
#define I8042_ESC_NS  (50 * NSEC_PER_MSEC)  /* a lone ESC is a key after this */

struct i8042 {
	u8 ram[32]; /* [0] is the command byte */
	u8 out_port;
	u8 data; /* output buffer */
	bool obf, obf_is_kbd;
	bool last_was_cmd, sys;
	u8 pending_cmd; /* controller command waiting for its byte at 60h, or 0 */
	u8 reply[2];	/* controller's answers, before any key */
	unsigned nreply;
	/* the keyboard */
	u8 queue[I8042_QUEUE];
	unsigned head, count;
	u8 kbd_cmd; /* keyboard command waiting for its parameter, or 0 */
	u8 scan_set;
	bool scanning;
	u8 leds, typematic, last_sent;
	bool xlate_break; /* F0 seen by the translator */
	u64 next_byte_ns; /* the wire is busy until then */
	/* typing from the serial line */
	u8 esc_len;
	u8 esc[6];
	const struct dev_host *host;
	struct irq_line irq1, a20;
	struct timer wire, esc_timer;
};

/* @irq1: keyboard interrupt. @a20: output port bit 1 as it changes. */
int i8042_init(struct i8042 *k, struct bus *bus, const struct dev_host *host,
	       const struct irq_line *irq1, const struct irq_line *a20);
void i8042_reset(struct i8042 *k);
/* Type one byte of a terminal: printable ASCII, control characters, CR or LF = Enter, BS or DEL =
 * Backspace, and ANSI/VT sequences of cursor, editing and function keys. False when the keyboard's
 * buffer has no room for the byte's worst case: offer it again later. */
bool i8042_type_ascii(struct i8042 *k, u8 ch);

#endif
