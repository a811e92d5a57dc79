/* Tables with aligned columns, JSON strings, lines out of text rows.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pnctl.h"

void json_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		u8 c = (u8)*s;

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

void table_init(struct table *t, unsigned columns, u32 right)
{
	*t = (struct table){.columns = columns, .right = right};
}

void table_cell(struct table *t, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (t->rows == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->cell = realloc(t->cell, t->room * sizeof(*t->cell));
		if (!t->cell)
			abort();
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	t->cell[t->rows] = strdup(text);
	if (!t->cell[t->rows++])
		abort();
}

static int width(const struct table *t, unsigned column)
{
	size_t w = 0;

	for (unsigned i = column; i < t->rows; i += t->columns)
		w = MAX(w, strlen(t->cell[i]));
	return (int)w;
}

void table_print(struct table *t)
{
	for (unsigned i = 0; i < t->rows; i++) {
		unsigned column = i % t->columns;
		bool last = column == t->columns - 1;
		int w = width(t, column);

		if (t->right & 1u << column)
			printf("%*s", w, t->cell[i]);
		else
			printf("%-*s", last ? 0 : w, t->cell[i]);
		fputs(last ? "\n" : "  ", stdout);
	}
	for (unsigned i = 0; i < t->rows; i++)
		free(t->cell[i]);
	free(t->cell);
}

void lines_row(void *arg, const struct chan_ctl_reply *r)
{
	struct lines *l = arg;
	size_t n = MIN((size_t)MIN(r->len, sizeof(r->data)), sizeof(l->text) - 1 - l->len);

	if (r->kind != CHAN_REPLY_TEXT)
		return;
	memcpy(l->text + l->len, r->data, n);
	l->len += n;
	if (r->more)
		return;
	while (l->len && (l->text[l->len - 1] == '\n' || l->text[l->len - 1] == '\r'))
		l->len--;
	l->text[l->len] = '\0';
	l->line(l->arg, l->text);
	l->len = 0;
}
