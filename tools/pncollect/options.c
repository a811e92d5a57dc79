/* The command line of pncollect; see options.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"pncollect [OPTION]... LINE     collect from a serial line until it ends\n"
	"pncollect split FILE [-o DIR]  take a raw log apart\n"
	"pncollect check FILE           say what of a raw log is damaged or missing\n"
	"pncollect trace FILE|-         trace entries of records, and their totals\n"
	"\n"
	"LINE is a serial port, a FIFO or file, - (standard input), unix:PATH or tcp:HOST:PORT.\n"
	"  -o, --output DIR       where logs and results.jsonl go (penumbra-log)\n"
	"      --force            overwrite an earlier collection there\n"
	"  -b, --baud N           of a serial port (115200); always 8N1\n"
	"  -w, --wait NAMES|all   end when these guests have a result, commas between\n"
	"  -t, --timeout SECONDS  end after that time\n"
	"  -s, --send TEXT        type TEXT once the hypervisor is heard; \\n \\r \\e \\xHH\n"
	"  -i, --interactive      be a terminal: standard input to the line; Ctrl-\\ ends\n"
	"      --no-ask           do not ask for damaged records\n"
	"  -q, --quiet            no status line, no summary\n"
	"\n"
	"Exit status: 0 all results pass, 1 some do not, 2 usage or the line cannot be opened,\n"
	"3 awaited results did not come, 4 records or files were lost.\n";

enum { OPT_FORCE = 256, OPT_NO_ASK, OPT_HELP };

static const struct option long_options[] = {
	{"output", required_argument, NULL, 'o'},
	{"force", no_argument, NULL, OPT_FORCE},
	{"baud", required_argument, NULL, 'b'},
	{"wait", required_argument, NULL, 'w'},
	{"timeout", required_argument, NULL, 't'},
	{"send", required_argument, NULL, 's'},
	{"interactive", no_argument, NULL, 'i'},
	{"no-ask", no_argument, NULL, OPT_NO_ASK},
	{"quiet", no_argument, NULL, 'q'},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int wrong(const char *what, const char *value)
{
	fprintf(stderr, "pncollect: %s: '%s'; pncollect --help lists the options\n", what, value);
	return -EINVAL;
}

static int number(const char *what, const char *text, unsigned *n)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (!*text || *end || *text == '-' || value == 0 || value > 10000000)
		return wrong(what, text);
	*n = (unsigned)value;
	return 0;
}

/* One character of --send; @p moves on. -1 when it is no escape that is offered. */
static int escaped(const char **p)
{
	static const char from[] = "nret0\\", to[] = "\n\r\033\t\0\\";
	const char *hit;
	char hex[3] = "";
	char *end;
	long value;

	if (*(*p)++ != '\\')
		return (unsigned char)(*p)[-1];
	hit = **p ? strchr(from, **p) : NULL;
	if (hit) {
		(*p)++;
		return to[hit - from];
	}
	if (**p != 'x' || !(*p)[1])
		return -1;
	memcpy(hex, *p + 1, 2);
	value = strtol(hex, &end, 16);
	*p += 1 + (end - hex);
	return end == hex ? -1 : (int)value;
}

static int parse_send(struct options *o, const char *text)
{
	o->send_len = 0;
	for (const char *p = text; *p;) {
		int c = escaped(&p);

		if (c < 0)
			return wrong("--send: not an escape that is offered", text);
		if (o->send_len == sizeof(o->send))
			return wrong("--send: too long", text);
		o->send[o->send_len++] = (char)c;
	}
	return 0;
}

static int parse_option(struct options *o, int c)
{
	switch (c) {
	case 'o':
		o->dir = optarg;
		return 0;
	case 'b':
		return number("--baud", optarg, &o->baud);
	case 'w':
		o->wait = optarg;
		return *optarg ? 0 : wrong("--wait: no name", optarg);
	case 't':
		return number("--timeout: not a number of seconds", optarg, &o->timeout_s);
	case 's':
		return parse_send(o, optarg);
	case 'i':
		o->interactive = true;
		return 0;
	case OPT_FORCE:
		o->force = true;
		return 0;
	case OPT_NO_ASK:
		o->ask = false;
		return 0;
	case 'q':
		o->quiet = true;
		return 0;
	case OPT_HELP:
		fputs(usage, stdout);
		exit(0);
	default:
		return -EINVAL;
	}
}

static enum command command_word(const char *word)
{
	static const char *const words[] = {
		[COMMAND_SPLIT] = "split", [COMMAND_CHECK] = "check", [COMMAND_TRACE] = "trace"};

	for (unsigned i = COMMAND_SPLIT; i < ARRAY_SIZE(words); i++)
		if (!strcmp(word, words[i]))
			return (enum command)i;
	return COMMAND_COLLECT;
}

int options_parse(struct options *o, int argc, char **argv)
{
	int c, rc = 0;

	*o = (struct options){.baud = 115200, .ask = true, .dir = "penumbra-log"};
	while (!rc && (c = getopt_long(argc, argv, "o:b:w:t:s:iq", long_options, NULL)) != -1)
		rc = parse_option(o, c);
	if (!rc && optind < argc) {
		o->command = command_word(argv[optind]);
		optind += o->command != COMMAND_COLLECT;
	}
	if (!rc && argc - optind == 1) {
		o->line = argv[optind];
		return 0;
	}
	if (!rc)
		fputs(usage, stderr);
	return -EINVAL;
}
