/* Bytes of the serial line to lines; see lines.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "lines.h"

static void emit(struct lines *l, enum line_end end)
{
	size_t len = l->len;

	l->len = 0;
	l->line(l->ctx, (struct span){l->buf, len}, end);
}

static void line_feed(struct lines *l)
{
	unsigned crs = 0;

	while (l->len && l->buf[l->len - 1] == '\r') {
		l->len--;
		crs++;
	}
	emit(l, crs > 1 ? LINE_CUT : LINE_WHOLE);
}

void lines_feed(struct lines *l, const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n') {
			line_feed(l);
			continue;
		}
		if (l->len == sizeof(l->buf))
			emit(l, LINE_MORE);
		l->buf[l->len++] = data[i];
	}
}

void lines_finish(struct lines *l)
{
	if (l->len)
		line_feed(l);
}
