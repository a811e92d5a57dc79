/* Between the two halves of the keyboard: the controller (i8042.c) and its keys (i8042_keys.c).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_DEV_I8042_KEYS_H
#define HV_DEV_I8042_KEYS_H

#include "dev/i8042.h"

/* The keyboard sends a byte. Lost when its buffer is full. */
void i8042_queue(struct i8042 *k, u8 byte);
/* A byte arrives at the controller: what goes to the output buffer, translated to set 1 if the
 * command byte says so. False: nothing does (a break prefix that the translator keeps). */
bool i8042_from_wire(struct i8042 *k, u8 byte, u8 *out);
/* Nothing followed an ESC in time: it was the key. */
void i8042_esc_timeout(void *arg, u64 now_ns);

#endif
