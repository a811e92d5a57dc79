/* hv/lib's string and formatting functions against the C library's: catches a wrong conversion,
 * padding, truncation or return value, an overlapping move in the wrong direction, a copy that is a
 * byte short at any length or alignment.
 *
 * SRCS: hv/lib/str.c hv/lib/fmt.c
 * SPDX-License-Identifier: MIT
 */
#include <limits.h>

#include "unit.h"

#include "freestanding.h"

static unsigned compared;

/* Both functions, at every buffer size: same text, same length, nothing written past the size. */
__attribute__((format(printf, 2, 3))) static void same(int line, const char *fmt, ...)
{
	char ours[128], theirs[128];

	for (size_t size = 0; size <= sizeof(ours) - 1; size++) {
		va_list ap, aq;
		int m, n;

		memset(ours, 0x55, sizeof(ours));
		memset(theirs, 0x55, sizeof(theirs));
		va_start(ap, fmt);
		va_copy(aq, ap);
		m = pn_vsnprintf(size ? ours : NULL, size, fmt, ap);
		n = vsnprintf(size ? theirs : NULL, size, fmt, aq);
		va_end(ap);
		va_end(aq);
		if (m != n || (size && strcmp(ours, theirs) != 0) || ours[size] != 0x55) {
			ours[sizeof(ours) - 1] = theirs[sizeof(theirs) - 1] = '\0';
			printf("# line %d, size %zu: \"%s\" gives \"%s\" (%d), expected \"%s\" "
			       "(%d)\n",
			       line, size, fmt, ours, m, theirs, n);
			unit_failures++;
			return;
		}
	}
	compared++;
}
#define SAME(...) same(__LINE__, __VA_ARGS__)

TEST(text_without_conversions)
{
	char buf[4] = "xyz";

	SAME("plain");
	SAME("100%%");
	CHECK_EQ(pn_snprintf(buf, sizeof(buf), "%s", "abcdef"), 6);
	CHECK_STR(buf, "abc");
	CHECK(compared >= 2);
}

TEST(integers)
{
	static const long long values[] = {0,	    1,	    -1,	      9,	 10,
					   255,	    256,    -32768,   65535,	 INT_MAX,
					   INT_MIN, 123456, UINT_MAX, LLONG_MAX, LLONG_MIN};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		long long v = values[i];
		int n = (int)v;

		SAME("%d %i %u %x %X", n, n, n, n, n);
		SAME("%hd %hu %hx", (short)n, (unsigned short)n, (unsigned short)n);
		SAME("%hhd %hhu %hhX", (signed char)n, (unsigned char)n, (unsigned char)n);
		SAME("%ld %lu %lx", (long)v, (unsigned long)v, (unsigned long)v);
		SAME("%lld %llu %llX", v, (unsigned long long)v, (unsigned long long)v);
		SAME("%zu %zx %jd", (size_t)v, (size_t)v, (intmax_t)v);
		SAME("[%12d] [%-12d] [%012d] [%2d]", n, n, n, n);
		SAME("[%.5d] [%8.5d] [%-8.5x] [%.0d]", n, n, n, n);
		SAME("[%*d] [%-*x] [%.*d]", 9, n, 9, n, 4, n);
		SAME("[%*d] [%.*d]", -9, n, -4, n);
	}
	CHECK(compared >= 10 * ARRAY_SIZE(values));
}

TEST(zero_and_precision_cancel)
{
	/* A warning in the compiler's eyes, hence not through the checked wrapper. */
	char buf[16];
	const char *fmt = "%08.3d|%-06d|";

	CHECK_EQ(pn_snprintf(buf, sizeof(buf), fmt, 42, 7), 16);
	CHECK_STR(buf, "     042|7     ");
}

TEST(strings_and_characters)
{
	static const char unterminated[3] = {'a', 'b', 'c'};

	SAME("%s|%8s|%-8s|%.2s|%8.2s|%-8.2s|", "hello", "hello", "hello", "hello", "hello",
	     "hello");
	SAME("%.*s|%*s", 3, unterminated, 7, "x");
	SAME("%s", "");
	SAME("%c%3c%-3c|", 'a', 'b', 'c');
	SAME("%p", (void *)0xdeadbeef000ull);
	SAME("%20p|%-20p|", (void *)0x1000, (void *)0x1000);
}

TEST(null_string_and_pointer)
{
	char buf[32];
	const char *volatile none = NULL; /* hidden from the compiler's warning */

	pn_snprintf(buf, sizeof(buf), "%s %p", none, (void *)0);
	CHECK_STR(buf, "(null) 0x0");
}

TEST(unknown_conversions_stand_as_they_are)
{
	char buf[32];
	const char *fmt = "%d %q %5! %";

	CHECK_EQ(pn_snprintf(buf, sizeof(buf), fmt, 5), 10);
	CHECK_STR(buf, "5 %q %5! %");
}

TEST(copies_of_every_length_and_alignment)
{
	u8 src[320], got[320];

	for (unsigned i = 0; i < sizeof(src); i++)
		src[i] = (u8)(i * 7 + 1);
	for (unsigned off = 0; off < 9; off++)
		for (unsigned n = 0; n < 300; n++) {
			memset(got, 0, sizeof(got));
			CHECK(pn_memcpy(got + off, src + 3, n) == got + off);
			CHECK(memcmp(got + off, src + 3, n) == 0);
			CHECK(got[off + n] == 0 && (!off || got[off - 1] == 0));
			CHECK(pn_memset(got + off, 0x1c3, n) == got + off);
			CHECK(n == 0 || (got[off] == 0xc3 && got[off + n - 1] == 0xc3));
			CHECK(!n || !memchr(got + off, 0, n));
			CHECK(got[off + n] == 0 && (!off || got[off - 1] == 0));
		}
}

TEST(moves_that_overlap)
{
	u8 got[400], want[400];

	for (unsigned from = 0; from < 40; from++)
		for (unsigned to = 0; to < 40; to++)
			for (unsigned n = 0; n < 300; n += 1 + n / 16) {
				for (unsigned i = 0; i < sizeof(got); i++)
					got[i] = want[i] = (u8)(i * 13);
				memmove(want + to, want + from, n);
				CHECK(pn_memmove(got + to, got + from, n) == got + to);
				CHECK(memcmp(got, want, sizeof(got)) == 0);
			}
}

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

TEST(comparisons)
{
	static const char *const s[] = {
		"", "a", "b", "ab", "abc", "abcdefghij", "abcdefghik", "abcdefgh\xff", "ABC"};

	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		for (size_t j = 0; j < ARRAY_SIZE(s); j++) {
			size_t n = MIN(strlen(s[i]), strlen(s[j]));

			CHECK_EQ(sign(pn_strcmp(s[i], s[j])), sign(strcmp(s[i], s[j])));
			CHECK_EQ(sign(pn_memcmp(s[i], s[j], n)), sign(memcmp(s[i], s[j], n)));
			for (size_t k = 0; k < 12; k++)
				CHECK_EQ(sign(pn_strncmp(s[i], s[j], k)),
					 sign(strncmp(s[i], s[j], k)));
			CHECK(pn_strstr(s[i], s[j]) == strstr(s[i], s[j]));
		}
}

TEST(searches)
{
	static const char s[] = "key=value=more";

	CHECK(pn_strchr(s, '=') == s + 3);
	CHECK(pn_strrchr(s, '=') == s + 9);
	CHECK(pn_strchr(s, 'z') == NULL);
	CHECK(pn_strrchr(s, 'z') == NULL);
	CHECK(pn_strchr(s, '\0') == s + 14);
	CHECK(pn_strrchr(s, '\0') == s + 14);
	CHECK(pn_memchr(s, 'v', 4) == NULL);
	CHECK(pn_memchr(s, 'v', 5) == s + 4);
	CHECK_EQ(pn_strlen(s), 14);
	CHECK_EQ(pn_strnlen(s, 5), 5);
	CHECK_EQ(pn_strnlen(s, 50), 14);
}

TEST(str_copy_truncates_and_tells)
{
	char buf[5] = "####";

	CHECK_EQ(pn_str_copy(buf, "abcdefg", sizeof(buf)), 7);
	CHECK_STR(buf, "abcd");
	CHECK_EQ(pn_str_copy(buf, "xy", sizeof(buf)), 2);
	CHECK_STR(buf, "xy");
	CHECK_EQ(pn_str_copy(buf, "long", 0), 4);
	CHECK_STR(buf, "xy");
}
