/* The end: an invariant of our own is broken. Never reached by what a guest does.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_CORE_PANIC_H
#define HV_CORE_PANIC_H

#include "penumbra/types.h"

struct trap_frame;

#ifdef PN_HOST
#include <stdio.h>
#include <stdlib.h>
#define panic(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), abort())
#else
/* Stop the other CPUs, print reason, place, registers, back-trace, call panic_hook, halt. */
#define panic(...) panic_at(__FILE__, __LINE__, __VA_ARGS__)
#endif

/* An invariant of our own code, checked in every build. */
#define ASSERT(cond)                                                                               \
	do {                                                                                       \
		if (__builtin_expect(!(cond), 0))                                                  \
			panic("assertion failed: %s", #cond);                                      \
	} while (0)

_Noreturn void panic_at(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same for an exception with its frame. */
_Noreturn void panic_trap(struct trap_frame *f);

/* Called once at the end of a panic, on the panicking CPU with all others stopped: trace dump, the
 * `error` record, leaving the emulator. May not return. It must write by console_write(). */
extern void (*panic_hook)(const char *reason);

/* True once some CPU panics; NMI and stop-IPI handlers then halt theirs. */
bool panic_active(void);
/* Halt this CPU for good when another one panics; else return. */
void panic_stop_check(void);
/* Formatted line(s) on the console, without prefix; for use in panic_hook. */
void panic_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
