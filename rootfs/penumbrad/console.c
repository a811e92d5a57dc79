/* Output of partitions: histories and logs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/say.h"

void console_init(struct console *c, struct area *area, struct logs *logs)
{
	memset(c, 0, sizeof(*c));
	c->area = area;
	c->logs = logs;
	c->hv = logfile_new(logs, "hv.log", false, true);
	/* Its readers check every line: no marks, and on the medium soon. */
	c->records = logfile_new(logs, "records.jsonl", true, false);
}

static struct partition_text *part_of(struct console *c, unsigned index)
{
	struct partition_text *p;

	if (index >= CONSOLE_PARTITIONS)
		return NULL;
	if (c->part[index])
		return c->part[index];
	p = calloc(1, sizeof(*p) + CONSOLE_HISTORY);
	if (!p)
		return NULL;
	p->history = (u8 *)(p + 1);
	p->serial = logfile_new(c->logs, "", false, true);
	c->part[index] = p;
	return p;
}

static void keep(struct partition_text *p, const u8 *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		p->history[p->at] = data[i];
		p->at = (p->at + 1) % CONSOLE_HISTORY;
	}
	p->kept = (u32)MIN(p->kept + len, (size_t)CONSOLE_HISTORY);
}

static void serial(struct console *c, unsigned index, const u8 *data, size_t len)
{
	struct partition_text *p = part_of(c, index);

	if (!p)
		return;
	keep(p, data, len);
	logfile_write(p->serial, data, len);
	if (c->live)
		c->live(c->arg, index, data, len);
	if (!p->name[0] && c->who)
		c->who(c->arg);
}

static void screen_line(struct console *c, const struct chan_con *e)
{
	struct partition_text *p = part_of(c, e->index);
	char name[LOG_NAME_MAX];

	if (!p)
		return;
	if (!p->screen) {
		snprintf(name, sizeof(name), "%s.vga.log", p->name);
		p->screen = logfile_new(c->logs, p->name[0] ? name : "", false, true);
	}
	logfile_write(p->screen, e->data, e->len);
	if (!p->name[0] && c->who)
		c->who(c->arg);
}

/* Records come in pieces; only whole ones are written. */
static void record(struct console *c, const struct chan_con *e)
{
	if (c->record_len + e->len <= CONSOLE_RECORD_MAX)
		memcpy(c->record + c->record_len, e->data, e->len);
	c->record_len += e->len;
	if (e->more) {
		c->record_len = MIN(c->record_len, CONSOLE_RECORD_MAX + 1);
		return;
	}
	if (c->record_len && c->record_len <= CONSOLE_RECORD_MAX) {
		u32 n = c->record_len;

		while (n && (c->record[n - 1] == '\n' || c->record[n - 1] == '\r'))
			n--;
		c->record[n] = '\n';
		logfile_write(c->records, c->record, n + 1);
	}
	c->record_len = 0;
}

static void lost(struct console *c, const struct chan_con *e)
{
	char text[64];
	u64 bytes;
	int n;

	if (e->len < sizeof(bytes))
		return;
	memcpy(&bytes, e->data, sizeof(bytes));
	n = snprintf(text, sizeof(text), "\r\n[%llu bytes lost here]\r\n",
		     (unsigned long long)bytes);
	serial(c, e->index, (const u8 *)text, (size_t)n);
}

static void take(struct console *c, const struct chan_con *e)
{
	if (e->len > sizeof(e->data))
		return;
	switch (e->kind) {
	case CHAN_CON_SERIAL:
		serial(c, e->index, e->data, e->len);
		break;
	case CHAN_CON_VGA:
		screen_line(c, e);
		break;
	case CHAN_CON_HV:
		logfile_write(c->hv, e->data, e->len);
		break;
	case CHAN_CON_RECORD:
		record(c, e);
		break;
	case CHAN_CON_LOST:
		lost(c, e);
		break;
	}
}

void console_service(struct console *c)
{
	struct ring_end *ring = &c->area->ring[CHAN_CON_OUT];
	u32 left = ring->entries;
	struct chan_con e;

	while (left-- && ring_get(ring, &e)) {
		area_touched(c->area, CHAN_CON_OUT);
		take(c, &e);
	}
}

void console_name(struct console *c, unsigned index, const char *name)
{
	struct partition_text *p = part_of(c, index);
	char file[LOG_NAME_MAX];

	if (!p || !strcmp(p->name, name))
		return;
	if (p->name[0])
		p->at = p->kept = 0;
	text_copy(p->name, sizeof(p->name), name, sizeof(p->name));
	/* The name is a file's name too: only what the config grammar allows. */
	if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name))
		return;
	snprintf(file, sizeof(file), "%s.log", name);
	logfile_name(p->serial, file);
	snprintf(file, sizeof(file), "%s.vga.log", name);
	logfile_name(p->screen, file);
}

int console_find(const struct console *c, const char *name)
{
	for (int i = 0; i < CONSOLE_PARTITIONS; i++) {
		if (c->part[i] && c->part[i]->name[0] && !strcmp(c->part[i]->name, name))
			return i;
	}
	return -1;
}

void console_history(const struct console *c, unsigned index,
		     void (*give)(void *arg, const u8 *data, size_t len), void *arg)
{
	const struct partition_text *p = c->part[index];
	u32 start, first;

	if (!p || !p->kept)
		return;
	start = (p->at + CONSOLE_HISTORY - p->kept) % CONSOLE_HISTORY;
	first = MIN(p->kept, CONSOLE_HISTORY - start);
	give(arg, p->history + start, first);
	if (p->kept > first)
		give(arg, p->history, p->kept - first);
}

void console_close(struct console *c)
{
	for (unsigned i = 0; i < CONSOLE_PARTITIONS; i++)
		free(c->part[i]);
}
