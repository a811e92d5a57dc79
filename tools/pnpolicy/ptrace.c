/* Reading a trace: see ptrace.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "ptrace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "pntrace 1 khz="
#define PARAM  "param "

static unsigned complain(const char *name, unsigned line, const char *what)
{
	fprintf(stderr, "%s:%u: %s\n", name, line, what);
	return 1;
}

static unsigned take_header(struct ptrace *t, const char *name, unsigned line, const char *text)
{
	char *end;

	if (strncmp(text, HEADER, strlen(HEADER)) != 0)
		return complain(name, line, "expected \"" HEADER "NUMBER\" as the first line");
	text += strlen(HEADER);
	t->khz = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || !t->khz || t->khz > 100000000)
		return complain(name, line, "khz: expected 1 to 100000000");
	return 0;
}

static void *got(void *memory)
{
	if (memory)
		return memory;
	fputs("pnpolicy: out of memory\n", stderr);
	exit(2);
}

static unsigned take_param(struct ptrace *t, const char *name, unsigned line, const char *text)
{
	if (t->n)
		return complain(name, line, PARAM ": expected before the first tick");
	if (t->params == PTRACE_PARAM_MAX)
		return complain(name, line, "too many parameters");
	t->param[t->params++] = got(strdup(text + strlen(PARAM)));
	return 0;
}

static void add(struct ptrace *t, const struct policy_sample *x, unsigned line)
{
	if (t->n == t->room) {
		t->room = t->room ? 2 * t->room : 1024;
		t->tick = got(realloc(t->tick, t->room * sizeof(*t->tick)));
	}
	t->tick[t->n++] = (struct ptrace_tick){*x, line};
}

static unsigned take_line(struct ptrace *t, const char *name, unsigned line, const char *text)
{
	struct policy_sample x;
	char why[128];

	if (!t->khz)
		return take_header(t, name, line, text);
	if (!strncmp(text, PARAM, strlen(PARAM)))
		return take_param(t, name, line, text);
	if (strlen(text) > PTRACE_LINE_MAX)
		return complain(name, line, "line too long");
	if (sample_parse(&x, text, why, sizeof(why)))
		return complain(name, line, why);
	if (!x.ns)
		return complain(name, line, "ns: expected more than 0");
	add(t, &x, line);
	return 0;
}

unsigned ptrace_parse(struct ptrace *t, const char *name, char *text)
{
	unsigned errors = 0;
	char *next;

	memset(t, 0, sizeof(*t));
	for (unsigned line = 1; text && *text; line++, text = next) {
		size_t len = strcspn(text, "\n");

		next = text[len] ? text + len + 1 : NULL;
		text[len] = '\0';
		if (len && text[len - 1] == '\r')
			text[--len] = '\0';
		if (len && *text != '#')
			errors += take_line(t, name, line, text);
		if (errors && !t->khz)
			return errors; /* not a trace at all */
	}
	if (!errors && !t->n)
		errors += complain(name, 1, "no tick in it");
	return errors;
}

void ptrace_free(struct ptrace *t)
{
	for (unsigned i = 0; i < t->params; i++)
		free(t->param[i]);
	free(t->tick);
	memset(t, 0, sizeof(*t));
}
