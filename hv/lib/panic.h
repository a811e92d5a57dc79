/* Giving up on a broken invariant of our own. Never reached by what a guest does.
 *
 * A leaf that every floor may use; core/panic.c is what it ends in.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_LIB_PANIC_H
#define HV_LIB_PANIC_H

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

/* panic() goes through it. Any CPU, any context. */
_Noreturn void panic_at(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
