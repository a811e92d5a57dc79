/* pnpolicy: recorded samples through the paging policies, on the host, with the hypervisor's own
 * sources.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "replay.h"

static const char usage[] =
	"usage: pnpolicy [OPTION]... TRACE      (- is standard input)\n"
	"  -P NAME        this policy only (regret, dsp)\n"
	"  -p KEY=VALUE   as policy.KEY=VALUE on the hypervisor's command line\n"
	"  -w             what if: price each tick in both modes and let the policies live in it\n"
	"  -v             every tick, not only switches and changes of load\n"
	"  -q             totals only\n"
	"  -l             list the parameters\n"
	"Lines of JSON on standard output. Exit status: 0; 1 if -P was given and a recorded mode\n"
	"differs from what the policy decided before; 2 for a bad trace or option.\n";

struct options {
	const struct policy_ops *only;
	const char *param[64];
	unsigned params;
	enum replay_detail detail;
	bool what_if;
	const char *trace;
};

static int refuse(const char *what, const char *why)
{
	fprintf(stderr, "pnpolicy: %s: %s\n", what, why);
	return 2;
}

static int list_parameters(void)
{
	char low[40], high[40], preset[40];

	for (unsigned i = 0; i < policy_param_count; i++) {
		const struct policy_param *p = &policy_param_table[i];

		policy_param_format(p, p->min, low, sizeof(low));
		policy_param_format(p, p->max, high, sizeof(high));
		policy_param_format(p, p->preset, preset, sizeof(preset));
		printf("%-16s %10s  %s to %s: %s\n", p->name, preset, low, high, p->help);
	}
	return 0;
}

/* 0, or the exit status. */
static int take_options(struct options *o, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];

		if (!strcmp(a, "-w")) {
			o->what_if = true;
		} else if (!strcmp(a, "-v")) {
			o->detail = DETAIL_TICKS;
		} else if (!strcmp(a, "-q")) {
			o->detail = DETAIL_TOTALS;
		} else if (!strcmp(a, "-P") && i + 1 < argc) {
			o->only = policy_find(argv[++i]);
			if (!o->only)
				return refuse(argv[i], "expected regret or dsp");
		} else if (!strcmp(a, "-p") && i + 1 < argc) {
			if (o->params == ARRAY_SIZE(o->param))
				return refuse(a, "too many parameters");
			o->param[o->params++] = argv[++i];
		} else if ((*a == '-' && a[1]) || o->trace) {
			fputs(usage, stderr);
			return 2;
		} else {
			o->trace = a;
		}
	}
	if (o->trace)
		return 0;
	fputs(usage, stderr);
	return 2;
}

static int set_parameter(struct policy_params *p, const char *text)
{
	const char *equals = strchr(text, '=');
	char key[32], why[128];
	size_t len = equals ? (size_t)(equals - text) : sizeof(key);

	if (len >= sizeof(key))
		return refuse(text, "expected KEY=VALUE");
	memcpy(key, text, len);
	key[len] = '\0';
	if (policy_param_set(p, key, equals + 1, why, sizeof(why)))
		return refuse(text, why);
	return 0;
}

/* The trace's own, then those of the command line. */
static int set_parameters(struct policy_params *p, const struct ptrace *t, const struct options *o)
{
	int status = 0;

	for (unsigned i = 0; !status && i < t->params; i++)
		status = set_parameter(p, t->param[i]);
	for (unsigned i = 0; !status && i < o->params; i++)
		status = set_parameter(p, o->param[i]);
	return status;
}

static char *read_all(FILE *in)
{
	size_t len = 0, room = 1 << 16, got;
	char *text = malloc(room);

	while (text && (got = fread(text + len, 1, room - len - 1, in)) > 0) {
		char *more = text;

		len += got;
		if (room - len == 1)
			more = realloc(text, room *= 2);
		if (!more)
			free(text);
		text = more;
	}
	if (text)
		text[len] = '\0';
	return text;
}

static int load(struct ptrace *t, const char *name)
{
	FILE *in = strcmp(name, "-") ? fopen(name, "r") : stdin;
	char *text = in ? read_all(in) : NULL;
	unsigned errors;

	if (!text)
		return refuse(name, "cannot be read");
	if (in != stdin)
		fclose(in);
	errors = ptrace_parse(t, in == stdin ? "standard input" : name, text);
	free(text);
	return errors ? 2 : 0;
}

/* Exit status. */
static int replay(const struct ptrace *t, const struct options *o, const struct policy_params *p)
{
	u64 differs = 0;

	if (o->what_if) {
		replay_static(t, POLICY_NESTED, p, stdout);
		replay_static(t, POLICY_SHADOW, p, stdout);
	}
	for (unsigned i = 0; policy_nth(i); i++) {
		if (o->only && o->only != policy_nth(i))
			continue;
		if (o->what_if)
			replay_what_if(t, policy_nth(i), p, o->detail, stdout);
		else
			differs += replay_recorded(t, policy_nth(i), p, o->detail, stdout);
	}
	if (o->what_if)
		replay_optimum(t, p, stdout);
	return o->only && differs;
}

int main(int argc, char **argv)
{
	struct options o = {.detail = DETAIL_DECISIONS};
	struct policy_params params;
	struct ptrace t = {0};
	int status;

	if (argc == 2 && !strcmp(argv[1], "-l"))
		return list_parameters();
	status = take_options(&o, argc, argv);
	if (!status)
		status = load(&t, o.trace);
	policy_params_init(&params, t.khz);
	if (!status)
		status = set_parameters(&params, &t, &o);
	if (!status)
		status = replay(&t, &o, &params);
	ptrace_free(&t);
	return status;
}
