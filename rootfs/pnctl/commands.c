/* The commands: what each is called, takes, and asks for.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/say.h"
#include "core/nearest.h"
#include "pnctl.h"

#define WORDS_MAX 64

struct command {
	const char *name; /* first: nearest_name() looks for it */
	const char *args, *help;
	int min, max; /* words behind the name */
	u32 op;
	enum pnctl_status (*run)(struct session *s, const struct command *c, char **args, int n);
};

static enum pnctl_status wrong_usage(const struct command *c)
{
	say("usage: pnctl %s %s", c->name, c->args);
	return PNCTL_USAGE;
}

/* "Did you mean" for @given among @words. */
static enum pnctl_status unknown_word(const char *what, const char *given, const void *words,
				      size_t n, size_t stride)
{
	const char *near = nearest_name(given, words, n, stride);

	if (near)
		say("there is no %s \"%s\"; did you mean \"%s\"?", what, given, near);
	else
		say("there is no %s \"%s\"; pnctl help lists what there is", what, given);
	return PNCTL_USAGE;
}

/* Index of @given in @words, or -1 after saying so. */
static int choose(const char *what, const char *given, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(given, words[i]))
			return (int)i;
	}
	unknown_word(what, given, words, n, sizeof(*words));
	return -1;
}

/* --- commands --- */

static enum pnctl_status run_list(struct session *s, const struct command *c, char **args, int n)
{
	(void)c;
	(void)args;
	(void)n;
	return show_list(s);
}

static enum pnctl_status run_stats(struct session *s, const struct command *c, char **args, int n)
{
	(void)c;
	return show_stats(s, n ? args[0] : NULL);
}

/* A request without an answer but its status. */
static enum pnctl_status plain(struct session *s, const struct pn_request *q)
{
	enum pnctl_status rc = ask(s, q, NULL, NULL, NULL);

	if (s->json)
		printf("{\"ok\":%s}\n", rc ? "false" : "true");
	return rc;
}

static enum pnctl_status run_guest(struct session *s, const struct command *c, char **args, int n)
{
	struct pn_request q = request_for(c->op, args[0]);

	(void)n;
	q.arg = s->force;
	return plain(s, &q);
}

static enum pnctl_status run_paging(struct session *s, const struct command *c, char **args, int n)
{
	static const char *const modes[] = {[CHAN_PAGING_ADAPTIVE] = "adaptive",
					    [CHAN_PAGING_NESTED] = "nested",
					    [CHAN_PAGING_SHADOW] = "shadow"};
	struct pn_request q = request_for(c->op, args[0]);
	int mode = choose("paging mode", args[1], modes, ARRAY_SIZE(modes));

	(void)n;
	if (mode < 0)
		return PNCTL_USAGE;
	q.arg = (u64)mode;
	return plain(s, &q);
}

static enum pnctl_status run_console(struct session *s, const struct command *c, char **args, int n)
{
	(void)c;
	(void)n;
	return console(s, args[0]);
}

/* At most CHAN_TEXT_MAX bytes of @path ("-": standard input). Length or -1, said. */
static long read_config(const char *path, char *text)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : stdin;
	size_t n;

	if (!f) {
		say("%s: %s", path, strerror(errno));
		return -1;
	}
	errno = 0;
	n = fread(text, 1, CHAN_TEXT_MAX + 1, f);
	if (ferror(f)) {
		say("%s: %s", path, strerror(errno));
		n = CHAN_TEXT_MAX + 2;
	} else if (n > CHAN_TEXT_MAX) {
		say("%s: more than %u bytes", path, CHAN_TEXT_MAX);
	}
	if (f != stdin)
		fclose(f);
	return n > CHAN_TEXT_MAX ? -1 : (long)n;
}

static enum pnctl_status run_config(struct session *s, const struct command *c, char **args, int n)
{
	static const char *const what[] = {"check", "load"};
	static char text[CHAN_TEXT_MAX + 1];
	int which = choose("config command", args[0], what, ARRAY_SIZE(what));
	struct pn_request q;
	enum pnctl_status rc;
	long len;

	(void)c;
	(void)n;
	if (which < 0)
		return PNCTL_USAGE;
	len = read_config(args[1], text);
	if (len < 0)
		return PNCTL_FAILED;
	q = request_for(which ? CHAN_CTL_CONFIG_LOAD : CHAN_CTL_CONFIG_CHECK, NULL);
	q.len = (u32)len;
	rc = show_text(s, &q, text, strcmp(args[1], "-") ? args[1] : NULL, "errors");
	if (!rc && !s->json)
		printf("%s: %s\n", args[1], which ? "loaded" : "no errors");
	return rc;
}

static enum pnctl_status run_trace(struct session *s, const struct command *c, char **args, int n)
{
	static const char *const what[] = {"off", "exits", "all", "dump"};
	struct pn_request q = request_for(c->op, NULL);
	int which = choose("trace command", args[0], what, ARRAY_SIZE(what));

	if (which < 0)
		return PNCTL_USAGE;
	if ((which == 3) != (n == 2))
		return wrong_usage(c);
	if (which == 3)
		return trace_dump(s, args[1]);
	q.arg = (u64)which;
	return plain(s, &q);
}

static enum pnctl_status run_screen(struct session *s, const struct command *c, char **args, int n)
{
	struct pn_request q = request_for(c->op, args[0]);

	(void)n;
	return show_text(s, &q, NULL, NULL, "screen");
}

/* FROM-TO, FROM- or FROM. */
static bool parse_range(const char *text, u64 *from, u64 *to)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	*from = *to = strtoull(text, &end, 10);
	if (*end == '-' && end[1] == '\0') {
		*to = UINT64_MAX;
		return true;
	}
	if (*end == '-' && end[1] >= '0' && end[1] <= '9')
		*to = strtoull(end + 1, &end, 10);
	return *end == '\0' && *from <= *to;
}

static enum pnctl_status run_records(struct session *s, const struct command *c, char **args, int n)
{
	struct pn_request q = request_for(c->op, NULL);

	q.arg2 = UINT64_MAX;
	if (n && !parse_range(args[0], &q.arg, &q.arg2)) {
		say("\"%s\" is no range of records, such as 12-20, 12- or 12", args[0]);
		return PNCTL_USAGE;
	}
	s->json = false; /* records are JSON already, a line each */
	return show_text(s, &q, NULL, NULL, "records");
}

static enum pnctl_status run_line(struct session *s, const struct command *c, char **args, int n)
{
	(void)c;
	args[n] = NULL;
	return (enum pnctl_status)line_run(s, args);
}

static enum pnctl_status run_info(struct session *s, const struct command *c, char **args, int n)
{
	(void)c;
	(void)args;
	(void)n;
	return show_info(s);
}

static enum pnctl_status run_power(struct session *s, const struct command *c, char **args, int n)
{
	struct pn_request q = request_for(CHAN_CTL_POWER, NULL);

	(void)args;
	(void)n;
	q.arg = c->op;
	return plain(s, &q);
}

static enum pnctl_status run_help(struct session *s, const struct command *c, char **args, int n);

static const struct command commands[] = {
	{"list", "", "partitions and their states", 0, 0, 0, run_list},
	{"start", "NAME", "starts a guest that is built or has ended", 1, 1, CHAN_CTL_START,
	 run_guest},
	{"stop", "NAME [--force]", "presses its power button; --force: ends it at once", 1, 1,
	 CHAN_CTL_STOP, run_guest},
	{"reset", "NAME", "presses its reset button", 1, 1, CHAN_CTL_RESET, run_guest},
	{"pause", "NAME", "holds it", 1, 1, CHAN_CTL_PAUSE, run_guest},
	{"resume", "NAME", "lets it go on", 1, 1, CHAN_CTL_RESUME, run_guest},
	{"destroy", "NAME", "ends it and gives its memory back", 1, 1, CHAN_CTL_DESTROY, run_guest},
	{"console", "NAME", "its serial line on this terminal; ~. leaves", 1, 1, 0, run_console},
	{"screendump", "NAME", "its text screen", 1, 1, CHAN_CTL_SCREEN, run_screen},
	{"stats", "[NAME]", "counters", 0, 1, CHAN_CTL_STATS, run_stats},
	{"paging", "NAME MODE", "adaptive, nested or shadow from now on", 2, 2, CHAN_CTL_PAGING,
	 run_paging},
	{"config", "check|load FILE", "checks a config; load: builds its new guests too", 2, 2, 0,
	 run_config},
	{"trace", "off|exits|all|dump FILE", "tracing of exits; dump: the latest to a file", 1, 2,
	 CHAN_CTL_TRACE, run_trace},
	{"records", "[FROM-TO]", "records that the hypervisor keeps", 0, 1, CHAN_CTL_RECORDS,
	 run_records},
	{"line", "[--] COMMAND ...", "the serial line byte for byte for a command, as rx and sx", 1,
	 WORDS_MAX, 0, run_line},
	{"info", "", "hypervisor, machine, media, ports", 0, 0, 0, run_info},
	{"poweroff", "", "turns the whole machine off", 0, 0, 0, run_power},
	{"reboot", "", "starts the whole machine anew", 0, 0, 1, run_power},
	{"help", "", "this", 0, 0, 0, run_help},
};
static const size_t ncommands = ARRAY_SIZE(commands);

static void usage(FILE *to)
{
	fputs("usage: pnctl [--json] [--socket PATH] COMMAND ...\n", to);
	for (size_t i = 0; i < ncommands; i++) {
		const struct command *c = &commands[i];

		fprintf(to, "  %-10s %-24s %s\n", c->name, c->args, c->help);
	}
	fputs("exit status: 0 done, 1 not done, 2 wrong usage\n", to);
}

static enum pnctl_status run_help(struct session *s, const struct command *c, char **args, int n)
{
	(void)s;
	(void)c;
	(void)args;
	(void)n;
	usage(stdout);
	return PNCTL_DONE;
}

/* Takes options out of @argv wherever they stand; what is left are words. Their number or -1. */
static int options(struct session *s, int argc, char **argv)
{
	int words = 0;
	bool all = false; /* after -- */

	for (int i = 1; i < argc; i++) {
		if (all) {
			argv[words++] = argv[i];
		} else if (!strcmp(argv[i], "--")) {
			all = true;
		} else if (!strcmp(argv[i], "--json")) {
			s->json = true;
		} else if (!strcmp(argv[i], "--force")) {
			s->force = true;
		} else if (!strcmp(argv[i], "--socket") && i + 1 < argc) {
			s->socket = argv[++i];
		} else if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			argv[words++] = (char *)(uintptr_t) "help";
		} else if (argv[i][0] == '-' && argv[i][1]) {
			static const char *const known[] = {"--json", "--force", "--socket",
							    "--help"};

			unknown_word("option", argv[i], known, ARRAY_SIZE(known), sizeof(*known));
			return -1;
		} else {
			argv[words++] = argv[i];
		}
	}
	return words;
}

static enum pnctl_status run_command(struct session *s, char **words, int n)
{
	for (size_t i = 0; i < ncommands; i++) {
		const struct command *c = &commands[i];

		if (strcmp(words[0], c->name))
			continue;
		if (n - 1 < c->min || n - 1 > c->max || (s->force && c->op != CHAN_CTL_STOP))
			return wrong_usage(c);
		return c->run(s, c, words + 1, n - 1);
	}
	return unknown_word("command", words[0], commands, ncommands, sizeof(commands[0]));
}

int pnctl_main(int argc, char **argv)
{
	struct session s = {.socket = PN_SOCKET, .fd = -1};
	int words;

	say_name = "pnctl";
	words = options(&s, argc, argv);
	if (words < 0)
		return PNCTL_USAGE;
	if (!words) {
		usage(stderr);
		return PNCTL_USAGE;
	}
	return run_command(&s, argv, words);
}
