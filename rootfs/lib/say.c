/* Lines on standard error, and copying of texts that another side wrote.
 *
 * SPDX-License-Identifier: MIT
 */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *say_name;

void say(const char *fmt, ...)
{
	char line[512];
	int used = say_name ? snprintf(line, sizeof(line), "%s: ", say_name) : 0;
	va_list ap;
	ssize_t n;

	va_start(ap, fmt);
	vsnprintf(line + used, sizeof(line) - (size_t)used - 1, fmt, ap);
	va_end(ap);
	strcat(line, "\n");
	/* One write, so that lines of several programs on one console stay whole. */
	n = write(STDERR_FILENO, line, strlen(line));
	(void)n;
}

bool text_copy(char *dst, size_t size, const char *src, size_t src_max)
{
	size_t len = strnlen(src, src_max), n = MIN(len, size - 1);

	memcpy(dst, src, n);
	dst[n] = '\0';
	return n == len;
}

bool text_clean(char *dst, size_t size, const char *src, size_t src_max)
{
	bool whole = text_copy(dst, size, src, src_max);

	for (char *p = dst; *p; p++) {
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	}
	return whole;
}
