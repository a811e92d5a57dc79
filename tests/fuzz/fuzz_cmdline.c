/* The command line on arbitrary text: whatever stands in it, the settings stay in range, each error
 * is reported with its word, and a good word behind it is still taken without disturbing the rest.
 *
 * SPDX-License-Identifier: MIT
 * SRCS: hv/core/cmdline.c hv/core/config.c hv/core/ini.c hv/core/nearest.c hv/lib/str.c
 */
#include "fuzz.h"

#include "core/cmdline.h"

static const char *line;

static void report(void *ctx, const char *word, const char *message)
{
	MUST(strstr(line, word));
	MUST(*word && !strpbrk(word, " \t\r\n"));
	MUST(strlen(message) > 10 && strlen(message) < 256);
	++*(unsigned *)ctx;
}

static void check_console(const struct console_param *p)
{
	MUST(p->kind <= CONSOLE_NONE);
	MUST(p->kind != CONSOLE_UART || (p->port >= 0x100 && p->port % 8 == 0));
	MUST(!p->baud || 115200 % p->baud == 0);
	MUST(p->bits >= 5 && p->bits <= 8);
	MUST(p->stop == 1 || p->stop == 2);
	MUST(p->parity == 'n' || p->parity == 'e' || p->parity == 'o');
}

static void check(const struct cmdline *c)
{
	MUST(c->paging < PAGING_KINDS && c->log <= LOG_DEBUG && c->trace <= TRACE_ALL &&
	     c->exit <= EXIT_QEMU);
	MUST(c->results && c->results < 8);
	MUST(*c->policy && *c->engine && *c->shadow && *c->pmu && *c->paging_per_as);
	MUST(memchr(c->guests, '\0', sizeof(c->guests)));
	check_console(&c->console);
	MUST(c->noverrides <= CMDLINE_MAX_OVERRIDES);
	for (unsigned i = 0; i < c->noverrides; i++) {
		const struct guest_override *o = &c->override[i];

		MUST(!strcmp(o->guest, "policy") || !config_name_error(o->guest));
		MUST(*o->key && *o->value);
		MUST(memchr(o->key, '\0', sizeof(o->key)) &&
		     memchr(o->value, '\0', sizeof(o->value)));
		for (unsigned j = 0; j < i; j++)
			MUST(strcmp(o->guest, c->override[j].guest) != 0 ||
			     strcmp(o->key, c->override[j].key) != 0);
	}
}

/* Field by field where there is padding. */
static bool same(struct cmdline *a, struct cmdline *b)
{
	const struct console_param p = a->console, q = b->console;

	memset(&a->console, 0, sizeof(p));
	memset(&b->console, 0, sizeof(q));
	return p.kind == q.kind && p.port == q.port && p.baud == q.baud && p.bits == q.bits &&
	       p.stop == q.stop && p.parity == q.parity && !memcmp(a, b, sizeof(*a));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct cmdline first, second;
	unsigned reports = 0;
	const struct cmdline_report rep = {report, &reports};
	char *text = malloc(size + 32);

	memcpy(text, data, size);
	text[size] = '\0';
	line = text;
	cmdline_parse(&first, text, &rep);
	MUST(reports == first.errors);
	check(&first);

	strcat(text, " paging=nested paging=shadow");
	cmdline_parse(&second, text, NULL);
	MUST(second.paging == PAGING_SHADOW);
	first.paging = PAGING_SHADOW;
	MUST(same(&first, &second));
	free(text);
	return 0;
}
