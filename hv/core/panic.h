/* The end: what lib/panic.h leads to, and what may happen on the way.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_PANIC_H
#define HV_CORE_PANIC_H

#include "lib/panic.h"
#include "penumbra/types.h"

struct trap_frame;

/* panic_at() for an exception with its frame. */
_Noreturn void panic_trap(struct trap_frame *f);

/* Called once at the end of a panic, on the panicking CPU with all others stopped: trace dump, the
 * `error` record, leaving the emulator. May not return. It must write by console_write(). */
extern void (*panic_hook)(const char *reason);

/* Halt this CPU for good when another one panics; else return. */
void panic_stop_check(void);
/* Formatted line(s) on the console, without prefix; for use in panic_hook. */
void panic_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
