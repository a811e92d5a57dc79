/* Memory and string functions of the hypervisor, which has no C library.
 *
 * No SSE here (general registers only), so long copies and fills are REP MOVSQ/STOSQ with a byte
 * tail, which every x86-64 runs fast; short ones are 8-byte loops, because starting a REP costs
 * more than they do. Host builds use the C library's and take only str_copy() from this file.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lib/str.h"

#ifndef PN_HOST

/* In the body of a loop: keeps GCC from recognising the loop and turning it into a call to the very
 * function that it implements. (Clang does not when freestanding.) */
#define OPAQUE(p) __asm__("" : "+r"(p))

#define REP_MIN 128 /* below this many bytes a plain loop is quicker than REP's start-up */

/* Unaligned and aliasing anything: what a byte-wise copy may do, eight bytes at a time. */
struct word {
	u64 v;
} __attribute__((packed, may_alias));

static void copy_up(u8 *d, const u8 *s, size_t n)
{
	if (n >= REP_MIN) {
		size_t words = n / 8;

		n %= 8;
		__asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words) : : "memory");
	}
	for (; n >= 8; n -= 8, d += 8, s += 8) {
		((struct word *)d)->v = ((const struct word *)s)->v;
		OPAQUE(d);
	}
	for (; n; n--) {
		*d++ = *s++;
		OPAQUE(d);
	}
}

/* Descending, for a destination that overlaps the end of its source. Not REP with the direction
 * flag set: that form is microcoded byte by byte. */
static void copy_down(u8 *d, const u8 *s, size_t n)
{
	for (; n >= 8; n -= 8) {
		((struct word *)(d + n - 8))->v = ((const struct word *)(s + n - 8))->v;
		OPAQUE(d);
	}
	for (; n; n--) {
		d[n - 1] = s[n - 1];
		OPAQUE(d);
	}
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	copy_up(dst, src, n);
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	/* As unsigned distance: a destination below the source is "far above" it. */
	if ((uintptr_t)dst - (uintptr_t)src >= n)
		copy_up(dst, src, n);
	else
		copy_down(dst, src, n);
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	u8 *d = dst;
	u64 pattern = (u8)c * 0x0101010101010101ull;

	if (n >= REP_MIN) {
		size_t words = n / 8;

		n %= 8;
		__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(pattern) : "memory");
	}
	for (; n >= 8; n -= 8, d += 8) {
		((struct word *)d)->v = pattern;
		OPAQUE(d);
	}
	for (; n; n--) {
		*d++ = (u8)c;
		OPAQUE(d);
	}
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *p = a, *q = b;

	for (; n >= 8 && ((const struct word *)p)->v == ((const struct word *)q)->v; n -= 8)
		p += 8, q += 8;
	for (; n; n--, p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}

void *memchr(const void *s, int c, size_t n)
{
	for (const u8 *p = s; n; n--, p++)
		if (*p == (u8)c)
			return (void *)(uintptr_t)p;
	return NULL;
}

size_t strlen(const char *s)
{
	const char *p = s;

	for (; *p; p++)
		OPAQUE(p);
	return (size_t)(p - s);
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++)
		if (*a != *b || !*a)
			return (u8)*a - (u8)*b;
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++)
		if (!*s)
			return NULL;
	return (char *)(uintptr_t)s;
}

char *strrchr(const char *s, int c)
{
	const char *last = NULL;

	do
		if (*s == (char)c)
			last = s;
	while (*s++);
	return (char *)(uintptr_t)last;
}

char *strstr(const char *s, const char *needle)
{
	size_t n = strlen(needle);

	do
		if (!strncmp(s, needle, n))
			return (char *)(uintptr_t)s;
	while (*s++);
	return NULL;
}

#endif

size_t str_copy(char *dst, const char *src, size_t size)
{
	size_t len = strlen(src);

	if (size) {
		size_t n = MIN(len, size - 1);

		memcpy(dst, src, n);
		dst[n] = '\0';
	}
	return len;
}
