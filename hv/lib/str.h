/* Memory, string and formatting functions: the C library's on the host, our own freestanding ones
 * (same contracts) in the hypervisor.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HV_LIB_STR_H
#define HV_LIB_STR_H

#include <stdarg.h>

#include "penumbra/types.h"

#ifdef PN_HOST
#include <stdio.h>
#include <string.h>
#else
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *needle);
/* %d %i %u %x %X %c %s %p %% with -, 0, width, precision, *, and h hh l ll z j. No floats. */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));
int snprintf(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#endif

/* Copy at most size-1 bytes and terminate; returns strlen(src) so that truncation shows. */
size_t str_copy(char *dst, const char *src, size_t size);

#endif
