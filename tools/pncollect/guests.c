/* What became of the guests; see guests.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "guests.h"

#include <stdio.h>
#include <string.h>

static struct guest *find(struct guests *g, const char *name)
{
	for (unsigned i = 0; i < g->n; i++)
		if (!strcmp(g->g[i].name, name))
			return &g->g[i];
	if (g->n == GUESTS_MAX || !name[0] || strlen(name) >= sizeof(g->g[0].name))
		return NULL;
	g->g[g->n] = (struct guest){.state = "built"};
	memcpy(g->g[g->n].name, name, strlen(name) + 1);
	return &g->g[g->n++];
}

static void from_boot(struct guests *g, const struct rec *r)
{
	struct span memory, guests, key, value;
	char name[20];

	if (!json_member(r->line, "memory", &memory) || !json_member(memory, "guests", &guests))
		return;
	for (struct json_walk w = json_walk(guests); json_next(&w, &key, &value);) {
		snprintf(name, sizeof(name), "%.*s", (int)MIN(key.len, sizeof(name) - 1), key.p);
		if (strcmp(name, "control"))
			find(g, name);
	}
}

static void from_event(struct guests *g, const struct rec *r)
{
	char name[20];
	struct guest *guest;

	rec_text(r, "name", name, sizeof(name));
	guest = strcmp(name, "control") ? find(g, name) : NULL;
	if (!guest || guest->has_result)
		return;
	rec_text(r, "event", guest->state, sizeof(guest->state));
	rec_text(r, "paging", guest->paging, sizeof(guest->paging));
}

static void from_result(struct guests *g, const struct rec *r)
{
	char name[20];
	struct guest *guest;

	rec_text(r, "guest", name, sizeof(name));
	guest = find(g, name);
	if (!guest)
		return;
	rec_text(r, "status", guest->state, sizeof(guest->state));
	rec_text(r, "paging", guest->paging, sizeof(guest->paging));
	/* One that started again has several: none may be bad. */
	guest->passed = !strcmp(guest->state, "pass") && (guest->passed || !guest->has_result);
	guest->has_result = true;
	g->results++;
}

void guests_record(struct guests *g, const struct rec *r)
{
	if (!strcmp(r->type, "boot"))
		from_boot(g, r);
	else if (!strcmp(r->type, "guest"))
		from_event(g, r);
	else if (!strcmp(r->type, "result"))
		from_result(g, r);
}

void guests_reset(struct guests *g)
{
	memset(g, 0, sizeof(*g));
}

static bool has_result(const struct guests *g, const char *name, size_t len)
{
	for (unsigned i = 0; i < g->n; i++)
		if (strlen(g->g[i].name) == len && !memcmp(g->g[i].name, name, len))
			return g->g[i].has_result;
	return false;
}

bool guests_have(const struct guests *g, const char *wanted)
{
	if (!strcmp(wanted, "all")) {
		for (unsigned i = 0; i < g->n; i++)
			if (!g->g[i].has_result)
				return false;
		return g->n > 0;
	}
	for (const char *p = wanted; *p;) {
		size_t len = strcspn(p, ",");

		if (!has_result(g, p, len))
			return false;
		p += len + (p[len] == ',');
	}
	return true;
}

bool guests_failed(const struct guests *g)
{
	for (unsigned i = 0; i < g->n; i++)
		if (g->g[i].has_result && !g->g[i].passed)
			return true;
	return false;
}

void guests_text(const struct guests *g, char *buf, size_t size)
{
	size_t n = 0;

	snprintf(buf, size, "no guests yet");
	for (unsigned i = 0; i < g->n && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s %s", i ? ", " : "", g->g[i].name,
				      g->g[i].state);
}
