/* The commands that show something.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/say.h"
#include "penumbra/trace.h"
#include "pnctl.h"

#define PARTITIONS_MAX 64

static const char *word(const char *const *words, size_t n, u32 i)
{
	return i < n && words[i] ? words[i] : "?";
}

static const char *state_word(u32 state)
{
	static const char *const words[] = {[CHAN_GUEST_BUILT] = "built",
					    [CHAN_GUEST_WAITING] = "waiting",
					    [CHAN_GUEST_RUNNING] = "running",
					    [CHAN_GUEST_PAUSED] = "paused",
					    [CHAN_GUEST_ENDED] = "ended"};

	return word(words, ARRAY_SIZE(words), state);
}

static const char *status_word(u32 status)
{
	static const char *const words[] = {[CHAN_STATUS_NONE] = "none",
					    [CHAN_STATUS_PASS] = "pass",
					    [CHAN_STATUS_FAIL] = "fail",
					    [CHAN_STATUS_TIMEOUT] = "timeout"};

	return word(words, ARRAY_SIZE(words), status);
}

static const char *paging_word(u32 paging)
{
	static const char *const words[] = {[CHAN_PAGING_ADAPTIVE] = "adaptive",
					    [CHAN_PAGING_NESTED] = "nested",
					    [CHAN_PAGING_SHADOW] = "shadow"};

	return word(words, ARRAY_SIZE(words), paging);
}

/* --- list --- */

struct partitions {
	unsigned n;
	struct chan_ctl_guest p[PARTITIONS_MAX];
};

static void take_partition(void *arg, const struct chan_ctl_reply *r)
{
	struct partitions *all = arg;
	struct chan_ctl_guest *g = &all->p[all->n];
	char clean[sizeof(g->detail)];

	if (r->kind != CHAN_REPLY_ROW || r->len < sizeof(*g) || all->n == PARTITIONS_MAX)
		return;
	memcpy(g, r->data, sizeof(*g));
	text_clean(clean, sizeof(clean), g->detail, sizeof(g->detail));
	memcpy(g->detail, clean, sizeof(clean));
	text_clean(clean, sizeof(g->name), g->name, sizeof(g->name));
	memcpy(g->name, clean, sizeof(g->name));
	all->n++;
}

static enum pnctl_status get_partitions(struct session *s, struct partitions *all)
{
	struct pn_request q = request_for(CHAN_CTL_LIST, NULL);

	all->n = 0;
	return ask(s, &q, NULL, take_partition, all);
}

static void cell_duration(struct table *t, u64 us)
{
	u64 seconds = us / 1000000;

	if (seconds >= 3600)
		table_cell(t, "%lluh%02llum", (unsigned long long)(seconds / 3600),
			   (unsigned long long)(seconds / 60 % 60));
	else if (seconds >= 60)
		table_cell(t, "%llum%02llus", (unsigned long long)(seconds / 60),
			   (unsigned long long)(seconds % 60));
	else
		table_cell(t, "%llu.%llus", (unsigned long long)seconds,
			   (unsigned long long)(us / 100000 % 10));
}

static void cell_state(struct table *t, const struct chan_ctl_guest *g)
{
	if (g->state == CHAN_GUEST_ENDED)
		table_cell(t, "%s: %s", state_word(g->state), status_word(g->status));
	else
		table_cell(t, "%s", state_word(g->state));
}

static void list_row(struct table *t, const struct chan_ctl_guest *g)
{
	table_cell(t, "%u", g->index);
	table_cell(t, "%s", g->name);
	cell_state(t, g);
	if (g->index == 0)
		table_cell(t, "-");
	else if (g->asked != g->paging)
		table_cell(t, "%s (%s)", paging_word(g->paging), paging_word(g->asked));
	else
		table_cell(t, "%s", paging_word(g->paging));
	table_cell(t, "%u", g->cpu);
	table_cell(t, "%lluM", (unsigned long long)(g->memory / MIB));
	cell_duration(t, g->up_us);
	/* Per cent of its life that its vCPU has run. */
	table_cell(t, "%llu%%", (unsigned long long)(g->up_us ? g->guest_us * 100 / g->up_us : 0));
	table_cell(t, "%llu", (unsigned long long)g->exits);
	table_cell(t, "%llu", (unsigned long long)g->resets);
	table_cell(t, "%s", g->detail);
}

static void list_table(const struct partitions *all)
{
	static const char *const heads[] = {"N",  "NAME", "STATE", "PAGING", "CPU",   "MEMORY",
					    "UP", "RAN",  "EXITS", "RESETS", "DETAIL"};
	struct table t;

	table_init(&t, ARRAY_SIZE(heads), 0x3f1);
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++)
		table_cell(&t, "%s", heads[i]);
	for (unsigned i = 0; i < all->n; i++)
		list_row(&t, &all->p[i]);
	table_print(&t);
}

static void list_json(const struct partitions *all)
{
	printf("{\"partitions\":[");
	for (unsigned i = 0; i < all->n; i++) {
		const struct chan_ctl_guest *g = &all->p[i];

		printf("%s{\"index\":%u,\"name\":", i ? "," : "", g->index);
		json_string(g->name);
		printf(",\"state\":\"%s\",\"status\":\"%s\",\"paging\":\"%s\",\"asked\":\"%s\"",
		       state_word(g->state), status_word(g->status), paging_word(g->paging),
		       paging_word(g->asked));
		printf(",\"cpu\":%u,\"memory\":%llu,\"up_us\":%llu,\"guest_us\":%llu", g->cpu,
		       (unsigned long long)g->memory, (unsigned long long)g->up_us,
		       (unsigned long long)g->guest_us);
		printf(",\"exits\":%llu,\"resets\":%llu,\"detail\":", (unsigned long long)g->exits,
		       (unsigned long long)g->resets);
		json_string(g->detail);
		putchar('}');
	}
	puts("]}");
}

enum pnctl_status show_list(struct session *s)
{
	static struct partitions all;
	enum pnctl_status rc = get_partitions(s, &all);

	if (rc)
		return rc;
	(s->json ? list_json : list_table)(&all);
	return PNCTL_DONE;
}

/* --- stats --- */

struct stats_out {
	struct table table;
	const char *name;
	bool json, first;
};

static void stats_row(void *arg, const struct chan_ctl_reply *r)
{
	struct stats_out *o = arg;
	struct chan_ctl_count c;
	char name[sizeof(c.name)];

	if (r->kind != CHAN_REPLY_ROW || r->len < sizeof(c))
		return;
	memcpy(&c, r->data, sizeof(c));
	text_clean(name, sizeof(name), c.name, sizeof(c.name));
	if (o->json) {
		printf("%s{\"name\":\"%s\",\"count\":%llu", o->first ? "" : ",", name,
		       (unsigned long long)c.count);
		if (c.cycles != UINT64_MAX)
			printf(",\"cycles\":%llu", (unsigned long long)c.cycles);
		putchar('}');
		o->first = false;
		return;
	}
	table_cell(&o->table, "%s", o->name);
	table_cell(&o->table, "%s", name);
	table_cell(&o->table, "%llu", (unsigned long long)c.count);
	if (c.cycles == UINT64_MAX) {
		table_cell(&o->table, "-");
		table_cell(&o->table, "-");
	} else {
		table_cell(&o->table, "%llu", (unsigned long long)c.cycles);
		table_cell(&o->table, "%llu",
			   (unsigned long long)(c.count ? c.cycles / c.count : 0));
	}
}

static enum pnctl_status stats_of(struct session *s, const char *name, struct stats_out *o)
{
	struct pn_request q = request_for(CHAN_CTL_STATS, name);
	enum pnctl_status rc;

	o->name = name;
	o->first = true;
	if (o->json) {
		json_string(name);
		printf(":[");
	}
	rc = ask(s, &q, NULL, stats_row, o);
	if (o->json)
		putchar(']');
	return rc;
}

enum pnctl_status show_stats(struct session *s, const char *name)
{
	static struct partitions all;
	struct stats_out o = {.json = s->json};
	enum pnctl_status rc = PNCTL_DONE;
	unsigned shown = 0;

	if (name)
		text_copy(all.p[all.n++].name, sizeof(all.p[0].name), name, strlen(name));
	else
		rc = get_partitions(s, &all);
	table_init(&o.table, 5, 0x1c);
	if (!s->json)
		for (int i = 0; i < 5; i++)
			table_cell(
				&o.table, "%s",
				(const char *[]){"NAME", "COUNTER", "COUNT", "CYCLES", "EACH"}[i]);
	if (s->json)
		putchar('{');
	for (unsigned i = 0; i < all.n && !rc; i++) {
		if (s->json && shown++)
			putchar(',');
		rc = stats_of(s, all.p[i].name, &o);
	}
	if (s->json)
		puts("}");
	else
		table_print(&o.table);
	return rc;
}

/* --- text --- */

struct text_out {
	bool json, first;
	const char *file; /* whose name stands for CONFIG_NAME, or NULL */
};

/* The hypervisor knows a config's text and not where it comes from. */
#define CONFIG_NAME "config:"

static void text_line(void *arg, const char *text)
{
	struct text_out *o = arg;
	char named[2 * PNCTL_LINE_MAX];

	if (o->file && !strncmp(text, CONFIG_NAME, strlen(CONFIG_NAME))) {
		snprintf(named, sizeof(named), "%s:%s", o->file, text + strlen(CONFIG_NAME));
		text = named;
	}
	if (!o->json) {
		puts(text);
		return;
	}
	if (!o->first)
		putchar(',');
	o->first = false;
	json_string(text);
}

enum pnctl_status show_text(struct session *s, const struct pn_request *q, const char *text,
			    const char *file, const char *key)
{
	struct text_out o = {.json = s->json, .first = true, .file = file};
	static struct lines l;
	enum pnctl_status rc;

	l = (struct lines){.line = text_line, .arg = &o};
	if (s->json)
		printf("{\"%s\":[", key);
	rc = ask(s, q, text, lines_row, &l);
	if (s->json)
		printf("],\"ok\":%s}\n", rc ? "false" : "true");
	return rc;
}

enum pnctl_status show_info(struct session *s)
{
	struct pn_request hv = request_for(CHAN_CTL_INFO, NULL);
	struct pn_request daemon = request_for(PN_DAEMON, NULL);
	enum pnctl_status rc = show_text(s, &hv, NULL, NULL, "hypervisor");
	enum pnctl_status rc2 = show_text(s, &daemon, NULL, NULL, "daemon");

	return rc ? rc : rc2;
}

/* --- trace --- */

struct dump {
	FILE *to;
	unsigned long entries;
};

static void dump_row(void *arg, const struct chan_ctl_reply *r)
{
	struct dump *d = arg;

	if (r->kind != PN_REPLY_TRACE)
		return;
	d->entries +=
		fwrite((const u8 *)r + offsetof(struct chan_ctl_reply, data),
		       sizeof(struct trace_entry), r->len / sizeof(struct trace_entry), d->to);
}

enum pnctl_status trace_dump(struct session *s, const char *path)
{
	struct pn_request q = request_for(PN_TRACE_DUMP, NULL);
	struct dump d = {.to = fopen(path, "we")};
	enum pnctl_status rc;
	bool failed;

	if (!d.to) {
		say("%s: %s", path, strerror(errno));
		return PNCTL_FAILED;
	}
	rc = ask(s, &q, NULL, dump_row, &d);
	failed = ferror(d.to);
	if (fclose(d.to) || failed) {
		say("%s: %s", path, strerror(errno));
		return PNCTL_FAILED;
	}
	if (!rc && s->json)
		printf("{\"entries\":%lu}\n", d.entries);
	else if (!rc)
		printf("%lu entries of %zu bytes in %s%s\n", d.entries, sizeof(struct trace_entry),
		       path, d.entries ? "" : " (is tracing on? pnctl trace exits)");
	return rc;
}
