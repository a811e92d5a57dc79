/* Lines to logs; see demux.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "demux.h"

#include <stdio.h>
#include <string.h>

#define NOBODY	    0	/* source of what goes to DEMUX_OTHERS */
#define BY_COUNT    5	/* lines that make an untold name count ... */
#define BY_SHARE    500 /* ... when they are more than one in so many */
#define FOCUS_START "focus: "

static const struct span newline = {"\n", 1};

/* --- names ------------------------------------------------------------------------------------ */

/* The length of "NAME" or "NAME:vga" in front of "| ", or 0. */
static size_t prefix_len(struct span line)
{
	size_t n = 0;

	while (n < line.len && n < 16 &&
	       ((line.p[n] >= 'a' && line.p[n] <= 'z') ||
		(n && ((line.p[n] >= '0' && line.p[n] <= '9') || line.p[n] == '-'))))
		n++;
	if (n && line.len - n >= 4 && !memcmp(line.p + n, ":vga", 4))
		n += 4;
	return n && line.len - n >= 2 && !memcmp(line.p + n, "| ", 2) ? n : 0;
}

static int find(const struct demux *d, struct span name)
{
	for (unsigned i = 0; i < d->n; i++)
		if (strlen(d->src[i].name) == name.len && !memcmp(d->src[i].name, name.p, name.len))
			return (int)i;
	return -1;
}

static void write_line(struct demux *d, unsigned src, struct span text, bool whole)
{
	d->text(d->ctx, d->src[src].name, text);
	if (whole)
		d->text(d->ctx, d->src[src].name, newline);
}

/* Lines whose name never came to count, with the prefix they had. */
static void give_up_name(struct demux *d, struct demux_source *s)
{
	char *p = s->held, *end = s->held + s->held_len;

	while (p < end) {
		char *lf = memchr(p, '\n', (size_t)(end - p));

		d->text(d->ctx, DEMUX_OTHERS, (struct span){s->name, strlen(s->name)});
		d->text(d->ctx, DEMUX_OTHERS, (struct span){"| ", 2});
		d->text(d->ctx, DEMUX_OTHERS, (struct span){p, (size_t)(lf + 1 - p)});
		d->doubtful++;
		p = lf + 1;
	}
	s->held_len = 0;
}

static void accept(struct demux *d, struct demux_source *s)
{
	if (s->known)
		return;
	s->known = true;
	if (s->held_len)
		d->text(d->ctx, s->name, (struct span){s->held, s->held_len});
	s->held_len = 0;
}

/* A place for a new name; with all taken, that of the rarest doubtful one. */
static int place(struct demux *d)
{
	int rarest = -1;

	if (d->n < DEMUX_SOURCES)
		return (int)d->n++;
	for (unsigned i = 0; i < d->n; i++)
		if (!d->src[i].known && (rarest < 0 || d->src[i].lines < d->src[rarest].lines))
			rarest = (int)i;
	if (rarest >= 0) {
		d->src[rarest].has_cut = false;
		give_up_name(d, &d->src[rarest]);
	}
	return rarest;
}

static int add(struct demux *d, struct span name)
{
	int id = find(d, name);

	if (id >= 0)
		return id;
	id = name.len < DEMUX_NAME_MAX ? place(d) : -1;
	if (id >= 0) {
		struct demux_source *s = &d->src[id];

		s->known = s->has_cut = false;
		s->lines = s->held_len = s->cut_len = 0;
		memcpy(s->name, name.p, name.len);
		s->name[name.len] = '\0';
	}
	return id;
}

void demux_know(struct demux *d, const char *name)
{
	char line[DEMUX_NAME_MAX + 8];
	int n = snprintf(line, sizeof(line), "%s| ", name);
	int id;

	if (n < 3 || (size_t)n >= sizeof(line) ||
	    prefix_len((struct span){line, (size_t)n}) != (size_t)n - 2)
		return;
	id = add(d, (struct span){name, strlen(name)});
	if (id >= 0)
		accept(d, &d->src[id]);
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Too many for one name damaged into another again and again. */
static bool counts(const struct demux *d, const struct demux_source *s)
{
	return s->lines >= BY_COUNT && s->lines * BY_SHARE > d->lines;
}

static void doubtful(struct demux *d, struct demux_source *s, struct span text)
{
	if (text.len + 1 > sizeof(s->held) - s->held_len)
		give_up_name(d, s);
	text.len = MIN(text.len, sizeof(s->held) - 1);
	memcpy(s->held + s->held_len, text.p, text.len);
	s->held_len += text.len;
	s->held[s->held_len++] = '\n';
	if (counts(d, s))
		accept(d, s);
}

static void put(struct demux *d, unsigned src, struct span text, bool whole)
{
	if (d->src[src].known)
		write_line(d, src, text, whole);
	else
		doubtful(d, &d->src[src], text);
}

static bool starts_with(struct span text, const char *start, size_t len)
{
	return text.len >= len && !memcmp(text.p, start, len);
}

/* The interrupted line came again or it did not; either way it waits no more. What a lone CR has
 * overwritten in it does not come again. */
static void settle_cut(struct demux *d, unsigned src, const struct span *next)
{
	struct demux_source *s = &d->src[src];
	size_t start = s->cut_len;
	bool again;

	if (!s->has_cut)
		return;
	s->has_cut = false;
	while (start && s->cut[start - 1] != '\r')
		start--;
	again = next && starts_with(*next, s->cut + start, s->cut_len - start);
	/* The blank that keeps a text from looking like a record may not be needed any more. */
	if (!again && next && start < s->cut_len && s->cut[start] == ' ')
		again = starts_with(*next, s->cut + start + 1, s->cut_len - start - 1);
	if (again && !start)
		return;
	put(d, src, (struct span){s->cut, again ? start - 1 : s->cut_len}, true);
}

/* "hv| focus: NAME (...)" and "hv| focus: none" say whose lines have no prefix from here on. */
static void watch_focus(struct demux *d, struct span text)
{
	const size_t skip = sizeof(FOCUS_START) - 1;
	size_t n = 0;

	if (!starts_with(text, FOCUS_START, skip))
		return;
	text.p += skip;
	text.len -= skip;
	while (n < text.len && text.p[n] != ' ')
		n++;
	if (n >= sizeof(d->focus))
		return;
	memcpy(d->focus, text.p, n);
	d->focus[n] = '\0';
	if (!strcmp(d->focus, "none"))
		d->focus[0] = '\0';
}

/* Whose line it is; its prefix is taken off. */
static unsigned source_of(struct demux *d, struct span *line)
{
	size_t n = prefix_len(*line);
	int id = -1;

	if (n)
		id = add(d, (struct span){line->p, n});
	if (id >= 0) {
		line->p += n + 2;
		line->len -= n + 2;
		return (unsigned)id;
	}
	if (!n && d->focus[0])
		id = find(d, (struct span){d->focus, strlen(d->focus)});
	return id >= 0 ? (unsigned)id : NOBODY;
}

void demux_line(struct demux *d, struct span line, enum line_end end)
{
	unsigned src = d->piece_src;

	if (!d->in_piece) {
		src = source_of(d, &line);
		settle_cut(d, src, &line);
		d->lines++;
		d->src[src].lines++;
	}
	d->in_piece = end == LINE_MORE;
	d->piece_src = src;
	if (!strcmp(d->src[src].name, "hv"))
		watch_focus(d, line);
	if (end == LINE_CUT && line.len <= DEMUX_CUT_MAX) {
		struct demux_source *s = &d->src[src];

		memcpy(s->cut, line.p, line.len);
		s->cut_len = line.len;
		s->has_cut = true;
		return;
	}
	put(d, src, line, end != LINE_MORE);
}

void demux_flush(struct demux *d)
{
	for (unsigned i = 0; i < d->n; i++) {
		settle_cut(d, i, NULL);
		if (!d->src[i].known)
			give_up_name(d, &d->src[i]);
	}
}

void demux_init(struct demux *d, void (*text)(void *ctx, const char *name, struct span text),
		void *ctx)
{
	d->n = 0;
	d->focus[0] = '\0';
	d->in_piece = false;
	d->piece_src = NOBODY;
	d->lines = d->doubtful = 0;
	d->text = text;
	d->ctx = ctx;
	add(d, (struct span){DEMUX_OTHERS, strlen(DEMUX_OTHERS)});
	d->src[NOBODY].known = true;
	demux_know(d, "hv");
	demux_know(d, "control");
}
